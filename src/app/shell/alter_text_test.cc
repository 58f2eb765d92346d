#include "app/shell/alter_text.h"

#include <gtest/gtest.h>

#include "sql/parse.h"

namespace backstream::app::shell {
namespace {

std::string altered(const std::string& text, const std::string& alter) {
  const auto parsed = sql::parse(alter, "");
  EXPECT_TRUE(parsed) << parsed.error().render();
  if (!parsed) return {};
  auto result = altered_text("v", text, (*parsed)[0], alter);
  if (!result) return "error: " + result.error().message;
  const auto again = sql::parse(*result, "");
  EXPECT_TRUE(again) << *result << again.error().render();
  return *result;
}

TEST(AlterText, SetsAndResetsOptions) {
  const std::string plain = "CREATE MATERIALIZED VIEW v AS\n  SELECT 1 -- AS it is";
  EXPECT_EQ(altered(plain, "ALTER MATERIALIZED VIEW v SET (delay = '20 s')"),
            "CREATE MATERIALIZED VIEW v WITH (delay = '20 s') AS\n  SELECT 1 -- AS it is");
  const std::string with = "CREATE MATERIALIZED VIEW v (a) WITH (delay = '1 s', late = 'drop') AS SELECT 1";
  EXPECT_EQ(altered(with, "ALTER MATERIALIZED VIEW v SET (delay = '2 s', rest_row = true)"),
            "CREATE MATERIALIZED VIEW v (a) WITH (delay = '2 s', late = 'drop', rest_row = true) AS SELECT 1");
  EXPECT_EQ(altered(with, "ALTER MATERIALIZED VIEW v RESET (delay)"),
            "CREATE MATERIALIZED VIEW v (a) WITH (late = 'drop') AS SELECT 1");
  EXPECT_EQ(altered(with, "ALTER MATERIALIZED VIEW v RESET (delay, late)"),
            "CREATE MATERIALIZED VIEW v (a) AS SELECT 1");
}
TEST(AlterText, OfADiagramTheInstructionIsChanged) {
  const std::string alter = "ALTER MATERIALIZED VIEW v SET (delay = '2 s', rest_row = true, emit)";
  const auto parsed = sql::parse(alter, "");
  ASSERT_TRUE(parsed) << parsed.error().render();
  EXPECT_EQ(altered_text("v", "<?backstream delay=\"1 s\"?>\n<borealis/>", (*parsed)[0], alter).value(),
            "<?backstream delay=\"2 s\" rest_row=\"true\" emit=\"true\"?>\n<borealis/>");
}
TEST(AlterText, ASelectBecomesAView) {
  EXPECT_EQ(altered("SELECT 1", "ALTER MATERIALIZED VIEW v SET (\"alert.for\" = '30 s')"),
            "CREATE MATERIALIZED VIEW v WITH (\"alert.for\" = '30 s') AS\nSELECT 1");
}
TEST(AlterText, OthersAreRefused) {
  EXPECT_EQ(altered("CREATE VIEW v AS SELECT 1", "ALTER MATERIALIZED VIEW v SET (delay = '1 s')"),
            "error: \"v\" is no materialized view");
}

}  // namespace
}  // namespace backstream::app::shell
