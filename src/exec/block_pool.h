#pragma once
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <vector>

namespace backstream::exec {

/// Memory blocks of power-of-two sizes that closing panes give back and new panes take: in the steady state nothing is
/// asked of the system, whose first touch of a page costs more than all else that we do with it. Not for several
/// threads at once.
class BlockPool {
 public:
  BlockPool() = default;
  BlockPool(const BlockPool&) = delete;
  BlockPool& operator=(const BlockPool&) = delete;
  ~BlockPool() {
    for (auto& blocks : free_) {
      for (void* block : blocks) std::free(block);
    }
  }
  /// A block of at least `octets`, 64-aligned, not cleared.
  void* take(size_t octets) {
    auto& blocks = free_[size_class(octets)];
    if (blocks.empty()) {
      void* block = std::aligned_alloc(64, size_t{1} << size_class(octets));
      if (block == nullptr) throw std::bad_alloc();
      return block;
    }
    void* block = blocks.back();
    blocks.pop_back();
    return block;
  }
  /// `octets` as it was taken.
  void give(void* block, size_t octets) { free_[size_class(octets)].push_back(block); }

 private:
  static unsigned size_class(size_t octets) {
    return static_cast<unsigned>(std::bit_width(octets < 64 ? 63 : octets - 1));
  }
  std::vector<void*> free_[64];
};

}  // namespace backstream::exec
