#include "borealis/boxes.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <unordered_set>

#include "borealis/elements.h"
#include "borealis/foreign_boxes.h"
#include "borealis/parameters.h"
#include "borealis/refused.h"

namespace backstream::borealis {
namespace {

using Use = ParameterType::Use;

constexpr std::string_view kRevisionHint = "rows come again with a new revision where they change: leave it out";
constexpr ParameterType kProcessingMode{"processing-mode", Use::kRefused, {}, kRevisionHint},
    kAnchor{"anchor", Use::kRefused, {}, kRevisionHint}, kInverse{"inverse", Use::kRefused, {}, kRevisionHint};
constexpr ParameterType kGroupBy{"group-by"}, kTimeout{"timeout"}, kPredicate{"predicate"}, kSlack{"slack"};
constexpr ParameterType kExpression{"expression", Use::kNumbered},
    kOutputFieldName{"output-field-name", Use::kNumbered};
constexpr ParameterType kOutField{"out-field", Use::kNumbered}, kOutFieldName{"out-field-name", Use::kNumbered};

constexpr auto kFilterParameters =
    std::to_array<ParameterType>({kExpression, {"pass-on-false-port"}, kPredicate, kProcessingMode, kAnchor});
constexpr auto kMapParameters =
    std::to_array<ParameterType>({kExpression, kOutputFieldName, kInverse, kProcessingMode, kAnchor});
constexpr auto kSortParameters = std::to_array<ParameterType>({{"order-on"}, kSlack, kGroupBy});
constexpr auto kAggregateParameters = std::to_array<ParameterType>({
    {"aggregate-function", Use::kNumbered},
    {"aggregate-function-output-name", Use::kNumbered},
    {"window-size-by"},
    {"window-size"},
    {"advance"},
    {"order-by"},
    {"order-on-field"},
    kGroupBy,
    kTimeout,
    kSlack,
    {"drop-empty-outputs"},
    {"independent-window-alignment"},
    {"drop-mode", Use::kRefused, "0", "put a random_drop box before this one"},
    {"last-agg", Use::kRefused, "1", "it belongs to shedding whole windows: leave it out"},
    kProcessingMode,
    kAnchor,
});
constexpr auto kJoinParameters = std::to_array<ParameterType>({kPredicate,
                                                               {"left-order-by"},
                                                               {"left-buffer-size"},
                                                               {"left-order-on-field"},
                                                               {"right-order-by"},
                                                               {"right-buffer-size"},
                                                               {"right-order-on-field"},
                                                               kTimeout,
                                                               kOutField,
                                                               kOutFieldName});
constexpr auto kStaticJoinParameters = std::to_array<ParameterType>({kPredicate, kOutField, kOutFieldName});
constexpr auto kWaitForParameters = std::to_array<ParameterType>({kPredicate, kTimeout});
constexpr auto kDropParameters = std::to_array<ParameterType>({{"drop_rate"}, {"max_batch_size"}});

/// The name, which `names` gets.
Name unique(Name name, std::unordered_set<std::string>& names, std::string_view hint = {}) {
  if (!names.insert(name.text).second) {
    refuse("42701", fmt::format("the field {} is there twice", quoted(name.text)), name.span, std::string(hint));
  }
  return name;
}

ExpressionPtr required_field(const Parameters& parameters, std::string_view name) {
  const Value& value = parameters.required(name);
  std::vector<ExpressionPtr> fields = taken(read_fields(value));
  if (fields.size() > 1) refuse("22023", fmt::format("'{}' is one field", name), fields[1]->span);
  return std::move(fields[0]);
}

std::vector<ExpressionPtr> group_by(const Parameters& parameters) {
  const Value* value = parameters.find(kGroupBy.name);
  if (value == nullptr) return {};
  std::vector<ExpressionPtr> fields = taken(read_fields(*value));
  if (fields.size() > kFieldsMax) {
    refuse("54000", fmt::format("more than {} fields", kFieldsMax), fields[kFieldsMax]->span);
  }
  std::unordered_set<std::string> names;
  for (const ExpressionPtr& field : fields) (void)unique({field->text, field->span}, names);
  return fields;
}

/// A time-out; none: it is absent or negative, which means that there is none.
std::optional<double> timeout_of(const Parameters& parameters) {
  const std::optional<double> seconds = parameters.number(kTimeout.name);
  if (seconds && *seconds > kSecondsMax) {
    refuse("22023", fmt::format("a timeout is at most {} seconds", kSecondsMax), parameters.find(kTimeout.name)->span);
  }
  return seconds && *seconds < 0 ? std::nullopt : seconds;
}

/// A number of tuples, or of the field's values.
double size_of(const Parameters& parameters, std::string_view name, bool by_values, bool may_be_zero) {
  const Value& value = parameters.required(name);
  const double size = *parameters.number(name);
  if (may_be_zero ? size < 0 : size <= 0) {
    refuse("22023", fmt::format("'{}' must {}", name, may_be_zero ? "not be negative" : "be greater than zero"),
           value.span);
  }
  if (!by_values && (size != std::floor(size) || size > static_cast<double>(kTuplesMax))) {
    refuse("22023", fmt::format("'{}' is a whole number of tuples, at most {}", name, kTuplesMax), value.span);
  }
  return size;
}

std::vector<MapBox::Output> outputs_of(const Parameters& parameters, std::string_view values, std::string_view names,
                                       bool needs_names) {
  std::vector<MapBox::Output> outputs;
  std::unordered_set<std::string> seen;
  for (const Parameters::Pair& pair : parameters.numbered(values, names, kFieldsMax, needs_names)) {
    MapBox::Output output;
    output.value = taken(read_expression(*pair.value));
    if (pair.name != nullptr) {
      output.name = unique(name_of(*pair.name), seen);
    } else if (output.value->kind == Expression::Kind::kField) {
      output.name = unique({output.value->text, output.value->span}, seen);
    } else {
      refuse("42601", fmt::format("this value needs a name: '{}.{}'", names, outputs.size()), output.value->span);
    }
    outputs.push_back(std::move(output));
  }
  return outputs;
}

void read_filter(const Parameters& parameters, Box& box) {
  FilterBox filter;
  filter.passes_rest = parameters.flag("pass-on-false-port");
  for (const Value* value : parameters.numbered(kExpression.name, kPortsMax)) {
    filter.conditions.push_back(taken(read_expression(*value)));
  }
  if (const Value* value = parameters.find(kPredicate.name)) {  // What expression.0 was called before.
    if (!filter.conditions.empty()) {
      refuse("42601", "'predicate' and 'expression.0' are the same parameter", value->span, "leave out 'predicate'");
    }
    filter.conditions.push_back(taken(read_expression(*value)));
  }
  if (filter.conditions.empty()) {
    refuse("42601", "filter boxes need the parameter 'expression.0'", parameters.box_span());
  }
  box.kind = std::move(filter);
}

void read_map(const Parameters& parameters, Box& box) {
  MapBox map;
  map.outputs = outputs_of(parameters, kExpression.name, kOutputFieldName.name, true);
  if (map.outputs.empty()) refuse("42601", "map boxes need the parameter 'expression.0'", parameters.box_span());
  box.kind = std::move(map);
}

void read_union(const Parameters&, Box& box) { box.kind = UnionBox(); }

void read_sort(const Parameters& parameters, Box& box) {
  SortBox sort;
  sort.order_on = required_field(parameters, "order-on");
  (void)parameters.required(kSlack.name);
  sort.slack = *parameters.whole_number(kSlack.name, kTuplesMax);
  sort.group_by = group_by(parameters);
  box.kind = std::move(sort);
}

void read_aggregate_window(const Parameters& parameters, AggregateBox& aggregate) {
  constexpr auto kSizeBy = std::to_array<std::string_view>({"values", "tuples"});
  constexpr auto kOrderBy = std::to_array<std::string_view>({"field", "tuplenum"});
  aggregate.by_values = parameters.word("window-size-by", kSizeBy) == "values";
  aggregate.ordered_by_field = parameters.word("order-by", kOrderBy) == "field";
  aggregate.size_span = parameters.required("window-size").span;
  aggregate.advance_span = parameters.required("advance").span;
  aggregate.size = size_of(parameters, "window-size", aggregate.by_values, false);
  aggregate.advance = size_of(parameters, "advance", aggregate.by_values, false);
  if (aggregate.advance > aggregate.size) {
    refuse("22023", "'advance' is longer than 'window-size'", aggregate.advance_span,
           "a filter before this box leaves out what lies between windows");
  }
  if (aggregate.size / aggregate.advance > static_cast<double>(kOverlapMax)) {
    refuse("54000", fmt::format("more than {} windows would hold each tuple", kOverlapMax), aggregate.advance_span);
  }
  if (aggregate.by_values || aggregate.ordered_by_field) {
    aggregate.order_on = required_field(parameters, "order-on-field");
  }
}

void read_aggregate_box(const Parameters& parameters, Box& box) {
  AggregateBox aggregate;
  read_aggregate_window(parameters, aggregate);
  aggregate.group_by = group_by(parameters);
  constexpr std::string_view kOutputs =
      "the outputs are what group-by names, the field of the windows if order-by is FIELD, and the functions";
  std::unordered_set<std::string> names;
  for (const ExpressionPtr& field : aggregate.group_by) names.insert(field->text);
  if (aggregate.ordered_by_field) {
    (void)unique({aggregate.order_on->text, aggregate.order_on->span}, names, kOutputs);
  }
  for (const Parameters::Pair& pair :
       parameters.numbered("aggregate-function", "aggregate-function-output-name", kFieldsMax, false)) {
    AggregateBox::Function function;
    function.call = taken(read_aggregate(*pair.value));
    Name name = pair.name != nullptr ? name_of(*pair.name)
                                     : Name{fmt::format("agg_{}", aggregate.functions.size()), function.call->span};
    function.name = unique(std::move(name), names, kOutputs);
    aggregate.functions.push_back(std::move(function));
  }
  if (aggregate.functions.empty()) {
    refuse("42601", "aggregate boxes need the parameter 'aggregate-function.0'", parameters.box_span());
  }
  aggregate.timeout_seconds = timeout_of(parameters);
  aggregate.slack = parameters.whole_number(kSlack.name, kTuplesMax).value_or(0);
  aggregate.drops_empty = parameters.flag("drop-empty-outputs");
  aggregate.is_aligned = parameters.flag("independent-window-alignment");
  box.kind = std::move(aggregate);
}

JoinBox::Side side_of(const Parameters& parameters, std::string_view side) {
  constexpr auto kOrderBy = std::to_array<std::string_view>({"values", "tuples"});
  JoinBox::Side made;
  made.by_values = parameters.word(fmt::format("{}-order-by", side), kOrderBy) == "values";
  made.size = size_of(parameters, fmt::format("{}-buffer-size", side), made.by_values, true);
  if (made.by_values) made.order_on = required_field(parameters, fmt::format("{}-order-on-field", side));
  return made;
}

void read_join(const Parameters& parameters, Box& box) {
  JoinBox join;
  join.predicate = taken(read_expression(parameters.required(kPredicate.name)));
  join.left = side_of(parameters, "left");
  join.right = side_of(parameters, "right");
  join.timeout_seconds = timeout_of(parameters);
  join.outputs = outputs_of(parameters, kOutField.name, kOutFieldName.name, true);
  box.kind = std::move(join);
}

void read_static_join(const Parameters& parameters, Box& box) {
  StaticJoinBox join;
  join.predicate = taken(read_expression(parameters.required(kPredicate.name)));
  join.outputs = outputs_of(parameters, kOutField.name, kOutFieldName.name, false);
  box.kind = std::move(join);
}

void read_wait_for(const Parameters& parameters, Box& box) {
  WaitForBox wait;
  wait.predicate = taken(read_expression(parameters.required(kPredicate.name)));
  const Value& value = parameters.required(kTimeout.name);
  const std::optional<double> timeout = timeout_of(parameters);
  if (!timeout) refuse("22023", "'timeout' must not be negative", value.span);
  wait.timeout_seconds = *timeout;
  box.kind = std::move(wait);
}

void read_drop(const Parameters& parameters, Box& box) {
  DropBox drop;
  const Value& value = parameters.required("drop_rate");
  drop.rate = *parameters.number("drop_rate");
  if (drop.rate < 0 || drop.rate > 1) refuse("22023", "'drop_rate' is a share from 0 to 1", value.span);
  (void)parameters.number("max_batch_size");  // How many the original drops at once; it does not obey it either.
  box.kind = drop;
}

struct BoxType {
  std::string_view name;
  size_t inputs_min, inputs_max;
  std::span<const ParameterType> parameters;
  void (*read)(const Parameters&, Box&);
};
constexpr auto kBoxTypes = std::to_array<BoxType>({
    {"filter", 1, 1, kFilterParameters, read_filter},
    {"map", 1, 1, kMapParameters, read_map},
    {"union", 1, kPortsMax, {}, read_union},
    {"bsort", 1, 1, kSortParameters, read_sort},
    {"aggregate", 1, 1, kAggregateParameters, read_aggregate_box},
    {"join", 2, 2, kJoinParameters, read_join},
    {"joinstatic", 2, 2, kStaticJoinParameters, read_static_join},
    {"waitfor", 2, 2, kWaitForParameters, read_wait_for},
    {"random_drop", 1, 1, kDropParameters, read_drop},
});

const BoxType& type_of(const Name& name) {
  for (const BoxType& type : kBoxTypes) {
    if (type.name == name.text) return type;
  }
  const std::string_view alternative = alternative_to(name.text);
  if (!alternative.empty()) {
    refuse("0A000", fmt::format("boxes of the type {} are not supported", quoted(name.text)), name.span,
           std::string(alternative));
  }
  std::vector<std::string_view> names;
  for (const BoxType& type : kBoxTypes) names.push_back(type.name);
  const std::string_view nearest = base::nearest_name(name.text, names);
  refuse("42704", fmt::format("there is no type of box {}", quoted(name.text)), name.span,
         nearest.empty() ? fmt::format("there are {}", listed(names)) : did_you_mean(nearest));
}

/// @param ports  the streams of one side
/// @param side   "in" or "out"
void check_ports(const Box& box, const std::vector<Name>& ports, std::string_view side, size_t min, size_t max) {
  if (ports.size() >= min && ports.size() <= max) return;
  const bool is_missing = ports.size() < min;
  const size_t count = is_missing ? min : max;
  std::string hint;
  if (std::holds_alternative<FilterBox>(box.kind) && side == kOut.name) {
    hint = "one for each expression, and one for all others with pass-on-false-port";
  }
  refuse("42601",
         fmt::format("this {} box {} {} <{}>", box.type, is_missing ? "needs" : "has",
                     count == 1 ? "one" : std::to_string(count), side),
         is_missing ? box.span : ports[max].span, std::move(hint));
}

}  // namespace

void read_box_type(const Element& element, Box& box) {
  const Name name = required_name(element, "type");
  const BoxType& type = type_of(name);
  box.type = type.name;
  check_ports(box, box.inputs, kIn.name, type.inputs_min, type.inputs_max);
  type.read(Parameters(element, type.name, type.parameters), box);
  const FilterBox* filter = std::get_if<FilterBox>(&box.kind);
  const size_t outputs = filter == nullptr ? 1 : filter->conditions.size() + (filter->passes_rest ? 1 : 0);
  check_ports(box, box.outputs, kOut.name, outputs, outputs);
}

}  // namespace backstream::borealis
