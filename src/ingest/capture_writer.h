#pragma once
#include <span>
#include <string>
#include <vector>

#include "base/inet.h"
#include "base/time.h"

namespace backstream::ingest {

/// Writes datagrams as a pcap: Ethernet, IPv4 or IPv6 (as the addresses are), UDP. One thread.
class CaptureWriter {
 public:
  enum class TimeUnit { kMicroseconds, kNanoseconds };

  /// `unit`: of the file's time stamps. Errors: std::system_error when the file cannot be written, here and later.
  explicit CaptureWriter(const std::string& path, TimeUnit unit = TimeUnit::kMicroseconds);
  ~CaptureWriter();
  CaptureWriter(const CaptureWriter&) = delete;
  CaptureWriter& operator=(const CaptureWriter&) = delete;

  /// `time` from 1970 to 2106, both addresses of one family, at most 65,507 octets of payload (all asserted).
  void write(base::Micros time, const base::Inet& source, uint16_t source_port, const base::Inet& destination,
             uint16_t destination_port, std::span<const uint8_t> payload);
  /// Writes what is left. After it nothing may be written; the destructor calls it and swallows its error.
  void close();

 private:
  void flush();
  int file_;
  const std::string path_;
  const TimeUnit unit_;
  std::vector<uint8_t> buffer_;
  uint16_t packet_id_ = 0;
};

}  // namespace backstream::ingest
