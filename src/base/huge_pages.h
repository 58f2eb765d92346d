#pragma once
#include <sys/mman.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

namespace backstream::base {

/// For large arrays that are read at random: asks the kernel for 2 MB pages, so that an access does not miss the
/// address translation buffers as well as the caches. Where the kernel has none to give, the array is as any other.
template <typename T>
struct HugePageAllocator {
  using value_type = T;
  static constexpr size_t kPageOctets = size_t{2} << 20;

  HugePageAllocator() = default;
  template <typename U>
  HugePageAllocator(const HugePageAllocator<U>&) noexcept {}

  T* allocate(size_t count) {
    if (count * sizeof(T) < kPageOctets) return std::allocator<T>().allocate(count);
    if (count > PTRDIFF_MAX / sizeof(T) - kPageOctets) throw std::bad_array_new_length();
    const size_t octets = (count * sizeof(T) + kPageOctets - 1) & ~(kPageOctets - 1);
    void* const memory = std::aligned_alloc(kPageOctets, octets);
    if (memory == nullptr) throw std::bad_alloc();
    (void)::madvise(memory, octets, MADV_HUGEPAGE);
    return static_cast<T*>(memory);
  }
  void deallocate(T* memory, size_t count) noexcept {
    if (count * sizeof(T) < kPageOctets) std::allocator<T>().deallocate(memory, count);
    else std::free(memory);
  }
  bool operator==(const HugePageAllocator&) const = default;
};

template <typename T>
using HugePageVector = std::vector<T, HugePageAllocator<T>>;

}  // namespace backstream::base
