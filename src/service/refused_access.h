#pragma once
#include <array>
#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/inet.h"
#include "base/time.h"
#include "catalog/catalog.h"

namespace backstream::service {

using base::Micros;

/// Why somebody was not let in, or not let do something: one counter each.
#define BACKSTREAM_ACCESS_REFUSALS(X)                                                                     \
  X(kMissing, "missing")            /* 401: no token where one is needed; not told in the audit */        \
  X(kMalformed, "malformed")        /* 401: an Authorization that is none, two of them, no UTF-8 */       \
  X(kUnknown, "unknown_token")      /* 401: never made, or revoked */                                     \
  X(kExpired, "expired_token")      /* 401 */                                                             \
  X(kThrottled, "throttled")        /* 429: of the four above, those of a peer with too many of them */   \
  X(kStrangeProxy, "strange_proxy") /* a user's header from an address that is no proxy: not looked at */ \
  X(kNoRole, "no_role")             /* 403: signed in by a proxy, and granted nothing */                  \
  X(kRole, "role")                  /* 403: for a higher role */                                          \
  X(kRowFilter, "row_filter")       /* 403: not for who may see some rows only */                         \
  X(kUntold, "untold")              /* of all these, those that the audit could not take */
enum class AccessRefusal : uint8_t {
#define BACKSTREAM_ACCESS_ENUM(id, name) id,
  BACKSTREAM_ACCESS_REFUSALS(BACKSTREAM_ACCESS_ENUM)
#undef BACKSTREAM_ACCESS_ENUM
};
#define BACKSTREAM_ACCESS_COUNT(id, name) +1
inline constexpr size_t kAccessRefusalCount = 0 BACKSTREAM_ACCESS_REFUSALS(BACKSTREAM_ACCESS_COUNT);
#undef BACKSTREAM_ACCESS_COUNT
std::string_view name(AccessRefusal refusal);
using AccessRefusalCounts = std::array<uint64_t, kAccessRefusalCount>;

/// Counts who was refused, slows down who tries again and again, and tells the audit in a few lines a minute however
/// many there were. Memory is bounded. Any thread.
class RefusedAccess {
 public:
  struct Limits {
    double failures = 10;              ///< of one peer at once; an IPv6 /64 is one
    double failures_per_second = 0.2;  ///< that come back
    size_t peers_max = 4'096;          ///< told apart; those beyond share one allowance
  };
  /// A minute's lines in the audit: the peers with most, and one for all others.
  static constexpr size_t kLinesMax = 5;
  static constexpr Micros kPeriodUs = 60 * base::kMicrosPerSecond;

  RefusedAccess() : RefusedAccess(Limits{}) {}
  explicit RefusedAccess(Limits limits) : limits_(limits) {}

  /// @param who  a name that is known to be a token's or a proxy's user, for the audit; may be empty
  void count(AccessRefusal why, const base::Inet& peer, std::string_view who = {});
  /// The same of a wrong token. False: the peer has had too many, and is told to wait; what was right is never refused
  /// for it, or else anybody behind the same address could lock out the others.
  bool count_failure(AccessRefusal why, const base::Inet& peer, Micros now, std::string_view who = {});

  AccessRefusalCounts counts() const;
  /// Notes (catalog::Change::Action::kNote) about what was refused since the last ones, when they are due: a minute
  /// after those. Empty: there is nothing to tell.
  std::vector<catalog::Change> take_notes(Micros now);
  /// The notes that were taken could not be kept.
  void lost_notes();

 private:
  struct Allowance {
    double left = 0;
    Micros filled_at = 0;
  };
  struct Untold {
    AccessRefusalCounts counts{};
    uint64_t total = 0;
    std::vector<std::string> names;  ///< a few
  };
  static base::Inet key(const base::Inet& peer);
  bool take(Allowance& allowance, bool is_new, Micros now) const;
  void count_locked(AccessRefusal why, const base::Inet& peer, std::string_view who);

  const Limits limits_;
  mutable std::mutex mutex_;  // Of all below.
  AccessRefusalCounts counts_{};
  std::unordered_map<base::Inet, Allowance, base::InetHash> allowances_;
  Allowance shared_;
  bool shared_used_ = false;
  std::unordered_map<base::Inet, Untold, base::InetHash> untold_;  // By peer; at most kUntoldPeersMax.
  Untold others_;
  Micros told_at_ = 0;
  uint64_t taken_ = 0;  // In the last notes.
};

}  // namespace backstream::service
