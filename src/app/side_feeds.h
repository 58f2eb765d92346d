#pragma once
#include <functional>
#include <memory>
#include <vector>

#include "decode/decoder.h"
#include "exec/engine.h"

namespace backstream::app {

/// What a pipeline does for the streams beside flows (docs/design/0013-side-streams.md): writers for those that a query
/// reads, and their watermarks, which follow our clock alone. Writers of an edge: its thread; all else: while no
/// datagram is under way.
class SideFeeds {
 public:
  /// @param engine      has its queries; outlives this
  /// @param edges       edge halves that have rows of their own
  /// @param before_rows called before rows are handed to the engine: no other thread may be in it
  SideFeeds(exec::Engine& engine, size_t batch_rows, uint32_t edges, std::function<void()> before_rows);

  /// The engine's queries are others: writers for what they read. The rows of before have been flushed.
  void queries_changed();
  /// For Decoder::decode(); null: no query reads any of them.
  decode::SideWriters* writers(uint32_t edge) { return read_.empty() ? nullptr : &edges_[edge]->writers; }
  /// No datagram that arrived before `watermark` is expected any more. Never less than before.
  void advance(base::Micros watermark, const std::vector<decode::Decoder*>& decoders) {
    if (!read_.empty() && watermark >= cut_) advance_to(watermark, decoders);
  }
  void flush();
  /// Before the engine finishes: the minutes that are not over yet.
  void finish(const std::vector<decode::Decoder*>& decoders);

 private:
  struct Edge {
    decode::SideWriters writers;
  };
  void advance_to(base::Micros watermark, const std::vector<decode::Decoder*>& decoders);
  decode::SideWriter* minutes() { return edges_[0]->writers.of(batch::SideStream::kExporterMinutes); }

  exec::Engine& engine_;
  const size_t batch_rows_;
  const std::function<void()> before_rows_;
  std::vector<batch::SideStream> read_;
  std::vector<std::unique_ptr<Edge>> edges_;
  base::Micros watermarks_[batch::kSideStreamCount];
  base::Micros cut_ = base::kMinTime + 1;  ///< the next watermark that matters
};

}  // namespace backstream::app
