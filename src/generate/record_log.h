#pragma once
#include <fstream>
#include <string>

#include "generate/record.h"

namespace backstream::generate {

/// Writes every record as a CSV line, for answers that others compute from the same traffic. Columns are named as those
/// of the stream `flows` and values look as PostgreSQL prints them; counters are as exported (octets_raw), and what
/// the protocol does not tell is empty. Order: as datagrams are made.
class RecordLog final : public RecordObserver {
 public:
  /// Errors: std::system_error where the file cannot be written, also from close().
  explicit RecordLog(const std::string& path);
  void observe(const Record& record) override;
  /// After the last record.
  void close();

 private:
  const std::string path_;
  std::ofstream out_;
  std::string line_;
};

}  // namespace backstream::generate
