// rest_row = true: a query with ORDER BY and LIMIT gets a column that tells its rows from the row of all the rest.
#include <fmt/format.h>

#include <algorithm>

#include "plan/select_binder.h"

namespace backstream::plan {

using base::fail;
using expr::ExprKind;

Result<void> add_rest_row(Query& query, SourceSpan span) {
  Stage& stage = query.stages.back();
  if (!stage.aggregates_rows || stage.order_by.empty() || !stage.limit) {
    return fail("0A000", "rest_row needs a query with GROUP BY, ORDER BY and LIMIT", span,
                "where row_number() <= n chooses the rows, write ORDER BY ... LIMIT n without it");
  }
  if (stage.offset != 0) return fail("0A000", "rest_row does not go together with OFFSET", span);
  if (stage.distinct) return fail("0A000", "rest_row does not go together with SELECT DISTINCT", span);
  const size_t visible = stage.output.columns.size();
  const auto is_key = [&](int column) { return column >= 2 && column < 2 + static_cast<int>(stage.keys.size()); };
  std::vector<bool> shown(stage.keys.size(), false);
  for (size_t o = 0; o < visible; ++o) {
    const expr::Expr& output = *stage.outputs[o];
    if (output.kind == ExprKind::kColumn) {
      if (is_key(output.column)) shown[static_cast<size_t>(output.column - 2)] = true;
      continue;
    }
    bool reads_key = false;
    expr::walk(output,
               [&](const expr::Expr& part) { reads_key |= part.kind == ExprKind::kColumn && is_key(part.column); });
    if (reads_key) {
      return fail("0A000",
                  fmt::format("the rest row has no value for \"{}\", which is computed from a key",
                              stage.output.columns[o].name),
                  output.span, "select the key itself, and compute with it in a view above");
    }
  }
  for (size_t k = 0; k < shown.size(); ++k) {
    if (shown[k]) continue;
    // Rows that look alike would leave open which of them the rest has.
    return fail("0A000", fmt::format("rest_row needs all keys in the output; \"{}\" is not", stage.key_labels[k]),
                stage.keys[k]->span, "add it to SELECT");
  }
  for (SortKey& key : stage.order_by) key.output += key.output >= static_cast<int>(visible);
  stage.rest_output = static_cast<int>(visible);
  stage.outputs.insert(stage.outputs.begin() + static_cast<long>(visible),
                       expr::make_literal(false, batch::Type::kBool));
  stage.output.columns.push_back({"_rest", batch::Type::kBool, 0});
  return {};
}

}  // namespace backstream::plan
