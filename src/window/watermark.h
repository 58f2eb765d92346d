#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <vector>

#include "base/time.h"

namespace backstream::window {

using base::Micros;

/// DESIGN §6. The live rules (skew, hold, future, and following the wall clock when all are silent) are off in a replay
/// unless asked for; the idle rule holds always, there in capture time.
struct WatermarkRules {
  Micros delay_us = 75 * base::kMicrosPerSecond;         ///< how far event time may run behind, unless set per exporter
  Micros idle_timeout_us = 60 * base::kMicrosPerSecond;  ///< without a timed row for longer: left out of the minimum
  bool live = false;
  Micros max_skew_us = 30 * base::kMicrosPerSecond;    ///< live: a clock that is off by more is shifted
  Micros max_hold_us = 120 * base::kMicrosPerSecond;   ///< live: further behind the median: left out of the minimum
  Micros max_future_us = 60 * base::kMicrosPerSecond;  ///< live: rows further ahead of our clock are refused
};

/// Counts delays in steps of an eighth of their power of two, from 1 ms to 12 days: 1 KiB an exporter.
class DelayHistogram {
 public:
  void add(Micros delay_us) noexcept;
  /// The least bound that `share` (0 .. 1) of all delays do not exceed, at most 12.5 % too high; 0 when there are none.
  Micros quantile(double share) const noexcept;
  uint64_t count() const noexcept { return count_; }

 private:
  static constexpr unsigned kSteps = 8;
  static constexpr unsigned kOctaves = 30;
  std::array<uint32_t, kSteps * kOctaves> buckets_{};
  uint64_t count_ = 0;
};

/// The watermark of one stream: the minimum over its active exporters of (highest event time - delay), never going
/// back. It is that of the moment after the last datagram, however often it is asked for. O(1) a datagram in the usual
/// case, O(exporters) where the least exporter moves and somebody asks, once a second (hold rule) or an idle_timeout.
/// Exporters are known by dense indexes (decode::ExporterIndex). One thread.
class WatermarkTracker {
 public:
  explicit WatermarkTracker(const WatermarkRules& rules) : rules_(rules), delay_max_us_(rules.delay_us) {}

  /// The exporter's own delay (settings by prefix). Call it before the exporter's first observe(), or never.
  void set_delay(uint32_t exporter, Micros delay_us);
  /// Other rules from now on, and the delays of exporters by them. The watermark stays where it is until it is reached
  /// again. O(exporters).
  void change_rules(const WatermarkRules& rules, const std::function<Micros(uint32_t exporter)>& delay_of);
  /// As if the watermark had been there already: what a process before this one had seen.
  void resume_at(Micros watermark) {
    watermark_ = std::max(watermark_, watermark);
    resumed_ = true;
  }

  /// A datagram has been read. Call it once a datagram, after its rows.
  /// @param time_max     highest event time of its rows that were not refused; kMinTime when it had none
  /// @param received_at  arrival; in a replay capture time. May step back; the tracker's clock does not
  void observe(uint32_t exporter, Micros time_max, Micros received_at);
  /// Live: time goes by without datagrams. Call it about once a second. No effect on a replay that never calls it.
  void tick(Micros now);

  /// kMinTime until the first timed row.
  Micros watermark();
  /// watermark() >= cut, O(1) as long as the same cut is asked for and not reached.
  bool reached(Micros cut);

  /// Live: what to add to all times of the exporter's datagram (but received_at), 0 unless its clock is off by more
  /// than max_skew. Call it before the datagram's rows are used. The offset is the least of (received - exported) of
  /// the last 10 to 20 s, as the way through the network only adds to it; a clock that stands still makes it wrong by
  /// so much.
  Micros clock_shift(uint32_t exporter, Micros exported_at, Micros received_at);
  /// Rows of a later event time are to be refused; kMaxTime when the rule is off.
  Micros time_limit(Micros received_at) const;

  /// The highest event time of all exporters; kMinTime: none yet. O(exporters).
  Micros newest() const;

  /// What is shown about an exporter.
  struct ExporterState {
    bool timed = false;  ///< it has sent rows with a time; all else is unset otherwise
    bool idle = false, held = false;
    Micros high_time = base::kMinTime;
    Micros delay_us = 0;       ///< as set
    Micros delay_p999_us = 0;  ///< 99.9 % of its datagrams: arrival - highest event time was no more
    Micros shift_us = 0;
    /// Live: what its clock is behind ours (above 0) or ahead of it, as clock_shift() measures it; shifted or not.
    std::optional<Micros> clock_offset_us;
    uint64_t datagrams = 0;  ///< with timed rows
    uint64_t datagrams_shifted = 0;
    uint64_t future_refused = 0;  ///< datagrams whose time_max was above the limit and so was not used
  };
  /// The exporter that holds the watermark: the one in the minimum that is furthest behind (of equals, the first).
  /// O(exporters).
  std::optional<uint32_t> furthest_behind() const;
  size_t exporter_count() const { return exporters_.size(); }
  ExporterState state(uint32_t exporter) const;
  /// Those that have sent rows with a time, and not fallen silent since. O(exporters).
  size_t sending_count() const;

 private:
  struct Exporter {
    Micros mark = base::kMinTime;  // Highest event time - delay.
    Micros delay_us = 0;
    Micros heard_at = base::kMinTime;  // On our clock, with a timed row.
    bool active = false, held = false;
    bool clock_measured = false;
    Micros offset = 0, offset_least = 0, offset_since = 0, shift = 0;
    uint64_t datagrams = 0, datagrams_shifted = 0, future_refused = 0;
    std::unique_ptr<DelayHistogram> delays;
    bool in_minimum() const { return active && !held; }
  };

  Exporter& at(uint32_t exporter);
  bool check_due() const;
  void check();
  void recount();
  void fold();

  WatermarkRules rules_;
  Micros delay_max_us_;
  std::vector<Exporter> exporters_;
  Micros clock_ = base::kMinTime;            // Highest received_at.
  Micros silent_check_at_ = base::kMaxTime;  // Nobody can have been silent for too long before the clock passes this.
  Micros hold_check_at_ = base::kMinTime;
  bool resumed_ = false;                 // Our clock is not known yet since then.
  Micros silent_from_ = base::kMinTime;  // Before it nobody can be known to be silent: we have not listened so long.
  Micros watermark_ = base::kMinTime;    // Highest minimum so far, as of the last fold().
  Micros minimum_ = base::kMaxTime;      // Of the marks in the minimum; exact unless stale_, then a lower bound.
  bool stale_ = false;
  Micros cut_ = base::kMaxTime;  // Asked for last.
  size_t included_count_ = 0;    // Exporters in the minimum.
  size_t below_count_ = 0;       // Of these with a mark below cut_.
};

}  // namespace backstream::window
