#pragma once
#include <cstdint>
#include <optional>

#include "base/time.h"

namespace backstream::telemetry {

/// Sees that somebody has set the wall clock, by comparing it with one that nobody can set. What the clock is slewed by
/// (at most 500 us a second) is no step; what a machine slept is. One thread.
class ClockWatch {
 public:
  struct Step {
    base::Micros at = 0;  ///< by the clock after it
    base::Micros by = 0;  ///< > 0: it was set forward
  };
  static constexpr base::Micros kLeast = base::kMicrosPerSecond / 2;

  /// To be called every second or so. The step since the last call, if there was one.
  std::optional<Step> look(base::Micros wall, base::Micros steady) {
    const base::Micros offset = wall - steady;
    const base::Micros by = known_ ? offset - offset_ : 0;
    known_ = true;
    offset_ = offset;
    if (by < kLeast && by > -kLeast) return std::nullopt;
    ++count_;
    last_ = Step{wall, by};
    return last_;
  }
  std::optional<Step> last() const { return last_; }
  uint64_t count() const { return count_; }

 private:
  bool known_ = false;
  base::Micros offset_ = 0;
  uint64_t count_ = 0;
  std::optional<Step> last_;
};

}  // namespace backstream::telemetry
