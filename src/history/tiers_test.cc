#include <gtest/gtest.h>

#include "history/parts_test.h"
#include "history/roll_up.h"

namespace backstream::history {
namespace {

const QueryId kQuery{"q", 1};
constexpr Micros kFive = 5 * kMinute;
constexpr size_t kGroups = 7;  // The last has no octets.

int64_t scale_of(int window) { return 1'000 + 37 * (window % 101); }

struct Tiers : Kept {
  explicit Tiers(const std::string& folder, Micros keep_raw = 7 * kDay)
      : Kept(folder, [&](Options& options) {
          options.keep_us = {keep_raw, 0, 20 * kDay, 90 * kDay};
        }) {}
  /// Windows [from, until) of five minutes since kT0.
  void give(int from, int until, int revision = 1, int64_t factor = 1) {
    for (int window = from; window < until; ++window) {
      const Micros start = kT0 + window * kFive;
      now = std::max(now.load(), start + kFive);
      auto part = matrix_part(form, ++seq, start, kGroups, factor * scale_of(window));
      part->revision = revision;
      add(part);
      if (window % 72 == 71) {
        ASSERT_TRUE(store->settle());
      }
    }
    ASSERT_TRUE(store->settle());
  }
  std::vector<std::shared_ptr<const ResultPart>> read(Tier tier, Micros from = base::kMinTime,
                                                      Micros until = base::kMaxTime, bool revisions = false) {
    Store::Range range{from, until};
    range.tier = tier;
    range.revisions = revisions;
    return store->read(kQuery, range).value().parts;
  }
  const std::shared_ptr<const ResultForm> form = matrix_form(kFive);
  uint64_t seq = 0;
};

/// The bucket of the windows [from, until), as averages in C++.
void expect_bucket(const ResultPart& part, int from, int until, int64_t factor = 1) {
  int64_t sum = 0, most = 0;
  for (int window = from; window < until; ++window) {
    sum += factor * scale_of(window);
    most = std::max(most, factor * scale_of(window));
  }
  ASSERT_EQ(part.rows.row_count, kGroups);
  ASSERT_EQ(part.rows.columns.size(), 5U);
  for (size_t row = 0; row < kGroups; ++row) {
    const auto as = static_cast<int64_t>(row + 1);
    EXPECT_EQ(part.rows.columns[0].as<int64_t>()[row], part.window_start);
    EXPECT_EQ(part.rows.columns[1].as<int64_t>()[row], as);
    EXPECT_EQ(part.rows.columns[4].as<int64_t>()[row], until - from);
    EXPECT_EQ(part.rows.columns[2].is_null(row), as == 7);
    EXPECT_EQ(part.rows.columns[3].is_null(row), as == 7);
    if (as == 7) continue;
    EXPECT_DOUBLE_EQ(part.rows.columns[2].as<double>()[row],
                     static_cast<double>(as * sum) / static_cast<double>(until - from));
    EXPECT_EQ(part.rows.columns[3].as<int64_t>()[row], as * most);
  }
}

TEST(HistoryTiers, ABucketIsMadeWhenWindowsHavePassedItsEnd) {
  const Scratch scratch;
  Tiers tiers(scratch.path());
  tiers.give(0, 12);
  EXPECT_EQ(tiers.read(Tier::kHour).size(), 0U);
  EXPECT_EQ(tiers.read(Tier::kFiveMinutes).size(), 11U);
  EXPECT_EQ(tiers.read(Tier::kMinute).size(), 0U) << "windows are longer";
  tiers.give(12, 13);
  const auto hours = tiers.read(Tier::kHour);
  ASSERT_EQ(hours.size(), 1U);
  EXPECT_EQ(hours[0]->window_start, kT0);
  EXPECT_EQ(hours[0]->window_end, kT0 + kHour);
  expect_bucket(*hours[0], 0, 12);
  std::vector<std::string> names;
  for (const auto& column : hours[0]->form->schema.columns) names.push_back(column.name);
  EXPECT_EQ(names, (std::vector<std::string>{"window_start", "src_as", "octets", "octets_max", "_windows"}));
  EXPECT_EQ(hours[0]->form->keys, (std::vector<int>{0, 1}));
}

TEST(HistoryTiers, ARevisedWindowMakesItsBucketAgain) {
  const Scratch scratch;
  Tiers tiers(scratch.path());
  tiers.give(0, 30);
  tiers.give(0, 12, 2, 10);
  const auto hours = tiers.read(Tier::kHour);
  ASSERT_EQ(hours.size(), 2U);
  EXPECT_EQ(hours[0]->window_start, kT0 + kHour);
  EXPECT_EQ(hours[1]->window_start, kT0) << "it came later";
  EXPECT_EQ(hours[1]->revision, 2);
  expect_bucket(*hours[1], 0, 12, 10);
  EXPECT_EQ(tiers.read(Tier::kHour, base::kMinTime, base::kMaxTime, true).size(), 3U);
}

TEST(HistoryTiers, AProcessGoesOnWhereTheOneBeforeWas) {
  const Scratch scratch;
  {
    Tiers tiers(scratch.path());
    tiers.give(0, 18);
  }
  Tiers tiers(scratch.path());
  tiers.seq = 1'000;
  tiers.give(18, 25);
  const auto all = tiers.read(Tier::kHour, base::kMinTime, base::kMaxTime, true);
  ASSERT_EQ(all.size(), 2U) << "the first is not made once more";
  expect_bucket(*all[0], 0, 12);
  expect_bucket(*all[1], 12, 24);
}

TEST(HistoryTiers, AMonthIsKeptByTiers) {
  const Scratch scratch;
  Tiers tiers(scratch.path());
  constexpr int kWindows = 30 * 288;
  tiers.give(0, kWindows);
  const auto raw = tiers.read(Tier::kRaw), fives = tiers.read(Tier::kFiveMinutes), hours = tiers.read(Tier::kHour);
  // Of the last day all, and what is kept before it.
  EXPECT_GE(raw.size(), 7 * 288U);
  EXPECT_LE(raw.size(), 9 * 288U);
  EXPECT_GE(fives.size(), 20 * 288U);
  EXPECT_LE(fives.size(), 22 * 288U);
  ASSERT_EQ(hours.size(), 30 * 24U - 1);
  for (int hour = 0; hour < 30 * 24 - 1; ++hour)
    expect_bucket(*hours[static_cast<size_t>(hour)], 12 * hour, 12 * hour + 12);
  const Micros end = kT0 + kWindows * kFive;
  const auto tier_from = [&](Micros from) { return tiers.store->tier_for(kQuery, from); };
  EXPECT_EQ(tier_from(end - 6 * kDay), Tier::kRaw);
  EXPECT_EQ(tier_from(end - 15 * kDay), Tier::kFiveMinutes);
  EXPECT_EQ(tier_from(kT0), Tier::kHour);
  EXPECT_EQ(tier_from(kT0 - kDay), Tier::kHour) << "none has more";
  EXPECT_EQ(tiers.store->tier_for({"other", 1}, kT0), Tier::kRaw);
  EXPECT_EQ(tiers.read(Tier::kHour, kT0 + kDay, kT0 + 2 * kDay).size(), 24U);
}

TEST(HistoryTiers, FormsWithoutMeasuresHaveNone) {
  ResultForm form = *matrix_form(kFive);
  EXPECT_NE(tier_form(form, Tier::kFiveMinutes), nullptr);
  EXPECT_EQ(tier_form(form, Tier::kMinute), nullptr);
  form.keys = {0, 1, 2};
  EXPECT_EQ(tier_form(form, Tier::kHour), nullptr);
  form = *matrix_form(0);
  EXPECT_EQ(tier_form(form, Tier::kHour), nullptr) << "no windows, or of several lengths";
  form = *matrix_form(kFive);
  form.schema.columns.push_back({"octets_max", batch::Type::kInt8});
  const auto made = tier_form(form, Tier::kHour);
  ASSERT_NE(made, nullptr);
  std::set<std::string> names;
  for (const auto& column : made->schema.columns) EXPECT_TRUE(names.insert(column.name).second) << column.name;
}

TEST(HistoryTiers, ARowOfTheRestStaysOne) {
  // ORDER BY … LIMIT with rest_row: keys are null in it, and the flag that tells it is a key.
  auto form = std::make_shared<ResultForm>();
  form->schema.columns = {
      {"src_as", batch::Type::kInt8}, {"is_rest", batch::Type::kBool}, {"rate", batch::Type::kFloat8}};
  form->keys = {0, 1};
  form->window_size_us = kMinute;
  RollUp rolled(*form, Tier::kFiveMinutes, kT0);
  for (int window = 0; window < 5; ++window) {
    batch::BatchBuffer rows(form->schema.types(), {true, true, true}, 3);
    for (size_t row = 0; row < 3; ++row) {
      for (auto& column : rows.batch.columns) column.has_nulls = true;
      rows.batch.columns[0].as<int64_t>()[row] = row == 0 ? 64'500 : 0;
      rows.batch.columns[0].validity[row] = row == 0;  // The second: a group whose key is null; the third: the rest.
      rows.batch.columns[1].as<uint8_t>()[row] = row == 2;
      rows.batch.columns[2].as<double>()[row] = static_cast<double>(row) + window;
    }
    ResultPart part;
    part.form = form;
    part.complete = window != 3;
    if (!part.complete) part.sites_missing = {"ams"};
    receiver::copy_rows(rows.batch, 0, 3, 3, part);
    rolled.add(part);
  }
  const auto parts = rolled.finish(2);
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_FALSE(parts[0]->last);
  EXPECT_TRUE(parts[1]->last);
  EXPECT_EQ(parts[1]->rows_before, 2U);
  EXPECT_FALSE(parts[0]->complete);
  EXPECT_EQ(parts[0]->sites_missing, std::vector<std::string>{"ams"});
  ASSERT_EQ(parts[1]->rows.row_count, 1U);
  EXPECT_EQ(parts[1]->rows.columns[1].as<uint8_t>()[0], 1);
  EXPECT_TRUE(parts[1]->rows.columns[0].is_null(0));
  EXPECT_DOUBLE_EQ(parts[1]->rows.columns[2].as<double>()[0], 4);
  EXPECT_DOUBLE_EQ(parts[1]->rows.columns[3].as<double>()[0], 6);
}

}  // namespace
}  // namespace backstream::history
