// Conditions that are the values of options: "filter.SITE" = 'octets > 1000', "alert.when" and "alert.clear".
#include <algorithm>
#include <array>

#include "sql/lowering.h"

namespace backstream::sql {

using plan::UnboundExpr;
using plan::UnboundOption;

namespace {

constexpr std::string_view kBefore = "SELECT 1 WHERE ";

/// A place behind kBefore as one in the condition.
base::SourceSpan in_condition(base::SourceSpan span, size_t condition_octets) {
  const auto before = static_cast<uint32_t>(kBefore.size()), octets = static_cast<uint32_t>(condition_octets);
  const uint32_t begin = std::clamp(span.offset_octets, before, before + octets) - before;
  const uint32_t end = std::clamp(span.offset_octets + span.length_octets, before, before + octets) - before;
  return {begin, end - begin};
}

/// Whether nothing but a WHERE came of the condition: what ends one (GROUP BY, WINDOW, UNION …) would be a field, too.
bool is_condition_alone(const Json& tree) {
  constexpr std::array<std::string_view, 4> kFields = {"targetList", "whereClause", "limitOption", "op"};
  const Json& statements = field(tree, "stmts");
  if (statements.size() != 1 || statements[0].contains("stmt_len")) return false;  // The length: there is a semicolon.
  const Node node = node_of(field(statements[0], "stmt"));
  if (node.tag != "SelectStmt") return false;
  return std::all_of(node.fields.items().begin(), node.fields.items().end(), [&](const auto& item) {
    return std::find(kFields.begin(), kFields.end(), item.key()) != kFields.end();
  });
}

/// Gives the spans of `e` their places in the condition. Throws Refused, with such a place, for what has rows of its
/// own.
void settle(UnboundExpr& e, const std::string& name, size_t condition_octets) {
  e.span = in_condition(e.span, condition_octets);
  if (e.subquery || e.over) {
    refuse_feature(std::string(e.over ? "OVER" : "a subquery") + " in \"" + name + "\"", e.span,
                   "a condition of the row alone, such as octets > 1000");
  }
  for (const auto& arg : e.args) {
    if (arg) settle(*arg, name, condition_octets);
  }
  for (const auto& order : e.order_by) {
    if (order.expr) settle(*order.expr, name, condition_octets);
  }
  if (e.filter) settle(*e.filter, name, condition_octets);
}

/// Throws Refused, its place in the condition.
std::shared_ptr<const UnboundExpr> parse_condition(const std::string& name, const std::string& condition) {
  const base::SourceSpan all{0, static_cast<uint32_t>(condition.size())};
  constexpr const char* kHint = "for example 'octets > 1000'";
  if (condition.find_first_not_of(" \t\r\n") == std::string::npos)
    refuse("42601", "\"" + name + "\" is empty: a condition belongs there", all, kHint);
  const std::string text = std::string(kBefore) + condition;
  const Tokens tokens(text);
  std::vector<plan::UnboundStatement> statements;
  bool alone = false;
  try {
    const Json tree = parse_tree(tokens);
    alone = is_condition_alone(tree);
    if (alone) statements = Lowering(tokens).lower_all(tree);
  } catch (Refused& refused) {
    refused.diagnostic.span = in_condition(refused.diagnostic.span, condition.size());
    throw;
  }
  if (!alone) refuse("42601", "\"" + name + "\" is one condition and nothing else", all, kHint);
  std::shared_ptr<UnboundExpr> e(std::move(statements.front().select->where));
  settle(*e, name, condition.size());
  return e;
}

}  // namespace

void lower_conditions(std::vector<UnboundOption>& options) {
  for (UnboundOption& option : options) {
    const bool is_condition =
        option.name.starts_with("filter.") || option.name == "alert.when" || option.name == "alert.clear";
    if (!option.has_value || !is_condition) continue;
    try {
      option.condition = parse_condition(option.name, option.value);
    } catch (Refused& refused) {
      refused.diagnostic.span = option.span_of(refused.diagnostic.span);
      throw;
    }
  }
}

}  // namespace backstream::sql
