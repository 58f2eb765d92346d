#pragma once
// A log in a folder, held by one process (docs/design/0017-file-log.md; the octets: segment.h).
#include <sys/uio.h>

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "base/diagnostic.h"
#include "transport/log.h"
#include "transport/segment.h"

namespace backstream::transport {

struct FileLogOptions {
  uint32_t partition_count = 1;  ///< 1 to kPartitionsMax; that of the folder when it is there
  /// Of all segment files together. A folder that holds more is opened, and full.
  uint64_t octets_max = uint64_t{1} << 30;
  /// A segment is closed before it gets larger; only one record alone may be. Trimming gives back whole segments. 0: an
  /// eighth of a partition's part of octets_max, at most 64 MiB. At least kSegmentOctetsMin.
  uint64_t segment_octets = 0;
  /// What is appended is on the disk so much later at the latest, if the disk keeps up. 0: only sync() does it.
  std::chrono::milliseconds sync_interval{1000};

  // For tests; empty: what the system has.
  std::function<ssize_t(int file, const iovec* parts, int part_count, off_t position)> write = {};
  std::function<int(int file)> sync = {};
  std::string boot_id = {};  ///< differs since the last start: the machine went down in between
};

/// What went wrong with a log's files since it was opened; what was found when it was opened is in it.
struct FileLogFaults {
  uint64_t torn_records = 0;  ///< cut off at the end of a partition: append() had not returned for them
  uint64_t torn_octets = 0;   ///< of them
  uint64_t lost_records = 0;  ///< damaged or missing, as many as are known
  uint64_t lost_places = 0;   ///< runs of lost records
  /// Ends of partitions where it cannot be known how many records are lost: damaged, or the machine went down and
  /// perhaps took what was not synced. Offsets go on kOffsetJump further.
  uint64_t unknown_ends = 0;
  uint64_t damaged_headers = 0;  ///< of segments; their records are read all the same
  uint64_t write_failures = 0;   ///< records refused, segments not made or removed, because the disk did not
  uint64_t read_failures = 0;    ///< calls of read() that the disk failed; nothing is lost yet
  uint64_t sync_failures = 0;
  std::string last_error;  ///< of the machine, with the file; empty: none
};

/// How durable: when append() returns kOk the record is with the kernel, and a kill of the process at any instant loses
/// nothing of it. What a power cut leaves is everything below synced_offset(); one sync takes all appends before it
/// along. A record is in the log wholly or not at all.
///
/// After a kill the end of each partition is cut back to the last whole record. Damaged records are found by their
/// checksums: read() gives all before them, then kLost, and from resume_offset() on all behind them. No offset that a
/// reader may have seen is used twice, after a power cut neither.
///
/// append() gives kFull at octets_max and when disk, quota or file size limit (SIGXFSZ ignored) allow no more,
/// kUnavailable when the disk fails; faults() has the reason. Any thread; reading waits neither for writing nor for the
/// disk's sync.
class FileLog : public Log {
 public:
  static constexpr uint32_t kPartitionsMax = 1024;
  static constexpr uint64_t kSegmentOctetsMin = 256;

  /// Errors: 55006 another process has it; 0A000 of another version; XX001 its files are damaged or of another log: all
  /// is left as it is; 22023 options that cannot be, or not with this folder; 58030 it cannot be read or written.
  /// @param folder  made where it is missing (not what it lies in)
  static base::Result<std::unique_ptr<FileLog>> open(const std::string& folder, const FileLogOptions& options);
  /// Syncs.
  ~FileLog() override;
  FileLog(const FileLog&) = delete;
  FileLog& operator=(const FileLog&) = delete;

  uint32_t partition_count() const override { return static_cast<uint32_t>(partitions_.size()); }
  Appended append(uint32_t partition, std::span<const uint8_t> bytes) override;
  LogStatus read(uint32_t partition, uint64_t offset, size_t octets_max, std::vector<LogRecord>& out) override;
  uint64_t begin_offset(uint32_t partition) const override;
  uint64_t end_offset(uint32_t partition) const override;
  uint64_t resume_offset(uint32_t partition, uint64_t offset) override;
  /// Removes the segments that lie wholly before `offset`; a partition's last one only when its room is asked for. What
  /// is left of a segment is there again when the log is opened anew: readers keep their offsets themselves.
  void trim(uint32_t partition, uint64_t offset) override;

  /// Waits until all that was appended before the call is on the disk. kUnavailable: some of it perhaps never will be.
  LogStatus sync();
  /// All records before it outlive a power cut. After a failed sync it stays until what was written then is trimmed.
  uint64_t synced_offset(uint32_t partition) const;

  /// The largest record that append() takes when the log is empty.
  size_t record_octets_max() const { return record_octets_max_; }
  /// The octets of all segment files, at most octets_max.
  uint64_t octets_held() const { return octets_held_.load(std::memory_order_relaxed); }
  size_t segment_count() const;
  FileLogFaults faults() const;

 private:
  class File;
  class FileOctets;
  using FilePointer = std::shared_ptr<File>;

  struct Segment {
    uint64_t first = 0;   // Offset of its first record.
    uint64_t octets = 0;  // That count; what is being written is behind.
    uint64_t synced_octets = 0;
    bool sync_failed = false;        // What the kernel dropped then it does not tell again.
    FilePointer file;                // Of a partition's last segment, and until it is synced; else opened to read.
    std::vector<RecordPlace> index;  // Ascending, from the first record on; the whole of it for the last segment.
    std::vector<LostRange> lost;     // Found so far, ascending.
  };
  // Locks are taken in the order of their declaration.
  struct Partition {
    uint32_t number = 0;
    uint64_t seed = 0;
    std::mutex appending;  // Held while a record is written or a segment is begun.
    std::mutex keeping;    // Held while segments are synced or removed.
    mutable std::mutex mutex;
    // Under mutex. The last segment's octets and index, and end, change only under `appending`, too.
    std::deque<Segment> segments;  // Never empty.
    uint64_t end = 0;
    uint64_t trimmed = 0;  // Where what is kept begins; the first segment may begin before.
    uint64_t synced = 0;
    uint64_t cursor_segment = 0;  // Where the last reader stopped.
    RecordPlace cursor;
    FilePointer cursor_file;  // Of the segment read last, when it is not the partition's last.
    uint64_t cursor_file_segment = 0;
    // Under appending.
    bool tail_dirty = false;  // Behind the octets that count lies a part of a record.
  };

  FileLog(std::string folder, const FileLogOptions& options);
  void open_folder();
  void open_manifest();
  void make_segments();
  void open_segments();
  std::vector<std::pair<uint32_t, uint64_t>> segments_there() const;
  void add_segment(Partition& p, uint64_t first);
  void recover(Partition& p, bool machine_went_down);
  void mark_running();
  void begin_syncing();

  std::string name_of(const Partition& p, uint64_t first) const;
  bool reserve(uint64_t octets);
  LogStatus roll(Partition& p, uint64_t first);
  LogStatus write_whole(const File& file, std::span<const uint8_t> head, std::span<const uint8_t> payload,
                        uint64_t position);
  void reclaim();
  bool sync_partition(Partition& p);
  void remove_segments(Partition& p);
  LogStatus failed(std::string_view what, const std::string& file, int error, std::atomic<uint64_t>& counter);
  void note_lost(Segment& segment, LostRange range, uint64_t limit);

  struct View;
  LogStatus find(Partition& p, uint64_t offset, View& view);
  LogStatus walk_to(Partition& p, View& view, SegmentWalk& walk, uint64_t offset);
  LogStatus pass_damage(Partition& p, const View& view, SegmentWalk& walk, SegmentWalk::Found found, uint64_t& lost_to);
  void lose(Partition& p, const View& view, LostRange range);
  void remember(Partition& p, const View& view, const RecordPlace& stopped_at);

  const std::string folder_path_;
  FileLogOptions options_;
  std::shared_ptr<File> folder_, lock_;
  uint64_t log_id_ = 0;
  size_t record_octets_max_ = 0;
  std::vector<std::unique_ptr<Partition>> partitions_;
  std::mutex reclaiming_;  // Before all locks of partitions.
  std::atomic<uint64_t> octets_held_{0};

  std::atomic<uint64_t> torn_records_{0}, torn_octets_{0}, lost_records_{0}, lost_places_{0}, unknown_ends_{0},
      damaged_headers_{0}, write_failures_{0}, read_failures_{0}, sync_failures_{0};
  mutable std::mutex error_mutex_;
  std::string last_error_;

  std::mutex stop_mutex_;
  std::condition_variable stopping_;
  bool stop_ = false;
  std::thread syncing_;
};

}  // namespace backstream::transport
