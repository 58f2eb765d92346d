#include "decode/side_rows.h"

#include <fmt/format.h>

#include <iterator>

#include "base/byte_order.h"
#include "decode/element_text.h"

namespace backstream::decode {
namespace {

using base::Inet;

/// One field of a record.
struct Value {
  const uint8_t* at;
  unsigned width;
  bool integer(int64_t& to) const {
    if (width == 0 || width > 8) return false;
    const uint64_t bits = base::load_be(at, width);
    to = static_cast<int64_t>(bits);
    return to >= 0;
  }
  bool address(Inet& to) const {
    if (width != 4 && width != 16) return false;
    to = width == 4 ? Inet::v4(base::load_be32(at)) : Inet::from_v6_octets(at);
    return true;
  }
};

template <typename Column>
bool set_integer(SideWriter& out, Column column, const Value& value, int64_t most = INT64_MAX) {
  int64_t number = 0;
  if (!value.integer(number) || number > most) return false;
  out.set(column, number);
  return true;
}
template <typename Column>
bool set_address(SideWriter& out, Column column, const Value& value) {
  Inet address;
  if (!value.address(address)) return false;
  out.set(column, address);
  return true;
}
template <typename Column>
bool set_text(SideWriter& out, Column column, const Value& value) {
  const std::string_view text = text_of(value.at, value.width);
  if (text.empty()) return false;
  out.set(column, text);
  return true;
}
template <typename Column>
bool set_time(SideWriter& out, Column column, uint16_t as, const Value& value) {
  if (value.width == 0 || value.width > 8) return false;
  const Micros time = absolute_time(as, base::load_be(value.at, value.width));
  if (time >= static_cast<Micros>(kLastSecond) * base::kMicrosPerSecond) return false;
  out.set(column, time);
  return true;
}

template <typename Column>
void set_facts(SideWriter& out, const MessageFacts& facts) {
  out.set(Column::kTime, facts.received_at);
  out.set(Column::kReceivedAt, facts.received_at);
  out.set(Column::kExporter, facts.exporter);
  if (!facts.site.empty()) out.set(Column::kSite, facts.site);
  out.set(Column::kObservationDomain, int64_t{facts.domain});
  out.set(Column::kProtocolVersion, facts.version);
}

constexpr int64_t kByte = 0xff, kPort = 0xffff, kWord = 0xffff'ffff;

/// Scope types of NetFlow v9 (RFC 3954 §6.1).
std::string_view scope_name(uint16_t type) {
  switch (type) {
    case 1: return "system";
    case 2: return "interface";
    case 3: return "line_card";
    case 4: return "cache";
    case 5: return "template";
    default: return "scope";
  }
}

}  // namespace

void write_minute(const MinuteLedger& minute, const Inet& exporter, std::string_view site, std::string_view protocols,
                  SideWriter& out) {
  using C = batch::MinuteColumn;
  const IngestLedger& l = minute.ledger;
  out.begin_row();
  out.set(C::kTime, minute.minute);
  out.set(C::kExporter, exporter);
  if (!site.empty()) out.set(C::kSite, site);
  if (!protocols.empty()) out.set(C::kProtocols, protocols);
  // A change may be negative: then the unsigned number has wrapped.
  const std::pair<C, uint64_t> counters[] = {
      {C::kDatagrams, l.datagrams},
      {C::kDecoded, l.decoded},
      {C::kRejected, l.rejected},
      {C::kUndecodable, l.undecodable},
      {C::kRecords, l.records},
      {C::kFlows, l.flows},
      {C::kEvents, l.events},
      {C::kOptionRows, l.option_rows},
      {C::kMalformed, l.malformed},
      {C::kAwaitingTemplate, l.awaiting_template},
      {C::kMissing, l.missing},
      {C::kDuplicates, l.duplicates},
      {C::kExporterRestarts, l.exporter_restarts},
      {C::kSetsHeld, l.sets_held},
      {C::kSetsReleased, l.sets_released},
      {C::kTemplatesExpired, l.templates_expired},
      {C::kCounterSamples, l.counter_samples},
      {C::kDiscardSamples, l.discard_samples},
      {C::kAgentDrops, l.agent_drops},
      {C::kSamplingUnknownRows, l.sampling_unknown_rows},
      {C::kCounterOverflow, l.counter_overflow},
      {C::kElementUnreadable, l.element_unreadable},
  };
  for (const auto& [column, count] : counters) out.set(column, static_cast<int64_t>(count));
  if (!out.wants(C::kFaults)) return;
  std::string faults;
  for (size_t f = 0; f < kDecodeFaultCount; ++f) {
    if (l.faults[f] == 0) continue;
    if (!faults.empty()) faults += ' ';
    faults += name(static_cast<DecodeFault>(f));
    faults += '=';
    const fmt::format_int count(static_cast<int64_t>(l.faults[f]));
    faults.append(count.data(), count.size());
  }
  if (!faults.empty()) out.set(C::kFaults, std::string_view(faults));
}

void write_option_row(const TemplateDefinition& known, uint16_t id, const uint8_t* record, const uint32_t* offsets,
                      const uint16_t* widths, const MessageFacts& facts, uint64_t sampling_rate, SideWriter& out) {
  using C = batch::OptionColumn;
  out.begin_row();
  set_facts<C>(out, facts);
  out.set(C::kTemplateId, int64_t{id});
  if (sampling_rate != 0) out.set(C::kSamplingRate, static_cast<int64_t>(sampling_rate));
  std::string scope, others;
  const bool wants_others = out.wants(C::kElements);
  for (size_t f = 0; f < known.fields.size(); ++f) {
    const FieldSpec& field = known.fields[f];
    const Value value{record + offsets[f], widths[f]};
    bool taken = false;
    if (field.enterprise == 0) {
      switch (field.element) {
        case 10:   // ingressInterface
        case 14:   // egressInterface
        case 252:  // ingressPhysicalInterface
        case 253: taken = set_integer(out, C::kIfIndex, value, kWord); break;
        case 48:  // samplerId, selectorId
        case 302: taken = set_integer(out, C::kSamplerId, value); break;
        case 82: taken = set_text(out, C::kIfName, value); break;
        case 83: taken = set_text(out, C::kIfDescription, value); break;
        case 95: {  // applicationId: the engine's octet, then the selector (RFC 6759 §4)
          taken = value.width >= 2 && value.width <= 8;
          if (taken && out.wants(C::kApplicationId)) {
            const std::string text = fmt::format("{}:{}", value.at[0], base::load_be(value.at + 1, value.width - 1));
            out.set(C::kApplicationId, std::string_view(text));
          }
          break;
        }
        case 96: taken = set_text(out, C::kApplicationName, value); break;
        case 160: taken = set_time(out, C::kSystemInitTime, 152, value); break;
        case 234:  // ingressVRFID, egressVRFID
        case 235: taken = set_integer(out, C::kVrfId, value, kWord); break;
        case 236: taken = set_text(out, C::kVrfName, value); break;
        default: taken = sampling_rate != 0 && SamplingFields::tells_rate(field.element); break;
      }
    } else if (field.enterprise == kScopeTypes && field.element == 2) {
      (void)set_integer(out, C::kIfIndex, value, kWord);
    }
    if (f < known.scope_count) {
      if (field.enterprise == kScopeTypes)
        append_named(scope, scope_name(field.element), batch::ElementType::kUnsigned64, value.at, value.width);
      else append_element(scope, field, value.at, value.width);
    } else if (wants_others && !taken && field.element != 210 && value.width != 0) {  // 210: paddingOctets
      append_element(others, field, value.at, value.width);
    }
  }
  if (!scope.empty()) out.set(C::kScope, std::string_view(scope));
  if (!others.empty()) out.set(C::kElements, std::string_view(others));
}

void write_event_row(std::span<const FieldSpec> fields, const uint8_t* record, const uint32_t* offsets,
                     const uint16_t* widths, const MessageFacts& facts, SideWriter& out) {
  using C = batch::EventColumn;
  out.begin_row();
  set_facts<C>(out, facts);
  out.set(C::kEventTime, facts.exported_at);
  std::string others;
  const bool wants_others = out.wants(C::kElements);
  bool nat = false;
  for (size_t f = 0; f < fields.size(); ++f) {
    const FieldSpec& field = fields[f];
    const Value value{record + offsets[f], widths[f]};
    bool taken = false;
    if (field.enterprise == 0 && value.width != 0) {
      switch (field.element) {
        case 4: taken = set_integer(out, C::kProtocol, value, kByte); break;
        case 6: taken = set_integer(out, C::kTcpFlags, value, kPort); break;
        case 7:
        case 180:
        case 182: taken = set_integer(out, C::kSrcPort, value, kPort); break;
        case 11:
        case 181:
        case 183: taken = set_integer(out, C::kDstPort, value, kPort); break;
        case 8:
        case 27: taken = set_address(out, C::kSrcIp, value); break;
        case 12:
        case 28: taken = set_address(out, C::kDstIp, value); break;
        case 10: taken = set_integer(out, C::kInIf, value, kWord); break;
        case 14: taken = set_integer(out, C::kOutIf, value, kWord); break;
        case 56: taken = value.width == 6 && set_integer(out, C::kSrcMac, value); break;
        case 80: taken = value.width == 6 && set_integer(out, C::kDstMac, value); break;
        case 58:
        case 243: taken = set_integer(out, C::kVlan, value, kPort); break;
        case 225:
        case 281: taken = set_address(out, C::kNatSrcIp, value); break;
        case 226:
        case 282: taken = set_address(out, C::kNatDstIp, value); break;
        case 227: taken = set_integer(out, C::kNatSrcPort, value, kPort); break;
        case 228: taken = set_integer(out, C::kNatDstPort, value, kPort); break;
        case 234: taken = set_integer(out, C::kVrfId, value, kWord); break;
        case 322: taken = set_time(out, C::kEventTime, 150, value); break;  // observationTime, in its four forms
        case 323: taken = set_time(out, C::kEventTime, 152, value); break;
        case 324:
        case 325: taken = value.width == 8 && set_time(out, C::kEventTime, 154, value); break;
        case 230:
        case 233: {
          // A record may have both; then it is of the translation.
          if (field.element == 233 && nat) break;
          nat = nat || field.element == 230;
          taken = set_integer(out, C::kEvent, value, kWord);
          if (!taken) break;
          const uint64_t event = base::load_be(value.at, value.width);
          const std::string_view event_name = nat ? nat_event_name(event) : firewall_event_name(event);
          if (!event_name.empty()) out.set(C::kEventName, event_name);
          break;
        }
        default: break;
      }
    }
    if (wants_others && !taken && field.element != 210 && value.width != 0)
      append_element(others, field, value.at, value.width);
  }
  out.set(C::kKind, std::string_view(nat ? "nat" : "firewall"));
  if (!others.empty()) out.set(C::kElements, std::string_view(others));
}

std::string_view nat_event_name(uint64_t event) {
  static constexpr std::string_view kNames[] = {"",
                                                "NAT translation create",
                                                "NAT translation delete",
                                                "NAT addresses exhausted",
                                                "NAT44 session create",
                                                "NAT44 session delete",
                                                "NAT64 session create",
                                                "NAT64 session delete",
                                                "NAT44 BIB create",
                                                "NAT44 BIB delete",
                                                "NAT64 BIB create",
                                                "NAT64 BIB delete",
                                                "NAT ports exhausted",
                                                "Quota exceeded",
                                                "Address binding create",
                                                "Address binding delete",
                                                "Port block allocation",
                                                "Port block de-allocation",
                                                "Threshold reached"};
  return event < std::size(kNames) ? kNames[event] : std::string_view();
}

std::string_view firewall_event_name(uint64_t event) {
  static constexpr std::string_view kNames[] = {"ignore",      "flow created", "flow deleted",
                                                "flow denied", "flow alert",   "flow update"};
  return event < std::size(kNames) ? kNames[event] : std::string_view();
}

std::string_view drop_reason_name(uint32_t reason) {
  // The first sixteen are the codes of ICMP's "destination unreachable".
  static constexpr std::string_view kUnreachable[] = {
      "net_unreachable",           "host_unreachable",      "protocol_unreachable",
      "port_unreachable",          "frag_needed",           "src_route_failed",
      "dst_net_unknown",           "dst_host_unknown",      "src_host_isolated",
      "dst_net_prohibited",        "dst_host_prohibited",   "dst_net_tos_unreachable",
      "dst_host_tos_unreacheable", "comm_admin_prohibited", "host_precedence_violation",
      "precedence_cutoff"};
  static constexpr std::string_view kOthers[] = {"unknown",
                                                 "ttl_exceeded",
                                                 "acl",
                                                 "no_buffer_space",
                                                 "red",
                                                 "traffic_shaping",
                                                 "pkt_too_big",
                                                 "src_mac_is_multicast",
                                                 "vlan_tag_mismatch",
                                                 "ingress_vlan_filter",
                                                 "ingress_spanning_tree_filter",
                                                 "port_list_is_empty",
                                                 "port_loopback_filter",
                                                 "blackhole_route",
                                                 "non_ip",
                                                 "uc_dip_over_mc_dmac",
                                                 "dip_is_loopback_address",
                                                 "sip_is_mc",
                                                 "sip_is_loopback_address",
                                                 "ip_header_corrupted",
                                                 "ipv4_sip_is_limited_bc",
                                                 "ipv6_mc_dip_reserved_scope",
                                                 "ipv6_mc_dip_interface_local_scope",
                                                 "unresolved_neigh",
                                                 "mc_reverse_path_forwarding",
                                                 "non_routable_packet",
                                                 "decap_error",
                                                 "overlay_smac_is_mc",
                                                 "unknown_l2",
                                                 "unknown_l3",
                                                 "unknown_l3_exception",
                                                 "unknown_buffer",
                                                 "unknown_tunnel",
                                                 "unknown_l4",
                                                 "sip_is_unspecified",
                                                 "mlag_port_isolation",
                                                 "blackhole_arp_neigh",
                                                 "src_mac_is_dmac",
                                                 "dmac_is_reserved",
                                                 "sip_is_class_e",
                                                 "mc_dmac_mismatch",
                                                 "sip_is_dip",
                                                 "dip_is_local_network",
                                                 "dip_is_link_local",
                                                 "overlay_smac_is_dmac",
                                                 "egress_vlan_filter",
                                                 "uc_reverse_path_forwarding",
                                                 "split_horizon"};
  constexpr uint32_t kOthersBegin = 256;
  if (reason < std::size(kUnreachable)) return kUnreachable[reason];
  if (reason >= kOthersBegin && reason - kOthersBegin < std::size(kOthers)) return kOthers[reason - kOthersBegin];
  return {};
}

}  // namespace backstream::decode
