#include "transport/segment.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <cstring>

namespace backstream::transport {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers are copied as they lie in memory");

constexpr uint8_t kSegmentMagic[4] = {'B', 'S', 'L', 'S'};
constexpr uint8_t kManifestMagic[4] = {'B', 'S', 'L', 'M'};
constexpr size_t kHeaderSumAt = kHeaderOctets - 8;

template <typename Number>
Number load(const uint8_t* at) {
  Number value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
template <typename Number>
void store(uint8_t* at, Number value) {
  std::memcpy(at, &value, sizeof value);
}

uint32_t head_check(uint64_t seed, uint32_t length, uint64_t offset, uint64_t payload_sum) {
  uint8_t of[20];
  store(of, length);
  store(of + 4, offset);
  store(of + 12, payload_sum);
  return static_cast<uint32_t>(XXH3_64bits_withSeed(of, sizeof of, seed));
}

struct RecordHead {
  uint32_t length, check;
  uint64_t offset, payload_sum;
};
RecordHead load_head(const uint8_t* at) {
  return {load<uint32_t>(at), load<uint32_t>(at + 4), load<uint64_t>(at + 8), load<uint64_t>(at + 16)};
}
bool is_right(const RecordHead& head, uint64_t seed) {
  return head.length <= kRecordOctetsMax && head.check == head_check(seed, head.length, head.offset, head.payload_sum);
}

}  // namespace

std::array<uint8_t, kHeaderOctets> write_header(const FileHeader& header) {
  std::array<uint8_t, kHeaderOctets> octets{};
  std::memcpy(octets.data(), header.kind == FileHeader::Kind::kSegment ? kSegmentMagic : kManifestMagic, 4);
  store(octets.data() + 4, header.version);
  store(octets.data() + 8, header.log_id);
  store(octets.data() + 16, header.partition_count);
  store(octets.data() + 20, header.partition);
  store(octets.data() + 24, header.first_offset);
  store(octets.data() + kHeaderSumAt, uint64_t{XXH3_64bits(octets.data(), kHeaderSumAt)});
  return octets;
}

HeaderVerdict read_header(std::span<const uint8_t> octets, FileHeader& header) {
  if (octets.size() < kHeaderOctets) return HeaderVerdict::kDamaged;
  const uint8_t* at = octets.data();
  const bool is_segment = std::memcmp(at, kSegmentMagic, 4) == 0;
  if (!is_segment && std::memcmp(at, kManifestMagic, 4) != 0) return HeaderVerdict::kDamaged;
  if (load<uint64_t>(at + kHeaderSumAt) != XXH3_64bits(at, kHeaderSumAt)) return HeaderVerdict::kDamaged;
  header.kind = is_segment ? FileHeader::Kind::kSegment : FileHeader::Kind::kManifest;
  header.version = load<uint32_t>(at + 4);
  header.log_id = load<uint64_t>(at + 8);
  header.partition_count = load<uint32_t>(at + 16);
  header.partition = load<uint32_t>(at + 20);
  header.first_offset = load<uint64_t>(at + 24);
  return header.version == kFileLogVersion ? HeaderVerdict::kGood : HeaderVerdict::kOtherVersion;
}

uint64_t record_seed(uint64_t log_id, uint32_t partition) {
  return log_id + 0x9e3779b97f4a7c15 * (uint64_t{partition} + 1);
}

uint64_t payload_checksum(std::span<const uint8_t> payload) { return XXH3_64bits(payload.data(), payload.size()); }

std::array<uint8_t, kRecordHeadOctets> write_record_head(uint64_t seed, uint64_t offset, size_t length,
                                                         uint64_t payload_sum) {
  assert(length <= kRecordOctetsMax);
  std::array<uint8_t, kRecordHeadOctets> head;
  store(head.data(), static_cast<uint32_t>(length));
  store(head.data() + 4, head_check(seed, static_cast<uint32_t>(length), offset, payload_sum));
  store(head.data() + 8, offset);
  store(head.data() + 16, payload_sum);
  return head;
}

SegmentWalk::SegmentWalk(OctetsAt& octets, uint64_t seed, RecordPlace from, uint64_t end_position, size_t block_octets)
    : octets_(octets), seed_(seed), end_position_(end_position), block_octets_(block_octets), place_(from) {}

const uint8_t* SegmentWalk::at(uint64_t position, size_t count) {
  if (position > end_position_ || count > end_position_ - position) return nullptr;
  if (position < block_position_ || position + count > block_position_ + block_.size()) {
    block_.resize(std::min<uint64_t>(std::max(count, block_octets_), end_position_ - position));
    block_position_ = position;
    size_t octets_read = 0;
    if (!octets_.read_at(position, block_, octets_read)) {
      unreadable_ = true;
      octets_read = 0;
    }
    block_.resize(octets_read);
    if (octets_read < count) return nullptr;
  }
  return block_.data() + (position - block_position_);
}

SegmentWalk::Found SegmentWalk::look() {
  if (place_.position >= end_position_) return Found::kEnd;
  if (end_position_ - place_.position < kRecordHeadOctets) return Found::kTorn;
  const uint8_t* octets = at(place_.position, kRecordHeadOctets);
  if (octets == nullptr) return unreadable_ ? Found::kUnreadable : Found::kBad;
  const RecordHead head = load_head(octets);
  if (!is_right(head, seed_) || head.offset != place_.offset) return Found::kBad;
  if (head.length > end_position_ - place_.position - kRecordHeadOctets) return Found::kTorn;
  length_ = head.length;
  payload_sum_ = head.payload_sum;
  return Found::kRecord;
}

SegmentWalk::Found SegmentWalk::payload(std::vector<uint8_t>& out) {
  out.resize(length_);
  const uint64_t begin = place_.position + kRecordHeadOctets;
  // What the block has of it; the rest comes straight to its place.
  const uint64_t block_end = block_position_ + block_.size();
  const size_t have =
      block_position_ <= begin && begin < block_end ? std::min<uint64_t>(length_, block_end - begin) : 0;
  if (have > 0) std::memcpy(out.data(), block_.data() + (begin - block_position_), have);
  if (have < length_) {
    const size_t rest = length_ - have;
    size_t octets_read = 0;
    if (rest < block_octets_) {
      const uint8_t* octets = at(begin + have, rest);
      if (octets == nullptr) return unreadable_ ? Found::kUnreadable : Found::kBad;
      std::memcpy(out.data() + have, octets, rest);
    } else {
      if (!octets_.read_at(begin + have, std::span(out).subspan(have), octets_read)) return Found::kUnreadable;
      if (octets_read < rest) return Found::kBad;
    }
  }
  return payload_checksum(out) == payload_sum_ ? Found::kRecord : Found::kBad;
}

void SegmentWalk::skip() {
  ++place_.offset;
  place_.position += kRecordHeadOctets + length_;
}

SegmentWalk::Found SegmentWalk::resync() {
  // Not from one behind: where a piece of the file is missing, the record of a later offset lies right here.
  for (uint64_t position = place_.position; const uint8_t* octets = at(position, kRecordHeadOctets);) {
    const uint64_t block_end = block_position_ + block_.size();
    for (; position + kRecordHeadOctets <= block_end; ++position, ++octets) {
      const uint64_t ahead = load<uint64_t>(octets + 8) - place_.offset;
      if (ahead == 0 || ahead >= kOffsetJump || !is_right(load_head(octets), seed_)) continue;
      place_ = {place_.offset + ahead, position};
      return Found::kRecord;
    }
  }
  return unreadable_ ? Found::kUnreadable : Found::kEnd;
}

SegmentContent inspect_segment(OctetsAt& octets, uint64_t seed, uint64_t first_offset, uint64_t end_position) {
  SegmentContent content;
  SegmentWalk walk(octets, seed, {first_offset, kHeaderOctets}, end_position, size_t{256} << 10);
  content.index.push_back(walk.place());
  const auto lose = [&](uint64_t from, uint64_t to) {
    if (!content.lost.empty() && content.lost.back().to == from) {
      content.lost.back().to = to;
      return true;
    }
    if (content.lost.size() == kLostRangesMax) return false;
    content.lost.push_back({from, to});
    return true;
  };
  std::vector<uint8_t> payload;
  while (true) {
    content.end = walk.place();
    if (content.end.position - content.index.back().position >= kIndexOctets) content.index.push_back(content.end);
    SegmentWalk::Found found = walk.look();
    if (found == SegmentWalk::Found::kRecord) {
      found = walk.payload(payload);
      if (found != SegmentWalk::Found::kUnreadable) {
        const uint64_t offset = content.end.offset;
        if (found == SegmentWalk::Found::kBad && !lose(offset, offset + 1)) {
          content.end_damaged = true;
          return content;
        }
        walk.skip();
        continue;
      }
    }
    switch (found) {
      case SegmentWalk::Found::kTorn: content.torn_octets = end_position - content.end.position; return content;
      case SegmentWalk::Found::kUnreadable: content.unreadable = true; return content;
      case SegmentWalk::Found::kBad:
        found = walk.resync();
        content.unreadable = found == SegmentWalk::Found::kUnreadable;
        if (found != SegmentWalk::Found::kRecord || !lose(content.end.offset, walk.place().offset)) {
          content.end_damaged = true;
          return content;
        }
        continue;
      case SegmentWalk::Found::kEnd:
      case SegmentWalk::Found::kRecord: return content;
    }
  }
}

}  // namespace backstream::transport
