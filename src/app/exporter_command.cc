// backstream exporter: who sends flows, and how to make a router send them.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <compare>
#include <iostream>
#include <optional>

#include "app/commands.h"
#include "app/exporters_of_server.h"
#include "app/input.h"
#include "app/pipeline.h"
#include "app/run_options.h"
#include "app/stop_signal.h"
#include "receiver/text_buffer.h"
#include "service/exporter_snippets.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {
namespace {

constexpr std::string_view kAbout =
    "Who sends flows, and how to make a router send them.\n\n"
    "  backstream exporter snippet junos --collector 192.0.2.10 --rate 1000   configuration for a router\n"
    "  backstream exporter wait 192.0.2.1 --listen udp://[::]:2055 --for 5m   until its flows can be read\n"
    "  backstream exporter list                                               those of a running server\n"
    "  backstream exporter list --listen udp://[::]:2055 --for 60s            all that send, with their health\n"
    "  backstream exporter list --pcap mine.pcap\n"
    "  backstream exporter show 192.0.2.1 --pcap mine.pcap                    one of them, every counter\n\n"
    "show, wait, and list with --pcap or --listen, read captures or listen as `backstream run` does; each has "
    "--help.\n";

/// What decoders and clocks know of the exporters of an input, without any query.
struct Observed {
  std::unique_ptr<inventory::Inventory> inventory;
  std::unique_ptr<ingest::DatagramSource> source;
  exec::Engine engine{exec::EngineOptions{}};
  std::unique_ptr<Pipeline> pipeline;
};

/// Reads until the input or its time ends, or `enough` says so.
base::Result<std::unique_ptr<Observed>> observe(const RunOptions& options,
                                                const std::function<bool(const Observed&)>& enough) {
  auto observed = std::make_unique<Observed>();
  const auto& [sites_file, exporters_file, interfaces_file] = options.settings.inventory;
  auto inventory = inventory::Inventory::open({sites_file, exporters_file, interfaces_file});
  if (!inventory) return tl::unexpected(inventory.error());
  observed->inventory = std::move(*inventory);
  std::vector<std::string> sites;
  auto input = open_input(options, sites);
  if (!input) return tl::unexpected(input.error());
  observed->source = std::move(input->sources.front());
  Pipeline::Options pipeline_options;
  pipeline_options.settings = options.settings;
  pipeline_options.live = options.live();
  pipeline_options.live_rules = options.live_rules;
  pipeline_options.inventory = observed->inventory.get();
  pipeline_options.exporters_read = true;
  observed->pipeline = std::make_unique<Pipeline>(
      pipeline_options, std::vector<ingest::DatagramSource*>{observed->source.get()}, observed->engine, sites);
  const auto begin = std::chrono::steady_clock::now();
  observed->pipeline->run([&] {
    const bool over = options.duration_us &&
                      std::chrono::steady_clock::now() - begin >= std::chrono::microseconds(*options.duration_us);
    bool has_enough = false;
    observed->pipeline->at_rest([&] { has_enough = enough(*observed); });
    return !over && !stop_requested() && !has_enough;
  });
  observed->pipeline->publish_inventory();
  return observed;
}

std::string cell(const batch::Column& column, size_t row) {
  if (column.type == batch::Type::kFloat8 && !column.is_null(row))
    return fmt::format("{:.1f}", column.as<double>()[row]);
  return column.is_null(row) ? std::string() : expr::value_text(expr::value_at(column, row), column.type);
}

/// Rows of the table of exporters, by address.
std::vector<size_t> rows_in_order(const lookup::Table& table) {
  std::vector<size_t> rows(table.row_count());
  for (size_t row = 0; row < rows.size(); ++row) rows[row] = row;
  const auto* addresses = table.column(0).as<base::Inet>();
  std::sort(rows.begin(), rows.end(),
            [&](size_t a, size_t b) { return std::is_lt(base::compare(addresses[a], addresses[b])); });
  return rows;
}

void write_out(const std::string& text) {
  receiver::TextBuffer out(STDOUT_FILENO);
  out.append(text);
  out.flush();
}

/// Whether there is an input to look at, or a server to ask.
bool names_an_input(const Arguments& arguments) {
  return std::any_of(arguments.begin(), arguments.end(), [](const std::string& argument) {
    return argument.starts_with("--pcap") || argument.starts_with("--listen");
  });
}

int list(const Arguments& arguments) {
  if (!names_an_input(arguments)) return exporters_of_server(arguments);
  auto read = read_input_options(arguments, "backstream exporter list",
                                 "All exporters of an input: protocols, records, what is missing, sampling, clocks.");
  if (const int* code = std::get_if<int>(&read)) return *code;
  const auto observed = observe(std::get<RunOptions>(read), [](const Observed&) { return false; });
  if (!observed) return complain(observed.error(), kExitFailure);
  const auto table = (*observed)->inventory->exporters()->published().snapshot()->table;

  // Times are left out: the last columns of a wide table are not read.
  std::vector<size_t> columns;
  for (size_t c = 0; c < table->column_count(); ++c) {
    const std::string& name = table->schema().columns[c].name;
    if (name != "first_seen" && name != "last_seen") columns.push_back(c);
  }
  std::vector<std::vector<std::string>> lines(1);
  for (const size_t c : columns) lines[0].push_back(table->schema().columns[c].name);
  for (const size_t row : rows_in_order(*table)) {
    auto& line = lines.emplace_back();
    for (const size_t c : columns) line.push_back(cell(table->column(c), row));
  }
  std::vector<size_t> widths(columns.size());
  for (const auto& line : lines) {
    for (size_t c = 0; c < line.size(); ++c) widths[c] = std::max(widths[c], line[c].size());
  }
  std::string text;
  for (const auto& line : lines) {
    std::string one;
    for (size_t c = 0; c < line.size(); ++c) one += fmt::format("{:<{}}  ", line[c], widths[c]);
    text += one.substr(0, one.find_last_not_of(' ') + 1) + "\n";
  }
  write_out(text);
  if (table->row_count() == 0) telemetry::terminal_log().line("nobody sent anything");
  return kExitOk;
}

/// The address that comes first, and the arguments behind it.
std::optional<base::Inet> take_address(Arguments& arguments) {
  if (arguments.empty()) return std::nullopt;
  auto address = base::parse_inet(arguments.front());
  if (!address || !address->is_host()) return std::nullopt;
  arguments.erase(arguments.begin());
  return address;
}

std::optional<Pipeline::Exporter> find(const Observed& observed, const base::Inet& address) {
  for (Pipeline::Exporter& exporter : observed.pipeline->exporters()) {
    if (exporter.address == address) return std::move(exporter);
  }
  return std::nullopt;
}

int show(Arguments arguments) {
  const bool help = std::find(arguments.begin(), arguments.end(), "--help") != arguments.end();
  const auto address = take_address(arguments);
  if (!address && !help) return misused("which exporter?", "backstream exporter show 192.0.2.1 --pcap mine.pcap");
  auto read = read_input_options(arguments, "backstream exporter show ADDRESS", "Every counter of one exporter.");
  if (const int* code = std::get_if<int>(&read)) return *code;
  const auto observed = observe(std::get<RunOptions>(read), [](const Observed&) { return false; });
  if (!observed) return complain(observed.error(), kExitFailure);
  const auto exporter = find(**observed, *address);
  if (!exporter) {
    telemetry::terminal_log().line(fmt::format("nothing came from {}", base::to_string(*address)));
    return kExitNothing;
  }
  const auto table = (*observed)->inventory->exporters()->published().snapshot()->table;
  std::vector<std::pair<std::string, std::string>> lines;
  for (size_t row = 0; row < table->row_count(); ++row) {
    if (table->column(0).as<base::Inet>()[row] != *address) continue;
    for (size_t c = 0; c < table->column_count(); ++c)
      lines.emplace_back(table->schema().columns[c].name, cell(table->column(c), row));
  }
  const decode::IngestLedger& ledger = exporter->ledger;
  const std::pair<const char*, uint64_t> counters[] = {{"flows", ledger.flows},
                                                       {"events", ledger.events},
                                                       {"option_rows", ledger.option_rows},
                                                       {"malformed", ledger.malformed},
                                                       {"awaiting_template", ledger.awaiting_template},
                                                       {"counter_samples", ledger.counter_samples}};
  for (const auto& [name, value] : counters) lines.emplace_back(name, std::to_string(value));
  for (size_t f = 0; f < decode::kDecodeFaultCount; ++f) {
    if (ledger.faults[f] != 0)
      lines.emplace_back(decode::name(static_cast<decode::DecodeFault>(f)), std::to_string(ledger.faults[f]));
  }
  size_t width = 0;
  for (const auto& [name, value] : lines) width = std::max(width, name.size());
  std::string text;
  for (const auto& [name, value] : lines) text += value.empty() ? "" : fmt::format("{:<{}}  {}\n", name, width, value);
  write_out(text);
  return kExitOk;
}

int wait(Arguments arguments) {
  const bool help = std::find(arguments.begin(), arguments.end(), "--help") != arguments.end();
  const auto address = take_address(arguments);
  if (!address && !help)
    return misused("which exporter?", "backstream exporter wait 192.0.2.1 --listen udp://[::]:2055 --for 5m");
  auto read = read_input_options(
      arguments, "backstream exporter wait ADDRESS",
      "Waits until flows of an exporter can be read (exit code 0), or the time is over (7), and says what came.");
  if (const int* code = std::get_if<int>(&read)) return *code;
  const auto begin = std::chrono::steady_clock::now();
  const auto observed = observe(std::get<RunOptions>(read), [&](const Observed& so_far) {
    const auto exporter = find(so_far, *address);
    return exporter && exporter->ledger.flows != 0;
  });
  if (!observed) return complain(observed.error(), kExitFailure);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const Pipeline& pipeline = *(*observed)->pipeline;
  const std::string name = base::to_string(*address);
  const auto exporter = find(**observed, *address);
  if (!exporter) {
    telemetry::terminal_log().line(fmt::format("nothing came from {} in {:.1f} s, {} datagrams from {} others", name,
                                               seconds, pipeline.decoded().datagrams, pipeline.exporters().size()));
    return kExitNothing;
  }
  const decode::IngestLedger& ledger = exporter->ledger;
  if (ledger.flows == 0) {
    telemetry::terminal_log().line(
        fmt::format("{} sent {} datagrams in {:.1f} s, but no flow of them could be read: {} undecodable, {} sets "
                    "await their template",
                    name, ledger.datagrams, seconds, ledger.undecodable, ledger.awaiting_template));
    return kExitNothing;
  }
  write_out(fmt::format("{}: {} flows by {} after {:.1f} s{}\n", name, ledger.flows, exporter->protocols, seconds,
                        ledger.sampling_unknown_rows == 0 ? "" : "; its sampling rate is not known"));
  return kExitOk;
}

int snippet_for(const Arguments& arguments) {
  service::SnippetValues values;
  std::string system;
  std::string systems;
  for (const std::string_view name : service::snippet_systems())
    systems.append(systems.empty() ? "" : ", ").append(name);
  CLI::App app("The lines that make a router send its flows here, with timeouts that the default delay fits.",
               "backstream exporter snippet");
  app.add_option("SYSTEM", system, systems)->required();
  app.add_option("--collector", values.collector, "the address of this collector")->required()->type_name("ADDRESS");
  app.add_option("--port", values.port, "its port (default: 2055 NetFlow, 4739 IPFIX, 6343 sFlow)")
      ->check(CLI::Range(1, 65535))
      ->type_name("PORT");
  app.add_option("--source", values.source,
                 "where the router sends from: an address, or an interface where it wants one")
      ->type_name("NAME");
  app.add_option("--interface", values.interface, "one that is watched")->type_name("NAME");
  app.add_option("--rate", values.rate, "sample 1 in N packets (default 1000)")
      ->check(CLI::Range(1, 1'000'000))
      ->type_name("N");
  try {
    app.parse(Arguments(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    return misused(error.what(), "backstream exporter snippet junos --collector 192.0.2.10");
  }
  if (!base::parse_inet(values.collector) || !base::parse_inet(values.collector)->is_host())
    return misused(fmt::format("--collector '{}' is no address", values.collector), "--collector 192.0.2.10");
  const auto text = service::snippet(system, values);
  if (!text) {
    const std::string_view near = base::nearest_name(system, service::snippet_systems());
    return misused(fmt::format("no snippet for '{}'", system),
                   near.empty() ? "there are: " + systems : fmt::format("did you mean '{}'?", near));
  }
  write_out(*text);
  return kExitOk;
}

}  // namespace

int exporter_command(const std::vector<std::string>& arguments) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h") {
    std::fputs(std::string(kAbout).c_str(), arguments.empty() ? stderr : stdout);
    return arguments.empty() ? kExitUsage : kExitOk;
  }
  const Arguments rest(arguments.begin() + 1, arguments.end());
  if (arguments[0] == "list") return list(rest);
  if (arguments[0] == "show") return show(rest);
  if (arguments[0] == "wait") return wait(rest);
  if (arguments[0] == "snippet") return snippet_for(rest);
  const std::string_view near = base::nearest_name(arguments[0], {"list", "show", "wait", "snippet"});
  return misused(fmt::format("no command 'exporter {}'", arguments[0]),
                 near.empty() ? "there are list, show, wait and snippet" : fmt::format("did you mean '{}'?", near));
}

}  // namespace backstream::app
