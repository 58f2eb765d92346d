#pragma once
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cluster/log_feed.h"
#include "cluster/result_messages.h"

namespace backstream::cluster {

/// What merge workers have given, for a receiver: repeats, and what a superseded worker still writes, are left out.
/// Rows of a window wait until its last ones are there: when a worker is killed in between, the next one gives all of
/// them. One thread.
class ResultsIn {
 public:
  struct Options {
    size_t batch_rows = 1'024;
    uint64_t records_before = 2'000;   ///< of each partition that were there before: results of the last while
    std::function<void()> nudge = {};  ///< called, from any thread, when there is something to take
    Pauses pauses = {};
  };
  /// @param log  outlives this
  ResultsIn(transport::Log& log, Options options);

  /// Rows of this version go to the sink from now on, those that came before it was known among them.
  /// @param sink  outlives this, or close()
  void open(QueryId id, const plan::Query& query, std::string name, exec::ResultSink& sink);
  /// Nothing comes to this sink any more; another one may have been opened for the version meanwhile.
  void close(QueryId id, const exec::ResultSink& sink);

  /// Hands over what has come, a part of it. False: nothing had.
  bool take(Micros now);

  /// What was told last of a version; null: nothing yet.
  const QueryReport* report(QueryId id) const;

  struct Status {
    uint64_t messages = 0;    ///< handed over
    uint64_t repeats = 0;     ///< records that had come already
    uint64_t superseded = 0;  ///< records of workers that others had taken over from
    uint64_t refused = 0;     ///< records and messages that cannot be read
    uint64_t newer = 0;       ///< records of a newer version of the program
    uint64_t unknown = 0;     ///< messages of queries that are gone, or never came to be known
    uint64_t lost = 0;        ///< records that were gone before they were read
  };
  Status status() const;

  static constexpr size_t kEarlyOctetsMax = size_t{16} << 20;
  static constexpr Micros kEarlyTime = 60 * base::kMicrosPerSecond;
  /// Of windows whose last rows are not there; what is more is handed over all the same.
  static constexpr size_t kBegunOctetsMax = size_t{64} << 20;

 private:
  struct Target {
    std::string name;
    std::unique_ptr<batch::Schema> schema;
    std::unique_ptr<ResultReader> reader;
    exec::ResultSink* sink = nullptr;
    QueryReport report;
    bool reported = false;
  };
  struct Last {
    uint64_t generation = 0, number = 0;
    bool any = false;
    std::map<QueryId, std::vector<std::vector<uint8_t>>> begun;  ///< messages of a window that is not whole
  };
  struct Early {
    QueryId id;
    ResultMessage::Kind kind;
    std::vector<uint8_t> body;
    Micros came_at = 0;
  };
  void take_record(const LogFeed::Record& record, Micros now);
  void take_message(const ResultMessage& message, Micros now);
  void take_begun(Last& last, QueryId id, Micros now);
  void forget_begun(Last& last);
  void hand_over(Target& target, const ResultMessage& message);

  const Options options_;
  std::map<QueryId, Target> targets_;
  std::map<uint32_t, Last> last_;  ///< by partition
  std::deque<Early> early_;
  size_t early_octets_ = 0, begun_octets_ = 0;
  Status status_;
  LogFeed feed_;
};

}  // namespace backstream::cluster
