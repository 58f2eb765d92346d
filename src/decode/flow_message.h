#pragma once
// Flows as messages of Protocol Buffers: the public schema (docs/flows.proto, docs/design/0026-flows-by-kafka.md) and
// goflow2's. Reading them is Decoder's, this is the rest.
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/datagram.h"
#include "batch/column_batch.h"
#include "batch/flow_schema.h"

namespace backstream::decode {

/// The exporter that a record of Kafka names, before anything else of it is read; family 0: none can be found, and its
/// flows cannot be counted for anybody.
/// @param form  not kExport
base::Inet exporter_of_message(base::PayloadForm form, std::span<const uint8_t> octets) noexcept;

/// Makes a FlowBatch of rows of one exporter: the same rows give the same octets on every machine. One thread.
class FlowBatchWriter {
 public:
  /// The columns that the schema has, but for the exporter and the site.
  static batch::FlowColumnSet columns();

  /// The key of the exporter's records: its address in network order, at `out` (16 octets). Returns its length.
  static size_t key_of(const base::Inet& exporter, uint8_t* out);

  struct Head {
    base::Inet exporter;
    std::string_view site;  ///< empty: not told
    base::Micros sent_at = 0;
    std::string_view node;  ///< empty: not told
  };
  /// Appends one message to `out`. Columns that have no memory, and nulls, are left out; a column that has the same
  /// value in all rows is written once.
  /// @param rows         decoded, and enriched or not: octets and packets are written where they differ from the raw
  /// ones
  /// @param row_numbers  of rows of the exporter, at least one, in the order in which they are written
  void write(const batch::ColumnBatch& rows, std::span<const uint32_t> row_numbers, const Head& head,
             std::vector<uint8_t>& out);

 private:
  std::vector<uint8_t> flow_;
};

}  // namespace backstream::decode
