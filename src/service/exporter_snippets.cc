#include "service/exporter_snippets.h"

#include <utility>

namespace backstream::service {
namespace {

constexpr SnippetForm kSystems[] = {
    {"junos", 4739, "192.0.2.1", "xe-0/0/0",
     R"(# Junos, inline flow monitoring (MX): IPFIX. One sampling-instance line for each FPC, two sampling lines for each
# interface to other networks (input only: a flow then counts once).
set services flow-monitoring version-ipfix template backstream-v4 ipv4-template
set services flow-monitoring version-ipfix template backstream-v4 flow-active-timeout 60
set services flow-monitoring version-ipfix template backstream-v4 flow-inactive-timeout 15
set services flow-monitoring version-ipfix template backstream-v4 template-refresh-rate seconds 60
set services flow-monitoring version-ipfix template backstream-v4 option-refresh-rate seconds 60
set services flow-monitoring version-ipfix template backstream-v6 ipv6-template
set services flow-monitoring version-ipfix template backstream-v6 flow-active-timeout 60
set services flow-monitoring version-ipfix template backstream-v6 flow-inactive-timeout 15
set services flow-monitoring version-ipfix template backstream-v6 template-refresh-rate seconds 60
set services flow-monitoring version-ipfix template backstream-v6 option-refresh-rate seconds 60
set forwarding-options sampling instance backstream input rate {rate}
set forwarding-options sampling instance backstream family inet output flow-server {collector} port {port}
set forwarding-options sampling instance backstream family inet output flow-server {collector} version-ipfix template backstream-v4
set forwarding-options sampling instance backstream family inet output inline-jflow source-address {source}
set forwarding-options sampling instance backstream family inet6 output flow-server {collector} port {port}
set forwarding-options sampling instance backstream family inet6 output flow-server {collector} version-ipfix template backstream-v6
set forwarding-options sampling instance backstream family inet6 output inline-jflow source-address {source}
set chassis fpc 0 sampling-instance backstream
set interfaces {interface} unit 0 family inet sampling input
set interfaces {interface} unit 0 family inet6 sampling input
)"},
    {"ios-xr", 2055, "Loopback0", "HundredGigE0/0/0/0",
     R"(! Cisco IOS XR: NetFlow v9. Sampling rate, interface and VRF names come as options data.
flow exporter-map BACKSTREAM
 version v9
  options interface-table timeout 60
  options sampler-table timeout 60
  options vrf-table timeout 60
  template timeout 60
 !
 transport udp {port}
 source {source}
 destination {collector}
!
flow monitor-map BACKSTREAM-V4
 record ipv4
 exporter BACKSTREAM
 cache timeout active 60
 cache timeout inactive 15
!
flow monitor-map BACKSTREAM-V6
 record ipv6
 exporter BACKSTREAM
 cache timeout active 60
 cache timeout inactive 15
!
sampler-map BACKSTREAM
 random 1 out-of {rate}
!
! For each interface to other networks:
interface {interface}
 flow ipv4 monitor BACKSTREAM-V4 sampler BACKSTREAM ingress
 flow ipv6 monitor BACKSTREAM-V6 sampler BACKSTREAM ingress
!
)"},
    {"eos", 6343, "Loopback0", "Ethernet1",
     R"(! Arista EOS: sFlow. Below 1 in 16384 some platforms want "sflow sample dangerous {rate}". All interfaces are
! sampled unless they say "no sflow enable".
sflow sample {rate}
sflow polling-interval 20
sflow destination {collector} {port}
sflow source-interface {source}
sflow run
interface {interface}
   sflow enable
)"},
    {"sros", 4739, "192.0.2.1", "to-peer",
     R"(# Nokia SR OS (MD-CLI): IPFIX, which SR OS calls version 10. The last four lines for each interface to other networks.
configure cflowd admin-state enable
configure cflowd active-flow-timeout 60
configure cflowd inactive-flow-timeout 15
configure cflowd template-retransmit 60
configure cflowd sample-profile 1 sample-rate {rate}
configure cflowd collector {collector} port {port} version 10
configure cflowd collector {collector} port {port} admin-state enable
configure router "Base" interface "{interface}" cflowd-parameters sampling unicast type interface
configure router "Base" interface "{interface}" cflowd-parameters sampling unicast direction ingress-only
configure router "Base" interface "{interface}" cflowd-parameters sampling unicast sample-profile 1
# The address that flows come from (here {source}) is that of the interface towards the collector, or of:
# configure system source-address ipv4 cflowd address {source}
)"},
    {"vrp", 2055, "192.0.2.1", "GigabitEthernet0/0/0",
     R"(# Huawei VRP: NetFlow v9 (NetStream). Active timeout in minutes, inactive in seconds. Where the line with "option sampler"
# is not known the router does not tell its rate: set exporter.{source}.sampling_rate here.
ip netstream as-mode 32
ip netstream export index-switch 32
ip netstream export version 9 origin-as
ip netstream export source {source}
ip netstream export host {collector} {port}
ip netstream export template timeout-rate 1
ip netstream export template option sampler
ip netstream timeout active 1
ip netstream timeout inactive 15
ipv6 netstream as-mode 32
ipv6 netstream export index-switch 32
ipv6 netstream export version 9 origin-as
ipv6 netstream export source {source}
ipv6 netstream export host {collector} {port}
ipv6 netstream timeout active 1
ipv6 netstream timeout inactive 15
# For each interface to other networks:
interface {interface}
 ip netstream sampler fix-packets {rate} inbound
 ip netstream inbound
 ipv6 netstream inbound
)"},
    {"routeros", 4739, "192.0.2.1", "all",
     R"(# MikroTik RouterOS: IPFIX of all packets. Packets that hardware forwards are not seen. RouterOS sends no AS numbers:
# set enrich.as_table here.
/ip traffic-flow set enabled=yes interfaces={interface} active-flow-timeout=1m inactive-flow-timeout=15s
/ip traffic-flow target add dst-address={collector} port={port} src-address={source} version=ipfix v9-template-refresh=20 v9-template-timeout=1m
)"},
    {"linux", 4739, "192.0.2.1", "eth0",
     R"(# Linux, IPFIX with softflowd (Debian: apt install softflowd); without -s every packet counts.
softflowd -i {interface} -v 10 -n {collector}:{port} -s {rate} -t maxlife=60s -t general=15s -t udp=15s -t tcp=15s
# or sFlow with host-sflow, in /etc/hsflowd.conf:
# sflow {
#   sampling = {rate}
#   polling = 20
#   collector { ip = {collector} udpport = 6343 }
#   pcap { dev = {interface} }
# }
)"},
};

void replace_all(std::string& text, std::string_view name, std::string_view value) {
  for (size_t at = text.find(name); at != std::string::npos; at = text.find(name, at + value.size()))
    text.replace(at, name.size(), value);
}

}  // namespace

std::span<const SnippetForm> snippet_forms() { return kSystems; }

std::vector<std::string_view> snippet_systems() {
  std::vector<std::string_view> names;
  for (const SnippetForm& system : kSystems) names.push_back(system.name);
  return names;
}

std::optional<std::string> snippet(std::string_view name, const SnippetValues& values) {
  for (const SnippetForm& system : kSystems) {
    if (system.name != name) continue;
    std::string text(system.text);
    const auto given = [](const std::string& value, std::string_view otherwise) {
      return value.empty() ? std::string(otherwise) : value;
    };
    replace_all(text, "{collector}", values.collector);
    replace_all(text, "{port}", std::to_string(values.port.value_or(system.port)));
    replace_all(text, "{source}", given(values.source, system.source));
    replace_all(text, "{interface}", given(values.interface, system.interface));
    replace_all(text, "{rate}", std::to_string(values.rate));
    return text;
  }
  return std::nullopt;
}

}  // namespace backstream::service
