#pragma once
// Files as tables: CSV, JSON, MRT dumps of BGP tables, MMDB. A mistake that concerns a whole file is an error, and then
// there is no table at all: half a routing table gives wrong answers quietly. Single entries that cannot be used are
// left out and counted by reason. No reader throws on what a file holds, and none needs more than the limits allow.
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "ingest/octet_source.h"
#include "lookup/table.h"

namespace backstream::lookup {

enum class Format : uint8_t { kCsv, kJson, kMrt, kMmdb };
/// "csv", "json", "mrt", "mmdb".
std::string_view name(Format format);
/// The option FORMAT of CREATE TABLE; without one (empty) by the file's name: .json, .mmdb, .mrt and RIS or RouteViews
/// names ("bview.", "rib.2") are what they say, all else is CSV. Errors: "22023" with the nearest name.
base::Result<Format> parse_format(std::string_view format, std::string_view path);

// Why an entry of a file, or a field of one, is not in the table.
#define BACKSTREAM_LOOKUP_SKIPS(X)                                                        \
  X(kRecordType, "record_type", "MRT record that is no unicast route")                    \
  X(kTruncatedEntry, "truncated_entry", "MRT record that ends in the middle of an entry") \
  X(kPrefixLength, "prefix_length", "network with more bits than an address has")         \
  X(kNoEntries, "no_entries", "MRT route without a path")                                 \
  X(kAttribute, "attribute", "MRT path attribute that is malformed; its field is null")   \
  X(kPeerIndex, "peer_index", "MRT route of a peer that is not listed; peer_as is null")  \
  X(kTreePointer, "tree_pointer", "MMDB tree record that points outside or back")         \
  X(kDataRecord, "data_record", "MMDB data record that is malformed")                     \
  X(kFieldType, "field_type", "MMDB value of another type than the column; null instead") \
  X(kNullKey, "null_key", "entry without a value for the primary key")                    \
  X(kRepeatedKey, "repeated_key", "entry whose primary key an earlier entry has")

enum class Skip : uint8_t {
#define BACKSTREAM_LOOKUP_SKIP(id, name, about) id,
  BACKSTREAM_LOOKUP_SKIPS(BACKSTREAM_LOOKUP_SKIP)
#undef BACKSTREAM_LOOKUP_SKIP
      kCount,
};
std::string_view name(Skip skip);   ///< "prefix_length": for metrics and tables
std::string_view about(Skip skip);  ///< for people

struct SkipCounts {
  std::array<uint64_t, static_cast<size_t>(Skip::kCount)> by_reason{};
  void add(Skip skip) { ++by_reason[static_cast<size_t>(skip)]; }
  uint64_t of(Skip skip) const { return by_reason[static_cast<size_t>(skip)]; }
  uint64_t total() const;
};

struct ReadLimits {
  TableLimits table;
  /// Octets of a file after decompression, where it is read into memory (CSV, JSON, MMDB); at most 4 GB - 1.
  uint64_t file_octets_max = uint64_t{2} << 30;
  /// The same of an MRT dump, of which only a record is in memory.
  uint64_t stream_octets_max = uint64_t{64} << 30;
};

struct ReadTable {
  std::shared_ptr<const Table> table;
  SkipCounts skipped;
};

/// Reads `path` in `format`, plain, gzip, zstd or bzip2. Errors: "58P01" no such file, "58030" it cannot be read,
/// "54000" over a limit, and those of the readers below.
base::Result<ReadTable> read_table_file(const std::string& path, Format format, const TableDefinition& definition,
                                        const ReadLimits& limits = {});

/// CSV as RFC 4180 and PostgreSQL's COPY ... (FORMAT csv, HEADER) have it. The first line names columns in any order;
/// the table's must all be there (case does not matter; see TableDefinition::partial_files), others are not read. A
/// field in quotes is text, also an empty one; an empty field without quotes is null. Values are read as PostgreSQL
/// reads them. Empty lines are passed over. Errors are located in `text` and end the reading: "22P04" not such a CSV,
/// "42703" a column is missing, "22021" not UTF-8, "23505" and "23502" for the primary key, the codes of
/// expr::parse_value for values.
base::Result<ReadTable> read_csv(std::string_view text, std::string_view source_name, const TableDefinition& definition,
                                 const ReadLimits& limits = {});

/// JSON (RFC 8259): an array of objects, one a row; names are those of columns, others are not read, and a column that
/// an object does not name is null there. Numbers and true/false may also stand in quotes; values are read as
/// PostgreSQL reads them. Errors are located in `text` and end the reading: "22P04" no JSON, or no array of objects,
/// "42701" a name twice in an object, "22P02" an array or object as a value, and for keys and values as read_csv().
base::Result<ReadTable> read_json(std::string_view text, std::string_view source_name,
                                  const TableDefinition& definition, const ReadLimits& limits = {});

/// A dump of BGP tables (MRT, RFC 6396 TABLE_DUMP_V2, with RFC 8050's additional paths). Any of these columns:
///   prefix cidr        the network
///   asn bigint         origin AS of the first entry: the last AS of its path; null when the path is empty or ends in a
///   set as_path text       that entry's path: "64500 64501 {64502,64503}"; confederation segments are left out
///   next_hop inet      that entry's next hop
///   peer_as bigint     AS of the peer that the entry is of
/// Errors ("22P04"): damaged or cut, or without one route; "42703" and "42804" for columns that a dump does not give.
base::Result<ReadTable> read_mrt(ingest::OctetSource& octets, std::string_view source_name,
                                 const TableDefinition& definition, const ReadLimits& limits = {});

/// A MaxMind DB (format 2.0). `network` (or `prefix`) cidr is the network; IPv4 networks are IPv4, and the places of
/// the tree that repeat them (::ffff:0:0/96, 2002::/16, 2001::/32) are passed over. Other columns are fields by name,
/// with dots between the names of nested ones ("city.names.en"). Short names: asn = autonomous_system_number, name =
/// autonomous_system_organization, country = country.iso_code, where the database has them. A field that is not there
/// is null. Types: text, bigint and smaller, double precision, boolean.
///
/// This is a reader of our own: libmaxminddb 1.7 maps the file, so that cutting the file kills its readers, and
/// recurses over nested data without a limit, so that a file of 2 MB overflows the stack. Tests compare the two. Errors
/// ("22P04"): not an MMDB or damaged as a whole; "42804" for a column type that fields cannot have.
base::Result<ReadTable> read_mmdb(std::span<const uint8_t> octets, std::string_view source_name,
                                  const TableDefinition& definition, const ReadLimits& limits = {});

/// What remains when rows with a null or repeated primary key are left out (the first of equal keys stays); counts
/// them. For files that machines make; CSV files are refused instead.
std::shared_ptr<const Table> keep_unique_keys(std::shared_ptr<const Table> table,
                                              const std::vector<uint32_t>& primary_key, SkipCounts& skipped);

}  // namespace backstream::lookup
