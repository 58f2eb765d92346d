#include "cluster/merge_worker.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "partial/codec.h"

namespace backstream::cluster {

using base::Result;
using transport::LogStatus;

namespace {

constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kRetryInterval = 2 * kSecond, kReportInterval = 5 * kSecond;
/// A share that was superseded, and is still ours as far as we are told: is claimed again after so long.
constexpr Micros kReclaimAfter = 2 * kSecond;
/// What was given up, and not given to others, is gone on with; so long it is kept for that.
constexpr Micros kSuspendedMax = 60 * kSecond;
constexpr Micros kStoodStill = 3 * kSecond;
constexpr int kRoundsMax = 16;
/// So much of what came since a partition was given up is looked through for claims before it is gone on with.
constexpr size_t kSearchedOctetsMax = 16 << 20, kReadOctets = 4 << 20;

}  // namespace

/// Rows of a query on their way to the receivers.
class MergeWorker::Sink final : public exec::ResultSink {
 public:
  Sink(ResultsOut& out, uint32_t partition, QueryId id, const plan::Query& query)
      : out_(out), partition_(partition), writer_(id, query.output()) {}
  void on_result(const exec::ResultBatch& result) override {
    writer_.write(result, [&](std::vector<uint8_t>&& message) { out_.put(partition_, std::move(message)); });
  }
  void report(const QueryReport& report) { out_.put(partition_, writer_.write(report)); }

 private:
  ResultsOut& out_;
  const uint32_t partition_;
  ResultWriter writer_;
};

MergeWorker::MergeWorker(transport::Log& partials, transport::Log& snapshots, transport::Log& results, Options options)
    : partials_(partials),
      snapshots_(snapshots),
      options_(std::move(options)),
      results_(results, options_.nudge, options_.pauses),
      feed_(partials, options_.nudge, options_.pauses) {
  saver_ = std::thread([this] { write_snapshots(); });
}

MergeWorker::~MergeWorker() {
  {
    const std::lock_guard lock(saving_mutex_);
    stopping_ = true;
  }
  saving_changed_.notify_all();
  saver_.join();
}

void MergeWorker::set_queries(std::vector<MergeQuery> queries) {
  queries_ = std::move(queries);
  if (suspended_) return;  // What is given up gives nothing, and learns of them when it is gone on with.
  for (auto& [partition, share] : shares_) {
    if (share.engine != nullptr) learn_queries(share);
  }
}

void MergeWorker::set_edges(std::vector<Membership::Expected> edges) {
  edges_ = std::move(edges);
  for (auto& [partition, share] : shares_) {
    if (share.membership) share.membership->set_edges(edges_);
  }
}

void MergeWorker::own(const std::vector<uint32_t>& partitions) {
  for (auto at = shares_.begin(); at != shares_.end();) {
    if (std::find(partitions.begin(), partitions.end(), at->first) != partitions.end()) {
      ++at;
      continue;
    }
    drop(at->second);
    at = shares_.erase(at);
  }
  for (const uint32_t partition : partitions) {
    const auto [share, is_new] = shares_.try_emplace(partition);
    share->second.partition = partition;
    if (is_new || share->second.engine == nullptr) {
      take_over(share->second);
    } else if (suspended_) {
      go_on(share->second);
    }
  }
  suspended_ = false;
  std::string numbers;
  for (const uint32_t partition : partitions)
    numbers.append(numbers.empty() ? "" : ", ").append(std::to_string(partition));
  options_.tell(fmt::format("partitions that are completed here: {}", numbers));
}

void MergeWorker::give_up(bool lost) {
  const Micros now = options_.clock();
  if (lost) {
    for (auto& [partition, share] : shares_) drop(share);
    shares_.clear();
    if (!suspended_) options_.tell("others complete what was completed here");
    return;
  }
  bool all = true;
  for (auto& [partition, share] : shares_) {
    if (share.engine == nullptr) continue;
    feed_.forget(partition);
    if (share.changed) all &= save(share, now);
  }
  const bool written = flush_saves();
  if (!all || !written) options_.tell("the state of windows could not be saved; it is made again from partials");
  if (!written) {
    // It lacks what others give meanwhile, should the partition be ours again before it is written.
    cancel_saves(std::nullopt);
  }
  suspended_ = true;
  suspended_at_ = now;
}

void MergeWorker::drop(Share& share) {
  feed_.forget(share.partition);
  cancel_saves(share.partition);  // What it holds as given may be turned down.
  share.parts.clear();
  share.engine.reset();
  for (const Early& early : share.early) status_.early_octets -= early.record.bytes.size();
  share.early.clear();
  share.unknown.clear();
  share.saved_next.clear();
  share.newer.clear();
  share.next.clear();
}

/// Nullopt: there is none that can be used, and all is read from the begin.
Result<std::optional<MergeSnapshot>> MergeWorker::newest_snapshot(uint32_t partition) {
  const auto place = options_.place(partition);
  if (!place) return tl::unexpected(place.error());
  // Not moved, but who is no owner any more is told so: receivers heed the newest claim, and would turn down what the
  // owner gives, and has in its next snapshot, before it has read ours.
  if (auto is_owner = options_.set_place(partition, place->value_or(kNoSnapshot)); !is_owner)
    return tl::unexpected(std::move(is_owner.error()));
  if (place->value_or(kNoSnapshot) == kNoSnapshot) return std::optional<MergeSnapshot>();
  auto snapshot = read_snapshot(snapshots_, partition, **place);
  if (snapshot) {
    ++status_.snapshots_read;
    return std::optional(std::move(*snapshot));
  }
  if (snapshot.error().code == "58030") return tl::unexpected(std::move(snapshot.error()));
  ++status_.snapshots_refused;
  options_.tell(snapshot.error().message + "; windows are made again from partials");
  return std::optional<MergeSnapshot>();
}

/// With a partition that was given up, and came back: under the generation that it had. Where another one has had it
/// meanwhile, receivers may turn down what is given so, and it is taken over anew.
void MergeWorker::go_on(Share& share) {
  const Micros now = options_.clock();
  const auto claim = partials_.append(share.partition, partial::write_claim({now, options_.name}));
  if (claim.status != LogStatus::kOk || !is_unclaimed(share.partition, share.next.at(share.partition), claim.offset)) {
    drop(share);
    share.retry_at = now;
    return;
  }
  share.claimed_at = claim.offset;
  for (const auto& [from, next] : share.next) feed_.follow(share.partition, from, next);
  learn_queries(share);
}

/// Nobody has claimed the partition from there on until a claim of ours. False: somebody has, or it is not known soon.
bool MergeWorker::is_unclaimed(uint32_t partition, uint64_t from, uint64_t claim) {
  std::vector<transport::LogRecord> records;
  for (size_t octets = 0; octets < kSearchedOctetsMax; from = records.back().offset + 1) {
    records.clear();
    if (partials_.read(partition, from, kReadOctets, records) != LogStatus::kOk || records.empty()) return false;
    for (const transport::LogRecord& record : records) {
      if (record.offset >= claim) return true;
      partial::Message message;
      partial::PartialFault fault{};
      if (partial::read_message(record.bytes, message, fault) && message.kind == partial::Message::Kind::kClaim)
        return false;
      octets += record.bytes.size();
    }
  }
  return false;
}

/// It is tried again every few seconds, and told once.
void MergeWorker::tell_trouble(Share& share, std::string text) {
  if (share.trouble == text) return;
  share.trouble = std::move(text);
  options_.tell(share.trouble);
}

/// Claims a partition and goes on where the last one stopped; or tries again later.
void MergeWorker::take_over(Share& share) {
  const Micros now = options_.clock();
  share.retry_at = now + kRetryInterval;
  const auto claim = partials_.append(share.partition, partial::write_claim({now, options_.name}));
  if (claim.status != LogStatus::kOk) {
    tell_trouble(share,
                 fmt::format("partition {} cannot be claimed now: {}", share.partition, transport::name(claim.status)));
    return;
  }
  auto snapshot = newest_snapshot(share.partition);
  if (!snapshot) {
    const std::string& hint = snapshot.error().hint;
    tell_trouble(share, fmt::format("partition {} cannot be taken over now: {}{}", share.partition,
                                    snapshot.error().message, hint.empty() ? "" : " (hint: " + hint + ")"));
    return;
  }
  share.trouble.clear();
  ++status_.claims;
  share.generation = share.claimed_at = claim.offset;
  share.engine = std::make_unique<exec::Engine>(options_.engine);
  share.membership.emplace(options_.absent_after, now);
  share.membership->set_edges(edges_);
  share.saved_at = share.taken_at = now;
  share.changed = false;
  results_.begin(share.partition, share.generation);
  MergeSnapshot* saved = *snapshot ? &**snapshot : nullptr;
  if (saved != nullptr) {
    share.unknown = std::move(saved->queries);
    share.saved_next = std::move(saved->next);
    if (const auto streams = share.engine->restore_streams(saved->streams); !streams)
      options_.tell("who is waited for begins anew: " + streams.error().message);
  }
  settle_queries(share);
  // What was trimmed before anybody saved it is missing.
  if (saved == nullptr && partials_.begin_offset(share.partition) > 0) {
    for (const Part& part : share.parts) share.engine->mark_gap(part.number, base::kMinTime, now);
  }
  follow(share);
}

/// The queries of a partition, and before them the views that they read.
std::vector<const MergeQuery*> MergeWorker::wanted_by(const Share& share) const {
  std::set<std::string_view> names;
  std::vector<const MergeQuery*> wanted;
  for (auto query = queries_.rbegin(); query != queries_.rend(); ++query) {
    const bool own = partial::partition_of(query->incarnation, partials_.partition_count()) == share.partition;
    if (!own && !names.contains(query->name)) continue;
    wanted.push_back(&*query);
    names.insert(query->reads.begin(), query->reads.end());
  }
  std::reverse(wanted.begin(), wanted.end());
  return wanted;
}

void MergeWorker::add(Share& share, const MergeQuery& query, Micros since) {
  Part& part = share.parts.emplace_back();
  part.query = query;
  const bool own = partial::partition_of(query.incarnation, partials_.partition_count()) == share.partition;
  if (own) part.sink = std::make_unique<Sink>(results_, share.partition, query.id, *query.query);
  part.number = share.engine->add_query(query.query, part.sink.get(), exec::Measured::kNot, query.incarnation);
  share.engine->set_life(part.number, query.begin, base::kMaxTime);
  if (since != base::kMinTime) share.engine->mark_gap(part.number, base::kMinTime, since);
}

/// What runs is what is wanted now, and has what came before it was known.
void MergeWorker::learn_queries(Share& share) {
  settle_queries(share);
  follow(share);
  try_early(share, options_.clock());
}

/// Makes what runs in a partition's engine equal to what is wanted. A version whose windows another one follows gives
/// those that it has begun.
void MergeWorker::settle_queries(Share& share) {
  const std::vector<const MergeQuery*> wanted = wanted_by(share);
  const auto same = [](const MergeQuery& one, const MergeQuery& other) {
    return one.name == other.name && one.order == other.order && one.id == other.id;
  };
  for (Part& part : share.parts) {
    if (part.ending || std::any_of(wanted.begin(), wanted.end(), [&](const auto* w) { return same(*w, part.query); }))
      continue;
    const auto next = std::find_if(wanted.begin(), wanted.end(), [&](const MergeQuery* w) {
      return w->name == part.query.name && w->id.object == part.query.id.object && w->begin != base::kMinTime;
    });
    part.ending = true;
    const Micros until = next == wanted.end() ? base::kMinTime : (*next)->begin;
    share.engine->set_life(part.number, part.query.begin, std::max(part.query.begin, until));
    share.changed = true;
  }
  std::vector<size_t> added;
  for (size_t w = 0; w < wanted.size(); ++w) {
    const MergeQuery& query = *wanted[w];
    if (std::any_of(share.parts.begin(), share.parts.end(),
                    [&](const Part& part) { return !part.ending && same(query, part.query); }))
      continue;
    // A view that comes for a reader of another partition has seen no more than the reader.
    Micros since = query.since;
    for (size_t reader = w + 1; reader < wanted.size(); ++reader) {
      const auto& reads = wanted[reader]->reads;
      if (std::find(reads.begin(), reads.end(), query.name) != reads.end())
        since = std::max(since, wanted[reader]->since);
    }
    add(share, query, since);
    added.push_back(share.parts.back().number);
    share.changed = true;
  }
  // When all are there: states of views tell nothing to those that read them.
  for (const size_t number : added) {
    const auto part =
        std::find_if(share.parts.begin(), share.parts.end(), [&](const Part& p) { return p.number == number; });
    restore(share, *part);
  }
  share.engine->catch_up();
}

/// From what was saved of the query, if it was.
void MergeWorker::restore(Share& share, const Part& part) {
  const auto state = std::find_if(share.unknown.begin(), share.unknown.end(),
                                  [&](const auto& query) { return query.id == part.query.id; });
  if (state == share.unknown.end()) return;
  const auto restored = share.engine->restore_state(part.number, state->octets);
  share.unknown.erase(state);
  if (restored) return;
  ++status_.snapshots_refused;
  options_.tell(fmt::format("query '{}' begins anew: {}", part.query.name, restored.error().message));
  share.engine->mark_gap(part.number, base::kMinTime, options_.clock());
}

/// Reads what the queries of a partition need: the partition itself, and those of views that live elsewhere.
void MergeWorker::follow(Share& share) {
  std::set<uint32_t> needed{share.partition};
  for (const Part& part : share.parts)
    needed.insert(partial::partition_of(part.query.incarnation, partials_.partition_count()));
  // A query that is heard of soon after a take-over was there before it, and goes on where the others do.
  const bool goes_on = options_.clock() - share.taken_at < kEarlyTime;
  for (const uint32_t partition : needed) {
    if (share.next.contains(partition)) continue;
    const auto saved = share.saved_next.find(partition);
    uint64_t from = goes_on ? partials_.begin_offset(partition) : partials_.end_offset(partition);
    if (goes_on && saved != share.saved_next.end()) from = saved->second;
    share.next[partition] = from;
    feed_.follow(share.partition, partition, from);
  }
}

bool MergeWorker::work() {
  const Micros now = options_.clock();
  bool any = false;
  // What edges said meanwhile has not been read yet.
  if (worked_at_ != 0 && now - worked_at_ > kStoodStill) {
    for (auto& [partition, share] : shares_) {
      if (share.membership) share.membership->begin_anew(now);
    }
  }
  worked_at_ = now;
  if (suspended_ && now - suspended_at_ >= kSuspendedMax) give_up(true);  // Others have them.
  if (!suspended_) {
    for (auto& [partition, share] : shares_) {
      if (share.engine == nullptr && (now >= share.retry_at || now < share.retry_at - kRetryInterval)) take_over(share);
    }
    // Not all at once where much waits: others want this thread, too.
    for (int round = 0; round < kRoundsMax && results_.has_room(); ++round) {
      auto records = feed_.take();
      if (records.empty()) break;
      any = true;
      for (LogFeed::Record& record : records) {
        const auto share = shares_.find(record.reader);
        if (share != shares_.end() && share->second.engine != nullptr) take(share->second, std::move(record));
      }
    }
    if (now - tended_at_ >= kSecond || now < tended_at_) {
      tended_at_ = now;
      const bool report = now - reported_at_ >= kReportInterval || now < reported_at_;
      if (report) reported_at_ = now;
      for (auto& [partition, share] : shares_) {
        if (share.engine == nullptr) continue;
        tend(share, now);
        for (const Part& part : share.parts) {
          if (report && part.sink != nullptr && !part.ending) part.sink->report(report_of(share, part));
        }
      }
    }
  }
  return any;
}

void MergeWorker::take(Share& share, LogFeed::Record&& record) {
  share.next[record.partition] = record.offset + 1;
  share.changed = true;
  if (take_message(share, record) || share.engine == nullptr) return;
  // Of a query that this node has not heard of yet, or that is gone.
  status_.early_octets += record.bytes.size();
  share.early.push_back({std::move(record), options_.clock()});
  while (status_.early_octets > kEarlyOctetsMax && !share.early.empty()) {
    ++status_.early_dropped;
    status_.early_octets -= share.early.front().record.bytes.size();
    share.early.pop_front();
  }
}

/// False: it is of a query that is not here.
bool MergeWorker::take_message(Share& share, const LogFeed::Record& record) {
  using Kind = partial::Message::Kind;
  partial::Message message;
  partial::PartialFault fault{};
  const bool read = partial::read_message(record.bytes, message, fault);
  if (!read && fault == partial::PartialFault::kVersionUnknown) keep_newer(share, record);
  const bool own = record.partition == share.partition;
  if (read && message.kind == Kind::kClaim) {
    if (!own || record.offset <= share.claimed_at) return true;
    ++status_.superseded;
    options_.tell(fmt::format("partition {} was claimed by {}", share.partition, message.claim.worker));
    drop(share);
    share.retry_at = options_.clock() + kReclaimAfter;
    return true;
  }
  if (read && message.kind == Kind::kMembers && !own) return true;
  if (read && own && message.kind == Kind::kPresence && message.presence.origin.incarnation == 0)
    share.membership->heard(message.presence, options_.clock());
  const auto taken = share.engine->take(record.bytes);
  // Windows close at the same places of the log for whoever reads it, so that equal revisions have equal rows.
  if (read && (message.kind == Kind::kFrontier || message.kind == Kind::kMembers)) share.engine->settle();
  return taken != exec::Engine::Taken::kUnknown;
}

/// Until this worker is upgraded, too, an edge that writes so is as one that is away.
void MergeWorker::keep_newer(Share& share, const LogFeed::Record& record) {
  if (!share.newer.try_emplace(record.partition, record.offset).second) return;
  options_.tell(
      fmt::format("partition {} has messages of a newer version of the program: they wait until a worker of "
                  "that version reads them",
                  record.partition));
}

/// Those that waited may have their query now.
void MergeWorker::try_early(Share& share, Micros now) {
  std::deque<Early> waiting;
  waiting.swap(share.early);
  for (Early& early : waiting) {
    if (share.engine != nullptr && !take_message(share, early.record) && now - early.came_at < kEarlyTime) {
      share.early.push_back(std::move(early));
      continue;
    }
    status_.early_octets -= early.record.bytes.size();
  }
}

/// Once a second.
void MergeWorker::tend(Share& share, Micros now) {
  while (!share.early.empty() && now - share.early.front().came_at >= kEarlyTime) {
    ++status_.early_dropped;
    status_.early_octets -= share.early.front().record.bytes.size();
    share.early.pop_front();
  }
  if (!share.unknown.empty() && now - share.taken_at >= kEarlyTime) share.unknown.clear();  // As what came for them.
  // Readers began after what they read.
  for (size_t i = share.parts.size(); i-- > 0;) {
    Part& part = share.parts[i];
    const std::string& failure = share.engine->failure(part.number);
    if (!failure.empty() && !std::exchange(part.failure_told, true))
      options_.tell(fmt::format("query '{}' was stopped: {}", part.query.name, failure));
    if (!part.ending || (failure.empty() && !share.engine->has_ended(part.number))) continue;
    if (share.engine->remove_query(part.number)) share.parts.erase(share.parts.begin() + static_cast<long>(i));
  }
  decide(share, now);
  if (share.changed && (now - share.saved_at >= options_.snapshot_interval || now < share.saved_at)) save(share, now);
}

/// Decisions about who is waited for go to the log, and come back from it.
void MergeWorker::decide(Share& share, Micros now) {
  const auto decided = share.membership->decide(share.engine->members(), now);
  if (!decided || (now - share.decided_at < kSecond && now >= share.decided_at)) return;
  share.decided_at = now;
  const auto& before = share.engine->members().edges;
  for (const partial::Members::Member& member : decided->edges) {
    const auto was = std::find_if(before.begin(), before.end(), [&](const auto& b) { return b.edge == member.edge; });
    const bool was_absent = was != before.end() && was->absent;
    if (member.absent == was_absent && was != before.end()) continue;
    // The same is seen in each partition, and told once.
    if (&share != &shares_.begin()->second) continue;
    options_.tell(fmt::format("site {} {}", options_.site_of(member.edge),
                              member.absent ? "is absent: windows close without it"
                              : was_absent  ? "is back: its windows are revised"
                                            : "is waited for from now on"));
  }
  if (partials_.append(share.partition, partial::write_members(*decided)).status != LogStatus::kOk)
    options_.tell("who is waited for could not be written to the log; it is tried again");
}

/// False: not now. Chunks that wait for others are in no snapshot.
bool MergeWorker::save(Share& share, Micros now) {
  if (share.engine->has_pending_chunks()) return false;
  share.saved_at = now;
  share.changed = false;
  Saving saving;
  saving.partition = share.partition;
  saving.results = results_.put_count(share.partition);
  MergeSnapshot& snapshot = saving.snapshot;
  snapshot.generation = share.generation;
  snapshot.saved_at = now;
  snapshot.next = share.next;
  // What waits for its query is read again.
  for (const Early& early : share.early) {
    uint64_t& next = snapshot.next[early.record.partition];
    next = std::min(next, early.record.offset);
  }
  for (const auto& [partition, offset] : share.newer) {
    uint64_t& next = snapshot.next[partition];
    next = std::min(next, offset);
  }
  share.engine->save_streams(snapshot.streams);
  for (const Part& part : share.parts) {
    if (part.ending) continue;
    MergeSnapshot::Query query{part.query.id, {}};
    share.engine->save_state(part.number, query.octets);
    if (!query.octets.empty()) snapshot.queries.push_back(std::move(query));  // Else it has failed.
  }
  // What has come for them since is early, and read again.
  snapshot.queries.insert(snapshot.queries.end(), share.unknown.begin(), share.unknown.end());
  if (!share.unknown.empty()) snapshot.next.insert(share.saved_next.begin(), share.saved_next.end());
  {
    const std::lock_guard lock(saving_mutex_);
    // An older one that nobody has begun to write is of no use any more.
    std::erase_if(saving_, [&](const Saving& other) { return other.partition == share.partition; });
    saving_.push_back(std::move(saving));
  }
  saving_changed_.notify_all();
  return true;
}

bool MergeWorker::flush_saves() {
  std::unique_lock lock(saving_mutex_);
  return saving_changed_.wait_for(lock, options_.pauses.save, [&] { return saving_.empty() && !writing_; });
}

/// Of a partition, or all. None of them moves a place any more when it returns.
void MergeWorker::cancel_saves(std::optional<uint32_t> partition) {
  std::unique_lock lock(saving_mutex_);
  std::erase_if(saving_, [&](const Saving& saving) { return !partition || saving.partition == *partition; });
  const auto is_written = [&] { return writing_ && (!partition || *writing_ == *partition); };
  cancelled_ |= is_written();
  saving_changed_.wait(lock, [&] { return !is_written(); });
}

void MergeWorker::write_snapshots() {
  std::unique_lock lock(saving_mutex_);
  for (;;) {
    saving_changed_.wait(lock, [&] { return stopping_ || !saving_.empty(); });
    if (stopping_) return;
    const Saving saving = std::move(saving_.front());
    saving_.pop_front();
    writing_ = saving.partition;
    cancelled_ = false;
    lock.unlock();
    const bool done = write(saving);
    lock.lock();
    writing_.reset();
    ++(done ? written_ : failed_);
    saving_changed_.notify_all();
  }
}

/// The results that were given before come first: who goes on from the snapshot does not give them again.
bool MergeWorker::write(const Saving& saving) {
  const auto stopped = [&] {
    const std::lock_guard lock(saving_mutex_);
    return stopping_ || cancelled_;
  };
  const auto give_up_at = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  for (;;) {
    const auto sent = results_.sent_count(saving.partition, saving.snapshot.generation);
    if (!sent || stopped() || std::chrono::steady_clock::now() > give_up_at) return false;
    if (*sent >= saving.results) break;
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::optional<uint64_t> place;
  uint64_t octets = 0;
  for (const std::vector<uint8_t>& chunk : write_snapshot(saving.snapshot)) {
    octets += chunk.size();
    auto appended = snapshots_.append(saving.partition, chunk);
    while (appended.status != LogStatus::kOk) {
      if (stopped() || std::chrono::steady_clock::now() > give_up_at) return false;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
      appended = snapshots_.append(saving.partition, chunk);
    }
    if (!place) place = appended.offset;
  }
  const auto set = options_.set_place(saving.partition, *place);
  if (!set) {
    options_.tell(fmt::format("the state of partition {} is not kept: {}", saving.partition, set.error().message));
    return false;
  }
  {
    const std::lock_guard lock(saving_mutex_);
    written_octets_ += octets;
  }
  snapshots_.trim(saving.partition, *place);
  return true;
}

std::map<QueryId, QueryReport> MergeWorker::reports() const {
  std::map<QueryId, QueryReport> reports;
  for (const auto& [partition, share] : shares_) {
    for (const Part& part : share.parts) {
      if (part.sink == nullptr || part.ending) continue;
      QueryReport& report = reports[part.query.id] = report_of(share, part);
      report.held = share.engine->held(part.number);
    }
  }
  return reports;
}

QueryReport MergeWorker::report_of(const Share& share, const Part& part) const {
  QueryReport report{share.engine->ledger(part.number), share.engine->frontier(part.number),
                     share.engine->failure(part.number), share.engine->whole(part.number)};
  if (report.frontier == base::kMaxTime) report.frontier = base::kMinTime;  // It reads views alone.
  return report;
}

MergeWorker::Status MergeWorker::status() const {
  Status status = status_;
  status.partitions = suspended_ ? 0 : static_cast<uint32_t>(shares_.size());
  for (const auto& [partition, share] : shares_) {
    if (share.engine == nullptr) continue;
    const auto counts = share.engine->partial_counts();
    status.partials.taken += counts.taken;
    status.partials.unknown += counts.unknown;
    status.partials.octets += counts.octets;
    for (size_t i = 0; i < counts.refused.size(); ++i) status.partials.refused[i] += counts.refused[i];
    for (size_t i = 0; i < counts.dropped.size(); ++i) status.partials.dropped[i] += counts.dropped[i];
    if (!status.edges.empty()) continue;
    status.edges = share.membership->edges();
    for (const auto& member : share.engine->members().edges) {
      if (member.absent) status.absent.push_back(member.edge);
    }
  }
  status.feed = feed_.status();
  status.results = results_.status();
  const std::lock_guard lock(saving_mutex_);
  status.snapshots_written = written_;
  status.snapshots_failed = failed_;
  status.snapshot_octets = written_octets_;
  return status;
}

}  // namespace backstream::cluster
