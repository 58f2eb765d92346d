#pragma once
#include <cstdint>
#include <optional>
#include <string>

#include "base/diagnostic.h"
#include "base/time.h"
#include "lookup/lookup_table.h"
#include "lookup/table_reader.h"

namespace backstream::lookup {

struct FileOptions {
  std::string path;
  Format format = Format::kCsv;
  base::Micros refresh_us = 60 * base::kMicrosPerSecond;  ///< between two looks at the file; 0: it is read once
  ReadLimits limits;
};

/// Keeps a LookupTable equal to a file. It looks at the file's inode, size and time of change and reads the whole file
/// when they differ. A file that cannot be used leaves the table as it is, and the reason stays in status() until a
/// good one comes. Has no thread: the table's owner calls poll(). A writer should rename a finished file into place;
/// one that is written to while it is read is noticed, and read again at the next poll.
class FileTable {
 public:
  enum class Poll : uint8_t {
    kNotDue,     ///< the refresh interval is not over
    kUnchanged,  ///< the file is as it was (also: as bad as it was)
    kLoaded,     ///< a new snapshot is published
    kFailed,     ///< the file cannot be used: status().error
  };
  struct Status {
    std::optional<base::Diagnostic> error;  ///< of the last look at the file; none: the table is the file
    std::optional<base::Micros> loaded_at;  ///< `now` of the poll that published the current rows; none: never
    uint64_t row_count = 0;                 ///< of the current rows
    SkipCounts skipped;                     ///< of the current rows' file
    uint64_t loaded_count = 0, failed_count = 0;
  };

  /// `table` must outlive this. Nothing is read before the first poll().
  FileTable(LookupTable& table, FileOptions options);

  /// The first call looks at the file whatever `now` is; later ones when refresh_us have passed since the last look.
  /// @param now  of any clock that does not go back, µs
  /// Reading takes as long as it takes: seconds for a full routing table. Thread: the table's owner.
  Poll poll(base::Micros now);

  const Status& status() const { return status_; }
  const FileOptions& options() const { return options_; }

 private:
  /// What tells one state of a file from another; all zero: there is none.
  struct Stamp {
    uint64_t device = 0, inode = 0, octets = 0;
    int64_t changed_ns = 0;
    bool operator==(const Stamp&) const = default;
  };
  Stamp stamp() const;
  Poll fail(base::Diagnostic error);

  LookupTable& table_;
  const FileOptions options_;
  std::optional<base::Micros> looked_at_;
  std::optional<Stamp> seen_;  ///< of the last file that was read or refused; none: look again
  Status status_;
};

}  // namespace backstream::lookup
