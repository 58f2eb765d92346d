#pragma once
#include <span>
#include <string>
#include <vector>

#include "base/inet.h"
#include "base/time.h"

namespace backstream::ingest {

/// Writes datagrams as a pcap of microseconds: Ethernet, IPv4 or IPv6 (as the addresses are), UDP. One thread.
class CaptureWriter {
 public:
  /// Errors: std::system_error when the file cannot be written, here and later.
  explicit CaptureWriter(const std::string& path);
  ~CaptureWriter();
  CaptureWriter(const CaptureWriter&) = delete;
  CaptureWriter& operator=(const CaptureWriter&) = delete;

  /// Both addresses of one family. At most 65,507 octets of payload (asserted).
  void write(base::Micros time, const base::Inet& source, uint16_t source_port, const base::Inet& destination,
             uint16_t destination_port, std::span<const uint8_t> payload);
  /// Writes what is left. After it nothing may be written; the destructor calls it and swallows its error.
  void close();

 private:
  void flush();
  int file_;
  std::string path_;
  std::vector<uint8_t> buffer_;
  uint16_t packet_id_ = 0;
};

}  // namespace backstream::ingest
