// Arbitrary bytes as a segment of a file log. The first octet chooses: the bytes as they are; or the next two as the
// number of octets of what follows that are changes to a segment made of the rest.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

#include "transport/segment.h"

namespace backstream::transport {
namespace {

constexpr uint64_t kSeed = 42;  ///< of records in bytes as they are
constexpr uint64_t kFirstOffset = 7;

class Memory : public OctetsAt {
 public:
  explicit Memory(std::span<const uint8_t> octets) : octets_(octets) {}
  bool read_at(uint64_t position, std::span<uint8_t> to, size_t& octets_read) override {
    octets_read = position < octets_.size() ? std::min<size_t>(to.size(), octets_.size() - position) : 0;
    if (octets_read > 0) std::memcpy(to.data(), octets_.data() + position, octets_read);
    return true;
  }

 private:
  const std::span<const uint8_t> octets_;
};

void check(bool holds) {
  if (!holds) __builtin_trap();
}

using Records = std::vector<std::vector<uint8_t>>;

/// Reads all of it. Whatever the bytes are, offsets grow, records lie apart, and what is not read is lost or at the
/// end.
/// @param written  what the records were, or null: not known
void walk(std::span<const uint8_t> octets, uint64_t seed, const Records* written) {
  FileHeader header;
  if (read_header(octets, header) == HeaderVerdict::kGood) {
    const auto again = write_header(header);
    check(std::equal(again.begin(), again.begin() + 32, octets.begin()));
  }
  Memory memory(octets);
  const SegmentContent content = inspect_segment(memory, seed, kFirstOffset, octets.size());
  check(!content.unreadable && content.lost.size() <= kLostRangesMax && content.end.offset >= kFirstOffset);
  check(content.torn_octets == 0 || content.end.position + content.torn_octets == octets.size());
  uint64_t lost_count = 0, lost_to = kFirstOffset;
  for (const LostRange& range : content.lost) {
    check(range.from >= lost_to && range.to > range.from && range.to <= content.end.offset);
    lost_to = range.to;
    lost_count += range.to - range.from;
  }
  // The same, record by record, in blocks that hold none of them whole.
  for (const RecordPlace& from : content.index) {
    SegmentWalk stepping(memory, seed, from, octets.size(), 32);
    uint64_t read_count = 0;
    std::vector<uint8_t> payload;
    while (stepping.place().offset < content.end.offset) {
      const RecordPlace place = stepping.place();
      const SegmentWalk::Found found = stepping.look();
      if (found == SegmentWalk::Found::kBad) {
        check(stepping.resync() == SegmentWalk::Found::kRecord && stepping.place().offset > place.offset);
        continue;
      }
      check(found == SegmentWalk::Found::kRecord);
      if (stepping.payload(payload) == SegmentWalk::Found::kRecord) {
        ++read_count;
        check(place.position + kRecordHeadOctets + payload.size() <= octets.size());
        const auto head = write_record_head(seed, place.offset, payload.size(), payload_checksum(payload));
        check(std::equal(head.begin(), head.end(), octets.begin() + static_cast<ptrdiff_t>(place.position)));
        if (written != nullptr) {
          check(place.offset - kFirstOffset < written->size() && (*written)[place.offset - kFirstOffset] == payload);
        }
      }
      stepping.skip();
      check(stepping.place().position > place.position);
    }
    if (from.offset == kFirstOffset) check(read_count + lost_count == content.end.offset - kFirstOffset);
  }
}

}  // namespace
}  // namespace backstream::transport

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace backstream::transport;
  if (size < 3) return 0;
  const std::span<const uint8_t> input(data + 3, size - 3);
  if (data[0] % 2 == 0) {
    walk(input, kSeed, nullptr);
    return 0;
  }
  const size_t change_octets = std::min<size_t>(data[1] | data[2] << 8, input.size());
  auto changes = input.first(change_octets);
  auto rest = input.subspan(change_octets);
  // Of the input, as a log's is random: a payload that holds a right record would be found as one behind damage.
  const uint64_t seed = payload_checksum(input);
  FileHeader header;
  header.first_offset = kFirstOffset;
  const auto head = write_header(header);
  std::vector<uint8_t> octets(head.begin(), head.end());
  Records written;
  while (!rest.empty()) {
    const size_t length = std::min<size_t>(rest[0], rest.size() - 1);
    written.emplace_back(rest.begin() + 1, rest.begin() + 1 + static_cast<ptrdiff_t>(length));
    rest = rest.subspan(1 + length);
    const auto& payload = written.back();
    const auto record =
        write_record_head(seed, kFirstOffset + written.size() - 1, payload.size(), payload_checksum(payload));
    octets.insert(octets.end(), record.begin(), record.end());
    octets.insert(octets.end(), payload.begin(), payload.end());
  }
  // A change: what, where (two octets), with what.
  for (; changes.size() >= 4 && !octets.empty(); changes = changes.subspan(4)) {
    const auto at = octets.begin() + static_cast<ptrdiff_t>((changes[1] | changes[2] << 8) % octets.size());
    const auto end = at + std::min<ptrdiff_t>(changes[3], octets.end() - at);
    switch (changes[0] % 4) {
      case 0: *at ^= changes[3]; break;
      case 1: octets.erase(at, end); break;
      case 2: octets.resize(static_cast<size_t>(at - octets.begin())); break;
      case 3: {
        const std::vector<uint8_t> copy(at, end);
        octets.insert(end, copy.begin(), copy.end());
        break;
      }
    }
  }
  walk(octets, seed, &written);
  return 0;
}
