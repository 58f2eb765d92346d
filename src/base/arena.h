#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string_view>
#include <vector>

namespace backstream::base {

/// Memory that grows in blocks and is given back all at once. Pointers stay valid until reset() or destruction.
/// Not for several threads.
class Arena {
 public:
  explicit Arena(size_t block_octets = 64 * 1024) : block_octets_(block_octets) {}

  /// `align` a power of two, at most 16. Memory is not cleared.
  void* allocate(size_t octets, size_t align = 8) {
    size_t at = (used_ + align - 1) & ~(align - 1);
    if (current_ == nullptr || at + octets > current_octets_) {
      grow(octets + align);
      at = 0;
    }
    used_ = at + octets;
    return current_ + at;
  }
  std::string_view copy(std::string_view text) {
    if (text.empty()) return {};
    char* to = static_cast<char*>(allocate(text.size(), 1));
    std::memcpy(to, text.data(), text.size());
    return {to, text.size()};
  }
  size_t octets_held() const { return held_; }
  /// Forgets everything; keeps the first block for reuse.
  void reset() {
    if (blocks_.size() > 1) blocks_.resize(1);
    current_ = blocks_.empty() ? nullptr : blocks_.front().data.get();
    current_octets_ = blocks_.empty() ? 0 : blocks_.front().octets;
    held_ = current_octets_;
    used_ = 0;
  }

 private:
  struct Block {
    std::unique_ptr<uint8_t[]> data;
    size_t octets;
  };
  void grow(size_t octets_min) {
    const size_t octets = octets_min > block_octets_ ? octets_min : block_octets_;
    blocks_.push_back({std::unique_ptr<uint8_t[]>(new uint8_t[octets]), octets});
    current_ = blocks_.back().data.get();
    current_octets_ = octets;
    held_ += octets;
    used_ = 0;
  }
  size_t block_octets_;
  std::vector<Block> blocks_;
  uint8_t* current_ = nullptr;
  size_t current_octets_ = 0;
  size_t used_ = 0;
  size_t held_ = 0;
};

}  // namespace backstream::base
