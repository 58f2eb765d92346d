#include "app/site_names.h"

#include <gtest/gtest.h>

namespace backstream::app {
namespace {

TEST(SiteNames, AreKnownFromSettingsAndInputs) {
  config::Settings settings;
  EXPECT_TRUE(sites_of_settings(settings).empty());
  settings.exporters.resize(3);
  settings.exporters[0].site = "fra";
  settings.exporters[2].site = "ams";
  const std::set<std::string> known = sites_of_settings(settings);
  EXPECT_EQ(known, (std::set<std::string>{"ams", "fra"}));

  plan::Placement placement;
  EXPECT_TRUE(unknown_sites(placement, known).empty()) << "all sites";
  placement.sites = {"ams", "fra"};
  EXPECT_TRUE(unknown_sites(placement, known).empty());
  placement.sites = {"ams", "frq"};
  placement.filters = {{"amz", "octets > 5"}, {"frq", "true"}};
  EXPECT_EQ(unknown_sites(placement, known), (std::vector<std::string>{"amz", "frq"}));
}

}  // namespace
}  // namespace backstream::app
