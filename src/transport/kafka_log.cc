#include "transport/kafka_log.h"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>
#include <cctype>
#include <cstdlib>
#include <cstring>
#include <numeric>
#include <thread>

#include "transport/kafka_topic.h"
#define XXH_INLINE_ALL
#include <xxhash.h>

namespace backstream::transport {
namespace {

using base::fail;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Of rd_kafka_offsets_for_times(): in the protocol these stand for a time and mean the ends of the partition.
constexpr int64_t kBegin = RD_KAFKA_OFFSET_BEGINNING, kEnd = RD_KAFKA_OFFSET_END;

constexpr milliseconds kReportGrace{2'000};  // For librdkafka to notice that its own timeout is over: it looks each s.
constexpr milliseconds kRetryPause{20};
constexpr milliseconds kContactTimeout{5'000};  // A reader at the end asks the brokers so often whether it still is.
constexpr milliseconds kWakeAfter{10};
constexpr milliseconds kAskTimeout{1'000};     // For what a topic is, beside an append that failed.
constexpr milliseconds kTrimPause{60'000};     // After brokers refused to trim.
constexpr milliseconds kMorePause{200};        // For more of what is known to be there, behind a record.
constexpr milliseconds kProbeTimeout{1'000};   // To find out whether records can be read somewhere.
constexpr milliseconds kProofTimeout{6'000};   // The same, before it is believed.
constexpr milliseconds kPassTimeout{120'000};  // For all of that.

constexpr std::array<uint8_t, 4> kMagic = {'B', 'S', 'L', 1};  // The version is the last one.

int left_ms(Clock::time_point until) {
  const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, INT32_MAX));
}

int64_t now_ms() { return std::chrono::duration_cast<milliseconds>(Clock::now().time_since_epoch()).count(); }

void raise(std::atomic<uint64_t>& highest, uint64_t value) {
  uint64_t known = highest.load(std::memory_order_relaxed);
  while (known < value && !highest.compare_exchange_weak(known, value)) {
  }
}

LogStatus status_of(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR_NO_ERROR: return LogStatus::kOk;
    case RD_KAFKA_RESP_ERR__QUEUE_FULL: return LogStatus::kFull;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE:
    case RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE: return LogStatus::kTooLarge;
    default: return LogStatus::kUnavailable;
  }
}

static_assert(std::endian::native == std::endian::little, "heads of records are little-endian");
template <typename T>
void store(uint8_t* at, T value) {
  std::memcpy(at, &value, sizeof value);
}
template <typename T>
T load(const uint8_t* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

uint32_t head_sum(uint8_t version, uint64_t octets, uint64_t payload_sum, uint64_t seed) {
  std::array<uint8_t, 16> covered{};
  store(covered.data(), octets);
  store(covered.data() + 8, payload_sum);
  return static_cast<uint32_t>(XXH3_64bits_withSeed(covered.data(), covered.size(), seed + version));
}

uint64_t seed_of(uint64_t seed, std::optional<std::string_view> key) {
  return key ? XXH3_64bits_withSeed(key->data(), key->size(), seed) : seed;
}

void write_head(uint8_t* head, std::span<const uint8_t> payload, uint64_t seed) {
  const uint64_t payload_sum = XXH3_64bits_withSeed(payload.data(), payload.size(), seed);
  std::memcpy(head, kMagic.data(), kMagic.size());
  store(head + 4, head_sum(kMagic[3], payload.size(), payload_sum, seed));
  store(head + 8, payload_sum);
}

bool is_damage(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR__BAD_MSG || error == RD_KAFKA_RESP_ERR__BAD_COMPRESSION ||
         error == RD_KAFKA_RESP_ERR__UNDERFLOW || error == RD_KAFKA_RESP_ERR__NOT_IMPLEMENTED;
}

bool is_topic_error(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED || error == RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC ||
         error == RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION || error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART;
}

bool is_refusal(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED ||
         error == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED || error == RD_KAFKA_RESP_ERR_POLICY_VIOLATION ||
         error == RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE || error == RD_KAFKA_RESP_ERR_UNSUPPORTED_VERSION;
}

}  // namespace

std::string kafka_topic_name(std::string_view prefix, std::string_view name) {
  return fmt::format("{}.{}", prefix, name);
}

struct KafkaLog::Message {
  rd_kafka_message_t* message = nullptr;

  explicit Message(rd_kafka_message_t* taken = nullptr) : message(taken) {}
  Message(Message&& other) noexcept : message(std::exchange(other.message, nullptr)) {}
  Message& operator=(Message&& other) noexcept {
    std::swap(message, other.message);
    return *this;
  }
  ~Message() {
    if (message != nullptr) rd_kafka_message_destroy(message);
  }
  uint64_t offset() const { return static_cast<uint64_t>(message->offset); }
  std::optional<std::string_view> key() const {
    if (message->key == nullptr) return std::nullopt;
    return std::string_view(static_cast<const char*>(message->key), message->key_len);
  }
  bool is_tombstone() const { return message->payload == nullptr && message->key != nullptr; }
};

struct KafkaLog::Reader {
  int32_t partition = 0;
  std::atomic<uint64_t> begin{0}, end{0};  // The last known ones; any thread.

  std::mutex mutex;                          // Held while somebody reads.
  std::shared_ptr<KafkaTopicHandle> topic;   // Null: nothing is fetched. Else the client that fetches from `next` on.
  uint64_t from = 0, next = 0;               // All before `from` was given; between them there is nothing of ours.
  std::optional<uint64_t> no_record_before;  // As the client found when it was at the end.
  Message pending;                           // Of ours, fetched, and found no room.
  std::optional<uint64_t> gap_end;           // Of the gap that is looked at once more.
  struct Damage {
    uint64_t from, at;  // Where reading ended, and that there is nothing of ours between.
  };
  std::optional<Damage> damage;
  std::optional<uint64_t> stalled_at;  // Where nothing came, once.
  Time contact{};                      // When the brokers last said something about it.

  bool goes_on_at(uint64_t offset) const {
    return topic != nullptr && offset >= from && offset <= std::max(next, no_record_before.value_or(0));
  }
};

base::Result<std::unique_ptr<KafkaLog>> KafkaLog::open(std::shared_ptr<KafkaConnection> connection,
                                                       const KafkaTopicOptions& options) {
  assert(connection != nullptr);
  if (options.partition_count < 1 || options.partition_count > kPartitionsMax)
    return fail("22023", fmt::format("a topic cannot have {} partitions", options.partition_count));
  if (options.record_octets_max > KafkaOptions::kRecordOctetsMax)
    return fail("22023", fmt::format("records of a topic have at most {} octets", KafkaOptions::kRecordOctetsMax));
  const bool plain = std::all_of(options.name.begin(), options.name.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' || c == '-';
  });
  if (!plain || options.name.empty() || options.name.size() > 249)
    return fail("22023", fmt::format("'{}' cannot name a topic", options.name), {},
                "names are of letters, digits, '.', '_' and '-', at most 249");
  const auto until = Clock::now() + connection->options().request_timeout;
  if (auto ready = prepare_kafka_topic(*connection, options, until); !ready)
    return tl::unexpected(std::move(ready.error()));
  std::unique_ptr<KafkaLog> log(new KafkaLog(std::move(connection), options));
  std::vector<uint32_t> partitions(options.partition_count);
  std::iota(partitions.begin(), partitions.end(), 0U);
  // So that there is a last known one.
  if (!log->query(partitions, false, until) || !log->query(partitions, true, until)) {
    return fail("08001",
                fmt::format("the ends of topic '{}' cannot be had: {}", options.name, log->connection_->last_error()));
  }
  return log;
}

KafkaLog::KafkaLog(std::shared_ptr<KafkaConnection> connection, const KafkaTopicOptions& options)
    : connection_(std::move(connection)),
      options_(options),
      seed_(XXH3_64bits(options.deployment.data(), options.deployment.size())) {
  for (uint32_t p = 0; p < options.partition_count; ++p) {
    readers_.push_back(std::make_unique<Reader>());
    readers_.back()->partition = static_cast<int32_t>(p);
  }
}

KafkaLog::~KafkaLog() {
  for (const auto& reader : readers_) stop(*reader);
}

KafkaLog::Time KafkaLog::deadline() const { return Clock::now() + connection_->options().request_timeout; }

std::shared_ptr<KafkaTopicHandle> KafkaLog::producer_topic() {
  KafkaClient client = connection_->producer();
  const std::lock_guard lock(topics_mutex_);
  if (producing_ == nullptr || producing_->client != client)
    producing_ = std::make_shared<KafkaTopicHandle>(std::move(client), options_.name);
  return producing_;
}

std::shared_ptr<KafkaTopicHandle> KafkaLog::consumer_topic() const {
  KafkaClient client = connection_->consumer();
  const std::lock_guard lock(topics_mutex_);
  if (consuming_ == nullptr || consuming_->client != client)
    consuming_ = std::make_shared<KafkaTopicHandle>(std::move(client), options_.name);
  return consuming_;
}

Log::Appended KafkaLog::append(uint32_t partition, std::span<const uint8_t> bytes) {
  const Addition addition{partition, bytes};
  std::vector<Appended> results;
  append_all({&addition, 1}, results);
  return results[0];
}

LogStatus KafkaLog::append_all(std::span<const Addition> additions, std::vector<Appended>& results) {
  std::vector<Outgoing> all;
  all.reserve(additions.size());
  for (const Addition& addition : additions) all.push_back({addition.partition, addition.bytes});
  return append_outgoing(all, results);
}

LogStatus KafkaLog::append_keyed(uint32_t partition, std::span<const KeyedLog::Addition> additions,
                                 std::vector<Appended>& results) {
  std::vector<Outgoing> all;
  all.reserve(additions.size());
  for (const KeyedLog::Addition& addition : additions) {
    assert(!addition.key.empty() && addition.key.size() <= KeyedLog::kKeyOctetsMax);
    const std::string_view value = addition.value.value_or(std::string_view());
    all.push_back({partition,
                   {reinterpret_cast<const uint8_t*>(value.data()), value.size()},
                   addition.key,
                   !addition.value.has_value()});
  }
  return append_outgoing(all, results);
}

LogStatus KafkaLog::append_outgoing(std::span<const Outgoing> additions, std::vector<Appended>& results) {
  results.assign(additions.size(), {LogStatus::kUnavailable, 0});
  if (additions.empty()) return LogStatus::kOk;
  const std::shared_ptr<KafkaTopicHandle> topic = producer_topic();
  const auto until = Clock::now() + connection_->options().append_timeout;
  const auto deliveries = std::make_shared<KafkaDeliveries>(additions.size());
  size_t tried = 0;
  LogStatus stopped = LogStatus::kOk;
  for (; tried < additions.size() && stopped == LogStatus::kOk; ++tried)
    stopped = produce(*topic, additions[tried], *deliveries, tried, until);
  if (stopped != LogStatus::kOk) --tried;

  if (!deliveries->wait(0, std::max(until, Clock::now()) + kReportGrace)) {
    connection_->give_up(topic->client);
    deliveries->wait(0, Clock::now() + kReportGrace);
  }
  const std::vector<KafkaDeliveries::Slot> slots = deliveries->slots();
  LogStatus refused = LogStatus::kOk;
  bool topic_gone = stopped == LogStatus::kUnavailable;
  for (size_t i = 0; i < additions.size(); ++i) {
    Appended& result = results[i];
    if (i >= tried) {
      result.status = stopped;
    } else if (slots[i].reported && slots[i].error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      result = {LogStatus::kOk, static_cast<uint64_t>(slots[i].offset)};
      raise(readers_[additions[i].partition]->end, result.offset + 1);
    } else {
      const auto error =
          slots[i].reported ? static_cast<rd_kafka_resp_err_t>(slots[i].error) : RD_KAFKA_RESP_ERR__MSG_TIMED_OUT;
      result.status = status_of(error);
      if (error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
        connection_->tell_missing_right("Write", "topic", options_.name);
      topic_gone = topic_gone || is_topic_error(error);
      if (result.status == LogStatus::kUnavailable && refused == LogStatus::kOk &&
          error != RD_KAFKA_RESP_ERR__MSG_TIMED_OUT && error != RD_KAFKA_RESP_ERR__PURGE_INFLIGHT &&
          error != RD_KAFKA_RESP_ERR__PURGE_QUEUE) {  // Those say less than what is known already.
        connection_->set_last_error(
            fmt::format("append to {} [{}]: {}", options_.name, additions[i].partition, rd_kafka_err2str(error)));
      }
    }
    if (result.status == LogStatus::kOk) continue;
    if (refused == LogStatus::kOk) refused = result.status;
    if (result.status == LogStatus::kUnavailable) ++append_failures_;
    if (result.status == LogStatus::kFull) ++append_full_;
  }
  const bool some_kept = std::any_of(results.begin(), results.end(),
                                     [](const Appended& result) { return result.status == LogStatus::kOk; });
  if (some_kept || refused == LogStatus::kUnavailable) connection_->note_producer(some_kept);
  if (topic_gone) {  // For the library it is until it hears otherwise, which can be a minute.
    const rd_kafka_metadata_t* metadata = nullptr;
    if (rd_kafka_metadata(topic->client.get(), 0, topic->handle, &metadata, static_cast<int>(kAskTimeout.count())) ==
        RD_KAFKA_RESP_ERR_NO_ERROR)
      rd_kafka_metadata_destroy(metadata);
  }
  return refused;
}

LogStatus KafkaLog::produce(KafkaTopicHandle& topic, const Outgoing& record, KafkaDeliveries& deliveries, size_t index,
                            Time until) {
  assert(record.partition < partition_count());
  if (record.bytes.size() > options_.record_octets_max) return LogStatus::kTooLarge;
  const size_t octets = record.tombstone ? 0 : kRecordHead + record.bytes.size();
  std::unique_ptr<uint8_t, void (*)(void*)> payload(
      record.tombstone ? nullptr : static_cast<uint8_t*>(std::malloc(octets)), std::free);
  if (!record.tombstone) {
    if (payload == nullptr) return LogStatus::kFull;
    write_head(payload.get(), record.bytes, seed_of(seed_, record.key));
    if (!record.bytes.empty()) std::memcpy(payload.get() + kRecordHead, record.bytes.data(), record.bytes.size());
  }
  const void* const key = record.key ? record.key->data() : nullptr;
  while (true) {
    KafkaDeliveries::Slot* slot = deliveries.expect(index);
    if (rd_kafka_produce(topic.handle, static_cast<int32_t>(record.partition),
                         record.tombstone ? 0 : RD_KAFKA_MSG_F_FREE, payload.get(), octets, key,
                         record.key ? record.key->size() : 0, slot) == 0) {
      payload.release();  // NOLINT(bugprone-unused-return-value): the library frees it.
      return LogStatus::kOk;
    }
    const rd_kafka_resp_err_t error = rd_kafka_last_error();
    deliveries.forget(index);
    // The queue may be full of this very call's records.
    const size_t open = deliveries.open();
    if (error == RD_KAFKA_RESP_ERR__QUEUE_FULL && open > 0 && deliveries.wait(open / 2, until)) continue;
    if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL && error != RD_KAFKA_RESP_ERR__FATAL) {
      connection_->set_last_error(
          fmt::format("append to {} [{}]: {}", options_.name, record.partition, rd_kafka_err2str(error)));
    }
    if (error == RD_KAFKA_RESP_ERR__FATAL) {
      connection_->give_up(topic.client);
      // Who may write to no topic at all is refused when the producer asks for its number.
      if (rd_kafka_fatal_error(topic.client.get(), nullptr, 0) == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
        connection_->tell_missing_right("Write", "topic", options_.name);
    }
    return status_of(error);
  }
}

std::optional<uint64_t> KafkaLog::query(uint32_t partition, bool end, Time until) const {
  if (!query({&partition, 1}, end, until)) return std::nullopt;
  return end ? readers_[partition]->end : readers_[partition]->begin;
}

bool KafkaLog::query(std::span<const uint32_t> partitions, bool end, Time until) const {
  const std::shared_ptr<KafkaTopicHandle> topic = consumer_topic();
  const std::unique_ptr<rd_kafka_topic_partition_list_t, void (*)(rd_kafka_topic_partition_list_t*)> list(
      rd_kafka_topic_partition_list_new(static_cast<int>(partitions.size())), rd_kafka_topic_partition_list_destroy);
  for (const uint32_t partition : partitions)
    rd_kafka_topic_partition_list_add(list.get(), options_.name.c_str(), static_cast<int32_t>(partition));
  const std::span<rd_kafka_topic_partition_t> asked(list->elems, partitions.size());
  while (true) {
    for (rd_kafka_topic_partition_t& of : asked) {
      of.offset = end ? kEnd : kBegin;
      of.err = RD_KAFKA_RESP_ERR_NO_ERROR;
    }
    // Not rd_kafka_query_watermark_offsets(), which in 2.0.2 can wait for ever.
    const rd_kafka_resp_err_t error =
        rd_kafka_offsets_for_times(topic->client.get(), list.get(), std::max(left_ms(until), 1));
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR && std::all_of(asked.begin(), asked.end(), [](const auto& of) {
          return of.err == RD_KAFKA_RESP_ERR_NO_ERROR && of.offset >= 0;
        })) {
      for (const rd_kafka_topic_partition_t& of : asked) {
        Reader& reader = *readers_[static_cast<size_t>(of.partition)];
        (end ? reader.end : reader.begin) = static_cast<uint64_t>(of.offset);
      }
      connection_->note_consumer(true);
      return true;
    }
    if (Clock::now() + kRetryPause >= until) {
      ++query_failures_;
      connection_->note_consumer(false);
      return false;
    }
    // The leader that is known may be the old one.
    const rd_kafka_metadata_t* metadata = nullptr;
    if (rd_kafka_metadata(topic->client.get(), 0, topic->handle, &metadata, std::max(left_ms(until), 1)) ==
        RD_KAFKA_RESP_ERR_NO_ERROR)
      rd_kafka_metadata_destroy(metadata);
    std::this_thread::sleep_for(kRetryPause);
  }
}

uint64_t KafkaLog::begin_offset(uint32_t partition) const {
  assert(partition < partition_count());
  return query(partition, false, deadline()).value_or(readers_[partition]->begin.load());
}

uint64_t KafkaLog::end_offset(uint32_t partition) const {
  assert(partition < partition_count());
  return query(partition, true, deadline()).value_or(readers_[partition]->end.load());
}

std::optional<uint64_t> KafkaLog::ask_offset(uint32_t partition, bool end) const {
  assert(partition < partition_count());
  return query(partition, end, deadline());
}

LogStatus KafkaLog::unavailable() {
  ++read_failures_;
  connection_->note_consumer(false);
  return LogStatus::kUnavailable;
}

bool KafkaLog::start(Reader& r, uint64_t offset) {
  stop(r);
  std::shared_ptr<KafkaTopicHandle> topic = consumer_topic();
  if (rd_kafka_consume_start(topic->handle, r.partition, static_cast<int64_t>(offset)) != 0) {
    connection_->set_last_error(
        fmt::format("read of {} [{}]: {}", options_.name, r.partition, rd_kafka_err2str(rd_kafka_last_error())));
    return false;
  }
  r.topic = std::move(topic);
  r.from = r.next = offset;
  return true;
}

void KafkaLog::stop(Reader& r) {
  r.pending = Message();
  r.no_record_before.reset();
  if (r.topic == nullptr) return;
  rd_kafka_consume_stop(r.topic->handle, r.partition);
  // What was fetched already must not stay: it would hold the client.
  while (rd_kafka_message_t* message = rd_kafka_consume(r.topic->handle, r.partition, 0)) {
    rd_kafka_message_destroy(message);
  }
  r.topic.reset();
}

void KafkaLog::stop_reading(uint32_t partition) {
  assert(partition < partition_count());
  Reader& r = *readers_[partition];
  const std::lock_guard lock(r.mutex);
  stop(r);
}

LogStatus KafkaLog::place(Reader& r, uint64_t offset, Time until) {
  const auto partition = static_cast<uint32_t>(r.partition);
  const auto end = query(partition, true, until);
  const auto begin = end ? query(partition, false, until) : std::nullopt;
  if (!begin) return unavailable();
  if (offset < *begin) return LogStatus::kTrimmed;
  if (offset > *end) return LogStatus::kBeyondEnd;
  if (!start(r, offset)) return unavailable();
  r.contact = Clock::now();
  return LogStatus::kOk;
}

bool KafkaLog::at_end(const Reader& r) const {
  const uint64_t end = r.end.load();
  return r.next >= end || r.no_record_before.value_or(0) >= end;
}

KafkaLog::Kind KafkaLog::kind_of(const Message& taken) const {
  const rd_kafka_message_t& message = *taken.message;
  const auto* head = static_cast<const uint8_t*>(message.payload);
  if (message.len < kRecordHead || !std::equal(kMagic.begin(), kMagic.end() - 1, head)) return Kind::kForeign;
  const size_t octets = message.len - kRecordHead;
  const auto payload_sum = load<uint64_t>(head + 8);
  const uint64_t seed = seed_of(seed_, taken.key());
  if (load<uint32_t>(head + 4) != head_sum(head[3], octets, payload_sum, seed)) return Kind::kForeign;
  // What a later version wrote is ours, and cannot be read.
  if (head[3] != kMagic[3]) return Kind::kDamaged;
  return XXH3_64bits_withSeed(head + kRecordHead, octets, seed) == payload_sum ? Kind::kRecord : Kind::kDamaged;
}

/// Waits only while more is known to be there.
KafkaLog::Message KafkaLog::take(Reader& r, Time until) {
  if (r.pending.message != nullptr) return std::move(r.pending);
  Message taken(rd_kafka_consume(r.topic->handle, r.partition, 0));
  if (taken.message != nullptr || at_end(r)) return taken;
  taken = Message(
      rd_kafka_consume(r.topic->handle, r.partition, std::min(left_ms(until), static_cast<int>(kWakeAfter.count()))));
  if (taken.message != nullptr || Clock::now() >= until) return taken;
  // In 2.0.2 a fetcher whose queue was full sleeps up to a second, whatever is taken from it. A request to its broker
  // wakes it up.
  query(static_cast<uint32_t>(r.partition), true, until);
  return Message(rd_kafka_consume(r.topic->handle, r.partition, std::min(left_ms(until), 100)));
}

LogStatus KafkaLog::on_event(Reader& r, const Message& event, Time until) {
  const rd_kafka_message_t& message = *event.message;
  if (message.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
    r.contact = Clock::now();
    r.no_record_before = event.offset();
    return LogStatus::kOk;
  }
  connection_->set_last_error(
      fmt::format("read of {} [{}]: {}", options_.name, r.partition, rd_kafka_message_errstr(&message)));
  if (message.err == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
    connection_->tell_missing_right("Read", "topic", options_.name);
  if (is_damage(message.err)) {
    r.damage = {r.from, r.next};
    stop(r);
    return LogStatus::kLost;
  }
  if (message.err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || message.err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE) {
    stop(r);
    return place(r, r.next, until);
  }
  return LogStatus::kOk;  // It goes on by itself, or until our time is over.
}

LogStatus KafkaLog::prove_end(Reader& r, Time until) {
  const auto end = query(static_cast<uint32_t>(r.partition), true, until);
  if (!end) return unavailable();
  r.contact = Clock::now();
  if (r.next <= *end) return LogStatus::kOk;
  stop(r);  // The end moved back: another topic of the same name, or a leader that did not know all.
  return LogStatus::kBeyondEnd;
}

/// Nothing came, though there is more. A batch whose octets make no sense is fetched again and again by this client,
/// and nothing is said of it. That it is so is known when there are records to read behind it.
LogStatus KafkaLog::on_stall(Reader& r) {
  const uint64_t from = r.from, at = r.next;
  stop(r);
  if (r.stalled_at != at) {
    r.stalled_at = at;
    return unavailable();
  }
  const auto end = query(static_cast<uint32_t>(r.partition), true, deadline());
  uint64_t found = 0;
  if (!end || !pass_damage(r, at, *end, found) || found == *end) return unavailable();
  r.damage = {from, at};
  return LogStatus::kLost;
}

/// kRecord, kDamaged: `record` is the next one of ours. kNothing: none is there yet. kEvent: `status` says what.
/// @param foreign_too  what is not ours is given as well, and tombstones as records
KafkaLog::Step KafkaLog::next_record(Reader& r, Message& record, LogStatus& status, Time until, bool foreign_too) {
  while (true) {
    record = take(r, until);
    if (record.message == nullptr) return Step::kNothing;
    if (record.message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
      status = on_event(r, record, until);
      if (status != LogStatus::kOk) return Step::kEvent;
      continue;
    }
    if (record.offset() < r.next) {
      ++repeats_dropped_;
      continue;
    }
    if (record.offset() > r.next && options_.cleanup == KafkaTopicOptions::Cleanup::kDelete &&
        r.gap_end != record.offset()) {
      // Marks of transactions leave gaps, and so did this client when it had moved. If it is there again it is true.
      r.gap_end = record.offset();
      const uint64_t from = r.from;
      if (!start(r, r.next)) {
        status = unavailable();
        return Step::kEvent;
      }
      r.from = from;
      continue;
    }
    r.next = record.offset();
    if (foreign_too && record.is_tombstone()) return Step::kRecord;
    const Kind kind = kind_of(record);
    if (kind != Kind::kForeign) return kind == Kind::kRecord ? Step::kRecord : Step::kDamaged;
    r.next = record.offset() + 1;
    ++foreign_records_;
    connection_->set_last_error(
        fmt::format("record {} of {} [{}] was not written by us", record.offset(), options_.name, r.partition));
    if (foreign_too) return Step::kForeign;
  }
}

/// At the end: what comes by then is the next that is taken.
void KafkaLog::await_more(Reader& r, Time until) {
  if (r.pending.message == nullptr) r.pending = Message(rd_kafka_consume(r.topic->handle, r.partition, left_ms(until)));
}

LogStatus KafkaLog::read_keyed(uint32_t partition, uint64_t offset, size_t octets_max, milliseconds patience,
                               std::vector<KeyedRecord>& out, uint64_t& next) {
  assert(partition < partition_count());
  Reader& r = *readers_[partition];
  const std::lock_guard lock(r.mutex);
  const auto begun = Clock::now();
  auto until = begun + connection_->options().request_timeout;
  next = offset;
  if (offset < r.begin) return LogStatus::kTrimmed;
  if (!r.goes_on_at(offset)) {
    if (const LogStatus placed = place(r, offset, until); placed != LogStatus::kOk) return placed;
  }
  r.next = std::max(r.next, offset);
  size_t octets = 0, count = 0;
  bool awaited = false;
  while (count < kReadRecordsMax && octets < octets_max) {
    Message taken;
    LogStatus status = LogStatus::kOk;
    const Step step = next_record(r, taken, status, until, true);
    if (step == Step::kEvent) {
      if (count > 0) break;  // Then the next call finds it.
      return status;
    }
    if (step == Step::kNothing) {
      if (!at_end(r) && Clock::now() < until) continue;
      if (count > 0) break;
      if (!at_end(r)) return on_stall(r);
      if (!std::exchange(awaited, true)) {
        await_more(r, begun + patience);
        continue;
      }
      if (Clock::now() - r.contact >= kContactTimeout) {
        if (const LogStatus proved = prove_end(r, until); proved != LogStatus::kOk) return proved;
      }
      break;
    }
    KeyedRecord& record = out.emplace_back();
    record.offset = taken.offset();
    record.key = taken.key().value_or(std::string_view());
    record.is = step == Step::kDamaged   ? KeyedRecord::Is::kDamaged
                : step == Step::kForeign ? KeyedRecord::Is::kForeign
                : taken.is_tombstone()   ? KeyedRecord::Is::kTombstone
                                         : KeyedRecord::Is::kValue;
    if (record.is == KeyedRecord::Is::kValue)
      record.value.assign(static_cast<const char*>(taken.message->payload) + kRecordHead,
                          taken.message->len - kRecordHead);
    octets += record.key.size() + record.value.size();
    r.from = r.next = record.offset + 1;
    raise(r.end, r.next);
    if (count++ > 0) continue;
    r.contact = Clock::now();
    connection_->note_consumer(true);
    until = std::min(until, r.contact + kMorePause);
  }
  next = std::max(r.next, count == 0 ? r.no_record_before.value_or(0) : 0);
  return LogStatus::kOk;
}

LogStatus KafkaLog::read(uint32_t partition, uint64_t offset, size_t octets_max, std::vector<LogRecord>& out) {
  assert(partition < partition_count());
  Reader& r = *readers_[partition];
  const std::lock_guard lock(r.mutex);
  const auto begun = Clock::now();
  auto until = begun + connection_->options().request_timeout;
  if (offset < r.begin) return LogStatus::kTrimmed;
  if (!r.goes_on_at(offset)) {
    if (const LogStatus placed = place(r, offset, until); placed != LogStatus::kOk) return placed;
  }
  r.next = std::max(r.next, offset);
  size_t octets = 0, count = 0;
  while (count < kReadRecordsMax) {
    Message taken;
    LogStatus status = LogStatus::kOk;
    const Step step = next_record(r, taken, status, until);
    if (step == Step::kEvent) return count > 0 ? LogStatus::kOk : status;  // Then the next call finds it.
    if (step == Step::kNothing) {
      if (!at_end(r) && Clock::now() < until) continue;
      if (count > 0) return LogStatus::kOk;
      if (!at_end(r)) return on_stall(r);
      return Clock::now() - r.contact < kContactTimeout ? LogStatus::kOk : prove_end(r, until);
    }
    const size_t size = taken.message->len - kRecordHead;
    const bool damaged = step == Step::kDamaged;
    if (damaged || (count > 0 && size > octets_max - std::min(octets, octets_max))) {
      if (damaged) r.damage = {r.from, taken.offset()};
      r.pending = std::move(taken);
      return damaged && count == 0 ? LogStatus::kLost : LogStatus::kOk;
    }
    const auto* bytes = static_cast<const uint8_t*>(taken.message->payload) + kRecordHead;
    out.push_back({taken.offset(), std::vector<uint8_t>(bytes, bytes + size)});
    octets += size;
    r.from = r.next = taken.offset() + 1;
    raise(r.end, r.next);
    if (count++ > 0) continue;
    r.contact = Clock::now();
    connection_->note_consumer(true);
    until = std::min(until, r.contact + kMorePause);
  }
  return LogStatus::kOk;
}

uint64_t KafkaLog::resume_offset(uint32_t partition, uint64_t offset) {
  assert(partition < partition_count());
  Reader& r = *readers_[partition];
  const std::lock_guard lock(r.mutex);
  const auto until = deadline();
  const uint64_t end = query(partition, true, until).value_or(r.end);
  const uint64_t begin = query(partition, false, until).value_or(r.begin);
  const uint64_t from = std::clamp(offset, begin, std::max(begin, end));
  if (!r.damage || from < r.damage->from || from > r.damage->at) return from;
  const uint64_t at = r.damage->at;
  uint64_t to = at;
  if (r.pending.message == nullptr || r.pending.offset() != at) {
    if (!pass_damage(r, at, end, to)) return from;
  } else {
    to = pass_damaged_records(r, until);
  }
  ++lost_places_;
  lost_records_ += to - at;
  r.damage.reset();
  r.from = to;
  return to;
}

/// Of single ones, whose places are known.
uint64_t KafkaLog::pass_damaged_records(Reader& r, Time until) {
  while (true) {
    Message taken;
    LogStatus status = LogStatus::kOk;
    const Step step = next_record(r, taken, status, until);
    if (step == Step::kDamaged) {
      r.next = taken.offset() + 1;
      continue;
    }
    if (step == Step::kNothing && !at_end(r) && Clock::now() < until) continue;
    if (step == Step::kRecord) r.pending = std::move(taken);
    return r.next;
  }
}

/// What the brokers have at `offset`; kRecord: the first record from there on is at `found`.
KafkaLog::Probe KafkaLog::probe(Reader& r, uint64_t offset, uint64_t& found, Time until) {
  if (!start(r, offset)) return Probe::kUnknown;
  while (Clock::now() < until) {
    Message taken(rd_kafka_consume(r.topic->handle, r.partition, std::clamp(left_ms(until), 1, 200)));
    if (taken.message == nullptr) continue;
    if (is_damage(taken.message->err)) return Probe::kDamage;
    switch (taken.message->err) {
      case RD_KAFKA_RESP_ERR_NO_ERROR:
        if (taken.offset() < offset) continue;
        found = taken.offset();
        return Probe::kRecord;
      case RD_KAFKA_RESP_ERR__PARTITION_EOF: return Probe::kEnd;
      case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
      case RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE: return Probe::kUnknown;
      default: break;
    }
  }
  // Nothing is said of octets that make no sense. If the brokers answer otherwise it is that.
  return query(static_cast<uint32_t>(r.partition), true, deadline()) ? Probe::kDamage : Probe::kUnknown;
}

/// Records come in batches, and from any offset of a damaged one the brokers give the whole of it. So the first offset
/// from which there is something else is searched. False: the brokers do not answer.
bool KafkaLog::pass_damage(Reader& r, uint64_t offset, uint64_t end, uint64_t& found) {
  const auto until = Clock::now() + kPassTimeout;
  uint64_t damaged = offset, good = end;
  found = end;
  bool readable = false;
  const auto look = [&](uint64_t at, milliseconds timeout) {
    uint64_t record = 0;
    const Probe there = Clock::now() < until ? probe(r, at, record, Clock::now() + timeout) : Probe::kUnknown;
    readable = there == Probe::kRecord || there == Probe::kEnd;
    if (readable) {
      good = at;
      found = there == Probe::kRecord ? record : end;
    } else {
      damaged = at;
    }
    return there != Probe::kUnknown;
  };
  for (uint64_t step = 1; !readable && damaged + step < end; step *= 2) {  // Further and further, until there is one.
    if (!look(damaged + step, kProbeTimeout)) return false;
  }
  while (true) {
    while (good - damaged > 1) {  // Then back to the first one.
      if (!look(damaged + (good - damaged) / 2, kProbeTimeout)) return false;
    }
    if (damaged == offset) break;
    // Brokers that are slow look like damage. The last of it is looked at with more patience.
    if (!look(damaged, kProofTimeout)) return false;
    if (!readable) break;
    damaged = offset;
  }
  stop(r);
  return true;
}

void KafkaLog::trim(uint32_t partition, uint64_t offset) {
  assert(partition < partition_count());
  Reader& r = *readers_[partition];
  if (offset <= r.begin) return;
  if (now_ms() < trim_again_ms_) {
    ++trims_refused_;
    return;
  }
  const auto until = deadline();
  if (offset > r.end) offset = std::min(offset, query(partition, true, until).value_or(r.end));
  if (offset <= r.begin) return;
  const KafkaClient client = connection_->consumer();
  rd_kafka_topic_partition_list_t* list = rd_kafka_topic_partition_list_new(1);
  rd_kafka_topic_partition_list_add(list, options_.name.c_str(), r.partition)->offset = static_cast<int64_t>(offset);
  rd_kafka_DeleteRecords_t* asked = rd_kafka_DeleteRecords_new(list);
  rd_kafka_topic_partition_list_destroy(list);
  rd_kafka_AdminOptions_t* options = rd_kafka_AdminOptions_new(client.get(), RD_KAFKA_ADMIN_OP_DELETERECORDS);
  rd_kafka_AdminOptions_set_request_timeout(options, std::max(left_ms(until), 1), nullptr, 0);
  rd_kafka_queue_t* queue = rd_kafka_queue_new(client.get());
  rd_kafka_DeleteRecords(client.get(), &asked, 1, options, queue);
  rd_kafka_event_t* event = rd_kafka_queue_poll(queue, left_ms(until) + 500);
  rd_kafka_resp_err_t error = event == nullptr ? RD_KAFKA_RESP_ERR__TIMED_OUT : rd_kafka_event_error(event);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
    const auto* result = rd_kafka_event_DeleteRecords_result(event);
    const auto* offsets = result == nullptr ? nullptr : rd_kafka_DeleteRecords_result_offsets(result);
    if (offsets != nullptr && offsets->cnt == 1) {
      error = offsets->elems[0].err;
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR && offsets->elems[0].offset >= 0)
        raise(r.begin, static_cast<uint64_t>(offsets->elems[0].offset));
    }
  }
  if (event != nullptr) rd_kafka_event_destroy(event);
  rd_kafka_queue_destroy(queue);
  rd_kafka_AdminOptions_destroy(options);
  rd_kafka_DeleteRecords_destroy(asked);
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) return;
  connection_->set_last_error(fmt::format("trim of {} [{}]: {}", options_.name, partition, rd_kafka_err2str(error)));
  if (is_refusal(error)) {
    ++trims_refused_;
    trim_again_ms_ = now_ms() + kTrimPause.count();
  } else {
    ++trim_failures_;
  }
}

KafkaLogFaults KafkaLog::faults() const {
  KafkaLogFaults faults;
  faults.append_failures = append_failures_;
  faults.append_full = append_full_;
  faults.read_failures = read_failures_;
  faults.query_failures = query_failures_;
  faults.trims_refused = trims_refused_;
  faults.trim_failures = trim_failures_;
  faults.lost_records = lost_records_;
  faults.lost_places = lost_places_;
  faults.foreign_records = foreign_records_;
  faults.repeats_dropped = repeats_dropped_;
  faults.producers_replaced = connection_->producers_replaced();
  faults.consumers_replaced = connection_->consumers_replaced();
  faults.last_error = connection_->last_error();
  return faults;
}

}  // namespace backstream::transport
