#pragma once
#include <bit>
#include <span>
#include <vector>

#include "batch/column_batch.h"
#include "batch/elements.h"

namespace backstream::batch {

/// The stream `flows` (DESIGN §5): one row a flow record. X(enumerator, SQL name, type, value bits, what it is).
/// A new column is one line here, plus the line in a decoder's or enricher's table that fills it.
#define BACKSTREAM_FLOW_COLUMNS(X)                                                                              \
  X(kTime, "time", kTimestamptz, 0,                                                                             \
    "event time: flow_end, else flow_start + duration, else exported_at, else received_at; sFlow: received_at") \
  X(kFlowStart, "flow_start", kTimestamptz, 0, "first packet of the flow")                                      \
  X(kFlowEnd, "flow_end", kTimestamptz, 0, "last packet of the flow")                                           \
  X(kReceivedAt, "received_at", kTimestamptz, 0, "arrival of the datagram; in a replay its capture time")       \
  X(kExportedAt, "exported_at", kTimestamptz, 0, "export time in the message header; sFlow: null")              \
  X(kExporter, "exporter", kInet, 0, "source address of the datagram")                                          \
  X(kSite, "site", kText, 0, "the input's site label, null when it has none")                                   \
  X(kObservationDomain, "observation_domain", kInt8, 32,                                                        \
    "IPFIX observation domain, v9 source id, v5 engine type << 8 | id, sFlow sub-agent id")                     \
  X(kProtocolVersion, "protocol_version", kText, 0, "'5', '9', '10' (IPFIX) or 'sFlow'")                        \
  X(kSrcIp, "src_ip", kInet, 0, "source address")                                                               \
  X(kDstIp, "dst_ip", kInet, 0, "destination address")                                                          \
  X(kNextHop, "next_hop", kInet, 0, "next hop router")                                                          \
  X(kBgpNextHop, "bgp_next_hop", kInet, 0, "BGP next hop")                                                      \
  X(kSrcPort, "src_port", kInt4, 16, "transport source port")                                                   \
  X(kDstPort, "dst_port", kInt4, 16, "transport destination port")                                              \
  X(kProtocol, "protocol", kInt4, 8, "IP protocol number")                                                      \
  X(kTcpFlags, "tcp_flags", kInt4, 16, "OR of the TCP flags seen")                                              \
  X(kTos, "tos", kInt4, 8, "IP type of service / traffic class")                                                \
  X(kIcmpType, "icmp_type", kInt4, 8, "ICMP type, null for other protocols")                                    \
  X(kIcmpCode, "icmp_code", kInt4, 8, "ICMP code, null for other protocols")                                    \
  X(kOctets, "octets", kInt8, 0, "octets_raw times the sampling rate; null when that does not fit")             \
  X(kPackets, "packets", kInt8, 0, "packets_raw times the sampling rate; null when that does not fit")          \
  X(kOctetsRaw, "octets_raw", kInt8, 0, "octets as exported")                                                   \
  X(kPacketsRaw, "packets_raw", kInt8, 0, "packets as exported")                                                \
  X(kSamplingRate, "sampling_rate", kInt8, 32, "N of 1 in N packets; 1 unsampled, null unknown")                \
  X(kSrcAs, "src_as", kInt8, 32, "source AS number")                                                            \
  X(kDstAs, "dst_as", kInt8, 32, "destination AS number")                                                       \
  X(kSrcMask, "src_mask", kInt4, 8, "source prefix length")                                                     \
  X(kDstMask, "dst_mask", kInt4, 8, "destination prefix length")                                                \
  X(kSrcPrefix, "src_prefix", kCidr, 0, "network of src_ip by src_mask")                                        \
  X(kDstPrefix, "dst_prefix", kCidr, 0, "network of dst_ip by dst_mask")                                        \
  X(kInIf, "in_if", kInt8, 32, "SNMP index of the input interface")                                             \
  X(kOutIf, "out_if", kInt8, 32, "SNMP index of the output interface")                                          \
  X(kInIfName, "in_if_name", kText, 0, "name of the input interface")                                           \
  X(kOutIfName, "out_if_name", kText, 0, "name of the output interface")                                        \
  X(kDirection, "direction", kInt4, 8, "0 ingress, 1 egress")                                                   \
  X(kVlan, "vlan", kInt4, 16, "VLAN id of the source side; of two tags the outer one")                          \
  X(kInnerVlan, "inner_vlan", kInt4, 16, "VLAN id of the inner tag (802.1ad, QinQ)")                            \
  X(kSrcMac, "src_mac", kMacaddr, 48, "source MAC address")                                                     \
  X(kDstMac, "dst_mac", kMacaddr, 48, "destination MAC address")                                                \
  X(kMplsLabel1, "mpls_label_1", kInt4, 20, "top MPLS label")                                                   \
  X(kMplsLabel2, "mpls_label_2", kInt4, 20, "second MPLS label")                                                \
  X(kMplsLabel3, "mpls_label_3", kInt4, 20, "third MPLS label")                                                 \
  X(kIpTtl, "ip_ttl", kInt4, 8, "IP time to live / hop limit")                                                  \
  X(kIpv6FlowLabel, "ipv6_flow_label", kInt4, 20, "IPv6 flow label")                                            \
  X(kNatSrcIp, "nat_src_ip", kInet, 0, "source address after NAT")                                              \
  X(kNatDstIp, "nat_dst_ip", kInet, 0, "destination address after NAT")                                         \
  X(kNatSrcPort, "nat_src_port", kInt4, 16, "source port after NAT")                                            \
  X(kNatDstPort, "nat_dst_port", kInt4, 16, "destination port after NAT")

enum class FlowColumn : uint8_t {
#define BACKSTREAM_X(enumerator, sql_name, type, bits, about) enumerator,
  BACKSTREAM_FLOW_COLUMNS(BACKSTREAM_X)
#undef BACKSTREAM_X
};
#define BACKSTREAM_X(enumerator, sql_name, type, bits, about) +1
inline constexpr size_t kFlowColumnCount = BACKSTREAM_FLOW_COLUMNS(BACKSTREAM_X);
#undef BACKSTREAM_X

/// The schema of `flows`: column i is FlowColumn(i); behind those stand hidden columns, one for each element of IANA's
/// registry, under the element's name.
const Schema& flow_schema();
/// The same with the columns that people added at its end.
Schema flow_schema(std::span<const UserColumn> user_columns);
/// What fills the columns from kFlowColumnCount on.
std::vector<ElementColumn> element_columns(std::span<const UserColumn> user_columns);
/// What the column holds, for docs and `\d flows`.
std::string_view about(FlowColumn column);

/// A set of flow columns: what a query reads, what a decoder has to fill.
class FlowColumnSet {
 public:
  void add(FlowColumn column) { bits_ |= uint64_t{1} << static_cast<unsigned>(column); }
  bool has(FlowColumn column) const { return bits_ >> static_cast<unsigned>(column) & 1; }
  std::vector<bool> as_vector() const {
    std::vector<bool> wanted(kFlowColumnCount);
    for (size_t i = 0; i < kFlowColumnCount; ++i) wanted[i] = bits_ >> i & 1;
    return wanted;
  }
  bool operator==(const FlowColumnSet&) const = default;
  /// body(FlowColumn) for each column of the set, in order.
  template <typename Body>
  void for_each(Body&& body) const {
    for (uint64_t left = bits_; left != 0; left &= left - 1) body(static_cast<FlowColumn>(std::countr_zero(left)));
  }

 private:
  uint64_t bits_ = 0;
  static_assert(kFlowColumnCount <= 64);
};

}  // namespace backstream::batch
