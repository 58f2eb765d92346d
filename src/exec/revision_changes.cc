#include "exec/revision_changes.h"

#include <algorithm>
#include <numeric>

namespace backstream::exec {
namespace {}  // namespace

void RevisionChanges::watch(size_t query_index, const plan::Query& query) {
  if (watched_.size() <= query_index) watched_.resize(query_index + 1);
  if (plan::key_outputs(query).size() > plan::kGroupKeysMax) return;
  watched_[query_index] = std::make_unique<Watched>();
  Watched& made = *watched_[query_index];
  const plan::Stage& stage = query.stages.back();
  made.key_outputs = plan::key_outputs(query);
  made.start_output = stage.window_start_output;
  made.end_output = stage.window_end_output;
  made.keys.grouped.columns.resize(2, {"", batch::Type::kTimestamptz, 0});
  for (const int output : made.key_outputs) {
    const batch::ColumnDef& column = query.output().columns[static_cast<size_t>(output)];
    made.keys.keys.push_back(expr::make_column(output, column.type));
    made.keys.grouped.columns.push_back(column);
  }
  made.layout = std::make_unique<GroupLayout>(made.keys, ~uint64_t{0});
  made.group_rows = std::make_unique<GroupRows>(made.keys, batch::kBatchRows);
  const std::vector<batch::Type> types = query.output().types();
  made.removed = batch::BatchBuffer(types, std::vector<bool>(types.size(), true), batch::kBatchRows);
}

void RevisionChanges::on_result(const ResultBatch& result) {
  Watched* query = result.query_index < watched_.size() ? watched_[result.query_index].get() : nullptr;
  const bool windowed = result.window_start != 0 || result.window_end != 0;
  if (query == nullptr && windowed && !result.final) rows_forgotten_ += result.rows.row_count;
  if (query == nullptr || !windowed) return next_.on_result(result);
  const auto key = std::pair(result.window_start, result.window_end);
  if (result.final && !query->windows.contains(key)) return next_.on_result(result);  // There was none before.
  Watched::Window& window = query->windows[key];
  if (result.rows.row_count > 0) remember(*query, window, result.rows);
  if (!result.last) return next_.on_result(result);

  PaneTablePtr gone = std::move(window.last);
  window.last = std::move(window.current);
  ResultBatch told = result;
  told.last = gone == nullptr || window.forgotten;
  next_.on_result(told);
  if (!told.last) {
    if (window.last == nullptr) window.last = std::make_unique<PaneTable>(*query->layout, query->pool, 0);
    std::vector<size_t> matches;
    window.last->match(*gone, matches);
    std::vector<uint8_t> chosen(matches.size());
    for (size_t g = 0; g < matches.size(); ++g) chosen[g] = matches[g] == PaneTable::kNoGroup;
    PaneTable removed(*query->layout, query->pool, 0);
    removed.combine(*gone, chosen.data());
    send_removed(*query, result, removed);
  }
  if (gone != nullptr) keys_held_ -= gone->group_count();
  window.forgotten = false;
  if (!result.final) return;
  if (window.last != nullptr) keys_held_ -= window.last->group_count();
  query->windows.erase(key);
}

void RevisionChanges::remember(Watched& query, Watched::Window& window, const batch::ColumnBatch& rows) {
  if (window.forgotten || keys_held_ + rows.row_count > keys_max_) {
    rows_forgotten_ += rows.row_count;
    window.forgotten = true;
    if (window.current == nullptr) return;
    rows_forgotten_ += window.current->group_count();
    keys_held_ -= window.current->group_count();
    window.current.reset();
    return;
  }
  if (window.current == nullptr) window.current = std::make_unique<PaneTable>(*query.layout, query.pool, 0);
  const size_t before = window.current->group_count();
  std::vector<batch::Column> keys;
  for (const int output : query.key_outputs) keys.push_back(rows.columns[static_cast<size_t>(output)]);
  query.groups.resize(std::max(query.groups.size(), rows.row_count));
  query.rows.resize(rows.row_count);
  std::iota(query.rows.begin(), query.rows.end(), 0u);
  window.current->find_groups(keys.data(), query.rows.data(), rows.row_count, query.groups.data());
  keys_held_ += window.current->group_count() - before;
}

/// Rows with their keys; what else they had is not remembered.
void RevisionChanges::send_removed(Watched& query, const ResultBatch& result, PaneTable& gone) {
  ResultBatch told = result;
  told.removed = true;
  told.last = false;
  batch::ColumnBatch& rows = query.removed.batch;
  query.group_rows->for_each_key_batch(gone, [&](const batch::Column* keys, size_t, size_t n) {
    for (batch::Column& column : rows.columns) {
      column.has_nulls = true;
      std::fill_n(column.validity, n, uint8_t{0});
    }
    const auto set_time = [&](int output, Micros time) {
      if (output < 0) return;
      batch::Column& column = rows.columns[static_cast<size_t>(output)];
      std::fill_n(column.as<Micros>(), n, time);
      std::fill_n(column.validity, n, uint8_t{1});
    };
    set_time(query.start_output, result.window_start);
    set_time(query.end_output, result.window_end);
    told.rows = rows;
    for (size_t k = 0; k < query.key_outputs.size(); ++k)
      told.rows.columns[static_cast<size_t>(query.key_outputs[k])] = keys[k];
    told.rows.row_count = n;
    next_.on_result(told);
  });
  told.rows.row_count = 0;
  told.last = true;
  next_.on_result(told);
}

}  // namespace backstream::exec
