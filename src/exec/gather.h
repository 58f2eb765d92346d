#pragma once
#include <cstddef>
#include <cstdint>

#include "batch/column_batch.h"

namespace backstream::exec {

/// Rows numbers[0 .. n) of `from` to rows at .. at + n of `to`, which has memory for them and for validity. Text is not
/// copied. `to` has nulls afterwards when `from` has, or when its rows before `at` have.
void gather_column(const batch::Column& from, const uint32_t* numbers, size_t n, batch::Column& to, size_t at = 0);

}  // namespace backstream::exec
