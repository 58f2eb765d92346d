#include "transport/memory_bus.h"

#include <algorithm>
#include <cassert>
#include <thread>
#include <utility>

namespace backstream::transport {

using base::fail;
using base::Result;

namespace {

constexpr const char* kCut = "the link to the bus is cut";

using Cut = std::shared_ptr<std::atomic<bool>>;

}  // namespace

// --- Groups ---

/// Partitions go to members by turns. When one comes or goes all give up what they have, and get their new share when
/// nobody has anything any more.
class MemoryBroker::SharedGroup {
 public:
  /// What a member has.
  struct Share {
    std::vector<uint32_t> partitions;
    uint64_t round = 0;  ///< in which it was given
    bool holds = false;  ///< from before assigned() until after revoked()
  };

  explicit SharedGroup(uint32_t partition_count) : partition_count_(partition_count) {}

  void join(Share& share) {
    const std::lock_guard lock(mutex_);
    members_.push_back(&share);
    begin_round();
  }
  /// It holds nothing.
  void leave(Share& share) {
    const std::lock_guard lock(mutex_);
    std::erase(members_, &share);
    begin_round();
  }
  /// Waits until there is something to do.
  /// @return  true: what it holds is to be given up (give_up()), or it is to end; false: `share` is new, perhaps empty
  bool wait(Share& share, const std::atomic<bool>& stop) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return stop || (share.round != round_ && (share.holds || nobody_holds())); });
    if (stop || share.holds) return true;
    share.partitions.clear();
    const auto place = static_cast<uint32_t>(std::find(members_.begin(), members_.end(), &share) - members_.begin());
    for (uint32_t p = place; p < partition_count_; p += static_cast<uint32_t>(members_.size()))
      share.partitions.push_back(p);
    share.round = round_;
    share.holds = !share.partitions.empty();
    return false;
  }
  void give_up(Share& share) {
    const std::lock_guard lock(mutex_);
    share.holds = false;
    share.partitions.clear();
    changed_.notify_all();
  }
  void wake() {
    const std::lock_guard lock(mutex_);
    changed_.notify_all();
  }

  bool set_place(const Share& share, const std::string& topic, uint32_t partition, uint64_t offset) {
    const std::lock_guard lock(mutex_);
    if (std::find(share.partitions.begin(), share.partitions.end(), partition) == share.partitions.end()) return false;
    places_[{topic, partition}] = offset;
    return true;
  }
  std::optional<uint64_t> place(const std::string& topic, uint32_t partition) const {
    const std::lock_guard lock(mutex_);
    const auto at = places_.find({topic, partition});
    return at == places_.end() ? std::nullopt : std::optional(at->second);
  }

 private:
  void begin_round() {
    ++round_;
    changed_.notify_all();
  }
  /// Of a round before this one.
  bool nobody_holds() const {
    return std::none_of(members_.begin(), members_.end(),
                        [&](const Share* share) { return share->holds && share->round != round_; });
  }

  const uint32_t partition_count_;
  mutable std::mutex mutex_;  ///< of all below, and of the members' shares
  std::condition_variable changed_;
  std::vector<Share*> members_;
  uint64_t round_ = 0;
  std::map<std::pair<std::string, uint32_t>, uint64_t> places_;
};

class MemoryBus::Member final : public Group {
 public:
  Member(std::shared_ptr<MemoryBroker::SharedGroup> group, Cut cut, Callbacks callbacks)
      : group_(std::move(group)), cut_(std::move(cut)), callbacks_(std::move(callbacks)) {
    assert(callbacks_.assigned && callbacks_.revoked);
    group_->join(share_);
    thread_ = std::thread([this] { run(); });
  }
  ~Member() override {
    stop_ = true;
    group_->wake();
    thread_.join();
    group_->leave(share_);
  }

  void tick() override {}
  Result<void> commit(const std::string& topic, uint32_t partition, uint64_t offset) override {
    if (*cut_) return fail("08001", kCut);
    if (!group_->set_place(share_, topic, partition, offset))
      return fail("55000", "the partition is not, or no longer, of this member");
    return {};
  }
  Result<std::optional<uint64_t>> committed(const std::string& topic, uint32_t partition) override {
    if (*cut_) return fail("08001", kCut);
    return group_->place(topic, partition);
  }

 private:
  void run() {
    bool assigned = false;
    for (;;) {
      const bool ends = group_->wait(share_, stop_);
      if (ends && assigned) {
        callbacks_.revoked(false);
        group_->give_up(share_);
        assigned = false;
      }
      if (stop_) return;
      // It is changed by this thread alone.
      if (!ends && !share_.partitions.empty()) {
        assigned = true;
        callbacks_.assigned(share_.partitions);
      }
    }
  }

  const std::shared_ptr<MemoryBroker::SharedGroup> group_;
  const Cut cut_;
  const Callbacks callbacks_;
  MemoryBroker::SharedGroup::Share share_;
  std::atomic<bool> stop_{false};
  std::thread thread_;
};

// --- Logs ---

class MemoryBus::LinkedLog final : public Log {
 public:
  LinkedLog(std::shared_ptr<MemoryLog> log, Cut cut) : log_(std::move(log)), cut_(std::move(cut)) {}

  uint32_t partition_count() const override { return log_->partition_count(); }
  Appended append(uint32_t partition, std::span<const uint8_t> bytes) override {
    return *cut_ ? Appended{LogStatus::kUnavailable, 0} : log_->append(partition, bytes);
  }
  LogStatus read(uint32_t partition, uint64_t offset, size_t octets_max, std::vector<LogRecord>& out) override {
    return *cut_ ? LogStatus::kUnavailable : log_->read(partition, offset, octets_max, out);
  }
  // As they are known, whether or not somebody answers.
  uint64_t begin_offset(uint32_t partition) const override { return log_->begin_offset(partition); }
  uint64_t end_offset(uint32_t partition) const override { return log_->end_offset(partition); }
  uint64_t resume_offset(uint32_t partition, uint64_t offset) override {
    return *cut_ ? offset : log_->resume_offset(partition, offset);
  }
  void trim(uint32_t partition, uint64_t offset) override {
    if (!*cut_) log_->trim(partition, offset);
  }

 private:
  const std::shared_ptr<MemoryLog> log_;
  const Cut cut_;
};

class MemoryBus::LinkedKeyedLog final : public KeyedLog {
 public:
  LinkedKeyedLog(std::shared_ptr<MemoryBroker::Keyed> keyed, size_t record_octets_max,
                 std::chrono::milliseconds compaction_interval, Cut cut)
      : keyed_(std::move(keyed)),
        log_(keyed_->topic, record_octets_max),
        compaction_interval_(compaction_interval),
        cut_(std::move(cut)) {}

  LogStatus append_all(std::span<const Addition> additions, std::vector<Log::Appended>& results) override {
    if (*cut_) {
      results.assign(additions.size(), {LogStatus::kUnavailable, 0});
      return additions.empty() ? LogStatus::kOk : LogStatus::kUnavailable;
    }
    const LogStatus status = log_.append_all(additions, results);
    compact();
    return status;
  }
  LogStatus read(uint64_t offset, size_t octets_max, std::chrono::milliseconds patience, std::vector<KeyedRecord>& out,
                 uint64_t& next) override {
    if (!*cut_) return log_.read(offset, octets_max, patience, out, next);
    next = offset;
    return LogStatus::kUnavailable;
  }
  std::optional<uint64_t> begin_offset() override { return *cut_ ? std::nullopt : log_.begin_offset(); }
  std::optional<uint64_t> end_offset() override { return *cut_ ? std::nullopt : log_.end_offset(); }
  size_t record_octets_max() const override { return log_.record_octets_max(); }
  std::string last_error() const override { return *cut_ ? kCut : ""; }

 private:
  /// A tombstone goes with the second pass that finds it, so it stays for one interval at least.
  void compact() {
    const std::lock_guard lock(keyed_->mutex);
    const auto now = std::chrono::steady_clock::now();
    if (now - keyed_->compacted_at < compaction_interval_) return;
    keyed_->compacted_at = now;
    const uint64_t end = keyed_->topic.end();
    keyed_->topic.compact(end, end, true);
  }

  const std::shared_ptr<MemoryBroker::Keyed> keyed_;
  MemoryKeyedLog log_;
  const std::chrono::milliseconds compaction_interval_;
  const Cut cut_;
};

// --- What is opened ---

std::shared_ptr<MemoryLog> MemoryBroker::log(const std::string& topic) {
  const std::lock_guard lock(mutex_);
  auto& log = logs_[topic];
  if (log == nullptr)
    log = std::make_shared<MemoryLog>(options_.partition_count, options_.log_octets_max,
                                      MemoryLog::WhenFull::kDropOldest);
  return log;
}

std::shared_ptr<MemoryBroker::Keyed> MemoryBroker::keyed(const std::string& topic) {
  const std::lock_guard lock(mutex_);
  auto& keyed = keyed_[topic];
  if (keyed == nullptr) keyed = std::make_shared<Keyed>();
  return keyed;
}

std::shared_ptr<MemoryBroker::SharedGroup> MemoryBroker::group(const std::string& name) {
  const std::lock_guard lock(mutex_);
  auto& group = groups_[name];
  if (group == nullptr) group = std::make_shared<SharedGroup>(options_.partition_count);
  return group;
}

Result<void> MemoryBus::answers() const {
  if (*cut_) return fail("08001", kCut);
  return {};
}

Result<std::shared_ptr<Log>> MemoryBus::open_log(std::string_view topic) {
  if (auto there = answers(); !there) return tl::unexpected(std::move(there.error()));
  return std::shared_ptr<Log>(std::make_shared<LinkedLog>(broker_->log(std::string(topic)), cut_));
}

Result<std::unique_ptr<KeyedLog>> MemoryBus::open_keyed_log(std::string_view topic, size_t record_octets_max, bool) {
  if (auto there = answers(); !there) return tl::unexpected(std::move(there.error()));
  return std::unique_ptr<KeyedLog>(std::make_unique<LinkedKeyedLog>(
      broker_->keyed(std::string(topic)), record_octets_max, broker_->options_.compaction_interval, cut_));
}

/// All topics have as many partitions: which one it is makes no difference.
Result<std::unique_ptr<Group>> MemoryBus::join(std::string_view group, std::string_view, Group::Callbacks callbacks) {
  return std::unique_ptr<Group>(
      std::make_unique<Member>(broker_->group(std::string(group)), cut_, std::move(callbacks)));
}

}  // namespace backstream::transport
