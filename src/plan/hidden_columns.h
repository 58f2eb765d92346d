#pragma once
#include "batch/column_batch.h"
#include "plan/unbound.h"

namespace backstream::plan {

/// Columns that every view has beside its own: what is known of the revision that a row came with. By name only, not in
/// `*`; a view's own column of the same name comes first.
enum class HiddenColumn : uint8_t {
  kRev,           ///< _rev integer: number of the revision, from 1
  kFinal,         ///< _final boolean: true, views read final rows
  kComplete,      ///< _complete boolean: no row of the window was shed
  kSitesMissing,  ///< _sites_missing text: sites that the window is without, with commas between; '' for none
  kOp,            ///< _op text: 'u', the row is there
};
inline constexpr size_t kHiddenColumnCount = 5;
/// In the order of HiddenColumn.
const batch::Schema& hidden_columns();
/// Whether a clause of the SELECT names one of them.
bool names_hidden_column(const UnboundSelect& select);

}  // namespace backstream::plan
