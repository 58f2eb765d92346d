#include "borealis/expression.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>

#include "borealis/lexer.h"
#include "borealis/refused.h"

namespace backstream::borealis {
namespace {

/// An expression with the length of its longest branch.
struct Node {
  ExpressionPtr expression;
  size_t depth = 1;
};

/// What people write who know SQL, where an operator would be.
struct ForeignWord {
  std::string_view word, hint;
};
constexpr auto kForeignOperators = std::to_array<ForeignWord>({
    {"between", "write x >= low and x <= high"},
    {"in", "write x = 1 or x = 2"},
    {"like", "write the query in SQL, which has LIKE"},
    {"ilike", "write the query in SQL, which has ILIKE"},
    {"similar", "write the query in SQL, which has LIKE"},
    {"is", "Borealis knows no null: write the query in SQL, which has IS NULL"},
    {"as", "the name of a field is a parameter of its own, output-field-name"},
    {"xor", "write x != y"},
    {"mod", "write x % y"},
    {"div", "write x / y"},
    {"filter", "put a filter box before this one"},
    {"over", "write the query in SQL, which has window functions"},
    {"collate", "strings are ordered by their octets"},
    {"at", "write the query in SQL, which has AT TIME ZONE"},
});
/// How tightly operators of two sides bind: from loosest to tightest.
constexpr int kOr = 0, kAnd = 1, kTightest = 6;
int binding_of(std::string_view operation) {
  constexpr auto kBindings = std::to_array<std::pair<std::string_view, int>>({{"or", kOr},
                                                                              {"and", kAnd},
                                                                              {"!=", 2},
                                                                              {"=", 3},
                                                                              {"<", 4},
                                                                              {"<=", 4},
                                                                              {">", 4},
                                                                              {">=", 4},
                                                                              {"+", 5},
                                                                              {"-", 5},
                                                                              {"*", kTightest},
                                                                              {"/", kTightest},
                                                                              {"%", kTightest}});
  for (const auto& [name, binding] : kBindings) {
    if (name == operation) return binding;
  }
  return -1;
}

class ExpressionReader {
 public:
  explicit ExpressionReader(const Value& value) : value_(value), lexer_(value) {
    if (value.text.size() > kExpressionOctetsMax) {
      refuse("54000", fmt::format("an expression has at most {} octets", kExpressionOctetsMax), value.span);
    }
    advance();
  }

  ExpressionPtr read_whole() {
    Node whole = read_binary(kOr, 1);
    if (token_.kind != Token::Kind::kEnd) refuse_rest();
    return std::move(whole.expression);
  }

  std::vector<ExpressionPtr> read_names() {
    std::vector<ExpressionPtr> names;
    if (is_at_end()) return names;
    while (true) {
      const Token first = token_;
      ExpressionPtr name = first.kind == Token::Kind::kWord ? read_binary(kOr, 1).expression : nullptr;
      if (!name || name->kind != Expression::Kind::kField) {
        refuse("42601", "the name of a field belongs here", name ? name->span : span_of(first),
               "compute a value in a map box before this one");
      }
      names.push_back(std::move(name));
      if (is_at_end()) return names;
      if (!is_sign(",")) refuse("42601", "a comma belongs before the next name", span_of(token_));
      advance();
    }
  }

 private:
  void advance() {
    previous_end_ = token_.begin + token_.length;
    token_ = lexer_.next();
  }
  bool is_at_end() const { return token_.kind == Token::Kind::kEnd; }
  bool is_sign(std::string_view sign) const { return token_.kind == Token::Kind::kSign && token_.text == sign; }
  bool is_word(std::string_view word) const { return token_.kind == Token::Kind::kWord && token_.text == word; }
  SourceSpan span_of(const Token& token) const { return value_.span_of(token.begin, token.length); }
  /// Of what began at `begin` and has been read.
  SourceSpan span_since(size_t begin) const { return value_.span_of(begin, previous_end_ - begin); }

  void check_depth(size_t depth) const {
    if (depth > kExpressionDepthMax) refuse_depth(span_of(token_));
  }
  [[noreturn]] static void refuse_depth(SourceSpan span) {
    refuse("54001", fmt::format("the expression is nested more than {} deep", kExpressionDepthMax), span,
           "compute parts of it in a map box before this one");
  }

  Node make(Expression::Kind kind, std::string text, size_t begin) const {
    Node node{std::make_unique<Expression>(), 1};
    node.expression->kind = kind;
    node.expression->text = std::move(text);
    node.expression->span = span_since(begin);
    return node;
  }
  /// The tree is as deep as the limit says, so that whoever walks it may recurse.
  static void adopt(Node& parent, Node child) {
    parent.depth = std::max(parent.depth, child.depth + 1);
    if (parent.depth > kExpressionDepthMax) refuse_depth(parent.expression->span);
    parent.expression->args.push_back(std::move(child.expression));
  }

  /// A value and the operators that bind tighter than those around it.
  Node read_unary(size_t depth) {
    check_depth(depth);
    const Token first = token_;
    const bool is_not = is_word("not") || is_sign("!");
    if (!is_not && !is_sign("-") && !is_sign("+")) return read_primary(depth);
    advance();
    Node operand = read_unary(depth + 1);
    Node node = make(Expression::Kind::kUnary, is_not ? "not" : first.text, first.begin);
    adopt(node, std::move(operand));
    return node;
  }

  /// The operator of the token; empty: it is none of two sides.
  std::string operation() const {
    if (is_sign("==")) return "=";
    if (is_sign("&&")) return "and";
    if (is_sign("||")) return "or";
    const bool may_be = token_.kind == Token::Kind::kSign || is_word("or") || is_word("and");
    return may_be && binding_of(token_.text) >= 0 ? token_.text : std::string();
  }

  Node read_binary(int binding, size_t depth) {
    if (binding > kTightest) return read_unary(depth);
    size_t begin = token_.begin;
    if (binding <= kAnd) return read_condition(binding, depth);
    Node left = read_binary(binding + 1, depth);
    while (true) {
      std::string operation = this->operation();
      if (operation.empty() || binding_of(operation) != binding) return left;
      advance();
      Node right = read_binary(binding + 1, depth);
      Node node = make(Expression::Kind::kBinary, std::move(operation), begin);
      adopt(node, std::move(left));
      adopt(node, std::move(right));
      left = std::move(node);
    }
  }

  /// Conditions with `and` or `or` between are read all and made a tree as flat as can be: without IN people write long
  /// rows of them, and the order in which they are taken together has no meaning.
  Node read_condition(int binding, size_t depth) {
    struct Term {
      Node node;
      size_t begin, end;
    };
    std::vector<Term> terms;
    std::string operation;
    while (true) {
      const size_t begin = token_.begin;
      Node node = read_binary(binding + 1, depth);
      terms.push_back({std::move(node), begin, previous_end_});
      const std::string next = this->operation();
      if (next.empty() || binding_of(next) != binding) break;
      operation = next;
      advance();
    }
    while (terms.size() > 1) {
      std::vector<Term> pairs;
      for (size_t i = 0; i + 1 < terms.size(); i += 2) {
        const size_t begin = terms[i].begin, end = terms[i + 1].end;
        Node node = make(Expression::Kind::kBinary, operation, begin);
        node.expression->span = value_.span_of(begin, end - begin);
        adopt(node, std::move(terms[i].node));
        adopt(node, std::move(terms[i + 1].node));
        pairs.push_back({std::move(node), begin, end});
      }
      if (terms.size() % 2 == 1) pairs.push_back(std::move(terms.back()));
      terms = std::move(pairs);
    }
    return std::move(terms[0].node);
  }

  Node read_primary(size_t depth) {
    const Token first = token_;
    switch (first.kind) {
      case Token::Kind::kInteger:
      case Token::Kind::kFloat:
      case Token::Kind::kString: {
        advance();
        Node node = make(first.kind == Token::Kind::kInteger ? Expression::Kind::kInteger
                         : first.kind == Token::Kind::kFloat ? Expression::Kind::kFloat
                                                             : Expression::Kind::kString,
                         first.text, first.begin);
        node.expression->is_single = first.kind == Token::Kind::kFloat && first.is_single;
        return node;
      }
      case Token::Kind::kWord: return read_word(depth);
      case Token::Kind::kSign:
        if (!is_sign("(")) break;
        advance();
        {
          Node inner = read_binary(kOr, depth + 1);
          expect(")", first);
          return inner;
        }
      case Token::Kind::kEnd: break;
    }
    refuse_missing_value();
  }

  [[noreturn]] void refuse_missing_value() const {
    if (is_at_end()) {
      if (value_.text.find_first_not_of(" \t\r\n") == std::string::npos) {
        refuse("42601", "an expression belongs here", value_.span);
      }
      const SourceSpan before = value_.span_of(previous_end_ - 1, 1);
      refuse("42601", "a value is missing at the end of the expression", before);
    }
    std::string hint;
    if (is_sign("*")) hint = "count() counts tuples: it takes nothing";
    if (is_sign(".")) hint = "numbers are written as 0.5";
    refuse("42601", fmt::format("a value belongs before {}", quoted(token_.text)), span_of(token_), std::move(hint));
  }

  /// @param opening  where what must end with `sign` began
  void expect(std::string_view sign, const Token& opening) {
    if (is_sign(sign)) return advance();
    if (is_at_end()) refuse("42601", fmt::format("'(' has no ')'"), span_of(opening));
    refuse_rest();
  }

  Node read_word(size_t depth) {
    const Token first = token_;
    advance();
    if (first.text == "true" || first.text == "false") return make(Expression::Kind::kBool, first.text, first.begin);
    if (first.text == "if") return read_if(first, depth);
    for (const std::string_view word : {"and", "or", "then", "else"}) {
      if (first.text != word) continue;
      refuse("42601", fmt::format("a value belongs before {}", quoted(word)), span_of(first));
    }
    const bool is_value_next = token_.kind == Token::Kind::kWord || token_.kind == Token::Kind::kString ||
                               token_.kind == Token::Kind::kInteger || token_.kind == Token::Kind::kFloat;
    if (is_value_next && first.text == "case") {
      refuse("0A000", "CASE is no expression of Borealis", span_of(first), "write if condition then a else b");
    }
    if (is_value_next && first.text == "distinct") {
      refuse("0A000", "DISTINCT is no word of Borealis", span_of(first), "write count_distinct(x)");
    }
    const bool is_type =
        first.text == "interval" || first.text == "timestamp" || first.text == "date" || first.text == "inet";
    if (is_type && token_.kind == Token::Kind::kString) {
      refuse("0A000", fmt::format("a value of type {} cannot be written in Borealis", first.text), span_of(first),
             "write the query in SQL, or a number");
    }
    if (first.text == "field" && is_sign("(")) {
      Node node = make(Expression::Kind::kField, {}, first.begin);
      node.expression->text = read_explicit_name();
      node.expression->span = span_since(first.begin);
      return node;
    }
    if (is_sign("(")) return read_call(first, depth);

    Node node = make(Expression::Kind::kField, first.text, first.begin);
    if (!is_sign(".")) return node;
    advance();
    const Token second = token_;
    if (second.kind != Token::Kind::kWord) {
      refuse("42601", "the name of a field belongs behind the point",
             second.kind == Token::Kind::kEnd ? span_since(first.begin) : span_of(second));
    }
    advance();
    node.expression->qualifier = first.text;
    node.expression->text = second.text == "field" && is_sign("(") ? read_explicit_name() : second.text;
    node.expression->span = span_since(first.begin);
    return node;
  }

  /// ("odd name") of field("odd name").
  std::string read_explicit_name() {
    const Token opening = token_;
    advance();
    const Token name = token_;
    if (name.kind != Token::Kind::kString || name.text.empty()) {
      refuse("42601", "a name in quotes belongs here",
             name.kind == Token::Kind::kEnd ? span_of(opening) : span_of(name), "write field(\"name\")");
    }
    advance();
    expect(")", opening);
    return lower_case(name.text);
  }

  Node read_if(const Token& first, size_t depth) {
    std::vector<Node> parts;
    parts.push_back(read_binary(kOr, depth + 1));
    for (const std::string_view word : {"then", "else"}) {
      if (!is_word(word)) {
        if (!is_at_end() && !is_sign(")") && !is_sign(",") && !is_word("then") && !is_word("else")) refuse_rest();
        refuse("42601", fmt::format("the {} of this if is missing", quoted(word)), span_of(first),
               "write if condition then a else b");
      }
      advance();
      parts.push_back(read_binary(kOr, depth + 1));
    }
    Node node = make(Expression::Kind::kIf, {}, first.begin);
    for (Node& part : parts) adopt(node, std::move(part));
    return node;
  }

  Node read_call(const Token& name, size_t depth) {
    const Token opening = token_;
    advance();
    std::vector<Node> args;
    if (!is_sign(")")) {
      args.push_back(read_binary(kOr, depth + 1));
      while (is_sign(",")) {
        advance();
        args.push_back(read_binary(kOr, depth + 1));
      }
    }
    expect(")", opening);
    Node node = make(Expression::Kind::kCall, name.text, name.begin);
    for (Node& arg : args) adopt(node, std::move(arg));
    return node;
  }

  /// Of a token that cannot stand behind a whole value.
  [[noreturn]] void refuse_rest() {
    const Token token = token_;
    const SourceSpan span = span_of(token);
    if (token.kind == Token::Kind::kWord) {
      if (is_word("not")) advance();  // x NOT IN (...)
      for (const ForeignWord& foreign : kForeignOperators) {
        if (!is_word(foreign.word)) continue;
        refuse("0A000", fmt::format("{} is no operator of Borealis", quoted(token_.text)), span_of(token_),
               std::string(foreign.hint));
      }
    }
    if (token.kind == Token::Kind::kSign) {
      std::string hint;
      if (token.text == ")") hint = "no '(' is open";
      if (token.text == ".") hint = "a name has at most two parts: stream.field";
      if (token.text == "!") hint = "write != between two values";
      refuse("42601", fmt::format("{} is not expected here", quoted(token.text)), span, std::move(hint));
    }
    refuse("42601", fmt::format("an operator belongs before {}", quoted(value_.text.substr(token.begin, token.length))),
           span);
  }

  const Value& value_;
  Lexer lexer_;
  Token token_;
  size_t previous_end_ = 0;  ///< of the token before token_
};

constexpr std::array<std::string_view, 8> kAggregates = {"count", "sum",      "avg",     "min",
                                                         "max",   "firstval", "lastval", "count_distinct"};

void check_aggregate(const Expression& call) {
  if (call.kind != Expression::Kind::kCall) {
    refuse("42601", "one call of an aggregate function belongs here", call.span,
           "write count() or sum(field), and compute with its result in a map box");
  }
  if (std::find(kAggregates.begin(), kAggregates.end(), call.text) == kAggregates.end()) {
    const std::string_view nearest = base::nearest_name(call.text, {kAggregates.begin(), kAggregates.end()});
    refuse("42883", fmt::format("{} is no aggregate function", quoted(call.text)), call.span,
           nearest.empty() ? fmt::format("there are {}", listed(kAggregates)) : did_you_mean(nearest));
  }
  const size_t expected = call.text == "count" ? 0 : 1;
  if (call.args.size() == expected) return;
  if (expected == 0) {
    refuse("42883", "count() takes nothing: it counts tuples", call.args[0]->span, "count_distinct(x) counts values");
  }
  refuse("42883", fmt::format("{}() takes one value", call.text), call.args.empty() ? call.span : call.args[1]->span);
}

/// Calls `read`, and gives what it refuses as an error.
template <typename Read>
auto result_of(Read read) -> Result<decltype(read())> {
  try {
    return read();
  } catch (Refused& refused) {
    return tl::unexpected<base::Diagnostic>(std::move(refused.diagnostic));
  }
}

}  // namespace

Result<ExpressionPtr> read_expression(const Value& value) {
  return result_of([&] { return ExpressionReader(value).read_whole(); });
}

Result<ExpressionPtr> read_aggregate(const Value& value) {
  return result_of([&] {
    ExpressionPtr call = ExpressionReader(value).read_whole();
    check_aggregate(*call);
    return call;
  });
}

Result<std::vector<ExpressionPtr>> read_fields(const Value& value) {
  return result_of([&] { return ExpressionReader(value).read_names(); });
}

}  // namespace backstream::borealis
