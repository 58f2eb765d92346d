#include "borealis/lexer.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <utility>

#include "borealis/refused.h"

namespace backstream::borealis {
namespace {

struct Sign {
  std::string_view text;
  std::string_view alternative = {};  ///< empty: it is one of the grammar's; else what there is instead of it
};
constexpr std::string_view kArrays = "arrays are not supported";
/// The longer of two that begin alike comes first.
constexpr auto kSigns = std::to_array<Sign>({
    {"=="},
    {"!="},
    {"<="},
    {">="},
    {"&&"},
    {"||"},
    {"<>", "write !="},
    {"<<", "write the query in SQL, which has bits and addresses inside a prefix (<<)"},
    {">>", "write the query in SQL, which has bits and prefixes around an address (>>)"},
    {"::", "a type is a function: int(x), long(x), short(x), byte(x)"},
    {":=", "write ="},
    {"**", "write pow(x, y)"},
    {"->", kArrays},
    {"="},
    {"<"},
    {">"},
    {"!"},
    {"+"},
    {"-"},
    {"*"},
    {"/"},
    {"%"},
    {"("},
    {")"},
    {","},
    {"."},
    {"&", "write the query in SQL, which has & for bits; for a condition write and"},
    {"|", "write the query in SQL, which has | for bits; for a condition write or"},
    {"^", "write pow(x, y)"},
    {"~", "write the query in SQL, which has ~ for bits and patterns"},
    {"?", "write if condition then a else b"},
    {"[", kArrays},
});

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
bool is_of_word(char c) { return is_letter(c) || is_digit(c); }
bool is_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace

Token Lexer::next() {
  skip(is_space);
  Token token;
  token.begin = at_;
  if (at_ == text_.size()) return token;
  const char c = text_[at_];
  if (is_digit(c)) {
    read_number(token);
  } else if (is_letter(c)) {
    skip(is_of_word);
    token.kind = Token::Kind::kWord;
    token.text = lower_case(text_.substr(token.begin, at_ - token.begin));
  } else if (c == '\'' || c == '"') {
    read_string(token);
  } else {
    read_sign(token);
  }
  token.length = at_ - token.begin;
  return token;
}

void Lexer::skip(bool (*is_one)(char)) {
  while (at_ < text_.size() && is_one(text_[at_])) ++at_;
}

void Lexer::read_number(Token& token) {
  token.kind = Token::Kind::kInteger;
  skip(is_digit);
  if (at_ < text_.size() && text_[at_] == '.') {
    token.kind = Token::Kind::kFloat;
    ++at_;
    skip(is_digit);
  }
  token.text = text_.substr(token.begin, at_ - token.begin);
  const size_t suffix = at_;
  skip(is_of_word);
  const std::string written_suffix = lower_case(text_.substr(suffix, at_ - suffix));
  const bool may_have_suffix = token.kind == Token::Kind::kFloat;
  if (!written_suffix.empty() && !(may_have_suffix && (written_suffix == "f" || written_suffix == "d"))) {
    const std::string_view whole = text_.substr(token.begin, at_ - token.begin);
    refuse("42601", fmt::format("{} is no number", quoted(whole)), value_.span_of(token.begin, whole.size()),
           token.text == "0" && written_suffix[0] == 'x' ? "numbers are written in decimal"
                                                         : "numbers are written as 1500, 1.5 or 1.5d");
  }
  token.is_single = written_suffix != "d";
  int64_t integer = 0;
  const char* const end = token.text.data() + token.text.size();
  if (token.kind == Token::Kind::kInteger && std::from_chars(token.text.data(), end, integer).ec != std::errc()) {
    refuse("22003", fmt::format("the number {} is too large", quoted(token.text)),
           value_.span_of(token.begin, token.text.size()),
           "an integer is at most 9223372036854775807; one with a point, such as 1.0d, is a real number");
  }
}

void Lexer::read_string(Token& token) {
  const size_t end = text_.find(text_[at_], at_ + 1);
  if (end == std::string_view::npos) {
    refuse("42601", "the quote that ends this string is missing", value_.span_of(at_, text_.size() - at_),
           "a string that holds a quote stands between the other kind: \"it's\"");
  }
  token.kind = Token::Kind::kString;
  token.text = text_.substr(at_ + 1, end - at_ - 1);
  at_ = end + 1;
}

void Lexer::read_sign(Token& token) {
  const std::string_view rest = text_.substr(at_);
  for (const Sign& sign : kSigns) {
    if (!rest.starts_with(sign.text)) continue;
    if (!sign.alternative.empty()) {
      refuse("0A000", fmt::format("{} is no operator of Borealis", quoted(sign.text)),
             value_.span_of(at_, sign.text.size()), std::string(sign.alternative));
    }
    token.kind = Token::Kind::kSign;
    token.text = sign.text;
    at_ += sign.text.size();
    return;
  }
  size_t octets = 1;  // Of UTF-8.
  while (octets < rest.size() && (static_cast<unsigned char>(rest[octets]) & 0xc0) == 0x80) ++octets;
  const std::string_view character = rest.substr(0, octets);
  std::string hint;
  for (const std::string_view quote : {"‘", "’", "“", "”", "„"}) {
    if (character == quote) hint = "write a plain '";
  }
  if (character == "\u00a0") hint = "write a plain space";
  refuse("42601", fmt::format("{} has no meaning in an expression", quoted(character)), value_.span_of(at_, octets),
         std::move(hint));
}

}  // namespace backstream::borealis
