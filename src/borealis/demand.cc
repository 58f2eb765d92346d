#include "borealis/demand.h"

#include <vector>

namespace backstream::borealis {
namespace {

/// Names of fields in expressions, whichever input they are of.
void add_fields(const Expression* e, std::set<std::string>& names) {
  std::vector<const Expression*> left;
  if (e != nullptr) left.push_back(e);
  while (!left.empty()) {
    const Expression& part = *left.back();
    left.pop_back();
    if (part.kind == Expression::Kind::kField) names.insert(part.text);
    for (const ExpressionPtr& arg : part.args) left.push_back(arg.get());
  }
}
void add_fields(const std::vector<ExpressionPtr>& list, std::set<std::string>& names) {
  for (const ExpressionPtr& e : list) add_fields(e.get(), names);
}

/// What a box reads itself, and whether what its outputs are asked for is asked of its inputs, too.
struct Reads {
  std::set<std::string> names;
  bool passes_on = false;  ///< of all inputs; waitfor: of the first
  bool all = false;        ///< every field of the inputs is an output

  void operator()(const FilterBox& box) {
    add_fields(box.conditions, names);
    passes_on = true;
  }
  void operator()(const MapBox& box) {
    for (const MapBox::Output& output : box.outputs) add_fields(output.value.get(), names);
  }
  void operator()(const UnionBox&) { passes_on = true; }
  void operator()(const SortBox& box) {
    add_fields(box.order_on.get(), names);
    add_fields(box.group_by, names);
    passes_on = true;
  }
  void operator()(const AggregateBox& box) {
    for (const AggregateBox::Function& function : box.functions) add_fields(function.call.get(), names);
    add_fields(box.order_on.get(), names);
    add_fields(box.group_by, names);
  }
  void operator()(const JoinBox& box) {
    add_fields(box.predicate.get(), names);
    add_fields(box.left.order_on.get(), names);
    add_fields(box.right.order_on.get(), names);
    for (const MapBox::Output& output : box.outputs) add_fields(output.value.get(), names);
    all = box.outputs.empty();
  }
  void operator()(const StaticJoinBox& box) {
    add_fields(box.predicate.get(), names);
    for (const MapBox::Output& output : box.outputs) add_fields(output.value.get(), names);
    all = box.outputs.empty();
  }
  void operator()(const WaitForBox& box) {
    add_fields(box.predicate.get(), names);
    passes_on = true;
  }
  void operator()(const DropBox&) { passes_on = true; }
};

}  // namespace

Demand::Demand(const Diagram& diagram, size_t output) {
  for (const OutputStream& each : diagram.outputs) streams_[each.stream.text].all = true;
  std::set<std::string> of_output{diagram.outputs[output].stream.text};
  // Boxes stand after those that write what they read.
  for (size_t at = diagram.boxes.size(); at-- > 0;) {
    const Box& box = diagram.boxes[at];
    Fields asked;
    bool needed = false;
    for (const Name& written : box.outputs) {
      const auto found = streams_.find(written.text);
      if (found == streams_.end()) continue;
      needed = true;
      if (of_output.contains(written.text)) boxes_.insert(at);
      asked.all = asked.all || found->second.all;
      asked.names.insert(found->second.names.begin(), found->second.names.end());
    }
    if (!needed) continue;
    if (boxes_.contains(at)) {
      for (const Name& read : box.inputs) of_output.insert(read.text);
    }
    Reads reads;
    std::visit(reads, box.kind);
    const bool is_union = std::holds_alternative<UnionBox>(box.kind);
    for (size_t port = 0; port < box.inputs.size(); ++port) {
      Fields& fields = streams_[box.inputs[port].text];
      fields.names.insert(reads.names.begin(), reads.names.end());
      const bool passes = reads.passes_on && (port == 0 || is_union);
      if (passes) fields.names.insert(asked.names.begin(), asked.names.end());
      // Inputs of a union may call a field by other names: then what is asked of one is asked of all.
      fields.all = fields.all || reads.all || (passes && (asked.all || is_union));
    }
  }
}

bool Demand::needs(const std::string& stream, const std::string& field) const {
  const auto found = streams_.find(stream);
  return found != streams_.end() && (found->second.all || found->second.names.contains(field));
}

}  // namespace backstream::borealis
