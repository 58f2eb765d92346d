#include "service/query_register.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <condition_variable>
#include <deque>
#include <filesystem>
#include <random>
#include <set>
#include <thread>

#include "batch/flow_schema.h"
#include "catalog/kafka_catalog.h"
#include "catalog/sqlite_catalog.h"
#include "transport/memory_keyed_log.h"

namespace backstream::service {
namespace {

using base::Micros;
using batch::FlowColumn;
using Action = QueryRegister::Edit::Action;

constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kStart = 1'769'860'800 * kSecond;  // 2026-01-31 12:00:00 UTC
const catalog::Author kAnn{"ann", "test"};

const std::string kMatrix =
    "CREATE MATERIALIZED VIEW matrix AS SELECT window_start, src_as, sum(octets) AS octets FROM tumble(flows, time, "
    "interval '60 s') GROUP BY window_start, src_as";

/// Windows of one query as text: "SECOND:rows complete|partial".
class Sink : public exec::ResultSink {
 public:
  void on_result(const exec::ResultBatch& result) override {
    if (!result.final) return;
    rows += result.rows.row_count;
    if (!result.last) return;
    windows.push_back(fmt::format("{}{}", (result.window_start - kStart) / kSecond, result.complete ? "" : "?"));
  }
  std::vector<std::string> windows;
  size_t rows = 0;
};

/// A process: an engine, a catalog in a file, and a register. One flow of 100 octets a second, from AS 1.
class Process {
 public:
  explicit Process(const std::string& path) : Process(open(path), false) {}
  Process(std::unique_ptr<catalog::Catalog> store, bool shared, exec::Half half = exec::Half::kBoth)
      : catalog(std::move(store)), engine(options_of(half)) {
    const std::vector<batch::Type> types = batch::flow_schema().types();
    std::vector<bool> used(types.size());
    for (const FlowColumn column : {FlowColumn::kTime, FlowColumn::kOctets, FlowColumn::kSrcAs})
      used[static_cast<size_t>(column)] = true;
    buffer_.emplace(types, used, 16);
    QueryGround ground{engine,
                       [] { return std::make_unique<plan::Definitions>(true); },
                       [this](const std::function<void()>& work) {
                         ++changes;
                         work();
                       },
                       [this](const catalog::Object&) { return now == kStart ? base::kMinTime : now - kSecond; },
                       [this](const catalog::Object& object, const plan::Query&) {
                         return sinks[label(object)] = &kept_.emplace_back();
                       },
                       [this](const catalog::Object& object, exec::ResultSink*, bool last) {
                         forgotten.push_back(label(object) + (last ? ", last" : ""));
                       },
                       shared,
                       false,
                       half == exec::Half::kEdge ? 10 * kSecond : 0};
    queries.emplace(*catalog, std::move(ground));
  }
  static std::unique_ptr<catalog::Catalog> open(const std::string& path) {
    auto opened = catalog::open_sqlite_catalog(path);
    if (!opened) throw std::runtime_error(opened.error().render());
    return std::move(*opened);
  }
  static std::string label(const catalog::Object& object) { return fmt::format("{} v{}", object.name, object.version); }

  /// Until that second of the run, and tends the register once.
  void run_until(int second) {
    for (; now < kStart + second * kSecond; now += kSecond) {
      auto& batch = buffer_->batch;
      batch.row_count = 1;
      const std::pair<FlowColumn, int64_t> values[] = {
          {FlowColumn::kTime, now}, {FlowColumn::kOctets, 100}, {FlowColumn::kSrcAs, 1}};
      for (const auto& [which, value] : values) {
        auto& column = batch.columns[static_cast<size_t>(which)];
        column.has_nulls = false;
        column.as<int64_t>()[0] = value;
      }
      engine.process("flows", batch);
      engine.advance("flows", now);
    }
    failed += queries->tend(now);
  }

  std::unique_ptr<catalog::Catalog> catalog;
  exec::Engine engine;
  std::map<std::string, Sink*> sinks;  ///< "name vN"
  std::vector<std::string> forgotten;
  std::optional<QueryRegister> queries;
  Micros now = kStart;
  size_t changes = 0, failed = 0;

 private:
  static exec::EngineOptions options_of(exec::Half half) {
    static struct : exec::PartialsOut {
      void append(std::vector<uint8_t>&&) override {}
    } nobody;
    exec::EngineOptions options;
    options.half = half;
    options.partials_out = &nobody;
    return options;
  }
  std::optional<batch::BatchBuffer> buffer_;
  std::deque<Sink> kept_;
};

class QueryRegisterTest : public testing::Test {
 protected:
  QueryRegisterTest() {
    std::string name = (std::filesystem::temp_directory_path() / "backstream-register-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
    begin();
  }
  ~QueryRegisterTest() override {
    process.reset();
    std::filesystem::remove_all(folder_);
  }
  void begin() {
    process.reset();
    process.emplace((folder_ / "catalog.db").string());
    const auto started = process->queries->start(kStart);
    ASSERT_TRUE(started) << started.error().render();
  }
  static QueryRegister::Edit edit(Action action, std::string name, std::string text = "") {
    QueryRegister::Edit made;
    made.action = action;
    made.name = std::move(name);
    made.text = std::move(text);
    return made;
  }
  /// "verb name(+also)" of each, or the error.
  std::string change(const std::vector<QueryRegister::Edit>& edits, bool dry_run = false) {
    const auto done = process->queries->change(edits, kAnn, process->now, dry_run);
    if (!done) {
      error = done.error();
      return error.code;
    }
    std::string text;
    for (const auto& one : *done) {
      text += fmt::format("{}{} {}", text.empty() ? "" : ", ", one.verb, one.name);
      for (const auto& also : one.also) text += fmt::format(" +{}", also);
    }
    return text;
  }
  const std::vector<std::string>& windows(const std::string& label) { return process->sinks.at(label)->windows; }
  std::string states() {
    std::string text;
    for (const auto& status : process->queries->list())
      text += fmt::format("{} {}{}; ", status.object.name, name(status.definition.state), status.number ? "*" : "");
    return text;
  }

  std::filesystem::path folder_;
  std::optional<Process> process;
  base::Diagnostic error;
};

using Windows = std::vector<std::string>;

TEST_F(QueryRegisterTest, AQueryRunsFromWhenItIsAddedToWhenItIsDropped) {
  process->run_until(90);
  EXPECT_EQ(change({edit(Action::kAdd, "matrix", kMatrix)}), "add matrix");
  process->run_until(200);
  EXPECT_EQ(windows("matrix v1"), (Windows{"60?", "120"})) << "it did not see all of the first minute";
  EXPECT_EQ(change({edit(Action::kDrop, "matrix")}), "drop matrix");
  process->run_until(400);
  EXPECT_EQ(windows("matrix v1").size(), 2u);
  EXPECT_EQ(process->forgotten, Windows{"matrix v1, last"});
  EXPECT_EQ(states(), "");
  EXPECT_EQ(process->changes, 3u) << "start, add, drop";
}

TEST_F(QueryRegisterTest, OneThatWasDroppedWhileItDidNotRunIsForgottenToo) {
  process->run_until(90);
  EXPECT_EQ(change({edit(Action::kAdd, "matrix", kMatrix)}), "add matrix");
  process->run_until(200);
  EXPECT_EQ(change({edit(Action::kPause, "matrix")}), "pause matrix");
  process->run_until(400);
  process->forgotten.clear();
  EXPECT_EQ(change({edit(Action::kDrop, "matrix")}), "drop matrix");
  EXPECT_EQ(process->forgotten, Windows{"matrix v1, last"});
  // One that still ends is told of when it has ended, once.
  EXPECT_EQ(change({edit(Action::kAdd, "matrix", kMatrix)}), "add matrix");
  process->run_until(600);
  process->forgotten.clear();
  EXPECT_EQ(change({edit(Action::kDrop, "matrix")}), "drop matrix");
  process->run_until(800);
  EXPECT_EQ(process->forgotten, Windows{"matrix v1, last"});
}

TEST_F(QueryRegisterTest, WhatTheCatalogHasRunsAgainAfterARestart) {
  EXPECT_EQ(change({edit(Action::kAdd, "top",
                         "SELECT window_start, max(octets) FROM tumble(matrix, window_start, interval '120 s') GROUP "
                         "BY window_start"),
                    edit(Action::kAdd, "matrix", kMatrix), edit(Action::kAdd, "idle", "SELECT octets FROM flows"),
                    edit(Action::kPause, "idle")}),
            "add top, add matrix, add idle, pause idle")
      << "in any order";
  EXPECT_EQ(states(), "idle paused; matrix running*; top running*; ");
  begin();
  EXPECT_EQ(states(), "idle paused; matrix running*; top running*; ");
  process->run_until(300);
  EXPECT_EQ(windows("matrix v1").size(), 4u);
  EXPECT_EQ(windows("top v1").size(), 2u);
}

TEST_F(QueryRegisterTest, ANewVersionTakesOverWithoutAGap) {
  ASSERT_EQ(change({edit(Action::kAdd, "matrix", kMatrix),
                    edit(Action::kAdd, "doubled", "SELECT window_start, octets * 2 AS n FROM matrix")}),
            "add matrix, add doubled");
  process->run_until(150);
  const std::string other =
      "SELECT window_start, src_as, sum(octets) AS octets, count(*) AS n FROM tumble(flows, time, interval '60 s') "
      "GROUP BY window_start, src_as";
  EXPECT_EQ(change({edit(Action::kAlter, "matrix", other)}), "alter matrix +doubled");
  process->run_until(400);
  EXPECT_EQ(windows("matrix v1"), (Windows{"0", "60", "120"}));
  EXPECT_EQ(windows("matrix v2"), (Windows{"180", "240", "300"}));
  EXPECT_EQ(process->forgotten.size(), 2u) << "the old versions are gone";
  // What reads it has the same version, but a run of its own.
  EXPECT_EQ(process->engine.query_count(), 4u);
  const auto history = process->catalog->history(catalog::Kind::kQuery, "matrix", 10);
  ASSERT_EQ(history->size(), 2u);
}

TEST_F(QueryRegisterTest, AtAnEdgeAVersionTakesRowsUntilTheWindowsBeforeTheNextOnesAreOver) {
  // The second has its windows above its inputs, which have none.
  const std::string both =
      "WITH u AS (SELECT time FROM flows WHERE src_as = 1 UNION ALL SELECT time FROM flows WHERE src_as = 2) "
      "SELECT window_start, count(*) AS n FROM tumble(u, time, interval '60 s') GROUP BY window_start";
  const std::string groups =
      "SELECT window_start, count(*) AS n FROM tumble(flows, time, interval '60 s') GROUP BY window_start";
  for (const std::string& text : {groups, both}) {
    SCOPED_TRACE(text);
    std::filesystem::remove(folder_ / "edge.db");
    process.emplace(Process::open((folder_ / "edge.db").string()), true, exec::Half::kEdge);
    ASSERT_EQ(change({edit(Action::kAdd, "q", text)}), "add q");
    process->run_until(115);
    ASSERT_EQ(change({edit(Action::kAlter, "q", text + " HAVING count(*) > 1")}), "alter q");
    // Windows of the next begin at 125 s where they close: the one from 120 s is the last of this one.
    process->run_until(179);
    EXPECT_TRUE(process->forgotten.empty());
    process->run_until(190);
    EXPECT_EQ(process->forgotten, (std::vector<std::string>{"q v1"}));
    process.reset();
  }
}

TEST_F(QueryRegisterTest, WhatAnEarlierProcessGaveIsNotGivenAgainByAVersionThatEnds) {
  change({edit(Action::kAdd, "matrix", kMatrix)});
  process->run_until(100);
  std::vector<uint8_t> streams, state;
  process->engine.save_streams(streams);
  process->engine.save_state(*process->queries->find("matrix")->number, state);
  process->run_until(150);
  ASSERT_EQ(windows("matrix v1"), (Windows{"0", "60"})) << "60 is newer than the state, and was given";

  begin();
  process->now = kStart + 150 * kSecond;
  ASSERT_TRUE(process->engine.restore_streams(streams));
  ASSERT_TRUE(process->engine.restore_state(*process->queries->find("matrix")->number, state));
  process->queries->begin_at("matrix", kStart + 61 * kSecond);
  process->queries->begin_at("nobody", kStart);
  process->engine.catch_up();
  EXPECT_EQ(change({edit(Action::kAlter, "matrix", kMatrix + " HAVING sum(octets) > 0")}), "alter matrix");
  process->run_until(300);
  EXPECT_EQ(windows("matrix v1"), (Windows{"120"}));
  EXPECT_EQ(windows("matrix v2"), (Windows{"180"}));
}

TEST_F(QueryRegisterTest, QueriesOfOneChangeAreToldApart) {
  const std::string other = "CREATE MATERIALIZED VIEW other" + kMatrix.substr(kMatrix.find(" AS SELECT"));
  EXPECT_EQ(change({edit(Action::kAdd, "matrix", kMatrix), edit(Action::kAdd, "other", other)}),
            "add matrix, add other");
  const auto started = process->queries->started();
  ASSERT_EQ(started.size(), 2u);
  EXPECT_EQ(started[0].object.incarnation, started[1].object.incarnation);
  EXPECT_NE(started[0].incarnation, started[1].incarnation) << "by it partials are told apart";
}

TEST_F(QueryRegisterTest, TheSameTextAgainChangesNothing) {
  ASSERT_EQ(change({edit(Action::kPut, "matrix", kMatrix)}), "add matrix");
  const uint64_t revision = process->catalog->revision().value;
  EXPECT_EQ(change({edit(Action::kPut, "matrix", kMatrix)}), "unchanged matrix");
  EXPECT_EQ(process->catalog->revision().value, revision);
  EXPECT_EQ(change({edit(Action::kPut, "matrix", kMatrix + " ")}), "alter matrix");
}

TEST_F(QueryRegisterTest, ADryRunDoesNothing) {
  EXPECT_EQ(change({edit(Action::kAdd, "matrix", kMatrix)}, true), "add matrix");
  EXPECT_EQ(change({edit(Action::kAdd, "bad", "SELECT nothing FROM flows")}, true), "42703");
  EXPECT_EQ(states(), "");
  EXPECT_EQ(process->catalog->revision().value, 0u);
  EXPECT_EQ(process->changes, 1u) << "the start: nobody had to wait for the dry runs";
}

TEST_F(QueryRegisterTest, MistakesAreLocatedAndChangeNothing) {
  ASSERT_EQ(change({edit(Action::kAdd, "matrix", kMatrix),
                    edit(Action::kAdd, "reader", "SELECT window_start, octets FROM matrix")}),
            "add matrix, add reader");
  const std::string before = states();
  EXPECT_EQ(change({edit(Action::kAdd, "matrix", kMatrix)}), "42710");
  EXPECT_EQ(change({edit(Action::kDrop, "matrx")}), "42704");
  EXPECT_EQ(error.hint, "did you mean 'matrix'?");
  EXPECT_EQ(change({edit(Action::kDrop, "matrix")}), "2BP01");
  EXPECT_NE(error.message.find("'reader'"), std::string::npos);
  EXPECT_EQ(change({edit(Action::kPause, "matrix")}), "2BP01");
  EXPECT_EQ(change({edit(Action::kAdd, "other", "SELECT 1;\nSELECT 2")}), "42601");
  EXPECT_EQ(error.line, 2u);
  EXPECT_EQ(change({edit(Action::kAdd, "other", kMatrix)}), "42601") << "another name";
  EXPECT_EQ(change({edit(Action::kAdd, "other", "DROP VIEW matrix")}), "42601");
  EXPECT_EQ(change({edit(Action::kAdd, "other", "CREATE TABLE t (a int)")}), "42601");
  EXPECT_NE(error.hint.find("sql -f"), std::string::npos) << "of a set of files that has tables, too";
  EXPECT_EQ(change({edit(Action::kAdd, "other", "SELECT\n  octts FROM flows")}), "42703");
  EXPECT_EQ(error.line, 2u);
  EXPECT_EQ(error.column, 3u);
  EXPECT_EQ(error.source_name, "other");
  // A mistake that the change makes of another query is told with that one's name.
  EXPECT_EQ(change({edit(Action::kAlter, "matrix",
                         "SELECT window_start, src_as, count(*) AS n FROM tumble(flows, time, interval '60 s') GROUP "
                         "BY window_start, src_as")}),
            "42703");
  EXPECT_EQ(error.source_name, "reader");
  EXPECT_EQ(change({edit(Action::kAdd, "a", "SELECT * FROM b"), edit(Action::kAdd, "b", "SELECT * FROM a")}), "42P17");
  EXPECT_EQ(states(), before);
  EXPECT_EQ(change({edit(Action::kDrop, "matrix"), edit(Action::kDrop, "reader")}), "drop matrix, drop reader")
      << "together they may go";
}

TEST_F(QueryRegisterTest, PausedIsNotForgotten) {
  ASSERT_EQ(change({edit(Action::kAdd, "matrix", kMatrix)}), "add matrix");
  process->run_until(130);
  EXPECT_EQ(change({edit(Action::kPause, "matrix")}), "pause matrix");
  process->run_until(250);
  EXPECT_EQ(windows("matrix v1"), (Windows{"0", "60"})) << "its open window is not given";
  EXPECT_EQ(states(), "matrix paused; ");
  EXPECT_EQ(change({edit(Action::kPause, "matrix")}), "unchanged matrix");
  EXPECT_EQ(change({edit(Action::kResume, "matrix")}), "resume matrix");
  process->run_until(370);
  EXPECT_EQ(windows("matrix v1"), (Windows{"240?", "300"}))
      << "a sink of its own, and a first window that is not whole";
  const auto audit = process->catalog->audit({});
  ASSERT_EQ(audit->size(), 3u);
  EXPECT_EQ(audit->at(0).verb, "resume");
  EXPECT_EQ(audit->at(1).verb, "pause");
  EXPECT_EQ(audit->at(1).author, "ann");
}

TEST_F(QueryRegisterTest, AQueryThatFailsIsToldToTheCatalog) {
  ASSERT_EQ(
      change({edit(Action::kAdd, "bad",
                   "CREATE MATERIALIZED VIEW bad WITH (on_error = 'fail') AS SELECT window_start, sum(1 / (octets - "
                   "100)) AS n FROM tumble(flows, time, "
                   "interval '60 s') GROUP BY window_start"),
              edit(Action::kAdd, "good",
                   "SELECT window_start, count(*) FROM tumble(flows, time, interval '60 s') GROUP BY window_start")}),
      "add bad, add good");
  process->run_until(200);
  EXPECT_EQ(process->failed, 1u);
  EXPECT_EQ(states(), "bad failed; good running*; ");
  EXPECT_EQ(windows("good v1").size(), 3u);
  process->run_until(210);
  EXPECT_EQ(process->forgotten, Windows{"bad v1"});
  EXPECT_NE((*process->catalog->find(catalog::Kind::kQuery, "bad"))->body.find("22012"), std::string::npos);
  begin();
  EXPECT_EQ(states(), "bad failed; good running*; ") << "it stays so";
  EXPECT_EQ(change({edit(Action::kResume, "bad")}), "resume bad");
}

TEST_F(QueryRegisterTest, ASelectWithoutANameIsNobodysButItsAskers) {
  ASSERT_EQ(change({edit(Action::kAdd, "matrix", kMatrix)}), "add matrix");
  process->run_until(30);
  const auto revision = process->catalog->revision();
  const auto looked =
      process->queries->add_temporary("SELECT window_start, octets FROM matrix", "-e", kAnn, process->now);
  ASSERT_TRUE(looked) << looked.error().render();
  EXPECT_EQ(*looked, "~1");
  const auto own = process->queries->add_temporary(
      "SELECT window_start, count(*) AS n FROM tumble(flows, time, interval '60 s') GROUP BY 1", "-e", kAnn,
      process->now);
  ASSERT_TRUE(own);
  EXPECT_EQ(process->queries->list().size(), 3u);
  EXPECT_TRUE(process->queries->find("~1")->temporary);
  EXPECT_EQ(process->catalog->revision(), revision) << "the catalog does not hear of them";
  process->run_until(200);
  EXPECT_EQ(process->sinks["~1 v1"]->windows, (Windows{"0", "60", "120"}));
  EXPECT_EQ(process->sinks["~2 v1"]->windows, (Windows{"0?", "60", "120"}));
  // It does not stand in the way of what is registered.
  EXPECT_EQ(change({edit(Action::kDrop, "matrix")}), "drop matrix");
  process->run_until(210);
  EXPECT_FALSE(process->queries->find("~1")) << "what it read is gone";
  EXPECT_TRUE(process->queries->find("~2"));
  EXPECT_TRUE(process->queries->drop_temporary("~2", process->now));
  EXPECT_TRUE(process->queries->drop_temporary("~2", process->now));
  process->run_until(220);
  EXPECT_EQ(process->queries->list().size(), 0u);
  EXPECT_EQ(process->engine.query_count() == 0 || !process->engine.has_query(process->engine.query_count() - 1), true);
  const auto wrong = process->queries->add_temporary("SELECT octts FROM flows", "-e", kAnn, process->now);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().column, 8u);
  const auto named = process->queries->add_temporary(kMatrix, "-e", kAnn, process->now);
  ASSERT_FALSE(named);
  EXPECT_EQ(named.error().code, "42601");
  EXPECT_EQ(change({edit(Action::kAdd, "~3", "SELECT octets FROM flows")}), "42939");
}

TEST_F(QueryRegisterTest, WhatCannotBeBoundAnyMoreIsLeftOutAtTheStart) {
  ASSERT_EQ(change({edit(Action::kAdd, "good", kMatrix.substr(kMatrix.find("SELECT")))}), "add good");
  catalog::Change foreign;
  foreign.kind = catalog::Kind::kQuery;
  foreign.name = "foreign";
  foreign.body =
      catalog::to_body({"SELECT later_function(octets) FROM flows", "", "", catalog::QueryState::kRunning, ""});
  foreign.verb = "add";
  ASSERT_TRUE(process->catalog->apply({&foreign, 1}, kAnn, kStart));
  begin();
  EXPECT_EQ(states(), "foreign failed; good running*; ");
}

TEST_F(QueryRegisterTest, PlainViewsAndLateRowsBringTheirReadersAlong) {
  ASSERT_EQ(
      change(
          {edit(Action::kAdd, "big", "CREATE VIEW big AS SELECT time, octets FROM flows WHERE octets > 10"),
           edit(
               Action::kAdd, "sums",
               "SELECT window_start, sum(octets) AS n FROM tumble(big, time, interval '60 s') GROUP BY window_start")}),
      "add big, add sums");
  EXPECT_EQ(states(), "big running; sums running*; ");
  process->run_until(130);
  EXPECT_EQ(change({edit(Action::kAlter, "big",
                         "CREATE VIEW big AS SELECT time, octets * 2 AS octets FROM flows WHERE octets > 10")}),
            "alter big +sums");
  process->run_until(250);
  EXPECT_EQ(change({edit(Action::kAdd, "lates", "SELECT * FROM sums_late")}), "add lates +sums");
  process->run_until(400);
  EXPECT_EQ(states(), "big running; lates running*; sums running*; ");
  EXPECT_EQ(windows("sums v1"), (Windows{"300"})) << "the last of three runs";
  EXPECT_EQ(change({edit(Action::kDrop, "sums")}), "2BP01");
  EXPECT_EQ(change({edit(Action::kDrop, "lates")}), "drop lates");
}

TEST_F(QueryRegisterTest, ManyComeAndGoAndOneStays) {
  ASSERT_EQ(change({edit(Action::kAdd, "matrix", kMatrix)}), "add matrix");
  std::mt19937 random(1);
  std::set<std::string> there;
  for (int i = 0; i < 500; ++i) {
    const std::string name = fmt::format("q{}", random() % 12);
    if (there.contains(name)) {
      ASSERT_EQ(change({edit(Action::kDrop, name)}), fmt::format("drop {}", name));
      there.erase(name);
    } else {
      const std::string text = fmt::format(
          "SELECT window_start, src_as, sum(octets) AS n FROM tumble(flows, time, interval '{} s') GROUP BY "
          "window_start, src_as",
          10 + 10 * (random() % 6));
      ASSERT_EQ(change({edit(Action::kAdd, name, text)}), fmt::format("add {}", name));
      there.insert(name);
    }
    process->run_until(2 * i);
  }
  process->run_until(1030);
  Windows expected;
  for (int second = 0; second + 60 < 1030; second += 60) expected.push_back(std::to_string(second));
  EXPECT_EQ(windows("matrix v1"), expected);
  EXPECT_EQ(process->sinks.at("matrix v1")->rows, expected.size());
}

/// Two nodes over one topic, in memory.
class SharedQueryRegister : public testing::Test {
 protected:
  SharedQueryRegister() {
    std::string name = (std::filesystem::temp_directory_path() / "backstream-register-XXXXXX").string();
    if (::mkdtemp(name.data()) == nullptr) throw std::runtime_error("mkdtemp");
    folder_ = name;
    for (const auto& [node, process] : {std::pair{"a", &a}, std::pair{"b", &b}}) {
      process->emplace(open(node), true);
      const auto started = (*process)->queries->start(kStart);
      if (!started) throw std::runtime_error(started.error().render());
    }
  }
  ~SharedQueryRegister() override {
    a.reset();
    b.reset();
    std::filesystem::remove_all(folder_);
  }
  std::unique_ptr<catalog::Catalog> open(const std::string& node) {
    catalog::KafkaCatalogOptions options;
    options.copy_path = (folder_ / (node + ".sqlite")).string();
    options.patience = std::chrono::seconds(60);
    options.poll = std::chrono::milliseconds(5);
    auto opened = catalog::open_log_catalog(
        [this](bool) -> base::Result<std::unique_ptr<transport::KeyedLog>> {
          return std::unique_ptr<transport::KeyedLog>(std::make_unique<transport::MemoryKeyedLog>(topic_));
        },
        "t.catalog", std::move(options));
    if (!opened) throw std::runtime_error(opened.error().render());
    return std::move(*opened);
  }
  static std::string change(Process& process, Action action, std::string name, std::string text = "") {
    QueryRegister::Edit edit;
    edit.action = action;
    edit.name = std::move(name);
    edit.text = std::move(text);
    const auto done = process.queries->change({&edit, 1}, kAnn, process.now);
    return done ? done->front().verb : done.error().code;
  }
  /// When it has heard of all that the other one knows.
  static void follow(Process& process, Process& other) { follow(process, *other.catalog); }
  static void follow(Process& process, catalog::Catalog& other) {
    const catalog::Revision newest = other.revision();
    while (process.catalog->wait_beyond({newest.value - 1}, std::chrono::seconds(60)) < newest) {
    }
    const auto followed = process.queries->follow();
    EXPECT_TRUE(followed) << followed.error().render();
  }
  static std::string states(Process& process) {
    std::string text;
    for (const auto& status : process.queries->list())
      text += fmt::format("{} v{} {}{}; ", status.object.name, status.object.version, name(status.definition.state),
                          status.number ? "*" : "");
    return text;
  }

  std::filesystem::path folder_;
  transport::MemoryTopic topic_;
  std::optional<Process> a, b;
};

TEST_F(SharedQueryRegister, WhatOneNodeIsToldAllNodesRun) {
  EXPECT_EQ(change(*a, Action::kAdd, "matrix", kMatrix), "add");
  follow(*b, *a);
  EXPECT_EQ(states(*b), "matrix v1 running*; ");
  b->run_until(150);
  EXPECT_EQ(b->sinks.at("matrix v1")->windows, (Windows{"0", "60"}));
  EXPECT_EQ(change(*b, Action::kAlter, "matrix",
                   "SELECT window_start, src_as, count(*) AS n FROM tumble(flows, time, interval '60 s') GROUP BY "
                   "window_start, src_as"),
            "alter");
  follow(*a, *b);
  EXPECT_EQ(states(*a), "matrix v2 running*; ");
  EXPECT_EQ(change(*a, Action::kPause, "matrix"), "pause");
  EXPECT_EQ(change(*a, Action::kAdd, "idle", "SELECT octets FROM flows"), "add");
  follow(*b, *a);
  EXPECT_EQ(states(*b), "idle v1 running*; matrix v2 paused; ");
  EXPECT_EQ(change(*b, Action::kResume, "matrix"), "resume");
  EXPECT_EQ(change(*b, Action::kDrop, "idle"), "drop");
  follow(*a, *b);
  EXPECT_EQ(states(*a), "matrix v2 running*; ");
  const size_t changes = a->changes;
  follow(*a, *b);
  EXPECT_EQ(a->changes, changes) << "nothing is touched where nothing has changed";
}

/// Who changes something has not followed yet; the catalog knows.
TEST_F(SharedQueryRegister, ANodeThatIsBehindDoesNotWriteOver) {
  ASSERT_EQ(change(*a, Action::kAdd, "q", "SELECT octets FROM flows"), "add");
  while (b->catalog->revision().value < 1) b->catalog->wait_beyond({0}, std::chrono::seconds(1));
  EXPECT_EQ(change(*b, Action::kAdd, "q", "SELECT src_as FROM flows"), "42710");
  EXPECT_EQ(states(*b), "q v1 running*; ") << "it has followed before it decided";
  ASSERT_EQ(change(*b, Action::kAlter, "q", "SELECT src_as FROM flows"), "alter");
  while (a->catalog->revision().value < 2) a->catalog->wait_beyond({1}, std::chrono::seconds(1));
  ASSERT_EQ(change(*a, Action::kPause, "q"), "pause");
  EXPECT_EQ((*a->queries->find("q")).definition.text, "SELECT src_as FROM flows") << "not of the text before";
}

TEST_F(SharedQueryRegister, WhatCannotRunHereFailsHereAlone) {
  ASSERT_EQ(change(*a, Action::kAdd, "good", "SELECT octets FROM flows"), "add");
  catalog::QueryDefinition definition;
  definition.text = "SELECT n FROM of_a_table_that_comes_later";
  definition.state = catalog::QueryState::kRunning;
  catalog::Change bad;
  bad.name = "bad";
  bad.body = catalog::to_body(definition);
  bad.verb = "add";
  ASSERT_TRUE(a->catalog->apply({&bad, 1}, kAnn, kStart));
  follow(*b, *a);
  EXPECT_EQ(states(*b), "bad v1 failed; good v1 running*; ");
  EXPECT_NE(b->queries->find("bad")->definition.reason.find("of_a_table_that_comes_later"), std::string::npos);
  const auto object = b->catalog->find(catalog::Kind::kQuery, "bad");
  EXPECT_EQ(catalog::query_of(**object)->state, catalog::QueryState::kRunning) << "the catalog does not hear of it";
  EXPECT_EQ(b->catalog->revision().value, 2u);
  // Bodies that are none are no reason to stop, too.
  bad.name = "worse";
  bad.body = R"({"state":7})";
  ASSERT_TRUE(a->catalog->apply({&bad, 1}, kAnn, kStart));
  follow(*b, *a);
  EXPECT_EQ(states(*b), "bad v1 failed; good v1 running*; worse v1 failed; ");
  ASSERT_EQ(change(*a, Action::kAlter, "bad", "SELECT octets FROM flows"), "alter");
  follow(*b, *a);
  EXPECT_EQ(states(*b), "bad v2 running*; good v1 running*; worse v1 failed; ");
}

TEST_F(SharedQueryRegister, ASelectWithoutANameRunsOnAllNodesWhereHalvesAreApart) {
  for (const auto& [node, process] : {std::pair{"apart-a", &a}, std::pair{"apart-b", &b}}) {
    process->emplace(open(node), true, exec::Half::kMerge);
    ASSERT_TRUE((*process)->queries->start(kStart));
  }
  const std::string text = "SELECT window_start, count(*) AS n FROM tumble(flows, time, interval '60 s') GROUP BY 1";
  const auto name = a->queries->add_temporary(text, "-e", kAnn, kStart);
  ASSERT_TRUE(name) << name.error().render();
  EXPECT_TRUE(name->starts_with(QueryRegister::kTemporaryMark));
  follow(*b, *a);
  ASSERT_EQ(b->queries->started().size(), 1u) << "a worker completes it";
  EXPECT_EQ(a->queries->started().front().incarnation, b->queries->started().front().incarnation);
  EXPECT_TRUE(b->queries->find(*name)->temporary);
  EXPECT_EQ(b->queries->find(*name)->definition.owner, "ann");
  // Who has its reader renews the lease when half of it is over.
  const auto until = [&] { return (b->queries->find(*name)->definition.until - kStart) / kSecond; };
  a->queries->renew_temporary({*name}, kStart + 400 * kSecond);
  follow(*b, *a);
  EXPECT_EQ(until(), 900);
  a->queries->renew_temporary({*name}, kStart + 500 * kSecond);
  follow(*b, *a);
  EXPECT_EQ(until(), 1'400);
  EXPECT_EQ(b->queries->started().size(), 1u) << "it does not start anew";
  // When nothing is heard of it, any node ends it.
  b->queries->renew_temporary({}, kStart + 1'400 * kSecond);
  EXPECT_TRUE(b->queries->find(*name));
  b->queries->renew_temporary({}, kStart + 1'401 * kSecond);
  EXPECT_FALSE(b->queries->find(*name));
  EXPECT_TRUE(a->queries->drop_temporary(*name, kStart)) << "somebody else was first";
  follow(*a, *b);
  EXPECT_FALSE(a->queries->find(*name));
  // Closed by its reader it is gone everywhere.
  const auto other = a->queries->add_temporary(text, "-e", kAnn, kStart);
  ASSERT_TRUE(other);
  follow(*b, *a);
  ASSERT_TRUE(b->queries->find(*other));
  EXPECT_TRUE(a->queries->drop_temporary(*other, kStart));
  follow(*b, *a);
  EXPECT_FALSE(b->queries->find(*other));
  EXPECT_EQ(change(*a, Action::kAdd, "~mine", text), "42939");
}

/// A catalog that does not answer for a while.
class SlowCatalog : public catalog::Catalog {
 public:
  explicit SlowCatalog(std::unique_ptr<catalog::Catalog> inner) : inner_(std::move(inner)) {}
  base::Result<catalog::Revision> apply(std::span<const catalog::Change> changes, const catalog::Author& author,
                                        Micros now) override {
    std::unique_lock lock(mutex_);
    waiting_ = true;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_; });
    auto applied = inner_->apply(changes, author, now);
    if (when_applied) std::exchange(when_applied, {})();
    return applied;
  }
  std::function<void()> when_applied;  ///< once, before it returns
  void await_waiter() {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return waiting_; });
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }
  base::Result<std::optional<catalog::Object>> find(catalog::Kind kind, std::string_view of) override {
    return inner_->find(kind, of);
  }
  base::Result<std::vector<catalog::Object>> list(catalog::Kind kind) override { return inner_->list(kind); }
  base::Result<std::vector<catalog::Version>> history(catalog::Kind kind, std::string_view of, size_t max) override {
    return inner_->history(kind, of, max);
  }
  base::Result<std::vector<catalog::AuditEntry>> audit(const AuditOf& which) override { return inner_->audit(which); }
  base::Result<std::optional<std::vector<Changed>>> changed_since(catalog::Revision after) override {
    return inner_->changed_since(after);
  }
  catalog::Revision revision() override { return inner_->revision(); }
  catalog::Revision wait_beyond(catalog::Revision after, std::chrono::milliseconds patience) override {
    return inner_->wait_beyond(after, patience);
  }

 private:
  const std::unique_ptr<catalog::Catalog> inner_;
  std::mutex mutex_;
  std::condition_variable changed_;
  bool waiting_ = false, open_ = false;
};

TEST_F(SharedQueryRegister, WhileACatalogIsWaitedForQueriesAreShown) {
  ASSERT_EQ(change(*a, Action::kAdd, "q", "SELECT octets FROM flows"), "add");
  auto slow = std::make_unique<SlowCatalog>(open("c"));
  SlowCatalog& gate = *slow;
  Process c(std::move(slow), true);
  ASSERT_TRUE(c.queries->start(kStart));
  std::thread writer([&] { EXPECT_EQ(change(c, Action::kAdd, "r", "SELECT octets FROM flows"), "add"); });
  gate.await_waiter();
  EXPECT_EQ(states(c), "q v1 running*; ");
  EXPECT_TRUE(c.queries->find("q"));
  EXPECT_EQ(c.queries->readers_of("flows").size(), 1u);
  EXPECT_FALSE(c.queries->list_unless_changing());
  EXPECT_EQ(c.queries->tend(kStart), 0u);
  gate.open();
  writer.join();
  EXPECT_EQ(states(c), "q v1 running*; r v1 running*; ");
}

TEST_F(SharedQueryRegister, WhatAnotherNodeMakesOfItMeanwhileIsWhatRuns) {
  auto slow = std::make_unique<SlowCatalog>(open("c"));
  SlowCatalog& gate = *slow;
  Process c(std::move(slow), true);
  ASSERT_TRUE(c.queries->start(kStart));
  gate.open();
  gate.when_applied = [&] {
    follow(*b, *c.catalog);
    EXPECT_EQ(change(*b, Action::kAlter, "q", "SELECT src_as FROM flows"), "alter");
    while (c.catalog->wait_beyond({1}, std::chrono::seconds(1)).value < 2) {
    }
  };
  EXPECT_EQ(change(c, Action::kAdd, "q", "SELECT octets FROM flows"), "add");
  EXPECT_EQ(states(c), "q v2 running*; ");
  EXPECT_EQ(c.queries->find("q")->definition.text, "SELECT src_as FROM flows");
  EXPECT_TRUE(c.sinks.contains("q v2"));
  EXPECT_FALSE(c.sinks.contains("q v1")) << "the version that it was never runs under the other's name";
}

}  // namespace
}  // namespace backstream::service
