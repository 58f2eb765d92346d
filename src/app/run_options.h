#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/diagnostic.h"
#include "base/time.h"
#include "config/settings.h"
#include "ingest/forwarder.h"
#include "ingest/source.h"
#include "ingest/udp_source.h"
#include "receiver/result_writer.h"

namespace backstream::app {

/// A text of SQL and what to call it in messages.
struct SqlText {
  std::string source_name;  ///< file name or "-e"
  std::string text;
};

/// How rows are dealt to edges.
struct Deal {
  enum class Kind : uint8_t { kSite, kExporter, kRandom } kind = Kind::kExporter;
  uint64_t seed = 0;
};

/// What `backstream run` was asked to do.
struct RunOptions {
  std::vector<ingest::CaptureInput> captures;
  std::vector<ingest::UdpListen> listen;  ///< topics of --listen are in settings.listen.kafka
  std::vector<ingest::ForwardTarget> forwards;
  std::optional<base::Micros> duration_us;  ///< --for
  std::vector<uint16_t> ports;              ///< --port; empty: all
  std::vector<SqlText> sql;                 ///< in the order given
  std::string view;                         ///< --view; empty: all statements
  receiver::Format format = receiver::Format::kTable;
  std::string stats_path;  ///< --stats; empty: none
  uint32_t threads = 1;
  uint32_t edges = 0;  ///< 0: one process, not split
  Deal deal;
  bool live_rules = false;
  bool quiet = false;
  bool revisions = false;
  config::Settings settings;

  /// Whether the input is sockets or topics, not captures.
  bool live() const { return !listen.empty() || !settings.listen.kafka.empty(); }
};

/// Reads the command line, the environment, the settings file and the SQL files.
/// @return  the options, or the exit code when there is nothing more to do: --help was printed, or what is wrong has
///          been told on standard error
std::variant<RunOptions, int> read_run_options(const std::vector<std::string>& arguments);

/// The same for a command that reads the input of `run` but no statements: its flags are those of the input, settings
/// and -q.
/// @param name   "backstream exporter list"
/// @param about  what its help says first
std::variant<RunOptions, int> read_input_options(const std::vector<std::string>& arguments, const std::string& name,
                                                 const std::string& about);

/// "site", "exporter" or "random:SEED".
base::Result<Deal> parse_deal(std::string_view text);

}  // namespace backstream::app
