#include <fmt/format.h>

#include "plan/bind.h"
#include "plan/split.h"

namespace backstream::plan {
namespace {

constexpr base::Micros kShippedPaneMax = 60 * base::kMicrosPerSecond;

std::string window_text(const Stage& stage) {
  const Window& w = stage.window;
  const auto column = [&] { return stage.input.columns[static_cast<size_t>(w.time_column)].name; };
  std::string offset = w.offset_us == 0 ? "" : fmt::format(", offset {}", base::format_duration(w.offset_us));
  switch (w.kind) {
    case Window::Kind::kNone: return "none";
    case Window::Kind::kTumble:
      return fmt::format("tumble of {} by {}{}", base::format_duration(w.size_us), column(), offset);
    case Window::Kind::kHop:
      return fmt::format("hop of {} every {} by {}{}", base::format_duration(w.size_us),
                         base::format_duration(w.slide_us), column(), offset);
    case Window::Kind::kSession:
      return fmt::format("session by {}, over after {} of silence", column(), base::format_duration(w.size_us));
    case Window::Kind::kInherited: return "as of the rows below";
  }
  return {};
}

void add_tail(const Stage& stage, std::string& out) {
  if (stage.having) out += fmt::format("    having     {}\n", expr::to_string(*stage.having, stage.grouped));
  std::string outputs;
  for (size_t o = 0; o < stage.output.columns.size(); ++o) {
    const std::string text = expr::to_string(*stage.outputs[o], stage.grouped);
    const std::string& name = stage.output.columns[o].name;
    outputs += (o > 0 ? ", " : "") + (text == name ? text : fmt::format("{} AS {}", text, name));
  }
  out += fmt::format("    output     {}\n", outputs);
  if (stage.distinct) out += "    distinct   rows of a window\n";
  if (!stage.order_by.empty()) {
    std::string keys;
    for (const SortKey& key : stage.order_by) {
      if (!keys.empty()) keys += ", ";
      keys += expr::to_string(*stage.outputs[static_cast<size_t>(key.output)], stage.grouped);
      if (key.descending) keys += " DESC";
      if (key.nulls_first != key.descending) keys += key.nulls_first ? " NULLS FIRST" : " NULLS LAST";
    }
    out += fmt::format("    order by   {} (ties: all columns)\n", keys);
  }
  if (stage.limit || stage.offset != 0) {
    out += "    limit      ";
    if (stage.limit) out += fmt::format("{} rows", *stage.limit);
    if (stage.offset != 0) out += fmt::format("{}after the first {}", stage.limit ? " " : "", stage.offset);
    out += fmt::format(" of each window{}\n", stage.rest_output < 0 ? "" : "; all beyond as one more row");
  }
}

void add_aggregation(const Stage& stage, std::string& out) {
  if (stage.where) out += fmt::format("    filter     {}\n", expr::to_string(*stage.where, stage.input));
  std::string keys = "window";
  for (const std::string& label : stage.key_labels) keys += ", " + label;
  out += fmt::format("    group by   {}\n", keys);
  for (const AggregateCall& call : stage.aggregates) {
    out += fmt::format("    aggregate  {}   partial: {}; {}\n", call.label, call.function->partial_form,
                       call.function->result_class == agg::ResultClass::kExact ? "exact" : "bounded");
  }
}

void add_analytic(const Stage& stage, std::string& out) {
  const Analytic& analytic = *stage.analytic;
  const auto name = [&](int column) { return stage.input.columns[static_cast<size_t>(column)].name; };
  out += "    analytic   ";
  if (!analytic.across_windows) out += "in each window";
  else if (analytic.looks_ahead())
    out += "across windows; rows wait for what their functions need, then come one by one";
  else out += stage.window.kind == Window::Kind::kNone ? "along the stream" : "across windows";
  out += '\n';
  std::string list;
  for (const int column : analytic.partition_by) list += (list.empty() ? "" : ", ") + name(column);
  if (!list.empty()) out += fmt::format("    partition  by {}\n", list);
  list.clear();
  for (const Analytic::Order& key : analytic.order_by) {
    list += (list.empty() ? "" : ", ") + name(key.column) + (key.descending ? " DESC" : "");
    if (key.nulls_first != key.descending) list += key.nulls_first ? " NULLS FIRST" : " NULLS LAST";
  }
  if (!list.empty()) out += fmt::format("    order by   {} (ties: all columns)\n", list);
  for (const AnalyticCall& call : analytic.calls) out += fmt::format("    function   {}\n", call.label);
  if (!analytic.across_windows) return;
  std::string kept = analytic.rows_before > 1 ? fmt::format("its last {} rows", analytic.rows_before) : "its last row";
  if (analytic.range_before_us > 0)
    kept += fmt::format(" and those of {}", base::format_duration(analytic.range_before_us));
  out += fmt::format("    keeps      of each partition {}; forgets it when idle for {} more\n", kept,
                     base::format_duration(kPartitionIdleUs));
}

void add_stages(const Query& query, std::string& out) {
  const Stage& first = query.stages.front();
  const bool stream = query.inputs.empty() && query.source.kind == Relation::Kind::kStream;
  size_t next = 0;
  if (!query.inputs.empty()) {
    for (size_t i = 0; i < query.inputs.size(); ++i) {
      std::string input;
      add_stages(*query.inputs[i], input);
      out += fmt::format("  input {} of {}\n", i + 1, query.inputs.size());
      for (size_t at = 0; at < input.size();) {
        const size_t end = input.find('\n', at) + 1;
        out += "  " + input.substr(at, end - at);
        at = end;
      }
    }
    out += fmt::format("  union all (rows of {})\n", first.window.kind == Window::Kind::kNone
                                                         ? "all inputs, as they come"
                                                         : "a window together, when all inputs are past it");
    next = 1;
  } else {
    std::string columns;
    for (size_t c = 0; c < first.input_used.size(); ++c) {
      if (first.input_used[c]) columns += (columns.empty() ? "" : ", ") + first.input.columns[c].name;
    }
    out += fmt::format("  source {} {}\n", stream ? "stream" : "view", query.source.name);
    out += fmt::format("    columns    {}\n", columns.empty() ? "none" : columns);
    if (const auto& cut = query.options.truncation)
      out += fmt::format("    truncate   addresses to /{} and /{}\n", cut->v4_bits, cut->v6_bits);
  }
  if (first.aggregates_rows && stream && first.window.kind != Window::Kind::kInherited) {
    const SplitPlan plan = split(query, kShippedPaneMax);
    out += fmt::format("  edge (where flows arrive)\n    window     {}\n    panes      {}\n", window_text(first),
                       base::format_duration(plan.edge.pane_us));
    add_aggregation(first, out);
    const bool session = first.window.kind == Window::Kind::kSession;
    out += session ? std::string("  merge\n    combine    groups of panes, by the time between them\n")
                   : fmt::format("  merge\n    combine    {} pane{} to a window\n", plan.merge.panes_per_window,
                                 plan.merge.panes_per_window == 1 ? "" : "s");
    out += fmt::format(
        "    closes     when the watermark of all exporters passes the window's end{}\n",
        query.options.allowed_lateness_us == 0
            ? std::string()
            : fmt::format("; revised for {} more", base::format_duration(query.options.allowed_lateness_us)));
    if (query.options.emit == QueryOptions::Emit::kOnChange) {
      out += fmt::format("    emits      before that too, as groups change, at most every {} of the stream's time\n",
                         base::format_duration(query.options.every_us));
    }
    if (query.options.delay_us)
      out += fmt::format("    delay      {}\n", base::format_duration(*query.options.delay_us));
    add_tail(first, out);
    next = 1;
  }
  for (; next < query.stages.size(); ++next) {
    const Stage& stage = query.stages[next];
    const char* reads = "merge (final rows of the stage above)";
    if (next == 0) reads = stream ? "edge (row by row)" : "merge (final rows of the view)";
    else if (stage.analytic && stage.window.kind == Window::Kind::kNone)
      reads = "merge (rows of the stage above, in order of time)";
    out += fmt::format("  {}\n", reads);
    out += fmt::format("    window     {}\n", window_text(stage));
    if (stage.analytic) add_analytic(stage, out);
    else if (stage.aggregates_rows) add_aggregation(stage, out);
    else if (stage.where) out += fmt::format("    filter     {}\n", expr::to_string(*stage.where, stage.grouped));
    add_tail(stage, out);
  }
}

}  // namespace

std::string explain(const Query& query) {
  std::string out = query.is_view ? fmt::format("view {}\n", query.name) : "query\n";
  if (query.options.has_state_limit()) {
    out += fmt::format("  state        at most {:.1f} MB on a node; beyond it {}\n",
                       static_cast<double>(query.options.state_octets_max) / (1 << 20),
                       query.options.on_limit == QueryOptions::OnLimit::kShed ? "sheds groups" : "is stopped");
  }
  add_stages(query, out);
  return out;
}

void rewrite(Query& query) {
  for (auto& input : query.inputs) rewrite(*input);
  for (Stage& stage : query.stages) {
    // A condition that is always true is no condition.
    for (expr::ExprPtr* condition : {&stage.where, &stage.having}) {
      if (*condition == nullptr || (*condition)->kind != expr::ExprKind::kLiteral) continue;
      const bool* value = std::get_if<bool>(&(*condition)->literal);
      if (value != nullptr && *value) condition->reset();
    }
    for (AggregateCall& call : stage.aggregates) {
      if (call.filter == nullptr || call.filter->kind != expr::ExprKind::kLiteral) continue;
      const bool* value = std::get_if<bool>(&call.filter->literal);
      if (value != nullptr && *value) call.filter.reset();
    }
  }
}

}  // namespace backstream::plan
