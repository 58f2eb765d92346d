#pragma once
#include <map>
#include <memory>
#include <vector>

#include "exec/engine.h"
#include "exec/group_rows.h"
#include "exec/pane_table.h"

namespace backstream::exec {

/// Stands before a sink that wants every revision, and tells it which rows a revision no longer has: those that HAVING,
/// LIMIT or shedding took out since. For that it remembers the keys of the last revision of each window that is not
/// final. One thread.
class RevisionChanges : public ResultSink {
 public:
  /// @param keys_max  of all windows together; a window that finds no room is not remembered, and its rows are counted
  RevisionChanges(ResultSink& next, size_t keys_max) : next_(next), keys_max_(keys_max) {}
  /// From now on removed rows of the query are told, unless more than plan::kGroupKeysMax columns tell its rows apart.
  /// `query` must outlive this; before its first result.
  void watch(size_t query_index, const plan::Query& query);

  void on_result(const ResultBatch& result) override;
  /// Rows of revisions that were not remembered: that they are gone later is not told.
  uint64_t rows_forgotten() const { return rows_forgotten_; }

 private:
  struct Watched {
    std::vector<int> key_outputs;
    plan::Stage keys;  ///< groups are the rows' keys, without aggregates
    BlockPool pool;
    std::unique_ptr<GroupLayout> layout;
    std::unique_ptr<GroupRows> group_rows;
    batch::BatchBuffer removed;
    int start_output = -1, end_output = -1;
    struct Window {
      PaneTablePtr last, current;  ///< null: none, or no room
      bool forgotten = false;      ///< of the current revision
    };
    std::map<std::pair<Micros, Micros>, Window> windows;
    std::vector<uint8_t*> groups;
    std::vector<uint32_t> rows;
  };
  void remember(Watched& query, Watched::Window& window, const batch::ColumnBatch& rows);
  void send_removed(Watched& query, const ResultBatch& result, PaneTable& gone);

  ResultSink& next_;
  const size_t keys_max_;
  size_t keys_held_ = 0;
  uint64_t rows_forgotten_ = 0;
  std::vector<std::unique_ptr<Watched>> watched_;  ///< by query index
};

}  // namespace backstream::exec
