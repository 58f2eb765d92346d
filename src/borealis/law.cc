// Boxes whose answer does not depend on the order of arrival, as parts of a SELECT.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "borealis/builder.h"

namespace backstream::borealis {

using base::fail;

namespace {

constexpr uint64_t kInlineNodesMax = 16;  ///< a greater value is computed once, in a subquery, before others read it
constexpr double kMicros = 1e6;

bool is_order_dependent(const AggregateBox& box) {
  return std::any_of(box.functions.begin(), box.functions.end(), [](const AggregateBox::Function& function) {
    return function.call->text == "firstval" || function.call->text == "lastval";
  });
}
/// sequence() numbers tuples as they come.
bool is_order_dependent(const MapBox& box) {
  const auto numbers = [](const auto& self, const Expression& e) -> bool {
    return (e.kind == Expression::Kind::kCall && e.text == "sequence") ||
           std::any_of(e.args.begin(), e.args.end(), [&](const ExpressionPtr& arg) { return self(self, *arg); });
  };
  return std::any_of(box.outputs.begin(), box.outputs.end(),
                     [&](const MapBox::Output& output) { return numbers(numbers, *output.value); });
}
bool is_micros(double seconds) {
  const double micros = seconds * kMicros;
  return micros >= 1 && micros < 9e15 && micros == std::floor(micros);
}

Scope scope_of(const Rows& rows, const UnboundExpr* now) {
  Scope scope;
  scope.add("", rows.fields);
  scope.set_now(now);
  return scope;
}
/// When a row arrived, where that is known.
UnboundExprPtr arrival_of(const Rows& rows) {
  return rows.is_stream() ? column(rows.arrival_column, rows.span) : nullptr;
}

/// The rows, their values plain enough to be read more than once.
Rows plain(Rows rows) {
  const bool large = std::any_of(rows.fields.begin(), rows.fields.end(), [](const FieldValue& field) {
    return field.is_needed && node_count(*field.value) > kInlineNodesMax;
  });
  return large ? enclosed(std::move(rows)) : std::move(rows);
}

Result<void> check_size(const Rows& rows) {
  uint64_t nodes = 0;
  for (const FieldValue& field : rows.fields) nodes += node_count(*field.value);
  for (const auto* list : {&rows.where, &rows.having}) {
    for (const UnboundExprPtr& condition : *list) nodes += node_count(*condition);
  }
  if (nodes <= kNodesMax) return {};
  return fail("54001", "the expressions up to here are too large together", rows.span,
              "give a stream before an output of its own, and read that");
}

}  // namespace

Result<FieldValue> lower_output(const MapBox::Output& output, const Scope& scope) {
  auto lowered = lower(*output.value, scope);
  if (!lowered) return tl::unexpected(std::move(lowered.error()));
  if (lowered->family == Family::kBool) {
    return fail("42804", fmt::format("\"{}\" would be a condition, and fields are none", output.name.text),
                output.value->span, "if … then 1 else 0");
  }
  FieldValue made;
  made.name = output.name.text;
  made.family = lowered->family;
  made.is_wide = lowered->is_wide;
  made.is_unsigned = lowered->is_unsigned;
  made.value = value_as(std::move(*lowered), made.family);
  if (output.value->kind == Expression::Kind::kField) {  // A time stays one under another name.
    const FieldValue& same = **scope.find(*output.value);
    made.time_column = same.time_column;
    made.in_whole_seconds = same.in_whole_seconds;
  }
  return made;
}

Result<void> check_alike(const Box& box, size_t i, const std::vector<FieldValue>& first,
                         const std::vector<FieldValue>& fields) {
  const Name &one = box.inputs[0], &other = box.inputs[i];
  if (fields.size() != first.size()) {
    return fail("42601",
                fmt::format("\"{}\" has {} fields, \"{}\" has {}", one.text, first.size(), other.text, fields.size()),
                other.span, "the inputs of a union have the same fields");
  }
  for (size_t f = 0; f < fields.size(); ++f) {
    if (fields[f].name == first[f].name && are_alike(fields[f].family, first[f].family)) continue;
    return fail("42804",
                fmt::format("field {} is \"{}\", {}, in \"{}\", but \"{}\", {}, in \"{}\"", f + 1, first[f].name,
                            name(first[f].family), one.text, fields[f].name, name(fields[f].family), other.text),
                other.span, "a map in front of it gives it the fields of the other");
  }
  return {};
}

Result<void> check_distinct(const Box& box, const std::vector<FieldValue>& fields,
                            const std::vector<FieldValue>& more) {
  for (const FieldValue& field : more) {
    const bool twice =
        std::any_of(fields.begin(), fields.end(), [&](const FieldValue& each) { return each.name == field.name; });
    if (!twice) continue;
    return fail("42710", fmt::format("both inputs of \"{}\" have a field \"{}\"", box.name, field.name), box.span,
                "name what comes out: out-field.0 and out-field-name.0, …");
  }
  return {};
}

UnboundExprPtr port_condition(const std::vector<UnboundExprPtr>& conditions, size_t port) {
  std::vector<UnboundExprPtr> all;
  for (size_t before = 0; before < port; ++before) all.push_back(is_not_true(clone(*conditions[before])));
  if (port < conditions.size()) all.push_back(clone(*conditions[port]));
  return all_of(std::move(all));
}

bool Builder::obeys_law(const Box& box) const {
  const auto is_rows = [&](const Name& stream) {
    const auto found = streams_.find(stream.text);
    return found == streams_.end() || std::holds_alternative<Rows>(found->second);
  };
  if (!std::all_of(box.inputs.begin(), box.inputs.end(), is_rows)) return false;
  if (std::any_of(box.inputs.begin(), box.inputs.end(),
                  [&](const Name& read) { return in_order_.contains(read.text); }))
    return false;
  if (std::holds_alternative<SortBox>(box.kind) || std::holds_alternative<JoinBox>(box.kind) ||
      std::holds_alternative<WaitForBox>(box.kind))
    return false;
  if (const auto* map_box = std::get_if<MapBox>(&box.kind)) return !is_order_dependent(*map_box);
  const auto* aggregate = std::get_if<AggregateBox>(&box.kind);
  if (aggregate == nullptr) return true;
  if (!aggregate->by_values || !aggregate->is_aligned || !aggregate->drops_empty || aggregate->slack > 0 ||
      aggregate->timeout_seconds || is_order_dependent(*aggregate))
    return false;
  const auto found = streams_.find(box.inputs[0].text);
  if (found == streams_.end()) return true;  // A table: it is refused where it is read.
  const Rows& rows = std::get<Rows>(found->second);
  const auto field = std::find_if(rows.fields.begin(), rows.fields.end(),
                                  [&](const FieldValue& each) { return each.name == aggregate->order_on->text; });
  if (field == rows.fields.end() || field->time_column.empty()) return false;
  if (!is_micros(aggregate->size) || !is_micros(aggregate->advance)) return false;
  const bool whole =
      aggregate->size == std::floor(aggregate->size) && aggregate->advance == std::floor(aggregate->advance);
  const auto size = static_cast<int64_t>(aggregate->size * kMicros),
             advance = static_cast<int64_t>(aggregate->advance * kMicros);
  return size % advance == 0 && (whole || !field->in_whole_seconds);
}

Result<std::vector<Rows>> Builder::filter(const FilterBox& filter, Rows rows) {
  rows = plain(std::move(rows));
  const UnboundExprPtr now = arrival_of(rows);
  const Scope scope = scope_of(rows, now.get());
  std::vector<UnboundExprPtr> conditions;
  for (const ExpressionPtr& condition : filter.conditions) {
    auto lowered = lower_condition(*condition, scope);
    if (!lowered) return tl::unexpected(std::move(lowered.error()));
    conditions.push_back(std::move(*lowered));
  }
  std::vector<Rows> ports;
  const size_t count = conditions.size() + filter.passes_rest;
  for (size_t port = 0; port < count; ++port) {
    Rows passed = port + 1 < count ? rows.copy() : std::move(rows);
    (passed.is_grouped ? passed.having : passed.where).push_back(port_condition(conditions, port));
    if (auto fits = check_size(passed); !fits) return tl::unexpected(std::move(fits.error()));
    ports.push_back(std::move(passed));
  }
  return ports;
}

Result<Rows> Builder::map(const MapBox& map, Rows rows) {
  rows = plain(std::move(rows));
  std::vector<FieldValue> outputs;
  {
    const UnboundExprPtr now = arrival_of(rows);
    const Scope scope = scope_of(rows, now.get());
    for (const MapBox::Output& output : map.outputs) {
      auto made = lower_output(output, scope);
      if (!made) return tl::unexpected(std::move(made.error()));
      outputs.push_back(std::move(*made));
    }
  }
  rows.fields = std::move(outputs);
  if (auto fits = check_size(rows); !fits) return tl::unexpected(std::move(fits.error()));
  return rows;
}

namespace {

/// Where one input has an address and another a string, all have texts.
void settle_mixed(std::vector<Rows>& inputs) {
  const auto is_mixed = [&](const Rows& rows) {
    const std::vector<FieldValue>& first = inputs[0].fields;
    for (size_t f = 0; f < std::min(first.size(), rows.fields.size()); ++f) {
      if (first[f].family != rows.fields[f].family && are_alike(first[f].family, rows.fields[f].family)) return true;
    }
    return false;
  };
  if (!std::any_of(inputs.begin(), inputs.end(), is_mixed)) return;
  for (Rows& rows : inputs) settle_addresses(rows.fields);
}

}  // namespace

Result<Rows> Builder::unite(const Box& box, std::vector<Rows> inputs) {
  Rows all;
  all.span = box.span;
  all.selects = 1;
  settle_mixed(inputs);
  for (Rows& rows : inputs) {
    rows = enclosed(std::move(rows));
    all.selects += rows.selects;
    all.inputs.insert(all.inputs.end(), rows.inputs.begin(), rows.inputs.end());
  }
  const Rows& first = inputs[0];
  // Of the times that rows carry beside their fields, those stay that all inputs have in the same columns.
  const auto targets = [](const Rows& rows) -> std::vector<plan::UnboundTarget>& {
    return rows.from->subquery->targets;
  };
  size_t width = targets(first).size();
  for (size_t i = 0; i < inputs.size(); ++i) {
    const Rows& rows = inputs[i];
    if (auto same = check_alike(box, i, first.fields, rows.fields); !same)
      return tl::unexpected(std::move(same.error()));
    size_t alike = rows.fields.size();
    while (alike < std::min(width, targets(rows).size()) &&
           name_of(targets(rows)[alike]) == name_of(targets(first)[alike]))
      ++alike;
    width = alike;
  }
  std::set<std::string> kept;
  for (size_t t = 0; t < width; ++t) kept.insert(name_of(targets(first)[t]));
  const auto if_kept = [&](const std::string& time) { return kept.contains(time) ? time : std::string(); };
  const auto in_all = [&](std::string Rows::*time) {
    return std::all_of(inputs.begin(), inputs.end(), [&](const Rows& rows) { return rows.*time == first.*time; });
  };
  if (in_all(&Rows::arrival_column)) all.arrival_column = if_kept(first.arrival_column);
  if (in_all(&Rows::start_column)) all.start_column = if_kept(first.start_column);
  const bool one_step =
      std::all_of(inputs.begin(), inputs.end(), [&](const Rows& rows) { return rows.step == first.step; });
  if (one_step) all.step = first.step;
  for (size_t f = 0; f < first.fields.size(); ++f) {
    FieldValue field = first.fields[f].copy();
    field.time_column = if_kept(field.time_column);
    for (const Rows& rows : inputs) {
      field.is_wide = field.is_wide && rows.fields[f].is_wide;
      field.in_whole_seconds = field.in_whole_seconds || rows.fields[f].in_whole_seconds;
      if (rows.fields[f].time_column != first.fields[f].time_column) field.time_column.clear();
    }
    all.fields.push_back(std::move(field));
  }
  std::unique_ptr<plan::UnboundSelect> select;
  for (Rows& rows : inputs) {
    targets(rows).resize(width);
    auto next = std::move(rows.from->subquery);
    if (!select) {
      select = std::move(next);
      continue;
    }
    auto both = std::make_unique<plan::UnboundSelect>();
    both->span = box.span;
    both->set_op = plan::UnboundSelect::SetOp::kUnion;
    both->set_all = true;
    both->left = std::move(select);
    both->right = std::move(next);
    select = std::move(both);
  }
  all.from = from_subquery(std::move(select), box.span);
  return all;
}

UnboundExprPtr kept_by_chance(const Box& box, double rate, const std::vector<FieldValue>& fields,
                              const UnboundExpr* arrival) {
  if (rate <= 0 || rate >= 1) {
    auto made = text(rate <= 0 ? "true" : "false", box.span);
    made->kind = UnboundExpr::Kind::kBool;
    return made;
  }
  // Each box has numbers of its own: two in a row take independent shares.
  uint32_t seed = 2'166'136'261;  // FNV-1a
  for (const char c : box.name) seed = (seed ^ static_cast<uint8_t>(c)) * 16'777'619;
  constexpr size_t kFieldsHashedMax = 16;
  UnboundExprPtr all;
  const auto add = [&](const UnboundExpr& value) {
    const auto number = [&] { return integer(static_cast<int64_t>(seed), box.span); };
    std::vector<UnboundExprPtr> args, known;
    args.push_back(clone(value));
    args.push_back(number());
    known.push_back(call("hash64", std::move(args), box.span));
    known.push_back(number());
    UnboundExprPtr hash = over(UnboundExpr::Kind::kCoalesce, std::move(known), box.span);
    all = all ? op("#", std::move(all), std::move(hash)) : std::move(hash);
    ++seed;
  };
  if (arrival != nullptr) add(*arrival);
  size_t hashed = 0;
  for (const FieldValue& field : fields) {
    if (field.is_needed && hashed++ < kFieldsHashedMax) add(*field.value);
  }
  // A hash is as likely to be any number of 64 bits.
  const double bound = std::ldexp(rate - 0.5, 64);
  return op(">=", std::move(all), integer(static_cast<int64_t>(bound), box.span));
}

Result<Rows> Builder::drop(const Box& box, Rows rows) {
  rows = plain(std::move(rows));
  const UnboundExprPtr arrival = arrival_of(rows);
  auto kept = kept_by_chance(box, std::get<DropBox>(box.kind).rate, rows.fields, arrival.get());
  (rows.is_grouped ? rows.having : rows.where).push_back(std::move(kept));
  return rows;
}

namespace {

/// The condition c of sum(if c then 1 else 0), which counts; null: it is no such sum.
const Expression* counted(const Expression& e) {
  if (e.text != "sum" || e.args[0]->kind != Expression::Kind::kIf) return nullptr;
  const auto is = [](const Expression& value, std::string_view digits) {
    return value.kind == Expression::Kind::kInteger && value.text == digits;
  };
  const std::vector<ExpressionPtr>& parts = e.args[0]->args;
  return is(*parts[1], "1") && is(*parts[2], "0") ? parts[0].get() : nullptr;
}

}  // namespace

Result<Aggregate> lower_aggregate(const Expression& e, const Scope& scope, bool ordered) {
  Aggregate made;
  if (e.text == "count") {
    made.call = call("count", std::vector<UnboundExprPtr>{}, e.span);
    made.call->star = true;
    return made;
  }
  if (const Expression* condition = ordered ? nullptr : counted(e)) {
    auto filter = lower_condition(*condition, scope);
    if (!filter) return tl::unexpected(std::move(filter.error()));
    made.call = call("count", std::vector<UnboundExprPtr>{}, e.span);
    made.call->star = true;
    made.call->filter = std::move(*filter);
    return made;
  }
  auto arg = lower(*e.args[0], scope);
  if (!arg) return tl::unexpected(std::move(arg.error()));
  const bool number = arg->family == Family::kInteger || arg->family == Family::kReal;
  if (arg->family == Family::kBool || (!number && (e.text == "sum" || e.text == "avg"))) {
    return fail("42804",
                fmt::format("{}() takes a {}, this is {}", e.text,
                            e.text == "sum" || e.text == "avg" ? "number" : "value", name(arg->family)),
                e.args[0]->span);
  }
  made.family = arg->family;
  UnboundExprPtr value = value_as(std::move(*arg), made.family);
  if (e.text == "count_distinct") {
    made.call = call("count", std::move(value));
    made.call->distinct = true;
    made.family = Family::kInteger;
  } else if (e.text == "firstval" || e.text == "lastval") {
    made.call = call(e.text == "firstval" ? "first" : "last", std::move(value));
  } else {
    made.truncates = e.text == "avg" && made.family == Family::kInteger;
    made.call = call(e.text, std::move(value));
  }
  made.call->span = e.span;
  // Boxes in order compute it in a map of their own, behind.
  if (made.truncates && !ordered) made.call = cast(call("trunc", std::move(made.call)), "bigint");
  return made;
}

Result<Rows> Builder::aggregate(const Box& box, Rows rows) {
  const auto& window = std::get<AggregateBox>(box.kind);
  rows = rows.is_grouped ? enclosed(std::move(rows)) : plain(std::move(rows));
  const UnboundExprPtr now = arrival_of(rows);
  const Scope scope = scope_of(rows, now.get());
  std::vector<FieldValue> outputs;
  std::vector<UnboundExprPtr> keys;
  for (const ExpressionPtr& key : window.group_by) {
    auto field = scope.find(*key);
    if (!field) return tl::unexpected(std::move(field.error()));
    FieldValue made = (*field)->copy();
    made.time_column.clear();
    // A constant is no key: SQL would take a number for a position.
    bool constant = true;
    for_each(*made.value,
             [&](const UnboundExpr& part) { constant = constant && part.kind != UnboundExpr::Kind::kColumn; });
    if (!constant) keys.push_back(clone(*made.value));
    outputs.push_back(std::move(made));
  }
  auto ordered_on = scope.find(*window.order_on);
  if (!ordered_on) return tl::unexpected(std::move(ordered_on.error()));
  const FieldValue& time = **ordered_on;
  const SourceSpan at = window.order_on->span;
  // Of windows that begin where those of the rows do each has the rows of one of them: they are grouped as they come.
  const bool goes_on = rows.joins.empty() && time.time_column == rows.start_column && window.size == rows.step &&
                       window.advance == rows.step;
  const std::string group_start = goes_on ? time.time_column : "window_start";
  if (window.ordered_by_field) {
    FieldValue start;
    start.name = time.name;
    start.family = time.family;
    start.value = column(group_start, at);
    start.time_column = group_start;
    start.in_whole_seconds = time.in_whole_seconds;
    if (time.family != Family::kTimestamp) {
      std::vector<UnboundExprPtr> args;
      args.push_back(text("epoch", at));
      args.push_back(std::move(start.value));
      start.value = call("date_part", std::move(args), at);
      if (time.family == Family::kInteger) start.value = cast(call("floor", std::move(start.value)), "bigint");
    }
    outputs.push_back(std::move(start));
  }
  for (const AggregateBox::Function& function : window.functions) {
    auto lowered = lower_aggregate(*function.call, scope, false);
    if (!lowered) return tl::unexpected(std::move(lowered.error()));
    FieldValue made;
    made.name = function.name.text;
    made.family = lowered->family;
    made.value = std::move(lowered->call);
    outputs.push_back(std::move(made));
  }
  if (!goes_on) {
    rows.window_time = column(time.time_column, at);
    rows.window_size = seconds(window.size, window.size_span);
    if (window.advance != window.size) rows.window_slide = seconds(window.advance, window.advance_span);
  }
  rows.group_by.push_back(column(group_start, at));
  for (UnboundExprPtr& key : keys) rows.group_by.push_back(std::move(key));
  rows.is_grouped = true;
  rows.start_column = rows.arrival_column = {};
  rows.group_start = group_start;
  rows.step = window.advance;
  rows.fields = std::move(outputs);
  if (auto fits = check_size(rows); !fits) return tl::unexpected(std::move(fits.error()));
  return rows;
}

Result<Rows> Builder::join_table(const Box& box, Rows rows) {
  const auto& join = std::get<StaticJoinBox>(box.kind);
  const auto table = tables_.find(box.inputs[1].text);
  if (table == tables_.end()) {
    return fail(
        "0A000", fmt::format("\"{}\" is no lookup table", box.inputs[1].text), box.inputs[1].span,
        "the second input of joinstatic is an <input> that a lookup table is bound to; two streams are put together "
        "by join");
  }
  if (rows.is_grouped || !rows.joins.empty()) rows = enclosed(std::move(rows));
  auto relation = relation_of(*table->second);
  if (!relation) return tl::unexpected(std::move(relation.error()));
  const std::string alias = fmt::format("looked_up_{}", rows.joins.size() + 1);
  // Both sides may have columns of a name.
  const std::string stream = rows.from->kind == plan::UnboundFrom::Kind::kRelation ? rows.from->name : rows.from->alias;
  const auto qualify = [](UnboundExpr& e, const std::string& by) {
    for_each(e, [&](UnboundExpr& part) {
      if (part.kind == UnboundExpr::Kind::kColumn && part.names.size() == 1) part.names.insert(part.names.begin(), by);
    });
  };
  for (FieldValue& field : rows.fields) qualify(*field.value, stream);
  for (UnboundExprPtr& condition : rows.where) qualify(*condition, stream);
  std::vector<FieldValue> looked_up;
  for (const Field& field : diagram_.schemas[table->second->schema].fields) {
    auto value = read_field(**relation, field);
    if (!value) return tl::unexpected(std::move(value.error()));
    qualify(*value->value, alias);
    value->time_column.clear();
    value->is_needed = demand_.needs(box.inputs[1].text, field.name);
    looked_up.push_back(std::move(*value));
  }
  std::vector<FieldValue> outputs;
  UnboundExprPtr on;
  {
    Scope scope;
    scope.add("left", rows.fields);
    scope.add("right", looked_up);
    scope.add_word("input", 0);
    scope.add_word("table", 1);
    scope.add_word(box.inputs[0].text, 0);
    scope.add_word(box.inputs[1].text, 1);
    auto condition = lower_condition(*join.predicate, scope);
    if (!condition) return tl::unexpected(std::move(condition.error()));
    on = std::move(*condition);
    for (const MapBox::Output& output : join.outputs) {
      auto made = lower_output(output, scope);
      if (!made) return tl::unexpected(std::move(made.error()));
      outputs.push_back(std::move(*made));
    }
  }
  if (join.outputs.empty()) {
    if (auto distinct = check_distinct(box, rows.fields, looked_up); !distinct)
      return tl::unexpected(std::move(distinct.error()));
    for (auto* side : {&rows.fields, &looked_up}) std::move(side->begin(), side->end(), std::back_inserter(outputs));
  }
  rows.joins.push_back({(*relation)->name, alias, box.inputs[1].span, std::move(on)});
  rows.fields = std::move(outputs);
  return rows;
}

}  // namespace backstream::borealis
