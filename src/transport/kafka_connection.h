#pragma once
// The clients of librdkafka that the logs of a process share, and what goes wrong with them. C names of librdkafka stay
// in the .cc files of this room.
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "transport/kafka_client.h"
#include "transport/kafka_options.h"

namespace backstream::transport {

/// Holds one producer and one consumer, serves their callbacks on a thread of its own, and makes new ones in the place
/// of those that librdkafka gives up on. Any thread.
class KafkaConnection {
 public:
  /// Waits for nobody. Errors: 22023 a property that is wrong, with its name.
  static base::Result<std::shared_ptr<KafkaConnection>> open(KafkaOptions options);
  /// Waits for the clients to close, 10 s at most.
  ~KafkaConnection();
  KafkaConnection(const KafkaConnection&) = delete;
  KafkaConnection& operator=(const KafkaConnection&) = delete;

  const KafkaOptions& options() const { return options_; }
  KafkaClient producer() const;
  KafkaClient consumer() const;

  /// A producer that does not report what became of its records: another one takes its place, what it holds fails.
  void give_up(const KafkaClient& producer);
  /// What became of a request. A client with which nothing succeeded for kProgressTimeout is replaced (2.0.2 can keep
  /// on asking a broker that is gone).
  void note_producer(bool succeeded) { note(producing_, succeeded); }
  void note_consumer(bool succeeded) { note(consuming_, succeeded); }
  static constexpr std::chrono::seconds kProgressTimeout{120};

  uint64_t producers_replaced() const { return producing_.replaced; }
  uint64_t consumers_replaced() const { return consuming_.replaced; }
  /// The last error of a broker, empty: none. Set also where the library goes on by itself.
  std::string last_error() const;
  /// Whether a broker refused our credentials since the last success.
  bool credentials_refused() const { return credentials_refused_; }
  void set_last_error(std::string text);
  void tell(KafkaNotice::Level level, std::string text) const;
  /// That our user lacks a right, with the command that gives it: each at most every 10 s.
  /// @param resource  "topic" or "group"
  void tell_missing_right(std::string_view operation, std::string_view resource, std::string_view name);

 private:
  struct Side {
    KafkaClient client;  // Under mutex_.
    std::atomic<bool> replace{false};
    std::atomic<uint64_t> replaced{0};
    std::atomic<int64_t> progress_ms{0};  // When something succeeded, or the client was made.
    int64_t replaced_ms = 0;              // When another one took its place; the serving thread's.
  };

  explicit KafkaConnection(KafkaOptions options);
  base::Result<KafkaClient> make(bool producer);
  void tell_line(int level, const char* facility, const char* text);
  void note(Side& side, bool succeeded);
  void serve();
  void replace(Side& side, bool producer);
  void serve_retired(bool stopping);

  static void log_callback(const rd_kafka_s* handle, int level, const char* facility, const char* text);
  static void error_callback(rd_kafka_s* handle, int error, const char* reason, void* self);
  static int stats_callback(rd_kafka_s* handle, char* json, size_t octets, void* self);

  const KafkaOptions options_;
  mutable std::mutex mutex_;
  Side producing_, consuming_;
  std::string last_error_;  // Under mutex_.
  std::atomic<bool> credentials_refused_{false};
  std::mutex rights_mutex_;
  KafkaLines rights_;  // Under rights_mutex_.

  std::mutex lines_mutex_;
  KafkaLines lines_;  // Under lines_mutex_: who commits a transaction serves the callbacks meanwhile, too.

  // The serving thread's, and the destructor's.
  std::vector<KafkaClient> retired_;
  KafkaClosings closings_;

  std::atomic<bool> stop_{false};
  std::thread serving_;
};

/// What became of the records of one append call. Outlives it when librdkafka reports late.
class KafkaDeliveries : public std::enable_shared_from_this<KafkaDeliveries> {
 public:
  struct Slot {
    KafkaDeliveries* owner = nullptr;
    bool reported = false;
    int error = 0;  ///< rd_kafka_resp_err_t
    int64_t offset = -1;
  };

  explicit KafkaDeliveries(size_t count) : slots_(count) {}

  /// Before a record is given to librdkafka, whose opaque it is.
  Slot* expect(size_t index);
  /// It was not taken.
  void forget(size_t index);
  /// By the delivery report.
  static void report(Slot& slot, int error, int64_t offset);

  /// Until at most `open_max` records are without report. False: not by the deadline.
  bool wait(size_t open_max, std::chrono::steady_clock::time_point deadline);
  size_t open() const;
  /// A copy: what is reported later changes it no more.
  std::vector<Slot> slots() const;

 private:
  mutable std::mutex mutex_;
  std::condition_variable reported_;
  size_t open_ = 0, awaited_ = 0;
  std::vector<Slot> slots_;
  std::shared_ptr<KafkaDeliveries> self_;  // While reports are missing.
};

}  // namespace backstream::transport
