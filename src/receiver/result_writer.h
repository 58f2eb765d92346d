#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "batch/column_batch.h"
#include "exec/engine.h"
#include "receiver/prometheus_text.h"
#include "receiver/text_buffer.h"

namespace backstream::receiver {

enum class Format : uint8_t { kTable, kCsv, kJsonl, kPrometheus, kNone };
std::optional<Format> parse_format(std::string_view text);

/// Writes results as text. One thread.
///   csv    one header; times as PostgreSQL prints them; null is nothing, an empty text is ""; RFC 4180 quotes
///   jsonl  one object a row; times RFC 3339 with Z; integers as numbers; NaN and infinities as strings
///   table  for people: a caption with the window, aligned columns, standard errors in percent, the count of rows
///   prometheus  a page a window (receiver/prometheus_text.h), each with "# EOF" at its end, which to Prometheus is a
///          comment; the label `query` tells queries apart
///   none   counts only
/// Rows of several queries are told apart by a first column `view`; in CSV the header then is `view` and every column
/// name of the queries, once each, in order of appearance; a row leaves empty what its query does not have.
/// Final rows only; or, asked for revisions, csv and jsonl write the rows of each, with columns `_rev`, `_final`,
/// `_complete` and `_op`: 'u' for a row that is there, 'd' for one that the revision before had (its keys).
class ResultWriter : public exec::ResultSink {
 public:
  struct View {
    size_t query_index;  ///< exec::ResultBatch::query_index
    std::string name;
    const batch::Schema* schema;                       ///< of the query's visible columns; must outlive the writer
    std::shared_ptr<const ResultForm> form = nullptr;  ///< kPrometheus needs it; kTable knows standard errors by it
  };
  /// @param views  the queries whose rows are written; rows of others are ignored
  /// @param revisions  of csv and jsonl only
  ResultWriter(Format format, const std::vector<View>& views, int descriptor, bool revisions = false);
  ~ResultWriter() override;

  void on_result(const exec::ResultBatch& result) override;
  /// Writes out what is held: call when the rows of a moment are complete (live) and at the end.
  void flush() { text_.flush(); }
  /// errno of the first failed write, or 0. EPIPE: nobody reads any more, which is no failure.
  int error() const { return text_.error(); }
  uint64_t row_count() const { return row_count_; }

 private:
  /// How the values of a column become text.
  enum class Cell : uint8_t { kInteger, kTimestamp, kInet, kCidr, kBool, kText, kNumberByText, kByText };
  struct Field {
    Cell cell;
    batch::Type type;
    bool right_aligned;
    std::string name;
    std::string lead;              // What stands before the value: a comma, or ,"name":
    base::Micros cached_time = 0;  // kTimestamp: the value that cached_text holds; windows repeat it row by row.
    char cached_text[48];
    uint8_t cached_octets = 0;
  };
  struct Layout {
    std::string name;
    std::vector<Field> fields;
    std::string row_lead;  // CSV, JSONL: begins each row.
    std::string row_end;
    std::vector<int> csv_order;  // CSV of several queries: field by header column, -1 empty.
    size_t row_octets_max = 0;   // Of a row, beside texts and values by text.
    // Table: the rows whose widths are not fixed yet, then the widths.
    std::vector<std::string> cells;
    std::vector<size_t> widths;
    uint64_t window_rows = 0;
    bool header_written = false;
    // Prometheus: the window that is coming.
    std::shared_ptr<const ResultForm> form;
    std::optional<PrometheusWindow> window;
  };

  static Cell cell_of(batch::Type type);
  Layout* layout_of(size_t query_index);
  void write_csv_header();
  void write_rows(Layout& layout, const exec::ResultBatch& result);
  void write_page(Layout& layout, const exec::ResultBatch& result);
  void write_table(Layout& layout, const exec::ResultBatch& result);
  void write_table_rows(Layout& layout, const exec::ResultBatch& result);
  char* put_value(Field& field, const batch::Column& column, size_t row, char* at);
  char* put_text(std::string_view value, char* at);
  std::string table_cell(const Field& field, const batch::Column& column, size_t row) const;

  const Format format_;
  const bool revisions_;
  TextBuffer text_;
  std::vector<std::optional<Layout>> layouts_;  // By query index.
  bool several_ = false;
  uint64_t row_count_ = 0;
  const Layout* table_last_ = nullptr;  // Whose table stands last on the screen.
};

}  // namespace backstream::receiver
