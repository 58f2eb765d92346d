#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/time.h"
#include "exec/engine.h"
#include "http/events.h"
#include "plan/query.h"
#include "receiver/result_part.h"
#include "service/row_filter.h"
#include "telemetry/exposition.h"

namespace backstream::service {

using base::Micros;
using receiver::ResultForm;
using receiver::ResultPart;

struct BoardLimits {
  size_t query_octets_max = size_t{32} << 20;     ///< kept of one query: its oldest windows go first
  size_t octets_max = size_t{512} << 20;          ///< of all queries
  size_t pending_octets_max = size_t{128} << 20;  ///< handed over by the engine and not yet shown
  size_t part_rows = 1'000;                       ///< of one event
  uint64_t live_rows_max = 10'000;                ///< of a window that go out as events; a reader fetches the rest
  /// Rows a second that a query without windows may show; what is more is counted, not shown.
  uint64_t unwindowed_rows_per_second = 10'000;
};

/// Where results become visible: kept in memory for a while, newest windows first in line, and told to whoever listens.
/// The engine's threads hand over copies of columns and never wait; one thread of the board's own makes text of them.
///
/// Events of a query's topic have the name "rows" and as data the Window of the API (docs/openapi.json); one id a part.
class ResultBoard {
 public:
  /// @param hub  must outlive this
  ResultBoard(http::EventHub& hub, BoardLimits limits);
  ~ResultBoard();
  ResultBoard(const ResultBoard&) = delete;
  ResultBoard& operator=(const ResultBoard&) = delete;

  /// Which of all that ever had the name.
  struct Identity {
    uint64_t incarnation = 0;
    uint32_t version = 0;
  };
  /// A sink for the rows of a version of a query. Its results follow those of earlier versions; those of another
  /// incarnation go, and streams of them end.
  /// @param first_seq  the first number of a query that is new here; a later process takes one that is greater
  exec::ResultSink* open(const std::string& query, Identity identity, const plan::Query& plan, uint64_t first_seq);
  /// As open(), of a query that has not been here: all of its rows are told, however many a window has, and stay until
  /// its streams have been given them (http::Topic::keep_unread). For answers that are made as fast as they are read.
  /// @param room  called on the thread that gives rows, before each part: it waits until there is room for one
  exec::ResultSink* open_whole(const std::string& query, Identity identity, const plan::Query& plan,
                               std::function<void()> room);
  /// An event of its own in the query's stream, after the rows that were given before.
  void tell(const std::string& query, std::string event, std::string data);
  /// No more rows: streams of the query end when they have all that were given. What is kept stays until drop().
  void end(const std::string& query);
  /// The sink is no longer used. What it has shown stays until drop().
  void close(exec::ResultSink* sink);
  /// Forgets a query's results and ends its streams.
  void drop(const std::string& query);

  /// Called on the engine's threads when a window of a query has been handed over whole. Before the first open().
  void on_window(std::function<void(const std::string& query, Micros start)> listener);

  /// One more who takes every part, in the order of each query, with its number. Called on the board's thread, which it
  /// must not keep waiting. Before the first open().
  void on_part(std::function<void(const std::string& query, const std::shared_ptr<const ResultPart>&)> taker);

  /// What the site of an edge is called, for who reads that it is missing; empty: unknown. Called on the engine's
  /// threads. Before the first open().
  void name_edges(std::function<std::string(uint32_t edge)> name);

  /// Null: no query of this name has been opened.
  std::shared_ptr<http::Topic> topic(const std::string& query) const;
  /// The same of those rows alone that a condition lets through (row_filter.h). It is there from the first time that it
  /// is asked for, as long as a lease of it is held and for a while after.
  struct FilteredTopic {
    std::shared_ptr<http::Topic> topic;
    std::shared_ptr<const void> lease;
  };
  /// Errors: RowFilter::make(); 53400 a query has kFilteredTopicsMax of them; 42704 as topic().
  base::Result<FilteredTopic> filtered_topic(const std::string& query, const std::string& condition);
  static constexpr size_t kFilteredTopicsMax = 64;

  struct Range {
    Micros from = base::kMinTime, until = base::kMaxTime;  ///< of window_start
    uint64_t after_seq = 0;
    uint64_t rows_max = 1'000'000;
    bool revisions = false;  ///< otherwise of each window the newest revision only
  };
  struct Read {
    std::vector<std::shared_ptr<const ResultPart>> parts;  ///< by seq
    std::optional<uint64_t> next_seq;                      ///< there is more after this one
    std::optional<Micros> kept_since;                      ///< window_start of the oldest that is kept
    uint64_t parts_dropped = 0;                            ///< that were kept once
    uint64_t last_seq = 0;
  };
  std::optional<Read> read(const std::string& query, const Range& range) const;

  struct Counters {
    uint64_t parts = 0, rows = 0;  ///< shown, ever
    uint64_t rows_unshown = 0;     ///< of queries without windows: beyond what may be shown a second
    uint64_t rows_refused = 0;     ///< the board was behind by pending_octets_max
    size_t octets = 0, pending_octets = 0;
  };
  Counters counters() const;
  uint64_t last_seq(const std::string& query) const;
  /// From a window's end to its last rows being readable, of final windows; nullopt: no such query.
  std::optional<telemetry::Histogram::Snapshot> latency_seconds(const std::string& query) const;
  /// Waits until all that was handed over before is shown. For the end of a process, and tests.
  void settle();

 private:
  class Sink;
  struct Filtered {
    std::shared_ptr<http::Topic> topic;
    std::shared_ptr<const void> lease;
    std::shared_ptr<RowFilter> filter;  ///< the board's thread applies it
    std::shared_ptr<const ResultForm> form;
  };
  struct Shown {
    std::shared_ptr<http::Topic> topic;
    uint64_t incarnation = 0;
    uint64_t last_seq = 0;
    std::deque<std::shared_ptr<const ResultPart>> parts;
    size_t octets = 0;
    uint64_t parts_dropped = 0;
    bool whole = false;                      ///< open_whole()
    std::shared_ptr<const ResultForm> form;  ///< of the newest version
    std::shared_ptr<telemetry::Histogram> latency =
        std::make_shared<telemetry::Histogram>(telemetry::latency_bounds_seconds());
    std::map<std::string, Filtered, std::less<>> filtered;  ///< by condition
    // Of the window at hand, to number its parts.
    Micros at_start = 0;
    int at_revision = 0;
    uint32_t at_part = 0;
    uint64_t at_rows = 0;
  };
  struct Pending {
    std::string query;
    std::shared_ptr<ResultPart> part;  ///< null: an event, or where that has no name the end
    std::string event = {}, data = {};
  };
  void hand_over(Pending pending);
  void run();
  void show(Pending pending);
  void show_event(const Pending& pending);
  void publish(http::Topic& topic, const std::string& query, const ResultPart& part, uint64_t rows_max) const;
  void publish_filtered(const std::string& query, const ResultPart& part, uint64_t rows_max);
  void shrink();

  http::EventHub& hub_;
  const BoardLimits limits_;
  std::function<void(const std::string&, Micros)> window_listener_;
  std::function<std::string(uint32_t)> edge_name_;
  std::vector<std::function<void(const std::string&, const std::shared_ptr<const ResultPart>&)>> part_takers_;

  mutable std::mutex mutex_;  ///< of all below
  std::condition_variable changed_;
  std::map<std::string, Shown, std::less<>> shown_;
  std::vector<std::unique_ptr<Sink>> sinks_;
  std::deque<Pending> pending_;
  bool busy_ = false, stop_ = false;
  Counters counters_;
  std::atomic<uint64_t> rows_unshown_{0}, rows_refused_{0};
  std::atomic<size_t> pending_octets_{0};
  std::thread thread_;
};

/// What the rows of a query are.
std::shared_ptr<const ResultForm> form_of(const plan::Query& query);
/// A copy of those rows of a part that the filter lets through.
std::shared_ptr<ResultPart> filtered_part(const ResultPart& part, RowFilter& filter);

}  // namespace backstream::service
