#include "service/state_file.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace backstream::service {
namespace {

class StateFileTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("state_file_test." + std::to_string(::getpid()));
    std::filesystem::create_directories(folder_);
    path_ = (folder_ / "state").string();
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  std::vector<char> read() const {
    std::ifstream in(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void put(const std::vector<char>& octets) const {
    std::ofstream out(path_, std::ios::binary | std::ios::trunc);
    out.write(octets.data(), static_cast<std::streamsize>(octets.size()));
  }
  std::filesystem::path folder_;
  std::string path_;
};

SavedState example() {
  SavedState state;
  state.saved_at = 1'769'860'800'000'000;
  state.clean = true;
  state.header = R"({"node":"fra1"})";
  state.streams = {1, 2, 3};
  state.queries = {{"matrix", 12, 3, std::vector<uint8_t>(1000, 7)}, {"empty", 1, 1, {}}};
  return state;
}

TEST_F(StateFileTest, GivesBackWhatWasWritten) {
  const StateFile file(path_);
  const auto none = file.load();
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
  for (const bool clean : {true, false}) {
    SavedState state = example();
    state.clean = clean;
    const auto written = file.write(state);
    ASSERT_TRUE(written) << written.error().message;
    EXPECT_EQ(*written, std::filesystem::file_size(path_));
    const auto loaded = file.load();
    ASSERT_TRUE(loaded && *loaded);
    EXPECT_EQ((*loaded)->saved_at, state.saved_at);
    EXPECT_EQ((*loaded)->clean, clean);
    EXPECT_EQ((*loaded)->header, state.header);
    EXPECT_EQ((*loaded)->streams, state.streams);
    ASSERT_EQ((*loaded)->queries.size(), 2u);
    EXPECT_EQ((*loaded)->queries[0].name, "matrix");
    EXPECT_EQ((*loaded)->queries[0].incarnation, 12u);
    EXPECT_EQ((*loaded)->queries[0].version, 3u);
    EXPECT_EQ((*loaded)->queries[0].octets, state.queries[0].octets);
    EXPECT_TRUE((*loaded)->queries[1].octets.empty());
  }
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

// What was written once is read as long as the version is.
TEST_F(StateFileTest, GoldenBytesOfVersion1) {
  const std::string_view golden =
      "42535354415445011e0000000000000080c0c9c4baeba406010f7b226e6f6465223a2266726131227d03010203028ff9e0f6"
      "d8fb81590900000000000000066d61747269780c030300000000000000070707bf5de81ecebd883008000000000000000565"
      "6d70747901010000000000000000698dfd2da0b09dde";
  const StateFile file(path_);
  SavedState state = example();
  state.queries[0].octets.resize(3);
  ASSERT_TRUE(file.write(state));
  std::string written;
  for (const char octet : read()) written += fmt::format("{:02x}", static_cast<uint8_t>(octet));
  EXPECT_EQ(written, golden);
  std::vector<char> octets;
  for (size_t at = 0; at < golden.size(); at += 2)
    octets.push_back(static_cast<char>(std::stoul(std::string(golden.substr(at, 2)), nullptr, 16)));
  put(octets);
  const auto loaded = file.load();
  ASSERT_TRUE(loaded && *loaded);
  EXPECT_EQ((*loaded)->saved_at, state.saved_at);
  EXPECT_EQ((*loaded)->header, state.header);
  ASSERT_EQ((*loaded)->queries.size(), 2u);
  EXPECT_EQ((*loaded)->queries[0].octets, state.queries[0].octets);
  octets[7] = 2;
  put(octets);
  const auto newer = file.load();
  ASSERT_FALSE(newer);
  EXPECT_NE(newer.error().message.find("it is of format 2, and this program knows 1"), std::string::npos)
      << newer.error().message;
  EXPECT_TRUE(std::filesystem::exists(path_ + ".damaged"));
}

TEST_F(StateFileTest, EveryCutAndEveryChangedOctetIsFound) {
  const StateFile file(path_);
  ASSERT_TRUE(file.write(example()));
  const std::vector<char> whole = read();
  const auto expect_refused = [&](const std::vector<char>& octets, const std::string& what) {
    put(octets);
    const auto loaded = file.load();
    ASSERT_FALSE(loaded) << what;
    EXPECT_EQ(loaded.error().code, "state");
    EXPECT_FALSE(loaded.error().hint.empty());
    EXPECT_FALSE(std::filesystem::exists(path_)) << "it is set aside";
    EXPECT_TRUE(std::filesystem::exists(path_ + ".damaged"));
  };
  for (size_t octets = 0; octets < whole.size(); ++octets)
    expect_refused({whole.begin(), whole.begin() + static_cast<long>(octets)}, "cut at " + std::to_string(octets));
  for (size_t at = 0; at < whole.size(); ++at) {
    for (const char bit : {1, 64}) {
      std::vector<char> changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ bit);
      expect_refused(changed, "octet " + std::to_string(at));
    }
  }
  std::vector<char> longer = whole;
  longer.push_back(0);
  expect_refused(longer, "one more octet");
  put(whole);
  EXPECT_TRUE(file.load());
}

TEST_F(StateFileTest, SaysWhereItIsDamaged) {
  const StateFile file(path_);
  ASSERT_TRUE(file.write(example()));
  std::vector<char> octets = read();
  octets[octets.size() / 2] ^= 1;
  put(octets);
  const auto loaded = file.load();
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("the checksum of query 1 of 2 is wrong"), std::string::npos)
      << loaded.error().message;
}

TEST_F(StateFileTest, TheOldStateStaysWhereTheNewOneCannotBeWritten) {
  const StateFile file(path_);
  ASSERT_TRUE(file.write(example()));
  std::filesystem::create_directories(path_ + ".new");
  const auto written = file.write(example());
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code, "file");
  EXPECT_TRUE(file.load());
  EXPECT_EQ(StateFile((folder_ / "none" / "state").string()).write(example()).error().code, "file");
}

}  // namespace
}  // namespace backstream::service
