#pragma once
// The bound scalar expression: what the binder makes and the evaluator runs. Building one resolves names and types;
// after that nothing about it can fail but values (overflow, division by zero, a cast of text).
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/diagnostic.h"
#include "batch/column_batch.h"

namespace backstream::expr {

using base::Result;
using base::SourceSpan;
using batch::Type;

/// One value of any type; monostate is NULL. Integers, timestamptz and macaddr are int64_t; text and bytea std::string.
using Value = std::variant<std::monostate, bool, int64_t, double, std::string, base::Inet, base::Interval>;

struct ScalarFunction;  // function.h: a row of the signature table
struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

enum class ExprKind : uint8_t {
  kColumn,   ///< column `column` of the input batch
  kLiteral,  ///< `literal`
  kCall,     ///< `function` over args; strict unless the function says otherwise
  kAnd,
  kOr,  ///< n-ary, three-valued, left to right; an argument is not evaluated for rows that are decided before it
  kNot,
  kCase,      ///< args: when1, then1, when2, then2, ..., else (always there, NULL when not written)
  kCoalesce,  ///< first argument that is not null; later ones are not evaluated for that row
  kIsNull,    ///< args[0] IS NULL
  kInList,    ///< args[0] IN (args[1..]); three-valued; `function` is the equality operator
};

struct Expr {
  ExprKind kind;
  Type type;  ///< never kUnknown after binding (a bare NULL becomes text)
  SourceSpan span;
  int column = -1;
  Value literal;
  const ScalarFunction* function = nullptr;
  /// What `function` made of its constant arguments when it was bound (ScalarFunction::prepare); immutable; null:
  /// nothing.
  std::shared_ptr<const void> prepared;
  std::vector<ExprPtr> args;
};

ExprPtr make_column(int column, Type type, SourceSpan span = {});
ExprPtr make_literal(Value value, Type type, SourceSpan span = {});
ExprPtr clone(const Expr& expr);
/// Same kind, type, column, literal, function and arguments; spans do not count. GROUP BY matching uses it.
bool equal(const Expr& a, const Expr& b);
/// Whether the expression has a value for every row: columns, constants, comparisons and bit operators have. Values
/// that cannot be computed are counted, so what may fail must not be computed for other rows than its query says.
bool always_computed(const Expr& expr);
/// SQL-like text, columns by name; for EXPLAIN and for naming.
std::string to_string(const Expr& expr, const batch::Schema& schema);
/// Calls visit(Expr&) for the expression and everything in it, parents first.
template <typename Visit>
void walk(Expr& expr, Visit&& visit) {
  visit(expr);
  for (auto& arg : expr.args) walk(*arg, visit);
}
template <typename Visit>
void walk(const Expr& expr, Visit&& visit) {
  visit(expr);
  for (const auto& arg : expr.args) walk(static_cast<const Expr&>(*arg), visit);
}

// --- building, with PostgreSQL 15's type rules --------------------------------------------------------------------
// Each takes ownership of its arguments, resolves the overload, inserts implicit casts, gives untyped literals
// (Type::kUnknown) their type, and folds constants: an error in folding is an error here (SQLSTATE of the value error).

/// A function call by (lower-case) name. 42883 with the nearest name or the accepted signatures as hint.
Result<ExprPtr> make_call(std::string_view name, std::vector<ExprPtr> args, SourceSpan span);
/// An operator by its text: + - * / % ^ & | # ~ << >> = <> < <= > >= || <<= >>= && LIKE, unary - + ~ (one argument).
Result<ExprPtr> make_operator(std::string_view op, std::vector<ExprPtr> args, SourceSpan span);
Result<ExprPtr> make_and(std::vector<ExprPtr> args, SourceSpan span);
Result<ExprPtr> make_or(std::vector<ExprPtr> args, SourceSpan span);
Result<ExprPtr> make_not(ExprPtr arg, SourceSpan span);
Result<ExprPtr> make_is_null(ExprPtr arg, bool negated, SourceSpan span);
/// IS [NOT] TRUE / FALSE / UNKNOWN: `test` is "true", "false" or "unknown".
Result<ExprPtr> make_is_truth(ExprPtr arg, std::string_view test, bool negated, SourceSpan span);
Result<ExprPtr> make_distinct_from(ExprPtr left, ExprPtr right, bool negated, SourceSpan span);
Result<ExprPtr> make_in_list(ExprPtr value, std::vector<ExprPtr> list, bool negated, SourceSpan span);
/// `operand` may be null (searched CASE); whens and thens have equal size; otherwise may be null.
Result<ExprPtr> make_case(ExprPtr operand, std::vector<ExprPtr> whens, std::vector<ExprPtr> thens, ExprPtr otherwise,
                          SourceSpan span);
Result<ExprPtr> make_coalesce(std::vector<ExprPtr> args, SourceSpan span);
Result<ExprPtr> make_nullif(ExprPtr left, ExprPtr right, SourceSpan span);
/// GREATEST / LEAST, which skip nulls.
Result<ExprPtr> make_extreme(bool greatest, std::vector<ExprPtr> args, SourceSpan span);
/// CAST(arg AS type); `implicit` allows only assignment-free (implicit) casts. 42846 when there is none.
Result<ExprPtr> make_cast(ExprPtr arg, Type type, SourceSpan span, bool implicit = false);
/// PostgreSQL's type names and aliases ("int8", "bigint", "timestamptz", "double precision", "inet", ...).
Result<Type> parse_type(std::string_view name, SourceSpan span);
/// The common type of several expressions, as UNION, CASE and IN resolve it; kUnknown only if all are.
Result<Type> common_type(const std::vector<const Expr*>& exprs, SourceSpan span);

// --- values ---------------------------------------------------------------------------------------------------------

/// PostgreSQL's text output of a value (to_string of NULL is empty). Used by CSV, tables, casts to text.
std::string value_text(const Value& value, Type type);
/// PostgreSQL's input function. 22P02, 22003, 22007, 22008, 22015, 22023 on error.
Result<Value> parse_value(std::string_view text, Type type, SourceSpan span = {});
/// Reads one row of a column.
Value value_at(const batch::Column& column, size_t row);
/// PostgreSQL's btree order of two non-null values of `type`; NaN above all, -0 = 0.
int compare_values(const Value& a, const Value& b, Type type);

// --- evaluation -----------------------------------------------------------------------------------------------------

enum class ValueError : uint8_t {
  kNumericOutOfRange,  ///< 22003
  kDivisionByZero,     ///< 22012
  kInvalidText,        ///< 22P02
  kDatetimeOverflow,   ///< 22008
  kInvalidParameter,   ///< 22023
  kInvalidDatetime,    ///< 22007
  kIntervalOverflow,   ///< 22015
  kInvalidLogarithm,   ///< 2201E
  kInvalidPower,       ///< 2201F
  kInvalidSubstring,   ///< 22011
  kInvalidEscape,      ///< 22025
  kUnsupported,        ///< 0A000
  kCount,
};
std::string_view sqlstate(ValueError error);
/// What went wrong, for people: "division by zero".
std::string_view message(ValueError error);
struct ValueErrorCounts {
  uint64_t by_kind[static_cast<size_t>(ValueError::kCount)] = {};
  uint64_t total() const;
};

/// Compiled form of one expression: owns its scratch columns, so evaluation allocates nothing per batch (text
/// results live in an arena that the next evaluate() resets). One thread.
class Evaluator {
 public:
  explicit Evaluator(ExprPtr expr, size_t batch_rows = batch::kBatchRows);
  ~Evaluator();
  Evaluator(Evaluator&&) noexcept;
  Evaluator& operator=(Evaluator&&) noexcept;

  /// Evaluates for all rows of `input` (row_count <= batch_rows). `active` (may be null = all): rows with 0 are not
  /// evaluated for errors and come out null or unspecified. A value error makes the row null, counts it in `errors`
  /// by kind and, if `error_rows` is given, sets error_rows[row] = 1. The column's memory is the evaluator's (or the
  /// input's, for a bare column reference) and valid until the next call.
  batch::Column evaluate(const batch::ColumnBatch& input, const uint8_t* active, ValueErrorCounts& errors,
                         uint8_t* error_rows = nullptr);
  const Expr& expr() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Rows of `condition` (boolean) that are true, as indexes, into `selection` (room for row_count). Returns how many.
size_t select_true(const batch::Column& condition, size_t row_count, uint32_t* selection);

/// All functions, operators and casts, one line each with argument and result types; `docs/sql.md` is made from it.
std::vector<std::string> describe_functions();

}  // namespace backstream::expr
