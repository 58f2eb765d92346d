#include "exec/shedding.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>

namespace backstream::exec {
namespace {

using batch::Column;
using batch::Physical;

/// SplitMix64's finalizer over the hash so far and one more word.
uint64_t mix(uint64_t hash, uint64_t word) {
  uint64_t z = (hash ^ word) + 0x9E3779B97F4A7C15;
  z = (z ^ z >> 30) * 0xBF58476D1CE4E5B9;
  z = (z ^ z >> 27) * 0x94D049BB133111EB;
  return z ^ z >> 31;
}

uint64_t mix(uint64_t hash, std::string_view text) {
  for (size_t at = 0; at < text.size(); at += 8) {
    uint64_t word = 0;
    for (size_t i = at; i < std::min(at + 8, text.size()); ++i)
      word = word << 8 | static_cast<unsigned char>(text[i]);  // Not memcpy: the same on any machine.
    hash = mix(hash, word);
  }
  return mix(hash, text.size());
}

/// Of values that are one key (KeyCodec) the same.
uint64_t mix(uint64_t hash, const Column& column, size_t row) {
  if (column.is_null(row)) return mix(hash, 0x6E756C6C);
  switch (batch::physical(column.type)) {
    case Physical::kByte: return mix(hash, uint64_t{column.as<uint8_t>()[row]});
    case Physical::kInt64: return mix(hash, static_cast<uint64_t>(column.as<int64_t>()[row]));
    case Physical::kDouble: {
      const double value = column.as<double>()[row];
      return mix(hash, std::isnan(value) ? 1 : value == 0 ? 0 : std::bit_cast<uint64_t>(value));
    }
    case Physical::kText: return mix(hash, column.as<std::string_view>()[row]);
    case Physical::kInet: {
      const base::Inet& address = column.as<base::Inet>()[row];
      return mix(mix(mix(hash, address.hi), address.lo), uint64_t{address.family} << 8 | address.prefix_bits);
    }
    case Physical::kInterval: {
      const base::Interval& interval = column.as<base::Interval>()[row];
      return mix(mix(mix(hash, static_cast<uint64_t>(interval.micros)), static_cast<uint64_t>(interval.days)),
                 static_cast<uint64_t>(interval.months));
    }
  }
  return hash;
}

}  // namespace

void shed_hashes(const Column* keys, size_t key_count, const uint32_t* rows, size_t n, uint64_t* out) {
  std::fill_n(out, n, uint64_t{0x62736462});
  for (size_t k = 0; k < key_count; ++k) {
    for (size_t i = 0; i < n; ++i) out[i] = mix(out[i], keys[k], rows == nullptr ? i : rows[i]);
  }
  for (size_t i = 0; i < n; ++i) out[i] = std::min(mix(out[i], uint64_t{key_count}), kKeepAll - 1);
}

// --- KeepBelow ----------------------------------------------------------------------------------------------------

uint64_t KeepBelow::at(Micros pane_start) const {
  const auto after = steps_.upper_bound(pane_start);
  return after == steps_.begin() ? kKeepAll : std::prev(after)->second;
}

void KeepBelow::lower(uint64_t keep_below) {
  for (auto& [start, step] : steps_) step = std::min(step, keep_below);
  steps_.try_emplace(base::kMinTime, keep_below);
}

void KeepBelow::raise_after(Micros now, Micros next_start) {
  const uint64_t keep = latest();
  if (keep == kKeepAll || steps_.rbegin()->first > now) return;
  steps_[next_start] = keep > kKeepAll / 2 ? kKeepAll : std::max<uint64_t>(keep * 2, 1);
}

void KeepBelow::forget_before(Micros pane_start) {
  // The last step at or before it is still in force there.
  while (steps_.size() > 1 && std::next(steps_.begin())->first <= pane_start) steps_.erase(steps_.begin());
}

void KeepBelow::add(const KeepBelow& other) {
  if (other.steps_.empty()) return;
  if (steps_.empty()) {
    steps_ = other.steps_;
    return;
  }
  std::map<Micros, uint64_t> both;
  for (const KeepBelow* each : {static_cast<const KeepBelow*>(this), &other}) {
    for (const auto& [start, keep] : each->steps_) both[start] = std::min(at(start), other.at(start));
  }
  steps_ = std::move(both);
}

// --- GroupShedder -------------------------------------------------------------------------------------------------

GroupShedder::GroupShedder(const plan::Stage& stage, size_t batch_rows)
    : stage_(stage), group_rows_(stage, batch_rows), octets_({batch::Type::kInt8}, {true}, batch_rows) {}

GroupShedder::Shed GroupShedder::choose(PaneTable& table, uint64_t keep_below) {
  Shed shed;
  kept_.assign(table.group_count(), 1);
  group_rows_.for_each_key_batch(table, [&](const Column* keys, size_t first, size_t n) {
    hashes_.resize(std::max(hashes_.size(), n));
    shed_hashes(keys, stage_.keys.size(), nullptr, n, hashes_.data());
    dropped_.clear();
    for (size_t i = 0; i < n; ++i) {
      if (hashes_[i] < keep_below) continue;
      kept_[first + i] = 0;
      dropped_.push_back(table.row(first + i) + table.states_at(table.is_wide(first + i)));
    }
    shed.groups += dropped_.size();
    Column& out = octets_.batch.columns[0];
    out.has_nulls = true;
    const auto sum = [&](int aggregate) {
      uint64_t total = 0;
      if (aggregate < 0 || dropped_.empty()) return total;
      const auto a = static_cast<size_t>(aggregate);
      agg::StateContext unused;
      stage_.aggregates[a].function->finish(dropped_.data(), table.layout().state_offsets()[a], dropped_.size(), out, 0,
                                            unused);
      for (size_t i = 0; i < dropped_.size(); ++i) {
        if (out.validity[i] != 0) total += static_cast<uint64_t>(out.as<int64_t>()[i]);
      }
      return total;
    };
    shed.rows += sum(stage_.rows_aggregate);
    shed.octets += sum(stage_.octets_aggregate);
  });
  return shed;
}

GroupShedder::Shed GroupShedder::drop(PaneTablePtr& table, uint64_t keep_below, BlockPool& pool) {
  const Shed shed = choose(*table, keep_below);
  if (shed.groups == 0) return shed;
  auto rest = std::make_unique<PaneTable>(table->layout(), pool, table->group_count() - shed.groups);
  rest->combine(*table, kept());
  table = std::move(rest);
  return shed;
}

}  // namespace backstream::exec
