#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "base/huge_pages.h"
#include "lookup/table.h"

namespace backstream::lookup {

/// Longest-prefix match over an inet or cidr column of a table, IPv4 and IPv6: which row's network contains an address
/// and is the longest of those that do. A null network matches nothing; of equal networks the first row counts; host
/// bits in an inet column do not matter. Immutable; any thread.
///
/// A multibit trie of popcount-compressed nodes (Asai and Ohara, "Poptrie", SIGCOMM 2015): a direct array over the
/// first 18 bits (IPv4) or 20 bits (IPv6), then nodes of 6 bits. Where many IPv6 networks share their first 20 bits,
/// as the registries' blocks do, a page of the next 12 bits stands for two levels of nodes. A lone prefix that is much
/// longer than the place where it is alone is not spelled out in nodes; its leaf says that the row must be compared, so
/// that scattered IPv6 hosts stay small.
class PrefixTable {
 public:
  /// @param column      an inet or cidr column of `table` (asserted)
  /// @param octets_max  the index is refused when it needs more ("54000"); a million routes of the Internet need ~20 MB
  static base::Result<PrefixTable> build(std::shared_ptr<const Table> table, uint32_t column,
                                         uint64_t octets_max = uint64_t{1} << 30);

  /// The row with the longest network that contains each of n addresses, or kNoRow; null addresses match nothing. An
  /// address with a shorter length than a host's is a network, and only networks that contain all of it match
  /// (`address <<= network`). No allocation; memory is fetched ahead.
  /// @param addresses  an inet or cidr column
  /// @param rows       n row numbers of `addresses`; null: 0 .. n-1
  /// @param matches    out: n row numbers of the table
  void find(const batch::Column& addresses, const uint32_t* rows, size_t n, uint32_t* matches) const;
  /// As find(), never with the processor's own bit count; a test compares the two.
  void find_plain(const batch::Column& addresses, const uint32_t* rows, size_t n, uint32_t* matches) const;

  /// The row with the next shorter network around that of `row`, or kNoRow. `row` must be one that find() gives.
  uint32_t parent(uint32_t row) const { return parents_[row]; }

  uint32_t column() const { return column_; }
  const Table& table() const { return *table_; }
  /// Rows that find() never gives because an earlier row has the same network.
  size_t repeated_count() const { return repeated_count_; }
  /// Octets of the index itself.
  size_t octets_held() const;

  /// One node: 64 slots for the next 6 bits. Slots with a child have a bit in `children`; the others are runs of equal
  /// leaves, each begun by a bit in `leaf_begins`.
  struct alignas(32) Node {  // Never in two cache lines.
    uint64_t children;
    uint64_t leaf_begins;
    uint32_t child_base;  ///< the node of the first child; the others follow
    uint32_t leaf_base;   ///< the first run's leaf; the others follow
  };
  /// The trie of one address family. An entry is a node's number with kIsNode, a page's with kIsNode and kCompare, or a
  /// leaf: a row or kNone, with kCompare when the row's network may not contain the address (then the row's parent
  /// does, or nothing).
  struct Trie {
    static constexpr uint32_t kIsNode = 1U << 31, kCompare = 1U << 30, kNone = kCompare - 1;
    base::HugePageVector<uint32_t> direct;  ///< empty: the table has no network of this family
    base::HugePageVector<uint32_t> pages;   ///< entries that are nodes or leaves
    base::HugePageVector<Node> nodes;
    base::HugePageVector<uint32_t> leaves;
  };

 private:
  PrefixTable() = default;
  template <bool kInstruction>
  void find_all(const batch::Column& addresses, const uint32_t* rows, size_t n, uint32_t* matches) const;
  template <bool kInstruction>
  void find_block(const base::Inet* addresses, const uint8_t* validity, const uint32_t* rows, size_t n,
                  uint32_t* matches) const;
  template <typename Family>
  base::Result<void> build_family(Trie& trie, uint64_t octets_max);

  std::shared_ptr<const Table> table_;
  uint32_t column_ = 0;
  size_t repeated_count_ = 0;
  base::HugePageVector<uint32_t> parents_;  ///< by row
  Trie v4_, v6_;
};

}  // namespace backstream::lookup
