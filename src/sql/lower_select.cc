#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "sql/lowering.h"

namespace backstream::sql {

using plan::UnboundFrom;
using plan::UnboundSelect;

namespace {

/// Words of other streaming engines that PostgreSQL reads as an alias, and what is written here.
struct ForeignAlias {
  std::string_view word, hint;
};
constexpr std::string_view kEmitHint =
    "rows are written when their window closes; CREATE MATERIALIZED VIEW v WITH (emit = 'on_change') AS ... for sooner";
constexpr std::array<ForeignAlias, 10> kForeignAliases{{
    {"stream", "every query runs on the stream: leave the word out"},
    {"emit", kEmitHint},
    {"final", kEmitHint},
    {"changes", kEmitHint},
    {"qualify", "SELECT * FROM (SELECT *, row_number() OVER (...) AS n FROM ...) t WHERE n <= 10"},
    {"within", "bound a join by time: ON ... AND b.time BETWEEN a.time AND a.time + interval '1 min'"},
    {"asof", "join a lookup table with JOIN: it is read as of the row's arrival"},
    {"match_recognize", "use lag() OVER (...) and CASE"},
    {"watermark", "the delay is a setting of the source: backstream run --delay 10s, or watermark.delay in TOML"},
    {"window_start", "write a comma, or AS before an alias: window_start is a column of tumble and hop"},
}};

/// Seconds of an interval constant of plain "number unit" pairs; nothing when it is anything else.
std::optional<double> plain_seconds(const plan::UnboundExpr& expr) {
  const plan::UnboundExpr* value = expr.kind == plan::UnboundExpr::Kind::kCast ? expr.args[0].get() : &expr;
  if (value->kind != plan::UnboundExpr::Kind::kString) return std::nullopt;
  static constexpr std::array<std::pair<std::string_view, double>, 6> kUnits{
      {{"ms", 1e-3}, {"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}, {"w", 604800}}};
  double seconds = 0;
  const char *at = value->text.data(), *end = at + value->text.size();
  bool any = false;
  while (at < end) {
    while (at < end && *at == ' ') ++at;
    if (at == end) break;
    double number = 0;
    const auto [after, error] = std::from_chars(at, end, number);
    if (error != std::errc()) return std::nullopt;
    at = after;
    while (at < end && *at == ' ') ++at;
    const char* word = at;
    while (at < end && *at != ' ' && (*at < '0' || *at > '9')) ++at;
    const std::string_view unit(word, static_cast<size_t>(at - word));
    if (unit.starts_with("mo") || unit.empty()) return std::nullopt;
    const std::string_view key = unit == "ms" || unit.starts_with("milli") ? "ms" : unit.substr(0, 1);
    const auto known =
        std::find_if(kUnits.begin(), kUnits.end(), [&](const auto& entry) { return entry.first == key; });
    if (known == kUnits.end()) return std::nullopt;
    seconds += number * known->second;
    any = true;
  }
  return any ? std::optional(seconds) : std::nullopt;
}

}  // namespace

uint32_t Lowering::first_location(const Json& node) const { return token_of(node_of(node).fields); }

// A SELECT has no location of its own: it is found backwards from its first target, and ends with the text around it.
Lowering::Span Lowering::select_span(const Json& fields, Span around) const {
  const Json& targets = field(fields, "targetList");
  uint32_t first = tokens_.at(around.offset_octets), last = tokens_.last_of(around);
  if (!targets.empty() && field(fields, "larg").empty()) {
    uint32_t at = first_location(targets[0]);
    while (at > first && !tokens_.is_word(at, "select")) {
      --at;
      if (tokens_.is(at, ")") && tokens_[at].partner != Token::kNone) at = tokens_[at].partner;
    }
    first = std::max(first, at);
  }
  for (uint32_t i = first; i <= last && i < tokens_.size(); ++i) {
    if (tokens_.is(i, "(") && tokens_[i].partner != Token::kNone) {
      i = tokens_[i].partner;
    } else if (i > first && field(fields, "larg").empty() &&
               (tokens_.is(i, ")") || tokens_.is_any_word(i, {"union", "intersect", "except"}))) {
      last = i - 1;
    }
  }
  return tokens_.span(first, last);
}

Lowering::SelectPtr Lowering::lower_query(const Json& node, Span around) {
  const Node query = node_of(node);
  if (query.tag != "SelectStmt") refuse_feature("a query that changes data", around, "write a SELECT");
  return lower_select(query.fields, around);
}

Lowering::SelectPtr Lowering::lower_select(const Json& fields, Span around) {
  const Deeper deeper(*this, tokens_.at(around.offset_octets));
  auto select = std::make_unique<UnboundSelect>();
  select->span = select_span(fields, around);
  const Span head = tokens_.span(tokens_.at(select->span.offset_octets));
  if (!field(fields, "valuesLists").empty()) refuse_feature("VALUES", head, "use SELECT ... UNION ALL SELECT ...");
  if (const Json& into = field(fields, "intoClause"); !into.empty()) {
    refuse_feature("SELECT INTO", token_span(field(into, "rel")), "CREATE MATERIALIZED VIEW name AS SELECT ...");
  }
  if (!field(fields, "lockingClause").empty())
    refuse_feature("FOR UPDATE or FOR SHARE", head, "leave it out: nothing is locked");
  if (flag(fields, "groupDistinct")) refuse_feature("GROUP BY DISTINCT", head);
  if (const Json& with = field(fields, "withClause"); !with.empty()) lower_ctes(with, *select);

  const Json* const outer_windows = windows_;
  const Json& windows = field(fields, "windowClause");
  windows_ = &windows;

  const std::string op = text_field(fields, "op");
  if (!op.empty() && op != "SETOP_NONE") {
    select->set_op = op == "SETOP_UNION"       ? UnboundSelect::SetOp::kUnion
                     : op == "SETOP_INTERSECT" ? UnboundSelect::SetOp::kIntersect
                                               : UnboundSelect::SetOp::kExcept;
    select->set_all = flag(fields, "all");
    select->left = lower_select(field(fields, "larg"), around);
    select->right = lower_select(field(fields, "rarg"), around);
    windows_ = &windows;
  }

  if (const Json& distinct = field(fields, "distinctClause"); !distinct.empty()) {
    select->distinct = node_of(distinct[0]).tag.empty();  // [{}]: without ON
    if (!select->distinct) select->distinct_on = lower_list(distinct);
  }
  for (const Json& target : field(fields, "targetList")) {
    select->targets.push_back(lower_target(field(target, "ResTarget")));
  }
  for (const Json& item : field(fields, "fromClause")) select->from.push_back(lower_from(item));
  select->where = lower_optional(field(fields, "whereClause"));
  for (const Json& item : field(fields, "groupClause")) {
    const Node node = node_of(item);
    if (node.tag == "GroupingSet") {
      refuse_feature("GROUPING SETS, ROLLUP, CUBE or GROUP BY ()", token_span(node.fields),
                     "write one query for each grouping; UNION ALL puts their rows together");
    }
    select->group_by.push_back(lower_expr(item));
  }
  select->having = lower_optional(field(fields, "havingClause"));
  select->order_by = lower_order(field(fields, "sortClause"));
  select->offset = lower_optional(field(fields, "limitOffset"));
  const Json& limit = field(fields, "limitCount");
  if (!flag(field(limit, "A_Const"), "isnull")) select->limit = lower_optional(limit);  // LIMIT ALL is LIMIT NULL
  select->with_ties = text_field(fields, "limitOption") == "LIMIT_OPTION_WITH_TIES";
  windows_ = outer_windows;
  return select;
}

void Lowering::lower_ctes(const Json& with, UnboundSelect& select) {
  if (flag(with, "recursive")) {
    refuse_feature("WITH RECURSIVE", token_span(with),
                   "a query over itself would never be done; write WITH without it");
  }
  for (const Json& item : field(with, "ctes")) {
    const Json& fields = field(item, "CommonTableExpr");
    plan::UnboundCte cte;
    cte.name = text_field(fields, "ctename");
    const uint32_t name = token_of(fields);
    cte.span = tokens_.span(name);
    cte.column_aliases = strings_of(field(fields, "aliascolnames"));
    uint32_t open = name + 1;  // name [(columns)] AS [[NOT] MATERIALIZED] (query)
    if (!cte.column_aliases.empty() && tokens_.is(open, "(") && tokens_[open].partner != Token::kNone) {
      open = tokens_[open].partner + 1;
    }
    while (open < tokens_.size() && !tokens_.is(open, "(")) ++open;
    const uint32_t close =
        open < tokens_.size() && tokens_[open].partner != Token::kNone ? tokens_[open].partner : open;
    const Span inside = close > open + 1 ? tokens_.span(open + 1, close - 1) : cte.span;
    cte.select = lower_query(field(fields, "ctequery"), inside);
    select.ctes.push_back(std::move(cte));
  }
}

// The last token of a target that begins at `first`: the alias when there is one.
uint32_t Lowering::target_last(uint32_t first) const {
  uint32_t last = first;
  for (uint32_t i = first; i < tokens_.size(); last = i++) {
    if ((tokens_.is(i, "(") || tokens_.is(i, "[")) && tokens_[i].partner != Token::kNone) {
      i = tokens_[i].partner;
      continue;
    }
    if (tokens_.is(i, ",") || tokens_.is(i, ")") || tokens_.is(i, ";")) break;
    if (i == first || tokens_.is_word(i - 1, "as") || tokens_.is(i - 1, ".")) continue;
    if (tokens_.is_word(i, "from") && tokens_.is_word(i - 1, "distinct")) continue;
    if (tokens_.is_word(i, "group") && tokens_.is_word(i - 1, "within")) continue;
    if (tokens_.is_any_word(i, {"from", "where", "group", "having", "window", "union", "intersect", "except", "order",
                                "limit", "offset", "fetch", "for", "into"})) {
      break;
    }
  }
  return last;
}

plan::UnboundTarget Lowering::lower_target(const Json& fields) {
  plan::UnboundTarget target;
  const uint32_t first = token_of(fields);
  target.expr = lower_expr(field(fields, "val"));
  target.alias = text_field(fields, "name");
  if (target.alias.empty()) return target;
  const uint32_t last = target_last(first);
  target.alias_span = tokens_.span(last);
  if (tokens_.is_word(first, "stream") && last == first + 1) {  // not: stream AS x
    refuse("42601", "SELECT STREAM is not written here", tokens_.span(first), std::string(kForeignAliases[0].hint));
  }
  return target;
}

std::vector<plan::UnboundOrder> Lowering::lower_order(const Json& list) {
  std::vector<plan::UnboundOrder> out;
  for (const Json& item : list) {
    const Json& fields = field(item, "SortBy");
    plan::UnboundOrder order;
    order.expr = lower_expr(field(fields, "node"));
    const std::string direction = text_field(fields, "sortby_dir"), nulls = text_field(fields, "sortby_nulls");
    if (direction == "SORTBY_USING") refuse_feature("ORDER BY ... USING", order.expr->span, "write ASC or DESC");
    order.descending = direction == "SORTBY_DESC";
    if (nulls == "SORTBY_NULLS_FIRST") order.nulls_first = true;
    if (nulls == "SORTBY_NULLS_LAST") order.nulls_first = false;
    out.push_back(std::move(order));
  }
  return out;
}

Lowering::FromPtr Lowering::lower_from(const Json& json) {
  const Node node = node_of(json);
  const Deeper deeper(*this, token_of(node.fields));
  if (node.tag == "RangeVar") return lower_relation(node.fields);
  if (node.tag == "RangeFunction") return lower_from_function(node.fields);
  if (node.tag == "RangeSubselect") return lower_from_subquery(node.fields);
  if (node.tag == "JoinExpr") return lower_join(node.fields);
  if (node.tag == "RangeTableSample") {
    refuse_feature("TABLESAMPLE", token_span(node.fields), "sampling belongs to the exporter; filter with WHERE");
  }
  refuse_feature("this FROM item", token_span(node.fields));
}

Lowering::FromPtr Lowering::lower_relation(const Json& fields) {
  auto from = std::make_unique<UnboundFrom>();
  from->kind = UnboundFrom::Kind::kRelation;
  from->name = text_field(fields, "relname");
  uint32_t name = token_of(fields);
  if (!flag(fields, "inh")) refuse_feature("FROM ONLY", tokens_.span(name), "leave ONLY out");
  if (!text_field(fields, "schemaname").empty()) {
    refuse_feature("a name with a schema", tokens_.span(name, name + 2), "write " + from->name + " alone");
  }
  from->name_span = from->span = tokens_.span(name);
  take_alias(fields, tokens_.is(name + 1, "*") ? name + 2 : name + 1, *from);
  return from;
}

Lowering::FromPtr Lowering::lower_from_function(const Json& fields) {
  auto from = std::make_unique<UnboundFrom>();
  from->kind = UnboundFrom::Kind::kFunction;
  from->lateral = flag(fields, "lateral");
  const Json& functions = field(fields, "functions");
  const Json& items = field(field(functions[0], "List"), "items");
  const Node call = node_of(items[0]);
  const uint32_t first = token_of(call.fields);
  const uint32_t last = call_last(first);
  from->name_span = tokens_.span(first);
  from->span = tokens_.span(first, last);
  if (functions.size() > 1 || flag(fields, "is_rowsfrom")) {
    refuse_feature("ROWS FROM", from->span, "write one function in FROM, or a join");
  }
  if (flag(fields, "ordinality")) refuse_feature("WITH ORDINALITY", from->span);
  if (!field(fields, "coldeflist").empty())
    refuse_feature("a column definition list", from->span, "write only names: f(a, b)");
  if (call.tag != "FuncCall")
    refuse_feature("this in FROM", from->span, "use a relation or a window function such as tumble");
  const std::vector<std::string> name = strings_of(field(call.fields, "funcname"));
  if (name.size() != 1) refuse_feature("a function name with a schema", from->span, "write the function alone");
  from->name = name[0];
  for (const char* extra : {"agg_order", "agg_filter", "agg_star", "agg_distinct", "over", "func_variadic"}) {
    if (!field(call.fields, extra).is_null()) {
      refuse_feature("DISTINCT, *, ORDER BY, FILTER or OVER of a function in FROM", from->span);
    }
  }
  lower_arguments(field(call.fields, "args"), true, from->args, from->arg_names);
  check_window_function(*from);
  take_alias(fields, last + 1, *from);
  return from;
}

// What the binder could only call an unknown column or a wrong size, though the slip is plain from the text.
void Lowering::check_window_function(const UnboundFrom& from) const {
  static constexpr std::array<std::string_view, 4> kWindows{"tumble", "hop", "cumulate", "session"};
  if (std::find(kWindows.begin(), kWindows.end(), from.name) == kWindows.end()) return;
  for (size_t i = 2; i < from.args.size(); ++i) {
    const plan::UnboundExpr& arg = *from.args[i];
    if (arg.kind != plan::UnboundExpr::Kind::kColumn || !from.arg_names[i].empty()) continue;
    if (!tokens_.is_kind(tokens_.at(arg.span.offset_octets), Token::Kind::kQuotedWord)) continue;
    refuse("42601", "double quotes name a column; this should be an interval", arg.span,
           "write interval '" + arg.names[0] + "'");
  }
  const bool steps = from.name == "hop" || from.name == "cumulate";
  if (!steps || from.args.size() < 4 || !from.arg_names[2].empty() || !from.arg_names[3].empty()) return;
  const auto slide = plain_seconds(*from.args[2]), size = plain_seconds(*from.args[3]);
  if (slide && size && *slide > *size) {
    refuse("22023", "the " + std::string(from.name == "hop" ? "slide" : "step") + " is longer than the window",
           from.args[2]->span,
           from.name + "(relation, time, " + (from.name == "hop" ? "slide" : "step") +
               ", size): the shorter one comes first");
  }
}

Lowering::FromPtr Lowering::lower_from_subquery(const Json& fields) {
  auto from = std::make_unique<UnboundFrom>();
  from->kind = UnboundFrom::Kind::kSubquery;
  from->lateral = flag(fields, "lateral");
  // Neither the parenthesis nor the alias has a place in the tree: both are found from inside the query.
  const Json* inner = &field(field(fields, "subquery"), "SelectStmt");
  while (!field(*inner, "larg").empty()) inner = &field(*inner, "larg");
  const Json& targets = field(*inner, "targetList");
  if (targets.empty()) {
    const Json& rows = field(*inner, "valuesLists");
    const uint32_t place = rows.empty() ? tokens_.size() : first_location(field(field(rows[0], "List"), "items")[0]);
    refuse_feature("VALUES or an empty SELECT in FROM", tokens_.span(place), "write (SELECT ... FROM ...) AS name");
  }
  uint32_t open = first_location(targets[0]);
  const auto encloses = [&](uint32_t i) {  // "( SELECT", "( WITH", or one more parenthesis around those
    return tokens_.is(i, "(") && (tokens_.is_any_word(i + 1, {"select", "with"}) || tokens_.is(i + 1, "("));
  };
  while (open > 0 && !tokens_.is_word(open, "select")) {
    --open;
    if (tokens_.is(open, ")") && tokens_[open].partner != Token::kNone) open = tokens_[open].partner;
  }
  while (open > 0 && !encloses(open)) {  // a WITH clause may stand between
    --open;
    if (tokens_.is(open, ")") && tokens_[open].partner != Token::kNone) open = tokens_[open].partner;
  }
  uint32_t close = tokens_.is(open, "(") && tokens_[open].partner != Token::kNone ? tokens_[open].partner : open;
  const Span inside = close > open + 1 ? tokens_.span(open + 1, close - 1) : tokens_.span(open);
  // ((SELECT a) UNION SELECT b): the parenthesis of the first branch is not the whole.
  while (open > 0 && encloses(open - 1) && tokens_[open - 1].partner != Token::kNone &&
         tokens_[open - 1].partner > close) {
    close = tokens_[--open].partner;
  }
  from->subquery =
      lower_query(field(fields, "subquery"), close > open + 1 ? tokens_.span(open + 1, close - 1) : inside);
  from->span = from->name_span = tokens_.span(open, close);
  take_alias(fields, close + 1, *from);
  return from;
}

void Lowering::take_alias(const Json& fields, uint32_t alias_token, UnboundFrom& from) {
  const Json& alias = field(fields, "alias");
  if (alias.empty()) return;
  from.alias = text_field(alias, "aliasname");
  from.column_aliases = strings_of(field(alias, "colnames"));
  const bool has_as = tokens_.is_word(alias_token, "as");
  if (has_as) ++alias_token;
  uint32_t last = alias_token;
  if (!from.column_aliases.empty() && tokens_.is(last + 1, "(")) last = tokens_[last + 1].partner;
  if (last < tokens_.size()) from.span = tokens_.span(tokens_.at(from.span.offset_octets), last);
  if (has_as) return;
  for (const ForeignAlias& foreign : kForeignAliases) {
    if (!tokens_.is_word(alias_token, foreign.word)) continue;
    std::string shown(tokens_.text(alias_token));
    refuse("42601", "'" + shown + "' would only be another name for the relation before it", tokens_.span(alias_token),
           std::string(foreign.hint));
  }
}

Lowering::FromPtr Lowering::lower_join(const Json& fields) {
  auto from = std::make_unique<UnboundFrom>();
  from->kind = UnboundFrom::Kind::kJoin;
  from->left = lower_from(field(fields, "larg"));
  from->right = lower_from(field(fields, "rarg"));
  from->on = lower_optional(field(fields, "quals"));
  from->using_columns = strings_of(field(fields, "usingClause"));
  const uint32_t begin = from->left->span.offset_octets;
  const Span end = from->on ? tokens_.with_parentheses(from->on->span) : from->right->span;
  from->span = {begin, std::max(begin, end.offset_octets + end.length_octets) - begin};
  if (flag(fields, "isNatural")) refuse_feature("NATURAL JOIN", from->span, "write JOIN ... USING (column)");
  if (!field(fields, "alias").empty() || !field(fields, "join_using_alias").empty()) {
    refuse_feature("an alias of a whole join", from->span, "give each relation its own");
  }
  const std::string type = text_field(fields, "jointype");
  from->join = type == "JOIN_LEFT"                        ? UnboundFrom::Join::kLeft
               : type == "JOIN_RIGHT"                     ? UnboundFrom::Join::kRight
               : type == "JOIN_FULL"                      ? UnboundFrom::Join::kFull
               : !from->on && from->using_columns.empty() ? UnboundFrom::Join::kCross
                                                          : UnboundFrom::Join::kInner;
  return from;
}

}  // namespace backstream::sql
