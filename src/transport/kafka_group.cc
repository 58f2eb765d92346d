#include "transport/kafka_group.h"

#include <fmt/format.h>
#include <librdkafka/rdkafka.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cassert>
#include <condition_variable>
#include <mutex>
#include <string_view>
#include <thread>
#include <utility>

#include "transport/kafka_client.h"
#include "transport/kafka_connection.h"

namespace backstream::transport {
namespace {

using base::fail;
using base::Result;
using Clock = std::chrono::steady_clock;
using Level = KafkaNotice::Level;
using std::chrono::milliseconds;
using ListPointer = std::unique_ptr<rd_kafka_topic_partition_list_t, void (*)(rd_kafka_topic_partition_list_t*)>;

constexpr milliseconds kServePause{20};
constexpr milliseconds kTimeoutMin{100}, kTimeoutMax{3'600'000};  // librdkafka's own are wider.
constexpr milliseconds kLeaveTimeout{5'000};  // For brokers to be told; those that are not wait for the session's end.
constexpr milliseconds kRetryPause{1'000};    // After a client could not be made.

int64_t now_ms() { return std::chrono::duration_cast<milliseconds>(Clock::now().time_since_epoch()).count(); }

int left_ms(Clock::time_point until) {
  const auto left = std::chrono::duration_cast<milliseconds>(until - Clock::now()).count();
  return static_cast<int>(std::clamp<int64_t>(left, 0, INT32_MAX));
}

ListPointer make_list() { return {rd_kafka_topic_partition_list_new(1), rd_kafka_topic_partition_list_destroy}; }

ListPointer list_of(const std::string& topic, uint32_t partition, int64_t offset) {
  ListPointer list = make_list();
  rd_kafka_topic_partition_list_add(list.get(), topic.c_str(), static_cast<int32_t>(partition))->offset = offset;
  return list;
}

bool is_superseded(rd_kafka_resp_err_t error) {
  return error == RD_KAFKA_RESP_ERR_ILLEGAL_GENERATION || error == RD_KAFKA_RESP_ERR_UNKNOWN_MEMBER_ID ||
         error == RD_KAFKA_RESP_ERR_REBALANCE_IN_PROGRESS || error == RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID ||
         error == RD_KAFKA_RESP_ERR__ASSIGNMENT_LOST || error == RD_KAFKA_RESP_ERR__FATAL;
}

const char* code_of(rd_kafka_resp_err_t error) {
  switch (error) {
    case RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED: return "42501";
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART: return "42704";
    default: return is_superseded(error) ? "55000" : "08001";
  }
}

/// A client, and the answers to its commits.
struct Member {
  explicit Member(KafkaClient of) : client(std::move(of)), commits(rd_kafka_queue_new(client.get())) {}
  ~Member() { rd_kafka_queue_destroy(commits); }
  Member(const Member&) = delete;
  Member& operator=(const Member&) = delete;

  const KafkaClient client;
  rd_kafka_queue_t* const commits;
  bool answer_is_due = false;  // Of who commits.

  /// Nothing: none by then.
  std::optional<rd_kafka_resp_err_t> take_answer(Clock::time_point until) {
    const std::unique_ptr<rd_kafka_event_t, void (*)(rd_kafka_event_t*)> event(
        rd_kafka_queue_poll(commits, left_ms(until)), rd_kafka_event_destroy);
    if (event == nullptr) return std::nullopt;
    answer_is_due = false;
    const auto* list = rd_kafka_event_topic_partition_list(event.get());
    if (list != nullptr && list->cnt == 1 && list->elems[0].err != RD_KAFKA_RESP_ERR_NO_ERROR)
      return list->elems[0].err;
    return rd_kafka_event_error(event.get());
  }
};

}  // namespace

struct KafkaGroup::State {
  explicit State(Options of) : options(std::move(of)) {}

  const Options options;
  std::atomic<int64_t> tick_ms{0};
  std::atomic<int64_t> callback_ms{0};  // When the callback that runs was called; 0: none runs.
  std::atomic<bool> stop{false};

  mutable std::mutex mutex;
  std::shared_ptr<Member> member;  // Under mutex, as what follows; null: no client could be made.
  std::vector<uint32_t> owned;     // What commit() may move.
  Status status;

  std::condition_variable commit_ended;
  bool commits = false;  // Under mutex: one is at it.

  // The group's thread only.
  KafkaLines lines;
  bool subscribed = false, leaving = false, fatal = false;
  bool assigned = false;          // assigned() was called, and no revoked() since.
  Clock::time_point progress_at;  // When the client was made, or it last had a share.

  KafkaClosings closings;
  std::thread thread;

  Result<void> make();
  void run();
  void subscribe(const Member& of);
  void serve(const Member& of);
  void leave();
  void close(const Member& of);
  void take(std::vector<uint32_t> partitions);
  void withdraw(bool lost);
  void tell_missing_right(rd_kafka_resp_err_t error);
  template <typename Callback>
  void call(const Callback& callback);

  /// To commit, one at a time.
  struct Turn {
    Turn(State& of, Clock::time_point until) : state(of) {
      std::unique_lock lock(state.mutex);
      is_ours = state.commit_ended.wait_until(lock, until, [&] { return !state.commits; });
      if (is_ours) state.commits = true;
    }
    ~Turn() {
      if (!is_ours) return;
      const std::lock_guard lock(state.mutex);
      state.commits = false;
      state.commit_ended.notify_one();
    }
    Turn(const Turn&) = delete;
    Turn& operator=(const Turn&) = delete;

    State& state;
    bool is_ours = false;
  };

  bool owner_is_alive() const { return now_ms() - tick_ms < options.owner_timeout.count(); }
  bool is_stuck() const {
    const int64_t since = callback_ms;
    return since != 0 && now_ms() - since > options.owner_timeout.count();
  }
  std::shared_ptr<Member> current() const {
    const std::lock_guard lock(mutex);
    return member;
  }
  bool is_joined() const {
    const std::lock_guard lock(mutex);
    return status.joined;
  }
  /// Until a group that does not let us in is tried with another client: 2.0.2 can keep on asking a broker that is
  /// gone, but a member whose callback runs may hold up the others, too.
  Clock::duration patience() const { return KafkaConnection::kProgressTimeout + options.owner_timeout; }
  void set_last_error(std::string text) {
    const std::lock_guard lock(mutex);
    status.last_error = std::move(text);
  }
  static void rebalance_callback(rd_kafka_t* handle, rd_kafka_resp_err_t error,
                                 rd_kafka_topic_partition_list_t* partitions, void* self);
  static void log_callback(const rd_kafka_t* handle, int level, const char* facility, const char* text);
  static void error_callback(rd_kafka_t* handle, int error, const char* reason, void* self);
  static int stats_callback(rd_kafka_t* handle, char* json, size_t octets, void* self);
};

Result<void> KafkaGroup::State::make() {
  KafkaConf conf = make_kafka_conf();
  const auto set = [&](const char* name, const std::string& value) { set_kafka_property(conf.get(), name, value); };
  set_common_kafka_properties(conf.get(), options.client);
  set("group.id", options.group);
  // Of librdkafka 2.0.2 the only one without a fault; no group.instance.id: a member that ends is to be missed at once.
  set("partition.assignment.strategy", "range");
  set("session.timeout.ms", std::to_string(options.session_timeout.count()));
  set("heartbeat.interval.ms", std::to_string(std::max<int64_t>(options.session_timeout.count() / 3, 1)));
  // So long brokers wait for a member whose callback runs.
  set("max.poll.interval.ms", std::to_string(std::max(options.owner_timeout, options.session_timeout).count()));
  set("enable.auto.commit", "false");
  set("enable.auto.offset.store", "false");
  set("auto.offset.reset", "error");
  set("isolation.level", "read_uncommitted");
  set_operators_kafka_properties(conf.get(), options.client);
  rd_kafka_conf_set_opaque(conf.get(), this);
  rd_kafka_conf_set_rebalance_cb(conf.get(), rebalance_callback);
  rd_kafka_conf_set_log_cb(conf.get(), log_callback);
  rd_kafka_conf_set_error_cb(conf.get(), error_callback);
  rd_kafka_conf_set_stats_cb(conf.get(), stats_callback);
  std::array<char, 512> error{};
  rd_kafka_t* handle = rd_kafka_new(RD_KAFKA_CONSUMER, conf.get(), error.data(), error.size());
  if (handle == nullptr) return fail("22023", fmt::format("Kafka client: {}", error.data()));
  conf.release();  // NOLINT(bugprone-unused-return-value): the handle has it now.
  rd_kafka_set_log_queue(handle, nullptr);
  rd_kafka_poll_set_consumer(handle);
  auto made = std::make_shared<Member>(KafkaClient(handle, [this](rd_kafka_s* closed) { closings.close(closed); }));
  progress_at = Clock::now();
  fatal = false;
  const std::lock_guard lock(mutex);
  member = std::move(made);
  return {};
}

void KafkaGroup::State::run() {
  while (!stop) {
    const std::shared_ptr<Member> of = current();
    if (of == nullptr) {
      std::this_thread::sleep_for(kServePause);
      if (Clock::now() - progress_at < kRetryPause) continue;
      progress_at = Clock::now();
      if (auto made = make(); !made) set_last_error(made.error().message);
      continue;
    }
    if (!subscribed && owner_is_alive()) subscribe(*of);
    serve(*of);
    if (is_joined() || !subscribed) progress_at = Clock::now();
    const char* why = nullptr;
    if (subscribed && !owner_is_alive()) why = "nothing was heard of its owner";
    else if (fatal) why = "the client is of no use any more";
    else if (Clock::now() - progress_at > patience()) why = "brokers do not let it in";
    if (why != nullptr) {
      give_kafka_notice(options.client, Level::kWarning, fmt::format("group '{}' is left: {}", options.group, why));
      leave();
    }
    closings.reap();
  }
  withdraw(false);
  if (const std::shared_ptr<Member> of = current()) close(*of);
}

void KafkaGroup::State::subscribe(const Member& of) {
  const ListPointer list = list_of(options.topic, RD_KAFKA_PARTITION_UA, RD_KAFKA_OFFSET_INVALID);
  const rd_kafka_resp_err_t error = rd_kafka_subscribe(of.client.get(), list.get());
  if (error == RD_KAFKA_RESP_ERR_NO_ERROR) subscribed = true;
  else set_last_error(fmt::format("group '{}': {}", options.group, rd_kafka_err2str(error)));
}

void KafkaGroup::State::serve(const Member& of) {
  // Without waiting in it: 2.0.2 would take a callback that it calls for a part of the wait, and never miss the member.
  rd_kafka_message_t* message = rd_kafka_consumer_poll(of.client.get(), 0);
  if (message == nullptr) {
    std::this_thread::sleep_for(kServePause);
    return;
  }
  // Nothing is fetched: what comes is an error.
  if (message->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
    set_last_error(fmt::format("group '{}': {}", options.group, rd_kafka_message_errstr(message)));
    tell_missing_right(message->err);
  }
  rd_kafka_message_destroy(message);
}

/// The library asks again and again. Called while it is served.
void KafkaGroup::State::tell_missing_right(rd_kafka_resp_err_t error) {
  if (error != RD_KAFKA_RESP_ERR_GROUP_AUTHORIZATION_FAILED) return;
  constexpr int kWarning = 4;  // Of syslog.
  lines.tell(options.client, kWarning, fmt::format("no right Read on group '{}'", options.group).c_str(),
             kafka_acls_command(options.client, "Read", "group", options.group).c_str());
}

/// Before revoked() is called: it may wait for an owner that stands still.
void KafkaGroup::State::leave() {
  std::shared_ptr<Member> of;
  {
    const std::lock_guard lock(mutex);
    owned.clear();
    of = std::exchange(member, nullptr);
  }
  close(*of);
  of.reset();
  if (auto made = make(); !made) set_last_error(made.error().message);
  withdraw(true);
}

void KafkaGroup::State::close(const Member& of) {
  if (!subscribed) return;
  leaving = true;
  rd_kafka_queue_t* queue = rd_kafka_queue_new(of.client.get());
  rd_kafka_error_t* error = rd_kafka_consumer_close_queue(of.client.get(), queue);
  if (error == nullptr) {
    const auto until = Clock::now() + kLeaveTimeout;
    while (rd_kafka_consumer_closed(of.client.get()) == 0 && Clock::now() < until)
      rd_kafka_queue_poll_callback(queue, static_cast<int>(kServePause.count()));
    if (rd_kafka_consumer_closed(of.client.get()) == 0) {
      give_kafka_notice(options.client, Level::kWarning,
                        fmt::format("group '{}' could not be left, and notices it by itself", options.group));
    }
  } else {
    rd_kafka_error_destroy(error);  // A fatal one came before.
  }
  rd_kafka_queue_destroy(queue);
  leaving = subscribed = false;
}

template <typename Callback>
void KafkaGroup::State::call(const Callback& callback) {
  callback_ms = now_ms();
  callback();
  callback_ms = 0;
}

void KafkaGroup::State::take(std::vector<uint32_t> partitions) {
  {
    const std::lock_guard lock(mutex);
    status.joined = true;
    ++status.rebalances;
    owned = partitions;
  }
  assigned = !partitions.empty();
  if (assigned) call([&] { options.assigned(partitions); });
}

void KafkaGroup::State::withdraw(bool lost) {
  {
    const std::lock_guard lock(mutex);
    if (lost) owned.clear();
    if (lost && assigned) ++status.lost;
  }
  if (std::exchange(assigned, false)) call([&] { options.revoked(lost); });
  const std::lock_guard lock(mutex);
  owned.clear();
  status.joined = false;
}

void KafkaGroup::State::rebalance_callback(rd_kafka_t* handle, rd_kafka_resp_err_t error,
                                           rd_kafka_topic_partition_list_t* partitions, void* self) {
  auto& state = *static_cast<State*>(self);
  if (error != RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS || state.leaving) {
    if (!state.leaving) state.withdraw(rd_kafka_assignment_lost(handle) != 0);
    // The library joins again behind this, after all commits that were given to it: none goes into the next generation.
    rd_kafka_assign(handle, nullptr);
    return;
  }
  std::vector<uint32_t> numbers;
  for (int i = 0; i < partitions->cnt; ++i) numbers.push_back(static_cast<uint32_t>(partitions->elems[i].partition));
  std::sort(numbers.begin(), numbers.end());
  // The share is the group's; of the library nothing is wanted that it would fetch.
  rd_kafka_assign(handle, make_list().get());
  state.take(std::move(numbers));
}

void KafkaGroup::State::log_callback(const rd_kafka_t* handle, int level, const char* facility, const char* text) {
  auto& state = *static_cast<State*>(rd_kafka_opaque(handle));
  state.lines.tell(state.options.client, level, facility, text);
}

void KafkaGroup::State::error_callback(rd_kafka_t*, int error, const char* reason, void* self) {
  auto& state = *static_cast<State*>(self);
  const auto code = static_cast<rd_kafka_resp_err_t>(error);
  if (code == RD_KAFKA_RESP_ERR__FATAL) state.fatal = true;
  state.tell_missing_right(code);
  const std::lock_guard lock(state.mutex);
  // The library says it behind the error that made it so.
  if (code == RD_KAFKA_RESP_ERR__ALL_BROKERS_DOWN && !state.status.last_error.empty()) return;
  state.status.last_error = fmt::format("{}: {}", rd_kafka_err2str(code), reason);
}

int KafkaGroup::State::stats_callback(rd_kafka_t*, char* json, size_t octets, void* self) {
  give_kafka_notice(static_cast<State*>(self)->options.client, Level::kInfo,
                    fmt::format("STATS: {}", std::string_view(json, octets)));
  return 0;  // The library frees it.
}

Result<std::unique_ptr<KafkaGroup>> KafkaGroup::open(Options options) {
  assert(options.assigned && options.revoked);
  if (auto checked = check_kafka_options(options.client); !checked) return tl::unexpected(std::move(checked.error()));
  if (options.group.empty() || options.topic.empty()) return fail("22023", "a group has a name, and a topic");
  for (const milliseconds timeout : {options.session_timeout, options.owner_timeout}) {
    if (timeout < kTimeoutMin || timeout > kTimeoutMax)
      return fail("22023", fmt::format("timeouts of group '{}' are 100 ms to 1 h", options.group));
  }
  auto state = std::make_unique<State>(std::move(options));
  state->tick_ms = now_ms();
  if (auto made = state->make(); !made) return tl::unexpected(std::move(made.error()));
  state->thread = std::thread([raw = state.get()] { raw->run(); });
  return std::unique_ptr<KafkaGroup>(new KafkaGroup(std::move(state)));
}

KafkaGroup::KafkaGroup(std::unique_ptr<State> state) : state_(std::move(state)) {}

KafkaGroup::~KafkaGroup() {
  state_->stop = true;
  state_->thread.join();
  state_->member.reset();  // Its deleter begins to close it.
  if (!state_->closings.finish()) {
    give_kafka_notice(state_->options.client, Level::kWarning,
                      "the client of a group does not close, and is left to itself");
  }
}

void KafkaGroup::tick() { state_->tick_ms.store(now_ms(), std::memory_order_relaxed); }

Result<void> KafkaGroup::commit(const std::string& topic, uint32_t partition, uint64_t offset) {
  State& s = *state_;
  const auto until = Clock::now() + s.options.client.request_timeout;
  const auto refuse = [&](const char* code, std::string_view why) {
    return fail(code, fmt::format("the place of {} [{}] is not moved to {} (group '{}'): {}", topic, partition, offset,
                                  s.options.group, why));
  };
  const auto refuse_of = [&](rd_kafka_resp_err_t error) {
    auto refused = refuse(code_of(error), rd_kafka_err2str(error));
    if (error == RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED)
      refused.value().hint = kafka_acls_command(s.options.client, "Read", "topic", topic);
    return refused;
  };
  const State::Turn turn(s, until);
  if (!turn.is_ours) return refuse("08001", "the one before has no answer yet");
  const ListPointer list = list_of(topic, partition, static_cast<int64_t>(offset));
  std::shared_ptr<Member> of;
  while (true) {
    {
      const std::lock_guard lock(s.mutex);
      // Or the library would take our polls for those of the group's thread, and keep what it cannot give back.
      if (s.is_stuck()) return refuse("55000", "a callback does not return");
      if (!std::binary_search(s.owned.begin(), s.owned.end(), partition))
        return refuse("55000", "the partition is not this member's");
      of = s.member;
      if (!of->answer_is_due) {
        // Under the lock: what is taken back is so behind it.
        const rd_kafka_resp_err_t error =
            rd_kafka_commit_queue(of->client.get(), list.get(), of->commits, nullptr, nullptr);
        if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return refuse_of(error);
        of->answer_is_due = true;
        break;
      }
    }
    // Two that are under way may be taken in another order.
    if (!of->take_answer(until)) return refuse("08001", "the one before has no answer yet");
  }
  const auto error = of->take_answer(until);
  if (!error)
    return fail("08001", fmt::format("no answer whether the place of {} [{}] was moved to {} (group '{}'): {}", topic,
                                     partition, offset, s.options.group, status().last_error));
  if (*error == RD_KAFKA_RESP_ERR_NO_ERROR) return {};
  if (is_superseded(*error)) {
    // The library may go on without a generation, and brokers take that while the group has no members.
    const std::lock_guard lock(s.mutex);
    if (s.member == of) s.owned.clear();
  }
  return refuse_of(*error);
}

Result<std::optional<uint64_t>> KafkaGroup::committed(const std::string& topic, uint32_t partition) {
  const State& s = *state_;
  const auto refuse = [&](rd_kafka_resp_err_t error) {
    return fail(code_of(error), fmt::format("the place of {} [{}] cannot be had (group '{}'): {}", topic, partition,
                                            s.options.group, rd_kafka_err2str(error)));
  };
  const std::shared_ptr<Member> of = s.current();
  if (of == nullptr) return refuse(RD_KAFKA_RESP_ERR__DESTROY);
  const ListPointer list = list_of(topic, partition, RD_KAFKA_OFFSET_INVALID);
  const rd_kafka_resp_err_t error =
      rd_kafka_committed(of->client.get(), list.get(), static_cast<int>(s.options.client.request_timeout.count()));
  const rd_kafka_topic_partition_t& found = list->elems[0];
  if (error != RD_KAFKA_RESP_ERR_NO_ERROR) return refuse(error);
  if (found.err != RD_KAFKA_RESP_ERR_NO_ERROR) return refuse(found.err);
  if (found.offset < 0) return std::nullopt;
  return static_cast<uint64_t>(found.offset);
}

KafkaGroup::Status KafkaGroup::status() const {
  const std::lock_guard lock(state_->mutex);
  return state_->status;
}

}  // namespace backstream::transport
