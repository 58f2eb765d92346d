#include "service/query_statements.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "borealis/compile.h"
#include "borealis/write.h"
#include "plan/unbound_text.h"
#include "sql/parse.h"

namespace backstream::service {

using base::fail;
using base::Result;
using plan::UnboundStatement;
using Kind = UnboundStatement::Kind;

namespace {

/// Reads the conditions that options of a diagram are. All of its statements have the same options: each is read once.
Result<void> read_conditions(std::vector<UnboundStatement>& diagram) {
  if (diagram.empty()) return {};
  auto& first = diagram.front().options;
  if (auto read = sql::parse_conditions(first); !read) return read;
  for (UnboundStatement& statement : diagram) {
    for (plan::UnboundOption& option : statement.options) {
      const auto same = std::find_if(first.begin(), first.end(), [&](const auto& other) {
        return other.span == option.span && other.name == option.name;
      });
      if (same != first.end()) option.condition = same->condition;
    }
  }
  return {};
}

/// "a, b and 3 more"
std::string listed(const std::vector<UnboundStatement>& statements) {
  constexpr size_t kListedMax = 8;
  std::string names;
  for (size_t i = 0; i < std::min(statements.size(), kListedMax); ++i)
    names.append(i == 0 ? "" : ", ").append(statements[i].name);
  if (statements.size() > kListedMax) names += fmt::format(" and {} more", statements.size() - kListedMax);
  return names;
}

Result<UnboundStatement> output_called(const std::string& name, std::vector<UnboundStatement> outputs) {
  if (outputs.size() == 1) {
    outputs.front().name = name;
    return std::move(outputs.front());
  }
  const auto found = std::find_if(outputs.begin(), outputs.end(), [&](const auto& one) { return one.name == name; });
  if (found != outputs.end()) return std::move(*found);
  return fail("42704", fmt::format("the diagram has no output stream '{}'", name),
              outputs.empty() ? base::SourceSpan{} : outputs.front().name_span,
              fmt::format("its output streams are {}; the query is called like the one that it is", listed(outputs)));
}

Result<UnboundStatement> statement_called(const std::string& name, std::vector<UnboundStatement> statements) {
  if (statements.empty())
    return fail("42601", "there is no statement in what was given", {},
                "a query is a SELECT or CREATE MATERIALIZED VIEW");
  if (statements.size() > 1)
    return fail("42601", "a query is one statement", statements[1].span, "add the others as queries of their own");
  UnboundStatement& statement = statements.front();
  if (statement.kind == Kind::kSelect) {
    statement.kind = Kind::kCreateMaterializedView;
    statement.name = name;
  } else if (statement.kind != Kind::kCreateMaterializedView && statement.kind != Kind::kCreateView) {
    const bool table = statement.kind == Kind::kCreateTable;
    return fail("42601", "this statement is no query", statement.span,
                table ? "tables are made before the queries that read them: backstream sql -f FILE"
                      : "a query is a SELECT, CREATE MATERIALIZED VIEW or CREATE VIEW");
  }
  if (statement.name != name) {
    return fail("42601", fmt::format("the view is called \"{}\", the query '{}'", statement.name, name),
                statement.name_span, "give both the same name");
  }
  return std::move(statement);
}

}  // namespace

Result<std::vector<UnboundStatement>> parse_queries(std::string_view text, std::string_view source_name) {
  if (!borealis::is_xml(text)) return sql::parse(text, source_name);
  auto diagram = borealis::parse(text, source_name);
  if (!diagram) return diagram;
  if (auto read = read_conditions(*diagram); !read) {
    base::locate(read.error(), source_name, text);
    return tl::unexpected(std::move(read.error()));
  }
  return diagram;
}

Result<UnboundStatement> query_called(const std::string& name, std::string_view text, std::string_view source_name) {
  auto statements = parse_queries(text, source_name);
  if (!statements) return tl::unexpected(std::move(statements.error()));
  auto query = borealis::is_xml(text) ? output_called(name, std::move(*statements))
                                      : statement_called(name, std::move(*statements));
  if (!query) base::locate(query.error(), source_name, text);
  return query;
}

Result<UnboundStatement> QueryReader::query_called(const std::string& name, std::string_view text,
                                                   std::string_view source_name) {
  if (!borealis::is_xml(text)) return service::query_called(name, text, source_name);
  const auto is_it = [&](const UnboundStatement& output) { return output.name == name; };
  const auto take = [&](std::vector<UnboundStatement>& outputs) -> std::optional<UnboundStatement> {
    const auto found = std::find_if(outputs.begin(), outputs.end(), is_it);
    if (found == outputs.end()) return std::nullopt;
    UnboundStatement taken = std::move(*found);
    outputs.erase(found);
    return taken;
  };
  if (const auto known = outputs_.find(text); known != outputs_.end()) {
    if (auto taken = take(known->second)) return std::move(*taken);
  }
  auto outputs = parse_queries(text, source_name);
  if (!outputs) return tl::unexpected(std::move(outputs.error()));
  if (outputs->size() > 1) {
    if (auto taken = take(*outputs)) {
      outputs_[text] = std::move(*outputs);
      return std::move(*taken);
    }
  }
  auto query = output_called(name, std::move(*outputs));
  if (!query) base::locate(query.error(), source_name, text);
  return query;
}

std::vector<std::string> names_in(std::string_view text) {
  const auto statements = parse_queries(text, "");
  std::vector<std::string> names;
  if (!statements || (statements->size() != 1 && !borealis::is_xml(text))) return names;
  for (const UnboundStatement& statement : *statements) {
    if (!statement.name.empty()) names.push_back(statement.name);
  }
  return names;
}

namespace {

Result<std::string> written_in(Language language, UnboundStatement& statement, std::string_view text,
                               const plan::Definitions& definitions) {
  if (statement.kind != Kind::kSelect && statement.kind != Kind::kCreateMaterializedView)
    return fail("42601", "this statement is no query", statement.span);
  if (!statement.select) {
    auto select = statement.maker->make(definitions.catalog());
    if (!select) return tl::unexpected(std::move(select.error()));
    statement.select = std::move(*select);
  }
  // As a SELECT, which may be written whether or not there is a query of its name. It alerts of nothing.
  const Kind kind = std::exchange(statement.kind, Kind::kSelect);
  auto options = statement.options;
  std::erase_if(statement.options, [](const auto& option) { return option.name.starts_with("alert."); });
  const auto bound = definitions.bind(statement, text);
  statement.kind = kind;
  statement.options = std::move(options);
  if (!bound) return tl::unexpected(bound.error());
  if (language == Language::kSql) return plan::to_sql(statement);
  // A diagram is its own, with all of its boxes and outputs.
  if (statement.maker) return fmt::format("{}{}", text, text.ends_with('\n') ? "" : "\n");
  return borealis::to_xml(statement, definitions.catalog());
}

}  // namespace

Result<std::string> written_in(Language language, std::span<UnboundStatement> statements, std::string_view text,
                               const plan::Definitions& definitions) {
  std::string all;
  for (UnboundStatement& statement : statements) {
    auto one = written_in(language, statement, text, definitions);
    if (!one) return one;
    if (*one == all) continue;  // Another output of the same diagram.
    if (language == Language::kXml && !all.empty())
      return fail("42601", "a diagram is made of one query", statement.span, "give the other by itself");
    all.append(all.empty() ? "" : "\n").append(*one);
  }
  return all;
}

}  // namespace backstream::service
