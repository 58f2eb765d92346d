#include "exec/join_key.h"

#include <algorithm>

#include "batch/key_values.h"

namespace backstream::exec {

using batch::Column;

void hash_join_keys(const Column* const* keys, size_t key_count, size_t n, uint64_t mask, uint64_t* hashes,
                    uint8_t* present) {
  std::fill_n(hashes, n, uint64_t{0});
  std::fill_n(present, n, uint8_t{1});
  if (n == 0) return;  // Of an empty batch there are no arrays.
  for (size_t k = 0; k < key_count; ++k) {
    batch::with_values(*keys[k], [&](const auto* values) {
      for (size_t i = 0; i < n; ++i) hashes[i] = batch::key_hash(hashes[i], values[i]);
    });
    if (!keys[k]->has_nulls) continue;
    for (size_t i = 0; i < n; ++i) present[i] &= keys[k]->validity[i];
  }
  for (size_t i = 0; i < n; ++i) hashes[i] &= mask;
}

size_t keep_equal(const Column& a, const Column& b, uint32_t* a_rows, uint32_t* b_rows, size_t n) {
  return batch::with_values(a, [&](const auto* values) {
    using Value = std::remove_cvref_t<decltype(*values)>;
    const Value* others = b.as<Value>();
    size_t kept = 0;
    for (size_t i = 0; i < n; ++i) {
      const uint32_t a_row = a_rows[i], b_row = b_rows[i];
      a_rows[kept] = a_row;
      b_rows[kept] = b_row;
      kept += batch::same_key(values[a_row], others[b_row]);
    }
    return kept;
  });
}

}  // namespace backstream::exec
