#pragma once
#include <cstddef>
#include <memory>
#include <string_view>

namespace backstream::receiver {

/// Text on its way to a file descriptor: gathered in a large buffer, written by write(2). One thread.
/// A formatter asks for room, writes through the pointer, and gives the new end back:
///     char* at = text.room(64);
///     at = format_something(at);
///     text.advance(at);
class TextBuffer {
 public:
  /// The descriptor stays the caller's.
  explicit TextBuffer(int descriptor, size_t capacity_octets = 1 << 20);

  /// The end of the text, with space for at least `octets` more. Writes out what is held when that is needed.
  char* room(size_t octets) {
    if (static_cast<size_t>(limit_ - end_) < octets) make_room(octets);
    return end_;
  }
  void advance(char* end) { end_ = end; }
  void append(std::string_view text);
  /// Writes out everything held. After a failure text is thrown away.
  void flush();

  /// errno of the first write that failed, 0 when none did. EPIPE: the reader has gone.
  int error() const { return error_; }

 private:
  void make_room(size_t octets);

  const int descriptor_;
  size_t capacity_octets_;
  std::unique_ptr<char[]> memory_;
  char* end_;
  char* limit_;
  int error_ = 0;
};

}  // namespace backstream::receiver
