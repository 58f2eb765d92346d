#include "expr/expr.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

#include "expr/function.h"

namespace backstream::expr {

ExprPtr make_column(int column, Type type, SourceSpan span) {
  auto e = std::make_unique<Expr>();
  e->kind = ExprKind::kColumn;
  e->type = type;
  e->span = span;
  e->column = column;
  return e;
}
ExprPtr make_literal(Value value, Type type, SourceSpan span) {
  auto e = std::make_unique<Expr>();
  e->kind = ExprKind::kLiteral;
  e->type = type;
  e->span = span;
  e->literal = std::move(value);
  return e;
}
bool always_computed(const Expr& expr) {
  bool always = true;
  walk(expr, [&](const Expr& part) {
    if (part.kind != ExprKind::kCall && part.kind != ExprKind::kInList) return;
    constexpr std::string_view kOperators[] = {"=", "<>", "<", "<=", ">", ">=", "&", "|"};
    const bool is_operator = part.function->kind == ScalarFunction::Kind::kOperator;
    always &= is_operator &&
              std::find(std::begin(kOperators), std::end(kOperators), part.function->name) != std::end(kOperators);
  });
  return always;
}

ExprPtr clone(const Expr& expr) {
  auto e = std::make_unique<Expr>();
  e->kind = expr.kind;
  e->type = expr.type;
  e->span = expr.span;
  e->column = expr.column;
  e->literal = expr.literal;
  e->function = expr.function;
  e->prepared = expr.prepared;
  for (const auto& arg : expr.args) e->args.push_back(clone(*arg));
  return e;
}
namespace {
/// By bits for doubles, so that NaN is itself.
bool same_literal(const Value& a, const Value& b) {
  const auto* x = std::get_if<double>(&a);
  const auto* y = std::get_if<double>(&b);
  return x != nullptr && y != nullptr ? std::bit_cast<uint64_t>(*x) == std::bit_cast<uint64_t>(*y) : a == b;
}
}  // namespace

bool equal(const Expr& a, const Expr& b) {
  return a.kind == b.kind && a.type == b.type && a.column == b.column && same_literal(a.literal, b.literal) &&
         a.function == b.function &&
         std::equal(a.args.begin(), a.args.end(), b.args.begin(), b.args.end(),
                    [](const auto& x, const auto& y) { return equal(*x, *y); });
}

namespace {

std::string quoted_text(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'') out += '\'';
    out += c;
  }
  out += '\'';
  return out;
}
std::string literal_text(const Expr& e) {
  if (std::holds_alternative<std::monostate>(e.literal)) return "NULL";
  if (e.type == Type::kBool) return std::get<bool>(e.literal) ? "true" : "false";
  std::string text = value_text(e.literal, e.type);
  if (batch::is_numeric(e.type)) return text;
  if (e.type == Type::kText || e.type == Type::kUnknown) return quoted_text(text);
  return fmt::format("{}::{}", quoted_text(text), batch::name(e.type));
}
std::string joined(const Expr& e, size_t first, std::string_view separator, const batch::Schema& schema) {
  std::string text;
  for (size_t i = first; i < e.args.size(); ++i) {
    if (i > first) text += separator;
    text += to_string(*e.args[i], schema);
  }
  return text;
}

}  // namespace

std::string to_string(const Expr& e, const batch::Schema& schema) {
  const auto arg = [&](size_t i) { return to_string(*e.args[i], schema); };
  switch (e.kind) {
    case ExprKind::kColumn:
      return static_cast<size_t>(e.column) < schema.columns.size() ? schema.columns[static_cast<size_t>(e.column)].name
                                                                   : fmt::format("#{}", e.column);
    case ExprKind::kLiteral: return literal_text(e);
    case ExprKind::kCall:
      if (e.function->kind == ScalarFunction::Kind::kCast) {
        return e.function->implicit ? arg(0) : fmt::format("{}::{}", arg(0), batch::name(e.type));
      }
      if (e.function->kind == ScalarFunction::Kind::kFunction)
        return fmt::format("{}({})", e.function->name, joined(e, 0, ", ", schema));
      if (e.args.size() == 1) return fmt::format("{}{}", e.function->name, arg(0));
      return fmt::format("({} {} {})", arg(0), e.function->name, arg(1));
    case ExprKind::kAnd: return fmt::format("({})", joined(e, 0, " AND ", schema));
    case ExprKind::kOr: return fmt::format("({})", joined(e, 0, " OR ", schema));
    case ExprKind::kNot: return fmt::format("NOT {}", arg(0));
    case ExprKind::kIsNull: return fmt::format("{} IS NULL", arg(0));
    case ExprKind::kCoalesce: return fmt::format("coalesce({})", joined(e, 0, ", ", schema));
    case ExprKind::kInList: return fmt::format("{} IN ({})", arg(0), joined(e, 1, ", ", schema));
    case ExprKind::kCase: {
      std::string text = "CASE";
      for (size_t i = 0; i + 1 < e.args.size(); i += 2) text += fmt::format(" WHEN {} THEN {}", arg(i), arg(i + 1));
      return text + fmt::format(" ELSE {} END", arg(e.args.size() - 1));
    }
  }
  return {};
}

const std::vector<ScalarFunction>& functions() {
  static const std::vector<ScalarFunction> table = [] {
    std::vector<ScalarFunction> all;
    add_number_functions(all);
    add_text_functions(all);
    add_inet_functions(all);
    add_time_functions(all);
    add_hash_functions(all);
    add_casts(all);
    return all;
  }();
  return table;
}

const ScalarFunction* find_cast(Type from, Type to) {
  for (const ScalarFunction& f : functions()) {
    if (f.kind == ScalarFunction::Kind::kCast && f.args[0] == from && f.result == to) return &f;
  }
  return nullptr;
}

std::vector<std::string> describe_functions() {
  std::vector<std::string> lines;
  for (const ScalarFunction& f : functions()) {
    const auto type = [&](size_t i) { return batch::name(f.args[i]); };
    std::string line;
    if (f.kind == ScalarFunction::Kind::kCast) {
      line = fmt::format("CAST({} AS {}){}", type(0), batch::name(f.result), f.implicit ? " (implicit)" : "");
      lines.push_back(line);
      continue;
    }
    if (f.kind == ScalarFunction::Kind::kOperator) {
      line = f.args.size() == 1 ? fmt::format("{} {}", f.name, type(0))
                                : fmt::format("{} {} {}", type(0), f.name, type(1));
    } else {
      line = std::string(f.name) + '(';
      for (size_t i = 0; i < f.args.size(); ++i) line += (i > 0 ? ", " : "") + std::string(type(i));
      line += ')';
    }
    lines.push_back(fmt::format("{} -> {}", line, batch::name(f.result)));
  }
  return lines;
}

std::string_view sqlstate(ValueError error) {
  switch (error) {
    case ValueError::kNumericOutOfRange: return "22003";
    case ValueError::kDivisionByZero: return "22012";
    case ValueError::kInvalidText: return "22P02";
    case ValueError::kDatetimeOverflow: return "22008";
    case ValueError::kInvalidParameter: return "22023";
    case ValueError::kInvalidDatetime: return "22007";
    case ValueError::kIntervalOverflow: return "22015";
    case ValueError::kInvalidLogarithm: return "2201E";
    case ValueError::kInvalidPower: return "2201F";
    case ValueError::kInvalidSubstring: return "22011";
    case ValueError::kInvalidEscape: return "22025";
    case ValueError::kUnsupported: return "0A000";
    case ValueError::kCount: break;
  }
  return "";
}
std::string_view message(ValueError error) {
  switch (error) {
    case ValueError::kNumericOutOfRange: return "value out of range";
    case ValueError::kDivisionByZero: return "division by zero";
    case ValueError::kInvalidText: return "the text cannot be read as this type";
    case ValueError::kDatetimeOverflow: return "timestamp or interval out of range";
    case ValueError::kInvalidParameter: return "an argument that this function does not take";
    case ValueError::kInvalidDatetime: return "the text cannot be read as a time or interval";
    case ValueError::kIntervalOverflow: return "interval field value out of range";
    case ValueError::kInvalidLogarithm: return "logarithm of zero or of a negative number";
    case ValueError::kInvalidPower: return "root of a negative number, or zero to a negative power";
    case ValueError::kInvalidSubstring: return "negative substring length";
    case ValueError::kInvalidEscape: return "LIKE pattern ends with its escape character";
    case ValueError::kUnsupported: return "not supported";
    case ValueError::kCount: break;
  }
  return "";
}
uint64_t ValueErrorCounts::total() const {
  uint64_t sum = 0;
  for (const uint64_t count : by_kind) sum += count;
  return sum;
}

}  // namespace backstream::expr
