#pragma once
// Where the streams of messages of all exporters stood, so that a later process can tell what was sent while none of
// ours listened.
#include <cstdint>
#include <unordered_map>

#include "base/hash.h"
#include "base/inet.h"
#include "decode/sequence.h"

namespace backstream::decode {

/// Which stream of messages: `kind` is the protocol, `stream` the exporter's own number of it.
struct SequenceName {
  base::Inet owner;
  uint32_t kind = 0;
  uint64_t stream = 0;
  bool operator==(const SequenceName&) const = default;
};
struct SequenceNameHash {
  size_t operator()(const SequenceName& name) const noexcept {
    return base::hash_mix(base::InetHash{}(name.owner), base::hash_mix(name.stream, name.kind));
  }
};
/// Added to the kind of streams that a sender has, not an exporter (decode.exporter_identity).
inline constexpr uint32_t kSequenceByPort = 1 << 16;
/// Units of the stream are flow records (NetFlow v5, v7, IPFIX), not datagrams or samples.
constexpr bool counts_records(uint32_t kind) {
  const uint32_t version = kind & (kSequenceByPort - 1);
  return version == 5 || version == 7 || version == 10;
}

using SequenceMarks = std::unordered_map<SequenceName, SequenceMark, SequenceNameHash>;
inline constexpr size_t kSequenceMarksMax = 65'536;  ///< that are kept

/// Adds the mark of a stream, or moves the one that is there. One that has not begun has none of its own.
inline void add_mark(SequenceMarks& marks, const SequenceName& name, const SequenceStream& stream) {
  if (!stream.has_begun()) return;
  if (const auto known = marks.find(name); known != marks.end()) known->second = stream.mark();
  else if (marks.size() < kSequenceMarksMax) marks.emplace(name, stream.mark());
}
/// A new stream goes on at its mark, if it has one.
inline void resume_stream(SequenceStream& stream, const SequenceMarks& marks, const SequenceName& name) {
  if (const auto known = marks.find(name); known != marks.end()) stream.resume(known->second);
}

}  // namespace backstream::decode
