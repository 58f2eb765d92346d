// The law whole = split where merge workers share the queries: edges, logs, workers and a receiver on a fake clock.
// Workers are killed, stop, stand still while others have what was theirs, and come back; logs are away, or keep what
// they say that they have not; messages are late, come again and in any order between edges; edges begin anew, and are
// cut off until windows close without them; edges are upgraded to a version that workers cannot read yet. Whatever
// happens, in the end the receiver has the rows of one process.
//
// A seed chooses flows, queries and what happens (BACKSTREAM_SIM_SEED=n runs one). Workers have threads of their own,
// so what it finds may differ from run to run: the law holds for all of them.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <iostream>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <thread>

#include "../property/halves.h"
#include "cluster/merge_worker.h"
#include "cluster/results_in.h"
#include "transport/flaky_log.h"

namespace backstream {
namespace {

using cluster::MergeQuery;
using cluster::MergeWorker;
using cluster::QueryId;
using cluster::ResultsIn;
using transport::FlakyLog;
using transport::LogRecord;
using transport::LogStatus;

using Random = std::mt19937_64;

constexpr Micros kDelay = 40 * kSecond;  ///< of edges; flows are at most kDisorder out of order, so none is late
constexpr Micros kDisorder = 30 * kSecond;
constexpr Micros kAbsentAfter = 30 * kSecond;
constexpr Micros kRepeatsKnown = 600 * kSecond;  ///< of panes, by workers; one that comes later counts as late
constexpr cluster::Pauses kPauses{std::chrono::microseconds(500), std::chrono::microseconds(1'000),
                                  std::chrono::microseconds(100'000)};

uint64_t number_of(const char* variable, uint64_t otherwise) {
  const char* given = std::getenv(variable);
  return given == nullptr ? otherwise : std::strtoull(given, nullptr, 10);
}

/// What one seed asks, beside the queries of random_flows.h: views over views, of one root and of two.
const char* const kOverViews[] = {
    "CREATE MATERIALIZED VIEW over_matrix AS SELECT window_start, dst_as, sum(octets) AS octets, count(*) AS n FROM "
    "tumble(matrix, window_start, interval '600 s') GROUP BY window_start, dst_as",
    "SELECT src_as, octets FROM matrix WHERE octets > 50000",
    "SELECT window_start, sum(n) AS n, max(n) AS most FROM tumble((SELECT window_start, octets AS n FROM matrix UNION "
    "ALL SELECT window_start, n FROM of_where), window_start, interval '300 s') GROUP BY window_start",
    "SELECT window_start, max(octets) AS most FROM tumble(over_matrix, window_start, interval '600 s') "
    "GROUP BY window_start",
};

/// A query that may be asked, in the ways that it may travel.
struct Asked {
  std::string name;
  std::vector<std::string> reads;
  /// Its windows are sent again when an edge comes back that they were closed without. Others wait for absent edges.
  bool revises = false;
  bool by_windows = false;
  std::shared_ptr<const plan::Query> panes, central, panes_wait, central_wait;
};

void make_waiting(plan::Query& query) {
  query.options.placement.absent_sites = plan::Placement::AbsentSites::kWait;
  for (const auto& input : query.inputs) make_waiting(*input);
}
void add_views_read(const plan::Query& query, std::vector<std::string>& views) {
  if (query.inputs.empty() && query.source.kind == plan::Relation::Kind::kView) views.push_back(query.source.name);
  for (const auto& input : query.inputs) add_views_read(*input, views);
}

const std::vector<Asked>& all_asked() {
  static const std::vector<Asked> all = [] {
    std::vector<Asked> asked;
    plan::Catalog catalog;
    std::vector<const char*> texts(std::begin(kQueries), std::end(kQueries));
    texts.insert(texts.end(), std::begin(kOverViews), std::end(kOverViews));
    for (const char* text : texts) {
      if (std::string_view(text).find("_late") != std::string_view::npos) continue;
      const auto bound = [&](bool central, bool wait) {
        auto query = plan::bind(sql::parse(text, "")->front(), text, catalog);
        EXPECT_TRUE(query.has_value()) << text << ": " << query.error().message;
        plan::rewrite(*query);
        if (central) make_central(*query);
        if (wait) make_waiting(*query);
        return std::make_shared<plan::Query>(std::move(*query));
      };
      Asked& one = asked.emplace_back();
      const auto query = bound(false, false);
      one.name = query->is_view ? query->name : "query_" + std::to_string(asked.size());
      add_views_read(*query, one.reads);
      std::sort(one.reads.begin(), one.reads.end());
      one.reads.erase(std::unique(one.reads.begin(), one.reads.end()), one.reads.end());
      one.by_windows = query->has_windows;
      one.revises = query->has_windows && query->inputs.empty() && query->stages.size() == 1 && one.reads.empty() &&
                    query->stages.front().window.kind != plan::Window::Kind::kSession;
      one.panes = query;
      one.central = bound(true, false);
      one.panes_wait = bound(false, true);
      one.central_wait = bound(true, true);
      if (query->is_view) catalog.add_view(*query);
    }
    return asked;
  }();
  return all;
}

std::vector<std::string> texts_of(const batch::ColumnBatch& rows) {
  std::vector<std::string> texts;
  for (size_t row = 0; row < rows.row_count; ++row) {
    std::string& text = texts.emplace_back();
    for (const auto& column : rows.columns) {
      text += '|';
      text += column.is_null(row) ? "NULL" : expr::value_text(expr::value_at(column, row), column.type);
    }
  }
  return texts;
}

/// What a receiver that keeps rows by window has of one query: of each window what it was given last.
class Kept final : public exec::ResultSink {
 public:
  void on_result(const exec::ResultBatch& result) override {
    auto texts = texts_of(result.rows);
    if (result.window_end == 0) {
      loose.insert(loose.end(), texts.begin(), texts.end());
      return;
    }
    const std::pair key(result.window_start, result.window_end);
    auto& coming = coming_[key];
    coming.insert(coming.end(), texts.begin(), texts.end());
    if (!result.last) return;
    std::sort(coming.begin(), coming.end());
    Window& window = windows[key];
    window = {result.final, std::move(coming)};
    coming_.erase(key);
  }
  struct Window {
    bool final = false;
    std::vector<std::string> rows;
    bool operator==(const Window&) const = default;
  };
  std::map<std::pair<Micros, Micros>, Window> windows;
  std::vector<std::string> loose;  ///< of queries without windows, as they came

 private:
  std::map<std::pair<Micros, Micros>, std::vector<std::string>> coming_;
};

/// Gives each query its own.
struct KeptOfAll final : exec::ResultSink {
  explicit KeptOfAll(size_t count) : of(count) {}
  void on_result(const exec::ResultBatch& result) override { of[result.query_index].on_result(result); }
  std::vector<Kept> of;
};

/// Rows without a window may come again when another worker takes over (docs/design/0028-merge-workers.md); where it is
/// known that none could, they must not.
std::vector<std::string> loose_of(const Kept& kept, bool again) {
  auto rows = kept.loose;
  std::sort(rows.begin(), rows.end());
  if (again) rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  return rows;
}
/// What is otherwise, for people; empty: nothing.
std::string difference(const Kept& whole, const Kept& apart, bool again) {
  std::string told;
  const auto tell = [&](const char* what, const std::vector<std::string>& rows,
                        const std::vector<std::string>& others) {
    std::vector<std::string> only;
    std::set_difference(rows.begin(), rows.end(), others.begin(), others.end(), std::back_inserter(only));
    for (const std::string& row : only) told += std::string("  ") + what + row + '\n';
  };
  std::set<std::pair<Micros, Micros>> keys;
  for (const Kept* kept : {&whole, &apart}) {
    for (const auto& [key, window] : kept->windows) keys.insert(key);
  }
  for (const auto& key : keys) {
    const auto x = whole.windows.find(key), y = apart.windows.find(key);
    if (x != whole.windows.end() && y != apart.windows.end() && x->second == y->second) continue;
    told += "window " + std::to_string((key.first - kStart) / kSecond) + " s: ";
    told += y == apart.windows.end()   ? "missing\n"
            : x == whole.windows.end() ? "too much\n"
            : y->second.final          ? "final\n"
                                       : "not final\n";
    if (x == whole.windows.end() || y == apart.windows.end()) continue;
    tell("missing ", x->second.rows, y->second.rows);
    tell("too much ", y->second.rows, x->second.rows);
  }
  const auto rows = loose_of(whole, again), others = loose_of(apart, again);
  tell("missing ", rows, others);
  tell("too much ", others, rows);
  return told;
}

/// As a newer version of the program writes partials: nobody of this one reads them.
constexpr uint8_t kNewerVersion = partial::kVersion + 1;

/// The log of partials as a worker sees it: once he is upgraded he reads what newer edges write. Any thread.
class VersionedLog final : public transport::Log {
 public:
  VersionedLog(transport::Log& log, bool upgraded) : log_(log), upgraded_(upgraded) {}
  uint32_t partition_count() const override { return log_.partition_count(); }
  Appended append(uint32_t partition, std::span<const uint8_t> bytes) override { return log_.append(partition, bytes); }
  LogStatus read(uint32_t partition, uint64_t offset, size_t octets, std::vector<LogRecord>& out) override {
    const size_t before = out.size();
    const LogStatus status = log_.read(partition, offset, octets, out);
    for (size_t r = before; upgraded_ && r < out.size(); ++r) {
      if (out[r].bytes[3] == kNewerVersion) out[r].bytes[3] = partial::kVersion;
    }
    return status;
  }
  uint64_t begin_offset(uint32_t partition) const override { return log_.begin_offset(partition); }
  uint64_t end_offset(uint32_t partition) const override { return log_.end_offset(partition); }
  uint64_t resume_offset(uint32_t partition, uint64_t offset) override { return log_.resume_offset(partition, offset); }
  void trim(uint32_t partition, uint64_t offset) override { log_.trim(partition, offset); }

 private:
  transport::Log& log_;
  const bool upgraded_;
};

/// Who has which partition: knows members by number, and keeps the places that owners alone may move. Any thread.
class Group {
 public:
  explicit Group(uint32_t partitions) : owners_(partitions, -1), places_(partitions) {}
  void give(uint32_t partition, int member) {
    const std::lock_guard lock(mutex_);
    owners_[partition] = member;
  }
  base::Result<std::optional<uint64_t>> place(uint32_t partition) const {
    const std::lock_guard lock(mutex_);
    return places_[partition];
  }
  base::Result<void> set_place(uint32_t partition, uint64_t place, int member) {
    const std::lock_guard lock(mutex_);
    if (owners_[partition] != member) return base::fail("55000", "the partition is another's");
    places_[partition] = place;
    return {};
  }

 private:
  mutable std::mutex mutex_;
  std::vector<int> owners_;
  std::vector<std::optional<uint64_t>> places_;
};

/// What may happen under a seed.
struct Plan {
  bool kills = false, stops = false, pauses = false, logs_away = false, lies = false, repeats = false,
       edges_restart = false, cut_off = false, receivers_change = false, queries_late = false, upgrades = false;
  explicit Plan(Random& random) {
    if (random() % 8 == 0) return;  // All is well.
    for (bool* may : {&kills, &stops, &pauses, &logs_away, &lies, &repeats, &edges_restart, &cut_off, &receivers_change,
                      &queries_late, &upgrades})
      *may = random() % 2 == 0;
  }
  std::string told() const {
    std::string told = "what may happen:";
    const std::pair<bool, const char*> all[] = {{kills, "kills"},
                                                {stops, "stops"},
                                                {pauses, "pauses"},
                                                {logs_away, "logs away"},
                                                {lies, "lies"},
                                                {repeats, "repeats"},
                                                {edges_restart, "edges restart"},
                                                {cut_off, "edges are cut off"},
                                                {receivers_change, "receivers change"},
                                                {queries_late, "queries come late"},
                                                {upgrades, "edges are upgraded before workers"}};
    for (const auto& [may, what] : all) told += may ? std::string(" ") + what + ',' : "";
    return told;
  }
};

class Simulation {
 public:
  explicit Simulation(uint64_t seed)
      : random_(seed),
        plan_(random_),
        partitions_(1 + static_cast<uint32_t>(random_() % 4)),
        partials_(partitions_),
        as_written_(partials_, false),
        as_upgraded_(partials_, true),
        snapshots_(partitions_),
        results_(partitions_),
        group_(partitions_),
        clock_(kStart) {
    choose_queries();
    const auto flows = make_flows(random_, 200 + random_() % 400, kDisorder);
    const size_t datagram_rows = 1 + random_() % 30;
    whole_ = std::make_unique<KeptOfAll>(queries_.size());
    ledgers_ = run_whole(queries_, flows, datagram_rows, kDelay, *whole_);
    make_messages(flows, datagram_rows);
    open_receiver();
    for (uint64_t count = 1 + random_() % 3; count > 0; --count) start_worker();
    share_out();
  }

  void run() {
    const size_t steps = 30 + random_() % 60;
    for (size_t step = 0; step < steps; ++step) {
      clock_ += static_cast<Micros>(random_() % static_cast<uint64_t>(6 * kSecond));
      for (Sender& sender : senders_) produce(sender, steps - step);
      happen();
      for (Sender& sender : senders_) send(sender, random_() % 8);
      tend();
    }
    end();
  }
  void check() {
    const auto told = [&](size_t q) { return names_[q] + ": " + queries_[q]->text; };
    // Words of no message, behind all that was given, tell when a receiver is through. All that workers had to give is
    // there: they waited for it when they stopped.
    for (uint32_t partition = 0; partition < partitions_; ++partition)
      results_.append(partition, std::vector<uint8_t>{'e', 'n', 'd'});
    drain(*receiver_);
    KeptOfAll anew(queries_.size());
    const auto late = make_receiver(anew);
    drain(*late);
    for (size_t q = 0; q < queries_.size(); ++q) {
      EXPECT_EQ(difference(whole_->of[q], kept_->of[q], again_), "") << told(q);
      EXPECT_EQ(difference(whole_->of[q], anew.of[q], again_), "") << "one that begins at the end: " << told(q);
    }
    check_revisions();
  }

 private:
  /// What an edge has made, and what of it waits to be sent.
  struct Sender {
    uint32_t edge = 0;
    std::deque<std::vector<uint8_t>> to_come, waiting;
    std::vector<std::vector<uint8_t>> ending;  ///< what it says when there is nothing more to come
    std::vector<std::vector<uint8_t>> sent;
    uint64_t epoch = 1;
    Micros present_at = 0;
    bool is_cut_off = false;
    size_t back_in = 0;  ///< steps
    bool is_upgraded = false;
  };
  struct Node {
    int number = 0;
    std::unique_ptr<MergeWorker> worker;
    std::vector<uint32_t> assigned;  ///< as far as it knows
    size_t paused = 0;               ///< steps
    bool expelled = false;           ///< it is no member any more, and does not know
    size_t late = 0;                 ///< steps until it knows the queries
  };

  bool chance(uint64_t one_in) { return random_() % one_in == 0; }

  void choose_queries() {
    const auto& all = all_asked();
    std::set<std::string> wanted;
    for (size_t count = 3 + random_() % 5; count > 0; --count) wanted.insert(all[random_() % all.size()].name);
    for (auto asked = all.rbegin(); asked != all.rend(); ++asked) {
      if (wanted.contains(asked->name)) wanted.insert(asked->reads.begin(), asked->reads.end());
    }
    const bool central = chance(3);
    std::map<std::string, uint64_t> roots;
    for (const Asked& asked : all) {
      if (!wanted.contains(asked.name)) continue;
      const bool wait = !asked.revises;
      MergeQuery& query = merge_queries_.emplace_back();
      query.name = asked.name;
      query.id = {100 + random_() % 1'000'000, 1};
      query.query = central ? (wait ? asked.central_wait : asked.central) : (wait ? asked.panes_wait : asked.panes);
      query.reads = asked.reads;
      query.order = merge_queries_.size();
      // As service::QueryRegister does it.
      const uint64_t root = asked.reads.empty() ? query.id.object : roots.at(asked.reads.front());
      roots[asked.name] = root;
      query.incarnation = partial::incarnation_of(root, query.id.object, query.id.version);
      for (const std::string& read : asked.reads) {
        const auto below = std::find_if(merge_queries_.begin(), merge_queries_.end(),
                                        [&](const MergeQuery& other) { return other.name == read; });
        query.incarnation = partial::incarnation_of_input(query.incarnation, below->incarnation);
      }
      queries_.push_back(query.query);
      names_.push_back(query.name);
      incarnations_.push_back(query.incarnation);
    }
  }

  void make_messages(const std::vector<Flow>& flows, size_t datagram_rows) {
    const size_t edge_count = 1 + random_() % 3;
    std::deque<Edge> edges;
    for (size_t e = 0; e < edge_count; ++e) {
      edges.emplace_back(queries_, incarnations_, static_cast<uint32_t>(7 + e),
                         1 + static_cast<uint32_t>(random_() % 2), 1 + random_() % 100);
      edge_numbers_.push_back(static_cast<uint32_t>(7 + e));
    }
    for (size_t at = 0; at < flows.size(); at += datagram_rows) {
      Edge& edge = edges[random_() % edge_count];
      for (size_t i = at; i < std::min(flows.size(), at + datagram_rows); ++i)
        edge.add(flows[i], random_() % edge.threads());
      edge.advance(kDelay);
      if (plan_.edges_restart && chance(20)) edge.restart();
    }
    for (size_t e = 0; e < edge_count; ++e) {
      const auto before_end = static_cast<long>(edges[e].messages.size());
      edges[e].finish();
      auto& messages = edges[e].messages;
      Sender& sender = senders_.emplace_back();
      sender.edge = edge_numbers_[e];
      const auto end = messages.begin() + before_end;
      std::move(messages.begin(), end, std::back_inserter(sender.to_come));
      std::move(end, messages.end(), std::back_inserter(sender.ending));
    }
  }

  // Edges.

  /// Some of what the edge has made, and now and then that it is there.
  void produce(Sender& sender, size_t steps_left) {
    size_t count = steps_left <= 1 ? sender.to_come.size() : random_() % (2 * sender.to_come.size() / steps_left + 2);
    const auto say_present = [&] {
      sender.present_at = clock_;
      partial::Presence presence;
      presence.origin = {sender.edge, sender.epoch, 0};
      presence.sent_at = presence.gap_from = presence.gap_until = clock_;
      sender.waiting.push_back(partial::write_presence(presence));
    };
    if (clock_ - sender.present_at >= 10 * kSecond) say_present();
    for (; count > 0 && !sender.to_come.empty(); --count) {
      partial::Message message;
      partial::PartialFault fault{};
      EXPECT_TRUE(partial::read_message(sender.to_come.front(), message, fault));
      if (message.origin().epoch != sender.epoch) {
        sender.epoch = message.origin().epoch;
        say_present();
      }
      sender.waiting.push_back(std::move(sender.to_come.front()));
      sender.to_come.pop_front();
    }
  }
  /// As the spool does (cluster/partials_spool.cc). False: the log does not take it.
  bool append(const Sender& sender, std::vector<uint8_t> bytes) {
    partial::Message message;
    partial::PartialFault fault{};
    EXPECT_TRUE(partial::read_message(bytes, message, fault));
    const uint64_t incarnation = message.origin().incarnation;
    if (message.kind == partial::Message::Kind::kFrontier && message.frontier.frontier != base::kMaxTime)
      frontier_max_ = std::max(frontier_max_, message.frontier.frontier);
    if (sender.is_upgraded) bytes[3] = kNewerVersion;
    if (incarnation != 0)
      return partials_.append(partial::partition_of(incarnation, partitions_), bytes).status == LogStatus::kOk;
    for (uint32_t partition = 0; partition < partitions_; ++partition) {
      if (partials_.append(partition, bytes).status != LogStatus::kOk) return false;
    }
    return true;
  }
  void send(Sender& sender, size_t count) {
    if (sender.is_cut_off) return;
    for (; count > 0 && !sender.waiting.empty() && append(sender, sender.waiting.front()); --count) {
      sender.sent.push_back(std::move(sender.waiting.front()));
      sender.waiting.pop_front();
    }
    if (!plan_.repeats || sender.sent.empty() || !chance(3)) return;
    const auto& again = sender.sent[sender.sent.size() - 1 - random_() % std::min<size_t>(sender.sent.size(), 20)];
    if (is_known(again)) append(sender, again);
  }
  /// False: it is of a pane that workers may have forgotten. No window closes beyond what some edge has told.
  bool is_known(const std::vector<uint8_t>& bytes) const {
    partial::Message message;
    partial::PartialFault fault{};
    EXPECT_TRUE(partial::read_message(bytes, message, fault));
    return message.kind != partial::Message::Kind::kData || message.chunk.kind != partial::ChunkId::Kind::kPane ||
           message.chunk.pane_start >= frontier_max_ - kRepeatsKnown;
  }

  // Workers.

  static std::string name_of(const Node& node) { return "worker-" + std::to_string(node.number); }
  void start_worker() {
    Node& node = nodes_.emplace_back();
    node.number = static_cast<int>(++started_);
    MergeWorker::Options options;
    options.name = name_of(node);
    options.engine.half = exec::Half::kMerge;
    options.engine.pane_us_max = 60 * kSecond;
    options.engine.batch_rows = 1 + random_() % 300;
    options.absent_after = plan_.cut_off ? kAbsentAfter : Micros{1'000'000} * kSecond;
    options.snapshot_interval = static_cast<Micros>(1 + random_() % 20) * kSecond;
    options.clock = [this] { return clock_.load(); };
    options.place = [this](uint32_t partition) { return group_.place(partition); };
    options.set_place = [this, number = node.number](uint32_t partition, uint64_t place) {
      return group_.set_place(partition, place, number);
    };
    options.tell = [this](const std::string& line) {
      if (line.find("could not be saved") != std::string::npos) again_ = true;
      const std::lock_guard lock(told_mutex_);
      told_.push_back(line);
    };
    options.site_of = [](uint32_t edge) { return std::to_string(edge); };
    options.pauses = kPauses;
    node.worker = std::make_unique<MergeWorker>(workers_upgraded_ ? as_upgraded_ : as_written_, snapshots_, results_,
                                                std::move(options));
    std::vector<cluster::Membership::Expected> edges;
    for (const uint32_t number : edge_numbers_) edges.push_back({number});
    node.worker->set_edges(std::move(edges));
    // Within MergeWorker::kEarlyTime.
    node.late = plan_.queries_late && chance(2) ? 1 + random_() % 8 : 0;
    learnt_late_ |= node.late > 0;
    if (node.late == 0) node.worker->set_queries(merge_queries_);
  }
  /// All that is assigned is taken from those that can be reached, and then shared out among them. Who stands still
  /// learns of it when he goes on.
  void share_out() {
    std::vector<Node*> members;
    for (Node& node : nodes_) {
      if (node.paused > 0) {
        node.expelled = true;
        continue;
      }
      if (!node.assigned.empty()) node.worker->give_up(false);
      node.assigned.clear();
      members.push_back(&node);
    }
    for (uint32_t partition = 0; partition < partitions_; ++partition) {
      Node* owner = members.empty() ? nullptr : members[random_() % members.size()];
      group_.give(partition, owner == nullptr ? -1 : owner->number);
      if (owner != nullptr) owner->assigned.push_back(partition);
    }
    for (Node* member : members) {
      if (!member->assigned.empty()) member->worker->own(member->assigned);
    }
    share_out_in_ = 0;
  }
  std::list<Node>::iterator any_node() {
    return std::next(nodes_.begin(), static_cast<long>(random_() % nodes_.size()));
  }
  void goes_on(Node& node) {
    if (!node.expelled) return;
    // It does not know yet, and claims again what others have.
    for (uint64_t calls = random_() % 8; calls > 0; --calls) {
      node.worker->work();
      if (chance(2)) clock_ += 2 * kSecond;
      if (chance(2)) std::this_thread::sleep_for(kPauses.idle);
      for (Node& other : nodes_) {
        if (other.paused == 0 && &other != &node && chance(2)) other.worker->work();
      }
    }
    node.worker->give_up(true);
    node.expelled = false;
    node.assigned.clear();
    share_out();
  }

  // What happens.

  void happen() {
    for (Node& node : nodes_) {
      if (node.paused > 0 && --node.paused == 0) goes_on(node);
      if (node.late > 0 && --node.late == 0) node.worker->set_queries(merge_queries_);
    }
    for (Sender& sender : senders_) {
      if (sender.back_in > 0 && --sender.back_in == 0) sender.is_cut_off = false;
    }
    for (FlakyLog* log : {&partials_, &snapshots_, &results_}) {
      if (log->away && chance(2)) log->away = false;
    }
    if (share_out_in_ > 0 && --share_out_in_ == 0) share_out();
    if (nodes_.size() < 2 && chance(4)) {
      start_worker();
      share_out();
    }
    const auto due = [&](bool may) { return may && chance(10); };
    if (due(plan_.kills) && !nodes_.empty()) {
      again_ = true;
      nodes_.erase(any_node());
      share_out_in_ = 1 + random_() % 4;
    }
    if (due(plan_.stops) && !nodes_.empty()) {
      const auto node = any_node();
      if (node->paused == 0) {
        node->worker->give_up(false);
        nodes_.erase(node);
        share_out();
      }
    }
    if (due(plan_.stops || plan_.kills) && nodes_.size() < 3) {
      start_worker();
      share_out();
    }
    if (due(plan_.pauses) && !nodes_.empty()) {
      again_ = true;
      any_node()->paused = 1 + random_() % 8;
      share_out_in_ = 1 + random_() % 4;
    }
    if (due(plan_.logs_away)) {
      again_ = true;
      FlakyLog* const logs[] = {&partials_, &snapshots_, &results_};
      logs[random_() % 3]->away = true;
    }
    if (due(plan_.lies)) {
      FlakyLog* const logs[] = {&partials_, &snapshots_, &results_};
      logs[random_() % 3]->lies = static_cast<int>(1 + random_() % 4);
    }
    if (due(plan_.upgrades)) senders_[random_() % senders_.size()].is_upgraded = true;
    if (due(plan_.upgrades)) workers_upgraded_ = true;  // Those that start from now on.
    if (due(plan_.cut_off)) {
      Sender& sender = senders_[random_() % senders_.size()];
      sender.is_cut_off = true;
      sender.back_in = 1 + random_() % 30;
    }
    if (due(plan_.receivers_change)) {
      again_ = true;
      open_receiver();
    }
  }

  /// Those that run do something. Now and then all that there is, else as much as they get to.
  void tend() {
    const bool all = chance(3);
    for (int round = 0; round < (all ? 20 : 2); ++round) {
      bool any = false;
      for (Node& node : nodes_) {
        if (node.paused == 0) any |= node.worker->work();
      }
      any |= receiver_->take(clock_);
      if (all && !any) std::this_thread::sleep_for(kPauses.idle);
    }
  }

  // The end.

  static std::chrono::steady_clock::time_point deadline() {
    return std::chrono::steady_clock::now() + std::chrono::seconds(number_of("BACKSTREAM_SIM_PATIENCE", 60));
  }

  void end() {
    for (FlakyLog* log : {&partials_, &snapshots_, &results_}) {
      log->away = false;
      log->lies = 0;
    }
    for (Node& node : nodes_) {
      if (node.paused > 0) {
        node.paused = 0;
        goes_on(node);
      }
      if (std::exchange(node.late, 0) > 0) node.worker->set_queries(merge_queries_);
    }
    // Others end it, who call no edge absent: what is told when there is nothing more to come, by edges that are
    // replayed alone, closes windows for good. And such windows are saved no more, so until all is told workers rest.
    for (Node& node : nodes_) {
      if (!plan_.kills || chance(2)) node.worker->give_up(false);
      else again_ = true;
    }
    nodes_.clear();
    workers_upgraded_ = true;
    plan_.cut_off = plan_.queries_late = false;
    for (uint64_t count = 1 + random_() % 2; count > 0; --count) start_worker();
    share_out();
    work_until([&] { return is_settled(); }, "workers do not come to rest");
    for (Sender& sender : senders_)
      std::move(sender.ending.begin(), sender.ending.end(), std::back_inserter(sender.to_come));
    work_until([&] { return is_through(); }, "workers do not get through");
    // Threads write them, which a busy machine lets wait.
    const auto has_written = [](const Node& node) { return node.worker->status().results.waiting_octets == 0; };
    work_until([&] { return std::all_of(nodes_.begin(), nodes_.end(), has_written); }, "results are not written");
    for (Node& node : nodes_) {
      const auto status = node.worker->status();
      EXPECT_EQ(status.snapshots_refused, 0u);
      EXPECT_EQ(status.feed.places_lost, 0u);
      for (const uint64_t refused : status.partials.refused) EXPECT_EQ(refused, 0u);
      node.worker->give_up(false);
      EXPECT_EQ(node.worker->status().results.waiting_octets, 0u);
    }
    nodes_.clear();
    if (!testing::Test::HasFailure()) return;
    std::cerr << plan_.told() << '\n';
    for (const std::string& line : told_) std::cerr << line << '\n';
    for (size_t q = 0; q < queries_.size(); ++q) {
      const exec::WindowLedger &x = ledgers_[q], &y = reports_[merge_queries_[q].id].ledger;
      std::cerr << names_[q] << " in partition " << partial::partition_of(incarnations_[q], partitions_)
                << ", whole and apart: rows " << x.result_rows << ' ' << y.result_rows << ", assigned " << x.assigned
                << ' ' << y.assigned << ", counted " << x.counted << ' ' << y.counted << ", late " << x.late << ' '
                << y.late << ", filtered " << x.filtered << ' ' << y.filtered << ' '
                << reports_[merge_queries_[q].id].failure << '\n';
    }
  }
  template <typename Condition>
  void work_until(Condition&& holds, const char* otherwise) {
    for (const auto until = deadline(); !holds();) {
      if (std::chrono::steady_clock::now() > until) {
        ADD_FAILURE() << otherwise;
        return;
      }
      clock_ += kSecond / 10;
      for (Sender& sender : senders_) {
        sender.is_cut_off = false;
        produce(sender, 1);
        send(sender, SIZE_MAX);
      }
      for (Node& node : nodes_) node.worker->work();
      receiver_->take(clock_);
      std::this_thread::sleep_for(kPauses.idle);
    }
  }
  /// All but the ending is on its way; the newest claim of each partition is of who has it, and no edge is absent.
  bool is_settled() {
    for (const Sender& sender : senders_) {
      if (!sender.to_come.empty() || !sender.waiting.empty()) return false;
    }
    for (uint32_t partition = 0; partition < partitions_; ++partition) {
      std::vector<LogRecord> records;
      as_upgraded_.read(partition, 0, SIZE_MAX, records);
      std::string worker;
      partial::Members members;
      for (const LogRecord& record : records) {
        partial::Message message;
        partial::PartialFault fault{};
        EXPECT_TRUE(partial::read_message(record.bytes, message, fault));
        if (message.kind == partial::Message::Kind::kClaim) worker = message.claim.worker;
        if (message.kind == partial::Message::Kind::kMembers) members = message.members;
      }
      const bool has_it = std::any_of(nodes_.begin(), nodes_.end(), [&](const Node& node) {
        return name_of(node) == worker &&
               std::find(node.assigned.begin(), node.assigned.end(), partition) != node.assigned.end();
      });
      const bool all_are_there =
          std::none_of(members.edges.begin(), members.edges.end(), [](const auto& member) { return member.absent; });
      if (!has_it || members.edges.empty() || !all_are_there) return false;
    }
    return true;
  }
  /// Workers have counted, of each query, what one process counts, windows without rows among it.
  bool is_through() {
    reports_.clear();
    for (const Node& node : nodes_) reports_.merge(node.worker->reports());
    for (size_t q = 0; q < queries_.size(); ++q) {
      const auto report = reports_.find(merge_queries_[q].id);
      if (report == reports_.end()) return false;
      const exec::WindowLedger &x = ledgers_[q], &y = report->second.ledger;
      if (x.assigned != y.assigned || x.counted != y.counted || x.filtered != y.filtered || x.late != y.late ||
          x.time_null != y.time_null || x.result_rows != y.result_rows || x.windows_closed != y.windows_closed)
        return false;
    }
    return true;
  }

  // Receivers.

  std::unique_ptr<ResultsIn> make_receiver(KeptOfAll& kept) {
    ResultsIn::Options options;
    options.batch_rows = 1 + random_() % 100;
    options.pauses = kPauses;
    auto receiver = std::make_unique<ResultsIn>(results_, options);
    for (size_t q = 0; q < queries_.size(); ++q)
      receiver->open(merge_queries_[q].id, *queries_[q], names_[q], kept.of[q]);
    return receiver;
  }
  /// Another one goes on with the rows that the one before has kept.
  void open_receiver() {
    if (!kept_) kept_ = std::make_unique<KeptOfAll>(queries_.size());
    receiver_ = make_receiver(*kept_);
  }
  void drain(ResultsIn& receiver) {
    for (const auto until = deadline(); receiver.status().refused < partitions_;) {
      if (std::chrono::steady_clock::now() > until) FAIL() << "a receiver does not get through";
      if (!receiver.take(clock_)) std::this_thread::sleep_for(kPauses.idle);
    }
    EXPECT_EQ(receiver.status().refused, partitions_);
    EXPECT_EQ(receiver.status().lost, 0u);
  }

  /// Whoever gives a revision of a window gives the same rows. (But for those that are not final where a worker learnt
  /// of queries late: it has closed windows at other places.)
  void check_revisions() {
    using Revision = std::tuple<Micros, Micros, int, bool>;
    struct Given final : exec::ResultSink {
      void on_result(const exec::ResultBatch& result) override {
        auto texts = texts_of(result.rows);
        rows.insert(rows.end(), texts.begin(), texts.end());
        if (!result.last) return;
        if (finals_alone && !result.final) return rows.clear();
        std::sort(rows.begin(), rows.end());
        const Revision revision(result.window_start, result.window_end, result.final ? 0 : result.revision,
                                result.final);
        const auto at = revisions->try_emplace(revision, rows).first;
        EXPECT_EQ(at->second, rows) << "revision " << result.revision << " was another before";
        rows.clear();
      }
      std::map<Revision, std::vector<std::string>>* revisions = nullptr;
      bool finals_alone = false;
      std::vector<std::string> rows;
    };
    std::map<QueryId, std::map<Revision, std::vector<std::string>>> revisions;
    std::map<QueryId, cluster::ResultReader> readers;  // Of those that have windows.
    for (const MergeQuery& query : merge_queries_) {
      if (query.query->has_windows) readers.try_emplace(query.id, query.query->output(), 100);
    }
    for (uint32_t partition = 0; partition < partitions_; ++partition) {
      std::vector<LogRecord> records;
      EXPECT_EQ(results_.read(partition, 0, SIZE_MAX, records), LogStatus::kOk);
      std::map<uint64_t, uint64_t> next;  // Of a generation.
      std::map<std::pair<uint64_t, QueryId>, Given> given;
      for (const LogRecord& bytes : records) {
        cluster::ResultRecord record;
        if (!cluster::read_result_record(bytes.bytes, record) || record.number < next[record.generation]) continue;
        EXPECT_EQ(record.number, next[record.generation]++);
        for (const cluster::ResultMessage& message : record.messages) {
          if (message.kind != cluster::ResultMessage::Kind::kRows) continue;
          const auto reader = readers.find(message.id);
          if (reader == readers.end()) continue;
          Given& sink = given[{record.generation, message.id}];
          sink.revisions = &revisions[message.id];
          sink.finals_alone = learnt_late_;
          EXPECT_TRUE(reader->second.read_rows(message, "", sink));
        }
      }
    }
  }

  Random random_;
  Plan plan_;
  const uint32_t partitions_;
  FlakyLog partials_;
  VersionedLog as_written_, as_upgraded_;  ///< the partials
  FlakyLog snapshots_, results_;
  Group group_;
  std::atomic<Micros> clock_;
  std::atomic<bool> again_{false};  ///< rows without windows may have come again
  std::mutex told_mutex_;
  std::vector<std::string> told_;

  std::vector<MergeQuery> merge_queries_;
  Queries queries_;
  std::vector<std::string> names_;
  std::vector<uint64_t> incarnations_;
  std::unique_ptr<KeptOfAll> whole_, kept_;
  std::vector<exec::WindowLedger> ledgers_;
  std::vector<uint32_t> edge_numbers_;
  std::vector<Sender> senders_;
  Micros frontier_max_ = base::kMinTime + kRepeatsKnown;  ///< that an edge has told and more flows follow
  std::unique_ptr<ResultsIn> receiver_;
  std::map<QueryId, cluster::QueryReport> reports_;

  std::list<Node> nodes_;
  uint64_t started_ = 0;
  size_t share_out_in_ = 0;  ///< steps; 0: not
  bool workers_upgraded_ = false;
  bool learnt_late_ = false;  ///< some worker learnt of queries after it had begun
};

TEST(Workers, GiveTheWhole) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  constexpr uint64_t kSeeds = 40;
#else
  constexpr uint64_t kSeeds = 200;
#endif
  const uint64_t one = number_of("BACKSTREAM_SIM_SEED", 0);
  const uint64_t first = one != 0 ? one : 1, last = one != 0 ? one : number_of("BACKSTREAM_SIM_SEEDS", kSeeds);
  // Workers wait for their threads more than they work.
  constexpr size_t kAtOnce = 4;
  std::atomic<uint64_t> next{first};
  std::vector<std::thread> threads;
  for (size_t t = 0; t < kAtOnce; ++t) {
    threads.emplace_back([&] {
      for (uint64_t seed = next++; seed <= last && !HasFailure(); seed = next++) {
        SCOPED_TRACE("BACKSTREAM_SIM_SEED=" + std::to_string(seed));
        Simulation simulation(seed);
        simulation.run();
        simulation.check();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace backstream
