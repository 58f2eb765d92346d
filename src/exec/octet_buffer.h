#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <utility>

namespace backstream::exec {

/// Octets that grow, 16-aligned. Unlike a vector's they are not cleared before they are written, and large buffers grow
/// by moving their pages instead of their content.
class OctetBuffer {
 public:
  OctetBuffer() = default;
  OctetBuffer(OctetBuffer&& other) noexcept
      : data_(std::exchange(other.data_, nullptr)),
        size_(std::exchange(other.size_, 0)),
        capacity_(std::exchange(other.capacity_, 0)) {}
  OctetBuffer& operator=(OctetBuffer&& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(capacity_, other.capacity_);
    return *this;
  }
  ~OctetBuffer() { std::free(data_); }

  uint8_t* data() { return data_; }
  const uint8_t* data() const { return data_; }
  uint8_t operator[](size_t at) const { return data_[at]; }
  size_t size() const { return size_; }
  size_t capacity() const { return capacity_; }

  /// What is new has no particular value.
  void resize(size_t size) {
    if (size > capacity_) reserve(std::max(size, 2 * capacity_));
    size_ = size;
  }
  /// `octets` may be null when n is 0.
  void append(const void* octets, size_t n) {
    if (n == 0) return;
    resize(size_ + n);
    std::memcpy(data_ + size_ - n, octets, n);
  }
  void append_fill(uint8_t octet, size_t n) {
    if (n == 0) return;
    resize(size_ + n);
    std::memset(data_ + size_ - n, octet, n);
  }
  void drop_front(size_t n) {
    if (n == 0) return;
    size_ -= n;
    std::memmove(data_, data_ + n, size_);
  }
  void clear() { size_ = 0; }

 private:
  void reserve(size_t capacity) {
    void* data = std::realloc(data_, capacity);
    if (data == nullptr) throw std::bad_alloc();
    data_ = static_cast<uint8_t*>(data);
    capacity_ = capacity;
  }

  uint8_t* data_ = nullptr;
  size_t size_ = 0, capacity_ = 0;
};

}  // namespace backstream::exec
