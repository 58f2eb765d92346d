#include "app/shell/meta_command.h"

#include <gtest/gtest.h>

#include <set>

namespace backstream::app::shell {
namespace {

using Kind = MetaCommand::Kind;
using Arguments = std::vector<std::string>;

MetaCommand read(std::string_view text) {
  size_t used = 0;
  auto command = parse_meta(text, used);
  EXPECT_TRUE(command) << text << ": " << command.error().message;
  return command ? *command : MetaCommand{};
}
std::string refused(std::string_view text) {
  size_t used = 0;
  const auto command = parse_meta(text, used);
  EXPECT_FALSE(command) << text;
  return command ? "" : command.error().message + " / " + command.error().hint;
}

TEST(MetaCommand, NamesAndArguments) {
  EXPECT_EQ(read("\\d").kind, Kind::kDescribe);
  EXPECT_EQ(read("\\d  flows ").arguments, Arguments{"flows"});
  EXPECT_TRUE(read("\\dq+").plus);
  EXPECT_EQ(read("\\dq+").kind, Kind::kQueries);
  EXPECT_EQ(read("\\quit").kind, Kind::kQuit);
  EXPECT_EQ(read("\\?").kind, Kind::kHelpMeta);
  EXPECT_EQ(read("\\o 'my results''.csv'").arguments, Arguments{"my results'.csv"});
  EXPECT_EQ(read("\\h create view").arguments, (Arguments{"create", "view"}));
  EXPECT_EQ(read("\\pset null ''").arguments, (Arguments{"null", ""}));
}
TEST(MetaCommand, EndsAtItsLineOrTheNext) {
  size_t used = 0;
  ASSERT_TRUE(parse_meta("\\x on\nSELECT", used));
  EXPECT_EQ(used, 5u);
  ASSERT_TRUE(parse_meta("\\x on\\timing", used));
  EXPECT_EQ(used, 5u);
  ASSERT_TRUE(parse_meta("\\x on \\\\ SELECT 1;", used));
  EXPECT_EQ(used, 8u);
}
TEST(MetaCommand, SlipsAreNamed) {
  EXPECT_EQ(refused("\\timng"), "no command \\timng / did you mean \\timing?");
  EXPECT_EQ(refused("\\wacth i=1"), "no command \\wacth / did you mean \\watch?");
  EXPECT_EQ(refused("\\dz"), "no command \\dz / did you mean \\d?");
  EXPECT_EQ(refused("\\z"), "no command \\z / \\? lists them");
  EXPECT_EQ(refused("\\q now"), "\\q takes nothing after it / ");
  EXPECT_EQ(refused("\\o 'a b"), "a quote is not closed / ");
}
TEST(MetaCommand, NamesAreToldOnce) {
  std::set<std::string_view> names;
  for (const MetaEntry& entry : meta_entries()) EXPECT_TRUE(names.insert(entry.name).second) << entry.name;
}
TEST(MetaCommand, Watch) {
  const auto usual = parse_watch({});
  ASSERT_TRUE(usual);
  EXPECT_EQ(usual->interval, 2 * base::kMicrosPerSecond);
  EXPECT_EQ(usual->count, 0u);
  const auto asked = parse_watch({"c=3", "i=0.5"});
  ASSERT_TRUE(asked);
  EXPECT_EQ(asked->interval, base::kMicrosPerSecond / 2);
  EXPECT_EQ(asked->count, 3u);
  EXPECT_EQ(parse_watch({"10"})->interval, 10 * base::kMicrosPerSecond);
  for (const Arguments& bad :
       {Arguments{"c=0"}, Arguments{"c=x"}, Arguments{"c=1.5"}, Arguments{"i=0"}, Arguments{"i=nan"}, Arguments{"z=1"},
        Arguments{"i=1", "i=2"}, Arguments{"-1"}, Arguments{"i="}})
    EXPECT_FALSE(parse_watch(bad)) << bad[0];
}

}  // namespace
}  // namespace backstream::app::shell
