#pragma once
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "generate/record.h"

namespace backstream::generate {

/// The router that the record's packets are sent to next: every protocol here tells it.
base::Inet next_hop(const Record& record);

/// One exporter's side of a protocol: packs records into datagrams as a router does. One thread.
///   NetFlow v5: Cisco's "NetFlow Export Datagram Formats"; v9: RFC 3954; IPFIX: RFC 7011; sFlow: sflow.org, version 5.
class ExportWriter {
 public:
  struct Options {
    Protocol protocol = Protocol::kNetflow5;
    uint32_t index = 0;          ///< observation domain, engine id, sub-agent
    base::Inet address;          ///< the agent's own, IPv4 (sFlow tells it)
    uint32_t sampling_rate = 1;  ///< 1 to sampling_rate_max()
    uint32_t pack = 0;           ///< records a datagram, 1 to pack_max()
    base::Micros boot = 0;       ///< when uptime was 0, whole ms
  };
  explicit ExportWriter(const Options& options);

  static uint32_t pack_max(Protocol protocol);
  static uint32_t pack_default(Protocol protocol);
  static uint32_t sampling_rate_max(Protocol protocol);

  void add(const Record& record) { records_.push_back(record); }
  bool full() const { return records_.size() >= options_.pack; }
  bool empty() const { return records_.empty(); }
  /// Those of the next datagram. What the wire cannot say (a v5 AS above 65,535) is changed by write().
  std::vector<Record>& records() { return records_; }
  /// Writes the records, and templates and sampling when they are due, as a datagram sent at `now`. The caller then
  /// clears records().
  void write(base::Micros now, std::vector<uint8_t>& payload);

 private:
  void write_netflow5(base::Micros now, std::vector<uint8_t>& payload);
  void write_templated(base::Micros now, std::vector<uint8_t>& payload);
  void write_sflow(base::Micros now, std::vector<uint8_t>& payload);
  uint32_t uptime_ms(base::Micros time) const;

  const Options options_;
  std::vector<Record> records_;
  uint32_t sequence_ = 0;                                    // v5 and IPFIX: records; v9 and sFlow: datagrams.
  std::unordered_map<uint32_t, uint32_t> sample_sequences_;  // sFlow: of each data source, an interface.
  uint32_t pool_ = 0;                                        // sFlow: packets that could have been sampled.
  bool templates_sent_ = false;
  base::Micros templates_due_ = 0;
};

}  // namespace backstream::generate
