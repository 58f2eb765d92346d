#include "lookup/file_table.h"

#include <fmt/format.h>
#include <sys/stat.h>

namespace backstream::lookup {

FileTable::FileTable(LookupTable& table, FileOptions options) : table_(table), options_(std::move(options)) {}

FileTable::Stamp FileTable::stamp() const {
  struct stat about {};
  if (::stat(options_.path.c_str(), &about) != 0) return {};
  // Not the time of modification: that can be set back, as rsync and tar do.
  return {about.st_dev, about.st_ino, static_cast<uint64_t>(about.st_size),
          int64_t{about.st_ctim.tv_sec} * 1'000'000'000 + about.st_ctim.tv_nsec};
}

FileTable::Poll FileTable::fail(base::Diagnostic error) {
  if (error.source_name.empty()) error.source_name = options_.path;
  status_.error = std::move(error);
  ++status_.failed_count;
  return Poll::kFailed;
}

FileTable::Poll FileTable::poll(base::Micros now) {
  if (looked_at_ && (options_.refresh_us == 0 || now - *looked_at_ < options_.refresh_us)) return Poll::kNotDue;
  looked_at_ = now;
  const Stamp before = stamp();
  if (seen_ == before) return Poll::kUnchanged;

  auto read = read_table_file(options_.path, options_.format, table_.definition(), options_.limits);
  if (stamp() != before) {
    // Whatever was read is a mixture. The stamp is not kept, so that the next poll reads again.
    seen_.reset();
    return fail(base::fail("55006", "the file changed while it was read", {},
                           "write to another name and rename the finished file")
                    .value());
  }
  seen_ = before;
  if (!read) return fail(read.error());
  const uint64_t row_count = read->table->row_count();
  if (auto replaced = table_.replace(std::move(read->table)); !replaced) return fail(replaced.error());
  status_.error.reset();
  status_.loaded_at = now;
  status_.row_count = row_count;
  status_.skipped = read->skipped;
  ++status_.loaded_count;
  return Poll::kLoaded;
}

}  // namespace backstream::lookup
