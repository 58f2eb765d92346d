#pragma once
#include "ingest/source.h"

namespace backstream::ingest {

/// What listen_udp() returns: also knows the ports that the system chose where 0 was asked for.
class UdpSource : public DatagramSource {
 public:
  virtual const std::vector<uint16_t>& ports() const = 0;  ///< in the order of the listens
};

}  // namespace backstream::ingest
