#pragma once
#include "base/time.h"

namespace backstream::window {

using base::Micros;

/// The panes of a window function: aligned spans of event time, and which windows each belongs to.
struct PaneGrid {
  Micros pane_us, size_us, slide_us, offset_us;

  Micros pane_start(Micros time) const { return base::floor_to(time, pane_us, offset_us); }
  /// Start and end of the first and last window that hold the pane.
  Micros first_window_end(Micros start) const {
    return base::floor_to(start + pane_us - 1 - size_us, slide_us, offset_us) + slide_us + size_us;
  }
  Micros last_window_end(Micros start) const { return base::floor_to(start, slide_us, offset_us) + size_us; }
  /// The greatest end of a window that is at or before `time`.
  Micros last_end_until(Micros time) const {
    if (time == base::kMinTime || time == base::kMaxTime) return time;
    return base::floor_to(time - size_us, slide_us, offset_us) + size_us;
  }
};

}  // namespace backstream::window
