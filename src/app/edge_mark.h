#pragma once
// What an edge leaves beside its spool, so that its next process can tell what came to nothing when this one is killed
// (docs/design/0031-lost-rows.md).
#include <cstdint>
#include <map>
#include <span>
#include <vector>

#include "decode/sequence_marks.h"

namespace backstream::app {

struct EdgeMark {
  decode::SequenceMarks sequences;  ///< how far the messages of exporters had been read
  struct Rows {
    uint64_t open = 0;  ///< exec::Engine::rows_open()
    uint64_t lost = 0;  ///< by this process and those before it, as it was told
    bool operator==(const Rows&) const = default;
  };
  std::map<uint64_t, Rows> rows;  ///< by incarnation of what reads them

  bool operator==(const EdgeMark&) const = default;
};

/// Streams come in no order that stays.
std::vector<uint8_t> octets_of(const EdgeMark& mark);
/// False: these are no such octets; `mark` is empty then.
bool read_edge_mark(std::span<const uint8_t> octets, EdgeMark& mark);

}  // namespace backstream::app
