#include "telemetry/exposition.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <cmath>

#include "base/utf8.h"

namespace backstream::telemetry {
namespace {

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }

bool is_name(std::string_view text, bool colons) {
  if (text.empty() || !(is_letter(text[0]) || (colons && text[0] == ':'))) return false;
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_letter(c) || (c >= '0' && c <= '9') || (colons && c == ':'); });
}

void append_escaped(std::string& out, std::string_view text, bool quotes) {
  while (!text.empty()) {
    // A zero octet is UTF-8, but nothing that tools downstream take.
    const size_t bad = base::find_bad_text(text);
    for (const char c : text.substr(0, bad)) {
      if (c == '\\') out += "\\\\";
      else if (c == '\n') out += "\\n";
      else if (c == '"' && quotes) out += "\\\"";
      else out += c;
    }
    if (bad == std::string_view::npos) return;
    out += "\xef\xbf\xbd";
    text.remove_prefix(bad + 1);
  }
}

std::string label_text(Exposition::Labels labels) {
  std::string text;
  for (const auto& [name, value] : labels) {
    assert(is_label_name(name));
    if (!text.empty()) text += ',';
    text.append(name).append("=\"");
    append_label_value(text, value);
    text += '"';
  }
  return text;
}

constexpr double kLatencyBounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};

}  // namespace

/// Names that begin with two underscores are Prometheus' own.
bool is_label_name(std::string_view text) { return is_name(text, false) && !text.starts_with("__"); }

void append_label_value(std::string& out, std::string_view text) { append_escaped(out, text, true); }

std::string sample_value(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "+Inf" : "-Inf";
  return fmt::format("{}", value);
}

Histogram::Histogram(std::span<const double> bounds)
    : bounds_(bounds.begin(), bounds.end()), counts_(new std::atomic<uint64_t>[bounds.size() + 1] {}) {
  for (size_t i = 0; i < bounds_.size(); ++i) {
    assert(std::isfinite(bounds_[i]));
    assert(i == 0 || bounds_[i - 1] < bounds_[i]);
  }
}

void Histogram::record(double value) noexcept {
  if (std::isnan(value)) return;
  const auto at = std::lower_bound(bounds_.begin(), bounds_.end(), value);
  counts_[static_cast<size_t>(at - bounds_.begin())].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

Histogram::Snapshot Histogram::snapshot() const {
  Snapshot copy;
  copy.bounds = bounds_;
  copy.counts.resize(bounds_.size() + 1);
  for (size_t i = 0; i < copy.counts.size(); ++i) copy.counts[i] = counts_[i].load(std::memory_order_relaxed);
  copy.sum = sum_.load(std::memory_order_relaxed);
  return copy;
}

Histogram::Snapshot& Histogram::Snapshot::operator+=(const Snapshot& other) {
  if (counts.empty()) return *this = other;
  assert(bounds == other.bounds);
  for (size_t i = 0; i < counts.size(); ++i) counts[i] += other.counts[i];
  sum += other.sum;
  return *this;
}

std::span<const double> latency_bounds_seconds() { return kLatencyBounds; }

void Exposition::family(std::string_view name, MetricKind kind, std::string_view help) {
  assert(is_name(name, true));
  assert(name.ends_with("_total") == (kind == MetricKind::kCounter));
  const bool is_new = families_.emplace(name).second;
  assert(is_new);
  static_cast<void>(is_new);
  name_ = name;
  kind_ = kind;
  seen_.clear();
  constexpr std::string_view kKinds[] = {"counter", "gauge", "histogram"};
  text_.append("# HELP ").append(name).append(" ");
  append_escaped(text_, help, false);
  text_ += fmt::format("\n# TYPE {} {}\n", name, kKinds[static_cast<size_t>(kind)]);
}

void Exposition::begin_series(Labels labels) {
  assert(!name_.empty());
  const bool is_new = seen_.insert(label_text(labels)).second;
  assert(is_new);
  static_cast<void>(is_new);
}

void Exposition::series(std::string_view suffix, Labels labels, std::string_view bound, std::string_view value) {
  std::string text = label_text(labels);
  if (!bound.empty()) text += fmt::format("{}le=\"{}\"", text.empty() ? "" : ",", bound);
  text_.append(name_).append(suffix);
  if (!text.empty()) text_.append("{").append(text).append("}");
  text_.append(" ").append(value).append("\n");
}

void Exposition::add(Labels labels, uint64_t value) {
  assert(kind_ != MetricKind::kHistogram);
  begin_series(labels);
  series("", labels, "", fmt::format("{}", value));
}

void Exposition::add(Labels labels, double value) {
  assert(kind_ != MetricKind::kHistogram);
  begin_series(labels);
  series("", labels, "", sample_value(value));
}

void Exposition::add(Labels labels, const Histogram::Snapshot& value) {
  assert(kind_ == MetricKind::kHistogram);
  assert(value.counts.size() == value.bounds.size() + 1);
  begin_series(labels);
  uint64_t count = 0;
  for (size_t i = 0; i < value.bounds.size(); ++i) {
    count += value.counts[i];
    series("_bucket", labels, sample_value(value.bounds[i]), fmt::format("{}", count));
  }
  count += value.counts.back();
  series("_bucket", labels, "+Inf", fmt::format("{}", count));
  series("_sum", labels, "", sample_value(value.sum));
  series("_count", labels, "", fmt::format("{}", count));
}

}  // namespace backstream::telemetry
