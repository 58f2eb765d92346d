// Plans as SQL again (plan/unbound_text.h): what is parsed of it is the same plan, for every text that there is here.
#include "plan/unbound_text.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "sql/parse.h"
#include "sql/plan_text_test.h"

namespace backstream::sql {
namespace {

using plan::UnboundStatement;
using Kind = UnboundStatement::Kind;

bool is_query(const UnboundStatement& statement) {
  return statement.kind == Kind::kSelect || statement.kind == Kind::kCreateMaterializedView ||
         statement.kind == Kind::kCreateView;
}

/// How many queries of the text came back.
size_t check_round_trip(const std::string& text) {
  const auto statements = parse(text, "test");
  if (!statements) return 0;  // What is refused has no plan.
  size_t count = 0;
  for (const UnboundStatement& statement : *statements) {
    const UnboundStatement& query = statement.kind == Kind::kExplain ? *statement.inner : statement;
    if (!is_query(query)) continue;
    const auto written = plan::to_sql(query);
    if (!written) {
      ADD_FAILURE() << text << written.error().message;
      continue;
    }
    const auto again = parse(*written, "written");
    if (!again) {
      ADD_FAILURE() << text << "\n" << again.error().render();
      continue;
    }
    EXPECT_EQ(print(again->at(0)), print(query)) << *written;
    EXPECT_EQ(plan::to_sql(again->at(0)).value_or(""), *written);
    ++count;
  }
  return count;
}

std::string read(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

std::vector<std::filesystem::path> files(const std::string& folder, const std::string& extension) {
  std::vector<std::filesystem::path> found;
  for (const auto& entry : std::filesystem::directory_iterator(std::string(BACKSTREAM_SOURCE_DIR) + "/" + folder)) {
    if (entry.path().extension() == extension) found.push_back(entry.path());
  }
  return found;
}

std::string written(const std::string& text) {
  const auto statements = parse(text, "test");
  if (!statements) return statements.error().render();
  const auto sql = plan::to_sql(statements->at(0));
  return sql ? *sql : sql.error().code + " " + sql.error().message;
}

TEST(UnboundText, ReadyQueriesComeBack) {
  size_t count = 0;
  for (const auto& path : files("queries", ".sql")) count += check_round_trip(read(path));
  EXPECT_GE(count, 40u);
}

TEST(UnboundText, ExamplesOfTheDocumentationComeBack) {
  size_t count = 0;
  for (const auto& path : files("docs", ".md")) {
    std::istringstream lines(read(path));
    std::string block;
    bool inside = false, values = false;
    for (std::string line; std::getline(lines, line);) {
      const size_t begin = line.find_first_not_of(' ');
      const std::string rest = begin == std::string::npos ? "" : line.substr(begin);
      if (inside && rest.starts_with("```")) {
        count += check_round_trip(block);
        inside = false;
      } else if (inside) {
        block += (values ? "SELECT " + line + "\n;" : line + "\n");
      } else if (rest.starts_with("```sql")) {
        block.clear();
        inside = true;
        values = rest.starts_with("```sql values");
      }
    }
  }
  EXPECT_GE(count, 100u);
}

TEST(UnboundText, StatementsOfTestsComeBack) {
  size_t count = 0;
  for (const auto& path : files("tests/slt", ".slt")) {
    std::istringstream lines(read(path));
    std::string statement;
    bool inside = false;
    for (std::string line; std::getline(lines, line);) {
      if (inside && (line.empty() || line == "----")) {
        count += check_round_trip(statement);
        inside = false;
      } else if (inside) {
        statement += line + "\n";
      } else if (line.starts_with("statement ") || line.starts_with("query ")) {
        statement.clear();
        inside = true;
      }
    }
    if (inside) count += check_round_trip(statement);
  }
  EXPECT_GE(count, 1000u);
}

TEST(UnboundText, KeyWordsAreNamesEverywhere) {
  const char* const kWords[] = {"select",    "user",    "left",         "time",     "interval", "values",
                                "window",    "between", "end",          "position", "filter",   "over",
                                "substring", "stream",  "current_date", "Octets",   "a b",      "a\"b",
                                "1a",        "ä",       "emit",         "row",      "is"};
  for (const std::string word : kWords) {
    std::string quoted;
    for (const char c : word) quoted += c == '"' ? "\"\"" : std::string(1, c);
    const std::string q = '"' + quoted + '"';
    EXPECT_EQ(check_round_trip(
                  fmt::format("SELECT {0}, {0}.{0}, {0}.*, {0}({0}), x::{0}, f({0} => 1) AS {0} FROM {0} AS {0} ({0}), "
                              "{0}({0}, {0} => {0}), (SELECT {0}) AS {0} GROUP BY {0} ORDER BY {0}",
                              q)),
              1u)
        << word;
    EXPECT_EQ(check_round_trip(fmt::format(
                  "CREATE MATERIALIZED VIEW {0} ({0}) WITH ({0} = 'x', {0}.{0} = 'y', {0}.a = 1) AS WITH {0} ({0}) AS "
                  "(SELECT {0}) SELECT {0} FROM {0}",
                  q)),
              1u)
        << word;
  }
  EXPECT_EQ(written("SELECT \"time\", \"left\"(\"end\") FROM \"flows\" AS \"f\""),
            "SELECT time, left(\"end\")\nFROM flows AS f;\n");
}

TEST(UnboundText, OperatorsHoldTogetherAsWritten) {
  const char* const kOperators[] = {"OR", "AND", "=", "<", "<>", "||",   "<<=", "+",
                                    "-",  "*",   "/", "%", "^",  "LIKE", "&"};
  for (const std::string a : kOperators) {
    for (const std::string b : kOperators) {
      EXPECT_EQ(check_round_trip(fmt::format("SELECT (x {0} y) {1} z, x {0} (y {1} z)", a, b)), 1u) << a << b;
    }
    for (const char* const one :
         {"NOT ({})", "-({})", "~({})", "({}) IS NULL", "({}) IS NOT TRUE", "({})::bigint", "({}) AT TIME ZONE 'utc'",
          "({}) BETWEEN 1 AND 2", "1 BETWEEN ({}) AND 2", "1 NOT BETWEEN SYMMETRIC 2 AND ({})", "({}) IN (1)",
          "1 NOT IN (({}), 2)", "({}) = ANY (ARRAY[1])", "({}) NOT LIKE ALL (ARRAY['a'])", "({}) IS DISTINCT FROM 1",
          "1 IS NOT DISTINCT FROM ({})", "({}) IN (SELECT 1)", "({}) NOT IN (SELECT 1)",
          "CASE ({}) WHEN 1 THEN 2 END"}) {
      const std::string inner = fmt::format(fmt::runtime(one), fmt::format("x {} y", a));
      EXPECT_EQ(check_round_trip("SELECT " + inner), 1u) << inner;
      const std::string outer = fmt::format("({}) {} z, z {} ({})", fmt::format(fmt::runtime(one), "x"), a, a,
                                            fmt::format(fmt::runtime(one), "x"));
      EXPECT_EQ(check_round_trip("SELECT " + outer), 1u) << outer;
    }
  }
  EXPECT_EQ(
      written("SELECT ((a + (b * c)) - d) > 1 AND (NOT (e = 2)), (-1)::bigint, -(-x), ~(~x), 1 - -1, (x + 1)::int8"),
      "SELECT a + b * c - d > 1 AND NOT e = 2, (-1)::bigint, -(-x), ~(~x), 1 - -1, (x + 1)::bigint;\n");
}

TEST(UnboundText, EveryClauseIsLaidOutAsPeopleWriteIt) {
  EXPECT_EQ(written("create materialized view v with (emit='on_change', \"alert.when\"='octets > 1', top=5) as select "
                    "window_start, "
                    "src_as, sum(octets) as octets from tumble(flows, time, interval '300 s') where protocol = 6 and "
                    "src_as <> 0 group by "
                    "window_start, src_as having sum(octets) > 10 order by octets desc nulls last limit 10 offset 5"),
            "CREATE MATERIALIZED VIEW v\nWITH (emit = 'on_change', alert.when = 'octets > 1', top = 5) AS\n"
            "SELECT window_start, src_as, sum(octets) AS octets\n"
            "FROM tumble(flows, time, interval '300 s')\n"
            "WHERE protocol = 6 AND src_as <> 0\n"
            "GROUP BY window_start, src_as\n"
            "HAVING sum(octets) > 10\n"
            "ORDER BY octets DESC NULLS LAST\n"
            "LIMIT 10 OFFSET 5;\n");
  EXPECT_EQ(written("select * from (select a from t union all select b from u where x in (select 1 from w)) s left "
                    "join r using (k), f(1, p => (a, b))"),
            "SELECT *\n"
            "FROM (SELECT a\n"
            "      FROM t\n"
            "      UNION ALL\n"
            "      SELECT b\n"
            "      FROM u\n"
            "      WHERE x IN (SELECT 1 FROM w)) AS s\n"
            "     LEFT JOIN r USING (k),\n"
            "     f(1, p => (a, b));\n");
  EXPECT_EQ(written("select aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, "
                    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb, cccccccc from t where "
                    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa > 1 and "
                    "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb > 1"),
            "SELECT aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa, "
            "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb,\n"
            "       cccccccc\n"
            "FROM t\n"
            "WHERE aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa > 1\n"
            "  AND bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb > 1;\n");
  EXPECT_EQ(
      check_round_trip(
          "WITH a AS (SELECT 1), b (x) AS (SELECT 2) (SELECT a INTERSECT SELECT b) EXCEPT ALL (SELECT c UNION SELECT d "
          "ORDER BY 1) ORDER BY 1 FETCH FIRST 3 ROWS WITH TIES"),
      1u);
  EXPECT_EQ(check_round_trip("SELECT DISTINCT ON (a, b) extract(epoch FROM t), extract('year' from t), \"extract\"('a "
                             "b', t), position('a' IN b), "
                             "substring(a from 2), trim(both 'x' from y), current_timestamp, \"current_date\"(1), "
                             "count(*) FILTER (WHERE a) OVER w, "
                             "string_agg(DISTINCT a, ',' ORDER BY b DESC), percentile_cont(0.5) WITHIN GROUP (ORDER BY "
                             "a DESC) FROM LATERAL "
                             "f(a) AS f (x), a CROSS JOIN (b JOIN c ON true) WINDOW w AS (PARTITION BY a ORDER BY b "
                             "ROWS BETWEEN 1 PRECEDING AND "
                             "UNBOUNDED FOLLOWING EXCLUDE TIES)"),
            1u);
}

TEST(UnboundText, OnlyQueriesHaveOne) {
  const auto statements = parse("DROP TABLE t", "test");
  ASSERT_TRUE(statements);
  EXPECT_EQ(plan::to_sql(statements->at(0)).error().code, "0A000");
}

TEST(UnboundText, BoxesAreRefusedWhereTheyBegin) {
  auto statements = parse("CREATE MATERIALIZED VIEW v AS SELECT a FROM t", "test");
  ASSERT_TRUE(statements);
  auto boxes = std::make_shared<plan::UnboundBoxes>();
  using BoxKind = plan::UnboundBoxes::Box::Kind;
  boxes->boxes.resize(2);
  boxes->boxes[0].kind = BoxKind::kFilter;
  boxes->boxes[1].kind = BoxKind::kSort;
  boxes->boxes[1].name = "in_order";
  boxes->boxes[1].span = {7, 3};
  plan::UnboundFrom& from = *statements->at(0).select->from[0];
  from.kind = plan::UnboundFrom::Kind::kBoxes;
  from.boxes = boxes;
  const auto sql = plan::to_sql(statements->at(0));
  ASSERT_FALSE(sql);
  EXPECT_EQ(sql.error().code, "0A000");
  EXPECT_EQ(sql.error().message, "the box 'in_order' (bsort) has no SQL that means the same");
  EXPECT_EQ(sql.error().span, (base::SourceSpan{7, 3}));
}

TEST(UnboundText, DepthIsLimited) {
  auto statements = parse("SELECT a", "test");
  ASSERT_TRUE(statements);
  plan::UnboundExprPtr& e = statements->at(0).select->targets[0].expr;
  for (int i = 0; i < 100'000; ++i) {
    auto around = std::make_unique<plan::UnboundExpr>();
    around->kind = plan::UnboundExpr::Kind::kNot;
    around->args.push_back(std::move(e));
    e = std::move(around);
    if (i == 100) {
      EXPECT_TRUE(plan::to_sql(statements->at(0)));
    }
  }
  EXPECT_EQ(plan::to_sql(statements->at(0)).error().code, "54001");
  while (!e->args.empty()) e = plan::UnboundExprPtr(std::move(e->args[0]));  // Not by a hundred thousand destructors.
}

}  // namespace
}  // namespace backstream::sql
