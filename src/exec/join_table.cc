#include "exec/join_table.h"

#include <stdexcept>

namespace backstream::exec {

JoinTable::JoinTable(const std::vector<batch::Type>& types, Link link, size_t text_block_octets)
    : links_at_once_(link == Link::kAtOnce), rows_(types, text_block_octets) {}

void JoinTable::link_all(size_t room) {
  if (room >= UINT32_MAX) throw std::length_error("more than 4 billion rows in one table of a join");
  unsigned log2 = 6;
  while ((size_t{1} << log2) < 2 * room) ++log2;  // Most rows have no partner: their head is to be empty.
  heads_.assign(size_t{1} << log2, 0);
  shift_ = 64 - log2;
  for (size_t row = 0; row < entries_.size(); ++row) {
    if (row + kHeadAhead < entries_.size()) __builtin_prefetch(&heads_[entries_[row + kHeadAhead].hash >> shift_], 1);
    Entry& entry = entries_[row];
    if (!entry.present) continue;
    uint32_t& head = heads_[entry.hash >> shift_];
    entry.next = head;
    head = static_cast<uint32_t>(row) + 1;
  }
}

void JoinTable::append(const batch::ColumnBatch& rows, const uint32_t* numbers, size_t n, const uint64_t* hashes,
                       const uint8_t* present, const Micros* times) {
  if (n == 0) return;
  if (links_at_once_ && 2 * (entries_.size() + n) > heads_.size()) link_all(entries_.size() + n);
  rows_.append(rows, numbers, n);
  columns_.clear();
  for (size_t c = 0; c < rows_.column_count(); ++c) columns_.push_back(rows_.slice(c, 0));
  for (size_t i = 0; i < n; ++i) {
    const uint32_t number = numbers[i];
    const bool is_present = present == nullptr || present[number] != 0;
    entries_.push_back({hashes[number], times == nullptr ? 0 : times[number], 0, is_present});
    hashes_.push_back(hashes[number]);
    if (!links_at_once_ || !is_present) continue;
    uint32_t& head = heads_[hashes[number] >> shift_];
    entries_.back().next = head;
    head = static_cast<uint32_t>(entries_.size());
  }
  marks_.resize(entries_.size());
}

}  // namespace backstream::exec
