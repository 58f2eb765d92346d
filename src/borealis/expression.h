#pragma once
// Expressions of Borealis (expr.g of its sources): what is written, types not yet looked at.
#include <memory>
#include <string>
#include <vector>

#include "borealis/document.h"

namespace backstream::borealis {

struct Expression;
using ExpressionPtr = std::unique_ptr<Expression>;

struct Expression {
  enum class Kind : uint8_t {
    kInteger,  ///< text: digits, at most what 64 bits with a sign hold
    kFloat,    ///< text: as written, without the suffix
    kString,   ///< text: without the quotes; letters as written, unlike the original
    kBool,     ///< text: "true" or "false"
    kField,    ///< qualifier (may be empty: "left", "right", "input", a stream) and text: names in lower case
    kUnary,    ///< text: "-", "+" or "not"
    kBinary,   ///< text: "or" "and" "!=" "=" "<" "<=" ">" ">=" "+" "-" "*" "/" "%"
    kIf,       ///< args: condition, then, else
    kCall,     ///< text: function's name in lower case
  };
  Kind kind = Kind::kInteger;
  SourceSpan span;  ///< in the document
  std::string text, qualifier;
  bool is_single = false;  ///< kFloat: it has the suffix f, or none
  std::vector<ExpressionPtr> args;
};

inline constexpr size_t kExpressionOctetsMax = 16'384, kExpressionDepthMax = 100;

/// From loosest to tightest: or ||; and &&; !=; = ==; < <= > >=; + -; * / %; unary + - not !. `if c then a else b`
/// stands where a value does, its else reaching as far as it can; field("odd name") is a field. Arrays (a->b) are
/// refused. Errors: 42601, 54001 too deep, 0A000; with a span in the document.
Result<ExpressionPtr> read_expression(const Value& value);
/// One call of an aggregate function, such as sum(octets) or count().
Result<ExpressionPtr> read_aggregate(const Value& value);
/// Names of fields with commas between ("src_as, dst_as"), as kField. None for an empty text.
Result<std::vector<ExpressionPtr>> read_fields(const Value& value);

}  // namespace backstream::borealis
