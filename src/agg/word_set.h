#pragma once
// A set of words (value_word.h) that starts small: most groups of real traffic hold one or two values, so it begins as
// one inline word, then an array of 4 and 8 that is searched in order, then an open-addressed table. Private to the
// room.
#include <algorithm>

#include "agg/value_word.h"

namespace backstream::agg {

/// All zero bytes: the empty set.
struct WordSet {
  uint32_t count;          ///< words held, the word 0 in a table included
  uint16_t capacity_log2;  ///< 0: `inline_word`; 2, 3: array; above: table
  uint16_t has_zero;       ///< table only: 0 marks a free slot there, so the word 0 is kept aside
  union {
    uint64_t inline_word;
    uint64_t* words;
  };
};
static_assert(sizeof(WordSet) == 16);
inline constexpr unsigned kArrayLog2Max = 3;

template <typename Visit>
void for_each_word(const WordSet& set, Visit&& visit) {
  if (set.count == 0) return;
  if (set.capacity_log2 == 0) {
    visit(set.inline_word);
  } else if (set.capacity_log2 <= kArrayLog2Max) {
    for (uint32_t i = 0; i < set.count; ++i) visit(set.words[i]);
  } else {
    if (set.has_zero) visit(uint64_t{0});
    for (size_t i = 0; i < size_t{1} << set.capacity_log2; ++i) {
      if (set.words[i] != 0) visit(set.words[i]);
    }
  }
}

template <typename Traits>
uint64_t* slot_of(const WordSet& set, uint64_t word) {
  const size_t mask = (size_t{1} << set.capacity_log2) - 1;
  size_t at = Traits::hash(word) & mask;
  while (set.words[at] != 0 && !Traits::same(set.words[at], word)) at = (at + 1) & mask;
  return &set.words[at];
}

template <typename Traits>
void grow(WordSet& set, StateContext& context) {
  WordSet bigger{};
  bigger.capacity_log2 = set.capacity_log2 == 0 ? 2 : static_cast<uint16_t>(set.capacity_log2 + 1);
  // From array to table: the load falls to a quarter at once, so that a table does not grow right again.
  if (bigger.capacity_log2 == kArrayLog2Max + 1) bigger.capacity_log2 = kArrayLog2Max + 2;
  const unsigned octets_log2 = bigger.capacity_log2 + 3;
  bigger.words = static_cast<uint64_t*>(context.take_block(octets_log2));
  bigger.count = set.count;
  if (bigger.capacity_log2 <= kArrayLog2Max) {
    uint32_t at = 0;
    for_each_word(set, [&](uint64_t word) { bigger.words[at++] = word; });
  } else {
    std::fill_n(bigger.words, size_t{1} << bigger.capacity_log2, uint64_t{0});
    for_each_word(set, [&](uint64_t word) {
      if (word == 0) bigger.has_zero = 1;
      else *slot_of<Traits>(bigger, word) = word;
    });
  }
  if (set.capacity_log2 != 0) context.give_block(set.words, set.capacity_log2 + 3u);
  set = bigger;
}

/// `make` turns the word into one that may stay (wide values: copied to the arena), called only when it is new.
template <typename Traits, typename Make>
void insert(WordSet& set, uint64_t word, StateContext& context, Make&& make) {
  if (set.capacity_log2 == 0) {
    if (set.count == 0) {
      set.inline_word = make(word);
      set.count = 1;
      return;
    }
    if (Traits::same(set.inline_word, word)) return;
    grow<Traits>(set, context);
  }
  if (set.capacity_log2 <= kArrayLog2Max) {
    for (uint32_t i = 0; i < set.count; ++i) {
      if (Traits::same(set.words[i], word)) return;
    }
    if (set.count < 1u << set.capacity_log2) {
      set.words[set.count++] = make(word);
      return;
    }
    grow<Traits>(set, context);
    insert<Traits>(set, word, context, make);
    return;
  }
  if (word == 0) {
    set.count += set.has_zero == 0;
    set.has_zero = 1;
    return;
  }
  uint64_t* slot = slot_of<Traits>(set, word);
  if (*slot != 0) return;
  if (set.count + 1 > (size_t{3} << set.capacity_log2) / 4) {
    grow<Traits>(set, context);
    slot = slot_of<Traits>(set, word);
  }
  *slot = make(word);
  ++set.count;
}

}  // namespace backstream::agg
