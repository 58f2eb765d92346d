#include "app/run_options.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iterator>
#include <map>

#include "app/commands.h"
#include "app/diagram_texts.h"
#include "app/input.h"
#include "app/kafka_options.h"
#include "config/load.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

constexpr const char* kAbout =
    "Replays captures of flow exports, or listens to routers, through continuous queries.\n"
    "Rows go to standard output when their window closes; the summary goes to standard error.\n\n"
    "  backstream run --pcap mine.pcap -e \"SELECT window_start, src_as, dst_as, sum(octets) AS octets\n"
    "                 FROM tumble(flows, time, interval '5 min') GROUP BY 1, 2, 3\"\n"
    "  backstream run --pcap ams=a.pcap.zst --pcap fra=b.pcap.gz -o csv queries/traffic_matrix.sql > matrix.csv\n"
    "  backstream run --listen udp://127.0.0.1:2055 --for 60s -o jsonl queries/port_sweep.sql\n"
    "  backstream run --listen kafka://goflow2:flow-messages --set kafka.brokers=kafka-1.example:9092 ...\n";

std::string footer() {
  std::string text = "Settings (--set KEY=VALUE, TOML file, or environment BACKSTREAM_SECTION__KEY):\n";
  const config::Settings defaults;
  for (const config::SettingDef& setting : config::setting_table()) {
    text +=
        fmt::format("  {:<29} {} (default {})\n", setting.key, setting.about, config::setting_text(setting, defaults));
  }
  for (const config::TextSettingDef& setting : config::text_setting_table())
    text += fmt::format("  {:<29} {}\n", setting.key, setting.about);
  for (const config::ListSettingDef& setting : config::list_setting_table())
    text += fmt::format("  {:<29} {}\n", setting.key, setting.about);
  for (const config::ExporterSettingDef& setting : config::exporter_setting_table())
    text += fmt::format("  {:<29} {}\n", fmt::format("exporter.PREFIX.{}", setting.name), setting.about);
  for (const config::ExporterTextSettingDef& setting : config::exporter_text_setting_table())
    text += fmt::format("  {:<29} {}\n", fmt::format("exporter.PREFIX.{}", setting.name), setting.about);
  text += fmt::format("  {:<29} {}\n", "forward.NAME", "sends every received datagram on to udp://HOST:PORT");
  for (const config::ForwardSettingDef& setting : config::forward_setting_table()) {
    if (setting.name != "to")
      text += fmt::format("  {:<29} {}\n", fmt::format("forward.NAME.{}", setting.name), setting.about);
  }
  text += fmt::format("  {:<29} {}\n", "column.NAME",
                      "adds a column to flows: an information element and its type, '9/12232 string'");
  text +=
      "\nExit codes: 0 done; 1 a file, socket or disk failed; 2 wrong flags; 3 SQL or settings that cannot be\n"
      "understood; 130 a signal ended the replay of a capture before its end (open windows were closed).";
  return text;
}

tl::unexpected<base::Diagnostic> usage(std::string message, std::string hint = {}) {
  return base::fail("usage", std::move(message), {}, std::move(hint));
}

base::Result<std::string> read_text(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::string text;
  if (file) text.assign(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
  if (!file || file.bad()) return base::fail("file", fmt::format("cannot read '{}': {}", path, std::strerror(errno)));
  return text;
}

ingest::CaptureInput capture_input(const std::string& text) {
  const size_t equals = text.find('=');
  // "SITE=FILE"; a path that has an = of its own is written with a directory before it, such as ./a=b.pcap.
  const bool site = equals != std::string::npos && equals > 0 && text.find('/') > equals;
  if (!site) return {text, ""};
  return {text.substr(equals + 1), text.substr(0, equals)};
}

/// The texts of the command line as they were given, before anything is opened.
struct Given {
  std::vector<std::string> captures, listen, execute, files, settings, ports, bindings;
  std::string duration, output = "table", config, delay, deal, send_flows;
  std::vector<std::pair<bool, size_t>> sql_order;  // (is a file, index into files or execute)
  bool reads_statements = true;
};

base::Result<RunOptions> understand(Given& given, RunOptions options) {
  for (const std::string& path : given.files) {
    // After --pcap a shell's *.pcap leaves all names but the first without the flag.
    if (!is_query_file(path) && !given.captures.empty()) given.captures.push_back(path);
  }
  if (!given.captures.empty() && !given.listen.empty())
    return usage("--pcap and --listen cannot be used together", "a replay's clock is the capture's, not ours");
  for (const std::string& text : given.captures) {
    options.captures.push_back(capture_input(text));
    if (options.captures.back().path.empty()) return usage(fmt::format("no file in --pcap '{}'", text));
  }
  constexpr std::string_view kTopicScheme = "kafka://";
  std::vector<config::FlowTopic> topics;
  for (const std::string& text : given.listen) {
    if (text.starts_with(kTopicScheme)) {
      auto topic = config::parse_flow_topic(std::string_view(text).substr(kTopicScheme.size()));
      if (!topic) {
        return usage(fmt::format("'{}' names no topic", text),
                     "write --listen kafka://TOPIC, kafka://goflow2:TOPIC or kafka://TOPIC/0-15");
      }
      topics.push_back(std::move(*topic));
      continue;
    }
    auto listen = ingest::parse_listen(text);
    if (!listen) return usage(listen.error().message, listen.error().hint);
    options.listen.push_back(std::move(*listen));
  }
  for (const std::string& text : given.ports) {
    uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error != std::errc() || end != text.data() + text.size() || port == 0)
      return usage(fmt::format("'{}' is no UDP port", text), "--port takes 1 to 65535");
    options.ports.push_back(port);
  }
  if (!given.duration.empty()) {
    options.duration_us = base::parse_duration(given.duration);
    if (!options.duration_us || *options.duration_us <= 0)
      return usage(fmt::format("'{}' is no duration", given.duration), "write --for 60s, 500ms or 5m");
    if (given.listen.empty()) return usage("--for needs --listen", "a capture ends by itself");
  }
  const auto format = receiver::parse_format(given.output);
  if (!format)
    return usage(fmt::format("'{}' is no output format", given.output), "-o table, csv, jsonl, prometheus or none");
  options.format = *format;
  if (options.revisions && options.format != receiver::Format::kCsv && options.format != receiver::Format::kJsonl &&
      options.format != receiver::Format::kNone)
    return usage(fmt::format("--revisions is not for -o {}", given.output), "give -o csv or -o jsonl");
  if (!given.deal.empty()) {
    auto deal = parse_deal(given.deal);
    if (!deal) return tl::unexpected(deal.error());
    options.deal = *deal;
    if (options.edges == 0) return usage("--deal needs --edges N");
  }
  if (options.edges > 1024) return usage("--edges takes at most 1024");
  if (options.edges > 0 && options.threads > 1) return usage("--threads and --edges do not go together");
  if (!options.listen.empty() && options.threads > 256) return usage("--threads takes at most 256 with --listen");
  if (options.threads < 1 || options.threads > 1024) return usage("--threads takes 1 to 1024");

  // No default file: a replay must not depend on what the machine's daemon is set to.
  config::LoadRequest request;
  if (!given.config.empty()) request.file = given.config;
  request.environment = environ;
  request.kafka_property = kafka_property_fault;
  request.assignments = given.settings;
  config::Loaded loaded = config::load(request);
  for (const std::string& warning : loaded.warnings) telemetry::terminal_log().warning(warning);
  if (!loaded.errors.empty()) {
    for (size_t i = 0; i + 1 < loaded.errors.size(); ++i) telemetry::terminal_log().line(loaded.errors[i].render());
    return tl::unexpected(std::move(loaded.errors.back()));
  }
  options.settings = std::move(loaded.settings);
  // What the machine's daemon reads and sends is its own.
  options.settings.listen.kafka = std::move(topics);
  options.settings.flows.topic = given.send_flows;
  if (!options.settings.listen.kafka.empty() || !given.send_flows.empty()) {
    if (options.settings.kafka.brokers.empty())
      return usage("no brokers are named that have the topic", "give --set kafka.brokers=HOST:9092");
    for (const config::FlowTopic& topic : options.settings.listen.kafka) {
      if (topic.name == given.send_flows)
        return usage(fmt::format("'{}' is read and sent to: flows would come again and again", topic.name));
    }
  }
  if (options.edges > 0 && source_count(options) > 1)
    return usage("--edges goes with one source", "--listen udp://... or --listen kafka://..., not both");
  if (!given.delay.empty()) {
    if (auto result = config::apply_assignment(options.settings, fmt::format("watermark.delay={}", given.delay));
        !result)
      return usage(fmt::format("'{}' is no delay", given.delay), result.error().hint);
  }

  auto forwards = forward_targets(options.settings);
  if (!forwards) return tl::unexpected(std::move(forwards.error()));
  options.forwards = std::move(*forwards);

  for (const auto& [is_file, index] : given.sql_order) {
    if (!is_file) {
      options.sql.push_back({"-e", given.execute[index]});
      continue;
    }
    const std::string& path = given.files[index];
    if (!is_query_file(path)) {
      if (!given.captures.empty()) continue;
      return usage(fmt::format("'{}' is no .sql or .xml file", path), "captures come after --pcap");
    }
    auto text = read_text(path);
    if (!text) return tl::unexpected(text.error());
    options.sql.push_back({path, std::move(*text)});
  }
  if (options.sql.empty() && given.reads_statements) return usage("no query", "give -e 'SELECT ...' or a FILE.sql");
  if (auto bound = bind_inputs(options.sql, given.bindings); !bound) return tl::unexpected(std::move(bound.error()));
  return options;
}

CLI::Option* each(CLI::Option* option) {
  return option->expected(1)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->allow_extra_args(false);
}

/// What input there is and how it is read.
void add_input_flags(CLI::App& app, Given& given, RunOptions& options) {
  each(app.add_option(
           "--pcap", given.captures,
           "a capture (pcap, pcapng; plain, gzip, bzip2, zstd; - is standard input); several are one input in the "
           "listed order, each SITE=FILE is an input of its own, merged by capture time"))
      ->type_name("[SITE=]FILE");
  each(app.add_option("--listen", given.listen,
                      "a UDP socket, such as udp://127.0.0.1:2055, or a topic of Kafka, such as kafka://flows or "
                      "kafka://goflow2:TOPIC (needs --set kafka.brokers=HOST:PORT)"))
      ->type_name("udp://HOST:PORT");
  app.add_option("--for", given.duration, "stop listening after this long")->type_name("DURATION");
  each(app.add_option("--port", given.ports, "of a capture only datagrams to this UDP port"))->type_name("PORT");
  app.add_flag("--live-rules", options.live_rules, "in a replay, too, apply the skew, hold and future rules");
  each(app.add_option("--set", given.settings, "a setting of the list below"))->type_name("KEY=VALUE");
  app.add_option("--config", given.config, "a TOML file of settings")->type_name("FILE");
  app.add_flag("-q,--quiet", options.quiet, "no summary and no progress bar");
}

ExitCode exit_code(const base::Diagnostic& diagnostic) {
  return diagnostic.code == "usage" ? kExitUsage : diagnostic.code == "file" ? kExitFailure : kExitInvalid;
}

/// Nothing when the flags could be read.
std::optional<int> parse(CLI::App& app, const std::vector<std::string>& arguments, const std::string& name) {
  app.footer(footer);
  app.get_formatter()->column_width(34);
  try {
    app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    return misused(error.what(), name + " --help lists the flags");
  }
  return std::nullopt;
}

}  // namespace

base::Result<Deal> parse_deal(std::string_view text) {
  constexpr std::string_view kRandom = "random:";
  if (text == "site") return Deal{Deal::Kind::kSite, 0};
  if (text == "exporter") return Deal{Deal::Kind::kExporter, 0};
  if (text.starts_with(kRandom)) {
    Deal deal{Deal::Kind::kRandom, 0};
    const auto [end, error] = std::from_chars(text.data() + kRandom.size(), text.data() + text.size(), deal.seed);
    if (error == std::errc() && end == text.data() + text.size()) return deal;
  }
  return usage(fmt::format("'{}' is no way to deal", text), "--deal site, exporter or random:SEED");
}

std::variant<RunOptions, int> read_run_options(const std::vector<std::string>& arguments) {
  RunOptions options;
  Given given;
  CLI::App app(kAbout, "backstream run");
  add_input_flags(app, given, options);
  CLI::Option* execute = each(app.add_option("-e,--execute", given.execute,
                                             "statements; several -e and files run together, in the order given"))
                             ->type_name("SQL");
  CLI::Option* files =
      app.add_option("FILE.sql", given.files, "files of statements, and FILE.xml: diagrams in Borealis XML")
          ->type_name("");
  add_bind_flag(app, given.bindings);
  app.add_option("--view", options.view, "write only the rows of this view")->type_name("NAME");
  app.add_option("-o,--output", given.output, "table, csv, jsonl, prometheus or none (rows are computed and counted)")
      ->type_name("FORMAT");
  app.add_flag("--revisions", options.revisions,
               "csv, jsonl: write every revision of a window, not only final rows, with _rev, _final, _complete, _op");
  app.add_option("--stats", options.stats_path, "the summary as JSON")->type_name("FILE.json");
  app.add_option("--threads", options.threads,
                 "with --pcap: threads that aggregate, besides the one that decodes (default 1: one does both); with "
                 "--listen: threads that receive, decode and aggregate (default 1)")
      ->type_name("N");
  app.add_option("--send-flows", given.send_flows,
                 "sends all decoded flows to this topic of Kafka (needs --set kafka.brokers=HOST:PORT)")
      ->type_name("TOPIC");
  app.add_option("--delay", given.delay, "as --set watermark.delay=D")->type_name("D");
  app.add_option("--edges", options.edges, "run the edge and merge halves of each plan apart, N edges")->type_name("N");
  app.add_option("--deal", given.deal, "how exporters' rows go to edges: site, exporter (default) or random:SEED")
      ->type_name("HOW");
  if (const auto code = parse(app, arguments, "backstream run")) return *code;
  size_t execute_count = 0, file_count = 0;
  for (const CLI::Option* option : app.parse_order()) {
    if (option == execute) given.sql_order.emplace_back(false, execute_count++);
    if (option == files) given.sql_order.emplace_back(true, file_count++);
  }
  auto understood = understand(given, std::move(options));
  if (!understood) return complain(understood.error(), exit_code(understood.error()));
  return std::move(*understood);
}

std::variant<RunOptions, int> read_input_options(const std::vector<std::string>& arguments, const std::string& name,
                                                 const std::string& about) {
  RunOptions options;
  Given given;
  given.reads_statements = false;
  CLI::App app(about, name);
  add_input_flags(app, given, options);
  if (const auto code = parse(app, arguments, name)) return *code;
  auto understood = understand(given, std::move(options));
  if (!understood) return complain(understood.error(), exit_code(understood.error()));
  understood->forwards.clear();  // Who only looks sends nothing on.
  if (understood->captures.empty() && understood->listen.empty())
    return misused("no input", "give --pcap FILE or --listen udp://HOST:PORT");
  return std::move(*understood);
}

}  // namespace backstream::app
