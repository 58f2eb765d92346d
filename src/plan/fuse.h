#pragma once
#include "base/diagnostic.h"
#include "plan/query.h"

namespace backstream::plan {

/// A stage that only filters and computes rows of a stream, row by row: what a plain view or a subquery of such rows
/// is. Every field of Stage that would make it anything else has to be looked at here.
bool is_row_stage(const Stage& stage);

/// Puts the row stage `below` into the stage that reads it, so that both run where flows arrive: columns become the
/// expressions that they stand for, and conditions are joined. An expression that nothing reads is never computed.
/// `above` reads a stream's rows with or without a window of its own. Only one of the two may have lookups, and
/// `below` no condition when `above` has them: lookups come before the condition, so they would see rows that it drops.
/// Errors: 54001 when the expressions would become too large: each view that names a column twice doubles it.
base::Result<void> fuse(Stage&& below, Stage& above, base::SourceSpan span);

/// Sets Stage::input_used from the expressions.
void note_input(Stage& stage);

}  // namespace backstream::plan
