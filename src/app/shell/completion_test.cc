#include "app/shell/completion.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace backstream::app::shell {
namespace {

using Names = std::vector<std::string>;

const std::vector<KnownRelation> kRelations{{"flows", "stream", {"src_as", "src_ip", "octets", "octetDeltaCount"}},
                                            {"as_names", "table", {"asn", "name"}},
                                            {"top_dst", "query", {"window_start", "dst_as"}},
                                            {"Über", "view", {"größe"}}};

Names offered(std::string_view before, std::string_view after = "") {
  return complete(before, after, kRelations).candidates;
}
bool offers(std::string_view before, const std::string& what, std::string_view after = "") {
  const Names names = offered(before, after);
  return std::find(names.begin(), names.end(), what) != names.end();
}

TEST(Completion, StatementsBegin) {
  EXPECT_EQ(offered("SEL"), Names{"SELECT"});
  EXPECT_EQ(offered("sel"), Names{"select"});
  EXPECT_TRUE(offers("", "CREATE"));
  EXPECT_EQ(offered("CREATE MAT"), Names{"MATERIALIZED VIEW"});
}
TEST(Completion, RelationsAndWindowFunctionsAfterFrom) {
  EXPECT_EQ(offered("SELECT * FROM fl"), Names{"flows"});
  EXPECT_EQ(offered("SELECT * FROM tum"), Names{"tumble("});
  EXPECT_EQ(offered("SELECT * FROM tumble(f"), Names{"flows"});
  EXPECT_TRUE(offers("SELECT * FROM ", "hop("));
  EXPECT_TRUE(offers("SELECT * FROM flows JOIN ", "as_names"));
  EXPECT_EQ(offered("DROP MATERIALIZED VIEW t"), Names{"top_dst"});
}
TEST(Completion, ColumnsOfRelationsThatTheTextNames) {
  EXPECT_EQ(offered("SELECT src_", " FROM flows"), (Names{"src_as", "src_ip"}));
  EXPECT_TRUE(offered("SELECT src_").empty());
  EXPECT_EQ(offered("SELECT asn FROM as_names WHERE na"), Names{"name"});
  EXPECT_EQ(offered("SELECT flows.", " FROM flows").size(), 4u);
  EXPECT_EQ(offered("SELECT f.src_a", " FROM flows AS f"), Names{"src_as"});
  EXPECT_EQ(offered("SELECT f.src_a", " FROM tumble(flows, time, interval '1 s') f"), Names{"src_as"});
  EXPECT_TRUE(offers("SELECT octetD", "\"octetDeltaCount\"", " FROM flows"));
  EXPECT_TRUE(offers("SELECT \"octetD", "\"octetDeltaCount\"", " FROM flows"));
}
TEST(Completion, NothingWithinTextsAndComments) {
  EXPECT_TRUE(offered("SELECT 'sel").empty());
  EXPECT_TRUE(offered("SELECT 1 /* sel").empty());
}
TEST(Completion, MetaCommands) {
  EXPECT_EQ(offered("\\wa"), Names{"\\watch"});
  EXPECT_EQ(complete("SELECT 1 \\wa", "", kRelations).from, 9u);
  EXPECT_EQ(offered("\\d as"), Names{"as_names"});
  EXPECT_EQ(offered("\\why "), Names{"top_dst"});
  EXPECT_EQ(offered("\\x "), (Names{"auto", "off", "on"}));
  EXPECT_TRUE(complete("\\i /et", "", kRelations).is_path);
  EXPECT_EQ(offered("\\i /et"), Names{"/etc/"});
}
TEST(Completion, CommonBegin) {
  EXPECT_EQ(common_begin({"src_as", "src_ip"}), "src_");
  EXPECT_EQ(common_begin({"größe", "grün"}), "gr");
  EXPECT_EQ(common_begin({}), "");
}

}  // namespace
}  // namespace backstream::app::shell
