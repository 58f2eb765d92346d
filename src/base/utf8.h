#pragma once
#include <cstddef>
#include <string_view>

namespace backstream::base {

/// Where the first octet stands that is not UTF-8 (RFC 3629) or is zero, which SQL's text may not hold; npos: nowhere.
size_t find_bad_text(std::string_view text);

}  // namespace backstream::base
