#pragma once
#include <sys/mman.h>

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

#include "exec/ready_blocks.h"

namespace backstream::exec {

/// Memory blocks of power-of-two sizes that closing panes give back and new panes take: in the steady state nothing is
/// asked of the system, whose first touch of a page costs more than all else that we do with it. Not for several
/// threads at once.
///
/// Once a pool holds more than a little, it asks for memory in pieces of 2 MiB, in huge pages where the system has
/// them: group tables are walked at random, and with small pages the processor looks for the page as long as for the
/// group.
class BlockPool {
 public:
  /// @param ready  where large blocks are made ready before they are needed; null: they are made when they are needed
  explicit BlockPool(std::shared_ptr<ReadyBlocks> ready = nullptr) : ready_(std::move(ready)) {}
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool() {
    for (void* piece : pieces_) std::free(piece);
  }
  /// A block of at least `octets`, 64-aligned, not cleared.
  void* take(size_t octets) {
    auto& blocks = free_[size_class(octets)];
    if (blocks.empty()) return make(size_t{1} << size_class(octets));
    void* block = blocks.back();
    blocks.pop_back();
    return block;
  }
  /// As take(), all zero.
  void* take_cleared(size_t octets) {
    const size_t whole = size_t{1} << size_class(octets);
    if (ready_ != nullptr && whole >= ReadyBlocks::kOctetsMin && free_[size_class(octets)].empty()) {
      if (void* block = ready_->take(whole); block != nullptr) {
        asked_ &= ~whole;
        pieces_.push_back(block);
        return block;
      }
    }
    void* block = take(octets);
    std::memset(block, 0, octets);
    return block;
  }
  /// A block of so many octets will be taken soon: it is made ready, if it is large and none is there. At most one of
  /// each size is asked for and not taken: tables that might have grown and did not ask again in every pane.
  void prepare(size_t octets) {
    const size_t whole = size_t{1} << size_class(octets);
    if (ready_ == nullptr || whole < ReadyBlocks::kOctetsMin || !free_[size_class(octets)].empty()) return;
    if ((asked_ & whole) == 0 && ready_->ask(whole)) asked_ |= whole;
  }
  /// Makes a block of each large size as long as all together have at most `octets`, before there is anything to do.
  void fill(size_t octets) {
    for (size_t size = ReadyBlocks::kOctetsMin; size <= octets; octets -= size, size *= 2) {
      pieces_.push_back(ReadyBlocks::make(size));
      give(pieces_.back(), size);
    }
  }
  /// `octets` as it was taken.
  void give(void* block, size_t octets) { free_[size_class(octets)].push_back(block); }

 private:
  static constexpr size_t kHugePage = size_t{2} << 20;
  static constexpr size_t kSmallOctetsMax = size_t{1}
                                            << 20;  ///< in blocks of their own, so that small queries stay small

  static unsigned size_class(size_t octets) {
    return static_cast<unsigned>(std::bit_width(octets < 64 ? 63 : octets - 1));
  }
  uint8_t* allocate(size_t alignment, size_t octets) {
    void* piece = std::aligned_alloc(alignment, octets);
    if (piece == nullptr) throw std::bad_alloc();
    pieces_.push_back(piece);
    return static_cast<uint8_t*>(piece);
  }
  /// `octets` is a power of two.
  void* make(size_t octets) {
    if (octets < kHugePage && small_octets_ + octets <= kSmallOctetsMax) {
      small_octets_ += octets;
      return allocate(64, octets);
    }
    if (octets > left_octets_) {
      const size_t piece = octets < kHugePage ? kHugePage : octets;
      uint8_t* at = allocate(kHugePage, piece);
      (void)::madvise(at, piece, MADV_HUGEPAGE);  // a wish: without huge pages all is as before
      if (octets >= kHugePage) return at;
      left_ = at;  // what was left is smaller than a block of today's size: given up
      left_octets_ = piece;
    }
    void* block = left_;
    left_ += octets;
    left_octets_ -= octets;
    return block;
  }

  const std::shared_ptr<ReadyBlocks> ready_;
  size_t asked_ = 0;  ///< sizes of which one was asked for and has not been taken, a bit each
  std::vector<void*> free_[64];
  std::vector<void*> pieces_;  ///< all memory of the pool
  size_t small_octets_ = 0;
  uint8_t* left_ = nullptr;  ///< of the last piece that is cut into blocks
  size_t left_octets_ = 0;
};

/// A pool for each edge, for all stages that read a stream: what a window of one query gave back serves the next one of
/// another. Stages that are fed by others have pools of their own, as threads of several edges come to them.
class BlockPools {
 public:
  /// @param ready_octets  what each edge has from the begin (BlockPool::fill); more is made ready as tables grow. 0:
  ///                      nothing is made before it is needed
  BlockPools(size_t edge_count, size_t ready_octets) {
    const auto ready = ready_octets == 0 ? nullptr : std::make_shared<ReadyBlocks>();
    for (size_t e = 0; e < edge_count; ++e) {
      pools_.push_back(std::make_unique<BlockPool>(ready));
      pools_.back()->fill(ready_octets);
    }
  }
  BlockPool& of_edge(size_t edge) { return *pools_[edge]; }

 private:
  std::vector<std::unique_ptr<BlockPool>> pools_;
};

}  // namespace backstream::exec
