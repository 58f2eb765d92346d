#pragma once
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "app/aggregation_threads.h"
#include "app/run_options.h"
#include "app/side_feeds.h"
#include "base/datagram.h"
#include "decode/decoder.h"
#include "decode/flow_writer.h"
#include "enrich/enrich.h"
#include "exec/engine.h"
#include "ingest/forwarder.h"
#include "ingest/source.h"
#include "inventory/inventory.h"
#include "window/watermark.h"

namespace backstream::app {

/// The way of a datagram through one process: source, decoder, enricher, engine; and the watermark beside it, which
/// moves between datagrams only, so that no verdict depends on the size of a batch (DESIGN rule 4). One thread.
class Pipeline {
 public:
  struct Options {
    config::Settings settings;
    uint32_t edges = 1;    ///< as the engine's
    uint32_t threads = 1;  ///< above 1: aggregation threads, each an edge half of the engine
    Deal deal;
    bool live = false;        ///< the source is sockets: our clock counts, and the live rules hold
    bool live_rules = false;  ///< in a replay, too, the skew, hold and future rules hold
    const lookup::LookupTable* as_table = nullptr;  ///< fills AS numbers (enrich/enrich.h); null: none does
    inventory::Inventory* inventory = nullptr;      ///< learns what exporters tell; null: nobody does
    bool exporters_read = false;                    ///< a query reads its table of exporters
    /// Asked once a second when live: whether a lookup table changed since the last time. May be empty.
    std::function<bool()> tables_changed;
    ingest::Forwarder* forwarder = nullptr;  ///< is given every datagram as it comes; null: there is none
  };
  /// @param engine  has its queries; it and the source must outlive the pipeline
  /// @param sites   labels of Datagram::site
  Pipeline(const Options& options, ingest::DatagramSource& source, exec::Engine& engine,
           std::vector<std::string> sites);
  ~Pipeline();

  /// Reads until the source ends or `go_on` says no; it is asked once a block (of a socket: at least every poll
  /// interval). Then closes all windows. Once.
  void run(const std::function<bool()>& go_on);

  /// The inventory's tables as of now; run() does this once a second.
  void publish_inventory();

  const decode::Decoder& decoder() const { return decoder_; }
  const window::WatermarkTracker& tracker() const { return tracker_; }
  /// As of the last datagram, before the end closed all windows.
  base::Micros watermark() { return tracker_.watermark(); }
  /// By decode::ExporterIndex: how often the engine waited for the watermark to reach a cut while this exporter was the
  /// furthest behind. May be shorter than the list of exporters.
  const std::vector<uint64_t>& holds() const { return holds_; }
  /// Adds up what the enrichers counted. Not during run().
  uint64_t as_filled_count() const;
  uint64_t as_unknown_count() const;
  /// False when `run` stopped before the end of its source.
  bool reached_end() const { return reached_end_; }

 private:
  class Edge;
  struct KnownSource;

  void take(const base::Datagram& datagram);
  Edge& edge_of(uint32_t site, const KnownSource& source);
  void flush();
  void hand_over(decode::FlowWriter& writer, batch::ColumnBatch& rows, const exec::RowsContext& context);
  void advance();
  void advance_arrival(base::Micros now);
  void refresh_tables();
  std::vector<inventory::ExporterFact> exporter_facts() const;

  const Options options_;
  const std::vector<std::string> sites_;  ///< labels of inputs, then those of the settings
  const bool live_rules_;
  ingest::DatagramSource& source_;
  exec::Engine& engine_;
  decode::Decoder decoder_;
  std::vector<enrich::Enricher> enrichers_;  // One a thread.
  window::WatermarkTracker tracker_;
  std::vector<std::unique_ptr<Edge>> edges_;
  SideFeeds side_;
  base::Micros cut_ = base::kMinTime + 1;  // The next watermark that the engine cares for.
  base::Micros arrival_cut_ = base::kMinTime + 1, arrival_watermark_ = base::kMinTime;
  base::Micros received_at_ = 0;  // Of the datagram at hand.
  base::Micros inventory_due_ = base::kMinTime;
  std::optional<uint32_t> behind_;  // Since the last cut.
  std::vector<uint64_t> holds_;
  uint64_t random_state_;
  bool reached_end_ = false;

  /// What is known of a source address before its datagram is decoded.
  struct KnownSource {
    decode::ExporterIndex exporter = 0;
    uint32_t edge = 0;
    bool introduced = false;                     ///< the tracker knows its delay
    uint32_t site = 0;                           ///< by the settings, where the input has no label; 0: none
    base::Micros first_seen = 0, last_seen = 0;  ///< arrival
  };
  struct AddressHash {
    size_t operator()(const base::Inet& address) const noexcept;
  };
  KnownSource& known(const base::Inet& address);
  std::unordered_map<base::Inet, KnownSource, AddressHash> sources_;  // At most the decoder's exporter limit.
  base::Inet last_address_;
  KnownSource* last_source_ = nullptr;
  KnownSource overflow_source_;                  // For all beyond the limit; the decoder drops their datagrams.
  std::unique_ptr<AggregationThreads> threads_;  // Null: one thread. Last: they use all of the above.
};

}  // namespace backstream::app
