// sFlow v5 (sflow.org, "sFlow Version 5"): flow samples, each one row.
#include <optional>

#include "base/byte_order.h"
#include "decode/exporter.h"
#include "decode/sampled_header.h"

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

/// One flow sample, as its records fill it.
struct Sample {
  uint32_t rate = 0;
  std::optional<int64_t> input, output;
  uint32_t frame_octets = 0;
  bool has_packet = false;
  SampledPacket packet;
  std::optional<int64_t> vlan, source_mask, destination_mask, source_as, destination_as;
  base::Inet next_hop, bgp_next_hop;
};

/// Interface numbers are 30 bits behind a format of 2; format 0 is one interface, 0x3fffffff the agent itself.
std::optional<int64_t> interface_of(uint32_t value) {
  if (value >> 30 != 0 || value == 0x3fffffff) return std::nullopt;
  return value;
}

bool read_record(uint32_t format, Reader in, Sample& sample) {
  uint32_t word = 0;
  const uint8_t* bytes = nullptr;
  switch (format) {
    case 1: {  // raw packet header
      uint32_t protocol = 0, frame = 0, stripped = 0, octets = 0;
      if (!in.u32(protocol) || !in.u32(frame) || !in.u32(stripped) || !in.u32(octets) || !in.octets(octets, bytes))
        return false;
      if (sample.has_packet) return true;  // several records of one packet count once
      sample.has_packet = true;
      sample.frame_octets = frame;
      read_sampled_header(protocol, bytes, octets, sample.packet);
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
      sample.vlan = word & 0xffff;
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
    default: return true;
  }
}

void write_row(const Sample& sample, DecodeContext& context, uint32_t sub_agent) {
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
      case C::kOctetsRaw: {
        const bool frame = context.settings.sflow_octets == DecodeSettings::SflowOctets::kFrame || !p.is_ip;
        return integer(column, true, frame ? sample.frame_octets : p.ip_octets);
      }
      case C::kObservationDomain: return integer(column, true, sub_agent);
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
      case C::kSrcMac: return integer(column, p.has_macs, static_cast<int64_t>(p.source_mac));
      case C::kDstMac: return integer(column, p.has_macs, static_cast<int64_t>(p.destination_mac));
      case C::kMplsLabel1: return integer(column, p.mpls_count > 0, p.mpls_labels[0]);
      case C::kMplsLabel2: return integer(column, p.mpls_count > 1, p.mpls_labels[1]);
      case C::kMplsLabel3: return integer(column, p.mpls_count > 2, p.mpls_labels[2]);
      case C::kIpTtl: return integer(column, p.is_ip, p.ttl);
      case C::kIpv6FlowLabel: return integer(column, p.is_ip && p.source.family == 6, p.flow_label);
      case C::kFlowStart:
      case C::kFlowEnd:
      case C::kExportedAt:
      case C::kInIfName:
      case C::kOutIfName:
      case C::kDirection:
      case C::kNatSrcIp:
      case C::kNatDstIp:
      case C::kNatSrcPort:
      case C::kNatDstPort: return out.set_null(column, 1);
      case C::kOctets:  // computed from others when the batch is full
      case C::kPackets:
      case C::kSrcPrefix:
      case C::kDstPrefix: return out.set_null(column, 1);
    }
  });
  out.set_elements_null(1);
  out.commit(1);
  context.saw_time(now);
}

bool read_flow_sample(bool expanded, Reader in, DecodeContext& context, uint32_t sub_agent) {
  uint32_t sequence = 0, source = 0, source_index = 0, pool = 0, drops = 0, input = 0, output = 0, format = 0,
           records = 0;
  Sample sample;
  if (!in.u32(sequence) || !in.u32(source) || (expanded && !in.u32(source_index)) || !in.u32(sample.rate) ||
      !in.u32(pool) || !in.u32(drops)) {
    return false;
  }
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
  if (!in.u32(records)) return false;
  sample.rate = static_cast<uint32_t>(context.exporter.sampling_rate(sample.rate));
  for (uint32_t r = 0; r < records; ++r) {
    uint32_t record_format = 0, length = 0;
    const uint8_t* bytes = nullptr;
    if (!in.u32(record_format) || !in.u32(length) || !in.octets(length, bytes)) return false;
    // Enterprise records are skipped; a record that cannot be read does not spoil the others.
    if (record_format >> 12 == 0) (void)read_record(record_format & 0xfff, Reader(bytes, length), sample);
  }
  const uint64_t stream = uint64_t{sub_agent} << 32 | (expanded ? source << 24 ^ source_index : source);
  follow_sequence(context.exporter, 0, stream, sequence, 1);
  IngestLedger& ledger = context.exporter.ledger;
  ++ledger.records;
  ++ledger.flows;
  ledger.sampling_unknown_rows += sample.rate == 0;
  write_row(sample, context, sub_agent);
  return true;
}

}  // namespace

void decode_sflow(DecodeContext& context) {
  IngestLedger& ledger = context.exporter.ledger;
  Reader in(context.datagram.payload, context.datagram.payload_octets);
  uint32_t version = 0, sub_agent = 0, sequence = 0, uptime = 0, samples = 0;
  base::Inet agent;
  if (!in.u32(version) || !in.address(agent) || !in.u32(sub_agent) || !in.u32(sequence) || !in.u32(uptime) ||
      !in.u32(samples)) {
    ledger.add(DecodeFault::kHeaderTruncated);
    ++ledger.undecodable;
    return;
  }
  for (uint32_t s = 0; s < samples; ++s) {
    uint32_t format = 0, length = 0;
    const uint8_t* bytes = nullptr;
    if (!in.u32(format) || !in.u32(length)) {
      ledger.add(DecodeFault::kSetTruncated);
      break;
    }
    if (!in.octets(length, bytes)) {
      ledger.add(DecodeFault::kSetTruncated);
      break;
    }
    if (format == 2 || format == 4) {
      ++ledger.counter_samples;
    } else if (format == 1 || format == 3) {
      if (!read_flow_sample(format == 3, Reader(bytes, length), context, sub_agent)) {
        ++ledger.records;
        ++ledger.malformed;
        ledger.add(DecodeFault::kSampleMalformed);
      }
    }
  }
  ++ledger.decoded;
}

}  // namespace backstream::decode
