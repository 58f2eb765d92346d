#include "app/demo/texts.h"

#include <fmt/format.h>

#include <iterator>

namespace backstream::app::demo {

std::string scaled(double value) {
  static constexpr const char* kUnits[] = {"", " k", " M", " G", " T", " P"};
  size_t unit = 0;
  while (value >= 1000 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.{}f}{}", value, unit == 0 ? 0 : value < 10 ? 2 : value < 100 ? 1 : 0, kUnits[unit]);
}

std::string clock_text(base::Micros time) { return base::format_timestamp(time).substr(11, 8); }

}  // namespace backstream::app::demo
