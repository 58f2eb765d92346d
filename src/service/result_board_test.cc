#include "service/result_board.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "plan/definitions.h"
#include "sql/parse.h"

namespace backstream::service {
namespace {

using Json = nlohmann::json;
constexpr Micros kSecond = base::kMicrosPerSecond;

/// SELECT window_start, site, octets: a time, a text, a number.
std::shared_ptr<const plan::Query> query_of(const std::string& select) {
  plan::Definitions definitions(true);
  auto statements = sql::parse(select, "-e");
  if (!statements) throw std::runtime_error(statements.error().render());
  auto added = definitions.add_query(std::move(statements->front()), select, "q");
  if (!added) throw std::runtime_error(added.error().message);
  return (*added)->query;
}
const char* const kWindowed =
    "SELECT window_start, site, sum(octets) AS octets FROM tumble(flows, time, interval '1 s') GROUP BY 1, 2";

/// Rows (window_start, text, number) handed to a sink as the engine does.
class Rows {
 public:
  explicit Rows(size_t count, int64_t first = 0) {
    for (size_t row = 0; row < count; ++row) {
      texts_.push_back(fmt::format("s{}", first + static_cast<int64_t>(row)));
      numbers_.push_back(first + static_cast<int64_t>(row));
    }
    for (const std::string& text : texts_) views_.emplace_back(text);
    validity_.assign(count, 1);
  }
  void give(exec::ResultSink& sink, Micros start, int revision = 1, bool last = true, bool removed = false) {
    times_.assign(numbers_.size(), start);
    exec::ResultBatch result;
    result.window_start = start;
    result.window_end = start == 0 ? 0 : start + kSecond;
    result.revision = revision;
    result.last = last;
    result.removed = removed;
    result.rows.row_count = numbers_.size();
    result.rows.columns = {{batch::Type::kTimestamptz, false, times_.data(), nullptr},
                           {batch::Type::kText, true, views_.data(), validity_.data()},
                           {batch::Type::kInt8, false, numbers_.data(), nullptr}};
    sink.on_result(result);
  }
  void set_null(size_t row) { validity_[row] = 0; }

 private:
  std::vector<int64_t> times_, numbers_;
  std::vector<std::string> texts_;
  std::vector<std::string_view> views_;
  std::vector<uint8_t> validity_;
};

class ResultBoardTest : public testing::Test {
 protected:
  ResultBoard& board(BoardLimits limits = {}) {
    if (!board_) board_.emplace(hub_, limits);
    return *board_;
  }
  /// All that a reader who began at the first event gets.
  std::vector<Json> events(const std::string& query) {
    board_->settle();
    hub_.pump();
    http::Subscription reader({hub_.find(query)}, "0", 1'000);
    std::vector<Json> all;
    for (;;) {
      std::vector<http::Frame> frames;
      reader.take(1 << 20, frames);
      if (frames.empty()) return all;
      for (const http::Frame& frame : frames) {
        if (!frame.shared) continue;
        const size_t at = frame.shared->find("data: ");
        all.push_back(Json::parse(frame.shared->substr(at + 6, frame.shared->find('\n', at) - at - 6)));
      }
    }
  }
  http::EventHub hub_;
  const std::shared_ptr<const plan::Query> query_ = query_of(kWindowed);
  std::optional<ResultBoard> board_;
};

TEST_F(ResultBoardTest, WindowsAreKeptAndToldInParts) {
  BoardLimits limits;
  limits.part_rows = 10;
  exec::ResultSink* const sink = board(limits).open("q", {7, 1}, *query_, 1);
  {
    Rows rows(25);
    rows.set_null(3);
    rows.give(*sink, 100 * kSecond);
    Rows(0).give(*sink, 101 * kSecond);
  }  // The board has copies.
  const auto all = events("q");
  ASSERT_EQ(all.size(), 4u);
  for (size_t i = 0; i < all.size(); ++i) EXPECT_EQ(all[i]["seq"], i + 1);
  EXPECT_EQ(all[0]["rows"].size(), 10u);
  EXPECT_EQ(all[0]["rows"][2], Json::parse(R"(["1970-01-01T00:01:40Z","s2",2])"));
  EXPECT_EQ(all[0]["rows"][3][1], nullptr);
  EXPECT_EQ(all[1]["part"], 1);
  EXPECT_FALSE(all[1]["last"]);
  EXPECT_TRUE(all[1]["rows_total"].is_null());
  EXPECT_EQ(all[2]["rows_total"], 25);
  EXPECT_TRUE(all[2]["last"]);
  EXPECT_EQ(all[2]["rows"][4][1], "s24");
  EXPECT_EQ(all[3]["rows_total"], 0);
  EXPECT_EQ(all[3]["columns"][1], Json::parse(R"({"name":"site","type":"text","key":true})"));
  const auto read = board_->read("q", {});
  ASSERT_TRUE(read);
  EXPECT_EQ(read->parts.size(), 4u);
  EXPECT_EQ(read->last_seq, 4u);
  EXPECT_FALSE(board_->read("other", {}));
}

TEST_F(ResultBoardTest, RangesAreByTimeSequenceAndRows) {
  exec::ResultSink* const sink = board().open("q", {7, 1}, *query_, 101);
  for (int i = 0; i < 10; ++i) Rows(3, i * 10).give(*sink, (100 + i) * kSecond);
  board_->settle();
  ResultBoard::Range range;
  range.from = 103 * kSecond;
  range.until = 106 * kSecond;
  auto read = board_->read("q", range);
  ASSERT_EQ(read->parts.size(), 3u);
  EXPECT_EQ(read->parts[0]->window_start, 103 * kSecond);
  EXPECT_EQ(read->parts[0]->seq, 104u);
  range = {};
  range.after_seq = 108;
  EXPECT_EQ(board_->read("q", range)->parts.size(), 2u);
  range = {};
  range.rows_max = 7;
  read = board_->read("q", range);
  EXPECT_EQ(read->parts.size(), 2u);
  EXPECT_EQ(read->next_seq, 102u);
  range.rows_max = 1;  // A part that is larger alone comes all the same.
  EXPECT_EQ(board_->read("q", range)->parts.size(), 1u);
  EXPECT_EQ(board_->read("q", range)->kept_since, 100 * kSecond);
}

TEST_F(ResultBoardTest, OfRevisionsTheNewestIsRead) {
  exec::ResultSink* const sink = board().open("q", {7, 1}, *query_, 1);
  Rows(2).give(*sink, 100 * kSecond, 1);
  Rows(1).give(*sink, 100 * kSecond, 2, true, true);
  Rows(3).give(*sink, 100 * kSecond, 2);
  Rows(4).give(*sink, 101 * kSecond, 1);
  board_->settle();
  const auto newest = board_->read("q", {});
  ASSERT_EQ(newest->parts.size(), 2u);
  EXPECT_EQ(newest->parts[0]->rows.row_count, 3u);
  ResultBoard::Range range;
  range.revisions = true;
  EXPECT_EQ(board_->read("q", range)->parts.size(), 4u);
}

TEST_F(ResultBoardTest, OldWindowsGoWhenThereAreTooMany) {
  BoardLimits limits;
  limits.query_octets_max = 20'000;
  exec::ResultSink* const sink = board(limits).open("q", {7, 1}, *query_, 1);
  for (int i = 0; i < 100; ++i) Rows(50).give(*sink, (100 + i) * kSecond);
  board_->settle();
  const auto read = board_->read("q", {});
  EXPECT_EQ(read->parts.size() + read->parts_dropped, 100u);
  EXPECT_GT(read->parts_dropped, 80u);
  EXPECT_LE(board_->counters().octets, 20'000u);
  EXPECT_EQ(read->parts.back()->window_start, 199 * kSecond);
  EXPECT_GT(*read->kept_since, 180 * kSecond);
}

TEST_F(ResultBoardTest, ATakerGetsEveryPartInOrderAndKeepsWhatItLikes) {
  BoardLimits limits;
  limits.part_rows = 10;
  limits.query_octets_max = 2'000;  // The board itself forgets most.
  board(limits);
  std::vector<std::shared_ptr<const ResultPart>> taken;
  board_->on_part([&](const std::string& query, const std::shared_ptr<const ResultPart>& part) {
    EXPECT_EQ(query, "q");
    taken.push_back(part);
  });
  exec::ResultSink* const sink = board_->open("q", {7, 3}, *query_, 1);
  for (int i = 0; i < 20; ++i) Rows(25, 1'000 * i).give(*sink, (100 + i) * kSecond, 2);
  board_->settle();
  ASSERT_EQ(taken.size(), 60u);
  for (size_t i = 0; i < taken.size(); ++i) {
    EXPECT_EQ(taken[i]->seq, i + 1);
    EXPECT_EQ(taken[i]->part, i % 3);
    EXPECT_EQ(taken[i]->last, i % 3 == 2);
    EXPECT_EQ(taken[i]->version, 3u);
    EXPECT_EQ(taken[i]->rows.columns[2].as<int64_t>()[0], static_cast<int64_t>(1'000 * (i / 3) + 10 * (i % 3)));
  }
  EXPECT_EQ(taken[0]->form->keys, (std::vector<int>{0, 1}));
  EXPECT_EQ(taken[0]->form->window_size_us, kSecond);
}

TEST_F(ResultBoardTest, AllQueriesTogetherAreBounded) {
  BoardLimits limits;
  limits.octets_max = 40'000;
  exec::ResultSink* const large = board(limits).open("large", {1, 1}, *query_, 1);
  exec::ResultSink* const small = board_->open("small", {2, 1}, *query_, 1);
  Rows(5).give(*small, 100 * kSecond);
  for (int i = 0; i < 50; ++i) Rows(100).give(*large, (100 + i) * kSecond);
  board_->settle();
  EXPECT_LE(board_->counters().octets, 40'000u);
  EXPECT_EQ(board_->read("small", {})->parts.size(), 1u);
  EXPECT_LT(board_->read("large", {})->parts.size(), 50u);
}

TEST_F(ResultBoardTest, AVeryLargeWindowIsToldByItsBeginAndItsEnd) {
  BoardLimits limits;
  limits.part_rows = 100;
  limits.live_rows_max = 250;
  exec::ResultSink* const sink = board(limits).open("q", {7, 1}, *query_, 1);
  Rows(1'000).give(*sink, 100 * kSecond);
  const auto all = events("q");
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all[2]["rows"].size(), 50u);
  EXPECT_TRUE(all[2]["truncated"]);
  EXPECT_EQ(all[3]["rows"].size(), 0u);
  EXPECT_EQ(all[3]["rows_total"], 1'000);
  EXPECT_EQ(all[3]["seq"], 10);
  EXPECT_TRUE(all[3]["last"]);
  size_t rows = 0;
  const auto read = board_->read("q", {});
  for (const auto& part : read->parts) rows += part->rows.row_count;
  EXPECT_EQ(rows, 1'000u);
}

TEST_F(ResultBoardTest, WhatTheBoardHasNoRoomForIsCountedAndItsWindowStillEnds) {
  BoardLimits limits;
  limits.pending_octets_max = 1;
  exec::ResultSink* const sink = board(limits).open("q", {7, 1}, *query_, 1);
  Rows(30).give(*sink, 100 * kSecond);
  const auto all = events("q");
  ASSERT_EQ(all.size(), 1u);
  EXPECT_TRUE(all[0]["last"]);
  EXPECT_EQ(board_->counters().rows_refused, 30u);
}

TEST_F(ResultBoardTest, RowsWithoutWindowsAreLimitedByTheSecond) {
  const auto plain = query_of("SELECT time, site, octets FROM flows");
  BoardLimits limits;
  limits.unwindowed_rows_per_second = 100;
  exec::ResultSink* const sink = board(limits).open("q", {7, 1}, *plain, 1);
  for (int i = 0; i < 20; ++i) Rows(50).give(*sink, 0);
  board_->settle();
  const auto counters = board_->counters();
  EXPECT_GE(counters.rows, 100u);
  EXPECT_EQ(counters.rows + counters.rows_unshown, 1'000u);
  EXPECT_GT(counters.rows_unshown, 0u);
}

TEST_F(ResultBoardTest, AnotherOfTheSameNameBeginsAnew) {
  exec::ResultSink* const first = board().open("q", {7, 1}, *query_, 1);
  Rows(2).give(*first, 100 * kSecond);
  board_->settle();
  exec::ResultSink* const again = board_->open("q", {7, 2}, *query_, 1);
  Rows(2).give(*again, 101 * kSecond);
  board_->settle();
  EXPECT_EQ(board_->read("q", {})->parts.size(), 2u);
  const auto topic = board_->topic("q");
  exec::ResultSink* const other = board_->open("q", {9, 1}, *query_, 1);
  EXPECT_NE(board_->topic("q"), topic);
  Rows(2).give(*first, 102 * kSecond);  // Of the one before: nobody's any more.
  Rows(1).give(*other, 102 * kSecond);
  board_->settle();
  const auto read = board_->read("q", {});
  ASSERT_EQ(read->parts.size(), 1u);
  EXPECT_EQ(read->parts[0]->rows.row_count, 1u);
  EXPECT_EQ(read->parts[0]->seq, 3u);  // Never a number that a client may have seen.
  board_->close(first);
  board_->close(again);
  board_->close(other);
  board_->drop("q");
  EXPECT_FALSE(board_->topic("q"));
  EXPECT_EQ(board_->counters().octets, 0u);
}

}  // namespace
}  // namespace backstream::service
