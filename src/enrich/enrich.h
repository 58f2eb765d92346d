#pragma once
#include <cstdint>
#include <vector>

#include "batch/flow_schema.h"

namespace backstream::enrich {

/// Fills the columns of `flows` that no exporter sends: octets and packets scaled by the sampling rate, and the
/// prefixes of addresses. Owns the memory of what it makes, valid until the next call. One thread.
class Enricher {
 public:
  /// @param wanted  columns that somebody reads
  explicit Enricher(const batch::FlowColumnSet& wanted);

  /// What a decoder must fill: the wanted columns that exporters send, and what the derived ones are made of.
  const batch::FlowColumnSet& columns_to_decode() const { return to_decode_; }
  /// Adds the derived columns to a decoded batch.
  void enrich(batch::ColumnBatch& rows);
  /// Scaled counters beyond bigint: null, and counted here.
  uint64_t overflow_count() const { return overflow_count_; }

 private:
  struct Derived {
    std::vector<uint64_t> values;
    std::vector<uint8_t> validity;
  };
  void scale(batch::ColumnBatch& rows, batch::FlowColumn raw, batch::FlowColumn scaled, Derived& to);
  void prefix(batch::ColumnBatch& rows, batch::FlowColumn address, batch::FlowColumn length, batch::FlowColumn network,
              Derived& to);

  batch::FlowColumnSet wanted_, to_decode_;
  Derived octets_, packets_, source_, destination_;
  uint64_t overflow_count_ = 0;
};

}  // namespace backstream::enrich
