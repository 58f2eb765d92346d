// Expressions over fields, with the types of Borealis, as expressions of the unbound plan.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <optional>
#include <utility>

#include "base/inet.h"
#include "borealis/field.h"
#include "plan/boxes.h"

namespace backstream::borealis {

using base::fail;

std::string_view name(Family family) {
  switch (family) {
    case Family::kInteger: return "an integer";
    case Family::kReal: return "a real number";
    case Family::kString: return "a string";
    case Family::kAddress: return "an address";
    case Family::kTimestamp: return "a timestamp";
    case Family::kBool: return "a condition";
  }
  return {};
}

Family family_of(FieldType type) {
  switch (type) {
    case FieldType::kSingle:
    case FieldType::kDouble: return Family::kReal;
    case FieldType::kString: return Family::kString;
    case FieldType::kTimestamp: return Family::kTimestamp;
    default: return Family::kInteger;
  }
}

FieldValue FieldValue::copy() const {
  FieldValue made;
  made.name = name;
  made.family = family;
  made.value = clone(*value);
  made.is_wide = is_wide;
  made.time_column = time_column;
  made.in_whole_seconds = in_whole_seconds;
  made.is_unsigned = is_unsigned;
  made.is_needed = is_needed;
  return made;
}

Result<const FieldValue*> Scope::find(const Expression& field) const {
  std::string_view qualifier = field.qualifier;
  for (const Word& word : words_) {
    if (word.word == qualifier) qualifier = sides_[word.side].qualifier;
  }
  const FieldValue* found = nullptr;
  std::vector<std::string_view> names;
  bool known = field.qualifier.empty();
  for (const Side& side : sides_) {
    if (!field.qualifier.empty() && side.qualifier != qualifier) continue;
    known = true;
    for (const FieldValue& value : *side.fields) {
      names.push_back(value.name);
      if (value.name != field.text) continue;
      if (found != nullptr) {
        return fail("42702", fmt::format("both inputs have a field \"{}\"", field.text), field.span,
                    fmt::format("write {0}.{2} or {1}.{2}", sides_[0].qualifier, sides_[1].qualifier, field.text));
      }
      found = &value;
    }
  }
  if (!known) {
    std::string inputs;
    for (const Side& side : sides_) {
      if (!side.qualifier.empty()) inputs.append(inputs.empty() ? "" : " and ").append(side.qualifier);
    }
    return fail("42P01", fmt::format("no input is called \"{}\" here", field.qualifier), field.span,
                inputs.empty() ? "the box has one input: write the field alone"
                               : fmt::format("the inputs here are {}", inputs));
  }
  if (found != nullptr) return found;
  const auto near = base::nearest_name(field.text, names);
  std::string list;
  for (const std::string_view each : names) list.append(list.empty() ? "" : ", ").append(each);
  return fail("42703", fmt::format("there is no field \"{}\" here", field.text), field.span,
              near.empty() ? fmt::format("fields are {}", list) : fmt::format("did you mean '{}'?", near));
}

namespace {

using Kind = Expression::Kind;

bool is_number(Family family) { return family == Family::kInteger || family == Family::kReal; }

tl::unexpected<base::Diagnostic> refuse(const Expression& e, std::string message, std::string hint = {}) {
  return fail("42804", std::move(message), e.span, std::move(hint));
}

/// An address that is written as a text, such as '192.0.2.1'.
bool is_address(const Typed& typed) {
  if (!typed.is_literal_text) return false;
  const auto address = base::parse_inet(typed.value->text);
  return address && address->is_host();
}

/// x = 1 or x = 2: where it stands alone, what is compared with a constant.
bool is_equality_with_integer(const UnboundExpr& e) {
  return e.kind == UnboundExpr::Kind::kOperator && e.op == "=" && e.args.size() == 2 &&
         e.args[0]->kind == UnboundExpr::Kind::kColumn && e.args[1]->kind == UnboundExpr::Kind::kInteger;
}
/// Of conditions joined by OR, those that compare one column with constants become one: x IN (1, 2), which is looked
/// up.
void gather_constants(std::vector<UnboundExprPtr>& conditions) {
  for (size_t i = 0; i < conditions.size(); ++i) {
    if (!is_equality_with_integer(*conditions[i])) continue;
    const auto same = [&](const UnboundExprPtr& other) {
      return is_equality_with_integer(*other) && other->args[0]->names == conditions[i]->args[0]->names;
    };
    const auto first = conditions.begin() + static_cast<long>(i);
    const auto others = std::stable_partition(first + 1, conditions.end(), [&](const auto& e) { return !same(e); });
    if (others == conditions.end()) continue;
    UnboundExpr& in = **first;
    in.kind = UnboundExpr::Kind::kInList;
    in.op.clear();
    for (auto other = others; other != conditions.end(); ++other) in.args.push_back(std::move((*other)->args[1]));
    conditions.erase(others, conditions.end());
  }
}

int64_t number_of(std::string_view digits) {
  int64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}
int64_t number_of(const UnboundExpr& e) { return number_of(e.text); }

/// x & mask = value, x a column.
struct BitTest {
  UnboundExpr* column = nullptr;
  int64_t mask = 0, value = 0;
};
std::optional<BitTest> bit_test(const UnboundExpr& e) {
  if (e.kind != UnboundExpr::Kind::kOperator || e.op != "=" || e.args.size() != 2) return std::nullopt;
  const UnboundExpr &bits = *e.args[0], &value = *e.args[1];
  if (bits.kind != UnboundExpr::Kind::kOperator || bits.op != "&" || value.kind != UnboundExpr::Kind::kInteger ||
      bits.args[0]->kind != UnboundExpr::Kind::kColumn || bits.args[1]->kind != UnboundExpr::Kind::kInteger)
    return std::nullopt;
  const BitTest test{bits.args[0].get(), number_of(*bits.args[1]), number_of(value)};
  if ((test.value & ~test.mask) != 0) return std::nullopt;  // It is never true.
  return test;
}
/// (x >> k & mask) = value becomes x & mask << k = value << k.
void shift_value(UnboundExpr& comparison) {
  UnboundExpr &bits = *comparison.args[0], &value = *comparison.args[1];
  if (bits.kind != UnboundExpr::Kind::kOperator || bits.op != "&" || value.kind != UnboundExpr::Kind::kInteger) return;
  UnboundExpr& shifted = *bits.args[0];
  if (shifted.kind != UnboundExpr::Kind::kOperator || shifted.op != ">>") return;
  const int64_t by = number_of(*shifted.args[1]), most = INT32_MAX >> by;
  if (number_of(*bits.args[1]) > most || number_of(value) > most) return;
  bits.args[1]->text = std::to_string(number_of(*bits.args[1]) << by);
  value.text = std::to_string(number_of(value) << by);
  bits.args[0] = std::move(shifted.args[0]);
}
/// Of conditions joined by AND, tests of other bits of one column become one test.
void gather_bits(std::vector<UnboundExprPtr>& conditions) {
  for (size_t i = 0; i < conditions.size(); ++i) {
    for (size_t other = i + 1; other < conditions.size();) {
      const auto one = bit_test(*conditions[i]), two = bit_test(*conditions[other]);
      if (!one || !two || one->column->names != two->column->names || (one->mask & two->mask) != 0) {
        ++other;
        continue;
      }
      conditions[i]->args[0]->args[1]->text = std::to_string(one->mask | two->mask);
      conditions[i]->args[1]->text = std::to_string(one->value | two->value);
      conditions.erase(conditions.begin() + static_cast<long>(other));
    }
  }
}

/// The time of date_part('epoch', time), which a field of type double is read as; null: it is something else.
UnboundExprPtr* time_of_epoch(UnboundExpr& e) {
  const bool is_epoch = e.kind == UnboundExpr::Kind::kCall && e.text == "date_part" && e.args.size() == 2 &&
                        e.args[0]->kind == UnboundExpr::Kind::kString && e.args[0]->text == "epoch";
  return is_epoch ? &e.args[1] : nullptr;
}

/// k of 2 to the power of k; -1: it is none.
int power_of_two(const UnboundExpr& e) {
  if (e.kind != UnboundExpr::Kind::kInteger) return -1;
  const auto value = static_cast<uint64_t>(number_of(e));
  return std::has_single_bit(value) ? std::countr_zero(value) : -1;
}

class Lowering {
 public:
  explicit Lowering(const Scope& scope) : scope_(scope) {}

  Result<Typed> lower(const Expression& e) {
    switch (e.kind) {
      case Kind::kInteger: return integer_literal(e);
      case Kind::kFloat: return Typed{real(e.text, e.span), Family::kReal};
      case Kind::kString: return Typed{text(e.text, e.span), Family::kString, true, true};
      case Kind::kBool: {
        auto made = text(e.text, e.span);
        made->kind = UnboundExpr::Kind::kBool;
        return Typed{std::move(made), Family::kBool};
      }
      case Kind::kField: return field(e);
      case Kind::kUnary: return unary(e);
      case Kind::kBinary: return binary(e);
      case Kind::kIf: return choice(e);
      case Kind::kCall: return function(e);
    }
    return refuse(e, "this is no value");
  }

 private:
  static Result<Typed> integer_literal(const Expression& e) {
    const int64_t value = number_of(e.text);
    Typed made{integer(value, e.span), Family::kInteger};
    made.is_wide = value > INT32_MAX;
    made.is_unsigned = true;
    return made;
  }
  Result<Typed> field(const Expression& e) {
    auto found = scope_.find(e);
    if (!found) return tl::unexpected(std::move(found.error()));
    Typed made{clone(*(*found)->value), (*found)->family, (*found)->is_wide};
    made.is_unsigned = (*found)->is_unsigned;
    return made;
  }
  Result<Typed> unary(const Expression& e) {
    auto arg = lower(*e.args[0]);
    if (!arg) return arg;
    if (e.text == "not") {
      if (arg->family != Family::kBool)
        return refuse(*e.args[0], fmt::format("'not' takes a condition, this is {}", name(arg->family)));
      std::vector<UnboundExprPtr> args;
      args.push_back(std::move(arg->value));
      return Typed{over(UnboundExpr::Kind::kNot, std::move(args), e.span), Family::kBool};
    }
    if (!is_number(arg->family))
      return refuse(*e.args[0], fmt::format("'{}' takes a number, this is {}", e.text, name(arg->family)));
    if (e.text == "+") return arg;
    arg->is_unsigned = false;
    auto made = over(UnboundExpr::Kind::kOperator, {}, e.span);
    made->op = e.text;
    made->args.push_back(std::move(arg->value));
    arg->value = std::move(made);
    return arg;
  }

  Result<Typed> binary(const Expression& e) {
    if (e.text == "and" || e.text == "or") return logical(e);
    auto left = lower(*e.args[0]);
    if (!left) return left;
    auto right = lower(*e.args[1]);
    if (!right) return right;
    const bool arithmetic = e.text == "+" || e.text == "-" || e.text == "*" || e.text == "/" || e.text == "%";
    return arithmetic ? compute(e, std::move(*left), std::move(*right))
                      : compare(e, std::move(*left), std::move(*right));
  }
  /// A chain of one operator is one list, however long.
  Result<Typed> logical(const Expression& e) {
    std::vector<const Expression*> left{&e};
    std::vector<UnboundExprPtr> conditions;
    while (!left.empty()) {
      const Expression& part = *left.back();
      left.pop_back();
      if (part.kind == Kind::kBinary && part.text == e.text) {
        left.push_back(part.args[1].get());
        left.push_back(part.args[0].get());
        continue;
      }
      auto condition = lower(part);
      if (!condition) return condition;
      if (condition->family != Family::kBool)
        return refuse(part, fmt::format("'{}' takes conditions, this is {}", e.text, name(condition->family)));
      conditions.push_back(std::move(condition->value));
    }
    const auto kind = e.text == "and" ? UnboundExpr::Kind::kAnd : UnboundExpr::Kind::kOr;
    kind == UnboundExpr::Kind::kOr ? gather_constants(conditions) : gather_bits(conditions);
    if (conditions.size() == 1) return Typed{std::move(conditions.front()), Family::kBool};
    return Typed{over(kind, std::move(conditions), e.span), Family::kBool};
  }
  static Result<Typed> compute(const Expression& e, Typed&& left, Typed&& right) {
    if (e.text == "+" && is_string(left.family) && is_string(right.family)) {
      return Typed{op("||", value_as(std::move(left), Family::kString), value_as(std::move(right), Family::kString)),
                   Family::kString};
    }
    const Typed* const wrong = !is_number(left.family) ? &left : !is_number(right.family) ? &right : nullptr;
    if (wrong != nullptr) {
      const bool times = wrong->family == Family::kTimestamp;
      return refuse(*e.args[wrong == &left ? 0 : 1],
                    fmt::format("'{}' takes numbers, this is {}", e.text, name(wrong->family)),
                    times ? "declare the field as long or double in the schema: then it is in seconds" : "");
    }
    const bool reals = left.family == Family::kReal || right.family == Family::kReal;
    if (e.text == "%" && reals) return refuse(e, "'%' takes integers", "int(x) cuts off the fraction");
    const bool grows = e.text != "/" && e.text != "%";
    const bool is_unsigned = left.is_unsigned && right.is_unsigned && e.text != "-";
    const int power = is_unsigned && !grows ? power_of_two(*right.value) : -1;
    if (power >= 0) {  // The same for what is not negative, and the processor's division is slow.
      const bool divides = e.text == "/";
      UnboundExprPtr bits = integer(divides ? power : (int64_t{1} << power) - 1, right.value->span);
      Typed made{op(divides ? ">>" : "&", std::move(left.value), std::move(bits)), Family::kInteger, left.is_wide};
      made.is_unsigned = true;
      return made;
    }
    // SQL computes two of 32 bits in 32.
    if (!reals && grows && !left.is_wide && !right.is_wide) left.value = cast(std::move(left.value), "bigint");
    UnboundExprPtr* const from = e.text == "-" ? time_of_epoch(*left.value) : nullptr;
    if (UnboundExprPtr* const to = from == nullptr ? nullptr : time_of_epoch(*right.value)) {
      // Exact to the microsecond, which two numbers of seconds since 1970 are not.
      *from = op("-", std::move(*from), std::move(*to));
      return std::move(left);
    }
    Typed made{op(e.text, std::move(left.value), std::move(right.value)), reals ? Family::kReal : Family::kInteger};
    made.is_wide = grows || left.is_wide || right.is_wide;
    made.is_unsigned = is_unsigned && !reals;
    return made;
  }
  static Result<Typed> compare(const Expression& e, Typed&& left, Typed&& right) {
    const bool alike = are_alike(left.family, right.family) || (is_number(left.family) && is_number(right.family));
    if (!alike) {
      const bool address = is_string(left.family) || is_string(right.family);
      return refuse(e, fmt::format("{} and {} cannot be compared", name(left.family), name(right.family)),
                    address ? "a field is what the schema declares it to be; numbers are written without quotes" : "");
    }
    const bool equality = e.text == "=" || e.text == "!=";
    if (left.family == Family::kBool && !equality)
      return refuse(e, fmt::format("'{}' does not compare conditions", e.text));
    if (left.family != right.family && (is_address(left) || is_address(right))) {
      Typed& literal = left.is_literal_text ? left : right;
      literal.value = cast(std::move(literal.value), "inet");
    } else if (left.family != right.family && is_string(left.family)) {
      left.value = value_as(std::move(left), Family::kString);
      right.value = value_as(std::move(right), Family::kString);
    } else if (left.is_literal_text && right.is_literal_text) {
      left.value = cast(std::move(left.value), "text");
    }
    Typed made{op(e.text == "!=" ? "<>" : e.text, std::move(left.value), std::move(right.value)), Family::kBool};
    if (equality && left.is_unsigned) shift_value(*made.value);
    return made;
  }

  Result<Typed> choice(const Expression& e) {
    auto condition = lower(*e.args[0]);
    if (!condition) return condition;
    if (condition->family != Family::kBool)
      return refuse(*e.args[0], fmt::format("'if' takes a condition, this is {}", name(condition->family)));
    auto a = lower(*e.args[1]);
    if (!a) return a;
    auto b = lower(*e.args[2]);
    if (!b) return b;
    auto family = common(e, *a, *b, "'then' and 'else'");
    if (!family) return tl::unexpected(std::move(family.error()));
    Typed made{nullptr, *family};
    made.is_wide = a->is_wide && b->is_wide;
    made.is_unsigned = a->is_unsigned && b->is_unsigned;
    made.value =
        choose(std::move(condition->value), value_as(std::move(*a), *family), value_as(std::move(*b), *family), e.span);
    return made;
  }
  static Result<Family> common(const Expression& e, const Typed& a, const Typed& b, std::string_view what) {
    if (a.family == b.family) return a.family;
    if (are_alike(a.family, b.family)) return Family::kString;
    if (is_number(a.family) && is_number(b.family)) return Family::kReal;
    return refuse(e, fmt::format("{} are {} and {}", what, name(a.family), name(b.family)), "both must be of one kind");
  }

  struct Function {
    std::string_view name;
    size_t args;
    Result<Typed> (Lowering::*make)(const Expression&, std::vector<Typed>&&);
  };
  Result<Typed> function(const Expression& e) {
    static constexpr Function kFunctions[] = {
        {"abs", 1, &Lowering::absolute},   {"int", 1, &Lowering::whole},         {"long", 1, &Lowering::whole},
        {"short", 1, &Lowering::whole},    {"byte", 1, &Lowering::whole},        {"strlen", 1, &Lowering::length},
        {"pad", 2, &Lowering::pad},        {"min", kAny, &Lowering::extreme},    {"max", kAny, &Lowering::extreme},
        {"now", kAny, &Lowering::arrival}, {"sequence", 0, &Lowering::sequence}, {"sin", 1, &Lowering::maths},
        {"cos", 1, &Lowering::maths},      {"tan", 1, &Lowering::maths},         {"asin", 1, &Lowering::maths},
        {"acos", 1, &Lowering::maths},     {"atan", 1, &Lowering::maths},        {"atan2", 2, &Lowering::maths},
        {"sinh", 1, &Lowering::maths},     {"cosh", 1, &Lowering::maths},        {"tanh", 1, &Lowering::maths},
        {"ln", 1, &Lowering::maths},       {"log", 1, &Lowering::maths},         {"sqrt", 1, &Lowering::maths},
        {"exp", 1, &Lowering::maths},      {"floor", 1, &Lowering::maths},       {"ceil", 1, &Lowering::maths},
        {"pow", 2, &Lowering::maths},
    };
    const auto known = std::find_if(std::begin(kFunctions), std::end(kFunctions),
                                    [&](const Function& each) { return each.name == e.text; });
    if (known == std::end(kFunctions)) return unknown(e);
    if (known->args != kAny && e.args.size() != known->args) {
      return fail("42883",
                  fmt::format("{}() takes {} {}, not {}", e.text, known->args,
                              known->args == 1 ? "argument" : "arguments", e.args.size()),
                  e.span);
    }
    std::vector<Typed> args;
    for (const ExpressionPtr& arg : e.args) {
      auto lowered = lower(*arg);
      if (!lowered) return lowered;
      args.push_back(std::move(*lowered));
    }
    return (this->*known->make)(e, std::move(args));
  }
  static tl::unexpected<base::Diagnostic> unknown(const Expression& e) {
    struct Other {
      std::string_view name, hint;
    };
    constexpr Other kOthers[] = {
        {"count", "aggregates stand in an aggregate box"},
        {"sum", "aggregates stand in an aggregate box"},
        {"avg", "aggregates stand in an aggregate box"},
        {"count_distinct", "aggregates stand in an aggregate box"},
        {"firstval", "aggregates stand in an aggregate box"},
        {"lastval", "aggregates stand in an aggregate box"},
        {"rand", "the box random_drop takes a share of the tuples"},
    };
    for (const Other& other : kOthers) {
      if (other.name == e.text)
        return fail("0A000", fmt::format("{}() cannot stand here", e.text), e.span, std::string(other.hint));
    }
    const auto near =
        base::nearest_name(e.text, {"abs",  "int",  "long", "short", "byte", "strlen", "pad",   "min",   "max",
                                    "now",  "sin",  "cos",  "tan",   "asin", "acos",   "atan",  "atan2", "sinh",
                                    "cosh", "tanh", "ln",   "log",   "sqrt", "exp",    "floor", "ceil",  "pow"});
    return fail("42883", fmt::format("there is no function {}()", e.text), e.span,
                near.empty() ? "docs/borealis.md lists the functions" : fmt::format("did you mean '{}'?", near));
  }
  static Result<void> numbers(const Expression& e, const std::vector<Typed>& args) {
    for (size_t i = 0; i < args.size(); ++i) {
      if (is_number(args[i].family)) continue;
      return refuse(*e.args[i], fmt::format("{}() takes numbers, this is {}", e.text, name(args[i].family)));
    }
    return {};
  }

  Result<Typed> absolute(const Expression& e, std::vector<Typed>&& args) {
    if (auto fits = numbers(e, args); !fits) return tl::unexpected(std::move(fits.error()));
    Typed made{nullptr, args[0].family, args[0].is_wide};
    made.value = call("abs", std::move(args[0].value));
    return made;
  }
  /// The original narrows to so many bits; here an integer has 64.
  Result<Typed> whole(const Expression& e, std::vector<Typed>&& args) {
    if (auto fits = numbers(e, args); !fits) return tl::unexpected(std::move(fits.error()));
    if (args[0].family == Family::kInteger) return std::move(args[0]);
    return Typed{cast(call("trunc", std::move(args[0].value)), "bigint"), Family::kInteger};
  }
  Result<Typed> length(const Expression& e, std::vector<Typed>&& args) {
    if (!is_string(args[0].family))
      return refuse(*e.args[0], fmt::format("strlen() takes a string, this is {}", name(args[0].family)));
    return Typed{call("octet_length", value_as(std::move(args[0]), Family::kString)), Family::kInteger, false};
  }
  /// Strings have no size of their own here, so only the cut is left of it.
  Result<Typed> pad(const Expression& e, std::vector<Typed>&& args) {
    if (!is_string(args[0].family))
      return refuse(*e.args[0], fmt::format("pad() takes a string, this is {}", name(args[0].family)));
    if (args[1].family != Family::kInteger)
      return refuse(*e.args[1], fmt::format("pad() takes a length, this is {}", name(args[1].family)));
    std::vector<UnboundExprPtr> with;
    with.push_back(value_as(std::move(args[0]), Family::kString));
    with.push_back(cast(std::move(args[1].value), "int"));
    return Typed{call("left", std::move(with), e.span), Family::kString};
  }
  Result<Typed> extreme(const Expression& e, std::vector<Typed>&& args) {
    if (args.empty()) return fail("42883", fmt::format("{}() takes arguments", e.text), e.span);
    Typed made{nullptr, args[0].family, args[0].is_wide};
    std::vector<UnboundExprPtr> values;
    for (size_t i = 0; i < args.size(); ++i) {
      if (args[i].family == Family::kBool) return refuse(*e.args[i], fmt::format("{}() takes no conditions", e.text));
      auto family = common(e, made, args[i], "the arguments");
      if (!family) return tl::unexpected(std::move(family.error()));
      made.family = *family;
      made.is_wide = made.is_wide && args[i].is_wide;
    }
    for (Typed& arg : args) values.push_back(value_as(std::move(arg), made.family));
    made.value =
        over(e.text == "min" ? UnboundExpr::Kind::kLeast : UnboundExpr::Kind::kGreatest, std::move(values), e.span);
    return made;
  }
  Result<Typed> arrival(const Expression& e, std::vector<Typed>&& args) {
    if (args.size() > 1) return fail("42883", "now() takes one argument at most", e.span);
    if (auto fits = numbers(e, args); !fits) return tl::unexpected(std::move(fits.error()));
    if (scope_.now() == nullptr) {
      return fail("0A000", "now() is not known here", e.span,
                  "it is when a flow arrived: use it in boxes that read the input before any window");
    }
    std::vector<UnboundExprPtr> with;
    with.push_back(text("epoch", e.span));
    with.push_back(clone(*scope_.now()));
    Typed made{call("date_part", std::move(with), e.span), Family::kReal};
    if (!args.empty()) made.value = op("+", std::move(made.value), std::move(args[0].value));
    return made;
  }
  Result<Typed> sequence(const Expression& e, std::vector<Typed>&&) {
    if (scope_.is_numbered()) return Typed{column(plan::kTupleNumber, e.span), Family::kInteger};
    return fail("0A000", "sequence() cannot stand here", e.span, "it numbers the tuples of a map");
  }
  Result<Typed> maths(const Expression& e, std::vector<Typed>&& args) {
    if (auto fits = numbers(e, args); !fits) return tl::unexpected(std::move(fits.error()));
    std::vector<UnboundExprPtr> values;
    for (Typed& arg : args) values.push_back(std::move(arg.value));
    return Typed{call(e.text, std::move(values), e.span), Family::kReal};
  }

  static constexpr size_t kAny = SIZE_MAX;
  const Scope& scope_;
};

}  // namespace

UnboundExprPtr value_as(Typed&& typed, Family family) {
  if (typed.is_literal_text) return cast(std::move(typed.value), "text");
  if (typed.family == Family::kAddress && family == Family::kString) return call("host", std::move(typed.value));
  return std::move(typed.value);
}

void settle_addresses(std::vector<FieldValue>& fields) {
  for (FieldValue& field : fields) {
    if (field.family != Family::kAddress) continue;
    field.family = Family::kString;
    field.value = call("host", std::move(field.value));
  }
}

Result<Typed> lower(const Expression& e, const Scope& scope) { return Lowering(scope).lower(e); }

Result<UnboundExprPtr> lower_condition(const Expression& e, const Scope& scope) {
  auto lowered = lower(e, scope);
  if (!lowered) return tl::unexpected(std::move(lowered.error()));
  if (lowered->family != Family::kBool) {
    return fail("42804", fmt::format("a condition is wanted, this is {}", name(lowered->family)), e.span,
                lowered->family == Family::kInteger ? "compare it: … != 0" : "");
  }
  return std::move(lowered->value);
}

}  // namespace backstream::borealis
