#pragma once
// One file of history: SQLite in WAL mode, schema version 1 (docs/design/0032-history-sinks-alerts.md). A row of `part`
// is a ResultPart; `query` says what the file holds of each, so that a start need not look at parts.
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "history/block.h"
#include "receiver/part_source.h"
#include "sqlite/database.h"

namespace backstream::history {

using base::Micros;
using receiver::PartSource;
using QueryId = PartSource::QueryId;

/// What a file's parts are: as they came, or averages over so long.
enum class Tier : uint8_t { kRaw, kMinute, kFiveMinutes, kHour };
inline constexpr size_t kTierCount = 4;
std::string_view name(Tier tier);  ///< "raw", "1m", "5m", "1h"
std::optional<Tier> tier_of(std::string_view name);
Micros length_us(Tier tier);  ///< of its buckets; raw: 0

/// What one file holds of a query.
struct Holding {
  uint64_t parts = 0, rows = 0;
  uint64_t first_seq = 0, last_seq = 0;  ///< last_seq: also of what is gone, or never was kept here
  Micros first_start = base::kMaxTime, last_start = base::kMinTime;  ///< window_start; 0 of rows without windows
  Micros first_came = base::kMaxTime, last_came = base::kMinTime;    ///< when parts came here
  uint64_t rows_ever = 0;                                            ///< of the query, up to last_seq, kept or not
  Micros keep_us = 0;                                                ///< the query's own retention; 0: it has none
  uint64_t place = 0;  ///< tiers: raw parts up to this seq are in their buckets
  /// How far the query is, for a file that has nothing of it yet.
  Holding without_parts() const;
  void note(uint64_t seq, Micros start, Micros came, uint64_t row_count);
};

/// A part without its rows.
struct Head {
  int64_t row = 0;  ///< of the file
  uint64_t seq = 0;
  Micros window_start = 0, window_end = 0;
  uint32_t version = 0;
  int revision = 1;
  uint32_t part = 0;
  uint8_t flags = 0;  ///< kFinal ...
  uint64_t row_count = 0;
  bool windowed() const { return window_start != window_end; }
};
inline constexpr uint8_t kFinal = 1, kComplete = 2, kRemoved = 4, kLast = 8;
uint8_t flags_of(const ResultPart& part);
Head head_of(const ResultPart& part);

/// Forms by what they are, so that parts of several files that have the same one share it. Any thread.
class Forms {
 public:
  /// Null: it is no form.
  std::shared_ptr<const ResultForm> find(std::span<const uint8_t> octets);

 private:
  std::mutex mutex_;
  std::map<std::string, std::weak_ptr<const ResultForm>> forms_;  // Under mutex_.
};

/// One connection to a file. One thread at a time; what SQLite refuses is thrown (sqlite::Error).
class File {
 public:
  /// kAppend: it is made where it is missing, and gets parts, while others read; kChange: it gets no more parts.
  enum class Mode : uint8_t { kRead, kChange, kAppend };
  /// What is wrong with a file that another version, or another program, has made.
  struct Foreign {
    enum class Kind : uint8_t { kOther, kNewer, kEmpty } kind = Kind::kOther;  ///< kEmpty: its maker was killed
    std::string why = {};
  };
  /// Errors: Foreign; sqlite::Error.
  File(const std::string& path, Mode mode, Forms& forms);

  std::map<QueryId, std::pair<int64_t, Holding>> holdings();
  /// Numbers of queries that parts are of, and `query` does not have any more.
  std::vector<int64_t> orphans();

  // In a transaction of the caller's.
  void begin() { db_.execute("BEGIN IMMEDIATE"); }
  void commit() { db_.execute("COMMIT"); }
  void roll_back() noexcept;
  int64_t add_query(const QueryId& id);
  void put_holding(int64_t query, const Holding& holding);
  void forget_query(int64_t query);
  /// Another part says that it is the same one: it was given again.
  bool has(int64_t query, const ResultPart& part);
  /// False: it is larger than a file can have.
  bool put(int64_t query, const ResultPart& part, uint64_t rows_ever_before, Micros came_at);
  /// Removes a query's oldest parts, those that came before `until`, at most so many. The holding is made what is left.
  /// @return  how many
  size_t erase(int64_t query, Micros until, size_t parts_max, Holding& holding);
  /// Gives what was removed back to the disk.
  void give_back();
  /// No more parts come: the file is whole without a log beside it, so that reading needs no room on the disk. Where
  /// somebody reads it now, that is left to the next time.
  void finish();

  struct Window {
    Micros from = base::kMinTime, until = base::kMaxTime;  ///< of window_start
    uint64_t before_seq = UINT64_MAX;
  };
  /// In no order.
  void heads(int64_t query, const Window& window, std::vector<Head>& out);
  /// By seq, at most so many, of parts after `after_seq`.
  void heads_after(int64_t query, uint64_t after_seq, size_t parts_max, std::vector<Head>& out);
  /// The greatest window_start of windows whose last part is there.
  std::optional<Micros> last_window(int64_t query);
  struct Part {
    std::shared_ptr<ResultPart> part;  ///< null: damaged, or gone
    uint64_t rows_ever_before = 0;
  };
  Part part(int64_t query, uint64_t incarnation, const Head& head);

 private:
  sqlite::Statement& prepared(std::unique_ptr<sqlite::Statement>& kept, std::string_view sql);
  std::shared_ptr<const ResultForm> form(int64_t number);
  int64_t number_of(const std::shared_ptr<const ResultForm>& form);

  Forms& shared_forms_;
  sqlite::Database db_;
  BlockWriter block_writer_;
  BlockReader block_reader_;
  std::map<int64_t, std::shared_ptr<const ResultForm>> forms_;
  std::map<const ResultForm*, std::pair<std::shared_ptr<const ResultForm>, int64_t>> form_numbers_;
  std::unique_ptr<sqlite::Statement> has_, put_, heads_, after_, part_;
};

}  // namespace backstream::history
