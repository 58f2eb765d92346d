#include "decode/record_plan.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

#include "base/byte_order.h"
#include "decode/element_columns.h"
#include "decode/exporter.h"

namespace backstream::decode {
namespace {

using batch::FlowColumn;

// Information elements by IANA's names (RFC 7012; NetFlow v9 fields have the same numbers).
enum Element : uint16_t {
  kOctetDeltaCount = 1,
  kPacketDeltaCount = 2,
  kProtocolIdentifier = 4,
  kIpClassOfService = 5,
  kTcpControlBits = 6,
  kSourceTransportPort = 7,
  kSourceIPv4Address = 8,
  kSourceIPv4PrefixLength = 9,
  kIngressInterface = 10,
  kDestinationTransportPort = 11,
  kDestinationIPv4Address = 12,
  kDestinationIPv4PrefixLength = 13,
  kEgressInterface = 14,
  kIpNextHopIPv4Address = 15,
  kBgpSourceAsNumber = 16,
  kBgpDestinationAsNumber = 17,
  kBgpNextHopIPv4Address = 18,
  kFlowEndSysUpTime = 21,
  kFlowStartSysUpTime = 22,
  kPostOctetDeltaCount = 23,
  kPostPacketDeltaCount = 24,
  kSourceIPv6Address = 27,
  kDestinationIPv6Address = 28,
  kSourceIPv6PrefixLength = 29,
  kDestinationIPv6PrefixLength = 30,
  kFlowLabelIPv6 = 31,
  kIcmpTypeCodeIPv4 = 32,
  kSamplingInterval = 34,
  kSamplerId = 48,
  kSamplerRandomInterval = 50,
  kMinimumTTL = 52,
  kSourceMacAddress = 56,
  kPostDestinationMacAddress = 57,
  kVlanId = 58,
  kFlowDirection = 61,
  kIpNextHopIPv6Address = 62,
  kBgpNextHopIPv6Address = 63,
  kMplsTopLabel = 70,
  kMplsLabel2 = 71,
  kMplsLabel3 = 72,
  kDestinationMacAddress = 80,
  kPostSourceMacAddress = 81,
  kOctetTotalCount = 85,
  kPacketTotalCount = 86,
  kExporterIPv4Address = 130,
  kExporterIPv6Address = 131,
  kIcmpTypeCodeIPv6 = 139,
  kFlowStartSeconds = 150,
  kFlowEndSeconds = 151,
  kFlowStartMilliseconds = 152,
  kFlowEndMilliseconds = 153,
  kFlowStartMicroseconds = 154,
  kFlowEndMicroseconds = 155,
  kFlowStartNanoseconds = 156,
  kFlowEndNanoseconds = 157,
  kFlowStartDeltaMicroseconds = 158,
  kFlowEndDeltaMicroseconds = 159,
  kSystemInitTimeMilliseconds = 160,
  kFlowDurationMilliseconds = 161,
  kFlowDurationMicroseconds = 162,
  kIcmpTypeIPv4 = 176,
  kIcmpCodeIPv4 = 177,
  kIcmpTypeIPv6 = 178,
  kIcmpCodeIPv6 = 179,
  kUdpSourcePort = 180,
  kUdpDestinationPort = 181,
  kTcpSourcePort = 182,
  kTcpDestinationPort = 183,
  kIpTTL = 192,
  kPostNATSourceIPv4Address = 225,
  kPostNATDestinationIPv4Address = 226,
  kPostNAPTSourceTransportPort = 227,
  kPostNAPTDestinationTransportPort = 228,
  kNatEvent = 230,
  kInitiatorOctets = 231,
  kResponderOctets = 232,
  kFirewallEvent = 233,
  kDot1qVlanId = 243,
  kDot1qCustomerVlanId = 245,
  kIngressPhysicalInterface = 252,
  kEgressPhysicalInterface = 253,
  kCollectionTimeMilliseconds = 258,
  kPostNATSourceIPv6Address = 281,
  kPostNATDestinationIPv6Address = 282,
  kInitiatorPackets = 298,
  kResponderPackets = 299,
  kSelectorId = 302,
  kSamplingPacketInterval = 305,
  kSamplingPacketSpace = 306,
  kSamplingSize = 309,
  kSamplingPopulation = 310,
  kSamplingProbability = 311,
  kDataLinkFrameSize = 312,
  kIpHeaderPacketSection = 313,
  kDataLinkFrameSection = 315,
  kObservationTimeSeconds = 322,
  kObservationTimeMilliseconds = 323,
  kObservationTimeMicroseconds = 324,
  kObservationTimeNanoseconds = 325,
  kLayer2OctetDeltaCount = 352,
};

uint64_t load_one(const uint8_t* at, unsigned width) {
  return width > 8 ? base::load_be64(at + width - 8) : base::load_be(at, width);
}

void load_v6(const uint8_t* at, size_t stride, size_t n, base::Inet* __restrict out) {
  for (size_t i = 0; i < n; ++i) out[i] = base::Inet::from_v6_octets(at + i * stride);
}

Micros greatest(const Micros* times, size_t n) {
  Micros most = times[0];
  for (size_t i = 1; i < n; ++i) most = std::max(most, times[i]);
  return most;
}

bool is_uptime(uint16_t element) { return element == kFlowEndSysUpTime || element == kFlowStartSysUpTime; }

/// Milliseconds since 1970 to times; what no clock shows becomes `otherwise`. Returns the greatest.
Micros times_of_milliseconds(Micros* times, size_t n, Micros otherwise) {
  Micros most = INT64_MIN, most_odd = INT64_MIN;  // two, as each waits for the one before
  const auto time_of = [&](size_t i) {
    const auto raw = static_cast<uint64_t>(times[i]);
    return times[i] = raw < kLastSecond * 1'000 ? static_cast<Micros>(raw) * base::kMicrosPerMilli : otherwise;
  };
  size_t i = 0;
  for (; i + 2 <= n; i += 2) {
    most = std::max(most, time_of(i));
    most_odd = std::max(most_odd, time_of(i + 1));
  }
  if (i < n) most = std::max(most, time_of(i));
  return std::max(most, most_odd);
}

/// A field's time that is told in full. Microseconds and nanoseconds are NTP timestamps; some exporters send them plain
/// since 1970 (Citrix, VPP), which shows where only that lies near the time of export.
Micros time_of(uint16_t element, uint64_t raw, Micros exported_at) {
  constexpr uint64_t kNear = uint64_t{366} * 86'400 * base::kMicrosPerSecond;
  const auto near = [&](Micros time) {
    const Micros apart = time - exported_at;
    return static_cast<uint64_t>(apart < 0 ? -apart : apart) < kNear;
  };
  const Micros time = absolute_time(element, raw);
  uint64_t plain = raw;
  switch (element) {
    case kFlowStartNanoseconds:
    case kFlowEndNanoseconds:
    case kObservationTimeNanoseconds: plain = raw / 1'000; break;
    case kFlowStartMicroseconds:
    case kFlowEndMicroseconds:
    case kObservationTimeMicroseconds: break;
    default: return time;
  }
  if (near(time) || plain > kLastSecond * base::kMicrosPerSecond || !near(static_cast<Micros>(plain))) return time;
  return static_cast<Micros>(plain);
}

}  // namespace

void SamplingFields::take(uint16_t element, uint64_t value, unsigned width) {
  any |= tells_rate(element);
  switch (element) {
    case kSamplerId:
    case kSelectorId: sampler = value; break;
    case kSamplingInterval:
    case kSamplerRandomInterval: interval = value; break;
    case kSamplingPacketInterval: packet_interval = value; break;
    case kSamplingPacketSpace:
      packet_space = value;
      space_known = true;
      break;
    case kSamplingSize: size = value; break;
    case kSamplingPopulation: population = value; break;
    case kSamplingProbability:
      if (width == 8) probability = std::bit_cast<double>(value);
      if (width == 4) probability = std::bit_cast<float>(static_cast<uint32_t>(value));
      break;
    default: break;
  }
}

bool SamplingFields::tells_rate(uint16_t element) {
  switch (element) {
    case kSamplingInterval:
    case kSamplerRandomInterval:
    case kSamplingPacketInterval:
    case kSamplingPacketSpace:
    case kSamplingSize:
    case kSamplingPopulation:
    case kSamplingProbability: return true;
    default: return false;
  }
}

uint64_t SamplingFields::rate() const {
  uint64_t rate = 0;
  if (packet_interval != 0 && space_known) {
    // RFC 5477 §8.2: of interval + space packets, `interval` are taken.
    rate = packet_interval <= UINT32_MAX && packet_space <= UINT32_MAX
               ? (packet_interval + packet_space) / packet_interval
               : 0;
  } else if (size != 0 && population >= size) {  // IOS XR announces these beside a packet interval of 1
    rate = population / size;
  } else if (packet_interval != 0) {
    rate = packet_interval;
  } else if (interval != 0) {
    rate = interval;
  } else if (probability > 0 && probability <= 1) {
    const double whole = std::round(1 / probability);
    rate = whole <= UINT32_MAX ? static_cast<uint64_t>(whole) : 0;
  }
  return rate <= UINT32_MAX ? rate : 0;
}

Micros absolute_time(uint16_t element, uint64_t raw) {
  constexpr Micros kNtpEpoch = 2'208'988'800;  // seconds from 1900 to 1970
  // A time that no clock shows is cut to the last second of the year 9999, which write() takes for no time at all.
  switch (element) {
    case kFlowStartSeconds:
    case kFlowEndSeconds:
    case kObservationTimeSeconds:
      return static_cast<Micros>(std::min<uint64_t>(raw, kLastSecond)) * base::kMicrosPerSecond;
    case kFlowStartMilliseconds:
    case kFlowEndMilliseconds:
    case kSystemInitTimeMilliseconds:
    case kCollectionTimeMilliseconds:
    case kObservationTimeMilliseconds:
      return static_cast<Micros>(std::min<uint64_t>(raw, kLastSecond * 1'000)) * base::kMicrosPerMilli;
    default:  // RFC 7011 §6.1.9, §6.1.10: an NTP timestamp, for microseconds and nanoseconds alike
      return (static_cast<Micros>(raw >> 32) - kNtpEpoch) * base::kMicrosPerSecond +
             static_cast<Micros>((raw & 0xffffffff) * 1'000'000 >> 32);
  }
}

int RecordPlan::find(uint16_t element) const {
  for (size_t f = 0; f < fields_.size(); ++f) {
    // A field of no octets says nothing (Juniper and softflowd send them).
    if (fields_[f].enterprise == 0 && fields_[f].element == element && fields_[f].width != 0)
      return static_cast<int>(f);
  }
  return -1;
}
int RecordPlan::first_of(std::initializer_list<uint16_t> elements) const {
  for (const uint16_t element : elements) {
    if (const int field = find(element); field >= 0) return field;
  }
  return -1;
}
std::vector<int> RecordPlan::all_of(std::initializer_list<uint16_t> elements) const {
  std::vector<int> fields;
  for (const uint16_t element : elements) {
    if (const int field = find(element); field >= 0) fields.push_back(field);
  }
  return fields;
}
void RecordPlan::add(Step::Kind kind, FlowColumn column, std::initializer_list<uint16_t> elements) {
  const int field = first_of(elements);
  bool usable = field >= 0;
  if (usable && kind == Step::Kind::kAddress) {
    const uint16_t width = fields_[static_cast<size_t>(field)].width;
    usable = width == 4 || width == 16;
  }
  if (!usable) {
    absent_.push_back(column);
    return;
  }
  Step step{kind, column, field};
  if (kind == Step::Kind::kAddress && elements.size() == 2) {
    const int other = find(*(elements.begin() + 1));
    if (other >= 0 && other != field && fields_[static_cast<size_t>(other)].width == 16) step.other_field = other;
  }
  steps_.push_back(step);
}

/// ICMP type or code: an element of its own, the combined one, or what routers put into the destination port.
void RecordPlan::add_icmp(Step::Kind combined, FlowColumn column, std::initializer_list<uint16_t> own) {
  int field = first_of(own);
  auto kind = Step::Kind::kIcmpOwn;
  if (field < 0) {
    kind = combined;
    field = first_of({kIcmpTypeCodeIPv4, kIcmpTypeCodeIPv6, kDestinationTransportPort});
  }
  if (field >= 0 && protocol_ >= 0) steps_.push_back({kind, column, field});
  else absent_.push_back(column);
}

RecordPlan::RecordPlan(std::span<const FieldSpec> fields) : fields_(fields.begin(), fields.end()) {
  offsets_.reserve(fields_.size());
  widths_.reserve(fields_.size());
  steps_.reserve(std::min(fields_.size(), batch::kFlowColumnCount));
  absent_.reserve(batch::kFlowColumnCount);
  for (const FieldSpec& field : fields_) {
    offsets_.push_back(static_cast<uint32_t>(record_octets_));
    widths_.push_back(field.width);
    if (field.width == kVariable) {
      fixed_ = false;
      record_octets_ += 1;
    } else {
      record_octets_ += field.width;
    }
  }
  using K = Step::Kind;
  using C = FlowColumn;
  add(K::kAddress, C::kSrcIp, {kSourceIPv4Address, kSourceIPv6Address});
  add(K::kAddress, C::kDstIp, {kDestinationIPv4Address, kDestinationIPv6Address});
  add(K::kAddress, C::kNextHop, {kIpNextHopIPv4Address, kIpNextHopIPv6Address});
  add(K::kAddress, C::kBgpNextHop, {kBgpNextHopIPv4Address, kBgpNextHopIPv6Address});
  add(K::kInteger, C::kSrcPort, {kSourceTransportPort, kUdpSourcePort, kTcpSourcePort});
  add(K::kInteger, C::kDstPort, {kDestinationTransportPort, kUdpDestinationPort, kTcpDestinationPort});
  add(K::kInteger, C::kProtocol, {kProtocolIdentifier});
  add(K::kInteger, C::kTcpFlags, {kTcpControlBits});
  add(K::kInteger, C::kTos, {kIpClassOfService});
  protocol_ = find(kProtocolIdentifier);
  add_icmp(K::kIcmpType, C::kIcmpType, {kIcmpTypeIPv4, kIcmpTypeIPv6});
  add_icmp(K::kIcmpCode, C::kIcmpCode, {kIcmpCodeIPv4, kIcmpCodeIPv6});
  add(K::kInteger, C::kSrcAs, {kBgpSourceAsNumber});
  add(K::kInteger, C::kDstAs, {kBgpDestinationAsNumber});
  add(K::kInteger, C::kSrcMask, {kSourceIPv4PrefixLength, kSourceIPv6PrefixLength});
  add(K::kInteger, C::kDstMask, {kDestinationIPv4PrefixLength, kDestinationIPv6PrefixLength});
  add(K::kInteger, C::kInIf, {kIngressInterface, kIngressPhysicalInterface});
  add(K::kInteger, C::kOutIf, {kEgressInterface, kEgressPhysicalInterface});
  add(K::kInteger, C::kDirection, {kFlowDirection});
  add(K::kInteger, C::kVlan, {kVlanId, kDot1qVlanId});
  add(K::kInteger, C::kInnerVlan, {kDot1qCustomerVlanId});
  add(K::kInteger, C::kSrcMac, {kSourceMacAddress, kPostSourceMacAddress});
  add(K::kInteger, C::kDstMac, {kDestinationMacAddress, kPostDestinationMacAddress});
  add(K::kMpls, C::kMplsLabel1, {kMplsTopLabel});
  add(K::kMpls, C::kMplsLabel2, {kMplsLabel2});
  add(K::kMpls, C::kMplsLabel3, {kMplsLabel3});
  add(K::kInteger, C::kIpTtl, {kIpTTL, kMinimumTTL});
  add(K::kInteger, C::kIpv6FlowLabel, {kFlowLabelIPv6});
  add(K::kAddress, C::kNatSrcIp, {kPostNATSourceIPv4Address, kPostNATSourceIPv6Address});
  add(K::kAddress, C::kNatDstIp, {kPostNATDestinationIPv4Address, kPostNATDestinationIPv6Address});
  add(K::kInteger, C::kNatSrcPort, {kPostNAPTSourceTransportPort});
  add(K::kInteger, C::kNatDstPort, {kPostNAPTDestinationTransportPort});
  absent_.push_back(C::kInIfName);
  absent_.push_back(C::kOutIfName);

  octets_ =
      first_of({kOctetDeltaCount, kOctetTotalCount, kPostOctetDeltaCount, kInitiatorOctets, kLayer2OctetDeltaCount});
  packets_ = first_of({kPacketDeltaCount, kPacketTotalCount, kPostPacketDeltaCount, kInitiatorPackets});
  ends_ = all_of({kFlowEndNanoseconds, kFlowEndMicroseconds, kFlowEndMilliseconds, kFlowEndSeconds, kFlowEndSysUpTime,
                  kFlowEndDeltaMicroseconds, kObservationTimeNanoseconds, kObservationTimeMicroseconds,
                  kObservationTimeMilliseconds, kObservationTimeSeconds});
  starts_ = all_of({kFlowStartNanoseconds, kFlowStartMicroseconds, kFlowStartMilliseconds, kFlowStartSeconds,
                    kFlowStartSysUpTime, kFlowStartDeltaMicroseconds});
  duration_ = first_of({kFlowDurationMicroseconds, kFlowDurationMilliseconds});
  init_time_ = find(kSystemInitTimeMilliseconds);
  collected_ = find(kCollectionTimeMilliseconds);
  sampler_ = first_of({kSamplerId, kSelectorId});
  for (size_t f = 0; f < fields_.size(); ++f) {
    const FieldSpec& field = fields_[f];
    if (field.enterprise == 0 && field.width != 0 && (field.width <= 8 || field.width == kVariable) &&
        SamplingFields::tells_rate(field.element)) {
      sampling_.push_back(static_cast<int>(f));
    }
  }
  exporter_v4_ = find(kExporterIPv4Address);
  exporter_v6_ = find(kExporterIPv6Address);
  const bool counts = octets_ >= 0 || packets_ >= 0 || find(kResponderOctets) >= 0 || find(kResponderPackets) >= 0;
  const bool tells_events = find(kNatEvent) >= 0 || find(kFirewallEvent) >= 0;
  event_ = !counts && tells_events;
  may_be_event_ = counts && tells_events;
  section_ = first_of({kDataLinkFrameSection, kIpHeaderPacketSection});
  frame_octets_ = find(kDataLinkFrameSize);
}

bool RecordPlan::counts_nothing(const uint8_t* record, const uint32_t* offsets, const uint16_t* widths) const {
  bool counted = false;
  for (const int f : {octets_, packets_}) {
    if (f < 0 || widths[f] == 0) continue;
    counted = true;
    if (load_one(record + offsets[f], widths[f]) != 0) return false;
  }
  return counted;
}

void RecordPlan::read_sections(const uint8_t* records, size_t n, size_t stride, const uint32_t* offsets,
                               const uint16_t* widths, const MessageFacts& facts, FlowWriter& out) const {
  using C = FlowColumn;
  for (size_t i = 0; i < n; ++i) {
    const uint8_t* section = records + i * stride + offsets[section_];
    const uint32_t octets = widths[section_];
    HeaderProtocol protocol = HeaderProtocol::kEthernet;
    if (fields_[static_cast<size_t>(section_)].element == kIpHeaderPacketSection)
      protocol = octets > 0 && section[0] >> 4 == 6 ? HeaderProtocol::kIpv6 : HeaderProtocol::kIpv4;
    SampledPacket p;
    read_sampled_header(protocol, section, octets, facts.tunnels, p);
    uint64_t frame = octets;
    if (frame_octets_ >= 0 && widths[frame_octets_] > 0 && widths[frame_octets_] <= 8)
      frame = load_one(records + i * stride + offsets[frame_octets_], widths[frame_octets_]);
    const auto integer = [&](C column, bool present, uint64_t value) {
      if (!present) return;
      out.values<int64_t>(column)[i] = static_cast<int64_t>(value);
      out.validity(column)[i] = 1;
    };
    const auto address = [&](C column, const base::Inet& value) {
      if (!p.is_ip) return;
      out.values<base::Inet>(column)[i] = value;
      out.validity(column)[i] = 1;
    };
    for (const C column : section_columns_) {
      switch (column) {
        case C::kOctetsRaw: {
          // As routers count in all other records: octets of the IP packet.
          integer(column, true, p.is_ip && p.ip_octets != 0 ? p.ip_octets : frame);
          break;
        }
        case C::kPacketsRaw: integer(column, true, 1); break;
        case C::kSrcIp: address(column, p.source); break;
        case C::kDstIp: address(column, p.destination); break;
        case C::kSrcPort: integer(column, p.has_ports, p.source_port); break;
        case C::kDstPort: integer(column, p.has_ports, p.destination_port); break;
        case C::kProtocol: integer(column, p.is_ip, p.protocol); break;
        case C::kTcpFlags: integer(column, p.has_flags, p.tcp_flags); break;
        case C::kTos: integer(column, p.is_ip, p.tos); break;
        case C::kIcmpType: integer(column, p.has_icmp, p.icmp_type); break;
        case C::kIcmpCode: integer(column, p.has_icmp, p.icmp_code); break;
        case C::kVlan: integer(column, p.has_vlan, p.vlan); break;
        case C::kInnerVlan: integer(column, p.has_inner_vlan, p.inner_vlan); break;
        case C::kSrcMac: integer(column, p.has_macs, p.source_mac); break;
        case C::kDstMac: integer(column, p.has_macs, p.destination_mac); break;
        case C::kMplsLabel1: integer(column, p.mpls_count > 0, p.mpls_labels[0]); break;
        case C::kMplsLabel2: integer(column, p.mpls_count > 1, p.mpls_labels[1]); break;
        case C::kMplsLabel3: integer(column, p.mpls_count > 2, p.mpls_labels[2]); break;
        case C::kIpTtl: integer(column, p.is_ip, p.ttl); break;
        case C::kIpv6FlowLabel: integer(column, p.is_ip && p.source.family == 6, p.flow_label); break;
        default: break;
      }
    }
  }
}

size_t RecordPlan::measure(const uint8_t* record, size_t octets, std::vector<uint32_t>& offsets,
                           std::vector<uint16_t>& widths) const {
  offsets.resize(fields_.size());
  widths.resize(fields_.size());
  size_t at = 0;
  for (size_t f = 0; f < fields_.size(); ++f) {
    size_t width = fields_[f].width;
    if (width == kVariable) {  // RFC 7011 §7
      if (octets - at < 1) return 0;
      width = record[at++];
      if (width == 255) {
        if (octets - at < 2) return 0;
        width = base::load_be16(record + at);
        at += 2;
      }
    }
    if (octets - at < width) return 0;
    offsets[f] = static_cast<uint32_t>(at);
    widths[f] = static_cast<uint16_t>(width);
    at += width;
  }
  return at;
}

bool RecordPlan::time_usable(int field, bool has_uptime) const {
  if (field < 0) return false;
  return !is_uptime(fields_[static_cast<size_t>(field)].element) || has_uptime || init_time_ >= 0;
}

void RecordPlan::bind(const FlowWriter& out, bool has_uptime) {
  const batch::FlowColumnSet& wanted = out.wanted();
  bound_ = true;
  bound_uptime_ = has_uptime;
  bound_wanted_ = wanted;
  const WantedElements* elements = out.wanted_elements();
  bound_elements_ = elements == nullptr ? 0 : elements->number;
  const auto choose = [&](const std::vector<int>& from, int& first, int& second) {
    first = second = -1;
    for (const int field : from) {
      if (!time_usable(field, has_uptime)) continue;
      if (first < 0) first = field;
      else if (second < 0) second = field;
    }
  };
  choose(ends_, end_, other_end_);
  choose(starts_, start_, other_start_);
  element_steps_.clear();
  if (elements != nullptr) {
    element_steps_.reserve(elements->columns.size());
    for (const auto& [column, from] : elements->columns) {
      const auto field = std::find_if(fields_.begin(), fields_.end(), [&](const FieldSpec& f) {
        return f.element == from.element && f.enterprise == from.enterprise && f.width != 0;
      });
      element_steps_.push_back(
          {column, from.type, field == fields_.end() ? -1 : static_cast<int>(field - fields_.begin())});
    }
  }
  wanted_steps_.clear();
  wanted_absent_.clear();
  wanted_steps_.reserve(steps_.size());
  wanted_absent_.reserve(absent_.size());
  pairs_.clear();
  paired_ = {};
  for (const Step& step : steps_) {
    if (wanted.has(step.column)) wanted_steps_.push_back(step);
  }
  for (const FlowColumn column : absent_) {
    if (wanted.has(column)) wanted_absent_.push_back(column);
  }
  section_columns_.clear();
  if (section_ >= 0) {
    section_columns_ = wanted_absent_;
    if (octets_ < 0 && packets_ < 0) {
      for (const FlowColumn column : {FlowColumn::kOctetsRaw, FlowColumn::kPacketsRaw}) {
        if (wanted.has(column)) section_columns_.push_back(column);
      }
    }
  }
  wants_facts_ = false;
  for (const FlowColumn column : {FlowColumn::kReceivedAt, FlowColumn::kExportedAt, FlowColumn::kExporter,
                                  FlowColumn::kSite, FlowColumn::kObservationDomain, FlowColumn::kProtocolVersion}) {
    wants_facts_ |= wanted.has(column);
  }

  // Fields of records of one length are loaded two at a time where two of them lie within 16 octets.
  constexpr size_t kWindow = 16;
  if (!fixed_ || record_octets_ < kWindow) return;
  struct Load {
    size_t at;
    unsigned width;
    FlowColumn column;
  };
  std::vector<Load> loads;
  loads.reserve(wanted_steps_.size() + 4);
  const auto add_load = [&](int field, FlowColumn column) {
    const auto f = static_cast<size_t>(field);
    if (field >= 0 && widths_[f] > 0 && widths_[f] <= 8) loads.push_back({offsets_[f], widths_[f], column});
  };
  add_load(end_, FlowColumn::kTime);
  if (wanted.has(FlowColumn::kFlowStart)) add_load(start_, FlowColumn::kFlowStart);
  if (wanted.has(FlowColumn::kOctetsRaw)) add_load(octets_, FlowColumn::kOctetsRaw);
  if (wanted.has(FlowColumn::kPacketsRaw)) add_load(packets_, FlowColumn::kPacketsRaw);
  for (const Step& step : wanted_steps_) {
    if (step.kind != Step::Kind::kAddress) add_load(step.field, step.column);
  }
  std::stable_sort(loads.begin(), loads.end(), [](const Load& a, const Load& b) { return a.at < b.at; });
  for (size_t i = 0; i + 1 < loads.size();) {
    const Load &a = loads[i], &b = loads[i + 1];
    const size_t window = std::min(a.at, record_octets_ - kWindow);
    if (b.at + b.width > window + kWindow || a.at + a.width > window + kWindow) {
      ++i;
      continue;
    }
    pairs_.push_back({FieldPair(window, a.at, a.width, b.at, b.width), {a.column, b.column}});
    paired_.add(a.column);
    paired_.add(b.column);
    i += 2;
  }
}

Micros RecordPlan::write(const uint8_t* records, size_t n, size_t stride, const uint32_t* offsets,
                         const uint16_t* widths, const MessageFacts& facts, const SamplerTable& samplers,
                         const ColumnKernels& kernels, FlowWriter& out, std::vector<Micros>& time_scratch,
                         RecordCounts& counts) {
  using C = FlowColumn;
  const uint64_t elements = out.wanted_elements() == nullptr ? 0 : out.wanted_elements()->number;
  if (!bound_ || bound_uptime_ != facts.has_uptime || !(bound_wanted_ == out.wanted()) || bound_elements_ != elements) {
    bind(out, facts.has_uptime);
  }
  const auto field_at = [&](int f) { return records + offsets[f]; };
  const auto width_of = [&](int f) -> unsigned { return widths[f]; };
  const auto element_of = [&](int f) { return fields_[static_cast<size_t>(f)].element; };

  Micros* times = out.values<Micros>(C::kTime);
  if (times == nullptr) {
    if (time_scratch.size() < n) time_scratch.resize(n);
    times = time_scratch.data();
  }
  const auto target = [&](C column) { return column == C::kTime ? times : out.values<int64_t>(column); };
  for (const PairStep& pair : pairs_)
    kernels.load_pair(records, stride, pair.fields, n, target(pair.columns[0]), target(pair.columns[1]));
  /// The raw values of a field, as they go to a column.
  const auto load = [&](int f, C column, int64_t* to) {
    if (!paired_.has(column)) load_integers(field_at(f), stride, width_of(f), n, to);
  };

  // --- times
  const auto relative_to_init = [&](Micros* to) {
    for (size_t i = 0; i < n; ++i) {
      const Micros init =
          absolute_time(kSystemInitTimeMilliseconds, load_one(field_at(init_time_) + i * stride, width_of(init_time_)));
      const auto uptime = static_cast<uint32_t>((facts.exported_at - init) / base::kMicrosPerMilli);
      to[i] = facts.exported_at -
              Micros{static_cast<int32_t>(uptime - static_cast<uint32_t>(to[i]))} * base::kMicrosPerMilli;
    }
    return greatest(to, n);
  };
  const auto usable = [&](int f) {
    if (!time_usable(f, facts.has_uptime) || width_of(f) == 0) return false;
    return facts.has_uptime || !is_uptime(element_of(f)) || width_of(init_time_) > 0;
  };
  // Called in several places, and long: not copied into each.
  const auto read_field = [&](int f, C column, Micros* to) __attribute__((noinline)) {
    load(f, column, to);
    switch (const uint16_t e = element_of(f)) {
      case kFlowEndSysUpTime:
      case kFlowStartSysUpTime:
        return facts.has_uptime ? kernels.times_of_uptimes(to, n, facts.uptime_ms, facts.exported_at)
                                : relative_to_init(to);
      case kFlowEndDeltaMicroseconds:
      case kFlowStartDeltaMicroseconds:
        for (size_t i = 0; i < n; ++i) to[i] = facts.exported_at - (to[i] & 0xffffffff);
        return greatest(to, n);
      case kFlowEndMilliseconds:
      case kFlowStartMilliseconds: return times_of_milliseconds(to, n, facts.exported_at);
      default:
        for (size_t i = 0; i < n; ++i) {
          const Micros time = time_of(e, static_cast<uint64_t>(to[i]), facts.exported_at);
          // One such record must not carry the watermark to the end of time.
          to[i] = time < static_cast<Micros>(kLastSecond) * base::kMicrosPerSecond ? time : facts.exported_at;
        }
        return greatest(to, n);
    }
  };
  std::vector<Micros> others;  // Of templates with several forms of one time; few have them.
  const auto read_times = [&](int f, int other, C column, Micros* to) {
    const Micros most = read_field(f, column, to);
    if (other < 0 || !usable(other)) return most;
    const auto is_unset = [&](size_t i) { return load_one(field_at(f) + i * stride, width_of(f)) == 0; };
    size_t i = 0;
    while (i < n && !is_unset(i)) ++i;
    if (i == n) return most;
    others.resize(n);
    read_field(other, C::kOctets, others.data());  // kOctets: a column that is never loaded in pairs
    for (; i < n; ++i) {
      if (is_unset(i)) to[i] = others[i];
    }
    return greatest(to, n);
  };
  const auto duration_at = [&](size_t i) {
    const Micros unit = element_of(duration_) == kFlowDurationMilliseconds ? base::kMicrosPerMilli : 1;
    return static_cast<Micros>(load_one(field_at(duration_) + i * stride, width_of(duration_)) & 0xffffffff) * unit;
  };
  const bool has_end = usable(end_), has_start = usable(start_), has_duration = duration_ >= 0;
  Micros time_max = facts.exported_at;
  if (has_end) {
    time_max = read_times(end_, other_end_, C::kTime, times);
  } else if (has_start && has_duration) {
    read_times(start_, other_start_, C::kTime, times);
    for (size_t i = 0; i < n; ++i) times[i] += duration_at(i);
    time_max = greatest(times, n);
  } else if (collected_ >= 0 && width_of(collected_) != 0) {  // by whoever passes the records on
    time_max = read_field(collected_, C::kOctets, times);
  } else {
    std::fill_n(times, n, facts.exported_at);
  }
  out.mark_present(C::kTime, n);
  if (Micros* end = out.values<Micros>(C::kFlowEnd); end != nullptr) {
    if (has_end) {
      std::copy_n(times, n, end);
      out.mark_present(C::kFlowEnd, n);
    } else {
      out.set_null(C::kFlowEnd, n);
    }
  }
  if (Micros* flow_start = out.values<Micros>(C::kFlowStart); flow_start != nullptr) {
    if (has_start) {
      read_times(start_, other_start_, C::kFlowStart, flow_start);
      out.mark_present(C::kFlowStart, n);
    } else if (has_end && has_duration) {
      for (size_t i = 0; i < n; ++i) flow_start[i] = times[i] - duration_at(i);
      out.mark_present(C::kFlowStart, n);
    } else {
      out.set_null(C::kFlowStart, n);
    }
  }

  // --- what the message says
  const bool names_exporter = facts.exporter_of_record && (exporter_v4_ >= 0 || exporter_v6_ >= 0);
  if (names_exporter) {
    const auto exporter_at = [&](size_t i) {
      const uint8_t *v4 = nullptr, *v6 = nullptr;
      if (exporter_v4_ >= 0 && width_of(exporter_v4_) == 4) v4 = field_at(exporter_v4_) + i * stride;
      if (exporter_v6_ >= 0 && width_of(exporter_v6_) == 16) v6 = field_at(exporter_v6_) + i * stride;
      if (v4 != nullptr && base::load_be32(v4) != 0) return base::Inet::v4(base::load_be32(v4));
      return v6 != nullptr && !is_zero(v6, 16) ? base::Inet::from_v6_octets(v6) : base::Inet{};
    };
    if (base::Inet* exporters = out.values<base::Inet>(C::kExporter); exporters != nullptr) {
      for (size_t i = 0; i < n; ++i) {
        const base::Inet named = exporter_at(i);
        exporters[i] = named.family == 0 ? facts.exporter : named;
      }
      out.mark_present(C::kExporter, n);
    }
    counts.exporter = exporter_at(n - 1);
  }
  if (wants_facts_) {
    out.fill<Micros>(C::kReceivedAt, facts.received_at, n);
    out.fill<Micros>(C::kExportedAt, facts.exported_at, n);
    if (!names_exporter) out.fill<base::Inet>(C::kExporter, facts.exporter, n);
    out.fill<int64_t>(C::kObservationDomain, facts.domain, n);
    out.fill<std::string_view>(C::kProtocolVersion, facts.version, n);
    if (facts.site.empty()) out.set_null(C::kSite, n);
    else out.fill<std::string_view>(C::kSite, facts.site, n);
  }

  // --- counters
  const auto counter = [&](C column, int f) {
    int64_t* values = out.values<int64_t>(column);
    if (values == nullptr) return;
    if (f < 0 || width_of(f) == 0) return out.set_null(column, n);
    load(f, column, values);
    if (width_of(f) < 8) return out.mark_present(column, n);
    int64_t any = 0;
    for (size_t i = 0; i < n; ++i) any |= values[i];
    if (any >= 0) return out.mark_present(column, n);
    uint8_t* validity = out.validity(column);
    for (size_t i = 0; i < n; ++i) {
      validity[i] = values[i] >= 0;
      counts.counter_overflow += values[i] < 0;
    }
  };
  counter(C::kOctetsRaw, octets_);
  counter(C::kPacketsRaw, packets_);

  // --- sampling
  int64_t* rates = out.values<int64_t>(C::kSamplingRate);
  const bool by_record = facts.sampling_override == 0 && (sampler_ >= 0 || !sampling_.empty());
  if (by_record) {
    uint8_t* validity = rates == nullptr ? nullptr : out.validity(C::kSamplingRate);
    uint64_t last_sampler = kNoSampler, last_rate = facts.sampling_rate;  // records in a row mostly have the same
    uint64_t last_told = 0;
    for (size_t i = 0; i < n; ++i) {
      SamplingFields own;
      for (const int f : sampling_) {
        const unsigned width = width_of(f);
        if (width != 0 && width <= 8) own.take(element_of(f), base::load_be(field_at(f) + i * stride, width), width);
      }
      uint64_t rate = own.rate();
      if (rate == 0) {
        const uint64_t sampler = sampler_ < 0 || width_of(sampler_) == 0
                                     ? kNoSampler
                                     : load_one(field_at(sampler_) + i * stride, width_of(sampler_));
        if (sampler != last_sampler) {
          last_sampler = sampler;
          last_rate = samplers.find(facts.domain, sampler);
        }
        rate = last_rate;
        if (rate == 0 || rate > UINT32_MAX) rate = facts.sampling_default;
        // A record that says 0 and an exporter that says nothing: nothing is sampled (H3C).
        if (rate == 0 && own.any) rate = 1;
      } else if (rate != last_told) {
        last_told = rate;
        counts.rates.add(rate);
      }
      counts.sampling_unknown += rate == 0;
      if (rates == nullptr) continue;
      rates[i] = static_cast<int64_t>(rate);
      validity[i] = rate != 0;
    }
  } else {
    const uint64_t rate = facts.sampling_override != 0 ? facts.sampling_override
                          : facts.sampling_rate != 0   ? facts.sampling_rate
                                                       : facts.sampling_default;
    if (rate == 0 || rate > UINT32_MAX) {
      counts.sampling_unknown += n;
      out.set_null(C::kSamplingRate, n);
    } else {
      out.fill<int64_t>(C::kSamplingRate, static_cast<int64_t>(rate), n);
    }
  }

  // --- the rest, a column at a time
  for (const Step& step : wanted_steps_) {
    const unsigned width = width_of(step.field);
    if (width == 0) {
      out.set_null(step.column, n);
      continue;
    }
    if (step.kind == Step::Kind::kAddress) {
      base::Inet* addresses = out.values<base::Inet>(step.column);
      if (width == 4) kernels.load_v4(field_at(step.field), stride, n, addresses);
      else load_v6(field_at(step.field), stride, n, addresses);
      if (step.other_field >= 0 && width == 4 && width_of(step.other_field) == 16) {
        for (size_t i = 0; i < n; ++i) {
          if (addresses[i].hi == 0) addresses[i] = base::Inet::from_v6_octets(field_at(step.other_field) + i * stride);
        }
      }
      out.mark_present(step.column, n);
      continue;
    }
    int64_t* values = out.values<int64_t>(step.column);
    load(step.field, step.column, values);
    if (step.kind == Step::Kind::kMpls) {
      for (size_t i = 0; i < n; ++i)
        values[i] = width >= 3 ? values[i] >> (8 * std::min(width, 8u) - 20) & 0xfffff : values[i];
    } else if (step.kind != Step::Kind::kInteger) {
      uint8_t* validity = out.validity(step.column);
      for (size_t i = 0; i < n; ++i) {
        const uint64_t protocol = load_one(field_at(protocol_) + i * stride, width_of(protocol_));
        validity[i] = protocol == 1 || protocol == 58;
        values[i] = (step.kind == Step::Kind::kIcmpType ? values[i] >> 8 : values[i]) & 0xff;
      }
      continue;
    }
    out.mark_present(step.column, n);
  }
  for (const C column : wanted_absent_) out.set_null(column, n);
  if (!section_columns_.empty()) read_sections(records, n, stride, offsets, widths, facts, out);
  for (const ElementStep& step : element_steps_) {
    if (step.field < 0 || width_of(step.field) == 0) out.set_null(step.column, n);
    else write_element(step.type, field_at(step.field), stride, width_of(step.field), n, step.column, out, counts);
  }
  out.commit(n);
  return time_max;
}

}  // namespace backstream::decode
