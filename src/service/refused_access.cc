#include "service/refused_access.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace backstream::service {
namespace {

constexpr size_t kUntoldPeersMax = 256, kNamesMax = 4;
constexpr std::string_view kNames[] = {
#define BACKSTREAM_ACCESS_NAME(id, name) name,
    BACKSTREAM_ACCESS_REFUSALS(BACKSTREAM_ACCESS_NAME)
#undef BACKSTREAM_ACCESS_NAME
};

}  // namespace

std::string_view name(AccessRefusal refusal) { return kNames[static_cast<size_t>(refusal)]; }

base::Inet RefusedAccess::key(const base::Inet& peer) {
  // As http::PeerTable has it: one customer's line has a /64 at least.
  return peer.family == 6 ? base::Inet::v6(peer.hi, 0, 64) : peer;
}

bool RefusedAccess::take(Allowance& allowance, bool is_new, Micros now) const {
  if (is_new) allowance.left = limits_.failures;
  else if (now > allowance.filled_at) {
    const double seconds = static_cast<double>(now - allowance.filled_at) / static_cast<double>(base::kMicrosPerSecond);
    allowance.left = std::min(limits_.failures, allowance.left + seconds * limits_.failures_per_second);
  }
  allowance.filled_at = now;
  if (allowance.left < 1) return false;
  allowance.left -= 1;
  return true;
}

void RefusedAccess::count_locked(AccessRefusal why, const base::Inet& peer, std::string_view who) {
  const auto index = static_cast<size_t>(why);
  ++counts_[index];
  if (why == AccessRefusal::kMissing) return;
  const base::Inet of = key(peer);
  const bool room = untold_.size() < kUntoldPeersMax || untold_.contains(of);
  Untold& untold = room ? untold_[of] : others_;
  ++untold.counts[index];
  ++untold.total;
  const bool is_new = !who.empty() && std::find(untold.names.begin(), untold.names.end(), who) == untold.names.end();
  if (is_new && untold.names.size() < kNamesMax) untold.names.emplace_back(who);
}

void RefusedAccess::count(AccessRefusal why, const base::Inet& peer, std::string_view who) {
  const std::lock_guard lock(mutex_);
  count_locked(why, peer, who);
}

bool RefusedAccess::count_failure(AccessRefusal why, const base::Inet& peer, Micros now, std::string_view who) {
  const std::lock_guard lock(mutex_);
  const base::Inet of = key(peer);
  bool may_try = false;
  auto at = allowances_.find(of);
  if (at == allowances_.end() && allowances_.size() >= limits_.peers_max) {
    // Who has been quiet for long enough to have all of it back is a stranger again.
    const double whole_seconds = limits_.failures / limits_.failures_per_second;
    const auto whole = static_cast<Micros>(whole_seconds * static_cast<double>(base::kMicrosPerSecond));
    std::erase_if(allowances_, [&](const auto& known) { return now - known.second.filled_at >= whole; });
  }
  if (at == allowances_.end() && allowances_.size() >= limits_.peers_max) {
    may_try = take(shared_, !std::exchange(shared_used_, true), now);
  } else {
    const bool is_new = at == allowances_.end();
    if (is_new) at = allowances_.emplace(of, Allowance{}).first;
    may_try = take(at->second, is_new, now);
  }
  count_locked(may_try ? why : AccessRefusal::kThrottled, peer, who);
  return may_try;
}

AccessRefusalCounts RefusedAccess::counts() const {
  const std::lock_guard lock(mutex_);
  return counts_;
}

std::vector<catalog::Change> RefusedAccess::take_notes(Micros now) {
  const std::lock_guard lock(mutex_);
  if (untold_.empty() && others_.total == 0) return {};
  if (told_at_ != 0 && now >= told_at_ && now - told_at_ < kPeriodUs) return {};
  told_at_ = now;
  std::vector<std::pair<base::Inet, Untold>> peers(untold_.begin(), untold_.end());
  untold_.clear();
  Untold rest = std::exchange(others_, {});
  size_t rest_peers = rest.total > 0 ? 1 : 0;
  std::sort(peers.begin(), peers.end(), [](const auto& a, const auto& b) {
    return a.second.total != b.second.total ? a.second.total > b.second.total : base::compare(a.first, b.first) < 0;
  });
  for (size_t p = kLinesMax - 1; p < peers.size(); ++p, ++rest_peers) {
    for (size_t i = 0; i < kAccessRefusalCount; ++i) rest.counts[i] += peers[p].second.counts[i];
    rest.total += peers[p].second.total;
  }
  peers.resize(std::min(peers.size(), kLinesMax - 1));

  taken_ = rest.total;
  std::vector<catalog::Change> notes;
  const auto add = [&](std::string of, const Untold& untold) {
    catalog::Change note;
    note.action = catalog::Change::Action::kNote;
    note.kind = catalog::Kind::kService;
    note.name = "access";
    note.verb = "refuse";
    note.comment = fmt::format("{} from {}:", untold.total, of);
    for (size_t i = 0; i < kAccessRefusalCount; ++i) {
      if (untold.counts[i] > 0) note.comment += fmt::format(" {} {}", kNames[i], untold.counts[i]);
    }
    for (const std::string& who : untold.names) note.comment += fmt::format(" '{}'", who);
    notes.push_back(std::move(note));
  };
  for (const auto& [peer, untold] : peers) {
    taken_ += untold.total;
    add(base::to_string(peer), untold);
  }
  if (rest.total > 0) add(fmt::format("{} others or more", rest_peers), rest);
  return notes;
}

void RefusedAccess::lost_notes() {
  const std::lock_guard lock(mutex_);
  counts_[static_cast<size_t>(AccessRefusal::kUntold)] += std::exchange(taken_, 0);
}

}  // namespace backstream::service
