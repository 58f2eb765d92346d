#include "sql/parse.h"

#include <pg_query.h>

#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "sql/lowering.h"
#include "sql/parser_thread.h"
#include "sql/syntax_error.h"
#include "sql/tokens.h"

namespace backstream::sql {
namespace {

using base::Diagnostic;
using base::SourceSpan;
using Statements = std::vector<plan::UnboundStatement>;

constexpr size_t kTextOctetsMax = size_t{64} << 10;
constexpr uint32_t kIdentifierOctetsMax = 63;

Diagnostic refusal(std::string_view code, std::string message, SourceSpan span, std::string hint = {}) {
  return base::fail(code, std::move(message), span, std::move(hint)).value();
}

/// Octets of the UTF-8 character that begins at `at`, 0 when none does. RFC 3629 §4: no surrogates, no long forms.
uint32_t character_octets(std::string_view text, size_t at) {
  const auto octet = [&](size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u; };
  const auto continues = [&](size_t i) { return (octet(i) & 0xc0) == 0x80; };
  const unsigned lead = octet(0), second = octet(1);
  if (lead < 0x80) return 1;
  if (lead >= 0xc2 && lead <= 0xdf) return continues(1) ? 2 : 0;
  if (lead >= 0xe0 && lead <= 0xef) {
    if ((lead == 0xe0 && second < 0xa0) || (lead == 0xed && second > 0x9f)) return 0;
    return continues(1) && continues(2) ? 3 : 0;
  }
  if (lead >= 0xf0 && lead <= 0xf4) {
    if ((lead == 0xf0 && second < 0x90) || (lead == 0xf4 && second > 0x8f)) return 0;
    return continues(1) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

std::optional<Diagnostic> check_octets(std::string_view text) {
  if (text.size() > kTextOctetsMax) {
    return refusal("54000", "the text is longer than 64 KiB", {static_cast<uint32_t>(kTextOctetsMax), 0},
                   "give the statements in several files");
  }
  for (size_t at = 0; at < text.size();) {
    const SourceSpan span{static_cast<uint32_t>(at), 1};
    if (text[at] == '\0') return refusal("22021", "the text holds an octet of zero", span, "is this a text file?");
    const uint32_t octets = character_octets(text, at);
    if (octets == 0) return refusal("22021", "the text is not UTF-8 here", span, "save the file as UTF-8");
    at += octets;
  }
  return std::nullopt;
}

/// A diagram, given to what takes statements only: no statement begins like it.
std::optional<Diagnostic> check_language(std::string_view text) {
  const size_t first = text.find_first_not_of(" \t\r\n");
  if (first == std::string_view::npos || text[first] != '<') return std::nullopt;
  return refusal("42601", "this is XML, where SQL is expected", {static_cast<uint32_t>(first), 1},
                 "a diagram in Borealis XML is a query: backstream query add NAME FILE.xml");
}

std::optional<Diagnostic> check_identifiers(const Tokens& tokens) {
  for (uint32_t i = 0; i < tokens.size(); ++i) {
    if (!tokens.is_name(i)) continue;
    const uint32_t quotes = tokens[i].kind == Token::Kind::kQuotedWord ? 2 : 0;
    if (tokens[i].length <= kIdentifierOctetsMax + quotes) continue;
    return refusal("42622", "this name is longer than 63 octets", tokens.span(i),
                   "PostgreSQL would cut it; choose a shorter one");
  }
  return std::nullopt;
}

/// Text pasted from a word processor: quotes and spaces that only look like the plain ones. PostgreSQL takes them for
/// letters of a name.
std::optional<Diagnostic> check_lookalikes(const Tokens& tokens) {
  struct Look {
    std::string_view octets, message, hint;
  };
  static constexpr std::array<Look, 6> kLooks{{
      {"\xc2\xa0", "this space is a no-break space (U+00A0)", "write a plain space"},
      {"\xe2\x80\x98", "this quote is a typographic one (U+2018)", "write a plain '"},
      {"\xe2\x80\x99", "this quote is a typographic one (U+2019)", "write a plain '"},
      {"\xe2\x80\x9c", "this quote is a typographic one (U+201C)", "write a plain ' for text, \" for a name"},
      {"\xe2\x80\x9d", "this quote is a typographic one (U+201D)", "write a plain ' for text, \" for a name"},
      {"\xe2\x88\x92", "this minus is a typographic one (U+2212)", "write a plain -"},
  }};
  for (uint32_t i = 0; i < tokens.size(); ++i) {
    if (tokens[i].kind != Token::Kind::kWord) continue;
    const std::string_view word = tokens.text(i);
    for (size_t at = 0; at < word.size(); ++at) {
      for (const Look& look : kLooks) {
        if (!word.substr(at).starts_with(look.octets)) continue;
        const SourceSpan span{tokens[i].offset + static_cast<uint32_t>(at), static_cast<uint32_t>(look.octets.size())};
        return refusal("42601", std::string(look.message), span, std::string(look.hint));
      }
    }
  }
  return std::nullopt;
}

/// A word in double quotes that can hardly be a column, such as "10.0.0.0/8": double quotes around a text. An alias
/// in the same text makes it one. The binder catches the rest as unknown columns.
std::optional<Diagnostic> check_quotes(const Tokens& tokens) {
  std::unordered_map<std::string_view, uint32_t> uses;
  for (uint32_t i = 0; i < tokens.size(); ++i) uses[tokens.text(i)] += tokens[i].kind == Token::Kind::kQuotedWord;
  for (uint32_t i = 1; i < tokens.size(); ++i) {
    if (tokens[i].kind != Token::Kind::kQuotedWord || !tokens[i].closed) continue;
    const std::string_view word = tokens.text(i);
    const bool compared = tokens.is_kind(i - 1, Token::Kind::kOperator) ||
                          tokens.is_any_word(i - 1, {"like", "ilike", "and"}) ||
                          (tokens.is(i - 1, "(") && i > 1 && tokens.is_word(i - 2, "in"));
    const bool textual = word.find_first_of(" %:/") != std::string_view::npos || (word[1] >= '0' && word[1] <= '9');
    if (!compared || !textual || tokens.is(i + 1, ".") || tokens.is(i + 1, "(")) continue;
    if (uses[word] > 1) continue;
    return refusal("42601", "double quotes name a column; text takes single quotes", tokens.span(i),
                   "write '" + std::string(word.substr(1, word.size() - 2)) + "'");
  }
  return std::nullopt;
}

/// PostgreSQL counts the place of an error in characters, from 1; 0: no place.
uint32_t octets_of(std::string_view text, int character_position) {
  size_t at = 0;
  for (int left = character_position - 1; left > 0 && at < text.size(); --left)
    at += std::max(1u, character_octets(text, at));
  return static_cast<uint32_t>(std::min(at, text.size()));
}

struct FreeResult {
  PgQueryParseResult result;
  ~FreeResult() { pg_query_free_parse_result(result); }
};

/// On the parser thread.
base::Result<Statements> parse_here(const std::string& text) {
  const Tokens tokens(text);
  try {
    return Lowering(tokens).lower_all(parse_tree(tokens));
  } catch (Refused& refused) {
    return tl::unexpected(std::move(refused.diagnostic));
  }
}

}  // namespace

Json parse_tree(const Tokens& tokens) {
  if (auto found = check_identifiers(tokens)) throw Refused{std::move(*found)};
  if (auto found = check_lookalikes(tokens)) throw Refused{std::move(*found)};
  const std::string text(tokens.whole_text());
  Json tree;
  {
    const FreeResult parsed{pg_query_parse(text.c_str())};
    if (parsed.result.error) {
      const PgQueryError& error = *parsed.result.error;
      throw Refused{explain_syntax_error(tokens, error.message ? error.message : "", octets_of(text, error.cursorpos))};
    }
    tree = Json::parse(parsed.result.parse_tree, nullptr, false);
  }
  if (tree.is_discarded())
    throw Refused{refusal("XX000", "the parser's answer cannot be read", {}, "please report this text")};
  if (auto found = check_quotes(tokens)) throw Refused{std::move(*found)};
  return tree;
}

base::Result<Statements> parse(std::string_view text, std::string_view source_name) {
  const auto located = [&](Diagnostic diagnostic) {
    base::locate(diagnostic, source_name, text);
    return tl::unexpected(std::move(diagnostic));
  };
  if (auto found = check_language(text)) return located(std::move(*found));
  if (auto found = check_octets(text)) return located(std::move(*found));
  std::string copy(text);
  if (copy.starts_with("\xef\xbb\xbf")) copy.replace(0, 3, "   ");  // An editor's byte order mark; places stay.
  base::Result<Statements> result;
  run_on_parser_thread([&] { result = parse_here(copy); });
  if (!result) return located(std::move(result.error()));
  return result;
}

base::Result<void> parse_conditions(std::vector<plan::UnboundOption>& options) {
  for (const plan::UnboundOption& option : options) {
    if (option.value.size() > kTextOctetsMax)
      return tl::unexpected(refusal("54000", "\"" + option.name + "\" is longer than 64 KiB", option.span));
  }
  base::Result<void> result;
  run_on_parser_thread([&] {
    try {
      lower_conditions(options);
    } catch (Refused& refused) {
      result = tl::unexpected(std::move(refused.diagnostic));
    }
  });
  return result;
}

}  // namespace backstream::sql
