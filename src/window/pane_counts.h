#pragma once
#include <cstdint>
#include <map>

#include "base/time.h"

namespace backstream::window {

/// The window ledger (DESIGN rule 5) of one pane, and of one window as the sum of its panes:
/// assigned = counted + filtered + late + errored + shed.
struct PaneCounts {
  uint64_t assigned = 0, counted = 0, filtered = 0, late = 0, errored = 0, shed = 0;
  PaneCounts& operator+=(const PaneCounts& other) {
    assigned += other.assigned;
    counted += other.counted;
    filtered += other.filtered;
    late += other.late;
    errored += other.errored;
    shed += other.shed;
    return *this;
  }
  bool operator==(const PaneCounts&) const = default;
};

/// By start of the pane.
using CountsByPane = std::map<base::Micros, PaneCounts>;

}  // namespace backstream::window
