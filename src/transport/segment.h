#pragma once
// The octets of a segment of a file log, and how they are read when they are not what was written
// (docs/design/0017-file-log.md). Numbers are little-endian.
//   header  magic:4 version:4 log_id:8 partition_count:4 partition:4 first_offset:8 zero:24 xxh3:8 (of all before it)
//   record  length:4 check:4 offset:8 payload_xxh3:8  payload
// `check` is of length, offset and payload_xxh3, seeded with log and partition: octets of another place are no record.
#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace backstream::transport {

inline constexpr size_t kHeaderOctets = 64;
inline constexpr size_t kRecordHeadOctets = 24;
inline constexpr uint32_t kRecordOctetsMax = 64 << 20;  ///< of a payload: a longer length is damage
inline constexpr uint32_t kFileLogVersion = 1;
/// Where the number of lost records cannot be known, offsets go on so much further. A segment never has so many
/// records.
inline constexpr uint64_t kOffsetJump = uint64_t{1} << 32;

struct FileHeader {
  enum class Kind : uint8_t { kSegment, kManifest };
  Kind kind = Kind::kSegment;
  uint32_t version = kFileLogVersion;
  uint64_t log_id = 0;  ///< random, of the folder
  uint32_t partition_count = 0;
  uint32_t partition = 0;     ///< of a manifest: 0
  uint64_t first_offset = 0;  ///< of a manifest: 0
  bool operator==(const FileHeader&) const = default;
};
std::array<uint8_t, kHeaderOctets> write_header(const FileHeader& header);
/// Magic, version and checksum have their place in all versions, so a later one is told from a damaged one.
enum class HeaderVerdict : uint8_t { kGood, kOtherVersion, kDamaged };
HeaderVerdict read_header(std::span<const uint8_t> octets, FileHeader& header);

uint64_t record_seed(uint64_t log_id, uint32_t partition);
uint64_t payload_checksum(std::span<const uint8_t> payload);
std::array<uint8_t, kRecordHeadOctets> write_record_head(uint64_t seed, uint64_t offset, size_t length,
                                                         uint64_t payload_sum);

/// Octets at places: a file, or memory in tests.
class OctetsAt {
 public:
  virtual ~OctetsAt() = default;
  /// Fills `to` as far as there are octets. False: the machine could not read them.
  virtual bool read_at(uint64_t position, std::span<uint8_t> to, size_t& octets_read) = 0;
};

/// A record's offset and where its head begins in the file.
struct RecordPlace {
  uint64_t offset = 0;
  uint64_t position = 0;
  bool operator==(const RecordPlace&) const = default;
};

/// Goes over the records of a segment. Holds one block of it, whatever its size; one thread.
class SegmentWalk {
 public:
  /// @param from  a record's place, or the end of what is there
  /// @param end_position  octets of the segment that count
  SegmentWalk(OctetsAt& octets, uint64_t seed, RecordPlace from, uint64_t end_position, size_t block_octets);

  enum class Found : uint8_t {
    kRecord,      ///< a record of the offset that is expected here, as far as its head tells
    kEnd,         ///< nothing more
    kTorn,        ///< a beginning of one, the rest was not written
    kBad,         ///< something else: resync() looks behind it
    kUnreadable,  ///< the machine failed
  };
  /// What lies at place().
  Found look();
  /// After kRecord: its payload. kBad: it is not what was written. Does not move on.
  Found payload(std::vector<uint8_t>& out);
  /// After kRecord: to the next one.
  void skip();
  /// After kBad: kRecord, and place() is that of the nearest record behind with a greater offset; or kEnd or
  /// kUnreadable, and place() stays.
  Found resync();

  RecordPlace place() const { return place_; }
  size_t payload_octets() const { return length_; }  ///< after kRecord

 private:
  /// So many octets at the position, or null: behind the end, or unreadable.
  const uint8_t* at(uint64_t position, size_t count);

  OctetsAt& octets_;
  const uint64_t seed_, end_position_;
  const size_t block_octets_;
  RecordPlace place_;
  uint32_t length_ = 0;
  uint64_t payload_sum_ = 0;
  bool unreadable_ = false;
  std::vector<uint8_t> block_;
  uint64_t block_position_ = 0;
};

/// Offsets whose records were there and cannot be read, [from, to).
struct LostRange {
  uint64_t from = 0;
  uint64_t to = 0;
  bool operator==(const LostRange&) const = default;
  /// Without jumps.
  uint64_t record_count() const { return (to - from) % kOffsetJump; }
};

/// All that a segment says, every checksum verified.
struct SegmentContent {
  RecordPlace end;              ///< behind the last record
  std::vector<LostRange> lost;  ///< within, ascending and apart
  uint64_t torn_octets = 0;     ///< behind end: a record that was not written whole
  bool end_damaged = false;     ///< behind end lies something in which no record is found
  bool unreadable = false;      ///< the machine failed; nothing else counts
  std::vector<RecordPlace> index;
};
inline constexpr size_t kLostRangesMax = 256;       ///< of a segment; what comes behind them is given up as one
inline constexpr uint64_t kIndexOctets = 64 << 10;  ///< between two places of an index
SegmentContent inspect_segment(OctetsAt& octets, uint64_t seed, uint64_t first_offset, uint64_t end_position);

}  // namespace backstream::transport
