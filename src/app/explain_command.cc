// backstream explain: how a query would run, or the same query in the other language; without a server, and without
// flows.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <utility>

#include "app/client_command.h"
#include "app/commands.h"
#include "app/diagram_texts.h"
#include "app/kafka_options.h"
#include "app/run_options.h"
#include "app/service_client.h"
#include "config/load.h"
#include "inventory/inventory.h"
#include "plan/bind_table.h"
#include "plan/explain.h"
#include "service/query_statements.h"
#include "service/standing_definitions.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

using base::Result;
using plan::UnboundStatement;
using Kind = UnboundStatement::Kind;

constexpr const char* kAbout =
    "Shows how queries would run, as `backstream run` would run them; or writes them in the other language. No flow "
    "is\n"
    "read, and no server asked. Files come first, then -e; views and tables can be read by what comes after them.\n\n"
    "  backstream explain queries/traffic_matrix.sql --distributed\n"
    "  backstream explain queries/borealis/traffic_matrix.xml --as sql\n"
    "  backstream explain -e \"SELECT ...\" --as xml > diagram.xml";

struct Asked {
  std::vector<std::string> files, execute, bindings, settings;
  std::string config, as = "plan";
  bool distributed = false, json = false;
};

class Explanation {
 public:
  Explanation(const Asked& asked, const config::Settings& settings, const inventory::Inventory& inventory)
      : asked_(asked),
        schema_(batch::flow_schema(settings.columns)),
        definitions_(service::standing_definitions(settings, schema_, inventory)) {}

  /// Errors: located in the text.
  Result<void> add(const SqlText& text) {
    auto statements = service::parse_queries(text.text, text.source_name);
    if (!statements) return tl::unexpected(std::move(statements.error()));
    for (UnboundStatement& statement : *statements) {
      auto added = add(std::move(statement), text.text);
      if (added) continue;
      if (added.error().line == 0) base::locate(added.error(), text.source_name, text.text);
      return added;
    }
    return {};
  }

  /// What is to be shown of all that was added; empty: there was no query.
  const std::string& shown() const { return shown_; }

 private:
  Result<void> add(UnboundStatement statement, std::string_view text) {
    if (statement.kind == Kind::kExplain) return add(std::move(*statement.inner), text);
    if (plan::LookupTables::is_statement(statement.kind)) return tables_.execute(statement, definitions_->catalog());
    if (plan::Definitions::is_change(statement.kind)) return definitions_->change(std::move(statement));
    if (statement.kind != Kind::kSelect && statement.kind != Kind::kCreateMaterializedView)
      return base::fail("42601", "this statement is no query", statement.span);
    if (asked_.as != "plan") {
      auto written = service::written_in(asked_.as == "sql" ? service::Language::kSql : service::Language::kXml,
                                         {&statement, 1}, text, *definitions_);
      if (!written) return tl::unexpected(std::move(written.error()));
      const bool is_there = *written == shown_;  // By another output of the same diagram.
      if (asked_.as == "xml" && !shown_.empty() && !is_there)
        return base::fail("42601", "a diagram is made of one query", statement.span, "give the other by itself");
      if (!is_there) shown_.append(shown_.empty() ? "" : "\n").append(*written);
    }
    auto added = definitions_->add_query(std::move(statement), text, fmt::format("select{}", ++count_));
    if (!added) return tl::unexpected(std::move(added.error()));
    if (*added == nullptr || asked_.as != "plan") return {};
    plan::ExplainOptions options;
    options.distributed = asked_.distributed;
    options.json = asked_.json;
    shown_ += plan::explain(*(*added)->query, options);
    if (!shown_.ends_with('\n')) shown_ += '\n';
    return {};
  }

  const Asked& asked_;
  const batch::Schema schema_;
  const std::unique_ptr<plan::Definitions> definitions_;
  plan::LookupTables tables_;
  size_t count_ = 0;
  std::string shown_;
};

Result<std::vector<SqlText>> texts_of(const Asked& asked) {
  std::vector<SqlText> texts;
  for (const std::string& file : asked.files) {
    auto text = read_text_file(file);
    if (!text) return tl::unexpected(std::move(text.error()));
    texts.push_back({file == "-" ? "standard input" : file, std::move(*text)});
  }
  for (const std::string& text : asked.execute) texts.push_back({"-e", text});
  if (auto bound = bind_inputs(texts, asked.bindings); !bound) return tl::unexpected(std::move(bound.error()));
  return texts;
}

}  // namespace

int explain_command(const std::vector<std::string>& arguments) {
  Asked asked;
  CLI::App app(kAbout, "backstream explain");
  const auto each = [](CLI::Option* option) {
    return option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
  };
  app.add_option("FILE", asked.files, "FILE.sql, or FILE.xml: a diagram in Borealis XML; - is standard input")
      ->type_name("");
  each(app.add_option("-e,--execute", asked.execute, "statements"))->type_name("SQL");
  add_as_flag(app, asked.as);
  app.add_flag("--distributed", asked.distributed, "with what runs at the edge and what where it is merged");
  app.add_flag("--json", asked.json, "the plan as JSON");
  add_bind_flag(app, asked.bindings);
  app.add_option("--config", asked.config, "a TOML file of settings, such as columns added to flows")
      ->type_name("FILE");
  each(app.add_option("--set", asked.settings, "a setting, as if it were set last"))->type_name("KEY=VALUE");
  if (const auto code = parse_arguments(app, arguments)) return *code;
  if (asked.files.empty() && asked.execute.empty()) return misused("no query", "give FILE.sql, FILE.xml or -e SQL");

  config::LoadRequest request;  // As of run: without the file of the machine's daemon.
  if (!asked.config.empty()) request.file = asked.config;
  request.environment = environ;
  request.kafka_property = kafka_property_fault;
  request.assignments = asked.settings;
  const config::Loaded loaded = config::load(request);
  for (const std::string& warning : loaded.warnings) telemetry::terminal_log().warning(warning);
  if (!loaded.errors.empty()) return complain(loaded.errors.front(), kExitInvalid);
  const auto& [sites, exporters, interfaces] = loaded.settings.inventory;
  const auto inventory = inventory::Inventory::open({sites, exporters, interfaces});
  if (!inventory) return complain(inventory.error(), kExitFailure);

  const auto texts = texts_of(asked);
  if (!texts) return complain(ServiceError(texts.error()));
  Explanation explanation(asked, loaded.settings, **inventory);
  for (const SqlText& text : *texts) {
    if (const auto added = explanation.add(text); !added) return complain(added.error(), kExitInvalid);
  }
  if (explanation.shown().empty())
    return misused("no statement is a query", "give a SELECT or CREATE MATERIALIZED VIEW");
  return write_out(explanation.shown());
}

}  // namespace backstream::app
