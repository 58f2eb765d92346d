#pragma once
#include <sys/uio.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/inet.h"

namespace backstream::ingest {

/// Sends datagrams to one destination, many in one system call. Pacing is the caller's. One thread.
class UdpSender {
 public:
  /// @param source    address to send from (loopback: each exporter one of 127.0.0.0/8); null: the system's choice
  /// @param coalesce  datagrams of one length that follow each other go to the kernel as one (UDP_SEGMENT), which
  ///                  costs it one walk for all; where it cannot, and above the path's MTU, they go one by one
  /// Errors: std::system_error.
  UdpSender(const base::Inet& destination, uint16_t port, const base::Inet* source = nullptr, bool coalesce = false);
  ~UdpSender();
  UdpSender(const UdpSender&) = delete;
  UdpSender& operator=(const UdpSender&) = delete;

  /// Queues a datagram; sends when 64 wait. False when the system refused datagrams (nobody listens; too long).
  bool send(std::span<const uint8_t> payload);
  bool flush();
  uint64_t sent() const { return sent_; }        ///< handed to the system
  uint64_t refused() const { return refused_; }  ///< not taken by the system

 private:
  static constexpr size_t kBatch = 64;
  size_t run_from(size_t first) const;
  bool send_one(const iovec& part);

  int socket_;
  bool coalesce_;
  std::vector<std::vector<uint8_t>> waiting_;
  size_t waiting_count_ = 0;
  uint64_t sent_ = 0, refused_ = 0;
};

}  // namespace backstream::ingest
