#include "cluster/partials_spool.h"

#include <fmt/format.h>

#include <algorithm>
#include <span>
#include <utility>

#include "base/varint.h"
#include "partial/codec.h"
#include "partial/value_bytes.h"

namespace backstream::cluster {

using base::Result;
using transport::FileLog;
using transport::LogRecord;
using transport::LogStatus;

namespace {

// Partitions of the files.
constexpr uint32_t kMessages = 0, kNotes = 1;
constexpr size_t kSendOctets = 1 << 20;
constexpr std::chrono::milliseconds kRetry{500}, kMarkPatience{100};
constexpr Micros kPaneMax = 60 * base::kMicrosPerSecond;

/// What a process of the edge leaves for the next one; the newest counts.
struct Note {
  uint64_t epoch = 0;
  Micros watermark = base::kMinTime;
  uint64_t next_offset = 0;
  bool closed = false;        ///< it ended on purpose: what was open has been sent
  std::vector<uint8_t> mark;  ///< keep_mark()
};
std::vector<uint8_t> octets_of(const Note& note) {
  std::vector<uint8_t> out;
  base::put_varint(out, note.epoch);
  base::put_varint_signed(out, note.watermark);
  base::put_varint(out, note.next_offset);
  out.push_back(note.closed);
  out.insert(out.end(), note.mark.begin(), note.mark.end());
  return out;
}
bool read_note(std::span<const uint8_t> octets, Note& note) {
  partial::Cursor in(octets);
  uint8_t closed = 0;
  if (!in.u64(note.epoch) || !in.i64(note.watermark) || !in.u64(note.next_offset) || !in.octet(closed)) return false;
  note.closed = closed != 0;
  note.mark.assign(in.rest().begin(), in.rest().end());
  return true;
}

}  // namespace

PartialsSpool::PartialsSpool(Options options, transport::Log& log) : options_(std::move(options)), log_(log) {}

Micros PartialsSpool::now() const { return options_.clock ? options_.clock() : base::wall_clock(); }

Result<std::unique_ptr<PartialsSpool>> PartialsSpool::open(Options options, transport::Log& log) {
  std::unique_ptr<PartialsSpool> spool(new PartialsSpool(std::move(options), log));
  if (auto opened = spool->open_files(); !opened) return tl::unexpected(std::move(opened.error()));
  spool->writer_ = std::thread([at = spool.get()] { at->write(); });
  spool->sender_ = std::thread([at = spool.get()] { at->send(); });
  return spool;
}

Result<void> PartialsSpool::open_files() {
  transport::FileLogOptions files;
  files.partition_count = 2;
  files.octets_max = options_.octets_max;
  auto opened = FileLog::open(options_.folder, files);
  if (!opened) return tl::unexpected(std::move(opened.error()));
  files_ = std::move(*opened);
  Note last;
  uint64_t at = files_->begin_offset(kNotes);
  for (std::vector<LogRecord> records;; records.clear()) {
    const LogStatus status = files_->read(kNotes, at, kSendOctets, records);
    if (status != LogStatus::kOk) {
      at = files_->resume_offset(kNotes, at);
      continue;
    }
    if (records.empty()) break;
    for (const LogRecord& record : records) read_note(record.bytes, last);
    at = records.back().offset + 1;
  }
  files_->trim(kNotes, at);
  mark_ = mark_before_ = std::move(last.mark);
  epoch_ = last.epoch + 1;
  watermark_ = last.watermark;
  next_offset_ = std::max(last.next_offset, files_->begin_offset(kMessages));
  // The first of this process: what none has seen. Of a process that was killed, what was open, too.
  partial::Presence presence;
  presence.origin = {options_.edge, epoch_, 0};
  presence.sent_at = now();
  if (!options_.before_all_flows) {
    const bool is_first = last.epoch == 0;  // It has seen nothing of what was before: kMinTime.
    const bool left_nothing = is_first || last.closed || last.watermark == base::kMinTime;
    presence.gap_from = left_nothing ? last.watermark : base::floor_to(last.watermark, kPaneMax, 0);
    presence.gap_until = presence.sent_at;
  }
  if (!put(kNotes, octets_of({epoch_, watermark_, next_offset_, false, mark_})) ||
      !put(kMessages, partial::write_presence(presence))) {
    return base::fail("58030", fmt::format("the spool '{}' takes no records: {}", options_.folder, status_.last_error),
                      {}, "is the disk full?");
  }
  ++status_.appended;
  return {};
}

PartialsSpool::~PartialsSpool() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  progressed_.notify_all();
  if (writer_.joinable()) writer_.join();
  if (sender_.joinable()) sender_.join();
}

void PartialsSpool::append(std::vector<uint8_t>&& message) {
  std::unique_lock lock(mutex_);
  progressed_.wait(lock, [&] { return waiting_octets_ < kWaitingMax || stopping_; });
  waiting_octets_ += message.size();
  waiting_.push_back({std::move(message)});
  ++status_.appended;
  changed_.notify_all();
}

void PartialsSpool::keep_mark(std::vector<uint8_t>&& mark) {
  const std::lock_guard lock(mutex_);
  // The last one counts. So one waits at most, however long the disk takes: it may be as large as many messages.
  std::erase_if(waiting_, [](const Item& item) { return item.is_mark; });
  waiting_.push_back({std::move(mark), true});
  marks_follow_ = true;
  changed_.notify_all();
}

void PartialsSpool::note_watermark(Micros watermark) {
  const std::lock_guard lock(mutex_);
  watermark_ = std::max(watermark_, watermark);
}

void PartialsSpool::close(std::chrono::milliseconds patience) {
  std::unique_lock lock(mutex_);
  closed_ = true;
  changed_.notify_all();
  progressed_.wait_for(lock, patience,
                       [&] { return waiting_.empty() && !writing_ && next_offset_ >= files_->end_offset(kMessages); });
  ended_ = true;
  lock.unlock();
  note();
  files_->sync();
}

PartialsSpool::Status PartialsSpool::status() const {
  const std::lock_guard lock(mutex_);
  Status status = status_;
  status.octets_held = files_->octets_held();
  return status;
}

/// Into the files. False: the disk does not take it.
bool PartialsSpool::put(uint32_t partition, const std::vector<uint8_t>& octets) {
  const LogStatus put = files_->append(partition, octets).status;
  if (put == LogStatus::kOk) return true;
  const auto faults = files_->faults();
  const std::lock_guard lock(mutex_);
  status_.last_error = faults.last_error.empty() ? std::string(transport::name(put)) : faults.last_error;
  return false;
}

void PartialsSpool::note() {
  Note last;
  {
    const std::lock_guard lock(mutex_);
    last = {epoch_, watermark_, next_offset_, ended_, mark_};
  }
  const auto appended = files_->append(kNotes, octets_of(last));
  if (appended.status == LogStatus::kOk) files_->trim(kNotes, appended.offset);
}

void PartialsSpool::count_dropped(const LogRecord& record) {
  partial::Message message;
  partial::PartialFault fault{};
  ++status_.dropped;
  if (!partial::read_message(record.bytes, message, fault)) return;
  for (const partial::PaneLedger& ledger : message.ledgers) {
    status_.rows_dropped += ledger.counts.counted;
    dropped_from_ = std::min(dropped_from_, ledger.pane_start);
    dropped_until_ = std::max(dropped_until_, ledger.pane_start + kPaneMax);
  }
  if (message.kind == partial::Message::Kind::kData && message.chunk.kind == partial::ChunkId::Kind::kRows) {
    status_.rows_dropped += message.group_count;
    dropped_from_ = std::min(dropped_from_, message.chunk.pane_start);
    dropped_until_ = std::max(dropped_until_, message.chunk.pane_start + kPaneMax);
  }
}

/// The oldest part of what waits makes room for what is new.
void PartialsSpool::drop_oldest() {
  std::vector<LogRecord> records;
  const std::lock_guard lock(mutex_);
  const size_t enough = std::max<size_t>(kSendOctets, options_.octets_max / 8);
  size_t octets = 0;
  while (octets < enough) {
    records.clear();
    if (files_->read(kMessages, next_offset_, kSendOctets, records) != LogStatus::kOk) {
      next_offset_ = files_->resume_offset(kMessages, next_offset_);
      break;
    }
    if (records.empty()) break;
    for (const LogRecord& record : records) {
      count_dropped(record);
      octets += record.bytes.size();
    }
    next_offset_ = records.back().offset + 1;
  }
  files_->trim(kMessages, next_offset_);
}

/// The thread that writes files.
void PartialsSpool::write() {
  std::deque<Item> batch;
  Micros noted_at = 0, present_at = now();
  for (;;) {
    Micros gap_from = base::kMaxTime, gap_until = base::kMinTime;
    {
      std::unique_lock lock(mutex_);
      changed_.wait_for(lock, std::chrono::seconds(1), [&] { return !waiting_.empty() || stopping_; });
      // The mark that follows messages is written with them, or nearly so if the process is killed just then.
      if (marks_follow_)
        changed_.wait_for(lock, kMarkPatience, [&] {
          return waiting_.empty() || waiting_.back().is_mark || waiting_octets_ > kWaitingMax / 2 || stopping_;
        });
      if (waiting_.empty() && stopping_) return;
      batch.swap(waiting_);
      waiting_octets_ = 0;
      writing_ = true;
      const Micros at = now();
      if (!closed_ && (at - present_at >= kPresenceInterval || at < present_at)) {
        present_at = at;
        partial::Presence presence;
        presence.origin = {options_.edge, epoch_, 0};
        presence.sent_at = at;
        batch.push_back({partial::write_presence(presence)});
        ++status_.appended;
      }
    }
    for (Item& item : batch) {
      if (item.is_mark) {
        {
          const std::lock_guard lock(mutex_);
          mark_ = std::move(item.octets);
        }
        note();
        continue;
      }
      const std::vector<uint8_t>& message = item.octets;
      if (put(kMessages, message)) continue;
      drop_oldest();
      if (put(kMessages, message)) continue;
      const std::lock_guard lock(mutex_);
      count_dropped({0, message});
    }
    batch.clear();
    {
      const std::lock_guard lock(mutex_);
      writing_ = false;
      std::swap(gap_from, dropped_from_);
      std::swap(gap_until, dropped_until_);
      if (gap_from < gap_until) {
        partial::Presence gap;
        gap.origin = {options_.edge, epoch_, 0};
        gap.sent_at = now();
        gap.gap_from = gap_from;
        gap.gap_until = gap_until;
        waiting_.push_front({partial::write_presence(gap)});
        ++status_.appended;
      }
    }
    changed_.notify_all();
    progressed_.notify_all();
    if (const Micros at = now(); at - noted_at >= base::kMicrosPerSecond || at < noted_at) {
      noted_at = at;
      note();
    }
  }
}

/// False: the log does not take them now.
bool PartialsSpool::send_some(const std::vector<LogRecord>& records, std::vector<const LogRecord*>& unreadable) {
  std::vector<transport::Log::Addition> additions;
  std::vector<transport::Log::Appended> results;
  std::vector<const LogRecord*> of_record;
  for (const LogRecord& record : records) {
    partial::Message message;
    partial::PartialFault fault{};
    if (!partial::read_message(record.bytes, message, fault)) {
      unreadable.push_back(&record);  // The files' checksum was right: a program of another version has left it.
      continue;
    }
    const uint64_t incarnation = message.origin().incarnation;
    const uint32_t partitions = log_.partition_count();
    for (uint32_t p = 0; incarnation == 0 && p < partitions; ++p) {
      additions.push_back({p, record.bytes});
      of_record.push_back(&record);
    }
    if (incarnation == 0) continue;
    additions.push_back({partial::partition_of(incarnation, partitions), record.bytes});
    of_record.push_back(&record);
  }
  for (std::span<const transport::Log::Addition> left = additions; !left.empty();) {
    const LogStatus refused = log_.append_all(left, results);
    if (refused == LogStatus::kOk) return true;
    const auto first = std::find_if(results.begin(), results.end(),
                                    [](const auto& result) { return result.status != LogStatus::kOk; });
    const std::lock_guard lock(mutex_);
    if (first->status != LogStatus::kTooLarge) {
      status_.last_error = fmt::format("the log: {}", transport::name(first->status));
      return false;
    }
    // Behind it each may have been taken or not: they are sent again.
    const auto place = static_cast<size_t>(first - results.begin());
    count_dropped(*of_record[additions.size() - left.size() + place]);
    left = left.subspan(place + 1);
  }
  return true;
}

/// The thread that sends what the files hold.
void PartialsSpool::send() {
  std::vector<LogRecord> records;
  for (;;) {
    uint64_t from = 0;
    {
      std::unique_lock lock(mutex_);
      const auto idle = [&] { return next_offset_ >= files_->end_offset(kMessages); };
      if (idle()) status_.oldest_unsent = 0;
      changed_.wait_for(lock, kRetry, [&] { return stopping_ || !idle(); });
      if (stopping_ && (idle() || !status_.last_error.empty())) return;
      if (idle()) continue;
      if (status_.oldest_unsent == 0) status_.oldest_unsent = now();
      from = next_offset_;
    }
    records.clear();
    if (files_->read(kMessages, from, kSendOctets, records) != LogStatus::kOk || records.empty()) {
      const std::lock_guard lock(mutex_);
      if (next_offset_ == from) next_offset_ = std::max(from, files_->resume_offset(kMessages, from));
      ++status_.dropped;
      continue;
    }
    std::vector<const LogRecord*> unreadable;
    if (!send_some(records, unreadable)) {
      std::unique_lock lock(mutex_);
      if (stopping_) return;
      changed_.wait_for(lock, kRetry, [&] { return stopping_; });
      continue;
    }
    {
      const std::lock_guard lock(mutex_);
      // What was dropped meanwhile to make room has been sent all the same: readers know repeats, and no loss was told
      // that is none, as a gap only says that rows may be missing.
      next_offset_ = std::max(next_offset_, records.back().offset + 1);
      status_.sent += records.size() - unreadable.size();
      for (const LogRecord* record : unreadable) count_dropped(*record);
      for (const LogRecord& record : records) status_.octets_sent += record.bytes.size();
      status_.last_error.clear();
      files_->trim(kMessages, next_offset_);
    }
    progressed_.notify_all();
  }
}

}  // namespace backstream::cluster
