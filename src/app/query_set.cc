#include "app/query_set.h"

#include <fmt/format.h>

#include "plan/bind.h"
#include "sql/parse.h"

namespace backstream::app {
namespace {

using plan::UnboundStatement;

tl::unexpected<base::Diagnostic> refuse(const UnboundStatement& statement, std::string code, std::string message,
                                        std::string hint) {
  return base::fail(code, std::move(message), statement.span, std::move(hint));
}

/// A name as SQL takes it in any case.
std::string quoted(std::string_view name) {
  std::string text = "\"";
  for (const char c : name) text.append(c == '"' ? 2 : 1, c);
  return text + '"';
}

class Preparation {
 public:
  explicit Preparation(bool rewrites) : rewrites_(rewrites) {}

  base::Result<void> add(const UnboundStatement& statement, std::string_view text) {
    switch (statement.kind) {
      case UnboundStatement::Kind::kSelect:
      case UnboundStatement::Kind::kCreateMaterializedView: return add_query(statement, text);
      case UnboundStatement::Kind::kExplain: {
        auto query = bound(*statement.inner, text);
        if (!query) return tl::unexpected(query.error());
        set.explained.push_back(plan::explain(*query));
        return {};
      }
      case UnboundStatement::Kind::kCreateView:
        return refuse(statement, "0A000", "backstream run has no plain views",
                      "write CREATE MATERIALIZED VIEW, or a subquery in FROM");
      case UnboundStatement::Kind::kCreateForeignTable:
        return refuse(statement, "0A000", "backstream run reads flows from --pcap and --listen only",
                      "streams of other rows exist in tests (tests/slt)");
      case UnboundStatement::Kind::kCreateTable:
      case UnboundStatement::Kind::kInsert:
      case UnboundStatement::Kind::kUpdate:
      case UnboundStatement::Kind::kDelete:
      case UnboundStatement::Kind::kTruncate: return set.tables.execute(statement, catalog_);
      case UnboundStatement::Kind::kDrop:
        return refuse(statement, "0A000", "backstream run ends with its queries, there is nothing to drop",
                      "leave the statement out");
    }
    return {};
  }

  /// Reads a relation that no statement is named for.
  base::Result<void> add_reader_of(const std::string& view) {
    const plan::Relation* relation = catalog_.find(view);
    if (relation == nullptr || relation->kind != plan::Relation::Kind::kView) return {};
    for (const QuerySet::Item& item : set.queries) {
      if (item.label == view) return {};
    }
    const std::string text = "SELECT * FROM " + quoted(view);
    auto statements = sql::parse(text, "--view");
    if (!statements) return tl::unexpected(statements.error());
    auto query = bound(statements->front(), text);
    if (!query) return tl::unexpected(query.error());
    set.queries.push_back({std::make_unique<plan::Query>(std::move(*query)), view});
    return {};
  }

  QuerySet set;

 private:
  base::Result<plan::Query> bound(const UnboundStatement& statement, std::string_view text) {
    auto query = plan::bind(statement, text, catalog_);
    if (query && rewrites_) plan::rewrite(*query);
    return query;
  }

  base::Result<void> add_query(const UnboundStatement& statement, std::string_view text) {
    const bool is_view = statement.kind == UnboundStatement::Kind::kCreateMaterializedView;
    if (is_view && catalog_.find(statement.name) != nullptr) {
      if (statement.if_exists) return {};
      return base::fail("42P07", fmt::format("relation \"{}\" already exists", statement.name), statement.name_span,
                        "views of one run need different names");
    }
    auto query = bound(statement, text);
    if (!query) return tl::unexpected(query.error());
    auto kept = std::make_unique<plan::Query>(std::move(*query));
    if (is_view) catalog_.add_view(*kept);
    std::string label = is_view ? kept->name : fmt::format("select{}", ++select_count_);
    set.queries.push_back({std::move(kept), std::move(label)});
    return {};
  }

  const bool rewrites_;
  plan::Catalog catalog_;
  size_t select_count_ = 0;
};

}  // namespace

base::Result<QuerySet> prepare_queries(const std::vector<SqlText>& texts, bool rewrites, const std::string& view) {
  Preparation preparation(rewrites);
  for (const SqlText& text : texts) {
    auto statements = sql::parse(text.text, text.source_name);
    if (!statements) return tl::unexpected(std::move(statements.error()));
    for (const UnboundStatement& statement : *statements) {
      if (auto added = preparation.add(statement, text.text); !added) {
        base::Diagnostic diagnostic = std::move(added.error());
        if (diagnostic.line == 0) base::locate(diagnostic, text.source_name, text.text);
        return tl::unexpected(std::move(diagnostic));
      }
    }
  }
  if (auto added = preparation.add_reader_of(view); !added) return tl::unexpected(std::move(added.error()));
  return std::move(preparation.set);
}

}  // namespace backstream::app
