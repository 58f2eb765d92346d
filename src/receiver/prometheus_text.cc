#include "receiver/prometheus_text.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <limits>
#include <tuple>
#include <unordered_set>
#include <utility>

#include "expr/expr.h"
#include "telemetry/exposition.h"

namespace backstream::receiver {

using batch::Type;
using Role = PrometheusColumn::Role;
using telemetry::sample_value;

namespace {

constexpr std::string_view kMeasures = "backstream_result_";
constexpr std::string_view kMeasureHelp = "A measure of a query, of its newest final window.";
constexpr double kNoRank = -std::numeric_limits<double>::infinity();

/// What is told of the window itself. No query's measure has such a name.
constexpr std::pair<std::string_view, std::string_view> kWindowFamilies[] = {
    {"backstream_newest_window_complete", "0: flows of the window are missing."},
    {"backstream_newest_window_end_timestamp_seconds", "When the window ends that a query's measures are of."},
    {"backstream_newest_window_revision", "How often it was given."},
    {"backstream_newest_window_rows", "Rows that it has."},
    {"backstream_newest_window_rows_left_out", "Those of them that are not given: beyond series_max, or alike."},
    {"backstream_newest_window_site_missing", "1: a site's flows are not all in it."},
    {"backstream_newest_window_start_timestamp_seconds", "When it begins."},
};

std::string seconds(Micros time) {
  return sample_value(static_cast<double>(time) / static_cast<double>(base::kMicrosPerSecond));
}

/// Of any text one that may stand within a name.
std::string sanitised(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
    const bool continues = (static_cast<unsigned char>(c) & 0xC0) == 0x80;
    if (plain || !continues) out += plain ? c : '_';
  }
  return out;
}

std::string label_name(std::string_view text) {
  std::string name = sanitised(text);
  while (name.starts_with("__")) name.erase(0, 1);  // Prometheus' own.
  if (name.empty() || (name[0] >= '0' && name[0] <= '9')) return fmt::format("_{}", name);
  return name;
}

std::string unlike(std::string name, const std::vector<std::string>& taken) {
  while (std::find(taken.begin(), taken.end(), name) != taken.end()) name += '_';
  return name;
}

std::string value_of(const batch::Column& column, size_t row) {
  if (column.is_null(row)) return {};
  switch (batch::physical(column.type)) {
    case batch::Physical::kByte: return column.as<uint8_t>()[row] != 0 ? "1" : "0";
    case batch::Physical::kDouble: return sample_value(column.as<double>()[row]);
    default: return fmt::format("{}", column.as<int64_t>()[row]);
  }
}

/// A number that orders; NaN and null are last.
double rank_of(const batch::Column& column, size_t row) {
  if (column.is_null(row)) return kNoRank;
  switch (batch::physical(column.type)) {
    case batch::Physical::kByte: return column.as<uint8_t>()[row];
    case batch::Physical::kDouble: {
      const double value = column.as<double>()[row];
      return value == value ? value : kNoRank;
    }
    default: return static_cast<double>(column.as<int64_t>()[row]);
  }
}

double rank_of(std::string_view text) {
  double value = kNoRank;
  if (text.starts_with('+')) text.remove_prefix(1);
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value == value ? value : kNoRank;
}

}  // namespace

std::vector<PrometheusColumn> prometheus_columns(const ResultForm& form) {
  std::vector<PrometheusColumn> columns;
  for (int c = 0; c < static_cast<int>(form.schema.columns.size()); ++c) {
    const batch::ColumnDef& def = form.schema.columns[static_cast<size_t>(c)];
    PrometheusColumn& column = columns.emplace_back();
    column.name = def.name;
    if (!form.stderr_of.empty()) column.stderr_of = form.stderr_of[static_cast<size_t>(c)];
    if (c == form.window_start_column || c == form.window_end_column) continue;
    if (tells_rows_apart(form, c)) column.role = Role::kLabel;
    else if (batch::is_numeric(def.type) || def.type == Type::kBool) column.role = Role::kMeasure;
  }
  return columns;
}

PrometheusWindow::PrometheusWindow(std::string_view query, std::string_view publication,
                                   std::vector<PrometheusColumn> columns, size_t series_max)
    : columns_(std::move(columns)), names_(columns_.size()) {
  own_labels_ = "query=\"";
  telemetry::append_label_value(own_labels_, query);
  own_labels_ += '"';
  if (!publication.empty()) {
    own_labels_ += ",publication=\"";
    telemetry::append_label_value(own_labels_, publication);
    own_labels_ += '"';
  }
  std::vector<std::string> labels = {"query", "publication"};
  for (size_t c = 0; c < columns_.size(); ++c) {
    if (columns_[c].role == Role::kLabel) {
      names_[c] = unlike(label_name(columns_[c].name), labels);
      labels.push_back(names_[c]);
    } else if (columns_[c].role == Role::kMeasure) {
      const int of = columns_[c].stderr_of;
      const std::string measure =
          of < 0 ? sanitised(columns_[c].name) : sanitised(columns_[static_cast<size_t>(of)].name) + "_stderr";
      families_.push_back(unlike(fmt::format("{}{}_{}", kMeasures, sanitised(query), measure), families_));
      measures_.push_back(c);
    }
  }
  rows_max_ = std::max<size_t>(series_max / std::max<size_t>(measures_.size(), 1), 1);
}

bool PrometheusWindow::is_before(const Row& a, const Row& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.labels < b.labels;
}

bool PrometheusWindow::has_room_for(double rank) const {
  return rows_.size() < rows_max_ || rank >= rows_.front().rank;
}

void PrometheusWindow::keep(Row row) {
  rows_.push_back(std::move(row));
  std::push_heap(rows_.begin(), rows_.end(), is_before);
  if (rows_.size() <= rows_max_) return;
  std::pop_heap(rows_.begin(), rows_.end(), is_before);
  rows_.pop_back();
}

/// Null is no label, which to Prometheus is the same as an empty one: so an empty text is "", as in CSV.
void PrometheusWindow::append_label(std::string& labels, size_t column, std::string_view value, bool is_null) const {
  if (is_null) return;
  labels.append(",").append(names_[column]).append("=\"");
  telemetry::append_label_value(labels, value.empty() ? std::string_view("\"\"") : value);
  labels += '"';
}

void PrometheusWindow::add(const batch::ColumnBatch& rows) {
  for (size_t r = 0; r < rows.row_count; ++r) {
    ++rows_seen_;
    const double rank = measures_.empty() ? 0 : rank_of(rows.columns[measures_.front()], r);
    if (!has_room_for(rank)) continue;
    Row row{rank, own_labels_, {}};
    for (size_t c = 0; c < columns_.size(); ++c) {
      if (columns_[c].role != Role::kLabel) continue;
      const batch::Column& column = rows.columns[c];
      const bool is_null = column.is_null(r);
      append_label(row.labels, c, is_null ? "" : expr::value_text(expr::value_at(column, r), column.type), is_null);
    }
    for (const size_t c : measures_) row.values.push_back(value_of(rows.columns[c], r));
    keep(std::move(row));
  }
}

void PrometheusWindow::add(std::span<const std::optional<std::string>> cells) {
  ++rows_seen_;
  const double rank = measures_.empty() ? 0 : rank_of(cells[measures_.front()].value_or(""));
  if (!has_room_for(rank)) return;
  Row row{rank, own_labels_, {}};
  for (size_t c = 0; c < columns_.size(); ++c) {
    if (columns_[c].role == Role::kLabel) append_label(row.labels, c, cells[c].value_or(""), !cells[c]);
  }
  for (const size_t c : measures_) row.values.push_back(cells[c].value_or(""));
  keep(std::move(row));
}

void PrometheusWindow::end(Facts facts) {
  facts_ = std::move(facts);
  std::sort_heap(rows_.begin(), rows_.end(), is_before);
  // Keys that differ only in what cannot be told, such as octets that are no UTF-8; of rows without keys one is left.
  std::unordered_set<std::string_view> seen;
  std::vector<Row> kept;
  kept.reserve(rows_.size());
  for (Row& row : rows_) {
    if (seen.contains(row.labels)) continue;
    kept.push_back(std::move(row));
    seen.insert(kept.back().labels);
  }
  rows_ = std::move(kept);
}

std::string& PrometheusPage::family(std::string_view name) {
  const auto at = families_.find(name);
  return at != families_.end() ? at->second : families_.emplace(name, "").first->second;
}

void PrometheusPage::add(const PrometheusWindow& window) {
  const auto line = [](std::string& to, std::string_view name, std::string_view labels, std::string_view value) {
    to.append(name).append("{").append(labels).append("} ").append(value).append("\n");
  };
  const PrometheusWindow::Facts& facts = window.facts();
  const std::pair<std::string_view, std::string> told[] = {
      {"backstream_newest_window_complete", facts.complete ? "1" : "0"},
      {"backstream_newest_window_end_timestamp_seconds", seconds(facts.end)},
      {"backstream_newest_window_revision", fmt::format("{}", facts.revision)},
      {"backstream_newest_window_rows", fmt::format("{}", window.rows_seen())},
      {"backstream_newest_window_rows_left_out", fmt::format("{}", window.rows_left_out())},
      {"backstream_newest_window_start_timestamp_seconds", seconds(facts.start)},
  };
  for (const auto& [name, value] : told) line(family(name), name, window.own_labels_, value);
  for (const std::string& site : facts.sites_missing) {
    std::string labels = window.own_labels_ + ",site=\"";
    telemetry::append_label_value(labels, site);
    line(family("backstream_newest_window_site_missing"), "backstream_newest_window_site_missing", labels + '"', "1");
  }
  for (size_t f = 0; f < window.families_.size(); ++f) {
    const std::string& name = window.families_[f];
    std::string& series = family(name);  // Also without rows: who looks for it learns that it is known.
    for (const PrometheusWindow::Row& row : window.rows_) {
      if (!row.values[f].empty()) line(series, name, row.labels, row.values[f]);
    }
  }
}

std::string PrometheusPage::text() const {
  std::string text;
  for (const auto& [name, series] : families_) {
    std::string_view help = kMeasureHelp;
    for (const auto& [known, about] : kWindowFamilies) help = name == known ? about : help;
    text += fmt::format("# HELP {0} {1}\n# TYPE {0} gauge\n", name, help);
    text += series;
  }
  return text;
}

std::vector<std::shared_ptr<const ResultPart>> newest_final_window(
    std::span<const std::shared_ptr<const ResultPart>> parts) {
  using Identity = std::tuple<Micros, Micros, int>;
  std::map<Identity, std::vector<std::shared_ptr<const ResultPart>>> windows;
  for (const auto& part : parts) {
    if (part->windowed() && part->final)
      windows[{part->window_end, part->window_start, part->revision}].push_back(part);
  }
  for (auto at = windows.rbegin(); at != windows.rend(); ++at) {
    // Parts are numbered from 0 on, those of removed rows with them: history may lack some.
    if (at->second.back()->last && at->second.size() == at->second.back()->part + size_t{1})
      return std::move(at->second);
  }
  return {};
}

std::string prometheus_of(std::string_view query, std::span<const std::shared_ptr<const ResultPart>> window) {
  PrometheusPage page;
  if (!window.empty()) {
    const ResultPart& last = *window.back();
    PrometheusWindow shown(query, "", prometheus_columns(*last.form));
    for (const auto& part : window) {
      if (!part->removed) shown.add(part->rows);
    }
    shown.end({last.window_start, last.window_end, last.revision, last.complete, last.sites_missing});
    page.add(shown);
  }
  return page.text();
}

}  // namespace backstream::receiver
