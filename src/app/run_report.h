#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.h"
#include "decode/decoder.h"
#include "exec/engine.h"
#include "ingest/forwarder.h"
#include "ingest/source.h"
#include "transport/kafka_publisher.h"
#include "window/watermark.h"

namespace backstream::app {

/// What a run has done, for the summary and for --stats: both ledgers (DESIGN rule 5), exporters, windows, speed.
struct RunReport {
  struct Exporter {
    std::string address, protocols;
    decode::IngestLedger ledger;
    window::WatermarkTracker::ExporterState clock;
  };
  struct View {
    std::string name;
    exec::WindowLedger ledger;
    base::Micros delay_us = 0;                ///< that its late rows were judged by
    std::vector<exec::WindowRecord> windows;  ///< the last ones
    std::string late_relation;                ///< where its late rows can be read; empty: nowhere, or they were read
    std::string failure;                      ///< why it was stopped before the end; empty: it was not
  };
  struct Table {
    std::string name;
    std::string file;  ///< empty: changed by statements
    uint64_t rows = 0;
    uint64_t loaded = 0, failed = 0;                        ///< how often the file was read, and could not be used
    std::vector<std::pair<std::string, uint64_t>> skipped;  ///< entries of the file by why they are not in the table
  };
  ingest::IngestStats ingest;
  std::vector<ingest::ForwardStats> forwards;
  std::optional<transport::KafkaPublishCounts> flows_sent;  ///< to --send-flows; in flows
  decode::IngestLedger decoded;                             ///< of all exporters
  uint64_t sequence_early = 0;                              ///< decode::SequenceOrder::early_count()
  std::vector<Exporter> exporters;
  std::vector<decode::MinuteLedger> minutes;  ///< the last ones; `exporter` is an index of `exporters`
  std::vector<View> views;
  std::vector<Table> tables;               ///< lookup tables
  uint64_t as_filled = 0, as_unknown = 0;  ///< src_as and dst_as that enrich.as_table gave, and did not have
  uint64_t rows_written = 0;
  base::Micros watermark_us = base::kMinTime;
  double seconds = 0, cpu_seconds = 0;
  uint32_t threads = 1, edges = 0;
  bool interrupted = false;

  double records_per_second() const;
};

/// The delay that would have kept all rows of the view: rounded up, to seconds when it is at least one.
base::Micros delay_that_keeps_all(const RunReport::View& view);

/// Lines for people. At most 10 exporters, the busiest first.
std::string summary_text(const RunReport& report);
/// The JSON of --stats; docs/operations.md lists its keys. Keys are only ever added.
std::string stats_json(const RunReport& report);

}  // namespace backstream::app
