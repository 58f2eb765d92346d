#include "receiver/text_buffer.h"

#include <poll.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace backstream::receiver {

TextBuffer::TextBuffer(int descriptor, size_t capacity_octets)
    : descriptor_(descriptor),
      capacity_octets_(capacity_octets),
      memory_(new char[capacity_octets]),
      end_(memory_.get()),
      limit_(memory_.get() + capacity_octets) {}

void TextBuffer::append(std::string_view text) {
  char* at = room(text.size());
  std::memcpy(at, text.data(), text.size());
  advance(at + text.size());
}

void TextBuffer::flush() {
  const char* at = memory_.get();
  while (error_ == 0 && at < end_) {
    const ssize_t written = ::write(descriptor_, at, static_cast<size_t>(end_ - at));
    if (written >= 0) {
      at += written;
    } else if (errno == EAGAIN || errno == EWOULDBLOCK) {
      // Someone who shares the descriptor made it non-blocking.
      pollfd writable{descriptor_, POLLOUT, 0};
      ::poll(&writable, 1, -1);
    } else if (errno != EINTR) {
      error_ = errno;
    }
  }
  end_ = memory_.get();
}

void TextBuffer::make_room(size_t octets) {
  flush();
  if (octets <= capacity_octets_) return;
  capacity_octets_ = octets;
  memory_.reset(new char[octets]);
  end_ = memory_.get();
  limit_ = end_ + octets;
}

}  // namespace backstream::receiver
