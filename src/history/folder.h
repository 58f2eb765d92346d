#pragma once
// The folder of history: its files, what each holds, and connections to read them.
//
//   TIER-NUMBER-DAY.db, such as raw-00000012-2026-11-27.db. Numbers grow, and are never used again.
#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/diagnostic.h"
#include "history/file.h"

namespace backstream::history {

/// One thread, the writer's, changes it; any thread reads.
class Folder {
 public:
  using Warn = std::function<void(const std::string& line)>;
  /// Files that cannot be read are set aside and told. Errors: 58030 the folder cannot be made or read.
  /// @param warn  called by the writer's thread, and while this is opened
  static base::Result<std::unique_ptr<Folder>> open(std::string path, Warn warn);
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  /// What a file holds of one query.
  struct Held {
    uint32_t file = 0;
    int64_t query = 0;  ///< its number there
    Holding holding;
  };
  /// Oldest first; also where nothing is left but the numbers of what was there.
  std::vector<Held> held(const QueryId& id, Tier tier) const;
  std::optional<Held> held(uint32_t file, const QueryId& id) const;
  /// All that had the name, of all tiers.
  std::vector<std::pair<QueryId, Held>> named(const std::string& query) const;
  /// The newest that is known of a query in a tier.
  std::optional<Holding> newest(const QueryId& id, Tier tier) const;

  /// A connection for reading, given back when this goes.
  class Reading {
   public:
    Reading(Folder& folder, uint32_t file, std::unique_ptr<File> connection)
        : folder_(&folder), file_(file), connection_(std::move(connection)) {}
    ~Reading();
    Reading(Reading&& other) noexcept = default;
    Reading& operator=(Reading&&) = delete;
    File* operator->() const { return connection_.get(); }
    /// It is of no more use.
    void close() { connection_.reset(); }

   private:
    Folder* folder_;
    uint32_t file_;
    std::unique_ptr<File> connection_;
  };
  /// nullopt: the file is gone. Errors: sqlite::Error, File::Foreign.
  std::optional<Reading> read(uint32_t file);

  struct Facts {
    uint32_t number = 0;
    Tier tier = Tier::kRaw;
    Micros day = 0;  ///< its begin
    std::string path;
    uint64_t octets = 0;  ///< as of the last measure()
  };
  /// By number.
  std::vector<Facts> files() const;
  /// nullopt: it is gone.
  std::optional<Facts> facts(uint32_t file) const;
  uint64_t octets() const;  ///< of all files
  struct Totals {
    std::array<uint64_t, kTierCount> octets{}, rows{}, files{};
    std::array<Micros, kTierCount> oldest{};  ///< window_start, or, without windows, when it came; kMaxTime: none
    uint64_t set_aside = 0;                   ///< files, of this and earlier processes
  };
  Totals totals() const;

  // The writer's thread.

  Forms& forms() { return forms_; }
  /// A new file, empty, and open. Errors: sqlite::Error, and then there is none.
  std::pair<uint32_t, std::unique_ptr<File>> make(Tier tier, Micros day);
  std::unique_ptr<File> change(uint32_t file);  ///< errors: as read()
  /// What of a file is so from now on.
  void note(uint32_t file, const QueryId& id, int64_t query, const Holding& holding);
  void forget(uint32_t file, const QueryId& id);
  std::map<QueryId, std::pair<int64_t, Holding>> queries(uint32_t file) const;
  void measure(uint32_t file);
  void remove(uint32_t file);
  void set_aside(uint32_t file, const std::string& why, bool newer);
  /// Connections to a file that nobody uses now are closed.
  void close_readers(uint32_t file);

 private:
  struct Entry {
    Facts facts;
    std::map<QueryId, std::pair<int64_t, Holding>> queries;
  };
  static constexpr size_t kIdleReadersMax = 16;
  explicit Folder(std::string path, Warn warn) : path_(std::move(path)), warn_(std::move(warn)) {}
  base::Result<void> scan();
  void set_aside_path(const std::string& path, const std::string& why, bool newer);
  void give_back(uint32_t file, std::unique_ptr<File> connection);

  const std::string path_;
  const Warn warn_;
  Forms forms_;
  uint32_t next_number_ = 1;  // The writer's.
  mutable std::mutex mutex_;
  std::map<uint32_t, Entry> files_;  // Under mutex_, as are all below.
  std::multimap<uint32_t, std::unique_ptr<File>> idle_;
  uint64_t set_aside_ = 0;
};

/// The begin of the UTC day that holds a time.
Micros day_of(Micros time);

}  // namespace backstream::history
