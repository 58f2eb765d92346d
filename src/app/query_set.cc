#include "app/query_set.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

#include "lookup/lookup_table.h"
#include "plan/share.h"
#include "service/query_statements.h"
#include "service/standing_definitions.h"
#include "sql/parse.h"

namespace backstream::app {
namespace {

using plan::UnboundStatement;

tl::unexpected<base::Diagnostic> refuse(const UnboundStatement& statement, std::string_view code, std::string message,
                                        std::string hint) {
  return base::fail(code, std::move(message), statement.span, std::move(hint));
}

/// A name as SQL takes it in any case.
std::string in_quotes(std::string_view name) {
  std::string text = "\"";
  for (const char c : name) text.append(c == '"' ? 2 : 1, c);
  return text + '"';
}

bool reads_table(const plan::Query& query, const lookup::LookupTable& table) {
  for (const auto& input : query.inputs) {
    if (reads_table(*input, table)) return true;
  }
  for (const plan::Stage& stage : query.stages) {
    for (const plan::LookupStep& step : stage.lookups) {
      if (step.table.get() == &table) return true;
    }
  }
  return false;
}

class Preparation {
 public:
  Preparation(const config::Settings& settings, const inventory::Inventory& inventory)
      : schema_(batch::flow_schema(settings.columns)),
        shares_(settings.plan.share),
        definitions_(service::standing_definitions(settings, schema_, inventory)) {}

  base::Result<void> add(UnboundStatement&& statement, std::string_view text) {
    ++set_.statement_count;
    if (statement.kind == UnboundStatement::Kind::kCreatePublication || statement.object_type == "publication")
      return refuse(statement, "0A000", "sinks run in a service: backstream serve",
                    "backstream run -o csv or jsonl writes the rows to standard output");
    if (plan::Definitions::is_change(statement.kind)) {
      if (statement.kind == UnboundStatement::Kind::kDrop && statement.object_type == "foreign table") {
        return refuse(statement, "0A000", "backstream run reads flows from --pcap and --listen only",
                      "there are no foreign tables to drop");
      }
      return definitions_->change(std::move(statement));
    }
    switch (statement.kind) {
      case UnboundStatement::Kind::kExplain: {
        const auto options = plan::bind_explain_options(statement.options);
        if (!options) return tl::unexpected(options.error());
        if (options->analyze) return add_query(std::move(*statement.inner), text, *options);
        auto query = definitions_->bind(*statement.inner, text);
        if (!query) return tl::unexpected(query.error());
        std::string explained = plan::explain(*query, *options);
        if (!options->json && shares_) explained += sharers_of(*query);
        set_.explained.push_back(std::move(explained));
        return {};
      }
      case UnboundStatement::Kind::kCreateForeignTable:
        return refuse(statement, "0A000", "backstream run reads flows from --pcap and --listen only",
                      "streams of other rows exist in tests (tests/slt)");
      case UnboundStatement::Kind::kCreateTable:
      case UnboundStatement::Kind::kInsert:
      case UnboundStatement::Kind::kUpdate:
      case UnboundStatement::Kind::kDelete:
      case UnboundStatement::Kind::kTruncate: return set_.tables.execute(statement, definitions_->catalog());
      default: return add_query(std::move(statement), text);
    }
  }

  /// Reads a relation that no statement is named for.
  base::Result<void> add_reader_of(const std::string& view) {
    const plan::Relation* relation = std::as_const(*definitions_).catalog().find(view);
    if (relation == nullptr || relation->kind == plan::Relation::Kind::kStream ||
        relation->kind == plan::Relation::Kind::kTable) {
      return {};
    }
    for (const auto& entry : definitions_->entries()) {
      if (entry->label == view) return {};
    }
    const std::string text = "SELECT * FROM " + in_quotes(view);
    auto statements = sql::parse(text, "--view");
    if (!statements) return tl::unexpected(statements.error());
    if (auto added = definitions_->add_query(std::move(statements->front()), text, view); !added)
      return tl::unexpected(std::move(added.error()));
    return {};
  }

  /// After the last statement.
  QuerySet take() {
    for (auto& entry : definitions_->entries()) {
      const auto analyzed = analyzed_.find(entry->number);
      set_.queries.push_back({std::move(entry->query), entry->label,
                              analyzed == analyzed_.end() ? std::nullopt : std::optional(analyzed->second)});
    }
    return std::move(set_);
  }

 private:
  base::Result<void> add_query(UnboundStatement&& statement, std::string_view text,
                               std::optional<plan::ExplainOptions> analyzed = {}) {
    const bool is_view = statement.kind == UnboundStatement::Kind::kCreateMaterializedView;
    std::string label = is_view ? "" : fmt::format("select{}", select_count_ + 1);
    const auto added = definitions_->add_query(std::move(statement), text, std::move(label));
    if (!added) return tl::unexpected(added.error());
    if (analyzed && *added != nullptr) analyzed_.emplace((*added)->number, *analyzed);
    if (!is_view) ++select_count_;
    return {};
  }

  /// A line that names the statements before that make the same groups, or nothing.
  std::string sharers_of(const plan::Query& query) const {
    std::string names;
    for (const auto& entry : definitions_->entries()) {
      if (entry->query && plan::share_groups(query, *entry->query))
        names.append(names.empty() ? "" : ", ").append(entry->label);
    }
    return names.empty() ? names : fmt::format("  shares its panes and groups with {}\n", names);
  }

  const batch::Schema schema_;
  const bool shares_;
  QuerySet set_;
  const std::unique_ptr<plan::Definitions> definitions_;
  std::map<size_t, plan::ExplainOptions> analyzed_;  ///< by the number of the definition
  size_t select_count_ = 0;
};

}  // namespace

bool QuerySet::reads(const lookup::LookupTable& table) const {
  return std::any_of(queries.begin(), queries.end(), [&](const Item& item) { return reads_table(*item.query, table); });
}

base::Result<QuerySet> prepare_queries(const std::vector<SqlText>& texts, const config::Settings& settings,
                                       const inventory::Inventory& inventory, const std::string& view) {
  Preparation preparation(settings, inventory);
  for (const SqlText& text : texts) {
    auto statements = service::parse_queries(text.text, text.source_name);
    if (!statements) return tl::unexpected(std::move(statements.error()));
    for (UnboundStatement& statement : *statements) {
      if (auto added = preparation.add(std::move(statement), text.text); !added) {
        base::Diagnostic diagnostic = std::move(added.error());
        if (diagnostic.line == 0) base::locate(diagnostic, text.source_name, text.text);
        return tl::unexpected(std::move(diagnostic));
      }
    }
  }
  if (auto added = preparation.add_reader_of(view); !added) return tl::unexpected(std::move(added.error()));
  return preparation.take();
}

}  // namespace backstream::app
