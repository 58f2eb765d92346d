// Texts that are refused: other engines' spellings, slips, and PostgreSQL that has no meaning here.
#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "sql/parse.h"
#include "sql/tokens.h"

namespace backstream::sql {
namespace {

struct Refusal {
  const char* text;
  uint32_t column;      ///< of the only line
  const char* message;  ///< a part of it
  const char* hint;     ///< a part of it; empty: any
};

void check(const Refusal& wanted, std::string_view code) {
  const auto statements = parse(wanted.text, "-e");
  ASSERT_FALSE(statements.has_value()) << wanted.text;
  const base::Diagnostic& error = statements.error();
  const std::string shown = std::string(wanted.text) + "\n" + error.render();
  EXPECT_EQ(error.code, code) << shown;
  EXPECT_EQ(error.column, wanted.column) << shown;
  EXPECT_NE(error.message.find(wanted.message), std::string::npos) << shown;
  EXPECT_NE(error.hint.find(wanted.hint), std::string::npos) << shown;
}

TEST(ForeignSpelling, IsRefusedWithOurs) {
  const Refusal cases[] = {
      {"SELECT STREAM src_as FROM flows", 8, "SELECT STREAM", "leave the word out"},
      {"SELECT STREAM * FROM flows", 8, "SELECT STREAM", "leave the word out"},
      {"SELECT count(*) FROM flows EMIT", 28, "'EMIT'", "WITH (emit = 'on_change')"},
      {"SELECT src_as FROM flows GROUP BY src_as EMIT CHANGES", 42, "EMIT", "WITH (emit = 'on_change')"},
      {"SELECT * FROM flows EMIT ON WINDOW CLOSE", 21, "EMIT", "when their window closes"},
      {"SELECT * FROM flows FINAL", 21, "'FINAL'", "when their window closes"},
      {"SELECT * FROM TABLE(TUMBLE(TABLE flows, DESCRIPTOR(time), INTERVAL '5' MINUTE))", 15, "without TABLE",
       "FROM tumble(flows"},
      {"SELECT * FROM TUMBLE(TABLE flows, time, interval '5 min')", 22, "without TABLE", "FROM tumble(flows"},
      {"SELECT * FROM tumble(flows, DESCRIPTOR(time), interval '5 min')", 29, "DESCRIPTOR", "time column itself"},
      {"SELECT src_as FROM flows GROUP BY TUMBLE(time, INTERVAL '5' MINUTE)", 35, "windows stand in FROM",
       "GROUP BY window_start"},
      {"SELECT HOP_START(time, '1 s', '5 s') FROM flows", 8, "windows stand in FROM", "FROM hop(flows"},
      {"SELECT src_as FROM flows WINDOW TUMBLING (SIZE 5 MINUTES)", 26, "function in FROM", "FROM tumble(flows"},
      {"SELECT src_as FROM flows WINDOW HOPPING (SIZE 5 MINUTES, ADVANCE BY 1 MINUTE)", 26, "function in FROM",
       "FROM hop(flows"},
      {"SELECT * FROM flows WHERE src_as == 5", 34, "'=='", "write ="},
      {"SELECT * FROM flows WHERE src_as == ANY (ARRAY[5])", 34, "'=='", "write ="},
      {"SELECT * FROM flows WHERE site = \"new york\"", 34, "double quotes", "write 'new york'"},
      {"SELECT * FROM flows WHERE src_ip <<= \"10.0.0.0/8\"", 38, "double quotes", "write '10.0.0.0/8'"},
      {"SELECT * FROM tumble(flows, time, \"300 s\")", 35, "double quotes", "interval '300 s'"},
      {"SELECT * FROM tumble(flows, time, interval \"300 s\")", 44, "double quotes", "interval '300 s'"},
      {"CREATE MATERIALIZED VIEW v WITH (emit = \"on_close\") AS SELECT 1", 41, "double quotes", "single quotes"},
      {"SELECT `src_as` FROM flows", 8, "backtick", "\"name\""},
      {"SELECT src_as FROM `flows`", 20, "backtick", "\"name\""},
      {"SELECT * FROM flows LIMIT 10, 20", 21, "LIMIT", "LIMIT 20 OFFSET 10"},
      {"SELECT * FROM tumble(flows, time, INTERVAL 5 MINUTE)", 35, "in quotes", "interval '5 MINUTE'"},
      {"SELECT * FROM tumble(flows, time, 5m)", 35, "in quotes", "interval '5 min'"},
      {"SELECT * FROM flows QUALIFY row_number() OVER (ORDER BY a) <= 3", 21, "QUALIFY", "WHERE n <= 10"},
      {"SELECT * FROM flows MATCH_RECOGNIZE (PARTITION BY a)", 21, "MATCH_RECOGNIZE", "lag()"},
      {"CREATE TABLE f (t timestamp, WATERMARK FOR t AS t - INTERVAL '5' SECOND)", 30, "WATERMARK", "--delay"},
      {"CREATE SOURCE f (a int)", 1, "CREATE SOURCE", "CREATE MATERIALIZED VIEW"},
      {"CREATE STREAM f AS SELECT 1", 1, "CREATE STREAM", "CREATE MATERIALIZED VIEW"},
      {"CREATE OR REPLACE MATERIALIZED VIEW v AS SELECT 1", 8, "cannot be replaced", "DROP MATERIALIZED VIEW"},
      {"SELECT * FROM a ASOF JOIN b ON a.x = b.x", 17, "ASOF", "JOIN"},
      {"SELECT * FROM a JOIN b FOR SYSTEM_TIME AS OF a.t ON a.x = b.x", 24, "FOR SYSTEM_TIME", "arrival"},
      {"SELECT * FROM a JOIN b WITHIN 1 HOUR ON a.x = b.x", 24, "WITHIN", "BETWEEN"},
      {"SELECT a FROM t GROUP BY ALL", 17, "GROUP BY ALL", "GROUP BY 1, 2"},
      {"SELECT * EXCLUDE (a) FROM t", 10, "EXCLUDE", "name the columns"},
      {"SELECT TOP 5 a FROM t", 8, "TOP", "LIMIT"},
      {"SELECT first_value(a) IGNORE NULLS OVER () FROM t", 23, "IGNORE NULLS", "FILTER"},
      {"DESCRIBE flows", 1, "DESCRIBE", "EXPLAIN"},
      {"SUBSCRIBE TO v", 1, "SUBSCRIBE", "SELECT"},
      {"SELECT a FROM t WHERE x = \u2018abc\u2019", 27, "U+2018", "plain '"},
      {"SELECT\u00a0a FROM t", 7, "U+00A0", "plain space"},
  };
  for (const Refusal& one : cases) check(one, "42601");
  check({"SELECT * FROM hop(flows, time, interval '5 min', interval '1 min')", 32, "longer than the window",
         "slide, size): the shorter one comes first"},
        "22023");
  check({"SELECT * FROM hop(flows, time, '1 hour', '90 s')", 32, "longer than the window", ""}, "22023");
}

TEST(ForeignSpelling, OurOwnTextIsNotMistakenForIt) {
  for (const std::string_view text :
       {"SELECT stream, emit, final FROM flows", "SELECT a AS \"new york\" FROM t ORDER BY b = \"new york\"",
        "SELECT * FROM hop(flows, time, interval '1 min', interval '5 min')",
        "SELECT \"octetDeltaCount\" = \"packetDeltaCount\"", "SELECT * FROM hop(flows, time, '1 mon', '1 min')",
        "SELECT * FROM hop(flows, time, '00:01', '00:05')", "SELECT a FROM t AS final WHERE final.a = 1",
        "SELECT '`', '==', 'EMIT CHANGES' -- SELECT STREAM x"}) {
    const auto statements = parse(text, "-e");
    EXPECT_TRUE(statements.has_value()) << statements.error().render();
  }
}

TEST(Slips, AreNamedWhereTheyAre) {
  const Refusal cases[] = {
      {"SELECT a, FROM t", 11, "unexpected 'FROM'", "comma"},
      {"SELECT f(a, ) FROM t", 13, "unexpected ')'", "comma"},
      {"SELCT a FROM t", 1, "unexpected 'SELCT'", "did you mean SELECT"},
      {"SELECT * FORM t", 10, "unexpected 'FORM'", "did you mean FROM"},
      {"SELECT a FROM t GRUOP BY a", 23, "unexpected 'BY'", "did you mean GROUP"},
      {"SELECT a FROM t WEHRE a = 1", 23, "unexpected 'a'", "did you mean WHERE"},
      {"CREATE MATERIALISED VIEW v AS SELECT 1", 8, "unexpected", "did you mean MATERIALIZED"},
      {"SELECT a b c FROM t", 12, "unexpected 'c'", "comma"},
      {"SELECT a FROM t WHERE end > 3", 23, "unexpected 'end'", "write \"end\""},
      {"SELECT offset FROM t", 15, "unexpected 'FROM'", "write \"offset\""},
      {"SELECT (a FROM t", 11, "unexpected 'FROM'", "never closed"},
      {"SELECT sum((a) FROM t", 16, "unexpected 'FROM'", "never closed"},
      {"SELECT sum(a", 11, "'(' is never closed", ""},
      {"SELECT a) FROM t", 9, "unexpected ')'", "no '(' is open"},
      {"SELECT a FROM t WHERE  ", 22, "ends too early", ""},
      {"SELECT a FROM t WHERE x = 'abc", 27, "no end", "close it with '"},
      {"SELECT \"abc FROM t", 8, "no end", "close it with \""},
      {"SELECT a /* no end", 10, "no end", "*/"},
      {"SELECT * FROM (SELECT 1)", 15, "needs a name", "AS name"},
      {"SELECT 12abc", 8, "begins with a digit", ""},
      {"CREATE MATERIALIZED VIEW v WITH (a = 1, a = 2) AS SELECT 1", 41, "given twice", ""},
      {"CREATE MATERIALIZED VIEW v WITH (emit = on_close.x) AS SELECT 1", 41, "not a text", "single quotes"},
  };
  for (const Refusal& one : cases) check(one, "42601");
  check({"SELECT sum(a) OVER nope FROM t", 20, "'nope'", "WINDOW nope"}, "42704");
  check({"CREATE FOREIGN TABLE f (a int, a text) SERVER s", 32, "'a'", ""}, "42701");
}

TEST(Features, WithoutAMeaningHereAreRefused) {
  const Refusal cases[] = {
      {"INSERT INTO t SELECT a FROM b", 1, "INSERT without VALUES", "VALUES"},
      {"INSERT INTO t VALUES (1) ON CONFLICT DO NOTHING", 26, "ON CONFLICT", "UPDATE"},
      {"INSERT INTO t VALUES (1) RETURNING a", 1, "RETURNING", ""},
      {"WITH x AS (SELECT 1) DELETE FROM t", 1, "WITH", ""},
      {"UPDATE t SET a = 1 FROM b", 1, "UPDATE ... FROM", ""},
      {"UPDATE t SET (a, b) = (1, 2)", 15, "several columns", "a = 1, b = 2"},
      {"DELETE FROM t USING b WHERE a = c", 1, "DELETE ... USING", ""},
      {"INSERT INTO t VALUES (1), (2) LIMIT 1", 1, "LIMIT of VALUES", ""},
      {"INSERT INTO t DEFAULT VALUES", 1, "INSERT without VALUES", ""},
      {"INSERT INTO t (a.b) VALUES (1)", 16, "a part of a column", ""},
      {"CREATE TABLE t (a int, PRIMARY KEY USING INDEX i)", 24, "INDEX or INCLUDE", "PRIMARY KEY (a, b)"},
      {"TRUNCATE t CASCADE", 1, "CASCADE", "TRUNCATE t"},
      {"CREATE TABLE t (a int NOT NULL)", 23, "PRIMARY KEY", ""},
      {"CREATE TABLE t (a int, UNIQUE (a))", 24, "PRIMARY KEY", ""},
      {"CREATE TEMP TABLE t (a int)", 1, "TEMPORARY", ""},
      {"CREATE TABLE t AS SELECT 1", 14, "CREATE TABLE", "CREATE MATERIALIZED VIEW"},
      {"CREATE TEMP VIEW x AS SELECT 1", 1, "TEMPORARY", ""},
      {"REFRESH MATERIALIZED VIEW v", 1, "REFRESH", "by itself"},
      {"ALTER TABLE t ADD COLUMN a int", 1, "ALTER TABLE", "ALTER MATERIALIZED VIEW"},
      {"ALTER TABLE t RENAME TO u", 1, "ALTER TABLE ... RENAME", "ALTER VIEW"},
      {"ALTER MATERIALIZED VIEW v SET SCHEMA s", 1, "SET SCHEMA", "one schema"},
      {"ALTER MATERIALIZED VIEW v SET (a = 1), CLUSTER ON i", 27, "several changes", "one statement"},
      {"COMMENT ON COLUMN a.b.c IS 'x'", 19, "schema", ""},
      {"CREATE FUNCTION f(a int) RETURNS int LANGUAGE sql RETURN a + 1", 1, "CREATE FUNCTION", "CREATE VIEW"},
      {"LISTEN v", 1, "LISTEN", "SELECT ... FROM the view"},
      {"NOTIFY v", 1, "NOTIFY", "as windows close"},
      {"PREPARE p AS SELECT 1", 1, "PREPARE", "CREATE VIEW"},
      {"DECLARE c CURSOR FOR SELECT 1", 1, "CURSOR", "SELECT alone"},
      {"CREATE TRIGGER t AFTER INSERT ON v EXECUTE FUNCTION f()", 1, "TRIGGER", "CREATE MATERIALIZED VIEW"},
      {"GRANT SELECT ON v TO x", 1, "GRANT", "TOML"},
      {"LOCK TABLE v", 1, "LOCK", "nothing is locked"},
      {"BEGIN", 1, "transaction", ""},
      {"SET a = 1", 1, "SET", "--set"},
      {"VACUUM", 1, "VACUUM", "EXPLAIN ANALYZE"},
      {"EXPLAIN INSERT INTO t VALUES (1)", 9, "EXPLAIN of anything but a query", ""},
      {"DROP TYPE x", 1, "DROP TYPE", ""},
      {"DROP VIEW x CASCADE", 13, "CASCADE", ""},
      {"DROP VIEW a.b", 11, "schema", "write b"},
      {"CREATE FOREIGN TABLE f (a int NOT NULL) SERVER s", 31, "constraint", ""},
      {"SELECT a FROM t GROUP BY GROUPING SETS ((a), ())", 26, "GROUPING SETS", "one query"},
      {"SELECT a FROM t GROUP BY CUBE (a)", 26, "CUBE", ""},
      {"SELECT a FROM t FOR UPDATE", 1, "FOR UPDATE", ""},
      {"SELECT a INTO b FROM t", 15, "SELECT INTO", "CREATE MATERIALIZED VIEW"},
      {"WITH RECURSIVE x AS (SELECT 1) SELECT * FROM x", 1, "RECURSIVE", ""},
      {"WITH x AS (DELETE FROM t RETURNING a) SELECT * FROM x", 12, "changes data", ""},
      {"SELECT * FROM t TABLESAMPLE system (10)", 29, "TABLESAMPLE", ""},
      {"VALUES (1), (2)", 1, "VALUES", "UNION ALL"},
      {"SELECT * FROM (VALUES (1)) v", 24, "VALUES", ""},
      {"SELECT a FROM public.flows", 15, "schema", "write flows"},
      {"SELECT a FROM ONLY flows", 20, "ONLY", ""},
      {"SELECT s.f.a FROM f", 8, "more than two parts", ""},
      {"SELECT $1", 8, "parameter", ""},
      {"SELECT b'101'", 8, "bit string", ""},
      {"SELECT a::varchar(10)", 11, "length or precision", "text"},
      {"SELECT array[1,2]", 8, "array", "IN (1, 2)"},
      {"SELECT (a).b FROM t", 9, "subscript", ""},
      {"SELECT a COLLATE \"C\" FROM t", 10, "COLLATE", ""},
      {"SELECT a SIMILAR TO 'b'", 10, "SIMILAR", "LIKE"},
      {"SELECT x = ANY ('{1,2}') FROM t", 17, "written array", "ARRAY"},
      {"SELECT x > ALL (SELECT 1)", 10, "ALL", ""},
      {"SELECT * FROM t NATURAL JOIN u", 15, "NATURAL", "USING"},
      {"SELECT * FROM f(x) WITH ORDINALITY", 15, "ORDINALITY", ""},
      {"SELECT * FROM ROWS FROM (f(1), g(2))", 26, "ROWS FROM", ""},
      {"SELECT interval '5' minute to second", 8, "interval", ""},
      {"SELECT current_timestamp(3)", 8, "precision", ""},
      {"SELECT x.f(a)", 8, "schema", ""},
      {"SELECT a OPERATOR(pg_catalog.+) b", 10, "OPERATOR", ""},
      {"SELECT row(1,2) = (a, b)", 8, "row value", "AND"},
  };
  for (const Refusal& one : cases) check(one, "0A000");
}

TEST(Tokens, FollowPostgresql) {
  const std::string_view text =
      "a.\"b\"\"c\" 1.5e3 .5 1..2 'x''y' E'\\'' $q$ ' $q$ /* a /* b */ c */ 7%-2 x=-1 a=>b ::int -- end";
  const Tokens tokens(text);
  std::string joined;
  for (uint32_t i = 0; i < tokens.size(); ++i) joined.append(i ? "|" : "").append(tokens.text(i));
  EXPECT_EQ(joined, "a|.|\"b\"\"c\"|1.5e3|.5|1|..|2|'x''y'|E'\\''|$q$ ' $q$|7|%-|2|x|=|-|1|a|=>|b|::|int");
}

TEST(Tokens, BracketsArePaired) {
  const Tokens tokens("f(a[1], (b)) ( ; )");
  EXPECT_EQ(tokens[1].partner, 10u);
  EXPECT_EQ(tokens[3].partner, 5u);
  EXPECT_EQ(tokens[7].partner, 9u);
  EXPECT_EQ(tokens[11].partner, Token::kNone);
  EXPECT_EQ(tokens[13].partner, Token::kNone);
}

}  // namespace
}  // namespace backstream::sql
