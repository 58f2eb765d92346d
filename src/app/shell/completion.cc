#include "app/shell/completion.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "app/query_texts.h"
#include "app/shell/meta_command.h"
#include "app/shell/statement_scanner.h"
#include "sql/tokens.h"

namespace backstream::app::shell {
namespace {

constexpr size_t kFilesMax = 1'000;
constexpr std::string_view kStatements[] = {"ALTER", "COMMENT ON", "CREATE", "DROP", "EXPLAIN", "SELECT", "WITH"};
constexpr std::string_view kKeywords[] = {
    "ALL",      "AND",         "AS",        "ASC",          "BETWEEN",    "BY",
    "CASE",     "CAST",        "COALESCE",  "CROSS JOIN",   "DESC",       "DISTINCT",
    "ELSE",     "END",         "EXISTS",    "FILTER",       "FROM",       "FULL JOIN",
    "GROUP BY", "HAVING",      "ILIKE",     "IN",           "INTERVAL",   "IS NOT NULL",
    "IS NULL",  "JOIN",        "LEFT JOIN", "LIKE",         "LIMIT",      "MATERIALIZED VIEW",
    "NOT",      "NULL",        "NULLIF",    "NULLS FIRST",  "NULLS LAST", "ON",
    "OR",       "ORDER BY",    "OVER",      "PARTITION BY", "RESET",      "ROWS",
    "SELECT",   "SET",         "THEN",      "UNION ALL",    "USING",      "VALUES",
    "VIEW",     "WHEN",        "WHERE",     "WITH",         "RENAME TO",  "IF EXISTS",
    "OFFSET",   "AT TIME ZONE"};
constexpr std::string_view kFunctions[] = {"approx_count_distinct(",
                                           "approx_percentile(",
                                           "avg(",
                                           "count(",
                                           "entropy(",
                                           "ewma(",
                                           "first(",
                                           "last(",
                                           "lpm(",
                                           "max(",
                                           "min(",
                                           "stddev(",
                                           "sum(",
                                           "topk(",
                                           "variance("};
constexpr std::string_view kWindowFunctions[] = {"hop(", "session(", "tumble("};

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' || c == '~' ||
         static_cast<unsigned char>(c) >= 0x80;
}
char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }
bool begins_with(std::string_view text, std::string_view begin) {
  return text.size() >= begin.size() &&
         std::equal(begin.begin(), begin.end(), text.begin(), [](char a, char b) { return lower(a) == lower(b); });
}

/// Gathers what begins with the word.
class Candidates {
 public:
  explicit Candidates(std::string_view word) : word_(word) {
    lower_case_ = !word.empty() && std::any_of(word.begin(), word.end(), [](char c) { return c >= 'a' && c <= 'z'; });
  }
  /// A name as it is, in quotes where it needs them; who began with the quote is completed, too.
  void name(std::string_view name) {
    const std::string candidate = quoted_name(name);
    if (begins_with(candidate, word_) || begins_with(name, word_)) list_.push_back(candidate);
    else if (word_.starts_with('"') && begins_with(name, word_.substr(1))) list_.push_back(fmt::format("\"{}\"", name));
  }
  void as_is(std::string_view text) {
    if (begins_with(text, word_)) list_.emplace_back(text);
  }
  /// In the case in which the word is being typed, as psql does it.
  void keyword(std::string_view text) {
    if (!begins_with(text, word_)) return;
    std::string& added = list_.emplace_back(text);
    if (lower_case_) std::transform(added.begin(), added.end(), added.begin(), lower);
  }
  std::vector<std::string> take() {
    std::sort(list_.begin(), list_.end());
    list_.erase(std::unique(list_.begin(), list_.end()), list_.end());
    return std::move(list_);
  }

 private:
  const std::string_view word_;
  bool lower_case_ = false;
  std::vector<std::string> list_;
};

std::string unquoted(std::string_view token) {
  if (!token.starts_with('"')) {
    std::string name(token);
    std::transform(name.begin(), name.end(), name.begin(), lower);
    return name;
  }
  std::string name;
  for (size_t i = 1; i + 1 < token.size(); ++i) {
    name += token[i];
    if (token[i] == '"') ++i;
  }
  return name;
}

/// The relation that a name in front of a '.' stands for: itself, or "FROM relation [AS] name".
const KnownRelation* relation_called(const sql::Tokens& tokens, const std::string& name,
                                     const std::vector<KnownRelation>& relations) {
  const auto find = [&](const std::string& wanted) -> const KnownRelation* {
    for (const KnownRelation& relation : relations) {
      if (relation.name == wanted) return &relation;
    }
    return nullptr;
  };
  if (const KnownRelation* relation = find(name)) return relation;
  for (uint32_t i = 1; i < tokens.size(); ++i) {
    if (!tokens.is_name(i) || unquoted(tokens.text(i)) != name) continue;
    uint32_t before = i - 1;
    if (tokens.is_word(before, "as") && before > 0) --before;
    if (tokens.is(before, ")") && tokens[before].partner != sql::Token::kNone) before = tokens[before].partner + 1;
    if (const KnownRelation* relation = find(unquoted(tokens.text(before)))) return relation;
  }
  return nullptr;
}

void complete_sql(const sql::Tokens& before, const sql::Tokens& whole, bool after_dot,
                  const std::vector<KnownRelation>& relations, Candidates& out) {
  const uint32_t count = before.size();
  if (after_dot) {
    if (count < 2) return;
    const KnownRelation* relation = relation_called(whole, unquoted(before.text(count - 2)), relations);
    if (relation == nullptr) return;
    for (const std::string& column : relation->columns) out.name(column);
    return;
  }
  if (count == 0) {
    for (const std::string_view statement : kStatements) out.keyword(statement);
    return;
  }
  const uint32_t last = count - 1;
  const bool after_from = before.is_any_word(last, {"from", "join"});
  const bool in_window_function =
      before.is(last, "(") && last > 0 && before.is_any_word(last - 1, {"tumble", "hop", "session", "spread"});
  const bool after_view = before.is_any_word(last, {"view", "table"}) && count > 1 && !before.is_word(0, "create");
  if (after_from || in_window_function || after_view) {
    for (const KnownRelation& relation : relations) {
      if (!after_view || relation.kind != "stream") out.name(relation.name);
    }
    if (after_from) {
      for (const std::string_view function : kWindowFunctions) out.as_is(function);
    }
    return;
  }
  if (before.is_word(last, "create")) {
    for (const std::string_view what : {"MATERIALIZED VIEW", "OR REPLACE VIEW", "VIEW", "TABLE"}) out.keyword(what);
    return;
  }
  if (count == 1 && before.is_any_word(last, {"drop", "alter"})) {
    for (const std::string_view what : {"MATERIALIZED VIEW", "VIEW", "TABLE"}) out.keyword(what);
    return;
  }
  for (const std::string_view keyword : kKeywords) out.keyword(keyword);
  for (const std::string_view function : kFunctions) out.as_is(function);
  for (uint32_t i = 0; i < whole.size(); ++i) {
    if (!whole.is_name(i)) continue;
    const std::string name = unquoted(whole.text(i));
    for (const KnownRelation& relation : relations) {
      if (relation.name != name) continue;
      for (const std::string& column : relation.columns) out.name(column);
    }
  }
  // Windows have two more.
  for (const std::string_view column : {"window_start", "window_end"}) out.as_is(column);
}

std::vector<std::string> files(const std::string& begin) {
  const size_t slash = begin.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : begin.substr(0, slash + 1);
  std::vector<std::string> found;
  std::error_code error;
  for (std::filesystem::directory_iterator it(folder.empty() ? "." : folder, error), end;
       !error && it != end && found.size() < kFilesMax; it.increment(error)) {
    std::string path = folder + it->path().filename().string();
    if (!path.starts_with(begin) || path.find_first_of(" '\\\n") != std::string::npos) continue;
    std::error_code ignored;
    if (it->is_directory(ignored)) path += '/';
    found.push_back(std::move(path));
  }
  std::sort(found.begin(), found.end());
  return found;
}

Completion complete_meta(std::string_view before, size_t at, const std::vector<KnownRelation>& relations) {
  const std::string_view command = before.substr(at);
  const size_t blank = command.find_first_of(" \t");
  Completion completion;
  if (blank == std::string_view::npos) {
    completion.from = at;
    Candidates out(command);
    for (const MetaEntry& entry : meta_entries()) out.as_is(fmt::format("\\{}", entry.name));
    completion.candidates = out.take();
    return completion;
  }
  const size_t word_at = before.find_last_of(" \t") + 1;
  const std::string_view word = before.substr(word_at);
  completion.from = word_at;
  size_t used = 0;
  const auto parsed = parse_meta(std::string(command.substr(0, blank)), used);
  if (!parsed) return completion;
  Candidates out(word);
  using Kind = MetaCommand::Kind;
  const auto add_relations = [&](std::initializer_list<std::string_view> kinds) {
    for (const KnownRelation& relation : relations) {
      if (kinds.size() == 0 || std::find(kinds.begin(), kinds.end(), relation.kind) != kinds.end())
        out.as_is(relation.name);
    }
  };
  switch (parsed->kind) {
    case Kind::kDescribe: add_relations({}); break;
    case Kind::kQueries:
    case Kind::kWhy:
    case Kind::kTail: add_relations({"query"}); break;
    case Kind::kViews: add_relations({"view", "query"}); break;
    case Kind::kTables: add_relations({"table"}); break;
    case Kind::kExpanded:
      for (const std::string_view value : {"on", "off", "auto"}) out.as_is(value);
      break;
    case Kind::kTiming:
      for (const std::string_view value : {"on", "off"}) out.as_is(value);
      break;
    case Kind::kWatch:
      for (const std::string_view value : {"i=", "c="}) out.as_is(value);
      break;
    case Kind::kPrintSetting:
      for (const std::string_view value : {"format", "null", "expanded", "table", "csv", "jsonl", "prometheus"})
        out.as_is(value);
      break;
    case Kind::kHelpSql:
      for (const std::string_view statement : kStatements) out.keyword(statement);
      break;
    case Kind::kEdit:
    case Kind::kInclude:
    case Kind::kOutput:
      completion.candidates = files(std::string(word));
      completion.is_path = true;
      return completion;
    default: break;
  }
  completion.candidates = out.take();
  return completion;
}

}  // namespace

Completion complete(std::string_view before, std::string_view after, const std::vector<KnownRelation>& relations) {
  const Scan scanned = scan(before);
  if (scanned.end == Scan::End::kMeta) return complete_meta(before, scanned.at, relations);
  size_t word_at = before.size();
  if (scanned.inside == Scan::Inside::kQuotedWord) {
    word_at = before.rfind('"');
  } else if (scanned.inside != Scan::Inside::kNothing && scanned.inside != Scan::Inside::kParentheses) {
    return {};
  } else {
    while (word_at > 0 && is_word(before[word_at - 1])) --word_at;
  }
  Completion completion;
  completion.from = word_at;
  Candidates out(before.substr(word_at));
  // Without the word itself, whose quote may be open.
  const std::string whole_text = fmt::format("{} {}", before.substr(0, word_at), after);
  const sql::Tokens tokens_before(before.substr(0, word_at)), whole(whole_text);
  const bool after_dot = word_at > 0 && before[word_at - 1] == '.';
  complete_sql(tokens_before, whole, after_dot, relations, out);
  completion.candidates = out.take();
  return completion;
}

std::string common_begin(const std::vector<std::string>& candidates) {
  if (candidates.empty()) return {};
  size_t length = candidates[0].size();
  for (const std::string& candidate : candidates) {
    size_t same = 0;
    while (same < std::min(length, candidate.size()) && lower(candidate[same]) == lower(candidates[0][same])) ++same;
    length = same;
  }
  // Never half a character.
  while (length > 0 && length < candidates[0].size() &&
         (static_cast<unsigned char>(candidates[0][length]) & 0xc0) == 0x80)
    --length;
  return candidates[0].substr(0, length);
}

}  // namespace backstream::app::shell
