#include "lookup/table_reader.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>

#include "lookup/key_index.h"

namespace backstream::lookup {
namespace {

/// All octets of a source, at most `octets_max`.
base::Result<std::vector<uint8_t>> read_all(ingest::OctetSource& source, uint64_t octets_max) {
  std::vector<uint8_t> all;
  size_t used = 0;
  for (;;) {
    if (used == all.size()) all.resize(std::max<size_t>(all.size() * 2, size_t{1} << 16));
    const size_t got = source.read(all.data() + used, all.size() - used);
    used += got;
    if (used > octets_max) {
      return base::fail("54000", fmt::format("the file has more than {} octets", octets_max), {},
                        "raise the limit of a lookup file");
    }
    if (got > 0) continue;
    if (!source.error().empty()) return base::fail("22P04", source.error());
    all.resize(used);
    return all;
  }
}

}  // namespace

std::string_view name(Format format) {
  switch (format) {
    case Format::kCsv: return "csv";
    case Format::kJson: return "json";
    case Format::kMrt: return "mrt";
    case Format::kMmdb: return "mmdb";
  }
  return "csv";
}

base::Result<Format> parse_format(std::string_view format, std::string_view path) {
  for (const Format known : {Format::kCsv, Format::kJson, Format::kMrt, Format::kMmdb}) {
    if (format == name(known)) return known;
  }
  if (!format.empty()) {
    const std::string_view nearest = base::nearest_name(format, {"csv", "json", "mrt", "mmdb"});
    return base::fail(
        "22023", fmt::format("no format '{}' of lookup files", format), {},
        nearest.empty() ? "formats are 'csv', 'json', 'mrt' and 'mmdb'" : fmt::format("did you mean '{}'?", nearest));
  }
  std::string_view file = path.substr(path.rfind('/') == std::string_view::npos ? 0 : path.rfind('/') + 1);
  for (const std::string_view packed : {".gz", ".zst", ".bz2"}) {
    if (file.ends_with(packed)) file.remove_suffix(packed.size());
  }
  if (file.ends_with(".mmdb")) return Format::kMmdb;
  if (file.ends_with(".csv")) return Format::kCsv;
  if (file.ends_with(".json")) return Format::kJson;
  if (file.ends_with(".mrt") || file.starts_with("bview.") || file.starts_with("rib.2")) return Format::kMrt;
  return Format::kCsv;
}

std::string_view name(Skip skip) {
  static constexpr std::string_view kNames[] = {
#define BACKSTREAM_LOOKUP_SKIP(id, text, what) text,
      BACKSTREAM_LOOKUP_SKIPS(BACKSTREAM_LOOKUP_SKIP)
#undef BACKSTREAM_LOOKUP_SKIP
  };
  return kNames[static_cast<size_t>(skip)];
}
std::string_view about(Skip skip) {
  static constexpr std::string_view kTexts[] = {
#define BACKSTREAM_LOOKUP_SKIP(id, text, what) what,
      BACKSTREAM_LOOKUP_SKIPS(BACKSTREAM_LOOKUP_SKIP)
#undef BACKSTREAM_LOOKUP_SKIP
  };
  return kTexts[static_cast<size_t>(skip)];
}

uint64_t SkipCounts::total() const { return std::accumulate(by_reason.begin(), by_reason.end(), uint64_t{0}); }

std::shared_ptr<const Table> keep_unique_keys(std::shared_ptr<const Table> table,
                                              const std::vector<uint32_t>& primary_key, SkipCounts& skipped) {
  if (primary_key.empty()) return table;
  const auto index = KeyIndex::build(table, primary_key, KeyIndex::Keys::kAny);
  std::vector<uint8_t> keep(table->row_count(), 1);
  const auto has_null = [&](size_t row) {
    return std::any_of(primary_key.begin(), primary_key.end(),
                       [&](uint32_t c) { return table->column(c).is_null(row); });
  };
  size_t kept = 0;
  for (uint32_t row = 0; row < keep.size(); ++row) {
    if (const uint32_t next = index->next(row); next != kNoRow) keep[next] = 0;
    if (has_null(row)) {
      keep[row] = 0;
      skipped.add(Skip::kNullKey);
    } else if (keep[row] == 0) {
      skipped.add(Skip::kRepeatedKey);
    }
    kept += keep[row];
  }
  if (kept == keep.size()) return table;
  // The limits held before, and there are fewer rows now.
  TableLimits none;
  none.row_count_max = TableLimits::kRowsAtMost;
  none.octets_max = UINT64_MAX;
  TableBuilder builder(table->schema(), none);
  for (size_t row = 0; row < keep.size(); ++row) {
    if (keep[row] == 0) continue;
    for (size_t c = 0; c < table->column_count(); ++c) builder.set_from(c, table->column(c), row);
    builder.end_row();
  }
  return builder.finish();
}

base::Result<ReadTable> read_table_file(const std::string& path, Format format, const TableDefinition& definition,
                                        const ReadLimits& limits) {
  const auto refuse = [&](std::string_view code, std::string message) {
    auto failure = base::fail(code, std::move(message));
    failure.value().source_name = path;
    return failure;
  };
  struct stat about {};
  if (::stat(path.c_str(), &about) != 0) {
    return refuse(errno == ENOENT || errno == ENOTDIR ? "58P01" : "58030", std::strerror(errno));
  }
  if (S_ISDIR(about.st_mode)) return refuse("58030", "is a folder, not a file");
  if (!S_ISREG(about.st_mode)) return refuse("58030", "is a device, not a file");
  if (about.st_size == 0) return refuse("22P04", "the file is empty");
  auto source = ingest::open_octets(path == "-" ? "./-" : path);
  if (!source) return refuse("58030", source.error().message);
  if (format == Format::kMrt) return read_mrt(**source, path, definition, limits);
  auto all = read_all(**source, std::min<uint64_t>(limits.file_octets_max, UINT32_MAX));
  if (!all) return refuse(all.error().code, all.error().message);
  if (format == Format::kMmdb) return read_mmdb(*all, path, definition, limits);
  const std::string_view text(reinterpret_cast<const char*>(all->data()), all->size());
  return format == Format::kJson ? read_json(text, path, definition, limits) : read_csv(text, path, definition, limits);
}

}  // namespace backstream::lookup
