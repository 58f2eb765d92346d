#pragma once
// Windows of results as Prometheus' text exposition (0.0.4).
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "receiver/result_part.h"

namespace backstream::receiver {

/// What becomes of the columns of a result:
///   a key        a label, named after it
///   a measure    a family `backstream_result_QUERY_COLUMN` of gauges: what is a number or true and false, and no key
///   its standard error  a family that is named after the measure, with "_stderr" behind it
///   all else     nothing: the window's begin and end, and values that are neither
/// Octets that Prometheus does not take in a name become "_", a character one; what would be there twice, or is
/// Prometheus' own, gets "_" behind it.
struct PrometheusColumn {
  enum class Role : uint8_t { kNone, kLabel, kMeasure } role = Role::kNone;
  std::string name;    ///< of the column
  int stderr_of = -1;  ///< of measures: whose standard error it is; -1: of none
};
std::vector<PrometheusColumn> prometheus_columns(const ResultForm& form);

/// One window of one query. One thread writes it; then nobody changes it, and any thread may read it.
///
/// No more series than the bound: of more rows those with the largest first measure stay (then by their labels, so that
/// equal rows give equal text). Rows of no more than the bound are in memory at a time.
class PrometheusWindow {
 public:
  static constexpr size_t kSeriesMaxDefault = 10'000;

  /// @param publication  of a sink: a label more, as two of one query may stand on one page; empty: none
  /// @param series_max   of measures; at least one row is given
  PrometheusWindow(std::string_view query, std::string_view publication, std::vector<PrometheusColumn> columns,
                   size_t series_max = kSeriesMaxDefault);

  /// @param rows  of the columns given, any number
  void add(const batch::ColumnBatch& rows);
  /// A row as texts: of labels any, of measures what is to stand in the page; absent: null.
  void add(std::span<const std::optional<std::string>> cells);

  struct Facts {
    Micros start = 0, end = 0;
    int64_t revision = 1;
    bool complete = true;
    std::vector<std::string> sites_missing = {};
  };
  /// There are no more rows.
  void end(Facts facts);

  const Facts& facts() const { return facts_; }
  uint64_t rows_seen() const { return rows_seen_; }
  uint64_t rows_left_out() const { return rows_seen_ - rows_.size(); }  ///< after end()
  size_t measure_count() const { return families_.size(); }

 private:
  friend class PrometheusPage;
  struct Row {
    double rank = 0;  ///< by the first measure; what is none is last
    std::string labels;
    std::vector<std::string> values;  ///< by family; empty: null
  };
  static bool is_before(const Row& a, const Row& b);
  bool has_room_for(double rank) const;
  void keep(Row row);
  void append_label(std::string& labels, size_t column, std::string_view value, bool is_null) const;

  const std::vector<PrometheusColumn> columns_;
  std::string own_labels_;             ///< of the window, which each row's begin with
  std::vector<std::string> names_;     ///< by column: of its label
  std::vector<std::string> families_;  ///< by measure
  std::vector<size_t> measures_;       ///< their columns
  size_t rows_max_ = 1;
  std::vector<Row> rows_;  ///< a heap whose first goes first; after end() in their order
  uint64_t rows_seen_ = 0;
  Facts facts_;
};

/// Several windows on one page: each family once, by name.
class PrometheusPage {
 public:
  void add(const PrometheusWindow& window);
  std::string text() const;

 private:
  std::string& family(std::string_view name);
  std::map<std::string, std::string, std::less<>> families_;  ///< series by name
};

/// Of the newest window among `parts` (of one query, all revisions, by seq) that is final and there whole: its parts,
/// of its newest revision, those of removed rows with them. Empty: there is none.
std::vector<std::shared_ptr<const ResultPart>> newest_final_window(
    std::span<const std::shared_ptr<const ResultPart>> parts);
/// A page of that window. Without one it has no series.
std::string prometheus_of(std::string_view query, std::span<const std::shared_ptr<const ResultPart>> window);

}  // namespace backstream::receiver
