#include "plan/stderr_outputs.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace backstream::plan {
namespace {

constexpr std::string_view kError = "sum_stderr", kSum = "sum";

/// The aggregate that the output is, by itself; null: something else.
const AggregateCall* aggregate_of(const Stage& stage, size_t output) {
  const expr::Expr& expression = *stage.outputs[output];
  const size_t first = 2 + stage.keys.size();
  if (!stage.aggregates_rows || expression.kind != expr::ExprKind::kColumn ||
      expression.column < static_cast<int>(first) ||
      static_cast<size_t>(expression.column) - first >= stage.aggregates.size())
    return nullptr;
  return &stage.aggregates[static_cast<size_t>(expression.column) - first];
}

}  // namespace

std::vector<int> stderr_outputs(const Query& query) {
  const Stage& stage = query.stages.back();
  const size_t count = stage.output.columns.size();
  std::vector<int> found(count, -1);
  for (size_t error = 0; error < count; ++error) {
    const AggregateCall* const of = aggregate_of(stage, error);
    if (of == nullptr || of->function->name != kError) continue;
    // Labels tell argument and FILTER: the arguments of sum_stderr() are what its column was scaled from.
    const std::string wanted = std::string(kSum) + of->label.substr(kError.size());
    for (size_t sum = 0; sum < count && found[error] < 0; ++sum) {
      const AggregateCall* const call = aggregate_of(stage, sum);
      if (call != nullptr && call->function->name == kSum && call->label == wanted)
        found[error] = static_cast<int>(sum);
    }
  }
  if (std::all_of(found.begin(), found.end(), [](int of) { return of < 0; })) found.clear();
  return found;
}

}  // namespace backstream::plan
