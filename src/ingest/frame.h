#pragma once
#include <cstdint>
#include <string_view>

#include "base/datagram.h"
#include "ingest/source.h"

namespace backstream::ingest {

/// Link types of captures (tcpdump.org/linktypes.html) that can be read.
bool link_type_known(uint32_t link_type);

/// Finds the UDP payload in a captured frame. Fills source, ports and payload of `datagram` and returns true; or says
/// why not. Reads only frame[0 .. octets). A link type that is not known: kNotIp.
bool find_datagram(uint32_t link_type, const uint8_t* frame, uint32_t octets, base::Datagram& datagram,
                   IngestSkip& skip) noexcept;

}  // namespace backstream::ingest
