#pragma once
// Results of queries, kept in a folder of SQLite files (docs/design/0032-history-sinks-alerts.md).
#include <array>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <vector>

#include "base/diagnostic.h"
#include "base/time.h"
#include "history/folder.h"
#include "receiver/part_source.h"

namespace backstream::history {

struct Options {
  std::string folder;
  /// How long parts are kept at least, by tier; 0: the tier is not made. Raw parts always are.
  std::array<Micros, kTierCount> keep_us{};
  uint64_t octets_max = uint64_t{16} << 30;        ///< of all files; may be passed by one file of each tier for a while
  uint64_t file_octets_max = uint64_t{512} << 20;  ///< a file that has so much is followed by another one
  size_t queue_octets_max = size_t{128} << 20;     ///< of parts that are not on the disk yet
  std::chrono::milliseconds commit_every{250};
  std::function<Micros()> clock = base::wall_clock;
  Folder::Warn warn = {};  ///< lines for people; from the writer's thread, and while it is opened
};

/// Tiers are made from final windows: a bucket when windows have passed its end, and once more, as its next revision,
/// when one of its windows is revised (history/roll_up.h). How far each tier is stands in its files, so that a process
/// goes on where the one before it was.
///
/// Parts are handed over and never waited for; one thread writes them, several times a second. What is read is what is
/// on the disk: it outlives a kill of the process, and a crash of the machine but for the last moments.
///
/// A full disk costs the oldest file, then the next; while there is none left, parts wait in memory, and beyond its
/// bound they are refused and counted. Any thread, unless said otherwise.
class Store final : public receiver::PartSource {
 public:
  /// Errors: 58030 the folder cannot be used.
  static base::Result<std::unique_ptr<Store>> open(Options options);
  /// Writes what is handed over, if it can be written.
  ~Store() override;
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  /// Overrides keep_us of raw parts; 0: it does not. Holds over restarts.
  void set_retention(const QueryId& id, Micros keep_us);
  /// Takes the next part of a query: its seq is higher than all before. Never waits for the disk.
  void add(const QueryId& id, std::shared_ptr<const ResultPart> part);
  /// Forgets all queries that ever had the name, but this one, once what came before has been written.
  void drop(const std::string& query, uint64_t but_incarnation = 0);
  /// The highest seq that a part of the query ever had; 0: none is known.
  uint64_t last_seq(const QueryId& id) const;

  /// The greatest window_start of windows that are kept whole; nullopt: there is none. Errors: as read().
  base::Result<std::optional<Micros>> last_window(const QueryId& id) const;

  struct Range {
    Micros from = base::kMinTime, until = base::kMaxTime;  ///< of window_start; rows without windows are in every range
    uint64_t after_seq = 0;
    uint64_t rows_max = 1'000'000;  ///< one part is given in any case
    bool revisions = false;         ///< otherwise of each window what was given last, and no removed rows
    Tier tier = Tier::kRaw;
    bool only_final = false;  ///< windows that may still be revised are left out
  };
  struct Read {
    std::vector<std::shared_ptr<const ResultPart>> parts;  ///< by seq
    std::optional<uint64_t> next_seq;                      ///< there is more after this one
    std::optional<Micros> kept_since;                      ///< window_start of the oldest that is kept
    uint64_t last_seq = 0;
  };
  /// The finest tier that has all that any has from this time on.
  Tier tier_for(const QueryId& id, Micros from) const;
  /// @param newer  what is known beside history, by seq: parts of history from the first one's seq on are not read
  /// Errors: 58030 the disk does not give them.
  base::Result<Read> read(const QueryId& id, const Range& range,
                          std::span<const std::shared_ptr<const ResultPart>> newer = {});

  /// The newest window that is final and there whole (receiver::newest_final_window()). Parameter, errors: as read().
  base::Result<std::vector<std::shared_ptr<const ResultPart>>> newest_final(
      const QueryId& id, std::span<const std::shared_ptr<const ResultPart>> newer = {});

  base::Result<Parts> read_after(const QueryId& id, uint64_t after_seq, size_t octets_max) override;
  uint64_t wait_beyond(uint64_t count, std::chrono::milliseconds patience) override;

  /// Waits until what was handed over before is on the disk, or refused by it, at most for so long.
  /// @return  whether it is on the disk
  bool settle(std::chrono::milliseconds patience = std::chrono::seconds(10));

  struct Status {
    Folder::Totals totals;
    uint64_t parts = 0, rows = 0;  ///< written by this process
    uint64_t repeats = 0;          ///< parts that history had already
    uint64_t refused_rows = 0;     ///< the queue was full, or the part too large
    uint64_t unreadable = 0;       ///< parts that were damaged, when they were read
    uint64_t errors = 0;           ///< times that the disk refused something
    uint64_t files_for_room = 0;   ///< removed because of octets_max, or because the disk was full
    size_t queue_octets = 0;
    std::string trouble;  ///< why nothing is being written now; empty: all is well
    Micros trouble_since = 0;
    bool is_full = false;           ///< the trouble is that there is no room
    std::optional<Micros> full_at;  ///< when the disk was full the last time
  };
  Status status() const;

 private:
  struct Item {
    QueryId id;
    std::shared_ptr<const ResultPart> part;  ///< null: drop all of id.name but this one
    Micros came_at = 0;
    uint64_t refused_before = 0;  ///< rows of the query, since its part before this one
  };
  /// A file that gets parts.
  struct Open {
    uint32_t number = 0;
    std::unique_ptr<File> file;
  };
  struct Touched;
  struct Written;
  explicit Store(Options options) : options_(std::move(options)) {}
  void run();
  bool write(std::deque<Item>& items);
  void write_batch(const std::deque<Item>& items, size_t count);
  void add_to(Open& open, const Item& item, Written& written);
  bool is_repeat(const ResultPart& part, const Open& open, const Touched& touched);
  bool settle_failure(const sqlite::Error& error, bool again, Tier tier);
  void drop_now(const QueryId& but);
  Open& open_file(Tier tier);
  void finish(Open& open);
  bool is_open(uint32_t file) const;
  std::optional<std::string> remove_oldest();
  void begin_trouble(const std::string& why, bool full);
  void end_trouble();
  void tend(bool all);
  void tend_ages();
  bool has_tiers() const;
  void note_final(const QueryId& id, const Head& head);
  void catch_up(const QueryId& id);
  void roll_up(bool all);
  bool make_bucket(const QueryId& id, Tier tier, Micros start, uint64_t place);
  void write_bucket(const QueryId& id, Tier tier, std::vector<std::shared_ptr<ResultPart>> parts, uint64_t place);
  void erase_some();
  void erase_some(uint32_t file, const QueryId& id, const Folder::Held& held, Micros until);
  template <typename Work>
  bool in_file(uint32_t file, Work&& work);
  void suspect(uint32_t file);

  const Options options_;
  std::unique_ptr<Folder> folder_;

  // The writer's.
  std::array<Open, kTierCount> open_;
  /// Final windows that are not in their buckets.
  struct Unrolled {
    Micros newest = base::kMinTime;                              ///< window_start of all
    std::array<std::map<Micros, uint64_t>, kTierCount> buckets;  ///< by start: the lowest seq of such parts
  };
  std::map<QueryId, Unrolled> unrolled_;             ///< of queries that have had parts in this process
  std::set<std::pair<uint32_t, int64_t>> orphans_;   ///< queries whose parts are to be removed: file, number there
  std::chrono::steady_clock::time_point ages_at_{};  ///< when tend_ages() was

  mutable std::mutex mutex_;
  std::condition_variable changed_;      // For the writer.
  std::condition_variable done_;         // For who waits for it.
  std::deque<Item> queue_;               // Under mutex_, as are all below.
  std::map<QueryId, uint64_t> refused_;  ///< rows, since the last part that was taken
  std::map<QueryId, Micros> retentions_;
  std::set<uint32_t> suspects_;  ///< files that a reader found damaged
  uint64_t settle_asked_ = 0, settle_done_ = 0;
  bool settled_well_ = true, stop_ = false;
  uint64_t parts_come_ = 0;
  Status status_;
  std::thread thread_;
};

}  // namespace backstream::history
