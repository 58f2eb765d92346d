#include "borealis/write_expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstdlib>

#include "base/inet.h"
#include "borealis/expression.h"
#include "borealis/refused.h"

namespace backstream::borealis {

using Expr = plan::UnboundExpr;
using enum Binding;

namespace {

[[noreturn]] void lacks(const Expr& e, std::string_view what, std::string hint = {}) {
  refuse("0A000", fmt::format("Borealis has no {}", what), e.span, std::move(hint));
}

bool is_number(SqlKind kind) { return kind == SqlKind::kInteger || kind == SqlKind::kReal; }

/// Neither nothing nor more than its reader takes.
Written checked(const Expr& e, Written made) {
  if (made.text.size() > kExpressionOctetsMax) {
    refuse("54000", fmt::format("this would be an expression of more than {} octets", kExpressionOctetsMax), e.span,
           "name parts of it in a subquery");
  }
  if (made.depth > kExpressionDepthMax) {
    refuse("54001", fmt::format("this would be an expression more than {} levels deep", kExpressionDepthMax), e.span,
           "name parts of it in a subquery");
  }
  return made;
}

uint32_t deepest(std::initializer_list<const Written*> parts) {
  uint32_t depth = 0;
  for (const Written* part : parts) depth = std::max(depth, part->depth);
  return depth + 2;  // Itself, and parentheses.
}

Written binary(const Expr& e, std::string_view op, const Written& left, const Written& right, Binding own,
               SqlKind kind) {
  const bool compares = own <= kCompare;
  Written made;
  made.text = fmt::format("{} {} {}", within(left, compares ? kSum : own), op,
                          within(right, compares ? kSum : static_cast<Binding>(static_cast<uint8_t>(own) + 1)));
  made.kind = kind;
  made.binding = own;
  made.depth = deepest({&left, &right});
  return checked(e, std::move(made));
}

Written plain(std::string text, SqlKind kind) {
  Written made;
  made.text = std::move(text);
  made.kind = kind;
  return made;
}

Written function(const Expr& e, std::string_view name, const std::vector<Written>& args, SqlKind kind) {
  std::string text(name);
  text += '(';
  uint32_t depth = 0;
  for (const Written& arg : args) {
    if (text.back() != '(') text += ", ";
    text += arg.text;
    depth = std::max(depth, arg.depth);
  }
  Written made = plain(text + ")", kind);
  made.depth = depth + 1;
  return checked(e, std::move(made));
}

std::string quoted_text(const Expr& e) {
  const bool has_single = e.text.find('\'') != std::string::npos;
  if (has_single && e.text.find('"') != std::string::npos) lacks(e, "text that holds both kinds of quotes");
  const bool is_odd = std::any_of(e.text.begin(), e.text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 && c != '\t' && c != '\n' && c != '\r';
  });
  if (is_odd) lacks(e, "text with control characters");
  const char quote = has_single ? '"' : '\'';
  return fmt::format("{0}{1}{0}", quote, e.text);
}

/// The shortest text that is the same number, without an exponent, which Borealis does not read.
std::string real_text(const Expr& e) {
  const double value = std::strtod(e.text.c_str(), nullptr);
  constexpr size_t kDigitsMax = 400;
  char text[kDigitsMax];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr;
  std::string made(text, end);
  if (made.find_first_not_of("-0123456789.") != std::string::npos) lacks(e, "number of this size");
  if (made.find('.') == std::string::npos) made += ".0";
  return made + "d";
}

std::optional<base::Inet> address_constant(const Expr& e) {
  const bool is_cast =
      e.kind == Expr::Kind::kCast && (e.text == "inet" || e.text == "cidr") && e.args[0]->kind == Expr::Kind::kString;
  if (!is_cast && e.kind != Expr::Kind::kString) return std::nullopt;
  return base::parse_inet(is_cast ? e.args[0]->text : e.text);
}
Written address_number(const Expr& e, const base::Inet& address) {
  if (address.family != 4) lacks(e, "number for an IPv6 address");
  if (!address.is_host()) lacks(e, "number for a network", "src_ip <<= '10.0.0.0/8' asks whether an address is in it");
  return plain(std::to_string(address.v4_address()), SqlKind::kAddress);
}

struct Lacking {
  std::string_view function, hint;
};
constexpr std::string_view kTimes = "times are read as they are; of lengths of time there are windows";
constexpr Lacking kLacking[] = {
    {"date_trunc", "tumble(flows, time, interval '1 h') has windows of an hour"},
    {"extract", kTimes},
    {"date_part", kTimes},
    {"now", kTimes},
    {"current_timestamp", kTimes},
    {"approx_count_distinct", "count(DISTINCT x) is count_distinct(x)"},
    {"round", "floor(x + 0.5) is near to it"},
    {"trunc", "trunc(x)::bigint is long(x)"},
    {"length", "octet_length(x) is strlen(x)"},
};

}  // namespace

std::string within(const Written& value, Binding least) {
  return value.binding >= least ? value.text : fmt::format("({})", value.text);
}

Written negation(Written condition) {
  Written made;
  made.text = fmt::format("not {}", within(condition, kWhole));
  made.kind = SqlKind::kCondition;
  made.binding = kUnary;
  made.depth = condition.depth + 2;
  return made;
}

Written as_real(Written value) {
  if (value.kind == SqlKind::kReal) return value;
  Written made;
  made.kind = SqlKind::kReal;
  made.text = fmt::format("{} * 1.0d", within(value, kProduct));
  made.binding = kProduct;
  made.depth = value.depth + 2;
  return made;
}

bool same(const Expr& a, const Expr& b) {
  if (a.kind != b.kind || a.text != b.text || a.op != b.op || a.negated != b.negated || a.distinct != b.distinct ||
      a.star != b.star || a.args.size() != b.args.size() || a.subquery || b.subquery || a.over || b.over || a.filter ||
      b.filter || !a.order_by.empty() || !b.order_by.empty())
    return false;
  // There is one relation, by whatever name.
  if (a.names.empty() != b.names.empty() || (!a.names.empty() && a.names.back() != b.names.back())) return false;
  for (size_t i = 0; i < a.args.size(); ++i) {
    if (!a.args[i] != !b.args[i] || (a.args[i] && !same(*a.args[i], *b.args[i]))) return false;
  }
  return true;
}

SqlKind kind_of(batch::Type type) {
  using batch::Type;
  switch (type) {
    case Type::kInt2:
    case Type::kInt4:
    case Type::kInt8: return SqlKind::kInteger;
    case Type::kFloat8: return SqlKind::kReal;
    case Type::kText: return SqlKind::kText;
    case Type::kCidr:
    case Type::kMacaddr: return SqlKind::kLabel;
    case Type::kInet: return SqlKind::kAddress;
    case Type::kTimestamptz: return SqlKind::kTime;
    case Type::kBool: return SqlKind::kCondition;
    default: return SqlKind::kOther;
  }
}

SqlKind common_kind(SqlKind a, SqlKind b, base::SourceSpan at) {
  if (a == b) return a;
  if (is_number(a) && is_number(b)) return SqlKind::kReal;
  const SqlKind other = a == SqlKind::kLiteral ? b : a;
  if ((a == SqlKind::kLiteral || b == SqlKind::kLiteral) && (other == SqlKind::kText || other == SqlKind::kAddress))
    return other;
  refuse("0A000", "Borealis has no one type for these values", at);
}

Written ExpressionWriter::write(const Expr& e) {
  if (depth_ == kExpressionDepthMax)
    refuse("54001", fmt::format("this would be an expression more than {} levels deep", kExpressionDepthMax), e.span,
           "name parts of it in a subquery");
  ++depth_;
  std::optional<Written> found = meanings_.find(e);
  Written made = found ? std::move(*found) : write_parts(e);
  --depth_;
  return checked(e, std::move(made));
}

Written ExpressionWriter::condition(const Expr& e) {
  Written made = write(e);
  if (made.kind != SqlKind::kCondition) lacks(e, "condition like this");
  return made;
}

Written ExpressionWriter::write_parts(const Expr& e) {
  using Kind = Expr::Kind;
  switch (e.kind) {
    case Kind::kColumn:
    case Kind::kStar: break;
    case Kind::kNull: lacks(e, "NULL");
    case Kind::kBool: return plain(e.text, SqlKind::kCondition);
    case Kind::kInteger:
    case Kind::kFloat: return number(e);
    case Kind::kString: return plain(quoted_text(e), SqlKind::kLiteral);
    case Kind::kCast: return cast(e);
    case Kind::kCall: return call(e);
    case Kind::kOperator: return operation(e);
    case Kind::kAnd:
    case Kind::kOr: {
      std::vector<Written> parts;
      for (const auto& arg : e.args) parts.push_back(condition(*arg));
      return joined(e, e.kind == Kind::kAnd ? "and" : "or", std::move(parts));
    }
    case Kind::kNot: return checked(e, negation(condition(*e.args[0])));
    case Kind::kIsNull: lacks(e, e.negated ? "IS NOT NULL" : "IS NULL", "it knows no null");
    case Kind::kIsTruth: {
      if (e.op == "unknown") lacks(e, "IS UNKNOWN", "it knows no null");
      Written asked = condition(*e.args[0]);
      if (e.op == "false") asked = negation(std::move(asked));
      Written made =
          plain(fmt::format("if {} then {} else {}", within(asked, kOr), !e.negated, e.negated), SqlKind::kCondition);
      made.binding = kIf;
      made.depth = asked.depth + 2;
      return made;
    }
    case Kind::kDistinctFrom: lacks(e, "IS DISTINCT FROM", "it knows no null");
    case Kind::kCase: return cases(e);
    case Kind::kCoalesce: lacks(e, "coalesce()", "it knows no null");
    case Kind::kNullIf: lacks(e, "nullif()", "it knows no null");
    case Kind::kGreatest: return extreme(e, "max");
    case Kind::kLeast: return extreme(e, "min");
    case Kind::kBetween: return between(e);
    case Kind::kInList:
    case Kind::kAnyArray:
    case Kind::kAllArray: {
      const bool all = e.kind == Kind::kAllArray;
      std::vector<Written> parts;
      for (size_t i = 1; i < e.args.size(); ++i)
        parts.push_back(compare(e, e.kind == Kind::kInList ? "=" : e.op, *e.args[0], *e.args[i]));
      if (parts.empty()) return plain(all ? "true" : "false", SqlKind::kCondition);
      Written made = joined(e, all ? "and" : "or", std::move(parts));
      return e.negated ? checked(e, negation(std::move(made))) : made;
    }
    case Kind::kLike: lacks(e, e.op == "like" ? "LIKE" : "ILIKE", "texts are compared as a whole");
    case Kind::kAtTimeZone: lacks(e, "AT TIME ZONE");
    case Kind::kSubquery:
      lacks(e, e.op == "exists" ? "EXISTS" : e.op == "in" ? "IN (SELECT …)" : "subquery in an expression");
    case Kind::kParameterDefault: break;
  }
  lacks(e, "value like this");
}

Written ExpressionWriter::number(const Expr& e) {
  const bool negative = e.text.starts_with('-');
  const std::string_view digits = std::string_view(e.text).substr(negative);
  Written made;
  if (e.kind == Expr::Kind::kFloat) {
    made = plain(real_text(e), SqlKind::kReal);
    made.is_number = made.text.find_first_of("123456789") != std::string::npos;
  } else {
    int64_t value = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), value).ec != std::errc())
      lacks(e, "number of this size");
    made = plain(e.text, SqlKind::kInteger);
    made.is_number = value != 0;
    made.is_natural = !negative;
  }
  if (made.text.starts_with('-')) {
    made.binding = kUnary;
    made.depth = 2;
  }
  return made;
}

Written ExpressionWriter::cast(const Expr& e) {
  const Expr& of = *e.args[0];
  if (e.text == "inet" || e.text == "cidr") {
    const auto address = address_constant(e);
    if (!address) lacks(e, "address made of a text");
    return address_number(e, *address);
  }
  const bool whole = e.text == "bigint" || e.text == "integer" || e.text == "smallint";
  if (!whole && e.text != "double precision" && e.text != "text") {
    lacks(e, fmt::format("cast to {}", e.text),
          e.text == "interval" ? "lengths of time are there for windows only" : "numbers are cast to numbers");
  }
  // trunc(x)::bigint is what Borealis's long(x) does.
  const bool cuts = whole && of.kind == Expr::Kind::kCall && of.text == "trunc" && of.args.size() == 1;
  Written value = write(cuts ? *of.args[0] : of);
  if (e.text == "text") {
    if (value.kind == SqlKind::kLiteral) value.kind = SqlKind::kText;
    if (value.kind != SqlKind::kText) lacks(e, "cast to text");
    return value;
  }
  if (!is_number(value.kind)) lacks(e, fmt::format("cast to {} of this", e.text));
  if (!whole) return as_real(std::move(value));
  const std::string_view name = e.text == "bigint" ? "long" : "int";
  if (value.kind == SqlKind::kInteger) return function(e, name, {value}, SqlKind::kInteger);
  const bool is_whole =
      cuts || (of.kind == Expr::Kind::kCall && (of.text == "floor" || of.text == "ceil" || of.text == "ceiling"));
  if (!is_whole) lacks(e, fmt::format("cast to {} that rounds", e.text), "trunc(x)::bigint cuts off the fraction");
  may_fail_ = true;
  return function(e, name, {value}, SqlKind::kInteger);
}

Written ExpressionWriter::call(const Expr& e) {
  struct Known {
    std::string_view name, borealis;
    size_t args;
    bool may_fail;
  };
  static constexpr Known kKnown[] = {
      {"floor", "floor", 1, false}, {"ceil", "ceil", 1, false},   {"ceiling", "ceil", 1, false},
      {"sqrt", "sqrt", 1, true},    {"exp", "exp", 1, true},      {"ln", "ln", 1, true},
      {"log", "log", 1, true},      {"sin", "sin", 1, true},      {"cos", "cos", 1, true},
      {"tan", "tan", 1, true},      {"asin", "asin", 1, true},    {"acos", "acos", 1, true},
      {"atan", "atan", 1, false},   {"sinh", "sinh", 1, false},   {"cosh", "cosh", 1, false},
      {"tanh", "tanh", 1, false},   {"atan2", "atan2", 2, false}, {"pow", "pow", 2, true},
      {"power", "pow", 2, true},
  };
  if (e.over) {
    refuse("0A000", fmt::format("{}(…) OVER (…) has no box", e.text), e.span,
           "an aggregate box has the windows of tumble() and hop()");
  }
  std::vector<Written> args;
  const auto write_args = [&] {
    for (const auto& arg : e.args) args.push_back(write(*arg));
  };
  const auto known =
      std::find_if(std::begin(kKnown), std::end(kKnown), [&](const Known& each) { return each.name == e.text; });
  if (known != std::end(kKnown) && e.args.size() == known->args) {
    write_args();
    for (size_t i = 0; i < args.size(); ++i) {
      if (!is_number(args[i].kind)) lacks(*e.args[i], fmt::format("{}() of this", known->borealis));
    }
    may_fail_ = may_fail_ || known->may_fail;
    return function(e, known->borealis, args, SqlKind::kReal);
  }
  if (e.text == "abs" && e.args.size() == 1) {
    write_args();
    if (is_number(args[0].kind)) return function(e, "abs", args, args[0].kind);
  }
  if (e.text == "octet_length" && e.args.size() == 1) {
    write_args();
    if (args[0].kind == SqlKind::kText || args[0].kind == SqlKind::kLiteral)
      return function(e, "strlen", args, SqlKind::kInteger);
  }
  if (e.text == "mod" && e.args.size() == 2) {
    write_args();
    if (args[0].kind == SqlKind::kInteger && args[1].kind == SqlKind::kInteger) {
      may_fail_ = may_fail_ || !args[1].is_number;
      return binary(e, "%", args[0], args[1], kProduct, SqlKind::kInteger);
    }
  }
  std::string hint;
  for (const Lacking& each : kLacking) {
    if (each.function == e.text) hint = each.hint;
  }
  lacks(e, fmt::format("{}()", e.text), std::move(hint));
}

Written ExpressionWriter::as_kind(const Expr& e, Written value, SqlKind kind) {
  if (value.kind != SqlKind::kLiteral || kind == SqlKind::kLiteral) return value;
  if (kind == SqlKind::kText) {
    value.kind = kind;
    return value;
  }
  if (kind == SqlKind::kAddress) {
    const auto address = address_constant(e);
    if (address) return address_number(e, *address);
  }
  if (kind == SqlKind::kTime) lacks(e, "time written out", "a field of type long holds seconds since 1970");
  lacks(e, "text in this place", is_number(kind) ? "write the number without quotes" : "");
}

Written ExpressionWriter::compare(const Expr& e, const std::string& op, const Expr& left, const Expr& right) {
  struct Comparison {
    std::string_view sql, borealis;
    Binding binding;
  };
  static constexpr Comparison kComparisons[] = {{"=", "=", kEqual},   {"<>", "!=", kNotEqual},
                                                {"<", "<", kCompare}, {"<=", "<=", kCompare},
                                                {">", ">", kCompare}, {">=", ">=", kCompare}};
  const auto known = std::find_if(std::begin(kComparisons), std::end(kComparisons),
                                  [&](const Comparison& each) { return each.sql == op; });
  if (known == std::end(kComparisons)) lacks(e, fmt::format("operator {}", op));
  Written a = write(left), b = write(right);
  const SqlKind of_a = a.kind, of_b = b.kind;
  a = as_kind(left, std::move(a), of_b);
  b = as_kind(right, std::move(b), of_a);
  if (a.kind != b.kind && !(is_number(a.kind) && is_number(b.kind))) lacks(e, "comparison like this");
  const bool equality = known->binding != kCompare;
  if (!equality && (a.kind == SqlKind::kCondition || a.kind == SqlKind::kLabel)) lacks(e, "order of these values");
  if (a.kind == SqlKind::kLabel && (left.kind != Expr::Kind::kColumn || right.kind != Expr::Kind::kColumn))
    lacks(e, "comparison like this");
  return binary(e, known->borealis, a, b, known->binding, SqlKind::kCondition);
}

Written ExpressionWriter::joined(const Expr& e, std::string_view word, std::vector<Written> parts) {
  if (parts.size() == 1) return std::move(parts[0]);
  Written made;
  made.kind = SqlKind::kCondition;
  made.binding = word == "and" ? kAnd : kOr;
  for (const Written& part : parts) {
    if (!made.text.empty()) made.text += fmt::format(" {} ", word);
    made.text += within(part, kNotEqual);
    made.depth = std::max(made.depth, part.depth + 1);
    if (made.text.size() > kExpressionOctetsMax) return checked(e, std::move(made));
  }
  made.depth += static_cast<uint32_t>(std::bit_width(parts.size()));  // Its reader makes pairs of pairs.
  return checked(e, std::move(made));
}

Written ExpressionWriter::between(const Expr& e) {
  const auto both = [&](const Expr& low, const Expr& high) {
    std::vector<Written> parts;
    parts.push_back(compare(e, ">=", *e.args[0], low));
    parts.push_back(compare(e, "<=", *e.args[0], high));
    return joined(e, "and", std::move(parts));
  };
  Written made = both(*e.args[1], *e.args[2]);
  if (e.op == "symmetric") {
    std::vector<Written> parts;
    parts.push_back(std::move(made));
    parts.push_back(both(*e.args[2], *e.args[1]));
    made = joined(e, "or", std::move(parts));
  }
  return e.negated ? checked(e, negation(std::move(made))) : made;
}

Written ExpressionWriter::choice(const Expr& e, size_t when) {
  const bool last = when + 1 >= e.args.size();
  if (last) return write(*e.args.back());
  Written asked = e.args[0] ? compare(*e.args[when], "=", *e.args[0], *e.args[when]) : condition(*e.args[when]);
  Written then = write(*e.args[when + 1]);
  Written other = choice(e, when + 2);
  const SqlKind kind = common_kind(then.kind, other.kind, e.span);
  then = as_kind(*e.args[when + 1], std::move(then), kind);
  if (when + 3 >= e.args.size()) other = as_kind(*e.args.back(), std::move(other), kind);
  else if (other.kind == SqlKind::kLiteral && kind != SqlKind::kLiteral && kind != SqlKind::kText)
    lacks(e, "text in this place");
  // A nested `if` in `then` takes the next `else`, so it has parentheses.
  Written made;
  made.text = fmt::format("if {} then {} else {}", within(asked, kOr), within(then, kOr), other.text);
  made.kind = kind;
  made.binding = kIf;
  made.is_natural = then.is_natural && other.is_natural;
  made.depth = deepest({&asked, &then, &other});
  return checked(e, std::move(made));
}

Written ExpressionWriter::cases(const Expr& e) {
  if (!e.args.back()) lacks(e, "CASE without ELSE", "that gives null, which it does not know");
  if (e.args.size() / 2 > kExpressionDepthMax) {
    refuse("54001", fmt::format("this would be an expression more than {} levels deep", kExpressionDepthMax), e.span);
  }
  return choice(e, 1);
}

Written ExpressionWriter::extreme(const Expr& e, std::string_view name) {
  std::vector<Written> args;
  for (const auto& arg : e.args) args.push_back(write(*arg));
  SqlKind kind = args[0].kind;
  for (const Written& arg : args) kind = common_kind(kind, arg.kind, e.span);
  if (kind == SqlKind::kCondition || kind == SqlKind::kLabel || kind == SqlKind::kLiteral)
    lacks(e, "order of these values");
  for (size_t i = 0; i < args.size(); ++i) args[i] = as_kind(*e.args[i], std::move(args[i]), kind);
  return function(e, name, args, kind);
}

Written ExpressionWriter::network_test(const Expr& e, const Expr& address, const Expr& network, bool strict) {
  const auto found = address_constant(network);
  if (!found) lacks(e, fmt::format("operator {}", e.op), "an address is compared with a network that is written out");
  Written value = write(address);
  if (value.kind != SqlKind::kAddress) lacks(e, fmt::format("operator {}", e.op));
  if (found->family != 4) lacks(network, "number for an IPv6 address");
  if (found->is_host() && strict) lacks(e, "test for what is inside of a single address", "= compares with it");
  const uint32_t low = found->network().v4_address();
  const uint32_t high = low | static_cast<uint32_t>((uint64_t{1} << (32 - found->prefix_bits)) - 1);
  std::vector<Written> parts;
  parts.push_back(binary(e, ">=", value, plain(std::to_string(low), SqlKind::kAddress), kCompare, SqlKind::kCondition));
  parts.push_back(
      binary(e, "<=", value, plain(std::to_string(high), SqlKind::kAddress), kCompare, SqlKind::kCondition));
  return joined(e, "and", std::move(parts));
}

Written ExpressionWriter::bits(const Expr& e, Written value, int64_t mask) {
  Written sum;
  for (int bit = 0; mask >> bit != 0; ++bit) {
    if ((mask >> bit & 1) == 0) continue;
    const int64_t weight = int64_t{1} << bit;
    const Written number = plain(std::to_string(weight), SqlKind::kInteger), two = plain("2", SqlKind::kInteger);
    Written part = bit == 0 ? value : binary(e, "/", value, number, kProduct, SqlKind::kInteger);
    part = binary(e, "%", part, two, kProduct, SqlKind::kInteger);
    if (bit > 0) part = binary(e, "*", part, number, kProduct, SqlKind::kInteger);
    sum = sum.text.empty() ? std::move(part) : binary(e, "+", sum, part, kSum, SqlKind::kInteger);
  }
  sum.is_natural = true;
  return sum;
}

Written ExpressionWriter::operation(const Expr& e) {
  const std::string& op = e.op;
  if (e.args.size() == 1) {
    if (op != "-" && op != "+") lacks(e, fmt::format("operator {}", op));
    Written value = write(*e.args[0]);
    if (!is_number(value.kind)) lacks(e, fmt::format("{} of this", op));
    if (op == "+") return value;
    value.text = fmt::format("-{}", within(value, kWhole));
    value.binding = kUnary;
    value.depth += 2;
    value.is_natural = false;
    value.field.clear();
    return checked(e, std::move(value));
  }
  const Expr &left = *e.args[0], &right = *e.args[1];
  if (op == "=" || op == "<>" || op == "<" || op == "<=" || op == ">" || op == ">=") return compare(e, op, left, right);
  const auto natural = [](const Expr& of, int64_t most) -> std::optional<int64_t> {
    int64_t value = -1;
    if (of.kind == Expr::Kind::kInteger) std::from_chars(of.text.data(), of.text.data() + of.text.size(), value);
    return value > 0 && value <= most ? std::optional(value) : std::nullopt;
  };
  constexpr int64_t kMaskMax = (1 << 16) - 1, kShiftMax = 30;
  constexpr std::string_view kBitHint = "of values that are never negative, x / 2 % 2 is the second bit";
  if (op == "<<" || op == "<<=" || op == ">>" || op == ">>=") {
    if (op.starts_with('<') && address_constant(right)) return network_test(e, left, right, op == "<<");
    if (op.starts_with('>') && address_constant(left)) return network_test(e, right, left, op == ">>");
    if (const auto shift = natural(right, kShiftMax); op == ">>" && shift) {
      Written value = write(left);
      if (!value.is_natural) lacks(e, "operator >>", std::string(kBitHint));
      value = binary(e, "/", value, plain(std::to_string(int64_t{1} << *shift), SqlKind::kInteger), kProduct,
                     SqlKind::kInteger);
      value.is_natural = true;
      return value;
    }
  }
  if (op == "&") {
    const auto mask = natural(right, kMaskMax);
    if (!mask) lacks(e, "operator &", std::string(kBitHint));
    Written value = write(left);
    if (!value.is_natural) lacks(e, "operator &", std::string(kBitHint));
    return bits(e, std::move(value), *mask);
  }
  const bool arithmetic = op == "+" || op == "-" || op == "*" || op == "/" || op == "%";
  if (!arithmetic && op != "^" && op != "||") lacks(e, fmt::format("operator {}", op));
  const Written a = write(left), b = write(right);
  if (op == "||") {
    const auto is_text = [](const Written& value) {
      return value.kind == SqlKind::kText || value.kind == SqlKind::kLiteral;
    };
    if (!is_text(a) || !is_text(b)) lacks(e, "|| of these values", "texts are put together with texts");
    return binary(e, "+", a, b, kSum, SqlKind::kText);
  }
  if (!is_number(a.kind) || !is_number(b.kind)) {
    const bool times = a.kind == SqlKind::kTime || b.kind == SqlKind::kTime;
    lacks(e, times ? "arithmetic of times" : fmt::format("operator {} for these values", op),
          times ? "" : "it computes with numbers");
  }
  const SqlKind kind =
      a.kind == SqlKind::kReal || b.kind == SqlKind::kReal || op == "^" ? SqlKind::kReal : SqlKind::kInteger;
  may_fail_ = may_fail_ || (op == "/" || op == "%" ? !b.is_number : !a.is_number && !b.is_number);
  if (op == "^") return function(e, "pow", {a, b}, kind);
  if (op == "%" && kind == SqlKind::kReal) lacks(e, "operator % for reals");
  Written made = binary(e, op, a, b, op == "+" || op == "-" ? kSum : kProduct, kind);
  made.is_natural = op != "-" && a.is_natural && b.is_natural;
  return made;
}

}  // namespace backstream::borealis
