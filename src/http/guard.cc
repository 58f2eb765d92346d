#include "http/guard.h"

#include <algorithm>
#include <cassert>

#include "http/url.h"

namespace backstream::http {

HostVerdict check_host(std::string_view host, const base::Inet& local, const std::vector<std::string>& allowed) {
  const auto named = parse_host(host);
  if (!named) return HostVerdict::kMalformed;
  const bool loopback = is_loopback_name(base::to_string(local));
  const bool ours = named->host == base::to_string(local) || (loopback && is_loopback_name(named->host)) ||
                    std::find(allowed.begin(), allowed.end(), named->host) != allowed.end();
  return ours ? HostVerdict::kGood : HostVerdict::kUnknown;
}

bool is_foreign(const Request& request, const std::vector<std::string>& allowed) {
  if (request.headers.count("Origin") > 1) return true;
  if (const auto origin = request.headers.find("Origin")) {
    if (std::find(allowed.begin(), allowed.end(), *origin) != allowed.end()) return false;
    // Behind a proxy that speaks TLS for us the scheme is not ours; over our own TLS it must be.
    const size_t colon = origin->find("://");
    if (colon == std::string_view::npos) return true;
    const std::string_view scheme = origin->substr(0, colon);
    if (scheme != "https" && (scheme != "http" || request.tls)) return true;
    const uint16_t usual = scheme == "https" ? 443 : 80;
    auto theirs = parse_host(origin->substr(colon + 3));
    auto ours = parse_host(request.host);
    if (!theirs || !ours) return true;
    theirs->port = theirs->port.value_or(usual);
    ours->port = ours->port.value_or(usual);
    return theirs != ours;
  }
  const bool reads =
      request.method == Method::kGet || request.method == Method::kHead || request.method == Method::kOptions;
  const auto site = request.headers.find("Sec-Fetch-Site");
  return !reads && site && *site != "same-origin" && *site != "none";
}

PeerTable::PeerTable(Limits limits, size_t idle_peers_max) : limits_(limits), idle_peers_max_(idle_peers_max) {}

base::Inet PeerTable::key(const base::Inet& peer) {
  // One customer's line has a /64 at least, and can use every address of it.
  return peer.family == 6 ? base::Inet::v6(peer.hi, 0, 64) : peer;
}

bool PeerTable::connect(const base::Inet& peer) {
  if (peers_.size() - connected_ >= idle_peers_max_) {
    // Allowances of strangers who left are forgotten early rather than kept without bound.
    std::erase_if(peers_, [](const auto& entry) { return entry.second.connections == 0; });
  }
  const auto [found, is_new] = peers_.try_emplace(key(peer));
  if (is_new) found->second.allowance = limits_.burst;
  if (found->second.connections >= limits_.connections_max) return false;
  if (found->second.connections++ == 0) ++connected_;
  return true;
}
void PeerTable::disconnect(const base::Inet& peer) {
  const auto found = peers_.find(key(peer));
  assert(found != peers_.end() && found->second.connections > 0);
  if (--found->second.connections == 0) --connected_;
}

void PeerTable::refill(Peer& peer, Clock::time_point now) const {
  if (peer.filled_at != Clock::time_point{}) {
    const double seconds = std::chrono::duration<double>(now - peer.filled_at).count();
    peer.allowance = std::min(limits_.burst, peer.allowance + seconds * limits_.requests_per_second);
  }
  peer.filled_at = now;
}
bool PeerTable::request(const base::Inet& peer, Clock::time_point now) {
  const auto found = peers_.find(key(peer));
  assert(found != peers_.end());
  refill(found->second, now);
  if (found->second.allowance < 1) return false;
  found->second.allowance -= 1;
  return true;
}
void PeerTable::sweep(Clock::time_point now) {
  for (auto at = peers_.begin(); at != peers_.end();) {
    refill(at->second, now);
    const bool forget = at->second.connections == 0 && at->second.allowance >= limits_.burst;
    at = forget ? peers_.erase(at) : std::next(at);
  }
}

}  // namespace backstream::http
