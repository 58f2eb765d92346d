#include "ingest/capture_writer.h"

#include <fcntl.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <system_error>

#include "base/byte_order.h"

namespace backstream::ingest {
namespace {

constexpr size_t kFlushOctets = 1 << 20;

void put16(std::vector<uint8_t>& out, uint16_t value) {
  out.push_back(static_cast<uint8_t>(value >> 8));
  out.push_back(static_cast<uint8_t>(value));
}
void put32(std::vector<uint8_t>& out, uint32_t value) {
  put16(out, static_cast<uint16_t>(value >> 16));
  put16(out, static_cast<uint16_t>(value));
}
void put64(std::vector<uint8_t>& out, uint64_t value) {
  put32(out, static_cast<uint32_t>(value >> 32));
  put32(out, static_cast<uint32_t>(value));
}
void put32_little(std::vector<uint8_t>& out, uint32_t value) { put32(out, __builtin_bswap32(value)); }

/// The Internet checksum (RFC 1071).
uint16_t checksum(const uint8_t* at, size_t octets, uint32_t sum = 0) {
  for (; octets > 1; at += 2, octets -= 2) sum += base::load_be16(at);
  if (octets == 1) sum += static_cast<uint32_t>(*at) << 8;
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return static_cast<uint16_t>(~sum);
}

}  // namespace

CaptureWriter::CaptureWriter(const std::string& path, TimeUnit unit)
    : file_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)), path_(path), unit_(unit) {
  if (file_ < 0) throw std::system_error(errno, std::generic_category(), path);
  buffer_.reserve(kFlushOctets + 70'000);
  put32_little(buffer_, unit_ == TimeUnit::kMicroseconds ? 0xa1b2c3d4 : 0xa1b23c4d);
  put32_little(buffer_, 2 | 4 << 16);  // version 2.4
  put32_little(buffer_, 0);
  put32_little(buffer_, 0);
  put32_little(buffer_, 262'144);  // snap length
  put32_little(buffer_, 1);        // Ethernet
}

CaptureWriter::~CaptureWriter() {
  try {
    close();
  } catch (const std::system_error&) {
  }
}

void CaptureWriter::write(base::Micros time, const base::Inet& source, uint16_t source_port,
                          const base::Inet& destination, uint16_t destination_port, std::span<const uint8_t> payload) {
  assert(file_ >= 0);
  assert(time >= 0 && time / base::kMicrosPerSecond <= UINT32_MAX);
  assert(payload.size() <= 65'507);
  assert(source.family == destination.family);
  const bool v4 = source.family == 4;
  const auto udp_octets = static_cast<uint32_t>(8 + payload.size());
  const uint32_t frame_octets = 14 + (v4 ? 20 : 40) + udp_octets;
  put32_little(buffer_, static_cast<uint32_t>(time / base::kMicrosPerSecond));
  const auto micros = static_cast<uint32_t>(time % base::kMicrosPerSecond);
  put32_little(buffer_, unit_ == TimeUnit::kMicroseconds ? micros : micros * 1000);
  put32_little(buffer_, frame_octets);
  put32_little(buffer_, frame_octets);
  // Locally administered addresses.
  for (const uint8_t octet : {0x02, 0, 0, 0, 0, 2, 0x02, 0, 0, 0, 0, 1}) buffer_.push_back(octet);
  put16(buffer_, v4 ? 0x0800 : 0x86dd);
  const size_t ip = buffer_.size();
  if (v4) {
    put16(buffer_, 0x4500);
    put16(buffer_, static_cast<uint16_t>(20 + udp_octets));
    put16(buffer_, packet_id_++);
    put16(buffer_, 0x4000);  // don't fragment
    put16(buffer_, 64 << 8 | 17);
    put16(buffer_, 0);
    put32(buffer_, source.v4_address());
    put32(buffer_, destination.v4_address());
    base::store_be16(&buffer_[ip + 10], checksum(&buffer_[ip], 20));
  } else {
    put32(buffer_, 0x60000000);
    put16(buffer_, static_cast<uint16_t>(udp_octets));
    put16(buffer_, 17 << 8 | 64);
    for (const base::Inet* address : {&source, &destination}) {
      put64(buffer_, address->hi);
      put64(buffer_, address->lo);
    }
  }
  const size_t udp = buffer_.size();
  put16(buffer_, source_port);
  put16(buffer_, destination_port);
  put16(buffer_, static_cast<uint16_t>(udp_octets));
  put16(buffer_, 0);  // IPv4: no checksum (RFC 768)
  buffer_.insert(buffer_.end(), payload.begin(), payload.end());
  if (!v4) {
    uint32_t sum = udp_octets + 17;
    for (size_t at = ip + 8; at < ip + 40; at += 2) sum += base::load_be16(&buffer_[at]);
    const uint16_t check = checksum(&buffer_[udp], udp_octets, sum);
    base::store_be16(&buffer_[udp + 6], check == 0 ? 0xffff : check);
  }
  if (buffer_.size() >= kFlushOctets) flush();
}

void CaptureWriter::flush() {
  for (size_t at = 0; at < buffer_.size();) {
    const ssize_t wrote = ::write(file_, buffer_.data() + at, buffer_.size() - at);
    if (wrote < 0) {
      if (errno == EINTR) continue;
      throw std::system_error(errno, std::generic_category(), path_);
    }
    at += static_cast<size_t>(wrote);
  }
  buffer_.clear();
}

void CaptureWriter::close() {
  if (file_ < 0) return;
  const int file = file_;
  try {
    flush();
  } catch (...) {
    file_ = -1;
    ::close(file);
    throw;
  }
  file_ = -1;
  if (::close(file) != 0) throw std::system_error(errno, std::generic_category(), path_);
}

}  // namespace backstream::ingest
