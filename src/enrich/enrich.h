#pragma once
#include <cstdint>
#include <vector>

#include "batch/flow_schema.h"
#include "lookup/lookup_table.h"

namespace backstream::enrich {

/// The columns of a table that AS numbers are filled from: `prefix` cidr and `asn` bigint.
lookup::TableDefinition as_table_definition();

/// Tables that columns are filled from; a null one fills nothing.
struct FillTables {
  const lookup::LookupTable* as = nullptr;  ///< of as_table_definition(), with a prefix table over column 0 (number 0)
  /// Key index 0 is over (exporter, if_index), and there is a column `name`.
  const lookup::LookupTable* interfaces = nullptr;
};

/// Fills the columns of `flows` that no exporter sends: octets and packets scaled by the sampling rate, and the
/// prefixes of addresses; src_as and dst_as where the exporter sent 0 or nothing, and names of interfaces that the
/// record does not have, when there are tables for them. Owns the memory of what it makes, valid until the next call.
/// One thread.
class Enricher {
 public:
  /// @param wanted    columns that somebody reads
  explicit Enricher(const batch::FlowColumnSet& wanted, const FillTables& tables = {});

  /// From now on other columns are read. Counters go on.
  void set_wanted(const batch::FlowColumnSet& wanted);
  /// What a decoder must fill: the wanted columns that exporters send, and what the derived ones are made of.
  const batch::FlowColumnSet& columns_to_decode() const { return to_decode_; }
  /// Adds the derived columns to a decoded batch.
  void enrich(batch::ColumnBatch& rows);
  /// Scaled counters beyond bigint: null, and counted here.
  uint64_t overflow_count() const { return overflow_count_; }
  /// Rows from now on are filled from the table as it is now.
  void refresh_tables();
  /// AS numbers that were filled, and those that stay 0 or null though there is a table: no network around the address.
  uint64_t as_filled_count() const { return as_filled_count_; }
  uint64_t as_unknown_count() const { return as_unknown_count_; }

 private:
  struct Derived {
    std::vector<uint64_t> values;
    std::vector<uint8_t> validity;
  };
  void scale(batch::ColumnBatch& rows, batch::FlowColumn raw, batch::FlowColumn scaled, Derived& to);
  void prefix(batch::ColumnBatch& rows, batch::FlowColumn address, batch::FlowColumn length, batch::FlowColumn network,
              Derived& to);

  void fill_as(batch::ColumnBatch& rows, batch::FlowColumn address, batch::FlowColumn as, Derived& to);
  struct Names {
    std::vector<std::string_view> values;
    std::vector<uint8_t> validity;
  };
  void fill_names(batch::ColumnBatch& rows, batch::FlowColumn interface, batch::FlowColumn name, Names& to);

  batch::FlowColumnSet wanted_, to_decode_;
  const FillTables tables_;
  std::shared_ptr<const lookup::Snapshot> as_snapshot_, interfaces_snapshot_;  ///< null: there is no table
  size_t interface_name_ = 0;                                                  ///< column of the table
  Derived octets_, packets_, source_, destination_, source_as_, destination_as_;
  Names in_if_name_, out_if_name_;
  std::vector<uint32_t> unknown_, matches_;
  uint64_t as_filled_count_ = 0, as_unknown_count_ = 0;
  uint64_t overflow_count_ = 0;
};

}  // namespace backstream::enrich
