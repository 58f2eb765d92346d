#include "transport/kafka_connection.h"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>

namespace backstream::transport {
namespace {

using base::fail;
using Clock = std::chrono::steady_clock;
using Level = KafkaNotice::Level;

constexpr std::chrono::milliseconds kServePause{20};
constexpr int64_t kReplaceAfterMs = 1'000;  // What is of no use from the begin is not replaced all the time.
constexpr auto& set = set_kafka_property;

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now().time_since_epoch()).count();
}

void delivered(rd_kafka_t*, const rd_kafka_message_t* message, void*) {
  KafkaDeliveries::report(*static_cast<KafkaDeliveries::Slot*>(message->_private), message->err, message->offset);
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
  if (options.transactional_id.empty()) return;
  set(conf, "transactional.id", options.transactional_id);
  set(conf, "partitioner", "murmur2_random");  // As Java's; records without a key go anywhere.
  // Where a batch is refused for what it says, those behind it would be out of order, and 2.0.2 sends them again and
  // again until append_timeout instead of telling which was refused.
  set(conf, "max.in.flight.requests.per.connection", "1");
  // Whoever reads the topic waits so long for what a writer that was killed has left open, if none takes its place.
  set(conf, "transaction.timeout.ms", std::to_string((options.append_timeout + options.request_timeout).count()));
}

void set_consumer(rd_kafka_conf_t* conf, const KafkaOptions& options) {
  if (!options.group.empty()) set(conf, "group.id", options.group);
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

base::Result<std::shared_ptr<KafkaConnection>> KafkaConnection::open(KafkaOptions options) {
  if (auto checked = check_kafka_options(options); !checked) return tl::unexpected(std::move(checked.error()));
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
  if (!closings_.finish()) tell(Level::kWarning, "a client does not close, and is left to itself");
}

base::Result<KafkaClient> KafkaConnection::make(bool producer) {
  KafkaConf conf = make_kafka_conf();
  set_common_kafka_properties(conf.get(), options_);
  if (producer) set_producer(conf.get(), options_);
  else set_consumer(conf.get(), options_);
  set_operators_kafka_properties(conf.get(), options_);
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
  return KafkaClient(handle, [this](rd_kafka_s* closed) { closings_.close(closed); });
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
    if (producing_.replace && now_ms() - producing_.replaced_ms >= kReplaceAfterMs) replace(producing_, true);
    if (consuming_.replace && now_ms() - consuming_.replaced_ms >= kReplaceAfterMs) replace(consuming_, false);
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
  side.progress_ms = side.replaced_ms = now_ms();
  ++side.replaced;
  constexpr int kWarning = 4;  // Of syslog.
  tell_line(kWarning,
            producer ? "the producer is given up, another one takes its place"
                     : "the consumer is given up, another one takes its place",
            last_error().c_str());
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
  closings_.reap();
}

std::string KafkaConnection::last_error() const {
  const std::lock_guard lock(mutex_);
  return last_error_;
}

void KafkaConnection::set_last_error(std::string text) {
  const std::lock_guard lock(mutex_);
  last_error_ = std::move(text);
}

void KafkaConnection::tell(Level level, std::string text) const { give_kafka_notice(options_, level, std::move(text)); }

void KafkaConnection::tell_missing_right(std::string_view operation, std::string_view resource, std::string_view name) {
  const std::string what = fmt::format("no right {} on {} '{}'", operation, resource, name);
  const std::string command = kafka_acls_command(options_, operation, resource, name);
  constexpr int kWarning = 4;  // Of syslog.
  const std::lock_guard lock(rights_mutex_);
  rights_.tell(options_, kWarning, what.c_str(), command.c_str());
}

void KafkaConnection::log_callback(const rd_kafka_s* handle, int level, const char* facility, const char* text) {
  static_cast<KafkaConnection*>(rd_kafka_opaque(handle))->tell_line(level, facility, text);
}

void KafkaConnection::tell_line(int level, const char* facility, const char* text) {
  const std::lock_guard lock(lines_mutex_);
  lines_.tell(options_, level, facility, text);
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
