#include "sink/prometheus_target.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "sink/part_maker_test.h"

namespace backstream::sink {
namespace {

class PrometheusTargetTest : public ::testing::Test {
 protected:
  PrometheusTargetTest() : form_(made_form()) {}

  static std::shared_ptr<const ResultForm> made_form() {
    auto form = std::make_shared<ResultForm>(*test_form());
    form->window_start_column = 0;
    return form;
  }
  PrometheusOptions options() {
    PrometheusOptions options;
    options.sink = "p";
    options.query = "traffic";
    options.begin_after = [this]() -> Result<uint64_t> {
      ++begun_;
      return begin_after_;
    };
    options.pages = &pages_;
    return options;
  }
  std::shared_ptr<ResultPart> part(uint64_t seq, int64_t minute, const std::vector<TestRow>& rows) const {
    return test_part(form_, seq, minute, rows);
  }
  static void deliver(PrometheusTarget& target, std::vector<std::shared_ptr<const ResultPart>> parts) {
    const auto done = target.deliver(parts);
    EXPECT_TRUE(done) << done.error().render();
  }
  /// Value of the series of octets, as the page has it; "": there is none.
  static std::string octets(const std::string& text, const std::string& name) {
    const std::string series =
        "backstream_result_traffic_octets{query=\"traffic\",publication=\"p\",name=\"" + name + "\"} ";
    const size_t at = text.find("\n" + series);
    if (at == std::string::npos) return "";
    return text.substr(at + 1 + series.size(), text.find('\n', at + 1) - at - 1 - series.size());
  }

  const std::shared_ptr<const ResultForm> form_;
  PrometheusPages pages_;
  uint64_t begin_after_ = 41;
  int begun_ = 0;
};

TEST_F(PrometheusTargetTest, BeginsWithTheNewestWindowOfHistoryAndGoesOnFromThere) {
  PrometheusTarget target(options());
  EXPECT_EQ(target.open().value(), 41u);
  EXPECT_EQ(pages_.text(), "");
  deliver(target, {part(42, 1, {{"a", 10}, {"b", 20}})});
  EXPECT_EQ(octets(pages_.text(), "a"), "10");
  EXPECT_EQ(octets(pages_.text(), "b"), "20");
  deliver(target, {part(43, 2, {{"b", 21}})});
  EXPECT_EQ(octets(pages_.text(), "a"), "");
  EXPECT_EQ(octets(pages_.text(), "b"), "21");
  EXPECT_EQ(target.open().value(), 43u);
  EXPECT_EQ(begun_, 1);
}

TEST_F(PrometheusTargetTest, ShowsFinalWindowsAloneAndNoOlderOne) {
  PrometheusTarget target(options());
  target.open().value();
  auto open = part(43, 3, {{"a", 1}}), removed = part(45, 2, {{"gone", 0}}), revised = part(44, 2, {{"a", 3}});
  open->final = false;
  revised->revision = removed->revision = 2;
  revised->last = false;
  removed->removed = true;
  removed->part = 1;
  deliver(target, {part(42, 2, {{"a", 2}, {"gone", 5}}), open});
  EXPECT_EQ(octets(pages_.text(), "a"), "2");
  deliver(target, {revised, removed});
  EXPECT_EQ(octets(pages_.text(), "a"), "3");
  EXPECT_EQ(octets(pages_.text(), "gone"), "");
  deliver(target, {part(46, 1, {{"a", 9}})});
  EXPECT_EQ(octets(pages_.text(), "a"), "3");
}

TEST_F(PrometheusTargetTest, AWindowInPartsIsShownOnceItIsWhole) {
  PrometheusTarget target(options());
  target.open().value();
  auto first = part(42, 1, {{"a", 1}}), second = part(43, 1, {{"b", 2}});
  first->last = false;
  second->part = 1;
  deliver(target, {first});
  EXPECT_EQ(pages_.text(), "");
  deliver(target, {second});
  EXPECT_EQ(octets(pages_.text(), "a"), "1");
  EXPECT_EQ(octets(pages_.text(), "b"), "2");
  // One that history has lost a part of is not shown.
  auto begin = part(44, 2, {{"a", 5}}), end = part(46, 2, {{"c", 6}});
  begin->last = false;
  end->part = 2;
  deliver(target, {begin, end});
  EXPECT_EQ(octets(pages_.text(), "a"), "1");
}

TEST_F(PrometheusTargetTest, RowsBeyondTheBoundAreCounted) {
  auto few = options();
  few.series_max = 2;
  PrometheusTarget target(few);
  target.open().value();
  deliver(target, {part(42, 1, {{"a", 1}, {"b", 3}, {"c", 2}}), part(43, 2, {{"a", 1}, {"b", 3}, {"c", 2}})});
  EXPECT_EQ(target.rows_left_out(), 2u);
  EXPECT_EQ(octets(pages_.text(), "a"), "");
  EXPECT_EQ(octets(pages_.text(), "b"), "3");
  EXPECT_NE(target.test()->find("2 of its 3 rows"), std::string::npos) << *target.test();
}

TEST_F(PrometheusTargetTest, TakesItsWindowAwayAndNotThatOfWhoFollows) {
  auto first = std::make_unique<PrometheusTarget>(options());
  auto second = std::make_unique<PrometheusTarget>(options());
  first->open().value();
  second->open().value();
  deliver(*first, {part(42, 1, {{"a", 1}})});
  deliver(*second, {part(42, 1, {{"a", 2}})});
  first.reset();
  EXPECT_EQ(octets(pages_.text(), "a"), "2");
  second.reset();
  EXPECT_EQ(pages_.text(), "");
}

TEST_F(PrometheusTargetTest, AFileIsReplacedByEachNewerWindowAndOthersMayReadIt) {
  const auto folder = std::filesystem::temp_directory_path() / fmt::format("prometheus-target-{}", ::getpid());
  std::filesystem::create_directories(folder);
  auto file = options();
  file.pages = nullptr;
  file.file = folder / "p.prom";
  PrometheusTarget target(file);
  target.open().value();
  const auto read = [&] {
    std::ostringstream text;
    text << std::ifstream(file.file).rdbuf();
    return text.str();
  };
  deliver(target, {part(42, 1, {{"a", 1}}), part(43, 2, {{"a", 2}})});
  EXPECT_EQ(octets(read(), "a"), "2");
  struct stat status {};
  ASSERT_EQ(::stat(file.file.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0644u);
  // Where it cannot be written it stays as it was, and is begun anew with what then is the newest window.
  std::filesystem::create_directory(file.file + ".new");
  const std::vector<std::shared_ptr<const ResultPart>> next = {part(44, 3, {{"a", 3}})};
  EXPECT_EQ(target.deliver(next).error().code, "58030");
  EXPECT_FALSE(target.test()->empty());
  begin_after_ = 50;
  EXPECT_EQ(target.open().value(), 50u);
  EXPECT_EQ(octets(read(), "a"), "2");
  std::filesystem::remove(file.file + ".new");
  deliver(target, {part(51, 4, {{"a", 4}})});
  EXPECT_EQ(octets(read(), "a"), "4");
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace backstream::sink
