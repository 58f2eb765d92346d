// sFlow v5 (sflow.org, "sFlow Version 5"): flow samples, each one row of flows; counter samples and discarded packets
// ("sFlow Dropped Packet Notification Structures") as rows of streams beside it.
#include <optional>

#include "base/byte_order.h"
#include "decode/element_text.h"
#include "decode/exporter.h"
#include "decode/sampled_header.h"
#include "decode/side_rows.h"

namespace backstream::decode {
namespace {

using base::load_be32;
using batch::FlowColumn;

/// XDR: words of four octets, read with a check of what is left.
class Reader {
 public:
  Reader(const uint8_t* at, size_t octets) : at_(at), left_(octets) {}
  bool u32(uint32_t& value) {
    if (left_ < 4) return false;
    value = load_be32(at_);
    skip(4);
    return true;
  }
  bool octets(size_t count, const uint8_t*& to) {
    if (left_ < count) return false;
    to = at_;
    skip(std::min(left_, (count + 3) & ~size_t{3}));
    return true;
  }
  bool address(base::Inet& inet) {
    uint32_t type = 0;
    const uint8_t* bytes = nullptr;
    if (!u32(type)) return false;
    inet = {};
    if (type == 0) return true;
    if (type > 2 || !octets(type == 1 ? 4 : 16, bytes)) return false;
    inet = type == 1 ? base::Inet::v4(load_be32(bytes)) : base::Inet::from_v6_octets(bytes);
    return true;
  }
  size_t left() const { return left_; }

 private:
  void skip(size_t octets) {
    at_ += octets;
    left_ -= octets;
  }
  const uint8_t* at_;
  size_t left_;
};

/// What a datagram says about all of its samples.
struct Agent {
  base::Inet address;
  uint32_t sub_agent = 0;
};

/// One flow sample, as its records fill it.
struct Sample {
  uint32_t rate = 0;
  std::optional<int64_t> input, output;
  uint32_t frame_octets = 0, stripped_octets = 0;
  bool has_header = false;  ///< the packet's own octets
  bool has_packet = false;  ///< or what the agent read in them
  SampledPacket packet;
  std::optional<int64_t> vlan, source_mask, destination_mask, source_as, destination_as;
  base::Inet next_hop, bgp_next_hop, nat_source, nat_destination;
  std::optional<int64_t> nat_source_port, nat_destination_port;
  LinkHeaders switched;  ///< its labels, as the agent tells them: for packets whose header does not
};

int64_t octets_of(const Sample& sample, const DecodeSettings& settings) {
  const SampledPacket& p = sample.packet;
  if (settings.sflow_octets == DecodeSettings::SflowOctets::kFrame || !p.is_ip) return sample.frame_octets;
  if (p.ip_octets != 0) return p.ip_octets;
  // The packet does not say how long it is: the frame without what is around the packet.
  const uint64_t around = uint64_t{p.ip_offset} + sample.stripped_octets;
  return sample.frame_octets > around ? static_cast<int64_t>(sample.frame_octets - around) : sample.frame_octets;
}

/// Interface numbers are 30 bits behind a format of 2; format 0 is one interface, 0x3fffffff the agent itself; 1 a
/// packet that was dropped, 2 several interfaces.
std::optional<int64_t> interface_of(uint32_t value) {
  if (value >> 30 != 0 || value == 0x3fffffff) return std::nullopt;
  return value;
}

bool read_record(uint32_t format, Reader in, Tunnels tunnels, Sample& sample) {
  uint32_t word = 0;
  const uint8_t* bytes = nullptr;
  switch (format) {
    case 1: {  // raw packet header
      uint32_t protocol = 0, frame = 0, stripped = 0, octets = 0;
      if (!in.u32(protocol) || !in.u32(frame) || !in.u32(stripped) || !in.u32(octets) || !in.octets(octets, bytes))
        return false;
      if (sample.has_header) return true;
      sample.has_header = true;
      sample.frame_octets = frame != 0 ? frame : octets + stripped;
      sample.stripped_octets = stripped;
      const auto header = static_cast<HeaderProtocol>(protocol);
      if (!sample.has_packet) {
        sample.has_packet = true;
        read_sampled_header(header, bytes, octets, tunnels, sample.packet);
        return true;
      }
      // Of several records of one packet its own octets tell the most, if they can be read.
      SampledPacket read;
      read_sampled_header(header, bytes, octets, tunnels, read);
      if (read.is_ip) sample.packet = read;
      return true;
    }
    case 2: {  // Ethernet frame
      uint32_t frame = 0;
      const uint8_t* source = nullptr;
      const uint8_t* destination = nullptr;
      if (!in.u32(frame) || !in.octets(6, source) || !in.octets(6, destination)) return false;
      if (!sample.packet.has_macs) {
        sample.packet.has_macs = true;
        sample.packet.source_mac = base::load_be48(source);
        sample.packet.destination_mac = base::load_be48(destination);
      }
      if (sample.frame_octets == 0) sample.frame_octets = frame;
      return true;
    }
    case 3:
    case 4: {  // IPv4, IPv6 packet
      uint32_t length = 0, protocol = 0, source_port = 0, destination_port = 0, flags = 0, tos = 0;
      const uint8_t* source = nullptr;
      const uint8_t* destination = nullptr;
      const size_t width = format == 3 ? 4 : 16;
      if (!in.u32(length) || !in.u32(protocol) || !in.octets(width, source) || !in.octets(width, destination) ||
          !in.u32(source_port) || !in.u32(destination_port) || !in.u32(flags) || !in.u32(tos)) {
        return false;
      }
      if (sample.has_packet) return true;
      sample.has_packet = true;
      SampledPacket& p = sample.packet;
      p.is_ip = true;
      p.ip_octets = length;
      if (sample.frame_octets == 0) sample.frame_octets = length;
      p.protocol = static_cast<uint8_t>(protocol);
      p.source = format == 3 ? base::Inet::v4(load_be32(source)) : base::Inet::from_v6_octets(source);
      p.destination = format == 3 ? base::Inet::v4(load_be32(destination)) : base::Inet::from_v6_octets(destination);
      p.has_ports = protocol == 6 || protocol == 17;
      p.source_port = static_cast<uint16_t>(source_port);
      p.destination_port = static_cast<uint16_t>(destination_port);
      p.has_flags = protocol == 6;
      p.tcp_flags = static_cast<uint16_t>(flags & 0x1ff);
      p.tos = static_cast<uint8_t>(tos);
      return true;
    }
    case 1001:  // extended switch: source VLAN and priority, destination VLAN and priority
      if (!in.u32(word)) return false;
      if (word <= 0xfff) sample.vlan = word;  // all ones: not known
      return true;
    case 1002: {  // extended router
      uint32_t source_mask = 0, destination_mask = 0;
      if (!in.address(sample.next_hop) || !in.u32(source_mask) || !in.u32(destination_mask)) return false;
      sample.source_mask = source_mask & 0xff;
      sample.destination_mask = destination_mask & 0xff;
      return true;
    }
    case 1003: {  // extended gateway
      uint32_t own = 0, source_as = 0, peer = 0, segments = 0;
      if (!in.address(sample.bgp_next_hop) || !in.u32(own) || !in.u32(source_as) || !in.u32(peer) || !in.u32(segments))
        return false;
      sample.source_as = source_as;
      sample.destination_as = own;  // an empty path ends at home
      for (uint32_t s = 0; s < segments; ++s) {
        uint32_t type = 0, count = 0;
        if (!in.u32(type) || !in.u32(count) || count > in.left() / 4) return false;
        for (uint32_t i = 0; i < count; ++i) {
          (void)in.u32(word);
          sample.destination_as = word;
        }
      }
      return true;
    }
    case 1006: {  // extended MPLS: next hop, labels on the way in, labels on the way out
      uint32_t labels = 0;
      if (!in.address(sample.next_hop) || !in.u32(labels) || labels > in.left() / 4) return false;
      LinkHeaders& to = sample.switched;
      for (to.mpls_count = 0; to.mpls_count < std::min<size_t>(labels, std::size(to.mpls_labels)); ++to.mpls_count) {
        (void)in.u32(word);
        to.mpls_labels[to.mpls_count] = word & 0xfffff;
      }
      return true;
    }
    case 1007:  // extended NAT: addresses behind the translation
      return in.address(sample.nat_source) && in.address(sample.nat_destination);
    case 1020: {  // extended NAT ports
      uint32_t source = 0, destination = 0;
      if (!in.u32(source) || !in.u32(destination)) return false;
      sample.nat_source_port = source & 0xffff;
      sample.nat_destination_port = destination & 0xffff;
      return true;
    }
    default: return true;
  }
}

/// Columns of elements that a sample can fill; the others are null.
void write_elements(const Agent& agent, FlowWriter& out) {
  if (out.wanted_elements() == nullptr) return;
  constexpr uint16_t kExporterIPv4Address = 130, kExporterIPv6Address = 131;
  for (const auto& [column, from] : out.wanted_elements()->columns) {
    const uint8_t family = from.enterprise != 0                   ? 0
                           : from.element == kExporterIPv4Address ? 4
                           : from.element == kExporterIPv6Address ? 6
                                                                  : 0;
    if (family == 0 || agent.address.family != family) {
      out.set_null(column, 1);
    } else {
      *out.values<base::Inet>(column) = agent.address;
      out.mark_present(column, 1);
    }
  }
}

void write_row(const Sample& sample, DecodeContext& context, const Agent& agent) {
  using C = FlowColumn;
  FlowWriter& out = context.out;
  const SampledPacket& p = sample.packet;
  (void)out.room(1);
  const auto integer = [&](C column, bool present, int64_t value) {
    if (present) out.fill<int64_t>(column, value, 1);
    else out.set_null(column, 1);
  };
  const auto optional = [&](C column, const std::optional<int64_t>& value) {
    integer(column, value.has_value(), value.value_or(0));
  };
  const auto address = [&](C column, bool present, const base::Inet& value) {
    if (present) out.fill<base::Inet>(column, value, 1);
    else out.set_null(column, 1);
  };
  const LinkHeaders& labelled = p.mpls_count != 0 ? p : sample.switched;
  const Micros now = context.datagram.received_at;
  // A row is one sample, so what is not wanted must cost nothing: not even the question.
  out.wanted().for_each([&](C column) {
    switch (column) {
      case C::kTime:
      case C::kReceivedAt: return integer(column, true, now);
      case C::kExporter: return address(column, true, context.exporter.address);
      case C::kSite: {
        const std::string& site = context.sites[context.datagram.site];
        if (site.empty()) return out.set_null(column, 1);
        return out.fill<std::string_view>(column, site, 1);
      }
      case C::kProtocolVersion: return out.fill<std::string_view>(column, "sFlow", 1);
      case C::kOctetsRaw: return integer(column, true, octets_of(sample, context.settings));
      case C::kObservationDomain: return integer(column, true, agent.sub_agent);
      case C::kSrcIp: return address(column, p.is_ip, p.source);
      case C::kDstIp: return address(column, p.is_ip, p.destination);
      case C::kNextHop: return address(column, sample.next_hop.family != 0, sample.next_hop);
      case C::kBgpNextHop: return address(column, sample.bgp_next_hop.family != 0, sample.bgp_next_hop);
      case C::kSrcPort: return integer(column, p.has_ports, p.source_port);
      case C::kDstPort: return integer(column, p.has_ports, p.destination_port);
      case C::kProtocol: return integer(column, p.is_ip, p.protocol);
      case C::kTcpFlags: return integer(column, p.has_flags, p.tcp_flags);
      case C::kTos: return integer(column, p.is_ip, p.tos);
      case C::kIcmpType: return integer(column, p.has_icmp, p.icmp_type);
      case C::kIcmpCode: return integer(column, p.has_icmp, p.icmp_code);
      case C::kPacketsRaw: return integer(column, true, 1);
      case C::kSamplingRate: return integer(column, sample.rate != 0, sample.rate);
      case C::kSrcAs: return optional(column, sample.source_as);
      case C::kDstAs: return optional(column, sample.destination_as);
      case C::kSrcMask: return optional(column, sample.source_mask);
      case C::kDstMask: return optional(column, sample.destination_mask);
      case C::kInIf: return optional(column, sample.input);
      case C::kOutIf: return optional(column, sample.output);
      case C::kVlan: return integer(column, p.has_vlan || sample.vlan, p.has_vlan ? p.vlan : sample.vlan.value_or(0));
      case C::kInnerVlan: return integer(column, p.has_inner_vlan, p.inner_vlan);
      case C::kNatSrcIp: return address(column, sample.nat_source.family != 0, sample.nat_source);
      case C::kNatDstIp: return address(column, sample.nat_destination.family != 0, sample.nat_destination);
      case C::kNatSrcPort: return optional(column, sample.nat_source_port);
      case C::kNatDstPort: return optional(column, sample.nat_destination_port);
      case C::kSrcMac: return integer(column, p.has_macs, static_cast<int64_t>(p.source_mac));
      case C::kDstMac: return integer(column, p.has_macs, static_cast<int64_t>(p.destination_mac));
      case C::kMplsLabel1: return integer(column, labelled.mpls_count > 0, labelled.mpls_labels[0]);
      case C::kMplsLabel2: return integer(column, labelled.mpls_count > 1, labelled.mpls_labels[1]);
      case C::kMplsLabel3: return integer(column, labelled.mpls_count > 2, labelled.mpls_labels[2]);
      case C::kIpTtl: return integer(column, p.is_ip, p.ttl);
      case C::kIpv6FlowLabel: return integer(column, p.is_ip && p.source.family == 6, p.flow_label);
      case C::kFlowStart:
      case C::kFlowEnd:
      case C::kExportedAt:
      case C::kInIfName:
      case C::kOutIfName:
      case C::kDirection: return out.set_null(column, 1);
      case C::kOctets:  // computed from others when the batch is full
      case C::kPackets:
      case C::kSrcPrefix:
      case C::kDstPrefix: return out.set_null(column, 1);
    }
  });
  write_elements(agent, out);
  out.commit(1);
  context.saw_time(now);
}

/// Where the samples of one sequence are taken: most often an interface.
struct DataSource {
  uint32_t type = 0, index = 0;
  bool read(bool expanded, Reader& in) {
    if (expanded) return in.u32(type) && in.u32(index);
    uint32_t word = 0;
    if (!in.u32(word)) return false;
    type = word >> 24;
    index = word & 0xffffff;
    return true;
  }
  uint64_t key(const Agent& agent) const { return uint64_t{agent.sub_agent} << 32 | (uint64_t{type} << 30 ^ index); }
};

bool read_records(Reader& in, Tunnels tunnels, Sample& sample) {
  uint32_t records = 0;
  if (!in.u32(records)) return false;
  for (uint32_t r = 0; r < records; ++r) {
    uint32_t format = 0, length = 0;
    const uint8_t* bytes = nullptr;
    if (!in.u32(format) || !in.u32(length) || !in.octets(length, bytes)) return false;
    // Records of enterprises are skipped; one that cannot be read does not spoil the others.
    if (format >> 12 == 0) (void)read_record(format & 0xfff, Reader(bytes, length), tunnels, sample);
  }
  return true;
}

bool read_flow_sample(bool expanded, Reader in, DecodeContext& context, const Agent& agent) {
  uint32_t sequence = 0, pool = 0, drops = 0, input = 0, output = 0, format = 0;
  DataSource source;
  Sample sample;
  if (!in.u32(sequence) || !source.read(expanded, in) || !in.u32(sample.rate) || !in.u32(pool) || !in.u32(drops))
    return false;
  if (expanded) {
    if (!in.u32(format) || !in.u32(input)) return false;
    if (format == 0 && input != 0x3fffffff) sample.input = input;
    if (!in.u32(format) || !in.u32(output)) return false;
    if (format == 0 && output != 0x3fffffff) sample.output = output;
  } else {
    if (!in.u32(input) || !in.u32(output)) return false;
    sample.input = interface_of(input);
    sample.output = interface_of(output);
  }
  sample.rate = static_cast<uint32_t>(context.exporter.sampling_rate(sample.rate));
  if (!read_records(in, context.settings.tunnels, sample)) return false;
  context.exporter.rates.add(sample.rate);
  SequencePlace place;
  place.sequence = sequence;
  place.units = 1;
  place.agent_drops_told = true;
  place.agent_drops = drops;
  follow_sequence(context, context.exporter.sequences, context.exporter.address, 0, source.key(agent), place);
  IngestLedger& ledger = context.exporter.ledger;
  ++ledger.records;
  ++ledger.flows;
  ledger.sampling_unknown_rows += sample.rate == 0;
  write_row(sample, context, agent);
  return true;
}

template <typename Column>
void set_facts(SideWriter& out, const DecodeContext& context, const Agent& agent) {
  out.set(Column::kTime, context.datagram.received_at);
  out.set(Column::kReceivedAt, context.datagram.received_at);
  out.set(Column::kExporter, context.exporter.address);
  if (const std::string& site = context.sites[context.datagram.site]; !site.empty())
    out.set(Column::kSite, std::string_view(site));
  out.set(Column::kObservationDomain, int64_t{agent.sub_agent});
}

/// A packet that was not forwarded, and why.
bool read_discarded_packet(Reader in, DecodeContext& context, const Agent& agent) {
  using C = batch::EventColumn;
  uint32_t sequence = 0, drops = 0, input = 0, output = 0, reason = 0;
  DataSource source;
  if (!in.u32(sequence) || !source.read(true, in) || !in.u32(drops) || !in.u32(input) || !in.u32(output) ||
      !in.u32(reason)) {
    return false;
  }
  SideWriter* out = context.side_writer(batch::SideStream::kEvents);
  if (out == nullptr) return true;
  Sample sample;
  if (!read_records(in, context.settings.tunnels, sample)) return false;
  const SampledPacket& p = sample.packet;
  out->begin_row();
  set_facts<C>(*out, context, agent);
  out->set(C::kProtocolVersion, std::string_view("sFlow"));
  out->set(C::kKind, std::string_view("discard"));
  out->set(C::kEvent, int64_t{reason});
  if (const std::string_view reason_name = drop_reason_name(reason); !reason_name.empty())
    out->set(C::kEventName, reason_name);
  // 0 is no interface here.
  if (input != 0 && input < 0x3fffffff) out->set(C::kInIf, int64_t{input});
  if (output != 0 && output < 0x3fffffff) out->set(C::kOutIf, int64_t{output});
  if (sample.has_packet) out->set(C::kOctets, octets_of(sample, context.settings));
  if (p.is_ip) {
    out->set(C::kSrcIp, p.source);
    out->set(C::kDstIp, p.destination);
    out->set(C::kProtocol, int64_t{p.protocol});
  }
  if (p.has_ports) {
    out->set(C::kSrcPort, int64_t{p.source_port});
    out->set(C::kDstPort, int64_t{p.destination_port});
  }
  if (p.has_flags) out->set(C::kTcpFlags, int64_t{p.tcp_flags});
  if (p.has_macs) {
    out->set(C::kSrcMac, static_cast<int64_t>(p.source_mac));
    out->set(C::kDstMac, static_cast<int64_t>(p.destination_mac));
  }
  if (p.has_vlan || sample.vlan) out->set(C::kVlan, p.has_vlan ? int64_t{p.vlan} : *sample.vlan);
  return true;
}

/// Fields that stand in a row in a counter record, and the columns for them, in order.
using K = batch::CounterColumn;
struct CounterField {
  K column;
  bool wide = false;  ///< 8 octets
};
constexpr CounterField kInterfaceCounters[] = {{K::kIfIndex},
                                               {K::kIfType},
                                               {K::kIfSpeed, true},
                                               {K::kIfDirection},
                                               {K::kIfStatus},
                                               {K::kInOctets, true},
                                               {K::kInUcastPackets},
                                               {K::kInMulticastPackets},
                                               {K::kInBroadcastPackets},
                                               {K::kInDiscards},
                                               {K::kInErrors},
                                               {K::kInUnknownProtocols},
                                               {K::kOutOctets, true},
                                               {K::kOutUcastPackets},
                                               {K::kOutMulticastPackets},
                                               {K::kOutBroadcastPackets},
                                               {K::kOutDiscards},
                                               {K::kOutErrors},
                                               {K::kPromiscuous}};
constexpr CounterField kEthernetCounters[] = {
    {K::kAlignmentErrors},   {K::kFcsErrors},          {K::kSingleCollisions}, {K::kMultipleCollisions},
    {K::kSqeTestErrors},     {K::kDeferred},           {K::kLateCollisions},   {K::kExcessiveCollisions},
    {K::kMacTransmitErrors}, {K::kCarrierSenseErrors}, {K::kFramesTooLong},    {K::kMacReceiveErrors},
    {K::kSymbolErrors}};

/// All ones: the agent does not know.
template <size_t kCount>
bool read_counters(const CounterField (&fields)[kCount], Reader in, SideWriter& out) {
  for (const CounterField& field : fields) {
    uint32_t high = 0, low = 0;
    if ((field.wide && !in.u32(high)) || !in.u32(low)) return false;
    const uint64_t value = uint64_t{high} << 32 | low;
    const uint64_t unknown = field.wide ? UINT64_MAX : UINT32_MAX;
    if (value != unknown && value <= INT64_MAX) out.set(field.column, static_cast<int64_t>(value));
  }
  return true;
}

/// Counters of an interface give a row; those of hosts, processors and the like do not. Their speed and name are told
/// whether a query reads the rows or not.
/// @param out  null: no query does
bool read_counter_sample(bool expanded, Reader in, DecodeContext& context, const Agent& agent, SideWriter* out) {
  uint32_t sequence = 0, records = 0;
  DataSource source;
  if (!in.u32(sequence) || !source.read(expanded, in) || !in.u32(records)) return false;
  bool begun = false;
  NameNews news;
  news.exporter = context.exporter.address;
  if (source.type == 0) news.id = source.index;
  for (uint32_t r = 0; r < records; ++r) {
    uint32_t format = 0, length = 0;
    const uint8_t* bytes = nullptr;
    if (!in.u32(format) || !in.u32(length) || !in.octets(length, bytes)) return false;
    constexpr uint32_t kInterface = 1, kEthernet = 2, kPortName = 1005;
    if (format != kInterface && format != kEthernet && format != kPortName) continue;
    if (out != nullptr && !begun) {
      begun = true;
      out->begin_row();
      set_facts<K>(*out, context, agent);
      if (agent.address.family != 0) out->set(K::kAgent, agent.address);
      if (source.type == 0) out->set(K::kIfIndex, int64_t{source.index});
    }
    Reader record(bytes, length);
    uint32_t octets = 0;
    const uint8_t* text = nullptr;
    // One that ends early keeps what it has, as other agents may add to it.
    if (format == kInterface) {
      if (out != nullptr) (void)read_counters(kInterfaceCounters, record, *out);
      uint32_t index = 0, type = 0, speed_high = 0, speed_low = 0;
      if (record.u32(index) && record.u32(type) && record.u32(speed_high) && record.u32(speed_low)) {
        news.id = index;
        const uint64_t speed = uint64_t{speed_high} << 32 | speed_low;
        if (speed != UINT64_MAX) news.bits_per_second = speed;
      }
    } else if (format == kEthernet) {
      if (out != nullptr) (void)read_counters(kEthernetCounters, record, *out);
    } else if (record.u32(octets) && record.octets(octets, text)) {
      news.name = text_of(text, octets);
      if (out != nullptr && !news.name.empty()) out->set(K::kIfName, news.name);
    }
  }
  if (!context.on_name || news.id == 0 || (news.bits_per_second == 0 && news.name.empty())) return true;
  // The store has names by sender: those of agents behind one it could not tell apart.
  if (context.sender.identity == ExporterIdentity::kAgent) context.on_name(news);
  else tell_name(context, agent.sub_agent, news);
  return true;
}

}  // namespace

void decode_sflow(DecodeContext& context) {
  IngestLedger& ledger = context.exporter.ledger;
  Reader in(context.datagram.payload, context.datagram.payload_octets);
  uint32_t version = 0, sequence = 0, uptime = 0, samples = 0;
  Agent agent;
  if (!in.u32(version) || !in.address(agent.address) || !in.u32(agent.sub_agent) || !in.u32(sequence) ||
      !in.u32(uptime) || !in.u32(samples)) {
    ledger.add(DecodeFault::kHeaderTruncated);
    ++ledger.undecodable;
    return;
  }
  SideWriter* counters = context.side_writer(batch::SideStream::kCounters);
  for (uint32_t s = 0; s < samples; ++s) {
    uint32_t format = 0, length = 0;
    const uint8_t* bytes = nullptr;
    if (!in.u32(format) || !in.u32(length) || !in.octets(length, bytes)) {
      ledger.add(DecodeFault::kSetTruncated);
      break;
    }
    const Reader sample(bytes, length);
    // Samples of enterprises have formats from 4096 on and are skipped.
    switch (format) {
      case 1:
      case 3:
        if (read_flow_sample(format == 3, sample, context, agent)) break;
        ++ledger.records;
        ++ledger.malformed;
        ledger.add(DecodeFault::kSampleMalformed);
        break;
      case 2:
      case 4:
        ++ledger.counter_samples;
        if ((counters != nullptr || context.on_name) &&
            !read_counter_sample(format == 4, sample, context, agent, counters)) {
          ledger.add(DecodeFault::kSampleMalformed);
        }
        break;
      case 5:
        ++ledger.discard_samples;
        if (!read_discarded_packet(sample, context, agent)) ledger.add(DecodeFault::kSampleMalformed);
        break;
      default: break;
    }
  }
  ++ledger.decoded;
}

}  // namespace backstream::decode
