#include "sink/prometheus_target.h"

#include <fmt/format.h>

#include <filesystem>

#include "base/files.h"

namespace backstream::sink {

using receiver::PrometheusPage;
using receiver::PrometheusWindow;

namespace {

/// Windows come one after the other, but for what is given again after a restart.
constexpr size_t kComingMax = 4;

Result<void> write_file(const std::string& path, const std::string& text) {
  if (auto written = base::write_atomically(path, {reinterpret_cast<const uint8_t*>(text.data()), text.size()},
                                            /*for_others=*/true);
      !written) {
    auto error = std::move(written.error());
    error.code = "58030";
    return tl::unexpected(std::move(error));
  }
  return {};
}

}  // namespace

void PrometheusPages::show(const std::string& publication, const void* owner, Window window) {
  const std::lock_guard lock(mutex_);
  shown_[publication] = {owner, std::move(window)};
}

void PrometheusPages::remove(const std::string& publication, const void* owner) {
  const std::lock_guard lock(mutex_);
  const auto at = shown_.find(publication);
  if (at != shown_.end() && at->second.first == owner) shown_.erase(at);
}

std::string PrometheusPages::text() const {
  std::vector<Window> windows;
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, one] : shown_) windows.push_back(one.second);
  }
  PrometheusPage page;
  for (const Window& window : windows) page.add(*window);
  return page.text();
}

PrometheusPages::Window PrometheusPages::find(std::string_view publication) const {
  const std::lock_guard lock(mutex_);
  const auto at = shown_.find(publication);
  return at == shown_.end() ? nullptr : at->second.second;
}

PrometheusTarget::~PrometheusTarget() {
  if (options_.pages != nullptr) options_.pages->remove(options_.sink, this);
}

Result<uint64_t> PrometheusTarget::open() {
  if (has_begun_) return seq_;
  auto begin = options_.begin_after();
  if (!begin) return begin;
  seq_ = *begin;
  has_begun_ = true;
  return seq_;
}

Result<void> PrometheusTarget::deliver(Parts parts) {
  for (const auto& part : parts) {
    if (!part->windowed() || !part->final) continue;
    const Identity identity{{part->window_end, part->window_start}, part->revision};
    if (part->part == 0) {
      coming_[identity] = {std::make_shared<PrometheusWindow>(options_.query, options_.sink,
                                                              prometheus_columns(*part->form), options_.series_max),
                           0};
      if (coming_.size() > kComingMax) coming_.erase(coming_.begin());
    }
    const auto at = coming_.find(identity);
    if (at == coming_.end()) continue;
    if (at->second.parts != part->part) {  // History has lost one: what is not whole is not shown.
      coming_.erase(at);
      continue;
    }
    ++at->second.parts;
    if (!part->removed) at->second.window->add(part->rows);
    if (!part->last) continue;
    auto window = std::move(at->second.window);
    coming_.erase(at);
    if (part->window_end < shown_end_) continue;
    if (auto shown = show(*part, std::move(window)); !shown) {
      // What was gathered before would not come again: the newest window is begun with anew.
      coming_.clear();
      has_begun_ = false;
      return shown;
    }
  }
  if (!parts.empty()) seq_ = parts.back()->seq;
  return {};
}

Result<void> PrometheusTarget::show(const ResultPart& last, std::shared_ptr<PrometheusWindow> window) {
  window->end({last.window_start, last.window_end, last.revision, last.complete, last.sites_missing});
  if (options_.pages != nullptr) {
    options_.pages->show(options_.sink, this, window);
  } else {
    PrometheusPage page;
    page.add(*window);
    if (auto written = write_file(options_.file, page.text()); !written) return written;
  }
  shown_end_ = last.window_end;
  rows_left_out_ += window->rows_left_out();
  return {};
}

Result<void> PrometheusTarget::pass_over(const ResultPart& part) {
  seq_ = part.seq;
  return {};
}

Result<std::string> PrometheusTarget::test() {
  if (options_.pages != nullptr) {
    const std::string page = "/metrics/results/" + options_.sink;
    const auto window = options_.pages->find(options_.sink);
    if (!window) return fmt::format("Prometheus can read {}; there is no final window to show yet", page);
    return fmt::format("Prometheus can read {}: the window that ended at {}, {} of its {} rows, {} measures each", page,
                       base::format_rfc3339(window->facts().end), window->rows_seen() - window->rows_left_out(),
                       window->rows_seen(), window->measure_count());
  }
  const std::string probe = options_.file + ".probe";
  if (auto written = write_file(probe, "# probe\n"); !written) return tl::unexpected(std::move(written.error()));
  std::error_code ignored;
  std::filesystem::remove(probe, ignored);
  return fmt::format("{} can be written", options_.file);
}

}  // namespace backstream::sink
