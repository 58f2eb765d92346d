#pragma once
// Sites, exporters, interfaces, VRFs, applications: lookup tables that are there without a statement.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/inet.h"
#include "base/time.h"
#include "lookup/file_table.h"
#include "lookup/lookup_table.h"

namespace backstream::inventory {

using base::Micros;

/// What an exporter told of something that its flows have a number of: in options data (RFC 3954 §6.1, IPFIX ifName and
/// others), of an interface in sFlow counters, too. What it did not tell is empty or 0.
struct NameFact {
  enum class Of : uint8_t { kInterface, kVrf, kApplication };
  Of of = Of::kInterface;
  base::Inet exporter;
  uint64_t id = 0;  ///< if_index, VRF id, or applicationId's octets as a number
  std::string_view name, description;
  uint64_t bits_per_second = 0;  ///< of an interface
};
inline constexpr size_t kNameKinds = 3;

/// What was seen of an exporter so far.
struct ExporterFact {
  base::Inet exporter;
  std::string_view site;  ///< of its input or by the settings; empty: none
  std::string protocols;
  Micros first_seen = 0, last_seen = 0;  ///< arrival
  uint64_t datagrams = 0, records = 0;
  uint64_t template_count = 0;
  uint64_t sampling_rate_min = 0, sampling_rate_max = 0;  ///< equal: it has one; 0: unknown
  uint64_t sampling_unknown_rows = 0, missing = 0, undecodable = 0;
  Micros delay_p999_us = 0, clock_shift_us = 0;
  bool idle = false, held = false;
};

/// The tables `sites`, `exporters`, `interfaces`, `vrfs` and `applications` (docs/sql.md). Rows come from files of an
/// operator's inventory and from what exporters tell; where both have a value the file's counts. Later facts replace
/// earlier ones, so that an interface that got another number gets another name, too.
///
/// Files are polled by the thread that files() was given to; all else is of one thread, the pipeline's.
class Inventory {
 public:
  /// CSV or JSON, with any of the columns of the table besides its key; empty: there is none.
  struct Files {
    std::string sites, exporters, interfaces;
    Micros refresh_us = 60 * base::kMicrosPerSecond;
  };
  /// Reads the files. Errors: those of lookup::read_table_file, and of a role that is none of external, internal and
  /// customer ("22023").
  static base::Result<std::unique_ptr<Inventory>> open(const Files& files);

  const std::shared_ptr<lookup::LookupTable>& sites() const { return sites_.published; }
  const std::shared_ptr<lookup::LookupTable>& exporters() const { return exporters_.published; }
  const std::shared_ptr<lookup::LookupTable>& interfaces() const { return interfaces_.published; }
  const std::shared_ptr<lookup::LookupTable>& vrfs() const { return vrfs_.published; }
  const std::shared_ptr<lookup::LookupTable>& applications() const { return applications_.published; }
  /// The files that are there, for whoever looks at them again.
  std::vector<lookup::FileTable*> files() const;

  void observe(const NameFact& fact);
  /// All exporters, in any order: those that were told before are forgotten.
  /// @param now  arrival time, for the rates since the last call
  void observe(const std::vector<ExporterFact>& facts, Micros now);
  /// Makes the tables anew from what is known now, those that changed. True: some did.
  bool publish();

  /// Facts that found no room, or whose text is no UTF-8 (the fact is kept without it).
  uint64_t facts_refused() const { return facts_refused_; }
  static constexpr size_t kNamesMax = 1'000'000;  ///< of each kind, of all exporters
  static constexpr size_t kTextOctetsMax = 255;   ///< of a name or description; longer ones are cut

 private:
  /// A table that is published, and the file that it is made of beside facts.
  struct Part {
    std::shared_ptr<lookup::LookupTable> published;
    std::unique_ptr<lookup::LookupTable> file_rows;  ///< null: no file
    std::unique_ptr<lookup::FileTable> file;
    uint64_t file_version = 0;  ///< of file_rows, as published
    bool changed = false;       ///< facts came since the last publish()

    /// @param file_columns  how many of the table's columns, from the first, a file may have
    base::Result<void> open(lookup::TableDefinition definition, size_t file_columns, const std::string& path,
                            Micros refresh_us);
    bool due();
    std::shared_ptr<const lookup::Table> rows_of_file() const;
  };
  struct NameKey {
    base::Inet exporter;
    uint64_t id = 0;
    bool operator==(const NameKey&) const = default;
  };
  struct NameKeyHash {
    size_t operator()(const NameKey& key) const noexcept;
  };
  struct Named {
    std::string name, description;
    uint64_t bits_per_second = 0;
    bool in_file = false;  ///< while rows are made
  };
  using Names = std::unordered_map<NameKey, Named, NameKeyHash>;
  struct ExporterRow {
    ExporterFact fact;
    std::string site;
    double records_per_second = 0;
    Micros rate_since = 0;
    uint64_t rate_records = 0;
    bool in_file = false;
  };

  Inventory() = default;
  std::shared_ptr<const lookup::Table> make_interfaces();
  std::shared_ptr<const lookup::Table> make_exporters();
  std::shared_ptr<const lookup::Table> make_vrfs() const;
  std::shared_ptr<const lookup::Table> make_applications() const;
  Part& part_of(NameFact::Of of);
  Names& names_of(NameFact::Of of) { return names_[static_cast<size_t>(of)]; }
  const Names& names_of(NameFact::Of of) const { return names_[static_cast<size_t>(of)]; }
  /// Whether `text` has changed to a valid part of `told`.
  bool take_text(std::string& text, std::string_view told);

  Part sites_, exporters_, interfaces_, vrfs_, applications_;
  Names names_[kNameKinds];
  std::unordered_map<base::Inet, ExporterRow, base::InetHash> known_exporters_;
  uint64_t facts_refused_ = 0;
};

}  // namespace backstream::inventory
