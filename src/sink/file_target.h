#pragma once
#include <optional>
#include <string>
#include <string_view>

#include "base/files.h"
#include "base/time.h"
#include "sink/target.h"

namespace backstream::sink {

using base::Micros;

struct FileTargetOptions {
  std::string folder;  ///< is there; one process at a time writes files of one name there
  std::string name;    ///< of the sink: files are called after it
  enum class Format : uint8_t { kCsv, kJsonl } format = Format::kCsv;
  /// A file is ended at the end of a window when it is as large, or as old: at multiples of this since 1970.
  uint64_t rotate_octets = 256 << 20;
  Micros rotate_us = 3'600 * base::kMicrosPerSecond;
};

/// Rows in files, of one query. `NAME-20261127T120000Z-SEQ.csv.part` grows, and loses ".part" once it is whole: whoever
/// takes files without it never sees half a window, nor a row that goes again. SEQ is the number of the first part.
/// `NAME.place` says how many octets of which file are ours, and up to which part: what stands behind is cut off by
/// open(). Each deliver() ends with both on the disk (fsync).
///
/// Each revision of a window is written; rows have all marks (receiver::Marks). repeat() writes a file of its own,
/// which is whole at once.
class FileTarget final : public Target {
 public:
  explicit FileTarget(FileTargetOptions options, Micros (*clock)() = &base::wall_clock);

  Result<uint64_t> open() override;
  Result<void> deliver(Parts parts) override;
  Result<void> pass_over(const ResultPart& part) override;
  Result<void> repeat(Parts parts) override;
  Result<std::string> test() override;

  /// Files that were taken away, or cut, while they were ours.
  uint64_t files_missed() const { return files_missed_; }

 private:
  struct Place {
    uint64_t seq = 0;
    std::string file;  ///< without ".part"; empty: the next part begins one
    uint64_t octets = 0;
    Micros begun_at = 0;
  };
  std::string path(std::string_view name) const;
  Result<Place> read_place() const;
  Result<void> write_place();
  std::string name_of(const ResultPart& first, std::string_view mark) const;
  Result<void> begin_file(const ResultPart& first);
  Result<void> write(std::string_view text);
  Result<void> end_file();
  bool is_due(Micros now) const;
  void append(std::string& text, const ResultPart& part) const;
  std::string header(const ResultForm& form) const;

  const FileTargetOptions options_;
  Micros (*const clock_)();
  Place place_;
  base::File file_;
  std::string header_;  ///< of file_
  uint64_t files_missed_ = 0;
};

}  // namespace backstream::sink
