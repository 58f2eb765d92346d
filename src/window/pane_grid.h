#pragma once
#include "base/time.h"
#include "window/calendar.h"

namespace backstream::window {

using base::Micros;

/// The panes of a window function: aligned spans of event time, and which windows each belongs to.
struct PaneGrid {
  Micros pane_us, size_us, slide_us, offset_us;
  /// Windows of days or months: their ends come from it, and size and slide are only bounds. The pane divides
  /// calendar->step_us(). Null: all windows are of one size.
  const Calendar* calendar = nullptr;

  Micros pane_start(Micros time) const { return base::floor_to(time, pane_us, offset_us); }
  /// Ends of the first and last window that hold the pane. Between them a window ends every slide.
  Micros first_window_end(Micros start) const {
    if (calendar != nullptr) return calendar->window_of(start).end;
    return base::floor_to(start + pane_us - 1 - size_us, slide_us, offset_us) + slide_us + size_us;
  }
  Micros last_window_end(Micros start) const {
    if (calendar != nullptr) return calendar->window_of(start).end;
    return base::floor_to(start, slide_us, offset_us) + size_us;
  }
  /// The start of the window that ends there.
  Micros window_start(Micros end) const {
    return calendar != nullptr ? calendar->window_of(end - 1).start : end - size_us;
  }
  /// The start of the last window that holds the pane.
  Micros last_window_start(Micros start) const {
    return calendar != nullptr ? calendar->window_of(start).start : base::floor_to(start, slide_us, offset_us);
  }
  /// The greatest end of a window that is at or before `time`.
  Micros last_end_until(Micros time) const {
    if (time == base::kMinTime || time == base::kMaxTime) return time;
    if (calendar != nullptr) return calendar->window_of(time).start;
    return base::floor_to(time - size_us, slide_us, offset_us) + size_us;
  }
  /// The least start of a window that ends after `time`.
  Micros first_start_open_at(Micros time) const {
    if (time == base::kMinTime || time == base::kMaxTime) return time;
    if (calendar != nullptr) return calendar->window_of(time).start;
    return base::floor_to(time - size_us, slide_us, offset_us) + slide_us;
  }
  /// Every pane is of one window only.
  bool tumbles() const { return calendar != nullptr || slide_us == size_us; }
};

}  // namespace backstream::window
