#include "catalog/kafka_catalog.h"

#include <fmt/format.h>

#include <algorithm>
#include <condition_variable>
#include <map>
#include <mutex>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "catalog/sqlite_store.h"
#include "catalog/topic_reading.h"

namespace backstream::catalog {
namespace {

using base::fail;
using transport::KeyedLog;
using transport::KeyedRecord;
using transport::LogStatus;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr size_t kReadOctets = 1 << 20;
constexpr milliseconds kRacePause{20};  // At most, at random, before a change that another was before is tried again.
constexpr milliseconds kFullPause{50};  // For room among what is on its way to the brokers.
constexpr std::chrono::seconds kToldPause{60};  // Between two lines about the same fault.
constexpr size_t kRemovedAtOnce = 256;
constexpr size_t kRestoreOctets = 4 << 20;  // Of a record, or one object.
constexpr const char* kRestoreHint = "bring it back, or make it anew from this copy: backstream catalog restore";
constexpr const char* kUnknownHint =
    "look before it is repeated: when the brokers answer again, this node tells what became of it, and so does "
    "backstream audit";

enum class Trouble : uint8_t {
  kAway,      ///< it passes when brokers answer
  kTopic,     ///< the topic is gone, or has less than the copy
  kRefused,   ///< it cannot be used as it is
  kCopy,      ///< the copy cannot be written
  kStanding,  ///< reading goes on, changes are not made: until a later version runs here, or somebody else changes
              ///< something
};
struct Problem {
  Trouble trouble;
  base::Diagnostic error;
};

std::string reason_of(const transport::KeyedLog& log) {
  std::string said = log.last_error();
  return said.empty() ? "the brokers do not answer" : said;
}

Problem problem(Trouble trouble, std::string_view code, std::string message, std::string hint) {
  return {trouble, fail(code, std::move(message), {}, std::move(hint)).value()};
}

milliseconds random_up_to(milliseconds most) {
  static thread_local std::mt19937_64 engine{std::random_device{}()};
  return milliseconds(std::uniform_int_distribution<int64_t>(0, most.count())(engine));
}

uint64_t random_deployment() {
  uint64_t number = 0;
  while (number == 0) number = (uint64_t{std::random_device{}()} << 32) | std::random_device{}();
  return number;
}

/// Every node's catalog has the same objects under the same revisions.
class LogCatalog final : public KafkaCatalog {
 public:
  LogCatalog(OpenKeyedLog open, std::string topic, KafkaCatalogOptions options, std::unique_ptr<SqliteStore> copy)
      : open_(std::move(open)), topic_(std::move(topic)), options_(std::move(options)), copy_(std::move(copy)) {}
  ~LogCatalog() override {
    {
      const std::lock_guard lock(mutex_);
      stop_ = true;
    }
    changed_.notify_all();
    if (follower_.joinable()) follower_.join();
  }

  Result<void> start() {
    const bool known = copy_->revision().value > 0;
    auto found = open_topic();
    if (!found) found = read_all();
    if (found) {
      // What passes, or was done to the topic, does not keep a node that knows something from running.
      if (!known || (found->trouble != Trouble::kAway && found->trouble != Trouble::kTopic))
        return tl::unexpected(std::move(found->error));
      set_trouble(*found);
    }
    follower_ = std::thread([this] { follow(); });
    return {};
  }

  Result<Revision> apply(std::span<const Change> changes, const Author& author, Micros now) override;

  Result<std::optional<Object>> find(Kind kind, std::string_view of) override { return copy_->find(kind, of); }
  Result<std::vector<Object>> list(Kind kind) override { return copy_->list(kind); }
  Result<std::vector<Version>> history(Kind kind, std::string_view of, size_t count_max) override {
    return copy_->history(kind, of, count_max);
  }
  Result<std::vector<AuditEntry>> audit(const AuditOf& which) override { return copy_->audit(which); }
  Result<std::optional<std::vector<Changed>>> changed_since(Revision after) override {
    return copy_->changed_since(after);
  }
  Revision revision() override { return copy_->revision(); }
  Revision wait_beyond(Revision after, milliseconds patience) override { return copy_->wait_beyond(after, patience); }

  KafkaCatalogStatus status() const override {
    const std::lock_guard lock(mutex_);
    KafkaCatalogStatus status = status_;
    const Problem* const found = in_the_way();
    status.following = current_ && found == nullptr;
    if (found != nullptr) status.trouble = found->error.message;
    return status;
  }

 private:
  /// A record of ours that was appended, perhaps.
  struct Attempt {
    Revision claimed;
    std::optional<bool> counts;  ///< none: it was not read yet
    bool out_of_sight = false;   ///< the topic was read anew and does not have it
    std::string doubtful;        ///< what it was; not empty: nobody waits any more, and people are to be told
  };

  /// Under mutex_.
  const Problem* in_the_way() const { return problem_ ? &*problem_ : standing_ ? &*standing_ : nullptr; }

  // Of who changes something.
  Result<std::shared_ptr<KeyedLog>> log_to_write(Clock::time_point until);
  bool await_read(uint64_t end, Clock::time_point until);
  std::optional<bool> await_verdict(const ChangeId& id, Clock::time_point until);
  void forget(const ChangeId& id);
  tl::unexpected<base::Diagnostic> unchanged(const KeyedLog& log) const;
  Result<Revision> doubtful(const std::vector<ChangeId>& attempts, const std::string& what, const std::string& why);
  std::optional<Revision> made_by(const std::vector<ChangeId>& attempts);

  // Of the thread that follows, and of start() before it.
  void follow();
  std::optional<Problem> open_topic();
  std::optional<Problem> read_all();
  bool take(KeyedRecord&& record);
  void tend();
  void restore_lost();
  bool remove(const std::vector<ChangeKey>& keys);
  void settle_attempt(const ChangeId& id, bool counts);
  void count_fault(CatalogFault fault, uint64_t offset);
  void set_trouble(const Problem& found);
  void clear_trouble(Trouble of);
  void judge_standing();
  void tell_trouble(const Problem& found) const;
  void pause(milliseconds time);
  void publish(uint64_t read_to);
  void warn(const std::string& line) const {
    if (options_.warn) options_.warn(line);
  }
  void note(const std::string& line) const {
    if (options_.note) options_.note(line);
  }

  const OpenKeyedLog open_;
  const std::string topic_;
  const KafkaCatalogOptions options_;
  const std::unique_ptr<SqliteStore> copy_;
  const uint64_t own_deployment_ = random_deployment();  ///< should this node make the first change of all
  std::mutex apply_mutex_;                               ///< one change of this node at a time

  // The follower's.
  ChangeOrder order_;
  bool reread_ = true;  ///< the topic is to be read from its begin
  bool places_lost_ = false, blind_ = false, later_format_ = false;
  bool own_changes_ = false;  ///< since garbage was looked for
  bool look_for_lost_ = false;
  std::optional<Clock::time_point> restore_at_;
  std::vector<ChangeKey> own_refused_;
  uint64_t counted_to_ = 0;  ///< faults of records before it have been counted
  std::array<Clock::time_point, kCatalogFaultCount> told_{};

  mutable std::mutex mutex_;  ///< of all below; never held while the log or the disk is waited for
  std::condition_variable changed_;
  std::shared_ptr<KeyedLog> log_;    ///< null: it could not be opened yet
  uint64_t read_to_ = 0;             ///< what is before it is in the copy
  bool current_ = false;             ///< read_to_ holds
  std::optional<Problem> problem_;   ///< of now
  std::optional<Problem> standing_;  ///< of what was read
  std::map<ChangeId, Attempt> attempts_;
  Revision revision_;  ///< of what is before read_to_; what became of attempts up to it is known
  uint64_t deployment_ = 0;
  KafkaCatalogStatus status_;
  bool stop_ = false;
  std::thread follower_;
};

Result<std::shared_ptr<KeyedLog>> LogCatalog::log_to_write(Clock::time_point until) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, until, [&] {
    const Problem* const found = in_the_way();
    return stop_ || (found != nullptr ? found->trouble != Trouble::kAway : current_ && log_ != nullptr);
  });
  if (const Problem* const found = in_the_way()) {
    base::Diagnostic error = found->error;
    if (found->trouble == Trouble::kAway) {
      error.code = "58030";
      error.message = "nothing was changed: " + error.message;
      error.hint = "the catalog is read from this node's copy meanwhile; try again when the brokers answer";
    }
    return tl::unexpected(std::move(error));
  }
  if (stop_ || !current_ || log_ == nullptr)
    return fail("58030", fmt::format("nothing was changed: topic '{}' is still being read", topic_), {}, "try again");
  return log_;
}

/// Whether all before `end` is in the copy, by then.
bool LogCatalog::await_read(uint64_t end, Clock::time_point until) {
  std::unique_lock lock(mutex_);
  changed_.wait_until(lock, until, [&] { return stop_ || problem_ || (current_ && read_to_ >= end); });
  return !stop_ && !problem_ && current_ && read_to_ >= end;
}

std::optional<bool> LogCatalog::await_verdict(const ChangeId& id, Clock::time_point until) {
  std::unique_lock lock(mutex_);
  const Attempt& attempt = attempts_.find(id)->second;
  changed_.wait_until(lock, until, [&] { return stop_ || attempt.counts || attempt.out_of_sight; });
  return attempt.counts;
}

void LogCatalog::forget(const ChangeId& id) {
  const std::lock_guard lock(mutex_);
  attempts_.erase(id);
}

tl::unexpected<base::Diagnostic> LogCatalog::unchanged(const KeyedLog& log) const {
  return fail("58030", fmt::format("nothing was changed: the brokers do not answer: {}", log.last_error()), {},
              "the catalog is read from this node's copy meanwhile; try again when they do");
}

/// Nobody waits any more for what becomes of these.
Result<Revision> LogCatalog::doubtful(const std::vector<ChangeId>& attempts, const std::string& what,
                                      const std::string& why) {
  const std::lock_guard lock(mutex_);
  if (const auto made = made_by(attempts)) return *made;
  for (const ChangeId& id : attempts) {
    if (const auto at = attempts_.find(id); at != attempts_.end()) at->second.doubtful = what;
  }
  return fail(
      "58030",
      fmt::format("whether it was changed is not known: the brokers do not answer since they were sent '{}'{}{}", what,
                  why.empty() ? "" : ": ", why),
      {}, kUnknownHint);
}

/// Under mutex_: the revision that one of them has become. Then none of them is awaited.
std::optional<Revision> LogCatalog::made_by(const std::vector<ChangeId>& attempts) {
  for (const ChangeId& id : attempts) {
    const auto at = attempts_.find(id);
    if (at == attempts_.end() || !at->second.counts.value_or(false)) continue;
    const Revision made = at->second.claimed;
    for (const ChangeId& other : attempts) attempts_.erase(other);
    return made;
  }
  return std::nullopt;
}

Result<Revision> LogCatalog::apply(std::span<const Change> changes, const Author& author, Micros now) {
  if (changes.empty()) return revision();
  auto until = Clock::now() + options_.patience;  // With the waiting for those before it.
  const std::lock_guard writing(apply_mutex_);
  size_t unanswered = 0;
  std::string why;  // Not answered.
  const std::string what = fmt::format("{} {} '{}'{}", changes.front().verb, name(changes.front().kind),
                                       changes.front().name, changes.size() > 1 ? " and others" : "");
  // All claim the same revision, with the same content: whichever comes first, the change is made once.
  std::vector<ChangeId> attempts;
  Revision claimed;
  const auto give_up = [&](auto&& refused) -> Result<Revision> {
    if (!attempts.empty()) return doubtful(attempts, what, why);
    return std::forward<decltype(refused)>(refused);
  };
  while (true) {
    auto log = log_to_write(until);
    if (!log) return give_up(tl::unexpected(log.error()));
    const auto end = (*log)->end_offset();
    if (!end || !await_read(*end, std::max(until, Clock::now() + options_.poll))) return give_up(unchanged(**log));
    // All that there is has been read: what of ours is not there can only come behind others.
    if (!attempts.empty()) {
      std::unique_lock lock(mutex_);
      if (const auto made = made_by(attempts)) return *made;
      if (std::any_of(attempts.begin(), attempts.end(),
                      [&](const ChangeId& id) { return attempts_.find(id)->second.out_of_sight; })) {
        lock.unlock();
        return doubtful(attempts, what, why);
      }
      if (revision_ >= claimed) {
        for (const ChangeId& id : attempts) attempts_.erase(id);
        attempts.clear();
        ++status_.races;
      }
    }

    auto settled = copy_->settle(changes, author, now);
    if (!settled) return give_up(tl::unexpected(std::move(settled.error())));
    if (!attempts.empty() && settled->revision != claimed) continue;  // One of them has just become something.
    claimed = settled->revision;
    ChangeKey key{0, settled->revision, ChangeId::random()};
    {
      const std::lock_guard lock(mutex_);
      key.deployment = deployment_ != 0 ? deployment_ : own_deployment_;
      attempts_[key.id] = {key.revision, std::nullopt, false, ""};
    }
    const std::string value = encode_change(*settled);
    const auto too_large = [&]() -> Result<Revision> {
      forget(key.id);
      return give_up(fail("53400",
                          fmt::format("the change is {} octets long, a record of topic '{}' at most {}", value.size(),
                                      topic_, (*log)->record_octets_max()),
                          {}, "make it in several parts"));
    };
    if (value.size() > (*log)->record_octets_max()) return too_large();
    const auto appended = (*log)->append(key_text(key), value);
    switch (appended.status) {
      case LogStatus::kTooLarge: return too_large();
      case LogStatus::kFull:
        forget(key.id);
        if (Clock::now() >= until) return give_up(unchanged(**log));
        std::this_thread::sleep_for(kFullPause);
        continue;
      case LogStatus::kOk: {
        attempts.push_back(key.id);
        const auto counts = await_verdict(key.id, std::max(until, Clock::now() + options_.patience));
        if (!counts) return doubtful(attempts, what, why);
        if (*counts) {
          for (const ChangeId& id : attempts) forget(id);
          return key.revision;
        }
        if (attempts.size() == 1) {  // Else the one before it may be what counts: the next round sees it.
          forget(key.id);
          attempts.clear();
          const std::lock_guard lock(mutex_);
          ++status_.races;
        }
        if (Clock::now() >= until && attempts.empty()) {
          return fail("40001", "others change the catalog all the time: this change never was the next one", {},
                      "nothing was changed; try again");
        }
        std::this_thread::sleep_for(random_up_to(kRacePause));
        continue;
      }
      default:  // It may be in the topic now, or later.
        attempts.push_back(key.id);
        why = (*log)->last_error();
        if (++unanswered == 2) return doubtful(attempts, what, why);
        until = std::max(until, Clock::now() + options_.patience);
    }
  }
}

void LogCatalog::pause(milliseconds time) {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, time, [&] { return stop_; });
}

void LogCatalog::publish(uint64_t read_to) {
  {
    const std::lock_guard lock(mutex_);
    read_to_ = read_to;
    current_ = true;
    revision_ = order_.revision();
    deployment_ = order_.deployment();
    status_.deployment = deployment_;
    status_.records = order_.record_count();
    std::string told;
    for (auto at = attempts_.begin(); at != attempts_.end();) {
      // What nobody waits for and can count no more.
      const Attempt& attempt = at->second;
      if (attempt.doubtful.empty() || (attempt.counts.value_or(true) && order_.revision() < attempt.claimed)) {
        ++at;
        continue;
      }
      if (!attempt.out_of_sight && attempt.doubtful != told) {
        note(attempt.counts.value_or(false)
                 ? fmt::format("catalog: '{}', of which it was not known, was done as revision {}", attempt.doubtful,
                               attempt.claimed.value)
                 : fmt::format("catalog: '{}' was not done: another change was before it", attempt.doubtful));
      }
      told = attempt.doubtful;
      at = attempts_.erase(at);
    }
  }
  changed_.notify_all();
}

void LogCatalog::settle_attempt(const ChangeId& id, bool counts) {
  const std::lock_guard lock(mutex_);
  const auto at = attempts_.find(id);
  if (at == attempts_.end()) return;
  at->second.counts = counts;
  if (at->second.doubtful.empty() || !counts) return;
  const std::string what = at->second.doubtful;
  note(
      fmt::format("catalog: '{}', of which it was not known, was done as revision {}", what, at->second.claimed.value));
  std::erase_if(attempts_, [&](const auto& other) { return other.second.doubtful == what; });
}

void LogCatalog::count_fault(CatalogFault fault, uint64_t offset) {
  if (offset < counted_to_) return;
  const auto index = static_cast<size_t>(fault);
  uint64_t count = 0;
  {
    const std::lock_guard lock(mutex_);
    count = ++status_.faults[index];
  }
  const auto now = Clock::now();
  if (count > 1 && now - told_[index] < kToldPause) return;
  told_[index] = now;
  warn(fmt::format("catalog: record {} of topic '{}' is passed over ({}; {} so far)", offset, topic_, name(fault),
                   count));
}

void LogCatalog::tell_trouble(const Problem& found) const {
  warn(fmt::format("catalog: {}; changes are refused, reads come from the copy at revision {}{}", found.error.message,
                   copy_->revision().value,
                   found.error.hint.empty() ? "" : fmt::format(" (hint: {})", found.error.hint)));
}

void LogCatalog::set_trouble(const Problem& found) {
  bool news = false;
  {
    const std::lock_guard lock(mutex_);
    news = !problem_ || problem_->trouble != found.trouble || problem_->error.code != found.error.code;
    problem_ = found;
  }
  changed_.notify_all();
  if (news) tell_trouble(found);
}

void LogCatalog::clear_trouble(Trouble of) {
  {
    const std::lock_guard lock(mutex_);
    if (!problem_ || problem_->trouble != of) return;
    problem_.reset();
  }
  changed_.notify_all();
  note(fmt::format("catalog: topic '{}' is followed again, at revision {}", topic_, copy_->revision().value));
}

/// What of that which was read keeps this node from changing anything.
void LogCatalog::judge_standing() {
  std::optional<Problem> found;
  if (later_format_) {
    found = problem(Trouble::kStanding, "0A000",
                    fmt::format("topic '{}' has changes that a later version of this program made", topic_),
                    "run that version here, too; until then this node follows what it understands");
  } else if (blind_) {
    found = problem(Trouble::kStanding, "58030",
                    fmt::format("nothing was changed: a place of topic '{}' cannot be read, and which change is the "
                                "newest is not known",
                                topic_),
                    "make a change at a node that has read it, or: backstream catalog restore");
  }
  bool news = false;
  {
    const std::lock_guard lock(mutex_);
    news = found && (!standing_ || standing_->error.code != found->error.code);
    standing_ = found;
  }
  changed_.notify_all();
  if (news) tell_trouble(*found);
}

std::optional<Problem> LogCatalog::open_topic() {
  const Revision known = copy_->revision();
  auto opened = open_(known.value == 0);
  if (opened) {
    const std::lock_guard lock(mutex_);
    log_ = std::move(*opened);
    return std::nullopt;
  }
  if (opened.error().code == "42704" && known.value > 0) {
    return problem(
        Trouble::kTopic, "55000",
        fmt::format("topic '{}' is gone, and this node has a copy of it at revision {}", topic_, known.value),
        kRestoreHint);
  }
  const bool away = opened.error().code == "08001" || opened.error().code == "58030";
  return Problem{away ? Trouble::kAway : Trouble::kRefused, std::move(opened.error())};
}

std::optional<Problem> LogCatalog::read_all() {
  uint64_t next = 0;
  auto found = read_topic(
      *log_, [&](CatalogFault fault, uint64_t offset) { count_fault(fault, offset); }, next,
      [&] {
        const std::lock_guard lock(mutex_);
        return stop_;
      });
  if (!found) {
    return problem(Trouble::kAway, "58030", fmt::format("topic '{}' cannot be read: {}", topic_, reason_of(*log_)), "");
  }
  counted_to_ = std::max(counted_to_, next);
  const Revision known = copy_->revision();
  const uint64_t deployment = copy_->deployment();
  if (deployment != 0 && found->content.deployment != 0 && found->content.deployment != deployment) {
    return problem(Trouble::kRefused, "55000",
                   fmt::format("topic '{}' is of deployment {:016x}, the copy {} of {:016x}", topic_,
                               found->content.deployment, options_.copy_path, deployment),
                   "set another kafka.prefix; or, if this node is to join that one, move its copy away");
  }
  if (found->content.revision < known) {
    return problem(
        Trouble::kTopic, "55000",
        fmt::format("topic '{}' is at revision {}, this node's copy at {}: changes were lost, or it was made "
                    "anew",
                    topic_, found->content.revision.value, known.value),
        kRestoreHint);
  }
  if (found->content.revision.value > 0) {
    if (auto replaced = copy_->replace(found->content); !replaced)
      return Problem{Trouble::kCopy, std::move(replaced.error())};
  }
  order_ = std::move(found->order);
  places_lost_ = found->places_lost;
  blind_ = found->blind;
  later_format_ = found->later_format;
  look_for_lost_ = false;
  reread_ = false;
  {
    const std::lock_guard lock(mutex_);
    ++status_.rereads;
  }
  std::vector<std::pair<ChangeId, Revision>> waiting;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [id, attempt] : attempts_) {
      if (!attempt.counts) waiting.emplace_back(id, attempt.claimed);
    }
  }
  for (const auto& [id, claimed] : waiting) {
    if (const auto counts = order_.counts(id)) {
      settle_attempt(id, *counts);
    } else if (order_.counting_as(claimed)) {
      settle_attempt(id, false);
    } else if (order_.revision() >= claimed) {  // It, or what was before it, says nothing any more and is gone.
      const std::lock_guard lock(mutex_);
      if (const auto at = attempts_.find(id); at != attempts_.end()) at->second.out_of_sight = true;
    }
  }
  judge_standing();
  publish(next);
  for (const Trouble passed : {Trouble::kAway, Trouble::kTopic, Trouble::kRefused, Trouble::kCopy})
    clear_trouble(passed);
  return std::nullopt;
}

/// One more record behind those that were read. False: from here on nothing is known, read anew.
bool LogCatalog::take(KeyedRecord&& record) {
  const uint64_t expected = [&] {
    const std::lock_guard lock(mutex_);
    return read_to_;
  }();
  // What compaction took before we came there may have decided something.
  if (record.offset != expected || (record.is == KeyedRecord::Is::kDamaged && record.key.empty())) return false;
  const OnFault fault = [&](CatalogFault what, uint64_t offset) { count_fault(what, offset); };
  const auto key = parse_change_key(record.key);
  if (!key) {
    fault(CatalogFault::kForeign, record.offset);
  } else if (record.is == KeyedRecord::Is::kTombstone) {
    order_.take_removed(*key);
    look_for_lost_ = true;
  } else {
    bool later = false;
    const auto content = order_.is_ours(*key) ? content_of(record, *key, fault, &later) : std::nullopt;
    switch (order_.take(*key, record.value.size(), content ? &*content : nullptr)) {
      case ChangeOrder::Verdict::kCounts: {
        const auto written =
            content ? copy_->write(*content, key->deployment) : copy_->write_unknown(key->revision, key->deployment);
        if (!written) {
          set_trouble({Trouble::kCopy, written.error()});
          return false;
        }
        if (later || blind_) {
          later_format_ = later_format_ || later;
          blind_ = false;
          judge_standing();
        }
        const std::lock_guard lock(mutex_);
        own_changes_ = own_changes_ || attempts_.contains(key->id);
        break;
      }
      case ChangeOrder::Verdict::kRefused: {
        look_for_lost_ = true;
        const std::lock_guard lock(mutex_);
        if (attempts_.contains(key->id)) own_refused_.push_back(*key);
        break;
      }
      case ChangeOrder::Verdict::kOtherDeployment: fault(CatalogFault::kOtherDeployment, record.offset); break;
    }
    if (const auto counts = order_.counts(key->id)) settle_attempt(key->id, *counts);
  }
  counted_to_ = std::max(counted_to_, record.offset + 1);
  publish(record.offset + 1);
  return true;
}

void LogCatalog::follow() {
  std::vector<KeyedRecord> records;
  const auto stopped = [&] {
    const std::lock_guard lock(mutex_);
    return stop_;
  };
  while (!stopped()) {
    const bool opened = [&] {
      const std::lock_guard lock(mutex_);
      return log_ != nullptr;
    }();
    if (!opened) {
      if (auto found = open_topic()) {
        set_trouble(*found);
        pause(options_.retry);
      }
      continue;
    }
    if (reread_) {
      {
        const std::lock_guard lock(mutex_);
        current_ = false;
      }
      if (auto found = read_all()) {
        set_trouble(*found);
        pause(options_.retry);
      }
      continue;
    }
    records.clear();
    const uint64_t from = [&] {
      const std::lock_guard lock(mutex_);
      return read_to_;
    }();
    uint64_t next = from;
    switch (log_->read(from, kReadOctets, options_.poll, records, next)) {
      case LogStatus::kOk: break;
      case LogStatus::kTrimmed:
      case LogStatus::kBeyondEnd: reread_ = true; continue;
      default:
        set_trouble(problem(Trouble::kAway, "58030",
                            fmt::format("topic '{}' cannot be read: {}", topic_, reason_of(*log_)), ""));
        pause(std::min(options_.retry, milliseconds(200)));
        continue;
    }
    clear_trouble(Trouble::kAway);
    for (KeyedRecord& record : records) {
      if (take(std::move(record))) continue;
      reread_ = true;
      break;
    }
    if (reread_) continue;
    if (records.empty() && next > from) {
      reread_ = true;  // Nothing of what was there is left: what it decided is not known.
      continue;
    }
    tend();
  }
}

/// Tombstones for these, in this order. False: not all are in the topic.
bool LogCatalog::remove(const std::vector<ChangeKey>& keys) {
  std::vector<transport::Log::Appended> results;
  for (size_t at = 0; at < keys.size(); at += kRemovedAtOnce) {
    std::vector<std::string> texts;
    for (size_t i = at; i < std::min(at + kRemovedAtOnce, keys.size()); ++i) texts.push_back(key_text(keys[i]));
    std::vector<KeyedLog::Addition> additions;
    for (const std::string& text : texts) additions.push_back({text, std::nullopt});
    if (log_->append_all(additions, results) != LogStatus::kOk) return false;
    const std::lock_guard lock(mutex_);
    status_.removed += texts.size();
  }
  return true;
}

/// What can be done at leisure.
void LogCatalog::tend() {
  if (places_lost_ || blind_ || later_format_) return;  // What is not understood is not to be lost by us.
  if (!own_refused_.empty()) remove(std::exchange(own_refused_, {}));
  if (std::exchange(own_changes_, false)) {
    const ChangeOrder::Garbage garbage = order_.garbage(options_.spent_kept, options_.spent_octets_kept);
    if (!garbage.spent.empty() && remove(garbage.refused)) remove(garbage.spent);
  }
  if (std::exchange(look_for_lost_, false)) {
    if (order_.lost().empty()) restore_at_.reset();
    // Each node sees it: the first one does it, the others see that.
    else if (!restore_at_) restore_at_ = Clock::now() + random_up_to(options_.retry);
  }
  if (restore_at_ && Clock::now() >= *restore_at_) {
    restore_at_.reset();
    restore_lost();
  }
}

void LogCatalog::restore_lost() {
  const ChangeOrder::Lost lost = order_.lost();
  if (lost.empty()) return;
  SettledChange change{{order_.revision().value + 1}, base::wall_clock(), "backstream", "restore", {}};
  size_t octets = 0;
  bool all = true;
  for (const auto& [kind, of] : lost.objects) {
    const auto object = copy_->find(kind, of);
    if (!object || !*object) continue;
    if (!change.items.empty() && octets + (*object)->body.size() > kRestoreOctets) {
      all = false;
      break;
    }
    octets += (*object)->body.size();
    change.items.push_back({Change::Action::kUpdate, kind, of, (*object)->incarnation, (*object)->version,
                            (*object)->body, "restore", "its record was gone from the topic"});
  }
  if (change.items.empty())
    change.items.push_back({Change::Action::kNote,
                            Kind::kService,
                            "catalog",
                            {},
                            0,
                            "",
                            "restore",
                            "the newest change was gone from the topic"});
  const ChangeKey key{order_.deployment(), change.revision, ChangeId::random()};
  if (log_->append(key_text(key), encode_change(change)).status == LogStatus::kOk) {
    const std::lock_guard lock(mutex_);
    ++status_.restored;
  } else {
    all = false;
  }
  warn(fmt::format("catalog: records of topic '{}' were gone that should be there; {} object{} brought back", topic_,
                   change.items.size(), change.items.size() == 1 ? " is" : "s are"));
  if (!all) restore_at_ = Clock::now() + options_.retry;
}

}  // namespace

std::string_view name(CatalogFault fault) {
  switch (fault) {
#define X(value, text) \
  case CatalogFault::value: return text;
    BACKSTREAM_CATALOG_FAULTS(X)
#undef X
  }
  return {};
}

Result<std::unique_ptr<KafkaCatalog>> open_log_catalog(OpenKeyedLog open, std::string topic_name,
                                                       KafkaCatalogOptions options) {
  auto copy = SqliteStore::open(options.copy_path, SqliteStore::Role::kCopy);
  if (!copy) return tl::unexpected(std::move(copy.error()));
  auto catalog =
      std::make_unique<LogCatalog>(std::move(open), std::move(topic_name), std::move(options), std::move(*copy));
  if (auto started = catalog->start(); !started) return tl::unexpected(std::move(started.error()));
  return std::unique_ptr<KafkaCatalog>(std::move(catalog));
}

Result<size_t> restore_log_catalog(const OpenKeyedLog& open, const std::string& topic_name,
                                   const std::string& copy_path, const Author& author, Micros now) {
  auto copy = SqliteStore::open(copy_path, SqliteStore::Role::kCopy);
  if (!copy) return tl::unexpected(std::move(copy.error()));
  const Revision known = (*copy)->revision();
  if (known.value == 0)
    return fail("55000", fmt::format("the copy {} has nothing", copy_path), {}, "take a node that has followed it");
  auto log = open(true);
  if (!log) return tl::unexpected(std::move(log.error()));
  uint64_t next = 0;
  auto found = read_topic(
      **log, [](CatalogFault, uint64_t) {}, next, [] { return false; });
  if (!found) {
    return fail("58030",
                fmt::format("nothing was changed: topic '{}' cannot be read: {}", topic_name, reason_of(**log)));
  }
  const Revision there = found->content.revision;
  if (found->content.deployment != 0 && found->content.deployment != (*copy)->deployment())
    return fail("55000", fmt::format("topic '{}' is of another deployment than the copy {}", topic_name, copy_path), {},
                "set another kafka.prefix, or move the copy away");
  if (there >= known && !found->blind) {
    return fail("55000",
                fmt::format("topic '{}' is at revision {}, the copy {} at {}: nothing is lost", topic_name, there.value,
                            copy_path, known.value),
                {}, "start the node: it reads what the topic has");
  }
  std::vector<SettledChange> changes;
  size_t octets = 0, count = 0;
  for (size_t k = 0; k < kKindCount; ++k) {
    const auto objects = (*copy)->list(static_cast<Kind>(k));
    if (!objects) return tl::unexpected(objects.error());
    for (const Object& object : *objects) {
      if (changes.empty() || octets + object.body.size() > kRestoreOctets) {
        changes.push_back({{}, now, author.name, author.via, {}});
        octets = 0;
      }
      octets += object.body.size();
      ++count;
      changes.back().items.push_back({Change::Action::kUpdate, object.kind, object.name, object.incarnation,
                                      object.version, object.body, "restore", "from the copy of a node"});
    }
  }
  if (changes.empty()) {
    changes.push_back({{}, now, author.name, author.via, {}});
    changes.back().items.push_back(
        {Change::Action::kNote, Kind::kService, "catalog", {}, 0, "", "restore", "from the copy of a node"});
  }
  // The last one is what a node with a copy waits for: until then the topic is behind it.
  uint64_t revision = std::max(known.value + 2 - std::min<uint64_t>(known.value + 1, changes.size()), there.value + 1);
  for (SettledChange& change : changes) {
    change.revision.value = revision++;
    const ChangeKey key{(*copy)->deployment(), change.revision, ChangeId::random()};
    if ((*log)->append(key_text(key), encode_change(change)).status != LogStatus::kOk) {
      return fail("58030", fmt::format("topic '{}' has only a part of the copy: {}", topic_name, (*log)->last_error()),
                  {}, "do it again when the brokers answer");
    }
  }
  return count;
}

}  // namespace backstream::catalog
