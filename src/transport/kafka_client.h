#pragma once
// What the clients of librdkafka in this process have in common: what they are set to, what of their lines is told, and
// how they end. Of this room only.
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/diagnostic.h"
#include "transport/kafka_options.h"

struct rd_kafka_s;
struct rd_kafka_conf_s;
struct rd_kafka_topic_s;

namespace backstream::transport {

/// A handle of librdkafka. Its last holder need not be quick: the connection waits for it and closes it.
using KafkaClient = std::shared_ptr<rd_kafka_s>;

/// A topic as a client knows it. Null: there was no memory.
struct KafkaTopicHandle {
  KafkaTopicHandle(KafkaClient of, const std::string& name);
  ~KafkaTopicHandle();
  KafkaTopicHandle(const KafkaTopicHandle&) = delete;
  KafkaTopicHandle& operator=(const KafkaTopicHandle&) = delete;
  const KafkaClient client;
  rd_kafka_topic_s* const handle;
};

struct KafkaConfDelete {
  void operator()(rd_kafka_conf_s* conf) const;
};
using KafkaConf = std::unique_ptr<rd_kafka_conf_s, KafkaConfDelete>;

KafkaConf make_kafka_conf();
/// Ours; it is right, or the program is wrong (asserted).
void set_kafka_property(rd_kafka_conf_s* conf, const char* name, const std::string& value);
/// What every client is set to.
void set_common_kafka_properties(rd_kafka_conf_s* conf, const KafkaOptions& options);
/// Those of the operator, behind ours. They were looked at before.
void set_operators_kafka_properties(rd_kafka_conf_s* conf, const KafkaOptions& options);

/// Errors: 22023 no broker, a property that is not to be set, a timeout that is too short.
base::Result<void> check_kafka_options(const KafkaOptions& options);

/// Gives it to KafkaOptions::notice as one line. Any thread.
void give_kafka_notice(const KafkaOptions& options, KafkaNotice::Level level, std::string text);

/// What a person is to run; Kafka's tools take credentials from a file.
std::string kafka_command(const KafkaOptions& options, std::string_view tool, std::string_view arguments);
/// The one that gives our user a right. @param resource  "topic" or "group"
std::string kafka_acls_command(const KafkaOptions& options, std::string_view operation, std::string_view resource,
                               std::string_view name);
/// Where to look when brokers refuse the credentials.
std::string kafka_credentials_hint(const KafkaOptions& options);

/// Lines of librdkafka: of each facility one at most every 10 s. One thread.
class KafkaLines {
 public:
  /// @param level  of syslog
  void tell(const KafkaOptions& options, int level, const char* facility, const char* text);

 private:
  struct Said {
    std::string facility;
    std::chrono::steady_clock::time_point at;
    uint64_t kept_back = 0;
  };
  std::vector<Said> said_;
};

/// Clients that are being destroyed, each by a thread of its own: 2.0.2 can wait for ever for a partition that is lost.
/// Any thread.
class KafkaClosings {
 public:
  /// Leaves no group: who is in one does so before.
  void close(rd_kafka_s* handle);
  /// Forgets those that are done.
  void reap();
  /// Waits for all, 10 s at most, and leaves the others to themselves. True: there were none of these.
  bool finish();

 private:
  struct Closing {
    std::thread thread;
    std::shared_ptr<std::atomic<bool>> done;
  };
  std::mutex mutex_;
  std::vector<Closing> closing_;
};

}  // namespace backstream::transport
