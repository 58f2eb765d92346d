#pragma once
// Numbers of messages that several threads have read, in the order in which the messages came
// (docs/design/0014-sockets-and-forwarding.md).
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "decode/sequence_marks.h"

namespace backstream::decode {

/// What a thread tells of a message that it has read.
struct SequenceNote {
  int64_t arrived_ns = 0;  ///< the kernel's time stamp, which is the order of notes; equal ones: as they were told
  Micros received_at = 0;  ///< our clock: what changes counts for the minute of this
  uint32_t stream = 0;     ///< SequenceOrder::number_of()
  uint32_t exporter = 0;   ///< what changes counts for this one: an index of the thread's decoder
  SequencePlace place;
};
static_assert(sizeof(SequenceNote) <= 64);

/// The streams of exporters whose messages are spread over several threads (lanes). Each lane hands over what it has
/// read, and up to when: that all which the kernel stamped before a time has been read. What all lanes have passed,
/// less kSettleNs, is followed in the order of time stamps, just as if one thread had read it; what it changes is kept
/// until it is asked for. Any thread; a lane hands over from one thread at a time.
///
/// Memory: kNotesMax notes of 64 octets. When a lane lags so far behind that there would be more, the oldest half is
/// followed without waiting for it and counted (early_count()). A note that comes after its turn is followed at once;
/// either way its stream takes it for a message that was overtaken (SequenceStream), and gives back what it had missed.
class SequenceOrder {
 public:
  explicit SequenceOrder(uint32_t lanes, size_t notes_max = kNotesMax) : notes_max_(notes_max), lanes_(lanes) {}

  /// Streams go on at these marks. Before the first number_of().
  void resume(std::shared_ptr<const SequenceMarks> marks);
  /// Adds the marks of all streams, or moves those that are there: by what was followed so far.
  void add_marks(SequenceMarks& marks) const;

  /// The same for the same name, at least 1.
  uint32_t number_of(const SequenceName& name);

  /// @param notes              in any order, best nearly that of their time stamps; none are left
  /// @param complete_until_ns  the lane has handed over all that the kernel stamped before this. When it steps back by
  ///                           more than kSettleNs our clock was set: all that is held, and these, are followed at once
  void hand_over(uint32_t lane, std::vector<SequenceNote>& notes, int64_t complete_until_ns);
  /// Follows all that is held: no lane hands over any more.
  void finish();

  struct Change {
    uint32_t lane = 0, exporter = 0;  ///< as in the notes
    Micros minute = 0;                ///< begin of the minute that the message was received in
    int64_t missing = 0;              ///< as SequenceChange
    int64_t away = 0;                 ///< as SequenceChange, of streams that count records
    uint64_t duplicates = 0, restarts = 0, agent_drops = 0;
  };
  /// All since the last call.
  std::vector<Change> take_changes();
  /// Notes that were followed without waiting for all lanes, for want of room.
  uint64_t early_count() const;

  static constexpr size_t kNotesMax = 1 << 19;
  /// From the time stamp until the datagram lies in its socket, and what processors disagree by.
  static constexpr int64_t kSettleNs = 100'000'000;

 private:
  struct Stream : SequenceStream {
    bool counts_records = false;
  };
  struct Lane {
    std::vector<SequenceNote> notes;  // By time stamp, those before `begin` have been followed.
    size_t begin = 0;
    int64_t complete_until_ns = 0;
    bool empty() const { return begin == notes.size(); }
  };
  void add(Lane& lane, std::vector<SequenceNote>& notes);
  void follow_until(int64_t stamp_ns, size_t left);
  void follow(uint32_t lane, const SequenceNote& note);

  const size_t notes_max_;
  mutable std::mutex mutex_;  // All that follows is under it.
  std::vector<Lane> lanes_;
  size_t held_ = 0;  // Notes that have not been followed.
  std::unordered_map<SequenceName, uint32_t, SequenceNameHash> numbers_;
  std::shared_ptr<const SequenceMarks> resumed_;                      // Null: none goes on.
  std::deque<Stream> streams_;                                        // By number, less one.
  std::map<std::tuple<Micros, uint32_t, uint32_t>, Change> changes_;  // By minute, lane, exporter.
  uint64_t early_count_ = 0;
};

}  // namespace backstream::decode
