#include "transport/file_log.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <random>

#include "transport/log_conformance.h"

namespace backstream::transport {
namespace {

/// Folders of this process, removed when it ends.
class Folders {
 public:
  Folders() : owner_(::getpid()) {
    std::string name = (std::filesystem::temp_directory_path() / "backstream-log-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    root_ = name;
  }
  ~Folders() {
    std::error_code ignored;
    if (::getpid() == owner_) std::filesystem::remove_all(root_, ignored);
  }
  std::string next() { return (root_ / std::to_string(++count_)).string(); }

 private:
  const pid_t owner_;
  std::filesystem::path root_;
  int count_ = 0;
};
std::string new_folder() {
  static Folders folders;
  return folders.next();
}

std::unique_ptr<FileLog> open_log(const std::string& folder, const FileLogOptions& options) {
  auto log = FileLog::open(folder, options);
  if (!log) throw std::runtime_error(log.error().render());
  return std::move(*log);
}

/// A FileLog that knows how to open it again.
class ReopenableLog : public Log {
 public:
  ReopenableLog(std::string folder, const FileLogOptions& options)
      : folder_(std::move(folder)), options_(options), log_(open_log(folder_, options_)) {}
  void reopen() {
    log_.reset();
    log_ = open_log(folder_, options_);
  }

  uint32_t partition_count() const override { return log_->partition_count(); }
  Appended append(uint32_t partition, std::span<const uint8_t> bytes) override {
    const Appended appended = log_->append(partition, bytes);
    EXPECT_LE(log_->octets_held(), options_.octets_max);
    return appended;
  }
  LogStatus read(uint32_t partition, uint64_t offset, size_t octets_max, std::vector<LogRecord>& out) override {
    return log_->read(partition, offset, octets_max, out);
  }
  uint64_t begin_offset(uint32_t partition) const override { return log_->begin_offset(partition); }
  uint64_t end_offset(uint32_t partition) const override { return log_->end_offset(partition); }
  uint64_t resume_offset(uint32_t partition, uint64_t offset) override {
    return log_->resume_offset(partition, offset);
  }
  void trim(uint32_t partition, uint64_t offset) override { log_->trim(partition, offset); }

 private:
  const std::string folder_;
  const FileLogOptions options_;
  std::unique_ptr<FileLog> log_;
};

template <uint64_t kSegmentOctets, int kSyncMilliseconds>
struct FileLogFactory {
  static std::unique_ptr<Log> make(uint32_t partitions, size_t octets_max) {
    FileLogOptions options;
    options.partition_count = partitions;
    options.octets_max = octets_max;
    options.segment_octets = kSegmentOctets;
    options.sync_interval = std::chrono::milliseconds(kSyncMilliseconds);
    return std::make_unique<ReopenableLog>(new_folder(), options);
  }
  static std::unique_ptr<Log> reopen(std::unique_ptr<Log> log) {
    dynamic_cast<ReopenableLog&>(*log).reopen();
    return log;
  }
};
using AsItComes = FileLogFactory<0, 1000>;
using SmallSegments = FileLogFactory<4096, 1>;
using OneRecordASegment = FileLogFactory<FileLog::kSegmentOctetsMin, 0>;
INSTANTIATE_TYPED_TEST_SUITE_P(File, LogConformance, AsItComes);
INSTANTIATE_TYPED_TEST_SUITE_P(File, DurableLogConformance, AsItComes);
INSTANTIATE_TYPED_TEST_SUITE_P(File, BoundedLogConformance, AsItComes);
INSTANTIATE_TYPED_TEST_SUITE_P(File, BoundedDurableLogConformance, AsItComes);
INSTANTIATE_TYPED_TEST_SUITE_P(FileOfSmallSegments, LogConformance, SmallSegments);
INSTANTIATE_TYPED_TEST_SUITE_P(FileOfSmallSegments, DurableLogConformance, SmallSegments);
INSTANTIATE_TYPED_TEST_SUITE_P(FileOfSmallSegments, BoundedLogConformance, SmallSegments);
INSTANTIATE_TYPED_TEST_SUITE_P(FileOfSmallSegments, BoundedDurableLogConformance, SmallSegments);
INSTANTIATE_TYPED_TEST_SUITE_P(FileOfTinySegments, DurableLogConformance, OneRecordASegment);
INSTANTIATE_TYPED_TEST_SUITE_P(FileOfTinySegments, BoundedDurableLogConformance, OneRecordASegment);

/// Partition and number of a record say what is in it.
std::string record_of(uint32_t partition, uint64_t number) {
  std::string record = std::to_string(partition) + ":" + std::to_string(number) + ":";
  std::mt19937 random(static_cast<unsigned>(number * 31 + partition));
  record.resize(record.size() + random() % 90, '.');
  for (char& octet : record) octet = octet == '.' ? static_cast<char>('a' + random() % 26) : octet;
  return record;
}

Log::Appended append(Log& log, uint32_t partition, std::string_view text) {
  return log.append(partition, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}
std::string text_of(const LogRecord& record) { return {record.bytes.begin(), record.bytes.end()}; }

/// All that is in a partition, and what is told as lost.
struct ReadBack {
  std::map<uint64_t, std::string> records;
  std::vector<std::pair<uint64_t, uint64_t>> lost;

  bool is_lost(uint64_t offset) const {
    return std::any_of(lost.begin(), lost.end(),
                       [&](const auto& range) { return range.first <= offset && offset < range.second; });
  }
};
ReadBack read_back(Log& log, uint32_t partition, size_t octets_max = 1000) {
  ReadBack back;
  uint64_t next = log.begin_offset(partition);
  while (true) {
    std::vector<LogRecord> records;
    const LogStatus status = log.read(partition, next, octets_max, records);
    if (status == LogStatus::kLost) {
      EXPECT_TRUE(records.empty());
      const uint64_t to = log.resume_offset(partition, next);
      EXPECT_GT(to, next);
      back.lost.emplace_back(next, to);
      next = to;
      continue;
    }
    EXPECT_EQ(status, LogStatus::kOk);
    if (records.empty() || status != LogStatus::kOk) break;
    for (const LogRecord& record : records) {
      EXPECT_GE(record.offset, next);
      next = record.offset + 1;
      back.records[record.offset] = text_of(record);
    }
  }
  EXPECT_EQ(next, log.end_offset(partition));
  return back;
}

class FileLogTest : public testing::Test {
 protected:
  FileLogTest() : folder_(new_folder()) {
    options_.octets_max = 1 << 20;
    options_.sync_interval = std::chrono::milliseconds(0);
    options_.sync = [](int) { return 0; };  // What the disk does is not of interest, but for tests that say so.
  }

  std::unique_ptr<FileLog> open() const { return open_log(folder_, options_); }
  std::string refusal() const {
    const auto log = FileLog::open(folder_, options_);
    return log ? "" : log.error().code;
  }
  /// The segments of a partition, oldest first.
  std::vector<std::string> segments(uint32_t partition = 0) const {
    std::vector<std::string> paths;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      const std::string name = entry.path().filename().string();
      if (name.ends_with(".segment") && std::stoul(name) == partition) paths.push_back(entry.path().string());
    }
    std::sort(paths.begin(), paths.end());
    return paths;
  }
  uint64_t octets_of_segments() const {
    uint64_t octets = 0;
    for (uint32_t p = 0; p < options_.partition_count; ++p) {
      for (const std::string& path : segments(p)) octets += std::filesystem::file_size(path);
    }
    return octets;
  }
  static std::string octets_of(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  static void write(const std::string& path, const std::string& octets) {
    std::filesystem::remove(path);  // Some file systems flush a file that is shortened and written again.
    std::ofstream(path, std::ios::binary | std::ios::trunc) << octets;
  }
  /// All files, to begin anew from.
  std::map<std::string, std::string> save() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      files[entry.path().string()] = octets_of(entry.path().string());
    }
    return files;
  }
  void restore(const std::map<std::string, std::string>& files) const {
    for (const auto& entry : std::filesystem::directory_iterator(folder_)) {
      if (!files.contains(entry.path().string())) std::filesystem::remove(entry.path());
    }
    for (const auto& [path, octets] : files) write(path, octets);
  }

  std::string folder_;
  FileLogOptions options_;
};

TEST_F(FileLogTest, WhatWasNotWrittenWholeIsCutOff) {
  constexpr uint64_t kRecords = 6;
  std::vector<uint64_t> ends;  // Octets of the file behind each record.
  {
    const auto log = open();
    for (uint64_t i = 0; i < kRecords; ++i) {
      ASSERT_EQ(append(*log, 0, i == 3 ? "" : record_of(0, i)).status, LogStatus::kOk);
      ends.push_back(log->octets_held());
    }
  }
  const auto files = save();
  const std::string path = segments().front();
  ASSERT_EQ(files.at(path).size(), ends.back());
  for (size_t octets = kHeaderOctets; octets <= ends.back(); ++octets) {
    restore(files);
    write(path, files.at(path).substr(0, octets));
    const auto log = open();
    const auto whole = static_cast<uint64_t>(std::upper_bound(ends.begin(), ends.end(), octets) - ends.begin());
    const uint64_t torn = octets - (whole > 0 ? ends[whole - 1] : kHeaderOctets);
    EXPECT_EQ(log->faults().torn_records, torn > 0 ? 1U : 0U) << octets;
    EXPECT_EQ(log->faults().torn_octets, torn) << octets;
    EXPECT_EQ(log->faults().lost_records + log->faults().unknown_ends, 0U) << octets;
    EXPECT_EQ(log->end_offset(0), whole) << octets;
    EXPECT_EQ(append(*log, 0, "next").offset, whole);
    EXPECT_EQ(log->octets_held(), octets_of_segments());
    const ReadBack back = read_back(*log, 0);
    EXPECT_EQ(back.records.size(), whole + 1);
    for (uint64_t i = 0; i < whole; ++i) EXPECT_EQ(back.records.at(i), i == 3 ? "" : record_of(0, i));
    EXPECT_EQ(back.records.at(whole), "next");
  }
}

TEST_F(FileLogTest, OfAFileWithoutItsBeginNothingIsTakenForGranted) {
  {
    const auto log = open();
    append(*log, 0, "a");
  }
  const auto files = save();
  for (size_t octets = 0; octets < kHeaderOctets; ++octets) {
    restore(files);
    write(segments().front(), files.at(segments().front()).substr(0, octets));
    const auto log = open();
    EXPECT_EQ(log->faults().damaged_headers, 1U);
    EXPECT_EQ(log->faults().unknown_ends, 1U);
    std::vector<LogRecord> records;
    EXPECT_EQ(log->read(0, 0, 10, records), LogStatus::kLost);
    EXPECT_EQ(log->resume_offset(0, 0), log->end_offset(0));
    EXPECT_GE(append(*log, 0, "b").offset, kOffsetJump);
    EXPECT_EQ(read_back(*log, 0).records.size(), 1U);
  }
}

TEST_F(FileLogTest, AChangedOctetCostsOneRecordAndIsTold) {
  constexpr uint64_t kRecords = 12;
  options_.segment_octets = 512;
  std::vector<std::pair<std::string, uint64_t>> places;  // Segment and octets before each record.
  {
    const auto log = open();
    for (uint64_t i = 0; i < kRecords; ++i) {
      ASSERT_EQ(append(*log, 0, record_of(0, i)).offset, i);
      const std::string path = segments().back();
      places.emplace_back(path, std::filesystem::file_size(path) - kRecordHeadOctets - record_of(0, i).size());
    }
  }
  const auto files = save();
  const auto all = segments();
  ASSERT_GE(all.size(), 2U);
  ASSERT_NE(places[kRecords - 2].first, places[0].first) << "the last segment has more than one record";
  std::mt19937 random(5);
  for (const std::string& path : all) {
    for (size_t octet = 0; octet < files.at(path).size(); ++octet) {
      std::string changed = files.at(path);
      changed[octet] = static_cast<char>(changed[octet] ^ 1 << random() % 8);
      restore(files);
      write(path, changed);
      const auto log = open();
      const ReadBack back = read_back(*log, 0);
      for (const auto& [offset, text] : back.records) EXPECT_EQ(text, record_of(0, offset));
      if (octet < kHeaderOctets) {
        EXPECT_EQ(log->faults().damaged_headers, 1U);
        EXPECT_EQ(back.records.size(), kRecords);
        EXPECT_TRUE(back.lost.empty());
        continue;
      }
      uint64_t hit = kRecords;
      for (uint64_t i = 0; i < kRecords; ++i) {
        if (places[i].first == path && places[i].second <= octet) hit = i;
      }
      EXPECT_EQ(back.records.size(), kRecords - 1) << path << " " << octet;
      EXPECT_FALSE(back.records.contains(hit));
      ASSERT_EQ(back.lost.size(), 1U);
      EXPECT_EQ(back.lost[0].first, hit);
      EXPECT_EQ(log->faults().torn_records, 0U);
      const bool is_end = hit == kRecords - 1 && octet < places[hit].second + kRecordHeadOctets;
      // Whether more than one record lay behind a damaged head at the end, nobody can know.
      EXPECT_EQ(log->faults().unknown_ends, is_end ? 1U : 0U);
      EXPECT_EQ(log->faults().lost_records, is_end ? 0U : 1U);
      EXPECT_EQ(back.lost[0].second, is_end ? hit + kOffsetJump : hit + 1);
      EXPECT_EQ(append(*log, 0, "next").offset, is_end ? hit + kOffsetJump : kRecords);
    }
  }
}

TEST_F(FileLogTest, AClosedSegmentThatIsShorterOrGoneIsTold) {
  constexpr uint64_t kRecords = 20;
  options_.segment_octets = 512;
  std::vector<std::pair<std::string, uint64_t>> ends;
  {
    const auto log = open();
    for (uint64_t i = 0; i < kRecords; ++i) {
      append(*log, 0, record_of(0, i));
      ends.emplace_back(segments().back(), std::filesystem::file_size(segments().back()));
    }
  }
  const auto files = save();
  const auto all = segments();
  ASSERT_GE(all.size(), 3U);
  const std::string& path = all[1];
  for (size_t octets = 0; octets <= files.at(path).size(); ++octets) {
    restore(files);
    if (octets == 0) {
      std::filesystem::remove(path);
    } else {
      write(path, files.at(path).substr(0, octets));
    }
    const auto log = open();
    const ReadBack back = read_back(*log, 0);
    uint64_t lost = 0;
    for (uint64_t i = 0; i < kRecords; ++i) {
      const bool is_there = ends[i].first != path || ends[i].second <= octets;
      lost += !is_there;
      EXPECT_EQ(back.records.contains(i), is_there) << i << " of " << octets;
      EXPECT_EQ(back.is_lost(i), !is_there);
      if (is_there) {
        EXPECT_EQ(back.records.at(i), record_of(0, i));
      }
    }
    EXPECT_EQ(log->faults().lost_records, lost);
    EXPECT_EQ(log->faults().lost_places, lost > 0 ? 1U : 0U);
    read_back(*log, 0);
    EXPECT_EQ(log->faults().lost_records, lost) << "counted once";
  }
}

TEST_F(FileLogTest, WhateverHappensToTheFilesNothingIsWrongAndNothingIsLostInSilence) {
  options_.segment_octets = 1000;
  options_.partition_count = 2;
  constexpr uint64_t kRecords = 60;
  {
    const auto log = open();
    for (uint64_t i = 0; i < kRecords; ++i) {
      for (uint32_t p = 0; p < 2; ++p) append(*log, p, record_of(p, i));
    }
  }
  const auto files = save();
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE(seed);
    restore(files);
    std::mt19937 random(seed);
    auto paths = segments(0);
    const std::string last = paths.back();
    bool is_last_shorter = false;
    for (unsigned hits = 1 + random() % 4; hits > 0; --hits) {
      const std::string& path = paths[random() % paths.size()];
      std::string octets = octets_of(path);
      const size_t at = octets.empty() ? 0 : random() % octets.size(), count = 1 + random() % 200;
      switch (random() % 5) {
        case 0: octets.resize(at); break;
        case 1:
          for (size_t i = at; i < std::min(octets.size(), at + count); ++i) octets[i] = static_cast<char>(random());
          break;
        case 2: octets.erase(at, count); break;
        case 3: octets.insert(at, octets.substr(random() % (at + 1), count)); break;
        case 4:
          octets.replace(at, std::min(count, octets.size() - at), std::min(count, octets.size() - at), '\0');
          break;
      }
      is_last_shorter |= path == last && octets.size() < files.at(last).size();
      write(path, octets);
    }
    const auto log = open();
    const ReadBack back = read_back(*log, 0);
    for (const auto& [offset, text] : back.records) EXPECT_EQ(text, record_of(0, offset));
    for (uint64_t i = 0; i < kRecords; ++i) {
      // A file that ends earlier cannot tell that it once was longer.
      const bool is_cut = is_last_shorter && i >= log->end_offset(0);
      EXPECT_TRUE(back.records.contains(i) || back.is_lost(i) || is_cut) << i;
    }
    EXPECT_EQ(read_back(*log, 1).records.size(), kRecords) << "the other partition has nothing to do with it";
    EXPECT_EQ(log->octets_held(), octets_of_segments());
    const uint64_t end = log->end_offset(0);
    const auto next = append(*log, 0, "next");
    ASSERT_EQ(next.status, LogStatus::kOk);
    EXPECT_EQ(next.offset, end);
    std::vector<LogRecord> records;
    EXPECT_EQ(log->read(0, end, 100, records), LogStatus::kOk);
    EXPECT_EQ(records.size(), 1U);
  }
}

TEST_F(FileLogTest, DamageOverSeveralRecordsCostsThoseOnly) {
  constexpr uint64_t kRecords = 30;
  std::vector<uint64_t> begins;
  {
    const auto log = open();
    for (uint64_t i = 0; i < kRecords; ++i) {
      begins.push_back(log->octets_held());
      append(*log, 0, record_of(0, i));
    }
  }
  const auto files = save();
  const std::string path = segments().front();
  for (const bool is_gone : {false, true}) {
    restore(files);
    std::string octets = files.at(path);
    // From within record 4 to within 9; 14 and 15 exactly; from within 20 to where 23 begins.
    const std::pair<uint64_t, uint64_t> places[] = {
        {begins[20] + 5, begins[23]}, {begins[14], begins[16]}, {begins[4] + 30, begins[9] + 3}};
    for (const auto& [from, to] : places) {
      is_gone ? octets.erase(from, to - from) : octets.replace(from, to - from, to - from, '\0');
    }
    write(path, octets);
    const auto log = open();
    const ReadBack back = read_back(*log, 0);
    std::vector<std::pair<uint64_t, uint64_t>> expected = {{4, 10}, {14, 16}, {20, 23}};
    EXPECT_EQ(back.lost, expected);
    EXPECT_EQ(back.records.size(), kRecords - 11);
    for (const auto& [offset, text] : back.records) EXPECT_EQ(text, record_of(0, offset));
    EXPECT_EQ(log->faults().lost_records, 11U);
    EXPECT_EQ(log->faults().lost_places, 3U);
    EXPECT_EQ(log->end_offset(0), kRecords);
  }
}

TEST_F(FileLogTest, DamageWithoutEndIsBounded) {
  options_.segment_octets = 1 << 19;
  constexpr uint64_t kRecords = 2000;
  {
    const auto log = open();
    for (uint64_t i = 0; i < kRecords; ++i) append(*log, 0, std::string(10, 'x'));
  }
  const std::string path = segments().front();
  std::string octets = octets_of(path);
  for (uint64_t i = 1; i < kRecords; i += 2) octets[kHeaderOctets + i * 34 + 30] ^= 1;
  write(path, octets);
  const auto log = open();
  const ReadBack back = read_back(*log, 0);
  EXPECT_EQ(back.records.size(), kLostRangesMax + 1);
  EXPECT_TRUE(back.is_lost(kRecords - 1));
  EXPECT_EQ(log->faults().unknown_ends, 1U);
}

TEST_F(FileLogTest, DamageInAClosedSegmentIsBoundedToo) {
  options_.segment_octets = 1 << 17;
  constexpr uint64_t kRecords = 4000;
  uint64_t first_of_second = 0;
  {
    const auto log = open();
    for (uint64_t i = 0; i < kRecords; ++i) {
      append(*log, 0, std::string(10, 'x'));
      if (first_of_second == 0 && log->segment_count() == 2) first_of_second = i;
    }
  }
  const std::string path = segments().front();
  std::string octets = octets_of(path);
  for (uint64_t i = 1; i < first_of_second; i += 2) octets[kHeaderOctets + i * 34 + 30] ^= 1;
  write(path, octets);
  const auto log = open();
  const ReadBack back = read_back(*log, 0);
  EXPECT_EQ(back.records.size(), kLostRangesMax + 1 + (kRecords - first_of_second));
  EXPECT_EQ(log->faults().lost_records, kRecords - back.records.size());
  EXPECT_EQ(log->faults().lost_places, kLostRangesMax + 1);
}

TEST_F(FileLogTest, DamageThatComesWhileItIsOpenIsToldToo) {
  const auto log = open();
  for (uint64_t i = 0; i < 5; ++i) append(*log, 0, record_of(0, i));
  EXPECT_EQ(read_back(*log, 0).records.size(), 5U);
  std::fstream file(segments().front(), std::ios::binary | std::ios::in | std::ios::out);
  file.seekp(static_cast<std::streamoff>(kHeaderOctets + kRecordHeadOctets + 2));
  file.put('!');
  file.close();
  std::vector<LogRecord> records;
  EXPECT_EQ(log->read(0, 0, 1000, records), LogStatus::kLost);
  EXPECT_EQ(log->resume_offset(0, 0), 1U);
  EXPECT_EQ(log->faults().lost_records, 1U);
  ASSERT_EQ(::truncate(segments().front().c_str(), 200), 0);
  const ReadBack back = read_back(*log, 0);
  EXPECT_TRUE(back.is_lost(4));
  EXPECT_EQ(back.records.size() + log->faults().lost_records, 5U);
}

TEST_F(FileLogTest, ASegmentThatIsRemovedWhileItIsOpenIsLost) {
  options_.segment_octets = 512;
  const auto log = open();
  for (uint64_t i = 0; i < 20; ++i) append(*log, 0, record_of(0, i));
  ASSERT_EQ(log->sync(), LogStatus::kOk);
  std::filesystem::remove(segments()[1]);
  const ReadBack back = read_back(*log, 0);
  EXPECT_EQ(back.lost.size(), 1U);
  EXPECT_EQ(back.records.size() + log->faults().lost_records, 20U);
}

TEST_F(FileLogTest, ADiskThatCannotBeReadNowIsNoLoss) {
  options_.segment_octets = 512;
  const auto log = open();
  for (uint64_t i = 0; i < 20; ++i) append(*log, 0, record_of(0, i));
  ASSERT_EQ(log->sync(), LogStatus::kOk);
  const std::string path = segments()[1];
  std::filesystem::rename(path, folder_ + "/away");
  std::filesystem::create_directory(path);  // Opens, and cannot be read.
  std::vector<LogRecord> records;
  ASSERT_EQ(log->read(0, 0, 100'000, records), LogStatus::kOk);
  const uint64_t next = records.back().offset + 1;
  ASSERT_LT(next, 20U) << "all before it";
  records.clear();
  EXPECT_EQ(log->read(0, next, 1000, records), LogStatus::kUnavailable);
  EXPECT_EQ(log->resume_offset(0, next), next);
  EXPECT_GT(log->faults().read_failures, 0U);
  EXPECT_NE(log->faults().last_error.find("directory"), std::string::npos) << log->faults().last_error;
  std::filesystem::remove(path);
  std::filesystem::rename(folder_ + "/away", path);
  log->read(0, 0, 0, records);  // Another segment, so that the file is opened anew.
  EXPECT_EQ(read_back(*log, 0).records.size(), 20U);
  EXPECT_EQ(log->faults().lost_records, 0U);
}

TEST_F(FileLogTest, RecordsAreFoundAtAnyOffsetOfLargeSegments) {
  options_.octets_max = 16 << 20;
  options_.segment_octets = 1 << 20;
  constexpr uint64_t kRecords = 40'000;
  const auto check = [&](Log& log) {
    std::mt19937 random(9);
    for (int i = 0; i < 500; ++i) {
      const uint64_t offset = random() % kRecords;
      std::vector<LogRecord> records;
      ASSERT_EQ(log.read(0, offset, 200, records), LogStatus::kOk);
      ASSERT_FALSE(records.empty());
      for (size_t r = 0; r < records.size(); ++r) {
        ASSERT_EQ(records[r].offset, offset + r);
        ASSERT_EQ(text_of(records[r]), record_of(0, offset + r));
      }
    }
    EXPECT_EQ(read_back(log, 0, 100'000).records.size(), kRecords);
  };
  {
    const auto log = open();
    for (uint64_t i = 0; i < kRecords; ++i) ASSERT_EQ(append(*log, 0, record_of(0, i)).offset, i);
    check(*log);
  }
  check(*open());
}

TEST_F(FileLogTest, RecordsLargerThanASegmentAndThanABlock) {
  options_.octets_max = 4 << 20;
  options_.segment_octets = 4096;
  const auto large = [](uint64_t i) { return std::string(300'000 + i * 1000, static_cast<char>('a' + i)); };
  {
    const auto log = open();
    for (uint64_t i = 0; i < 5; ++i) ASSERT_EQ(append(*log, 0, large(i)).offset, i);
    EXPECT_EQ(log->segment_count(), 5U);
  }
  const auto log = open();
  for (const size_t octets_max : {0UL, 300'000UL, 10'000'000UL}) {
    const ReadBack back = read_back(*log, 0, octets_max);
    ASSERT_EQ(back.records.size(), 5U);
    for (const auto& [offset, text] : back.records) EXPECT_TRUE(text == large(offset));
  }
}

TEST_F(FileLogTest, TrimmingRemovesFiles) {
  options_.segment_octets = 512;
  const auto log = open();
  for (uint64_t i = 0; i < 30; ++i) append(*log, 0, record_of(0, i));
  const auto before = segments();
  ASSERT_GE(before.size(), 4U);
  const uint64_t first_of_third = std::stoull(std::filesystem::path(before[2]).filename().string().substr(5));
  log->trim(0, first_of_third - 1);
  EXPECT_EQ(segments().size(), before.size() - 1);
  log->trim(0, first_of_third);
  EXPECT_EQ(segments().size(), before.size() - 2);
  EXPECT_EQ(log->octets_held(), octets_of_segments());
  log->trim(0, 30);
  EXPECT_EQ(segments().size(), 1U);
  EXPECT_EQ(log->begin_offset(0), 30U);
}

TEST_F(FileLogTest, OneProcessAtATime) {
  auto log = open();
  EXPECT_EQ(refusal(), "55006");
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto other = FileLog::open(folder_, options_);
    ::_exit(!other && other.error().code == "55006" && !other.error().hint.empty() ? 0 : 1);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0);
  EXPECT_EQ(append(*log, 0, "still").status, LogStatus::kOk);
  log.reset();
  EXPECT_EQ(refusal(), "");
}

// What one version of the program left in its files the next one finds there.
TEST_F(FileLogTest, GoldenBytesOfVersion1) {
  const std::string_view manifest =
      "42534c4d01000000efcdab896745230101000000000000000000000000000000000000000000000000000000000000000000"
      "000000000000d1ff6c48f149bc08";
  const std::string_view segment =
      "42534c5301000000efcdab896745230101000000000000000000000000000000000000000000000000000000000000000000"
      "0000000000001cb513655a3c9bde0700000058ce54310000000000000000760924d6628b2bb37061727469616c";
  const auto hex = [](std::span<const uint8_t> octets) {
    std::string text;
    for (const uint8_t octet : octets) {
      text += "0123456789abcdef"[octet >> 4];
      text += "0123456789abcdef"[octet & 15];
    }
    return text;
  };
  const auto octets_of_hex = [](std::string_view text) {
    std::string octets;
    for (size_t at = 0; at < text.size(); at += 2)
      octets += static_cast<char>(std::stoul(std::string(text.substr(at, 2)), nullptr, 16));
    return octets;
  };
  FileHeader header{FileHeader::Kind::kManifest, kFileLogVersion, 0x0123456789abcdef, 1, 0, 0};
  EXPECT_EQ(hex(write_header(header)), manifest);
  header.kind = FileHeader::Kind::kSegment;
  const std::string payload = "partial";
  const std::span octets(reinterpret_cast<const uint8_t*>(payload.data()), payload.size());
  const auto head = write_record_head(record_seed(header.log_id, 0), 0, payload.size(), payload_checksum(octets));
  EXPECT_EQ(hex(write_header(header)) + hex(head) + hex(octets), segment);

  std::filesystem::create_directory(folder_);
  write(folder_ + "/manifest", octets_of_hex(manifest));
  write(folder_ + "/0000-00000000000000000000.segment", octets_of_hex(segment));
  const auto log = open();
  EXPECT_EQ(read_back(*log, 0).records, (std::map<uint64_t, std::string>{{0, payload}}));
  EXPECT_EQ(append(*log, 0, "next").offset, 1U);
  EXPECT_EQ(log->faults().lost_records + log->faults().unknown_ends, 0U);
}

TEST_F(FileLogTest, WhatIsNotItsOwnIsRefusedAndLeftAsItIs) {
  options_.partition_count = 2;
  {
    const auto log = open();
    append(*log, 0, "a");
  }
  const auto files = save();
  const std::string manifest = folder_ + "/manifest";
  const auto refused = [&](std::string_view code) {
    const auto before = save();
    const auto log = FileLog::open(folder_, options_);
    ASSERT_FALSE(log);
    EXPECT_EQ(log.error().code, code) << log.error().render();
    EXPECT_FALSE(log.error().hint.empty());
    EXPECT_EQ(save(), before);
    restore(files);
  };
  FileHeader header;
  ASSERT_EQ(read_header({reinterpret_cast<const uint8_t*>(files.at(manifest).data()), kHeaderOctets}, header),
            HeaderVerdict::kGood);
  const auto put = [&](const std::string& path, const FileHeader& head) {
    const auto octets = write_header(head);
    std::string file = octets_of(path);
    file.replace(0, kHeaderOctets, reinterpret_cast<const char*>(octets.data()), kHeaderOctets);
    write(path, file);
  };
  FileHeader later = header;
  later.version = 2;
  put(manifest, later);
  refused("0A000");
  later.kind = FileHeader::Kind::kSegment;
  put(segments(0)[0], later);
  refused("0A000");
  later.version = kFileLogVersion;
  later.log_id ^= 1;
  put(segments(1)[0], later);
  refused("XX001");
  std::filesystem::rename(segments(1)[0], folder_ + "/0001-00000000000000000007.segment");
  refused("XX001");
  std::filesystem::rename(segments(1)[0], folder_ + "/0007-00000000000000000000.segment");
  refused("XX001");
  std::filesystem::remove(segments(1)[0]);
  refused("XX001");
  std::filesystem::remove(manifest);
  refused("XX001");
  for (size_t octet = 0; octet < kHeaderOctets; ++octet) {
    std::string changed = files.at(manifest);
    changed[octet] ^= 4;
    write(manifest, changed);
    refused("XX001");
  }
  write(manifest, "");
  refused("XX001");
  options_.partition_count = 3;
  refused("22023");
  options_.partition_count = 2;
  options_.octets_max = 100;
  EXPECT_EQ(refusal(), "22023");
  options_.octets_max = 1 << 20;
  options_.segment_octets = 1;
  EXPECT_EQ(refusal(), "22023");
  options_.segment_octets = 0;
  options_.partition_count = 0;
  EXPECT_EQ(refusal(), "22023");
  options_.partition_count = 2;
  const auto log = open();
  EXPECT_EQ(read_back(*log, 0).records.at(0), "a");
}

TEST_F(FileLogTest, AFolderThatCannotBeIsNamed) {
  const auto in_nothing = FileLog::open(folder_ + "/missing/log", options_);
  ASSERT_FALSE(in_nothing);
  EXPECT_EQ(in_nothing.error().code, "58030");
  EXPECT_NE(in_nothing.error().message.find("missing/log"), std::string::npos);
  write(folder_, "a file");
  EXPECT_EQ(refusal(), "58030");
}

TEST_F(FileLogTest, AnUnfinishedBeginIsBegunAgain) {
  open();
  std::filesystem::remove(folder_ + "/manifest");
  write(segments()[0], "BS");
  const auto log = open();
  EXPECT_EQ(append(*log, 0, "a").offset, 0U);
}

TEST_F(FileLogTest, ASegmentThatWasAboutToBeginIsNone) {
  options_.segment_octets = 512;
  {
    const auto log = open();
    for (uint64_t i = 0; i < 10; ++i) append(*log, 0, record_of(0, i));
  }
  write(folder_ + "/0000-00000000000000000010.segment", "BSLS");
  const auto log = open();
  EXPECT_EQ(log->end_offset(0), 10U);
  EXPECT_EQ(log->faults().damaged_headers, 0U);
  EXPECT_EQ(append(*log, 0, "next").offset, 10U);
  EXPECT_EQ(read_back(*log, 0).records.size(), 11U);
}

TEST_F(FileLogTest, AFullDiskRefusesAndShowsNothingHalf) {
  // So many octets are taken, then none; a write that does not fit is done in part, as the kernel does it.
  auto room = std::make_shared<int64_t>(3000);
  int error = ENOSPC;
  options_.write = [room, &error](int file, const iovec* parts, int count, off_t at) -> ssize_t {
    ssize_t written = 0;
    for (int i = 0; i < count; ++i) {
      const size_t octets = std::min<size_t>(parts[i].iov_len, static_cast<size_t>(std::max<int64_t>(*room, 0)));
      if (octets > 0 && ::pwrite(file, parts[i].iov_base, octets, at + written) < 0) return -1;
      written += static_cast<ssize_t>(octets);
      *room -= static_cast<int64_t>(octets);
    }
    errno = error;
    return written == 0 && error != 0 ? -1 : written;
  };
  options_.segment_octets = 1024;
  auto log = open();
  std::map<uint64_t, std::string> taken;
  uint64_t refused = 0;
  for (uint64_t i = 0; i < 400; ++i) {
    if (i == 120) error = 0;
    if (i == 150) error = EIO;
    if (i == 200) *room = 2000;
    const auto appended = append(*log, 0, record_of(0, i));
    if (appended.status == LogStatus::kOk) {
      taken[appended.offset] = record_of(0, i);
      continue;
    }
    ++refused;
    EXPECT_EQ(appended.status, error != EIO ? LogStatus::kFull : LogStatus::kUnavailable);
    EXPECT_EQ(log->octets_held(), octets_of_segments()) << "what was written of it is gone";
    if (i % 10 == 0) {
      EXPECT_EQ(read_back(*log, 0).records, taken);
    }
  }
  EXPECT_GT(taken.size(), 50U);
  EXPECT_EQ(log->faults().write_failures, refused);
  EXPECT_NE(log->faults().last_error.find("Input/output error"), std::string::npos) << log->faults().last_error;
  *room = 1 << 20;
  log.reset();
  log = open();
  EXPECT_EQ(read_back(*log, 0).records, taken);
  EXPECT_EQ(log->faults().torn_records, 0U);
}

TEST_F(FileLogTest, TheSystemsLimitOfAFileIsNoEnd) {
  options_.segment_octets = 1 << 20;
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    ::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{10'000, 10'000};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    const auto log = FileLog::open(folder_, options_);
    if (!log) ::_exit(2);
    uint64_t taken = 0;
    LogStatus status;
    while ((status = append(**log, 0, std::string(700, 'x')).status) == LogStatus::kOk) ++taken;
    if (status != LogStatus::kFull || taken != (10'000 - kHeaderOctets) / (700 + kRecordHeadOctets)) ::_exit(3);
    if ((*log)->faults().last_error.find("File too large") == std::string::npos) ::_exit(4);
    // A smaller one fits, and the part of the large one is not behind it.
    if (append(**log, 0, "small").status != LogStatus::kOk) ::_exit(5);
    ::_exit(0);  // Without closing.
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  const auto log = open();
  EXPECT_EQ(log->faults().torn_records, 0U);
  const ReadBack back = read_back(*log, 0);
  EXPECT_EQ(back.records.size(), (10'000 - kHeaderOctets) / (700 + kRecordHeadOctets) + 1);
  EXPECT_EQ(back.records.rbegin()->second, "small");
}

TEST_F(FileLogTest, SyncedIsWhatTheDiskHasSaid) {
  bool fails = false;
  int calls = 0;
  options_.sync = [&](int) {
    ++calls;
    if (!fails) return 0;
    errno = EIO;
    return -1;
  };
  options_.segment_octets = 1024;
  const auto log = open();
  EXPECT_EQ(log->synced_offset(0), 0U);
  for (uint64_t i = 0; i < 3; ++i) append(*log, 0, record_of(0, i));
  EXPECT_EQ(log->synced_offset(0), 0U);
  EXPECT_EQ(log->sync(), LogStatus::kOk);
  EXPECT_EQ(log->synced_offset(0), 3U);
  const int calls_before = calls;
  EXPECT_EQ(log->sync(), LogStatus::kOk);
  EXPECT_EQ(calls, calls_before) << "there was nothing to do";

  append(*log, 0, record_of(0, 3));
  fails = true;
  EXPECT_EQ(log->sync(), LogStatus::kUnavailable);
  EXPECT_EQ(log->faults().sync_failures, 1U);
  fails = false;
  ASSERT_EQ(log->segment_count(), 1U);
  append(*log, 0, "");
  EXPECT_EQ(log->segment_count(), 2U) << "no record follows in the file that failed";
  for (uint64_t i = 5; i < 20; ++i) ASSERT_EQ(append(*log, 0, record_of(0, i)).status, LogStatus::kOk);
  EXPECT_EQ(log->sync(), LogStatus::kUnavailable) << "the kernel has forgotten what it could not write";
  EXPECT_EQ(log->synced_offset(0), 3U);
  EXPECT_EQ(read_back(*log, 0).records.size(), 20U);
  log->trim(0, 15);
  EXPECT_EQ(log->sync(), LogStatus::kOk);
  EXPECT_EQ(log->synced_offset(0), 20U);
}

TEST_F(FileLogTest, TheNextSegmentIsOnTheDiskBeforeTheLastOneGoes) {
  bool fails = false;
  std::string watched;
  std::set<ino_t> synced;  // While the watched file was there.
  options_.sync = [&](int file) {
    struct stat status {};
    if (::fstat(file, &status) == 0 && std::filesystem::exists(watched)) synced.insert(status.st_ino);
    if (!fails) return 0;
    errno = EIO;
    return -1;
  };
  const auto inode_of = [](const std::string& path) {
    struct stat status {};
    return ::stat(path.c_str(), &status) == 0 ? status.st_ino : 0;
  };
  options_.segment_octets = 512;
  const auto log = open();
  for (uint64_t i = 0; log->segment_count() < 3; ++i) append(*log, 0, record_of(0, i));
  const auto before = segments();
  const uint64_t first_of_third = std::stoull(std::filesystem::path(before[2]).filename().string().substr(5));
  watched = before[0];
  fails = true;
  log->trim(0, first_of_third);
  EXPECT_EQ(segments(), before) << "rather too much is kept";
  EXPECT_EQ(log->begin_offset(0), first_of_third);
  EXPECT_EQ(log->faults().sync_failures, 1U);
  fails = false;
  log->trim(0, first_of_third);
  EXPECT_EQ(segments(), before) << "a second try proves nothing";
  synced.clear();
  while (log->segment_count() < 4) append(*log, 0, "more");
  const std::string last = segments().back();
  log->trim(0, log->end_offset(0));
  EXPECT_EQ(segments(), std::vector<std::string>{last});
  EXPECT_TRUE(synced.contains(inode_of(last)));
  EXPECT_TRUE(synced.contains(inode_of(folder_)));
}

TEST_F(FileLogTest, TheIntervalSyncsByItself) {
  std::atomic<int> calls{0};
  options_.sync = [&](int) { return ++calls, 0; };
  options_.sync_interval = std::chrono::milliseconds(1);
  const auto log = open();
  append(*log, 0, "a");
  while (log->synced_offset(0) < 1) std::this_thread::yield();
  EXPECT_GT(calls, 0);
}

TEST_F(FileLogTest, SyncsThatWaitForOneAreDoneWithIt) {
  std::atomic<bool> disk_is_slow{false};
  std::atomic<int> calls{0};
  options_.sync = [&](int) {
    ++calls;
    while (disk_is_slow) std::this_thread::yield();
    return 0;
  };
  const auto log = open();
  append(*log, 0, "a");
  ASSERT_EQ(log->sync(), LogStatus::kOk);
  calls = 0;
  append(*log, 0, "b");
  std::vector<std::thread> threads;
  disk_is_slow = true;
  threads.emplace_back([&] { log->sync(); });
  while (calls == 0) std::this_thread::yield();
  for (int i = 0; i < 8; ++i) {
    append(*log, 0, "c");  // While the first one is in the disk.
    threads.emplace_back([&] { log->sync(); });
  }
  disk_is_slow = false;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(log->synced_offset(0), 10U);
  EXPECT_EQ(calls, 2) << "one was on its way, and the next took all the others along";
}

TEST_F(FileLogTest, WhatAPowerCutMayHaveTakenIsTold) {
  options_.boot_id = "first";
  auto log = open();
  for (uint64_t i = 0; i < 5; ++i) append(*log, 0, record_of(0, i));
  log.reset();
  options_.boot_id = "second";
  log = open();
  EXPECT_EQ(log->faults().unknown_ends, 0U) << "it was closed before the machine went down";
  EXPECT_EQ(log->end_offset(0), 5U);
  const auto running = save();
  log.reset();

  restore(running);
  log = open();
  EXPECT_EQ(log->faults().unknown_ends, 0U) << "killed, and the machine stayed up";
  EXPECT_EQ(log->end_offset(0), 5U);
  log.reset();

  restore(running);
  options_.boot_id = "third";
  log = open();
  EXPECT_EQ(log->faults().unknown_ends, 1U);
  const uint64_t end = log->end_offset(0);
  EXPECT_EQ(end, 5 + kOffsetJump) << "a reader may have seen offsets from 5 on";
  EXPECT_EQ(append(*log, 0, "after").offset, end);
  ReadBack back = read_back(*log, 0);
  EXPECT_EQ(back.records.size(), 6U);
  ASSERT_EQ(back.lost.size(), 1U);
  EXPECT_EQ(back.lost[0], std::pair(uint64_t{5}, end));
  EXPECT_EQ(log->faults().lost_records, 0U) << "perhaps none";
  log.reset();
  log = open();
  EXPECT_EQ(log->end_offset(0), end + 1);
  back = read_back(*log, 0);
  EXPECT_EQ(back.records.size(), 6U);
  EXPECT_EQ(log->faults().lost_records + log->faults().unknown_ends, 0U);
}

TEST_F(FileLogTest, ALogThatHoldsMoreThanItsBoundIsFull) {
  {
    const auto log = open();
    for (uint64_t i = 0; i < 200; ++i) append(*log, 0, record_of(0, i));
  }
  options_.octets_max = 4096;
  const auto log = open();
  EXPECT_EQ(read_back(*log, 0).records.size(), 200U);
  EXPECT_EQ(append(*log, 0, "x").status, LogStatus::kFull);
  log->trim(0, 200);
  EXPECT_EQ(append(*log, 0, "x").status, LogStatus::kOk);
  EXPECT_LE(log->octets_held(), 4096U);
}

// What a killed process had been told is kept in memory that it shares with the test.
struct Told {
  static constexpr uint32_t kPartitions = 3;
  std::atomic<uint64_t> appended[kPartitions];   // Offsets below were told kOk.
  std::atomic<uint64_t> attempted[kPartitions];  // At most so many were begun.
  std::atomic<uint64_t> trimmed[kPartitions];
};

/// Of a record of any offset; some are large, so that a kill finds them half written.
std::string told_record(uint32_t partition, uint64_t offset) {
  std::string record = record_of(partition, offset);
  if (offset % 5 == 0) record.append(200'000 + offset % 7 * 50'000, static_cast<char>('A' + offset % 26));
  return record;
}

[[noreturn]] void append_for_ever(const std::string& folder, const FileLogOptions& options, Told& told) {
  auto opened = FileLog::open(folder, options);
  if (!opened) ::_exit(3);
  FileLog& log = **opened;
  std::vector<std::thread> threads;
  for (uint32_t p = 0; p < Told::kPartitions; ++p) {
    threads.emplace_back([&, p] {
      std::mt19937 random(static_cast<unsigned>(::getpid()) + p);
      while (true) {
        const uint64_t offset = log.end_offset(p);
        told.attempted[p] = offset + 1;
        const auto appended = append(log, p, told_record(p, offset));
        if (appended.status == LogStatus::kFull || random() % 50 == 0) {
          const uint64_t to = offset - std::min<uint64_t>(offset, random() % 20);
          uint64_t before = told.trimmed[p];
          while (before < to && !told.trimmed[p].compare_exchange_weak(before, to)) continue;
          log.trim(p, to);
        }
        if (appended.status == LogStatus::kOk) {
          if (appended.offset != offset) ::_exit(4);
          told.appended[p] = offset + 1;
        } else if (appended.status != LogStatus::kFull) {
          ::_exit(5);
        }
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  ::_exit(6);
}

TEST_F(FileLogTest, AKillAtAnyInstantLosesNothingThatWasAppended) {
  options_.partition_count = Told::kPartitions;
  options_.octets_max = 24 << 20;
  options_.segment_octets = 1 << 20;
  options_.sync = {};
  options_.sync_interval = std::chrono::milliseconds(5);
  void* shared = ::mmap(nullptr, sizeof(Told), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  ASSERT_NE(shared, MAP_FAILED);
  auto* told = new (shared) Told{};
  std::mt19937 random(11);
  for (int round = 0; round < 40; ++round) {
    SCOPED_TRACE(round);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) append_for_ever(folder_, options_, *told);
    std::this_thread::sleep_for(std::chrono::microseconds(random() % 40'000));
    ::kill(child, SIGKILL);
    int status = 0;
    ::waitpid(child, &status, 0);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it ended by itself: " << WEXITSTATUS(status);

    const auto log = open();
    const FileLogFaults faults = log->faults();
    EXPECT_EQ(faults.lost_records + faults.unknown_ends + faults.damaged_headers, 0U);
    EXPECT_LE(faults.torn_records, Told::kPartitions);
    EXPECT_EQ(log->octets_held(), octets_of_segments());
    for (uint32_t p = 0; p < Told::kPartitions; ++p) {
      const uint64_t begin = log->begin_offset(p), end = log->end_offset(p);
      EXPECT_GE(end, told->appended[p]) << "what was appended is there";
      EXPECT_LE(end, std::max(told->attempted[p].load(), told->appended[p].load()));
      EXPECT_LE(begin, told->trimmed[p]) << "and nothing but what was trimmed is gone";
      told->appended[p] = end;
      const ReadBack back = read_back(*log, p, 1 << 20);
      EXPECT_EQ(back.records.size(), end - begin);
      for (const auto& [offset, text] : back.records) EXPECT_TRUE(text == told_record(p, offset)) << offset;
    }
  }
  EXPECT_GT(told->appended[0], 100U) << "something was appended at all";
  ::munmap(shared, sizeof(Told));
}

}  // namespace
}  // namespace backstream::transport
