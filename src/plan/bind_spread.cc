// Binds spread(relation, start, end, pane) in FROM.
#include <fmt/format.h>

#include <utility>

#include "plan/select_binder.h"

namespace backstream::plan {

using base::fail;

namespace {

constexpr std::string_view kExample = "spread(flows, flow_start, flow_end, interval '60 s')";
constexpr std::string_view kArgs[] = {"rel", "start_time", "end_time", "pane"};

/// Counters by name, for streams that do not say which of their columns are counters of the whole flow.
bool counts_by_name(std::string_view name) {
  return name == "octets" || name == "packets" || name == "octets_raw" || name == "packets_raw";
}

}  // namespace

void note_spread(Stage& stage) {
  if (!stage.spread) return;
  for (const int column : {stage.spread->start_column, stage.spread->end_column})
    stage.input_used[static_cast<size_t>(column)] = true;
}

Result<Input> SelectBinder::bind_spread(SourceSpan span, const std::vector<const UnboundExpr*>& args,
                                        const std::vector<std::string>& arg_names) {
  const UnboundExpr* given[std::size(kArgs)] = {};
  for (size_t i = 0; i < args.size(); ++i) {
    size_t at = i;
    if (i < arg_names.size() && !arg_names[i].empty()) {
      at = static_cast<size_t>(std::find(std::begin(kArgs), std::end(kArgs), arg_names[i]) - std::begin(kArgs));
      if (at == std::size(kArgs)) {
        return fail("42883", fmt::format("spread() has no argument \"{}\"", arg_names[i]), args[i]->span,
                    "arguments are rel, start_time, end_time, pane");
      }
    }
    if (at >= std::size(kArgs))
      return fail("42883", "too many arguments for spread()", args[i]->span, std::string(kExample));
    given[at] = args[i];
  }
  for (size_t i = 0; i < std::size(kArgs); ++i) {
    if (given[i] == nullptr)
      return fail("42883", fmt::format("spread() needs its argument {}", kArgs[i]), span, std::string(kExample));
  }
  if (given[0]->kind != UnboundExpr::Kind::kColumn || given[0]->names.size() != 1)
    return fail("42601", "the first argument of spread() is a stream", given[0]->span, std::string(kExample));
  auto input = bind_name(given[0]->names[0], given[0]->span);
  if (!input) return input;
  if (!input->below.empty() || !input->inputs.empty() || input->source.kind != Relation::Kind::kStream) {
    return fail("0A000", "spread() reads a stream, not a view or subquery", given[0]->span,
                "spread the stream and filter its parts: SELECT ... FROM spread(flows, ...) WHERE ...");
  }
  Spread spread;
  spread.time_column = input->time_column;
  if (spread.time_column < 0) return fail("0A000", "spread() reads a stream with an event time", given[0]->span);
  for (size_t i = 1; i <= 2; ++i) {
    if (given[i]->kind != UnboundExpr::Kind::kColumn)
      return fail("42804", "start and end of spread() are columns", given[i]->span, std::string(kExample));
    const auto column = ExprBinder(*input).find_time_column(*given[i]);
    if (!column) return tl::unexpected(column.error());
    (i == 1 ? spread.start_column : spread.end_column) = *column;
  }
  const auto pane = constant_interval(*given[3], "the pane of spread()");
  if (!pane) return tl::unexpected(pane.error());
  if (*pane <= 0) return fail("22023", "the pane of spread() must be greater than zero", given[3]->span);
  spread.pane_us = *pane;
  for (size_t c = 0; c < input->schema.columns.size(); ++c) {
    const batch::ColumnDef& column = input->schema.columns[c];
    if (batch::is_integer(column.type) && (column.additive || counts_by_name(column.name)))
      spread.additive.push_back(static_cast<int>(c));
  }
  input->spread = std::move(spread);
  input->alias = "spread";
  return input;
}

}  // namespace backstream::plan
