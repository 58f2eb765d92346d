#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "generate/export_writer.h"
#include "generate/record.h"
#include "generate/traffic.h"

namespace backstream::generate {

struct BackboneOptions {
  Protocol protocol = Protocol::kNetflow5;
  uint64_t records = 1'000'000;                                 ///< exactly so many, over all exporters
  base::Micros start = 0, span = 900 * base::kMicrosPerSecond;  ///< of export times; span >= 1 ms
  uint32_t exporters = 1;                                       ///< 1 to 250
  uint32_t first_exporter = 1;                                  ///< its address is 127.0.1.N; the last N is at most 250
  TrafficOptions traffic;
  uint32_t sampling_rate = 1;
  uint32_t pack = 0;  ///< records a datagram; 0: as the protocol's routers do
  base::Micros active_timeout = 60 * base::kMicrosPerSecond;
  base::Micros inactive_timeout = 15 * base::kMicrosPerSecond;
  base::Micros jitter = base::kMicrosPerSecond;      ///< between timeout and export, at most
  base::Micros disorder = 0;                         ///< a datagram travels up to this long
  bool interfaces = false;                           ///< as ExportWriter::Options has it
  std::vector<Attack> attacks;                       ///< a tenth of the records while there is one
  base::Micros attacks_from = 0, attacks_until = 0;  ///< into the span; both 0: the middle 60 % of it
  uint64_t seed = 1;
};

/// A partly filled datagram leaves this long after its first record was exported.
inline constexpr base::Micros kPackingDelay = base::kMicrosPerSecond;

struct GeneratedDatagram {
  uint32_t exporter = 0;  ///< index, 0 and on
  base::Inet address;     ///< of the exporter
  base::Micros time = 0;  ///< of arrival; exported `disorder` or less before
  uint32_t record_count = 0;
  std::vector<uint8_t> payload;
};

/// A synthetic backbone: routers with flow caches that export what Traffic draws. Pull datagrams in the order of their
/// arrival; memory does not grow with the number of records.
///
/// The cache model: a flow is exported in pieces of at most the active timeout; a finished flow leaves the inactive
/// timeout after its last packet (TCP half of the times at once: FIN), plus jitter, plus the packing delay. With the
/// defaults no record is more than 17 s behind the newest of its exporter, plus `disorder`. sFlow has no cache: each
/// record is one sampled packet.
class Backbone {
 public:
  /// Errors: std::invalid_argument tells which options do not fit.
  explicit Backbone(const BackboneOptions& options);
  ~Backbone();

  /// @param observer  outlives the backbone; sees a record before the datagram that has it is returned
  void set_observer(RecordObserver* observer) { observer_ = observer; }
  /// False at the end. Reuses the payload's memory.
  bool next(GeneratedDatagram& datagram);

 private:
  struct Exporter;
  struct Pending {
    base::Micros due;
    int64_t left_ms;  // Of the flow, from record.start on.
    Record record;
  };
  void fill_slot();
  void fill_exporter(Exporter& exporter, base::Micros slot_end);
  void draw(Pending& pending);
  bool attack_now(base::Micros now);
  void after(Exporter& exporter, const Pending& piece);
  void flush(Exporter& exporter, base::Micros now);
  base::Micros jitter();

  const BackboneOptions options_;
  Traffic traffic_;
  RecordObserver* observer_ = nullptr;
  std::vector<std::unique_ptr<Exporter>> exporters_;
  std::vector<Pending> slot_records_;
  base::Micros slot_ = 0;  // Begin of the slot that is filled next.
  uint64_t attack_turn_ = 0;
  bool ended_ = false;

  struct Waiting {
    base::Micros time;
    uint64_t order;
    GeneratedDatagram datagram;
  };
  static bool later(const Waiting& a, const Waiting& b) {
    return a.time != b.time ? a.time > b.time : a.order > b.order;
  }
  std::vector<Waiting> waiting_;  // A heap, earliest first.
  uint64_t order_ = 0;
  std::vector<std::vector<uint8_t>> spare_;
};

}  // namespace backstream::generate
