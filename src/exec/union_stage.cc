#include "exec/union_stage.h"

#include <algorithm>
#include <map>
#include <mutex>
#include <vector>

#include "exec/state_bytes.h"
#include "exec/tail.h"

namespace backstream::exec {
namespace {

class UnionStage final : public CombiningStage {
 public:
  UnionStage(size_t input_count, const plan::Stage& stage, const EngineOptions& options, RowReceiver& receiver)
      : by_window_(stage.window.kind != plan::Window::Kind::kNone),
        batch_rows_(options.batch_rows),
        rows_max_(options.stage_rows_max),
        receiver_(receiver) {
    for (const auto& column : stage.input.columns) types_.push_back(column.type);
    for (size_t i = 0; i < input_count; ++i) inputs_.push_back(std::make_unique<Input>(*this, i));
  }

  RowReceiver& input(size_t i) override { return *inputs_[i]; }
  WindowLedger ledger() const override { return ledger_; }
  void add_state_octets(std::vector<uint64_t>& nodes) const override {
    for (const auto& [window, held] : windows_) nodes[0] += held.rows.octets_held();
  }
  void save_state(StateWriter& out) override {
    save(out, ledger_);
    out.time(told_);
    for (const auto& input : inputs_) out.time(input->frontier());
    out.number(windows_.size());
    for (const auto& [window, held] : windows_) {
      out.time(window.first);
      out.time(window.second);
      out.flag(held.complete);
      save(out, held.rows);
    }
  }
  void load_state(StateReader& in) override {
    load(in, ledger_);
    told_ = in.time();
    for (const auto& input : inputs_) input->set_frontier(in.time());
    for (size_t left = in.count(4); left > 0 && !in.refused(); --left) {
      const Micros start = in.bounded_time(), end = in.bounded_time();
      Held& held = windows_.try_emplace({start, end}, types_).first->second;
      if (!in.check(held.rows.row_count() == 0)) return;
      held.complete = in.flag();
      load(in, types_, held.rows);
      rows_held_ += held.rows.row_count();
    }
  }

 private:
  class Input final : public RowReceiver {
   public:
    Input(UnionStage& stage, size_t number) : stage_(stage), number_(static_cast<uint32_t>(number)) {}
    void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool last) override {
      stage_.take(number_, window, rows, last);
    }
    void on_frontier(Micros frontier) override {
      frontier_ = frontier;
      stage_.settle();
    }
    Micros next_cut(Micros frontier) const override { return stage_.receiver_.next_cut(frontier); }
    Micros frontier() const { return frontier_; }
    void set_frontier(Micros frontier) { frontier_ = frontier; }

   private:
    UnionStage& stage_;
    const uint32_t number_;
    Micros frontier_ = base::kMinTime;
  };

  void take(uint32_t input, const WindowRef& window, batch::ColumnBatch& rows, bool last) {
    const std::lock_guard lock(mutex_);
    if (!by_window_) {
      WindowRef none;
      none.edge = window.edge;
      none.branch = window.branch * static_cast<uint32_t>(inputs_.size()) + input;
      if (rows.row_count > 0) receiver_.on_rows(none, rows, false);
      return;
    }
    if (!window.final || (rows.row_count == 0 && !last)) return;
    // A window without rows is one all the same.
    Held& held = windows_.try_emplace({window.start, window.end}, types_).first->second;
    held.complete &= window.complete;
    if (rows_held_ + rows.row_count > rows_max_) {
      ledger_.refused += rows.row_count;
      return;
    }
    held.rows.append(rows);
    rows_held_ += rows.row_count;
  }

  void settle() {
    Micros least = base::kMaxTime;
    for (const auto& input : inputs_) least = std::min(least, input->frontier());
    while (!windows_.empty() && (least == base::kMaxTime || windows_.begin()->first.first < least)) {
      const auto [start, end] = windows_.begin()->first;
      const Held& held = windows_.begin()->second;
      send({start, end, 1, true, held.complete}, held.rows);
      rows_held_ -= held.rows.row_count();
      windows_.erase(windows_.begin());
      ++ledger_.windows_closed;
    }
    if (least == base::kMaxTime && !by_window_) send(WindowRef{}, RowStore(types_));
    if (least > told_) receiver_.on_frontier(told_ = least);
  }

  void send(const WindowRef& window, const RowStore& rows) {
    batch::ColumnBatch out;
    size_t at = 0;
    do {
      out.row_count = std::min(batch_rows_, rows.row_count() - at);
      out.columns.clear();
      for (size_t c = 0; c < types_.size(); ++c) out.columns.push_back(rows.slice(c, at));
      at += out.row_count;
      receiver_.on_rows(window, out, at == rows.row_count());
    } while (at < rows.row_count());
  }

  const bool by_window_;
  const size_t batch_rows_, rows_max_;
  RowReceiver& receiver_;
  std::vector<batch::Type> types_;
  std::vector<std::unique_ptr<Input>> inputs_;
  WindowLedger ledger_;
  struct Held {
    explicit Held(const std::vector<batch::Type>& types) : rows(types) {}
    RowStore rows;
    bool complete = true;
  };
  std::map<std::pair<Micros, Micros>, Held> windows_;  ///< by start and end: rows that wait for the other inputs
  size_t rows_held_ = 0;
  Micros told_ = base::kMinTime;
  std::mutex mutex_;  ///< rows of a stream may come from several threads
};

}  // namespace

std::unique_ptr<StageRunner> make_union_stage(size_t input_count, const plan::Stage& stage,
                                              const EngineOptions& options, RowReceiver& receiver) {
  return std::make_unique<UnionStage>(input_count, stage, options, receiver);
}

}  // namespace backstream::exec
