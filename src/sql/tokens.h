#pragma once
#include <cstdint>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"

namespace backstream::sql {

/// One lexical element of a SQL text, by PostgreSQL's rules (PostgreSQL 15, chapter 4.1).
struct Token {
  enum class Kind : uint8_t {
    kWord,        ///< identifier or key word without quotes
    kQuotedWord,  ///< "identifier", U&"identifier"
    kString,      ///< 'text', E'text', b'01', $tag$text$tag$
    kNumber,
    kOperator,     ///< one or more of ~ ! @ # ^ & | ` ? + - * / % < > =
    kPunctuation,  ///< ( ) [ ] , ; . : :: := =>
    kOther,        ///< $1, and octets that begin nothing
  };
  Kind kind;
  bool closed = true;               ///< false: a string, comment or quoted word that the text's end cuts off
  uint32_t offset = 0, length = 0;  ///< octets in the text
  uint32_t partner = kNone;         ///< of ( ) [ ]: the index of the other one

  static constexpr uint32_t kNone = UINT32_MAX;
};

/// The tokens of a text, without white space and comments. PostgreSQL's parser gives only where a node begins; this
/// gives lengths, the places of aliases, and what was written where the parser reads something else.
/// `text` must outlive the object.
class Tokens {
 public:
  explicit Tokens(std::string_view text);

  uint32_t size() const { return static_cast<uint32_t>(tokens_.size()); }
  const Token& operator[](uint32_t index) const { return tokens_[index]; }
  std::string_view text(uint32_t index) const;  ///< empty past the end
  std::string_view whole_text() const { return text_; }

  /// The first token that begins at `offset` or later; size() when there is none.
  uint32_t at(uint32_t offset) const;
  /// The last token that begins before `offset`; 0 when there is none.
  uint32_t before(uint32_t offset) const;
  /// Is the token an unquoted word, `word` in any case (given in lower case)? False past the end.
  bool is_word(uint32_t index, std::string_view word) const;
  bool is_any_word(uint32_t index, std::initializer_list<std::string_view> words) const;
  /// Is the token this punctuation or operator? False past the end.
  bool is(uint32_t index, std::string_view sign) const;
  bool is_kind(uint32_t index, Token::Kind kind) const { return index < size() && tokens_[index].kind == kind; }
  /// A word, quoted or not.
  bool is_name(uint32_t index) const;
  /// From the first octet of `first` to the last of `last`; a point at the text's end when `first` is past it.
  base::SourceSpan span(uint32_t first, uint32_t last) const;
  base::SourceSpan span(uint32_t index) const { return span(index, index); }
  /// `span` with the pairs of parentheses directly around it.
  base::SourceSpan with_parentheses(base::SourceSpan span) const;
  /// The index of the last token of `span`.
  uint32_t last_of(base::SourceSpan span) const { return before(span.offset_octets + span.length_octets); }

 private:
  void pair_brackets();

  std::string_view text_;
  std::vector<Token> tokens_;  // By offset.
};

}  // namespace backstream::sql
