#pragma once
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "receiver/prometheus_text.h"
#include "sink/target.h"

namespace backstream::sink {

using base::Micros;

/// The newest windows of sinks that Prometheus asks for, on pages of this process. Any thread.
class PrometheusPages {
 public:
  using Window = std::shared_ptr<const receiver::PrometheusWindow>;

  /// @param owner  who shows it, and takes it away again: a sink may be made anew while the one before it ends
  void show(const std::string& publication, const void* owner, Window window);
  void remove(const std::string& publication, const void* owner);

  std::string text() const;
  /// Null: nothing of it is shown yet.
  Window find(std::string_view publication) const;

 private:
  mutable std::mutex mutex_;
  std::map<std::string, std::pair<const void*, Window>, std::less<>> shown_;
};

struct PrometheusOptions {
  std::string sink, query;
  size_t series_max = receiver::PrometheusWindow::kSeriesMaxDefault;
  /// Where to begin: before the newest window that history has; 0: there is none. Errors: 58030.
  std::function<Result<uint64_t>()> begin_after;
  /// One of both. A file is replaced whole by each newer window, for programs that collect such files.
  PrometheusPages* pages = nullptr;  ///< outlives the target
  std::string file = {};
};

/// The newest final window of a query, for Prometheus. It has nothing durable, and needs nothing: what it shows is in
/// history, so that it begins, after any end, with the newest window that is there, and goes on from it. Until then a
/// page has nothing of the sink; a file stays as it was.
///
/// Memory: rows of no more than series_max, of the window that is shown and of those that are coming.
class PrometheusTarget final : public Target {
 public:
  explicit PrometheusTarget(PrometheusOptions options) : options_(std::move(options)) {}
  /// Takes its window off the pages.
  ~PrometheusTarget() override;

  Result<uint64_t> open() override;
  Result<void> deliver(Parts parts) override;
  Result<void> pass_over(const ResultPart& part) override;
  /// What was shown before is shown no more, or still is: there is nothing to do.
  Result<void> repeat(Parts) override { return {}; }
  Result<std::string> test() override;
  uint64_t rows_left_out() const override { return rows_left_out_; }

 private:
  /// A window that is not whole yet.
  struct Coming {
    std::shared_ptr<receiver::PrometheusWindow> window;
    uint32_t parts = 0;  ///< that have come; their numbers are 0 and on
  };
  Result<void> show(const ResultPart& last, std::shared_ptr<receiver::PrometheusWindow> window);

  const PrometheusOptions options_;
  bool has_begun_ = false;
  uint64_t seq_ = 0;
  Micros shown_end_ = base::kMinTime;
  using Identity = std::pair<std::pair<Micros, Micros>, int>;  ///< end and start, revision
  std::map<Identity, Coming> coming_;
  uint64_t rows_left_out_ = 0;
};

}  // namespace backstream::sink
