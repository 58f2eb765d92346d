#include "service/answer.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <thread>

#include "history/parts_test.h"
#include "http/event_parser.h"
#include "plan/bind.h"
#include "plan/unbound.h"
#include "sql/parse.h"

namespace backstream::service {
namespace {

using namespace std::chrono_literals;
using history::kHour;
using history::kMinute;
using history::kT0;
using history::matrix_form;
using history::matrix_part;
using Json = nlohmann::json;

/// A window as the reader of a stream has it, from its parts.
struct Told {
  Micros start = 0;  ///< in minutes from kT0
  bool complete = true, last = false;
  std::vector<std::vector<int64_t>> rows;  ///< without the columns that are times
  bool operator==(const Told&) const = default;
};

void PrintTo(const Told& told, std::ostream* out) {
  *out << "{" << told.start << (told.complete ? "" : " incomplete") << (told.last ? "" : " open") << ":";
  for (const auto& row : told.rows) {
    for (const int64_t value : row) *out << ' ' << value;
    *out << ';';
  }
  *out << "}";
}

/// What a stream had.
struct Heard {
  std::vector<Told> windows;
  std::vector<std::string> notices, failures;
};

/// Reads the stream of an answer.
class Reader : public Heard {
 public:
  Reader(http::EventHub& hub, const ResultBoard& board, const std::string& name)
      : hub_(hub), subscription_(std::vector{board.topic(name)}, "", 256) {}

  /// False: it has ended.
  bool read(size_t octets_max = 1 << 20) {
    hub_.pump();
    std::vector<http::Frame> frames;
    subscription_.take(octets_max, frames);
    std::string text;
    for (const http::Frame& frame : frames) text += (frame.shared ? *frame.shared : "") + frame.own;
    parser_.put(text, [&](const http::Event& event) {
      on_event(event);
      return true;
    });
    return !subscription_.ended();
  }
  void read_to_end() {
    const auto give_up = std::chrono::steady_clock::now() + 60s;
    while (read() && std::chrono::steady_clock::now() < give_up) std::this_thread::sleep_for(1ms);
    EXPECT_TRUE(subscription_.ended()) << "no end was told";
  }
  void read_windows(size_t count) {
    const auto give_up = std::chrono::steady_clock::now() + 60s;
    while (windows.size() < count && read() && std::chrono::steady_clock::now() < give_up)
      std::this_thread::sleep_for(1ms);
  }
  uint64_t lost() const { return subscription_.lost_count(); }

 private:
  void on_event(const http::Event& event) {
    if (event.name == "end") return;
    const Json json = Json::parse(event.data);
    if (event.name == "notice") return notices.push_back(json["message"]);
    if (event.name == "failed") return failures.push_back(json["message"]);
    ASSERT_EQ(event.name, "rows");
    if (json["part"] == 0) {
      windows.emplace_back();
      windows.back().start = (*base::parse_timestamp(json["window_start"].get<std::string>()) - kT0) / kMinute;
    }
    windows.back().complete = json["complete"];
    windows.back().last = json["last"];
    EXPECT_FALSE(json["truncated"]);
    for (const Json& row : json["rows"]) {
      std::vector<int64_t>& values = windows.back().rows.emplace_back();
      for (const Json& value : row) {
        if (value.is_number()) values.push_back(value.get<int64_t>());
      }
    }
  }

  http::EventHub& hub_;
  http::Subscription subscription_;
  http::EventParser parser_;
};

class AnswerTest : public testing::Test {
 protected:
  AnswerTest() {
    for (const std::string view : {"q", "r"}) {
      add_view("CREATE MATERIALIZED VIEW " + view +
               " AS SELECT window_start, src_as, sum(octets) AS octets FROM tumble(flows, time, interval '1 min') "
               "GROUP BY window_start, src_as");
    }
  }
  void add_view(const std::string& text) {
    auto statements = sql::parse(text, "view");
    catalog_.add_view(*plan::bind(std::as_const(statements->front()), text, catalog_));
  }
  std::unique_ptr<Answer> ask(const std::string& text) {
    auto statements = sql::parse(text, "test");
    if (!statements) throw std::runtime_error(statements.error().message);
    plan::fix_now(*statements->front().select, now);
    auto query = plan::bind(std::as_const(statements->front()), text, catalog_);
    if (!query) throw std::runtime_error(query.error().message);
    QueryRegister::OverViews over;
    for (const plan::ViewRead& read : plan::views_read(*query)) over.views.emplace(read.view->name, 1);
    over.query = std::make_shared<const plan::Query>(std::move(*query));
    name = "~s" + std::to_string(++asked_);
    return std::make_unique<Answer>(Answer::Ground{*kept.store, board}, name, asked_, std::move(over), now);
  }
  /// All that it says, read at once.
  Heard answer(const std::string& text) {
    const auto asked = ask(text);
    Reader reader(hub, board, name);
    reader.read_to_end();
    return reader;
  }
  static std::shared_ptr<history::ResultPart> window(uint64_t seq, Micros minute, size_t groups,
                                                     int64_t scale = 1'000) {
    static const auto form = matrix_form();
    return matrix_part(form, seq, kT0 + minute * kMinute, groups, scale);
  }
  void keep(const std::shared_ptr<history::ResultPart>& part, const std::string& view = "q") { kept.add(part, view); }

  const history::Scratch scratch_;
  history::Kept kept{scratch_.path()};
  http::EventHub hub;
  ResultBoard board{hub, {}};
  Micros now = kT0 + kHour;
  std::string name;  ///< of the newest answer

 private:
  plan::Catalog catalog_;
  uint64_t asked_ = 0;
};

const std::string kFrom = "SELECT window_start, src_as, octets FROM q WHERE window_start >= now() - interval '2 h'";

TEST_F(AnswerTest, TellsWhatHistoryHasAndEnds) {
  for (uint64_t m = 0; m < 60; ++m) keep(window(m + 1, static_cast<Micros>(m), 2));
  ASSERT_TRUE(kept->settle());
  const Heard all = answer(kFrom + " AND window_start < now()");
  ASSERT_EQ(all.windows.size(), 60U);
  for (Micros m = 0; m < 60; ++m)
    EXPECT_EQ(all.windows[static_cast<size_t>(m)], (Told{m, true, true, {{1, 1000}, {2, 2000}}}));
  const Heard some = answer(
      "SELECT window_start, octets FROM q WHERE window_start >= now() - interval '3 min' AND "
      "window_start <= now() - interval '2 min' AND src_as = 2");
  EXPECT_EQ(some.windows, (std::vector<Told>{{57, true, true, {{2000}}}, {58, true, true, {{2000}}}}));
  EXPECT_EQ(some.notices, std::vector<std::string>{});
  EXPECT_TRUE(answer(kFrom + " AND window_start < now() - interval '1 h'").windows.empty());
  auto open = window(61, 60, 1);
  open->final = false;
  keep(open);
  ASSERT_TRUE(kept->settle());
  now += 2 * kMinute;
  EXPECT_EQ(answer(kFrom + " AND window_start < now() - interval '1 min'").notices,
            std::vector<std::string>{"windows of \"q\" that begin at 2025-11-27 01:00:00+00 or later are not in here: "
                                     "none of them is final"});
  EXPECT_EQ(answer(kFrom + " AND window_start < now() - interval '2 min'").notices, std::vector<std::string>{});
}

TEST_F(AnswerTest, WindowsAboveJoinsAndFunctionsAreThoseOfViewsOverViews) {
  for (uint64_t m = 0; m < 60; ++m) keep(window(m + 1, static_cast<Micros>(m), 3));
  for (uint64_t m = 0; m < 60; m += 2) keep(window(m + 1, static_cast<Micros>(m), 1, 7), "r");
  ASSERT_TRUE(kept->settle());
  const std::string span = " window_start >= now() - interval '1 h' AND window_start < now()";
  EXPECT_EQ(answer("SELECT window_start, src_as, sum(octets) FROM tumble((SELECT * FROM q WHERE" + span +
                   "), window_start, interval '20 min') GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 1")
                .windows,
            (std::vector<Told>{
                {0, true, true, {{3, 60'000}}}, {20, true, true, {{3, 60'000}}}, {40, true, true, {{3, 60'000}}}}));
  const Heard joined = answer(
      "SELECT q.window_start, q.octets, r.octets AS other FROM q JOIN r USING (window_start, src_as) "
      "WHERE q.window_start >= now() - interval '1 h' AND q.window_start < now()");
  ASSERT_EQ(joined.windows.size(), 60U) << "half of them are empty";
  EXPECT_EQ(joined.windows[4], (Told{4, true, true, {{1000, 7}}}));
  EXPECT_EQ(joined.windows[5].rows.size(), 0U);
  const Heard looked_back = answer(
      "SELECT * FROM (SELECT window_start, src_as, lag(window_start) OVER (PARTITION BY src_as ORDER BY window_start) "
      "IS NULL "
      "AS first FROM q) x WHERE window_start >= now() - interval '2 min' AND window_start < now()");
  ASSERT_EQ(looked_back.windows.size(), 3U);
  EXPECT_TRUE(looked_back.windows[0].rows.empty()) << "it was read for what comes after it";
  EXPECT_EQ(looked_back.windows[1].rows.size(), 3U);
}

TEST_F(AnswerTest, WithoutABoundTheLastHourAndThenWhatComes) {
  now = kT0 + 3 * kHour;
  for (uint64_t m = 0; m < 180; ++m) keep(window(m + 1, static_cast<Micros>(m), 1));
  ASSERT_TRUE(kept->settle());
  const auto asked = ask("SELECT window_start, src_as FROM q");
  EXPECT_FALSE(asked->ends());
  ASSERT_EQ(asked->notices().size(), 1U);
  EXPECT_EQ(asked->notices()[0],
            "results of \"q\" are read from 2025-11-27 02:00:00+00 on; history has results of \"q\" since 2025-11-27 "
            "00:00:00+00: ask for more by a condition such as window_start >= now() - interval '24 h'");
  Reader reader(hub, board, name);
  reader.read_windows(60);
  ASSERT_EQ(reader.windows.size(), 60U);
  EXPECT_EQ(reader.windows.front().start, 120);
  keep(window(181, 180, 1));
  reader.read_windows(61);
  ASSERT_EQ(reader.windows.size(), 61U);
  EXPECT_EQ(reader.windows.back().start, 180);
}

/// Answers begun at any moment, while windows of several parts come and are written, have each of them once.
TEST_F(AnswerTest, ThereIsNoSeamBetweenWhatWasAndWhatComes) {
  constexpr uint64_t kWindows = 300, kParts = 3;
  now = kT0;
  std::thread writer([&] {
    uint64_t seq = 0;
    for (uint64_t m = 0; m < kWindows; ++m) {
      for (uint32_t p = 0; p < kParts; ++p) {
        auto part = window(++seq, static_cast<Micros>(m), 1, static_cast<int64_t>(100 * m + p));
        part->part = p;
        part->last = p + 1 == kParts;
        keep(part);
        std::this_thread::sleep_for(std::chrono::microseconds(seq % 7 * 100));
      }
    }
  });
  std::vector<std::unique_ptr<Answer>> answers;
  std::vector<std::unique_ptr<Reader>> readers;
  for (int i = 0; i < 12; ++i) {
    answers.push_back(ask(kFrom + " AND window_start < now() + interval '300 min'"));
    readers.push_back(std::make_unique<Reader>(hub, board, name));
    for (int n = 0; n < 20; ++n) {
      for (const auto& reader : readers) reader->read();
      std::this_thread::sleep_for(1ms);
    }
  }
  for (const auto& reader : readers) reader->read_to_end();
  writer.join();
  for (const auto& reader : readers) {
    ASSERT_EQ(reader->windows.size(), kWindows);
    for (uint64_t m = 0; m < kWindows; ++m) {
      const auto scale = static_cast<int64_t>(100 * m);
      EXPECT_EQ(reader->windows[m],
                (Told{static_cast<Micros>(m), true, true, {{1, scale}, {1, scale + 1}, {1, scale + 2}}}));
    }
  }
}

TEST_F(AnswerTest, WindowsAboveThatLackSomeOfTheirsAreNotComplete) {
  now = kT0 + 3 * kHour + 30 * kMinute;
  for (uint64_t m = 10; m < 205; ++m) keep(window(m + 1, static_cast<Micros>(m), 1));
  ASSERT_TRUE(kept->settle());
  const auto complete = [&](const std::string& rows) {
    std::vector<std::pair<Micros, bool>> windows;
    const Heard heard = answer("SELECT window_start, sum(octets) FROM tumble((SELECT * FROM q WHERE " + rows +
                               "), window_start, interval '1 h') GROUP BY 1");
    for (const Told& told : heard.windows) windows.emplace_back(told.start / 60, told.complete);
    return windows;
  };
  using Windows = std::vector<std::pair<Micros, bool>>;
  // The last hour, of which the begin is not read; and minutes that are not final yet.
  EXPECT_EQ(complete("window_start < now()"), (Windows{{2, false}, {3, false}}));
  EXPECT_EQ(complete("window_start < now() - interval '30 min'"), (Windows{{2, true}})) << "the hour up to its end";
  // What is asked for is all there.
  EXPECT_EQ(complete("window_start >= now() - interval '3 h' AND window_start < now() - interval '1 h'"),
            (Windows{{0, true}, {1, true}, {2, true}}));
  // History does not go back so far.
  EXPECT_EQ(complete("window_start >= now() - interval '5 h' AND window_start < now() - interval '1 h'"),
            (Windows{{0, false}, {1, true}, {2, true}}));
}

TEST_F(AnswerTest, OfRevisionsTheFinalOneIsTold) {
  const auto revision = [&](uint64_t seq, Micros minute, int number, bool final, int64_t scale) {
    auto part = window(seq, minute, 1, scale);
    part->revision = number;
    part->final = final;
    return part;
  };
  keep(revision(1, 0, 1, false, 10));
  keep(revision(2, 0, 2, false, 20));
  auto removed = revision(3, 0, 3, false, 99);
  removed->removed = true;
  keep(removed);
  keep(revision(4, 0, 3, true, 30));
  keep(revision(5, 1, 1, false, 40));
  ASSERT_TRUE(kept->settle());
  const auto asked = ask(kFrom);
  Reader reader(hub, board, name);
  reader.read_windows(1);
  keep(revision(6, 1, 2, true, 50));
  keep(revision(7, 0, 4, true, 31));  // Of a window that was told: no view above would read it again.
  keep(revision(8, 2, 1, true, 60));
  reader.read_windows(3);
  EXPECT_EQ(reader.windows,
            (std::vector<Told>{{0, true, true, {{1, 30}}}, {1, true, true, {{1, 50}}}, {2, true, true, {{1, 60}}}}));
}

TEST_F(AnswerTest, WindowsOfVersionsThatLackColumnsAreCounted) {
  auto other = std::make_shared<ResultForm>(*matrix_form());
  other->schema.columns[2].name = "packets";
  for (uint64_t m = 0; m < 3; ++m) keep(matrix_part(other, m + 1, kT0 + static_cast<Micros>(m) * kMinute, 1));
  auto part = window(4, 3, 1);
  part->version = 2;
  keep(part);
  ASSERT_TRUE(kept->settle());
  now = kT0 + 4 * kMinute;
  const Heard lacking = answer(kFrom + " AND window_start < now()");
  EXPECT_EQ(lacking.windows, (std::vector<Told>{{3, true, true, {{1, 1000}}}}));
  EXPECT_EQ(lacking.notices, std::vector<std::string>{"3 windows of \"q\" were left out: they are of an older version, "
                                                      "whose columns are others"});
  // What is read of them is the same.
  const Heard others = answer("SELECT window_start, src_as FROM q WHERE window_start < now()");
  EXPECT_EQ(others.windows.size(), 4U);
  EXPECT_TRUE(others.notices.empty());

  const auto asked = ask(kFrom);
  Reader reader(hub, board, name);
  reader.read_windows(1);
  auto newer = matrix_part(other, 5, kT0 + 5 * kMinute, 1);
  newer->version = 3;
  keep(newer);
  reader.read_to_end();
  EXPECT_EQ(reader.failures, std::vector<std::string>{"\"q\" was altered and has other columns now"});
}

TEST_F(AnswerTest, AWindowWhoseEndHistoryLostIsNotWhole) {
  auto begun = window(1, 0, 1);
  begun->last = false;
  keep(begun);
  keep(window(3, 1, 1));
  ASSERT_TRUE(kept->settle());
  const Heard reader = answer(kFrom + " AND window_start < now()");
  ASSERT_EQ(reader.windows.size(), 2U);
  EXPECT_TRUE(reader.windows[0].last);
  EXPECT_FALSE(reader.windows[0].complete);
  EXPECT_TRUE(reader.windows[1].complete);
}

TEST_F(AnswerTest, WhoReadsSlowlyLosesNothingAndCostsNoMemory) {
  for (uint64_t m = 0; m < 60; ++m) {
    for (uint32_t p = 0; p < 12; ++p) {  // More rows than are told of a window that is live.
      auto part = window(12 * m + p + 1, static_cast<Micros>(m), 1'000);
      part->part = p;
      part->last = p == 11;
      keep(part);
    }
  }
  ASSERT_TRUE(kept->settle());
  const auto asked = ask(kFrom + " AND window_start < now()");
  Reader reader(hub, board, name);
  for (int i = 0; i < 100; ++i) {
    hub.pump();
    std::this_thread::sleep_for(1ms);
  }
  EXPECT_LE(board.counters().parts, 8U) << "nobody has read one";
  uint64_t octets_max = 0;
  while (reader.read(1)) {
    octets_max = std::max(octets_max, hub.counters().ring_octets.load());
  }
  EXPECT_EQ(reader.lost(), 0U);
  EXPECT_LT(octets_max, uint64_t{8} << 20);
  ASSERT_EQ(reader.windows.size(), 60U);
  for (const Told& told : reader.windows) ASSERT_EQ(told.rows.size(), 12'000U);
}

TEST_F(AnswerTest, EndsWithoutAReaderAndWhenItIsTold) {
  for (uint64_t m = 0; m < 60; ++m) keep(window(m + 1, static_cast<Micros>(m), 1'000));
  ASSERT_TRUE(kept->settle());
  { const auto asked = ask(kFrom); }  // It waits for its reader, and is ended all the same.
  EXPECT_EQ(board.topic(name), nullptr);
  const auto asked = ask(kFrom);
  Reader reader(hub, board, name);
  reader.read_windows(3);
  asked->fail(base::fail("55000", "\"q\" was dropped").value());
  reader.read_to_end();
  EXPECT_EQ(reader.failures, std::vector<std::string>{"\"q\" was dropped"});
}

}  // namespace
}  // namespace backstream::service
