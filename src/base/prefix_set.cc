#include "base/prefix_set.h"

#include <algorithm>
#include <tuple>

namespace backstream::base {
namespace {

/// A shorter prefix before those within it.
bool before(const Inet& a, const Inet& b) noexcept {
  return std::tie(a.family, a.hi, a.lo, a.prefix_bits) < std::tie(b.family, b.hi, b.lo, b.prefix_bits);
}

}  // namespace

PrefixSet::PrefixSet(std::vector<Inet> prefixes) {
  for (Inet& prefix : prefixes) prefix = prefix.network();
  std::sort(prefixes.begin(), prefixes.end(), before);
  for (const Inet& prefix : prefixes) {
    if (prefixes_.empty() || !prefixes_.back().contains_or_equals(prefix)) prefixes_.push_back(prefix);
  }
}

bool PrefixSet::contains(const Inet& host) const noexcept {
  const auto after = std::upper_bound(prefixes_.begin(), prefixes_.end(), host, before);
  return after != prefixes_.begin() && std::prev(after)->contains_or_equals(host);
}

}  // namespace backstream::base
