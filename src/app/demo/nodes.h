#pragma once
// The demo's deployment: an edge at each PoP and a node that completes windows and has the results, in one process.
#include <array>
#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <thread>

#include "app/daemon.h"
#include "app/demo/pops.h"
#include "transport/memory_bus.h"

namespace backstream::app::demo {

/// A query whose answers are checked; beside these run those that a new installation begins with.
struct DemoQuery {
  const char *name, *text;
};
inline constexpr DemoQuery kMatrix = {"demo_matrix", R"(SELECT window_start, src_as, dst_as, sum(octets) AS octets
FROM tumble(flows, time, interval '10 s') GROUP BY window_start, src_as, dst_as)"};
inline constexpr DemoQuery kSweep = {"demo_sweep",
                                     R"(CREATE MATERIALIZED VIEW demo_sweep WITH ("alert.severity" = 'page',
  "alert.summary" = '{src_ip} tried {ports} ports of {dst_ip} in 10 s') AS
SELECT window_start, src_ip, dst_ip, count(DISTINCT dst_port) AS ports
FROM tumble(flows, time, interval '10 s') WHERE packets_raw = 1
GROUP BY window_start, src_ip, dst_ip HAVING count(DISTINCT dst_port) > 100)"};
inline constexpr DemoQuery kPopTraffic = {"demo_pops",
                                          R"(SELECT window_start, site, sum(octets) AS octets, count(*) AS flows
FROM tumble(flows, received_at, interval '1 s') GROUP BY window_start, site)"};

class Nodes {
 public:
  /// Opens all of them, as `backstream serve` would, on ports that are free; the API on its usual one where that can be
  /// had. Errors: those of Daemon::open().
  /// @param folder   has a state folder of each
  /// @param webhook  a URL that hears of alerts
  static base::Result<std::unique_ptr<Nodes>> open(const std::string& folder, const std::string& webhook);
  ~Nodes();

  /// Each on a thread of its own.
  void start();
  /// Edges first, which send what they have; then what they sent is taken. Once. Errors: those of Daemon::run().
  base::Result<void> stop();

  /// That has the API and the results.
  Daemon& center() { return *center_.daemon; }
  const Daemon& center() const { return *center_.daemon; }
  std::array<uint16_t, kPops.size()> flow_ports() const;
  /// The link between a PoP's edge and the others. Any thread.
  void set_cut(size_t pop, bool cut) { links_[pop]->set_cut(cut); }

  struct Counts {
    ingest::IngestStats ingest;
    decode::IngestLedger decoded;
    uint64_t late = 0;  ///< rows of kMatrix
  };
  /// Of all edges, as of a moment ago; after stop() of all that they did. Any thread.
  Counts counts() const;

 private:
  struct Node {
    std::unique_ptr<Daemon> daemon;
    std::atomic<bool> stop{false};
    base::Result<void> ended;
    mutable std::mutex mutex;
    Counts counts;  ///< under mutex
    std::thread thread;
    void start();
    void count();
    base::Result<void> end();
  };
  Nodes() = default;
  base::Result<void> open_center(const std::string& folder, const std::string& webhook);
  base::Result<void> open_edge(size_t pop, const std::string& folder);
  std::shared_ptr<transport::MemoryBroker> broker_;
  std::array<std::shared_ptr<transport::MemoryBus>, kPops.size()> links_;
  Node center_;
  std::array<Node, kPops.size()> edges_;
};

}  // namespace backstream::app::demo
