#include "inventory/inventory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "lookup/lookup_test_input.h"

namespace backstream::inventory {
namespace {

using Rows = std::vector<std::string>;

class InventoryTest : public testing::Test {
 protected:
  InventoryTest() : folder_(std::filesystem::temp_directory_path() / ("inventory_test." + std::to_string(::getpid()))) {
    std::filesystem::create_directory(folder_);
  }
  ~InventoryTest() override { std::filesystem::remove_all(folder_); }

  std::string file(const std::string& name, const std::string& text) {
    const auto path = folder_ / name;
    std::ofstream(path) << text;
    return path;
  }
  static std::unique_ptr<Inventory> open(const Inventory::Files& files) {
    auto opened = Inventory::open(files);
    EXPECT_TRUE(opened) << opened.error().render();
    return opened ? std::move(*opened) : nullptr;
  }
  /// Sorted: facts come in no order.
  static Rows rows(const std::shared_ptr<lookup::LookupTable>& table) {
    Rows rows = lookup::rows_text(*table->published().snapshot()->table);
    std::sort(rows.begin(), rows.end());
    return rows;
  }
  static NameFact interface(uint32_t index, std::string_view name, std::string_view description = "",
                            uint64_t bits_per_second = 0) {
    return {NameFact::Of::kInterface, base::Inet::v4(0xc0000201), index, name, description, bits_per_second};
  }
  static NameFact vrf(uint32_t id, std::string_view name, uint32_t exporter = 0xc0000201) {
    return {NameFact::Of::kVrf, base::Inet::v4(exporter), id, name, {}, 0};
  }
  static NameFact application(uint64_t id, std::string_view name, std::string_view description = "") {
    return {NameFact::Of::kApplication, base::Inet::v4(0xc0000201), id, name, description, 0};
  }

 private:
  const std::filesystem::path folder_;
};

TEST_F(InventoryTest, TablesAreThereAndEmptyWithoutFiles) {
  const auto inventory = open({});
  EXPECT_EQ(rows(inventory->sites()), Rows{});
  EXPECT_EQ(rows(inventory->exporters()), Rows{});
  EXPECT_EQ(rows(inventory->interfaces()), Rows{});
  EXPECT_EQ(rows(inventory->vrfs()), Rows{});
  EXPECT_EQ(rows(inventory->applications()), Rows{});
  EXPECT_TRUE(inventory->files().empty());
  EXPECT_FALSE(inventory->publish());
}

TEST_F(InventoryTest, FilesHaveTheColumnsThatTheyWantTo) {
  Inventory::Files files;
  files.sites = file("sites.json", R"([{"site": "ams", "name": "Amsterdam", "latitude": 52.37}])");
  files.exporters = file("exporters.csv", "exporter,site\n192.0.2.1,ams\n");
  files.interfaces =
      file("interfaces.csv", "if_index,exporter,role,bits_per_second\n1,192.0.2.1,external,10000000000\n");
  const auto inventory = open(files);
  EXPECT_EQ(rows(inventory->sites()), Rows{"ams|Amsterdam|52.37|-"});
  EXPECT_EQ(rows(inventory->exporters()), Rows{"192.0.2.1|-|ams|-|-|-|-|-|-|-|-|-|-|-|-|-|-|-|-|-"});
  EXPECT_EQ(rows(inventory->interfaces()), Rows{"192.0.2.1|1|-|-|10000000000|external|-|-|-"});
  EXPECT_EQ(inventory->files().size(), 3u);
}

TEST_F(InventoryTest, MistakesInFilesAreLocated) {
  Inventory::Files files;
  files.interfaces = file("i.csv", "exporter,if_index,role\n192.0.2.1,1,extern\n");
  auto opened = Inventory::open(files);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "22023");
  EXPECT_NE(opened.error().render().find("i.csv:2:13: error: column 'role' cannot be 'extern'"), std::string::npos)
      << opened.error().render();
  EXPECT_NE(opened.error().hint.find("'external'"), std::string::npos);
  files.interfaces = file("i.json", R"([{"exporter": "192.0.2.1", "if_index": 1, "role": "core"}])");
  opened = Inventory::open(files);
  ASSERT_FALSE(opened);
  EXPECT_NE(opened.error().hint.find("external, internal, customer"), std::string::npos) << opened.error().hint;
  files.interfaces = "/nowhere/i.csv";
  EXPECT_FALSE(Inventory::open(files));
}

TEST_F(InventoryTest, WhatExportersTellFillsWhatTheFileLeavesOut) {
  Inventory::Files files;
  files.interfaces =
      file("i.csv", "exporter,if_index,name,role\n192.0.2.1,1,,external\n192.0.2.1,2,by hand,internal\n");
  const auto inventory = open(files);
  inventory->observe(interface(1, "ge-0/0/1", "to AS 64500", 1'000'000'000));
  inventory->observe(interface(2, "ge-0/0/2"));
  inventory->observe(interface(3, std::string_view("ge-0/0/3\0\0\0", 11)));
  EXPECT_TRUE(inventory->publish());
  EXPECT_EQ(rows(inventory->interfaces()),
            (Rows{"192.0.2.1|1|ge-0/0/1|to AS 64500|1000000000|external|-|-|-",
                  "192.0.2.1|2|by hand|-|-|internal|-|-|-", "192.0.2.1|3|ge-0/0/3|-|-|-|-|-|-"}));
  inventory->observe(interface(3, "ge-0/0/3"));
  EXPECT_FALSE(inventory->publish()) << "nothing new was told";
}

TEST_F(InventoryTest, PeerPoint23_NamesAreReplacedWhenTheRouterReassignsIndexes) {
  const auto inventory = open({});
  inventory->observe(interface(7, "xe-0/0/0", "old peer"));
  inventory->publish();
  inventory->observe(interface(7, "xe-1/0/0", "new peer"));
  EXPECT_TRUE(inventory->publish());
  EXPECT_EQ(rows(inventory->interfaces()), Rows{"192.0.2.1|7|xe-1/0/0|new peer|-|-|-|-|-"});
}

TEST_F(InventoryTest, PeerPoint23_NamesOfVrfsAndApplicationsAreReplacedToo) {
  const auto inventory = open({});
  inventory->observe(vrf(0, "default"));
  inventory->observe(vrf(7, "blue"));
  inventory->observe(vrf(7, "red", 0xc0000202));
  inventory->observe(application(0x0d000001, "dns", "Domain Name System"));
  inventory->observe(application(0x0300'0000'0000'01bb, "https"));
  EXPECT_TRUE(inventory->publish());
  EXPECT_EQ(rows(inventory->vrfs()), (Rows{"192.0.2.1|0|default", "192.0.2.1|7|blue", "192.0.2.2|7|red"}));
  EXPECT_EQ(rows(inventory->applications()),
            (Rows{"192.0.2.1|\\x03000000000001bb|3:443|https|-", "192.0.2.1|\\x0d000001|13:1|dns|Domain Name System"}));
  inventory->observe(vrf(7, "blue"));
  EXPECT_FALSE(inventory->publish()) << "nothing new was told";
  inventory->observe(vrf(7, "green"));
  inventory->observe(application(0x0d000001, "dns-over-tcp"));
  EXPECT_TRUE(inventory->publish());
  EXPECT_EQ(rows(inventory->vrfs())[1], "192.0.2.1|7|green");
  EXPECT_EQ(rows(inventory->applications())[1], "192.0.2.1|\\x0d000001|13:1|dns-over-tcp|Domain Name System");
}

TEST_F(InventoryTest, TextThatIsNoTextIsCountedAndLongTextIsCutBetweenCharacters) {
  const auto inventory = open({});
  inventory->observe(interface(1, "\xff\xfe"));
  EXPECT_EQ(inventory->facts_refused(), 1u);
  std::string long_name(Inventory::kTextOctetsMax - 1, 'x');
  inventory->observe(interface(2, long_name + "\xc3\xa9 and more"));
  inventory->publish();
  EXPECT_EQ(rows(inventory->interfaces()),
            (Rows{"192.0.2.1|1|-|-|-|-|-|-|-", "192.0.2.1|2|" + long_name + "|-|-|-|-|-|-"}));
}

TEST_F(InventoryTest, ExportersHaveRatesOfAMinute) {
  Inventory::Files files;
  files.exporters = file("e.csv", "exporter,name\n192.0.2.1,core1\n192.0.2.9,unseen\n");
  const auto inventory = open(files);
  ExporterFact fact;
  fact.exporter = base::Inet::v4(0xc0000201);
  fact.site = "ams";
  fact.protocols = "IPFIX";
  const Micros second = base::kMicrosPerSecond;
  fact.first_seen = 10 * second;
  fact.last_seen = 12 * second;
  fact.datagrams = 3;
  fact.records = 60;
  fact.template_count = 2;
  fact.sampling_rate_min = fact.sampling_rate_max = 1000;
  fact.missing = 5;
  fact.delay_p999_us = 61 * second;
  inventory->observe({fact}, 12 * second);
  inventory->publish();
  EXPECT_EQ(rows(inventory->exporters()), (Rows{"192.0.2.1|core1|ams|IPFIX|1970-01-01 00:00:10+00|1970-01-01 "
                                                "00:00:12+00|3|60|30|2|1000|1000|1000|0|5|0|00:01:01|00:00:00|f|f",
                                                "192.0.2.9|unseen|-|-|-|-|-|-|-|-|-|-|-|-|-|-|-|-|-|-"}));
  fact.records = 100;
  fact.sampling_rate_min = 100;
  fact.sampling_rate_max = 2000;
  fact.idle = true;
  inventory->observe({fact}, 20 * second);
  EXPECT_TRUE(inventory->publish());
  EXPECT_EQ(rows(inventory->exporters())[0],
            "192.0.2.1|core1|ams|IPFIX|1970-01-01 00:00:10+00|1970-01-01 "
            "00:00:12+00|3|100|10|2|-|100|2000|0|5|0|00:01:01|00:00:00|t|f");
  const auto rate = [&](Micros now, uint64_t records) {
    fact.records = records;
    inventory->observe({fact}, now);
    inventory->publish();
    return inventory->exporters()->published().snapshot()->table->column(8).as<double>()[0];
  };
  EXPECT_EQ(rate(70 * second, 600), 10);
  EXPECT_EQ(rate(100 * second, 100'000), 10) << "the second minute is not over";
  EXPECT_EQ(rate(130 * second, 1'200), 10);
  EXPECT_EQ(rate(190 * second, 2'400), 20);
  inventory->observe(std::vector<ExporterFact>{}, 200 * second);
  inventory->publish();
  EXPECT_EQ(rows(inventory->exporters())[0], "192.0.2.1|core1|-|-|-|-|-|-|-|-|-|-|-|-|-|-|-|-|-|-");
}

TEST_F(InventoryTest, FilesThatChangeArePublished) {
  Inventory::Files files;
  files.sites = file("s.csv", "site,name\nams,Amsterdam\n");
  const auto inventory = open(files);
  file("s.csv", "site,name\nams,Amsterdam\nfra,Frankfurt am Main\n");
  ASSERT_EQ(inventory->files()[0]->poll(files.refresh_us), lookup::FileTable::Poll::kLoaded);
  EXPECT_TRUE(inventory->publish());
  EXPECT_EQ(rows(inventory->sites()).size(), 2u);
}

}  // namespace
}  // namespace backstream::inventory
