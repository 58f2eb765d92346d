#pragma once
// The bytes between merge workers and receivers, version 1 (docs/design/0028-merge-workers.md). Little end first where
// an integer is fixed, LEB128 elsewhere:
//
//   "BSR" version:1 generation number message_count message... xxh3:8
//   message: kind:1 object version  octets:4 body
//   rows:    window_start window_end revision flags:1 edge_count edge...  a message of rows (partial/rows.h)
//   report:  frontier failure ledger [lost [whole gaps_until]]   (as far as there is something to tell)
//
// Generation and number tell repeats, and what a superseded worker still writes: those of a partition never decrease.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "exec/engine.h"
#include "partial/rows.h"

namespace backstream::cluster {

using base::Micros;

inline constexpr uint8_t kResultsVersion = 1;  ///< that is written; no other one is read

/// Which version of which query of the catalog.
struct QueryId {
  uint64_t object = 0;
  uint32_t version = 0;
  auto operator<=>(const QueryId&) const = default;
};

/// What is told of a query beside its rows.
struct QueryReport {
  exec::WindowLedger ledger;
  Micros frontier = base::kMinTime;  ///< how far its edges are
  std::string failure;               ///< why it was stopped; empty: it runs
  exec::Engine::Whole whole;         ///< of which windows it is known that they have no rows
  /// What its open windows hold: for who completes them, and not sent to others.
  std::optional<exec::Engine::Held> held = {};
};

/// Writes the messages of one version of a query. One thread.
class ResultWriter {
 public:
  ResultWriter(QueryId id, const batch::Schema& schema);
  /// One message or more: put(std::vector<uint8_t>&&) is called with each.
  template <typename Put>
  void write(const exec::ResultBatch& result, Put&& put) {
    size_t row = 0;
    do {
      row = add_rows(result, row);
      put(take(result, row == result.rows.row_count));
    } while (row < result.rows.row_count);
  }
  std::vector<uint8_t> write(const QueryReport& report) const;

 private:
  size_t add_rows(const exec::ResultBatch& result, size_t row);
  std::vector<uint8_t> take(const exec::ResultBatch& result, bool whole);

  const QueryId id_;
  partial::RowsWriter rows_;
  std::vector<uint32_t> numbers_;
};

/// Messages become one record of the log.
std::vector<uint8_t> write_result_record(uint64_t generation, uint64_t number, uint64_t message_count,
                                         std::span<const uint8_t> messages);

/// Views into the record's octets.
struct ResultMessage {
  enum class Kind : uint8_t { kRows = 1, kReport = 2 } kind = Kind::kRows;
  QueryId id;
  std::span<const uint8_t> body;
};
struct ResultRecord {
  uint64_t generation = 0, number = 0;
  std::vector<ResultMessage> messages;
};
/// False: it is no such record, of another version, or damaged.
bool read_result_record(std::span<const uint8_t> bytes, ResultRecord& record);
/// Of one that cannot be read: a newer version of the program has written it.
bool is_newer_result_record(std::span<const uint8_t> bytes);
/// Of rows: they are of a window, and more of its revision follow in the next message of the query.
bool is_continued(const ResultMessage& message);

/// Reads the bodies of one version of a query back. One thread.
class ResultReader {
 public:
  /// @param schema  of the query's rows; outlives this
  ResultReader(const batch::Schema& schema, size_t batch_rows);
  /// Gives the sink what the worker's engine gave; `query`, which is not known, is the caller's to set. False: the body
  /// does not fit the schema, and the sink got nothing.
  bool read_rows(const ResultMessage& message, std::string_view query, exec::ResultSink& sink);
  static bool read_report(const ResultMessage& message, QueryReport& report);

 private:
  const batch::Schema& schema_;
  partial::RowsReader rows_;
};

}  // namespace backstream::cluster
