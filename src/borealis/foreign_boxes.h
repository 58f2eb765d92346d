#pragma once
// Inside this room only.
#include <string_view>

namespace backstream::borealis {

/// What there is instead of a type of box that Borealis has and that is not run; empty: it has no such type, or it is
/// run.
std::string_view alternative_to(std::string_view box_type);

}  // namespace backstream::borealis
