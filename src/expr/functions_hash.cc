// hash64(x, seed): XXH3 of 64 bits, the same in every process and version, so that nodes choose alike.
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "expr/function.h"

namespace backstream::expr {
namespace {

using Kind = ScalarFunction::Kind;

int64_t hash_octets(const void* octets, size_t count, int64_t seed) {
  return static_cast<int64_t>(XXH3_64bits_withSeed(octets, count, static_cast<uint64_t>(seed)));
}
int64_t hash_integer(int64_t value, int64_t seed) { return hash_octets(&value, sizeof value, seed); }
int64_t hash_double(double value, int64_t seed) {
  // Values that are equal have one hash: 0 and -0, and every NaN.
  if (value == 0) value = 0;
  if (value != value) value = __builtin_nan("");
  return hash_octets(&value, sizeof value, seed);
}
int64_t hash_bool(uint8_t value, int64_t seed) { return hash_octets(&value, sizeof value, seed); }
int64_t hash_text(std::string_view value, int64_t seed) { return hash_octets(value.data(), value.size(), seed); }
int64_t hash_inet(base::Inet value, int64_t seed) { return hash_octets(&value, sizeof value, seed); }

}  // namespace

void add_hash_functions(std::vector<ScalarFunction>& table) {
  const auto add = [&](Type type, Kernel kernel) {
    table.push_back({Kind::kFunction, "hash64", {type, Type::kInt8}, Type::kInt8, kernel});
  };
  add(Type::kInt8, map2<int64_t, int64_t, int64_t, hash_integer>);
  add(Type::kTimestamptz, map2<int64_t, int64_t, int64_t, hash_integer>);
  add(Type::kMacaddr, map2<int64_t, int64_t, int64_t, hash_integer>);
  add(Type::kFloat8, map2<int64_t, double, int64_t, hash_double>);
  add(Type::kBool, map2<int64_t, uint8_t, int64_t, hash_bool>);
  add(Type::kText, map2<int64_t, std::string_view, int64_t, hash_text>);
  add(Type::kInet, map2<int64_t, base::Inet, int64_t, hash_inet>);
}

}  // namespace backstream::expr
