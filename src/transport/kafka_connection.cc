#include "transport/kafka_connection.h"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>

namespace backstream::transport {
namespace {

using base::fail;
using Clock = std::chrono::steady_clock;
using Level = KafkaNotice::Level;
using ConfPointer = std::unique_ptr<rd_kafka_conf_t, void (*)(rd_kafka_conf_t*)>;

constexpr std::chrono::seconds kRepeatPause{10};   // Between two lines of one facility of librdkafka.
constexpr std::chrono::seconds kCloseTimeout{10};  // 2.0.2 can wait for ever for a partition that is lost.
constexpr std::chrono::milliseconds kServePause{20};
constexpr size_t kFacilitiesMax = 64;

struct OwnProperty {
  std::string_view name, instead;
};
/// What the log's promises rest on, and what other settings say.
constexpr OwnProperty kOwn[] = {
    {"bootstrap.servers", "kafka.brokers has the brokers"},
    {"metadata.broker.list", "kafka.brokers has the brokers"},
    {"message.timeout.ms", "kafka.timeout says how long"},
    {"delivery.timeout.ms", "kafka.timeout says how long"},
    {"queue.buffering.max.kbytes", "kafka.queue says how much"},
    {"queue.buffering.max.messages", "kafka.queue says how much"},
    {"queued.max.messages.kbytes", "kafka.read_memory says how much"},
    {"batch.size", ""},
    {"message.max.bytes", ""},
    {"enable.idempotence", ""},
    {"acks", ""},
    {"request.required.acks", ""},
    {"transactional.id", ""},
    {"partitioner", ""},
    {"allow.auto.create.topics", "kafka.create_topics says whether topics are made"},
    {"auto.offset.reset", ""},
    {"enable.partition.eof", ""},
    {"enable.auto.commit", ""},
    {"auto.commit.enable", ""},
    {"enable.auto.offset.store", ""},
    {"isolation.level", ""},
    {"check.crcs", ""},
    {"log.queue", ""},
    {"enabled_events", ""},
    {"opaque", ""},
};

/// That have no value by default: the library's list leaves them out.
constexpr std::string_view kWithoutDefault[] = {"sasl.username",    "ssl.ca.location",   "ssl.certificate.location",
                                                "ssl.key.location", "ssl.cipher.suites", "client.rack"};

ConfPointer make_conf() { return {rd_kafka_conf_new(), rd_kafka_conf_destroy}; }

std::string nearest_property(const std::string& name) {
  const ConfPointer conf = make_conf();
  rd_kafka_topic_conf_t* topic_conf = rd_kafka_topic_conf_new();
  size_t count = 0, topic_count = 0;
  const char** dump = rd_kafka_conf_dump(conf.get(), &count);
  const char** topic_dump = rd_kafka_topic_conf_dump(topic_conf, &topic_count);
  std::vector<std::string_view> names(std::begin(kWithoutDefault), std::end(kWithoutDefault));
  // Names and values by turns.
  for (size_t i = 0; i < count; i += 2) names.emplace_back(dump[i]);
  for (size_t i = 0; i < topic_count; i += 2) names.emplace_back(topic_dump[i]);
  std::string near(base::nearest_name(name, names));
  rd_kafka_conf_dump_free(dump, count);
  rd_kafka_conf_dump_free(topic_dump, topic_count);
  rd_kafka_topic_conf_destroy(topic_conf);
  return near;
}

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch()).count();
}

void delivered(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  KafkaDeliveries::report(*static_cast<KafkaDeliveries::Slot*>(message->_private), message->err, message->offset);
}

/// Ours; they are right, or the program is wrong.
void set(rd_kafka_conf_t* conf, const char* name, const std::string& value) {
  std::array<char, 256> error{};
  [[maybe_unused]] const auto result = rd_kafka_conf_set(conf, name, value.c_str(), error.data(), error.size());
  assert(result == RD_KAFKA_CONF_OK);
}

void set_common(rd_kafka_conf_t* conf, const KafkaOptions& options) {
  std::string brokers;
  for (const std::string& broker : options.brokers) brokers.append(brokers.empty() ? "" : ",").append(broker);
  set(conf, "bootstrap.servers", brokers);
  set(conf, "client.id", "backstream");
  set(conf, "socket.nagle.disable", "true");
  set(conf, "socket.keepalive.enable", "true");
  set(conf, "log.queue", "true");
  set(conf, "allow.auto.create.topics", "false");
  set(conf, "reconnect.backoff.ms", "100");
  set(conf, "reconnect.backoff.max.ms", "2000");
  set(conf, "topic.metadata.refresh.interval.ms", "60000");
}

void set_producer(rd_kafka_conf_t* conf, const KafkaOptions& options) {
  set(conf, "enable.idempotence", "true");
  set(conf, "acks", "all");
  set(conf, "message.timeout.ms", std::to_string(options.append_timeout.count()));
  // A record costs librdkafka memory of its own beside its octets.
  const uint64_t kbytes = std::clamp<uint64_t>(options.queue_octets / 1024, 1, 2'097'151);
  set(conf, "queue.buffering.max.kbytes", std::to_string(kbytes));
  set(conf, "queue.buffering.max.messages", std::to_string(std::clamp<uint64_t>(kbytes * 4, 1'000, 10'000'000)));
  set(conf, "batch.size", std::to_string(KafkaOptions::kBatchOctets));
  set(conf, "message.max.bytes", std::to_string(KafkaOptions::kRecordOctetsMax + 4096));  // Logs look at theirs.
  set(conf, "linger.ms", "5");
  set(conf, "compression.codec", "zstd");
  set(conf, "retry.backoff.ms", "50");
}

void set_consumer(rd_kafka_conf_t* conf, const KafkaOptions& options) {
  set(conf, "enable.auto.commit", "false");
  set(conf, "enable.auto.offset.store", "false");
  set(conf, "enable.partition.eof", "true");
  set(conf, "auto.offset.reset", "error");
  set(conf, "isolation.level", "read_uncommitted");  // A transaction of somebody else cannot stop us.
  // 2.0.2 goes on at a wrong place behind a batch whose checksum is wrong, and then may end the process. Records have
  // checksums of their own.
  set(conf, "check.crcs", "false");
  // A partition that is added waits for the request that is under way.
  set(conf, "fetch.wait.max.ms", "100");
  set(conf, "fetch.error.backoff.ms", "100");
  const uint64_t octets =
      std::max(options.read_octets / std::max(options.read_partitions, 1U), KafkaOptions::kReadOctetsMin);
  set(conf, "queued.max.messages.kbytes", std::to_string(std::min<uint64_t>(octets / 1024, 2'097'151)));
  // Of one fetch, a partition; what is fetched comes on top of what is queued.
  set(conf, "fetch.message.max.bytes", std::to_string(std::min<uint64_t>(octets, 4 << 20)));
}

}  // namespace

std::optional<KafkaPropertyFault> kafka_property_fault(const std::string& name, const std::string& value) {
  for (const OwnProperty& own : kOwn) {
    if (own.name != name) continue;
    return KafkaPropertyFault{fmt::format("'{}' is not to be set", name), own.instead.empty()
                                                                              ? "the log rests on the value that it has"
                                                                              : std::string(own.instead)};
  }
  if (name.ends_with("_cb")) return KafkaPropertyFault{fmt::format("'{}' is not to be set", name), ""};
  const ConfPointer conf = make_conf();
  std::array<char, 512> error{};
  switch (rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), error.data(), error.size())) {
    case RD_KAFKA_CONF_OK: return std::nullopt;
    case RD_KAFKA_CONF_UNKNOWN: {
      const std::string near = nearest_property(name);
      return KafkaPropertyFault{error.data(), near.empty() ? "librdkafka 2.0's CONFIGURATION.md lists them"
                                                           : fmt::format("did you mean '{}'?", near)};
    }
    case RD_KAFKA_CONF_INVALID: break;
  }
  return KafkaPropertyFault{error.data(), ""};
}

base::Result<std::shared_ptr<KafkaConnection>> KafkaConnection::open(KafkaOptions options) {
  if (options.brokers.empty()) return fail("22023", "no Kafka broker is named", {}, "kafka.brokers = ['HOST:9092']");
  if (options.append_timeout < std::chrono::milliseconds(100) ||
      options.request_timeout < std::chrono::milliseconds(100)) {
    return fail("22023", "timeouts of Kafka are at least 100 ms");
  }
  for (const auto& [name, value] : options.properties) {
    const auto fault = kafka_property_fault(name, value);
    if (fault) return fail("22023", fmt::format("kafka.property.{}: {}", name, fault->message), {}, fault->hint);
  }
  std::shared_ptr<KafkaConnection> connection(new KafkaConnection(std::move(options)));
  for (const bool producer : {true, false}) {
    auto client = connection->make(producer);
    if (!client) return tl::unexpected(std::move(client.error()));
    Side& side = producer ? connection->producing_ : connection->consuming_;
    side.client = std::move(*client);
    side.progress_ms = now_ms();
  }
  connection->serving_ = std::thread([raw = connection.get()] { raw->serve(); });
  return connection;
}

KafkaConnection::KafkaConnection(KafkaOptions options) : options_(std::move(options)) {}

KafkaConnection::~KafkaConnection() {
  stop_ = true;
  if (serving_.joinable()) serving_.join();
  for (Side* side : {&producing_, &consuming_}) {
    if (side->client) retired_.push_back(std::move(side->client));
  }
  serve_retired(true);
  retired_.clear();  // Their deleters begin to close them.
  const auto until = Clock::now() + kCloseTimeout;
  for (Closing& closing : closing_) {
    while (!*closing.done && Clock::now() < until) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    if (*closing.done) {
      closing.thread.join();
    } else {
      closing.thread.detach();
      tell(Level::kWarning, "a client does not close, and is left to itself");
    }
  }
}

base::Result<KafkaClient> KafkaConnection::make(bool producer) {
  ConfPointer conf = make_conf();
  set_common(conf.get(), options_);
  if (producer) set_producer(conf.get(), options_);
  else set_consumer(conf.get(), options_);
  for (const auto& [name, value] : options_.properties)  // Looked at before.
    rd_kafka_conf_set(conf.get(), name.c_str(), value.c_str(), nullptr, 0);
  rd_kafka_conf_set_opaque(conf.get(), this);
  rd_kafka_conf_set_log_cb(conf.get(), log_callback);
  rd_kafka_conf_set_error_cb(conf.get(), error_callback);
  rd_kafka_conf_set_stats_cb(conf.get(), stats_callback);
  if (producer) rd_kafka_conf_set_dr_msg_cb(conf.get(), delivered);
  std::array<char, 512> error{};
  rd_kafka_t* handle =
      rd_kafka_new(producer ? RD_KAFKA_PRODUCER : RD_KAFKA_CONSUMER, conf.get(), error.data(), error.size());
  if (handle == nullptr) return fail("22023", fmt::format("Kafka client: {}", error.data()));
  conf.release();  // NOLINT(bugprone-unused-return-value): the handle has it now.
  rd_kafka_set_log_queue(handle, nullptr);
  return KafkaClient(handle, [this](rd_kafka_s* closed) { close(closed); });
}

KafkaClient KafkaConnection::producer() const {
  const std::lock_guard lock(mutex_);
  return producing_.client;
}

KafkaClient KafkaConnection::consumer() const {
  const std::lock_guard lock(mutex_);
  return consuming_.client;
}

void KafkaConnection::give_up(const KafkaClient& given_up) {
  const std::lock_guard lock(mutex_);
  if (producing_.client == given_up) producing_.replace = true;
}

void KafkaConnection::note(Side& side, bool succeeded) {
  const int64_t now = now_ms();
  if (succeeded) {
    side.progress_ms.store(now, std::memory_order_relaxed);
    if (credentials_refused_.load(std::memory_order_relaxed)) credentials_refused_ = false;
  } else if (now - side.progress_ms > std::chrono::milliseconds(kProgressTimeout).count()) {
    side.replace = true;
  }
}

void KafkaConnection::serve() {
  while (!stop_) {
    // Reports of deliveries wake this up; what the consumer has to say can wait.
    rd_kafka_poll(producer().get(), static_cast<int>(kServePause.count()));
    rd_kafka_poll(consumer().get(), 0);
    if (producing_.replace) replace(producing_, true);
    if (consuming_.replace) replace(consuming_, false);
    serve_retired(false);
  }
}

void KafkaConnection::replace(Side& side, bool producer) {
  auto made = make(producer);
  if (!made) {  // Out of memory or threads: the next failure asks again.
    side.replace = false;
    tell(Level::kError, made.error().message);
    return;
  }
  {
    const std::lock_guard lock(mutex_);
    retired_.push_back(std::exchange(side.client, std::move(*made)));
    side.replace = false;
  }
  side.progress_ms = now_ms();
  ++side.replaced;
  tell(Level::kWarning, fmt::format("the {} is given up, another one takes its place ({})",
                                    producer ? "producer" : "consumer", last_error()));
}

void KafkaConnection::serve_retired(bool stopping) {
  for (KafkaClient& client : retired_) {
    if (rd_kafka_type(client.get()) == RD_KAFKA_PRODUCER) {
      rd_kafka_purge(client.get(), RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT | RD_KAFKA_PURGE_F_NON_BLOCKING);
      const auto until = Clock::now() + (stopping ? std::chrono::seconds(2) : std::chrono::seconds(0));
      do {
        rd_kafka_poll(client.get(), stopping ? 10 : 0);
      } while (rd_kafka_outq_len(client.get()) > 0 && Clock::now() < until);
    } else {
      rd_kafka_poll(client.get(), 0);
    }
  }
  if (stopping) return;
  std::erase_if(retired_, [](const KafkaClient& client) {
    return client.use_count() == 1 && rd_kafka_outq_len(client.get()) == 0;
  });
  const std::lock_guard lock(closing_mutex_);
  std::erase_if(closing_, [](Closing& closing) {
    const bool done = *closing.done;
    if (done) closing.thread.join();
    return done;
  });
}

void KafkaConnection::close(rd_kafka_s* handle) {
  Closing closing;
  closing.done = std::make_shared<std::atomic<bool>>(false);
  closing.thread = std::thread([handle, done = closing.done] {
    rd_kafka_destroy_flags(handle, RD_KAFKA_DESTROY_F_NO_CONSUMER_CLOSE);
    *done = true;
  });
  const std::lock_guard lock(closing_mutex_);
  closing_.push_back(std::move(closing));
}

std::string KafkaConnection::last_error() const {
  const std::lock_guard lock(mutex_);
  return last_error_;
}

void KafkaConnection::set_last_error(std::string text) {
  const std::lock_guard lock(mutex_);
  last_error_ = std::move(text);
}

void KafkaConnection::tell(Level level, std::string text) const {
  if (!options_.notice) return;
  std::replace(text.begin(), text.end(), '\n', ' ');
  options_.notice({level, "kafka: " + std::move(text)});
}

void KafkaConnection::log_callback(const rd_kafka_s* handle, int level, const char* facility, const char* text) {
  static_cast<KafkaConnection*>(rd_kafka_opaque(handle))->on_log(level, facility, text);
}

void KafkaConnection::on_log(int level, const char* facility, const char* text) {
  // Both clients are given the properties of both.
  if (std::strcmp(facility, "CONFWARN") == 0 && std::strstr(text, "will be ignored by this") != nullptr) return;
  const auto now = Clock::now();
  auto said = std::find_if(said_.begin(), said_.end(), [&](const Said& other) { return other.facility == facility; });
  uint64_t kept_back = 0;
  if (level < 7) {  // Debugging was asked for: then all of it.
    if (said == said_.end()) {
      if (said_.size() == kFacilitiesMax) said_.clear();
      said_.push_back({facility, now});
    } else if (now - said->at < kRepeatPause) {
      ++said->kept_back;
      return;
    } else {
      kept_back = std::exchange(said->kept_back, 0);
      said->at = now;
    }
  }
  const Level ours = level <= 3 ? Level::kError : level == 4 ? Level::kWarning : Level::kInfo;
  tell(ours, fmt::format("{}: {}{}", facility, text,
                         kept_back == 0 ? "" : fmt::format(" (and {} such lines before)", kept_back)));
}

void KafkaConnection::error_callback(rd_kafka_s*, int error, const char* reason, void* self) {
  auto& connection = *static_cast<KafkaConnection*>(self);
  const auto code = static_cast<rd_kafka_resp_err_t>(error);
  if (code == RD_KAFKA_RESP_ERR__FATAL) connection.producing_.replace = true;
  if (code == RD_KAFKA_RESP_ERR__AUTHENTICATION) connection.credentials_refused_ = true;
  // The library says it behind the error that made it so.
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !connection.last_error().empty()) return;
  connection.set_last_error(fmt::format("{}: {}", rd_kafka_err2str(code), reason));
}

int KafkaConnection::stats_callback(rd_kafka_s*, char* json, size_t octets, void* self) {
  static_cast<KafkaConnection*>(self)->tell(Level::kInfo, fmt::format("STATS: {}", std::string_view(json, octets)));
  return 0;  // The library frees it.
}

KafkaDeliveries::Slot* KafkaDeliveries::expect(size_t index) {
  const std::lock_guard lock(mutex_);
  if (open_++ == 0) self_ = shared_from_this();
  slots_[index].owner = this;
  return &slots_[index];
}

void KafkaDeliveries::forget(size_t) {
  const std::shared_ptr<KafkaDeliveries> self = shared_from_this();
  const std::lock_guard lock(mutex_);
  if (--open_ == 0) self_.reset();
}

void KafkaDeliveries::report(Slot& slot, int error, int64_t offset) {
  const std::shared_ptr<KafkaDeliveries> self = slot.owner->shared_from_this();
  const std::lock_guard lock(self->mutex_);
  slot.reported = true;
  slot.error = error;
  slot.offset = offset;
  if (--self->open_ == 0) self->self_.reset();
  if (self->open_ <= self->awaited_) self->reported_.notify_all();
}

bool KafkaDeliveries::wait(size_t open_max, Clock::time_point deadline) {
  std::unique_lock lock(mutex_);
  awaited_ = open_max;
  return reported_.wait_until(lock, deadline, [&] { return open_ <= open_max; });
}

size_t KafkaDeliveries::open() const {
  const std::lock_guard lock(mutex_);
  return open_;
}

std::vector<KafkaDeliveries::Slot> KafkaDeliveries::slots() const {
  const std::lock_guard lock(mutex_);
  return slots_;
}

}  // namespace backstream::transport
