#include "sql/parse.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "sql/plan_text_test.h"

namespace backstream::sql {
namespace {

/// The printed statements, joined by "; ", or the error as "code line:column message".
std::string lowered(std::string_view text) {
  const auto statements = parse(text, "-e");
  if (!statements) {
    const base::Diagnostic& error = statements.error();
    return error.code + " " + std::to_string(error.line) + ":" + std::to_string(error.column) + " " + error.message;
  }
  std::string out;
  for (const plan::UnboundStatement& statement : *statements) out += (out.empty() ? "" : "; ") + print(statement);
  return out;
}

base::Diagnostic error_of(std::string_view text) {
  auto statements = parse(text, "-e");
  EXPECT_FALSE(statements.has_value()) << text;
  return statements ? base::Diagnostic{} : statements.error();
}

std::string_view piece(std::string_view text, base::SourceSpan span) {
  return text.substr(span.offset_octets, span.length_octets);
}

std::string repeat(std::string_view what, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += what;
  return out;
}

// --- lowering
// ---------------------------------------------------------------------------------------------------------

TEST(Lowering, TrafficMatrix) {
  EXPECT_EQ(lowered("CREATE MATERIALIZED VIEW traffic_matrix WITH (allowed_lateness = '60 s') AS\n"
                    "SELECT window_start, src_as, dst_as, sum(octets) AS octets\n"
                    "FROM tumble(flows, time, interval '300 s') GROUP BY window_start, src_as, dst_as;"),
            "matview traffic_matrix with allowed_lateness='60 s': select window_start, src_as, dst_as, "
            "sum(octets) as octets from tumble(flows, time, '300 s'::interval) group by window_start, src_as, dst_as");
}

struct Case {
  const char *text, *printed;
};

TEST(Lowering, Expressions) {
  const Case cases[] = {
      {"f.a as x, \"F\".*, *", "f.a as x, F.*, *"},
      {"Foo, \"Foo\"", "foo, Foo"},
      {"null, true, false, 'it''s', E'a\\tb', $$x$$", "null, true, false, 'it's', 'a\tb', 'x'"},
      {"1, -1, - 1.5, -(3), - -4, 3000000000, .5, 1e3, 1.", "1, -1, -1.5f, -3, 4, 3000000000, .5f, 1e3f, 1.f"},
      {"9223372036854775808", "9223372036854775808"},
      {"interval '5 min', interval '5' minute, interval '-2' hour",
       "'5 min'::interval, '5 minute'::interval, '-2 hour'::interval"},
      {"'1'::inet, inet '1.2.3.4', cast(a as int8)", "'1'::inet, '1.2.3.4'::inet, a::bigint"},
      {"a::double precision, a::timestamptz, a::int4[]",
       "a::double precision, a::timestamp with time zone, a::integer[]"},
      {"a + b * c % 2, (a + b) * c, ~a, -a, a << 2", "(+ a (% (* b c) 2)), (* (+ a b) c), (~ a), (- a), (<< a 2)"},
      {"a <> 1, a != 1, a <<= b, a || b", "(<> a 1), (<> a 1), (<<= a b), (|| a b)"},
      {"a and b and c or not d", "(or (and a b c) (not d))"},
      {"a between 1 and 2, a not between symmetric b and c", "(between a 1 2), (!between:symmetric a b c)"},
      {"a in (1, 2), a not in ('x')", "(in a 1 2), (!in a 'x')"},
      {"a = any(array[1,2]), a <<= all (array['a'])", "(any:= a 1 2), (all:<<= a 'a')"},
      {"a like 'x' escape 'y', a not ilike 'b'", "(like a 'x' 'y'), (!ilike a 'b')"},
      {"a is null, a is not null, a isnull", "(is-null a), (!is-null a), (is-null a)"},
      {"a is true, a is not false, a is unknown", "(is:true a), (!is:false a), (is:unknown a)"},
      {"a is distinct from b, a is not distinct from b", "(distinct-from a b), (!distinct-from a b)"},
      {"a at time zone 'utc'", "(at-time-zone a 'utc')"},
      {"case when a then 1 end, case x when 1 then 'a' else 'c' end", "(case - a 1 -), (case x 1 'a' 'c')"},
      {"coalesce(a,b), nullif(a,b), greatest(a,b), least(a,1)",
       "(coalesce a b), (nullif a b), (greatest a b), (least a 1)"},
      {"extract(year from a), date_trunc('hour', a)", "extract('year', a), date_trunc('hour', a)"},
      {"substring(a from 1 for 2), position('a' in b), trim(a)", "substring(a, 1, 2), position(b, 'a'), btrim(a)"},
      {"count(*), count(distinct x), COUNT(a) filter (where b = 0)",
       "count(*), count(distinct x), count(a) filter (= b 0)"},
      {"string_agg(a, ',' order by b desc nulls last)", "string_agg(a, ',' order: b desc nulls last)"},
      {"percentile_cont(0.5) within group (order by a)", "percentile_cont(0.5f within: a)"},
      {"lag(a, 1) over (partition by b order by c rows between 1 preceding and current row)",
       "lag(a, 1) over(b; c; rows between 1 preceding and current row)"},
      {"current_timestamp, current_date, now()", "current_timestamp(), current_date(), now()"},
      {"exists (select 1), (select max(x) from t)", "(query:exists select 1), (query select max(x) from t)"},
      {"a in (select b from c), a not in (select 1)", "(query:in a select b from c), (not (query:in a select 1))"},
      {"topk(3, key => src_as, weight := octets)", "topk(3, key=>src_as, weight=>octets)"},
  };
  for (const Case& one : cases)
    EXPECT_EQ(lowered(std::string("SELECT ").append(one.text)), std::string("select ").append(one.printed));
}

TEST(Lowering, SelectClauses) {
  const Case cases[] = {
      {"select distinct a, b from t where c group by 1, a + b having d order by 1 nulls first, a desc limit 10 offset "
       "2",
       "select distinct a, b from t where c group by 1, (+ a b) having d order by 1 nulls first, a desc limit 10 "
       "offset 2"},
      {"select distinct on (a, b) a from t", "select distinct on (a, b) a from t"},
      {"select 1 limit all", "select 1"},
      {"select 1 order by 1 fetch first 3 rows with ties", "select 1 order by 1 limit 3 with ties"},
      {"with x(a) as (select 1), y as materialized (select 2) select a from x",
       "with x(a): {select 1} with y(): {select 2} select a from x"},
      {"select 1 union all select 2 union select 3", "{{select 1} union all {select 2}} union {select 3}"},
      {"(select 1) intersect (select 2 except all select 3) order by 1",
       "{select 1} intersect {{select 2} except all {select 3}} order by 1"},
      {"select sum(a) over w from t window w as (partition by b order by c range unbounded preceding)",
       "select sum(a) over(b; c; range between unbounded preceding and current row) from t"},
      {"select sum(a) over (order by c range between '1 h' preceding and 1 following exclude ties), "
       "sum(a) over (rows between unbounded preceding and unbounded following), sum(a) over (groups 2 preceding) "
       "from t",
       "select sum(a) over(; c; range between '1 h' preceding and 1 following exclude), "
       "sum(a) over(; ; rows between unbounded preceding and unbounded following), "
       "sum(a) over(; ; groups between 2 preceding and current row) from t"},
  };
  for (const Case& one : cases) EXPECT_EQ(lowered(one.text), one.printed);
}

TEST(Lowering, From) {
  const Case cases[] = {
      {"t, u as v, w x(a, b)", "t, u as v, w as x(a, b)"},
      {"tumble(flows, time, interval '5 min', \"offset\" => interval '1 s') as f(a,b)",
       "tumble(flows, time, '5 min'::interval, offset=>'1 s'::interval) as f(a, b)"},
      {"hop(flows, time, '1 min', '5 min') h", "hop(flows, time, '1 min', '5 min') as h"},
      {"session(flows, time, '1 min', partition_by => (a, b))",
       "session(flows, time, '1 min', partition_by=>a, partition_by=>b)"},
      {"tumble((select * from flows where a = 1), time, '1 min')",
       "tumble((query select * from flows where (= a 1)), time, '1 min')"},
      {"a cross join b", "[a cross b]"},
      {"a join b on a.x = b.x", "[a inner b on (= a.x b.x)]"},
      {"a left join lpm(rib, a.ip) r on true", "[a left lpm(rib, a.ip) as r on true]"},
      {"x right join y using (a, b) full join z on c", "[[x right y using a, b] full z on c]"},
      {"(select 1) q, lateral (select a from b) r", "{select 1} as q, lateral {select a from b} as r"},
      {"((select a from b) union all (select c from d)) t(x)",
       "{{select a from b} union all {select c from d}} as t(x)"},
      {"(with z as (select 1 as o) select o from z) u", "{with z(): {select 1 as o} select o from z} as u"},
  };
  for (const Case& one : cases)
    EXPECT_EQ(lowered(std::string("SELECT 1 FROM ").append(one.text)),
              std::string("select 1 from ").append(one.printed));
}

TEST(Lowering, Statements) {
  const Case cases[] = {
      {"", ""},
      {" ;; -- nothing\n", ""},
      {"create materialized view if not exists v (x, y) with (emit='on_close', n=5, m=-7, z=0, f=1.5, flag, word=bare, "
       "alert.for='3', \"filter.ams\"='c', t=true) as select 1 with no data",
       "matview v if no-data (x, y) with emit='on_close', n='5', m='-7', z='0', f='1.5', flag, word='bare', "
       "alert.for='3', filter.ams='c', t='true': select 1"},
      {"create or replace view v (a) as select 1", "view v replace (a): select 1"},
      {"create foreign table if not exists f (a timestamptz options (x 'y'), b double precision, c bigint null) server "
       "s "
       "options (o 'p', q 'r')",
       "foreign table f server s if [a timestamp with time zone x='y'] [b double precision] [c bigint] with o='p', "
       "q='r'"},
      {"drop materialized view v; drop view if exists a, b; drop foreign table f; drop table if exists t",
       "drop materialized view v; drop view a if; drop view b if; drop foreign table f; drop table t if"},
      {"create table if not exists t (asn bigint primary key, name text) with (file = 'x.csv', refresh = '60 s')",
       "table t key asn if [asn bigint] [name text] with file='x.csv', refresh='60 s'"},
      {"create table t (a int, b text, constraint k primary key (b, a))", "table t key b key a [a integer] [b text]"},
      {"insert into t (b, a) values (1, default), (-2, 'x')", "insert t b a (1, (default)) (-2, 'x')"},
      {"update t as x set a = a + 1, b = default where x.c in (1, 2)",
       "update t a := (+ a 1) b := (default) as x where (in x.c 1 2)"},
      {"delete from t; delete from t where a is null", "delete t; delete t where (is-null a)"},
      {"truncate a, b", "truncate a; truncate b"},
      {"alter materialized view v set (a = 'x', b.c = 2); alter materialized view if exists v reset (a)",
       "alter v with a='x', b.c='2'; reset v if with a"},
      {"alter view v rename to w; alter materialized view v rename to \"W w\"",
       "rename view v to w; rename materialized view v to W w"},
      {"comment on column v.\"C\" is 'it''s'; comment on materialized view v is null; comment on table t is ''",
       "comment on column v.C is 'it's'; comment on materialized view v is null; comment on table t is ''"},
      {"explain select 1; explain (distributed, format json) create materialized view v as select 2",
       "explain() select 1; explain(distributed, format='json') matview v: select 2"},
      {"create publication p for table v; create publication \"P p\" for table v (a, \"B\") where (a > 1 and (b)) "
       "with (server = 'out', format = csv); drop publication if exists p, q",
       "publication p of v; publication P p of v a B with server='out', format='csv' where (and (> a 1) b); "
       "drop publication p if; drop publication q if"},
      {"\xef\xbb\xbfselect 1", "select 1"},
  };
  for (const Case& one : cases) EXPECT_EQ(lowered(one.text), one.printed);
}

TEST(Lowering, ReservedWordsAsColumnsBehindADotOrInQuotes) {
  EXPECT_EQ(lowered("SELECT f.offset, \"window\", time, session, port FROM f"),
            "select f.offset, window, time, session, port from f");
  EXPECT_EQ(lowered("SELECT stream AS x, stream FROM flows"), "select stream as x, stream from flows");
  EXPECT_EQ(lowered("SELECT a FROM t AS emit"), "select a from t as emit");
}

// --- places
// -----------------------------------------------------------------------------------------------------------

TEST(Places, OfExpressions) {
  for (const std::string_view wanted : {"a.b",
                                        "*",
                                        "f.*",
                                        "1",
                                        "-1",
                                        "- (3)",
                                        "'x'",
                                        "interval '5 min'",
                                        "interval '5' minute",
                                        "a::double precision",
                                        "(a)::int[]",
                                        "cast(a as int)",
                                        "a + b",
                                        "(a + b) * c",
                                        "not a",
                                        "a and (b or c)",
                                        "f(a, g(b))",
                                        "count(*)",
                                        "a in (1, 2)",
                                        "a not in (1, (2))",
                                        "a between 1 and 2",
                                        "a like 'b'",
                                        "a is not null",
                                        "a is distinct from b",
                                        "x isnull",
                                        "coalesce(a, b)",
                                        "nullif(a, b)",
                                        "greatest(a, b)",
                                        "case when a then case when b then 1 end end",
                                        "case when a then sum(b) filter (where case when c then d end) end",
                                        "a = any (array[1, 2])",
                                        "exists (select 1)",
                                        "a in (select b from c)",
                                        "(select 1)",
                                        "extract(year from a)",
                                        "a at time zone 'utc'",
                                        "current_date",
                                        "é",
                                        "\"é x\" + 1"}) {
    const bool star = wanted.ends_with('*');
    const std::string text = "SELECT 1, " + std::string(wanted) + (star ? " FROM t" : " AS k FROM t");
    auto statements = parse(text, "");
    ASSERT_TRUE(statements.has_value()) << statements.error().render();
    const plan::UnboundTarget& target = (*statements)[0].select->targets[1];
    EXPECT_EQ(piece(text, target.expr->span), wanted == "- (3)" ? "- (3" : wanted);
    EXPECT_EQ(piece(text, target.alias_span), star ? "" : "k") << wanted;
  }
}

TEST(Places, OfFromItemsAndQueries) {
  const std::string text =
      "WITH c AS (SELECT 1) SELECT a FROM tumble(f, time, '1 s') AS w, (SELECT b FROM c UNION SELECT 2) q(x), t JOIN u "
      "ON t.a = u.a";
  auto statements = parse(text, "");
  ASSERT_TRUE(statements.has_value()) << statements.error().render();
  const plan::UnboundSelect& select = *(*statements)[0].select;
  EXPECT_EQ(piece(text, select.ctes[0].span), "c");
  EXPECT_EQ(piece(text, select.ctes[0].select->span), "SELECT 1");
  EXPECT_EQ(piece(text, select.from[0]->span), "tumble(f, time, '1 s') AS w");
  EXPECT_EQ(piece(text, select.from[0]->name_span), "tumble");
  EXPECT_EQ(piece(text, select.from[1]->span), "(SELECT b FROM c UNION SELECT 2) q(x)");
  EXPECT_EQ(piece(text, select.from[1]->subquery->span), "SELECT b FROM c UNION SELECT 2");
  EXPECT_EQ(piece(text, select.from[1]->subquery->left->span), "SELECT b FROM c");
  EXPECT_EQ(piece(text, select.from[1]->subquery->right->span), "SELECT 2");
  EXPECT_EQ(piece(text, select.from[2]->span), "t JOIN u ON t.a = u.a");
  EXPECT_EQ(piece(text, select.from[2]->right->name_span), "u");
}

TEST(Places, OfStatementsNamesAndOptions) {
  const std::string text =
      "-- first\nSELECT 1 ; \n CREATE MATERIALIZED VIEW v WITH (a = 'b', n = -1) AS SELECT 2; DROP VIEW IF EXISTS x, y";
  auto statements = parse(text, "");
  ASSERT_TRUE(statements.has_value()) << statements.error().render();
  ASSERT_EQ(statements->size(), 4u);
  EXPECT_EQ(piece(text, (*statements)[0].span), "SELECT 1");
  EXPECT_EQ(piece(text, (*statements)[1].span), "CREATE MATERIALIZED VIEW v WITH (a = 'b', n = -1) AS SELECT 2");
  EXPECT_EQ(piece(text, (*statements)[1].name_span), "v");
  EXPECT_EQ(piece(text, (*statements)[1].options[0].span), "a = 'b'");
  EXPECT_EQ(piece(text, (*statements)[1].options[1].span), "n = -1");
  EXPECT_EQ(piece(text, (*statements)[1].select->span), "SELECT 2");
  EXPECT_EQ(piece(text, (*statements)[2].name_span), "x");
  EXPECT_EQ(piece(text, (*statements)[3].name_span), "y");
}

TEST(Places, OfWhatAnOptionsTextSays) {
  const std::string text =
      "CREATE MATERIALIZED VIEW v WITH (a = 'b''c', b = $x$d'e$x$, c = E'f\\'g', d = word, e = 'h'\n'i', "
      "\"filter.ams\" = "
      "'a = ''ä'' AND (b > 1)') AS SELECT 1";
  auto statements = parse(text, "");
  ASSERT_TRUE(statements.has_value()) << statements.error().render();
  const auto& options = statements->front().options;
  const auto in_text = [&](size_t option, uint32_t offset, uint32_t length) {
    return piece(text, options[option].span_of({offset, length}));
  };
  EXPECT_EQ(options[0].value, "b'c");
  EXPECT_EQ(in_text(0, 0, 1), "b");
  EXPECT_EQ(in_text(0, 2, 1), "c");
  EXPECT_EQ(in_text(0, 0, 3), "b''c");
  EXPECT_EQ(options[0].span_of({3, 0}).offset_octets, text.find("c', b") + 1) << "behind it";
  EXPECT_EQ(in_text(1, 1, 2), "'e");
  // Escapes, words and pieces: all of it.
  EXPECT_EQ(in_text(2, 0, 1), "c = E'f\\'g'");
  EXPECT_EQ(in_text(3, 0, 1), "d = word");
  EXPECT_EQ(in_text(4, 0, 1), "e = 'h'\n'i'");
  ASSERT_TRUE(options[5].condition);
  EXPECT_EQ(print(options[5].condition.get()), "(and (= a 'ä') (> b 1))");
  EXPECT_EQ(piece(text, options[5].span_of(options[5].condition->args[0]->span)), "a = ''ä''");
  EXPECT_EQ(piece(text, options[5].span_of(options[5].condition->args[1]->span)), "b > 1");
  for (size_t i = 0; i < 5; ++i) EXPECT_FALSE(options[i].condition);
}

TEST(Places, OfMistakesInAnOptionsCondition) {
  const auto of = [](const std::string& written) {
    return lowered("CREATE MATERIALIZED VIEW v\nWITH (\"filter.a\" = " + written + ") AS SELECT 1");
  };
  EXPECT_EQ(of("'a >'"), "42601 2:24 the statement ends too early");
  EXPECT_EQ(of("'a = ''x'' AND and'"), "42601 2:35 unexpected 'and'");
  EXPECT_EQ(of("$$a\n  == 1$$"), "42601 3:3 '==' is not an operator");
  EXPECT_EQ(of("'(a'"), "42601 2:21 this '(' is never closed");
  EXPECT_EQ(of("'a) OR (b'"), "42601 2:22 unexpected ')'");
  EXPECT_EQ(of("'a; SELECT 1'"), "42601 2:21 \"filter.a\" is one condition and nothing else");
  EXPECT_EQ(of("'a ORDER BY b'"), "42601 2:21 \"filter.a\" is one condition and nothing else");
  EXPECT_EQ(of("'a FROM t'"), "42601 2:23 unexpected 'FROM'");
  EXPECT_EQ(of("''"), "42601 2:21 \"filter.a\" is empty: a condition belongs there");
  EXPECT_EQ(of("'EXISTS (SELECT 1)'"), "0A000 2:21 a subquery in \"filter.a\" is not supported");
  EXPECT_EQ(of("E'a\\x20>'"), "42601 2:7 the statement ends too early");
  std::string nots = "'";
  for (int i = 0; i < 600; ++i) nots += "NOT ";
  EXPECT_EQ(of(nots + "a'").substr(0, 5), "54001");
}

TEST(Places, OfConditionsThatOptionsOfADiagramAre) {
  const std::string text = "filter.a='octets &gt; 5'";  // As a document has it: one octet stands for several.
  plan::UnboundOption option;
  option.name = "filter.a";
  option.value = "octets > 5";
  option.span = {0, static_cast<uint32_t>(text.size())};
  for (uint32_t i = 0; i <= option.value.size(); ++i) option.places.push_back(10 + i + (i > 7 ? 3 : 0));
  std::vector<plan::UnboundOption> options{option, option, option};
  options[1].name = "sites";
  ASSERT_TRUE(parse_conditions(options));
  ASSERT_TRUE(options[0].condition);
  EXPECT_EQ(print(options[0].condition.get()), "(> octets 5)");
  EXPECT_EQ(piece(text, options[0].span_of(options[0].condition->span)), "octets &gt; 5");
  EXPECT_FALSE(options[1].condition);
  options[2].value = "octets > )";
  const auto wrong = parse_conditions(options);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(piece(text, wrong.error().span), "5");
  options[2].value = std::string(size_t{65} << 10, ' ');
  EXPECT_EQ(parse_conditions(options).error().code, "54000");
}

TEST(Parse, ADiagramIsNoSql) {
  const auto error = error_of("\n  <borealis>" + repeat("<!-- long -->", 10'000) + "</borealis>");
  EXPECT_EQ(error.message, "this is XML, where SQL is expected");
  EXPECT_EQ(error.line, 2u);
  EXPECT_EQ(error.column, 3u);
  EXPECT_NE(error.hint.find("backstream query add NAME FILE.xml"), std::string::npos);
}

TEST(Places, OfPublications) {
  const std::string text =
      "CREATE PUBLICATION p FOR TABLE v (a, \"B b\")\n WHERE ( a > 1 AND (b) ) WITH (server = 'x')";
  const auto statements = parse(text, "t");
  ASSERT_TRUE(statements) << statements.error().render();
  const plan::UnboundStatement& p = statements->front();
  EXPECT_EQ(piece(text, p.name_span), "p");
  EXPECT_EQ(piece(text, p.relation.span), "v");
  EXPECT_EQ(piece(text, p.insert_columns.at(1).span), "\"B b\"");
  EXPECT_EQ(piece(text, p.condition_span), "a > 1 AND (b)");
  EXPECT_EQ(piece(text, p.options.at(0).span), "server = 'x'");
  EXPECT_EQ(lowered("CREATE PUBLICATION p"),
            "0A000 1:20 a publication of all tables, of several, or of none is not supported");
  EXPECT_EQ(lowered("CREATE PUBLICATION p FOR ALL TABLES").substr(0, 10), "0A000 1:20");
  EXPECT_EQ(lowered("CREATE PUBLICATION p FOR TABLE a, b").substr(0, 10), "0A000 1:20");
  EXPECT_EQ(lowered("CREATE PUBLICATION p FOR TABLES IN SCHEMA s"),
            "0A000 1:20 a publication of a schema is not supported");
  EXPECT_EQ(lowered("CREATE PUBLICATION p FOR TABLE s.v"), "0A000 1:32 a name with a schema is not supported");
  EXPECT_EQ(lowered("CREATE PUBLICATION p FOR TABLE v (a, a)"), "42701 1:38 the column 'a' is there twice");
  EXPECT_EQ(lowered("CREATE PUBLICATION p FOR TABLE v WITH (a = 1, a = 2)").substr(0, 5), "42601");
}

TEST(Places, ColumnsAreCountedInCharacters) {
  EXPECT_EQ(lowered("SELECT 'ä€😀',\n  é, ü FROM t WHERE é = 1 and and"), "42601 2:31 unexpected 'and'");
  EXPECT_EQ(lowered("SELECT 'é' == 1"), "42601 1:12 '==' is not an operator");
  const base::Diagnostic error = error_of("SELECT 1;\nSELECT 'é' FORM t;");
  EXPECT_EQ(error.line, 2u);
  EXPECT_EQ(error.excerpt, "SELECT 'é' FORM t;");
  EXPECT_EQ(error.source_name, "-e");
}

// --- limits
// -----------------------------------------------------------------------------------------------------------

TEST(Limits, TextOfMoreThan64KiBIsRefused) {
  const std::string blanks(65536 - 8, ' ');
  EXPECT_EQ(lowered("SELECT 1" + blanks), "select 1");
  EXPECT_EQ(error_of("SELECT 1 " + blanks).code, "54000");
}

TEST(Limits, OctetsThatAreNotText) {
  EXPECT_EQ(lowered(std::string_view("SELECT\n 1\0 2", 12)), "22021 2:3 the text holds an octet of zero");
  for (const std::string_view wrong :
       {"\xff", "\xc0\x80", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\xe2\x82", "\x80", "\xf0\x80\x80\x80"}) {
    const base::Diagnostic error = error_of("SELECT 'ab" + std::string(wrong) + "'");
    EXPECT_EQ(error.code, "22021");
    EXPECT_EQ(error.column, 11u);
  }
}

TEST(Limits, NamesOfMoreThan63OctetsAreRefused) {
  const std::string name(63, 'a');
  EXPECT_EQ(lowered("SELECT " + name), "select " + name);
  EXPECT_EQ(lowered("SELECT \"" + name + "\""), "select " + name);
  EXPECT_EQ(lowered("SELECT 1 AS " + name + "b"), "42622 1:13 this name is longer than 63 octets");
  EXPECT_EQ(lowered("SELECT \"" + name + "b\""), "42622 1:8 this name is longer than 63 octets");
}

TEST(Limits, DeepNestingIsAnErrorNotACrash) {
  EXPECT_EQ(error_of("SELECT " + repeat("(", 10000) + "1" + repeat(")", 10000)).code, "54001");
  EXPECT_EQ(error_of("SELECT " + repeat("f(", 10000) + "1" + repeat(")", 10000)).code, "54001");
  EXPECT_EQ(error_of("SELECT " + repeat("NOT ", 16000) + "a").code, "54001");
  EXPECT_EQ(error_of("SELECT 1" + repeat("+1", 32000)).code, "54001");
  EXPECT_EQ(error_of("SELECT 1" + repeat(" UNION ALL SELECT 1", 3000)).code, "54001");
  EXPECT_EQ(error_of("SELECT * FROM a" + repeat(", (SELECT * FROM a", 3000)).code, "54001");
  EXPECT_EQ(error_of("SELECT a" + repeat("::int", 12000)).code, "54001");
  EXPECT_EQ(error_of("SELECT 1 FROM t" + repeat(" JOIN t ON a", 5000)).code, "54001");
  EXPECT_EQ(error_of("SELECT " + repeat("CASE WHEN ", 5000) + "a").code, "54001");
}

TEST(Limits, WideIsNotDeep) {
  EXPECT_TRUE(parse("SELECT 1" + repeat(", 1", 20000), "").has_value());
  EXPECT_TRUE(parse("SELECT a IN (1" + repeat(", 1", 20000) + ")", "").has_value());
  EXPECT_TRUE(parse("SELECT a" + repeat(" OR a", 12000), "").has_value());
  EXPECT_TRUE(parse("SELECT 1" + repeat("+1", 400), "").has_value());
  EXPECT_TRUE(parse(repeat("SELECT 1;", 7000), "").has_value());
}

TEST(Parse, FromSeveralThreads) {
  std::vector<std::thread> threads;
  std::vector<int> right(4, 0);
  for (size_t t = 0; t < right.size(); ++t) {
    threads.emplace_back([&right, t] {
      for (int i = 0; i < 50; ++i) {
        const std::string name = fmt::format("c{}_{}", t, i);
        const bool good = lowered("SELECT " + name + " FROM t") == fmt::format("select {} from t", name);
        const bool bad = lowered("SELECT " + name + " FROM") ==
                         fmt::format("42601 1:{} the statement ends too early", 13 + name.size());
        right[t] += good && bad;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(right, std::vector<int>(4, 50));
}

}  // namespace
}  // namespace backstream::sql
