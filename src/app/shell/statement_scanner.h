#pragma once
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace backstream::app::shell {

/// How far a text that is being typed has come. What a statement means is the parser's business (sql/parse.h); this
/// only says whether there is more to type.
struct Scan {
  enum class End : uint8_t {
    kText,       ///< the text ended first: a statement has begun, or nothing but blanks and comments is there
    kStatement,  ///< a ';': the statement is [0, at), the rest begins at `at` (after the ';')
    kMeta,       ///< a '\': the statement so far is [0, at), the meta command begins at `at`
  };
  /// What the text's end stands in.
  enum class Inside : uint8_t { kNothing, kParentheses, kString, kQuotedWord, kDollarString, kComment };

  End end = End::kText;
  size_t at = 0;  ///< octets
  Inside inside = Inside::kNothing;
  bool blank = true;  ///< [0, at) has no token: only white space and comments
};

/// Reads PostgreSQL's lexical rules as sql/tokens.h does: strings ('…' with '' and E'…' with \'), "quoted words",
/// $tag$…$tag$, comments (-- and nested /* */).
/// A ';' ends the statement inside parentheses too, other than in psql: no statement of ours has one there, and who
/// forgot a ')' is told where by the parser instead of being asked for more.
Scan scan(std::string_view text);

/// The character before '>' of the prompt for the next line, as psql has it: = - ( ' " $ *
char prompt_mark(const Scan& scan);

/// Without the white space around it.
std::string_view trimmed(std::string_view text);

}  // namespace backstream::app::shell
