#pragma once
#include <cstdint>
#include <vector>

#include "generate/random.h"
#include "generate/record.h"

namespace backstream::generate {

enum class Attack : uint8_t { kPortSweep, kHostScan, kSynFlood, kAmplification };

/// Interfaces of a router: their numbers are 1 and on.
inline constexpr uint32_t kInterfaceCount = 24;

/// Who talks to whom, and how much.
struct TrafficOptions {
  uint32_t as_count = 500;        ///< >= 1
  double zipf = 1.1;              ///< exponent of the popularity of an AS, for each end of a flow; 0: all alike
  double as4_share = 0;           ///< of ASes whose number needs 4 octets
  uint32_t host_count = 20'000;   ///< over all ASes; each has at least one
  double one_packet_share = 0.3;  ///< of flows
  double ipv6_share = 0;
  double long_share = 0.03;  ///< of the other flows: longer than an active timeout of a minute
};

/// Draws flows. Cheap: tables made once, no transcendental function per flow.
class Traffic {
 public:
  Traffic(const TrafficOptions& options, uint64_t seed);
  Random& random() { return random_; }

  /// Fills all but times, exporter and protocol. Returns the flow's whole duration in ms, 0 for one packet.
  int64_t draw(Record& record);
  /// The next record of an attack: one packet or one answer. Duration 0 but for the amplification (ms).
  int64_t draw_attack(Attack attack, Record& record);

 private:
  struct As {
    uint32_t number;
    uint32_t interface;
  };
  uint32_t pick_as();
  base::Inet host(uint32_t as, uint32_t index, bool v6) const;

  const TrafficOptions options_;
  Random random_;
  std::vector<As> ases_;
  std::vector<uint32_t> alias_other_;  // Walker's alias method: one draw, one comparison.
  std::vector<uint32_t> alias_limit_;
  uint32_t hosts_per_as_, host_bits_;
  std::vector<uint32_t> packets_, packet_octets_, duration_ms_;
  uint64_t attack_count_ = 0;
};

}  // namespace backstream::generate
