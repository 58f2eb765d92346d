#pragma once
// What the files that make a diagram's SELECT share. Private to the room.
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "borealis/demand.h"
#include "borealis/rows.h"
#include "borealis/select_builder.h"

namespace backstream::borealis {

/// A stream behind a box that depends on the order of arrival. While the sources are being found, boxes count from
/// kBoxes on.
struct OrderedStream {
  static constexpr uint32_t kBoxes = 1 << 20;
  plan::UnboundBoxes::Stream from;
  std::vector<FieldValue> fields;  ///< columns

  OrderedStream copy() const;
};

class Builder {
 public:
  /// @param in_order  inputs whose tuples take part in boxes from the first on
  Builder(const Diagram& diagram, size_t output, const Bindings& bindings, const plan::Catalog& catalog,
          std::set<std::string> in_order = {})
      : diagram_(diagram),
        output_(diagram.outputs[output]),
        bindings_(bindings),
        catalog_(catalog),
        demand_(diagram, output),
        in_order_(std::move(in_order)) {}
  Result<std::unique_ptr<plan::UnboundSelect>> build();
  /// After build(): inputs that several sources of the boxes read. Between these the order of tuples that came
  /// together, in one datagram, is not known any more.
  std::set<std::string> divided_inputs() const;

 private:
  using Stream = std::variant<Rows, OrderedStream>;

  Result<const plan::Relation*> relation_of(const InputStream& input) const;
  Result<void> read_input(const InputStream& input);
  /// Of an input in order: leaves out what none of the filters that read it lets through, so that it need not travel.
  void leave_out_unread(const std::string& stream, Rows& rows);
  void count_readers();
  Result<void> add_box(const Box& box);
  /// The rows of a stream for one of its readers: the last one gets them themselves.
  Rows take(const std::string& stream, Rows& rows);
  Result<void> check_output(const std::vector<FieldValue>& fields) const;

  // law.cc: boxes as SQL
  /// Whether the box can be part of a SELECT over its inputs.
  bool obeys_law(const Box& box) const;
  Result<std::vector<Rows>> filter(const FilterBox& filter, Rows rows);
  Result<Rows> map(const MapBox& map, Rows rows);
  Result<Rows> unite(const Box& box, std::vector<Rows> inputs);
  Result<Rows> drop(const Box& box, Rows rows);
  Result<Rows> aggregate(const Box& box, Rows rows);
  Result<Rows> join_table(const Box& box, Rows rows);

  // ordered.cc: boxes in arrival order
  Result<void> add_ordered(const Box& box);
  /// The stream as one of the boxes: rows of SELECTs become a source.
  Result<OrderedStream> ordered_input(const Box& box, const Name& stream);
  using Inputs = std::vector<OrderedStream>;
  Result<void> filter_ordered(const Box& box, const Inputs& inputs);
  Result<void> map_ordered(const Box& box, const Inputs& inputs);
  Result<void> unite_ordered(const Box& box, const Inputs& inputs);
  Result<void> drop_ordered(const Box& box, const Inputs& inputs);
  Result<void> sort_ordered(const Box& box, const Inputs& inputs);
  Result<void> aggregate_ordered(const Box& box, const Inputs& inputs);
  Result<void> join_ordered(const Box& box, const Inputs& inputs);
  Result<void> wait_ordered(const Box& box, const Inputs& inputs);
  plan::UnboundBoxes::Box& new_box(const Box& box, plan::UnboundBoxes::Box::Kind kind, const Inputs& inputs);
  /// What comes out of the last box at the port.
  OrderedStream output_of(size_t port, std::vector<FieldValue> fields) const;

  const Diagram& diagram_;
  const OutputStream& output_;
  const Bindings& bindings_;
  const plan::Catalog& catalog_;
  const Demand demand_;
  const std::set<std::string> in_order_;
  std::vector<std::string> source_inputs_;  ///< in arrival order: those that sources read, each as often as they do
  std::map<std::string, Stream> streams_;
  std::map<std::string, size_t> readers_;  ///< of each stream that is needed: ports and outputs that have not read yet
  std::map<std::string, const InputStream*> tables_;  ///< inputs that are lookup tables
  plan::UnboundBoxes boxes_;
  std::map<std::string, OrderedStream> sources_;  ///< by the stream that they hold
  std::vector<std::string> source_names_;
  bool in_arrival_order_ = false;  ///< the sources are streams, not windows
};

/// SELECTs that one is made of: more are refused. Of nested ones the binder has a limit of its own.
inline constexpr uint32_t kSelectsMax = 200;
/// Parts of the expressions of one SELECT.
inline constexpr uint64_t kNodesMax = 50'000;

/// A call of an aggregate function as SQL has it. Errors: 42804.
struct Aggregate {
  UnboundExprPtr call;
  Family family = Family::kInteger;
  bool truncates = false;  ///< avg of integers: an integer
};
Result<Aggregate> lower_aggregate(const Expression& call, const Scope& scope, bool ordered);
/// Whether a tuple is kept by random_drop: by a hash of its fields, so the same tuples wherever it runs.
UnboundExprPtr kept_by_chance(const Box& box, double rate, const std::vector<FieldValue>& fields,
                              const UnboundExpr* arrival);
/// A value that an expression computes, as a field. Errors: 42804, a condition.
Result<FieldValue> lower_output(const MapBox::Output& output, const Scope& scope);
/// Errors: the streams of inputs 0 and i of a union differ.
Result<void> check_alike(const Box& box, size_t i, const std::vector<FieldValue>& first,
                         const std::vector<FieldValue>& fields);
/// Errors: 42710, a field of `more` has a name that one of `fields` has: both are outputs of a join that names none.
Result<void> check_distinct(const Box& box, const std::vector<FieldValue>& fields, const std::vector<FieldValue>& more);
/// Condition i of a switch, and none before it; i beyond the last: none of them.
UnboundExprPtr port_condition(const std::vector<UnboundExprPtr>& conditions, size_t port);

}  // namespace backstream::borealis
