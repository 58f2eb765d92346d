#pragma once
#include <span>
#include <string_view>

namespace backstream::app {

/// A query of queries/ that a new installation should run: those marked in its README.
struct StarterQuery {
  std::string_view name, text;
};
std::span<const StarterQuery> starter_queries();

}  // namespace backstream::app
