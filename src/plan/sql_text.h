#pragma once
// Bound expressions as SQL again, for statements that the program writes itself; and the rules of writing SQL.
#include <string>
#include <string_view>
#include <vector>

#include "expr/expr.h"
#include "plan/query.h"

namespace backstream::plan {

/// The shortest text does not always bind to the same expression again (without its casts a call may be of another
/// function), the exact one nearly always: who writes a statement binds it, and looks.
enum class SqlStyle : uint8_t {
  kShort,  ///< as people write it
  kCasts,  ///< with the casts that need not be written
  kExact,  ///< every constant with its type, and names in quotes, as they may be key words
};
inline constexpr SqlStyle kSqlStyles[] = {SqlStyle::kShort, SqlStyle::kCasts, SqlStyle::kExact};

/// An identifier; in double quotes where it is no plain word, and in the exact style.
std::string sql_name(std::string_view name, SqlStyle style);
/// Where an identifier stands: which key words need double quotes depends on it.
enum class SqlPlace : uint8_t {
  kName,      ///< of a column or relation
  kFunction,  ///< of a function or type
  kLabel,     ///< behind AS or a dot, or an option
};
/// An identifier as short as it can be written there.
std::string sql_name(std::string_view name, SqlPlace place);
/// 'text'
std::string sql_quoted(std::string_view text);
/// interval '300 s'
std::string sql_interval(base::Micros length);

/// How tightly a text holds together, after PostgreSQL's table of operators (4.1.6), loosest first. What is written
/// with words between operands (IS, IN, LIKE, BETWEEN, AT TIME ZONE) is a comparison here: their order is not well
/// known.
enum class Tightness : uint8_t { kOr, kAnd, kNot, kComparison, kOther, kSum, kProduct, kPower, kSign, kWhole };
inline Tightness tighter(Tightness than) { return static_cast<Tightness>(static_cast<uint8_t>(than) + 1); }
/// Of `a op b`: operators of equal tightness hold from left to right, comparisons not at all.
Tightness tightness_of(std::string_view op);

/// What stands for a column in a text. `is_plain`: it needs no parentheses, whatever stands beside it.
struct SqlColumn {
  std::string text;
  bool is_plain = true;
};
/// @param columns  by number; one that is not there is written as #number, which is no SQL
std::string to_sql(const expr::Expr& e, const std::vector<SqlColumn>& columns, SqlStyle style);
/// A call in plain form, or WITHIN GROUP; sum_stderr, whose arguments are others than those that were written, is no
/// SQL again.
std::string to_sql(const AggregateCall& call, const std::vector<SqlColumn>& columns, SqlStyle style);

}  // namespace backstream::plan
