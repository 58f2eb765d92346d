#pragma once
#include <cstddef>
#include <cstdint>

#include "batch/column_batch.h"

namespace backstream::exec {

/// Hashes of the keys of rows 0 .. n, and which of them can have a partner: null equals nothing. Equal keys, as SQL's =
/// finds them (one NaN, one zero), have equal hashes. Keys are of any type.
/// @param mask      and-ed to each hash: 0 makes all keys collide, a test of what relies on them
/// @param hashes    out
/// @param present   out: 0 where one of the keys is null, else 1
void hash_join_keys(const batch::Column* const* keys, size_t key_count, size_t n, uint64_t mask, uint64_t* hashes,
                    uint8_t* present);

/// Of pairs (a_rows[i], b_rows[i]), i < n, those whose values in the two columns are equal, moved to the front in
/// order. Neither value is null. Returns how many.
size_t keep_equal(const batch::Column& a, const batch::Column& b, uint32_t* a_rows, uint32_t* b_rows, size_t n);

}  // namespace backstream::exec
