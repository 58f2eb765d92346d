#pragma once
// From PostgreSQL's parse tree, as libpg_query writes it in JSON, to the unbound plan. Inside this room only.
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "plan/unbound.h"
#include "sql/tokens.h"

namespace backstream::sql {

using Json = nlohmann::json;

/// What ends a lowering: thrown at the place of the mistake, caught in parse(). It never leaves this room: a Result in
/// each of its fifty functions would be most of their text.
struct Refused {
  base::Diagnostic diagnostic;
};
[[noreturn]] void refuse(std::string_view code, std::string message, base::SourceSpan span, std::string hint = {});
/// SQLSTATE 0A000: legal PostgreSQL that has no meaning here.
[[noreturn]] void refuse_feature(const std::string& what, base::SourceSpan span, std::string hint = {});

/// A node of the tree: {"SelectStmt": {...}} has tag SelectStmt and fields {...}.
struct Node {
  std::string_view tag;  ///< empty when the node is absent or a null in a list
  const Json& fields;
};
Node node_of(const Json& json);
/// A member, or null. libpg_query leaves out what is 0, false, empty or absent.
const Json& field(const Json& fields, const char* name);
std::string text_field(const Json& fields, const char* name);
bool flag(const Json& fields, const char* name);
/// The value of {"String": {"sval": ...}}.
std::string string_of(const Json& node);
/// The names of a list of String nodes.
std::vector<std::string> strings_of(const Json& list);

/// PostgreSQL's parse tree of a text, after what it would not refuse has been. Throws Refused. On the parser thread.
Json parse_tree(const Tokens& tokens);

/// Reads the conditions that options are ("filter.SITE"). Throws Refused. On the parser thread. In lower_condition.cc.
void lower_conditions(std::vector<plan::UnboundOption>& options);

/// Lowers the statements of one text. Throws Refused. Runs on the parser thread.
class Lowering {
 public:
  explicit Lowering(const Tokens& tokens) : tokens_(tokens) {}

  /// `root`: what pg_query_parse() returned.
  std::vector<plan::UnboundStatement> lower_all(const Json& root);

 private:
  using Span = base::SourceSpan;
  using ExprPtr = plan::UnboundExprPtr;
  using Expr = plan::UnboundExpr;
  using SelectPtr = std::unique_ptr<plan::UnboundSelect>;
  using FromPtr = std::unique_ptr<plan::UnboundFrom>;

  // lower_statement.cc; ALTER, RENAME and COMMENT: lower_change.cc
  void lower_statement(Node node, Span span, std::vector<plan::UnboundStatement>& out);
  plan::UnboundStatement lower_one(Node node, Span span);
  plan::UnboundStatement lower_materialized_view(const Json& fields, Span span);
  plan::UnboundStatement lower_view(const Json& fields, Span span);
  plan::UnboundStatement lower_foreign_table(const Json& fields, Span span);
  plan::UnboundStatement lower_explain(const Json& fields, Span span);
  void lower_drop(const Json& fields, Span span, std::vector<plan::UnboundStatement>& out);
  plan::UnboundStatement lower_alter(const Json& fields, Span span);
  plan::UnboundStatement lower_rename(const Json& fields, Span span);
  plan::UnboundStatement lower_comment(const Json& fields, Span span);
  /// @param primary_key  where PRIMARY KEY of a column goes; null: constraints are refused
  plan::UnboundColumnDef lower_column(const Json& fields, std::vector<plan::UnboundName>* primary_key = nullptr);
  std::vector<plan::UnboundOption> lower_options(const Json& list);
  plan::UnboundOption lower_option(const Json& fields);
  void set_name(plan::UnboundStatement& statement, const Json& range_var);

  // lower_publication.cc
  plan::UnboundStatement lower_publication(const Json& fields, Span span);

  // lower_table.cc
  plan::UnboundStatement lower_table(const Json& fields, Span span);
  plan::UnboundStatement lower_change(plan::UnboundStatement::Kind kind, const Json& fields, Span span);
  plan::UnboundStatement lower_insert(const Json& fields, Span span);
  plan::UnboundStatement lower_update(const Json& fields, Span span);
  plan::UnboundStatement lower_delete(const Json& fields, Span span);
  void lower_truncate(const Json& fields, Span span, std::vector<plan::UnboundStatement>& out);
  void refuse_clauses(const Json& fields, Span span) const;

  // lower_select.cc
  SelectPtr lower_select(const Json& fields, Span statement);
  SelectPtr lower_query(const Json& node, Span around);  ///< of a node that must be a SelectStmt
  void lower_ctes(const Json& with, plan::UnboundSelect& select);
  plan::UnboundTarget lower_target(const Json& fields);
  uint32_t target_last(uint32_t first) const;
  FromPtr lower_from(const Json& node);
  FromPtr lower_relation(const Json& fields);
  FromPtr lower_from_function(const Json& fields);
  FromPtr lower_from_subquery(const Json& fields);
  FromPtr lower_join(const Json& fields);
  void take_alias(const Json& fields, uint32_t alias_token, plan::UnboundFrom& from);
  void check_window_function(const plan::UnboundFrom& from) const;
  std::vector<plan::UnboundOrder> lower_order(const Json& list);
  Span select_span(const Json& fields, Span around) const;
  uint32_t first_location(const Json& node) const;

  // lower_expr.cc
  ExprPtr lower_expr(const Json& node);
  ExprPtr lower_optional(const Json& node) {
    if (node.empty()) return nullptr;
    return lower_expr(node);
  }
  std::vector<ExprPtr> lower_list(const Json& list);
  ExprPtr lower_column_ref(const Json& fields);
  ExprPtr lower_constant(const Json& fields);
  ExprPtr lower_operator(const Json& fields);
  ExprPtr lower_like(const Json& fields, ExprPtr made);
  ExprPtr lower_array(const Json& fields, ExprPtr made);
  ExprPtr lower_bool(const Json& fields);
  ExprPtr lower_test(const Json& fields, bool truth);
  ExprPtr lower_cast(const Json& fields);
  ExprPtr lower_case(const Json& fields);
  ExprPtr lower_call(const Json& fields);
  ExprPtr lower_word_call(Expr::Kind kind, const Json& fields);
  ExprPtr lower_value_function(const Json& fields);
  ExprPtr lower_sublink(const Json& fields);
  void lower_arguments(const Json& list, bool spread_rows, std::vector<ExprPtr>& args, std::vector<std::string>& names);
  std::unique_ptr<plan::UnboundWindowSpec> lower_over(const Json& fields);
  std::unique_ptr<plan::UnboundFrame> lower_frame(const Json& spec);
  std::string lower_type_name(const Json& fields);
  uint32_t type_last(uint32_t first) const;
  std::string number_text(uint32_t token) const;

  ExprPtr make(Expr::Kind kind, const Json& fields) const;
  uint32_t token_of(const Json& fields) const;  ///< the token at the node's location
  Span token_span(const Json& fields) const { return tokens_.span(token_of(fields)); }
  uint32_t call_last(uint32_t name) const;  ///< of a call whose name begins at that token: its ')'
  /// Extends the span over the children, their parentheses included.
  void cover_children(Expr& expr) const;

  class Deeper;

  const Tokens& tokens_;
  const Json* windows_ = nullptr;  // The WINDOW clause of the SELECT being lowered.
  uint32_t depth_ = 0;
};

/// One level of nesting while it lives. 54001 beyond kNestingMax: later stages walk the plan recursively.
class Lowering::Deeper {
 public:
  static constexpr uint32_t kNestingMax = 500;
  Deeper(Lowering& lowering, uint32_t token);
  ~Deeper() { --lowering_.depth_; }
  Deeper(const Deeper&) = delete;
  Deeper& operator=(const Deeper&) = delete;

 private:
  Lowering& lowering_;
};

}  // namespace backstream::sql
