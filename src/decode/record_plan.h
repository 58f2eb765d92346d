#pragma once
// How the records of a template become columns: compiled once, run for each set. Private to the room.
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "decode/announcement.h"
#include "decode/column_kernels.h"
#include "decode/flow_writer.h"
#include "decode/sampled_header.h"

namespace backstream::decode {

/// What the message says about all of its records.
struct MessageFacts {
  Micros received_at = 0;
  Micros exported_at = 0;
  bool has_uptime = false;
  uint32_t uptime_ms = 0;  ///< of the exporter when it sent the message
  uint32_t domain = 0;
  std::string_view version;  ///< value of protocol_version
  base::Inet exporter;
  bool exporter_of_record = false;    ///< a record that names its exporter is that one's
  std::string_view site;              ///< empty: none
  uint64_t sampling_rate = 0;         ///< for records that name no sampler; 0: unknown
  uint64_t sampling_override = 0;     ///< whatever the records say; 0: they decide
  uint64_t sampling_default = 0;      ///< where nothing is known; 0: unknown
  Tunnels tunnels = Tunnels::kOuter;  ///< of records that carry the head of a packet (elements 313 and 315)
};

/// The least and the greatest of sampling rates; 0: none was seen.
struct RatesSeen {
  uint64_t least = 0, most = 0;
  void add(uint64_t rate) {
    if (rate == 0) return;
    least = least == 0 || rate < least ? rate : least;
    most = rate > most ? rate : most;
  }
  void add(const RatesSeen& other) {
    add(other.least);
    add(other.most);
  }
};

struct RecordCounts {
  uint64_t sampling_unknown = 0;
  uint64_t counter_overflow = 0;
  uint64_t element_unreadable = 0;
  RatesSeen rates;      ///< that records tell themselves
  base::Inet exporter;  ///< that the last record names (exporterIPv4Address, exporterIPv6Address); not set: none
};

/// The fields about sampling of one record, of data or of options (RFC 5477 §8.2, NetFlow v9's before it).
struct SamplingFields {
  uint64_t sampler = kNoSampler;
  bool any = false;  ///< any that tells a rate, though it be 0
  uint64_t interval = 0, packet_interval = 0, packet_space = 0, size = 0, population = 0;
  double probability = 0;
  bool space_known = false;

  /// Nothing for elements that have nothing to do with sampling.
  void take(uint16_t element, uint64_t value, unsigned width);
  /// 1 in so many packets, within 32 bits; 0: they do not tell.
  uint64_t rate() const;
  static bool tells_rate(uint16_t element);
};

inline bool is_zero(const uint8_t* at, size_t octets) {
  return octets == 0 || (at[0] == 0 && std::memcmp(at, at + 1, octets - 1) == 0);
}

class SamplerTable;

/// Field numbers of the elements that are looked for, -1 when absent, and the record's size; and, made anew when a
/// writer wants other columns than the one before, what there is to do for these.
class RecordPlan {
 public:
  RecordPlan() = default;
  /// `fields` of a data template.
  explicit RecordPlan(std::span<const FieldSpec> fields);

  bool fixed() const { return fixed_; }
  /// Octets of a record when fixed; otherwise its least size. > 0.
  size_t record_octets() const { return record_octets_; }
  /// All records are NAT or firewall events; none counts traffic.
  bool is_event() const { return event_; }
  /// Those that count nothing (counts_nothing()) are events; the others are flows.
  bool may_be_event() const { return may_be_event_; }
  /// Whether the record's octets and packets are there, and 0.
  bool counts_nothing(const uint8_t* record, const uint32_t* offsets, const uint16_t* widths) const;

  /// Offsets of the fields of one record of variable length. Returns its size, 0 when it does not fit.
  size_t measure(const uint8_t* record, size_t octets, std::vector<uint32_t>& offsets,
                 std::vector<uint16_t>& widths) const;

  /// Writes n > 0 records, `stride` octets apart, for which the writer has room. `offsets` and `widths` by field
  /// number. `samplers` is asked for records that name one. `time_scratch` is memory for times that no column takes.
  /// Returns the greatest event time of the records.
  Micros write(const uint8_t* records, size_t n, size_t stride, const uint32_t* offsets, const uint16_t* widths,
               const MessageFacts& facts, const SamplerTable& samplers, const ColumnKernels& kernels, FlowWriter& out,
               std::vector<Micros>& time_scratch, RecordCounts& counts);
  const uint32_t* offsets() const { return offsets_.data(); }
  const uint16_t* widths() const { return widths_.data(); }

 private:
  struct Step {
    enum class Kind : uint8_t { kInteger, kMpls, kAddress, kIcmpType, kIcmpCode, kIcmpOwn };
    Kind kind;
    batch::FlowColumn column;
    int field;
    int other_field = -1;  ///< addresses: the field of the other family, taken where the first one is 0.0.0.0
  };
  /// Two fields that are loaded together, straight to their columns. kTime stands for the event times.
  struct PairStep {
    FieldPair fields;
    batch::FlowColumn columns[2];
  };
  struct ElementStep {
    size_t column;
    batch::ElementType type;
    int field;  ///< -1: these records do not have it
  };
  void bind(const FlowWriter& out, bool has_uptime);
  /// Whether the times of this field (-1: none) can be told in a message with or without an uptime.
  bool time_usable(int field, bool has_uptime) const;
  void add_icmp(Step::Kind combined, batch::FlowColumn column, std::initializer_list<uint16_t> own);
  /// Columns that the records do not have, from the head of the packet that they carry.
  void read_sections(const uint8_t* records, size_t n, size_t stride, const uint32_t* offsets, const uint16_t* widths,
                     const MessageFacts& facts, FlowWriter& out) const;
  int find(uint16_t element) const;
  int first_of(std::initializer_list<uint16_t> elements) const;
  std::vector<int> all_of(std::initializer_list<uint16_t> elements) const;
  void add(Step::Kind kind, batch::FlowColumn column, std::initializer_list<uint16_t> elements);

  std::vector<FieldSpec> fields_;
  std::vector<uint32_t> offsets_;
  std::vector<uint16_t> widths_;
  bool fixed_ = true;
  bool event_ = false, may_be_event_ = false;
  size_t record_octets_ = 0;
  std::vector<Step> steps_;
  std::vector<batch::FlowColumn> absent_;  ///< columns that these records cannot fill
  int octets_ = -1, packets_ = -1, protocol_ = -1;
  int duration_ = -1, init_time_ = -1, collected_ = -1;
  int section_ = -1, frame_octets_ = -1;
  std::vector<int> ends_, starts_;  ///< fields of flow times, the most exact first
  int sampler_ = -1;
  std::vector<int> sampling_;  ///< fields that tell a rate
  int exporter_v4_ = -1, exporter_v6_ = -1;

  // For the writer that was seen last.
  bool bound_ = false, bound_uptime_ = false;
  int end_ = -1, start_ = -1;              ///< the first of ends_ and starts_ that can be told
  int other_end_ = -1, other_start_ = -1;  ///< the second, for records that leave the first 0
  batch::FlowColumnSet bound_wanted_;
  uint64_t bound_elements_ = 0;  ///< WantedElements::number; 0: none
  std::vector<Step> wanted_steps_;
  std::vector<ElementStep> element_steps_;
  std::vector<batch::FlowColumn> wanted_absent_;
  std::vector<batch::FlowColumn> section_columns_;  ///< of the wanted ones, what a packet's head can tell
  std::vector<PairStep> pairs_;
  batch::FlowColumnSet paired_;  ///< the columns of pairs_
  bool wants_facts_ = false;     ///< any column of what the message says, besides the sampling rate
};

/// 9999-12-31 23:59:59 UTC, in seconds since 1970.
inline constexpr uint64_t kLastSecond = 253'402'300'799;
/// The IANA elements 150 to 157 and 322 to 325 as µs since 1970: seconds, milliseconds, NTP timestamps.
Micros absolute_time(uint16_t element, uint64_t raw);

}  // namespace backstream::decode
