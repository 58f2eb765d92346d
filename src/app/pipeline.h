#pragma once
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "app/aggregation_threads.h"
#include "app/flow_topics.h"
#include "app/run_options.h"
#include "app/side_feeds.h"
#include "base/datagram.h"
#include "decode/decoder.h"
#include "decode/flow_writer.h"
#include "decode/sequence_order.h"
#include "decode/template_store.h"
#include "enrich/enrich.h"
#include "exec/engine.h"
#include "ingest/forwarder.h"
#include "ingest/source.h"
#include "inventory/inventory.h"
#include "window/watermark.h"

namespace backstream::app {

/// The way of a datagram through one process: source, decoder, enricher, engine; and the watermark beside it, which
/// moves between datagrams only, so that no verdict depends on the size of a batch (DESIGN rule 4).
///
/// A replay runs on the thread that calls run(), and the watermark moves after any datagram. Sockets are read by
/// threads of their own, each from socket to partial aggregates (a lane); they tell the watermark of a block when it
/// has been read, and the thread that calls run() has them rest between blocks while it advances the engine. Where the
/// datagrams of one exporter come to any of them (ingest.steering), the numbers of its messages are put in order for
/// all (docs/design/0014-sockets-and-forwarding.md).
class Pipeline {
 public:
  struct Options {
    config::Settings settings;
    uint32_t edges = 1;  ///< as the engine's
    /// Above 1, each an edge half of the engine. Replay: threads that aggregate what the one that reads hands them.
    /// Live: as many as there are sources, which receive, decode and aggregate.
    uint32_t threads = 1;
    Deal deal;
    bool live = false;        ///< the sources are sockets: our clock counts, and the live rules hold
    bool live_rules = false;  ///< in a replay, too, the skew, hold and future rules hold
    const lookup::LookupTable* as_table = nullptr;         ///< fills AS numbers (enrich/enrich.h); null: none does
    std::shared_ptr<decode::TemplateStore> announcements;  ///< of exporters, kept over a restart; null: none are
    inventory::Inventory* inventory = nullptr;             ///< learns what exporters tell; null: nobody does
    bool exporters_read = false;                           ///< a query reads its table of exporters
    /// Asked once a second when live: whether a lookup table changed since the last time. May be empty.
    std::function<bool()> tables_changed;
    ingest::Forwarder* forwarder = nullptr;  ///< is given every datagram as it comes; null: there is none
    FlowOutput* flow_output = nullptr;       ///< is given every row as it is enriched; null: there is none
    /// Called live and at rest, just after the engine may have been advanced. May be empty.
    std::function<void()> advanced = {};
  };
  /// @param sources  one; live: one a thread. They and the engine, which has its queries, must outlive the pipeline
  /// @param sites    labels of Datagram::site
  Pipeline(const Options& options, std::vector<ingest::DatagramSource*> sources, exec::Engine& engine,
           std::vector<std::string> sites);
  ~Pipeline();

  /// Reads until the source ends or `go_on` says no; it is asked once a block, live every poll interval and whenever
  /// windows may have closed. Then closes all windows. Once.
  void run(const std::function<bool()>& go_on);
  /// Calls `work` while no datagram is under way: then all that follows, and the engine, can be asked. Within `go_on`
  /// only; after run() it is not needed.
  void at_rest(const std::function<void()>& work);

  /// Calls `change`, which may add and remove queries of the engine; from then on what they read is decoded. Live; at
  /// rest.
  void change_queries(const std::function<void()>& change);
  /// The highest event time that was seen, or arrival if that is later; kMinTime: nothing has come. At rest.
  base::Micros newest() const;

  /// Other settings: of `watermark` and of delays by prefix those that are live (config::Reload). Live; at rest.
  void change_settings(const config::Settings& settings);
  /// What a process before this one had reached: rows that were late for it are late. At rest, before run() or in it.
  void resume_at(base::Micros watermark);
  /// Messages of exporters are followed from these marks on. Before run(), once.
  void resume_sequences(decode::SequenceMarks marks);
  /// Where they are now; of exporters that were not heard yet, where they were. At rest.
  decode::SequenceMarks sequence_marks() const;
  /// decode::Decoder::missing_away() of all. At rest.
  uint64_t missing_away() const;
  /// Rows that wait to be a batch go into the engine now. At rest.
  void flush();
  /// run() asks `go_on` soon. Any thread.
  void nudge();
  /// run() is to leave windows as they are when it ends: their state has been kept for later. In `go_on`.
  void leave_windows_open() { leave_open_ = true; }

  /// The inventory's tables as of now; run() does this once a second. After run().
  void publish_inventory();

  /// What is known of an exporter.
  struct Exporter {
    base::Inet address;
    std::string protocols;
    decode::IngestLedger ledger;
    window::WatermarkTracker::ExporterState clock;
  };
  std::vector<Exporter> exporters() const;  ///< in order of first appearance
  /// How many there are, and how many of them are sending: for who asks often.
  struct ExporterCounts {
    size_t known = 0, sending = 0;
  };
  ExporterCounts exporter_counts() const;
  std::vector<inventory::ExporterFact> exporter_facts() const;
  /// Of all exporters, those beyond the limit included.
  decode::IngestLedger decoded() const;
  /// The last minutes, oldest first; `exporter` is an index of exporters().
  std::vector<decode::MinuteLedger> minutes() const;
  ingest::IngestStats ingested() const;
  /// SequenceOrder::early_count(); 0 where each exporter has a thread of its own.
  uint64_t sequence_early_count() const { return order_ == nullptr ? 0 : order_->early_count(); }
  /// Datagrams of flow exports, without the heads of IP and UDP.
  struct Exported {
    uint64_t datagrams = 0, octets = 0;
  };
  /// By edge half that they went to. At rest.
  std::vector<Exported> exported() const;
  /// As of the last datagram, before the end closed all windows.
  base::Micros watermark() { return tracker_.watermark(); }
  base::Micros arrival_watermark() const { return arrival_watermark_; }
  /// Who holds the watermark back most. At rest.
  std::optional<base::Inet> held_by() const;
  /// By number of exporter_address(): how often the engine waited for the watermark to reach a cut while this exporter
  /// was the furthest behind. May be shorter than the list of exporters.
  const std::vector<uint64_t>& holds() const { return holds_; }
  const base::Inet& exporter_address(uint32_t number) const { return addresses_[number]; }
  /// Adds up what the enrichers counted.
  uint64_t as_filled_count() const;
  uint64_t as_unknown_count() const;
  /// False when `run` stopped before the end of its source.
  bool reached_end() const { return reached_end_; }

 private:
  class Edge;
  struct Lane;
  struct KnownSource;
  /// What is known of a datagram before it is decoded.
  struct Prepared {
    KnownSource* source = nullptr;
    Edge* edge = nullptr;
    uint32_t site = 0;
    bool site_assumed = false;
    base::Micros shift_us = 0;
  };

  // Under state_mutex_ where there are lanes of their own threads.
  Prepared prepare(Lane& lane, const base::Datagram& datagram);
  bool conclude(Lane& lane, const base::Datagram& datagram, const Prepared& prepared,
                const decode::DecodeOutcome& outcome);
  uint32_t number_of(const base::Inet& exporter);
  KnownSource& known(const base::Inet& address);
  std::vector<uint32_t> places() const;
  void publish_watermarks(base::Micros now);

  decode::DecodeOutcome decode(Lane& lane, const base::Datagram& datagram, const Prepared& prepared);
  void take(const base::Datagram& datagram);
  Edge& edge_of(Lane& lane, uint32_t site, const KnownSource& source);
  void hand_over(Lane& lane, decode::FlowWriter& writer, batch::ColumnBatch& rows, const exec::RowsContext& context);
  void advance();
  void advance_arrival(base::Micros now);
  void refresh_tables();

  void run_replay(const std::function<bool()>& go_on);
  void run_live(const std::function<bool()>& go_on);
  void receive(Lane& lane);
  void take_block(Lane& lane, std::span<const base::Datagram> block);
  void work_off(Lane& lane, std::span<const base::Datagram> next = {});
  void read_released(Lane& lane, base::Micros now);
  void count_sequences();
  void wake();
  base::Micros arrival_low(base::Micros now) const;

  Options options_;                       ///< its settings change by change_settings() only
  const std::vector<std::string> sites_;  ///< labels of inputs, then those of the settings
  const bool live_rules_;
  exec::Engine& engine_;
  std::vector<enrich::Enricher> enrichers_;  // One a thread.
  std::vector<std::unique_ptr<Lane>> lanes_;
  std::vector<decode::Decoder*> decoders_;  // Of the lanes.
  /// Null: all messages of an exporter come to one lane.
  std::unique_ptr<decode::SequenceOrder> order_;
  std::shared_ptr<const decode::SequenceMarks> marks_before_;  ///< null: all begin with their first message
  window::WatermarkTracker tracker_;
  SideFeeds side_;
  base::Micros cut_ = base::kMinTime + 1;  // The next watermark that the engine cares for.
  std::atomic<base::Micros> arrival_cut_{base::kMinTime + 1};
  base::Micros arrival_watermark_ = base::kMinTime;
  base::Micros received_at_ = 0;  // Of the newest datagram, or tick.
  base::Micros inventory_due_ = base::kMinTime;
  std::optional<uint32_t> behind_;  // Since the last cut.
  std::vector<uint64_t> holds_;
  uint64_t random_state_;
  bool reached_end_ = false;
  bool leave_open_ = false;

  /// What is remembered of an exporter, as it is known before its datagram is decoded; bounded by
  /// decode.exporter_limit.
  struct KnownSource {
    uint32_t exporter = 0;  ///< its number in the tracker
    uint32_t edge = 0;
    bool introduced = false;                     ///< the tracker knows its delay
    uint32_t site = 0;                           ///< by the settings, where the input has no label; 0: none
    bool site_assumed = false;                   ///< it is node.site, for want of another
    base::Micros first_seen = 0, last_seen = 0;  ///< arrival
  };
  std::unordered_map<base::Inet, KnownSource, base::InetHash> sources_;  // At most the decoder's exporter limit.
  base::Inet last_address_;
  KnownSource* last_source_ = nullptr;
  KnownSource overflow_source_;  // For all beyond the limit; the decoders drop their datagrams.
  /// Exporters as the tracker numbers them: in order of first appearance, whichever lane heard them.
  std::vector<base::Inet> addresses_;
  std::unordered_map<base::Inet, uint32_t, base::InetHash> numbers_;

  // Live only.
  std::mutex state_mutex_;  // Guards what prepare() and conclude() use; after a lane's own mutex.
  std::mutex news_mutex_;   // Guards what lanes tell the inventory.
  std::condition_variable due_changed_;
  bool due_ = false;                  // Under state_mutex_: a cut was reached, or a lane ended.
  std::exception_ptr thrown_;         // Under state_mutex_.
  std::atomic<bool> resting_{false};  // Lanes are to stay between blocks.
  std::atomic<bool> stopping_{false};
  std::atomic<base::Micros> seen_watermark_{base::kMinTime}, seen_arrival_{base::kMinTime};
  base::Micros published_at_ = 0;  // Under state_mutex_.

  std::unique_ptr<AggregationThreads> threads_;  // Null: none. Last: they use all of the above.
};

}  // namespace backstream::app
