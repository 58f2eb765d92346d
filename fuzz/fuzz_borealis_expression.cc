// Any text as an expression of Borealis, an aggregate function or a row of fields: a tree, or one located diagnostic.
// The tree is no deeper than the limit, and what is printed of it is read as the same tree.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <string>
#include <string_view>

#include "borealis/expression.h"

namespace {

using namespace backstream;
using borealis::Expression;

void require(bool condition) {
  if (!condition) std::abort();
}

borealis::Value value_of(std::string_view text) {
  borealis::Value value;
  value.text = text;
  value.span = {0, static_cast<uint32_t>(text.size())};
  value.places.resize(text.size() + 1);
  std::iota(value.places.begin(), value.places.end(), 0U);
  return value;
}

size_t depth_of(const Expression& expression, size_t octets) {
  require(expression.span.offset_octets + uint64_t{expression.span.length_octets} <= octets);
  size_t depth = 0;
  for (const auto& arg : expression.args) depth = std::max(depth, depth_of(*arg, octets));
  return depth + 1;
}

std::string in_quotes(const std::string& text) {
  const char quote = text.find('\'') == std::string::npos ? '\'' : '"';
  return quote + text + quote;
}

std::string print(const Expression& expression) {
  const auto arg = [&](size_t i) { return print(*expression.args.at(i)); };
  const std::string& text = expression.text;
  switch (expression.kind) {
    case Expression::Kind::kInteger:
    case Expression::Kind::kBool: return text;
    case Expression::Kind::kFloat: return text + (expression.is_single ? "f" : "d");
    case Expression::Kind::kString: return in_quotes(text);
    case Expression::Kind::kField: {
      const std::string qualifier = expression.qualifier.empty() ? std::string() : expression.qualifier + '.';
      return qualifier + "field(" + in_quotes(text) + ")";
    }
    case Expression::Kind::kUnary: return "(" + text + " " + arg(0) + ")";
    case Expression::Kind::kBinary: return "(" + arg(0) + " " + text + " " + arg(1) + ")";
    case Expression::Kind::kIf: return "(if " + arg(0) + " then " + arg(1) + " else " + arg(2) + ")";
    case Expression::Kind::kCall: {
      std::string args;
      for (size_t i = 0; i < expression.args.size(); ++i) args += (i == 0 ? "" : ", ") + arg(i);
      return text + "(" + args + ")";
    }
  }
  std::abort();
}

void check(const base::Diagnostic& error, size_t octets) {
  require(!error.code.empty() && !error.message.empty());
  require(error.span.offset_octets + uint64_t{error.span.length_octets} <= octets);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t octets) {
  const borealis::Value value = value_of({reinterpret_cast<const char*>(data), octets});
  const auto expression = borealis::read_expression(value);
  if (!expression) {
    check(expression.error(), octets);
  } else {
    const size_t depth = depth_of(**expression, octets);
    require(depth <= borealis::kExpressionDepthMax);
    const std::string printed = print(**expression);
    // Parentheses count as depth, and make the text longer.
    if (2 * depth < borealis::kExpressionDepthMax && printed.size() <= borealis::kExpressionOctetsMax) {
      const auto again = borealis::read_expression(value_of(printed));
      require(again.has_value() && print(**again) == printed);
    }
  }
  const auto aggregate = borealis::read_aggregate(value);
  if (!aggregate) {
    check(aggregate.error(), octets);
  } else {
    require((*aggregate)->kind == Expression::Kind::kCall);
  }
  const auto fields = borealis::read_fields(value);
  if (!fields) {
    check(fields.error(), octets);
  } else {
    for (const auto& field : *fields) require(field->kind == Expression::Kind::kField);
  }
  return 0;
}
