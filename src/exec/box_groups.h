#pragma once
// The groups of a box that keeps something of each.
#include <cmath>
#include <list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "exec/boxes.h"

namespace backstream::exec {

/// Groups by the values of some columns, the one first that had no tuple for the longest. They stay where they are
/// until they are erased. One thread.
template <typename State>
class BoxGroups {
 public:
  struct Group : State {
    std::string key;  ///< the values' octets (partial/value_bytes.h)
  };
  using Place = typename std::list<Group>::iterator;

  BoxGroups(std::vector<int> columns, uint64_t hash_mask) : columns_(std::move(columns)), index_(16, Hash{hash_mask}) {}

  size_t size() const { return groups_.size(); }
  std::list<Group>& in_order() { return groups_; }
  const std::list<Group>& in_order() const { return groups_; }

  /// The group of a row, which becomes the one that had a tuple last; where it is new, second is true.
  std::pair<Place, bool> find_or_make(const batch::ColumnBatch& batch, size_t row) {
    key_.clear();
    for (const int column : columns_) put(batch.columns[static_cast<size_t>(column)], row);
    const std::string_view key(reinterpret_cast<const char*>(key_.data()), key_.size());
    const auto known = index_.find(key);
    if (known == index_.end()) return {add(std::string(key)), true};
    groups_.splice(groups_.end(), groups_, known->second);
    return {known->second, false};
  }
  /// Puts the values that a group is of into row `row` of the first columns of a batch.
  void put_values(const Group& group, batch::ColumnBatch& out, size_t row, base::Arena& texts) const {
    partial::Cursor cursor({reinterpret_cast<const uint8_t*>(group.key.data()), group.key.size()});
    for (size_t k = 0; k < columns_.size(); ++k) partial::get_value(cursor, out.columns[k], row, texts);
  }
  void erase(Place group) {
    octets_ -= group->key.size();
    index_.erase(std::string_view(group->key));
    groups_.erase(group);
  }
  uint64_t octets_held() const {
    constexpr uint64_t kNodes = 64;  // Of the list and the index, about.
    return octets_ + groups_.size() * (sizeof(Group) + kNodes);
  }

  void save_key(StateWriter& out, const Group& group) const { out.text(group.key); }
  /// Appends a group of types that save_key() has written; the end of the list where it is refused.
  Place load_key(StateReader& in, const std::vector<batch::Type>& types) {
    const std::string_view key = in.text();
    StateReader values({reinterpret_cast<const uint8_t*>(key.data()), key.size()});
    batch::BatchBuffer row(types, std::vector<bool>(types.size(), true), 1);
    for (batch::Column& column : row.batch.columns) {
      column.has_nulls = true;
      values.value(column, 0, row.texts);
    }
    if (!in.check(values.is_done() && !index_.contains(key)) || in.refused()) return groups_.end();
    return add(std::string(key));
  }

 private:
  struct Hash {
    uint64_t mask;
    size_t operator()(std::string_view key) const { return std::hash<std::string_view>{}(key)&mask; }
  };
  Place add(std::string key) {
    Group& group = groups_.emplace_back();
    group.key = std::move(key);
    octets_ += group.key.size();
    const Place place = std::prev(groups_.end());
    index_.emplace(std::string_view(group.key), place);
    return place;
  }
  /// Equal values are equal octets: as in GROUP BY, -0 is 0, and NaN is NaN.
  void put(const batch::Column& column, size_t row) {
    if (column.type != batch::Type::kFloat8 || column.is_null(row)) return partial::put_value(key_, column, row);
    double value = column.as<double>()[row];
    if (std::isnan(value)) value = std::nan("");
    if (value == 0) value = 0;
    batch::Column one;
    one.type = column.type;
    one.values = &value;
    partial::put_value(key_, one, 0);
  }

  const std::vector<int> columns_;
  std::list<Group> groups_;
  std::unordered_map<std::string_view, Place, Hash> index_;  ///< keys are the groups'
  std::vector<uint8_t> key_;
  uint64_t octets_ = 0;
};

/// The types of some columns.
inline std::vector<batch::Type> types_of(const batch::Schema& schema, const std::vector<int>& columns) {
  std::vector<batch::Type> types;
  for (const int column : columns) types.push_back(schema.columns[static_cast<size_t>(column)].type);
  return types;
}

}  // namespace backstream::exec
