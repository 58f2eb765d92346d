#include "window/watermark.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

namespace backstream::window {
namespace {

// Event times come from outside; within these bounds sums with delays cannot overflow.
constexpr Micros kTimeBound = int64_t{1} << 62;
constexpr Micros kClockWindow = 10 * base::kMicrosPerSecond;
constexpr Micros kClockTolerance = base::kMicrosPerSecond;  // Export times are whole seconds in v9 and IPFIX.

}  // namespace

void DelayHistogram::add(Micros delay_us) noexcept {
  const auto millis = static_cast<uint64_t>(std::max<Micros>(delay_us, 0) / base::kMicrosPerMilli);
  // Up to 7 ms a bucket each; above, the three bits after the leading one choose the step.
  size_t bucket = static_cast<size_t>(millis);
  if (millis >= kSteps) {
    const unsigned octave = static_cast<unsigned>(std::bit_width(millis)) - 3;
    bucket = std::min<size_t>(octave * kSteps + (millis >> (octave - 1) & (kSteps - 1)), buckets_.size() - 1);
  }
  ++buckets_[bucket];
  ++count_;
}

Micros DelayHistogram::quantile(double share) const noexcept {
  const auto wanted = static_cast<uint64_t>(std::ceil(share * static_cast<double>(count_)));
  uint64_t seen = 0;
  for (size_t bucket = 0; bucket < buckets_.size() && count_ != 0; ++bucket) {
    seen += buckets_[bucket];
    if (seen < wanted || seen == 0) continue;
    const size_t octave = bucket / kSteps;
    const uint64_t end = octave == 0 ? bucket + 1 : (kSteps + bucket % kSteps + 1) << (octave - 1);
    return static_cast<Micros>(end) * base::kMicrosPerMilli;
  }
  return 0;
}

WatermarkTracker::Exporter& WatermarkTracker::at(uint32_t exporter) {
  while (exporters_.size() <= exporter) exporters_.emplace_back().delay_us = rules_.delay_us;
  return exporters_[exporter];
}

void WatermarkTracker::set_delay(uint32_t exporter, Micros delay_us) {
  at(exporter).delay_us = delay_us;
  delay_max_us_ = std::max(delay_max_us_, delay_us);
}

void WatermarkTracker::change_rules(const WatermarkRules& rules, const std::function<Micros(uint32_t)>& delay_of) {
  fold();
  rules_ = rules;
  delay_max_us_ = rules.delay_us;
  for (uint32_t i = 0; i < exporters_.size(); ++i) {
    Exporter& e = exporters_[i];
    const Micros delay = delay_of(i);
    if (e.mark != base::kMinTime) e.mark += e.delay_us - delay;
    e.delay_us = delay;
    delay_max_us_ = std::max(delay_max_us_, delay);
  }
  hold_check_at_ = base::kMinTime;
  check();
}

void WatermarkTracker::observe(uint32_t exporter, Micros time_max, Micros received_at) {
  Exporter& e = at(exporter);
  if (time_max == base::kMinTime) return tick(received_at);
  if (time_max > time_limit(received_at)) {
    ++e.future_refused;
    return tick(received_at);
  }
  clock_ = std::max(clock_, received_at);
  time_max = std::clamp(time_max, -kTimeBound, kTimeBound);
  if (!e.delays) e.delays = std::make_unique<DelayHistogram>();
  e.delays->add(received_at - time_max);
  ++e.datagrams;
  e.heard_at = clock_;
  if (silent_check_at_ == base::kMaxTime) silent_check_at_ = clock_ + rules_.idle_timeout_us;

  const bool due = check_due();
  // Whoever joins or leaves can lower the minimum, so what it had reached is kept before anything changes.
  if (due || !e.active) fold();
  const Micros before = e.mark;
  e.mark = std::max(before, time_max - e.delay_us);
  const bool joins = !e.active;
  if (joins) e.held = false;
  e.active = true;
  if (due) {
    check();
  } else if (joins) {
    ++included_count_;
    below_count_ += e.mark < cut_;
    minimum_ = std::min(minimum_, e.mark);
    watermark_ = std::max(watermark_, minimum_);
  } else if (!e.held && e.mark > before) {
    below_count_ -= before < cut_ && e.mark >= cut_;
    stale_ |= before <= minimum_;
  }
}

void WatermarkTracker::tick(Micros now) {
  clock_ = std::max(clock_, now);
  if (check_due()) {
    fold();
    check();
  }
  if (std::exchange(resumed_, false)) silent_from_ = clock_ + rules_.idle_timeout_us;
  // Live, and all that ever sent are silent: event time goes on with our clock.
  if (rules_.live && included_count_ == 0 && watermark_ != base::kMinTime && clock_ >= silent_from_) {
    watermark_ = std::max(watermark_, clock_ - delay_max_us_);
  }
}

bool WatermarkTracker::check_due() const {
  return clock_ > silent_check_at_ || (rules_.live && clock_ >= hold_check_at_);
}

/// Leaves out who is silent or too far behind, and lets the others in. The caller has called fold() before.
void WatermarkTracker::check() {
  Micros heard_first = base::kMaxTime;
  std::vector<Micros> highs;
  for (Exporter& e : exporters_) {
    if (!e.active) continue;
    e.active = clock_ - e.heard_at <= rules_.idle_timeout_us;
    if (!e.active) continue;
    heard_first = std::min(heard_first, e.heard_at);
    if (rules_.live) highs.push_back(e.mark + e.delay_us);
  }
  silent_check_at_ = heard_first == base::kMaxTime ? base::kMaxTime : heard_first + rules_.idle_timeout_us;
  if (!highs.empty()) {
    hold_check_at_ = clock_ + base::kMicrosPerSecond;
    const auto middle = highs.begin() + static_cast<ptrdiff_t>(highs.size() / 2);
    std::nth_element(highs.begin(), middle, highs.end());
    for (Exporter& e : exporters_) {
      // An exporter that was given a longer delay may run that far behind.
      e.held = e.active && *middle - (e.mark + e.delay_us) > std::max(rules_.max_hold_us, e.delay_us);
    }
  }
  recount();
}

void WatermarkTracker::recount() {
  included_count_ = 0;
  below_count_ = 0;
  minimum_ = base::kMaxTime;
  for (const Exporter& e : exporters_) {
    if (!e.in_minimum()) continue;
    ++included_count_;
    below_count_ += e.mark < cut_;
    minimum_ = std::min(minimum_, e.mark);
  }
  stale_ = false;
  if (included_count_ != 0) watermark_ = std::max(watermark_, minimum_);
}

void WatermarkTracker::fold() {
  if (stale_) recount();
}

Micros WatermarkTracker::watermark() {
  fold();
  return watermark_;
}

bool WatermarkTracker::reached(Micros cut) {
  if (watermark_ >= cut) return true;
  if (cut != cut_) {
    cut_ = cut;
    recount();
  } else if (below_count_ == 0) {
    fold();
  }
  return watermark_ >= cut;
}

Micros WatermarkTracker::clock_shift(uint32_t exporter, Micros exported_at, Micros received_at) {
  if (!rules_.live) return 0;
  Exporter& e = at(exporter);
  const Micros sample = received_at - std::clamp(exported_at, -kTimeBound, kTimeBound);
  if (!e.clock_measured) {
    e.clock_measured = true;
    e.offset = e.offset_least = sample;
    e.offset_since = received_at;
  } else if (received_at - e.offset_since >= kClockWindow) {
    e.offset = e.offset_least;
    e.offset_least = sample;
    e.offset_since = received_at;
  }
  e.offset_least = std::min(e.offset_least, sample);
  e.offset = std::min(e.offset, e.offset_least);
  const Micros wanted = std::abs(e.offset) > rules_.max_skew_us ? e.offset : 0;
  // A shift that follows every jitter would tear the exporter's flows apart.
  if (wanted == 0 || std::abs(wanted - e.shift) > kClockTolerance) e.shift = wanted;
  e.datagrams_shifted += e.shift != 0;
  return e.shift;
}

Micros WatermarkTracker::time_limit(Micros received_at) const {
  return rules_.live ? received_at + rules_.max_future_us : base::kMaxTime;
}

Micros WatermarkTracker::newest() const {
  Micros newest = base::kMinTime;
  for (const Exporter& exporter : exporters_) {
    if (exporter.mark != base::kMinTime) newest = std::max(newest, exporter.mark + exporter.delay_us);
  }
  return newest;
}

std::optional<uint32_t> WatermarkTracker::furthest_behind() const {
  std::optional<uint32_t> behind;
  for (uint32_t i = 0; i < exporters_.size(); ++i) {
    if (exporters_[i].in_minimum() && (!behind || exporters_[i].mark < exporters_[*behind].mark)) behind = i;
  }
  return behind;
}

size_t WatermarkTracker::sending_count() const {
  return static_cast<size_t>(std::count_if(exporters_.begin(), exporters_.end(),
                                           [](const Exporter& e) { return e.datagrams != 0 && e.active; }));
}

WatermarkTracker::ExporterState WatermarkTracker::state(uint32_t exporter) const {
  const Exporter& e = exporters_[exporter];
  ExporterState state;
  state.timed = e.datagrams != 0;
  state.shift_us = e.shift;
  if (e.clock_measured) state.clock_offset_us = e.offset;
  state.datagrams_shifted = e.datagrams_shifted;
  state.future_refused = e.future_refused;
  state.delay_us = e.delay_us;
  if (!state.timed) return state;
  state.idle = !e.active;
  state.held = e.held;
  state.high_time = e.mark + e.delay_us;
  state.delay_p999_us = e.delays->quantile(0.999);
  state.datagrams = e.datagrams;
  return state;
}

}  // namespace backstream::window
