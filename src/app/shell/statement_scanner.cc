#include "app/shell/statement_scanner.h"

#include <algorithm>

namespace backstream::app::shell {
namespace {

bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool begins_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || static_cast<unsigned char>(c) >= 0x80;
}
bool continues_word(char c) { return begins_word(c) || is_digit(c) || c == '$'; }

class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  Scan run() {
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (is_space(c)) {
        ++at_;
      } else if (starts("--")) {
        at_ = std::min(text_.find_first_of("\r\n", at_), text_.size());
      } else if (starts("/*")) {
        if (!skip_comment()) return ended(Scan::Inside::kComment);
      } else if (c == ';') {
        scan_.end = Scan::End::kStatement;
        scan_.at = at_ + 1;
        return scan_;
      } else if (c == '\\') {
        scan_.end = Scan::End::kMeta;
        scan_.at = at_;
        return scan_;
      } else {
        scan_.blank = false;
        const Scan::Inside inside = skip_token(c);
        if (inside != Scan::Inside::kNothing) return ended(inside);
      }
    }
    return ended(depth_ > 0 ? Scan::Inside::kParentheses : Scan::Inside::kNothing);
  }

 private:
  bool starts(std::string_view prefix) const { return text_.substr(at_).starts_with(prefix); }
  Scan ended(Scan::Inside inside) {
    scan_.at = text_.size();
    scan_.inside = inside;
    return scan_;
  }

  bool skip_comment() {  // They nest.
    size_t depth = 0;
    while (at_ < text_.size()) {
      if (starts("/*")) {
        ++depth;
        at_ += 2;
      } else if (starts("*/")) {
        at_ += 2;
        if (--depth == 0) return true;
      } else {
        ++at_;
      }
    }
    return false;
  }

  /// kNothing: the token is complete.
  Scan::Inside skip_token(char c) {
    if (c == '\'') return skip_quoted('\'', false) ? Scan::Inside::kNothing : Scan::Inside::kString;
    if (c == '"') return skip_quoted('"', false) ? Scan::Inside::kNothing : Scan::Inside::kQuotedWord;
    if ((c == 'e' || c == 'E') && peek(1) == '\'') {
      ++at_;
      return skip_quoted('\'', true) ? Scan::Inside::kNothing : Scan::Inside::kString;
    }
    if (begins_word(c)) {
      while (at_ < text_.size() && continues_word(text_[at_])) ++at_;
      return Scan::Inside::kNothing;
    }
    if (is_digit(c) || (c == '.' && is_digit(peek(1)))) {
      skip_number();
      return Scan::Inside::kNothing;
    }
    if (c == '$') return skip_dollar() ? Scan::Inside::kNothing : Scan::Inside::kDollarString;
    if (c == '(') ++depth_;
    if (c == ')' && depth_ > 0) --depth_;
    ++at_;
    return Scan::Inside::kNothing;
  }
  char peek(size_t ahead) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }

  void skip_number() {  // Exactly: the e of 1e'…' begins a string, that of 1e5'…' does not.
    while (is_digit(peek(0))) ++at_;
    if (peek(0) == '.' && peek(1) != '.') {
      ++at_;
      while (is_digit(peek(0))) ++at_;
    }
    if (peek(0) != 'e' && peek(0) != 'E') return;
    const size_t sign = peek(1) == '+' || peek(1) == '-' ? 1 : 0;
    if (!is_digit(peek(1 + sign))) return;
    at_ += 1 + sign;
    while (is_digit(peek(0))) ++at_;
  }

  bool skip_quoted(char quote, bool backslash_escapes) {
    ++at_;
    while (at_ < text_.size()) {
      const char c = text_[at_++];
      if (c == '\\' && backslash_escapes) {
        at_ = std::min(at_ + 1, text_.size());
      } else if (c == quote) {
        if (at_ >= text_.size() || text_[at_] != quote) return true;
        ++at_;
      }
    }
    return false;
  }

  bool skip_dollar() {
    size_t tag_end = at_ + 1;
    if (tag_end < text_.size() && begins_word(text_[tag_end])) {
      while (tag_end < text_.size() && continues_word(text_[tag_end]) && text_[tag_end] != '$') ++tag_end;
    }
    if (tag_end >= text_.size() || text_[tag_end] != '$') {  // $1, or a lone $.
      ++at_;
      while (at_ < text_.size() && is_digit(text_[at_])) ++at_;
      return true;
    }
    const std::string_view tag = text_.substr(at_, tag_end + 1 - at_);
    const size_t close = text_.find(tag, tag_end + 1);
    at_ = close == std::string_view::npos ? text_.size() : close + tag.size();
    return close != std::string_view::npos;
  }

  const std::string_view text_;
  size_t at_ = 0, depth_ = 0;
  Scan scan_;
};

}  // namespace

Scan scan(std::string_view text) { return Scanner(text).run(); }

char prompt_mark(const Scan& scan) {
  switch (scan.inside) {
    case Scan::Inside::kParentheses: return '(';
    case Scan::Inside::kString: return '\'';
    case Scan::Inside::kQuotedWord: return '"';
    case Scan::Inside::kDollarString: return '$';
    case Scan::Inside::kComment: return '*';
    case Scan::Inside::kNothing: break;
  }
  return scan.blank ? '=' : '-';
}

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  text.remove_prefix(std::min(text.find_first_not_of(kSpace), text.size()));
  const size_t last = text.find_last_not_of(kSpace);
  return text.substr(0, last == std::string_view::npos ? 0 : last + 1);
}

}  // namespace backstream::app::shell
