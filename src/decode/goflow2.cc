// The FlowMessage of goflow2 (github.com/netsampler/goflow2, version 2): one flow a record, with or without its length
// before it. Fields of proto3 without presence: 0 and unknown look alike, and are told apart here by what they mean.
#include <optional>

#include "decode/flow_fields.h"
#include "decode/flow_message.h"

namespace backstream::decode {
namespace {

using batch::FlowColumn;

enum class Field : uint32_t {
  kType = 1,
  kSamplingRate = 3,
  kSourceAddress = 6,
  kDestinationAddress = 7,
  kBytes = 9,
  kPackets = 10,
  kSamplerAddress = 11,
  kNextHop = 12,
  kSourceAs = 14,
  kDestinationAs = 15,
  kSourceNet = 16,
  kDestinationNet = 17,
  kInIf = 18,
  kOutIf = 19,
  kProtocol = 20,
  kSourcePort = 21,
  kDestinationPort = 22,
  kIpTos = 23,
  kIpTtl = 25,
  kTcpFlags = 26,
  kSourceMac = 27,
  kDestinationMac = 28,
  kVlan = 29,
  kIcmpType = 31,
  kIcmpCode = 32,
  kSourceVlan = 33,
  kFlowLabel = 37,
  kObservationDomain = 70,
  kMplsLabel = 81,
  kBgpNextHop = 100,
  kTimeReceived = 110,
  kTimeFlowStart = 111,
  kTimeFlowEnd = 112,
};
constexpr uint32_t kFieldLast = 112;

/// What the fields of numbers and addresses are here, where that is all there is to say.
struct Target {
  enum class Kind : uint8_t { kNone, kNumber, kNumberUnlessZero, kAddress, kTime } kind = Kind::kNone;
  FlowColumn column{};
};
constexpr std::array<Target, kFieldLast + 1> kTargets = [] {
  using K = Target::Kind;
  std::array<Target, kFieldLast + 1> targets{};
  const auto to = [&](Field field, K kind, FlowColumn column) {
    targets[static_cast<uint32_t>(field)] = {kind, column};
  };
  to(Field::kSamplingRate, K::kNumberUnlessZero, FlowColumn::kSamplingRate);
  to(Field::kSourceAddress, K::kAddress, FlowColumn::kSrcIp);
  to(Field::kDestinationAddress, K::kAddress, FlowColumn::kDstIp);
  to(Field::kBytes, K::kNumber, FlowColumn::kOctetsRaw);
  to(Field::kPackets, K::kNumber, FlowColumn::kPacketsRaw);
  to(Field::kNextHop, K::kAddress, FlowColumn::kNextHop);
  to(Field::kSourceAs, K::kNumber, FlowColumn::kSrcAs);
  to(Field::kDestinationAs, K::kNumber, FlowColumn::kDstAs);
  to(Field::kSourceNet, K::kNumberUnlessZero, FlowColumn::kSrcMask);
  to(Field::kDestinationNet, K::kNumberUnlessZero, FlowColumn::kDstMask);
  to(Field::kInIf, K::kNumber, FlowColumn::kInIf);
  to(Field::kOutIf, K::kNumber, FlowColumn::kOutIf);
  to(Field::kProtocol, K::kNumber, FlowColumn::kProtocol);
  to(Field::kSourcePort, K::kNumber, FlowColumn::kSrcPort);
  to(Field::kDestinationPort, K::kNumber, FlowColumn::kDstPort);
  to(Field::kIpTos, K::kNumber, FlowColumn::kTos);
  to(Field::kIpTtl, K::kNumberUnlessZero, FlowColumn::kIpTtl);
  to(Field::kTcpFlags, K::kNumber, FlowColumn::kTcpFlags);
  to(Field::kSourceMac, K::kNumberUnlessZero, FlowColumn::kSrcMac);
  to(Field::kDestinationMac, K::kNumberUnlessZero, FlowColumn::kDstMac);
  to(Field::kIcmpType, K::kNumber, FlowColumn::kIcmpType);
  to(Field::kIcmpCode, K::kNumber, FlowColumn::kIcmpCode);
  to(Field::kFlowLabel, K::kNumberUnlessZero, FlowColumn::kIpv6FlowLabel);
  to(Field::kObservationDomain, K::kNumber, FlowColumn::kObservationDomain);
  to(Field::kBgpNextHop, K::kAddress, FlowColumn::kBgpNextHop);
  to(Field::kTimeReceived, K::kTime, FlowColumn::kReceivedAt);
  to(Field::kTimeFlowStart, K::kTime, FlowColumn::kFlowStart);
  to(Field::kTimeFlowEnd, K::kTime, FlowColumn::kFlowEnd);
  return targets;
}();

uint64_t greatest_of(FlowColumn column) {
  // MAC addresses are numbers here.
  if (column == FlowColumn::kSrcMac || column == FlowColumn::kDstMac) return (uint64_t{1} << 48) - 1;
  return kFlowFields[field_of(column)].greatest;
}

/// The message, without the length that may stand before it. goflow2 writes it by default; it did not always, and can
/// be told not to. A plain message that begins with its own length does not occur: it begins with a tag, and the
/// shortest that a collector sends is longer than the tags of its first fields are large.
std::span<const uint8_t> undelimited(std::span<const uint8_t> octets) {
  uint64_t length = 0;
  const size_t used = base::get_varint(octets.data(), octets.size(), length);
  return used != 0 && length == octets.size() - used ? octets.subspan(used) : octets;
}

class Message {
 public:
  Message(uint64_t needed, FlowValues& to, IngestLedger& ledger) : needed_(needed), to_(to), ledger_(ledger) {}

  bool read(std::span<const uint8_t> octets) {
    WireReader in(octets.data(), octets.data() + octets.size());
    while (!in.at_end()) {
      uint32_t number = 0;
      WireType type{};
      if (!in.tag(number, type) || !read_field(in, number, type)) return false;
    }
    complete();
    return true;
  }

 private:
  bool needs(FlowColumn column) const { return (needed_ & field_bit(column)) != 0; }
  void number(FlowColumn column, uint64_t value) {
    if (!needs(column)) return;
    if (value <= greatest_of(column)) return to_.set(column, static_cast<int64_t>(value));
    to_.refuse(column);
    if (kFlowFields[field_of(column)].form == FlowForm::kCounter) ++ledger_.counter_overflow;
    else ++ledger_.element_unreadable;
  }

  bool read_field(WireReader& in, uint32_t field, WireType type) {
    uint64_t value = 0;
    std::string_view octets;
    if (type == WireType::kDelimited) {
      if (!in.delimited(octets)) return false;
      if (static_cast<Field>(field) == Field::kMplsLabel) return read_labels(octets);
      if (field <= kFieldLast && kTargets[field].kind == Target::Kind::kAddress)
        address(kTargets[field].column, octets);
      return true;
    }
    if (type != WireType::kVarint) return in.skip(field, type);
    if (!in.varint(value)) return false;
    switch (static_cast<Field>(field)) {
      case Field::kType: type_ = value; return true;
      case Field::kVlan: vlan_ = value; return true;
      case Field::kSourceVlan: source_vlan_ = value; return true;
      case Field::kMplsLabel: label(value); return true;
      default: break;
    }
    if (field > kFieldLast) return true;
    const Target target = kTargets[field];
    switch (target.kind) {
      case Target::Kind::kNone:
      case Target::Kind::kAddress: break;
      case Target::Kind::kNumberUnlessZero:
        if (value != 0) number(target.column, value);
        break;
      case Target::Kind::kNumber: number(target.column, value); break;
      case Target::Kind::kTime: time(target.column, value); break;
    }
    return true;
  }

  void time(FlowColumn column, uint64_t nanoseconds) {
    if (nanoseconds == 0 || !needs(column)) return;
    const auto micros = static_cast<int64_t>(nanoseconds / 1000);
    if (micros <= kFlowTimeMost) return to_.set(column, micros);
    to_.refuse(column);
    ++ledger_.element_unreadable;
  }

  void address(FlowColumn column, std::string_view octets) {
    if (octets.empty() || !needs(column)) return;
    const base::Inet address = message_address(octets);
    if (address.family != 0) return to_.set(column, address);
    to_.refuse(column);
    ++ledger_.element_unreadable;
  }

  void label(uint64_t value) {
    constexpr FlowColumn kColumns[] = {FlowColumn::kMplsLabel1, FlowColumn::kMplsLabel2, FlowColumn::kMplsLabel3};
    if (labels_ < std::size(kColumns)) number(kColumns[labels_++], value);
  }
  /// Repeated numbers may stand in one field.
  bool read_labels(std::string_view packed) {
    const auto* at = reinterpret_cast<const uint8_t*>(packed.data());
    WireReader in(at, at + packed.size());
    for (uint64_t value = 0; !in.at_end(); label(value)) {
      if (!in.varint(value)) return false;
    }
    return true;
  }

  /// What is not on the wire is 0, where 0 is what it most likely is; else it is unknown.
  void complete() {
    constexpr FlowColumn kZero[] = {FlowColumn::kOctetsRaw, FlowColumn::kPacketsRaw, FlowColumn::kSrcPort,
                                    FlowColumn::kDstPort,   FlowColumn::kProtocol,   FlowColumn::kTcpFlags,
                                    FlowColumn::kTos,       FlowColumn::kSrcAs,      FlowColumn::kDstAs,
                                    FlowColumn::kInIf,      FlowColumn::kOutIf,      FlowColumn::kObservationDomain};
    const auto known = [&](FlowColumn column) { return ((to_.present | to_.unreadable) & field_bit(column)) != 0; };
    for (const FlowColumn column : kZero) {
      if (!known(column)) number(column, 0);
    }
    const bool protocol_known = (to_.present & field_bit(FlowColumn::kProtocol)) != 0;
    const int64_t protocol = protocol_known ? to_.numbers[field_of(FlowColumn::kProtocol)] : 0;
    for (const FlowColumn column : {FlowColumn::kIcmpType, FlowColumn::kIcmpCode}) {
      if ((protocol == 1 || protocol == 58) && !known(column)) number(column, 0);
    }
    // Of two VLAN ids the one in the packet.
    if (vlan_ != 0 || source_vlan_ != 0) number(FlowColumn::kVlan, vlan_ != 0 ? vlan_ : source_vlan_);
    constexpr std::string_view kVersions[] = {"", "sFlow", "5", "9", "10"};
    if (type_ != 0 && type_ < std::size(kVersions) && needs(FlowColumn::kProtocolVersion))
      to_.set(FlowColumn::kProtocolVersion, kVersions[type_]);
  }

  const uint64_t needed_;
  FlowValues& to_;
  IngestLedger& ledger_;
  uint64_t type_ = 0, vlan_ = 0, source_vlan_ = 0;
  size_t labels_ = 0;
};

}  // namespace

base::Inet exporter_of_goflow2(std::span<const uint8_t> octets) {
  const std::span<const uint8_t> message = undelimited(octets);
  WireReader in(message.data(), message.data() + message.size());
  while (!in.at_end()) {
    uint32_t number = 0;
    WireType type{};
    std::string_view value;
    if (!in.tag(number, type)) break;
    if (static_cast<Field>(number) != Field::kSamplerAddress || type != WireType::kDelimited) {
      if (!in.skip(number, type)) break;
      continue;
    }
    return in.delimited(value) ? message_address(value) : base::Inet{};
  }
  return {};
}

void decode_goflow2(DecodeContext& context) {
  IngestLedger& ledger = context.exporter.ledger;
  const std::span<const uint8_t> octets(context.datagram.payload, context.datagram.payload_octets);
  if (exporter_of_goflow2(octets).family == 0) {
    ledger.add(DecodeFault::kExporterMissing);
    ++ledger.rejected;
    return;
  }
  FlowRows rows(context);
  // The protocol tells whether there is an ICMP type.
  const uint64_t needed = rows.needed() | field_bit(FlowColumn::kProtocol);
  if (!Message(needed, rows.next(), ledger).read(undelimited(octets))) {
    ledger.add(DecodeFault::kMessageMalformed);
    ++ledger.undecodable;
    return;
  }
  ++ledger.decoded;
  rows.add();
  rows.finish();
}

}  // namespace backstream::decode
