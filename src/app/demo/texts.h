#pragma once
// How both forms of the demo write numbers and times.
#include <string>

#include "base/time.h"

namespace backstream::app::demo {

/// 1234567890 -> "1.23 G".
std::string scaled(double value);
/// "12:00:05".
std::string clock_text(base::Micros time);

}  // namespace backstream::app::demo
