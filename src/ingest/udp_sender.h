#pragma once
#include <cstdint>
#include <span>
#include <vector>

#include "base/inet.h"

namespace backstream::ingest {

/// Sends datagrams to one destination, many in one system call. Pacing is the caller's. One thread.
class UdpSender {
 public:
  /// @param source  address to send from (loopback: each exporter one of 127.0.0.0/8); null: the system's choice
  /// Errors: std::system_error.
  UdpSender(const base::Inet& destination, uint16_t port, const base::Inet* source = nullptr);
  ~UdpSender();
  UdpSender(const UdpSender&) = delete;
  UdpSender& operator=(const UdpSender&) = delete;

  /// Queues a datagram; sends when 64 wait. False when the system refused datagrams (nobody listens; buffers full).
  bool send(std::span<const uint8_t> payload);
  bool flush();
  uint64_t sent() const { return sent_; }        ///< handed to the system
  uint64_t refused() const { return refused_; }  ///< not taken by the system

 private:
  static constexpr size_t kBatch = 64;
  int socket_;
  std::vector<std::vector<uint8_t>> waiting_;
  size_t waiting_count_ = 0;
  uint64_t sent_ = 0, refused_ = 0;
};

}  // namespace backstream::ingest
