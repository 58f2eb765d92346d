#include "borealis/select_builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "borealis/builder.h"

namespace backstream::borealis {

using base::fail;

OrderedStream OrderedStream::copy() const {
  OrderedStream made;
  made.from = from;
  for (const FieldValue& field : fields) made.fields.push_back(field.copy());
  return made;
}

Result<const plan::Relation*> Builder::relation_of(const InputStream& input) const {
  const auto bound = bindings_.find(input.stream.text);
  const std::string& name = bound == bindings_.end() ? input.stream.text : bound->second.relation;
  const plan::Relation* const found = catalog_.find(name);
  if (found != nullptr) return found;
  const auto near = base::nearest_name(name, catalog_.names());
  return fail("42P01", fmt::format("relation \"{}\" does not exist", name),
              bound == bindings_.end() ? input.stream.span : bound->second.span,
              near.empty()
                  ? fmt::format("an input is called like what it is read from, or bound to it: --bind {}=flows",
                                input.stream.text)
                  : fmt::format("did you mean '{0}'? Or bind it: --bind {1}=flows", near, input.stream.text));
}

Result<void> Builder::read_input(const InputStream& input) {
  auto relation = relation_of(input);
  if (!relation) return tl::unexpected(std::move(relation.error()));
  const plan::Relation& source = **relation;
  if (source.kind == plan::Relation::Kind::kTable) {
    tables_[input.stream.text] = &input;
    return {};
  }
  Rows rows;
  rows.span = input.stream.span;
  rows.from = from_relation(source.name, input.stream.span);
  rows.inputs = {input.stream.text};
  const auto name_of = [&](int column) {
    return column < 0 ? std::string() : source.schema.columns[static_cast<size_t>(column)].name;
  };
  if (source.kind == plan::Relation::Kind::kStream) rows.arrival_column = name_of(source.arrival_column);
  if (source.has_windows) {
    rows.start_column = name_of(source.time_column);
    if (source.window && !source.window->calendar && source.window->offset_us == 0)
      rows.step = static_cast<double>(source.window->slide_us) / base::kMicrosPerSecond;
  }
  for (const Field& field : diagram_.schemas[input.schema].fields) {
    auto value = read_field(source, field);
    if (!value) return tl::unexpected(std::move(value.error()));
    value->is_needed = demand_.needs(input.stream.text, field.name);
    rows.fields.push_back(std::move(*value));
  }
  if (in_order_.contains(input.stream.text)) leave_out_unread(input.stream.text, rows);
  streams_.insert_or_assign(input.stream.text, std::move(rows));
  return {};
}

namespace {

/// Whether the condition has a value for every row: an error would count, and drop a row that another box reads.
bool cannot_fail(const UnboundExpr& e) {
  using Kind = UnboundExpr::Kind;
  const bool plain = e.kind == Kind::kColumn || e.kind == Kind::kInteger || e.kind == Kind::kFloat ||
                     e.kind == Kind::kString || e.kind == Kind::kBool || e.kind == Kind::kAnd || e.kind == Kind::kOr ||
                     e.kind == Kind::kNot || e.kind == Kind::kInList;
  constexpr std::string_view kSafe[] = {"=", "<>", "<", "<=", ">", ">=", "&", ">>"};
  const bool safe = e.kind == Kind::kOperator && std::find(std::begin(kSafe), std::end(kSafe), e.op) != std::end(kSafe);
  return (plain || safe) &&
         std::all_of(e.args.begin(), e.args.end(), [](const UnboundExprPtr& arg) { return cannot_fail(*arg); });
}

}  // namespace

void Builder::leave_out_unread(const std::string& stream, Rows& rows) {
  if (output_.stream.text == stream) return;
  Scope scope;
  scope.add("", rows.fields);
  std::vector<UnboundExprPtr> any;
  for (size_t i = 0; i < diagram_.boxes.size(); ++i) {
    const Box& box = diagram_.boxes[i];
    const bool reads =
        std::any_of(box.inputs.begin(), box.inputs.end(), [&](const Name& read) { return read.text == stream; });
    if (!demand_.needs(i) || !reads) continue;
    const auto* filter = std::get_if<FilterBox>(&box.kind);
    if (filter == nullptr || filter->passes_rest) return;
    for (const ExpressionPtr& condition : filter->conditions) {
      auto lowered = lower_condition(*condition, scope);
      if (!lowered || !cannot_fail(**lowered)) return;  // What is wrong with it is told of its box.
      any.push_back(std::move(*lowered));
    }
  }
  if (any.size() == 1) rows.where.push_back(std::move(any.front()));
  else if (!any.empty()) rows.where.push_back(over(UnboundExpr::Kind::kOr, std::move(any), rows.span));
}

void Builder::count_readers() {
  for (size_t i = 0; i < diagram_.boxes.size(); ++i) {
    if (!demand_.needs(i)) continue;
    for (const Name& read : diagram_.boxes[i].inputs) ++readers_[read.text];
  }
  ++readers_[output_.stream.text];
}

Rows Builder::take(const std::string& stream, Rows& rows) {
  if (--readers_.at(stream) > 0) return rows.copy();
  Rows taken = std::move(rows);
  streams_.erase(stream);
  return taken;
}

Result<void> Builder::add_box(const Box& box) {
  if (!obeys_law(box)) return add_ordered(box);
  std::vector<Rows> inputs;
  for (const Name& read : box.inputs) {
    const auto found = streams_.find(read.text);
    if (found != streams_.end()) inputs.push_back(take(read.text, std::get<Rows>(found->second)));
    else if (tables_.contains(read.text) && !std::holds_alternative<StaticJoinBox>(box.kind)) {
      return fail("0A000", fmt::format("\"{}\" is a lookup table", read.text), read.span,
                  "a table is read by joinstatic, as its second input");
    }
  }
  if (inputs.empty())
    return fail("0A000", "the first input of joinstatic is a stream", box.inputs[0].span,
                "its second one is the table");
  const auto put = [&](Result<Rows> made) -> Result<void> {
    if (!made) return tl::unexpected(std::move(made.error()));
    if (made->selects > kSelectsMax) {
      return fail("54001", fmt::format("box \"{}\" puts more than {} SELECTs together", box.name, kSelectsMax),
                  box.span, "give what it reads an output of its own, and read that");
    }
    streams_.insert_or_assign(box.outputs[0].text, std::move(*made));
    return {};
  };
  if (const auto* filter_box = std::get_if<FilterBox>(&box.kind)) {
    auto ports = filter(*filter_box, std::move(inputs[0]));
    if (!ports) return tl::unexpected(std::move(ports.error()));
    for (size_t port = 0; port < ports->size(); ++port)
      streams_.insert_or_assign(box.outputs[port].text, std::move((*ports)[port]));
    return {};
  }
  if (const auto* map_box = std::get_if<MapBox>(&box.kind)) return put(map(*map_box, std::move(inputs[0])));
  if (std::holds_alternative<UnionBox>(box.kind)) return put(unite(box, std::move(inputs)));
  if (std::holds_alternative<DropBox>(box.kind)) return put(drop(box, std::move(inputs[0])));
  if (std::holds_alternative<AggregateBox>(box.kind)) return put(aggregate(box, std::move(inputs[0])));
  return put(join_table(box, std::move(inputs[0])));
}

Result<void> Builder::check_output(const std::vector<FieldValue>& fields) const {
  if (!output_.schema) return {};
  const Schema& schema = diagram_.schemas[*output_.schema];
  const auto refuse = [&](std::string message) {
    return fail("42804", std::move(message), output_.stream.span,
                "an output needs no schema: it is as its box makes it");
  };
  if (schema.fields.size() != fields.size()) {
    return refuse(fmt::format("schema \"{}\" has {} fields, stream \"{}\" has {}", schema.name, schema.fields.size(),
                              output_.stream.text, fields.size()));
  }
  for (size_t i = 0; i < fields.size(); ++i) {
    const Field& declared = schema.fields[i];
    if (declared.name != fields[i].name)
      return refuse(fmt::format("field {} is \"{}\", schema \"{}\" has \"{}\" there", i + 1, fields[i].name,
                                schema.name, declared.name));
    if (!are_alike(family_of(declared.type), fields[i].family))
      return refuse(fmt::format("field \"{}\" is {}, schema \"{}\" has {}", declared.name, name(fields[i].family),
                                schema.name, name(declared.type)));
  }
  return {};
}

Result<std::unique_ptr<plan::UnboundSelect>> Builder::build() {
  count_readers();
  for (const InputStream& input : diagram_.inputs) {
    if (auto read = read_input(input); !read) return tl::unexpected(std::move(read.error()));
  }
  for (size_t i = 0; i < diagram_.boxes.size(); ++i) {
    if (!demand_.needs(i)) continue;
    if (auto added = add_box(diagram_.boxes[i]); !added) return tl::unexpected(std::move(added.error()));
  }
  const auto found = streams_.find(output_.stream.text);
  if (found == streams_.end()) {
    return fail("0A000", fmt::format("\"{}\" is a lookup table", output_.stream.text), output_.stream.span,
                "an output is a stream");
  }
  if (auto* rows = std::get_if<Rows>(&found->second)) {
    if (auto fits = check_output(rows->fields); !fits) return tl::unexpected(std::move(fits.error()));
    settle_addresses(rows->fields);
    return select_of(std::move(*rows));
  }
  auto& ordered = std::get<OrderedStream>(found->second);
  if (auto fits = check_output(ordered.fields); !fits) return tl::unexpected(std::move(fits.error()));
  boxes_.output = ordered.from;
  const auto settle = [&](plan::UnboundBoxes::Stream& stream) {
    if (stream.from >= OrderedStream::kBoxes)
      stream.from = stream.from - OrderedStream::kBoxes + static_cast<uint32_t>(boxes_.sources.size());
  };
  settle(boxes_.output);
  for (plan::UnboundBoxes::Box& box : boxes_.boxes) std::for_each(box.inputs.begin(), box.inputs.end(), settle);
  Rows rows;
  rows.span = output_.stream.span;
  rows.from = std::make_unique<plan::UnboundFrom>();
  rows.from->kind = plan::UnboundFrom::Kind::kBoxes;
  rows.from->span = rows.from->name_span = output_.stream.span;
  rows.from->boxes = std::make_shared<const plan::UnboundBoxes>(std::move(boxes_));
  rows.fields = std::move(ordered.fields);
  settle_addresses(rows.fields);
  return select_of(std::move(rows));
}

std::set<std::string> Builder::divided_inputs() const {
  std::set<std::string> once, again;
  for (const std::string& input : source_inputs_) {
    if (!once.insert(input).second) again.insert(input);
  }
  return again;
}

Result<std::unique_ptr<plan::UnboundSelect>> make_select(const Diagram& diagram, size_t output,
                                                         const Bindings& bindings, const plan::Catalog& catalog) {
  Builder builder(diagram, output, bindings, catalog);
  auto select = builder.build();
  const std::set<std::string> divided = builder.divided_inputs();
  if (!select || divided.empty()) return select;
  // Filters and maps in front of the boxes become boxes, too, so that the branches of an input keep its order. What
  // then cannot stand there (a lookup) leaves it as it was.
  auto in_order = Builder(diagram, output, bindings, catalog, divided).build();
  return in_order ? std::move(in_order) : std::move(select);
}

}  // namespace backstream::borealis
