#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace backstream::app::shell {

/// \h: the statements there are; or the form and an example of those that the words begin. nullopt: none.
std::optional<std::string> sql_help(const std::vector<std::string>& words);
/// \?
std::string meta_help();

}  // namespace backstream::app::shell
