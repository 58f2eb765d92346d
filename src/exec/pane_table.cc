#include "exec/pane_table.h"

#include <algorithm>
#include <cstring>

namespace backstream::exec {
namespace {

std::vector<batch::ColumnDef> key_columns(const plan::Stage& stage) {
  // The grouped row is window_start, window_end, keys, aggregates.
  return {stage.grouped.columns.begin() + 2, stage.grouped.columns.begin() + 2 + static_cast<long>(stage.keys.size())};
}

}  // namespace

GroupLayout::GroupLayout(const plan::Stage& stage, uint64_t hash_mask)
    : stage_(stage), codec_(key_columns(stage)), hash_mask_(hash_mask) {
  for (const plan::AggregateCall& call : stage.aggregates) {
    state_offsets_.push_back(state_octets_);
    state_octets_ += (call.function->state_octets + 7) / 8 * 8;
    needs_init_ |= call.function->init != nullptr;
  }
  if (!needs_init_)  // init() is called for the last groups, so these must be the new ones.
    narrow_place_ = GroupTable::best_place(codec_.narrow_words(), state_octets_);
}

PaneTable::PaneTable(GroupLayout& layout, BlockPool& pool, size_t group_hint)
    : layout_(layout),
      narrow_(pool, layout.codec_.narrow_words(), layout.state_octets_, group_hint, layout.narrow_place_,
              layout.hash_mask_),
      wide_(pool, layout.codec_.wide_words(), layout.state_octets_, 0, RowPlace::kApart, layout.hash_mask_) {}

void PaneTable::insert(GroupTable& table, bool wide, const uint64_t* words, size_t n, uint8_t** out) {
  auto& hashes = layout_.hashes_;
  if (hashes.size() < n) hashes.resize(n);
  hash_keys(words, table.key_words(), n, layout_.hash_mask_, hashes.data());
  const size_t made = table.find_or_insert(words, hashes.data(), n, out);
  if (!layout_.needs_init_) return;
  for (size_t group = table.group_count() - made; group < table.group_count(); ++group) {
    uint8_t* states = table.row(group) + states_at(wide);
    for (size_t a = 0; a < layout_.stage_.aggregates.size(); ++a) {
      const auto* function = layout_.stage_.aggregates[a].function;
      if (function->init != nullptr) function->init(states + layout_.state_offsets_[a]);
    }
  }
}

PaneTable::Found PaneTable::find_groups(const batch::Column* keys, const uint32_t* rows, size_t n, uint8_t** out) {
  KeyCodec& codec = layout_.codec_;
  auto& split = layout_.split_;
  if (split.size() < n) split.resize(n);
  const size_t narrow = codec.split_forms(keys, rows, n, split.data());
  if (narrow < n) rows = split.data();
  auto& words = layout_.words_;
  words.resize(std::max(words.size(), n * std::max(codec.narrow_words(), codec.wide_words())));
  if (narrow > 0) {
    codec.pack_narrow(keys, rows, narrow, texts_, words.data());
    insert(narrow_, false, words.data(), narrow, out);
  }
  if (narrow < n) {
    codec.pack_wide(keys, rows + narrow, n - narrow, texts_, words.data());
    insert(wide_, true, words.data(), n - narrow, out + narrow);
  }
  return {rows, narrow};
}

void PaneTable::combine(const PaneTable& other, const uint8_t* chosen) {
  combine_form(other, false, chosen);
  combine_form(other, true, chosen == nullptr ? nullptr : chosen + other.narrow_.group_count());
  rows_counted += other.rows_counted;
}

void PaneTable::combine_groups(const batch::Column* keys, size_t n, const uint8_t* states) {
  constexpr size_t kStep = 1024;
  const auto& aggregates = layout_.stage_.aggregates;
  uint32_t numbers[kStep];
  uint8_t* groups[kStep];
  for (size_t at = 0; at < n; at += kStep) {
    const size_t count = std::min(kStep, n - at);
    for (size_t i = 0; i < count; ++i) numbers[i] = static_cast<uint32_t>(at + i);
    const Found found = find_groups(keys, numbers, count, groups);
    for (size_t a = 0; a < aggregates.size(); ++a) {
      for (size_t i = 0; i < count; ++i) {
        const uint32_t offset = states_at(i >= found.narrow_count) + layout_.state_offsets_[a];
        aggregates[a].function->combine(
            groups[i] + offset, states + size_t{found.rows[i]} * layout_.state_octets_ + layout_.state_offsets_[a],
            context_);
      }
    }
  }
}

void PaneTable::match(const PaneTable& other, std::vector<size_t>& groups) {
  groups.clear();
  std::vector<uint64_t> words;
  for (const bool wide : {false, true}) {
    const GroupTable& from = wide ? other.wide_ : other.narrow_;
    const GroupTable& here = wide ? wide_ : narrow_;
    const uint32_t key_words = from.key_words();
    words.resize(key_words);
    for (size_t group = 0; group < from.group_count(); ++group) {
      std::copy_n(from.key(group), key_words, words.data());
      if (layout_.codec_.has_text()) layout_.codec_.translate(wide, words.data(), 1, other.texts_, texts_);
      uint64_t hash = 0;
      hash_keys(words.data(), key_words, 1, layout_.hash_mask_, &hash);
      const size_t found = here.find(words.data(), hash);
      groups.push_back(found == kNoGroup || !wide ? found : found + narrow_.group_count());
    }
  }
}

void PaneTable::rows_of(const PaneTable& other, bool wide, size_t first, size_t n, uint8_t** out) {
  constexpr size_t kAhead = 16;
  const GroupTable& from = wide ? other.wide_ : other.narrow_;
  GroupTable& to = wide ? wide_ : narrow_;
  const uint32_t key_words = from.key_words();
  auto& words = layout_.words_;
  words.resize(std::max(words.size(), n * key_words));
  for (size_t i = 0; i < n; ++i) {
    if (i + kAhead < n) __builtin_prefetch(from.row(first + i + kAhead));
    std::copy_n(from.key(first + i), key_words, &words[i * key_words]);
  }
  if (layout_.codec_.has_text()) layout_.codec_.translate(wide, words.data(), n, other.texts_, texts_);
  insert(to, wide, words.data(), n, out);
}

void PaneTable::reset_states(uint8_t* row, bool wide) const {
  uint8_t* states = row + states_at(wide);
  std::memset(states, 0, layout_.state_octets_);
  for (size_t a = 0; a < layout_.state_offsets_.size(); ++a) {
    const auto* function = layout_.stage_.aggregates[a].function;
    if (function->init != nullptr) function->init(states + layout_.state_offsets_[a]);
  }
}

void PaneTable::combine_form(const PaneTable& other, bool wide, const uint8_t* chosen) {
  constexpr size_t kStep = 1024, kAhead = 16;
  const GroupTable& from = wide ? other.wide_ : other.narrow_;
  GroupTable& to = wide ? wide_ : narrow_;
  const uint32_t key_words = from.key_words();
  const auto& aggregates = layout_.stage_.aggregates;
  std::vector<uint64_t> words(std::min(kStep, from.group_count()) * key_words);
  std::vector<uint8_t*> rows(std::min(kStep, from.group_count()));
  std::vector<const uint8_t*> sources(rows.size());
  for (size_t at = 0; at < from.group_count();) {
    size_t n = 0;
    for (; n < kStep && at < from.group_count(); ++at) {
      if (chosen != nullptr && chosen[at] == 0) continue;
      if (at + kAhead < from.group_count()) __builtin_prefetch(from.row(at + kAhead));
      sources[n] = from.row(at);
      std::copy_n(reinterpret_cast<const uint64_t*>(sources[n]), key_words, &words[n * key_words]);
      ++n;
    }
    if (layout_.codec_.has_text()) layout_.codec_.translate(wide, words.data(), n, other.texts_, texts_);
    insert(to, wide, words.data(), n, rows.data());
    for (size_t a = 0; a < aggregates.size(); ++a) {
      const size_t offset = states_at(wide) + layout_.state_offsets_[a];
      const auto combine_states = aggregates[a].function->combine;
      for (size_t i = 0; i < n; ++i) combine_states(rows[i] + offset, sources[i] + offset, context_);
    }
  }
}

}  // namespace backstream::exec
