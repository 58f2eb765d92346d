#include "plan/share.h"

#include <gtest/gtest.h>

#include "plan/bind.h"
#include "sql/parse.h"

namespace backstream::plan {
namespace {

Query bound(const std::string& text) {
  auto statements = sql::parse(text, "test");
  if (!statements) throw std::runtime_error(statements.error().message);
  auto query = plan::bind(std::as_const(statements->front()), text, Catalog());
  if (!query) throw std::runtime_error(query.error().message);
  return std::move(*query);
}

/// SELECT ... FROM `from`, by AS.
std::string by_as(const std::string& from, const std::string& outputs = "sum(octets)") {
  return "SELECT window_start, src_as, " + outputs + " FROM " + from + " GROUP BY window_start, src_as";
}
bool share(const std::string& a, const std::string& b) { return share_groups(bound(a), bound(b)); }

TEST(Share, EqualWindowsShareWhateverIsAggregated) {
  const std::string minute = "tumble(flows, time, interval '1 min')";
  EXPECT_TRUE(share(by_as(minute), by_as(minute, "count(*), max(packets)")));
  EXPECT_TRUE(share(by_as("tumble(flows, time, interval '60 s')"), by_as(minute)));
  EXPECT_FALSE(share(by_as("tumble(flows, time, interval '2 min')"), by_as(minute)));
  EXPECT_FALSE(share(by_as("tumble(flows, received_at, interval '1 min')"), by_as(minute)));
  EXPECT_FALSE(share(by_as("hop(flows, time, interval '1 min', interval '2 min')"), by_as(minute)));
}

TEST(Share, ThoseOfOtherSitesOrPlacesDoNot) {
  const std::string minute = by_as("tumble(flows, time, interval '1 min')");
  const auto with = [&](const std::string& name, const std::string& options) {
    return "CREATE MATERIALIZED VIEW " + name + " WITH (" + options + ") AS " + minute;
  };
  EXPECT_TRUE(share(with("a", "sites = 'ams,fra'"), with("b", "sites = 'fra, ams'")));
  EXPECT_FALSE(share(with("a", "sites = 'ams'"), minute));
  EXPECT_FALSE(share(with("a", "sites = 'ams'"), with("b", "sites = 'fra'")));
  EXPECT_FALSE(share(with("a", "placement = 'central'"), minute));
  EXPECT_FALSE(share(with("a", "\"filter.ams\" = 'octets > 1'"), with("b", "\"filter.ams\" = 'octets > 2'")));
}

TEST(Share, CalendarsAreTheSameWhenTheirWindowsAre) {
  const std::string berlin = by_as("tumble(flows, time, interval '1 day', timezone => 'Europe/Berlin')");
  EXPECT_TRUE(share(berlin, berlin));
  EXPECT_FALSE(share(berlin, by_as("tumble(flows, time, interval '1 day', timezone => 'America/New_York')")));
  EXPECT_FALSE(share(berlin, by_as("tumble(flows, time, interval '7 days', timezone => 'Europe/Berlin')")));
  EXPECT_FALSE(share(berlin, by_as("tumble(flows, time, interval '1 day')")));
}

}  // namespace
}  // namespace backstream::plan
