#include "transport/file_log.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <random>

namespace backstream::transport {
namespace {

using base::Diagnostic;
using base::fail;

constexpr uint64_t kSegmentOctetsDefaultMax = uint64_t{64} << 20;
constexpr uint64_t kPartitionOctetsMin = 512;
constexpr uint64_t kSegmentsOpenMax = 8;  ///< of a partition, waiting for a sync: the next one does it itself
constexpr uint64_t kOffsetMax = uint64_t{1} << 62;
constexpr const char* kManifest = "manifest";
constexpr const char* kNewManifest = "manifest.new";
constexpr const char* kLock = "lock";
constexpr std::string_view kSuffix = ".segment";
constexpr std::string_view kClosed = "closed";
constexpr size_t kMarkOctets = 64;  ///< always as many, so that marking a log takes no room on a full disk

/// Thrown within this file only: why a log cannot be opened.
struct OpenError {
  Diagnostic diagnostic;
};
[[noreturn]] void refuse(std::string_view code, std::string message, std::string hint = {}) {
  throw OpenError{fail(code, std::move(message), {}, std::move(hint)).value()};
}
[[noreturn]] void refuse_machine(std::string_view what, const std::string& file, int error) {
  refuse("58030", fmt::format("cannot {} '{}': {}", what, file, std::strerror(error)));
}

/// The partition and first offset that a segment's file name says.
std::optional<std::pair<uint32_t, uint64_t>> parse_name(std::string_view name) {
  if (name.size() != 4 + 1 + 20 + kSuffix.size() || name[4] != '-' || !name.ends_with(kSuffix)) return std::nullopt;
  uint32_t partition = 0;
  uint64_t first = 0;
  const char* digits = name.data();
  if (std::from_chars(digits, digits + 4, partition).ptr != digits + 4) return std::nullopt;
  if (std::from_chars(digits + 5, digits + 25, first).ptr != digits + 25 || first > kOffsetMax) return std::nullopt;
  return std::pair(partition, first);
}

std::string boot_id_of_machine() {
  std::string id = "unknown";
  std::ifstream("/proc/sys/kernel/random/boot_id") >> id;
  return id;
}

/// What the lock file says while a log is open, so that one that was not closed is known.
std::string running_mark(const std::string& boot_id) {
  std::string mark = "running " + boot_id;
  mark.resize(kMarkOctets, ' ');
  return mark;
}

uint64_t random_id() {
  std::random_device random;
  return uint64_t{random()} << 32 | random();
}

bool is_lack_of_room(int error) { return error == ENOSPC || error == EDQUOT || error == EFBIG; }

}  // namespace

class FileLog::File {
 public:
  explicit File(int number) : number_(number) {}
  ~File() {
    if (number_ >= 0) ::close(number_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  int number() const { return number_; }
  bool is_open() const { return number_ >= 0; }
  static std::shared_ptr<File> open_in(const File& folder, const std::string& name, int flags) {
    return std::make_shared<File>(::openat(folder.number(), name.c_str(), flags | O_CLOEXEC, 0640));
  }
  /// Of a file that is open; -1: the machine failed.
  int64_t octets() const {
    struct stat status {};
    return ::fstat(number_, &status) == 0 ? status.st_size : -1;
  }

 private:
  const int number_;
};

class FileLog::FileOctets : public OctetsAt {
 public:
  explicit FileOctets(const File& file) : file_(file) {}
  bool read_at(uint64_t position, std::span<uint8_t> to, size_t& octets_read) override {
    octets_read = 0;
    while (octets_read < to.size()) {
      const ssize_t got = ::pread(file_.number(), to.data() + octets_read, to.size() - octets_read,
                                  static_cast<off_t>(position + octets_read));
      if (got < 0 && errno == EINTR) continue;
      if (got < 0) return false;
      if (got == 0) break;
      octets_read += static_cast<size_t>(got);
    }
    return true;
  }

 private:
  const File& file_;
};

FileLog::FileLog(std::string folder, const FileLogOptions& options)
    : folder_path_(std::move(folder)), options_(options) {
  if (!options_.write) {
    options_.write = [](int file, const iovec* parts, int count, off_t at) {
      return ::pwritev(file, parts, count, at);
    };
  }
  if (!options_.sync) options_.sync = [](int file) { return ::fsync(file); };
  if (options_.boot_id.empty()) options_.boot_id = boot_id_of_machine();
}

base::Result<std::unique_ptr<FileLog>> FileLog::open(const std::string& folder, const FileLogOptions& options) {
  try {
    std::unique_ptr<FileLog> log(new FileLog(folder, options));
    log->open_folder();
    return log;
  } catch (OpenError& error) {
    return tl::unexpected(std::move(error.diagnostic));
  }
}

FileLog::~FileLog() {
  if (syncing_.joinable()) {
    {
      const std::lock_guard lock(stop_mutex_);
      stop_ = true;
    }
    stopping_.notify_all();
    syncing_.join();
  }
  // A log that did not open is left as it was.
  if (record_octets_max_ == 0 || sync() != LogStatus::kOk) return;
  std::string mark(kClosed);
  mark.resize(kMarkOctets, ' ');
  // Should this not get to the disk, offsets jump after a power cut, and nothing else.
  if (::pwrite(lock_->number(), mark.data(), mark.size(), 0) < 0) return;
}

void FileLog::open_folder() {
  const uint32_t partitions = options_.partition_count;
  if (partitions < 1 || partitions > kPartitionsMax) {
    refuse("22023", fmt::format("a log has 1 to {} partitions, not {}", kPartitionsMax, partitions));
  }
  if (options_.octets_max < partitions * kPartitionOctetsMin) {
    refuse("22023", fmt::format("{} octets are too few for a log of {} partitions: at least {} each",
                                options_.octets_max, partitions, kPartitionOctetsMin));
  }
  if (options_.segment_octets == 0) {
    options_.segment_octets =
        std::clamp(options_.octets_max / partitions / 8, kSegmentOctetsMin, kSegmentOctetsDefaultMax);
  }
  if (options_.segment_octets < kSegmentOctetsMin || options_.segment_octets > (uint64_t{1} << 30)) {
    refuse("22023", fmt::format("a segment of a log has {} octets to 1 GiB, not {}", kSegmentOctetsMin,
                                options_.segment_octets));
  }
  if (::mkdir(folder_path_.c_str(), 0750) != 0 && errno != EEXIST) refuse_machine("make folder", folder_path_, errno);
  folder_ = std::make_shared<File>(::open(folder_path_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder_->is_open()) refuse_machine("open folder", folder_path_, errno);
  lock_ = File::open_in(*folder_, kLock, O_RDWR | O_CREAT);
  if (!lock_->is_open()) refuse_machine("open", folder_path_ + "/" + kLock, errno);
  if (::flock(lock_->number(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) refuse_machine("lock", folder_path_ + "/" + kLock, errno);
    refuse("55006", fmt::format("the log in '{}' is in use by another process", folder_path_),
           "end that one, or give this one a folder of its own");
  }
  open_manifest();
  open_segments();
  mark_running();
  // One header is kept free, so that room can be made in a full log.
  record_octets_max_ =
      std::min<uint64_t>(kRecordOctetsMax, options_.octets_max - (partitions + 2) * kHeaderOctets - kRecordHeadOctets);
  begin_syncing();
}

void FileLog::open_manifest() {
  const std::string path = folder_path_ + "/" + kManifest;
  const auto file = File::open_in(*folder_, kManifest, O_RDONLY);
  if (!file->is_open()) {
    if (errno != ENOENT) refuse_machine("open", path, errno);
    log_id_ = random_id();
    return make_segments();
  }
  std::array<uint8_t, kHeaderOctets> octets{};
  size_t octets_read = 0;
  if (!FileOctets(*file).read_at(0, octets, octets_read)) refuse_machine("read", path, errno);
  FileHeader header;
  const HeaderVerdict verdict = read_header(std::span(octets).first(octets_read), header);
  if (verdict == HeaderVerdict::kDamaged || header.kind != FileHeader::Kind::kManifest) {
    refuse("XX001", fmt::format("'{}' is damaged, or no log of this program", path),
           "bring it back from a backup, or move the folder away to begin an empty log");
  }
  if (verdict == HeaderVerdict::kOtherVersion) {
    refuse("0A000",
           fmt::format("the log in '{}' is of version {}, this program reads {}", folder_path_, header.version,
                       kFileLogVersion),
           "read it with the program that wrote it, or move the folder away to begin an empty log");
  }
  if (header.partition_count != options_.partition_count) {
    refuse("22023",
           fmt::format("the log in '{}' has {} partitions, not {}", folder_path_, header.partition_count,
                       options_.partition_count),
           fmt::format("set {}, or give this one a folder of its own", header.partition_count));
  }
  log_id_ = header.log_id;
}

// The manifest comes last: a folder with one has all its segments.
void FileLog::make_segments() {
  for (const auto& [partition, first] : segments_there()) {
    Partition of;
    of.number = partition;
    const auto file = File::open_in(*folder_, name_of(of, first), O_RDONLY);
    if (first > 0 || !file->is_open() || file->octets() > static_cast<int64_t>(kHeaderOctets)) {
      refuse("XX001", fmt::format("there are segments in '{}' and no manifest", folder_path_),
             "bring it back from a backup, or move the folder away to begin an empty log");
    }
  }
  FileHeader header;
  header.log_id = log_id_;
  header.partition_count = options_.partition_count;
  const auto make = [&](const std::string& name) {
    const auto file = File::open_in(*folder_, name, O_RDWR | O_CREAT | O_TRUNC);
    if (!file->is_open() || write_whole(*file, write_header(header), {}, 0) != LogStatus::kOk ||
        options_.sync(file->number()) != 0) {
      refuse_machine("write", folder_path_ + "/" + name, errno);
    }
  };
  for (uint32_t i = 0; i < options_.partition_count; ++i) {
    header.partition = i;
    Partition partition;
    partition.number = i;
    make(name_of(partition, 0));
  }
  header.kind = FileHeader::Kind::kManifest;
  header.partition = 0;
  make(kNewManifest);
  if (::renameat(folder_->number(), kNewManifest, folder_->number(), kManifest) != 0 ||
      options_.sync(folder_->number()) != 0) {
    refuse_machine("write", folder_path_ + "/" + kManifest, errno);
  }
}

/// What the names in the folder say, sorted.
std::vector<std::pair<uint32_t, uint64_t>> FileLog::segments_there() const {
  std::vector<std::pair<uint32_t, uint64_t>> names;
  std::error_code error;
  for (std::filesystem::directory_iterator entry(folder_path_, error), end; !error && entry != end;
       entry.increment(error)) {
    if (const auto name = parse_name(entry->path().filename().string())) names.push_back(*name);
  }
  if (error) refuse_machine("read folder", folder_path_, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

void FileLog::open_segments() {
  for (uint32_t i = 0; i < options_.partition_count; ++i) {
    partitions_.push_back(std::make_unique<Partition>());
    partitions_.back()->number = i;
    partitions_.back()->seed = record_seed(log_id_, i);
  }
  for (const auto& [partition, first] : segments_there()) {
    if (partition >= partitions_.size()) {
      refuse("XX001", fmt::format("the log in '{}' has no partition {}, but a segment of it", folder_path_, partition),
             "move that file to where it belongs");
    }
    add_segment(*partitions_[partition], first);
  }
  for (const auto& p : partitions_) {
    if (!p->segments.empty()) continue;
    refuse("XX001", fmt::format("partition {} of the log in '{}' has no segment", p->number, folder_path_),
           "bring its files back from a backup, or move the folder away to begin an empty log");
  }
  std::string mark(kMarkOctets, '\0');
  const ssize_t octets = ::pread(lock_->number(), mark.data(), mark.size(), 0);
  mark.resize(octets > 0 ? static_cast<size_t>(octets) : 0);
  const bool machine_went_down = !mark.empty() && !mark.starts_with(kClosed) && mark != running_mark(options_.boot_id);
  // Nothing has been changed until here.
  for (const auto& p : partitions_) recover(*p, machine_went_down);
}

void FileLog::add_segment(Partition& p, uint64_t first) {
  const std::string path = folder_path_ + "/" + name_of(p, first);
  const auto file = File::open_in(*folder_, name_of(p, first), O_RDWR);
  if (!file->is_open()) refuse_machine("open", path, errno);
  const int64_t octets = file->octets();
  std::array<uint8_t, kHeaderOctets> head{};
  size_t octets_read = 0;
  if (octets < 0 || !FileOctets(*file).read_at(0, head, octets_read)) refuse_machine("read", path, errno);
  FileHeader header;
  switch (read_header(std::span(head).first(octets_read), header)) {
    case HeaderVerdict::kDamaged: damaged_headers_.fetch_add(1); break;  // Its name says the same.
    case HeaderVerdict::kOtherVersion:
      refuse("0A000",
             fmt::format("'{}' is of version {}, this program reads {}", path, header.version, kFileLogVersion),
             "read the log with the program that wrote it, or move the folder away to begin an empty log");
    case HeaderVerdict::kGood:
      if (header.kind != FileHeader::Kind::kSegment || header.log_id != log_id_ || header.partition != p.number ||
          header.first_offset != first) {
        refuse("XX001", fmt::format("'{}' is of another log or partition", path), "move it to where it belongs");
      }
  }
  Segment segment;
  segment.first = first;
  segment.octets = static_cast<uint64_t>(octets);
  segment.index.push_back({first, kHeaderOctets});
  segment.file = file;
  if (!p.segments.empty()) p.segments.back().file.reset();
  p.segments.push_back(std::move(segment));
  octets_held_.fetch_add(static_cast<uint64_t>(octets));
}

void FileLog::recover(Partition& p, bool machine_went_down) {
  if (p.segments.size() > 1 && p.segments.back().octets < kHeaderOctets) {
    // It was about to be begun; no record was in it.
    const std::string name = name_of(p, p.segments.back().first);
    if (::unlinkat(folder_->number(), name.c_str(), 0) != 0) {
      refuse_machine("remove", folder_path_ + "/" + name, errno);
    }
    damaged_headers_.fetch_sub(1);
    octets_held_.fetch_sub(p.segments.back().octets);
    p.segments.pop_back();
    p.segments.back().file = File::open_in(*folder_, name_of(p, p.segments.back().first), O_RDWR);
  }
  p.trimmed = p.synced = p.segments.front().first;

  Segment& last = p.segments.back();
  const std::string path = folder_path_ + "/" + name_of(p, last.first);
  if (!last.file->is_open()) refuse_machine("open", path, errno);
  FileOctets source(*last.file);
  SegmentContent content = inspect_segment(source, p.seed, last.first, last.octets);
  if (content.unreadable) refuse_machine("read", path, EIO);
  if (last.octets < kHeaderOctets) content.end_damaged = true;
  last.index = std::move(content.index);
  for (const LostRange& range : content.lost) lost_records_.fetch_add(range.record_count());
  lost_places_.fetch_add(content.lost.size());
  last.lost = std::move(content.lost);
  p.end = content.end.offset;
  if (content.torn_octets > 0) {
    if (::ftruncate(last.file->number(), static_cast<off_t>(content.end.position)) != 0) {
      refuse_machine("shorten", path, errno);
    }
    torn_records_.fetch_add(1);
    torn_octets_.fetch_add(content.torn_octets);
    octets_held_.fetch_sub(content.torn_octets);
    last.octets = content.end.position;
  }
  if (!content.end_damaged && !machine_went_down) return;
  // Readers may have seen offsets behind this end. They go on at others, and are told.
  unknown_ends_.fetch_add(1);
  p.end += kOffsetJump;
  octets_held_.fetch_add(kHeaderOctets);
  if (p.end > kOffsetMax || roll(p, p.end) != LogStatus::kOk || options_.sync(p.segments.back().file->number()) != 0 ||
      options_.sync(folder_->number()) != 0) {
    refuse("58030", fmt::format("cannot begin a segment in '{}': {}", folder_path_, faults().last_error),
           "make room on the disk");
  }
}

void FileLog::mark_running() {
  const std::string mark = running_mark(options_.boot_id);
  const ssize_t written = ::pwrite(lock_->number(), mark.data(), mark.size(), 0);
  if (written != static_cast<ssize_t>(mark.size()) || options_.sync(lock_->number()) != 0 ||
      options_.sync(folder_->number()) != 0) {
    refuse_machine("write", folder_path_ + "/" + kLock, written >= 0 && errno == 0 ? ENOSPC : errno);
  }
}

void FileLog::begin_syncing() {
  if (options_.sync_interval.count() == 0) return;
  syncing_ = std::thread([this] {
    std::unique_lock lock(stop_mutex_);
    while (!stopping_.wait_for(lock, options_.sync_interval, [this] { return stop_; })) {
      lock.unlock();
      sync();
      lock.lock();
    }
  });
}

std::string FileLog::name_of(const Partition& p, uint64_t first) const {
  return fmt::format("{:04}-{:020}{}", p.number, first, kSuffix);
}

LogStatus FileLog::failed(std::string_view what, const std::string& file, int error, std::atomic<uint64_t>& counter) {
  counter.fetch_add(1, std::memory_order_relaxed);
  const std::lock_guard lock(error_mutex_);
  last_error_ = fmt::format("cannot {} '{}/{}': {}", what, folder_path_, file, std::strerror(error));
  return is_lack_of_room(error) ? LogStatus::kFull : LogStatus::kUnavailable;
}

LogStatus FileLog::write_whole(const File& file, std::span<const uint8_t> head, std::span<const uint8_t> payload,
                               uint64_t position) {
  while (head.size() + payload.size() > 0) {
    const iovec parts[2] = {{const_cast<uint8_t*>(head.data()), head.size()},
                            {const_cast<uint8_t*>(payload.data()), payload.size()}};
    const ssize_t written = options_.write(file.number(), parts, 2, static_cast<off_t>(position));
    if (written < 0 && errno == EINTR) continue;
    if (written == 0) errno = ENOSPC;
    if (written <= 0) return is_lack_of_room(errno) ? LogStatus::kFull : LogStatus::kUnavailable;
    position += static_cast<uint64_t>(written);
    const size_t of_head = std::min(head.size(), static_cast<size_t>(written));
    head = head.subspan(of_head);
    payload = payload.subspan(static_cast<size_t>(written) - of_head);
  }
  return LogStatus::kOk;
}

bool FileLog::reserve(uint64_t octets) {
  const uint64_t octets_max = options_.octets_max - kHeaderOctets;  // The rest is for reclaim().
  uint64_t held = octets_held_.load(std::memory_order_relaxed);
  do {
    if (held > octets_max || octets > octets_max - held) return false;
  } while (!octets_held_.compare_exchange_weak(held, held + octets, std::memory_order_relaxed));
  return true;
}

Log::Appended FileLog::append(uint32_t partition, std::span<const uint8_t> bytes) {
  assert(partition < partitions_.size());
  if (bytes.size() > record_octets_max_) return {LogStatus::kTooLarge, 0};
  const uint64_t octets = kRecordHeadOctets + bytes.size();
  // With a header, as it may begin a segment.
  if (!reserve(octets + kHeaderOctets)) {
    reclaim();
    if (!reserve(octets + kHeaderOctets)) return {LogStatus::kFull, 0};
  }
  const uint64_t payload_sum = payload_checksum(bytes);
  Partition& p = *partitions_[partition];
  const std::lock_guard appending(p.appending);
  bool sync_failed = false;
  const auto last = [&] {
    const std::lock_guard lock(p.mutex);
    sync_failed = p.segments.back().sync_failed;
    return &p.segments.back();
  };
  Segment* active = last();
  if (p.tail_dirty) {
    if (::ftruncate(active->file->number(), static_cast<off_t>(active->octets)) != 0) {
      octets_held_.fetch_sub(octets + kHeaderOctets);
      return {failed("shorten", name_of(p, active->first), errno, write_failures_), 0};
    }
    p.tail_dirty = false;
  }
  if (active->octets > kHeaderOctets && (sync_failed || active->octets + octets > options_.segment_octets)) {
    if (const LogStatus begun = roll(p, p.end); begun != LogStatus::kOk) {
      octets_held_.fetch_sub(octets + kHeaderOctets);
      return {begun, 0};
    }
    active = last();
  } else {
    octets_held_.fetch_sub(kHeaderOctets);
  }
  const RecordPlace place{p.end, active->octets};
  const auto head = write_record_head(p.seed, place.offset, bytes.size(), payload_sum);
  if (const LogStatus written = write_whole(*active->file, head, bytes, place.position); written != LogStatus::kOk) {
    failed("write", name_of(p, active->first), errno, write_failures_);
    // Else a smaller record could be written over the begin of this one, with the rest behind it.
    p.tail_dirty = ::ftruncate(active->file->number(), static_cast<off_t>(place.position)) != 0;
    octets_held_.fetch_sub(octets);
    return {written, 0};
  }
  const std::lock_guard lock(p.mutex);
  if (place.position - active->index.back().position >= kIndexOctets) active->index.push_back(place);
  active->octets += octets;
  ++p.end;
  return {LogStatus::kOk, place.offset};
}

/// Begins a segment. `appending` is held, and the header's octets are reserved.
LogStatus FileLog::roll(Partition& p, uint64_t first) {
  const std::string name = name_of(p, first);
  auto file = File::open_in(*folder_, name, O_RDWR | O_CREAT | O_TRUNC);
  if (!file->is_open()) return failed("make", name, errno, write_failures_);
  FileHeader header;
  header.log_id = log_id_;
  header.partition_count = options_.partition_count;
  header.partition = p.number;
  header.first_offset = first;
  if (const LogStatus written = write_whole(*file, write_header(header), {}, 0); written != LogStatus::kOk) {
    failed("write", name, errno, write_failures_);
    ::unlinkat(folder_->number(), name.c_str(), 0);
    return written;
  }
  Segment segment;
  segment.first = first;
  segment.octets = kHeaderOctets;
  segment.index.push_back({first, kHeaderOctets});
  segment.file = std::move(file);
  size_t open_count = 0;
  {
    const std::lock_guard lock(p.mutex);
    Segment& before = p.segments.back();
    if (before.synced_octets == before.octets) before.file.reset();
    p.segments.push_back(std::move(segment));
    for (const Segment& each : p.segments) open_count += each.file != nullptr;
  }
  if (open_count > kSegmentsOpenMax) sync_partition(p);
  return LogStatus::kOk;
}

struct FileLog::View {
  bool at_end = false;
  uint64_t first = 0;  // The segment's.
  uint64_t limit = 0;  // Where the next segment, or what is still to come, begins.
  uint64_t octets = 0;
  FilePointer file;
  RecordPlace start;                     // At or before the offset.
  LostRange lost;                        // After kLost.
  std::vector<RecordPlace> passed = {};  // For the index.

  void pass(const RecordPlace& place) {
    if (place.position - (passed.empty() ? start : passed.back()).position >= kIndexOctets) passed.push_back(place);
  }
};

LogStatus FileLog::find(Partition& p, uint64_t offset, View& view) {
  const std::lock_guard lock(p.mutex);
  if (offset < p.trimmed) return LogStatus::kTrimmed;
  if (offset > p.end) return LogStatus::kBeyondEnd;
  view.at_end = offset == p.end;
  if (view.at_end) return LogStatus::kOk;
  const auto next = std::upper_bound(p.segments.begin(), p.segments.end(), offset,
                                     [](uint64_t o, const Segment& segment) { return o < segment.first; });
  Segment& segment = *(next - 1);
  view.first = segment.first;
  view.limit = next == p.segments.end() ? p.end : next->first;
  view.octets = segment.octets;
  const auto behind = std::upper_bound(segment.lost.begin(), segment.lost.end(), offset,
                                       [](uint64_t o, const LostRange& range) { return o < range.from; });
  if (behind != segment.lost.begin() && offset < (behind - 1)->to) {
    view.lost = *(behind - 1);
    return LogStatus::kLost;
  }
  if (segment.file != nullptr) {
    view.file = segment.file;
  } else {
    if (p.cursor_file == nullptr || p.cursor_file_segment != segment.first) {
      p.cursor_file = File::open_in(*folder_, name_of(p, segment.first), O_RDONLY);
      p.cursor_file_segment = segment.first;
      if (!p.cursor_file->is_open()) {
        const int error = errno;
        p.cursor_file.reset();
        if (error != ENOENT) {
          failed("open", name_of(p, segment.first), error, read_failures_);
          return LogStatus::kUnavailable;
        }
        view.lost = {segment.first, view.limit};
        note_lost(segment, view.lost, view.limit);
        return LogStatus::kLost;
      }
    }
    view.file = p.cursor_file;
  }
  view.start = *(std::upper_bound(segment.index.begin(), segment.index.end(), offset,
                                  [](uint64_t o, const RecordPlace& place) { return o < place.offset; }) -
                 1);
  if (p.cursor_segment == segment.first && p.cursor.offset <= offset && p.cursor.position > view.start.position) {
    view.start = p.cursor;
  }
  return LogStatus::kOk;
}

/// Under its partition's mutex. What is known already is not counted again.
void FileLog::note_lost(Segment& segment, LostRange range, uint64_t limit) {
  std::vector<LostRange>& lost = segment.lost;
  auto from = std::lower_bound(lost.begin(), lost.end(), range.from,
                               [](const LostRange& each, uint64_t offset) { return each.to < offset; });
  auto to = from;
  if (lost.size() >= kLostRangesMax && (from == lost.end() || from->from > range.to)) {
    range.to = limit;
  }
  uint64_t known = 0;
  LostRange whole = range;
  for (; to != lost.end() && to->from <= range.to; ++to) {
    const LostRange both{std::max(to->from, range.from), std::min(to->to, range.to)};
    known += both.record_count();
    whole = {std::min(whole.from, to->from), std::max(whole.to, to->to)};
  }
  if (from == to) lost_places_.fetch_add(1);
  if (range.record_count() > known) lost_records_.fetch_add(range.record_count() - known);
  lost.insert(lost.erase(from, to), whole);
}

void FileLog::lose(Partition& p, const View& view, LostRange range) {
  const std::lock_guard lock(p.mutex);
  const auto segment = std::lower_bound(p.segments.begin(), p.segments.end(), view.first,
                                        [](const Segment& each, uint64_t first) { return each.first < first; });
  if (segment != p.segments.end() && segment->first == view.first) note_lost(*segment, range, view.limit);
}

/// What `walk` found at its place was no record: notes what is lost, and goes to the next record if there is one.
LogStatus FileLog::pass_damage(Partition& p, const View& view, SegmentWalk& walk, SegmentWalk::Found found,
                               uint64_t& lost_to) {
  const uint64_t from = walk.place().offset;
  lost_to = view.limit;
  if (found == SegmentWalk::Found::kBad) {
    found = walk.resync();
    if (found == SegmentWalk::Found::kRecord) lost_to = std::min(walk.place().offset, view.limit);
  }
  if (found == SegmentWalk::Found::kUnreadable) return LogStatus::kUnavailable;
  lose(p, view, {from, lost_to});
  return LogStatus::kLost;
}

/// To the record of this offset, which is in the segment: kOk, kLost or kUnavailable.
LogStatus FileLog::walk_to(Partition& p, View& view, SegmentWalk& walk, uint64_t offset) {
  while (true) {
    const SegmentWalk::Found found = walk.look();
    if (found == SegmentWalk::Found::kRecord) {
      if (walk.place().offset >= offset) return LogStatus::kOk;
      view.pass(walk.place());
      walk.skip();
      continue;
    }
    uint64_t lost_to = 0;
    const LogStatus status = pass_damage(p, view, walk, found, lost_to);
    if (status != LogStatus::kLost || offset < lost_to) return status;
  }
}

LogStatus FileLog::read(uint32_t partition, uint64_t offset, size_t octets_max, std::vector<LogRecord>& out) {
  assert(partition < partitions_.size());
  Partition& p = *partitions_[partition];
  const size_t had = out.size();
  size_t octets = 0;
  LogStatus status = LogStatus::kOk;
  bool more = true;
  // One segment a time.
  while (more) {
    View view;
    status = find(p, offset, view);
    if (status != LogStatus::kOk || view.at_end) break;
    FileOctets source(*view.file);
    SegmentWalk walk(source, p.seed, view.start, view.octets,
                     std::clamp<size_t>(octets_max - octets, size_t{4} << 10, size_t{256} << 10));
    status = walk_to(p, view, walk, offset);
    while (status == LogStatus::kOk && offset < view.limit) {
      SegmentWalk::Found found = walk.look();
      if (found == SegmentWalk::Found::kRecord) {
        const size_t length = walk.payload_octets();
        more = out.size() - had < kReadRecordsMax && (out.size() == had || length <= octets_max - octets);
        if (!more) break;
        out.push_back({offset, {}});
        found = walk.payload(out.back().bytes);
        if (found == SegmentWalk::Found::kRecord) {
          octets = length > octets_max ? octets_max : octets + length;
          view.pass(walk.place());
          walk.skip();
          ++offset;
          continue;
        }
        out.pop_back();
        status = found == SegmentWalk::Found::kBad ? LogStatus::kLost : LogStatus::kUnavailable;
        if (status == LogStatus::kLost) lose(p, view, {offset, offset + 1});
        break;
      }
      uint64_t lost_to = 0;
      status = pass_damage(p, view, walk, found, lost_to);
    }
    if (status == LogStatus::kUnavailable) failed("read", name_of(p, view.first), errno, read_failures_);
    remember(p, view, walk.place());
    if (status != LogStatus::kOk) break;
  }
  return out.size() > had ? LogStatus::kOk : status;
}

/// What a walk saw, for the next one.
void FileLog::remember(Partition& p, const View& view, const RecordPlace& stopped_at) {
  const std::lock_guard lock(p.mutex);
  p.cursor_segment = view.first;
  p.cursor = stopped_at;
  if (view.passed.empty()) return;
  const auto segment = std::lower_bound(p.segments.begin(), p.segments.end(), view.first,
                                        [](const Segment& each, uint64_t first) { return each.first < first; });
  if (segment == p.segments.end() || segment->first != view.first) return;
  for (const RecordPlace& place : view.passed) {
    const auto behind = std::upper_bound(segment->index.begin(), segment->index.end(), place.offset,
                                         [](uint64_t o, const RecordPlace& each) { return o < each.offset; });
    if (place.position >= (behind - 1)->position + kIndexOctets) segment->index.insert(behind, place);
  }
}

uint64_t FileLog::resume_offset(uint32_t partition, uint64_t offset) {
  assert(partition < partitions_.size());
  Partition& p = *partitions_[partition];
  std::vector<uint8_t> payload;
  while (true) {
    View view;
    LogStatus status = find(p, offset, view);
    if (status == LogStatus::kOk && !view.at_end) {
      FileOctets source(*view.file);
      SegmentWalk walk(source, p.seed, view.start, view.octets, size_t{64} << 10);
      status = walk_to(p, view, walk, offset);
      if (status == LogStatus::kOk) {
        const SegmentWalk::Found found = walk.payload(payload);
        if (found != SegmentWalk::Found::kBad) return offset;  // Or the machine failed, as read() will tell.
        lose(p, view, {offset, offset + 1});
        continue;
      }
      if (status == LogStatus::kLost) continue;  // It is known now.
    }
    switch (status) {
      case LogStatus::kTrimmed: offset = begin_offset(partition); break;
      case LogStatus::kLost: offset = view.lost.to; break;
      case LogStatus::kBeyondEnd: return end_offset(partition);
      default: return offset;
    }
  }
}

uint64_t FileLog::begin_offset(uint32_t partition) const {
  assert(partition < partitions_.size());
  const Partition& p = *partitions_[partition];
  const std::lock_guard lock(p.mutex);
  return p.trimmed;
}

uint64_t FileLog::end_offset(uint32_t partition) const {
  assert(partition < partitions_.size());
  const Partition& p = *partitions_[partition];
  const std::lock_guard lock(p.mutex);
  return p.end;
}

void FileLog::trim(uint32_t partition, uint64_t offset) {
  assert(partition < partitions_.size());
  Partition& p = *partitions_[partition];
  {
    const std::lock_guard lock(p.mutex);
    p.trimmed = std::max(p.trimmed, std::min(offset, p.end));
    if (p.segments.size() == 1 || p.segments[1].first > p.trimmed) return;
  }
  remove_segments(p);
}

void FileLog::remove_segments(Partition& p) {
  const std::lock_guard keeping(p.keeping);
  size_t count = 0;
  uint64_t kept_first = 0;
  FilePointer kept_file;
  {
    const std::lock_guard lock(p.mutex);
    while (count + 1 < p.segments.size() && p.segments[count + 1].first <= p.trimmed) ++count;
    if (count == 0) return;
    const Segment& kept = p.segments[count];
    kept_first = kept.first;
    if (kept.synced_octets < kHeaderOctets) {
      if (kept.sync_failed) return;  // When that one goes, these go.
      kept_file = kept.file != nullptr ? kept.file : File::open_in(*folder_, name_of(p, kept_first), O_RDONLY);
    }
  }
  // Were the old ones gone after a power cut and the next one not there yet, offsets would begin anew.
  if (kept_file != nullptr) {
    const bool is_open = kept_file->is_open();
    const bool is_synced = is_open && options_.sync(kept_file->number()) == 0;
    if (!is_synced || options_.sync(folder_->number()) != 0) {
      failed("sync", name_of(p, kept_first), errno, sync_failures_);
      const std::lock_guard lock(p.mutex);
      p.segments[count].sync_failed |= is_open && !is_synced;
      return;
    }
  }
  std::vector<std::pair<uint64_t, uint64_t>> removed;  // First offset, octets.
  {
    const std::lock_guard lock(p.mutex);
    Segment& kept = p.segments[count];
    kept.synced_octets = std::max<uint64_t>(kept.synced_octets, kHeaderOctets);
    for (; count > 0; --count) {
      removed.emplace_back(p.segments.front().first, p.segments.front().octets);
      p.segments.pop_front();
    }
  }
  for (const auto& [first, octets] : removed) {
    const std::string name = name_of(p, first);
    if (::unlinkat(folder_->number(), name.c_str(), 0) != 0 && errno != ENOENT) {
      failed("remove", name, errno, write_failures_);  // It is there again, and trimmed, after the next start.
      continue;
    }
    octets_held_.fetch_sub(octets);
  }
}

/// Makes room where readers have read all of a partition: its last segment goes, too.
void FileLog::reclaim() {
  const std::lock_guard reclaiming(reclaiming_);
  for (const auto& each : partitions_) {
    Partition& p = *each;
    const std::lock_guard appending(p.appending);
    {
      const std::lock_guard lock(p.mutex);
      if (p.trimmed < p.end || p.segments.back().octets == kHeaderOctets) continue;
    }
    octets_held_.fetch_add(kHeaderOctets);
    if (roll(p, p.end) != LogStatus::kOk) {
      octets_held_.fetch_sub(kHeaderOctets);
      continue;
    }
    remove_segments(p);
  }
}

LogStatus FileLog::sync() {
  bool all = true;
  for (const auto& p : partitions_) all = sync_partition(*p) && all;
  return all ? LogStatus::kOk : LogStatus::kUnavailable;
}

bool FileLog::sync_partition(Partition& p) {
  const std::lock_guard keeping(p.keeping);  // Who waited here mostly finds that all is done.
  struct Part {
    uint64_t first, octets, limit;
    bool is_new, failed_before;
    FilePointer file;
    bool is_synced = false;
  };
  std::vector<Part> parts;
  {
    const std::lock_guard lock(p.mutex);
    for (size_t i = 0; i < p.segments.size(); ++i) {
      const Segment& segment = p.segments[i];
      if (segment.synced_octets == segment.octets && !segment.sync_failed) continue;
      parts.push_back({segment.first, segment.octets, i + 1 < p.segments.size() ? p.segments[i + 1].first : p.end,
                       segment.synced_octets < kHeaderOctets, segment.sync_failed, segment.file});
    }
    if (parts.empty()) {
      p.synced = p.end;
      return true;
    }
  }
  bool is_new = false;
  for (Part& part : parts) {
    if (part.failed_before) continue;  // A second try would say that all is well.
    if (part.file == nullptr) part.file = File::open_in(*folder_, name_of(p, part.first), O_RDONLY);
    part.is_synced = part.file->is_open() && options_.sync(part.file->number()) == 0;
    if (!part.is_synced) failed("sync", name_of(p, part.first), errno, sync_failures_);
    is_new |= part.is_new;
  }
  if (is_new && options_.sync(folder_->number()) != 0) {
    failed("sync", ".", errno, sync_failures_);
    return false;
  }
  const std::lock_guard lock(p.mutex);
  // Segments are removed under `keeping` only, so these are all there still.
  auto segment = p.segments.begin();
  bool all = true;
  for (const Part& part : parts) {
    while (segment->first != part.first) ++segment;
    if (!part.is_synced) {
      segment->sync_failed |= part.file != nullptr && part.file->is_open();
      all = false;
      continue;
    }
    segment->synced_octets = std::max(segment->synced_octets, part.octets);
    const bool is_last = &*segment == &p.segments.back();
    if (!is_last && segment->synced_octets == segment->octets) segment->file.reset();
    if (all) p.synced = part.limit;
  }
  return all;
}

uint64_t FileLog::synced_offset(uint32_t partition) const {
  assert(partition < partitions_.size());
  const Partition& p = *partitions_[partition];
  const std::lock_guard lock(p.mutex);
  return std::max(p.synced, p.trimmed);
}

size_t FileLog::segment_count() const {
  size_t count = 0;
  for (const auto& p : partitions_) {
    const std::lock_guard lock(p->mutex);
    count += p->segments.size();
  }
  return count;
}

FileLogFaults FileLog::faults() const {
  FileLogFaults faults;
  faults.torn_records = torn_records_.load();
  faults.torn_octets = torn_octets_.load();
  faults.lost_records = lost_records_.load();
  faults.lost_places = lost_places_.load();
  faults.unknown_ends = unknown_ends_.load();
  faults.damaged_headers = damaged_headers_.load();
  faults.write_failures = write_failures_.load();
  faults.read_failures = read_failures_.load();
  faults.sync_failures = sync_failures_.load();
  const std::lock_guard lock(error_mutex_);
  faults.last_error = last_error_;
  return faults;
}

}  // namespace backstream::transport
