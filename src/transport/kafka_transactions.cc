#include "transport/kafka_transactions.h"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <cassert>
#include <thread>
#include <utility>

#include "transport/kafka_topic.h"

namespace backstream::transport {
namespace {

using base::fail;
using base::Result;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kRetryPause{50};
constexpr milliseconds kAbortTimeout{2'000};  // For those who wait at it; the next writer does it, too.
constexpr milliseconds kReportGrace{1'000};
constexpr std::string_view kTestSuffix = ".test";

int left_ms(Clock::time_point until) {
  const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 1, INT32_MAX));
}

template <auto kFunction>
struct Call {
  template <typename T>
  void operator()(T* of) const {
    kFunction(of);
  }
};
using Error = std::unique_ptr<rd_kafka_error_t, Call<rd_kafka_error_destroy>>;
using List = std::unique_ptr<rd_kafka_topic_partition_list_t, Call<rd_kafka_topic_partition_list_destroy>>;

/// Where the place stands.
List place_list(const std::string& topic, int64_t offset) {
  List list(rd_kafka_topic_partition_list_new(1));
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), 0)->offset = offset;
  return list;
}

bool is_too_large(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE || error == RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE ||
         error == RD_KAFKA_RESP_ERR_INVALID_MSG_SIZE;
}

bool is_superseded(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR__FENCED || error == RD_KAFKA_RESP_ERR_PRODUCER_FENCED ||
         error == RD_KAFKA_RESP_ERR_INVALID_PRODUCER_EPOCH;
}

/// The broker has not said what became of the record.
bool is_open(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR__MSG_TIMED_OUT || error == RD_KAFKA_RESP_ERR__PURGE_INFLIGHT ||
         error == RD_KAFKA_RESP_ERR__TIMED_OUT || error == RD_KAFKA_RESP_ERR__TRANSPORT;
}

const char* code_of(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_POLICY_VIOLATION: return "42501";
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION: return "42704";
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
    case RD_KAFKA_RESP_ERR_INVALID_TRANSACTION_TIMEOUT:
    case RD_KAFKA_RESP_ERR__UNSUPPORTED_FEATURE:
    case RD_KAFKA_RESP_ERR_UNSUPPORTED_FOR_MESSAGE_FORMAT: return "42000";
    case RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR: return "53100";
    case RD_KAFKA_RESP_ERR__AUTHENTICATION:
    case RD_KAFKA_RESP_ERR_SASL_AUTHENTICATION_FAILED: return "28000";
    default: return "08006";
  }
}

tl::unexpected<base::Diagnostic> refused(const KafkaConnection& connection, const KafkaTransactions::Options& options,
                                         rd_kafka_resp_err_t error, std::string_view text) {
  const KafkaOptions& client = connection.options();
  std::string hint;
  switch (error) {
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
      hint = kafka_acls_command(client, "Write --operation Read", "topic", options.topic.name);
      break;
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
      hint = kafka_acls_command(client, "Read", "group", options.name);
      break;
    case RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      hint = kafka_acls_command(client, "Write", "transactional-id", client.transactional_id);
      break;
    case RD_KAFKA_RESP_ERR_INVALID_RECORD:
      hint = "a topic with compaction takes no rows without a key: " +
             kafka_command(client, "kafka-configs",
                           fmt::format("--entity-type topics --entity-name {} --alter --add-config "
                                       "cleanup.policy=delete",
                                       options.topic.name));
      break;
    default: break;
  }
  const bool credentials = connection.credentials_refused() && std::string_view(code_of(error)) == "08006";
  if (credentials) hint = kafka_credentials_hint(client);
  if (is_superseded(error))
    hint = fmt::format("another process writes as '{}': each node has a node.name of its own", options.name);
  const std::string last = connection.last_error();
  return fail(credentials ? "28000" : code_of(error),
              fmt::format("topic '{}': {}{}", options.topic.name, text,
                          last.empty() || text.find(last) != std::string_view::npos ? "" : fmt::format(" ({})", last)),
              {}, std::move(hint));
}

/// Once transactions of before have ended.
Result<std::optional<uint64_t>> read_place(const KafkaConnection& connection, const KafkaTransactions::Options& options,
                                           Clock::time_point until) {
  const KafkaClient client = connection.consumer();
  while (true) {
    const List asked = place_list(options.topic.name, RD_KAFKA_OFFSET_INVALID);
    rd_kafka_ListConsumerGroupOffsets_t* of = rd_kafka_ListConsumerGroupOffsets_new(options.name.c_str(), asked.get());
    rd_kafka_AdminOptions_t* admin =
        rd_kafka_AdminOptions_new(client.get(), RD_KAFKA_ADMIN_OP_LISTCONSUMERGROUPOFFSETS);
    rd_kafka_AdminOptions_set_request_timeout(admin, left_ms(until), nullptr, 0);
    rd_kafka_error_t* const unstable = rd_kafka_AdminOptions_set_require_stable_offsets(admin, 1);
    assert(unstable == nullptr);
    rd_kafka_queue_t* queue = rd_kafka_queue_new(client.get());
    rd_kafka_ListConsumerGroupOffsets(client.get(), &of, 1, admin, queue);
    const std::unique_ptr<rd_kafka_event_t, Call<rd_kafka_event_destroy>> event(
        rd_kafka_queue_poll(queue, left_ms(until) + 500));
    rd_kafka_queue_destroy(queue);
    rd_kafka_AdminOptions_destroy(admin);
    rd_kafka_ListConsumerGroupOffsets_destroy(of);
    rd_kafka_resp_err_t error = event ? rd_kafka_event_error(event.get()) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    const rd_kafka_topic_partition_t* found = nullptr;
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR) {
      size_t count = 0;
      const auto* result = rd_kafka_event_ListConsumerGroupOffsets_result(event.get());
      const auto* const* groups = rd_kafka_ListConsumerGroupOffsets_result_groups(result, &count);
      if (const auto* wrong = count == 1 ? rd_kafka_group_result_error(groups[0]) : nullptr; wrong != nullptr)
        error = rd_kafka_error_code(wrong);
      const auto* list = count == 1 ? rd_kafka_group_result_partitions(groups[0]) : nullptr;
      if (list != nullptr && list->cnt == 1) found = &list->elems[0];
      if (found != nullptr && error == RD_KAFKA_RESP_ERR_NO_ERROR) error = found->err;
    }
    if (error == RD_KAFKA_RESP_ERR_NO_ERROR && found != nullptr)
      return found->offset < 0 ? std::nullopt : std::optional(static_cast<uint64_t>(found->offset));
    const bool stays = std::string_view(code_of(error)) != "08006";
    if (stays || Clock::now() + kRetryPause >= until)
      return refused(connection, options, error,
                     fmt::format("the place of '{}' cannot be had: {}", options.name, rd_kafka_err2str(error)));
    std::this_thread::sleep_for(kRetryPause);
  }
}

/// Shuts out who had the name before.
Result<void> begin_to_be(const KafkaConnection& connection, const KafkaTransactions::Options& options,
                         const KafkaClient& producer, Clock::time_point until) {
  while (true) {
    const Error error(rd_kafka_init_transactions(producer.get(), left_ms(until)));
    if (error == nullptr) return {};
    auto code = rd_kafka_error_code(error.get());
    if (code == RD_KAFKA_RESP_ERR__FATAL) code = rd_kafka_fatal_error(producer.get(), nullptr, 0);
    if (rd_kafka_error_is_retriable(error.get()) != 0 && Clock::now() + kRetryPause < until) {
      std::this_thread::sleep_for(kRetryPause);
      continue;
    }
    return refused(connection, options, code,
                   fmt::format("no transactions as '{}': {}", connection.options().transactional_id,
                               rd_kafka_error_string(error.get())));
  }
}

}  // namespace

/// The records of one write().
struct KafkaTransactions::Batch {
  explicit Batch(size_t count) : deliveries(std::make_shared<KafkaDeliveries>(count)) { octets.reserve(count); }
  const std::shared_ptr<KafkaDeliveries> deliveries;
  std::vector<size_t> octets;  ///< of each that was taken
};

Result<std::shared_ptr<KafkaConnection>> KafkaTransactions::connect(const Options& options, const std::string& name) {
  KafkaOptions client = options.client;
  client.transactional_id = name;
  client.group = options.name;
  return KafkaConnection::open(std::move(client));
}

KafkaTransactions::KafkaTransactions(const Options& options, std::shared_ptr<KafkaConnection> connection)
    : options_(options), connection_(std::move(connection)) {}

Result<std::unique_ptr<KafkaTransactions>> KafkaTransactions::open(const Options& options) {
  auto connection = connect(options, options.name);
  if (!connection) return tl::unexpected(std::move(connection.error()));
  std::unique_ptr<KafkaTransactions> made(new KafkaTransactions(options, std::move(*connection)));
  KafkaConnection& to = *made->connection_;
  const auto until = Clock::now() + options.client.request_timeout;
  if (auto found = find_or_make_kafka_topic(to, options.topic, until); !found)
    return tl::unexpected(std::move(found.error()));
  const KafkaClient producer = to.producer();
  if (auto begun = begin_to_be(to, options, producer, until); !begun) return tl::unexpected(std::move(begun.error()));
  auto place = read_place(to, options, until);
  if (!place) return tl::unexpected(std::move(place.error()));
  made->place_ = *place;
  made->topic_ = std::make_unique<KafkaTopicHandle>(producer, options.topic.name);
  // The first record need not wait until the partitions are known, which can be a second.
  const rd_kafka_metadata_t* metadata = nullptr;
  if (rd_kafka_metadata(producer.get(), 0, made->topic_->handle, &metadata, left_ms(until)) ==
      RD_KAFKA_RESP_ERR_NO_ERROR)
    rd_kafka_metadata_destroy(metadata);
  return made;
}

KafkaTransactions::~KafkaTransactions() {
  if (!is_begun_) return;
  // What may be on its way could come behind the end of the transaction, and begin another that nobody ends.
  const bool told = std::all_of(batches_.begin(), batches_.end(), [](const auto& batch) {
    const auto slots = batch->deliveries->slots();
    return std::all_of(
        slots.begin(), slots.begin() + static_cast<std::ptrdiff_t>(batch->octets.size()),
        [](const auto& slot) { return slot.reported && !is_open(static_cast<rd_kafka_resp_err_t>(slot.error)); });
  });
  if (told)
    const Error ignored(rd_kafka_abort_transaction(topic_->client.get(), static_cast<int>(kAbortTimeout.count())));
}

Result<void> KafkaTransactions::begin() {
  if (is_begun_) return {};
  const Error error(rd_kafka_begin_transaction(topic_->client.get()));
  if (error) return refuse(rd_kafka_error_code(error.get()), rd_kafka_error_string(error.get()));
  is_begun_ = true;
  return {};
}

tl::unexpected<base::Diagnostic> KafkaTransactions::refuse(int error, std::string_view text) const {
  auto code = static_cast<rd_kafka_resp_err_t>(error);
  if (code == RD_KAFKA_RESP_ERR__FATAL) code = rd_kafka_fatal_error(topic_->client.get(), nullptr, 0);
  return refused(*connection_, options_, code, text);
}

/// What became of the records says more than that the transaction failed.
tl::unexpected<base::Diagnostic> KafkaTransactions::refuse_write(int error, std::string text) const {
  if (error == RD_KAFKA_RESP_ERR__STATE) {  // It has failed already. Another cannot be begun, and that says why.
    const Error why(rd_kafka_begin_transaction(topic_->client.get()));
    if (why) {
      error = rd_kafka_error_code(why.get());
      text = rd_kafka_error_string(why.get());
    }
  }
  struct Refused {
    rd_kafka_resp_err_t error;
    size_t octets;
  };
  const auto find = [&]() -> std::optional<Refused> {
    for (const auto& batch : batches_) {
      const auto slots = batch->deliveries->slots();
      for (size_t i = 0; i < batch->octets.size(); ++i) {
        const auto of = static_cast<rd_kafka_resp_err_t>(slots[i].error);
        if (slots[i].reported && of != RD_KAFKA_RESP_ERR_NO_ERROR && of != RD_KAFKA_RESP_ERR__PURGE_QUEUE)
          return Refused{of, batch->octets[i]};
      }
    }
    return std::nullopt;
  };
  auto record = find();
  // The transaction is told to have failed before the records are.
  for (const auto until = Clock::now() + kReportGrace;
       !record && is_too_large(static_cast<rd_kafka_resp_err_t>(error)) && Clock::now() < until; record = find())
    std::this_thread::sleep_for(kRetryPause);
  if (!record) return refuse(error, text);
  if (!is_too_large(record->error)) return refuse(record->error, rd_kafka_err2str(record->error));
  const std::string& topic = options_.topic.name;
  // One that is larger than a batch was alone in its own.
  if (record->octets > KafkaOptions::kBatchOctets)
    return fail("22001", fmt::format("topic '{}' takes no record of {} octets", topic, record->octets));
  return fail("42000", fmt::format("topic '{}' does not take batches of {} octets", topic, KafkaOptions::kBatchOctets),
              {},
              kafka_command(connection_->options(), "kafka-configs",
                            fmt::format("--entity-type topics --entity-name {} --alter --add-config "
                                        "max.message.bytes=1048588",
                                        topic)));
}

Result<void> KafkaTransactions::write(std::span<const Record> records) {
  if (auto begun = begin(); !begun) return begun;
  batches_.push_back(std::make_unique<Batch>(records.size()));
  Batch& batch = *batches_.back();
  const auto until = Clock::now() + options_.client.append_timeout;
  for (size_t i = 0; i < records.size(); ++i) {
    const auto& [key, value] = records[i];
    while (true) {
      KafkaDeliveries::Slot* slot = batch.deliveries->expect(i);
      if (rd_kafka_produce(topic_->handle, RD_KAFKA_PARTITION_UA, RD_KAFKA_MSG_F_COPY,
                           value ? const_cast<char*>(value->data()) : nullptr, value ? value->size() : 0,
                           key ? key->data() : nullptr, key ? key->size() : 0, slot) == 0)
        break;
      const rd_kafka_resp_err_t error = rd_kafka_last_error();
      batch.deliveries->forget(i);
      if (error == RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE) {
        return fail("22001", fmt::format("no topic takes a record of {} octets",
                                         (key ? key->size() : 0) + (value ? value->size() : 0)));
      }
      if (error != RD_KAFKA_RESP_ERR__QUEUE_FULL || Clock::now() >= until) {
        return refuse_write(error, rd_kafka_err2str(error));
      }
      // It is full of what this transaction has: of the oldest first.
      const auto waiting =
          std::find_if(batches_.begin(), batches_.end(), [](const auto& one) { return one->deliveries->open() != 0; });
      if (waiting != batches_.end())
        (*waiting)->deliveries->wait((*waiting)->deliveries->open() / 2, Clock::now() + kRetryPause);
    }
    batch.octets.push_back((key ? key->size() : 0) + (value ? value->size() : 0));
  }
  return {};
}

Result<void> KafkaTransactions::commit(uint64_t place) {
  if (auto begun = begin(); !begun) return begun;
  rd_kafka_t* const producer = topic_->client.get();
  const auto until = Clock::now() + options_.client.append_timeout + options_.client.request_timeout;
  const std::unique_ptr<rd_kafka_consumer_group_metadata_t, Call<rd_kafka_consumer_group_metadata_destroy>> group(
      rd_kafka_consumer_group_metadata_new(options_.name.c_str()));
  const List moved = place_list(options_.topic.name, static_cast<int64_t>(place));
  if (const Error error(rd_kafka_send_offsets_to_transaction(producer, moved.get(), group.get(), left_ms(until)));
      error)
    return refuse_write(rd_kafka_error_code(error.get()), rd_kafka_error_string(error.get()));
  if (const Error error(rd_kafka_commit_transaction(producer, left_ms(until))); error)
    return refuse_write(rd_kafka_error_code(error.get()), rd_kafka_error_string(error.get()));
  is_begun_ = false;
  batches_.clear();
  place_ = place;
  return {};
}

Result<KafkaTransactions::Look> KafkaTransactions::look(const Options& options) {
  auto connection = connect(options, options.name + std::string(kTestSuffix));
  if (!connection) return tl::unexpected(std::move(connection.error()));
  const auto until = Clock::now() + options.client.request_timeout;
  Look look;
  for (const std::string& broker : options.client.brokers)
    look.brokers.append(look.brokers.empty() ? "" : ", ").append(broker);
  const auto found = look_for_kafka_topic(**connection, options.topic, until);
  if (!found) return tl::unexpected(found.error());
  look.partitions = *found;
  if (auto begun = begin_to_be(**connection, options, (*connection)->producer(), until); !begun)
    return tl::unexpected(std::move(begun.error()));
  const auto place = read_place(**connection, options, until);
  if (!place) return tl::unexpected(place.error());
  look.place = *place;
  return look;
}

}  // namespace backstream::transport
