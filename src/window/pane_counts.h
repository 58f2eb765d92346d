#pragma once
#include <algorithm>
#include <cstdint>
#include <map>

#include "base/time.h"

namespace backstream::window {

/// The window ledger (DESIGN rule 5) of one pane, and of one window as the sum of its panes:
/// assigned = counted + filtered + late + errored + shed.
struct PaneCounts {
  uint64_t assigned = 0, counted = 0, filtered = 0, late = 0, errored = 0, shed = 0;
  uint64_t shed_octets = 0;  ///< of the shed rows, as far as they were shed by group
  /// Groups of this shed hash and above may have lost rows (exec/shedding.h): they are no part of the result.
  uint64_t keep_below = UINT64_MAX;
  PaneCounts& operator+=(const PaneCounts& other) {
    assigned += other.assigned;
    counted += other.counted;
    filtered += other.filtered;
    late += other.late;
    errored += other.errored;
    shed += other.shed;
    shed_octets += other.shed_octets;
    keep_below = std::min(keep_below, other.keep_below);
    return *this;
  }
  /// Rows that were counted were shed after all.
  void shed_counted(uint64_t rows, uint64_t octets) {
    counted -= rows;
    shed += rows;
    shed_octets += octets;
  }
  bool operator==(const PaneCounts&) const = default;
};

/// By start of the pane.
using CountsByPane = std::map<base::Micros, PaneCounts>;

}  // namespace backstream::window
