#pragma once
// Who may talk to the server at all, before anything is routed: names, origins, and how much a peer may ask.
#include <chrono>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/inet.h"
#include "http/message.h"

namespace backstream::http {

enum class HostVerdict : uint8_t { kGood, kMalformed, kUnknown };
/// A browser can be made to talk to any address under a name of the attacker's (DNS rebinding): so only names that are
/// ours are answered. Ours are the address that the connection came to, localhost where that is a loopback address, and
/// `allowed` (lower case, without ports). The port is not looked at: tunnels change it.
HostVerdict check_host(std::string_view host, const base::Inet& local, const std::vector<std::string>& allowed);

/// Whether a page of another origin sent it: the Origin header is there and is neither that of `host` nor in `allowed`
/// ("https://noc.example"); or Sec-Fetch-Site tells of another site and the method changes something.
bool is_foreign(const Request& request, const std::vector<std::string>& allowed);

/// Connections and requests of each peer; an IPv6 /64 is one. One thread.
class PeerTable {
 public:
  using Clock = std::chrono::steady_clock;
  struct Limits {
    uint32_t connections_max = 1'024;
    double requests_per_second = 200;
    double burst = 400;
  };
  explicit PeerTable(Limits limits, size_t idle_peers_max = 65'536);

  /// Counts a connection; false: it has too many.
  bool connect(const base::Inet& peer);
  void disconnect(const base::Inet& peer);
  /// Takes one request off the peer's allowance; false: it is used up.
  bool request(const base::Inet& peer, Clock::time_point now);
  /// Forgets who has no connection and a full allowance. Now and then.
  void sweep(Clock::time_point now);
  size_t size() const { return peers_.size(); }

 private:
  struct Peer {
    uint32_t connections = 0;
    double allowance = 0;
    Clock::time_point filled_at = {};
  };
  static base::Inet key(const base::Inet& peer);
  void refill(Peer& peer, Clock::time_point now) const;

  const Limits limits_;
  const size_t idle_peers_max_;
  size_t connected_ = 0;  // Peers with connections.
  std::unordered_map<base::Inet, Peer, base::InetHash> peers_;
};

}  // namespace backstream::http
