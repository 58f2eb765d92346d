#include "app/prometheus_lines.h"

#include <algorithm>
#include <utility>

namespace backstream::app {
namespace {

using Role = receiver::PrometheusColumn::Role;

bool is_measured(std::string_view type) {
  constexpr std::string_view kTypes[] = {"smallint", "integer", "bigint", "double precision", "boolean"};
  return std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes);
}

/// What SQL prints as what Prometheus reads.
void to_sample(std::string& text) {
  constexpr std::pair<std::string_view, std::string_view> kOther[] = {
      {"t", "1"}, {"f", "0"}, {"Infinity", "+Inf"}, {"-Infinity", "-Inf"}};
  for (const auto& [sql, sample] : kOther) {
    if (text == sql) {
      text = sample;
      return;
    }
  }
}

}  // namespace

void PrometheusLines::begin(std::string_view query, const std::vector<Column>& columns) {
  std::vector<receiver::PrometheusColumn> made;
  measures_.clear();
  for (const Column& column : columns) {
    const Role role = column.key ? Role::kLabel : is_measured(column.type) ? Role::kMeasure : Role::kNone;
    const auto of = std::find_if(columns.begin(), columns.end(),
                                 [&](const Column& c) { return !c.name.empty() && c.name == column.stderr_of; });
    made.push_back({role, std::string(column.name), of == columns.end() ? -1 : static_cast<int>(of - columns.begin())});
    measures_.push_back(role == Role::kMeasure);
  }
  window_.emplace(query, "", std::move(made));
}

void PrometheusLines::add(std::vector<std::optional<std::string>> cells) {
  for (size_t c = 0; c < cells.size(); ++c) {
    if (measures_[c] && cells[c]) to_sample(*cells[c]);
  }
  window_->add(cells);
}

std::string PrometheusLines::end(receiver::PrometheusWindow::Facts facts) {
  window_->end(std::move(facts));
  receiver::PrometheusPage page;
  page.add(*window_);
  window_.reset();
  return page.text() + "# EOF\n";
}

}  // namespace backstream::app
