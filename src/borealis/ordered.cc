// Boxes whose answer depends on the order of arrival, and all that need their answers.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "borealis/builder.h"

namespace backstream::borealis {

using base::fail;
using plan::UnboundBoxes;

namespace {

/// The fields as columns of one of two inputs.
std::vector<FieldValue> side_of(const OrderedStream& in, std::string_view side) {
  std::vector<FieldValue> made;
  for (const FieldValue& field : in.fields) {
    made.push_back(field.copy());
    made.back().value->names.insert(made.back().value->names.begin(), std::string(side));
  }
  return made;
}

/// The field that an output becomes: a column.
FieldValue column_of(std::string_view name, Family family, bool is_wide, SourceSpan span) {
  FieldValue made;
  made.name = name;
  made.family = family;
  made.is_wide = is_wide;
  made.value = column(name, span);
  return made;
}

Result<void> check_number(const Expression& field, const FieldValue& value) {
  if (value.family == Family::kInteger || value.family == Family::kReal || value.family == Family::kTimestamp)
    return {};
  return fail("42804", fmt::format("\"{}\" is {}: windows are over numbers or times", value.name, name(value.family)),
              field.span);
}
/// A size of windows over integers is one.
Result<void> check_whole(const FieldValue& value, double size, SourceSpan span) {
  if (value.family != Family::kInteger || size == std::floor(size)) return {};
  return fail("22023", fmt::format("\"{}\" is an integer, so {} is no length of it", value.name, size), span);
}

}  // namespace

Result<OrderedStream> Builder::ordered_input(const Box& box, const Name& stream) {
  const auto found = streams_.find(stream.text);
  if (found == streams_.end()) {
    return fail("0A000", fmt::format("\"{}\" is a lookup table", stream.text), stream.span,
                "a table is read by joinstatic, as its second input");
  }
  if (const auto* ordered = std::get_if<OrderedStream>(&found->second)) return ordered->copy();
  if (const auto known = sources_.find(stream.text); known != sources_.end()) return known->second.copy();
  const Rows& rows = std::get<Rows>(found->second);
  Rows source = enclosed(rows.copy());
  const std::string& order = source.arrival_column.empty() ? source.start_column : source.arrival_column;
  if (order.empty()) {
    return fail(
        "0A000", fmt::format("nothing tells the order of the tuples of \"{}\"", stream.text), stream.span,
        fmt::format("\"{}\" depends on it; streams have it, and rows of windows whose start is among them", box.name));
  }
  const bool in_arrival_order = !source.arrival_column.empty();
  if (!sources_.empty() && in_arrival_order_ != in_arrival_order) {
    return fail(
        "0A000",
        fmt::format("\"{}\" and \"{}\": one is windows, the other flows as they arrive, and no order holds for both",
                    source_names_[0], stream.text),
        stream.span, "make windows of both");
  }
  in_arrival_order_ = in_arrival_order;
  if (in_arrival_order) source_inputs_.insert(source_inputs_.end(), source.inputs.begin(), source.inputs.end());
  OrderedStream made;
  made.from.from = static_cast<uint32_t>(boxes_.sources.size());
  for (const FieldValue& field : source.fields)
    made.fields.push_back(column_of(field.name, field.family, field.is_wide, stream.span));
  UnboundBoxes::Source& added = boxes_.sources.emplace_back();
  added.order_column = order;
  added.rows = std::move(source.from->subquery);
  source_names_.push_back(stream.text);
  sources_.emplace(stream.text, made.copy());
  return made;
}

UnboundBoxes::Box& Builder::new_box(const Box& box, UnboundBoxes::Box::Kind kind, const Inputs& inputs) {
  UnboundBoxes::Box& made = boxes_.boxes.emplace_back();
  made.kind = kind;
  made.name = box.name;
  made.span = box.span;
  for (const OrderedStream& in : inputs) made.inputs.push_back(in.from);
  return made;
}

OrderedStream Builder::output_of(size_t port, std::vector<FieldValue> fields) const {
  OrderedStream made;
  made.from.from = OrderedStream::kBoxes + static_cast<uint32_t>(boxes_.boxes.size()) - 1;
  made.from.port = static_cast<uint32_t>(port);
  made.fields = std::move(fields);
  return made;
}

Result<void> Builder::add_ordered(const Box& box) {
  if (std::holds_alternative<StaticJoinBox>(box.kind)) {
    return fail("0A000", fmt::format("\"{}\" looks up what a box in arrival order gives", box.name), box.span,
                "look tuples up before that box");
  }
  Inputs inputs;
  for (const Name& read : box.inputs) {
    auto in = ordered_input(box, read);
    if (!in) return tl::unexpected(std::move(in.error()));
    inputs.push_back(std::move(*in));
  }
  if (std::holds_alternative<FilterBox>(box.kind)) return filter_ordered(box, inputs);
  if (std::holds_alternative<MapBox>(box.kind)) return map_ordered(box, inputs);
  if (std::holds_alternative<UnionBox>(box.kind)) return unite_ordered(box, inputs);
  if (std::holds_alternative<DropBox>(box.kind)) return drop_ordered(box, inputs);
  if (std::holds_alternative<SortBox>(box.kind)) return sort_ordered(box, inputs);
  if (std::holds_alternative<AggregateBox>(box.kind)) return aggregate_ordered(box, inputs);
  if (std::holds_alternative<JoinBox>(box.kind)) return join_ordered(box, inputs);
  return wait_ordered(box, inputs);
}

namespace {

Scope scope_of(const OrderedStream& in) {
  Scope scope;
  scope.add("", in.fields);
  return scope;
}
Result<UnboundExprPtr> field_of(const Expression& field, const Scope& scope) {
  auto found = scope.find(field);
  if (!found) return tl::unexpected(std::move(found.error()));
  return clone(*(*found)->value);
}
/// Columns of a list of fields, and the fields themselves as outputs.
Result<std::vector<UnboundExprPtr>> columns_of(const std::vector<ExpressionPtr>& list, const Scope& scope) {
  std::vector<UnboundExprPtr> made;
  for (const ExpressionPtr& field : list) {
    auto found = field_of(*field, scope);
    if (!found) return tl::unexpected(std::move(found.error()));
    made.push_back(std::move(*found));
  }
  return made;
}

/// Targets of a map or join, and the fields that they become.
struct Targets {
  std::vector<plan::UnboundTarget> targets;
  std::vector<FieldValue> fields;
};
Result<Targets> targets_of(const std::vector<MapBox::Output>& outputs, const Scope& scope) {
  Targets made;
  for (const MapBox::Output& output : outputs) {
    auto lowered = lower_output(output, scope);
    if (!lowered) return tl::unexpected(std::move(lowered.error()));
    made.fields.push_back(column_of(output.name.text, lowered->family, lowered->is_wide, output.name.span));
    made.targets.push_back(aliased(std::move(lowered->value), output.name.text));
  }
  return made;
}

}  // namespace

Result<void> Builder::filter_ordered(const Box& box, const Inputs& inputs) {
  const auto& filter = std::get<FilterBox>(box.kind);
  const Scope scope = scope_of(inputs[0]);
  std::vector<UnboundExprPtr> conditions;
  for (const ExpressionPtr& condition : filter.conditions) {
    auto lowered = lower_condition(*condition, scope);
    if (!lowered) return tl::unexpected(std::move(lowered.error()));
    conditions.push_back(std::move(*lowered));
  }
  UnboundBoxes::Box& made = new_box(box, UnboundBoxes::Box::Kind::kFilter, inputs);
  made.conditions = std::move(conditions);
  made.passes_rest = filter.passes_rest;
  for (size_t port = 0; port < box.outputs.size(); ++port)
    streams_.insert_or_assign(box.outputs[port].text, output_of(port, inputs[0].copy().fields));
  return {};
}

Result<void> Builder::map_ordered(const Box& box, const Inputs& inputs) {
  Scope scope = scope_of(inputs[0]);
  scope.set_numbered();
  auto made = targets_of(std::get<MapBox>(box.kind).outputs, scope);
  if (!made) return tl::unexpected(std::move(made.error()));
  new_box(box, UnboundBoxes::Box::Kind::kMap, inputs).targets = std::move(made->targets);
  streams_.insert_or_assign(box.outputs[0].text, output_of(0, std::move(made->fields)));
  return {};
}

Result<void> Builder::unite_ordered(const Box& box, const Inputs& inputs) {
  const std::vector<FieldValue>& first = inputs[0].fields;
  for (size_t i = 1; i < inputs.size(); ++i) {
    if (auto alike = check_alike(box, i, first, inputs[i].fields); !alike) return alike;
  }
  // SQL has integers of several widths, and strings are addresses or texts; a stream of boxes has one type.
  Inputs united;
  for (const OrderedStream& in : inputs) {
    OrderedStream each = in.copy();
    const bool narrow = std::any_of(each.fields.begin(), each.fields.end(), [](const FieldValue& field) {
      return (field.family == Family::kInteger && !field.is_wide) || field.family == Family::kAddress;
    });
    if (narrow) {
      UnboundBoxes::Box& widened = new_box(box, UnboundBoxes::Box::Kind::kMap, {});
      widened.inputs.push_back(each.from);
      for (FieldValue& field : each.fields) {
        UnboundExprPtr value = clone(*field.value);
        if (field.family == Family::kInteger) value = cast(std::move(value), "bigint");
        if (field.family == Family::kAddress) {
          value = call("host", std::move(value));
          field.family = Family::kString;
        }
        widened.targets.push_back(aliased(std::move(value), field.name));
        field.is_wide = true;
      }
      each = output_of(0, std::move(each.fields));
    }
    united.push_back(std::move(each));
  }
  new_box(box, UnboundBoxes::Box::Kind::kUnion, united);
  streams_.insert_or_assign(box.outputs[0].text, output_of(0, united[0].copy().fields));
  return {};
}

Result<void> Builder::drop_ordered(const Box& box, const Inputs& inputs) {
  UnboundExprPtr kept = kept_by_chance(box, std::get<DropBox>(box.kind).rate, inputs[0].fields, nullptr);
  new_box(box, UnboundBoxes::Box::Kind::kFilter, inputs).conditions.push_back(std::move(kept));
  streams_.insert_or_assign(box.outputs[0].text, output_of(0, inputs[0].copy().fields));
  return {};
}

Result<void> Builder::sort_ordered(const Box& box, const Inputs& inputs) {
  const auto& sort = std::get<SortBox>(box.kind);
  const Scope scope = scope_of(inputs[0]);
  auto order_on = field_of(*sort.order_on, scope);
  if (!order_on) return tl::unexpected(std::move(order_on.error()));
  auto group_by = columns_of(sort.group_by, scope);
  if (!group_by) return tl::unexpected(std::move(group_by.error()));
  UnboundBoxes::Box& made = new_box(box, UnboundBoxes::Box::Kind::kSort, inputs);
  made.order_on = std::move(*order_on);
  made.slack = sort.slack;
  made.group_by = std::move(*group_by);
  streams_.insert_or_assign(box.outputs[0].text, output_of(0, inputs[0].copy().fields));
  return {};
}

Result<void> Builder::aggregate_ordered(const Box& box, const Inputs& inputs) {
  const auto& aggregate = std::get<AggregateBox>(box.kind);
  const Scope scope = scope_of(inputs[0]);
  UnboundBoxes::Box made;
  made.window.by_values = aggregate.by_values;
  made.window.size = aggregate.size;
  made.window.advance = aggregate.advance;
  made.window.timeout_seconds = aggregate.timeout_seconds;
  made.window.slack = aggregate.slack;
  made.window.drops_empty = aggregate.drops_empty;
  made.window.is_aligned = aggregate.is_aligned;
  auto group_by = columns_of(aggregate.group_by, scope);
  if (!group_by) return tl::unexpected(std::move(group_by.error()));
  made.window.group_by = std::move(*group_by);
  // What comes out of the box, and what a map behind it makes of it.
  std::vector<FieldValue> fields;
  std::vector<plan::UnboundTarget> behind;
  bool changes = false;
  const auto put = [&](std::string_view name, Family family, bool is_wide, SourceSpan span,
                       UnboundExprPtr value = nullptr) {
    changes = changes || value != nullptr;
    behind.push_back(aliased(value ? std::move(value) : column(name, span), name));
    fields.push_back(column_of(name, family, is_wide, span));
  };
  for (const ExpressionPtr& key : aggregate.group_by) {
    const FieldValue& field = **scope.find(*key);
    put(field.name, field.family, field.is_wide, key->span);
  }
  if (aggregate.order_on) {
    auto found = scope.find(*aggregate.order_on);
    if (!found) return tl::unexpected(std::move(found.error()));
    const FieldValue& field = **found;
    if (auto number = check_number(*aggregate.order_on, field); !number) return number;
    if (aggregate.by_values) {
      if (auto whole = check_whole(field, aggregate.size, aggregate.size_span); !whole) return whole;
      if (auto whole = check_whole(field, aggregate.advance, aggregate.advance_span); !whole) return whole;
    }
    made.window.order_on = clone(*field.value);
    if (aggregate.ordered_by_field) {
      made.window.start_name = field.name;
      put(field.name, field.family, field.is_wide, aggregate.order_on->span);
    }
  }
  for (const AggregateBox::Function& function : aggregate.functions) {
    auto lowered = lower_aggregate(*function.call, scope, true);
    if (!lowered) return tl::unexpected(std::move(lowered.error()));
    const SourceSpan span = function.call->span;
    made.targets.push_back(aliased(std::move(lowered->call), function.name.text));
    UnboundExprPtr value;
    if (lowered->truncates) value = cast(call("trunc", column(function.name.text, span)), "bigint");
    // A window without a tuple: sums are 0, what has no value is no number, or 0 of integers.
    const bool is_count = function.call->text == "count" || function.call->text == "count_distinct";
    const bool is_number = lowered->family == Family::kInteger || lowered->family == Family::kReal;
    if (!aggregate.drops_empty && !is_count && is_number) {
      const bool is_sum = function.call->text == "sum";
      std::vector<UnboundExprPtr> choice;
      choice.push_back(value ? std::move(value) : column(function.name.text, span));
      choice.push_back(lowered->family == Family::kInteger || is_sum ? integer(0, span)
                                                                     : cast(text("NaN", span), "double precision"));
      value = over(UnboundExpr::Kind::kCoalesce, std::move(choice), span);
    }
    put(function.name.text, lowered->family, true, span, std::move(value));
  }
  UnboundBoxes::Box& added = new_box(box, UnboundBoxes::Box::Kind::kAggregate, inputs);
  added.window = std::move(made.window);
  added.targets = std::move(made.targets);
  if (changes) {
    const OrderedStream raw = output_of(0, {});
    UnboundBoxes::Box& map = new_box(box, UnboundBoxes::Box::Kind::kMap, {});
    map.inputs.push_back(raw.from);
    map.targets = std::move(behind);
  }
  streams_.insert_or_assign(box.outputs[0].text, output_of(0, std::move(fields)));
  return {};
}

Result<void> Builder::join_ordered(const Box& box, const Inputs& inputs) {
  const auto& join = std::get<JoinBox>(box.kind);
  const std::vector<FieldValue> left = side_of(inputs[0], "left"), right = side_of(inputs[1], "right");
  Scope scope;
  scope.add("left", left);
  scope.add("right", right);
  scope.add_word(box.inputs[0].text, 0);
  scope.add_word(box.inputs[1].text, 1);
  auto predicate = lower_condition(*join.predicate, scope);
  if (!predicate) return tl::unexpected(std::move(predicate.error()));
  Targets targets;
  if (!join.outputs.empty()) {
    auto made = targets_of(join.outputs, scope);
    if (!made) return tl::unexpected(std::move(made.error()));
    targets = std::move(*made);
  } else {
    if (auto distinct = check_distinct(box, left, right); !distinct) return distinct;
    for (const auto* side : {&left, &right}) {
      for (const FieldValue& field : *side) {
        targets.targets.push_back(aliased(clone(*field.value), field.name));
        targets.fields.push_back(column_of(field.name, field.family, field.is_wide, box.span));
      }
    }
  }
  UnboundBoxes::Side sides[2];
  for (const size_t s : {size_t{0}, size_t{1}}) {
    const JoinBox::Side& side = s == 0 ? join.left : join.right;
    sides[s].by_values = side.by_values;
    sides[s].size = side.size;
    if (!side.by_values) continue;
    const Scope own = scope_of(inputs[s]);
    auto field = own.find(*side.order_on);
    if (!field) return tl::unexpected(std::move(field.error()));
    if (auto number = check_number(*side.order_on, **field); !number) return number;
    if (auto whole = check_whole(**field, side.size, side.order_on->span); !whole) return whole;
    sides[s].order_on = clone(*(*field)->value);
  }
  UnboundBoxes::Box& made = new_box(box, UnboundBoxes::Box::Kind::kJoin, inputs);
  made.conditions.push_back(std::move(*predicate));
  made.targets = std::move(targets.targets);
  made.left = std::move(sides[0]);
  made.right = std::move(sides[1]);
  made.timeout_seconds = join.timeout_seconds;
  streams_.insert_or_assign(box.outputs[0].text, output_of(0, std::move(targets.fields)));
  return {};
}

Result<void> Builder::wait_ordered(const Box& box, const Inputs& inputs) {
  const auto& wait = std::get<WaitForBox>(box.kind);
  const std::vector<FieldValue> left = side_of(inputs[0], "left"), right = side_of(inputs[1], "right");
  Scope scope;
  scope.add("left", left);
  scope.add("right", right);
  scope.add_word("buffered", 0);
  scope.add_word("enabler", 1);
  scope.add_word(box.inputs[0].text, 0);
  scope.add_word(box.inputs[1].text, 1);
  auto predicate = lower_condition(*wait.predicate, scope);
  if (!predicate) return tl::unexpected(std::move(predicate.error()));
  UnboundBoxes::Box& made = new_box(box, UnboundBoxes::Box::Kind::kWaitFor, inputs);
  made.conditions.push_back(std::move(*predicate));
  made.timeout_seconds = wait.timeout_seconds;
  streams_.insert_or_assign(box.outputs[0].text, output_of(0, inputs[0].copy().fields));
  return {};
}

}  // namespace backstream::borealis
