#include "decode/sequence.h"

#include <algorithm>

namespace backstream::decode {

void SequenceStream::begin(const SequencePlace& place) {
  begun_ = true;
  suspected_ = false;
  // Numbers below the first one may come late.
  first_ = next_ = (uint64_t{1} << 32) + place.sequence;
  known_from_ = first_;
  received_ = 0;
  exported_at_ = place.exported_at;
  gaps_.clear();
  advance(place);
}

void SequenceStream::resume(const SequenceMark& mark) {
  resumed_ = true;
  first_ = next_ = known_from_ = mark.next;
  exported_at_ = mark.exported_at;
  booted_at_ = mark.booted_at;
}

bool SequenceStream::other_boot(const SequencePlace& place) const {
  if (place.booted_at == base::kMinTime || booted_at_ == base::kMinTime) return false;
  // The uptime wraps at 2^32 ms, and the boot time that it gives then jumps by as much.
  const auto moved =
      static_cast<int32_t>(static_cast<uint32_t>((place.booted_at - booted_at_) / base::kMicrosPerMilli));
  return moved > kBootTolerance / base::kMicrosPerMilli || moved < -(kBootTolerance / base::kMicrosPerMilli);
}

bool SequenceStream::agrees_with_suspect(const SequencePlace& place) const {
  if (!suspected_) return false;
  const auto step = static_cast<int32_t>(place.sequence - suspect_.sequence - suspect_.units);
  return step >= 0 && step <= kStepMax;
}

void SequenceStream::take_ahead(int64_t step, const SequencePlace& place, SequenceChange& change) {
  if (open_) {  // they came in the message that could not be counted
    received_ += static_cast<uint64_t>(step);
  } else if (step > 0) {
    change.missing += step;
    if (gaps_.size() == kGapsMax) {  // half at once, so that a stream of gaps is not moved up again and again
      const auto half = gaps_.begin() + static_cast<std::ptrdiff_t>(kGapsMax / 2);
      known_from_ = std::prev(half)->end;
      gaps_.erase(gaps_.begin(), half);
    }
    gaps_.push_back({next_, next_ + static_cast<uint64_t>(step)});
  }
  next_ += static_cast<uint64_t>(step);
  advance(place);
}

/// Whether the place is one that may come late: in a gap, or a duplicate of what came.
bool SequenceStream::take_late(uint64_t at, const SequencePlace& place, SequenceChange& change) {
  // What was overtaken is not of a later export than all that came; clocks of seconds blur that by one.
  if (exported_at_ != base::kMinTime && place.exported_at > exported_at_ + base::kMicrosPerSecond) return false;
  const uint64_t end = at + place.units;
  uint64_t filled = 0;
  for (size_t g = 0; g < gaps_.size(); ++g) {
    const Gap gap = gaps_[g];
    const uint64_t from = std::max(at, gap.begin), to = std::min(end, gap.end);
    if (from >= to) continue;
    filled += to - from;
    gaps_[g].end = from;
    if (to < gap.end) gaps_.insert(gaps_.begin() + static_cast<std::ptrdiff_t>(g) + 1, {to, gap.end});
  }
  if (filled != 0) {
    std::erase_if(gaps_, [](const Gap& gap) { return gap.begin == gap.end; });
    received_ += filled;
    change.missing -= static_cast<int64_t>(filled);
    return true;
  }
  // A copy cannot be of a later export than all that came.
  if (place.exported_at > exported_at_) return false;
  if (place.exported_at == base::kMinTime) {
    late_run_ = place.sequence == late_next_ ? late_run_ + 1 : 1;
    late_next_ = place.sequence + place.units;
    if (late_run_ >= kLateRunMax) {
      begin(place);
      ++change.restarts;
      return true;
    }
  }
  if (place.units == 0) return true;  // templates alone: they have no number of their own
  if (at >= known_from_) {
    ++change.duplicates;
    return true;
  }
  // From before the first message, or from a gap that is no longer known.
  return at + static_cast<uint64_t>(kStepMax) >= next_;
}

void SequenceStream::follow_odd(const SequencePlace& place, SequenceChange& change) {
  if (resumed_) {
    resumed_ = false;
    begun_ = true;
    change = follow(place);
    change.away = change.missing;
    // An odd number is not believed until the next one agrees: that one tells.
    resumed_ = suspected_;
    begun_ = !suspected_;
    return;
  }
  if (!begun_) return begin(place);
  const int64_t step = static_cast<int32_t>(place.sequence - static_cast<uint32_t>(next_));
  if (other_boot(place)) {
    begin(place);
    ++change.restarts;
    return;
  }
  if (step > 0 && step <= kStepMax) return take_ahead(step, place, change);
  if (step < 0 && take_late(next_ + static_cast<uint64_t>(step), place, change)) return;
  if (!agrees_with_suspect(place)) {
    suspected_ = true;
    suspect_ = place;
    return;
  }
  const SequencePlace before = suspect_;
  suspected_ = false;
  const int64_t step_before = static_cast<int32_t>(before.sequence - static_cast<uint32_t>(next_));
  // Where the boot is told and is the same, so many were lost indeed.
  if (step_before > 0 && (step_before <= kLossMax || place.booted_at != base::kMinTime)) {
    take_ahead(step_before, before, change);
  } else {
    begin(before);
    ++change.restarts;
  }
  take_ahead(static_cast<int32_t>(place.sequence - static_cast<uint32_t>(next_)), place, change);
}

}  // namespace backstream::decode
