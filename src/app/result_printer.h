#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "app/prometheus_lines.h"
#include "app/result_rows.h"
#include "receiver/result_writer.h"
#include "receiver/text_buffer.h"

namespace backstream::app {

/// Writes results that a server gave as `backstream run` writes its own: the same forms of csv and jsonl, byte for
/// byte, and of tables, which say in their caption when a window is not complete (receiver/result_writer.h). One
/// thread.
class ResultPrinter {
 public:
  /// @param rows_max  after so many no more are written
  ResultPrinter(receiver::Format format, bool revisions, int descriptor, uint64_t rows_max = UINT64_MAX);

  /// CSV begins with its header, also where no row follows. False: see put().
  bool begin(const std::vector<ResultColumn>& columns);
  /// Writes the part and flushes it. False: nobody reads any more, or rows_max are written.
  bool put(const ResultPart& part);

  /// errno of the first write that failed, 0: none did. EPIPE: the reader has gone, which is no failure.
  int error() const { return text_.error(); }
  uint64_t row_count() const { return row_count_; }
  /// CSV: the columns changed while it ran, and another header was written.
  bool header_changed() const { return header_changed_; }

 private:
  void put_lines(const ResultPart& part, size_t row_count);
  void put_page(const ResultPart& part, size_t row_count);
  void put_table(const ResultPart& part, size_t row_count);

  const receiver::Format format_;
  const bool revisions_;
  const uint64_t rows_max_;
  receiver::TextBuffer text_;
  uint64_t row_count_ = 0;
  bool header_changed_ = false;
  std::optional<std::vector<ResultColumn>> columns_;
  // Table: of the window that is on its way.
  std::string window_;
  std::vector<size_t> widths_;
  uint64_t window_rows_ = 0;
  bool header_written_ = false;
  PrometheusLines page_;
};

}  // namespace backstream::app
