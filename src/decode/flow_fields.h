#pragma once
// The fields of the public schema (docs/flows.proto) and what a flow of a message becomes. Private to the room.
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "base/time.h"
#include "batch/flow_schema.h"
#include "decode/exporter.h"
#include "decode/protobuf.h"

namespace backstream::decode {

/// What the value of a field is, and so its wire type.
enum class FlowForm : uint8_t {
  kNumber,   ///< varint, within the bits of its column
  kCounter,  ///< varint, below 2^63
  kTime,     ///< sfixed64, µs since 1970
  kAddress,  ///< 4 or 16 octets
  kMac,      ///< 6 octets
  kText,     ///< UTF-8
};

/// X(number in Flow, column, form). Numbers are 1 to kFlowFieldLast without a hole.
#define BACKSTREAM_FLOW_FIELDS(X)    \
  X(1, kFlowStart, kTime)            \
  X(2, kFlowEnd, kTime)              \
  X(3, kSrcIp, kAddress)             \
  X(4, kDstIp, kAddress)             \
  X(5, kSrcPort, kNumber)            \
  X(6, kDstPort, kNumber)            \
  X(7, kProtocol, kNumber)           \
  X(8, kTcpFlags, kNumber)           \
  X(9, kOctetsRaw, kCounter)         \
  X(10, kPacketsRaw, kCounter)       \
  X(11, kInIf, kNumber)              \
  X(12, kOutIf, kNumber)             \
  X(13, kSrcAs, kNumber)             \
  X(14, kDstAs, kNumber)             \
  X(15, kTos, kNumber)               \
  X(16, kSamplingRate, kNumber)      \
  X(17, kReceivedAt, kTime)          \
  X(18, kExportedAt, kTime)          \
  X(19, kTime, kTime)                \
  X(20, kObservationDomain, kNumber) \
  X(21, kProtocolVersion, kText)     \
  X(22, kNextHop, kAddress)          \
  X(23, kBgpNextHop, kAddress)       \
  X(24, kSrcMask, kNumber)           \
  X(25, kDstMask, kNumber)           \
  X(26, kDirection, kNumber)         \
  X(27, kVlan, kNumber)              \
  X(28, kInnerVlan, kNumber)         \
  X(29, kSrcMac, kMac)               \
  X(30, kDstMac, kMac)               \
  X(31, kIcmpType, kNumber)          \
  X(32, kIcmpCode, kNumber)          \
  X(33, kMplsLabel1, kNumber)        \
  X(34, kMplsLabel2, kNumber)        \
  X(35, kMplsLabel3, kNumber)        \
  X(36, kIpTtl, kNumber)             \
  X(37, kIpv6FlowLabel, kNumber)     \
  X(38, kNatSrcIp, kAddress)         \
  X(39, kNatDstIp, kAddress)         \
  X(40, kNatSrcPort, kNumber)        \
  X(41, kNatDstPort, kNumber)        \
  X(42, kInIfName, kText)            \
  X(43, kOutIfName, kText)           \
  X(44, kOctets, kCounter)           \
  X(45, kPackets, kCounter)

inline constexpr uint32_t kFlowFieldLast = 45;

/// Of FlowBatch.
enum class BatchField : uint32_t { kVersion = 1, kExporter, kSite, kSentAt, kCommon, kFlows, kNode };
inline constexpr uint64_t kBatchVersion = 1;

struct FlowField {
  batch::FlowColumn column{};
  FlowForm form{};
  WireType wire{};
  uint8_t slot = 0;       ///< of its form in FlowValues
  uint64_t greatest = 0;  ///< of numbers and counters
};

constexpr WireType wire_of(FlowForm form) {
  switch (form) {
    case FlowForm::kNumber:
    case FlowForm::kCounter: return WireType::kVarint;
    case FlowForm::kTime: return WireType::kFixed64;
    default: return WireType::kDelimited;
  }
}

/// By number.
inline constexpr std::array<FlowField, kFlowFieldLast + 1> kFlowFields = [] {
  constexpr uint8_t kBits[] = {
#define BACKSTREAM_X(enumerator, sql_name, type, bits, about) bits,
      BACKSTREAM_FLOW_COLUMNS(BACKSTREAM_X)
#undef BACKSTREAM_X
  };
  std::array<FlowField, kFlowFieldLast + 1> fields{};
  uint8_t addresses = 0, texts = 0;
  const auto add = [&](uint32_t number, batch::FlowColumn column, FlowForm form) {
    FlowField& field = fields[number];
    field.column = column;
    field.form = form;
    field.wire = wire_of(form);
    field.slot = form == FlowForm::kAddress ? addresses++
                 : form == FlowForm::kText  ? texts++
                                            : static_cast<uint8_t>(number);
    field.greatest = form == FlowForm::kNumber ? (uint64_t{1} << kBits[static_cast<size_t>(column)]) - 1 : INT64_MAX;
  };
#define BACKSTREAM_X(number, column, form) add(number, batch::FlowColumn::column, FlowForm::form);
  BACKSTREAM_FLOW_FIELDS(BACKSTREAM_X)
#undef BACKSTREAM_X
  return fields;
}();

/// By column: its number, 0: the schema has none.
inline constexpr std::array<uint8_t, batch::kFlowColumnCount> kFieldOfColumn = [] {
  std::array<uint8_t, batch::kFlowColumnCount> numbers{};
  for (uint32_t number = 1; number <= kFlowFieldLast; ++number)
    numbers[static_cast<size_t>(kFlowFields[number].column)] = static_cast<uint8_t>(number);
  return numbers;
}();
constexpr uint32_t field_of(batch::FlowColumn column) { return kFieldOfColumn[static_cast<size_t>(column)]; }
constexpr uint64_t field_bit(batch::FlowColumn column) { return uint64_t{1} << field_of(column); }

/// One flow as its message has it, before it is a row. Bits are by number of the field.
struct FlowValues {
  uint64_t present = 0;
  uint64_t unreadable = 0;                   ///< there, and no value that the column can have
  int64_t numbers[kFlowFieldLast + 1] = {};  ///< numbers, counters, times, MAC addresses
  base::Inet addresses[6];
  std::string_view texts[3];  ///< in the message's octets, or for ever

  void clear() { present = unreadable = 0; }
  void set(batch::FlowColumn column, int64_t value) {
    const uint32_t number = field_of(column);
    numbers[number] = value;
    present |= uint64_t{1} << number;
    unreadable &= ~(uint64_t{1} << number);
  }
  void refuse(batch::FlowColumn column) {
    present &= ~field_bit(column);
    unreadable |= field_bit(column);
  }
  void set(batch::FlowColumn column, const base::Inet& value) {
    addresses[kFlowFields[field_of(column)].slot] = value;
    present |= field_bit(column);
    unreadable &= ~field_bit(column);
  }
  void set(batch::FlowColumn column, std::string_view value) {
    texts[kFlowFields[field_of(column)].slot] = value;
    present |= field_bit(column);
    unreadable &= ~field_bit(column);
  }
};

/// From 0001 to 9999 and as far before 1970: what is beyond is no time.
inline constexpr int64_t kFlowTimeMost = static_cast<int64_t>(kLastSecond) * base::kMicrosPerSecond + 999'999;

/// Memory for flows of a message, of each decoder that reads some: to make it takes longer than to read a flow.
struct FlowChunk {
  static constexpr size_t kRows = 32;
  FlowValues common;
  FlowValues flows[kRows];
};

/// Rows of flows that messages have: a few are collected, then put to the columns, one column after another.
class FlowRows {
 public:
  static constexpr size_t kRows = FlowChunk::kRows;

  explicit FlowRows(DecodeContext& context);

  /// The fields that are to be read: those of wanted columns, and what each row's time and counters are made of.
  uint64_t needed() const { return needed_; }
  /// What flows have that do not have the field themselves.
  FlowValues& common() { return chunk_.common; }
  /// Memory for the next flow, empty.
  FlowValues& next() {
    FlowValues& flow = chunk_.flows[count_];
    flow.clear();
    return flow;
  }
  /// next() has been filled.
  void add() {
    if (++count_ == kRows) write();
  }
  /// What is collected becomes rows. At the end, and before the message's octets go.
  void finish() {
    if (count_ != 0) write();
  }
  /// Of the message; empty: the settings say.
  void set_site(std::string_view site) { site_ = site; }

 private:
  void write();
  void settle(FlowValues& flow);
  void write_chunk(const FlowValues* flows, size_t n);
  void write_numbers(batch::FlowColumn column, const FlowValues* flows, size_t n);
  void write_addresses(batch::FlowColumn column, const FlowValues* flows, size_t n);
  void write_texts(batch::FlowColumn column, const FlowValues* flows, size_t n);
  void set_validity(batch::FlowColumn column, const uint8_t* valid, bool all, size_t n);
  Micros time_of(const FlowValues& flow) const;
  const int64_t* number(const FlowValues& flow, batch::FlowColumn column) const;

  DecodeContext& context_;
  FlowChunk& chunk_;
  const FlowValues& common_;
  uint64_t needed_ = 0;
  std::string_view site_;
  size_t count_ = 0;
};

/// exporter_of_message() of a FlowMessage.
base::Inet exporter_of_goflow2(std::span<const uint8_t> octets);

/// An address of 4 or 16 octets; not set: it is none.
base::Inet message_address(std::string_view octets);

}  // namespace backstream::decode
