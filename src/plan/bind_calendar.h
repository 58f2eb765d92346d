#pragma once
#include <memory>
#include <optional>

#include "plan/binder.h"
#include "window/calendar.h"

namespace backstream::plan {

/// tumble(relation, time, size, offset, timezone) by the calendar.
/// @param size    days or months, as written at `size_text`
/// @param offset  may be null
/// @param zone    may be null: UTC
/// @param below   window of the rows that are read, where it is known: each must lie in one window of the calendar
/// Errors: 22023 for values, 0A000 for hop and for windows below that straddle a midnight.
Result<std::shared_ptr<const window::Calendar>> bind_calendar(const UnboundFrom& from, const base::Interval& size,
                                                              const UnboundExpr& size_text, const UnboundExpr* offset,
                                                              const UnboundExpr* zone,
                                                              const std::optional<Window>& below);

}  // namespace backstream::plan
