#include "app/query_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "plan/unbound.h"
#include "sql/parse.h"

namespace backstream::app {
namespace {

using plan::UnboundStatement;

bool is_query(UnboundStatement::Kind kind) {
  using Kind = UnboundStatement::Kind;
  return kind == Kind::kSelect || kind == Kind::kCreateMaterializedView || kind == Kind::kCreateView;
}

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

/// Behind the comment that begins at `at`; `at` itself where none does. Comments nest, as PostgreSQL's do.
size_t skip_comment(std::string_view text, size_t at) {
  if (text.substr(at, 2) == "--") return std::min(text.find('\n', at), text.size());
  if (text.substr(at, 2) != "/*") return at;
  int depth = 0;
  do {
    if (text.substr(at, 2) == "/*") ++depth, at += 2;
    else if (text.substr(at, 2) == "*/") --depth, at += 2;
    else ++at;
  } while (depth > 0 && at < text.size());
  return std::min(at, text.size());
}

/// Where the word AS stands that the view's SELECT follows; the name and its list of columns are behind `from`.
size_t find_as(std::string_view text, size_t from, size_t until) {
  int depth = 0;
  for (size_t at = from; at < until;) {
    if (const size_t behind = skip_comment(text, at); behind != at) {
      at = behind;
      continue;
    }
    const char c = text[at];
    if (c == '"' || c == '\'') {
      at = std::min(text.find(c, at + 1), until - 1) + 1;
      continue;
    }
    if (c == '(') ++depth;
    if (c == ')') --depth;
    const bool is_as = depth == 0 && std::tolower(c) == 'a' && at + 1 < until && std::tolower(text[at + 1]) == 's';
    const auto ends_word = [&](size_t i) {
      return i >= text.size() || (!std::isalnum(static_cast<unsigned char>(text[i])) && text[i] != '_');
    };
    if (is_as && ends_word(at + 2) && (at == 0 || ends_word(at - 1))) return at;
    ++at;
  }
  return std::string_view::npos;
}

std::string literal(std::string_view value) {
  std::string text = "'";
  for (const char c : value) text.append(c == '\'' ? 2 : 1, c);
  return text + '\'';
}

tl::unexpected<base::Diagnostic> refuse(std::string_view text, const std::string& source_name, base::SourceSpan span,
                                        std::string message, std::string hint) {
  auto refused = base::fail("42601", std::move(message), span, std::move(hint));
  base::locate(refused.value(), source_name, text);
  return refused;
}

}  // namespace

size_t end_of_statement(std::string_view text, size_t from) {
  for (size_t at = from; at < text.size();) {
    if (const size_t behind = skip_comment(text, at); behind != at) {
      at = behind;
      continue;
    }
    if (text[at] == ';') return at + 1;
    if (!is_space(text[at])) return at;
    ++at;
  }
  return text.size();
}

base::Result<std::vector<QueryText>> split_queries(std::string_view text, const std::string& source_name,
                                                   const std::string& name) {
  auto statements = sql::parse(text, source_name);
  if (!statements) return tl::unexpected(std::move(statements.error()));
  if (statements->empty()) {
    return refuse(text, source_name, {}, "there is no statement in it",
                  "a query is a SELECT or CREATE MATERIALIZED VIEW");
  }
  std::vector<QueryText> queries;
  size_t begin = 0;
  for (const UnboundStatement& statement : *statements) {
    const bool is_last = &statement == &statements->back();
    const size_t written = statement.span.offset_octets + size_t{statement.span.length_octets};
    const size_t end = is_last ? text.size() : end_of_statement(text, written);
    if (!is_query(statement.kind)) {
      return refuse(text, source_name, statement.span, "this statement is no query",
                    "a query is a SELECT, CREATE MATERIALIZED VIEW or CREATE VIEW");
    }
    QueryText query;
    query.is_named = statement.kind != UnboundStatement::Kind::kSelect;
    query.name = query.is_named ? statement.name : statements->size() == 1 ? name : "";
    query.place = query.is_named ? statement.name_span : statement.span;
    query.source = queries.empty() ? source_name : fmt::format("{}#{}", source_name, queries.size() + 1);
    if (query.name.empty() && statements->size() > 1) {
      return refuse(text, source_name, statement.span, "a SELECT among several statements has no name",
                    "write CREATE MATERIALIZED VIEW name AS SELECT …, or give it a file of its own");
    }
    size_t first = begin, last = end;
    while (first < last && is_space(text[first])) ++first;
    while (last > first && is_space(text[last - 1])) --last;
    query.offset_octets = first;
    query.length_octets = last - first;
    begin = end;
    queries.push_back(std::move(query));
  }
  return queries;
}

base::Result<std::string> with_options(std::string_view text, const std::string& query,
                                       const std::vector<std::pair<std::string, std::string>>& options) {
  auto statements = sql::parse(text, query);
  if (!statements) return tl::unexpected(std::move(statements.error()));
  std::string out(text), added;
  if (statements->size() != 1) return out;  // The server says what is wrong with it.
  const UnboundStatement& statement = statements->front();
  // From behind, so that places before stay what they are.
  std::vector<std::pair<base::SourceSpan, std::string>> replaced;
  for (const auto& [name, value] : options) {
    const auto there = std::find_if(statement.options.begin(), statement.options.end(),
                                    [&, wanted = name](const plan::UnboundOption& own) { return own.name == wanted; });
    const std::string written = fmt::format("{} = {}", name, literal(value));
    if (there != statement.options.end()) replaced.emplace_back(there->span, written);
    else added.append(added.empty() ? "" : ", ").append(written);
  }
  if (statement.kind == UnboundStatement::Kind::kSelect)
    return fmt::format("CREATE MATERIALIZED VIEW {} WITH ({}) AS\n{}", query, added, text);
  if (!added.empty() && !statement.options.empty()) {
    replaced.emplace_back(base::SourceSpan{statement.options.front().span.offset_octets, 0}, added + ", ");
  } else if (!added.empty() && statement.select) {
    const size_t from = statement.name_span.offset_octets + size_t{statement.name_span.length_octets};
    const size_t as = find_as(text, from, statement.select->span.offset_octets);
    if (as != std::string_view::npos)
      replaced.emplace_back(base::SourceSpan{static_cast<uint32_t>(as), 0}, fmt::format("WITH ({}) ", added));
  }
  std::stable_sort(replaced.begin(), replaced.end(),
                   [](const auto& a, const auto& b) { return a.first.offset_octets > b.first.offset_octets; });
  for (const auto& [span, written] : replaced) out.replace(span.offset_octets, span.length_octets, written);
  return out;
}

}  // namespace backstream::app
