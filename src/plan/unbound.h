#pragma once
// The unbound plan: what a query text says, names not yet looked up. SQL is lowered to it (src/sql), Borealis XML too
// (src/borealis); the binder (plan/bind.h) turns it into a Query.
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/diagnostic.h"

namespace backstream::plan {

using base::SourceSpan;

struct UnboundSelect;
struct UnboundExpr;
using UnboundExprPtr = std::unique_ptr<UnboundExpr>;

struct UnboundOrder {
  UnboundExprPtr expr;
  bool descending = false;
  std::optional<bool> nulls_first;  ///< as written; none: last when ascending, first when descending
};

struct UnboundFrame {  ///< ROWS BETWEEN start AND end; one bound alone: it is the start, the end is the current row
  enum class Unit : uint8_t { kRows, kRange, kGroups };
  enum class Bound : uint8_t { kUnboundedPreceding, kPreceding, kCurrentRow, kFollowing, kUnboundedFollowing };
  SourceSpan span;
  Unit unit = Unit::kRange;
  Bound start = Bound::kUnboundedPreceding, end = Bound::kCurrentRow;
  UnboundExprPtr start_offset, end_offset;  ///< of kPreceding and kFollowing, else null
  bool excludes = false;                    ///< EXCLUDE CURRENT ROW, GROUP or TIES
};

struct UnboundWindowSpec {  ///< OVER (...)
  SourceSpan span;
  std::vector<UnboundExprPtr> partition_by;
  std::vector<UnboundOrder> order_by;
  std::unique_ptr<UnboundFrame> frame;  ///< null when none is written
};

struct UnboundExpr {
  enum class Kind : uint8_t {
    kColumn,  ///< names: [column] or [relation, column]
    kStar,    ///< names: [] or [relation]
    kNull,
    kBool,
    kInteger,
    kFloat,
    kString,    ///< text as written ("true"/"false" for kBool); kString is untyped
    kCast,      ///< args[0]::type_name; interval '5 min' and inet '…' literals are casts of a kString too
    kCall,      ///< function(args), named args, DISTINCT, *, ORDER BY, FILTER, OVER, WITHIN GROUP
    kOperator,  ///< op over one or two args
    kAnd,
    kOr,
    kNot,
    kIsNull,   ///< negated: IS NOT NULL
    kIsTruth,  ///< op: "true", "false", "unknown"
    kDistinctFrom,
    kCase,  ///< args: [operand or null], when, then, when, then, ..., [else or null]
    kCoalesce,
    kNullIf,
    kGreatest,
    kLeast,
    kBetween,  ///< args: value, low, high; op "symmetric" or ""
    kInList,   ///< args[0] IN (args[1..])
    kLike,     ///< op: "like" or "ilike"; args: value, pattern[, escape]
    kAnyArray,
    kAllArray,    ///< args[0] op ANY/ALL (args[1..], an array written out)
    kAtTimeZone,  ///< args: value, zone
    kSubquery,    ///< scalar subquery, EXISTS ("exists") or IN ("in") by op; args[0] is IN's left side
    kParameterDefault,
  };
  Kind kind;
  SourceSpan span;
  std::vector<std::string> names;
  std::string text;  ///< literal text, type name of a cast, function name (lower case)
  std::string op;
  bool negated = false;
  bool distinct = false;               ///< kCall: f(DISTINCT x)
  bool star = false;                   ///< kCall: f(*)
  std::vector<UnboundExprPtr> args;    ///< an entry may be null where Kind says so
  std::vector<std::string> arg_names;  ///< kCall: parallel to args, empty string = positional
  std::vector<UnboundOrder> order_by;  ///< kCall: aggregate ORDER BY or WITHIN GROUP
  bool within_group = false;
  UnboundExprPtr filter;
  std::unique_ptr<UnboundWindowSpec> over;
  std::unique_ptr<UnboundSelect> subquery;
};

struct UnboundTarget {
  UnboundExprPtr expr;
  std::string alias;  ///< empty when not given
  SourceSpan alias_span;
};

struct UnboundBoxes;

struct UnboundFrom {
  /// kBoxes: only made by src/borealis.
  enum class Kind : uint8_t { kRelation, kFunction, kSubquery, kJoin, kBoxes };
  Kind kind;
  SourceSpan span;
  std::string name;  ///< relation or function (tumble, hop, session, lpm, ...), lower case as parsed
  SourceSpan name_span;
  std::string alias;
  std::vector<std::string> column_aliases;
  std::vector<UnboundExprPtr> args;  ///< kFunction; a relation argument is a kColumn or kSubquery
  std::vector<std::string> arg_names;
  std::unique_ptr<UnboundSelect> subquery;
  bool lateral = false;
  // kJoin
  enum class Join : uint8_t { kInner, kLeft, kRight, kFull, kCross } join = Join::kInner;
  std::unique_ptr<UnboundFrom> left, right;
  UnboundExprPtr on;
  std::vector<std::string> using_columns;
  std::shared_ptr<const UnboundBoxes> boxes;  ///< kBoxes
};

struct UnboundCte {
  std::string name;
  SourceSpan span;
  std::vector<std::string> column_aliases;
  std::unique_ptr<UnboundSelect> select;
};

struct UnboundSelect {
  SourceSpan span;
  std::vector<UnboundCte> ctes;
  // A set operation (then the fields below are of no use but order_by, limit, offset):
  enum class SetOp : uint8_t { kNone, kUnion, kIntersect, kExcept } set_op = SetOp::kNone;
  bool set_all = false;
  std::unique_ptr<UnboundSelect> left, right;

  bool distinct = false;
  std::vector<UnboundExprPtr> distinct_on;
  std::vector<UnboundTarget> targets;
  std::vector<std::unique_ptr<UnboundFrom>> from;  ///< several: cross join
  UnboundExprPtr where;
  std::vector<UnboundExprPtr> group_by;  ///< an integer literal is a position
  UnboundExprPtr having;
  std::vector<UnboundOrder> order_by;
  UnboundExprPtr limit, offset;
  bool with_ties = false;
};

/// Boxes of a diagram from the first whose answer depends on the order in which rows come, to its end
/// (docs/design/0036-borealis.md). They run where the rows of all edges meet, in the order of (arrival, edge, place in
/// what the edge sent); rows of a view in the order of (its time, all columns).
struct UnboundBoxes {
  struct Source {
    std::unique_ptr<UnboundSelect> rows;  ///< without aggregation of its own, or the windows of an aggregate or view
    std::string order_column;             ///< of `rows`: when a row arrived; of windows: their start
  };
  struct Stream {
    uint32_t from = 0;  ///< a source, or sources.size() + a box before
    uint32_t port = 0;  ///< of a box
  };
  struct Window {  ///< kAggregate
    bool by_values = true;
    double size = 0, advance = 0;  ///< in tuples; of values: in the unit of the field, of a timestamptz in seconds
    UnboundExprPtr order_on;       ///< a column: bigint, double precision or timestamptz; null: TUPLES by TUPLENUM
    std::string start_name;        ///< the window's start is an output of this name; empty: it is none
    std::vector<UnboundExprPtr> group_by;  ///< columns
    std::optional<double> timeout_seconds;
    uint64_t slack = 0;
    bool drops_empty = false, is_aligned = false;
  };
  struct Side {  ///< kJoin
    bool by_values = false;
    double size = 0;
    UnboundExprPtr order_on;
  };
  struct Box {
    enum class Kind : uint8_t { kFilter, kMap, kUnion, kSort, kAggregate, kJoin, kWaitFor };
    Kind kind = Kind::kFilter;
    std::string name;
    SourceSpan span;
    std::vector<Stream> inputs;
    /// kFilter: by port. kJoin, kWaitFor: one, whose columns are [left, x] and [right, x].
    std::vector<UnboundExprPtr> conditions;
    bool passes_rest = false;  ///< kFilter
    /// kMap; kJoin: columns are [left, x] and [right, x]. kAggregate: calls of count(*), sum, avg, min, max, first,
    /// last (of the rows in their order) and count(DISTINCT x), with null for windows without a row, where SQL has it.
    /// All have aliases. The outputs of kAggregate are group_by, the start, then these.
    std::vector<UnboundTarget> targets;
    Window window;
    Side left, right;
    std::optional<double> timeout_seconds;  ///< kJoin, kWaitFor
    UnboundExprPtr order_on;                ///< kSort: a column
    uint64_t slack = 0;                     ///< kSort
    std::vector<UnboundExprPtr> group_by;   ///< kSort: columns
  };
  std::vector<Source> sources;  ///< at least one
  std::vector<Box> boxes;       ///< each after those that it reads; at least one
  Stream output;
};

struct UnboundOption {  ///< WITH (name = value); a dotted name is joined: "alert.for"
  std::string name;
  std::string value;
  bool has_value = true;
  SourceSpan span;
  /// Where each octet of `value` stands in the text, and at last where it ends; empty: not known octet by octet (a word
  /// without quotes, a text with escapes).
  std::vector<uint32_t> places;
  /// Of "filter.SITE", "alert.when" and "alert.clear" in CREATE and ALTER MATERIALIZED VIEW: what `value` says, its
  /// spans in `value`. Else null.
  std::shared_ptr<const UnboundExpr> condition;

  /// A place in `value` as one in the text: the whole option where that is not known.
  SourceSpan span_of(SourceSpan in_value) const {
    const size_t begin = in_value.offset_octets, end = begin + in_value.length_octets;
    if (end >= places.size()) return span;
    return {places[begin], places[end] - places[begin]};
  }
};

struct UnboundName {
  std::string name;
  SourceSpan span;
};

struct UnboundRow {  ///< of VALUES; an entry of kind kParameterDefault is DEFAULT
  SourceSpan span;
  std::vector<UnboundExprPtr> values;
};

struct UnboundAssignment {  ///< of UPDATE ... SET
  UnboundName column;
  UnboundExprPtr value;
};

struct UnboundColumnDef {
  std::string name;
  std::string type_name;
  SourceSpan span;
  std::vector<UnboundOption> options;
};

class Catalog;

/// A SELECT that can only be written when it is known what its relations are.
class SelectMaker {
 public:
  virtual ~SelectMaker() = default;
  /// Errors have spans in the statement's text.
  virtual base::Result<std::unique_ptr<UnboundSelect>> make(const Catalog& catalog) const = 0;
  /// The relations that it reads.
  virtual const std::vector<UnboundName>& relations() const = 0;
};

struct UnboundStatement {
  enum class Kind : uint8_t {
    kSelect,
    kExplain,
    kCreateMaterializedView,
    kCreateView,
    kCreateForeignTable,
    kCreateTable,
    kInsert,
    kUpdate,
    kDelete,
    kTruncate,
    kDrop,
    kAlterView,  ///< SET (options) or RESET (names), of a materialised view
    kRename,
    kComment,
    kCreatePublication,  ///< the rows of `relation` go to a sink
  };
  Kind kind;
  SourceSpan span;   ///< of the whole statement in the text
  std::string name;  ///< object created or dropped
  SourceSpan name_span;
  std::string object_type;  ///< kDrop, kRename, kComment: "materialized view", "view", "foreign table", "table"
  std::string server;       ///< kCreateForeignTable
  bool if_exists = false;   ///< IF [NOT] EXISTS
  bool or_replace = false;
  bool with_no_data = false;
  bool resets = false;   ///< kAlterView: RESET; then options have no values
  std::string new_name;  ///< kRename
  SourceSpan new_name_span;
  std::string column;  ///< kComment: of a column; object_type is "column"
  SourceSpan column_span;
  std::optional<std::string> comment;       ///< kComment; none: IS NULL
  std::vector<std::string> column_aliases;  ///< CREATE VIEW v (a, b)
  std::vector<UnboundOption> options;       ///< WITH (...), OPTIONS (...), EXPLAIN (...)
  std::vector<UnboundColumnDef> columns;
  std::vector<UnboundName> primary_key;        ///< kCreateTable: of a column or of the table; may be empty
  std::string alias;                           ///< kUpdate, kDelete: how columns may be qualified; empty: by the name
  std::vector<UnboundName> insert_columns;     ///< kInsert INTO t (a, b), kCreatePublication; empty: all, in order
  UnboundName relation;                        ///< kCreatePublication: FOR TABLE
  SourceSpan condition_span;                   ///< kCreatePublication: what stands in WHERE (...)
  std::vector<UnboundRow> rows;                ///< kInsert ... VALUES
  std::vector<UnboundAssignment> assignments;  ///< kUpdate
  UnboundExprPtr where;                        ///< kUpdate, kDelete, kCreatePublication; may be null
  std::unique_ptr<UnboundSelect> select;       ///< kSelect and the views; null: `maker` makes it
  std::shared_ptr<const SelectMaker> maker;    ///< kCreateMaterializedView of a diagram; else null
  std::unique_ptr<UnboundStatement> inner;     ///< kExplain
};

}  // namespace backstream::plan
