#include "app/side_feeds.h"

#include <algorithm>
#include <string>
#include <utility>

namespace backstream::app {
namespace {

using base::Micros;
using batch::SideStream;

constexpr Micros kMinute = 60 * base::kMicrosPerSecond;
/// How far their watermarks run behind our clock (Pipeline::advance_arrival): what a query's own delay is judged by.
constexpr Micros kDelay = base::kMicrosPerSecond;

const batch::SideStreamDef& def(SideStream stream) { return batch::side_streams()[static_cast<size_t>(stream)]; }

}  // namespace

SideFeeds::SideFeeds(exec::Engine& engine, size_t batch_rows, uint32_t edges, std::function<void()> before_rows)
    : engine_(engine), batch_rows_(batch_rows), before_rows_(std::move(before_rows)) {
  std::fill(std::begin(watermarks_), std::end(watermarks_), base::kMinTime);
  for (uint32_t number = 0; number < edges; ++number) edges_.push_back(std::make_unique<Edge>());
  queries_changed();
}

void SideFeeds::queries_changed() {
  read_.clear();
  cut_ = base::kMinTime + 1;
  for (const batch::SideStreamDef& stream : batch::side_streams()) {
    const bool is_read = engine_.is_read(stream.name);
    if (is_read) {
      read_.push_back(stream.stream);
      engine_.set_delay(stream.name, kDelay);
    }
    const std::vector<bool> wanted = engine_.columns_used(stream.name, stream.schema.columns.size());
    for (uint32_t number = 0; number < edges_.size(); ++number) {
      auto give = [this, number, which = stream.stream](const batch::ColumnBatch& rows) {
        before_rows_();
        exec::RowsContext context(number);
        for (Micros& watermark : context.watermarks) watermark = watermarks_[static_cast<size_t>(which)];
        engine_.process(def(which).name, rows, context);
      };
      edges_[number]->writers.set(stream.stream, is_read ? std::make_unique<decode::SideWriter>(
                                                               stream.schema, wanted, batch_rows_, std::move(give))
                                                         : nullptr);
    }
  }
}

void SideFeeds::flush() {
  for (const auto& edge : edges_) edge->writers.flush();
}

void SideFeeds::advance_to(Micros watermark, const std::vector<decode::Decoder*>& decoders) {
  // Minutes are written when they are over, so their own watermark stands at the begin of the one that is not.
  const Micros minute = base::floor_to(watermark, kMinute);
  if (minutes() != nullptr) decode::Decoder::write_minutes(decoders, minute, *minutes());
  flush();
  cut_ = base::kMaxTime;
  for (const SideStream stream : read_) {
    const bool by_minutes = stream == SideStream::kExporterMinutes;
    Micros& mark = watermarks_[static_cast<size_t>(stream)];
    mark = std::max(mark, by_minutes ? minute : watermark);
    for (const exec::Clock clock : {exec::Clock::kEvent, exec::Clock::kArrival}) {
      engine_.advance(def(stream).name, mark, clock);
      if (!by_minutes) cut_ = std::min(cut_, engine_.next_cut(def(stream).name, clock));
    }
    if (by_minutes) cut_ = std::min(cut_, minute + kMinute);
  }
}

void SideFeeds::finish(const std::vector<decode::Decoder*>& decoders) {
  if (read_.empty()) return;
  if (minutes() != nullptr) decode::Decoder::write_minutes(decoders, base::kMaxTime, *minutes());
  flush();
}

}  // namespace backstream::app
