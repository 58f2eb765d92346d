#pragma once
// What exporters sent and did not arrive, by the sequence numbers of their messages.
#include <cstdint>
#include <vector>

#include "base/time.h"

namespace backstream::decode {

using base::Micros;

/// What one message says about its place in its stream of messages. Units are what the protocol counts: records
/// (NetFlow v5 and v7; IPFIX, options data included: RFC 7011 §3.1), datagrams (NetFlow v9: RFC 3954 §5.1), samples
/// (sFlow).
struct SequencePlace {
  uint32_t sequence = 0;  ///< of its first unit; wraps
  uint32_t units = 0;     ///< that it carries, as far as is known
  /// False: it holds something that could not be counted, so the number of the next message tells.
  bool units_known = true;
  bool agent_drops_told = false;
  uint32_t agent_drops = 0;             ///< samples that an sFlow agent has lost at this source since it began; wraps
  Micros exported_at = base::kMinTime;  ///< kMinTime: the protocol does not tell
  Micros booted_at = base::kMinTime;    ///< exported_at less the uptime, which wraps (2^32 ms); kMinTime: not told
};

/// What a message changed.
struct SequenceChange {
  int64_t missing = 0;      ///< units; below 0: some that were counted as missing came late
  uint32_t duplicates = 0;  ///< messages that had come before
  uint32_t restarts = 0;    ///< the exporter began to count anew
  int64_t away = 0;         ///< of `missing`: between the mark that the stream was resumed at, and its first message
  bool operator==(const SequenceChange&) const = default;
};

/// Where a stream of messages stood, for who goes on with it in another process.
struct SequenceMark {
  uint64_t next = 0;  ///< SequenceStream::next()
  Micros exported_at = base::kMinTime, booted_at = base::kMinTime;
  bool operator==(const SequenceMark&) const = default;
};

/// One stream: an exporter's domain, engine or data source. At any time, since the last restart:
///   missing = next - first - received
/// in numbers of 64 bits, so it is exact over the wrap. Messages that overtake each other give back what was counted,
/// as long as the gap that they fill is one of the last kGapsMax / 2; a message whose place was filled is a duplicate.
/// A single message with an odd number is not believed until the next one agrees (RFC 3550 §A.1 does the same), so
/// that a damaged number neither invents losses nor restarts; what it carries counts as missing. Not thread-safe: where
/// several threads receive a stream's messages, SequenceOrder puts them in order.
class SequenceStream {
 public:
  SequenceChange follow(const SequencePlace& place) {
    SequenceChange change;
    // The usual case: the number that was expected.
    if (place.sequence == static_cast<uint32_t>(next_) && begun_) advance(place);
    else follow_odd(place, change);
    return change;
  }

  /// How many the agent has lost since it told last. `told` goes back when it begins anew.
  uint32_t follow_agent_drops(uint32_t told) {
    const auto more = static_cast<int32_t>(told - agent_drops_);
    const bool counts = agent_drops_known_ && more > 0;
    agent_drops_known_ = true;
    agent_drops_ = told;
    return counts ? static_cast<uint32_t>(more) : 0;
  }

  bool has_begun() const { return begun_; }  ///< and is where a message was believed to be
  SequenceMark mark() const { return {next_, exported_at_, booted_at_}; }
  /// The first message is followed as if all up to the mark had just come: what it steps over was sent while nobody
  /// listened, and is missing. Before the first follow().
  void resume(const SequenceMark& mark);

  uint64_t first() const { return first_; }
  uint64_t next() const { return next_; }  ///< the number that is expected
  uint64_t received() const { return received_; }

  static constexpr size_t kGapsMax = 64;
  /// A step of more units needs a second message that agrees.
  static constexpr int64_t kStepMax = 65'536;
  /// A step ahead of more is a restart where nothing else tells a loss from it.
  static constexpr int64_t kLossMax = 1 << 24;
  /// So many that seem to have come before, one after another, are a restart where no time tells.
  static constexpr uint32_t kLateRunMax = 8;
  /// A boot time that moved by more is another boot.
  static constexpr Micros kBootTolerance = 60 * base::kMicrosPerSecond;

 private:
  struct Gap {
    uint64_t begin, end;
  };
  void begin(const SequencePlace& place);
  void advance(const SequencePlace& place) {
    next_ += place.units;
    received_ += place.units;
    open_ = !place.units_known;
    suspected_ = false;
    late_run_ = 0;
    if (place.exported_at > exported_at_) exported_at_ = place.exported_at;
    booted_at_ = place.booted_at;
  }
  void follow_odd(const SequencePlace& place, SequenceChange& change);
  void take_ahead(int64_t step, const SequencePlace& place, SequenceChange& change);
  bool take_late(uint64_t at, const SequencePlace& place, SequenceChange& change);
  bool other_boot(const SequencePlace& place) const;
  bool agrees_with_suspect(const SequencePlace& place) const;

  bool begun_ = false, open_ = false;  ///< open_: the last message held units that could not be counted
  bool resumed_ = false;               ///< no message since the mark has been believed yet
  bool suspected_ = false, agent_drops_known_ = false;
  uint32_t agent_drops_ = 0;
  uint64_t first_ = 0, next_ = 0, received_ = 0;
  uint64_t known_from_ = 0;  ///< every gap above is in gaps_
  Micros exported_at_ = base::kMinTime, booted_at_ = base::kMinTime;
  SequencePlace suspect_;
  uint32_t late_next_ = 0, late_run_ = 0;  ///< messages in a row that seem to have come before
  std::vector<Gap> gaps_;                  ///< ascending, apart
};

}  // namespace backstream::decode
