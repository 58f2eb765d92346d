#include "cluster/merge_snapshot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "base/varint.h"
#include "exec/state_bytes.h"
#include "partial/value_bytes.h"

namespace backstream::cluster {

using base::fail;
using transport::LogRecord;
using transport::LogStatus;

namespace {

constexpr uint8_t kMagic[3] = {'B', 'S', 'N'};
constexpr uint8_t kVersion = 1;
constexpr size_t kHeadOctets = 4, kChecksumOctets = 8;
constexpr size_t kReadOctets = 4 << 20;

void put_part(std::vector<uint8_t>& out, std::span<const uint8_t> octets) {
  base::put_varint(out, octets.size());
  out.insert(out.end(), octets.begin(), octets.end());
}

std::vector<uint8_t> content_of(const MergeSnapshot& snapshot) {
  std::vector<uint8_t> out;
  base::put_varint(out, snapshot.next.size());
  for (const auto& [partition, next] : snapshot.next) {
    base::put_varint(out, partition);
    base::put_varint(out, next);
  }
  put_part(out, snapshot.streams);
  base::put_varint(out, snapshot.queries.size());
  for (const MergeSnapshot::Query& query : snapshot.queries) {
    base::put_varint(out, query.id.object);
    base::put_varint(out, query.id.version);
    put_part(out, query.octets);
  }
  return out;
}

bool get_part(partial::Cursor& in, std::vector<uint8_t>& octets) {
  uint64_t n = 0;
  if (!in.u64(n) || n > in.rest().size()) return false;
  const auto part = in.rest().first(n);
  octets.assign(part.begin(), part.end());
  return n == 0 || in.advance(n);
}

bool read_content(std::span<const uint8_t> content, MergeSnapshot& snapshot) {
  partial::Cursor in(content);
  uint64_t count = 0;
  if (!in.u64(count) || count > in.rest().size()) return false;
  for (; count > 0; --count) {
    uint32_t partition = 0;
    uint64_t next = 0;
    if (!in.u32(partition) || !in.u64(next)) return false;
    snapshot.next[partition] = next;
  }
  if (!get_part(in, snapshot.streams) || !in.u64(count) || count > in.rest().size()) return false;
  snapshot.queries.resize(count);
  for (MergeSnapshot::Query& query : snapshot.queries) {
    if (!in.u64(query.id.object) || !in.u32(query.id.version) || !get_part(in, query.octets)) return false;
  }
  return in.rest().empty();
}

struct Chunk {
  uint64_t generation = 0, number = 0;
  Micros saved_at = 0;
  bool last = false;
  std::span<const uint8_t> content;
};
enum class ChunkFault : uint8_t { kNone, kForeign, kNewer, kDamaged };

ChunkFault read_chunk(std::span<const uint8_t> bytes, Chunk& chunk) {
  if (bytes.size() < kHeadOctets + kChecksumOctets || std::memcmp(bytes.data(), kMagic, sizeof kMagic) != 0)
    return ChunkFault::kForeign;
  if (bytes[3] != kVersion) return ChunkFault::kNewer;
  const auto summed = bytes.first(bytes.size() - kChecksumOctets);
  if (XXH3_64bits(summed.data(), summed.size()) != partial::get_u64(summed.data() + summed.size()))
    return ChunkFault::kDamaged;
  partial::Cursor in(summed.subspan(kHeadOctets));
  uint8_t last = 0;
  if (!in.u64(chunk.generation) || !in.i64(chunk.saved_at) || !in.u64(chunk.number) || !in.octet(last) || last > 1)
    return ChunkFault::kDamaged;
  chunk.last = last != 0;
  chunk.content = in.rest();
  return ChunkFault::kNone;
}

}  // namespace

std::vector<std::vector<uint8_t>> write_snapshot(const MergeSnapshot& snapshot, size_t chunk_octets_max) {
  const std::vector<uint8_t> content = content_of(snapshot);
  std::vector<std::vector<uint8_t>> chunks;
  size_t at = 0;
  do {
    const size_t n = std::min(chunk_octets_max, content.size() - at);
    std::vector<uint8_t>& out = chunks.emplace_back();
    out.insert(out.end(), std::begin(kMagic), std::end(kMagic));
    out.push_back(kVersion);
    base::put_varint(out, snapshot.generation);
    base::put_varint_signed(out, snapshot.saved_at);
    base::put_varint(out, chunks.size() - 1);
    out.push_back(at + n == content.size());
    out.insert(out.end(), content.begin() + static_cast<long>(at), content.begin() + static_cast<long>(at + n));
    partial::put_u64(out, XXH3_64bits(out.data(), out.size()));
    at += n;
  } while (at < content.size());
  return chunks;
}

base::Result<MergeSnapshot> read_snapshot(transport::Log& log, uint32_t partition, uint64_t place) {
  const auto damaged = [&](std::string_view why) {
    return fail("XX001",
                fmt::format("the saved state of partition {} at offset {} cannot be used: {}", partition, place, why));
  };
  MergeSnapshot snapshot;
  std::vector<uint8_t> content;
  uint64_t expected = 0;
  for (uint64_t next = place;;) {
    std::vector<LogRecord> records;
    const LogStatus status = log.read(partition, next, kReadOctets, records);
    if (status == LogStatus::kUnavailable) return fail("58030", "the log of snapshots cannot be read now");
    if (records.empty()) return damaged(status == LogStatus::kOk ? "it ends too early" : transport::name(status));
    next = records.back().offset + 1;
    for (const LogRecord& record : records) {
      Chunk chunk;
      switch (read_chunk(record.bytes, chunk)) {
        case ChunkFault::kForeign: continue;
        case ChunkFault::kNewer:
          return fail("0A000", "the saved state is of a newer version of the program", {}, "upgrade this node, too");
        case ChunkFault::kDamaged: return damaged("a part of it is damaged");
        case ChunkFault::kNone: break;
      }
      if (expected == 0) {
        snapshot.generation = chunk.generation;
        snapshot.saved_at = chunk.saved_at;
      } else if (chunk.generation != snapshot.generation || chunk.saved_at != snapshot.saved_at) {
        continue;  // Of a worker that was superseded while it wrote.
      }
      // Chunks may be there twice.
      if (chunk.number < expected) continue;
      if (chunk.number > expected) return damaged("a part of it is missing");
      if (content.size() + chunk.content.size() > kSnapshotOctetsMax) return damaged("it is too large");
      content.insert(content.end(), chunk.content.begin(), chunk.content.end());
      ++expected;
      if (!chunk.last) continue;
      if (!read_content(content, snapshot)) return damaged("it is no state");
      return snapshot;
    }
  }
}

}  // namespace backstream::cluster
