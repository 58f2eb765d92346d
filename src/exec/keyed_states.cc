#include "exec/keyed_states.h"

#include <algorithm>
#include <cstring>
#include <numeric>

namespace backstream::exec {

namespace {

std::vector<batch::Type> types_of(const std::vector<batch::ColumnDef>& keys) {
  std::vector<batch::Type> types;
  for (const batch::ColumnDef& key : keys) types.push_back(key.type);
  return types;
}

}  // namespace

bool KeyedStates::can_hold(const std::vector<batch::ColumnDef>& keys) {
  return std::none_of(keys.begin(), keys.end(), [](const batch::ColumnDef& key) {
    return batch::physical(key.type) == batch::Physical::kInterval;
  });
}

KeyedStates::Tables::Tables(KeyedStates& of)
    : narrow(of.pool_, of.codec_.narrow_words(), of.state_octets_, 0, RowPlace::kApart, of.hash_mask_),
      wide(of.pool_, of.codec_.wide_words(), of.state_octets_, 0, RowPlace::kApart, of.hash_mask_) {}

KeyedStates::KeyedStates(const std::vector<batch::ColumnDef>& keys, uint32_t state_octets, uint64_t hash_mask)
    : key_types_(types_of(keys)),
      state_octets_(state_octets),
      hash_mask_(hash_mask),
      codec_(keys),
      tables_(std::make_unique<Tables>(*this)) {}

size_t KeyedStates::octets_held() const {
  return tables_->narrow.octets_held() + tables_->wide.octets_held() + tables_->texts.octets_held();
}

/// Calls look(table, numbers of the rows, their keys' words, their hashes, how many) for each form of key among n rows.
template <typename Look>
void KeyedStates::pack(const batch::Column* keys, size_t n, Look&& look) {
  const size_t known = rows_.size();
  if (known < n) {
    rows_.resize(n);
    std::iota(rows_.begin() + static_cast<long>(known), rows_.end(), static_cast<uint32_t>(known));
    split_.resize(n);
    hashes_.resize(n);
    found_.resize(n);
    words_.resize(n * std::max(codec_.narrow_words(), codec_.wide_words()));
  }
  const size_t narrow = codec_.split_forms(keys, rows_.data(), n, split_.data());
  const uint32_t* rows = narrow < n ? split_.data() : rows_.data();
  const auto look_up = [&](GroupTable& table, const uint32_t* numbers, size_t count) {
    hash_keys(words_.data(), table.key_words(), count, hash_mask_, hashes_.data());
    look(table, numbers, count);
  };
  if (narrow > 0) {
    codec_.pack_narrow(keys, rows, narrow, tables_->texts, words_.data());
    look_up(tables_->narrow, rows, narrow);
  }
  if (narrow < n) {
    codec_.pack_wide(keys, rows + narrow, n - narrow, tables_->texts, words_.data());
    look_up(tables_->wide, rows + narrow, n - narrow);
  }
}

void KeyedStates::find_or_make(const batch::Column* keys, size_t n, uint8_t** states) {
  pack(keys, n, [&](GroupTable& table, const uint32_t* numbers, size_t count) {
    table.find_or_insert(words_.data(), hashes_.data(), count, found_.data());
    for (size_t i = 0; i < count; ++i) states[numbers[i]] = found_[i] + table.states_at();
  });
}

void KeyedStates::find(const batch::Column* keys, size_t n, uint8_t** states) {
  pack(keys, n, [&](GroupTable& table, const uint32_t* numbers, size_t count) {
    for (size_t i = 0; i < count; ++i) {
      const size_t group = table.find(&words_[i * table.key_words()], hashes_[i]);
      states[numbers[i]] = group == GroupTable::kNoGroup ? nullptr : table.row(group) + table.states_at();
    }
  });
}

void KeyedStates::find_or_make_up_to(size_t size_max, const batch::Column* keys, size_t n, uint8_t** states) {
  if (size() + n <= size_max) return find_or_make(keys, n, states);
  find(keys, n, states);
  std::vector<batch::Column> key(keys, keys + codec_.key_count());
  for (size_t row = 0; row < n; ++row) {
    if (states[row] != nullptr) continue;
    for (size_t k = 0; k < key.size(); ++k) {
      key[k].values =
          static_cast<uint8_t*>(keys[k].values) + row * batch::octets_per_value(batch::physical(keys[k].type));
      key[k].validity = keys[k].has_nulls ? keys[k].validity + row : nullptr;
    }
    if (size() < size_max) find_or_make(key.data(), 1, &states[row]);
    else find(key.data(), 1, &states[row]);  // An earlier row may have made it.
  }
}

void KeyedStates::move(bool wide, const uint8_t* row, const TextDictionary& texts) {
  GroupTable& table = wide ? tables_->wide : tables_->narrow;
  if (words_.size() < table.key_words()) words_.resize(table.key_words());
  std::memcpy(words_.data(), row, table.key_words() * 8);
  if (codec_.has_text()) codec_.translate(wide, words_.data(), 1, texts, tables_->texts);
  uint64_t hash = 0;
  hash_keys(words_.data(), table.key_words(), 1, hash_mask_, &hash);
  uint8_t* to = nullptr;
  table.find_or_insert(words_.data(), &hash, 1, &to);
  std::memcpy(to + table.states_at(), row + table.states_at(), state_octets_);
}

}  // namespace backstream::exec
