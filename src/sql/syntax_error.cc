#include "sql/syntax_error.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <string>
#include <vector>

namespace backstream::sql {
namespace {

using base::Diagnostic;
using base::SourceSpan;

constexpr std::string_view kTumble = "FROM tumble(flows, time, interval '300 s'), then GROUP BY window_start";
constexpr std::string_view kEmit =
    "rows are written when their window closes; CREATE MATERIALIZED VIEW v WITH (emit = 'on_change') AS ... for sooner";

Diagnostic make(std::string message, SourceSpan span, std::string_view hint) {
  return base::fail("42601", std::move(message), span, std::string(hint)).value();
}

bool is_duration_unit(std::string_view text) {
  static constexpr std::array<std::string_view, 10> kUnits{"ms", "s", "sec", "m", "min", "h", "hour", "d", "day", "w"};
  return std::find(kUnits.begin(), kUnits.end(), text) != kUnits.end();
}

/// Another engine's spelling that begins at token `i`, if any. Called only for a text that did not parse.
std::optional<Diagnostic> foreign_spelling(const Tokens& t, uint32_t i) {
  const auto here = [&](std::string message, std::string_view hint, uint32_t last) {
    return make(std::move(message), t.span(i, last), hint);
  };
  if (t.is_kind(i, Token::Kind::kOperator) && t.text(i).find('`') != std::string_view::npos) {
    return here("a backtick quotes nothing here", "a name is quoted with double quotes: \"name\"", i);
  }
  if (!t.is_kind(i, Token::Kind::kWord)) return std::nullopt;
  const bool after_name = i > 0 && !t.is_word(i - 1, "as") && !t.is(i - 1, ".") && !t.is(i - 1, ",");

  if (t.is_word(i, "select") && t.is_word(i + 1, "stream") &&
      (t.is(i + 2, "*") || (t.is_name(i + 2) && !t.is_any_word(i + 2, {"as", "from"})))) {
    return make("SELECT STREAM is not written here", t.span(i + 1),
                "every query runs on the stream: leave the word out");
  }
  if (t.is_word(i, "select") && t.is_word(i + 1, "top") &&
      (t.is_kind(i + 2, Token::Kind::kNumber) || t.is(i + 2, "("))) {
    return make("TOP is not written here", t.span(i + 1), "write ORDER BY ... LIMIT n at the end");
  }
  if (t.is_word(i, "emit") && after_name &&
      t.is_any_word(i + 1, {"changes", "final", "on", "after", "periodic", "stream", "with", "timeout"})) {
    return here("EMIT is not written here", kEmit, i + 1);
  }
  if (t.is_word(i, "table") && t.is(i + 1, "(") && t.is_any_word(i + 2, {"tumble", "hop", "cumulate", "session"})) {
    return here("a window function stands in FROM without TABLE(...)", kTumble, i);
  }
  if (t.is_any_word(i, {"tumble", "hop", "cumulate", "session"}) && t.is(i + 1, "(") && t.is_word(i + 2, "table")) {
    return make("the relation is named without TABLE", t.span(i + 2), kTumble);
  }
  if (t.is_word(i, "window") && t.is_any_word(i + 1, {"tumbling", "hopping", "session", "tumble", "hop", "sliding"})) {
    return here("a window is a function in FROM",
                t.is_any_word(i + 1, {"hopping", "hop", "sliding"})
                    ? "FROM hop(flows, time, interval '1 min', interval '5 min'), then GROUP BY window_start"
                    : kTumble,
                i + 1);
  }
  if (t.is_word(i, "watermark") && t.is_word(i + 1, "for")) {
    return here("WATERMARK FOR is not written here",
                "the delay is a setting of the source: backstream run --delay 10s, or watermark.delay in TOML", i + 1);
  }
  if (t.is_word(i, "qualify") && after_name && i > 1) {
    return here("QUALIFY is not written here",
                "SELECT * FROM (SELECT *, row_number() OVER (...) AS n FROM ...) t WHERE n <= 10", i);
  }
  if (t.is_word(i, "match_recognize"))
    return here("MATCH_RECOGNIZE is not supported", "use lag() OVER (...) and CASE", i);
  if (t.is_word(i, "asof") && t.is_any_word(i + 1, {"join", "left", "inner"})) {
    return here("ASOF JOIN is not written here", "join a lookup table with JOIN: it is read as of the row's arrival",
                i + 1);
  }
  if (t.is_word(i, "for") && t.is_any_word(i + 1, {"system_time", "system"})) {
    return here("FOR SYSTEM_TIME AS OF is not written here",
                "join a lookup table with JOIN: it is read as of the row's arrival", i + 1);
  }
  if (t.is_word(i, "within") && after_name && t.is_kind(i + 1, Token::Kind::kNumber)) {
    return here("WITHIN is not written here", "ON ... AND b.time BETWEEN a.time AND a.time + interval '1 min'", i);
  }
  if (t.is_any_word(i, {"ignore", "respect"}) && t.is_word(i + 1, "nulls")) {
    return here("IGNORE NULLS is not written here", "add FILTER (WHERE x IS NOT NULL), or a WHERE below", i + 1);
  }
  if (t.is_word(i, "group") && t.is_word(i + 1, "by") && t.is_word(i + 2, "all")) {
    return make("GROUP BY ALL is not written here", t.span(i, i + 2),
                "name the columns, or their positions: GROUP BY 1, 2");
  }
  if (t.is(i + 1, "*") && t.is_any_word(i + 2, {"exclude", "except", "replace"}) && t.is(i + 3, "(")) {
    return make("* EXCLUDE is not written here", t.span(i + 2), "name the columns that you want");
  }
  if (t.is_word(i, "interval") && t.is_kind(i + 1, Token::Kind::kNumber)) {
    const uint32_t unit = t.is_kind(i + 2, Token::Kind::kWord) ? i + 2 : i + 1;
    return here(
        "an interval's value stands in quotes",
        "interval '" + std::string(t.text(i + 1)) + " " + (unit == i + 2 ? std::string(t.text(unit)) : "s") + "'",
        unit);
  }
  if (t.is_word(i, "interval") && t.is_kind(i + 1, Token::Kind::kQuotedWord)) {
    const std::string_view quoted = t.text(i + 1);
    return make("double quotes name a column; text takes single quotes", t.span(i + 1),
                "interval '" + std::string(quoted.substr(1, quoted.size() - std::min<size_t>(quoted.size(), 2))) + "'");
  }
  if (t.is_word(i, "limit") && t.is(i + 2, ",") && t.is_kind(i + 1, Token::Kind::kNumber)) {
    return here("LIMIT takes one number",
                "LIMIT " + std::string(t.text(i + 3)) + " OFFSET " + std::string(t.text(i + 1)), i + 3);
  }
  if (t.is_word(i, "create") && t.is_word(i + 1, "or") && t.is_word(i + 2, "replace") &&
      t.is_word(i + 3, "materialized")) {
    return make("a materialized view cannot be replaced in place", t.span(i + 1, i + 2),
                "DROP MATERIALIZED VIEW IF EXISTS name; then CREATE MATERIALIZED VIEW name AS ...");
  }
  if (t.is_word(i, "create") && t.is_any_word(i + 1, {"source", "stream", "sink", "continuous", "macro"})) {
    return here("CREATE " + std::string(t.text(i + 1)) + " is not written here",
                "the stream flows is there already; CREATE MATERIALIZED VIEW v AS SELECT ... FROM flows", i + 1);
  }
  if (t.is_any_word(i, {"subscribe", "tail", "describe", "desc"}) && (i == 0 || t.is(i - 1, ";"))) {
    return here(std::string(t.text(i)) + " is not a statement here",
                "SELECT, EXPLAIN, CREATE MATERIALIZED VIEW, CREATE VIEW, CREATE FOREIGN TABLE and DROP are", i);
  }
  return std::nullopt;
}

constexpr std::array<std::string_view, 23> kKeywords{
    "select", "from",     "where",        "group", "by",      "having",   "order", "limit",
    "offset", "create",   "materialized", "view",  "foreign", "table",    "drop",  "explain",
    "with",   "distinct", "union",        "join",  "between", "interval", "case"};

/// Words that PostgreSQL keeps for itself, yet look like columns.
constexpr std::array<std::string_view, 25> kReserved{
    "offset", "window",  "user",   "end",        "limit", "order",  "to",     "desc", "asc",
    "table",  "default", "group",  "references", "check", "column", "all",    "any",  "both",
    "case",   "primary", "unique", "using",      "when",  "for",    "analyze"};

bool is_reserved(const Tokens& t, uint32_t i) {
  return std::any_of(kReserved.begin(), kReserved.end(), [&](std::string_view word) { return t.is_word(i, word); });
}

/// The first '(' or '[' of the statement around token `i` that nothing closes.
std::optional<uint32_t> unclosed_bracket(const Tokens& t, uint32_t i) {
  uint32_t begin = std::min(i, t.size());
  while (begin > 0 && !t.is(begin - 1, ";")) --begin;
  for (uint32_t k = begin; k < t.size() && !t.is(k, ";"); ++k) {
    if ((t.is(k, "(") || t.is(k, "[")) && t[k].partner == Token::kNone) return k;
  }
  return std::nullopt;
}

/// Would token `i` be a column there, were it not a word of the language?
bool stands_for_column(const Tokens& t, uint32_t i) {
  return i > 0 && is_reserved(t, i) &&
         (t.is(i - 1, ",") || t.is(i - 1, "(") || t.is_any_word(i - 1, {"select", "where", "by", "and", "or", "not"}) ||
          t.is_kind(i - 1, Token::Kind::kOperator));
}

/// A hint for the token at which the parser stopped.
std::string hint_for(const Tokens& t, uint32_t i) {
  if (i > 0 && t.is(i - 1, ",") &&
      (t.is_any_word(i, {"from", "where", "group", "order"}) || t.is(i, ")") || i >= t.size())) {
    return "nothing follows the comma before it: leave the comma out";
  }
  for (uint32_t k : {i, i - 1}) {
    if (k >= t.size() || !stands_for_column(t, k)) continue;
    return fmt::format("'{0}' is a word of the language; as a column write \"{0}\"", t.text(k));
  }
  // A slip in a key word shows at it (the first of a statement) or just behind it (FORM flows).
  std::vector<std::string_view> keywords(kKeywords.begin(), kKeywords.end());
  for (uint32_t k : {i, i - 1, i - 2}) {
    if (k >= t.size() || !t.is_kind(k, Token::Kind::kWord) || t.text(k).size() < 4) continue;
    const bool is_keyword =
        std::any_of(keywords.begin(), keywords.end(), [&](auto word) { return t.is_word(k, word); });
    if (is_keyword) continue;
    if (const std::string_view near = base::nearest_name(t.text(k), keywords); !near.empty()) {
      std::string upper(near);
      for (char& c : upper) c = static_cast<char>(c - 32);
      return fmt::format("did you mean {} instead of '{}'?", upper, t.text(k));
    }
  }
  if (i < t.size() && t.is(i, ")") && t[i].partner == Token::kNone) return "no '(' is open here";
  const auto is_operand = [&](uint32_t k) {
    const bool clause = t.is_any_word(k, {"and",    "or",   "not",     "from", "where",  "group", "by",    "order",
                                          "select", "join", "on",      "as",   "having", "limit", "union", "in",
                                          "is",     "like", "between", "then", "else",   "when",  "over",  "with"});
    return t.is_name(k) && !clause;
  };
  if (i > 0 && (is_operand(i - 1) || t.is_kind(i - 1, Token::Kind::kNumber) || t.is(i - 1, ")")) &&
      (is_operand(i) || t.is_kind(i, Token::Kind::kNumber) || t.is_kind(i, Token::Kind::kString))) {
    return "is a comma or an operator missing before it?";
  }
  return {};
}

}  // namespace

Diagnostic explain_syntax_error(const Tokens& t, std::string_view message, uint32_t offset) {
  const bool at_end =
      offset >= t.whole_text().size() || t.at(offset) >= t.size() || message.ends_with("at end of input");
  uint32_t token = t.at(offset);
  if (token < t.size() && t[token].offset != offset && token > 0 &&
      offset < t[token - 1].offset + t[token - 1].length) {
    --token;  // The place lies inside a token.
  }
  for (uint32_t i = 0; i < t.size() && i <= token + 1; ++i) {
    if (i > token && !t.is(token, "`")) break;
    if (auto found = foreign_spelling(t, i)) return *found;
  }

  if (message.starts_with("trailing junk after numeric literal")) {
    // The parser's one token 5m are two of ours.
    const std::string_view unit = t.text(token + 1);
    const bool duration = is_duration_unit(unit);
    return make(duration ? "a length of time is written in quotes" : "a name begins with a digit",
                t.span(token, token + 1),
                duration ? fmt::format("interval '{} {}'", t.text(token), unit == "m" ? "min" : unit)
                         : "put a space after the number, or the name in double quotes");
  }
  if (message.starts_with("subquery in FROM must have an alias")) {
    return make("a subquery in FROM needs a name", t.span(token), "write (SELECT ...) AS name");
  }
  if (message.starts_with("memory exhausted") || message.find("stack depth limit") != std::string_view::npos) {
    return base::fail("54001", "this is nested too deeply", at_end ? SourceSpan{} : t.span(token), "split the query")
        .value();
  }
  if (token < t.size() && !t[token].closed) {
    const bool word = t[token].kind == Token::Kind::kQuotedWord;
    return make(word ? "this quoted name has no end" : "this text has no end", {t[token].offset, 1},
                word ? "close it with \"" : "close it with ', and write '' for a ' inside");
  }
  if (message.starts_with("unterminated /* comment")) {
    return make("this comment has no end", {offset, 2}, "close it with */");
  }
  const auto bracket = unclosed_bracket(t, token);
  if (at_end || t.is(token, ";")) {
    if (bracket) return make("this '" + std::string(t.text(*bracket)) + "' is never closed", t.span(*bracket), {});
    // Behind the last token, not at the end of the blanks after it.
    const uint32_t last = token == 0 ? 0 : token - 1;
    const uint32_t end = t.size() == 0 ? 0 : t[last].offset + t[last].length;
    return make("the statement ends too early", {end, 0}, hint_for(t, token));
  }
  if (message.starts_with("syntax error")) {
    std::string hint = hint_for(t, token);
    if (hint.empty() && bracket && *bracket < token) hint = "a '(' before it is never closed";
    return make("unexpected '" + std::string(t.text(token)) + "'", t.span(token), hint);
  }
  return make(std::string(message), t.span(token), {});
}

}  // namespace backstream::sql
