#pragma once
#include <vector>

#include "base/inet.h"

namespace backstream::base {

/// Prefixes of both families as one set of addresses. Immutable: any thread may ask.
class PrefixSet {
 public:
  PrefixSet() = default;
  /// In any order; they may lie within each other.
  explicit PrefixSet(std::vector<Inet> prefixes);

  bool empty() const noexcept { return prefixes_.empty(); }
  /// Whether one of the prefixes holds the host address. O(log n).
  bool contains(const Inet& host) const noexcept;

 private:
  std::vector<Inet> prefixes_;  ///< none within another, by family and address
};

}  // namespace backstream::base
