#include "app/shell/history_file.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace backstream::app::shell {
namespace {

class HistoryFileTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/backstream_history_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    folder = pattern;
    path = folder + "/state/backstream/history";
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  std::string folder, path;
};

TEST_F(HistoryFileTest, KeepsLinesAndBackslashes) {
  HistoryFile file(path);
  EXPECT_TRUE(file.load().empty());
  const std::vector<std::string> entries{"SELECT 1;", "SELECT\n  E'\\n'\n  FROM t;", "\\watch c=3"};
  for (const std::string& entry : entries) EXPECT_TRUE(file.append(entry));
  EXPECT_EQ(HistoryFile(path).load(), entries);
  struct stat status = {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}
TEST_F(HistoryFileTest, WhatBeginsWithABlankIsNotKept) {
  HistoryFile file(path);
  EXPECT_TRUE(file.append(" SELECT 'nobody''s business';"));
  EXPECT_TRUE(file.load().empty());
}
TEST_F(HistoryFileTest, AnOldFileIsMadeTheOwnersAlone) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path) << "SELECT 1;\n";
  ::chmod(path.c_str(), 0644);
  EXPECT_TRUE(HistoryFile(path).append("SELECT 2;"));
  struct stat status = {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 0600u);
}
TEST_F(HistoryFileTest, DoesNotGrowWithoutBound) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  {
    std::ofstream out(path);
    for (size_t i = 0; i < 2 * HistoryFile::kEntriesMax + 1; ++i) out << "SELECT " << i << ";\n";
  }
  const auto entries = HistoryFile(path).load();
  ASSERT_EQ(entries.size(), HistoryFile::kEntriesMax);
  EXPECT_EQ(entries.back(), "SELECT " + std::to_string(2 * HistoryFile::kEntriesMax) + ";");
  std::ifstream in(path);
  std::string line;
  size_t lines = 0;
  while (std::getline(in, line)) ++lines;
  EXPECT_EQ(lines, HistoryFile::kEntriesMax);
}
TEST_F(HistoryFileTest, WithoutAPlaceNothingIsKept) {
  EXPECT_FALSE(HistoryFile("").append("SELECT 1;"));
  EXPECT_FALSE(HistoryFile("/proc/none/history").append("SELECT 1;"));
  EXPECT_TRUE(HistoryFile("/proc/none/history").load().empty());
}

}  // namespace
}  // namespace backstream::app::shell
