#pragma once
// The tokens of an expression. Inside this room only.
#include <string>
#include <string_view>

#include "borealis/document.h"

namespace backstream::borealis {

struct Token {
  enum class Kind : uint8_t { kEnd, kInteger, kFloat, kString, kWord, kSign };
  Kind kind = Kind::kEnd;
  size_t begin = 0, length = 0;  ///< octets of the value
  std::string text;              ///< a word in lower case; a string without quotes; a number without suffix; a sign
  bool is_single = true;         ///< kFloat: it has the suffix f, or none
};

/// Gives the tokens of a value, one after the other. Throws Refused where none begins. `value` must outlive it.
class Lexer {
 public:
  explicit Lexer(const Value& value) : value_(value), text_(value.text) {}

  Token next();

 private:
  void skip(bool (*is_one)(char));
  void read_number(Token& token);
  void read_string(Token& token);
  void read_sign(Token& token);

  const Value& value_;
  const std::string_view text_;
  size_t at_ = 0;
};

}  // namespace backstream::borealis
