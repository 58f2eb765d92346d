#include <algorithm>
#include <array>
#include <utility>

#include "sql/lowering.h"

namespace backstream::sql {

using plan::UnboundExpr;

void refuse(std::string_view code, std::string message, base::SourceSpan span, std::string hint) {
  throw Refused{base::fail(code, std::move(message), span, std::move(hint)).value()};
}

void refuse_feature(const std::string& what, base::SourceSpan span, std::string hint) {
  refuse("0A000", what + " is not supported", span, std::move(hint));
}

const Json& field(const Json& fields, const char* name) {
  static const Json none;
  if (!fields.is_object()) return none;
  const auto found = fields.find(name);
  return found == fields.end() ? none : *found;
}

Node node_of(const Json& json) {
  static const Json none;
  if (!json.is_object() || json.empty()) return {{}, none};
  return {json.begin().key(), json.begin().value()};
}

std::string text_field(const Json& fields, const char* name) {
  const Json& value = field(fields, name);
  return value.is_string() ? value.get<std::string>() : std::string();
}

bool flag(const Json& fields, const char* name) {
  const Json& value = field(fields, name);
  return value.is_boolean() && value.get<bool>();
}

std::string string_of(const Json& node) { return text_field(field(node, "String"), "sval"); }

std::vector<std::string> strings_of(const Json& list) {
  std::vector<std::string> out;
  for (const Json& item : list) out.push_back(string_of(item));
  return out;
}

Lowering::Deeper::Deeper(Lowering& lowering, uint32_t token) : lowering_(lowering) {
  if (lowering_.depth_ >= kNestingMax) {
    refuse("54001", "this is nested more than " + std::to_string(kNestingMax) + " levels deep",
           lowering_.tokens_.span(token), "a long chain of one operator nests too: use IN (...) or split the query");
  }
  ++lowering_.depth_;
}

uint32_t Lowering::token_of(const Json& fields) const {
  const Json& location = field(fields, "location");
  const int64_t place = location.is_number_integer() ? location.get<int64_t>() : 0;
  return tokens_.at(place < 0 ? static_cast<uint32_t>(tokens_.whole_text().size()) : static_cast<uint32_t>(place));
}

Lowering::ExprPtr Lowering::make(Expr::Kind kind, const Json& fields) const {
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->span = token_span(fields);
  return expr;
}

uint32_t Lowering::call_last(uint32_t name) const {
  uint32_t open = name;
  while (tokens_.is_name(open) && tokens_.is(open + 1, ".")) open += 2;
  if (!tokens_.is(open, "(")) ++open;
  return tokens_.is(open, "(") && tokens_[open].partner != Token::kNone ? tokens_[open].partner : name;
}

void Lowering::cover_children(Expr& expr) const {
  uint32_t begin = expr.span.offset_octets, end = begin + expr.span.length_octets;
  for (const ExprPtr& arg : expr.args) {
    if (!arg || arg->span.length_octets == 0) continue;
    const Span span = tokens_.with_parentheses(arg->span);
    begin = std::min(begin, span.offset_octets);
    end = std::max(end, span.offset_octets + span.length_octets);
  }
  expr.span = {begin, end - begin};
}

std::vector<Lowering::ExprPtr> Lowering::lower_list(const Json& list) {
  std::vector<ExprPtr> out;
  for (const Json& item : list) out.push_back(lower_expr(item));
  return out;
}

Lowering::ExprPtr Lowering::lower_expr(const Json& json) {
  const Node node = node_of(json);
  const Deeper deeper(*this, token_of(node.fields));
  const Json& fields = node.fields;
  if (node.tag == "ColumnRef") return lower_column_ref(fields);
  if (node.tag == "A_Const") return lower_constant(fields);
  if (node.tag == "A_Expr") return lower_operator(fields);
  if (node.tag == "BoolExpr") return lower_bool(fields);
  if (node.tag == "FuncCall") return lower_call(fields);
  if (node.tag == "TypeCast") return lower_cast(fields);
  if (node.tag == "CaseExpr") return lower_case(fields);
  if (node.tag == "NullTest") return lower_test(fields, false);
  if (node.tag == "BooleanTest") return lower_test(fields, true);
  if (node.tag == "CoalesceExpr") return lower_word_call(Expr::Kind::kCoalesce, fields);
  if (node.tag == "MinMaxExpr") {
    return lower_word_call(text_field(fields, "op") == "IS_LEAST" ? Expr::Kind::kLeast : Expr::Kind::kGreatest, fields);
  }
  if (node.tag == "SQLValueFunction") return lower_value_function(fields);
  if (node.tag == "SubLink") return lower_sublink(fields);

  const Span span = token_span(fields);
  if (node.tag == "A_ArrayExpr") {
    refuse_feature("an array outside ANY (...) or ALL (...)", span, "write x = ANY (ARRAY[1, 2]), or x IN (1, 2)");
  }
  if (node.tag == "ParamRef") refuse_feature("a parameter such as $1", span, "write the value itself");
  if (node.tag == "A_Indirection") {
    const Node inner = node_of(field(fields, "arg"));
    refuse_feature("a subscript or a field of a value", token_span(inner.fields));
  }
  if (node.tag == "RowExpr")
    refuse_feature(
        "a row value", span,
        "compare the columns one by one, joined by AND; to count rows of values, group by them in a subquery");
  if (node.tag == "GroupingFunc") refuse_feature("GROUPING()", span, "use one query for each grouping");
  if (node.tag == "CollateClause") refuse_feature("COLLATE", span, "text is ordered by its octets, as COLLATE \"C\"");
  if (node.tag == "SetToDefault") return make(Expr::Kind::kParameterDefault, fields);
  refuse_feature("this expression", span);
}

Lowering::ExprPtr Lowering::lower_column_ref(const Json& fields) {
  const Json& names = field(fields, "fields");
  ExprPtr made = make(Expr::Kind::kColumn, fields);
  const uint32_t first = token_of(fields);
  for (const Json& name : names) {
    if (name.contains("A_Star")) {
      made->kind = Expr::Kind::kStar;
    } else {
      made->names.push_back(string_of(name));
    }
  }
  made->span = tokens_.span(first, first + 2 * (static_cast<uint32_t>(names.size()) - 1));
  if (names.size() > 2) {
    refuse_feature("a column name of more than two parts", made->span, "write relation.column: there are no schemas");
  }
  return made;
}

// libpg_query 15-4.0.0 writes a negative integer as 0 and a number in a form of its own, so numbers are read from the
// text. The parser folds minus signs and parentheses before a number into it.
std::string Lowering::number_text(uint32_t token) const {
  bool negative = false;
  for (; tokens_.is(token, "-") || tokens_.is(token, "+") || tokens_.is(token, "("); ++token) {
    if (tokens_.is(token, "-")) negative = !negative;
  }
  return (negative ? "-" : "") + std::string(tokens_.text(token));
}

Lowering::ExprPtr Lowering::lower_constant(const Json& fields) {
  ExprPtr made = make(Expr::Kind::kNull, fields);
  if (flag(fields, "isnull")) return made;
  if (const Json& value = field(fields, "boolval"); !value.is_null()) {
    made->kind = Expr::Kind::kBool;
    made->text = flag(value, "boolval") ? "true" : "false";
    return made;
  }
  if (const Json& value = field(fields, "sval"); !value.is_null()) {
    made->kind = Expr::Kind::kString;
    made->text = text_field(value, "sval");
    return made;
  }
  if (!field(fields, "bsval").is_null()) {
    refuse_feature("a bit string", made->span, "write an integer; the operators & | # ~ << >> work on integers");
  }
  const uint32_t first = token_of(fields);
  made->text = number_text(first);
  made->kind = made->text.find_first_of(".eE") == std::string::npos ? Expr::Kind::kInteger : Expr::Kind::kFloat;
  uint32_t last = first;
  while (last < tokens_.size() && !tokens_.is_kind(last, Token::Kind::kNumber)) ++last;
  made->span = tokens_.span(first, last);
  return made;
}

Lowering::ExprPtr Lowering::lower_operator(const Json& fields) {
  const std::string kind = text_field(fields, "kind");
  const std::vector<std::string> names = strings_of(field(fields, "name"));
  ExprPtr made = make(Expr::Kind::kOperator, fields);
  if (names.size() > 1) refuse_feature("OPERATOR(schema.name)", made->span, "write the operator alone");
  made->op = names.empty() ? std::string() : names[0];
  if (kind == "AEXPR_LIKE" || kind == "AEXPR_ILIKE") return lower_like(fields, std::move(made));
  if (kind == "AEXPR_OP_ANY" || kind == "AEXPR_OP_ALL") return lower_array(fields, std::move(made));
  if (kind == "AEXPR_SIMILAR") refuse_feature("SIMILAR TO", made->span, "use LIKE");

  if (const Json& left = field(fields, "lexpr"); !left.empty()) made->args.push_back(lower_expr(left));
  const Json& right = field(fields, "rexpr");
  if (const Json& list = field(field(right, "List"), "items"); !list.is_null()) {  // IN (...), BETWEEN a AND b
    for (const Json& item : list) made->args.push_back(lower_expr(item));
  } else if (!right.empty()) {
    made->args.push_back(lower_expr(right));
  }
  const uint32_t sign = token_of(fields);
  cover_children(*made);
  if (kind == "AEXPR_OP") {
    if (made->op == "==") refuse("42601", "'==' is not an operator", tokens_.span(sign), "write =");
    return made;
  }
  if (kind == "AEXPR_DISTINCT" || kind == "AEXPR_NOT_DISTINCT") {
    made->kind = Expr::Kind::kDistinctFrom;
    made->negated = kind == "AEXPR_NOT_DISTINCT";
  } else if (kind == "AEXPR_NULLIF") {
    made->kind = Expr::Kind::kNullIf;
    made->span = tokens_.span(sign, call_last(sign));
  } else if (kind == "AEXPR_IN") {
    made->kind = Expr::Kind::kInList;
    made->negated = made->op == "<>";
    const uint32_t open = tokens_.is_word(sign, "not") ? sign + 2 : sign + 1;
    if (tokens_.is(open, "(") && tokens_[open].partner != Token::kNone) {
      const uint32_t end = tokens_[tokens_[open].partner].offset + 1;
      made->span.length_octets = end - made->span.offset_octets;
    }
  } else {  // AEXPR_BETWEEN, NOT_BETWEEN, BETWEEN_SYM, NOT_BETWEEN_SYM
    made->kind = Expr::Kind::kBetween;
    made->negated = kind.starts_with("AEXPR_NOT");
    const bool symmetric = kind.ends_with("_SYM");
    made->op = symmetric ? "symmetric" : "";
    return made;
  }
  made->op.clear();
  return made;
}

Lowering::ExprPtr Lowering::lower_like(const Json& fields, ExprPtr made) {
  made->kind = Expr::Kind::kLike;
  made->negated = made->op.starts_with("!");
  made->op = text_field(fields, "kind") == "AEXPR_ILIKE" ? "ilike" : "like";
  made->args.push_back(lower_expr(field(fields, "lexpr")));
  const Json& pattern = field(fields, "rexpr");
  const Json& escape = field(pattern, "FuncCall");
  const std::vector<std::string> name = strings_of(field(escape, "funcname"));
  if (name == std::vector<std::string>{"pg_catalog", "like_escape"}) {  // pattern ESCAPE 'c'
    for (const Json& arg : field(escape, "args")) made->args.push_back(lower_expr(arg));
  } else {
    made->args.push_back(lower_expr(pattern));
  }
  cover_children(*made);
  return made;
}

Lowering::ExprPtr Lowering::lower_array(const Json& fields, ExprPtr made) {
  made->kind = text_field(fields, "kind") == "AEXPR_OP_ALL" ? Expr::Kind::kAllArray : Expr::Kind::kAnyArray;
  if (made->op == "==") refuse("42601", "'==' is not an operator", made->span, "write =");
  made->args.push_back(lower_expr(field(fields, "lexpr")));
  const Node right = node_of(field(fields, "rexpr"));
  if (right.tag != "A_ArrayExpr") {
    refuse_feature("ANY or ALL of something else than a written array", token_span(right.fields),
                   "write ANY (ARRAY[1, 2]), or IN (1, 2)");
  }
  for (const Json& element : field(right.fields, "elements")) made->args.push_back(lower_expr(element));
  const uint32_t array = token_of(right.fields);
  const uint32_t open = tokens_.is(array, "[") ? array : array + 1;
  cover_children(*made);
  if (tokens_.is(open, "[") && tokens_[open].partner != Token::kNone) {
    uint32_t last = tokens_[open].partner;
    if (tokens_.is(last + 1, ")")) ++last;
    made->span = tokens_.span(tokens_.at(made->span.offset_octets), last);
  }
  return made;
}

Lowering::ExprPtr Lowering::lower_bool(const Json& fields) {
  const std::string op = text_field(fields, "boolop");
  ExprPtr made = make(op == "OR_EXPR"    ? Expr::Kind::kOr
                      : op == "NOT_EXPR" ? Expr::Kind::kNot
                                         : Expr::Kind::kAnd,
                      fields);
  made->args = lower_list(field(fields, "args"));
  cover_children(*made);
  return made;
}

Lowering::ExprPtr Lowering::lower_test(const Json& fields, bool truth) {
  ExprPtr made = make(truth ? Expr::Kind::kIsTruth : Expr::Kind::kIsNull, fields);
  const std::string kind = text_field(fields, truth ? "booltesttype" : "nulltesttype");
  made->negated = kind.starts_with("IS_NOT_");
  if (truth) made->op = kind.ends_with("TRUE") ? "true" : kind.ends_with("FALSE") ? "false" : "unknown";
  made->args.push_back(lower_expr(field(fields, "arg")));
  uint32_t last = token_of(fields);  // IS [NOT] word, or ISNULL, NOTNULL
  if (tokens_.is_word(last, "is")) last += made->negated ? 2 : 1;
  cover_children(*made);
  made->span = tokens_.span(tokens_.at(made->span.offset_octets), last);
  return made;
}

namespace {

/// `interval '5' minute` gives the field as a mask of 1 << (PostgreSQL's number of the field).
std::string_view interval_unit(int64_t mask) {
  switch (mask) {
    case 1 << 1: return "month";
    case 1 << 2: return "year";
    case 1 << 3: return "day";
    case 1 << 10: return "hour";
    case 1 << 11: return "minute";
    case 1 << 12: return "second";
    default: return {};
  }
}

bool is_plain_number(std::string_view text) {
  const size_t begin = text.find_first_not_of(" +-");
  return begin != std::string_view::npos && text.find_first_not_of("0123456789. ", begin) == std::string_view::npos;
}

int64_t integer_of(const Json& constant) {
  const Json& value = field(field(field(constant, "A_Const"), "ival"), "ival");
  return value.is_number_integer() ? value.get<int64_t>() : 0;
}

}  // namespace

Lowering::ExprPtr Lowering::lower_cast(const Json& fields) {
  const Json& type = field(fields, "typeName");
  ExprPtr made = make(Expr::Kind::kCast, type);
  const uint32_t type_first = token_of(type);
  made->args.push_back(lower_expr(field(fields, "arg")));
  Expr& value = *made->args[0];
  const std::vector<std::string> names = strings_of(field(type, "names"));
  const Json& modifiers = field(type, "typmods");

  // INTERVAL '5' MINUTE: the field becomes part of the text, and the type is plain.
  if (!names.empty() && names.back() == "interval" && modifiers.is_array() && field(type, "arrayBounds").is_null()) {
    const std::string_view unit = interval_unit(integer_of(modifiers[0]));
    if (unit.empty() || modifiers.size() > 1 || value.kind != Expr::Kind::kString) {
      refuse_feature("an interval type with fields or a precision", made->span, "write interval '5 min'");
    }
    if (is_plain_number(value.text)) value.text += " " + std::string(unit);
    made->text = "interval";
  } else {
    made->text = lower_type_name(type);
  }

  const uint32_t where = token_of(fields);
  if (tokens_.is_word(where, "cast")) {
    made->span = tokens_.span(where, call_last(where));
  } else if (tokens_[type_first].offset < value.span.offset_octets) {  // type 'text' [field]
    uint32_t last = tokens_.last_of(value.span);
    if (modifiers.is_array() && tokens_.is_kind(last + 1, Token::Kind::kWord)) ++last;
    made->span = tokens_.span(type_first, last);
  } else {
    cover_children(*made);
    made->span = tokens_.span(tokens_.at(made->span.offset_octets), type_last(type_first));
  }
  return made;
}

uint32_t Lowering::type_last(uint32_t first) const {
  uint32_t last = first;
  while (tokens_.is(last + 1, ".")) last += 2;
  if (tokens_.is_any_word(last + 1, {"precision", "varying"})) ++last;
  if (tokens_.is(last + 1, "(") && tokens_[last + 1].partner != Token::kNone) last = tokens_[last + 1].partner;
  if (tokens_.is_any_word(last + 1, {"with", "without"}) && tokens_.is_word(last + 2, "time")) last += 3;
  while (tokens_.is(last + 1, "[") && tokens_[last + 1].partner != Token::kNone) last = tokens_[last + 1].partner;
  return last;
}

std::string Lowering::lower_type_name(const Json& fields) {
  static constexpr std::array<std::pair<std::string_view, std::string_view>, 12> kInternal{{
      {"int2", "smallint"},
      {"int4", "integer"},
      {"int8", "bigint"},
      {"float4", "real"},
      {"float8", "double precision"},
      {"bool", "boolean"},
      {"varchar", "character varying"},
      {"bpchar", "character"},
      {"timestamptz", "timestamp with time zone"},
      {"timestamp", "timestamp without time zone"},
      {"timetz", "time with time zone"},
      {"time", "time without time zone"},
  }};
  const uint32_t first = token_of(fields);
  const Span span = tokens_.span(first, type_last(first));
  const std::vector<std::string> names = strings_of(field(fields, "names"));
  if (names.empty() || flag(fields, "setof") || flag(fields, "pct_type")) refuse_feature("this type", span);
  if (names.size() > 2 || (names.size() == 2 && names[0] != "pg_catalog")) {
    refuse_feature("a type name with a schema", span, "write the type alone");
  }
  std::string name = names.back();
  for (const auto& [internal, written] : kInternal) {
    if (name == internal) name = written;
  }
  if (const Json& modifiers = field(fields, "typmods"); !modifiers.empty()) {
    // char is char(1) to the parser, though nobody wrote a length.
    refuse_feature(name == "character" ? "the type char" : "a type with a length or precision", span,
                   name.starts_with("character") ? "write text" : "write the type without (...)");
  }
  for (size_t i = 0; i < field(fields, "arrayBounds").size(); ++i) name += "[]";
  return name;
}

Lowering::ExprPtr Lowering::lower_case(const Json& fields) {
  ExprPtr made = make(Expr::Kind::kCase, fields);
  const uint32_t first = token_of(fields);
  made->args.push_back(lower_optional(field(fields, "arg")));
  for (const Json& arm : field(fields, "args")) {
    const Json& when = field(arm, "CaseWhen");
    made->args.push_back(lower_expr(field(when, "expr")));
    made->args.push_back(lower_expr(field(when, "result")));
  }
  made->args.push_back(lower_optional(field(fields, "defresult")));
  cover_children(*made);
  uint32_t last = tokens_.last_of(made->span) + 1;
  for (; last < tokens_.size() && !tokens_.is_word(last, "end"); ++last) {  // FILTER (...) OVER (...) may follow.
    if (tokens_.is(last, "(") && tokens_[last].partner != Token::kNone) last = tokens_[last].partner;
  }
  made->span = tokens_.span(first, last);
  return made;
}

Lowering::ExprPtr Lowering::lower_word_call(Expr::Kind kind, const Json& fields) {
  ExprPtr made = make(kind, fields);
  made->args = lower_list(field(fields, "args"));
  const uint32_t name = token_of(fields);
  made->span = tokens_.span(name, call_last(name));
  return made;
}

Lowering::ExprPtr Lowering::lower_value_function(const Json& fields) {
  ExprPtr made = make(Expr::Kind::kCall, fields);
  std::string op = text_field(fields, "op");  // SVFOP_CURRENT_TIMESTAMP, SVFOP_CURRENT_TIMESTAMP_N
  if (op.ends_with("_N")) refuse_feature("a precision of the time", made->span, "write it without (...)");
  op.erase(0, std::string_view("SVFOP_").size());
  std::transform(op.begin(), op.end(), op.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? char(c + 32) : c; });
  made->text = op;
  return made;
}

void Lowering::lower_arguments(const Json& list, bool spread_rows, std::vector<ExprPtr>& args,
                               std::vector<std::string>& names) {
  for (const Json& item : list) {
    const Node node = node_of(item);
    const bool named = node.tag == "NamedArgExpr";
    const std::string name = named ? text_field(node.fields, "name") : std::string();
    const Json& value = named ? field(node.fields, "arg") : item;
    // partition_by => (a, b): each of the row's values is an argument of that name.
    if (const Json& row = field(value, "RowExpr"); spread_rows && named && !row.is_null()) {
      for (const Json& part : field(row, "args")) {
        args.push_back(lower_expr(part));
        names.push_back(name);
      }
      continue;
    }
    args.push_back(lower_expr(value));
    names.push_back(name);
  }
}

Lowering::ExprPtr Lowering::lower_call(const Json& fields) {
  ExprPtr made = make(Expr::Kind::kCall, fields);
  const uint32_t first = token_of(fields);
  std::vector<std::string> name = strings_of(field(fields, "funcname"));
  const bool built_in = name.size() == 2 && name[0] == "pg_catalog";
  if (built_in) name.erase(name.begin());
  made->span = tokens_.span(first, call_last(first));
  if (name.size() != 1) refuse_feature("a function name with a schema", made->span, "write the function alone");
  if (flag(fields, "func_variadic")) refuse_feature("VARIADIC", made->span);
  made->text = name[0];
  lower_arguments(field(fields, "args"), false, made->args, made->arg_names);

  if (built_in && name[0] == "timezone" && made->args.size() == 2 && tokens_.is_word(first, "at")) {
    made->kind = Expr::Kind::kAtTimeZone;  // PostgreSQL's order is (zone, value).
    std::swap(made->args[0], made->args[1]);
    made->arg_names.clear();
    made->span = tokens_.span(first);
    cover_children(*made);
    return made;
  }
  made->star = flag(fields, "agg_star");
  made->distinct = flag(fields, "agg_distinct");
  made->within_group = flag(fields, "agg_within_group");
  made->order_by = lower_order(field(fields, "agg_order"));
  made->filter = lower_optional(field(fields, "agg_filter"));
  if (const Json& over = field(fields, "over"); !over.is_null()) made->over = lower_over(over);

  static constexpr std::array<std::string_view, 12> kWindows{
      "tumble",    "hop",     "cumulate",      "session",     "tumble_start",   "tumble_end",
      "hop_start", "hop_end", "session_start", "session_end", "tumble_rowtime", "hop_rowtime"};
  if (std::find(kWindows.begin(), kWindows.end(), made->text) != kWindows.end() && !made->over) {
    const std::string window = made->text.substr(0, made->text.find('_'));
    refuse("42601", made->text + "() is not a function of a row here: windows stand in FROM", made->span,
           window == "hop" ? "FROM hop(flows, time, interval '1 min', interval '5 min'), then GROUP BY window_start"
                           : "FROM " + window + "(flows, time, interval '300 s'), then GROUP BY window_start");
  }
  if (made->text == "descriptor") {
    refuse("42601", "DESCRIPTOR() is not used here", made->span,
           "name the time column itself: FROM tumble(flows, time, interval '300 s')");
  }
  return made;
}

std::unique_ptr<plan::UnboundWindowSpec> Lowering::lower_over(const Json& fields) {
  const Json* spec = &fields;
  const uint32_t first = token_of(fields);
  if (!text_field(fields, "refname").empty()) {
    refuse_feature("OVER (name ...)", tokens_.span(first), "write the whole window, or OVER name");
  }
  if (const std::string name = text_field(fields, "name"); !name.empty()) {  // OVER name
    spec = nullptr;
    static const Json none;
    for (const Json& window : windows_ ? *windows_ : none) {
      const Json& definition = field(window, "WindowDef");
      if (text_field(definition, "name") == name) spec = &definition;
    }
    if (!spec) {
      refuse("42704", "the window '" + name + "' is not defined", tokens_.span(first),
             "add WINDOW " + name + " AS (...)");
    }
    if (!text_field(*spec, "refname").empty()) {
      refuse_feature("a window built on another window", token_span(*spec), "write the whole window");
    }
  }
  auto over = std::make_unique<plan::UnboundWindowSpec>();
  over->span = tokens_.span(first);
  over->partition_by = lower_list(field(*spec, "partitionClause"));
  over->order_by = lower_order(field(*spec, "orderClause"));
  over->frame = lower_frame(*spec);
  return over;
}

std::unique_ptr<plan::UnboundFrame> Lowering::lower_frame(const Json& spec) {
  using Bound = plan::UnboundFrame::Bound;
  // PostgreSQL's FRAMEOPTION_ bits.
  constexpr int64_t kWritten = 0x1, kRows = 0x4, kGroups = 0x8, kExclusions = 0x38000;
  constexpr std::array<std::pair<int64_t, Bound>, 5> kStarts{{{0x20, Bound::kUnboundedPreceding},
                                                              {0x80, Bound::kUnboundedFollowing},
                                                              {0x200, Bound::kCurrentRow},
                                                              {0x800, Bound::kPreceding},
                                                              {0x2000, Bound::kFollowing}}};
  const Json& options = field(spec, "frameOptions");
  const int64_t bits = options.is_number_integer() ? options.get<int64_t>() : 0;
  if ((bits & kWritten) == 0) return nullptr;
  auto frame = std::make_unique<plan::UnboundFrame>();
  frame->unit = (bits & kRows) != 0     ? plan::UnboundFrame::Unit::kRows
                : (bits & kGroups) != 0 ? plan::UnboundFrame::Unit::kGroups
                                        : plan::UnboundFrame::Unit::kRange;
  for (const auto& [bit, bound] : kStarts) {  // The bit of an end follows that of the same start.
    if ((bits & bit) != 0) frame->start = bound;
    if ((bits & (bit << 1)) != 0) frame->end = bound;
  }
  frame->start_offset = lower_optional(field(spec, "startOffset"));
  frame->end_offset = lower_optional(field(spec, "endOffset"));
  frame->excludes = (bits & kExclusions) != 0;

  uint32_t open = token_of(spec);
  frame->span = tokens_.span(open);
  while (open < tokens_.size() && !tokens_.is(open, "(")) ++open;
  const uint32_t close = open < tokens_.size() ? tokens_[open].partner : Token::kNone;
  for (uint32_t i = open + 1; close != Token::kNone && i < close; ++i) {
    if (tokens_.is(i, "(") && tokens_[i].partner != Token::kNone) i = tokens_[i].partner;
    if (!tokens_.is_any_word(i, {"rows", "range", "groups"}) || tokens_.is(i + 1, ",") || tokens_.is(i + 1, "."))
      continue;
    frame->span = tokens_.span(i, close - 1);
    break;
  }
  return frame;
}

Lowering::ExprPtr Lowering::lower_sublink(const Json& fields) {
  ExprPtr made = make(Expr::Kind::kSubquery, fields);
  const std::string kind = text_field(fields, "subLinkType");
  const uint32_t where = token_of(fields);
  const std::vector<std::string> op = strings_of(field(fields, "operName"));
  if (kind == "EXISTS_SUBLINK") {
    made->op = "exists";
  } else if (kind == "ANY_SUBLINK" && (op.empty() || op == std::vector<std::string>{"="})) {
    made->op = "in";
    made->args.push_back(lower_expr(field(fields, "testexpr")));
  } else if (kind == "ARRAY_SUBLINK") {
    refuse_feature("ARRAY (SELECT ...)", made->span);
  } else if (kind != "EXPR_SUBLINK") {
    refuse_feature("a comparison with ANY or ALL (SELECT ...)", made->span,
                   "use IN (SELECT ...), or compare with min or max");
  }
  uint32_t open = where;
  while (open < tokens_.size() && !tokens_.is(open, "(")) ++open;
  const uint32_t close = open < tokens_.size() && tokens_[open].partner != Token::kNone ? tokens_[open].partner : open;
  const Span inside = close > open + 1 ? tokens_.span(open + 1, close - 1) : tokens_.span(open);
  made->subquery = lower_query(field(fields, "subselect"), inside);
  cover_children(*made);
  made->span = tokens_.span(tokens_.at(made->span.offset_octets), close);
  return made;
}

}  // namespace backstream::sql
