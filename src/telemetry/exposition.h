#pragma once
// What Prometheus reads: the text exposition format, version 0.0.4.
#include <atomic>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace backstream::telemetry {

inline constexpr std::string_view kExpositionType = "text/plain; version=0.0.4; charset=utf-8";

/// Whether Prometheus takes it as the name of a label: [a-zA-Z_][a-zA-Z0-9_]*, and not with two underscores first.
bool is_label_name(std::string_view text);
/// What stands between the quotes of a label: any octets; escaped, and what is not UTF-8 becomes U+FFFD.
void append_label_value(std::string& out, std::string_view text);
/// "NaN", "+Inf" and "-Inf" as the format has them.
std::string sample_value(double value);

/// Counts values in buckets that never change. Any thread records, without a lock; any thread reads.
class Histogram {
 public:
  /// @param bounds  upper bounds, inclusive, ascending and finite; beyond the last there is one bucket more
  explicit Histogram(std::span<const double> bounds);
  Histogram(std::initializer_list<double> bounds) : Histogram(std::span(bounds.begin(), bounds.size())) {}

  /// What is no number is left out.
  void record(double value) noexcept;

  struct Snapshot {
    std::vector<double> bounds;
    std::vector<uint64_t> counts;  ///< one more than bounds; each bucket its own, not those below it
    double sum = 0;
    Snapshot& operator+=(const Snapshot& other);  ///< of equal bounds
  };
  /// What is recorded meanwhile may be in the counts and not in the sum yet.
  Snapshot snapshot() const;

 private:
  const std::vector<double> bounds_;
  const std::unique_ptr<std::atomic<uint64_t>[]> counts_;
  std::atomic<double> sum_{0};
};

/// From 1 ms to a minute: answers, and how long after its window a result is seen.
std::span<const double> latency_bounds_seconds();

enum class MetricKind : uint8_t { kCounter, kGauge, kHistogram };

/// One page, written family by family in the order of the calls: equal calls, equal octets. A name that the format does
/// not take, a family that was there before, a counter without "_total" (or another kind with it) and two series of the
/// same labels are our own mistakes (asserted). Values of labels may be any octets: they are escaped, and what is not
/// UTF-8 becomes U+FFFD. One thread.
class Exposition {
 public:
  using Label = std::pair<std::string_view, std::string_view>;
  using Labels = std::initializer_list<Label>;

  /// Begins a family; the series that follow are its. One without series is on the page, too: who looks for it learns
  /// that it is known and has nothing to say.
  /// @param help  one sentence; line ends and backslashes are escaped
  void family(std::string_view name, MetricKind kind, std::string_view help);
  void add(Labels labels, uint64_t value);
  void add(Labels labels, double value);  ///< NaN and infinities are written as the format has them
  void add(Labels labels, const Histogram::Snapshot& value);

  const std::string& text() const { return text_; }

 private:
  void begin_series(Labels labels);
  void series(std::string_view suffix, Labels labels, std::string_view bound, std::string_view value);

  std::string text_;
  std::set<std::string, std::less<>> families_;
  std::string name_;
  MetricKind kind_ = MetricKind::kGauge;
  std::set<std::string> seen_;  // Labels of the current family.
};

}  // namespace backstream::telemetry
