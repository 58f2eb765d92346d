#pragma once
// Aggregate functions. The state of one aggregate for one group is a fixed number of bytes inside the group's row;
// what does not fit (distinct sets) hangs off it in memory of the table. States are bitwise relocatable.
#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "base/diagnostic.h"
#include "batch/column_batch.h"

namespace backstream::agg {

using batch::Column;
using batch::Type;

/// DESIGN §4 rule 4: what whole = split means for it.
enum class ResultClass : uint8_t { kExact, kBounded };

/// How a call is written: f(x), or f(...) WITHIN GROUP (ORDER BY x [DESC]).
enum class CallForm : uint8_t { kPlain, kWithinGroup, kWithinGroupDescending };

/// Values that percentile_cont and percentile_disc, and distinct ones that entropy keep for one group. With more the
/// group's result is null and counted, never approximate.
inline constexpr uint64_t kValuesPerGroupMax = 100'000;

/// Results that finish() could not give and made null, by reason; each is in one of them.
struct NullResults {
  uint64_t overflow_count = 0;         ///< a sum that does not fit its type (22003)
  uint64_t capped_count = 0;           ///< more values than are kept of a group (kValuesPerGroupMax; 53400)
  uint64_t negative_weight_count = 0;  ///< a weight below zero (22023)
  NullResults& operator+=(const NullResults& other) {
    overflow_count += other.overflow_count;
    capped_count += other.capped_count;
    negative_weight_count += other.negative_weight_count;
    return *this;
  }
  /// `before`: the same counters earlier.
  NullResults since(const NullResults& before) const {
    return {overflow_count - before.overflow_count, capped_count - before.capped_count,
            negative_weight_count - before.negative_weight_count};
  }
};

/// Memory and error counts that states of one table share. One thread.
struct StateContext : NullResults {
  base::Arena arena;                               ///< freed with the table
  std::array<std::vector<void*>, 32> free_blocks;  ///< blocks given back, by log2 of their octets

  /// A block of 2^octets_log2 octets (3 <= octets_log2 < 32), 8-aligned, not cleared; reused before the arena grows.
  void* take_block(unsigned octets_log2) {
    auto& free = free_blocks[octets_log2];
    if (free.empty()) return arena.allocate(size_t{1} << octets_log2);
    void* block = free.back();
    free.pop_back();
    return block;
  }
  void give_block(void* block, unsigned octets_log2) { free_blocks[octets_log2].push_back(block); }
};

/// A row of the signature table; all functions are static and the object lives for ever.
struct AggregateFunction {
  std::string_view name;  ///< "count", "sum", ...
  bool distinct = false;  ///< f(DISTINCT x)
  CallForm form = CallForm::kPlain;
  std::vector<Type> arg_types;  ///< after casts; count(*) has none
  Type result_type;
  /// How a call looks in messages and docs, where name(types) would not say it; empty: name(types).
  std::string_view spelling;
  int constant_arg = -1;           ///< this argument must be a constant, from constant_min to constant_max; -1: none
  std::string_view constant_name;  ///< what people call it: "fraction"
  double constant_min = 0, constant_max = 0;
  ResultClass result_class = ResultClass::kExact;
  std::string_view partial_form;  ///< what an edge ships, for EXPLAIN: "1 integer (128 bit)", "sorted set"
  uint32_t state_octets = 0;      ///< a multiple of 8; states are 8-aligned

  /// Prepares the state of a new group. Null: all zero bytes will do.
  void (*init)(uint8_t* state) = nullptr;
  /// Adds n rows: the i-th has its arguments at args[k][rows[i]] (at i when rows is null), its group's row at
  /// group_rows[i].
  void (*update)(uint8_t* const* group_rows, size_t state_offset, const Column* args, const uint32_t* rows, size_t n,
                 StateContext& context) = nullptr;
  /// to += from; `from` may live in another table (its context: from_context) and is left as it was.
  void (*combine)(uint8_t* to, const uint8_t* from, StateContext& to_context) = nullptr;
  /// Writes the results of n groups to out[out_row ..]; `out` has memory for values and validity and says has_nulls, so
  /// validity is written for every row. Text results point into the table's memory.
  void (*finish)(const uint8_t* const* group_rows, size_t state_offset, size_t n, Column& out, size_t out_row,
                 StateContext& context) = nullptr;
  /// Appends the partial form (docs/design/0002-partials.md): versioned bytes, the same for equal content.
  void (*encode)(const uint8_t* state, std::vector<uint8_t>& out) = nullptr;
  /// Reads what encode wrote into a state that init() prepared. Returns octets read, or 0 when the bytes are not valid
  /// (the caller drops the whole partial and counts it).
  size_t (*decode)(uint8_t* state, const uint8_t* bytes, size_t octets, StateContext& context) = nullptr;
};

/// True if there is an aggregate of that name (any arguments), or PostgreSQL has one that resolve() refuses with a
/// hint.
bool is_aggregate(std::string_view name);
/// Every name once.
std::vector<std::string_view> aggregate_names();
/// Finds the aggregate; `arg_types` as bound (kUnknown for untyped literals). On success the caller casts each argument
/// to function->arg_types[i] and checks constant_arg. With WITHIN GROUP the sorted expressions come last in
/// `arg_types`. 42883, 42809 or 0A000 with hint otherwise. `star`: count(*).
base::Result<const AggregateFunction*> resolve(std::string_view name, const std::vector<Type>& arg_types, bool distinct,
                                               bool star, base::SourceSpan span, CallForm form = CallForm::kPlain);
/// One line per aggregate, for docs.
std::vector<std::string> describe_aggregates();

}  // namespace backstream::agg
