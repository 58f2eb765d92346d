#include "lookup/prefix_table.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace backstream::lookup {
namespace {

using base::Inet;
using Node = PrefixTable::Node;
using Trie = PrefixTable::Trie;

constexpr size_t kBlockRows =
    256;  // Addresses that go down the trie side by side: enough to hide the memory's latency.
constexpr unsigned kStrideBits = 6;

// A family's addresses as words, left-aligned as in Inet. kDirectBits + k * kStrideBits reaches every length, and the
// end of a page.
struct V4 {
  using Word = uint64_t;
  static constexpr uint8_t kFamily = 4;
  static constexpr unsigned kWordBits = 64, kDirectBits = 18;  // 1 MB; /24 is where the first node ends
  static constexpr unsigned kPageBits = 0;
  static Word word(const Inet& address) { return address.hi; }
};
struct V6 {
  __extension__ using Word = unsigned __int128;
  static constexpr uint8_t kFamily = 6;
  static constexpr unsigned kWordBits = 128, kDirectBits = 20;  // 4 MB, of which 2000::/3 is used
  static constexpr unsigned kPageBits = 12;                     // 16 KB; /32 is what registries give
  static Word word(const Inet& address) { return static_cast<Word>(address.hi) << 64 | address.lo; }
};
static_assert((V6::kWordBits - V6::kDirectBits) % kStrideBits == 0 && V6::kPageBits % kStrideBits == 0);
/// A page is made where this many intervals or more lie: at most 128 octets of page for each.
constexpr size_t kPageIntervalsMin = 128;

template <bool kInstruction>
[[gnu::always_inline]] inline uint32_t bit_count(uint64_t bits) {
  if constexpr (kInstruction) return static_cast<uint32_t>(__builtin_popcountll(bits));
  bits -= bits >> 1 & 0x5555555555555555;
  bits = (bits & 0x3333333333333333) + (bits >> 2 & 0x3333333333333333);
  bits = (bits + (bits >> 4)) & 0x0f0f0f0f0f0f0f0f;
  return static_cast<uint32_t>(bits * 0x0101010101010101 >> 56);
}

/// Addresses that go down the trie side by side: the one at hi[i] and (IPv6) lo[i] is at entries[i].
struct Block {
  uint64_t hi[kBlockRows], lo[kBlockRows];
  uint32_t entries[kBlockRows];
  uint16_t walking[kBlockRows], at_leaf[kBlockRows];
  size_t walking_count, at_leaf_count;
};

/// All that walk go down one level; `piece` gives the node's 6 bits of an address.
template <bool kInstruction, typename Piece>
[[gnu::always_inline]] inline void descend(const Node* nodes, const uint32_t* leaves, Block& block, Piece piece) {
  size_t still_walking = 0, at_leaf_count = block.at_leaf_count;
  for (size_t w = 0; w < block.walking_count; ++w) {
    const uint16_t i = block.walking[w];
    const Node& node = nodes[block.entries[i]];
    const uint64_t bit = uint64_t{1} << (piece(i) & 63);
    const bool child = (node.children & bit) != 0;
    // Children below this slot, or runs of leaves up to and with it; one count for both.
    const uint64_t before = child ? node.children & (bit - 1) : node.leaf_begins & (bit | (bit - 1));
    const uint32_t base = child ? node.child_base : node.leaf_base - 1;
    const uint32_t next = base + bit_count<kInstruction>(before);
    block.entries[i] = next;
    const void* const where = child ? static_cast<const void*>(&nodes[next]) : static_cast<const void*>(&leaves[next]);
    __builtin_prefetch(where);
    block.walking[still_walking] = i;
    still_walking += child;
    block.at_leaf[at_leaf_count] = i;
    at_leaf_count += !child;
  }
  block.walking_count = still_walking;
  block.at_leaf_count = at_leaf_count;
}

/// The same at any depth: `depth` bits lie before the node's own.
template <bool kInstruction>
[[gnu::always_inline]] inline void descend(const Node* nodes, const uint32_t* leaves, Block& block, unsigned depth) {
  const uint64_t *hi = block.hi, *lo = block.lo;
  if (depth + kStrideBits <= 64) {
    descend<kInstruction>(nodes, leaves, block,
                          [=, shift = 64 - kStrideBits - depth](size_t i) { return hi[i] >> shift; });
  } else if (depth >= 64) {
    descend<kInstruction>(nodes, leaves, block,
                          [=, shift = 128 - kStrideBits - depth](size_t i) { return lo[i] >> shift; });
  } else {
    descend<kInstruction>(nodes, leaves, block, [=, more = depth + kStrideBits - 64](size_t i) {
      return hi[i] << more | lo[i] >> (64 - more);
    });
  }
}

/// The leaf of each of n <= kBlockRows addresses. All go down one level before any goes down the next, so that the
/// misses of a level overlap.
template <typename Family, bool kInstruction>
[[gnu::always_inline]] inline void walk(const Trie& trie, Block& block, size_t n) {
  const uint32_t *direct = trie.direct.data(), *pages = trie.pages.data(), *leaves = trie.leaves.data();
  const Node* nodes = trie.nodes.data();
  uint32_t* entries = block.entries;
  block.walking_count = block.at_leaf_count = 0;
  for (size_t i = 0; i < n; ++i) {
    entries[i] = static_cast<uint32_t>(block.hi[i] >> (64 - Family::kDirectBits));
    __builtin_prefetch(&direct[entries[i]]);
  }
  unsigned depth = Family::kDirectBits;
  if constexpr (Family::kPageBits == 0) {
    for (size_t i = 0; i < n; ++i) {
      // No branch: whether an address ends here is as good as random.
      const uint32_t entry = direct[entries[i]], is_node = entry >> 31;
      entries[i] = entry & ~Trie::kIsNode;
      __builtin_prefetch(&nodes[is_node != 0 ? entries[i] : 0]);
      block.walking[block.walking_count] = static_cast<uint16_t>(i);
      block.walking_count += is_node;
    }
  } else {
    constexpr uint32_t kPage = Trie::kIsNode | Trie::kCompare;
    uint16_t paged[kBlockRows];
    size_t paged_count = 0;
    for (size_t i = 0; i < n; ++i) {
      const uint32_t entry = direct[entries[i]];
      const bool is_page = (entry & kPage) == kPage, is_node = (entry & kPage) == Trie::kIsNode;
      const auto in_page = static_cast<uint32_t>(block.hi[i] >> (64 - Family::kDirectBits - Family::kPageBits)) &
                           ((1U << Family::kPageBits) - 1);
      entries[i] = is_page ? (entry & ~kPage) << Family::kPageBits | in_page : entry & ~Trie::kIsNode;
      const void* const where = is_page ? static_cast<const void*>(&pages[entries[i]])
                                        : static_cast<const void*>(&nodes[is_node ? entries[i] : 0]);
      __builtin_prefetch(where);
      paged[paged_count] = static_cast<uint16_t>(i);
      paged_count += is_page;
      block.walking[block.walking_count] = static_cast<uint16_t>(i);
      block.walking_count += is_node;
    }
    // Those without a page catch up by nodes.
    for (; depth < Family::kDirectBits + Family::kPageBits; depth += kStrideBits)
      if (block.walking_count > 0) descend<kInstruction>(nodes, leaves, block, depth);
    for (size_t p = 0; p < paged_count; ++p) {
      const uint16_t i = paged[p];
      const uint32_t entry = pages[entries[i]], is_node = entry >> 31;
      entries[i] = entry & ~Trie::kIsNode;
      __builtin_prefetch(&nodes[is_node != 0 ? entries[i] : 0]);
      block.walking[block.walking_count] = i;
      block.walking_count += is_node;
    }
  }
  for (; block.walking_count > 0; depth += kStrideBits) descend<kInstruction>(nodes, leaves, block, depth);
  for (size_t l = 0; l < block.at_leaf_count; ++l) entries[block.at_leaf[l]] = leaves[entries[block.at_leaf[l]]];
}

template <typename Family>
void walk_plain(const Trie& trie, Block& block, size_t n) {
  walk<Family, false>(trie, block, n);
}
// The x86-64 baseline has no bit count; every processor since 2008 does.
template <typename Family>
[[gnu::target("popcnt")]] void walk_popcnt(const Trie& trie, Block& block, size_t n) {
  walk<Family, true>(trie, block, n);
}

/// From `first` on, up to the next interval's begin, addresses belong to `row`.
template <typename Word>
struct Interval {
  Word first;
  uint32_t row;  ///< or Trie::kNone
};

template <typename Family>
class TrieBuilder {
 public:
  using Word = typename Family::Word;

  TrieBuilder(Trie& trie, const std::vector<Interval<Word>>& intervals, const base::HugePageVector<uint32_t>& parents,
              const Inet* networks, uint64_t octets_max)
      : trie_(trie), intervals_(intervals), parents_(parents), networks_(networks), octets_max_(octets_max) {}

  /// False: the trie would need more than octets_max.
  bool build() {
    trie_.direct.resize(size_t{1} << Family::kDirectBits);
    size_t at = 0;
    for (size_t slot = 0; slot < trie_.direct.size(); ++slot) {
      const Word first = static_cast<Word>(slot) << (Family::kWordBits - Family::kDirectBits);
      const Slot cut = next_slot(at, first, Family::kDirectBits);
      if (cut.leaf) trie_.direct[slot] = cut.entry;
      else if (wants_page(at + 1 - cut.begin)) trie_.direct[slot] = add_page(cut, first);
      else trie_.direct[slot] = Trie::kIsNode | add_node(cut, first, Family::kDirectBits);
    }
    // In order of depth, so that the children of a node lie side by side.
    for (size_t node = 0; node < pending_.size(); ++node) {
      if (!fill(node)) return false;
    }
    return true;
  }

 private:
  /// What an aligned piece of the address space holds: one leaf, or the intervals from begin on.
  struct Slot {
    bool leaf;
    uint32_t entry;
    size_t begin;
  };
  struct Pending {
    size_t begin;
    Word first;
    unsigned depth;  ///< bits before the node's own
  };

  /// The piece of `depth` bits that begins at `first`. `at`: the interval of an address at or before it; moved on.
  Slot next_slot(size_t& at, Word first, unsigned depth) const {
    const Word last = first | (depth == Family::kWordBits ? 0 : static_cast<Word>(~Word{0}) >> depth);
    while (at + 1 < intervals_.size() && intervals_[at + 1].first <= first) ++at;
    size_t end = at + 1;
    while (end < intervals_.size() && intervals_[end].first <= last) ++end;
    const size_t begin = at;
    at = end - 1;
    if (end == begin + 1) return {true, intervals_[begin].row, begin};
    const uint32_t lone = lone_row(begin, end);
    // Worth a comparison where it saves two nodes or more.
    if (lone != Trie::kNone && networks_[lone].prefix_bits > depth + kStrideBits) {
      return {true, lone | Trie::kCompare, begin};
    }
    return {false, 0, begin};
  }

  /// The row whose network is the only one inside the piece: around it is its parent, or nothing.
  uint32_t lone_row(size_t begin, size_t end) const {
    const auto inside = [&](size_t i, size_t around) {
      const uint32_t row = intervals_[i].row, outer = intervals_[around].row;
      if (row == Trie::kNone) return false;
      return (parents_[row] == kNoRow ? Trie::kNone : parents_[row]) == outer;
    };
    if (end - begin == 2) {
      if (inside(begin + 1, begin)) return intervals_[begin + 1].row;
      if (inside(begin, begin + 1)) return intervals_[begin].row;
    } else if (end - begin == 3 && intervals_[begin].row == intervals_[begin + 2].row && inside(begin + 1, begin)) {
      return intervals_[begin + 1].row;
    }
    return Trie::kNone;
  }

  bool wants_page(size_t interval_count) const {
    const uint64_t octets = (trie_.pages.size() + (size_t{1} << Family::kPageBits)) * sizeof(uint32_t);
    return Family::kPageBits != 0 && interval_count >= kPageIntervalsMin && octets <= octets_max_ / 4;
  }
  uint32_t add_page(const Slot& cut, Word first) {
    constexpr unsigned kDepth = Family::kDirectBits + Family::kPageBits;
    const auto number = static_cast<uint32_t>(trie_.pages.size() >> Family::kPageBits);
    size_t at = cut.begin;
    for (size_t s = 0; s < size_t{1} << Family::kPageBits; ++s) {
      const Word begin = first | static_cast<Word>(s) << (Family::kWordBits - kDepth);
      const Slot slot = next_slot(at, begin, kDepth);
      trie_.pages.push_back(slot.leaf ? slot.entry : Trie::kIsNode | add_node(slot, begin, kDepth));
    }
    return Trie::kIsNode | Trie::kCompare | number;
  }

  uint32_t add_node(const Slot& slot, Word first, unsigned depth) {
    pending_.push_back({slot.begin, first, depth});
    return static_cast<uint32_t>(pending_.size() - 1);
  }

  bool fill(size_t number) {
    const Pending piece = pending_[number];
    const unsigned depth = piece.depth + kStrideBits;
    Node node{0, 0, static_cast<uint32_t>(pending_.size()), static_cast<uint32_t>(trie_.leaves.size())};
    size_t at = piece.begin;
    bool any = false;
    for (unsigned s = 0; s < 64; ++s) {
      // V4 words have 64 bits, so that the last strides end within them.
      const Word first = piece.first | static_cast<Word>(s) << (Family::kWordBits - depth);
      const Slot slot = next_slot(at, first, depth);
      if (!slot.leaf) {
        node.children |= uint64_t{1} << s;
        add_node(slot, first, depth);
      } else if (!any || trie_.leaves.back() != slot.entry) {
        node.leaf_begins |= uint64_t{1} << s;
        trie_.leaves.push_back(slot.entry);
        any = true;
      }
    }
    trie_.nodes.push_back(node);
    const size_t words = trie_.pages.size() + trie_.leaves.size();
    // A node's number must not look like a page's.
    return pending_.size() * sizeof(Node) + words * sizeof(uint32_t) <= octets_max_ && pending_.size() < Trie::kCompare;
  }

  Trie& trie_;
  const std::vector<Interval<Word>>& intervals_;
  const base::HugePageVector<uint32_t>& parents_;
  const Inet* const networks_;
  const uint64_t octets_max_;
  std::vector<Pending> pending_;  ///< nodes that have a number; those below trie_.nodes.size() are filled
};

template <typename Word>
struct Route {
  Word first, last;  ///< addresses of the network
  uint32_t row;
  uint8_t prefix_bits;
  bool operator<(const Route& other) const {
    if (first != other.first) return first < other.first;
    return prefix_bits != other.prefix_bits ? prefix_bits < other.prefix_bits : row < other.row;
  }
};

}  // namespace

template <typename Family>
base::Result<void> PrefixTable::build_family(Trie& trie, uint64_t octets_max) {
  using Word = typename Family::Word;
  const batch::Column& column = table_->column(column_);
  const Inet* const networks = column.as<Inet>();
  std::vector<Route<Word>> routes;
  for (uint32_t row = 0; row < table_->row_count(); ++row) {
    const Inet& network = networks[row];
    if (column.is_null(row) || network.family != Family::kFamily) continue;
    const Word host_bits = network.prefix_bits == Family::kWordBits
                               ? Word{0}
                               : static_cast<Word>(static_cast<Word>(~Word{0}) >> network.prefix_bits);
    const Word word = Family::word(network);
    routes.push_back(
        {static_cast<Word>(word & ~host_bits), static_cast<Word>(word | host_bits), row, network.prefix_bits});
  }
  if (routes.empty()) return {};
  if (!std::is_sorted(routes.begin(), routes.end())) std::sort(routes.begin(), routes.end());  // Dumps are sorted.

  // The address space as a line of intervals, each of the longest network there. `open` is the chain of networks around
  // the current place, so its height is at most the longest prefix's bits.
  std::vector<Interval<Word>> intervals;
  intervals.reserve(routes.size() * 2 + 1);
  const auto begin_interval = [&](Word first, uint32_t row) {
    if (!intervals.empty() && intervals.back().first == first) intervals.back().row = row;
    else intervals.push_back({first, row});
  };
  begin_interval(0, Trie::kNone);
  std::vector<Route<Word>> open;
  const auto close_until = [&](bool all, Word first) {
    while (!open.empty() && (all || open.back().last < first)) {
      const Word last = open.back().last;
      open.pop_back();
      if (last != static_cast<Word>(~Word{0})) begin_interval(last + 1, open.empty() ? Trie::kNone : open.back().row);
    }
  };
  for (const Route<Word>& route : routes) {
    close_until(false, route.first);
    if (!open.empty() && open.back().first == route.first && open.back().prefix_bits == route.prefix_bits) {
      ++repeated_count_;
      continue;
    }
    parents_[route.row] = open.empty() ? kNoRow : open.back().row;
    begin_interval(route.first, route.row);
    open.push_back(route);
  }
  close_until(true, 0);

  if (!TrieBuilder<Family>(trie, intervals, parents_, networks, octets_max).build()) {
    return base::fail("54000", fmt::format("the prefix index would need more than {} octets", octets_max), {},
                      "raise the limit, or leave out routes that are not needed");
  }
  trie.nodes.shrink_to_fit();
  trie.leaves.shrink_to_fit();
  return {};
}

base::Result<PrefixTable> PrefixTable::build(std::shared_ptr<const Table> table, uint32_t column, uint64_t octets_max) {
  assert(batch::physical(table->column(column).type) == batch::Physical::kInet);
  assert(table->row_count() <= TableLimits::kRowsAtMost);
  PrefixTable result;
  result.table_ = std::move(table);
  result.column_ = column;
  result.parents_.assign(result.table_->row_count(), kNoRow);
  if (auto built = result.build_family<V4>(result.v4_, octets_max); !built) return tl::unexpected(built.error());
  if (auto built = result.build_family<V6>(result.v6_, octets_max); !built) return tl::unexpected(built.error());
  return result;
}

size_t PrefixTable::octets_held() const {
  size_t octets = parents_.size() * sizeof(uint32_t);
  for (const Trie* trie : {&v4_, &v6_}) {
    octets += (trie->direct.size() + trie->pages.size() + trie->leaves.size()) * sizeof(uint32_t) +
              trie->nodes.size() * sizeof(Node);
  }
  return octets;
}

template <bool kInstruction>
void PrefixTable::find_block(const Inet* addresses, const uint8_t* validity, const uint32_t* rows, size_t n,
                             uint32_t* matches) const {
  const auto row_of = [rows](size_t i) { return rows == nullptr ? i : rows[i]; };
  Block block4, block6;
  uint16_t places4[kBlockRows], places6[kBlockRows];
  size_t count4 = 0, count6 = 0;
  for (size_t i = 0; i < n; ++i) {
    const size_t row = row_of(i);
    const Inet& address = addresses[row];
    const bool present = validity == nullptr || validity[row] != 0;
    block4.hi[count4] = address.hi;
    places4[count4] = static_cast<uint16_t>(i);
    count4 += present && address.family == 4;
    block6.hi[count6] = address.hi;
    block6.lo[count6] = address.lo;
    places6[count6] = static_cast<uint16_t>(i);
    count6 += present && address.family == 6;
    matches[i] = Trie::kNone;
  }
  if (count4 > 0 && !v4_.direct.empty()) {
    if constexpr (kInstruction) walk_popcnt<V4>(v4_, block4, count4);
    else walk_plain<V4>(v4_, block4, count4);
    for (size_t i = 0; i < count4; ++i) matches[places4[i]] = block4.entries[i];
  }
  if (count6 > 0 && !v6_.direct.empty()) {
    if constexpr (kInstruction) walk_popcnt<V6>(v6_, block6, count6);
    else walk_plain<V6>(v6_, block6, count6);
    for (size_t i = 0; i < count6; ++i) matches[places6[i]] = block6.entries[i];
  }

  // What is left to compare: leaves of lone prefixes, and addresses that are networks themselves.
  const Inet* const networks = table_->column(column_).as<Inet>();
  uint16_t to_compare[kBlockRows];
  size_t to_compare_count = 0;
  for (size_t i = 0; i < n; ++i) {
    const uint32_t entry = matches[i], row = entry & Trie::kNone;
    const bool found = row != Trie::kNone;
    const bool compare = ((entry & Trie::kCompare) != 0) | !addresses[row_of(i)].is_host();
    matches[i] = found ? row : kNoRow;
    to_compare[to_compare_count] = static_cast<uint16_t>(i);
    to_compare_count += found & compare;
  }
  for (size_t c = 0; c < to_compare_count; ++c) {
    // A network lies in two cache lines one time in four. Its parent is read only where it does not match.
    const auto* const network = reinterpret_cast<const char*>(&networks[matches[to_compare[c]]]);
    __builtin_prefetch(network);
    __builtin_prefetch(network + sizeof(Inet) - 1);
  }
  for (size_t c = 0; c < to_compare_count; ++c) {
    const size_t i = to_compare[c];
    const Inet& address = addresses[row_of(i)];
    uint32_t row = matches[i];
    while (row != kNoRow && !networks[row].contains_or_equals(address)) row = parents_[row];
    matches[i] = row;
  }
}

template <bool kInstruction>
void PrefixTable::find_all(const batch::Column& addresses, const uint32_t* rows, size_t n, uint32_t* matches) const {
  assert(batch::physical(addresses.type) == batch::Physical::kInet);
  const Inet* const values = addresses.as<Inet>();
  const uint8_t* const validity = addresses.has_nulls ? addresses.validity : nullptr;
  for (size_t at = 0; at < n; at += kBlockRows) {
    const size_t block = std::min(kBlockRows, n - at);
    if (rows == nullptr) {
      find_block<kInstruction>(values + at, validity == nullptr ? nullptr : validity + at, nullptr, block,
                               matches + at);
    } else {
      find_block<kInstruction>(values, validity, rows + at, block, matches + at);
    }
  }
}

void PrefixTable::find(const batch::Column& addresses, const uint32_t* rows, size_t n, uint32_t* matches) const {
  static const bool has_popcnt = __builtin_cpu_supports("popcnt") != 0;
  if (has_popcnt) find_all<true>(addresses, rows, n, matches);
  else find_all<false>(addresses, rows, n, matches);
}

void PrefixTable::find_plain(const batch::Column& addresses, const uint32_t* rows, size_t n, uint32_t* matches) const {
  find_all<false>(addresses, rows, n, matches);
}

}  // namespace backstream::lookup
