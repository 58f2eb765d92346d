#pragma once
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/datagram.h"
#include "base/diagnostic.h"
#include "ingest/udp_source.h"

namespace backstream::ingest {

/// Why a datagram was not sent on.
#define BACKSTREAM_FORWARD_DROPS(X)                                                               \
  X(kQueueFull, "queue_full", "the target takes datagrams more slowly than they come")            \
  X(kTooLong, "too_long", "longer than the way to the target carries without being fragmented")   \
  X(kUnreachable, "unreachable", "no route, no neighbour, or a firewall of this machine forbids") \
  X(kSystem, "system", "the system refused it for another reason")

enum class ForwardDrop : uint8_t {
#define BACKSTREAM_X(enumerator, name, about) enumerator,
  BACKSTREAM_FORWARD_DROPS(BACKSTREAM_X)
#undef BACKSTREAM_X
};
#define BACKSTREAM_X(enumerator, name, about) +1
inline constexpr size_t kForwardDropCount = BACKSTREAM_FORWARD_DROPS(BACKSTREAM_X);
#undef BACKSTREAM_X
std::string_view name(ForwardDrop drop);

struct ForwardTarget {
  std::string name;
  UdpListen to;
  bool spoof = true;            ///< keep the exporters' addresses and ports where the system lets us
  std::vector<uint16_t> ports;  ///< only what came to these ports of ours; empty: all
  uint64_t queue_octets = 16 << 20;
};

/// What became of the datagrams for one target: all that were given = sent + dropped (+ what still waits).
struct ForwardStats {
  std::string name;
  std::string to;            ///< "udp://192.0.2.10:2055"
  bool source_kept = false;  ///< the system lets us keep source addresses
  uint64_t sent = 0, octets = 0;
  uint64_t own_source = 0;  ///< of the sent, those from our own address
  uint64_t refusals = 0;    ///< answers that nobody listens there; fewer than datagrams, as systems limit their rate
  uint64_t dropped[kForwardDropCount] = {};
};

/// Sends received datagrams on, unchanged and each by itself however they were received. A thread and a bounded queue a
/// target: what a target does not take is dropped for it and counted, and costs nobody else anything.
/// docs/design/0014-sockets-and-forwarding.md
class Forwarder {
 public:
  virtual ~Forwarder() = default;
  /// Copies the datagrams to the queues of the targets that want them. Any thread.
  virtual void take(std::span<const base::Datagram> datagrams) = 0;
  /// Waits until what has been taken is sent, at most a second; what is left then is dropped. Nothing is taken after
  /// it.
  virtual void stop() = 0;
  /// Any thread.
  virtual std::vector<ForwardStats> stats() const = 0;
  /// A line a target for people: where it sends, and from which addresses.
  virtual std::vector<std::string> notes() const = 0;
};

/// @param listening  our own ports: a target that is one of them on this machine would never end, and is refused
/// Errors: a host that cannot be resolved, no socket.
base::Result<std::unique_ptr<Forwarder>> open_forwarder(const std::vector<ForwardTarget>& targets,
                                                        const std::vector<uint16_t>& listening);

}  // namespace backstream::ingest
