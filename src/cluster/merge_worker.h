#pragma once
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/diagnostic.h"
#include "cluster/log_feed.h"
#include "cluster/membership.h"
#include "cluster/merge_snapshot.h"
#include "cluster/results_out.h"
#include "exec/engine.h"

namespace backstream::cluster {

/// A version of a query, as all merge workers know it from the catalog.
struct MergeQuery {
  std::string name;
  QueryId id;
  uint64_t incarnation = 0;  ///< in partials
  std::shared_ptr<const plan::Query> query;
  std::vector<std::string> reads;  ///< names of queries that stand before it in the list
  Micros begin = base::kMinTime;   ///< it gives windows that start from here on; those before are another version's
  Micros since = base::kMinTime;   ///< event time from which on all edges have it
  uint64_t order = 0;              ///< another one: it was started anew
};

/// Completes the windows of those partitions of the partials that are its own, among several workers that may be added,
/// stopped and killed (docs/design/0028-merge-workers.md).
///
/// Each partition has an engine of its own, which takes the partition's records in their order: whoever does that gives
/// the same rows. Who takes a partition over appends a claim to it, goes on from the newest snapshot, and gives again
/// what was given since; the claim's offset, the generation, is in each record of results, so that receivers tell who
/// was superseded. A query that reads views of other partitions has those views in its engine, too.
///
/// One thread; it waits for logs in own() and give_up() alone.
class MergeWorker {
 public:
  struct Options {
    std::string name;            ///< of the node, in claims
    exec::EngineOptions engine;  ///< half is kMerge
    Micros absent_after = 0;     ///< see Membership
    Micros snapshot_interval = 60 * base::kMicrosPerSecond;
    std::function<Micros()> clock;
    std::function<void()> nudge;  ///< called, from any thread, when there is something to do
    /// The place of a partition's newest whole snapshot, or kNoSnapshot; kept by who shares out partitions, and refused
    /// to who does not have the partition any more. Called on this thread and another.
    std::function<base::Result<std::optional<uint64_t>>(uint32_t partition)> place;
    std::function<base::Result<void>(uint32_t partition, uint64_t place)> set_place;
    std::function<void(const std::string&)> tell;  ///< lines for people; called on this thread and another
    /// Of an edge's site, for those lines.
    std::function<std::string(uint32_t edge)> site_of;
    Pauses pauses = {};
  };
  /// @param partials, snapshots, results  of as many partitions each; outlive this
  MergeWorker(transport::Log& partials, transport::Log& snapshots, transport::Log& results, Options options);
  ~MergeWorker();
  MergeWorker(const MergeWorker&) = delete;
  MergeWorker& operator=(const MergeWorker&) = delete;

  /// What is to run, each after what it reads. Of partitions that are given up, as soon as they are its own again.
  void set_queries(std::vector<MergeQuery> queries);
  /// Those that windows wait for.
  void set_edges(std::vector<Membership::Expected> edges);

  /// These partitions are its own from now on, and no others.
  void own(const std::vector<uint32_t>& partitions);
  /// None is, for now. Saves what it has, unless it is lost: then others may have gone on already.
  void give_up(bool lost);

  /// Takes what has come, and does what is due. False: nothing had come.
  bool work();

  /// Of the queries whose rows are given here, by what they are.
  std::map<QueryId, QueryReport> reports() const;
  struct Status {
    uint32_t partitions = 0;  ///< that are owned
    uint64_t claims = 0;      ///< take-overs, ever
    uint64_t superseded = 0;  ///< partitions that others have claimed while they were ours
    uint64_t snapshots_written = 0, snapshots_failed = 0, snapshot_octets = 0;  ///< octets: of all that were written
    uint64_t snapshots_read = 0, snapshots_refused = 0;
    uint64_t early_octets = 0, early_dropped = 0;  ///< messages of queries that are not known
    exec::Engine::PartialCounts partials;
    LogFeed::Status feed;
    ResultsOut::Status results;
    std::vector<Membership::Edge> edges;
    std::vector<uint32_t> absent;
  };
  Status status() const;

  static constexpr uint64_t kNoSnapshot = uint64_t{1} << 62;   ///< the place of none
  static constexpr size_t kEarlyOctetsMax = size_t{64} << 20;  ///< of all partitions
  static constexpr Micros kEarlyTime = 60 * base::kMicrosPerSecond;

 private:
  class Sink;
  /// A query in the engine of a partition.
  struct Part {
    MergeQuery query;
    size_t number = 0;           ///< in the engine
    std::unique_ptr<Sink> sink;  ///< null: it is here for who reads it
    bool ending = false;         ///< gives what it has begun, and no more
    bool failure_told = false;
  };
  struct Early {
    LogFeed::Record record;
    Micros came_at = 0;
  };
  struct Share {
    uint32_t partition = 0;
    uint64_t generation = 0;
    uint64_t claimed_at = 0;               ///< its newest claim: the generation's, or of when it was gone on with
    std::unique_ptr<exec::Engine> engine;  ///< null: it is to be taken over at `retry_at`
    Micros retry_at = 0;
    std::string trouble;  ///< why not yet, as it was told
    std::optional<Membership> membership;
    std::vector<Part> parts;            ///< in the order of the engine
    std::map<uint32_t, uint64_t> next;  ///< records of partials that were not taken, by partition
    std::deque<Early> early;
    /// Saved states of queries that are not known here: until they are, or kEarlyTime has passed since `taken_at`.
    std::vector<MergeSnapshot::Query> unknown;
    std::map<uint32_t, uint64_t> saved_next;  ///< of the snapshot: what those go on from
    Micros taken_at = 0;
    /// First record of a newer version of the program, by partition: whoever can read it goes on from there, and
    /// knows what else it reads again.
    std::map<uint32_t, uint64_t> newer;
    bool changed = false;  ///< since the last snapshot
    Micros saved_at = 0, decided_at = 0;
  };
  struct Saving {
    uint32_t partition = 0;
    uint64_t results = 0;  ///< of them, that must be in the log first
    MergeSnapshot snapshot;
  };

  void take_over(Share& share);
  void tell_trouble(Share& share, std::string text);
  void go_on(Share& share);
  bool is_unclaimed(uint32_t partition, uint64_t from, uint64_t claim);
  base::Result<std::optional<MergeSnapshot>> newest_snapshot(uint32_t partition);
  void learn_queries(Share& share);
  void settle_queries(Share& share);
  std::vector<const MergeQuery*> wanted_by(const Share& share) const;
  void restore(Share& share, const Part& part);
  QueryReport report_of(const Share& share, const Part& part) const;
  void add(Share& share, const MergeQuery& query, Micros since);
  void follow(Share& share);
  void take(Share& share, LogFeed::Record&& record);
  bool take_message(Share& share, const LogFeed::Record& record);
  void keep_newer(Share& share, const LogFeed::Record& record);
  void try_early(Share& share, Micros now);
  void drop(Share& share);
  void tend(Share& share, Micros now);
  void decide(Share& share, Micros now);
  bool save(Share& share, Micros now);
  bool flush_saves();
  void cancel_saves(std::optional<uint32_t> partition);
  void write_snapshots();
  bool write(const Saving& saving);

  transport::Log& partials_;
  transport::Log& snapshots_;
  const Options options_;
  std::vector<MergeQuery> queries_;
  std::vector<Membership::Expected> edges_;
  std::map<uint32_t, Share> shares_;  ///< by partition
  bool suspended_ = false;            ///< shares are kept until it is known who has them
  Micros suspended_at_ = 0, worked_at_ = 0, tended_at_ = 0, reported_at_ = 0;
  Status status_;

  ResultsOut results_;
  LogFeed feed_;  ///< its readers are partitions

  mutable std::mutex saving_mutex_;  ///< of all below
  std::condition_variable saving_changed_;
  std::deque<Saving> saving_;
  std::optional<uint32_t> writing_;  ///< a state of this partition
  bool cancelled_ = false;           ///< what is being written
  bool stopping_ = false;
  uint64_t written_ = 0, failed_ = 0, written_octets_ = 0;
  std::thread saver_;
};

}  // namespace backstream::cluster
