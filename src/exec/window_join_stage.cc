#include "exec/window_join_stage.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <numeric>

#include "exec/join_key.h"
#include "exec/join_output.h"
#include "exec/join_table.h"
#include "exec/late_side_rows.h"
#include "exec/state_bytes.h"

namespace backstream::exec {
namespace {

constexpr Micros kTimeMax = Micros{1} << 62;  // As in EdgeHalf: times beyond would overflow the arithmetic.
constexpr size_t kWindowsMax = 100'000;       ///< that wait; clocks that are all over the place make no more
constexpr size_t kPairsAtOnce = 1024;

class WindowJoinStage final : public CombiningStage {
 public:
  WindowJoinStage(const plan::Query& query, const plan::Stage& stage, const EngineOptions& options,
                  RowReceiver& receiver)
      : join_(*stage.join),
        rows_max_(options.stage_rows_max),
        hash_mask_(options.hash_mask),
        receiver_(receiver),
        output_(query, stage, options, ledger_, receiver),
        sides_{{*this, JoinOutput::kLeft}, {*this, JoinOutput::kRight}},
        all_rows_(options.batch_rows),
        hashes_(options.batch_rows),
        present_(options.batch_rows) {
    std::iota(all_rows_.begin(), all_rows_.end(), 0u);
  }

  RowReceiver& input(size_t i) override { return sides_[i]; }
  WindowLedger ledger() const override { return ledger_; }
  void keep_late_side(size_t side, const plan::Stage& late, RowReceiver& receiver) override {
    sides_[side].late = std::make_unique<LateSideRows>(late, all_rows_.size(), receiver);
  }
  void add_state_octets(std::vector<uint64_t>& nodes) const override {
    for (const auto& [window, held] : windows_) {
      for (const JoinTable& table : held.tables) nodes[0] += table.octets_held();
    }
  }
  void save_state(StateWriter& out) override {
    save(out, ledger_);
    output_.save(out);
    out.time(told_);
    for (const Side& side : sides_) out.time(side.frontier);
    out.number(windows_.size());
    for (const auto& [window, held] : windows_) {
      out.time(window.first);
      out.time(window.second);
      out.flag(held.complete);
      for (const JoinTable& table : held.tables) save(out, table.rows());
    }
  }
  void load_state(StateReader& in) override {
    load(in, ledger_);
    output_.load(in);
    told_ = in.time();
    for (Side& side : sides_) side.frontier = in.time();
    for (size_t left = in.count(5); left > 0 && !in.refused(); --left) {
      const Micros start = in.bounded_time(), end = in.bounded_time();
      const bool complete = in.flag();
      if (in.refused() || !in.check(!windows_.contains({start, end}))) return;
      Held* held = window(start, end);
      if (!in.check(held != nullptr)) return;
      held->complete = complete;
      for (const auto which : {JoinOutput::kLeft, JoinOutput::kRight}) {
        JoinTable& table = held->tables[which];
        load_join_rows(in, output_.kept_types(which), output_.keys(which), hash_mask_, [&](auto& rows) {
          table.append(rows.batch, rows.numbers, rows.batch.row_count, rows.hashes, rows.present, nullptr);
        });
        rows_held_ += table.row_count();
      }
    }
  }

 private:
  class Side final : public RowReceiver {
   public:
    Side(WindowJoinStage& stage, JoinOutput::Side which)
        : plan(which == JoinOutput::kLeft ? stage.join_.left : stage.join_.right), stage_(stage), which_(which) {
      key_columns.resize(stage.join_.keys.size());
    }
    bool by_window() const { return plan.window.kind == plan::Window::Kind::kInherited; }
    void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool last) override {
      if (!by_window()) return stage_.take_rows(which_, rows);
      if (window.final) stage_.take_window(which_, window, rows, last);
    }
    void on_frontier(Micros told) override {
      frontier = told;
      if (!by_window() && told != base::kMinTime && told != base::kMaxTime) {
        const plan::Window& window = plan.window;  // The least start of a window that has not ended.
        frontier = base::floor_to(told - window.size_us, window.slide_us, window.offset_us) + window.slide_us;
      }
      stage_.settle();
    }
    Micros next_cut(Micros at) const override {
      if (by_window()) return stage_.receiver_.next_cut(at);
      if (at == base::kMinTime) return base::kMinTime + 1;
      if (at == base::kMaxTime) return at;
      const plan::Window& window = plan.window;  // Windows end a slide apart.
      return base::floor_to(at - window.size_us, window.slide_us, window.offset_us) + window.size_us + window.slide_us;
    }

    const plan::Join::Side& plan;
    Micros frontier = base::kMinTime;    ///< of window starts
    std::unique_ptr<LateSideRows> late;  ///< null: nobody reads its late rows
    // Scratch of one batch.
    batch::ColumnBatch kept;
    std::vector<const batch::Column*> key_columns;

   private:
    WindowJoinStage& stage_;
    const JoinOutput::Side which_;
  };

  struct Held {
    Held(const std::vector<batch::Type>& left, const std::vector<batch::Type>& right)
        : tables{{left, JoinTable::Link::kLater}, {right, JoinTable::Link::kLater}} {}
    JoinTable tables[2];  ///< by JoinOutput::Side
    bool complete = true;
  };
  using Windows = std::map<std::pair<Micros, Micros>, Held>;

  Held* window(Micros start, Micros end) {
    const auto found = windows_.find({start, end});
    if (found != windows_.end()) return &found->second;
    if (windows_.size() >= kWindowsMax) return nullptr;
    return &windows_
                .try_emplace({start, end}, output_.kept_types(JoinOutput::kLeft),
                             output_.kept_types(JoinOutput::kRight))
                .first->second;
  }

  /// The columns that are kept, and the hashes of the keys.
  void prepare(JoinOutput::Side which, const batch::ColumnBatch& rows) {
    Side& side = sides_[which];
    side.kept.row_count = rows.row_count;
    side.kept.columns.clear();
    for (const int column : output_.kept(which)) side.kept.columns.push_back(rows.columns[static_cast<size_t>(column)]);
    for (size_t k = 0; k < side.key_columns.size(); ++k) {
      side.key_columns[k] = &side.kept.columns[output_.keys(which)[k]];
    }
    hash_join_keys(side.key_columns.data(), side.key_columns.size(), rows.row_count, hash_mask_, hashes_.data(),
                   present_.data());
  }

  void hold(JoinOutput::Side which, Micros start, Micros end, const uint32_t* numbers, size_t n) {
    Held* held = window(start, end);
    const size_t room = held == nullptr ? 0 : std::min(n, rows_max_ - rows_held_);
    ledger_.refused += n - room;
    if (room == 0) return;
    // A row with a null in its key has no partner, but may come without one.
    held->tables[which].append(sides_[which].kept, numbers, room, hashes_.data(), present_.data(), nullptr);
    rows_held_ += room;
  }

  void take_window(JoinOutput::Side which, const WindowRef& ref, const batch::ColumnBatch& rows, bool last) {
    const std::lock_guard lock(mutex_);
    if (rows.row_count == 0 && !last) return;
    // A window without rows is one all the same.
    if (Held* held = window(ref.start, ref.end)) held->complete &= ref.complete;
    if (rows.row_count == 0) return;
    prepare(which, rows);
    hold(which, ref.start, ref.end, all_rows_.data(), rows.row_count);
  }

  void take_rows(JoinOutput::Side which, const batch::ColumnBatch& rows) {
    if (rows.row_count == 0) return;
    const std::lock_guard lock(mutex_);
    prepare(which, rows);
    Side& side = sides_[which];
    const batch::Column& times = rows.columns[static_cast<size_t>(side.plan.time_column)];
    const auto* time = times.as<int64_t>();
    const auto* start = rows.columns[static_cast<size_t>(side.plan.window_start_column)].as<int64_t>();
    usable_.clear();
    bool sorted = true;
    for (size_t row = 0; row < rows.row_count; ++row) {
      if (times.is_null(row)) {
        ++ledger_.time_null;
      } else if (time[row] > kTimeMax || time[row] < -kTimeMax) {
        ++ledger_.time_future;
      } else if (start[row] < side.frontier) {
        ++ledger_.late;
        ledger_.late_by_max_us = std::max(ledger_.late_by_max_us, side.frontier - start[row]);
        if (side.late) side.late->note(static_cast<uint32_t>(row), start[row] + side.plan.window.size_us);
      } else {
        sorted = sorted && (usable_.empty() || start[usable_.back()] <= start[row]);
        usable_.push_back(static_cast<uint32_t>(row));
      }
    }
    if (side.late) side.late->send(rows);
    if (!sorted) {
      std::stable_sort(usable_.begin(), usable_.end(), [&](uint32_t a, uint32_t b) { return start[a] < start[b]; });
    }
    for (size_t begin = 0; begin < usable_.size();) {
      const Micros at = start[usable_[begin]];
      size_t end = begin + 1;
      while (end < usable_.size() && start[usable_[end]] == at) ++end;
      hold(which, at, at + side.plan.window.size_us, usable_.data() + begin, end - begin);
      begin = end;
    }
  }

  void settle() {
    const Micros least = std::min(sides_[0].frontier, sides_[1].frontier);
    while (!windows_.empty() && (least == base::kMaxTime || windows_.begin()->first.first < least)) {
      const auto first = windows_.begin();
      output_.set_window({first->first.first, first->first.second, 1, true, first->second.complete});
      join(first->second);
      output_.end();
      rows_held_ -= first->second.tables[0].row_count() + first->second.tables[1].row_count();
      windows_.erase(first);
      ++ledger_.windows_closed;
    }
    if (least > told_) receiver_.on_frontier(told_ = least);
  }

  void join(Held& held) {
    // The smaller side is looked up for each row of the other.
    const auto& [left, right] = held.tables;
    const auto asks = left.row_count() < right.row_count() ? JoinOutput::kRight : JoinOutput::kLeft;
    const auto asked = asks == JoinOutput::kLeft ? JoinOutput::kRight : JoinOutput::kLeft;
    JoinTable& asking = held.tables[asks];
    JoinTable& table = held.tables[asked];
    usable_.clear();
    for (uint32_t row = 0; row < asking.row_count(); ++row) {
      if (asking.is_present(row)) usable_.push_back(row);
    }
    table.link();
    table.find(usable_.data(), usable_.size(), asking.hashes().data(), nullptr, 0, 0, mine_, found_, kPairsAtOnce,
               [&](size_t pairs) {
                 output_.add_pairs(
                     asks, asking.columns(), mine_, [&](uint32_t row) { return &asking.mark(row); }, table, found_,
                     pairs);
               });
    output_.flush();
    for (const auto which : {JoinOutput::kLeft, JoinOutput::kRight}) {
      if (!output_.keeps(which)) continue;
      const JoinTable& kept = held.tables[which];
      usable_.clear();
      for (uint32_t row = 0; row < kept.row_count(); ++row) {
        if (kept.mark(row) == 0) usable_.push_back(row);
      }
      output_.add_alone(which, kept.columns(), usable_.data(), usable_.size());
    }
  }

  const plan::Join& join_;
  const size_t rows_max_;
  const uint64_t hash_mask_;
  RowReceiver& receiver_;
  WindowLedger ledger_;
  JoinOutput output_;
  Side sides_[2];    ///< by JoinOutput::Side
  Windows windows_;  ///< by start and end: those that some side may still bring rows of
  size_t rows_held_ = 0;
  Micros told_ = base::kMinTime;
  std::mutex mutex_;  ///< rows of a stream may come from several threads
  // Scratch.
  std::vector<uint32_t> all_rows_;  ///< 0, 1, 2, ...
  std::vector<uint32_t> usable_;
  std::vector<uint64_t> hashes_;
  std::vector<uint8_t> present_;
  uint32_t mine_[kPairsAtOnce], found_[kPairsAtOnce];
};

}  // namespace

std::unique_ptr<StageRunner> make_window_join_stage(const plan::Query& query, const plan::Stage& stage,
                                                    const EngineOptions& options, RowReceiver& receiver) {
  return std::make_unique<WindowJoinStage>(query, stage, options, receiver);
}

}  // namespace backstream::exec
