#include "plan/bind.h"

#include <fmt/format.h>

#include <utility>

#include "plan/select_binder.h"

namespace backstream::plan {

using base::fail;

namespace {

/// Policies of a query are those of its inputs.
void give_options(Query& query) {
  for (auto& input : query.inputs) {
    input->options = query.options;
    input->text = query.text;
    give_options(*input);
  }
}

/// The columns of a view are read by name.
Result<void> check_names(const UnboundStatement& statement, const UnboundSelect& select, const batch::Schema& output) {
  for (size_t i = 0; i < output.columns.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      if (output.columns[i].name != output.columns[j].name) continue;
      return fail("42701", fmt::format("column \"{}\" specified more than once", output.columns[i].name),
                  select.targets.size() > i ? select.targets[i].expr->span : statement.name_span,
                  "give one of them another name with AS");
    }
  }
  return {};
}

}  // namespace

Result<Query> bind(const UnboundStatement& statement, std::string_view text, const Catalog& catalog) {
  const bool is_view = statement.kind == UnboundStatement::Kind::kCreateMaterializedView;
  if (statement.kind == UnboundStatement::Kind::kExplain)
    return plan::bind(std::as_const(*statement.inner), text, catalog);
  if (statement.kind == UnboundStatement::Kind::kCreateView) {
    return fail("0A000", "a plain view is no query of its own", statement.span, "SELECT from it");
  }
  if (!is_view && statement.kind != UnboundStatement::Kind::kSelect) {
    return fail("0A000", "this statement is no query", statement.span);
  }
  if (is_view && catalog.find(statement.name) != nullptr) {
    return fail("42P07", fmt::format("relation \"{}\" already exists", statement.name), statement.name_span);
  }
  auto options = bind_options(statement.options);
  if (!options) return tl::unexpected(options.error());
  std::unique_ptr<UnboundSelect> made;
  if (!statement.select) {
    auto select = statement.maker->make(catalog);
    if (!select) return tl::unexpected(select.error());
    made = std::move(*select);
  }
  const UnboundSelect& select = made ? *made : *statement.select;
  Expansions expansions;
  auto bound = SelectBinder(catalog, {}, expansions).bind(select);
  if (!bound) return tl::unexpected(bound.error());
  const Stage& first = bound->stages.front();
  if (first.window.kind == Window::Kind::kSession && options->allowed_lateness_us != 0) {
    return fail("0A000", "allowed_lateness of session windows is not supported", statement.span,
                "a longer delay keeps sessions open to rows that come out of order");
  }
  Query query;
  query.name = is_view ? statement.name : "";
  query.is_view = is_view;
  query.text = std::string(text);
  query.source = std::move(bound->source);
  query.inputs = std::move(bound->inputs);
  query.stages = std::move(bound->stages);
  query.options = *options;
  query.has_windows = bound->has_windows;
  query.window_size_us = bound->window_size_us;
  query.time_output = bound->time_column;
  if (auto placed = apply_placement(query, statement.options); !placed) return tl::unexpected(placed.error());
  give_options(query);
  const UnboundOption* rest_row = query.options.rest_row ? find_option(statement.options, "rest_row") : nullptr;
  if (rest_row != nullptr) {
    if (auto numbered = number_in_place(query, rest_row->span); !numbered) return tl::unexpected(numbered.error());
  }
  if (auto applied = apply_options(query, statement.options); !applied) return tl::unexpected(applied.error());
  batch::Schema& output = query.stages.back().output;
  if (statement.column_aliases.size() > output.columns.size()) {
    return fail("42601", "CREATE MATERIALIZED VIEW names more columns than its query has", statement.name_span);
  }
  for (size_t i = 0; i < statement.column_aliases.size(); ++i) output.columns[i].name = statement.column_aliases[i];
  if (rest_row != nullptr) {
    if (auto added = add_rest_row(query, rest_row->span); !added) return tl::unexpected(added.error());
  }
  if (is_view) {
    if (auto distinct = check_names(statement, select, output); !distinct) return tl::unexpected(distinct.error());
  }
  if (auto alert = apply_alert(query, statement.options); !alert) return tl::unexpected(alert.error());
  return query;
}

Result<Relation> bind_plain_view(std::shared_ptr<const UnboundStatement> statement, const Catalog& catalog) {
  if (!statement->options.empty()) {
    return fail("0A000", "a plain view has no options", statement->options[0].span,
                "they belong to the query that reads it, or to CREATE MATERIALIZED VIEW");
  }
  Expansions expansions;
  auto rows = SelectBinder(catalog, {}, expansions).bind_subquery(*statement->select);
  if (!rows) return tl::unexpected(rows.error());
  Relation relation;
  relation.kind = Relation::Kind::kPlainView;
  relation.name = statement->name;
  relation.schema = std::move(rows->schema);
  auto named = name_columns(relation.schema, statement->column_aliases, statement->name, statement->name_span);
  if (named) named = check_names(*statement, *statement->select, relation.schema);
  if (!named) return tl::unexpected(named.error());
  relation.definition = std::move(statement);
  return relation;
}

}  // namespace backstream::plan
