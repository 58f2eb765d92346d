#include "sql/tokens.h"

#include <algorithm>

namespace backstream::sql {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool begins_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool continues_word(char c) { return begins_word(c) || is_digit(c) || c == '$'; }
bool is_operator(char c) {
  return c != '\0' && std::string_view("~!@#^&|`?+-*/%<>=").find(c) != std::string_view::npos;
}
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }

/// Reads one token at a time. All positions are octets in `text`.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  bool next(Token& token) {
    skip_blanks();
    if (at_ >= text_.size()) return false;
    token = {};
    token.offset = static_cast<uint32_t>(at_);
    token.kind = read(token);
    token.length = static_cast<uint32_t>(at_ - token.offset);
    return true;
  }

 private:
  char peek(size_t ahead = 0) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  bool starts(std::string_view prefix) const { return text_.substr(std::min(at_, text_.size())).starts_with(prefix); }

  void skip_blanks() {
    while (at_ < text_.size()) {
      if (is_space(peek())) {
        ++at_;
      } else if (starts("--")) {
        at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
      } else if (starts("/*")) {
        skip_comment();
      } else {
        return;
      }
    }
  }

  void skip_comment() {  // They nest.
    size_t depth = 0;
    do {
      if (starts("/*")) {
        ++depth;
        at_ += 2;
      } else if (starts("*/")) {
        --depth;
        at_ += 2;
      } else {
        ++at_;
      }
    } while (depth > 0 && at_ < text_.size());
    at_ = std::min(at_, text_.size());
  }

  Token::Kind read(Token& token) {
    const char c = peek();
    if (c == '\'') return read_string(token, false);
    if (c == '"') return read_quoted_word(token);
    if (peek(1) == '\'' && std::string_view("eEbBxXnN").find(c) != std::string_view::npos) {
      ++at_;
      return read_string(token, lower(c) == 'e');
    }
    if (lower(c) == 'u' && peek(1) == '&' && (peek(2) == '\'' || peek(2) == '"')) {
      at_ += 2;
      return peek() == '"' ? read_quoted_word(token) : read_string(token, false);
    }
    if (begins_word(c)) {
      while (at_ < text_.size() && continues_word(peek())) ++at_;
      return Token::Kind::kWord;
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) return read_number();
    if (c == '$') return read_dollar(token);
    if (starts("::") || starts(":=") || starts("..")) {
      at_ += 2;
      return Token::Kind::kPunctuation;
    }
    if (std::string_view("()[],;.:").find(c) != std::string_view::npos) {
      ++at_;
      return Token::Kind::kPunctuation;
    }
    if (is_operator(c)) return read_operator();
    ++at_;
    return Token::Kind::kOther;
  }

  Token::Kind read_string(Token& token, bool backslash_escapes) {
    ++at_;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '\\' && backslash_escapes) {
        at_ = std::min(at_ + 1, text_.size());
      } else if (c == '\'') {
        if (peek() != '\'') return Token::Kind::kString;
        ++at_;
      }
    }
    token.closed = false;
    return Token::Kind::kString;
  }

  Token::Kind read_quoted_word(Token& token) {
    ++at_;
    while (at_ < text_.size()) {
      if (text_[at_++] != '"') continue;
      if (peek() != '"') return Token::Kind::kQuotedWord;
      ++at_;
    }
    token.closed = false;
    return Token::Kind::kQuotedWord;
  }

  Token::Kind read_number() {
    while (is_digit(peek())) ++at_;
    if (peek() == '.' && peek(1) != '.') {
      ++at_;
      while (is_digit(peek())) ++at_;
    }
    if (lower(peek()) == 'e') {
      const size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
      if (is_digit(peek(1 + sign))) {
        at_ += 1 + sign;
        while (is_digit(peek())) ++at_;
      }
    }
    return Token::Kind::kNumber;
  }

  Token::Kind read_dollar(Token& token) {
    size_t tag_end = at_ + 1;
    if (tag_end < text_.size() && begins_word(text_[tag_end])) {
      while (tag_end < text_.size() && continues_word(text_[tag_end]) && text_[tag_end] != '$') ++tag_end;
    }
    if (tag_end < text_.size() && text_[tag_end] == '$') {
      const std::string_view tag = text_.substr(at_, tag_end + 1 - at_);
      const size_t close = text_.find(tag, tag_end + 1);
      token.closed = close != std::string_view::npos;
      at_ = token.closed ? close + tag.size() : text_.size();
      return Token::Kind::kString;
    }
    ++at_;
    while (is_digit(peek())) ++at_;
    return Token::Kind::kOther;
  }

  Token::Kind read_operator() {
    const size_t begin = at_;
    while (at_ < text_.size() && is_operator(peek()) && !starts("--") && !starts("/*")) ++at_;
    // PostgreSQL 15 §4.1.3: an operator ends in + or - only when it holds one of ~ ! @ # % ^ & | ` ?
    const std::string_view sign = text_.substr(begin, at_ - begin);
    if (sign.find_first_of("~!@#%^&|`?") == std::string_view::npos) {
      while (at_ - begin > 1 && (text_[at_ - 1] == '+' || text_[at_ - 1] == '-')) --at_;
    }
    return text_.substr(begin, at_ - begin) == "=>" ? Token::Kind::kPunctuation : Token::Kind::kOperator;
  }

  std::string_view text_;
  size_t at_ = 0;
};

}  // namespace

Tokens::Tokens(std::string_view text) : text_(text) {
  Scanner scanner(text);
  for (Token token; scanner.next(token);) tokens_.push_back(token);
  pair_brackets();
}

void Tokens::pair_brackets() {
  std::vector<uint32_t> open;
  for (uint32_t i = 0; i < size(); ++i) {
    if (is(i, ";")) open.clear();
    if (is(i, "(") || is(i, "[")) open.push_back(i);
    if (!is(i, ")") && !is(i, "]")) continue;
    if (open.empty() || is(open.back(), "(") != is(i, ")")) continue;
    tokens_[i].partner = open.back();
    tokens_[open.back()].partner = i;
    open.pop_back();
  }
}

std::string_view Tokens::text(uint32_t index) const {
  return index < size() ? text_.substr(tokens_[index].offset, tokens_[index].length) : std::string_view();
}

uint32_t Tokens::at(uint32_t offset) const {
  const auto found = std::lower_bound(tokens_.begin(), tokens_.end(), offset,
                                      [](const Token& token, uint32_t place) { return token.offset < place; });
  return static_cast<uint32_t>(found - tokens_.begin());
}

uint32_t Tokens::before(uint32_t offset) const {
  const uint32_t next = at(offset);
  return next == 0 ? 0 : next - 1;
}

bool Tokens::is_word(uint32_t index, std::string_view word) const {
  if (!is_kind(index, Token::Kind::kWord)) return false;
  const std::string_view have = text(index);
  return std::equal(have.begin(), have.end(), word.begin(), word.end(), [](char a, char b) { return lower(a) == b; });
}

bool Tokens::is_any_word(uint32_t index, std::initializer_list<std::string_view> words) const {
  return std::any_of(words.begin(), words.end(), [&](std::string_view word) { return is_word(index, word); });
}

bool Tokens::is(uint32_t index, std::string_view sign) const {
  return (is_kind(index, Token::Kind::kPunctuation) || is_kind(index, Token::Kind::kOperator)) && text(index) == sign;
}

bool Tokens::is_name(uint32_t index) const {
  return is_kind(index, Token::Kind::kWord) || is_kind(index, Token::Kind::kQuotedWord);
}

base::SourceSpan Tokens::span(uint32_t first, uint32_t last) const {
  if (first >= size()) return {static_cast<uint32_t>(text_.size()), 0};
  last = std::clamp(last, first, size() - 1);
  const uint32_t begin = tokens_[first].offset;
  return {begin, tokens_[last].offset + tokens_[last].length - begin};
}

base::SourceSpan Tokens::with_parentheses(base::SourceSpan inner) const {
  uint32_t first = at(inner.offset_octets), last = last_of(inner);
  while (first > 0 && is(first - 1, "(") && tokens_[first - 1].partner == last + 1) {
    --first;
    ++last;
  }
  return span(first, last);
}

}  // namespace backstream::sql
