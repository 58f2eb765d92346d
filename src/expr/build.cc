// Building bound expressions: overloads, implicit casts, untyped literals and constant folding, by PostgreSQL 15's
// rules (chapter 10, type conversion).
#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "expr/function.h"

namespace backstream::expr {
namespace {

using Kind = ScalarFunction::Kind;
using base::fail;

bool is_literal(const Expr& e) { return e.kind == ExprKind::kLiteral; }
bool is_null_literal(const Expr& e) { return is_literal(e) && std::holds_alternative<std::monostate>(e.literal); }

bool converts(Type from, Type to) {
  if (from == to || from == Type::kUnknown) return true;
  const ScalarFunction* cast = find_cast(from, to);
  return cast != nullptr && cast->implicit;
}
/// The type that PostgreSQL prefers within its category.
bool preferred(Type type) {
  return type == Type::kFloat8 || type == Type::kText || type == Type::kTimestamptz || type == Type::kBool ||
         type == Type::kInet || type == Type::kInterval;
}
std::string type_list(const std::vector<Type>& types) {
  std::string text;
  for (const Type type : types) text += (text.empty() ? "" : ", ") + std::string(batch::name(type));
  return text;
}
std::string signature(const ScalarFunction& f) {
  if (f.kind == Kind::kFunction) return fmt::format("{}({})", f.name, type_list(f.args));
  if (f.args.size() == 1) return fmt::format("{} {}", f.name, batch::name(f.args[0]));
  return fmt::format("{} {} {}", batch::name(f.args[0]), f.name, batch::name(f.args[1]));
}
std::string asked(Kind kind, std::string_view name, const std::vector<Type>& types) {
  if (kind == Kind::kFunction) return fmt::format("function {}({})", name, type_list(types));
  if (types.size() == 1) return fmt::format("operator {} {}", name, batch::name(types[0]));
  return fmt::format("operator {} {} {}", batch::name(types[0]), name, batch::name(types[1]));
}

/// Of PostgreSQL, but different each time that it is called.
bool is_volatile(std::string_view name) {
  constexpr std::string_view kNames[] = {"now",
                                         "clock_timestamp",
                                         "statement_timestamp",
                                         "transaction_timestamp",
                                         "timeofday",
                                         "current_timestamp",
                                         "localtimestamp",
                                         "current_date",
                                         "current_time",
                                         "localtime",
                                         "random"};
  return std::find(std::begin(kNames), std::end(kNames), name) != std::end(kNames);
}

using Candidates = std::vector<const ScalarFunction*>;
template <typename Score>
void keep_best(Candidates& candidates, Score&& score) {
  size_t best = 0;
  for (const auto* f : candidates) best = std::max(best, score(*f));
  std::erase_if(candidates, [&](const auto* f) { return score(*f) < best; });
}

char category(Type type) {
  switch (type) {
    case Type::kBool: return 'B';
    case Type::kInet:
    case Type::kCidr: return 'I';
    case Type::kText: return 'S';
    case Type::kTimestamptz:
    case Type::kTimestamp: return 'D';
    case Type::kInterval: return 'T';
    case Type::kBytea:
    case Type::kMacaddr: return 'U';
    default: return 'N';
  }
}
/// PostgreSQL's steps to one candidate among those that all arguments can be made to fit. Source: PostgreSQL 15, 10.2
/// and 10.3, steps 4c to 4f; func_select_candidate in parse_func.c.
void narrow(Candidates& candidates, const std::vector<Type>& types) {
  keep_best(candidates, [&](const ScalarFunction& f) {
    size_t exact = 0;
    for (size_t i = 0; i < types.size(); ++i) exact += f.args[i] == types[i];
    return exact;
  });
  keep_best(candidates, [&](const ScalarFunction& f) {
    size_t good = 0;
    for (size_t i = 0; i < types.size(); ++i)
      good += types[i] != Type::kUnknown && (f.args[i] == types[i] || preferred(f.args[i]));
    return good;
  });
  if (candidates.size() < 2) return;
  // Untyped literals are text where some candidate takes text, else of the category that all candidates agree on;
  // within the category the preferred type comes first.
  Candidates left = candidates;
  bool resolved = true;
  for (size_t i = 0; i < types.size() && resolved; ++i) {
    if (types[i] != Type::kUnknown) continue;
    char wanted = category(candidates[0]->args[i]);
    for (const auto* f : candidates) {
      if (category(f->args[i]) == 'S') wanted = 'S';
      else if (category(f->args[i]) != wanted && wanted != 'S') resolved = false;
    }
    resolved |= wanted == 'S';
    const bool any_preferred = std::any_of(candidates.begin(), candidates.end(), [&](const auto* f) {
      return category(f->args[i]) == wanted && preferred(f->args[i]);
    });
    std::erase_if(left, [&](const auto* f) {
      return category(f->args[i]) != wanted || (any_preferred && !preferred(f->args[i]));
    });
  }
  if (resolved && !left.empty()) candidates = std::move(left);
  if (candidates.size() < 2) return;
  // As the last resort they are of the type that all other arguments have.
  Type known = Type::kUnknown;
  for (const Type type : types) {
    if (type == Type::kUnknown) continue;
    if (known != Type::kUnknown && known != type) return;
    known = type;
  }
  if (known == Type::kUnknown) return;
  left = candidates;
  std::erase_if(left, [&](const auto* f) {
    return !std::all_of(f->args.begin(), f->args.end(), [&](Type to) { return converts(known, to); });
  });
  if (left.size() == 1) candidates = std::move(left);
}

Result<const ScalarFunction*> choose(Kind kind, std::string_view name, const std::vector<Type>& types,
                                     SourceSpan span) {
  Candidates named, candidates;
  for (const ScalarFunction& f : functions()) {
    if (f.kind == kind && f.name == name) named.push_back(&f);
  }
  // An untyped literal beside a typed operand is first taken to be of that type.
  std::vector<Type> assumed = types;
  if (kind == Kind::kOperator && types.size() == 2) {
    if (types[0] == Type::kUnknown) assumed[0] = types[1];
    else if (types[1] == Type::kUnknown) assumed[1] = types[0];
  }
  for (const auto* f : named) {
    if (f->args == types || f->args == assumed) return f;
  }
  for (const auto* f : named) {
    if (f->args.size() != types.size()) continue;
    if (std::equal(types.begin(), types.end(), f->args.begin(), converts)) candidates.push_back(f);
  }
  if (candidates.size() > 1) narrow(candidates, types);
  if (candidates.size() == 1) return candidates[0];
  if (candidates.size() > 1) {
    return fail("42725", fmt::format("{} is not unique", asked(kind, name, types)), span, "add casts to choose one");
  }
  std::string hint;
  if (!named.empty()) {
    for (const auto* f : named) {
      if (hint.size() > 160) {
        hint += ", ...";
        break;
      }
      hint += (hint.empty() ? "there is " : ", ") + signature(*f);
    }
  } else if (kind == Kind::kFunction && is_volatile(name)) {
    hint = "the same rows must give the same answer, today and in a replay: use the columns time or received_at";
  } else if (kind == Kind::kFunction) {
    std::vector<std::string_view> names;
    for (const ScalarFunction& f : functions()) {
      if (f.kind == Kind::kFunction) names.push_back(f.name);
    }
    if (const auto near = base::nearest_name(name, names); !near.empty())
      hint = fmt::format("did you mean '{}'?", near);
  }
  return fail("42883", fmt::format("{} does not exist", asked(kind, name, types)), span, hint);
}

/// A call whose arguments are all literals is computed now.
Result<ExprPtr> fold(ExprPtr e) {
  if (e->kind == ExprKind::kColumn || e->kind == ExprKind::kLiteral) return e;
  if (!std::all_of(e->args.begin(), e->args.end(), [](const auto& arg) { return is_literal(*arg); })) return e;
  const Type type = e->type;
  const SourceSpan span = e->span;
  Evaluator evaluator(std::move(e), 1);
  batch::ColumnBatch one;
  one.row_count = 1;
  ValueErrorCounts errors;
  const batch::Column result = evaluator.evaluate(one, nullptr, errors);
  for (size_t i = 0; i < std::size(errors.by_kind); ++i) {
    if (errors.by_kind[i] == 0) continue;
    const auto error = static_cast<ValueError>(i);
    return fail(sqlstate(error), std::string(message(error)), span);
  }
  return make_literal(value_at(result, 0), type, span);
}

Result<ExprPtr> call(const ScalarFunction* function, std::vector<ExprPtr> args, SourceSpan span) {
  auto e = std::make_unique<Expr>();
  e->kind = ExprKind::kCall;
  e->type = function->result;
  e->span = span;
  e->function = function;
  for (size_t i = 0; i < args.size(); ++i) {
    auto arg = make_cast(std::move(args[i]), function->args[i], span, true);
    if (!arg) return arg;
    e->args.push_back(std::move(*arg));
  }
  // All functions are strict: with a constant null the others need not be computed, and PostgreSQL does not.
  if (std::any_of(e->args.begin(), e->args.end(), [](const auto& arg) { return is_null_literal(*arg); })) {
    return make_literal(Value{}, e->type, span);
  }
  if (function->prepare != nullptr) {
    auto prepared = function->prepare(e->args);
    if (!prepared) {
      if (prepared.error().span.length_octets == 0) prepared.error().span = span;
      return tl::unexpected(prepared.error());
    }
    e->prepared = std::move(*prepared);
  }
  return fold(std::move(e));
}

std::vector<Type> types_of(const std::vector<ExprPtr>& args) {
  std::vector<Type> types;
  for (const auto& arg : args) types.push_back(arg->type);
  return types;
}

Result<ExprPtr> to_bool(ExprPtr arg, std::string_view where) {
  const SourceSpan span = arg->span;
  if (arg->type == Type::kUnknown) return make_cast(std::move(arg), Type::kBool, span);
  if (arg->type != Type::kBool) {
    return fail("42804", fmt::format("argument of {} must be type boolean, not type {}", where, batch::name(arg->type)),
                span);
  }
  return arg;
}

Result<ExprPtr> make_logic(ExprKind kind, std::vector<ExprPtr> args, SourceSpan span) {
  auto e = std::make_unique<Expr>();
  e->kind = kind;
  e->type = Type::kBool;
  e->span = span;
  for (auto& arg : args) {
    auto checked = to_bool(std::move(arg), kind == ExprKind::kAnd ? "AND" : "OR");
    if (!checked) return checked;
    // a AND (b AND c) is one list.
    if ((*checked)->kind == kind) {
      for (auto& inner : (*checked)->args) e->args.push_back(std::move(inner));
    } else {
      e->args.push_back(std::move(*checked));
    }
  }
  // A constant that decides alone decides before anything is computed.
  for (const auto& arg : e->args) {
    if (!is_literal(*arg) || is_null_literal(*arg)) continue;
    if (std::get<bool>(arg->literal) == (kind == ExprKind::kOr))
      return make_literal(kind == ExprKind::kOr, Type::kBool, span);
  }
  return fold(std::move(e));
}

Result<std::vector<ExprPtr>> to_common_type(std::vector<ExprPtr> args, SourceSpan span, Type& type) {
  std::vector<const Expr*> present;
  for (const auto& arg : args) present.push_back(arg.get());
  const auto common = common_type(present, span);
  if (!common) return tl::unexpected(common.error());
  type = *common == Type::kUnknown ? Type::kText : *common;
  for (auto& arg : args) {
    auto cast = make_cast(std::move(arg), type, span, true);
    if (!cast) return tl::unexpected(cast.error());
    arg = std::move(*cast);
  }
  return args;
}

ExprPtr make(ExprKind kind, Type type, std::vector<ExprPtr> args, SourceSpan span) {
  auto e = std::make_unique<Expr>();
  e->kind = kind;
  e->type = type;
  e->span = span;
  e->args = std::move(args);
  return e;
}

}  // namespace

Result<ExprPtr> make_call(std::string_view name, std::vector<ExprPtr> args, SourceSpan span) {
  if (name == "substring" && args.size() == 2 && args[1]->type == Type::kUnknown && !is_null_literal(*args[1])) {
    return fail("0A000", "substring with a pattern is not supported", args[1]->span, "write a position as a number");
  }
  // A type's name before an untyped literal is a cast: text('x'), inet('10.0.0.1').
  if (args.size() == 1 && args[0]->type == Type::kUnknown && !is_null_literal(*args[0])) {
    if (const auto type = parse_type(name, span)) return make_cast(std::move(args[0]), *type, span);
  }
  const auto function = choose(Kind::kFunction, name, types_of(args), span);
  if (!function) return tl::unexpected(function.error());
  return call(*function, std::move(args), span);
}

Result<ExprPtr> make_operator(std::string_view op, std::vector<ExprPtr> args, SourceSpan span) {
  if (op == "!=") op = "<>";
  if (op == "+" && args.size() == 1) {
    if (args[0]->type == Type::kUnknown) return make_cast(std::move(args[0]), Type::kFloat8, span);
    if (!batch::is_numeric(args[0]->type)) {
      return fail("42883", fmt::format("operator + {} does not exist", batch::name(args[0]->type)), span);
    }
    return std::move(args[0]);
  }
  if (op == "-" && args.size() == 1 && args[0]->type == Type::kUnknown) {
    return fail("42725", "operator - unknown is not unique", span, "add a cast: a number, or an interval?");
  }
  if (op == "||" && args.size() == 2) {
    // text || anything: the other side is written out as text.
    const bool any_text = std::any_of(
        args.begin(), args.end(), [](const auto& a) { return a->type == Type::kText || a->type == Type::kUnknown; });
    for (auto& arg : args) {
      if (!any_text || arg->type == Type::kText || arg->type == Type::kUnknown) continue;
      auto text = make_cast(std::move(arg), Type::kText, span);
      if (!text) return text;
      arg = std::move(*text);
    }
  }
  const auto function = choose(Kind::kOperator, op, types_of(args), span);
  if (!function) return tl::unexpected(function.error());
  return call(*function, std::move(args), span);
}

Result<ExprPtr> make_and(std::vector<ExprPtr> args, SourceSpan span) {
  return make_logic(ExprKind::kAnd, std::move(args), span);
}
Result<ExprPtr> make_or(std::vector<ExprPtr> args, SourceSpan span) {
  return make_logic(ExprKind::kOr, std::move(args), span);
}

Result<ExprPtr> make_not(ExprPtr arg, SourceSpan span) {
  auto checked = to_bool(std::move(arg), "NOT");
  if (!checked) return checked;
  std::vector<ExprPtr> args;
  args.push_back(std::move(*checked));
  return fold(make(ExprKind::kNot, Type::kBool, std::move(args), span));
}

Result<ExprPtr> make_is_null(ExprPtr arg, bool negated, SourceSpan span) {
  if (arg->type == Type::kUnknown) {
    auto text = make_cast(std::move(arg), Type::kText, span);
    if (!text) return text;
    arg = std::move(*text);
  }
  std::vector<ExprPtr> args;
  args.push_back(std::move(arg));
  auto e = fold(make(ExprKind::kIsNull, Type::kBool, std::move(args), span));
  return e && negated ? make_not(std::move(*e), span) : std::move(e);
}

Result<ExprPtr> make_is_truth(ExprPtr arg, std::string_view test, bool negated, SourceSpan span) {
  auto checked = to_bool(std::move(arg), "IS TRUE");
  if (!checked) return checked;
  if (test == "unknown") return make_is_null(std::move(*checked), negated, span);
  // x IS TRUE is coalesce(x, false); x IS FALSE is coalesce(not x, false).
  if (test == "false") {
    checked = make_not(std::move(*checked), span);
    if (!checked) return checked;
  }
  std::vector<ExprPtr> args;
  args.push_back(std::move(*checked));
  args.push_back(make_literal(false, Type::kBool, span));
  auto e = make_coalesce(std::move(args), span);
  return e && negated ? make_not(std::move(*e), span) : std::move(e);
}

Result<ExprPtr> make_distinct_from(ExprPtr left, ExprPtr right, bool negated, SourceSpan span) {
  // a IS DISTINCT FROM b: coalesce(a <> b, (a IS NULL) <> (b IS NULL)).
  std::vector<ExprPtr> pair;
  pair.push_back(clone(*left));
  pair.push_back(clone(*right));
  auto differ = make_operator("<>", std::move(pair), span);
  if (!differ) return differ;
  auto left_null = make_is_null(std::move(left), false, span);
  if (!left_null) return left_null;
  auto right_null = make_is_null(std::move(right), false, span);
  if (!right_null) return right_null;
  std::vector<ExprPtr> nulls;
  nulls.push_back(std::move(*left_null));
  nulls.push_back(std::move(*right_null));
  auto nulls_differ = make_operator("<>", std::move(nulls), span);
  if (!nulls_differ) return nulls_differ;
  std::vector<ExprPtr> args;
  args.push_back(std::move(*differ));
  args.push_back(std::move(*nulls_differ));
  auto e = make_coalesce(std::move(args), span);
  return e && negated ? make_not(std::move(*e), span) : std::move(e);
}

Result<ExprPtr> make_in_list(ExprPtr value, std::vector<ExprPtr> list, bool negated, SourceSpan span) {
  std::vector<ExprPtr> args;
  args.push_back(std::move(value));
  for (auto& item : list) args.push_back(std::move(item));
  Type type{};
  auto common = to_common_type(std::move(args), span, type);
  if (!common) return tl::unexpected(common.error());
  // Networks compare as inet.
  if (type == Type::kCidr) {
    for (auto& arg : *common) {
      auto cast = make_cast(std::move(arg), Type::kInet, span, true);
      if (!cast) return cast;
      arg = std::move(*cast);
    }
    type = Type::kInet;
  }
  const auto equality = choose(Kind::kOperator, "=", {type, type}, span);
  if (!equality) return tl::unexpected(equality.error());
  // x IN (NULL) is x = NULL, and strict.
  if (common->size() == 2 && is_null_literal(*(*common)[1])) return make_literal(Value{}, Type::kBool, span);
  ExprPtr e = make(ExprKind::kInList, Type::kBool, std::move(*common), span);
  e->function = *equality;
  auto folded = fold(std::move(e));
  return folded && negated ? make_not(std::move(*folded), span) : std::move(folded);
}

Result<ExprPtr> make_case(ExprPtr operand, std::vector<ExprPtr> whens, std::vector<ExprPtr> thens, ExprPtr otherwise,
                          SourceSpan span) {
  assert(whens.size() == thens.size());
  for (auto& when : whens) {
    if (operand) {
      std::vector<ExprPtr> pair;
      pair.push_back(clone(*operand));
      pair.push_back(std::move(when));
      auto condition = make_operator("=", std::move(pair), span);
      if (!condition) return condition;
      when = std::move(*condition);
    } else {
      auto condition = to_bool(std::move(when), "CASE/WHEN");
      if (!condition) return condition;
      when = std::move(*condition);
    }
  }
  std::vector<ExprPtr> results = std::move(thens);
  results.push_back(otherwise ? std::move(otherwise) : make_literal(Value{}, Type::kUnknown, span));
  Type type{};
  auto common = to_common_type(std::move(results), span, type);
  if (!common) return tl::unexpected(common.error());
  std::vector<ExprPtr> args;
  for (size_t i = 0; i < whens.size(); ++i) {
    if (is_literal(*whens[i])) {  // never chosen, or what all rows that come so far choose
      if (is_null_literal(*whens[i]) || !std::get<bool>(whens[i]->literal)) continue;
      common->back() = std::move((*common)[i]);
      break;
    }
    args.push_back(std::move(whens[i]));
    args.push_back(std::move((*common)[i]));
  }
  if (args.empty()) return std::move(common->back());
  args.push_back(std::move(common->back()));
  return fold(make(ExprKind::kCase, type, std::move(args), span));
}

Result<ExprPtr> make_coalesce(std::vector<ExprPtr> args, SourceSpan span) {
  Type type{};
  auto common = to_common_type(std::move(args), span, type);
  if (!common) return tl::unexpected(common.error());
  // Constant nulls are skipped; what stands behind another constant is never reached.
  std::vector<ExprPtr> reached;
  for (auto& arg : *common) {
    if (is_null_literal(*arg)) continue;
    reached.push_back(std::move(arg));
    if (is_literal(*reached.back())) break;
  }
  if (reached.empty()) return make_literal(Value{}, type, span);
  if (reached.size() == 1) return std::move(reached[0]);
  return fold(make(ExprKind::kCoalesce, type, std::move(reached), span));
}

Result<ExprPtr> make_nullif(ExprPtr left, ExprPtr right, SourceSpan span) {
  // NULLIF(a, b): CASE WHEN a = b THEN NULL ELSE a END.
  std::vector<ExprPtr> pair;
  pair.push_back(clone(*left));
  pair.push_back(std::move(right));
  // The result has the type that the comparison gives the first argument; integers of two types compare as they are,
  // and so do times.
  const bool as_they_are = (batch::is_integer(pair[0]->type) && batch::is_integer(pair[1]->type)) ||
                           (category(pair[0]->type) == 'D' && category(pair[1]->type) == 'D');
  if (!as_they_are) {
    const auto equality = choose(Kind::kOperator, "=", types_of(pair), span);
    if (!equality) return tl::unexpected(equality.error());
    auto cast = make_cast(std::move(left), (*equality)->args[0], span, true);
    if (!cast) return cast;
    left = std::move(*cast);
  }
  const Type type = left->type;
  auto condition = make_operator("=", std::move(pair), span);
  if (!condition) return condition;
  std::vector<ExprPtr> whens, thens;
  whens.push_back(std::move(*condition));
  thens.push_back(make_literal(Value{}, type, span));
  return make_case(nullptr, std::move(whens), std::move(thens), std::move(left), span);
}

Result<ExprPtr> make_extreme(bool greatest, std::vector<ExprPtr> args, SourceSpan span) {
  Type type{};
  auto common = to_common_type(std::move(args), span, type);
  if (!common) return tl::unexpected(common.error());
  // greatest(a, b): CASE WHEN b IS NULL OR a >= b THEN a ELSE b END; a null a loses, as the comparison is null then.
  ExprPtr best = std::move(common->front());
  for (size_t i = 1; i < common->size(); ++i) {
    ExprPtr next = std::move((*common)[i]);
    auto next_null = make_is_null(clone(*next), false, span);
    if (!next_null) return next_null;
    std::vector<ExprPtr> pair;
    pair.push_back(clone(*best));
    pair.push_back(clone(*next));
    auto better = make_operator(greatest ? ">=" : "<=", std::move(pair), span);
    if (!better) return better;
    std::vector<ExprPtr> either;
    either.push_back(std::move(*next_null));
    either.push_back(std::move(*better));
    auto condition = make_or(std::move(either), span);
    if (!condition) return condition;
    std::vector<ExprPtr> whens, thens;
    whens.push_back(std::move(*condition));
    thens.push_back(std::move(best));
    auto chosen = make_case(nullptr, std::move(whens), std::move(thens), std::move(next), span);
    if (!chosen) return chosen;
    best = std::move(*chosen);
  }
  return best;
}

Result<ExprPtr> make_cast(ExprPtr arg, Type type, SourceSpan span, bool implicit) {
  if (arg->type == type) return arg;
  if (arg->type == Type::kUnknown) {
    if (is_null_literal(*arg)) return make_literal(Value{}, type, arg->span);
    assert(is_literal(*arg));
    auto value = parse_value(std::get<std::string>(arg->literal), type, arg->span);
    if (!value) return tl::unexpected(value.error());
    return make_literal(std::move(*value), type, arg->span);
  }
  const ScalarFunction* cast = find_cast(arg->type, type);
  if (cast == nullptr || (implicit && !cast->implicit)) {
    if (implicit) {
      return fail("42804", fmt::format("type {} is expected, not {}", batch::name(type), batch::name(arg->type)),
                  arg->span, cast == nullptr ? std::string() : fmt::format("write CAST(... AS {})", batch::name(type)));
    }
    return fail("42846", fmt::format("cannot cast type {} to {}", batch::name(arg->type), batch::name(type)), span);
  }
  std::vector<ExprPtr> args;
  args.push_back(std::move(arg));
  ExprPtr e = make(ExprKind::kCall, type, std::move(args), span);
  e->function = cast;
  return fold(std::move(e));
}

Result<Type> parse_type(std::string_view name, SourceSpan span) {
  static constexpr std::pair<std::string_view, Type> kNames[] = {{"bool", Type::kBool},
                                                                 {"boolean", Type::kBool},
                                                                 {"int2", Type::kInt2},
                                                                 {"smallint", Type::kInt2},
                                                                 {"int4", Type::kInt4},
                                                                 {"int", Type::kInt4},
                                                                 {"integer", Type::kInt4},
                                                                 {"int8", Type::kInt8},
                                                                 {"bigint", Type::kInt8},
                                                                 {"float8", Type::kFloat8},
                                                                 {"double precision", Type::kFloat8},
                                                                 {"float4", Type::kFloat8},
                                                                 {"real", Type::kFloat8},
                                                                 {"numeric", Type::kFloat8},
                                                                 {"decimal", Type::kFloat8},
                                                                 {"text", Type::kText},
                                                                 {"varchar", Type::kText},
                                                                 {"character varying", Type::kText},
                                                                 {"bytea", Type::kBytea},
                                                                 {"inet", Type::kInet},
                                                                 {"cidr", Type::kCidr},
                                                                 {"macaddr", Type::kMacaddr},
                                                                 {"timestamptz", Type::kTimestamptz},
                                                                 {"timestamp with time zone", Type::kTimestamptz},
                                                                 {"timestamp", Type::kTimestamp},
                                                                 {"timestamp without time zone", Type::kTimestamp},
                                                                 {"interval", Type::kInterval}};
  std::vector<std::string_view> names;
  for (const auto& [known, type] : kNames) {
    if (known == name) return type;
    names.push_back(known);
  }
  const auto near = base::nearest_name(name, names);
  return fail("42704", fmt::format("type \"{}\" does not exist", name), span,
              near.empty() ? "types are boolean, smallint, integer, bigint, double precision, text, bytea, inet, cidr, "
                             "macaddr, timestamptz, timestamp and interval"
                           : fmt::format("did you mean '{}'?", near));
}

Result<Type> common_type(const std::vector<const Expr*>& exprs, SourceSpan span) {
  Type common = Type::kUnknown;
  for (const Expr* e : exprs) {
    if (e->type == Type::kUnknown || e->type == common) continue;
    if (common == Type::kUnknown || converts(common, e->type)) {
      common = e->type;
    } else if (!converts(e->type, common)) {
      return fail("42804", fmt::format("types {} and {} cannot be matched", batch::name(common), batch::name(e->type)),
                  e->span.length_octets != 0 ? e->span : span);
    }
  }
  return common;
}

}  // namespace backstream::expr
