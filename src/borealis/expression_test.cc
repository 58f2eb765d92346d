#include "borealis/expression.h"

#include <gtest/gtest.h>

#include <numeric>

#include "borealis/refusal_test.h"

namespace backstream::borealis {
namespace {

Value value_of(std::string_view text) {
  Value value;
  value.text = text;
  value.span = {0, static_cast<uint32_t>(text.size())};
  value.places.resize(text.size() + 1);
  std::iota(value.places.begin(), value.places.end(), 0U);
  return value;
}

/// As in Lisp: (+ a 1).
std::string print(const Expression& expression) {
  std::string args;
  for (const ExpressionPtr& arg : expression.args) args += " " + print(*arg);
  const std::string& text = expression.text;
  switch (expression.kind) {
    case Expression::Kind::kInteger:
    case Expression::Kind::kBool: return text;
    case Expression::Kind::kFloat: return text + (expression.is_single ? "f" : "d");
    case Expression::Kind::kString: return "'" + text + "'";
    case Expression::Kind::kField: return expression.qualifier.empty() ? text : expression.qualifier + "." + text;
    case Expression::Kind::kUnary:
    case Expression::Kind::kBinary: return "(" + text + args + ")";
    case Expression::Kind::kIf: return "(if" + args + ")";
    case Expression::Kind::kCall: return "(call " + text + args + ")";
  }
  return "?";
}

std::string read(std::string_view text) {
  const auto expression = read_expression(value_of(text));
  return expression ? print(**expression) : expression.error().message;
}

TEST(BorealisExpression, ValuesAreReadAsWritten) {
  EXPECT_EQ(read("9223372036854775807"), "9223372036854775807");
  EXPECT_EQ(read("007"), "007");
  EXPECT_EQ(read("1.5"), "1.5f");
  EXPECT_EQ(read("1.5f"), "1.5f");
  EXPECT_EQ(read("1.5D"), "1.5d");
  EXPECT_EQ(read("2."), "2.f");
  EXPECT_EQ(read("2.d"), "2.d");
  EXPECT_EQ(read("'It''"), "the quote that ends this string is missing");
  EXPECT_EQ(read("\"It's Ok\""), "'It's Ok'");
  EXPECT_EQ(read("'say \"x\"'"), "'say \"x\"'");
  EXPECT_EQ(read("'\\n'"), "'\\n'");  // There are no escapes.
  EXPECT_EQ(read("''"), "''");
  EXPECT_EQ(read("'Zürich'"), "'Zürich'");
  EXPECT_EQ(read("TRUE"), "true");
  EXPECT_EQ(read("False"), "false");
}

TEST(BorealisExpression, NamesAreInLowerCase) {
  EXPECT_EQ(read("Src_AS"), "src_as");
  EXPECT_EQ(read("Left.Src_AS"), "left.src_as");
  EXPECT_EQ(read("right . x"), "right.x");
  EXPECT_EQ(read("field(\"Odd Name\")"), "odd name");
  EXPECT_EQ(read("Packets.FIELD ( 'Odd Name' )"), "packets.odd name");
  EXPECT_EQ(read("field"), "field");  // A name, unless a parenthesis follows.
  EXPECT_EQ(read("Strlen(Name)"), "(call strlen name)");
  EXPECT_EQ(read("min(a, 2, b+1)"), "(call min a 2 (+ b 1))");
  EXPECT_EQ(read("now()"), "(call now)");
}

TEST(BorealisExpression, OperatorsBindAsInTheGrammar) {
  EXPECT_EQ(read("a or b and c"), "(or a (and b c))");
  EXPECT_EQ(read("a and b or c"), "(or (and a b) c)");
  EXPECT_EQ(read("a AND b && c"), "(and (and a b) c)");
  EXPECT_EQ(read("a || b OR c"), "(or (or a b) c)");
  // != is looser than =, and both are looser than the others.
  EXPECT_EQ(read("a = b != c == d"), "(!= (= a b) (= c d))");
  EXPECT_EQ(read("a < b = c >= d"), "(= (< a b) (>= c d))");
  EXPECT_EQ(read("a < b <= c"), "(<= (< a b) c)");
  EXPECT_EQ(read("a > b + c"), "(> a (+ b c))");
  EXPECT_EQ(read("a - b - c + d"), "(+ (- (- a b) c) d)");
  EXPECT_EQ(read("a + b * c % d / e"), "(+ a (/ (% (* b c) d) e))");
  EXPECT_EQ(read("(a + b) * c"), "(* (+ a b) c)");
  EXPECT_EQ(read("-a * +b"), "(* (- a) (+ b))");
  EXPECT_EQ(read("- - a"), "(- (- a))");
  EXPECT_EQ(read("not a = b"), "(= (not a) b)");
  EXPECT_EQ(read("!a and not not b"), "(and (not a) (not (not b)))");
  EXPECT_EQ(read("a<-b"), "(< a (- b))");
  EXPECT_EQ(read("a=-1"), "(= a (- 1))");
}

TEST(BorealisExpression, IfReachesAsFarAsItCan) {
  EXPECT_EQ(read("if a > 0 then b else c"), "(if (> a 0) b c)");
  EXPECT_EQ(read("IF a THEN b ELSE c + d"), "(if a b (+ c d))");
  EXPECT_EQ(read("1 + if a then b else c or d"), "(+ 1 (if a b (or c d)))");
  EXPECT_EQ(read("if a then if b then 1 else 2 else 3"), "(if a (if b 1 2) 3)");
  EXPECT_EQ(read("(if a then b else c) + d"), "(+ (if a b c) d)");
  EXPECT_EQ(read("f(if a then b else c, d)"), "(call f (if a b c) d)");
}

TEST(BorealisExpression, SpansAreThoseOfTheText) {
  const std::string text = " (a + bb) * f( c.d ) ";
  const auto expression = read_expression(value_of(text));
  ASSERT_TRUE(expression.has_value());
  const auto of = [&](const Expression& e) { return text.substr(e.span.offset_octets, e.span.length_octets); };
  const Expression& whole = **expression;
  EXPECT_EQ(of(whole), "(a + bb) * f( c.d )");
  EXPECT_EQ(of(*whole.args[0]), "a + bb");
  EXPECT_EQ(of(*whole.args[0]->args[1]), "bb");
  EXPECT_EQ(of(*whole.args[1]), "f( c.d )");
  EXPECT_EQ(of(*whole.args[1]->args[0]), "c.d");

  const std::string row = "a = 1 or b = 2 or c = 3";
  const auto condition = read_expression(value_of(row));
  ASSERT_TRUE(condition.has_value());
  const SourceSpan first = (*condition)->args[0]->span;
  EXPECT_EQ(row.substr(first.offset_octets, first.length_octets), "a = 1 or b = 2");
  EXPECT_EQ((*condition)->span, (SourceSpan{0, static_cast<uint32_t>(row.size())}));
}

TEST(BorealisExpression, SpansArePlacesInTheDocument) {
  const Refusal refusal{R"(<a v="x &lt; 5 &amp;&amp; y «&lt;&gt;» 3"/>)", "0A000", "'<>' is no operator of Borealis",
                        "write !="};
  const auto document = read_document(marked(refusal.text).text);
  ASSERT_TRUE(document.has_value()) << document.error().message;
  expect_refused(read_expression(document->root.attributes[0].value), refusal);
}

TEST(BorealisExpression, MistakesAreLocated) {
  const Refusal refusals[] = {
      {"«»", "42601", "an expression belongs here"},
      {"«  »", "42601", "an expression belongs here"},
      {"a «+»", "42601", "a value is missing at the end of the expression"},
      {"a + «*» b", "42601", "a value belongs before '*'", "count() counts tuples: it takes nothing"},
      {"a + «.»5", "42601", "a value belongs before '.'", "numbers are written as 0.5"},
      {"a > «and» b", "42601", "a value belongs before 'and'"},
      {"«(»a + b", "42601", "'(' has no ')'"},
      {"f«(»a, b", "42601", "'(' has no ')'"},
      {"(a + b)«)»", "42601", "')' is not expected here", "no '(' is open"},
      {"a«,» b", "42601", "',' is not expected here"},
      {"a.b«.»c", "42601", "'.' is not expected here", "a name has at most two parts: stream.field"},
      {"a «!» b", "42601", "'!' is not expected here", "write != between two values"},
      {"«a.»", "42601", "the name of a field belongs behind the point"},
      {"a.«5»", "42601", "the name of a field belongs behind the point"},
      {"a «b»", "42601", "an operator belongs before 'b'"},
      {"a «5»", "42601", "an operator belongs before '5'"},
      {"(a «'x'»)", "42601", "an operator belongs before ''x''"},
      {"«'abc + 1»", "42601", "the quote that ends this string is missing",
       "a string that holds a quote stands between the other kind: \"it's\""},
      {"field(«x»)", "42601", "a name in quotes belongs here", "write field(\"name\")"},
      {"field(«''»)", "42601", "a name in quotes belongs here", "write field(\"name\")"},
      {"field«(»", "42601", "a name in quotes belongs here", "write field(\"name\")"},
      {"field(\"x\" «,» 2)", "42601", "',' is not expected here"},
      {"«if» a else b", "42601", "the 'then' of this if is missing", "write if condition then a else b"},
      {"«if» a then b", "42601", "the 'else' of this if is missing", "write if condition then a else b"},
      {"if a «5» then b else c", "42601", "an operator belongs before '5'"},
      {"«then» a", "42601", "a value belongs before 'then'"},
      {"«9223372036854775808»", "22003", "the number '9223372036854775808' is too large",
       "an integer is at most 9223372036854775807; one with a point, such as 1.0d, is a real number"},
      {"a + «0x1F»", "42601", "'0x1F' is no number", "numbers are written in decimal"},
      {"«1e5»", "42601", "'1e5' is no number", "numbers are written as 1500, 1.5 or 1.5d"},
      {"«5f»", "42601", "'5f' is no number", "numbers are written as 1500, 1.5 or 1.5d"},
      {"«1.5fx»", "42601", "'1.5fx' is no number", "numbers are written as 1500, 1.5 or 1.5d"},
      {"a «§» b", "42601", "'§' has no meaning in an expression"},
      {"a = «‘»x’", "42601", "'‘' has no meaning in an expression", "write a plain '"},
      {"a = «“»x”", "42601", "'“' has no meaning in an expression", "write a plain '"},
      {"a«;»b", "42601", "';' has no meaning in an expression"},
  };
  for (const Refusal& refusal : refusals) {
    expect_refused(read_expression(value_of(marked(refusal.text).text)), refusal);
  }
}

TEST(BorealisExpression, WordsAndSignsOfSqlAreRefusedWithOurs) {
  const Refusal refusals[] = {
      {"a «between» 1 and 2", "0A000", "'between' is no operator of Borealis", "write x >= low and x <= high"},
      {"a not «BETWEEN» 1 and 2", "0A000", "'between' is no operator of Borealis", "write x >= low and x <= high"},
      {"a «In» (1, 2)", "0A000", "'in' is no operator of Borealis", "write x = 1 or x = 2"},
      {"a not «in» (1, 2)", "0A000", "'in' is no operator of Borealis", "write x = 1 or x = 2"},
      {"a «like» 'x%'", "0A000", "'like' is no operator of Borealis", "write the query in SQL, which has LIKE"},
      {"a «is» null", "0A000", "'is' is no operator of Borealis",
       "Borealis knows no null: write the query in SQL, which has IS NULL"},
      {"«case» when a then 1 else 2 end", "0A000", "CASE is no expression of Borealis",
       "write if condition then a else b"},
      {"count(«distinct» a)", "0A000", "DISTINCT is no word of Borealis", "write count_distinct(x)"},
      {"cast(a «as» int)", "0A000", "'as' is no operator of Borealis",
       "the name of a field is a parameter of its own, output-field-name"},
      {"a«::»int", "0A000", "'::' is no operator of Borealis",
       "a type is a function: int(x), long(x), short(x), byte(x)"},
      {"a «<>» 1", "0A000", "'<>' is no operator of Borealis", "write !="},
      {"src_ip «<<» '10.0.0.0/8'", "0A000", "'<<' is no operator of Borealis",
       "write the query in SQL, which has bits and addresses inside a prefix (<<)"},
      {"tcp_flags «&» 2", "0A000", "'&' is no operator of Borealis",
       "write the query in SQL, which has & for bits; for a condition write and"},
      {"a «|» 2", "0A000", "'|' is no operator of Borealis",
       "write the query in SQL, which has | for bits; for a condition write or"},
      {"a «**» 2", "0A000", "'**' is no operator of Borealis", "write pow(x, y)"},
      {"a «^» 2", "0A000", "'^' is no operator of Borealis", "write pow(x, y)"},
      {"a«->»b", "0A000", "'->' is no operator of Borealis", "arrays are not supported"},
      {"a«[»0]", "0A000", "'[' is no operator of Borealis", "arrays are not supported"},
      {"time > «timestamp» '2024-01-01'", "0A000", "a value of type timestamp cannot be written in Borealis",
       "write the query in SQL, or a number"},
  };
  for (const Refusal& refusal : refusals) {
    expect_refused(read_expression(value_of(marked(refusal.text).text)), refusal);
  }
}

std::string repeated(size_t count, std::string_view text) {
  std::string all;
  for (size_t i = 0; i < count; ++i) all += text;
  return all;
}

size_t depth_of(const Expression& expression) {
  size_t depth = 0;
  for (const ExpressionPtr& arg : expression.args) depth = std::max(depth, depth_of(*arg));
  return depth + 1;
}

TEST(BorealisExpression, DepthIsBounded) {
  EXPECT_EQ(read(repeated(kExpressionDepthMax - 1, "(") + "a" + repeated(kExpressionDepthMax - 1, ")")), "a");
  const std::string too_deep = "the expression is nested more than 100 deep";
  EXPECT_EQ(read(repeated(kExpressionDepthMax, "(") + "a" + repeated(kExpressionDepthMax, ")")), too_deep);
  EXPECT_EQ(read(repeated(16'000, "(")), too_deep);
  EXPECT_EQ(read(repeated(16'000, "-")), too_deep);
  EXPECT_EQ(read(repeated(3'000, "not ")), too_deep);
  EXPECT_EQ(read(repeated(900, "if a then 1 else ")), too_deep);
  EXPECT_EQ(read(repeated(5'000, "f(")), too_deep);
  EXPECT_EQ(read("a" + repeated(100, "+a")), too_deep);
  const auto sum = read_expression(value_of("a" + repeated(99, "+a")));
  ASSERT_TRUE(sum.has_value());
  EXPECT_EQ(depth_of(**sum), 100U);
  const auto error = read_expression(value_of(repeated(101, "(") + "a"));
  ASSERT_FALSE(error.has_value());
  EXPECT_EQ(error.error().code, "54001");
  EXPECT_EQ(error.error().span, (SourceSpan{100, 1}));
}

TEST(BorealisExpression, RowsOfConditionsAreFlat) {
  for (const std::string operation : {" or ", " and "}) {
    const auto row = read_expression(value_of("p=1" + repeated(2'000, operation + "p=2")));
    ASSERT_TRUE(row.has_value()) << row.error().message;
    EXPECT_EQ(depth_of(**row), 13U);  // 2^11 > 2000, and "p=2" itself.
  }
}

TEST(BorealisExpression, LengthIsBounded) {
  const std::string blanks(kExpressionOctetsMax - 1, ' ');
  EXPECT_EQ(read(blanks + "a"), "a");
  const auto error = read_expression(value_of(blanks + " a"));
  ASSERT_FALSE(error.has_value());
  EXPECT_EQ(error.error().code, "54000");
  EXPECT_EQ(error.error().message, "an expression has at most 16384 octets");
}

TEST(BorealisAggregate, IsOneCallOfAKnownFunction) {
  for (const std::string_view call : {"count()", "sum(a)", "avg(a + b)", "min(a)", "max(a)", "firstval(a)",
                                      "lastval(a)", "count_distinct(src_ip)", "Sum(a)"}) {
    EXPECT_TRUE(read_aggregate(value_of(call)).has_value()) << call;
  }
  const Refusal refusals[] = {
      {"«a + sum(b)»", "42601", "one call of an aggregate function belongs here",
       "write count() or sum(field), and compute with its result in a map box"},
      {"«sum»", "42601", "one call of an aggregate function belongs here",
       "write count() or sum(field), and compute with its result in a map box"},
      {"«summ(a)»", "42883", "'summ' is no aggregate function", "did you mean 'sum'?"},
      {"«percentile(a)»", "42883", "'percentile' is no aggregate function",
       "there are count, sum, avg, min, max, firstval, lastval, count_distinct"},
      {"count(«a»)", "42883", "count() takes nothing: it counts tuples", "count_distinct(x) counts values"},
      {"count(«*»)", "42601", "a value belongs before '*'", "count() counts tuples: it takes nothing"},
      {"«avg()»", "42883", "avg() takes one value"},
      {"max(a, «b + 1»)", "42883", "max() takes one value"},
      {"sum(a) «b»", "42601", "an operator belongs before 'b'"},
  };
  for (const Refusal& refusal : refusals) {
    expect_refused(read_aggregate(value_of(marked(refusal.text).text)), refusal);
  }
}

TEST(BorealisFields, AreNamesWithCommasBetween) {
  const auto fields = read_fields(value_of("Src_AS, flows.dst_as ,field('odd, name')"));
  ASSERT_TRUE(fields.has_value()) << fields.error().message;
  ASSERT_EQ(fields->size(), 3U);
  EXPECT_EQ(print(*(*fields)[0]), "src_as");
  EXPECT_EQ(print(*(*fields)[1]), "flows.dst_as");
  EXPECT_EQ(print(*(*fields)[2]), "odd, name");
  EXPECT_EQ((*fields)[1]->span, (SourceSpan{8, 12}));
  for (const std::string_view none : {"", "  "}) {
    const auto empty = read_fields(value_of(none));
    ASSERT_TRUE(empty.has_value());
    EXPECT_TRUE(empty->empty());
  }
  const std::string_view hint = "compute a value in a map box before this one";
  const Refusal refusals[] = {
      {"a, «a + b»", "42601", "the name of a field belongs here", hint},
      {"«f(a)»", "42601", "the name of a field belongs here", hint},
      {"«5»", "42601", "the name of a field belongs here", hint},
      {"a,«»", "42601", "the name of a field belongs here", hint},
      {"a, «,»b", "42601", "the name of a field belongs here", hint},
      {"a «b»", "42601", "a comma belongs before the next name"},
      {"a «;»", "42601", "';' has no meaning in an expression"},
  };
  for (const Refusal& refusal : refusals) {
    expect_refused(read_fields(value_of(marked(refusal.text).text)), refusal);
  }
}

}  // namespace
}  // namespace backstream::borealis
