#pragma once
// What a merge worker knows of a partition, as the next one goes on from it: chunks in a log of snapshots, in the
// partition of the same number. The place of the first chunk of the newest whole one is kept elsewhere.
//
//   "BSN" version:1 generation saved_at chunk last:1  part of the content  xxh3:8
//   content: place_count (partition next)...  streams  query_count (object version state)...
//
// Fixed integers little end first, all others LEB128, texts and states with their length before them.
#include <cstdint>
#include <map>
#include <vector>

#include "base/diagnostic.h"
#include "base/time.h"
#include "cluster/result_messages.h"
#include "transport/log.h"

namespace backstream::cluster {

struct MergeSnapshot {
  uint64_t generation = 0;  ///< of who has written it
  Micros saved_at = 0;
  std::map<uint32_t, uint64_t> next;  ///< first record of the partials that is not in it, by partition
  std::vector<uint8_t> streams;       ///< exec::Engine::save_streams()
  struct Query {
    QueryId id;
    std::vector<uint8_t> octets;  ///< exec::Engine::save_state()
  };
  std::vector<Query> queries;
};

std::vector<std::vector<uint8_t>> write_snapshot(const MergeSnapshot& snapshot, size_t chunk_octets_max = 512 * 1024);

/// Reads the one that begins at `place`. Waits as the log does.
/// Errors: 58030 the log does not answer: again later; XX001 there is none, or it is damaged; 0A000 it is of a version
/// that this program does not know.
base::Result<MergeSnapshot> read_snapshot(transport::Log& log, uint32_t partition, uint64_t place);

inline constexpr uint64_t kSnapshotOctetsMax = uint64_t{4} << 30;

}  // namespace backstream::cluster
