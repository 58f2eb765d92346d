#include "sink/file_target.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "sink/part_maker_test.h"

namespace backstream::sink {
namespace {

Micros now = 0;
Micros test_clock() { return now; }

class FileTargetTest : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / fmt::format("file-target-{}", ::getpid());
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
    options_.folder = folder_;
    options_.name = "out";
    now = 1'800'000'000 * base::kMicrosPerSecond;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  /// As a process that was killed leaves it, and the next one finds it.
  uint64_t begin_anew() {
    target_.emplace(options_, &test_clock);
    const auto place = target_->open();
    EXPECT_TRUE(place) << place.error().render();
    return place.value_or(0);
  }
  void deliver(const std::vector<std::shared_ptr<const ResultPart>>& parts) {
    const auto done = target_->deliver(parts);
    EXPECT_TRUE(done) << done.error().render();
  }
  std::string read(const std::string& name) const {
    std::ifstream in(folder_ / name, std::ios::binary);
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  void append(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name, std::ios::binary | std::ios::app) << text;
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  std::string unfinished() const {
    for (const std::string& name : files()) {
      if (name.ends_with(".part")) return name;
    }
    return "";
  }
  /// Lines of all files, without headers.
  std::vector<std::string> rows() const {
    std::vector<std::string> all;
    for (const std::string& name : files()) {
      if (name.find(".csv") == std::string::npos) continue;
      std::istringstream in(read(name));
      for (std::string line; std::getline(in, line);) {
        if (!line.starts_with("window_start")) all.push_back(line);
      }
    }
    std::sort(all.begin(), all.end());
    return all;
  }

  std::filesystem::path folder_;
  FileTargetOptions options_;
  std::optional<FileTarget> target_;
  const std::shared_ptr<const ResultForm> form_ = test_form();
};

TEST_F(FileTargetTest, RowsHaveAllMarks) {
  EXPECT_EQ(begin_anew(), 0U);
  auto part = test_part(form_, 3, 1, {{"a\"b,c", 5}, {"", -1}}, 2);
  part->complete = part->final = false;
  part->sites_missing = {"ams", "fra"};
  deliver({part});
  const std::string name = unfinished();
  EXPECT_EQ(name, "out-20270115T080000Z-3.csv.part");
  EXPECT_EQ(read(name),
            "window_start,name,octets,_window_start,_window_end,_rev,_final,_complete,_sites_missing,_op\n"
            "1970-01-01 00:01:00+00,\"a\"\"b,c\",5,1970-01-01 00:01:00+00,1970-01-01 00:02:00+00,2,f,f,\"ams,fra\",u\n"
            "1970-01-01 00:01:00+00,\"\",-1,1970-01-01 00:01:00+00,1970-01-01 00:02:00+00,2,f,f,\"ams,fra\",u\n");
}

TEST_F(FileTargetTest, JsonLines) {
  options_.format = FileTargetOptions::Format::kJsonl;
  begin_anew();
  auto part = test_part(form_, 3, 1, {{"a\n\"", 5}});
  part->removed = true;
  deliver({part});
  EXPECT_EQ(read(unfinished()), R"({"window_start":"1970-01-01T00:01:00Z","name":"a\u000a\"","octets":5,)"
                                R"("_window_start":"1970-01-01T00:01:00Z","_window_end":"1970-01-01T00:02:00Z",)"
                                R"("_rev":1,"_final":true,"_complete":true,"_sites_missing":[],"_op":"d"})"
                                "\n");
}

TEST_F(FileTargetTest, WhatTheEndOfAProcessLeftIsCutOff) {
  begin_anew();
  deliver({test_part(form_, 1, 1, {{"a", 1}})});
  append(unfinished(), "half a row");
  EXPECT_EQ(begin_anew(), 1U);
  deliver({test_part(form_, 2, 2, {{"b", 2}})});
  EXPECT_EQ(begin_anew(), 2U);
  const auto all = rows();
  ASSERT_EQ(all.size(), 2U);
  EXPECT_NE(all[0].find(",a,1,"), std::string::npos);
  EXPECT_NE(all[1].find(",b,2,"), std::string::npos);
  EXPECT_EQ(files().size(), 2U) << "the same file went on";
  EXPECT_EQ(target_->files_missed(), 0U);
}

/// At every step a copy of the folder is what a kill would have left: from each the same rows come to be.
TEST_F(FileTargetTest, FromEveryMomentOnEachRowIsThereOnce) {
  options_.rotate_octets = 300;
  begin_anew();
  std::vector<std::shared_ptr<const ResultPart>> parts;
  for (uint64_t seq = 1; seq <= 12; ++seq)
    parts.push_back(test_part(form_, seq, static_cast<int64_t>(seq), {{fmt::format("n{}", seq), 1}, {"x", 2}}));
  std::vector<std::filesystem::path> copies;
  for (size_t i = 0; i < parts.size(); i += 3) {
    deliver({parts[i], parts[i + 1], parts[i + 2]});
    copies.push_back(fmt::format("{}-{}", folder_.string(), i));
    std::filesystem::copy(folder_, copies.back());
  }
  const auto expected = rows();
  EXPECT_EQ(expected.size(), 24U);
  EXPECT_GT(files().size(), 3U) << "rotated";
  const auto home = folder_;
  for (const auto& copy : copies) {
    folder_ = copy;
    options_.folder = copy;
    if (!unfinished().empty()) append(unfinished(), "1970-01-01 00:09:00+00,twice,");
    for (uint64_t place = begin_anew(); place < parts.size(); place = begin_anew()) deliver({parts[place]});
    EXPECT_EQ(rows(), expected);
    std::filesystem::remove_all(copy);
  }
  folder_ = home;
}

TEST_F(FileTargetTest, AKillBetweenTheNameAndThePlaceOfAWholeFile) {
  options_.rotate_octets = 1;
  begin_anew();
  auto first = test_part(form_, 1, 1, {{"a", 1}});
  first->last = false;
  deliver({first});
  const std::string place = read("out.place"), name = unfinished();
  deliver({test_part(form_, 2, 1, {{"b", 2}})});
  EXPECT_EQ(unfinished(), "") << "ended with the window, not before";
  // The file was renamed; that it is ended was not written.
  const std::string whole = name.substr(0, name.size() - 5);
  std::ofstream(folder_ / "out.place") << fmt::format(R"({{"seq":2,"file":"{}","octets":{},"begun_at":0}})", whole,
                                                      std::filesystem::file_size(folder_ / whole));
  EXPECT_EQ(begin_anew(), 2U);
  deliver({test_part(form_, 3, 2, {{"c", 3}})});
  EXPECT_EQ(rows().size(), 3U);
  EXPECT_EQ(target_->files_missed(), 0U);
}

TEST_F(FileTargetTest, FilesEndWithTheHourAndWithOtherColumns) {
  begin_anew();
  deliver({test_part(form_, 1, 1, {{"a", 1}})});
  now += 3'600 * base::kMicrosPerSecond;
  auto half = test_part(form_, 2, 2, {{"b", 1}});
  half->last = false;
  deliver({half});
  EXPECT_EQ(files().size(), 2U) << "not in the middle of a window";
  deliver({test_part(form_, 3, 2, {{"c", 1}})});
  EXPECT_EQ(unfinished(), "");
  deliver({test_part(form_, 4, 3, {{"d", 1}}), test_part(test_form("packets"), 5, 4, {{"e", 1}})});
  const auto all = files();
  ASSERT_EQ(all.size(), 4U);
  EXPECT_TRUE(read(unfinished()).starts_with("window_start,name,packets,")) << read(unfinished());
  EXPECT_EQ(rows().size(), 5U);
}

TEST_F(FileTargetTest, AFileThatWasTakenAwayIsNotedAndTheRestGoesOn) {
  begin_anew();
  deliver({test_part(form_, 1, 1, {{"a", 1}})});
  std::filesystem::remove(folder_ / unfinished());
  now += base::kMicrosPerSecond;
  deliver({test_part(form_, 2, 2, {{"b", 1}})});
  EXPECT_EQ(rows().size(), 1U);
  EXPECT_EQ(target_->files_missed(), 1U);
  std::filesystem::remove(folder_ / unfinished());
  EXPECT_EQ(begin_anew(), 2U);
  EXPECT_EQ(target_->files_missed(), 1U);
}

TEST_F(FileTargetTest, WhatCannotBeWrittenIsAnErrorAndIsThereOnceInTheEnd) {
  begin_anew();
  deliver({test_part(form_, 1, 1, {{"a", 1}})});
  const std::string aside = folder_.string() + "-aside";
  std::filesystem::rename(folder_, aside);
  const std::vector<std::shared_ptr<const ResultPart>> parts = {test_part(form_, 2, 2, {{"b", 1}})};
  const auto done = target_->deliver(parts);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, "58030");
  std::filesystem::rename(aside, folder_);
  EXPECT_EQ(target_->open().value(), 1U);
  deliver(parts);
  EXPECT_EQ(rows().size(), 2U);
}

TEST_F(FileTargetTest, APlaceThatSaysNothingIsRefused) {
  append("out.place", "{\"seq\":");
  target_.emplace(options_, &test_clock);
  const auto place = target_->open();
  ASSERT_FALSE(place);
  EXPECT_NE(place.error().hint.find("begins anew"), std::string::npos);
}

TEST_F(FileTargetTest, AReplayIsAFileOfItsOwn) {
  begin_anew();
  deliver({test_part(form_, 1, 1, {{"a", 1}}), test_part(form_, 2, 2, {{"b", 1}})});
  const std::vector<std::shared_ptr<const ResultPart>> parts = {test_part(form_, 1, 1, {{"a", 1}})};
  ASSERT_TRUE(target_->repeat(parts));
  EXPECT_EQ(rows().size(), 3U);
  EXPECT_NE(read("out-20270115T080000Z-replay-1.csv").find(",a,1,"), std::string::npos);
  EXPECT_EQ(begin_anew(), 2U) << "the place stays";
  EXPECT_EQ(files().size(), 3U);
  const auto tested = target_->test();
  ASSERT_TRUE(tested);
  EXPECT_NE(tested->find("up to part 2"), std::string::npos) << *tested;
  EXPECT_EQ(files().size(), 3U) << "leaves nothing behind";
}

}  // namespace
}  // namespace backstream::sink
