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

#include "alert/alert_store.h"
#include "alert/sender.h"

namespace backstream::alert {

/// Brings notices to endpoints: a queue and a thread for each, so that one that never answers holds up no other. What
/// is in a queue stands in the store, too, until the endpoint has taken it: after a kill it is sent, or sent once more
/// with the same id. In the order of each endpoint.
class Notifier {
 public:
  struct Limits {
    size_t queue_max = 10'000;  ///< notices of an endpoint; beyond it the oldest go, and are counted
    Micros backoff_min_us = base::kMicrosPerSecond, backoff_max_us = 60 * base::kMicrosPerSecond;
    Micros age_max_us = Micros{86'400} * base::kMicrosPerSecond;  ///< of what nobody takes
  };
  struct Options {
    std::vector<config::NotifySettings> endpoints;
    Limits limits;
    std::function<void(const std::string& line)> tell;  ///< any thread
    /// What fires now, for endpoints that want to hear it again and again. Any thread.
    std::function<std::vector<Json>(const std::string& endpoint)> firing;
  };
  /// @param before  what an earlier process left; of endpoints that are gone it is forgotten
  /// Errors: make_sender()'s.
  static base::Result<std::unique_ptr<Notifier>> open(Options options, AlertStore& store,
                                                      std::vector<QueuedNotice> before);
  ~Notifier();
  Notifier(const Notifier&) = delete;
  Notifier& operator=(const Notifier&) = delete;

  bool has(const std::string& endpoint) const { return endpoints_.contains(endpoint); }
  std::vector<std::string> names() const;
  /// A number for a notice that is to be queued.
  int64_t next_number();
  /// Those are in the store. Any thread; never waits.
  void push(std::vector<QueuedNotice> notices);

  /// What became of a notice.
  struct Outcome {
    bool over = false;  ///< false: it is still tried
    bool delivered = false;
    std::string error;  ///< of the last attempt
  };
  Outcome wait(const std::string& endpoint, int64_t number, std::chrono::milliseconds patience);

  struct Status {
    std::string name;
    config::NotifySettings::Type type = config::NotifySettings::Type::kWebhook;
    size_t waiting = 0;
    uint64_t delivered = 0, failed = 0, refused = 0, dropped = 0,
             expired = 0;  ///< failed: attempts, the others: notices
    std::string error;     ///< of the last attempt; empty: it went well
    std::optional<Micros> failing_since, delivered_at;
  };
  std::vector<Status> status() const;
  void stop();

 private:
  struct Endpoint {
    std::unique_ptr<Sender> sender;
    int64_t per_minute = 60;
    Status status;
    std::deque<QueuedNotice> queue;
    std::map<int64_t, Outcome> outcomes;  ///< of the last ones
    Micros next_at = 0, backoff_us = 0, repeated_at = 0;
    double tokens = 0;
    Micros tokens_at = 0;
    std::thread thread;
  };
  Notifier(Options options, AlertStore& store) : options_(std::move(options)), store_(store) {}
  void run(const std::string& name, Endpoint& endpoint);
  void note_attempt(const std::string& name, Endpoint& endpoint, const Attempt& attempt);
  void take_result(const std::string& name, Endpoint& endpoint, const std::vector<int64_t>& numbers,
                   const Attempt& attempt, std::unique_lock<std::mutex>& lock);
  void forget(Endpoint& endpoint, const std::vector<int64_t>& numbers, const Outcome& outcome,
              std::unique_lock<std::mutex>& lock);
  static constexpr size_t kOutcomesMax = 256;

  const Options options_;
  AlertStore& store_;
  mutable std::mutex mutex_;  ///< of all below
  std::condition_variable changed_;
  std::map<std::string, Endpoint> endpoints_;  ///< which there are never changes
  int64_t last_number_ = 0;
  bool stop_ = false;
};

}  // namespace backstream::alert
