#pragma once
#include <cstdint>
#include <vector>

#include "batch/flow_schema.h"
#include "lookup/lookup_table.h"

namespace backstream::enrich {

/// The columns of a table that AS numbers are filled from: `prefix` cidr and `asn` bigint.
lookup::TableDefinition as_table_definition();

/// Fills the columns of `flows` that no exporter sends: octets and packets scaled by the sampling rate, and the
/// prefixes of addresses; and src_as and dst_as where the exporter sent 0 or nothing, when there is a table for it.
/// Owns the memory of what it makes, valid until the next call. One thread.
class Enricher {
 public:
  /// @param wanted    columns that somebody reads
  /// @param as_table  of as_table_definition(), with a prefix table over column 0 (number 0); null: AS stay as sent
  explicit Enricher(const batch::FlowColumnSet& wanted, const lookup::LookupTable* as_table = nullptr);

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

  batch::FlowColumnSet wanted_, to_decode_;
  const lookup::LookupTable* as_table_;
  std::shared_ptr<const lookup::Snapshot> as_snapshot_;  ///< null: there is no table
  Derived octets_, packets_, source_, destination_, source_as_, destination_as_;
  std::vector<uint32_t> unknown_, matches_;
  uint64_t as_filled_count_ = 0, as_unknown_count_ = 0;
  uint64_t overflow_count_ = 0;
};

}  // namespace backstream::enrich
