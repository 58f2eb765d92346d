#include "exec/interval_join_stage.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>
#include <utility>

#include "exec/join_key.h"
#include "exec/join_output.h"
#include "exec/join_table.h"
#include "exec/late_side_rows.h"
#include "exec/state_bytes.h"

namespace backstream::exec {
namespace {

constexpr Micros kTimeMax = Micros{1} << 62;         // As in EdgeHalf: times beyond would overflow the arithmetic.
constexpr Micros kSliceUs = base::kMicrosPerSecond;  ///< frontiers count in steps of this
/// A side is kept in segments of event time, forgotten as a whole. Longer ones mean fewer look-ups a row, and rows that
/// are kept beyond their time.
constexpr Micros kSegmentsPerReach = 2;
constexpr Micros kSegmentSlicesMin = 4;
constexpr size_t kSegmentsMax = 100'000;  ///< of a side; clocks that are all over the place make no more
constexpr size_t kPairsAtOnce = 1024;

class IntervalJoinStage final : public CombiningStage {
 public:
  IntervalJoinStage(const plan::Query& query, const plan::Stage& stage, const EngineOptions& options,
                    RowReceiver& receiver)
      : join_(*stage.join),
        rows_max_(options.stage_rows_max),
        hash_mask_(options.hash_mask),
        receiver_(receiver),
        output_(query, stage, options, ledger_, receiver),
        segment_us_(segment_length(*stage.join)),
        sides_{{*this, JoinOutput::kLeft}, {*this, JoinOutput::kRight}},
        hashes_(options.batch_rows),
        present_(options.batch_rows),
        starts_(options.batch_rows),
        mark_of_(options.batch_rows),
        group_of_(options.batch_rows) {}

  RowReceiver& input(size_t i) override { return sides_[i]; }
  WindowLedger ledger() const override { return ledger_; }
  void keep_late_side(size_t side, const plan::Stage& late, RowReceiver& receiver) override {
    sides_[side].late = std::make_unique<LateSideRows>(late, hashes_.size(), receiver);
  }
  void add_state_octets(std::vector<uint64_t>& nodes) const override {
    for (const Side& side : sides_) {
      for (const auto& [start, segment] : side.segments)
        nodes[0] += segment.table.octets_held() + segment.by_time.capacity() * 4;
    }
  }
  void save_state(StateWriter& out) override {
    exec::save(out, ledger_);
    output_.save(out);
    out.time(told_);
    for (const Side& side : sides_) {
      out.time(side.frontier);
      out.number(side.segments.size());
      for (const auto& [start, segment] : side.segments) {
        out.time(start);
        save_segment(out, segment);
      }
    }
  }
  void load_state(StateReader& in) override {
    exec::load(in, ledger_);
    output_.load(in);
    told_ = in.time();
    for (const auto which : {JoinOutput::kLeft, JoinOutput::kRight}) {
      Side& side = sides_[which];
      side.frontier = in.time();
      for (size_t left = in.count(4); left > 0 && !in.refused(); --left) {
        const Micros start = in.bounded_time();
        if (in.refused() || !in.check(segment_of(start) == start && !side.segments.contains(start))) return;
        load_segment(in, which, side.segments.try_emplace(start, output_.kept_types(which)).first->second);
      }
    }
  }

 private:
  struct Segment {
    explicit Segment(const std::vector<batch::Type>& types) : table(types, JoinTable::Link::kAtOnce) {}
    JoinTable table;
    /// Rows by time, and how many of them are settled; made when the first of them is.
    std::vector<uint32_t> by_time;
    size_t settled = 0;
  };

  class Side final : public RowReceiver {
   public:
    Side(IntervalJoinStage& stage, JoinOutput::Side which)
        : plan(which == JoinOutput::kLeft ? stage.join_.left : stage.join_.right),
          reach_least(which == JoinOutput::kLeft ? stage.join_.least_us : -stage.join_.greatest_us),
          reach_greatest(which == JoinOutput::kLeft ? stage.join_.greatest_us : -stage.join_.least_us),
          stage_(stage),
          which_(which) {
      key_columns.resize(stage.join_.keys.size());
    }
    void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool) override {
      if (window.final && rows.row_count > 0) stage_.take(which_, rows);
    }
    void on_frontier(Micros told) override {
      frontier = told == base::kMinTime || told == base::kMaxTime ? told : base::floor_to(told, kSliceUs);
      stage_.settle();
    }
    Micros next_cut(Micros at) const override {
      if (at == base::kMinTime) return base::kMinTime + 1;
      return at == base::kMaxTime ? at : base::floor_to(at, kSliceUs) + kSliceUs;
    }

    const plan::Join::Side& plan;
    const Micros reach_least, reach_greatest;  ///< times of partners, less a row's own time
    Micros frontier = base::kMinTime;
    std::map<Micros, Segment> segments;  ///< by start
    std::unique_ptr<LateSideRows> late;  ///< null: nobody reads its late rows
    // Scratch of one batch.
    batch::ColumnBatch kept;
    std::vector<const batch::Column*> key_columns;

   private:
    IntervalJoinStage& stage_;
    const JoinOutput::Side which_;
  };

  static void save_segment(StateWriter& out, const Segment& segment) {
    out.number(segment.table.row_count());
    for (size_t row = 0; row < segment.table.row_count(); ++row) {
      out.time(segment.table.time(row));
      out.flag(segment.table.mark(row) != 0);
    }
    out.number(segment.settled);
    out.number(segment.by_time.size());
    for (const uint32_t row : segment.by_time) out.number(row);
    save(out, segment.table.rows());
  }
  void load_segment(StateReader& in, JoinOutput::Side which, Segment& segment) {
    const size_t count = in.count(2);
    std::vector<Micros> times(count);
    std::vector<uint8_t> marks(count);
    for (size_t row = 0; row < count; ++row) {
      times[row] = in.bounded_time();
      marks[row] = in.flag();
    }
    segment.settled = in.number();
    const size_t sorted = in.count();
    if (!in.check(segment.settled <= sorted && sorted <= count)) return;
    for (size_t i = 0; i < sorted; ++i) segment.by_time.push_back(static_cast<uint32_t>(in.number(count - 1)));
    JoinTable& table = segment.table;
    load_join_rows(in, output_.kept_types(which), output_.keys(which), hash_mask_, [&](SavedJoinRows& some) {
      const size_t first = table.row_count(), n = some.batch.row_count;
      if (!in.check(first + n <= count)) return;
      table.append(some.batch, some.numbers, n, some.hashes, some.present, times.data() + first);
    });
    if (!in.check(table.row_count() == count)) return;
    for (size_t row = 0; row < count; ++row) table.mark(row) = marks[row];
    rows_held_ += count;
  }

  static Micros segment_length(const plan::Join& join) {
    const Micros reach = join.greatest_us - join.least_us;
    return std::max<Micros>(kSegmentSlicesMin, (reach / kSegmentsPerReach + kSliceUs - 1) / kSliceUs) * kSliceUs;
  }
  static JoinOutput::Side opposite(JoinOutput::Side which) {
    return which == JoinOutput::kLeft ? JoinOutput::kRight : JoinOutput::kLeft;
  }
  Micros segment_of(Micros time) const { return base::floor_to(time, segment_us_); }

  void take(JoinOutput::Side which, const batch::ColumnBatch& rows) {
    const std::lock_guard lock(mutex_);
    Side& side = sides_[which];
    side.kept.row_count = rows.row_count;
    side.kept.columns.clear();
    for (const int column : output_.kept(which)) side.kept.columns.push_back(rows.columns[static_cast<size_t>(column)]);
    for (size_t k = 0; k < side.key_columns.size(); ++k) {
      side.key_columns[k] = &side.kept.columns[output_.keys(which)[k]];
    }
    hash_join_keys(side.key_columns.data(), side.key_columns.size(), rows.row_count, hash_mask_, hashes_.data(),
                   present_.data());
    const batch::Column& times = rows.columns[static_cast<size_t>(side.plan.time_column)];
    sort_out(which, side, times, rows.row_count);
    if (side.late) side.late->send(rows);
    const auto* time = times.as<int64_t>();
    add(side, time);
    meet(which, side, time);
    if (!alone_.empty()) output_.add_alone(which, side.kept.columns, alone_.data(), alone_.size());
    output_.flush();  // It refers to the batch.
  }

  /// Which rows can have partners (usable_) and which cannot but are kept (alone_).
  void sort_out(JoinOutput::Side which, Side& side, const batch::Column& times, size_t row_count) {
    const bool keeps = output_.keeps(which);
    const auto* time = times.as<int64_t>();
    usable_.clear();
    alone_.clear();
    for (size_t row = 0; row < row_count; ++row) {
      const auto number = static_cast<uint32_t>(row);
      if (times.is_null(row)) {
        if (keeps) alone_.push_back(number);
        continue;
      }
      if (time[row] > kTimeMax || time[row] < -kTimeMax) {
        ++ledger_.time_future;
        continue;
      }
      if (time[row] < side.frontier) {
        ++ledger_.late;
        const Micros slice = base::floor_to(time[row], kSliceUs);
        ledger_.late_by_max_us = std::max(ledger_.late_by_max_us, side.frontier - slice);
        if (side.late) side.late->note(number, slice + kSliceUs);
        continue;
      }
      if (present_[row] == 0) {
        if (keeps) alone_.push_back(number);
        continue;
      }
      starts_[row] = segment_of(time[row]);
      usable_.push_back(number);
    }
    group_by_segment();
    if (rows_held_ + usable_.size() > rows_max_) {
      const size_t room = rows_max_ - std::min(rows_max_, rows_held_);
      ledger_.refused += usable_.size() - room;
      usable_.resize(room);
    }
  }

  /// Puts usable_ rows of one segment together, in their order.
  void group_by_segment() {
    groups_.clear();
    size_t group = 0;
    for (const uint32_t number : usable_) {
      const Micros start = starts_[number];
      if (groups_.empty() || groups_[group].start != start) {
        group = 0;
        while (group < groups_.size() && groups_[group].start != start) ++group;
        if (group == groups_.size()) groups_.push_back({start, 0});
        if (groups_.size() > kGroupsMax) {  // Clocks that are all over the place.
          std::stable_sort(usable_.begin(), usable_.end(),
                           [&](uint32_t a, uint32_t b) { return starts_[a] < starts_[b]; });
          return;
        }
      }
      ++groups_[group].next;
      group_of_[number] = static_cast<uint8_t>(group);
    }
    if (groups_.size() <= 1) return;
    size_t first = 0;
    for (Group& g : groups_) first += std::exchange(g.next, first);
    grouped_.resize(usable_.size());
    for (const uint32_t number : usable_) grouped_[groups_[group_of_[number]].next++] = number;
    usable_.swap(grouped_);
  }

  template <typename Body>
  void for_each_segment_group(Body&& body) {
    for (size_t begin = 0; begin < usable_.size();) {
      const Micros start = starts_[usable_[begin]];
      size_t end = begin + 1;
      while (end < usable_.size() && starts_[usable_[end]] == start) ++end;
      body(start, usable_.data() + begin, end - begin);
      begin = end;
    }
  }

  void add(Side& side, const int64_t* time) {
    size_t refused = 0;
    for_each_segment_group([&](Micros start, const uint32_t* numbers, size_t n) {
      auto found = side.segments.find(start);
      if (found == side.segments.end()) {
        if (side.segments.size() >= kSegmentsMax) {
          for (size_t i = 0; i < n; ++i) starts_[numbers[i]] = base::kMinTime;
          refused += n;
          return;
        }
        const auto which = &side == sides_ ? JoinOutput::kLeft : JoinOutput::kRight;
        found = side.segments.try_emplace(start, output_.kept_types(which)).first;
      }
      JoinTable& table = found->second.table;
      const size_t first = table.row_count();
      table.append(side.kept, numbers, n, hashes_.data(), nullptr, time);
      rows_held_ += n;
      for (size_t i = 0; i < n; ++i) mark_of_[numbers[i]] = &table.mark(first + i);
    });
    if (refused == 0) return;
    ledger_.refused += refused;
    std::erase_if(usable_, [&](uint32_t number) { return starts_[number] == base::kMinTime; });
  }

  /// Pairs of the rows that came with those of the other side that are there.
  void meet(JoinOutput::Side which, const Side& side, const int64_t* time) {
    Side& other = sides_[opposite(which)];
    for_each_segment_group([&](Micros start, const uint32_t* numbers, size_t n) {
      auto at = other.segments.lower_bound(segment_of(start + side.reach_least));
      const Micros last = start + segment_us_ - 1 + side.reach_greatest;
      for (; at != other.segments.end() && at->first <= last; ++at) {
        JoinTable& table = at->second.table;
        table.find(numbers, n, hashes_.data(), time, side.reach_least, side.reach_greatest, mine_, found_, kPairsAtOnce,
                   [&](size_t pairs) {
                     output_.add_pairs(
                         which, side.kept.columns, mine_, [&](uint32_t row) { return mark_of_[row]; }, table, found_,
                         pairs);
                   });
      }
    });
  }

  /// Rows of a side that no partner can come for any more: without one they go on, and all are forgotten.
  void expire(JoinOutput::Side which) {
    Side& side = sides_[which];
    const Micros passed = sides_[opposite(which)].frontier;
    if (passed == base::kMinTime) return;
    const bool ends = passed == base::kMaxTime;
    const Micros before = ends ? passed : passed - side.reach_greatest;  // Rows of lesser times are settled.
    while (!side.segments.empty()) {
      const auto first = side.segments.begin();
      Segment& segment = first->second;
      const bool whole = ends || first->first <= before - segment_us_;
      if (!whole && first->first >= before) break;
      if (output_.keeps(which)) settle_rows(which, segment, whole, before);
      if (!whole) break;
      rows_held_ -= segment.table.row_count();
      side.segments.erase(first);
    }
  }

  void settle_rows(JoinOutput::Side which, Segment& segment, bool whole, Micros before) {
    const JoinTable& table = segment.table;
    alone_.clear();
    if (whole && segment.by_time.empty()) {
      for (uint32_t row = 0; row < table.row_count(); ++row) {
        if (table.mark(row) == 0) alone_.push_back(row);
      }
    } else {
      if (segment.by_time.size() != table.row_count()) {  // Rows came since the last time.
        const auto old = static_cast<uint32_t>(segment.by_time.size());
        segment.by_time.resize(table.row_count());
        std::iota(segment.by_time.begin() + old, segment.by_time.end(), old);
        std::sort(segment.by_time.begin() + static_cast<long>(segment.settled), segment.by_time.end(),
                  [&](uint32_t a, uint32_t b) { return table.time(a) < table.time(b); });
      }
      for (; segment.settled < segment.by_time.size(); ++segment.settled) {
        const uint32_t row = segment.by_time[segment.settled];
        if (!whole && table.time(row) >= before) break;
        if (table.mark(row) == 0) alone_.push_back(row);
      }
    }
    output_.add_alone(which, table.columns(), alone_.data(), alone_.size());
  }

  void settle() {
    for (const auto which : {JoinOutput::kLeft, JoinOutput::kRight}) expire(which);
    const Micros left = sides_[0].frontier, right = sides_[1].frontier;
    Micros least = std::min(left, right);
    if (least == base::kMaxTime) {
      if (told_ != base::kMaxTime) output_.end();
    } else if (least != base::kMinTime) {
      // Rows that wait for a partner: left ones of times right - greatest and above, right ones left + least.
      if (right != base::kMaxTime) least = std::min(least, right - join_.greatest_us);
      if (left != base::kMaxTime) least = std::min(least, left + join_.least_us);
    }
    if (least > told_) receiver_.on_frontier(told_ = least);
  }

  const plan::Join& join_;
  const size_t rows_max_;
  const uint64_t hash_mask_;
  RowReceiver& receiver_;
  WindowLedger ledger_;
  JoinOutput output_;
  const Micros segment_us_;
  Side sides_[2];  ///< by JoinOutput::Side
  size_t rows_held_ = 0;
  Micros told_ = base::kMinTime;
  std::mutex mutex_;  ///< rows of a stream may come from several threads
  // Scratch of one batch, by row number.
  std::vector<uint64_t> hashes_;
  std::vector<uint8_t> present_;
  std::vector<Micros> starts_;  ///< of the row's segment
  std::vector<uint8_t*> mark_of_;
  std::vector<uint8_t> group_of_;
  std::vector<uint32_t> usable_, alone_, grouped_;
  struct Group {
    Micros start;
    size_t next;  ///< how many rows, then where the next one goes
  };
  static constexpr size_t kGroupsMax = 64;
  std::vector<Group> groups_;
  uint32_t mine_[kPairsAtOnce], found_[kPairsAtOnce];
};

}  // namespace

std::unique_ptr<StageRunner> make_interval_join_stage(const plan::Query& query, const plan::Stage& stage,
                                                      const EngineOptions& options, RowReceiver& receiver) {
  return std::make_unique<IntervalJoinStage>(query, stage, options, receiver);
}

}  // namespace backstream::exec
