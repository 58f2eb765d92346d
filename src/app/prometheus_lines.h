#pragma once
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "receiver/prometheus_text.h"

namespace backstream::app {

/// Windows that a server gave, each as a page for Prometheus (receiver/prometheus_text.h) that ends in "# EOF", which
/// to Prometheus is a comment. One thread.
class PrometheusLines {
 public:
  struct Column {
    std::string_view name, type;  ///< SQL's name of the type
    bool key = false;
    std::string_view stderr_of = {};  ///< a column; empty: of none
  };
  void begin(std::string_view query, const std::vector<Column>& columns);
  /// @param cells  of each column, as fields of CSV are without their quotes; absent: null
  void add(std::vector<std::optional<std::string>> cells);
  std::string end(receiver::PrometheusWindow::Facts facts);
  bool has_begun() const { return window_.has_value(); }

 private:
  std::vector<bool> measures_;
  std::optional<receiver::PrometheusWindow> window_;
};

}  // namespace backstream::app
