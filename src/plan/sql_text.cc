#include "plan/sql_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "expr/function.h"

namespace backstream::plan {
namespace {

using batch::Type;
using expr::Expr;
using expr::ExprKind;
using expr::ScalarFunction;

using enum Tightness;

struct Text {
  std::string text;
  Tightness tightness = kWhole;
};

class Writer {
 public:
  Writer(const std::vector<SqlColumn>& columns, SqlStyle style) : columns_(columns), style_(style) {}

  /// @param typed  a constant must say its type, even in the short style
  std::string within(const Expr& e, Tightness least, bool typed = true) const {
    Text text = write(e, typed);
    return text.tightness >= least ? std::move(text.text) : '(' + text.text + ')';
  }

 private:
  Text write(const Expr& e, bool typed) const {
    switch (e.kind) {
      case ExprKind::kColumn: return column(e.column);
      case ExprKind::kLiteral: return literal(e, typed);
      case ExprKind::kCall: return call(e);
      case ExprKind::kAnd: return {joined(e, 0, " AND ", kNot), kAnd};
      case ExprKind::kOr: return {joined(e, 0, " OR ", kAnd), kOr};
      case ExprKind::kNot: return negation(*e.args[0]);
      case ExprKind::kIsNull: return {within(*e.args[0], kOther) + " IS NULL", kComparison};
      case ExprKind::kCoalesce: return {fmt::format("coalesce({})", joined(e, 0, ", ", kOr)), kWhole};
      case ExprKind::kInList: return in_list(e, "");
      case ExprKind::kCase: {
        std::string text = "CASE";
        for (size_t i = 0; i + 1 < e.args.size(); i += 2)
          text += fmt::format(" WHEN {} THEN {}", within(*e.args[i], kOr), within(*e.args[i + 1], kOr));
        return {text + fmt::format(" ELSE {} END", within(*e.args.back(), kOr)), kWhole};
      }
    }
    return {};
  }

  Text column(int number) const {
    if (number < 0 || static_cast<size_t>(number) >= columns_.size()) return {fmt::format("#{}", number), kWhole};
    const SqlColumn& column = columns_[static_cast<size_t>(number)];
    return {column.text, column.is_plain ? kWhole : kOr};
  }

  Text literal(const Expr& e, bool typed) const {
    const std::string type(batch::name(e.type));
    const bool exact = style_ == SqlStyle::kExact;
    if (std::holds_alternative<std::monostate>(e.literal)) return {exact || typed ? "NULL::" + type : "NULL", kWhole};
    if (const auto* truth = std::get_if<bool>(&e.literal)) return {*truth ? "true" : "false", kWhole};
    std::string text = expr::value_text(e.literal, e.type);
    if (const auto* number = std::get_if<double>(&e.literal); number != nullptr) {
      if (!std::isfinite(*number)) return {fmt::format("{}::{}", sql_quoted(text), type), kWhole};
      if (text.find_first_of(".e") == std::string::npos) text += ".0";
    }
    if (batch::is_numeric(e.type)) {
      const bool negative = text[0] == '-';
      if (!exact) return {text, negative ? kSign : kWhole};
      return {fmt::format("{}::{}", negative ? '(' + text + ')' : text, type), kWhole};
    }
    if (!exact && (!typed || e.type == Type::kText)) return {sql_quoted(text), kWhole};
    if (!exact && e.type == Type::kInterval) return {"interval " + sql_quoted(text), kWhole};
    return {fmt::format("{}::{}", sql_quoted(text), type), kWhole};
  }

  Text call(const Expr& e) const {
    const std::string_view name = e.function->name;
    if (e.function->kind == ScalarFunction::Kind::kCast) {
      if (e.function->implicit && style_ == SqlStyle::kShort) return write(*e.args[0], true);
      return {fmt::format("{}::{}", within(*e.args[0], kWhole), batch::name(e.type)), kWhole};
    }
    if (e.function->kind == ScalarFunction::Kind::kFunction) {
      // Names whose calls have a grammar of their own.
      constexpr std::string_view kSpecial[] = {"extract", "overlay", "position", "trim"};
      const bool special = std::find(std::begin(kSpecial), std::end(kSpecial), name) != std::end(kSpecial);
      return {fmt::format("{0}{1}{0}({2})", special ? "\"" : "", name, joined(e, 0, ", ", kOr)), kWhole};
    }
    if (e.args.size() == 1)
      return {fmt::format("{}{}", name, within(*e.args[0], kWhole)), name == "-" ? kSign : kOther};
    const auto text = [&](std::string_view op, Tightness own) {
      const bool compares = own == kComparison;
      // Beside something of a type a constant is of that type.
      const bool left_constant = e.args[0]->kind == ExprKind::kLiteral;
      return Text{fmt::format("{} {} {}", within(*e.args[0], compares ? kOther : own, !compares), op,
                              within(*e.args[1], tighter(own), !compares || left_constant)),
                  own};
    };
    if (name == "~~") return text("LIKE", kComparison);
    if (name == "!~~") return text("NOT LIKE", kComparison);
    if (name == "~~*") return text("ILIKE", kComparison);
    if (name == "!~~*") return text("NOT ILIKE", kComparison);
    return text(name, tightness_of(name));
  }

  Text negation(const Expr& e) const {
    if (e.kind == ExprKind::kIsNull) return {within(*e.args[0], kOther) + " IS NOT NULL", kComparison};
    if (e.kind == ExprKind::kInList) return in_list(e, "NOT ");
    return {"NOT " + within(e, kNot), kNot};
  }
  Text in_list(const Expr& e, std::string_view negated) const {
    std::string list;
    for (size_t i = 1; i < e.args.size(); ++i) list += (i > 1 ? ", " : "") + within(*e.args[i], kOr, false);
    return {fmt::format("{} {}IN ({})", within(*e.args[0], kOther), negated, list), kComparison};
  }
  std::string joined(const Expr& e, size_t first, std::string_view separator, Tightness least) const {
    std::string text;
    for (size_t i = first; i < e.args.size(); ++i) {
      if (i > first) text += separator;
      text += within(*e.args[i], least);
    }
    return text;
  }

  const std::vector<SqlColumn>& columns_;
  const SqlStyle style_;
};

bool is_word(std::string_view name) {
  return !name.empty() && !(name[0] >= '0' && name[0] <= '9') && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
}

template <size_t kCount>
bool is_one_of(std::string_view word, const std::string_view (&words)[kCount]) {
  return std::find(std::begin(words), std::end(words), word) != std::end(words);
}

/// Key words of PostgreSQL 15 (appendix C) that are no names of functions or types; key words elsewhere are columns
/// too.
constexpr std::string_view kNotFunctions[] = {
    "between",       "bigint",       "bit",        "boolean",   "char",      "character",     "coalesce",  "dec",
    "decimal",       "exists",       "extract",    "float",     "greatest",  "grouping",      "inout",     "int",
    "integer",       "interval",     "least",      "national",  "nchar",     "none",          "normalize", "nullif",
    "numeric",       "out",          "overlay",    "position",  "precision", "real",          "row",       "setof",
    "smallint",      "substring",    "time",       "timestamp", "treat",     "trim",          "values",    "varchar",
    "xmlattributes", "xmlconcat",    "xmlelement", "xmlexists", "xmlforest", "xmlnamespaces", "xmlparse",  "xmlpi",
    "xmlroot",       "xmlserialize", "xmltable"};
/// Those that are names of functions or types, and of nothing else.
constexpr std::string_view kOnlyFunctions[] = {
    "authorization", "binary", "collation", "concurrently", "cross",   "current_schema", "freeze", "full",
    "ilike",         "inner",  "is",        "isnull",       "join",    "left",           "like",   "natural",
    "notnull",       "outer",  "overlaps",  "right",        "similar", "tablesample",    "verbose"};
constexpr std::string_view kReserved[] = {"all",          "analyse",
                                          "analyze",      "and",
                                          "any",          "array",
                                          "as",           "asc",
                                          "asymmetric",   "both",
                                          "case",         "cast",
                                          "check",        "collate",
                                          "column",       "constraint",
                                          "create",       "current_catalog",
                                          "current_date", "current_role",
                                          "current_time", "current_timestamp",
                                          "current_user", "default",
                                          "deferrable",   "desc",
                                          "distinct",     "do",
                                          "else",         "end",
                                          "except",       "false",
                                          "fetch",        "for",
                                          "foreign",      "from",
                                          "grant",        "group",
                                          "having",       "in",
                                          "initially",    "intersect",
                                          "into",         "lateral",
                                          "leading",      "limit",
                                          "localtime",    "localtimestamp",
                                          "not",          "null",
                                          "offset",       "on",
                                          "only",         "or",
                                          "order",        "placing",
                                          "primary",      "references",
                                          "returning",    "select",
                                          "session_user", "some",
                                          "symmetric",    "table",
                                          "then",         "to",
                                          "trailing",     "true",
                                          "union",        "unique",
                                          "user",         "using",
                                          "variadic",     "when",
                                          "where",        "window",
                                          "with"};

std::string between(char quote, std::string_view text) {
  std::string out(1, quote);
  for (const char c : text) {
    if (c == quote) out += quote;
    out += c;
  }
  return out += quote;
}

}  // namespace

std::string sql_name(std::string_view name, SqlStyle style) {
  return is_word(name) && style != SqlStyle::kExact ? std::string(name) : between('"', name);
}
std::string sql_name(std::string_view name, SqlPlace place) {
  const bool bare = is_word(name) &&
                    (place == SqlPlace::kLabel ||
                     (!is_one_of(name, kReserved) &&
                      !(place == SqlPlace::kName ? is_one_of(name, kOnlyFunctions) : is_one_of(name, kNotFunctions))));
  return bare ? std::string(name) : between('"', name);
}
std::string sql_quoted(std::string_view text) { return between('\'', text); }
std::string sql_interval(base::Micros length) {
  return fmt::format("interval {}", sql_quoted(base::format_duration(length)));
}

Tightness tightness_of(std::string_view op) {
  if (is_one_of(op, {"=", "<>", "<", "<=", ">", ">="})) return kComparison;
  if (op == "+" || op == "-") return kSum;
  if (op == "*" || op == "/" || op == "%") return kProduct;
  return op == "^" ? kPower : kOther;
}

std::string to_sql(const expr::Expr& e, const std::vector<SqlColumn>& columns, SqlStyle style) {
  return Writer(columns, style).within(e, kOr);
}

std::string to_sql(const AggregateCall& call, const std::vector<SqlColumn>& columns, SqlStyle style) {
  const agg::AggregateFunction& function = *call.function;
  std::string args;
  const size_t plain = call.args.size() - (function.form == agg::CallForm::kPlain ? 0 : 1);
  for (size_t i = 0; i < plain; ++i) args += (i > 0 ? ", " : "") + to_sql(*call.args[i], columns, style);
  std::string text =
      fmt::format("{}({}{})", function.name, function.distinct ? "DISTINCT " : "", call.args.empty() ? "*" : args);
  if (plain < call.args.size()) {
    text += fmt::format(" WITHIN GROUP (ORDER BY {}{})", to_sql(*call.args.back(), columns, style),
                        function.form == agg::CallForm::kWithinGroupDescending ? " DESC" : "");
  }
  if (call.filter) text += fmt::format(" FILTER (WHERE {})", to_sql(*call.filter, columns, style));
  return text;
}

}  // namespace backstream::plan
