#pragma once
// Expressions of SQL as text of Borealis. Private to the room.
#include <optional>
#include <string>

#include "base/time.h"
#include "batch/column_batch.h"
#include "plan/unbound.h"

namespace backstream::borealis {

/// What a value is in SQL.
enum class SqlKind : uint8_t {
  kInteger,
  kReal,
  kText,
  kLabel,    ///< a text here, whose order in SQL is another one: cidr, macaddr
  kAddress,  ///< inet, a number here
  kTime,
  kCondition,
  kLiteral,  ///< a text that has no type yet
  kOther,    ///< nothing that a field can hold
};

/// What binds tighter stands later. Of conditions that are joined, each that is itself joined gets parentheses.
enum class Binding : uint8_t { kIf, kOr, kAnd, kNotEqual, kEqual, kCompare, kSum, kProduct, kUnary, kWhole };

struct Written {
  std::string text;
  SqlKind kind = SqlKind::kInteger;
  Binding binding = Binding::kWhole;
  uint32_t depth = 1;         ///< at most as deep as its reader will find it
  bool is_number = false;     ///< a literal number, not zero
  bool is_natural = false;    ///< an integer that is never negative
  std::string field;          ///< it is this field alone; else empty
  base::Micros slide_us = 0;  ///< of a field: it is the start of windows this far apart; 0: it is none
};

/// What names, and in groups whole expressions, stand for.
class Meanings {
 public:
  virtual ~Meanings() = default;
  /// None: the expression is written from its parts; never of a column. Throws Refused.
  virtual std::optional<Written> find(const plan::UnboundExpr& e) = 0;
};

/// Writes expressions that are known to be good SQL. All throw Refused: 0A000 for what Borealis lacks, 54000 and 54001
/// for what is larger or deeper than its reader takes.
class ExpressionWriter {
 public:
  explicit ExpressionWriter(Meanings& meanings) : meanings_(meanings) {}
  Written write(const plan::UnboundExpr& e);
  Written condition(const plan::UnboundExpr& e);
  /// Whether something of what was written can have no result, as a division by zero.
  bool may_fail() const { return may_fail_; }

 private:
  using Expr = plan::UnboundExpr;
  Written write_parts(const Expr& e);
  Written cast(const Expr& e);
  Written call(const Expr& e);
  Written operation(const Expr& e);
  Written network_test(const Expr& e, const Expr& address, const Expr& network, bool strict);
  Written bits(const Expr& e, Written value, int64_t mask);
  Written compare(const Expr& e, const std::string& op, const Expr& left, const Expr& right);
  Written joined(const Expr& e, std::string_view word, std::vector<Written> parts);
  Written between(const Expr& e);
  Written choice(const Expr& e, size_t when);
  Written cases(const Expr& e);
  Written extreme(const Expr& e, std::string_view function);
  /// Of a literal without a type beside a value that has one.
  Written as_kind(const Expr& e, Written value, SqlKind kind);
  Written number(const Expr& e);

  Meanings& meanings_;
  uint32_t depth_ = 0;
  bool may_fail_ = false;
};

/// In parentheses, unless it binds at least so tightly.
std::string within(const Written& value, Binding least);
Written negation(Written condition);
/// Integers as reals.
Written as_real(Written value);
/// Whether they say the same, wherever they stand.
bool same(const plan::UnboundExpr& a, const plan::UnboundExpr& b);
SqlKind kind_of(batch::Type type);
/// The kind of values that come together, as in CASE or UNION. Throws Refused where there is none, located at `at`.
SqlKind common_kind(SqlKind a, SqlKind b, base::SourceSpan at);

}  // namespace backstream::borealis
