#pragma once
// A query diagram: schemas, streams and boxes, checked as far as one can without knowing what its inputs are.
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "borealis/expression.h"

namespace backstream::borealis {

enum class FieldType : uint8_t { kByte, kShort, kInt, kLong, kSingle, kDouble, kString, kTimestamp };
std::string_view name(FieldType type);  ///< "byte", …

struct Field {
  std::string name;
  FieldType type = FieldType::kInt;
  SourceSpan span;       ///< of the name
  SourceSpan type_span;  ///< of the type
};
struct Schema {
  std::string name;
  SourceSpan span;
  std::vector<Field> fields;  ///< at least one: control streams are refused
};

/// A name where it is used.
struct Name {
  std::string text;  ///< in lower case
  SourceSpan span;
};

struct InputStream {
  Name stream;
  size_t schema = 0;  ///< index
};
struct OutputStream {
  Name stream;
  std::optional<size_t> schema;  ///< index; none: as its box makes it
};

struct FilterBox {
  /// At least one; port i takes tuples that meet condition i and none before it.
  std::vector<ExpressionPtr> conditions;
  bool passes_rest = false;  ///< pass-on-false-port: one more port, for the others
};
struct MapBox {
  struct Output {
    ExpressionPtr value;
    Name name;
  };
  std::vector<Output> outputs;
};
struct UnionBox {};
struct SortBox {           ///< bsort
  ExpressionPtr order_on;  ///< kField
  uint64_t slack = 0;      ///< tuples, 0 to kTuplesMax
  std::vector<ExpressionPtr> group_by;
};
struct AggregateBox {
  struct Function {
    /// kCall: count, sum, avg, min, max, firstval, lastval, count_distinct; count has no argument, others one.
    ExpressionPtr call;
    Name name;  ///< agg_0, … where none is given
  };
  std::vector<Function> functions;  ///< at least one
  bool by_values = true;            ///< window-size-by
  double size = 0, advance = 0;     ///< > 0, advance <= size; tuples, or in the unit of the field
  SourceSpan size_span, advance_span;
  bool ordered_by_field = true;  ///< order-by: the window's start is an output
  ExpressionPtr order_on;        ///< kField; null: TUPLES by TUPLENUM
  std::vector<ExpressionPtr> group_by;
  std::optional<double> timeout_seconds;  ///< >= 0; a negative one is none
  uint64_t slack = 0;                     ///< tuples
  bool drops_empty = false, is_aligned = false;
};
struct JoinBox {
  struct Side {
    bool by_values = false;  ///< VALUES, else TUPLES
    double size = 0;         ///< >= 0
    ExpressionPtr order_on;  ///< kField; of VALUES only
  };
  ExpressionPtr predicate;  ///< fields are left.x, right.x, or x where one side alone has it
  Side left, right;
  std::optional<double> timeout_seconds;
  std::vector<MapBox::Output> outputs;  ///< empty: all fields of both
};
struct StaticJoinBox {  ///< joinstatic; input 1 is the table
  ExpressionPtr predicate;
  std::vector<MapBox::Output> outputs;  ///< empty: all fields of both
};
struct WaitForBox {
  ExpressionPtr predicate;  ///< fields are buffered.x, enabler.x, or x where one side alone has it
  double timeout_seconds = 0;
};
struct DropBox {    ///< random_drop
  double rate = 0;  ///< 0 to 1: the share that goes
};
inline constexpr uint64_t kTuplesMax = 1'000'000;     ///< slack, and sizes in tuples
inline constexpr uint64_t kSecondsMax = 100'000'000;  ///< time-outs: three years
inline constexpr uint64_t kOverlapMax = 100'000;      ///< windows of an aggregate that hold one tuple: size / advance

struct Box {
  std::string name;  ///< in lower case
  std::string type;  ///< "filter", …
  SourceSpan span;   ///< of its start tag
  SourceSpan name_span;
  std::string query;                  ///< of the query element around it, or its own name
  std::string node;                   ///< attribute node=; empty: none
  std::vector<Name> inputs, outputs;  ///< streams by port
  std::variant<FilterBox, MapBox, UnionBox, SortBox, AggregateBox, JoinBox, StaticJoinBox, WaitForBox, DropBox> kind;
};

struct Diagram {
  std::vector<Schema> schemas;
  std::vector<InputStream> inputs;
  std::vector<OutputStream> outputs;  ///< at least one
  std::vector<Box> boxes;             ///< each after those that write what it reads
  std::vector<Name> queries;          ///< names of query elements, and of boxes outside of any
  std::vector<Attribute> options;     ///< see Document
  SourceSpan options_span;
};

inline constexpr size_t kBoxesMax = 1'000, kPortsMax = 100, kFieldsMax = 200;
inline constexpr size_t kInputsMax = 100, kOutputsMax = 100;  ///< each output is a query

/// Every element, attribute, box type, parameter and type of Borealis is known here. What cannot be run is refused by
/// its name, with what SQL or another box has for it; what Borealis does not know, with the nearest name. node= of an
/// <input>, which only says who sends it, and max_batch_size, which Borealis does not obey either, are taken and have
/// no effect, as are queue_type and update_queue with their default, 0. Streams are written once; each is read by a box
/// or an output. Without any <output> those that boxes write and nobody reads are the outputs. Errors: located as
/// read_document(); 42601 what is missing, not connected, or not where it belongs, 42704 and 42P01 a name that is not
/// known (42P01: of a stream), 42883 an aggregate function, 42710 a name or a writer of a stream that is there twice
/// (42701: of a field), 42P19 boxes in a circle, 22023 a parameter's value, 0A000 what is not supported, 54000 a limit;
/// those of read_expression().
Result<Diagram> read_diagram(const Document& document);

}  // namespace backstream::borealis
