#include "history/store.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <fstream>
#include <random>

#include "history/parts_test.h"

namespace backstream::history {
namespace {

const QueryId kQuery{"q", 1};

std::vector<std::string> names_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with("-wal") && !name.ends_with("-shm")) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::vector<Micros> starts_of(const std::vector<std::shared_ptr<const ResultPart>>& parts) {
  std::vector<Micros> starts;
  for (const auto& part : parts) starts.push_back((part->window_start - kT0) / kMinute);
  return starts;
}

std::vector<std::shared_ptr<const ResultPart>> read_all(Kept& kept, Store::Range range = {}) {
  return kept->read(kQuery, range).value().parts;
}

TEST(History, GivesBackWhatItWasGiven) {
  const Scratch scratch;
  Kept kept(scratch.path());
  const auto form = matrix_form();
  std::vector<std::shared_ptr<const ResultPart>> given;
  for (uint64_t i = 0; i < 10; ++i) {
    auto part = matrix_part(form, 100 + i, kT0 + static_cast<Micros>(i) * kMinute, 10 * i);
    part->complete = i % 3 != 0;
    if (!part->complete) part->sites_missing = {"fra", "ams 1"};
    given.push_back(part);
    kept.add(part);
  }
  ASSERT_TRUE(kept->settle());
  EXPECT_EQ(texts_of(read_all(kept)), texts_of(given));
  EXPECT_EQ(kept->last_seq(kQuery), 109U);
  const auto range = kept->read(kQuery, {kT0 + 2 * kMinute, kT0 + 5 * kMinute}).value();
  EXPECT_EQ(starts_of(range.parts), (std::vector<Micros>{2, 3, 4}));
  EXPECT_EQ(range.kept_since, kT0);
  EXPECT_TRUE(kept->read({"other", 1}, {}).value().parts.empty());
  EXPECT_TRUE(kept->read({"q", 2}, {}).value().parts.empty()) << "another incarnation";
  EXPECT_EQ(kept.told(), "");
}

TEST(History, PagesOfARangeAreTheRange) {
  const Scratch scratch;
  Kept kept(scratch.path());
  const auto form = matrix_form();
  for (uint64_t i = 0; i < 25; ++i) kept.add(matrix_part(form, 1 + i, kT0 + static_cast<Micros>(i) * kMinute, 10));
  ASSERT_TRUE(kept->settle());
  Store::Range range;
  range.rows_max = 70;
  std::vector<Micros> starts;
  size_t pages = 0;
  for (;; ++pages) {
    const auto read = kept->read(kQuery, range).value();
    for (const Micros start : starts_of(read.parts)) starts.push_back(start);
    if (!read.next_seq) break;
    EXPECT_EQ(read.parts.size(), 7U);
    range.after_seq = *read.next_seq;
  }
  EXPECT_EQ(pages, 3U);
  EXPECT_EQ(starts.size(), 25U);
  EXPECT_TRUE(std::is_sorted(starts.begin(), starts.end()));
}

TEST(History, OfAWindowTheNewestRevisionIsRead) {
  const Scratch scratch;
  Kept kept(scratch.path());
  const auto form = matrix_form();
  uint64_t seq = 0;
  const auto add = [&](int revision, bool final, bool removed, size_t rows) {
    auto part = matrix_part(form, ++seq, kT0, rows);
    part->revision = revision;
    part->final = final;
    part->removed = removed;
    part->last = !removed;
    part->part = removed ? 0 : 1;
    kept.add(part);
  };
  add(1, false, false, 3);
  add(2, true, true, 1);
  add(2, true, false, 4);
  kept.add(matrix_part(form, ++seq, kT0 + kMinute, 1));
  ASSERT_TRUE(kept->settle());
  const auto newest = read_all(kept);
  ASSERT_EQ(newest.size(), 2U);
  EXPECT_EQ(newest[0]->revision, 2);
  EXPECT_EQ(newest[0]->rows.row_count, 4U);
  Store::Range range;
  range.revisions = true;
  EXPECT_EQ(read_all(kept, range).size(), 4U);
}

TEST(History, TheNewestFinalWindowIsFoundBehindThoseThatMayBeRevised) {
  const Scratch scratch;
  Kept kept(scratch.path());
  const auto form = matrix_form();
  const auto newest = [&](std::span<const std::shared_ptr<const ResultPart>> newer = {}) {
    return starts_of(kept->newest_final(kQuery, newer).value());
  };
  EXPECT_EQ(newest(), std::vector<Micros>{});
  uint64_t seq = 0;
  for (int64_t minute = 0; minute < 100; ++minute) {
    auto part = matrix_part(form, ++seq, kT0 + minute * kMinute, 2);
    part->final = minute < 40;
    kept.add(part);
  }
  ASSERT_TRUE(kept->settle());
  EXPECT_EQ(newest(), std::vector<Micros>{39});
  // A revision of an older window is nothing to it; one of the newest is.
  for (const int64_t minute : {38, 39}) {
    auto part = matrix_part(form, ++seq, kT0 + minute * kMinute, 3);
    part->revision = 2;
    kept.add(part);
  }
  ASSERT_TRUE(kept->settle());
  EXPECT_EQ(kept->newest_final(kQuery).value().front()->rows.row_count, 3U);
  EXPECT_EQ(newest(), std::vector<Micros>{39});
  // What only its caller knows.
  auto part = matrix_part(form, ++seq, kT0 + 50 * kMinute, 2);
  const std::vector<std::shared_ptr<const ResultPart>> newer = {part};
  EXPECT_EQ(newest(newer), std::vector<Micros>{50});
  EXPECT_EQ(starts_of(kept->newest_final({"other", 1}).value()), std::vector<Micros>{});
}

TEST(History, RowsWithoutWindowsAreInEveryRange) {
  const Scratch scratch;
  Kept kept(scratch.path());
  const auto form = matrix_form();
  for (uint64_t i = 0; i < 30; ++i) {
    auto part = matrix_part(form, 1 + i, 0, 5, static_cast<int64_t>(i));
    part->window_end = 0;
    kept.add(part);
  }
  ASSERT_TRUE(kept->settle());
  Store::Range range{kT0, kT0 + kMinute};
  EXPECT_EQ(read_all(kept, range).size(), 30U) << "none is taken for another, though all have the same window: none";
  range.rows_max = 50;
  EXPECT_EQ(read_all(kept, range).size(), 10U);
  range.after_seq = 10;
  EXPECT_EQ(read_all(kept, range).front()->seq, 11U);
}

TEST(History, OutlivesAKill) {
  const Scratch scratch;
  const auto form = matrix_form();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    Kept kept(scratch.path());
    for (uint64_t i = 0; i < 50; ++i) kept.add(matrix_part(form, 1 + i, kT0 + static_cast<Micros>(i) * kMinute, 20));
    if (!kept->settle()) ::_exit(1);
    ::kill(::getpid(), SIGKILL);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  Kept kept(scratch.path());
  EXPECT_EQ(read_all(kept).size(), 50U);
  EXPECT_EQ(kept->last_seq(kQuery), 50U);
  EXPECT_EQ(kept.told(), "");
}

TEST(History, WindowsThatAreGivenAgainAreKeptOnce) {
  const Scratch scratch;
  const auto form = matrix_form();
  const auto give = [&](Kept& kept, uint64_t first_seq, bool other) {
    for (uint64_t i = 0; i < 20; ++i) {
      auto part = matrix_part(form, first_seq + i, kT0 + static_cast<Micros>(i) * kMinute, 20);
      if (other) part->complete = false;
      kept.add(part);
    }
    ASSERT_TRUE(kept->settle());
  };
  std::vector<std::string> before;
  {
    Kept kept(scratch.path());
    give(kept, 1, false);
    before = texts_of(read_all(kept));
  }
  Kept kept(scratch.path(), [](Options& options) { options.file_octets_max = 1; });  // Each batch has its file.
  give(kept, 1'000, false);
  EXPECT_EQ(texts_of(read_all(kept)), before);
  EXPECT_EQ(kept->status().repeats, 20U);
  const auto after = kept->read_after(kQuery, 0, SIZE_MAX).value();
  EXPECT_EQ(texts_of(after.parts), before);
  EXPECT_EQ(kept->read_after(kQuery, after.last_seq, SIZE_MAX).value().rows_before, 400U);
  // The same window of which something is known to be missing is another result.
  give(kept, 2'000, true);
  EXPECT_EQ(kept->status().repeats, 20U);
  const auto newest = read_all(kept);
  ASSERT_EQ(newest.size(), 20U);
  EXPECT_FALSE(newest[0]->complete);
}

TEST(History, WhatIsKnownBesideItIsReadOnce) {
  const Scratch scratch;
  Kept kept(scratch.path());
  const auto form = matrix_form();
  std::vector<std::shared_ptr<const ResultPart>> all;
  for (uint64_t i = 0; i < 20; ++i) all.push_back(matrix_part(form, 1 + i, kT0 + static_cast<Micros>(i) * kMinute, 3));
  for (size_t i = 0; i < 15; ++i) kept.add(all[i]);
  ASSERT_TRUE(kept->settle());
  // The board has the newest, of which some are not on the disk; and windows that were given again.
  std::vector<std::shared_ptr<const ResultPart>> newer(all.begin() + 12, all.end());
  newer.push_back(matrix_part(form, 50, kT0 + 3 * kMinute, 3));
  const auto read = kept->read(kQuery, {}, newer).value();
  EXPECT_EQ(texts_of(read.parts), texts_of(all));
  EXPECT_EQ(read.last_seq, 50U);
  EXPECT_EQ(read.kept_since, kT0);
}

TEST(History, AReaderGoesOnFromAnyPlaceAndKnowsWhatItMissed) {
  const Scratch scratch;
  Kept kept(scratch.path(), [](Options& options) {
    options.file_octets_max = 100'000;
    options.queue_octets_max = 20'000;
    options.commit_every = std::chrono::seconds(60);
  });
  const auto form = matrix_form();
  uint64_t seq = 0, given = 0;
  for (int round = 0; round < 30; ++round) {
    for (int i = 0; i < 10; ++i) {
      ++seq;
      const auto part = matrix_part(form, seq, kT0 + static_cast<Micros>(seq) * kMinute, 100);
      kept.add(part);
      ++given;
    }
    ASSERT_TRUE(kept->settle());
  }
  // What is missing is told with the next part that is there.
  ++seq;
  kept.add(matrix_part(form, seq, kT0 + static_cast<Micros>(seq) * kMinute, 100));
  ++given;
  ASSERT_TRUE(kept->settle());
  const uint64_t refused = kept->status().refused_rows;
  EXPECT_GT(names_in(scratch.path()).size(), 3U);
  uint64_t after = 0, counted = 0, missed = 0;
  for (;;) {
    const auto read = kept->read_after(kQuery, after, 20'000).value();
    EXPECT_EQ(read.last_seq, seq);
    missed += read.rows_before - counted - missed;
    if (read.parts.empty()) break;
    for (const auto& part : read.parts) {
      EXPECT_GT(part->seq, after);
      after = part->seq;
      counted += part->rows.row_count;
    }
    EXPECT_LE(read.parts.size(), 8U);
  }
  EXPECT_GT(refused, 0U) << "the queue takes less than was given in a row";
  EXPECT_EQ(missed, refused);
  EXPECT_EQ(counted + missed, given * 100);
}

TEST(History, WhoWaitsIsWoken) {
  const Scratch scratch;
  Kept kept(scratch.path());
  const uint64_t before = kept->wait_beyond(0, std::chrono::milliseconds(0));
  EXPECT_EQ(before, 0U);
  kept.add(matrix_part(matrix_form(), 1, kT0, 1));
  EXPECT_EQ(kept->wait_beyond(before, std::chrono::seconds(30)), 1U);
  EXPECT_EQ(kept->read_after(kQuery, 0, 1).value().parts.size(), 1U) << "and then it is there to be read";
}

TEST(History, FilesGoWhenTheyArePastTheirTime) {
  const Scratch scratch;
  Kept kept(scratch.path());
  const auto form = matrix_form();
  for (uint64_t day = 0; day < 20; ++day) {
    kept.now = kT0 + static_cast<Micros>(day) * kDay;
    kept.add(matrix_part(form, 1 + day, kept.now, 10));
    ASSERT_TRUE(kept->settle());
  }
  // Of today, and the seven days before.
  EXPECT_EQ(names_in(scratch.path()).size(), 8U);
  EXPECT_EQ(read_all(kept).front()->seq, 13U);
  EXPECT_EQ(kept->read_after(kQuery, 3, SIZE_MAX).value().rows_before, 120U);
  kept.now = kT0 + 100 * kDay;
  ASSERT_TRUE(kept->settle());
  EXPECT_EQ(kept->last_seq(kQuery), 20U) << "though nothing of it is left";
}

TEST(History, AQueryMayBeKeptLongerOrShorter) {
  const Scratch scratch;
  Kept kept(scratch.path());
  const auto form = matrix_form();
  const QueryId brief{"brief", 1}, lasting{"lasting", 1};
  kept->set_retention(brief, kHour);
  kept->set_retention(lasting, 30 * kDay);
  uint64_t seq = 0;
  for (int hour = 0; hour < 24 * 12; ++hour) {
    kept.now = kT0 + hour * kHour;
    ++seq;
    for (const char* name : {"brief", "q", "lasting"}) kept.add(matrix_part(form, seq, kept.now, 10), name);
    if (hour % 8 == 7) {
      ASSERT_TRUE(kept->settle());
    }
  }
  const auto count = [&](const QueryId& id) { return kept->read(id, {}).value().parts.size(); };
  EXPECT_EQ(count(brief), 2U);
  EXPECT_EQ(count(lasting), 288U);
  EXPECT_GE(count(kQuery), 7 * 24U);
  EXPECT_LE(count(kQuery), 8 * 24U);
  {
    Kept again(scratch.path());
    again.now = kT0 + 12 * kDay + 20 * kDay;
    ASSERT_TRUE(again->settle());
    EXPECT_GT(again->read(lasting, {}).value().parts.size(), 0U) << "it holds over a restart";
    EXPECT_EQ(again->read(kQuery, {}).value().parts.size(), 0U);
  }
}

TEST(History, StaysWithinItsOctets) {
  const Scratch scratch;
  Kept kept(scratch.path(), [](Options& options) { options.octets_max = 4 << 20; });
  const auto form = matrix_form();
  std::mt19937_64 random(1);
  uint64_t seq = 0;
  for (int round = 0; round < 60; ++round) {
    for (int i = 0; i < 20; ++i) {
      ++seq;
      kept.add(matrix_part(form, seq, kT0 + static_cast<Micros>(seq) * kMinute, 1'000,
                           static_cast<int64_t>(random() >> 20)));
    }
    ASSERT_TRUE(kept->settle());
    EXPECT_LE(kept->status().totals.octets[0], 5U << 20);
  }
  const auto status = kept->status();
  EXPECT_GT(status.files_for_room, 3U);
  EXPECT_EQ(status.rows, 1'200'000U);
  const auto left = read_all(kept);
  EXPECT_EQ(left.back()->seq, seq);
  EXPECT_GT(left.front()->seq, 1U);
  EXPECT_GT(left.size(), 100U);
  EXPECT_EQ(left.back()->seq - left.front()->seq + 1, left.size()) << "the oldest went";
}

TEST(History, WhatIsDroppedIsGone) {
  const Scratch scratch;
  const auto form = matrix_form();
  {
    Kept kept(scratch.path(), [](Options& options) { options.file_octets_max = 1; });
    for (uint64_t i = 0; i < 500; ++i) {
      kept.add(matrix_part(form, 1 + i, kT0 + static_cast<Micros>(i) * kMinute, 20));
      kept.add(matrix_part(form, 1 + i, kT0 + static_cast<Micros>(i) * kMinute, 20), "other");
      if (i % 100 == 0) {
        ASSERT_TRUE(kept->settle());
      }
    }
    kept->drop("q");
    kept.add(matrix_part(form, 1'000, kT0, 1));  // What comes after it is of its own right.
    ASSERT_TRUE(kept->settle());
    EXPECT_EQ(read_all(kept).size(), 1U);
    EXPECT_EQ(kept->read({"other", 1}, {}).value().parts.size(), 500U);
  }
  Kept kept(scratch.path());
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(kept->settle());
  EXPECT_EQ(read_all(kept).size(), 1U);
  uint64_t parts = 0;
  for (const std::string& name : names_in(scratch.path())) {
    sqlite::Database db(scratch.path() + "/" + name, sqlite::Database::Mode::kWrite);
    parts += static_cast<uint64_t>(db.one_number("SELECT count(*) FROM part"));
  }
  EXPECT_EQ(parts, 501U) << "nothing is left of it inside";
}

TEST(History, ANameThatIsUsedAgainBeginsAnew) {
  const Scratch scratch;
  Kept kept(scratch.path());
  const auto form = matrix_form();
  for (uint64_t incarnation = 1; incarnation <= 3; ++incarnation) {
    kept->drop("q", incarnation);
    for (uint64_t i = 0; i < 5; ++i) {
      auto part = matrix_part(form, 10 * incarnation + i, kT0 + static_cast<Micros>(i) * kMinute, 3);
      part->incarnation = incarnation;
      kept.add(part);
    }
  }
  ASSERT_TRUE(kept->settle());
  EXPECT_EQ(kept->read({"q", 3}, {}).value().parts.size(), 5U);
  for (const uint64_t before : {1, 2}) EXPECT_EQ(kept->read({"q", before}, {}).value().parts.size(), 0U) << before;
}

TEST(History, DamagedPartsAreSkippedAndCounted) {
  const Scratch scratch;
  const auto form = matrix_form();
  {
    Kept kept(scratch.path());
    for (uint64_t i = 0; i < 10; ++i) kept.add(matrix_part(form, 1 + i, kT0 + static_cast<Micros>(i) * kMinute, 20));
    ASSERT_TRUE(kept->settle());
  }
  {
    sqlite::Database db(scratch.path() + "/" + names_in(scratch.path()).front(), sqlite::Database::Mode::kWrite);
    db.execute(
        "UPDATE part SET block = x'28b52ffd' WHERE seq = 3; UPDATE part SET row_count = 21 WHERE seq = 5;"
        "UPDATE part SET form = 99 WHERE seq = 7; UPDATE part SET revision = 7 WHERE seq = 9");
  }
  Kept kept(scratch.path());
  EXPECT_EQ(starts_of(read_all(kept)), (std::vector<Micros>{0, 1, 3, 5, 7, 9}));
  EXPECT_EQ(kept->status().unreadable, 4U);
  const auto after = kept->read_after(kQuery, 2, SIZE_MAX).value();
  EXPECT_EQ(after.parts.front()->seq, 4U);
  EXPECT_EQ(after.rows_before, 60U) << "which tells that 20 rows were missed";
}

TEST(History, FilesThatCannotBeReadAreSetAside) {
  const Scratch scratch;
  const auto form = matrix_form();
  const auto add_day = [&](int day) {
    Kept kept(scratch.path());
    kept.now = kT0 + day * kDay;
    kept.add(matrix_part(form, static_cast<uint64_t>(1 + day), kept.now, 20));
    ASSERT_TRUE(kept->settle());
  };
  for (int day = 0; day < 3; ++day) add_day(day);
  const auto names = names_in(scratch.path());
  ASSERT_EQ(names.size(), 3U);
  {
    std::fstream file(scratch.path() + "/" + names[0], std::ios::in | std::ios::out | std::ios::binary);
    file.write("no SQLite at all", 16);
  }
  {
    sqlite::Database db(scratch.path() + "/" + names[1], sqlite::Database::Mode::kWrite);
    db.pragma("user_version = 99");
  }
  std::ofstream(scratch.path() + "/raw-00000077-2025-11-27.db").close();  // Its maker was killed.
  Kept kept(scratch.path());
  kept.now = kT0 + 2 * kDay;
  EXPECT_EQ(read_all(kept).size(), 1U);
  kept.add(matrix_part(form, 10, kept.now + kMinute, 20));
  ASSERT_TRUE(kept->settle());
  EXPECT_EQ(read_all(kept).size(), 2U) << "it goes on";
  EXPECT_EQ(names_in(scratch.path()), (std::vector<std::string>{names[0] + ".damaged", names[1] + ".newer", names[2]}));
  EXPECT_EQ(kept->status().totals.set_aside, 2U);
  EXPECT_NE(kept.told().find("sqlite3 '"), std::string::npos) << kept.told();
  EXPECT_NE(kept.told().find("Move it back when that version runs again"), std::string::npos) << kept.told();
}

TEST(History, AFileThatIsDamagedWhileItIsUsedIsSetAside) {
  const Scratch scratch;
  const auto form = matrix_form();
  {
    Kept kept(scratch.path());
    for (uint64_t i = 0; i < 200; ++i) kept.add(matrix_part(form, 1 + i, kT0 + static_cast<Micros>(i) * kMinute, 500));
    ASSERT_TRUE(kept->settle());
  }
  Kept kept(scratch.path());
  kept.now = kT0 + kDay;
  kept.add(matrix_part(form, 1'000, kT0 + kDay, 20));
  ASSERT_TRUE(kept->settle());
  const std::string old = scratch.path() + "/" + names_in(scratch.path()).front();
  {
    // All but the pages at the begin.
    std::fstream file(old, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(3 * 8'192);
    const std::vector<char> junk(std::filesystem::file_size(old) - 3 * 8'192, 'x');
    file.write(junk.data(), static_cast<std::streamsize>(junk.size()));
  }
  EXPECT_EQ(read_all(kept).size(), 1U);
  ASSERT_TRUE(kept->settle());
  EXPECT_TRUE(std::filesystem::exists(old + ".damaged"));
  EXPECT_EQ(read_all(kept).size(), 1U);
  EXPECT_NE(kept.told().find("is damaged"), std::string::npos);
}

/// A file system of its own, of a few MiB.
class SmallDisk {
 public:
  explicit SmallDisk(const char* size) { is_there_ = ::mount("none", scratch_.path().c_str(), "tmpfs", 0, size) == 0; }
  ~SmallDisk() {
    if (is_there_) ::umount2(scratch_.path().c_str(), MNT_DETACH);
  }
  bool is_there() const { return is_there_; }
  const std::string& path() const { return scratch_.path(); }

 private:
  Scratch scratch_;
  bool is_there_ = false;
};

TEST(History, AFullDiskCostsTheOldestFileAndIsOverWhenThereIsRoom) {
  const SmallDisk disk("size=6m");
  if (!disk.is_there()) GTEST_SKIP() << "a file system can be made by root only";
  const auto form = matrix_form();
  std::mt19937_64 random(1);
  uint64_t seq = 0;
  Kept kept(disk.path() + "/history", [](Options& options) {
    options.file_octets_max = 1 << 20;
    options.queue_octets_max = 4 << 20;
  });
  const auto add = [&](int parts) {
    for (int i = 0; i < parts; ++i) {
      ++seq;
      kept.add(matrix_part(form, seq, kT0 + static_cast<Micros>(seq) * kMinute, 1'000,
                           static_cast<int64_t>(random() >> 20)));
    }
  };
  for (int round = 0; round < 60; ++round) {
    add(20);
    ASSERT_TRUE(kept->settle());
  }
  auto status = kept->status();
  EXPECT_GT(status.files_for_room, 2U);
  EXPECT_TRUE(status.full_at.has_value());
  EXPECT_EQ(status.trouble, "");
  EXPECT_EQ(status.refused_rows, 0U);
  EXPECT_EQ(status.rows, 1'200'000U);
  EXPECT_NE(kept.told().find("the oldest file, was removed to make room"), std::string::npos) << kept.told();
  EXPECT_EQ(read_all(kept).back()->seq, seq);

  // Somebody else takes all that there is: nothing can be written, and the process goes on.
  const std::string ballast = disk.path() + "/ballast";
  const auto fill = [&] {
    std::ofstream file(ballast, std::ios::app | std::ios::binary);
    const std::vector<char> octets(4'096, 'x');
    while (file.write(octets.data(), 4'096).flush()) {
    }
  };
  for (int round = 0; round < 60 && kept->status().refused_rows == 0; ++round) {
    fill();
    add(30);
    (void)kept->settle();
  }
  status = kept->status();
  EXPECT_GT(status.refused_rows, 0U);
  EXPECT_TRUE(status.is_full);
  EXPECT_EQ(status.trouble, "the disk is full");

  std::filesystem::remove(ballast);
  ASSERT_TRUE(kept->settle());
  add(1);
  ASSERT_TRUE(kept->settle());
  EXPECT_EQ(kept->status().trouble, "");
  EXPECT_EQ(read_all(kept).back()->seq, seq);
  EXPECT_NE(kept.told().find("history is written again"), std::string::npos);
}

TEST(History, WhatHasAFolderOfSomebodyElseDoesNotStart) {
  const Scratch scratch;
  std::ofstream(scratch.path() + "/taken").close();
  Options options;
  options.folder = scratch.path() + "/taken";
  const auto opened = Store::open(std::move(options));
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().code, "58030");
}

}  // namespace
}  // namespace backstream::history
