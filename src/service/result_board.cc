#include "service/result_board.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "plan/stderr_outputs.h"

namespace backstream::service {

using base::Result;

namespace {

constexpr size_t kAnswerOctetsMax = size_t{4} << 20;  ///< kept of one, beside what its stream has

}  // namespace

/// One version of a query. Windowed rows come on one thread; rows without windows on several at once.
class ResultBoard::Sink final : public exec::ResultSink {
 public:
  /// @param room  null: what there is no room for is counted and left out
  Sink(ResultBoard& board, std::string query, Identity identity, std::shared_ptr<const ResultForm> form,
       std::function<void()> room = {})
      : board_(board), query_(std::move(query)), identity_(identity), form_(std::move(form)), room_(std::move(room)) {}

  void on_result(const exec::ResultBatch& result) override {
    const bool windowed = result.window_start != result.window_end;
    if (!windowed && (result.rows.row_count == 0 || (!room_ && !allowed(result.rows.row_count)))) return;
    for (size_t begin = 0; begin < result.rows.row_count; begin += board_.limits_.part_rows) {
      const size_t end = std::min(result.rows.row_count, begin + board_.limits_.part_rows);
      const size_t octets = receiver::copied_octets(result.rows, begin, end);
      if (room_) {
        room_();
      } else if (board_.pending_octets_.load(std::memory_order_relaxed) + octets > board_.limits_.pending_octets_max) {
        board_.rows_refused_.fetch_add(end - begin, std::memory_order_relaxed);
        continue;
      }
      auto part = part_of(result);
      part->octets = octets;
      receiver::copy_rows(result.rows, begin, end, form_->schema.columns.size(), *part);
      if (windowed) hold(std::move(part));
      else board_.hand_over({query_, std::move(part)});
    }
    if (!windowed || !result.last) return;
    // The end of a window is told whatever became of its rows.
    if (!held_) {
      if (room_) room_();
      held_ = part_of(result);
    }
    held_->last = true;
    held_->complete = held_->complete && result.complete;  // What is missing may be known at the end only.
    hold(nullptr);
    if (board_.window_listener_ && !room_) board_.window_listener_(query_, result.window_start);
  }

 private:
  std::shared_ptr<ResultPart> part_of(const exec::ResultBatch& result) const {
    auto part = std::make_shared<ResultPart>();
    part->incarnation = identity_.incarnation;
    part->version = identity_.version;
    part->window_start = result.window_start;
    part->window_end = result.window_end;
    part->revision = result.revision;
    part->final = result.final;
    part->complete = result.complete;
    for (const uint32_t edge : result.edges_missing)
      part->sites_missing.push_back(board_.edge_name_ ? board_.edge_name_(edge) : std::to_string(edge));
    part->removed = result.removed;
    part->last = result.window_start == result.window_end;
    part->form = form_;
    part->octets = sizeof(ResultPart);
    return part;
  }
  /// Of a window, the newest part stays here until it is known whether another follows: who reads learns with the last
  /// rows that they are the last.
  void hold(std::shared_ptr<ResultPart> next) {
    if (held_) board_.hand_over({query_, std::move(held_)});
    held_ = std::move(next);
  }
  bool allowed(size_t rows) {
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    if (now - second_began_ >= std::chrono::seconds(1)) {
      second_began_ = now;
      rows_in_second_ = 0;
    }
    if (rows_in_second_ >= board_.limits_.unwindowed_rows_per_second) {
      board_.rows_unshown_.fetch_add(rows, std::memory_order_relaxed);
      return false;
    }
    rows_in_second_ += rows;
    return true;
  }

  ResultBoard& board_;
  const std::string query_;
  const Identity identity_;
  const std::shared_ptr<const ResultForm> form_;
  const std::function<void()> room_;
  std::mutex mutex_;
  std::chrono::steady_clock::time_point second_began_{};
  uint64_t rows_in_second_ = 0;
  std::shared_ptr<ResultPart> held_;
};

ResultBoard::ResultBoard(http::EventHub& hub, BoardLimits limits)
    : hub_(hub), limits_(limits), thread_([this] { run(); }) {}

ResultBoard::~ResultBoard() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void ResultBoard::name_edges(std::function<std::string(uint32_t edge)> name) { edge_name_ = std::move(name); }
void ResultBoard::on_window(std::function<void(const std::string&, Micros)> listener) {
  window_listener_ = std::move(listener);
}
void ResultBoard::on_part(std::function<void(const std::string&, const std::shared_ptr<const ResultPart>&)> taker) {
  part_takers_.push_back(std::move(taker));
}

std::shared_ptr<const ResultForm> form_of(const plan::Query& query) {
  auto form = std::make_shared<ResultForm>();
  form->schema = query.output();
  form->keys = plan::key_outputs(query);
  form->stderr_of = plan::stderr_outputs(query);
  form->window_size_us = query.window_size_us;
  form->window_start_column = query.stages.back().window_start_output;
  form->window_end_column = query.stages.back().window_end_output;
  return form;
}

exec::ResultSink* ResultBoard::open(const std::string& query, Identity identity, const plan::Query& plan,
                                    uint64_t first_seq) {
  {
    const std::lock_guard lock(mutex_);
    const auto at = shown_.find(query);
    if (at != shown_.end() && at->second.incarnation != identity.incarnation) first_seq = at->second.last_seq + 1;
    else if (at != shown_.end()) first_seq = 0;
  }
  if (first_seq != 0) drop(query);
  const std::lock_guard lock(mutex_);
  const auto [at, fresh] = shown_.try_emplace(query);
  if (fresh) {
    at->second.incarnation = identity.incarnation;
    at->second.last_seq = first_seq == 0 ? 0 : first_seq - 1;
    at->second.topic = hub_.open(query, at->second.last_seq);
  }
  at->second.form = form_of(plan);
  sinks_.push_back(std::make_unique<Sink>(*this, query, identity, at->second.form));
  return sinks_.back().get();
}

exec::ResultSink* ResultBoard::open_whole(const std::string& query, Identity identity, const plan::Query& plan,
                                          std::function<void()> room) {
  const std::lock_guard lock(mutex_);
  Shown& shown = shown_[query];
  shown.incarnation = identity.incarnation;
  shown.topic = hub_.open(query);
  if (shown.topic) shown.topic->keep_unread();
  shown.whole = true;
  shown.form = form_of(plan);
  sinks_.push_back(std::make_unique<Sink>(*this, query, identity, shown.form, std::move(room)));
  return sinks_.back().get();
}

void ResultBoard::tell(const std::string& query, std::string event, std::string data) {
  hand_over({query, nullptr, std::move(event), std::move(data)});
}
void ResultBoard::end(const std::string& query) { hand_over({query, nullptr}); }

void ResultBoard::close(exec::ResultSink* sink) {
  const std::lock_guard lock(mutex_);
  std::erase_if(sinks_, [&](const auto& own) { return own.get() == sink; });
}

void ResultBoard::drop(const std::string& query) {
  std::vector<std::string> topics;
  {
    const std::lock_guard lock(mutex_);
    const auto at = shown_.find(query);
    if (at == shown_.end()) return;
    if (at->second.topic) topics.push_back(query);
    for (const auto& [condition, filtered] : at->second.filtered) topics.push_back(filtered.topic->name());
    counters_.octets -= at->second.octets;
    shown_.erase(at);
  }
  for (const std::string& topic : topics) hub_.remove(topic);
}

std::shared_ptr<http::Topic> ResultBoard::topic(const std::string& query) const {
  const std::lock_guard lock(mutex_);
  const auto at = shown_.find(query);
  return at == shown_.end() ? nullptr : at->second.topic;
}

void ResultBoard::hand_over(Pending pending) {
  if (pending.part) pending_octets_.fetch_add(pending.part->octets, std::memory_order_relaxed);
  bool idle = false;
  {
    const std::lock_guard lock(mutex_);
    idle = pending_.empty() && !busy_;
    pending_.push_back(std::move(pending));
  }
  if (idle) changed_.notify_all();
}

void ResultBoard::run() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] { return stop_ || !pending_.empty(); });
    if (pending_.empty()) return;
    std::deque<Pending> taken = std::exchange(pending_, {});
    busy_ = true;
    lock.unlock();
    for (Pending& pending : taken) {
      if (!pending.part) {
        show_event(pending);
        continue;
      }
      const size_t octets = pending.part->octets;
      show(std::move(pending));
      pending_octets_.fetch_sub(octets, std::memory_order_relaxed);
    }
    lock.lock();
    busy_ = false;
    if (pending_.empty()) changed_.notify_all();
  }
}

void ResultBoard::show_event(const Pending& pending) {
  std::shared_ptr<http::Topic> topic;
  uint64_t seq = 0;
  {
    const std::lock_guard lock(mutex_);
    const auto at = shown_.find(pending.query);
    if (at == shown_.end()) return;
    topic = at->second.topic;
    if (!pending.event.empty()) seq = ++at->second.last_seq;
  }
  if (!topic) return;
  if (pending.event.empty()) topic->close();
  else topic->publish(seq, pending.event, pending.data);
}

void ResultBoard::show(Pending pending) {
  ResultPart& part = *pending.part;
  std::shared_ptr<http::Topic> topic;
  std::shared_ptr<telemetry::Histogram> latency;
  uint64_t rows_max = limits_.live_rows_max;
  {
    const std::lock_guard lock(mutex_);
    const auto at = shown_.find(pending.query);
    if (at == shown_.end() || at->second.incarnation != part.incarnation) return;  // It was dropped meanwhile.
    Shown& shown = at->second;
    const bool goes_on = part.windowed() && shown.at_part != 0 && shown.at_start == part.window_start &&
                         shown.at_revision == part.revision;
    if (!goes_on) shown.at_part = 0, shown.at_rows = 0;
    part.seq = ++shown.last_seq;
    part.part = shown.at_part;
    part.rows_before = shown.at_rows;
    shown.at_start = part.window_start;
    shown.at_revision = part.revision;
    shown.at_rows += part.rows.row_count;
    shown.at_part = part.last ? 0 : shown.at_part + 1;
    shown.parts.push_back(pending.part);
    shown.octets += part.octets;
    counters_.octets += part.octets;
    ++counters_.parts;
    counters_.rows += part.rows.row_count;
    topic = shown.topic;
    latency = shown.whole ? nullptr : shown.latency;
    // Of an answer its stream keeps what is to be read.
    if (shown.whole) rows_max = UINT64_MAX;
    const size_t octets_max = shown.whole ? kAnswerOctetsMax : limits_.query_octets_max;
    while (shown.octets > octets_max && shown.parts.size() > 1) {
      shown.octets -= shown.parts.front()->octets;
      counters_.octets -= shown.parts.front()->octets;
      ++shown.parts_dropped;
      shown.parts.pop_front();
    }
    shrink();
  }
  if (topic) publish(*topic, pending.query, part, rows_max);
  if (latency && part.windowed() && part.final && part.last && !part.removed) {
    latency->record(static_cast<double>(base::wall_clock() - part.window_end) / base::kMicrosPerSecond);
  }
  publish_filtered(pending.query, part, rows_max);
  for (const auto& taker : part_takers_) taker(pending.query, pending.part);
}

void ResultBoard::publish(http::Topic& topic, const std::string& query, const ResultPart& part,
                          uint64_t rows_max) const {
  // Live, a very large window is told by its first rows and its end.
  const bool beyond = part.windowed() && part.rows_before >= rows_max;
  if (beyond && !part.last) return;
  const bool truncated = part.windowed() && part.rows_before + part.rows.row_count > rows_max;
  size_t shown_rows = part.rows.row_count;
  if (beyond) shown_rows = 0;
  else if (truncated) shown_rows = std::min<size_t>(shown_rows, rows_max - part.rows_before);
  topic.publish(part.seq, "rows", receiver::window_json(query, part, 0, shown_rows, part.last, truncated));
}

void ResultBoard::publish_filtered(const std::string& query, const ResultPart& part, uint64_t rows_max) {
  std::vector<std::pair<std::string, Filtered>> all;
  {
    const std::lock_guard lock(mutex_);
    const auto at = shown_.find(query);
    if (at == shown_.end() || at->second.filtered.empty()) return;
    for (const auto& [condition, filtered] : at->second.filtered) all.emplace_back(condition, filtered);
  }
  for (auto& [condition, filtered] : all) {
    if (filtered.form != part.form) {
      // Another version: perhaps it has the columns no more.
      auto made = RowFilter::make(condition, part.form->schema);
      if (made) filtered.filter = std::make_shared<RowFilter>(std::move(*made));
      filtered.form = part.form;
      const std::lock_guard lock(mutex_);
      const auto at = shown_.find(query);
      if (at == shown_.end()) return;
      if (made) {
        at->second.filtered[condition] = filtered;
      } else {
        at->second.filtered.erase(condition);
        hub_.remove(filtered.topic->name());
        continue;
      }
    }
    publish(*filtered.topic, query, *filtered_part(part, *filtered.filter), rows_max);
  }
}

Result<ResultBoard::FilteredTopic> ResultBoard::filtered_topic(const std::string& query, const std::string& condition) {
  const std::lock_guard lock(mutex_);
  const auto at = shown_.find(query);
  if (at == shown_.end()) return base::fail("42704", fmt::format("there is no query '{}'", query));
  Shown& shown = at->second;
  if (const auto there = shown.filtered.find(condition); there != shown.filtered.end())
    return FilteredTopic{there->second.topic, there->second.lease};
  if (shown.filtered.size() >= kFilteredTopicsMax) {
    for (auto other = shown.filtered.begin(); other != shown.filtered.end();) {
      const bool unread = other->second.lease.use_count() == 1;
      if (unread) hub_.remove(other->second.topic->name());
      other = unread ? shown.filtered.erase(other) : std::next(other);
    }
  }
  if (shown.filtered.size() >= kFilteredTopicsMax) {
    return base::fail("53400",
                      fmt::format("query '{}' is being read with {} row filters already", query, kFilteredTopicsMax));
  }
  auto filter = RowFilter::make(condition, shown.form->schema);
  if (!filter) return tl::unexpected(std::move(filter.error()));
  Filtered filtered;
  filtered.filter = std::make_shared<RowFilter>(std::move(*filter));
  filtered.form = shown.form;
  filtered.lease = std::make_shared<int>(0);
  // A query's name has no line end in a path; this is no query's.
  filtered.topic = hub_.open(fmt::format("{}\n{}\n{}", query, shown.incarnation, condition), shown.last_seq);
  if (!filtered.topic) return base::fail("53400", "there are too many event streams");
  shown.filtered.emplace(condition, filtered);
  return FilteredTopic{filtered.topic, filtered.lease};
}

std::shared_ptr<ResultPart> filtered_part(const ResultPart& part, RowFilter& filter) {
  const batch::ColumnBatch& seen = filter.apply(part.rows);
  auto copy = std::make_shared<ResultPart>(part);
  copy->rows = {};
  copy->memory = nullptr;
  receiver::copy_rows(seen, 0, seen.row_count, part.form->schema.columns.size(), *copy);
  return copy;
}

/// Keeps all queries together within their bound: the one that holds most gives its oldest. Under mutex_.
void ResultBoard::shrink() {
  while (counters_.octets > limits_.octets_max) {
    const auto largest = std::max_element(
        shown_.begin(), shown_.end(), [](const auto& a, const auto& b) { return a.second.octets < b.second.octets; });
    if (largest == shown_.end() || largest->second.parts.empty()) return;
    Shown& shown = largest->second;
    shown.octets -= shown.parts.front()->octets;
    counters_.octets -= shown.parts.front()->octets;
    ++shown.parts_dropped;
    shown.parts.pop_front();
  }
}

std::optional<ResultBoard::Read> ResultBoard::read(const std::string& query, const Range& range) const {
  const std::lock_guard lock(mutex_);
  const auto at = shown_.find(query);
  if (at == shown_.end()) return std::nullopt;
  const Shown& shown = at->second;
  Read read;
  read.parts_dropped = shown.parts_dropped;
  read.last_seq = shown.last_seq;
  if (!shown.parts.empty()) read.kept_since = shown.parts.front()->window_start;
  std::map<Micros, int> newest;
  if (!range.revisions) {
    for (const auto& part : shown.parts) {
      int& revision = newest[part->window_start];
      revision = std::max(revision, part->revision);
    }
  }
  const auto first = std::upper_bound(shown.parts.begin(), shown.parts.end(), range.after_seq,
                                      [](uint64_t seq, const auto& part) { return seq < part->seq; });
  uint64_t rows = 0;
  for (auto part = first; part != shown.parts.end(); ++part) {
    const ResultPart& one = **part;
    if (one.windowed() && (one.window_start < range.from || one.window_start >= range.until)) continue;
    if (!range.revisions && one.windowed() && (one.removed || one.revision < newest[one.window_start])) continue;
    if (!read.parts.empty() && rows + one.rows.row_count > range.rows_max) {
      read.next_seq = read.parts.back()->seq;
      break;
    }
    rows += one.rows.row_count;
    read.parts.push_back(*part);
  }
  return read;
}

ResultBoard::Counters ResultBoard::counters() const {
  const std::lock_guard lock(mutex_);
  Counters counters = counters_;
  counters.rows_unshown = rows_unshown_.load(std::memory_order_relaxed);
  counters.rows_refused = rows_refused_.load(std::memory_order_relaxed);
  counters.pending_octets = pending_octets_.load(std::memory_order_relaxed);
  return counters;
}

uint64_t ResultBoard::last_seq(const std::string& query) const {
  const std::lock_guard lock(mutex_);
  const auto at = shown_.find(query);
  return at == shown_.end() ? 0 : at->second.last_seq;
}

std::optional<telemetry::Histogram::Snapshot> ResultBoard::latency_seconds(const std::string& query) const {
  const std::lock_guard lock(mutex_);
  const auto at = shown_.find(query);
  if (at == shown_.end()) return std::nullopt;
  return at->second.latency->snapshot();
}

void ResultBoard::settle() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return pending_.empty() && !busy_; });
}

}  // namespace backstream::service
