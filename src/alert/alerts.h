#pragma once
#include <atomic>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "alert/alert_store.h"
#include "alert/notice.h"
#include "alert/notifier.h"
#include "alert/rule_states.h"
#include "plan/query.h"
#include "receiver/result_part.h"

namespace backstream::alert {

/// All rules of a node: takes results, keeps states, tells endpoints. A thread of its own does the work; who hands over
/// results never waits for a disk.
class Alerts {
 public:
  struct Options {
    std::string file;  ///< alerts.db
    std::vector<config::NotifySettings> endpoints;
    Micros started_at = 0;                              ///< nobody has seen what came before
    std::function<void(const std::string& line)> tell;  ///< any thread
    Notifier::Limits notifier = {};
    size_t keys_max = 1'000;                     ///< of a rule
    size_t queue_octets_max = size_t{64} << 20;  ///< of results that wait; what finds no room makes windows incomplete
    size_t window_rows_max = 1'000'000;          ///< that are looked at
  };
  /// Errors: AlertStore::open(), Notifier::open().
  static base::Result<std::unique_ptr<Alerts>> open(Options options);
  ~Alerts();
  Alerts(const Alerts&) = delete;
  Alerts& operator=(const Alerts&) = delete;

  // Of whoever has the results. All of it is only queued, and done in this order.
  /// A version of a query begins; one that is no rule ends the rule of its name. Before its first part. Any thread.
  void open_query(const std::string& name, uint64_t incarnation, uint32_t version, const plan::Query& query);
  /// The queries that there are, with their incarnations: rules of others end. Any thread.
  void keep_queries(std::map<std::string, uint64_t, std::less<>> queries);
  /// Parts of each query in their order. Any thread.
  void take(const std::string& query, const std::shared_ptr<const receiver::ResultPart>& part);
  /// All windows of the query that end at or before `until` have been taken: others had no rows, but that nothing is
  /// known of those that begin before `known_from`. In order with take().
  void advance(const std::string& query, Micros until, Micros known_from = base::kMinTime);
  /// For notices: "1:1000", "1:1 to 1:4000".
  void note_sampling(std::string text);
  /// What links in notices begin with: "https://noc.example".
  void note_link(std::string link);
  /// The names of rules that run here. Any thread.
  std::vector<std::string> rules() const;
  /// Waits until all that was handed over is done.
  void settle();
  void stop();

  // What people ask and do. Times are wall clock. Any thread.
  Json list() const;         ///< keys of all rules, rule by rule
  Json rule_states() const;  ///< what each rule asks for and how many keys it has, by name
  /// By alert_id, of those that are over too; nullopt: it never was, or is over for long. Errors: the store's.
  base::Result<std::optional<Json>> show(const std::string& id) const;
  /// What is over, and lay in [from, until) with some of its time, the last that ended first. Errors: the store's.
  base::Result<Json> ended(Micros from, Micros until, size_t count_max) const;
  /// Errors: 42704 no such alert; the store's, with which it is done all the same until a restart.
  base::Result<Json> acknowledge(const std::string& id, const std::string& author, const std::string& comment,
                                 Micros now);
  Json silences() const;
  /// Errors: 42704 no such rule or silence; 22023 a time that is over; 53400 too many; the store's.
  base::Result<Json> add_silence(Silence silence);
  base::Result<Silence> remove_silence(uint64_t id);
  /// Sends a notice that is marked as a test on the way that all take, and waits for what becomes of it.
  /// @param endpoint  empty: all
  /// @param rule      whose name and severity it has; empty: none's
  /// Errors: 42704 there is no such endpoint or rule, or there are none.
  base::Result<Json> test(const std::string& endpoint, const std::string& rule, const std::string& author,
                          std::chrono::milliseconds patience);

  struct Status {
    size_t rules = 0, pending = 0, firing = 0, recovering = 0, acknowledged = 0, silences = 0;
    uint64_t keys_left_out = 0;  ///< that fire beyond the bound
    uint64_t parts_dropped = 0;  ///< results that found no room
    std::string store_error;     ///< of the last write
    std::vector<Notifier::Status> endpoints;
    std::vector<std::pair<std::string, std::string>> unknown_endpoints;  ///< rule, name
  };
  Status status() const;

 private:
  struct Version;
  struct Rule;
  struct Work {
    std::string query = {};
    std::shared_ptr<const receiver::ResultPart> part = nullptr;
    bool lost = false;                     ///< parts before this one were dropped
    Micros until = 0;                      ///< advance, where there is neither part nor task
    Micros known_from = base::kMinTime;    ///< the same
    std::function<void()> task = nullptr;  ///< under mutex_
  };
  explicit Alerts(Options options);
  base::Result<void> load();
  void queue(Work work);
  void begin_version(Version version, const NoticeFacts& facts);
  void run();
  void do_work(Work& work);
  void tick(Micros now);
  void take_part(Rule& rule, std::shared_ptr<const receiver::ResultPart> held);
  void evaluate(Rule& rule);
  void settle_events(Rule& rule, std::vector<Event>& events);
  void end_rule(const std::string& name, Micros at);
  void write(AlertStore::Step& step);
  NoticeFacts facts_of(const Rule& rule) const;
  bool silenced(const Rule& rule, const KeyState& key, Micros now) const;
  void queue_notice(const Rule& rule, const KeyState& key, NoticeState state, Micros at, std::vector<QueuedNotice>& to);
  void tell_firing(const Rule& rule, KeyState& key, std::vector<QueuedNotice>& to);
  std::vector<std::string> endpoints_of(const Rule& rule) const;
  Json key_json(const Rule& rule, const KeyState& key) const;
  void tell_end(const Rule& rule, const Event& event, AlertStore::Step& step);
  std::vector<Json> firing_for(const std::string& endpoint) const;
  static constexpr size_t kSilencesMax = 1'000;

  const Options options_;
  std::unique_ptr<AlertStore> store_;

  mutable std::mutex mutex_;  ///< of what follows; held while the disk writes
  std::map<std::string, std::unique_ptr<Rule>, std::less<>> rules_;
  std::vector<Silence> silences_;
  std::string sampling_, link_;
  std::string store_error_;

  mutable std::mutex queue_mutex_;  ///< of what follows; mutex_ is never taken while it is held
  std::condition_variable queue_changed_;
  std::set<std::string, std::less<>> rule_names_;
  std::set<std::string, std::less<>> lossy_;  ///< rules of which parts were dropped since the last that was not
  std::deque<Work> queue_;
  size_t queue_octets_ = 0;
  uint64_t parts_dropped_ = 0;
  bool busy_ = false, stop_ = false;

  std::unique_ptr<Notifier> notifier_;
  std::thread thread_;
};

}  // namespace backstream::alert
