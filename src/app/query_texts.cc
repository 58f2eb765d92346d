#include "app/query_texts.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "app/diagram_texts.h"
#include "borealis/compile.h"
#include "plan/unbound.h"
#include "sql/parse.h"
#include "sql/tokens.h"

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
  if (borealis::is_xml(text)) return split_diagram(text, source_name);
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

OptionChange set_option(const std::string& name, std::string_view value) {
  return {name, std::string(value), fmt::format("{} = {}", quoted_name(name), literal(value))};
}

std::string quoted_name(std::string_view name) {
  const bool plain = !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
                     std::all_of(name.begin(), name.end(),
                                 [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
  // What the parser takes for a key word is none of ours to know.
  if (plain && sql::parse(fmt::format("SELECT {0} FROM {0}", name), "")) return std::string(name);
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out += '"';
}

namespace {

/// A piece of a text that is replaced.
struct Replaced {
  size_t begin, end;
  std::string by;
};

std::string with_replaced(std::string text, std::vector<Replaced> pieces) {
  // From behind, so that places before stay what they are.
  std::stable_sort(pieces.begin(), pieces.end(), [](const auto& a, const auto& b) { return a.begin > b.begin; });
  for (const Replaced& piece : pieces) text.replace(piece.begin, piece.end - piece.begin, piece.by);
  return text;
}

size_t end_of(base::SourceSpan span) { return size_t{span.offset_octets} + span.length_octets; }

/// What becomes of the options of a WITH list. None: nothing is left of it.
std::optional<std::vector<Replaced>> changed_list(const std::vector<plan::UnboundOption>& options,
                                                  const std::vector<OptionChange>& changes, const std::string& added) {
  const auto change_of = [&](const plan::UnboundOption& option) {
    const auto found = std::find_if(changes.begin(), changes.end(),
                                    [&](const OptionChange& change) { return change.name == option.name; });
    return found == changes.end() ? nullptr : &*found;
  };
  const auto stays = [&](const plan::UnboundOption& option) {
    const OptionChange* change = change_of(option);
    return change == nullptr || change->value;
  };
  std::vector<Replaced> pieces;
  size_t kept = options.size();  // Those up to the last that stays.
  while (kept > 0 && !stays(options[kept - 1])) --kept;
  for (size_t i = 0; i < kept; ++i) {
    const size_t begin = options[i].span.offset_octets;
    if (!stays(options[i])) pieces.push_back({begin, options[i + 1].span.offset_octets, ""});
    else if (const OptionChange* change = change_of(options[i]))
      pieces.push_back({begin, end_of(options[i].span), change->written});
  }
  if (kept == 0 && added.empty()) return std::nullopt;
  pieces.push_back({kept == 0 ? options.front().span.offset_octets : end_of(options[kept - 1].span),
                    end_of(options.back().span), kept == 0 || added.empty() ? added : ", " + added});
  return pieces;
}

}  // namespace

base::Result<std::string> with_options(const std::string& text, const std::string& query,
                                       const std::vector<OptionChange>& changes) {
  using Kind = UnboundStatement::Kind;
  if (borealis::is_xml(text)) return with_diagram_options(text, query, changes);
  auto statements = sql::parse(text, query);
  if (!statements) return tl::unexpected(std::move(statements.error()));
  if (statements->size() != 1 ||
      (statements->front().kind != Kind::kSelect && statements->front().kind != Kind::kCreateMaterializedView))
    return base::fail("42809", fmt::format("\"{}\" is no materialized view", query));
  const UnboundStatement& statement = statements->front();
  const auto is_there = [&](const std::string& name) {
    return std::any_of(statement.options.begin(), statement.options.end(),
                       [&](const plan::UnboundOption& option) { return option.name == name; });
  };
  std::string added;
  for (const OptionChange& change : changes) {
    if (change.value && !is_there(change.name)) added.append(added.empty() ? "" : ", ").append(change.written);
  }
  if (statement.kind == Kind::kSelect) {
    if (added.empty()) return text;
    return fmt::format("CREATE MATERIALIZED VIEW {} WITH ({}) AS\n{}", quoted_name(query), added, text);
  }
  // After the name (and its columns) come WITH (…) or AS.
  const sql::Tokens tokens(text);
  uint32_t as = tokens.at(statement.name_span.offset_octets) + 1, with = sql::Token::kNone;
  for (; as < tokens.size() && !tokens.is_word(as, "as"); ++as) {
    if (tokens.is_word(as, "with")) with = as;
    if (tokens.is(as, "(") && tokens[as].partner != sql::Token::kNone) as = tokens[as].partner;
  }
  if (as >= tokens.size()) return base::fail("42601", fmt::format("the text of \"{}\" has no AS", query));
  const size_t as_begin = tokens[as].offset;
  if (with == sql::Token::kNone)
    return added.empty() ? text : with_replaced(text, {{as_begin, as_begin, fmt::format("WITH ({}) ", added)}});
  if (auto pieces = changed_list(statement.options, changes, added)) return with_replaced(text, std::move(*pieces));
  return with_replaced(text, {{tokens[with].offset, as_begin, ""}});
}

}  // namespace backstream::app
