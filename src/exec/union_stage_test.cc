#include "exec/union_stage.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace backstream::exec {
namespace {

using batch::Type;

plan::Stage stage_of(plan::Window::Kind window) {
  plan::Stage stage;
  stage.union_all = true;
  stage.window.kind = window;
  stage.input.columns = {{"n", Type::kInt8, 0}};
  return stage;
}

/// What came, in order: "[start n n ...]" for the rows of one window, "|frontier".
class Trace : public RowReceiver {
 public:
  void on_rows(const WindowRef& window, batch::ColumnBatch& rows, bool last) override {
    if (!open_) text += '[' + std::to_string(window.start);
    open_ = !last;
    largest_batch = std::max(largest_batch, rows.row_count);
    for (size_t row = 0; row < rows.row_count; ++row) {
      text += ' ' + std::to_string(rows.columns[0].as<int64_t>()[row]);
    }
    if (last) text += ']';
  }
  void on_frontier(Micros frontier) override {
    text += '|' + (frontier == base::kMaxTime ? "end" : std::to_string(frontier));
  }
  std::string text;
  size_t largest_batch = 0;

 private:
  bool open_ = false;
};

void give(RowReceiver& input, Micros start, std::vector<int64_t> values, bool last = true, bool final = true) {
  batch::ColumnBatch rows;
  rows.row_count = values.size();
  rows.columns.resize(1);
  rows.columns[0].type = Type::kInt8;
  rows.columns[0].values = values.data();
  input.on_rows({start, start + 10, 1, final}, rows, last);
}

TEST(UnionStage, AWindowComesWhenAllInputsArePastIt) {
  const plan::Stage stage = stage_of(plan::Window::Kind::kInherited);
  Trace out;
  const auto unite = make_union_stage(2, stage, {}, out);
  give(unite->input(0), 10, {1, 2}, false);
  give(unite->input(0), 10, {3});
  give(unite->input(0), 20, {4});
  unite->input(0).on_frontier(30);
  EXPECT_EQ(out.text, "");
  give(unite->input(1), 10, {5}, true, false);  // A revision that is not final.
  give(unite->input(1), 10, {6});
  unite->input(1).on_frontier(20);
  EXPECT_EQ(out.text, "[10 1 2 3 6]|20");
  give(unite->input(1), 20, {});
  unite->input(1).on_frontier(40);
  EXPECT_EQ(out.text, "[10 1 2 3 6]|20[20 4]|30");
  give(unite->input(1), 40, {});
  unite->input(1).on_frontier(base::kMaxTime);
  unite->input(0).on_frontier(base::kMaxTime);
  EXPECT_EQ(out.text, "[10 1 2 3 6]|20[20 4]|30[40]|end");
  EXPECT_EQ(unite->ledger().windows_closed, 3u);
}

TEST(UnionStage, RowsHeldBeyondTheLimitAreRefusedAndCounted) {
  const plan::Stage stage = stage_of(plan::Window::Kind::kInherited);
  EngineOptions options;
  options.stage_rows_max = 3;
  Trace out;
  const auto unite = make_union_stage(2, stage, options, out);
  give(unite->input(0), 10, {1, 2});
  give(unite->input(0), 20, {3, 4});
  EXPECT_EQ(unite->ledger().refused, 2u);
  unite->input(0).on_frontier(30);
  unite->input(1).on_frontier(30);
  EXPECT_EQ(out.text, "[10 1 2][20]|30");
  give(unite->input(1), 30, {5, 6, 7});  // There is room again.
  EXPECT_EQ(unite->ledger().refused, 2u);
}

TEST(UnionStage, LargeWindowsComeInBatches) {
  const plan::Stage stage = stage_of(plan::Window::Kind::kInherited);
  EngineOptions options;
  options.batch_rows = 2;
  Trace out;
  const auto unite = make_union_stage(1, stage, options, out);
  give(unite->input(0), 10, {1, 2}, false);
  give(unite->input(0), 10, {3, 4}, false);
  give(unite->input(0), 10, {5});
  unite->input(0).on_frontier(20);
  EXPECT_EQ(out.text, "[10 1 2 3 4 5]|20");
  EXPECT_EQ(out.largest_batch, 2u);
}

TEST(UnionStage, RowsWithoutWindowsPassAtOnce) {
  const plan::Stage stage = stage_of(plan::Window::Kind::kNone);
  Trace out;
  const auto unite = make_union_stage(2, stage, {}, out);
  give(unite->input(0), 0, {1}, false);
  unite->input(0).on_frontier(100);
  give(unite->input(1), 0, {2}, true);
  unite->input(1).on_frontier(50);
  EXPECT_EQ(out.text, "[0 1 2|50");
  unite->input(1).on_frontier(base::kMaxTime);
  unite->input(0).on_frontier(base::kMaxTime);
  EXPECT_EQ(out.text, "[0 1 2|50|100]|end");
}

}  // namespace
}  // namespace backstream::exec
