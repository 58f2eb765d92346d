#include "sink/runner.h"

#include <algorithm>
#include <utility>
#include <vector>

namespace backstream::sink {
namespace {

constexpr std::chrono::milliseconds kLook{500};  // At a stop, and whether there is something new.

bool refuses_what_rows_say(const base::Diagnostic& error) { return error.code.starts_with("22"); }

uint64_t rows_of(Parts parts) {
  uint64_t rows = 0;
  for (const auto& part : parts) rows += part->rows.row_count;
  return rows;
}

}  // namespace

std::string_view name(RunnerStatus::State state) {
  switch (state) {
    case RunnerStatus::State::kStarting: return "starting";
    case RunnerStatus::State::kRunning: return "running";
    case RunnerStatus::State::kFailing: return "failing";
    case RunnerStatus::State::kReplaying: return "replaying";
  }
  return "";
}

Runner::Runner(RunnerOptions options, std::unique_ptr<Target> target, PartSource& source, Selection selection)
    : options_(std::move(options)),
      target_(std::move(target)),
      source_(source),
      selection_(std::move(selection)),
      thread_([this] { run(); }) {}

Runner::~Runner() { stop({}); }

void Runner::stop(std::chrono::milliseconds patience) {
  {
    const std::lock_guard lock(mutex_);
    stop_at_ = Clock::now() + patience;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

bool Runner::replay(Micros from, Micros until) {
  const std::lock_guard lock(mutex_);
  if (replay_) return false;
  replay_ = Replay{from, until, 0, 0};
  status_.rows_replayed = 0;
  changed_.notify_all();
  return true;
}

RunnerStatus Runner::status() const {
  const std::lock_guard lock(mutex_);
  return status_;
}

void Runner::run() {
  uint64_t seen = 0;
  for (;;) {
    {
      const std::lock_guard lock(mutex_);
      if (stop_at_ && Clock::now() >= *stop_at_) return;
    }
    const bool did = open() && (replay_some() || deliver_some());
    if (did) continue;
    {
      const std::lock_guard lock(mutex_);
      if (stop_at_) return;  // There is nothing more, or it cannot be given away now.
    }
    wait(seen);
  }
}

/// After an error until it is tried again; otherwise until there is more.
void Runner::wait(uint64_t& seen) {
  if (!is_open_) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, backoff_, [&] { return stop_at_.has_value(); });
    return;
  }
  seen = source_.wait_beyond(seen, kLook);
}

bool Runner::open() {
  if (is_open_) return true;
  const auto place = target_->open();
  if (!place) {
    note_error(place.error());
    return false;
  }
  is_open_ = true;
  const std::lock_guard lock(mutex_);
  if (status_.place != *place) {
    const auto at =
        std::find_if(under_way_.begin(), under_way_.end(), [&](const auto& one) { return one.first == *place; });
    rows_at_place_ = at == under_way_.end() ? std::nullopt : std::optional(at->second);
  }
  status_.place = *place;
  status_.state = RunnerStatus::State::kRunning;
  ++status_.opened;
  return true;
}

void Runner::note_error(const base::Diagnostic& error) {
  is_open_ = false;
  backoff_ = std::clamp(backoff_ * 2, options_.backoff_min, options_.backoff_max);
  const Micros now = base::wall_clock();
  const std::lock_guard lock(mutex_);
  status_.state = RunnerStatus::State::kFailing;
  status_.error = error.message;
  status_.hint = error.hint;
  status_.error_at = now;
  status_.retry_at = now + std::chrono::duration_cast<std::chrono::microseconds>(backoff_).count();
  ++status_.errors;
}

bool Runner::deliver_some() {
  uint64_t place = 0;
  {
    const std::lock_guard lock(mutex_);
    place = status_.place;
    status_.state = RunnerStatus::State::kRunning;
  }
  auto read = source_.read_after(options_.query, place, options_.octets_max);
  if (!read) {
    note_error(read.error());
    return false;
  }
  {
    const std::lock_guard lock(mutex_);
    status_.last_seq = std::max(read->last_seq, place);
    if (read->last_seq <= place) status_.behind_since = 0;
    else if (status_.behind_since == 0) status_.behind_since = base::wall_clock();
    if (rows_at_place_ && read->rows_before > *rows_at_place_)
      status_.rows_missed += read->rows_before - *rows_at_place_;
  }
  rows_at_place_ = read->rows_before;
  if (read->parts.empty()) {
    if (auto kept = target_->keep_place(); !kept) note_error(kept.error());
    return false;
  }

  std::vector<std::shared_ptr<const ResultPart>> wanted;
  under_way_.clear();
  for (const auto& part : read->parts) {
    const uint64_t rows_before = under_way_.empty() ? read->rows_before : under_way_.back().second;
    under_way_.emplace_back(part->seq, rows_before + part->rows.row_count);
    auto selected = selection_(part);
    if (selected) {
      wanted.push_back(std::move(*selected));
      continue;
    }
    const std::lock_guard lock(mutex_);
    status_.error = selected.error().message;
    status_.hint = selected.error().hint;
    status_.error_at = base::wall_clock();
    status_.rows_refused += part->rows.row_count;
  }
  auto done = give(
      wanted,
      [&](Parts parts) -> Result<void> {
        auto delivered = target_->deliver(parts);
        if (!delivered) return delivered;
        const std::lock_guard lock(mutex_);
        status_.parts += parts.size();
        status_.rows += rows_of(parts);
        return {};
      },
      [&](const ResultPart& part) { return target_->pass_over(part); });
  // The place has to come by what was not wanted, too; of what was, the target has moved it.
  if (done && (wanted.empty() || wanted.back()->seq != read->parts.back()->seq))
    done = target_->pass_over(*read->parts.back());
  if (!done) {
    note_error(done.error());
    return false;
  }
  backoff_ = {};
  rows_at_place_ = under_way_.back().second;
  const Micros now = base::wall_clock();
  const std::lock_guard lock(mutex_);
  status_.place = read->parts.back()->seq;
  status_.delivered_at = now;
  status_.rows_left_out = target_->rows_left_out();
  return true;
}

Result<void> Runner::give(Parts parts, const std::function<Result<void>(Parts)>& to,
                          const std::function<Result<void>(const ResultPart&)>& refused) {
  if (parts.empty()) return {};
  auto done = to(parts);
  if (done || !refuses_what_rows_say(done.error())) return done;
  // One of them it will never take: the others are not to wait for it.
  if (parts.size() > 1) {
    const size_t half = parts.size() / 2;
    if (auto first = give(parts.first(half), to, refused); !first) return first;
    return give(parts.subspan(half), to, refused);
  }
  {
    const std::lock_guard lock(mutex_);
    status_.error = done.error().message;
    status_.hint = done.error().hint;
    status_.error_at = base::wall_clock();
    status_.rows_refused += parts.front()->rows.row_count;
    ++status_.errors;
  }
  return refused(*parts.front());
}

bool Runner::replay_some() {
  Replay replay;
  {
    const std::lock_guard lock(mutex_);
    if (!replay_) return false;
    if (replay_->last_seq == 0) replay_->last_seq = status_.place;
    replay = *replay_;
    status_.state = RunnerStatus::State::kReplaying;
  }
  auto read = source_.read_after(options_.query, replay.after_seq, options_.octets_max);
  if (!read) {
    note_error(read.error());
    return false;
  }
  std::vector<std::shared_ptr<const ResultPart>> wanted;
  for (const auto& part : read->parts) {
    if (part->seq > replay.last_seq) break;
    replay.after_seq = part->seq;
    if (part->windowed() && (part->window_start < replay.from || part->window_start >= replay.until)) continue;
    if (auto selected = selection_(part)) wanted.push_back(std::move(*selected));
  }
  const bool over = read->parts.empty() || read->parts.back()->seq >= replay.last_seq;
  const auto repeated = give(
      wanted,
      [&](Parts parts) -> Result<void> {
        auto delivered = target_->repeat(parts);
        if (!delivered) return delivered;
        const std::lock_guard lock(mutex_);
        status_.rows_replayed += rows_of(parts);
        return {};
      },
      [](const ResultPart&) { return Result<void>(); });
  if (!repeated) {
    note_error(repeated.error());
    return false;
  }
  const std::lock_guard lock(mutex_);
  if (over) replay_.reset();
  else replay_->after_seq = replay.after_seq;
  return true;
}

}  // namespace backstream::sink
