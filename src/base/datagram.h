#pragma once
#include <cstdint>

#include "base/inet.h"
#include "base/time.h"

namespace backstream::base {

/// What the octets of a payload are. Exports tell themselves which protocol; records of Kafka are what their topic has.
enum class PayloadForm : uint8_t {
  kExport,     ///< NetFlow, IPFIX, sFlow, as routers send it
  kFlowBatch,  ///< our public schema of flows (docs/flows.proto)
  kGoflow2,    ///< the FlowMessage of goflow2
};

/// One UDP payload, or record of Kafka, as it reached us: what ingest hands to decode. `payload` belongs to the source
/// and is valid until the source is asked for the next block.
struct Datagram {
  const uint8_t* payload = nullptr;
  uint32_t payload_octets = 0;
  uint16_t source_port = 0;
  uint16_t destination_port = 0;
  uint32_t site = 0;  ///< index of the input's site label; 0: none
  PayloadForm payload_form = PayloadForm::kExport;
  bool site_assumed = false;  ///< `site` is the node's, for want of a better one: what the payload says comes first
  Inet source;                ///< the exporter's address, a host address; of records of Kafka as they tell
  Micros received_at = 0;     ///< live: our clock; replay: capture time
  int64_t arrived_ns = 0;     ///< the kernel's time stamp, ns since the Unix epoch, where a source takes it; else 0
};

}  // namespace backstream::base
