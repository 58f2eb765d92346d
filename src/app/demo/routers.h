#pragma once
#include <array>
#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "app/demo/pops.h"
#include "generate/backbone.h"
#include "ingest/udp_sender.h"

namespace backstream::app::demo {

using Matrix = std::map<std::pair<uint32_t, uint32_t>, uint64_t>;  ///< (src_as, dst_as) -> octets, scaled

/// What was sent, told by the generator. Any thread.
class Truth final : public generate::RecordObserver {
 public:
  /// @param window  length of the windows that are to be compared with
  explicit Truth(Micros window = kWindow) : window_(window) {}
  void observe(const generate::Record& record) override;
  /// Begins of the windows in which something was sent, and that were not forgotten; oldest first.
  std::vector<Micros> windows() const;
  bool equals(Micros window_start, const Matrix& matrix) const;
  /// Nobody asks for these windows any more.
  void forget_until(Micros window_start);

 private:
  const Micros window_;
  mutable std::mutex mutex_;
  std::map<Micros, Matrix> windows_;
};

/// The routers: a thread that sends each datagram when it is due, from the address of its exporter to the port of its
/// PoP.
class Routers {
 public:
  static constexpr uint64_t kRecordsPerSecond = 20'000;  ///< of all together
  /// One of kPops[0]: an address tries the ports of another, in this part of the traffic. It ends early enough for a
  /// window without it to close before the traffic ends.
  struct Attack {
    Micros from = 0, until = 0;  ///< after the start
  };
  static Attack attack_of(Micros duration);

  /// @param ports  of the PoPs
  Routers(Micros start, Micros duration, const std::array<uint16_t, kPops.size()>& ports, Truth& truth,
          uint64_t records_per_second = kRecordsPerSecond);
  ~Routers();
  bool done() const { return done_; }
  uint64_t sent() const { return sent_; }  ///< datagrams
  void stop() { stop_ = true; }

 private:
  struct Router {
    std::unique_ptr<generate::Backbone> backbone;
    std::unique_ptr<ingest::UdpSender> sender;
    generate::GeneratedDatagram next;
    bool ended = false;
  };
  void run();
  void flush();

  std::array<Router, kPops.size()> routers_;
  std::atomic<bool> stop_{false}, done_{false};
  std::atomic<uint64_t> sent_{0};
  std::thread thread_;  // Last: it uses all of the above.
};

}  // namespace backstream::app::demo
