#include "transport/kafka_records.h"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <cassert>
#include <deque>
#include <thread>
#include <utility>

namespace backstream::transport {
namespace {

using base::fail;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

// Of rd_kafka_offsets_for_times(): in the protocol these stand for a time and mean the ends of the partition.
constexpr int64_t kBegin = RD_KAFKA_OFFSET_BEGINNING, kEnd = RD_KAFKA_OFFSET_END;

constexpr size_t kFetch = 256;             // Records that are taken of a partition at once.
constexpr milliseconds kPatience{200};     // For a partition that has more, before others are read without it.
constexpr milliseconds kWithoutIt{5'000};  // How long it is not waited for then.
constexpr milliseconds kWakeAfter{10};     // As in kafka_log.cc: a fetcher whose queue was full sleeps up to 1 s.
constexpr milliseconds kWakeTimeout{500};
constexpr milliseconds kRetryPause{20};
constexpr milliseconds kRestartPause{1'000};
constexpr milliseconds kMetadataPause{60'000};
constexpr milliseconds kStallTimeout{60'000};  // Nothing came, though there is more and brokers answer: damage.
constexpr milliseconds kSkipPause{5'000};
constexpr milliseconds kPauseLeast{1}, kPauseMost{8};  // Between two looks at partitions that have nothing.

int left_ms(Clock::time_point until) {
  const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 1, INT32_MAX));
}

struct MessageDelete {
  void operator()(rd_kafka_message_t* message) const { rd_kafka_message_destroy(message); }
};
using MessagePointer = std::unique_ptr<rd_kafka_message_t, MessageDelete>;

int64_t time_of(const rd_kafka_message_t& message) {
  rd_kafka_timestamp_type_t type{};
  const int64_t time = rd_kafka_message_timestamp(&message, &type);
  return type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE ? 0 : time;
}

}  // namespace

struct KafkaRecords::State {
  struct Handle {  // A topic, of a client.
    Handle(KafkaClient of, const std::string& name)
        : client(std::move(of)), topic(rd_kafka_topic_new(client.get(), name.c_str(), nullptr)) {}
    ~Handle() {
      if (topic != nullptr) rd_kafka_topic_destroy(topic);
    }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    const KafkaClient client;
    rd_kafka_topic_t* const topic;
  };
  struct Partition {
    uint32_t topic = 0;
    int32_t number = 0;
    uint64_t next = 0;     ///< behind what was given
    uint64_t fetched = 0;  ///< behind what was fetched
    uint64_t end = 0;      ///< that is known
    bool started = false;
    std::deque<std::pair<int64_t, MessagePointer>> messages;  ///< with their times
    Clock::time_point came{};                                 ///< something, or it was started
    Clock::time_point without{};                              ///< not waited for until then
    Clock::time_point woken{}, restart_at{};
    uint64_t skip = 0;  ///< over so many offsets that cannot be read; 0: over none

    bool at_end() const { return fetched >= end; }
  };

  std::shared_ptr<KafkaConnection> connection;
  KafkaReadOptions options;
  KafkaClient client;
  std::vector<std::unique_ptr<Handle>> handles;  // One a topic.
  std::deque<Partition> partitions;              // A list of messages is not moved.
  std::vector<KafkaReadCounts::Topic> counts;
  std::vector<KafkaRecord> block;
  std::vector<MessagePointer> given;  // Of `block`.
  Clock::time_point metadata_at{};
  Clock::time_point ask_at{};  // Brokers that did not answer are left alone until then.

  ~State() {
    block.clear();
    given.clear();
    for (Partition& p : partitions) stop(p);
  }

  void take_client() {
    client = connection->consumer();
    handles.clear();
    for (const auto& topic : options.topics) handles.push_back(std::make_unique<Handle>(client, topic.name));
  }

  rd_kafka_topic_t* topic_of(const Partition& p) const { return handles[p.topic]->topic; }
  const std::string& name_of(const Partition& p) const { return options.topics[p.topic].name; }

  /// How many partitions the topic has; 0: there is none, or nobody answers (`error`).
  uint32_t partition_count(uint32_t topic, milliseconds timeout, rd_kafka_resp_err_t& error) const {
    const rd_kafka_metadata_t* metadata = nullptr;
    error = rd_kafka_metadata(client.get(), 0, handles[topic]->topic, &metadata, static_cast<int>(timeout.count()));
    if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return 0;
    uint32_t count = 0;
    if (metadata->topic_cnt == 1) {
      error = metadata->topics[0].err;
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) count = static_cast<uint32_t>(metadata->topics[0].partition_cnt);
    }
    rd_kafka_metadata_destroy(metadata);
    return count;
  }

  /// Begin or end of each. False: not all can be had by then.
  bool query(std::span<Partition* const> of, bool end, Clock::time_point until, std::vector<uint64_t>& offsets) const {
    const std::unique_ptr<rd_kafka_topic_partition_list_t, void (*)(rd_kafka_topic_partition_list_t*)> list(
        rd_kafka_topic_partition_list_new(static_cast<int>(of.size())), rd_kafka_topic_partition_list_destroy);
    for (const Partition* p : of) rd_kafka_topic_partition_list_add(list.get(), name_of(*p).c_str(), p->number);
    while (true) {
      for (int i = 0; i < list->cnt; ++i) {
        list->elems[i].offset = end ? kEnd : kBegin;
        list->elems[i].err = RD_KAFKA_RESP_ERR_NO_ERROR;
      }
      const rd_kafka_resp_err_t error = rd_kafka_offsets_for_times(client.get(), list.get(), left_ms(until));
      bool all = error == RD_KAFKA_RESP_ERR_NO_ERROR;
      for (int i = 0; all && i < list->cnt; ++i)
        all = list->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR && list->elems[i].offset >= 0;
      if (all) {
        // The list may have been sorted on the way.
        offsets.assign(of.size(), 0);
        for (size_t i = 0; i < of.size(); ++i) {
          const auto* found = rd_kafka_topic_partition_list_find(list.get(), name_of(*of[i]).c_str(), of[i]->number);
          if (found != nullptr) offsets[i] = static_cast<uint64_t>(found->offset);
        }
        connection->note_consumer(true);
        return true;
      }
      if (Clock::now() + kRetryPause >= until) {
        connection->note_consumer(false);
        return false;
      }
      std::this_thread::sleep_for(kRetryPause);
    }
  }
  std::optional<uint64_t> query(Partition& p, bool end, milliseconds timeout) const {
    std::vector<uint64_t> offsets;
    Partition* one = &p;
    if (!query({&one, 1}, end, Clock::now() + timeout, offsets)) return std::nullopt;
    return offsets[0];
  }

  void stop(Partition& p) {
    p.messages.clear();
    if (!p.started) return;
    rd_kafka_consume_stop(topic_of(p), p.number);
    // What was fetched already must not stay: it would hold the client.
    while (rd_kafka_message_t* message = rd_kafka_consume(topic_of(p), p.number, 0)) rd_kafka_message_destroy(message);
    p.started = false;
  }
  void start(Partition& p, uint64_t offset) {
    stop(p);
    p.fetched = offset;
    p.came = Clock::now();
    if (rd_kafka_consume_start(topic_of(p), p.number, static_cast<int64_t>(offset)) == 0) {
      p.started = true;
      return;
    }
    connection->set_last_error(
        fmt::format("read of {} [{}]: {}", name_of(p), p.number, rd_kafka_err2str(rd_kafka_last_error())));
    p.restart_at = Clock::now() + kRestartPause;
  }

  /// The place is no more, or not yet: old records were removed, or the topic was made anew.
  void place_again(Partition& p) {
    p.restart_at = Clock::now() + kRestartPause;
    const auto begin = query(p, false, kWakeTimeout);
    const auto end = begin ? query(p, true, kWakeTimeout) : std::nullopt;
    if (!end) return;
    if (p.next < *begin) counts[p.topic].lost += *begin - p.next;
    if (p.next < *begin || p.next > *end) p.next = *begin;
    p.end = *end;
    start(p, p.next);
  }

  void on_event(Partition& p, const rd_kafka_message_t& event) {
    if (event.err == RD_KAFKA_RESP_ERR__PARTITION_EOF) {
      p.came = Clock::now();
      connection->note_consumer(true);
      // What lies between is compacted, or marks of transactions.
      p.fetched = std::max(p.fetched, static_cast<uint64_t>(event.offset));
      if (std::exchange(p.skip, 0) != 0) counts[p.topic].lost += p.fetched - p.next;
      if (p.messages.empty()) p.next = p.fetched;
      p.end = p.fetched;
      return;
    }
    ++counts[p.topic].failures;
    connection->note_consumer(false);
    connection->set_last_error(
        fmt::format("read of {} [{}]: {}", name_of(p), p.number, rd_kafka_message_errstr(&event)));
    if (event.err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET || event.err == RD_KAFKA_RESP_ERR_OFFSET_OUT_OF_RANGE)
      place_again(p);
  }

  void look_at_end(Partition& p) const {
    int64_t low = 0, high = 0;
    if (rd_kafka_get_watermark_offsets(client.get(), name_of(p).c_str(), p.number, &low, &high) ==
            RD_KAFKA_RESP_ERR_NO_ERROR &&
        high >= 0)
      p.end = static_cast<uint64_t>(high);
    p.end = std::max(p.end, p.fetched);
  }

  /// What has been fetched of it since.
  void fill(Partition& p) {
    if (!p.started) {
      if (Clock::now() >= p.restart_at) start(p, p.next);
      return;
    }
    rd_kafka_message_t* fetched[kFetch];
    const ssize_t count = rd_kafka_consume_batch(topic_of(p), p.number, 0, fetched, kFetch);
    for (ssize_t i = 0; i < count; ++i) {
      MessagePointer message(fetched[i]);
      if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
        on_event(p, *message);
        continue;
      }
      const auto offset = static_cast<uint64_t>(message->offset);
      // This client gives old ones again when it has moved.
      if (!p.started || offset < p.fetched) continue;
      if (std::exchange(p.skip, 0) != 0) counts[p.topic].lost += offset - p.next;
      p.fetched = offset + 1;
      const int64_t time = time_of(*message);
      p.messages.emplace_back(time, std::move(message));
    }
    if (count <= 0) return;
    p.came = Clock::now();
    connection->note_consumer(true);
  }

  /// Of a partition that has more, and gives nothing: its fetcher is woken up, and what cannot be read is passed over.
  void tend(Partition& p) {
    const auto now = Clock::now();
    if (!p.started || now < ask_at || now - p.came < kWakeAfter || now - p.woken < kWakeAfter * 5) return;
    p.woken = now;
    const auto end = query(p, true, kWakeTimeout);
    if (!end) {
      ask_at = Clock::now() + kRestartPause;
      return;
    }
    p.end = *end;
    if (p.at_end() || now - p.came < (p.skip == 0 ? kStallTimeout : kSkipPause)) return;
    p.skip = p.skip == 0 ? 1 : p.skip * 2;
    start(p, std::min(p.next + p.skip, *end));
  }

  void find_partitions() {
    metadata_at = Clock::now();
    for (uint32_t t = 0; t < handles.size(); ++t) {
      rd_kafka_resp_err_t error{};
      const uint32_t count = partition_count(t, kWakeTimeout, error);
      if (error == RD_KAFKA_RESP_ERR_NO_ERROR) connection->note_consumer(true);
      add_partitions(t, count);
    }
  }
  /// Those that are not there yet.
  size_t add_partitions(uint32_t topic, uint32_t count) {
    const auto& of = options.topics[topic];
    size_t added = 0;
    for (uint32_t number = of.first_partition; number < count && number <= of.last_partition; ++number) {
      const bool known = std::any_of(partitions.begin(), partitions.end(), [&](const Partition& p) {
        return p.topic == topic && p.number == static_cast<int32_t>(number);
      });
      if (known) continue;
      Partition& p = partitions.emplace_back();
      p.topic = topic;
      p.number = static_cast<int32_t>(number);
      ++counts[topic].partitions;
      ++added;
    }
    return added;
  }

  void replace_client() {
    for (Partition& p : partitions) stop(p);
    take_client();
    for (Partition& p : partitions) start(p, p.next);
  }

  /// True: there is something to give, and nobody has to be waited for.
  bool gather() {
    const auto now = Clock::now();
    bool any = false, waits = false;
    for (Partition& p : partitions) {
      if (p.messages.empty()) {
        fill(p);
        if (p.messages.empty()) look_at_end(p);
      }
      if (!p.messages.empty()) {
        any = true;
        continue;
      }
      if (p.at_end()) {
        p.came = now;  // Nothing has to come.
        continue;
      }
      tend(p);
      if (now < p.without || !p.started) continue;
      if (now - p.came > kPatience) p.without = now + kWithoutIt;
      else waits = true;
    }
    return any && !waits;
  }

  bool give() {
    size_t octets = 0;
    while (block.size() < options.block_records && octets < options.block_octets) {
      Partition* oldest = nullptr;
      for (Partition& p : partitions) {
        if (p.messages.empty()) continue;
        if (oldest == nullptr || p.messages.front().first < oldest->messages.front().first) oldest = &p;
      }
      if (oldest == nullptr) break;
      auto [time, message] = std::move(oldest->messages.front());
      oldest->messages.pop_front();
      KafkaRecord& record = block.emplace_back();
      record.topic = oldest->topic;
      record.partition = static_cast<uint32_t>(oldest->number);
      record.offset = static_cast<uint64_t>(message->offset);
      record.time_ms = time;
      record.value = {static_cast<const uint8_t*>(message->payload), message->payload == nullptr ? 0 : message->len};
      oldest->next = record.offset + 1;
      octets += record.value.size();
      ++counts[oldest->topic].records;
      counts[oldest->topic].octets += record.value.size();
      given.push_back(std::move(message));
      // Records of others may be newer than its next one.
      if (oldest->messages.empty()) break;
    }
    return !block.empty();
  }
};

base::Result<std::unique_ptr<KafkaRecords>> KafkaRecords::open(std::shared_ptr<KafkaConnection> connection,
                                                               const KafkaReadOptions& options) {
  assert(connection != nullptr);
  auto state = std::make_unique<State>();
  State& s = *state;
  s.connection = std::move(connection);
  s.options = options;
  s.counts.resize(options.topics.size());
  s.take_client();
  const auto until = Clock::now() + s.connection->options().request_timeout;
  for (uint32_t t = 0; t < options.topics.size(); ++t) {
    const std::string& name = options.topics[t].name;
    rd_kafka_resp_err_t error{};
    uint32_t count = 0;
    do {
      count = s.partition_count(t, milliseconds(std::min(left_ms(until), 2'000)), error);
    } while (count == 0 && error != RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART && Clock::now() + kRetryPause < until &&
             (std::this_thread::sleep_for(kRetryPause), true));
    if (error == RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART)
      return fail("42704", fmt::format("there is no topic '{}'", name), {}, "who produces flows makes it");
    if (count == 0) {
      const std::string last = s.connection->last_error();
      const bool refused = error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED;
      return fail(refused ? "42501" : "08001",
                  fmt::format("topic '{}' cannot be read: {}", name, last.empty() ? rd_kafka_err2str(error) : last));
    }
    if (s.add_partitions(t, count) == 0) {
      return fail("42704", fmt::format("topic '{}' has {} partitions, none from {} on", name, count,
                                       options.topics[t].first_partition));
    }
  }
  s.metadata_at = Clock::now();
  std::vector<State::Partition*> all;
  for (State::Partition& p : s.partitions) all.push_back(&p);
  std::vector<uint64_t> begins, ends;
  if (!s.query(all, false, until, begins) || !s.query(all, true, until, ends)) {
    return fail("08001", fmt::format("the ends of topic '{}' cannot be had: {}", options.topics[0].name,
                                     s.connection->last_error()));
  }
  for (size_t i = 0; i < all.size(); ++i) {
    State::Partition& p = *all[i];
    p.next = options.from_begin ? begins[i] : ends[i];
    p.end = ends[i];
    for (const KafkaPlace& place : options.places) {
      if (place.topic == s.name_of(p) && static_cast<int32_t>(place.partition) == p.number) p.next = place.next;
    }
    if (p.next < begins[i]) s.counts[p.topic].lost += begins[i] - p.next;
    if (p.next < begins[i] || p.next > ends[i]) p.next = begins[i];  // Beyond the end: the topic was made anew.
    s.start(p, p.next);
  }
  return std::unique_ptr<KafkaRecords>(new KafkaRecords(std::move(state)));
}

KafkaRecords::KafkaRecords(std::unique_ptr<State> state) : state_(std::move(state)) {}
KafkaRecords::~KafkaRecords() = default;

std::span<const KafkaRecord> KafkaRecords::read(std::chrono::milliseconds wait) {
  State& s = *state_;
  s.block.clear();
  s.given.clear();
  const auto until = Clock::now() + wait;
  if (s.connection->consumer() != s.client) s.replace_client();
  if (Clock::now() - s.metadata_at > kMetadataPause) s.find_partitions();
  for (auto pause = kPauseLeast;; pause = std::min(pause * 2, kPauseMost)) {
    if (s.gather() && s.give()) return s.block;
    if (Clock::now() >= until) break;
    std::this_thread::sleep_for(pause);
  }
  return {};
}

std::vector<KafkaPlace> KafkaRecords::places() const {
  std::vector<KafkaPlace> places;
  for (const State::Partition& p : state_->partitions)
    places.push_back({state_->name_of(p), static_cast<uint32_t>(p.number), p.next});
  return places;
}

KafkaReadCounts KafkaRecords::counts() const {
  KafkaReadCounts counts;
  counts.topics = state_->counts;
  for (const State::Partition& p : state_->partitions)
    counts.topics[p.topic].behind += p.end > p.next ? p.end - p.next : 0;
  counts.last_error = state_->connection->last_error();
  return counts;
}

}  // namespace backstream::transport
