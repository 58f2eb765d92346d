#include "generate/traffic.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <stdexcept>

namespace backstream::generate {
namespace {

constexpr size_t kTableSize = 4096;
constexpr uint32_t kFirstV4 = 10u << 24;  // 10.0.0.0 and on, as far as the ASes need.
constexpr uint32_t kEndV4 = 127u << 24;
constexpr uint64_t kFirstV6 = 0x20010db800000000;  // 2001:db8::/32 (RFC 3849); one /64 an AS.
constexpr uint8_t kTcp = 6, kUdp = 17, kIcmp = 1, kIcmpV6 = 58;
constexpr uint8_t kSyn = 0x02, kSynAckPshFin = 0x1b;

constexpr uint16_t kServices[] = {443, 443, 443, 443, 443, 443, 80, 80, 53, 53, 123, 22, 25, 993, 8080, 3478};

}  // namespace

std::string_view version_text(Protocol protocol) {
  switch (protocol) {
    case Protocol::kNetflow5: return "5";
    case Protocol::kNetflow9: return "9";
    case Protocol::kIpfix: return "10";
    case Protocol::kSflow: return "sFlow";
  }
  return "";
}

Traffic::Traffic(const TrafficOptions& options, uint64_t seed) : options_(options), random_(seed) {
  const size_t count = options.as_count;
  hosts_per_as_ = std::max<uint32_t>(1, options.host_count / options.as_count);
  host_bits_ = std::max(8, static_cast<int>(std::bit_width(hosts_per_as_ + 2)));
  if (host_bits_ > 24 || (uint64_t{options.as_count} << host_bits_) > kEndV4 - kFirstV4)
    throw std::invalid_argument(fmt::format("{} ASes of {} hosts do not fit IPv4", count, hosts_per_as_));
  ases_.resize(count);
  for (uint32_t rank = 0; rank < count; ++rank) {
    // 7919 is a prime that does not divide 64,000: distinct numbers, all below the private ones.
    const bool four = count > 64'000 || random_.chance(options.as4_share);
    ases_[rank].number = four ? 131'072 + rank * 7 : 1 + static_cast<uint32_t>((uint64_t{rank} * 7919 + 3320) % 64'000);
    ases_[rank].interface = 1 + rank % kInterfaceCount;
  }

  std::vector<double> weight(count);
  double sum = 0;
  for (size_t rank = 0; rank < count; ++rank)
    sum += weight[rank] = std::pow(static_cast<double>(rank + 1), -options.zipf);
  alias_other_.resize(count);
  alias_limit_.assign(count, UINT32_MAX);
  std::vector<uint32_t> small, large;
  for (uint32_t i = 0; i < count; ++i) {
    weight[i] *= static_cast<double>(count) / sum;
    alias_other_[i] = i;
    (weight[i] < 1 ? small : large).push_back(i);
  }
  while (!small.empty() && !large.empty()) {
    const uint32_t poor = small.back(), rich = large.back();
    small.pop_back();
    alias_limit_[poor] = static_cast<uint32_t>(weight[poor] * 4294967295.0);
    alias_other_[poor] = rich;
    weight[rich] -= 1 - weight[poor];
    if (weight[rich] < 1) {
      large.pop_back();
      small.push_back(rich);
    }
  }

  for (size_t i = 0; i < kTableSize; ++i) {
    const double u = (static_cast<double>(i) + 0.5) / kTableSize;
    // Heavy tails as flow studies find them: Pareto for packets and durations, small and full packets for sizes.
    packets_.push_back(1 + static_cast<uint32_t>(std::min(20'000.0, std::ceil(std::pow(1 - u, -1 / 1.1)))));
    packet_octets_.push_back(u < 0.4   ? 40 + static_cast<uint32_t>(u * 150)
                             : u < 0.7 ? 100 + static_cast<uint32_t>((u - 0.4) * 4000)
                                       : 1500);
    duration_ms_.push_back(static_cast<uint32_t>(std::min(55'000.0, 20 * std::pow(1 - u, -1 / 0.8))));
  }
}

uint32_t Traffic::pick_as() {
  const uint64_t draw = random_.next();
  const auto column = static_cast<uint32_t>((draw >> 32) * ases_.size() >> 32);
  return static_cast<uint32_t>(draw) <= alias_limit_[column] ? column : alias_other_[column];
}

base::Inet Traffic::host(uint32_t as, uint32_t index, bool v6) const {
  if (v6) return base::Inet::v6(kFirstV6 | as, 0x1000 + index);
  return base::Inet::v4(kFirstV4 + (as << host_bits_) + 1 + index);
}

int64_t Traffic::draw(Record& record) {
  const uint32_t source = pick_as(), destination = pick_as();
  const bool v6 = options_.ipv6_share > 0 && random_.chance(options_.ipv6_share);
  const uint64_t bits = random_.next();
  record.source = host(source, static_cast<uint32_t>((bits & 0xffffffff) * hosts_per_as_ >> 32), v6);
  record.destination = host(destination, static_cast<uint32_t>((bits >> 32) * hosts_per_as_ >> 32), v6);
  record.source_mask = record.destination_mask = static_cast<uint8_t>(v6 ? 64 : 32 - host_bits_);
  record.source_as = ases_[source].number;
  record.destination_as = ases_[destination].number;
  record.in_if = ases_[source].interface;
  record.out_if = ases_[destination].interface;

  const uint64_t more = random_.next();
  const uint16_t service = kServices[more & 15];
  const auto client = static_cast<uint16_t>(1024 + ((more >> 4 & 0xffff) * 64'512 >> 16));
  const bool to_service = (more >> 20 & 1) != 0;
  record.source_port = to_service ? client : service;
  record.destination_port = to_service ? service : client;
  const unsigned kind = more >> 21 & 127;
  record.ip_protocol = kind < 3 ? (v6 ? kIcmpV6 : kIcmp) : service == 53 || service == 123 || kind < 24 ? kUdp : kTcp;
  record.tos = (more >> 28 & 15) == 0 ? 0xb8 : (more >> 28 & 15) == 1 ? 0x48 : 0;
  if (kind < 3) {
    // NetFlow has an ICMP message's type and code where the destination port is.
    record.source_port = 0;
    record.destination_port = (v6 ? 128 : 8) << 8;
  }
  const bool one = random_.chance(options_.one_packet_share);
  record.tcp_flags = record.ip_protocol != kTcp ? 0 : one ? kSyn : kSynAckPshFin;
  const uint64_t sizes = random_.next();
  uint32_t octets = packet_octets_[sizes & (kTableSize - 1)];
  if (v6) octets = std::max<uint32_t>(octets, 68);
  record.packets = one ? 1 : packets_[sizes >> 12 & (kTableSize - 1)];
  record.octets = one ? octets : record.packets * octets + (sizes >> 50);
  if (one) return 0;
  if (static_cast<double>(sizes >> 36 & 0x3fff) < options_.long_share * 0x4000)
    return 61'000 + static_cast<int64_t>(random_.below(240'000));
  return duration_ms_[sizes >> 24 & (kTableSize - 1)];
}

int64_t Traffic::draw_attack(Attack attack, Record& record) {
  const uint64_t n = attack_count_++;
  const auto last = static_cast<uint32_t>(ases_.size() - 1);
  const auto ends = [&](uint32_t from, uint32_t from_host, uint32_t to, uint32_t to_host) {
    record.source = host(from, from_host, false);
    record.destination = host(to, to_host, false);
    record.source_as = ases_[from].number;
    record.destination_as = ases_[to].number;
    record.in_if = ases_[from].interface;
    record.out_if = ases_[to].interface;
  };
  record.source_mask = record.destination_mask = static_cast<uint8_t>(32 - host_bits_);
  record.ip_protocol = kTcp;
  record.tcp_flags = kSyn;
  record.tos = 0;
  record.packets = 1;
  record.octets = 40;
  record.source_port = static_cast<uint16_t>(1024 + random_.below(64'512));
  switch (attack) {
    case Attack::kPortSweep:
      ends(last, 0, 0, 0);
      record.destination_port = static_cast<uint16_t>(1 + n % 65'535);
      break;
    case Attack::kHostScan:
      ends(last, hosts_per_as_ - 1, last / 2, static_cast<uint32_t>(n % ((1u << host_bits_) - 2)));
      record.destination_port = 23;
      break;
    case Attack::kSynFlood: {
      // Sources are spoofed: the host part of an AS is used up, far beyond its real hosts.
      ends(pick_as(), static_cast<uint32_t>(random_.below((1u << host_bits_) - 2)), 0, 0);
      record.destination_port = 443;
      break;
    }
    case Attack::kAmplification:
      ends(pick_as(), static_cast<uint32_t>(random_.below(hosts_per_as_)), 0, hosts_per_as_ - 1);
      record.ip_protocol = kUdp;
      record.tcp_flags = 0;
      record.source_port = 123;
      record.destination_port = static_cast<uint16_t>(1024 + random_.below(64'512));
      record.packets = 100;
      record.octets = 100 * 468;  // An answer to NTP's monlist.
      return 1000;
  }
  return 0;
}

}  // namespace backstream::generate
