#include "decode/sequence_order.h"

#include <algorithm>
#include <limits>

namespace backstream::decode {
namespace {

bool came_before(const SequenceNote& a, const SequenceNote& b) { return a.arrived_ns < b.arrived_ns; }

constexpr int64_t kAllNs = std::numeric_limits<int64_t>::max();

}  // namespace

uint32_t SequenceOrder::number_of(const SequenceName& name) {
  const std::lock_guard lock(mutex_);
  const auto [at, fresh] = numbers_.try_emplace(name, static_cast<uint32_t>(streams_.size() + 1));
  if (fresh) {
    Stream& stream = streams_.emplace_back();
    stream.counts_records = counts_records(name.kind);
    if (resumed_ != nullptr) resume_stream(stream, *resumed_, name);
  }
  return at->second;
}

void SequenceOrder::resume(std::shared_ptr<const SequenceMarks> marks) {
  const std::lock_guard lock(mutex_);
  resumed_ = std::move(marks);
}

void SequenceOrder::add_marks(SequenceMarks& marks) const {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, number] : numbers_) add_mark(marks, name, streams_[number - 1]);
}

void SequenceOrder::hand_over(uint32_t number, std::vector<SequenceNote>& notes, int64_t complete_until_ns) {
  const std::lock_guard lock(mutex_);
  Lane& lane = lanes_[number];
  if (complete_until_ns < lane.complete_until_ns - kSettleNs) {
    // Old time stamps say nothing about new ones, nor do those of a block that may have both.
    follow_until(kAllNs, 0);
    for (const SequenceNote& note : notes) follow(number, note);
    notes.clear();
  }
  add(lane, notes);
  lane.complete_until_ns = complete_until_ns;
  int64_t complete = kAllNs;
  for (const Lane& one : lanes_) complete = std::min(complete, one.complete_until_ns);
  follow_until(complete - kSettleNs, 0);
  if (held_ <= notes_max_) return;
  const size_t before = held_;
  follow_until(kAllNs, notes_max_ / 2);
  early_count_ += before - held_;
}

void SequenceOrder::finish() {
  const std::lock_guard lock(mutex_);
  follow_until(kAllNs, 0);
}

/// A socket gives its datagrams in order but for a few that different processors put there; a lane of several sockets
/// reads a block from each in turn.
void SequenceOrder::add(Lane& lane, std::vector<SequenceNote>& notes) {
  if (notes.empty()) return;
  if (!std::is_sorted(notes.begin(), notes.end(), came_before))
    std::stable_sort(notes.begin(), notes.end(), came_before);
  if (lane.begin * 2 >= lane.notes.size()) {
    lane.notes.erase(lane.notes.begin(), lane.notes.begin() + static_cast<std::ptrdiff_t>(lane.begin));
    lane.begin = 0;
  }
  const auto middle = static_cast<std::ptrdiff_t>(lane.notes.size());
  lane.notes.insert(lane.notes.end(), notes.begin(), notes.end());
  const auto begin = lane.notes.begin();
  const auto from =
      std::upper_bound(begin + static_cast<std::ptrdiff_t>(lane.begin), begin + middle, notes.front(), came_before);
  if (from != begin + middle) std::inplace_merge(from, begin + middle, lane.notes.end(), came_before);
  held_ += notes.size();
  notes.clear();
}

/// Those that came up to the stamp, while more than `left` are held.
void SequenceOrder::follow_until(int64_t stamp_ns, size_t left) {
  while (held_ > left) {
    uint32_t first = 0;
    int64_t first_ns = kAllNs;
    for (uint32_t number = 0; number < lanes_.size(); ++number) {
      const Lane& lane = lanes_[number];
      if (lane.empty() || lane.notes[lane.begin].arrived_ns >= first_ns) continue;
      first = number;
      first_ns = lane.notes[lane.begin].arrived_ns;
    }
    if (first_ns > stamp_ns) return;
    Lane& lane = lanes_[first];
    follow(first, lane.notes[lane.begin]);
    ++lane.begin;
    --held_;
  }
}

void SequenceOrder::follow(uint32_t lane, const SequenceNote& note) {
  Stream& stream = streams_[note.stream - 1];
  const SequenceChange change = stream.follow(note.place);
  const uint32_t agent_drops =
      note.place.agent_drops_told ? stream.follow_agent_drops(note.place.agent_drops) : uint32_t{0};
  if (change == SequenceChange{} && agent_drops == 0) return;
  const Micros minute = base::floor_to(note.received_at, 60 * base::kMicrosPerSecond);
  Change& sum = changes_[{minute, lane, note.exporter}];
  sum.lane = lane;
  sum.exporter = note.exporter;
  sum.minute = minute;
  sum.missing += change.missing;
  if (stream.counts_records) sum.away += change.away;
  sum.duplicates += change.duplicates;
  sum.restarts += change.restarts;
  sum.agent_drops += agent_drops;
}

std::vector<SequenceOrder::Change> SequenceOrder::take_changes() {
  const std::lock_guard lock(mutex_);
  std::vector<Change> changes;
  for (const auto& [key, change] : changes_) changes.push_back(change);
  changes_.clear();
  return changes;
}

uint64_t SequenceOrder::early_count() const {
  const std::lock_guard lock(mutex_);
  return early_count_;
}

}  // namespace backstream::decode
