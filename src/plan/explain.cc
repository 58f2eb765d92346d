#include "plan/explain.h"

#include <fmt/format.h>

#include <algorithm>

#include "lookup/lookup_table.h"
#include "plan/bind.h"
#include "plan/boxes.h"
#include "plan/split.h"
#include "plan/travel.h"

namespace backstream::plan {

using base::fail;

namespace {

constexpr base::Micros kShippedPaneMax = 60 * base::kMicrosPerSecond;
/// Whose groups do not need each other; a query is completed in one place all the same (docs/design/0028).
constexpr const char* kOnItsWorker = "merge: on the worker that completes the query";

std::string window_text(const Stage& stage) {
  const Window& w = stage.window;
  const auto column = [&] { return stage.input.columns[static_cast<size_t>(w.time_column)].name; };
  std::string offset = w.offset_us == 0 ? "" : fmt::format(", offset {}", base::format_duration(w.offset_us));
  switch (w.kind) {
    case Window::Kind::kNone: return "none";
    case Window::Kind::kTumble:
      if (w.calendar) return fmt::format("tumble of {} by {}", w.calendar->text(), column());
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

std::string list_of(const std::vector<std::string>& items) {
  std::string list;
  for (const std::string& item : items) list += (list.empty() ? "" : ", ") + item;
  return list;
}

/// "1,234,567".
std::string count_text(uint64_t count) {
  const std::string digits = std::to_string(count);
  std::string text;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) text += ',';
    text += digits[i];
  }
  return text;
}

std::string octets_text(uint64_t octets) {
  constexpr uint64_t kKilo = 1'000, kMega = 1'000'000;
  if (octets >= 10 * kMega) return fmt::format("{:.1f} MB", static_cast<double>(octets) / kMega);
  if (octets >= 10 * kKilo) return fmt::format("{:.1f} kB", static_cast<double>(octets) / kKilo);
  return fmt::format("{} octets", octets);
}

std::string spread_text(const Stage& stage) {
  const Spread& spread = *stage.spread;
  const auto name = [&](int column) { return stage.input.columns[static_cast<size_t>(column)].name; };
  std::vector<std::string> divided;
  for (const int column : spread.additive) {
    if (stage.input_used[static_cast<size_t>(column)]) divided.push_back(name(column));
  }
  return fmt::format("from {} to {} over panes of {}, dividing {}", name(spread.start_column), name(spread.end_column),
                     base::format_duration(spread.pane_us), divided.empty() ? "nothing" : list_of(divided));
}

/// A distance of times as it is added to a name: " + 3 s".
std::string distance_text(Micros distance) {
  if (distance == 0) return "";
  return fmt::format(" {} {}", distance < 0 ? '-' : '+', base::format_duration(distance < 0 ? -distance : distance));
}

/// Makes the operators of one query. The shape is that of the query: source or inputs, then stages.
class Shower {
 public:
  Shower(const Query& query, const ExplainOptions& options, const QueryActivity* activity)
      : query_(query), options_(options), activity_(activity) {}

  std::vector<PlanOperator> operators() {
    const Stage& first = query_.stages.front();
    const bool stream = query_.inputs.empty() && query_.source.kind == Relation::Kind::kStream;
    size_t next = 0;
    if (!query_.inputs.empty()) {
      add_inputs(first);
      next = 1;
    } else {
      add_source(first, stream);
    }
    if (first.aggregates_rows && stream && first.window.kind != Window::Kind::kInherited) {
      add_halves(first);
      next = 1;
    }
    for (; next < query_.stages.size(); ++next) add_stage(next, stream);
    return std::move(operators_);
  }

 private:
  void open(std::string label) { operators_.push_back({std::move(label), {}, {}}); }
  void fact(std::string_view name, std::string text) {
    operators_.back().facts.emplace_back(std::string(name), std::move(text));
  }
  const StageActivity* activity_of(size_t stage) const {
    return activity_ != nullptr && stage < activity_->stages.size() ? &activity_->stages[stage] : nullptr;
  }

  void add_inputs(const Stage& first) {
    for (size_t i = 0; i < query_.inputs.size(); ++i) {
      const QueryActivity* own = activity_ != nullptr && i < activity_->inputs.size() ? &activity_->inputs[i] : nullptr;
      open(fmt::format("input {} of {}", i + 1, query_.inputs.size()));
      operators_.back().operators = Shower(*query_.inputs[i], options_, own).operators();
    }
    if (first.join) return add_join(first);
    if (first.boxes) return add_boxes(*first.boxes);
    open(fmt::format("union all (rows of {})", first.window.kind == Window::Kind::kNone
                                                   ? "all inputs, as they come"
                                                   : "a window together, when all inputs are past it"));
    if (options_.distributed) {
      fact("runs", "merge: on one worker for all rows");
      fact("watermark", "that of the input that is furthest behind");
    }
    add_counters(0);
  }

  void add_boxes(const Boxes& boxes) {
    open("boxes (rows in the order of arrival, edge, input, place)");
    if (options_.distributed) fact("runs", "global: one worker for all rows");
    std::vector<std::string> times;
    for (const Boxes::Source& source : boxes.sources)
      times.push_back(
          fmt::format("{}.{}", times.size() + 1, source.schema.columns[static_cast<size_t>(source.order_column)].name));
    fact("times", list_of(times));
    for (const Boxes::Box& box : boxes.boxes) fact(box.name, describe(boxes, box));
    if (options_.distributed) fact("watermark", "that of the input that is furthest behind");
    add_counters(0);
  }

  void add_join(const Stage& stage) {
    const Join& join = *stage.join;
    const batch::Schema& left = query_.inputs[0]->output();
    const batch::Schema& right = query_.inputs[1]->output();
    const auto name = [](const batch::Schema& schema, int column) {
      return schema.columns[static_cast<size_t>(column)].name;
    };
    static constexpr const char* kKinds[] = {"inner", "left", "right", "full", "semi", "anti"};
    open(fmt::format("{} join of inputs 1 and 2, by {}", kKinds[static_cast<size_t>(join.kind)],
                     join.by_window ? "window" : "time"));
    std::vector<std::string> keys;
    for (const Join::Key& key : join.keys)
      keys.push_back(fmt::format("1.{} = 2.{}", name(left, key.left), name(right, key.right)));
    if (options_.distributed) {
      fact("runs", keys.empty() ? "global: one worker for all rows" : kOnItsWorker);
    }
    fact("keys", keys.empty() ? "none: every row meets every other" : list_of(keys));
    if (join.by_window) {
      fact("holds", "both sides, a window until both are past it; its rows come together");
    } else {
      const std::string first = "1." + name(left, join.left.time_column);
      const std::string second = "2." + name(right, join.right.time_column);
      const std::string least = distance_text(join.least_us), greatest = distance_text(join.greatest_us);
      fact("bounds", fmt::format("{} from {}{} to {}{}", second, first, least, first, greatest));
      fact("holds", fmt::format("input 1 until input 2 is past {}{}; input 2 until input 1 is past {}{}", first,
                                greatest, second, distance_text(-join.least_us)));
      if (join.keeps_left() || join.keeps_right()) {
        const char* which = join.kind == Join::Kind::kFull ? "1 and 2" : join.keeps_left() ? "1" : "2";
        fact("alone", fmt::format("rows of input {} come when no partner can", which));
      }
    }
    if (join.condition) {
      batch::Schema row = stage.input;
      for (size_t c = 0; c < row.columns.size(); ++c)
        row.columns[c].name.insert(0, c < left.columns.size() ? "1." : "2.");
      fact("condition", expr::to_string(*join.condition, row));
    }
    if (options_.distributed) fact("watermark", "that of the input that is further behind");
    add_counters(0);
  }

  void add_source(const Stage& first, bool stream) {
    std::vector<std::string> columns;
    for (size_t c = 0; c < first.input_used.size(); ++c) {
      const bool of_source = first.lookups.empty() || static_cast<int>(c) < first.lookups[0].first_column;
      if (first.input_used[c] && of_source) columns.push_back(first.input.columns[c].name);
    }
    const Relation& source = query_.source;
    open(fmt::format("source {} {}{}", stream ? "stream" : "view", source.name,
                     source.comment.empty() ? "" : fmt::format(" ({})", source.comment)));
    fact("columns", columns.empty() ? "none" : list_of(columns));
    if (const auto& cut = query_.options.truncation)
      fact("truncate", fmt::format("addresses to /{} and /{}", cut->v4_bits, cut->v6_bits));
    if (first.spread) fact("spread", spread_text(first));
    const auto& beside = batch::side_streams();  // Have no watermark but our clock's.
    const bool arrival =
        std::any_of(beside.begin(), beside.end(), [&](const auto& one) { return one.name == source.name; }) ||
        (first.window.time_column >= 0 && first.window.time_column == source.arrival_column);
    if (options_.distributed && stream) {
      std::string held = arrival ? "our clock less 1 s: no exporter holds it"
                                 : "the least over active exporters of (highest event time - delay): the exporter that "
                                   "is furthest behind holds it";
      if (!arrival && (query_.options.delay_us || source.delay_us)) {
        held += fmt::format("; delay {}",
                            base::format_duration(query_.options.delay_us.value_or(source.delay_us.value_or(0))));
      }
      fact("watermark", std::move(held));
    } else if (options_.distributed) {
      fact("watermark", "the final frontier of the view");
    }
    if (activity_ != nullptr && stream && !arrival && options_.buffers && !activity_->held_by.empty())
      fact("held by", activity_->held_by);
  }

  void add_halves(const Stage& stage) {
    const SplitPlan plan = split(query_, kShippedPaneMax);
    const bool session = stage.window.kind == Window::Kind::kSession;
    open("edge (where flows arrive)");
    if (options_.distributed) fact("runs", edge_place());
    fact("window", window_text(stage));
    fact("panes", base::format_duration(plan.edge.pane_us));
    add_aggregation(stage);
    if (options_.distributed) {
      fact("group", group_octets(stage));
      const std::string_view what = travel_of(query_) == Travel::kEither
                                        ? "the groups of a pane (keys, partial states), or rows,"
                                        : "the groups of a pane (keys, partial states)";
      fact("ships",
           query_.options.placement.where == Placement::Where::kCentral
               ? "nothing more: the flows are there"
               : fmt::format("{} when the edge's watermark passes its end, at least every {}; then its frontier", what,
                             base::format_duration(plan.edge.pane_us)));
      add_travel();
    }
    if (const StageActivity* own = activity_of(0)) {
      std::string rows = count_text(own->rows_in) + " in" + rate(own->rows_in);
      for (const auto& [count, name] :
           {std::pair{own->filtered, "filtered"}, {own->late, "late"}, {own->errored, "left out"}}) {
        if (count != 0) rows += fmt::format(", {} {}", count_text(count), name);
      }
      fact("rows", std::move(rows));
      if (options_.buffers) {
        fact("made", fmt::format("{} panes with {} groups", count_text(own->panes), count_text(own->pane_groups)));
        if (own->shipped_messages != 0) {
          fact("shipped",
               fmt::format("{} in {} messages", octets_text(own->shipped_octets), count_text(own->shipped_messages)));
        }
      }
    }
    open("merge");
    if (options_.distributed) {
      fact("runs", stage.keys.empty() ? "merge: on one worker, there is one group a window" : kOnItsWorker);
    }
    if (session) {
      fact("combine", "groups of panes, by the time between them");
    } else if (plan.merge.panes_per_window == 0) {
      fact("combine", "the panes of a window");
    } else {
      fact("combine", fmt::format("{} pane{} to a window", plan.merge.panes_per_window,
                                  plan.merge.panes_per_window == 1 ? "" : "s"));
    }
    fact("closes", fmt::format("when the watermark of all exporters passes the window's end{}",
                               query_.options.allowed_lateness_us == 0
                                   ? std::string()
                                   : fmt::format("; revised for {} more",
                                                 base::format_duration(query_.options.allowed_lateness_us))));
    if (query_.options.emit == QueryOptions::Emit::kOnChange) {
      fact("emits", fmt::format("before that too, as groups change, at most every {} of the stream's time",
                                base::format_duration(query_.options.every_us)));
    }
    if (query_.options.delay_us) fact("delay", base::format_duration(*query_.options.delay_us));
    if (options_.distributed)
      fact("watermark", "the least frontier of all edges: the edge that is furthest behind holds it");
    add_tail(stage);
    if (const StageActivity* own = activity_of(0)) {
      fact("rows", fmt::format("{} out{}", count_text(own->rows_out), rate(own->rows_out)));
      if (own->windows != 0 || own->groups != 0)
        fact("windows", fmt::format("{} closed, {} groups", count_text(own->windows), count_text(own->groups)));
      if (options_.buffers && own->state_octets != 0)
        fact("state", fmt::format("{} at most, edges and merge", octets_text(own->state_octets)));
    }
  }

  void add_stage(size_t index, bool stream) {
    const Stage& stage = query_.stages[index];
    const char* reads = "merge (final rows of the stage above)";
    if (index == 0) reads = stream ? "edge (row by row)" : "merge (final rows of the view)";
    else if (stage.analytic && stage.window.kind == Window::Kind::kNone)
      reads = "merge (rows of the stage above, in order of time)";
    open(reads);
    if (options_.distributed) fact("runs", place(index, stream));
    fact("window", window_text(stage));
    if (stage.analytic) add_analytic(stage);
    else if (stage.aggregates_rows) add_aggregation(stage);
    else add_lookups(stage);
    if (!stage.analytic && !stage.aggregates_rows && stage.where)
      fact("filter", expr::to_string(*stage.where, stage.grouped));
    if (options_.distributed && stage.aggregates_rows) fact("group", group_octets(stage));
    if (options_.distributed && index == 0 && stream) add_travel();
    add_tail(stage);
    add_counters(index);
  }

  static std::string sent_text(const EdgeTraffic::Sent& sent) {
    std::string what;
    if (sent.groups != 0 || sent.rows == 0) what = count_text(sent.groups) + " groups";
    if (sent.rows != 0) what += fmt::format("{}{} rows", what.empty() ? "" : " and ", count_text(sent.rows));
    return fmt::format("{} as {} in {} messages, {} with zstd", what, octets_text(sent.octets),
                       count_text(sent.messages), octets_text(sent.compressed_octets));
  }
  /// What travels takes: by the columns and aggregates, and, where it was measured, by edge.
  void add_travel() {
    fact("travels", travel_text(query_));
    const TravelEstimate estimate = estimate_travel(query_);
    std::string text = fmt::format("a row is about {} octets on the way", estimate.row_octets);
    if (estimate.group_octets != 0) {
      text = fmt::format("a group is about {} octets on the way, a row {}: panes are less ", estimate.group_octets,
                         estimate.row_octets);
      if (estimate.group_octets <= estimate.row_octets) text += "whatever the traffic";
      else
        text += fmt::format("from {:.1f} rows a group on",
                            static_cast<double>(estimate.group_octets) / static_cast<double>(estimate.row_octets));
    }
    fact("estimate", text + " (before compression; IPv4, one row a group, integers at full width or about 1,000)");
    if (activity_ == nullptr || !options_.buffers) return;
    for (size_t e = 0; e < activity_->traffic.size(); ++e) {
      const EdgeTraffic& traffic = activity_->traffic[e];
      std::string sent = "sends " + sent_text(traffic.sent);
      if (traffic.as_panes) sent += fmt::format("; all as panes: {}", sent_text(*traffic.as_panes));
      if (traffic.as_rows) sent += fmt::format("; all as rows: {}", sent_text(*traffic.as_rows));
      if (e < activity_->exports.size() && activity_->exports[e].datagrams != 0) {
        sent += fmt::format("; got the flow export as {} in {} datagrams", octets_text(activity_->exports[e].octets),
                            count_text(activity_->exports[e].datagrams));
      }
      fact(fmt::format("edge {}", e + 1), std::move(sent));
    }
    operators_.back().traffic = activity_->traffic;
    operators_.back().exports = activity_->exports;
  }

  /// Where what reads flows runs.
  std::string edge_place() const {
    const Placement& placement = query_.options.placement;
    if (placement.where == Placement::Where::kCentral) return "merge: edges send their flows as they are";
    if (placement.sites.empty()) return "edge: every node that flows arrive at";
    return fmt::format("edge: every node that flows of {} arrive at", list_of(placement.sites));
  }
  /// Where a stage that is not cut in two would run.
  std::string place(size_t index, bool stream) const {
    const Stage& stage = query_.stages[index];
    if (index == 0 && stream) {
      const bool central = query_.options.placement.where == Placement::Where::kCentral;
      return edge_place() + (central ? "" : "; rows are shipped");
    }
    if (stage.analytic) {
      const auto& by = stage.analytic->partition_by;
      if (std::any_of(by.begin(), by.end(), [&](int column) { return column != window_start_of(index); }))
        return kOnItsWorker;
      return stage.analytic->across_windows ? "global: one worker for all rows"
                                            : "global: one worker for a window's rows";
    }
    if (stage.aggregates_rows) {
      return stage.keys.empty() ? "global: one worker for a window's rows" : kOnItsWorker;
    }
    return "merge: where its rows are made";
  }
  /// The column of a stage's input that is its window's start; -1: none.
  int window_start_of(size_t index) const {
    const int known = index == 0 ? query_.source.time_column : query_.stages[index - 1].window_start_output;
    return known >= 0 ? known : query_.stages[index].input.find("window_start");
  }

  void add_tail(const Stage& stage) {
    if (stage.having) fact("having", expr::to_string(*stage.having, stage.grouped));
    std::vector<std::string> outputs;
    for (size_t o = 0; o < stage.output.columns.size(); ++o) {
      const bool number = static_cast<int>(o) == stage.number_output;
      const std::string text = number ? "row_number()" : expr::to_string(*stage.outputs[o], stage.grouped);
      const std::string& name = stage.output.columns[o].name;
      outputs.push_back(text == name ? text : fmt::format("{} AS {}", text, name));
    }
    fact("output", list_of(outputs));
    if (stage.distinct) fact("distinct", "rows of a window");
    if (!stage.order_by.empty()) {
      std::vector<std::string> keys;
      for (const SortKey& key : stage.order_by) {
        std::string text = expr::to_string(*stage.outputs[static_cast<size_t>(key.output)], stage.grouped);
        if (key.descending) text += " DESC";
        if (key.nulls_first != key.descending) text += key.nulls_first ? " NULLS FIRST" : " NULLS LAST";
        keys.push_back(std::move(text));
      }
      fact("order by", fmt::format("{} (ties: all columns)", list_of(keys)));
    }
    if (stage.limit || stage.offset != 0) {
      std::string rows;
      if (stage.limit) rows = fmt::format("{} row{}", *stage.limit, *stage.limit == 1 ? "" : "s");
      if (stage.offset != 0) rows += fmt::format("{}after the first {}", stage.limit ? " " : "", stage.offset);
      std::string of = "of each window";
      for (const int output : stage.limit_by) {
        of += (output == stage.limit_by.front() ? " by " : ", ");
        of += stage.output.columns[static_cast<size_t>(output)].name;
      }
      if (stage.number_output >= 0)
        of += ", numbered as " + stage.output.columns[static_cast<size_t>(stage.number_output)].name;
      fact("limit", fmt::format("{} {}{}", rows, of, stage.rest_output < 0 ? "" : "; all beyond as one more row"));
    }
    if (options_.distributed && (!stage.order_by.empty() || stage.limit || stage.distinct)) {
      fact("then", stage.limit ? "global: each worker sends its first rows, one of them takes the first of all"
                               : "global: one worker puts the rows of all together");
    }
  }

  /// Lookup tables, in the order in which they are read.
  void add_lookups(const Stage& stage) {
    if (stage.lookup_where) fact("filter", expr::to_string(*stage.lookup_where, stage.input));
    for (const LookupStep& step : stage.lookups) {
      const lookup::TableDefinition& table = step.table->definition();
      const auto name = [&](uint32_t column) {
        return fmt::format("{}.{}", table.name, table.schema.columns[column].name);
      };
      std::string keys, read;
      for (size_t k = 0; k < step.keys.size(); ++k) {
        const std::string value = expr::to_string(*step.keys[k], stage.input);
        keys += keys.empty() ? "" : " AND ";
        keys += step.by == LookupStep::By::kPrefix ? fmt::format("longest {} around {}", name(step.columns[k]), value)
                                                   : fmt::format("{} = {}", name(step.columns[k]), value);
      }
      if (step.filter) keys += fmt::format(" AND {}", expr::to_string(*step.filter, table.schema));
      if (step.condition) keys += fmt::format(" AND {}", expr::to_string(*step.condition, stage.input));
      for (uint32_t c = 0; c < table.schema.columns.size() && !step.test; ++c) {
        if (stage.input_used[static_cast<size_t>(step.first_column) + c])
          read += (read.empty() ? "; reads " : ", ") + table.schema.columns[c].name;
      }
      const char* kind = step.test ? (step.in ? "in" : "exists") : step.inner ? "join" : "left join";
      fact("lookup", fmt::format("{} {}{}", kind, keys, read));
    }
  }

  void add_aggregation(const Stage& stage) {
    add_lookups(stage);
    if (stage.where) fact("filter", expr::to_string(*stage.where, stage.input));
    std::string keys = "window";
    for (const std::string& label : stage.key_labels) keys += ", " + label;
    fact("group by", keys);
    for (const AggregateCall& call : stage.aggregates) {
      std::string text = fmt::format("{}   partial: {}; ", call.label, call.function->partial_form);
      if (options_.distributed) {
        text += fmt::format("merge: {}; {} octets a group; ", merge_form(*call.function), call.function->state_octets);
      }
      fact("aggregate", text + (call.function->result_class == agg::ResultClass::kExact ? "exact" : "bounded"));
    }
  }

  static std::string group_octets(const Stage& stage) {
    uint64_t key_bits = 0, state = 0;
    bool growing = false;
    for (size_t k = 0; k < stage.keys.size(); ++k) {
      const batch::ColumnDef& column = stage.grouped.columns[2 + k];
      key_bits += column.value_bits != 0 ? column.value_bits : column.type == batch::Type::kInet ? 32 : 64;
      growing |= batch::physical(column.type) == batch::Physical::kText;
    }
    for (const AggregateCall& call : stage.aggregates) state += (call.function->state_octets + 7) / 8 * 8;
    const uint64_t key = std::max<uint64_t>((key_bits + 63) / 64, 1) * 8;
    return fmt::format("{} octets in memory (key {}, states {}){}", key + state, key, state,
                       growing ? ", and its texts" : "");
  }

  void add_analytic(const Stage& stage) {
    const Analytic& analytic = *stage.analytic;
    const auto name = [&](int column) { return stage.input.columns[static_cast<size_t>(column)].name; };
    fact("analytic", !analytic.across_windows ? "in each window"
                     : analytic.looks_ahead()
                         ? "across windows; rows wait for what their functions need, then come one by one"
                     : stage.window.kind == Window::Kind::kNone ? "along the stream"
                                                                : "across windows");
    std::vector<std::string> names;
    for (const int column : analytic.partition_by) names.push_back(name(column));
    if (!names.empty()) fact("partition", "by " + list_of(names));
    names.clear();
    for (const Analytic::Order& key : analytic.order_by) {
      std::string text = name(key.column) + (key.descending ? " DESC" : "");
      if (key.nulls_first != key.descending) text += key.nulls_first ? " NULLS FIRST" : " NULLS LAST";
      names.push_back(std::move(text));
    }
    if (!names.empty()) fact("order by", list_of(names) + " (ties: all columns)");
    for (const AnalyticCall& call : analytic.calls) fact("function", call.label);
    if (!analytic.across_windows) return;
    std::string kept =
        analytic.rows_before > 1 ? fmt::format("its last {} rows", analytic.rows_before) : "its last row";
    if (analytic.range_before_us > 0)
      kept += fmt::format(" and those of {}", base::format_duration(analytic.range_before_us));
    fact("keeps", fmt::format("of each partition {}; forgets it when idle for {} more", kept,
                              base::format_duration(kPartitionIdleUs)));
  }

  void add_counters(size_t index) {
    const StageActivity* own = activity_of(index);
    if (own == nullptr) return;
    std::string rows =
        fmt::format("{} in{}, {} out", count_text(own->rows_in), rate(own->rows_in), count_text(own->rows_out));
    for (const auto& [count, name] :
         {std::pair{own->filtered, "filtered"}, {own->late, "late"}, {own->errored, "left out"}}) {
      if (count != 0) rows += fmt::format(", {} {}", count_text(count), name);
    }
    fact("rows", std::move(rows));
    if (own->windows != 0) {
      fact("windows", own->groups == 0
                          ? fmt::format("{} closed", count_text(own->windows))
                          : fmt::format("{} closed, {} groups", count_text(own->windows), count_text(own->groups)));
    }
    if (options_.buffers && own->state_octets != 0) fact("state", octets_text(own->state_octets) + " at most");
  }
  /// " (1,234/s)", or nothing.
  std::string rate(uint64_t count) const {
    if (!options_.timing || activity_ == nullptr || activity_->seconds <= 0) return {};
    return fmt::format(" ({}/s)", count_text(static_cast<uint64_t>(static_cast<double>(count) / activity_->seconds)));
  }

  const Query& query_;
  const ExplainOptions& options_;
  const QueryActivity* activity_;
  std::vector<PlanOperator> operators_;
};

void add_text(const std::vector<PlanOperator>& operators, size_t indent, std::string& out) {
  const std::string margin(indent, ' ');
  for (const PlanOperator& each : operators) {
    out += fmt::format("{}{}\n", margin, each.label);
    for (const auto& [name, text] : each.facts) out += fmt::format("{}  {:<10} {}\n", margin, name, text);
    add_text(each.operators, indent + 2, out);
  }
}

void add_json_text(std::string_view text, std::string& out) {
  out += '"';
  for (const char c : text) {
    if (c == '"' || c == '\\') out += '\\';
    if (static_cast<unsigned char>(c) < 0x20) out += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    else out += c;
  }
  out += '"';
}

void add_json(std::string_view name, const EdgeTraffic::Sent& sent, std::string& out) {
  out += fmt::format(R"(, "{}": {{"messages": {}, "octets": {}, "zstd_octets": {}, "groups": {}, "rows": {}}})", name,
                     sent.messages, sent.octets, sent.compressed_octets, sent.groups, sent.rows);
}
void add_traffic_json(const PlanOperator& each, const std::string& margin, std::string& out) {
  out += ", \"traffic\": [";
  for (size_t e = 0; e < each.traffic.size(); ++e) {
    const EdgeTraffic& traffic = each.traffic[e];
    out += fmt::format("{}\n{}  {{\"edge\": {}", e == 0 ? "" : ",", margin, e + 1);
    add_json("sent", traffic.sent, out);
    if (traffic.as_panes) add_json("as_panes", *traffic.as_panes, out);
    if (traffic.as_rows) add_json("as_rows", *traffic.as_rows, out);
    if (e < each.exports.size()) {
      out += fmt::format(R"(, "export": {{"datagrams": {}, "octets": {}}})", each.exports[e].datagrams,
                         each.exports[e].octets);
    }
    out += '}';
  }
  out += ']';
}

void add_json(const std::vector<PlanOperator>& operators, size_t indent, std::string& out) {
  const std::string margin(indent, ' ');
  out += "[";
  for (size_t i = 0; i < operators.size(); ++i) {
    const PlanOperator& each = operators[i];
    out += fmt::format("{}\n{}{{\"operator\": ", i == 0 ? "" : ",", margin);
    add_json_text(each.label, out);
    out += ", \"facts\": [";
    for (size_t f = 0; f < each.facts.size(); ++f) {
      out += fmt::format("{}\n{}  {{\"name\": ", f == 0 ? "" : ",", margin);
      add_json_text(each.facts[f].first, out);
      out += ", \"text\": ";
      add_json_text(each.facts[f].second, out);
      out += '}';
    }
    out += ']';
    if (!each.operators.empty()) {
      out += ", \"operators\": ";
      add_json(each.operators, indent + 2, out);
    }
    if (!each.traffic.empty()) add_traffic_json(each, margin, out);
    out += '}';
  }
  out += ']';
}

}  // namespace

base::Result<ExplainOptions> bind_explain_options(const std::vector<UnboundOption>& options) {
  ExplainOptions bound;
  const auto is = [](const UnboundOption& option, std::string_view value) { return option.value == value; };
  for (const UnboundOption& option : options) {
    if (option.name == "format") {
      if (!is(option, "json") && !is(option, "text")) {
        return fail("22023", fmt::format("unrecognized value for EXPLAIN option \"format\": \"{}\"", option.value),
                    option.span, "it is text or json");
      }
      bound.json = is(option, "json");
      continue;
    }
    bool* flag = option.name == "distributed" ? &bound.distributed
                 : option.name == "analyze"   ? &bound.analyze
                 : option.name == "timing"    ? &bound.timing
                 : option.name == "buffers"   ? &bound.buffers
                                              : nullptr;
    if (flag == nullptr) {
      for (const std::string_view other : {"verbose", "costs", "settings", "summary", "wal", "generic_plan"}) {
        if (option.name != other) continue;
        return fail("0A000", fmt::format("EXPLAIN option \"{}\" has no meaning here", option.name), option.span,
                    "leave it out: plans have no estimated costs, and show all that is known");
      }
      const auto near = base::nearest_name(option.name, {"distributed", "analyze", "format", "timing", "buffers"});
      return fail("22023", fmt::format("unrecognized EXPLAIN option \"{}\"", option.name), option.span,
                  near.empty() ? "options are distributed, analyze, format, timing and buffers"
                               : fmt::format("did you mean '{}'?", near));
    }
    const bool on = !option.has_value || is(option, "on") || is(option, "true") || is(option, "1");
    if (!on && !is(option, "off") && !is(option, "false") && !is(option, "0"))
      return fail("22023", fmt::format("{} requires a Boolean value", option.name), option.span, "on or off");
    *flag = on;
  }
  return bound;
}

std::string_view merge_form(const agg::AggregateFunction& function) {
  if (function.distinct) return "union of the sets";
  static constexpr std::pair<std::string_view, std::string_view> kForms[] = {
      {"min", "the least"},
      {"max", "the greatest"},
      {"bool_and", "and"},
      {"every", "and"},
      {"bool_or", "or"},
      {"bit_and", "bits and"},
      {"bit_or", "bits or"},
      {"bit_xor", "bits xor"},
      {"first", "the earliest"},
      {"last", "the latest"},
      {"approx_count_distinct", "greatest of each register"},
      {"approx_percentile", "add the buckets"},
      {"percentile_cont", "merge the sorted values"},
      {"percentile_disc", "merge the sorted values"},
      {"entropy", "add the counts"},
      {"topk", "add the counters, keep the heaviest"},
  };
  for (const auto& [name, form] : kForms) {
    if (function.name == name) return form;
  }
  return "add";  // Counts, sums, moments.
}

namespace {

/// Nothing is said where nothing was asked for.
void add_placement(const Placement& placement, ShownPlan& plan) {
  if (placement == Placement()) return;
  PlanOperator shown{fmt::format("placement {}", name(placement.where)), {}, {}};
  shown.facts.emplace_back("sites", placement.sites.empty() ? "all" : list_of(placement.sites));
  for (const Placement::Filter& filter : placement.filters)
    shown.facts.emplace_back("filter", fmt::format("{}: {}", filter.site, filter.condition));
  shown.facts.emplace_back("absent", placement.absent_sites == Placement::AbsentSites::kMark
                                         ? "windows close without sites that are absent, and name them"
                                         : "windows wait for sites that are absent");
  plan.operators.insert(plan.operators.begin(), std::move(shown));
}

}  // namespace

ShownPlan show(const Query& query, const ExplainOptions& options, const QueryActivity* activity) {
  ShownPlan plan;
  plan.title = query.is_view ? fmt::format("view {}", query.name) : "query";
  plan.operators = Shower(query, options, activity).operators();
  if (query.options.has_state_limit()) {
    const double mebi = static_cast<double>(query.options.state_octets_max) / (1 << 20);
    plan.operators.insert(
        plan.operators.begin(),
        {fmt::format("state at most {:.1f} MB on a node; beyond it {}", mebi,
                     query.options.on_limit == QueryOptions::OnLimit::kShed ? "sheds groups" : "is stopped"),
         {},
         {}});
  }
  if (options.distributed) add_placement(query.options.placement, plan);
  if (activity != nullptr && options.timing) plan.title += fmt::format(" (ran for {:.3f} s)", activity->seconds);
  return plan;
}

std::string to_text(const ShownPlan& plan) {
  std::string out = plan.title + '\n';
  add_text(plan.operators, 2, out);
  return out;
}

std::string to_json(const ShownPlan& plan) {
  std::string out = "{\"plan\": ";
  add_json_text(plan.title, out);
  out += ", \"operators\": ";
  add_json(plan.operators, 2, out);
  out += "}\n";
  return out;
}

std::string explain(const Query& query, const ExplainOptions& options, const QueryActivity* activity) {
  const ShownPlan plan = show(query, options, activity);
  return options.json ? to_json(plan) : to_text(plan);
}

std::string explain(const Query& query) { return explain(query, {}); }

}  // namespace backstream::plan
