#pragma once
#include <string>
#include <string_view>

namespace backstream::app {

/// What changed from one text to the other, line by line, as diff -u shows it; empty: nothing. Memory and time grow
/// with the size of the difference; where it is of more than some thousand lines, all lines between the first and the
/// last that differ are shown as replaced.
std::string unified_diff(std::string_view before, std::string_view after, const std::string& before_name,
                         const std::string& after_name);

}  // namespace backstream::app
