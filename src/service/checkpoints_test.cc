#include "service/checkpoints.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace backstream::service {
namespace {

class CheckpointsTest : public testing::Test {
 protected:
  CheckpointsTest() {
    std::string name = (std::filesystem::temp_directory_path() / "backstream-checkpoints-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
  }
  ~CheckpointsTest() override { std::filesystem::remove_all(folder_); }

  static SavedState state(Micros at, bool clean = false) {
    SavedState made;
    made.saved_at = at;
    made.clean = clean;
    made.queries.push_back({"q", 7, 2, {1, 2, 3}});
    return made;
  }
  static CheckpointHeader header() {
    CheckpointHeader made;
    made.watermark = 1'000;
    made.last_seqs = {{"q", 41}};
    made.outages = {{10, 20, true}};
    made.topics = {{"flows", 3, 77}, {"other", 0, 0}};
    return made;
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) names.push_back(entry.path().filename());
    std::sort(names.begin(), names.end());
    return names;
  }
  std::filesystem::path folder_;
};

TEST_F(CheckpointsTest, WhatWasKeptIsThereForTheNextProcess) {
  {
    Checkpoints checkpoints(folder_);
    EXPECT_FALSE(*checkpoints.load());
    ASSERT_TRUE(checkpoints.write_now(state(5, true), header()));
    EXPECT_EQ(checkpoints.status().at, 5);
    EXPECT_GT(checkpoints.status().octets, 0u);
  }
  Checkpoints next(folder_);
  const auto before = next.load();
  ASSERT_TRUE(before && *before);
  EXPECT_TRUE((*before)->state.clean);
  EXPECT_EQ((*before)->state.queries[0].octets, (std::vector<uint8_t>{1, 2, 3}));
  EXPECT_EQ((*before)->header.watermark, 1'000);
  EXPECT_EQ((*before)->header.last_seqs.at("q"), 41u);
  EXPECT_EQ((*before)->header.outages.size(), 1u);
  EXPECT_EQ((*before)->header.topics, (std::vector<TopicPlace>{{"flows", 3, 77}, {"other", 0, 0}}));
  EXPECT_TRUE((*before)->header.outages[0].clean);
  EXPECT_TRUE((*before)->sent.empty());
}

TEST_F(CheckpointsTest, WindowsSentAfterTheStateAreKnown) {
  {
    Checkpoints checkpoints(folder_);
    ASSERT_TRUE(checkpoints.write_now(state(5), header()));
    checkpoints.note_sent("q", 100);
    checkpoints.note_sent("with space", 7);
    checkpoints.note_sent("q", 160);
    ASSERT_TRUE(checkpoints.write_now(state(6), header()));
    checkpoints.note_sent("q", 220);
    checkpoints.note_sent("other one", 300);
  }
  std::ofstream(folder_ / "windows.2.journal", std::ios::app) << "400 q";  // Cut by a kill.
  EXPECT_EQ(files(), (std::vector<std::string>{"windows.2.journal", "windows.state"}));
  Checkpoints next(folder_);
  const auto before = next.load();
  ASSERT_TRUE(before && *before);
  EXPECT_EQ((*before)->state.saved_at, 6);
  EXPECT_EQ((*before)->sent, (std::map<std::string, Micros>{{"q", 220}, {"other one", 300}}));
}

TEST_F(CheckpointsTest, OneIsWrittenWhileTheEngineGoesOnAndAnotherOnlyThen) {
  Checkpoints checkpoints(folder_);
  uint64_t taken = 0, refused = 0;
  for (int i = 0; i < 200; ++i) (checkpoints.submit(state(i), header()) ? taken : refused) += 1;
  ASSERT_TRUE(checkpoints.write_now(state(1'000), header()));
  const auto status = checkpoints.status();
  EXPECT_EQ(status.written, taken + 1);
  EXPECT_EQ(status.skipped, refused);
  EXPECT_EQ(status.at, 1'000);
  EXPECT_EQ(files().size(), 2u) << "one state and its journal";
  checkpoints.clear();
  EXPECT_TRUE(files().empty());
}

TEST_F(CheckpointsTest, AFolderThatCannotBeWrittenIsTold) {
  Checkpoints checkpoints(folder_ / "gone");
  EXPECT_FALSE(checkpoints.write_now(state(5), header()));
  EXPECT_EQ(checkpoints.status().failed, 1u);
  EXPECT_FALSE(checkpoints.status().error.empty());
  checkpoints.note_sent("q", 1);
  std::filesystem::create_directory(folder_ / "gone");
  EXPECT_TRUE(checkpoints.write_now(state(6), header())) << "it is tried again";
  EXPECT_EQ(checkpoints.status().error, "");
}

TEST_F(CheckpointsTest, AHeaderThatIsNoneOfOursIsAsIfNothingHadBeenThere) {
  for (const char* text : {"", "[]", "{\"watermark\":\"x\",\"outages\":[[1],[1,2,3]],\"last_seqs\":3}"}) {
    SavedState made = state(5);
    made.header = text;
    ASSERT_TRUE(StateFile((folder_ / "windows.state").string()).write(made));
    Checkpoints next(folder_);
    const auto before = next.load();
    ASSERT_TRUE(before && *before);
    EXPECT_EQ((*before)->header.watermark, base::kMinTime);
    EXPECT_TRUE((*before)->header.outages.empty());
  }
}

}  // namespace
}  // namespace backstream::service
