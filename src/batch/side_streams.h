#pragma once
// The streams beside `flows` (docs/design/0013-side-streams.md): what exporters say besides flows, and what the decoder
// counts of them. Queries read them as they read flows; what no query reads is not decoded.
#include <array>
#include <cstdint>
#include <string_view>

#include "batch/column_batch.h"

namespace backstream::batch {

/// X(enumerator, SQL name, column macro, what a row is)
#define BACKSTREAM_SIDE_STREAMS(X)                                                                               \
  X(kCounters, "counters", BACKSTREAM_COUNTER_COLUMNS, "the counters of one interface: an sFlow counter sample") \
  X(kExporterOptions, "exporter_options", BACKSTREAM_OPTION_COLUMNS, "one record of options data")               \
  X(kExporterMinutes, "exporter_minutes", BACKSTREAM_MINUTE_COLUMNS,                                             \
    "the ingest ledger of one exporter and minute of arrival")                                                   \
  X(kEvents, "events", BACKSTREAM_EVENT_COLUMNS,                                                                 \
    "a NAT or firewall event, or a packet that a router discarded and reported")

enum class SideStream : uint8_t {
#define BACKSTREAM_X(enumerator, name, columns, about) enumerator,
  BACKSTREAM_SIDE_STREAMS(BACKSTREAM_X)
#undef BACKSTREAM_X
};
#define BACKSTREAM_X(enumerator, name, columns, about) +1
inline constexpr size_t kSideStreamCount = 0 BACKSTREAM_SIDE_STREAMS(BACKSTREAM_X);
#undef BACKSTREAM_X

// As in batch/flow_schema.h: X(enumerator, SQL name, type, value bits, what it is).
#define BACKSTREAM_COUNTER_COLUMNS(X)                                                                      \
  X(kTime, "time", kTimestamptz, 0, "arrival of the datagram")                                             \
  X(kReceivedAt, "received_at", kTimestamptz, 0, "the same")                                               \
  X(kExporter, "exporter", kInet, 0, "as in flows")                                                        \
  X(kSite, "site", kText, 0, "the input's site label")                                                     \
  X(kAgent, "agent", kInet, 0, "address that the agent gives itself")                                      \
  X(kObservationDomain, "observation_domain", kInt8, 32, "sub-agent id")                                   \
  X(kIfIndex, "if_index", kInt8, 32, "SNMP index of the interface")                                        \
  X(kIfName, "if_name", kText, 0, "its name, where the agent tells it")                                    \
  X(kIfType, "if_type", kInt8, 32, "IANAifType: 6 Ethernet, 161 aggregate")                                \
  X(kIfSpeed, "if_speed", kInt8, 0, "bits a second")                                                       \
  X(kIfDirection, "if_direction", kInt8, 32, "0 unknown, 1 full duplex, 2 half duplex, 3 in, 4 out")       \
  X(kIfStatus, "if_status", kInt8, 32, "bit 0: set up by the administrator; bit 1: up")                    \
  X(kInOctets, "in_octets", kInt8, 0, "octets received since the interface began to count")                \
  X(kInUcastPackets, "in_ucast_packets", kInt8, 32, "packets received: unicast; 32 bits, and so the rest") \
  X(kInMulticastPackets, "in_multicast_packets", kInt8, 32, "multicast")                                   \
  X(kInBroadcastPackets, "in_broadcast_packets", kInt8, 32, "broadcast")                                   \
  X(kInDiscards, "in_discards", kInt8, 32, "without an error, but dropped")                                \
  X(kInErrors, "in_errors", kInt8, 32, "with errors")                                                      \
  X(kInUnknownProtocols, "in_unknown_protocols", kInt8, 32, "of a protocol that it does not know")         \
  X(kOutOctets, "out_octets", kInt8, 0, "octets sent")                                                     \
  X(kOutUcastPackets, "out_ucast_packets", kInt8, 32, "packets sent: unicast")                             \
  X(kOutMulticastPackets, "out_multicast_packets", kInt8, 32, "multicast")                                 \
  X(kOutBroadcastPackets, "out_broadcast_packets", kInt8, 32, "broadcast")                                 \
  X(kOutDiscards, "out_discards", kInt8, 32, "without an error, but dropped")                              \
  X(kOutErrors, "out_errors", kInt8, 32, "that could not be sent")                                         \
  X(kPromiscuous, "promiscuous_mode", kInt8, 32, "1: the interface takes all packets")                     \
  X(kAlignmentErrors, "alignment_errors", kInt8, 32, "Ethernet's counters (RFC 3635), from here on")       \
  X(kFcsErrors, "fcs_errors", kInt8, 32, "frames whose checksum is wrong")                                 \
  X(kSingleCollisions, "single_collision_frames", kInt8, 32, "sent after one collision")                   \
  X(kMultipleCollisions, "multiple_collision_frames", kInt8, 32, "sent after several")                     \
  X(kSqeTestErrors, "sqe_test_errors", kInt8, 32, "")                                                      \
  X(kDeferred, "deferred_transmissions", kInt8, 32, "")                                                    \
  X(kLateCollisions, "late_collisions", kInt8, 32, "")                                                     \
  X(kExcessiveCollisions, "excessive_collisions", kInt8, 32, "")                                           \
  X(kMacTransmitErrors, "mac_transmit_errors", kInt8, 32, "")                                              \
  X(kCarrierSenseErrors, "carrier_sense_errors", kInt8, 32, "")                                            \
  X(kFramesTooLong, "frames_too_long", kInt8, 32, "")                                                      \
  X(kMacReceiveErrors, "mac_receive_errors", kInt8, 32, "")                                                \
  X(kSymbolErrors, "symbol_errors", kInt8, 32, "")

#define BACKSTREAM_OPTION_COLUMNS(X)                                                                   \
  X(kTime, "time", kTimestamptz, 0, "arrival of the datagram")                                         \
  X(kReceivedAt, "received_at", kTimestamptz, 0, "the same")                                           \
  X(kExporter, "exporter", kInet, 0, "as in flows")                                                    \
  X(kSite, "site", kText, 0, "the input's site label")                                                 \
  X(kObservationDomain, "observation_domain", kInt8, 32, "IPFIX observation domain, v9 source id")     \
  X(kProtocolVersion, "protocol_version", kText, 0, "'9' or '10' (IPFIX)")                             \
  X(kTemplateId, "template_id", kInt4, 16, "of the options template")                                  \
  X(kScope, "scope", kText, 0, "what the record is about: name=value, several with blanks between")    \
  X(kSamplerId, "sampler_id", kInt8, 0, "samplerId or selectorId")                                     \
  X(kSamplingRate, "sampling_rate", kInt8, 32, "N of 1 in N packets, from whichever elements tell it") \
  X(kIfIndex, "if_index", kInt8, 32, "SNMP index of an interface")                                     \
  X(kIfName, "if_name", kText, 0, "its name")                                                          \
  X(kIfDescription, "if_description", kText, 0, "its description")                                     \
  X(kVrfId, "vrf_id", kInt8, 32, "number of a VRF")                                                    \
  X(kVrfName, "vrf_name", kText, 0, "its name")                                                        \
  X(kApplicationId, "application_id", kText, 0, "classification engine:selector (RFC 6759)")           \
  X(kApplicationName, "application_name", kText, 0, "its name")                                        \
  X(kSystemInitTime, "system_init_time", kTimestamptz, 0, "when the exporter started")                 \
  X(kElements, "elements", kText, 0, "all other elements: name=value, with blanks between; E/N=... of enterprise E")

#define BACKSTREAM_MINUTE_COLUMNS(X)                                                                               \
  X(kTime, "time", kTimestamptz, 0, "begin of the minute of arrival")                                              \
  X(kExporter, "exporter", kInet, 0, "as in flows")                                                                \
  X(kSite, "site", kText, 0, "the input's site label")                                                             \
  X(kProtocols, "protocols", kText, 0, "what it has sent so far: 'NetFlow v9', several joined by '+'")             \
  X(kDatagrams, "datagrams", kInt8, 0, "= decoded + rejected + undecodable")                                       \
  X(kDecoded, "decoded", kInt8, 0, "")                                                                             \
  X(kRejected, "rejected", kInt8, 0, "whose record count does not fit their length")                               \
  X(kUndecodable, "undecodable", kInt8, 0, "of no known protocol, or shorter than their header")                   \
  X(kRecords, "records", kInt8, 0, "= flows + events + option_rows + malformed + awaiting_template")               \
  X(kFlows, "flows", kInt8, 0, "rows of flows")                                                                    \
  X(kEvents, "events", kInt8, 0, "NAT and firewall events")                                                        \
  X(kOptionRows, "option_rows", kInt8, 0, "")                                                                      \
  X(kMalformed, "malformed", kInt8, 0, "records that cannot be read")                                              \
  X(kAwaitingTemplate, "awaiting_template", kInt8, 0,                                                              \
    "sets whose template is not known; a negative number came later")                                              \
  X(kMissing, "missing", kInt8, 0, "by sequence numbers; negative where what was overtaken came after its minute") \
  X(kDuplicates, "duplicates", kInt8, 0, "datagrams (sFlow: samples) that had come before")                        \
  X(kExporterRestarts, "exporter_restarts", kInt8, 0, "sequence numbers began anew, which is no loss")             \
  X(kSetsHeld, "sets_held", kInt8, 0, "data sets that were kept for their template")                               \
  X(kSetsReleased, "sets_released", kInt8, 0, "those of them whose template came in time")                         \
  X(kTemplatesExpired, "templates_expired", kInt8, 0, "that the exporter did not announce again")                  \
  X(kCounterSamples, "counter_samples", kInt8, 0, "of sFlow")                                                      \
  X(kDiscardSamples, "discard_samples", kInt8, 0, "discarded packets that sFlow told of")                          \
  X(kAgentDrops, "agent_drops", kInt8, 0, "samples that an sFlow agent took and could not send")                   \
  X(kSamplingUnknownRows, "sampling_unknown_rows", kInt8, 0, "flows whose sampling rate is not known")             \
  X(kCounterOverflow, "counter_overflow", kInt8, 0, "counters that do not fit bigint")                             \
  X(kElementUnreadable, "element_unreadable", kInt8, 0, "values of elements that no value of their type can be")   \
  X(kFaults, "faults", kText, 0, "why bytes were not read: name=count, with blanks between; null: none")

#define BACKSTREAM_EVENT_COLUMNS(X)                                                         \
  X(kTime, "time", kTimestamptz, 0, "arrival of the datagram")                              \
  X(kReceivedAt, "received_at", kTimestamptz, 0, "the same")                                \
  X(kEventTime, "event_time", kTimestamptz, 0, "when the exporter says that it happened")   \
  X(kExporter, "exporter", kInet, 0, "as in flows")                                         \
  X(kSite, "site", kText, 0, "the input's site label")                                      \
  X(kObservationDomain, "observation_domain", kInt8, 32, "as in flows")                     \
  X(kProtocolVersion, "protocol_version", kText, 0, "as in flows")                          \
  X(kKind, "kind", kText, 0, "'nat', 'firewall' or 'discard'")                              \
  X(kEvent, "event", kInt8, 32, "natEvent, firewallEvent, or sFlow's reason of the drop")   \
  X(kEventName, "event_name", kText, 0, "its name in the registry, null where it has none") \
  X(kSrcIp, "src_ip", kInet, 0, "source address")                                           \
  X(kDstIp, "dst_ip", kInet, 0, "destination address")                                      \
  X(kSrcPort, "src_port", kInt4, 16, "transport source port")                               \
  X(kDstPort, "dst_port", kInt4, 16, "transport destination port")                          \
  X(kProtocol, "protocol", kInt4, 8, "IP protocol number")                                  \
  X(kTcpFlags, "tcp_flags", kInt4, 16, "of the packet")                                     \
  X(kNatSrcIp, "nat_src_ip", kInet, 0, "source address after NAT")                          \
  X(kNatDstIp, "nat_dst_ip", kInet, 0, "destination address after NAT")                     \
  X(kNatSrcPort, "nat_src_port", kInt4, 16, "source port after NAT")                        \
  X(kNatDstPort, "nat_dst_port", kInt4, 16, "destination port after NAT")                   \
  X(kInIf, "in_if", kInt8, 32, "SNMP index of the input interface")                         \
  X(kOutIf, "out_if", kInt8, 32, "SNMP index of the output interface")                      \
  X(kVrfId, "vrf_id", kInt8, 32, "ingressVRFID")                                            \
  X(kVlan, "vlan", kInt4, 16, "VLAN id")                                                    \
  X(kSrcMac, "src_mac", kMacaddr, 48, "source MAC address")                                 \
  X(kDstMac, "dst_mac", kMacaddr, 48, "destination MAC address")                            \
  X(kOctets, "octets", kInt8, 0, "of a discarded packet, as decode.sflow_octets says")      \
  X(kElements, "elements", kText, 0, "all other elements, as in exporter_options")

#define BACKSTREAM_X(enumerator, sql_name, type, bits, about) enumerator,
enum class CounterColumn : uint8_t { BACKSTREAM_COUNTER_COLUMNS(BACKSTREAM_X) };
enum class OptionColumn : uint8_t { BACKSTREAM_OPTION_COLUMNS(BACKSTREAM_X) };
enum class MinuteColumn : uint8_t { BACKSTREAM_MINUTE_COLUMNS(BACKSTREAM_X) };
enum class EventColumn : uint8_t { BACKSTREAM_EVENT_COLUMNS(BACKSTREAM_X) };
#undef BACKSTREAM_X

struct SideStreamDef {
  SideStream stream;
  std::string_view name;
  Schema schema;           ///< column i is the i-th enumerator of the stream's columns
  int time_column = 0;     ///< its windows' time
  int arrival_column = 0;  ///< -1: none
};
/// By SideStream.
const std::array<SideStreamDef, kSideStreamCount>& side_streams();

}  // namespace backstream::batch
