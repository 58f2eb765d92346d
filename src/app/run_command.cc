// backstream run: captures or sockets -> queries -> rows on standard output, once.
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <mutex>
#include <optional>
#include <set>

#include "app/commands.h"
#include "app/exporter_state.h"
#include "app/input.h"
#include "app/pipeline.h"
#include "app/query_set.h"
#include "app/run_options.h"
#include "app/run_report.h"
#include "app/site_names.h"
#include "app/stop_signal.h"
#include "app/table_refresh.h"
#include "exec/revision_changes.h"
#include "plan/late.h"
#include "receiver/result_writer.h"
#include "receiver/text_buffer.h"
#include "service/result_board.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

using Clock = std::chrono::steady_clock;

constexpr base::Micros kShippedPane =
    60 * base::kMicrosPerSecond;  // DESIGN §7: panes are at most this when they travel.

/// That --revisions remembers of windows that are not final: 16 octets or more each.
constexpr size_t kRevisionKeysMax = 20'000'000;

double seconds_since(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

/// The progress bar: how much is read and how long the rest takes. Terminal only, a few times a second.
class Progress {
 public:
  Progress(const ingest::DatagramSource& source, bool shown) : source_(source), shown_(shown) {}
  ~Progress() {
    if (shown_) telemetry::terminal_log().status({});
  }
  void show() {
    if (!shown_ || seconds_since(last_) < 0.2) return;
    last_ = Clock::now();
    const double total = static_cast<double>(source_.octets_total()), read = static_cast<double>(source_.octets_read());
    const double passed = seconds_since(begin_);
    if (total <= 0) {
      telemetry::terminal_log().status(fmt::format("{} datagrams, {:.0f} s", source_.stats().datagrams, passed));
      return;
    }
    constexpr size_t kWidth = 30;
    const double share = std::min(1.0, read / total);
    const auto filled = static_cast<size_t>(share * kWidth);
    telemetry::terminal_log().status(fmt::format(
        "[{}{}] {:3.0f} %, {} datagrams, {:.0f} s left", std::string(filled, '#'), std::string(kWidth - filled, '.'),
        share * 100, source_.stats().datagrams, share > 0 ? passed / share - passed : 0.0));
  }

 private:
  const ingest::DatagramSource& source_;
  const bool shown_;
  const Clock::time_point begin_ = Clock::now();
  Clock::time_point last_ = begin_;
};

/// Rows on the same screen would be torn by a bar.
bool shows_progress(const RunOptions& options) {
  return !options.quiet && !options.live() && telemetry::terminal_log().on_terminal() &&
         (options.format == receiver::Format::kNone || ::isatty(STDOUT_FILENO) == 0);
}

/// The views to write: all, or the one that --view names.
base::Result<std::vector<receiver::ResultWriter::View>> chosen_views(const RunOptions& options, const QuerySet& set) {
  std::vector<receiver::ResultWriter::View> views;
  std::vector<std::string_view> labels;
  const auto shown = std::count_if(set.queries.begin(), set.queries.end(),
                                   [](const QuerySet::Item& item) { return !item.analyzed.has_value(); });
  const bool several = shown > 1;
  for (size_t i = 0; i < set.queries.size(); ++i) {
    const QuerySet::Item& item = set.queries[i];
    if (item.analyzed) continue;
    labels.push_back(item.label);
    if (!options.view.empty() && item.label != options.view) continue;
    const bool named = several || item.query->is_view || options.format == receiver::Format::kPrometheus;
    views.push_back({i, named ? item.label : "", &item.query->output(), service::form_of(*item.query)});
  }
  if (!views.empty() || options.view.empty()) return views;
  const std::string_view near = base::nearest_name(options.view, labels);
  return base::fail("usage", fmt::format("no view '{}' among the statements", options.view), {},
                    near.empty() ? "--view takes the name of a CREATE MATERIALIZED VIEW, or select1, select2, ..."
                                 : fmt::format("did you mean '{}'?", near));
}

/// Queries without windows give their rows on the threads that read them, several at once, while the main thread
/// flushes what was written.
class LockedSink final : public exec::ResultSink {
 public:
  explicit LockedSink(exec::ResultSink& sink) : sink_(sink) {}
  void on_result(const exec::ResultBatch& result) override {
    const std::lock_guard lock(mutex_);
    sink_.on_result(result);
  }
  std::unique_lock<std::mutex> hold() { return std::unique_lock(mutex_); }

 private:
  exec::ResultSink& sink_;
  std::mutex mutex_;
};

RunReport::Table report_table(const plan::LookupTables::Item& item) {
  RunReport::Table table;
  table.name = item.table->definition().name;
  table.rows = item.table->published().snapshot()->table->row_count();
  if (!item.file) return table;
  const lookup::FileTable::Status& status = item.file->status();
  table.file = item.file->options().path;
  table.loaded = status.loaded_count;
  table.failed = status.failed_count;
  for (size_t s = 0; s < status.skipped.by_reason.size(); ++s)
    table.skipped.emplace_back(lookup::name(static_cast<lookup::Skip>(s)), status.skipped.by_reason[s]);
  return table;
}

/// The relation that would have shown the late rows of a view, had it been asked for.
std::string late_relation_of(const plan::Query& query, const RunOptions& options) {
  if (!query.is_view || query.options.late != plan::QueryOptions::Late::kSide) return {};
  const auto late = plan::late_relation(query);
  return !late || late->name == options.view ? std::string() : late->name;
}

RunReport make_report(const RunOptions& options, const QuerySet& set, const Pipeline& pipeline,
                      const exec::Engine& engine) {
  RunReport report;
  report.ingest = pipeline.ingested();
  report.decoded = pipeline.decoded();
  report.sequence_early = pipeline.sequence_early_count();
  for (const Pipeline::Exporter& known : pipeline.exporters())
    report.exporters.push_back({base::to_string(known.address), known.protocols, known.ledger, known.clock});
  for (size_t i = 0; i < engine.query_count(); ++i) {
    const auto& own_delay = engine.query(i).options.delay_us;
    report.views.push_back({set.queries[i].label, engine.ledger(i),
                            own_delay.value_or(options.settings.watermark.delay_us), engine.recent_windows(i),
                            late_relation_of(engine.query(i), options), engine.failure(i)});
  }
  report.minutes = pipeline.minutes();
  report.threads = options.threads;
  report.edges = options.edges;
  return report;
}

/// "198.51.100.2 most often, at 12 of 15 cuts of the watermark"
std::string held_by(const Pipeline& pipeline) {
  const std::vector<uint64_t>& holds = pipeline.holds();
  const auto most = std::max_element(holds.begin(), holds.end());
  if (most == holds.end()) return {};
  const auto exporter = static_cast<uint32_t>(most - holds.begin());
  uint64_t all = 0;
  for (const uint64_t one : holds) all += one;
  return fmt::format("{} {}, at {} of {} cuts of the watermark", base::to_string(pipeline.exporter_address(exporter)),
                     *most == all ? "always" : "most often", *most, all);
}
/// What the pipeline knows, to each query over a stream.
void tell_ingested(plan::QueryActivity& activity, const std::string& held_by,
                   const std::vector<plan::EdgeExport>& exports) {
  activity.held_by = held_by;
  if (!activity.traffic.empty()) activity.exports = exports;
  for (plan::QueryActivity& input : activity.inputs) tell_ingested(input, held_by, exports);
}
/// What came to each edge; of threads that are one edge, to all of them.
std::vector<plan::EdgeExport> exports_of(const Pipeline& pipeline, const exec::EngineOptions& engine) {
  std::vector<plan::EdgeExport> exports(engine.ship ? engine.edges : 1);
  const std::vector<Pipeline::Exported> exported = pipeline.exported();
  for (size_t e = 0; e < exported.size(); ++e) {
    exports[e % exports.size()].datagrams += exported[e].datagrams;
    exports[e % exports.size()].octets += exported[e].octets;
  }
  return exports;
}

bool write_file(const std::string& path, const std::string& text) {
  const int file = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (file < 0) return false;
  receiver::TextBuffer buffer(file);
  buffer.append(text);
  buffer.flush();
  const bool closed = ::close(file) == 0;
  if (buffer.error() != 0) errno = buffer.error();
  return closed && buffer.error() == 0;
}

exec::EngineOptions engine_options_of(const RunOptions& options, bool live) {
  exec::EngineOptions engine;
  engine.share = options.settings.plan.share;
  engine.batch_rows = static_cast<size_t>(options.settings.exec.batch_rows);
  if (live) engine.ready_octets = static_cast<size_t>(options.settings.exec.ready_memory_octets);
  if (options.edges > 0) {
    engine.edges = options.edges;
    engine.ship = true;
    engine.pane_us_max = kShippedPane;
  } else {
    engine.edges = live ? source_count(options) : options.threads;
  }
  return engine;
}

exec::Measured measured_of(const QuerySet::Item& item) {
  if (!item.analyzed) return exec::Measured::kNot;
  return item.analyzed->distributed && item.analyzed->buffers ? exec::Measured::kTraffic : exec::Measured::kStages;
}

/// A slip of a key in `sites` would give no rows and no word of why.
/// @param labels  of inputs
void warn_of_unknown_sites(const RunOptions& options, const QuerySet& set, const std::vector<std::string>& labels) {
  std::set<std::string> known = sites_of_settings(options.settings);
  known.insert(labels.begin(), labels.end());
  for (const QuerySet::Item& item : set.queries) {
    for (const std::string& site : unknown_sites(item.query->options.placement, known)) {
      telemetry::terminal_log().warning(fmt::format(
          "{}: no input and no setting names the site \"{}\" (hint: --pcap {}=FILE, or exporter.PREFIX.site)",
          item.label, site, site));
    }
  }
}

}  // namespace

int run_command(const std::vector<std::string>& arguments) {
  auto read = read_run_options(arguments);
  if (const int* exit_code = std::get_if<int>(&read)) return *exit_code;
  const RunOptions& options = std::get<RunOptions>(read);
  telemetry::TerminalLog& log = telemetry::terminal_log();

  const auto& [sites_file, exporters_file, interfaces_file] = options.settings.inventory;
  auto inventory = inventory::Inventory::open({sites_file, exporters_file, interfaces_file});
  if (!inventory) return complain(inventory.error(), kExitFailure);
  auto prepared = prepare_queries(options.sql, options.settings, **inventory, options.view);
  if (!prepared) return complain(prepared.error(), kExitInvalid);
  QuerySet set = std::move(*prepared);
  receiver::TextBuffer plans(STDOUT_FILENO, 1 << 16);
  for (const std::string& plan : set.explained) {
    plans.append(plan);
    if (!plan.ends_with('\n')) plans.append("\n");
  }
  plans.flush();
  if (set.queries.empty()) {
    if (set.statement_count == 0)
      return misused("nothing was run: there is no statement in what was given",
                     "give -e 'SELECT ...' or a FILE.sql with a query");
    if (set.explained.empty())
      log.warning("nothing was run: no statement is a query (hint: add SELECT ... or CREATE MATERIALIZED VIEW ...)");
    return kExitOk;
  }

  auto views = chosen_views(options, set);
  if (!views) return complain(views.error(), kExitUsage);
  if (options.captures.empty() && !options.live()) {
    return misused("no input", "give --pcap FILE or --listen udp://HOST:PORT");
  }
  plan::LookupTables::Item as_table;
  if (const std::string& path = options.settings.enrich.as_table; !path.empty()) {
    auto opened = open_as_table(path);
    if (!opened) return complain(opened.error(), kExitFailure);
    as_table = std::move(*opened);
  }
  const auto announcements = std::make_shared<decode::TemplateStore>(announcement_limits(options.settings));
  ExporterState exporter_state(options.settings.decode.state_file);
  const bool keeps_state = !options.settings.decode.state_file.empty();
  if (keeps_state) {
    if (const auto loaded = exporter_state.load(*announcements); !loaded) return complain(loaded.error(), kExitFailure);
  }
  const bool live = options.live();
  const exec::EngineOptions engine_options = engine_options_of(options, live);
  exec::Engine engine(engine_options);  // Takes its memory before a socket fills.
  std::vector<std::string> sites;
  auto input = open_input(options, sites);
  if (!input) return complain(input.error(), kExitFailure);
  warn_of_unknown_sites(options, set, sites);
  std::vector<ingest::DatagramSource*> sources;
  for (const auto& source : input->sources) sources.push_back(source.get());
  const uint32_t threads = live ? static_cast<uint32_t>(sources.size()) : options.threads;
  std::unique_ptr<FlowOutput> flow_output;
  if (!options.settings.flows.topic.empty()) {
    auto opened = FlowOutput::open(options.settings, threads);
    if (!opened) return complain(opened.error(), kExitFailure);
    flow_output = std::move(*opened);
  }

  receiver::ResultWriter writer(options.format, *views, STDOUT_FILENO, options.revisions);
  exec::RevisionChanges changes(writer, kRevisionKeysMax);
  LockedSink sink(options.revisions ? static_cast<exec::ResultSink&>(changes) : writer);
  const bool exporters_read = set.reads(*(*inventory)->exporters());
  for (QuerySet::Item& item : set.queries)
    engine.add_query(std::move(item.query), item.analyzed ? nullptr : &sink, measured_of(item));
  if (options.revisions) {
    for (const auto& view : *views) changes.watch(view.query_index, engine.query(view.query_index));
  }

  TableRefresh refresh;
  for (const plan::LookupTables::Item& item : set.tables.items()) refresh.add(item);
  refresh.add(as_table);
  for (lookup::FileTable* file : (*inventory)->files()) refresh.add(*file);
  if (live) refresh.start();  // A replay reads each table once: its rows do not depend on how long it takes.
  if (live && keeps_state) exporter_state.start(announcements);  // A replay says nothing about exporters of today.
  Pipeline pipeline({options.settings, engine_options.edges, threads, options.deal, live, options.live_rules,
                     as_table.table.get(), announcements, inventory->get(), exporters_read,
                     [&] { return refresh.take_changed(); }, input->forwarder.get(), flow_output.get()},
                    sources, engine, sites);
  Progress progress(*sources[0], shows_progress(options));
  const auto begin = Clock::now();
  const double cpu_begin = cpu_seconds();
  const auto end =
      options.duration_us ? std::optional(begin + std::chrono::microseconds(*options.duration_us)) : std::nullopt;
  std::vector<bool> told(engine.query_count());
  const auto tell_failures = [&] {
    if (engine.failed_count() == static_cast<size_t>(std::count(told.begin(), told.end(), true))) return;
    log.status({});
    for (size_t i = 0; i < told.size(); ++i) {
      if (told[i] || engine.failure(i).empty()) continue;
      told[i] = true;
      log.error(fmt::format("{} was stopped: {}", set.queries[i].label, engine.failure(i)));
    }
  };
  bool none_left = false;
  pipeline.run([&] {
    progress.show();
    tell_failures();
    none_left = engine.failed_count() == engine.query_count();
    const auto held = sink.hold();
    if (live) writer.flush();
    return !none_left && !stop_requested() && writer.error() == 0 && !(end && Clock::now() >= *end);
  });
  writer.flush();
  log.status({});
  refresh.stop();
  exporter_state.stop();
  tell_failures();

  if (input->forwarder) input->forwarder->stop();
  if (flow_output) {
    flow_output->finish(std::chrono::milliseconds(options.settings.kafka.timeout_us / base::kMicrosPerMilli));
    const transport::KafkaPublishCounts sent = flow_output->counts();
    if (sent.dropped + sent.failed + sent.waiting != 0) {
      log.warning(fmt::format("of {} flows that were to go to '{}', {} found no room, {} were not taken by the brokers",
                              sent.units + sent.dropped, options.settings.flows.topic, sent.dropped,
                              sent.failed + sent.waiting));
    }
  }

  RunReport report = make_report(options, set, pipeline, engine);
  if (input->forwarder) report.forwards = input->forwarder->stats();
  if (flow_output) report.flows_sent = flow_output->counts();
  for (const plan::LookupTables::Item& item : set.tables.items()) report.tables.push_back(report_table(item));
  if (as_table.table) report.tables.push_back(report_table(as_table));
  report.as_filled = pipeline.as_filled_count();
  report.as_unknown = pipeline.as_unknown_count();
  report.seconds = seconds_since(begin);
  for (size_t i = 0; i < set.queries.size(); ++i) {
    if (!set.queries[i].analyzed) continue;
    plan::QueryActivity activity = engine.activity(i);
    activity.seconds = report.seconds;
    tell_ingested(activity, held_by(pipeline), exports_of(pipeline, engine_options));
    plans.append(plan::explain(engine.query(i), *set.queries[i].analyzed, &activity));
  }
  plans.flush();
  report.cpu_seconds = cpu_seconds() - cpu_begin;
  report.rows_written = writer.row_count();
  report.watermark_us = pipeline.watermark();
  const bool reader_gone = writer.error() == EPIPE;
  report.interrupted = !live && !pipeline.reached_end() && !reader_gone && !none_left;
  for (const std::string& warning : report.ingest.warnings) log.warning(warning);
  if (changes.rows_forgotten() != 0)
    log.warning(fmt::format("{} rows of revisions found no room: where later ones do not have them, no 'd' is written",
                            changes.rows_forgotten()));
  if (!options.quiet && !reader_gone) log.line(summary_text(report));
  if (!options.stats_path.empty() && !write_file(options.stats_path, stats_json(report))) {
    log.error(fmt::format("cannot write '{}': {}", options.stats_path, std::strerror(errno)));
    return kExitFailure;
  }
  if (writer.error() != 0 && !reader_gone) {
    log.error(fmt::format("cannot write the rows: {}", std::strerror(writer.error())));
    return kExitFailure;
  }
  if (engine.failed_count() != 0) return kExitFailure;
  return report.interrupted ? kExitInterrupted : kExitOk;
}

}  // namespace backstream::app
