// The law of DESIGN rule 4 where the halves of queries run in engines of their own: edges that know nothing of each
// other, each with a watermark of its own; messages that come in any order between edges, and again; a merge half, and
// edges, that are stopped and go on in another process.
#include "halves.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <deque>
#include <iterator>
#include <map>
#include <memory>
#include <optional>

#include "plan/travel.h"

namespace backstream {
namespace {

struct Outcome {
  std::vector<std::string> rows;
  std::vector<exec::WindowLedger> ledgers;
};
Outcome run_whole(const Queries& queries, const std::vector<Flow>& flows, size_t datagram_rows, Micros delay) {
  Rows rows;
  const auto ledgers = run_whole(queries, flows, datagram_rows, delay, rows);
  return {rows.sorted(), ledgers};
}

/// No window comes of which it was said that it would not (Engine::whole()).
class CheckedRows : public Rows {
 public:
  void on_result(const exec::ResultBatch& result) override {
    const auto given = given_.find(result.query_index);
    if (given != given_.end() && result.final && result.rows.row_count > 0 &&
        result.window_end != result.window_start) {
      EXPECT_GE(result.window_start, given->second) << "query " << result.query_index;
    }
    Rows::on_result(result);
  }
  /// After it was settled.
  void look(const exec::Engine& engine) {
    for (size_t q = 0; q < engine.query_count(); ++q) {
      const Micros until = engine.whole(q).until;
      if (until == base::kMinTime || until == base::kMaxTime) continue;
      given_[q] = until;
      ++looks;
    }
  }
  /// Another engine gives them again.
  void forget() { given_.clear(); }
  size_t looks = 0;

 private:
  std::map<size_t, Micros> given_;
};

/// What may go otherwise than well.
struct Faults {
  bool repeats = false;         ///< messages come twice or more, at any time later
  bool edges_restart = false;   ///< an edge is stopped and begins anew
  bool edges_die = false;       ///< an edge is killed, and another process of it begins
  bool merge_restarts = false;  ///< the merge half is saved, and another reads the log from before the save
  bool mixed = false;           ///< edges send panes, then rows, then panes
};

Outcome run_apart(const Queries& queries, const std::vector<Flow>& flows, size_t datagram_rows, Micros delay,
                  uint64_t seed, const Faults& faults) {
  std::mt19937_64 random(seed);
  const size_t edge_count = 1 + random() % 4;
  std::deque<Edge> edges;
  partial::Members members;
  for (size_t e = 0; e < edge_count; ++e) {
    const auto number = static_cast<uint32_t>(7 + e);
    edges.emplace_back(queries, number, 1 + static_cast<uint32_t>(random() % 3), 1 + random() % 100, faults.mixed);
    members.edges.push_back({number, false});
  }
  for (size_t at = 0; at < flows.size(); at += datagram_rows) {
    Edge& edge = edges[random() % edge_count];
    for (size_t i = at; i < std::min(flows.size(), at + datagram_rows); ++i)
      edge.add(flows[i], random() % edge.threads());
    edge.advance(delay);
    if (faults.edges_restart && random() % 40 == 0) edge.restart();
    if (faults.edges_die && random() % 40 == 0) edge.kill();
  }
  for (Edge& edge : edges) edge.finish();

  // One log: messages of an edge in their order, and of several in any.
  std::vector<std::span<const uint8_t>> log;
  std::vector<size_t> next(edge_count);
  for (size_t left = edge_count; left > 0;) {
    const size_t e = random() % edge_count;
    if (next[e] > edges[e].messages.size()) continue;
    if (next[e] == edges[e].messages.size()) {
      ++next[e];
      --left;
      continue;
    }
    log.push_back(edges[e].messages[next[e]++]);
    if (faults.repeats && random() % 3 == 0)
      log.push_back(log[log.size() - 1 - random() % std::min<size_t>(log.size(), 50)]);
  }

  exec::EngineOptions options;
  options.half = exec::Half::kMerge;
  options.pane_us_max = 60 * kSecond;
  options.batch_rows = 1 + random() % 300;
  auto engine = std::make_unique<exec::Engine>(options);
  CheckedRows rows;
  add_all(*engine, queries, &rows);
  engine->set_members(members);
  struct Saved {
    size_t offset, row_count;
    std::vector<uint8_t> streams;
    std::vector<std::vector<uint8_t>> queries;
  };
  std::optional<Saved> saved;
  for (size_t offset = 0; offset < log.size(); ++offset) {
    EXPECT_EQ(engine->take(log[offset]), exec::Engine::Taken::kTaken);
    if (random() % 4 == 0) {
      engine->settle();
      rows.look(*engine);
    }
    if (!faults.merge_restarts) continue;
    const bool ended = engine->frontier(0) == base::kMaxTime;
    if (!ended && !engine->has_pending_chunks() && random() % 30 == 0) {
      saved.emplace();
      // What is read again are repeats.
      saved->offset = offset + 1 - random() % std::min<size_t>(offset + 1, 20);
      saved->row_count = rows.rows.size();
      engine->save_streams(saved->streams);
      for (size_t q = 0; q < queries.size(); ++q) engine->save_state(q, saved->queries.emplace_back());
    }
    if (saved && random() % 100 == 0) {  // Killed: rows that were given since are given again.
      engine = std::make_unique<exec::Engine>(options);
      rows.rows.resize(saved->row_count);
      rows.forget();
      add_all(*engine, queries, &rows);
      EXPECT_TRUE(engine->restore_streams(saved->streams).has_value());
      for (size_t q = 0; q < queries.size(); ++q) {
        const auto restored = engine->restore_state(q, saved->queries[q]);
        EXPECT_TRUE(restored.has_value()) << restored.error().message << ": " << queries[q]->text;
      }
      offset = saved->offset - 1;
      saved.reset();
    }
  }
  engine->settle();
  EXPECT_GT(rows.looks, 0u);
  for (const Edge& edge : edges) EXPECT_FALSE(edge.messages.empty());
  Outcome outcome{rows.sorted(), {}};
  for (size_t q = 0; q < queries.size(); ++q) outcome.ledgers.push_back(engine->ledger(q));
  return outcome;
}

void expect_same(const Queries& queries, const Outcome& whole, const Outcome& apart, const std::string& what) {
  EXPECT_EQ(whole.rows, apart.rows) << what;
  for (size_t q = 0; q < queries.size(); ++q) {
    const exec::WindowLedger &x = whole.ledgers[q], &y = apart.ledgers[q];
    const std::string at = what + ": " + queries[q]->text;
    EXPECT_EQ(x.assigned, y.assigned) << at;
    EXPECT_EQ(x.counted, y.counted) << at;
    EXPECT_EQ(x.filtered, y.filtered) << at;
    EXPECT_EQ(x.late, y.late) << at;
    EXPECT_EQ(x.time_null, y.time_null) << at;
    EXPECT_EQ(x.result_rows, y.result_rows) << at;
    EXPECT_EQ(y.assigned, y.counted + y.filtered + y.late + y.errored + y.shed) << at;
  }
}

uint64_t rounds() {
  const char* given = std::getenv("BACKSTREAM_PROPERTY_ROUNDS");
  return given == nullptr ? 3 : std::strtoull(given, nullptr, 10);
}

TEST(HalvesApart, AreTheWhole) {
  for (uint64_t seed = 1; seed <= rounds(); ++seed) {
    std::mt19937_64 random(seed);
    const auto flows = make_flows(random, 1500 + random() % 3000, 30 * kSecond);
    const size_t datagram_rows = 1 + random() % 30;
    const Micros delay = 40 * kSecond;
    for (const std::string way : {"panes", "rows", "mixed"}) {
      const Queries queries = bind_queries(way == "rows");
      const bool mixed = way == "mixed";
      const Outcome whole = run_whole(queries, flows, datagram_rows, delay);
      ASSERT_FALSE(whole.rows.empty());
      const auto check = [&](Faults faults, const char* what) {
        faults.mixed = mixed;
        expect_same(queries, whole, run_apart(queries, flows, datagram_rows, delay, seed, faults),
                    way + ", seed " + std::to_string(seed) + ", " + what);
      };
      check({}, "all well");
      check({.repeats = true}, "repeats");
      check({.edges_restart = true}, "edges restart");
      check({.repeats = true, .merge_restarts = true}, "the merge half restarts");
    }
  }
}

TEST(HalvesApart, RowsOfAKilledEdgeAreCountedOrLost) {
  std::mt19937_64 random(11);
  const auto flows = make_flows(random, 3000, 30 * kSecond);
  for (const std::string way : {"panes", "rows", "mixed"}) {
    const Queries queries = bind_queries(way == "rows");
    const Outcome whole = run_whole(queries, flows, 10, 40 * kSecond);
    const Outcome apart =
        run_apart(queries, flows, 10, 40 * kSecond, 12,
                  {.repeats = true, .edges_die = true, .merge_restarts = true, .mixed = way == "mixed"});
    for (size_t q = 0; q < queries.size(); ++q) {
      const exec::WindowLedger& ledger = apart.ledgers[q];
      if (queries[q]->source.kind == plan::Relation::Kind::kView) continue;  // It reads what another one gives.
      const std::string at = way + ": " + queries[q]->text;
      EXPECT_GT(ledger.lost, 0u) << at;
      const exec::WindowLedger& of_whole = whole.ledgers[q];
      EXPECT_GE(ledger.assigned + ledger.lost, of_whole.assigned) << at;
      // Where rows travel, some of those that were lost had no time.
      EXPECT_LE(ledger.assigned + ledger.lost, of_whole.assigned + of_whole.time_null - ledger.time_null) << at;
      EXPECT_EQ(ledger.assigned, ledger.counted + ledger.filtered + ledger.late + ledger.errored + ledger.shed) << at;
    }
  }
}

/// What is told of each window beside its rows: the last time that it was sent.
struct Windows : exec::ResultSink {
  struct Told {
    int revision = 0;
    bool final = false, complete = false;
    std::vector<uint32_t> edges_missing;
  };
  void on_result(const exec::ResultBatch& result) override {
    windows[result.window_start] = {result.revision, result.final, result.complete, result.edges_missing};
    rows.on_result(result);
  }
  std::map<Micros, Told> windows;
  Rows rows;
};

/// The port sweep: windows of 60 s.
Queries one_query(bool central = false) {
  const Queries all = bind_queries(central);
  return {all[1]};
}

void expect_marked_and_revised(bool central) {
  std::mt19937_64 random(5);
  const auto flows = make_flows(random, 2000, 0);
  const Queries queries = one_query(central);
  const Outcome whole = run_whole(queries, flows, 10, 0);
  std::deque<Edge> edges;
  for (const uint32_t number : {1, 2}) edges.emplace_back(queries, number, 1, 100);
  for (size_t i = 0; i < flows.size(); ++i) {
    Edge& edge = edges[i % 2];
    edge.add(flows[i], 0);
    edge.advance(0);
  }
  const size_t before_end[] = {edges[0].messages.size(), edges[1].messages.size()};
  for (Edge& edge : edges) edge.finish();

  exec::EngineOptions options;
  options.half = exec::Half::kMerge;
  options.pane_us_max = exec::kShippedPaneMax;
  exec::Engine engine(options);
  Windows windows;
  add_all(engine, queries, &windows);
  engine.set_members({0, {{1, false}, {2, false}}});
  // Of the second edge only the first third comes.
  const size_t third = before_end[1] / 3;
  for (size_t m = 0; m < before_end[0]; ++m) engine.take(edges[0].messages[m]);
  for (size_t m = 0; m < third; ++m) engine.take(edges[1].messages[m]);
  engine.settle();
  const size_t closed = windows.windows.size();
  EXPECT_GT(closed, 1u);
  EXPECT_LT(closed, 14u) << "those that the second edge is not through with are waited for";
  for (const auto& [start, window] : windows.windows) EXPECT_TRUE(window.final && window.complete);

  engine.set_members({0, {{1, false}, {2, true}}});
  engine.settle();
  EXPECT_EQ(windows.windows.size(), 14u) << "it is absent: they close without it";
  size_t marked = 0;
  for (const auto& [start, window] : windows.windows) {
    if (window.complete) continue;
    ++marked;
    EXPECT_FALSE(window.final);
    EXPECT_EQ(window.edges_missing, std::vector<uint32_t>{2});
  }
  EXPECT_EQ(marked, 14 - closed);

  // It comes back, still called absent; the engine goes on meanwhile in another process.
  std::vector<uint8_t> streams, state;
  engine.save_streams(streams);
  engine.save_state(0, state);
  exec::Engine next(options);
  add_all(next, queries, &windows);
  ASSERT_TRUE(next.restore_streams(streams).has_value());
  ASSERT_TRUE(next.restore_state(0, state).has_value());
  EXPECT_EQ(next.members().edges, (std::vector<partial::Members::Member>{{1, false}, {2, true}}));
  for (size_t m = third; m < edges[1].messages.size(); ++m) next.take(edges[1].messages[m]);
  for (size_t m = before_end[0]; m < edges[0].messages.size(); ++m) next.take(edges[0].messages[m]);
  next.settle();
  for (const auto& [start, window] : windows.windows) EXPECT_TRUE(window.final && window.complete);
  EXPECT_GT(windows.windows.rbegin()->second.revision, 0);
  EXPECT_EQ(windows.rows.sorted(), whole.rows);
  EXPECT_EQ(next.ledger(0).late, 0u) << "what an absent edge sends later is not late";
}

TEST(HalvesApart, WithoutAnAbsentEdgeWindowsAreMarkedAndThenRevised) { expect_marked_and_revised(false); }
TEST(HalvesApart, SoTheyAreWhereRowsTravel) { expect_marked_and_revised(true); }

TEST(HalvesApart, WhatIsMeasuredOfAQueryIsWhatAnEdgeOfItsOwnSends) {
  std::mt19937_64 random(9);
  const auto flows = make_flows(random, 3000, 20 * kSecond);
  for (const bool central : {false, true}) {
    for (const auto& query : bind_queries(central)) {
      if (!query->inputs.empty() || query->source.kind != plan::Relation::Kind::kStream) continue;
      const Queries alone = {query};
      exec::EngineOptions options;
      options.ship = true;
      options.pane_us_max = exec::kShippedPaneMax;
      exec::Engine measured(options);
      measured.add_query(query, nullptr, exec::Measured::kTraffic);
      struct Counted : exec::PartialsOut {
        void append(std::vector<uint8_t>&& message) override {
          ++messages;
          octets += message.size();
        }
        uint64_t messages = 0, octets = 0;
      } counted;
      exec::EngineOptions of_edge;
      of_edge.half = exec::Half::kEdge;
      of_edge.pane_us_max = exec::kShippedPaneMax;
      of_edge.partials_out = &counted;
      exec::Engine edge(of_edge);
      edge.add_query(query, nullptr, exec::Measured::kNot, 1);
      const std::vector<batch::Type> types = batch::flow_schema().types();
      batch::BatchBuffer buffer(types, edge.columns_used("flows", types.size()), batch::kBatchRows);
      Micros high = base::kMinTime;
      for (const Flow& flow : flows) {
        buffer.batch.row_count = 0;
        put(buffer.batch, flow);
        if (flow.time_present) high = std::max(high, flow.time);
        for (exec::Engine* engine : {&measured, &edge}) {
          engine->process("flows", buffer.batch);
          if (high != base::kMinTime && high - kSecond >= engine->next_cut("flows"))
            engine->advance("flows", high - kSecond);
        }
      }
      measured.finish();
      edge.finish();
      const plan::QueryActivity activity = measured.activity(0);
      ASSERT_EQ(activity.traffic.size(), 1u) << query->text;
      const plan::EdgeTraffic& traffic = activity.traffic[0];
      EXPECT_EQ(traffic.sent.octets, counted.octets) << query->text;
      EXPECT_EQ(traffic.sent.messages, counted.messages) << query->text;
      EXPECT_GT(traffic.sent.compressed_octets, 0u);
      EXPECT_EQ(traffic.as_panes.has_value(), plan::groups_at_edge(*query)) << query->text;
      if (!traffic.as_rows) continue;
      const exec::WindowLedger ledger = measured.ledger(0);
      // Rows whose condition cannot be computed travel, too.
      EXPECT_GE(traffic.as_rows->rows, ledger.counted + ledger.late + ledger.errored) << query->text;
      EXPECT_LE(traffic.as_rows->rows, ledger.assigned) << query->text;
      EXPECT_GT(traffic.as_panes->groups, 0u);
    }
  }
}

TEST(HalvesApart, AQueryMayWaitForAnAbsentEdge) {
  std::mt19937_64 random(8);
  const auto flows = make_flows(random, 500, 0);
  plan::Catalog catalog;
  const std::string text =
      "CREATE MATERIALIZED VIEW v WITH (absent_sites = 'wait') AS SELECT window_start, count(*) AS n FROM "
      "tumble(flows, time, interval '60 s') GROUP BY window_start";
  auto query = plan::bind(sql::parse(text, "")->front(), text, catalog);
  ASSERT_TRUE(query.has_value()) << query.error().message;
  const Queries queries = {std::make_shared<plan::Query>(std::move(*query))};
  Edge edge(queries, 1, 1, 100);
  for (const Flow& flow : flows) {
    edge.add(flow, 0);
    edge.advance(0);
  }
  exec::EngineOptions options;
  options.half = exec::Half::kMerge;
  options.pane_us_max = exec::kShippedPaneMax;
  exec::Engine engine(options);
  Windows windows;
  add_all(engine, queries, &windows);
  engine.set_members({0, {{1, false}, {2, true}}});
  for (const auto& message : edge.messages) engine.take(message);
  engine.settle();
  EXPECT_TRUE(windows.windows.empty());
  engine.set_members({0, {{1, false}}});  // It is no longer one of them.
  engine.settle();
  EXPECT_GT(windows.windows.size(), 10u);
}

TEST(HalvesApart, WhatComesAfterItsWindowsWereFinalIsLateAndCounted) {
  std::mt19937_64 random(6);
  const auto flows = make_flows(random, 2000, 200 * kSecond);
  const Queries queries = bind_queries(false);
  const Outcome whole = run_whole(queries, flows, 10, 40 * kSecond);
  const Outcome apart = run_apart(queries, flows, 10, 40 * kSecond, 6, {});
  const Outcome mixed = run_apart(queries, flows, 10, 40 * kSecond, 6, {.mixed = true});
  for (size_t q = 0; q < queries.size(); ++q) {
    const exec::WindowLedger &x = whole.ledgers[q], &y = apart.ledgers[q], &z = mixed.ledgers[q];
    EXPECT_EQ(x.counted + x.late, y.counted + y.late) << queries[q]->text;
    EXPECT_EQ(x.counted + x.late, z.counted + z.late) << queries[q]->text;
    for (const exec::WindowLedger& each : {y, z}) {
      EXPECT_EQ(each.assigned, each.counted + each.filtered + each.late + each.errored + each.shed) << queries[q]->text;
    }
  }
  EXPECT_GT(whole.ledgers[1].late, 0u);
  EXPECT_GT(apart.ledgers[1].late, 0u);
  EXPECT_GT(mixed.ledgers[1].late, 0u);
  EXPECT_LE(apart.ledgers[1].late, whole.ledgers[1].late) << "windows wait for the slowest edge";
}

TEST(HalvesApart, AnEdgeSendsRowsWhileTheyAreLess) {
  plan::Catalog catalog;
  const std::string text =
      "SELECT window_start, src_ip, dst_port, count(*) AS n, sum(octets) AS o, avg(octets) AS a, min(octets) AS least, "
      "max(octets) AS most, stddev(octets) AS s, sum(packets) AS p FROM tumble(flows, time, interval '20 s') "
      "GROUP BY window_start, src_ip, dst_port";
  auto query = plan::bind(sql::parse(text, "")->front(), text, catalog);
  ASSERT_TRUE(query.has_value()) << query.error().message;
  EXPECT_EQ(plan::travel_of(*query), plan::Travel::kEither);
  const Queries queries = {std::make_shared<plan::Query>(std::move(*query))};
  // In the first 500 s each flow is of another source, then all are of one.
  std::mt19937_64 random(10);
  auto flows = make_flows(random, 60'000, 0);
  for (size_t i = 0; i < flows.size(); ++i) {
    flows[i].time_present = true;
    const bool of_one = flows[i].time >= kStart + 500 * kSecond;
    flows[i].src = base::Inet::v4(of_one ? 1 : static_cast<uint32_t>(i));
    if (of_one) flows[i].dst_port = 80;
  }
  const Outcome whole = run_whole(queries, flows, 30, kSecond);
  Edge edge(queries, 1, 2, 1000);
  for (size_t i = 0; i < flows.size(); ++i) {
    edge.add(flows[i], i % 2);
    edge.advance(kSecond);
  }
  edge.finish();
  std::map<Micros, std::pair<uint64_t, uint64_t>> sent;  // Groups and rows, by frontier.
  std::pair<uint64_t, uint64_t> since;
  exec::EngineOptions options;
  options.half = exec::Half::kMerge;
  options.pane_us_max = exec::kShippedPaneMax;
  exec::Engine engine(options);
  Rows rows;
  add_all(engine, queries, &rows);
  engine.set_members({0, {{1, false}}});
  for (const auto& bytes : edge.messages) {
    EXPECT_EQ(engine.take(bytes), exec::Engine::Taken::kTaken);
    partial::Message message;
    partial::PartialFault fault{};
    ASSERT_TRUE(partial::read_message(bytes, message, fault));
    if (message.kind == partial::Message::Kind::kFrontier) sent[message.frontier.frontier] = std::exchange(since, {});
    else if (message.chunk.kind == partial::ChunkId::Kind::kRows) since.second += message.group_count;
    else since.first += message.group_count;
  }
  engine.settle();
  EXPECT_EQ(rows.sorted(), whole.rows);
  const auto at = [&](Micros seconds) { return sent.lower_bound(kStart + seconds * kSecond)->second; };
  EXPECT_GT(at(20).first, 1000u) << "it begins with panes";
  EXPECT_EQ(at(20).second, 0u);
  for (const Micros second : {200, 400}) {
    EXPECT_EQ(at(second).first, 0u) << second;
    EXPECT_GT(at(second).second, 1000u) << second;
  }
  EXPECT_EQ(at(860).second, 0u) << "it has looked at panes again, and they are less";
  EXPECT_GT(at(860).first, 0u);
}

TEST(HalvesApart, AViewOverAViewNamesTheSitesThatAreMissing) {
  plan::Catalog catalog;
  Queries queries;
  for (const std::string text :
       {"CREATE MATERIALIZED VIEW v AS SELECT window_start, count(*) AS n FROM tumble(flows, time, interval '60 s') "
        "GROUP BY window_start",
        "SELECT n > 0 AS any, _complete, _sites_missing FROM v"}) {
    auto query = plan::bind(sql::parse(text, "")->front(), text, catalog);
    ASSERT_TRUE(query.has_value()) << query.error().message;
    if (query->is_view) catalog.add_view(*query);
    queries.push_back(std::make_shared<plan::Query>(std::move(*query)));
  }
  std::mt19937_64 random(9);
  Edge edge(queries, 1, 1, 100);
  for (const Flow& flow : make_flows(random, 500, 0)) edge.add(flow, 0);
  edge.finish();
  const auto rows_of = [&](const partial::Members& members) {
    exec::EngineOptions options;
    options.half = exec::Half::kMerge;
    options.pane_us_max = exec::kShippedPaneMax;
    options.site_of = [](uint32_t number) { return number == 1 ? "ams" : "rio"; };
    exec::Engine engine(options);
    Rows rows;
    engine.add_query(queries[0], nullptr, exec::Measured::kNot, 1000);
    engine.add_query(queries[1], &rows, exec::Measured::kNot, 1001);
    engine.set_members(members);
    engine.take(partial::write_presence({{1, 1, 0}, 0, kStart + 60 * kSecond, kStart + 120 * kSecond}));
    for (const auto& message : edge.messages) engine.take(message);
    engine.settle();
    std::map<std::string, int> counts;
    for (const std::string& row : rows.rows) ++counts[row];
    return counts;
  };
  EXPECT_EQ(rows_of({0, {{1, false}}}), (std::map<std::string, int>{{"1|t|t|", 14}, {"1|t|f|ams", 1}}));
  // The second one never comes: a day later windows are final without it.
  EXPECT_EQ(rows_of({0, {{1, false}, {2, true}}}),
            (std::map<std::string, int>{{"1|t|f|rio", 14}, {"1|t|f|ams,rio", 1}}));
}

TEST(HalvesApart, AGapOfAnEdgeIsTold) {
  std::mt19937_64 random(7);
  const auto flows = make_flows(random, 2000, 0);
  const Queries queries = one_query();
  Edge edge(queries, 1, 1, 100);
  for (const Flow& flow : flows) edge.add(flow, 0);
  edge.finish();
  exec::EngineOptions options;
  options.half = exec::Half::kMerge;
  options.pane_us_max = exec::kShippedPaneMax;
  exec::Engine engine(options);
  Windows windows;
  add_all(engine, queries, &windows);
  engine.set_members({0, {{1, false}}});
  engine.take(partial::write_presence({{1, 1, 0}, 0, kStart + 130 * kSecond, kStart + 190 * kSecond}));
  for (const auto& message : edge.messages) engine.take(message);
  engine.settle();
  for (const auto& [start, window] : windows.windows) {
    const bool overlaps = start < kStart + 190 * kSecond && start + 60 * kSecond > kStart + 130 * kSecond;
    EXPECT_EQ(window.complete, !overlaps) << (start - kStart) / kSecond;
    EXPECT_EQ(window.edges_missing, overlaps ? std::vector<uint32_t>{1} : std::vector<uint32_t>());
    EXPECT_TRUE(window.final);
  }
}

TEST(HalvesApart, AVersionGoesFromAnEdgeWhenItsWindowsAreOver) {
  struct Out : exec::PartialsOut {
    void append(std::vector<uint8_t>&&) override {}
  } out;
  exec::EngineOptions options;
  options.half = exec::Half::kEdge;
  options.pane_us_max = exec::kShippedPaneMax;
  options.partials_out = &out;
  exec::Engine engine(options);
  const Queries queries = one_query();  // Windows of 60 s.
  add_all(engine, queries, nullptr);
  EXPECT_FALSE(engine.has_ended(0));
  engine.set_life(0, base::kMinTime, kStart);
  EXPECT_FALSE(engine.has_ended(0)) << "nothing has come yet";
  engine.advance("flows", kStart + 59 * kSecond);
  EXPECT_FALSE(engine.has_ended(0));
  engine.advance("flows", kStart + 60 * kSecond);
  EXPECT_TRUE(engine.has_ended(0));
  engine.set_life(0, base::kMinTime, base::kMinTime);
  EXPECT_TRUE(engine.has_ended(0)) << "it was dropped";
}

TEST(HalvesApart, WhatIsNoMessageOfAKnownQueryIsCounted) {
  const Queries queries = one_query();
  exec::EngineOptions options;
  options.half = exec::Half::kMerge;
  exec::Engine engine(options);
  add_all(engine, queries, nullptr);
  const std::vector<uint8_t> garbage(40, 7);
  EXPECT_EQ(engine.take(garbage), exec::Engine::Taken::kRefused);
  partial::ChunkId id{partial::ChunkId::Kind::kPane, {1, 1, 1'000'000}, 0, 0, 0, 0, true};
  EXPECT_EQ(engine.take(partial::write_data(id, {}, 0, {})), exec::Engine::Taken::kUnknown);
  id.origin.incarnation = 1'000;
  EXPECT_EQ(engine.take(partial::write_data(id, {}, 5, garbage)), exec::Engine::Taken::kRefused);
  id.pane_start = 1;  // No pane of this query begins there.
  EXPECT_EQ(engine.take(partial::write_data(id, {}, 0, {})), exec::Engine::Taken::kRefused);
  const auto counts = engine.partial_counts();
  EXPECT_EQ(counts.unknown, 1u);
  EXPECT_EQ(counts.taken, 0u);
  EXPECT_EQ(counts.refused[static_cast<size_t>(partial::PartialFault::kNotPartial)], 1u);
  EXPECT_EQ(counts.refused[static_cast<size_t>(partial::PartialFault::kMalformed)], 2u);
}

}  // namespace
}  // namespace backstream
