#include "exec/saved_groups.h"

#include <algorithm>
#include <numeric>

namespace backstream::exec {
namespace {

constexpr size_t kGroupsAtOnce = 2048;

std::vector<size_t> all_of(const plan::Stage& stage) {
  std::vector<size_t> all(stage.aggregates.size());
  std::iota(all.begin(), all.end(), size_t{0});
  return all;
}
std::vector<batch::Type> key_types(const plan::Stage& stage) {
  std::vector<batch::Type> types;
  for (const auto& key : stage.keys) types.push_back(key->type);
  return types;
}

}  // namespace

SavedGroups::SavedGroups(const plan::Stage& stage, size_t batch_rows, std::vector<size_t> aggregates)
    : stage_(stage),
      aggregates_(std::move(aggregates)),
      group_rows_(stage, batch_rows),
      rows_(kGroupsAtOnce),
      found_(kGroupsAtOnce),
      wide_(kGroupsAtOnce),
      numbers_(kGroupsAtOnce) {
  std::iota(numbers_.begin(), numbers_.end(), 0u);
}
SavedGroups::SavedGroups(const plan::Stage& stage, size_t batch_rows) : SavedGroups(stage, batch_rows, all_of(stage)) {}

uint8_t* SavedGroups::state(const PaneTable& table, size_t group, size_t aggregate) const {
  return rows_[group] + table.states_at(wide_[group] != 0) + table.layout().state_offsets()[aggregate];
}

/// Keys by column, then states by aggregate: the same work many times over is done faster.
void SavedGroups::save(PaneTable& table, StateWriter& out) {
  out.number(table.group_count());
  group_rows_.for_each_key_batch(table, [&](const batch::Column* keys, size_t first, size_t count) {
    for (size_t at = 0; at < count; at += kGroupsAtOnce) {
      const size_t n = std::min(kGroupsAtOnce, count - at);
      out.number(n);
      for (size_t k = 0; k < stage_.keys.size(); ++k) {
        for (size_t i = 0; i < n; ++i) out.value(keys[k], at + i);
      }
      for (size_t i = 0; i < n; ++i) rows_[i] = table.row(first + at + i);
      const uint32_t states_at = table.states_at(table.is_wide(first));
      for (const size_t a : aggregates_) {
        const auto encode = stage_.aggregates[a].function->encode;
        const uint32_t offset = states_at + table.layout().state_offsets()[a];
        for (size_t i = 0; i < n; ++i) encode(rows_[i] + offset, out.octets());
      }
    }
  });
}

/// A value takes an octet at least. A group without any is alone.
size_t SavedGroups::group_count(StateReader& in) const {
  return in.count(std::max<size_t>(stage_.keys.size() + aggregates_.size(), 1));
}

size_t SavedGroups::read_keys(StateReader& in, PaneTable& table, size_t left) {
  const size_t n = in.number(std::min(left, kGroupsAtOnce));
  if (!in.check(n > 0)) return 0;
  if (keys_.capacity() == 0)
    keys_ = batch::BatchBuffer(key_types(stage_), std::vector<bool>(stage_.keys.size(), true), kGroupsAtOnce);
  keys_.reset();
  for (batch::Column& column : keys_.batch.columns) {
    column.has_nulls = true;
    for (size_t i = 0; i < n; ++i) in.value(column, i, keys_.texts);
  }
  if (in.refused()) return 0;
  const PaneTable::Found found = table.find_groups(keys_.batch.columns.data(), numbers_.data(), n, found_.data());
  for (size_t i = 0; i < n; ++i) {
    rows_[found.rows[i]] = found_[i];
    wide_[found.rows[i]] = i >= found.narrow_count;
  }
  return n;
}

/// The table has its size from the begin: groups come in the order of their places in another one, and in one that
/// grows these would all lie together for long.
PaneTablePtr SavedGroups::load(StateReader& in, GroupLayout& layout, BlockPool& pool) {
  const size_t count = group_count(in);
  auto table = std::make_unique<PaneTable>(layout, pool, count);
  for (size_t known = 0; known < count;) {
    const size_t n = read_keys(in, *table, count - known);
    if (n == 0 || !in.check(table->group_count() == known + n)) break;  // A key came twice.
    known += n;
    for (const size_t a : aggregates_) {
      for (size_t i = 0; i < n && !in.refused(); ++i)
        in.state(*stage_.aggregates[a].function, state(*table, i, a), table->context());
    }
  }
  return table;
}

void SavedGroups::add(StateReader& in, PaneTable& table, const std::vector<bool>& known) {
  agg::StateContext unused;
  std::vector<uint64_t> read(table.layout().state_octets() / 8);
  auto* const state_read = reinterpret_cast<uint8_t*>(read.data());
  for (size_t left = group_count(in); left > 0 && !in.refused();) {
    const size_t n = read_keys(in, table, left);
    left -= n;
    for (const size_t a : aggregates_) {
      const agg::AggregateFunction& function = *stage_.aggregates[a].function;
      for (size_t i = 0; i < n && !in.refused(); ++i) {
        std::fill(read.begin(), read.end(), 0);
        if (function.init != nullptr) function.init(state_read);
        in.state(function, state_read, unused);
        if (!known[a] && !in.refused()) function.combine(state(table, i, a), state_read, table.context());
      }
    }
    unused.arena.reset();
    for (auto& blocks : unused.free_blocks) blocks.clear();
  }
}

}  // namespace backstream::exec
