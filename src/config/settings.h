#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/inet.h"
#include "base/time.h"
#include "batch/elements.h"

namespace backstream::config {

using base::Micros;
using base::Result;

enum class SflowOctets : uint8_t { kIp, kFrame };
enum class Tunnels : uint8_t { kOuter, kInner };
enum class Biflow : uint8_t { kSplit, kForward };
/// Who is the exporter of a flow: docs/operations.md, "Exporters".
/// How datagrams are divided over sockets: all of an exporter to one, or each to any.
enum class Steering : uint8_t { kExporter, kSpread };
enum class ExporterIdentity : uint8_t { kSource, kElement, kAgent };

/// What holds for the exporters of a prefix: settings "exporter.PREFIX.name".
struct ExporterSettings {
  base::Inet prefix;
  std::optional<Micros> delay_us;
  std::optional<int64_t> sampling_rate, sampling_default;
  std::optional<ExporterIdentity> identity;
  std::string site;  ///< empty: not set
};

/// Where received datagrams are sent on: settings "forward.NAME" and "forward.NAME.name".
struct ForwardSettings {
  std::string name;
  std::string to;  ///< "udp://HOST:PORT", not looked at here
  bool spoof = true;
  std::vector<uint16_t> ports;  ///< empty: all
  int64_t queue_octets = 16 << 20;
};

/// Every setting, typed, with its default. A setting is one line here and one line in the table of settings.cc.
struct Settings {
  struct {
    SflowOctets sflow_octets = SflowOctets::kIp;
    Tunnels tunnels = Tunnels::kOuter;
    Biflow biflow = Biflow::kSplit;
    Micros template_wait_us = 10'000'000;
    int64_t template_wait_octets = 4 << 20;
    Micros template_expiry_us = Micros{86'400} * base::kMicrosPerSecond;
    bool template_per_port = false;
    int64_t exporter_limit = 65'536;
    int64_t template_limit = 4'096;
    int64_t sampling_default = 0;
    ExporterIdentity exporter_identity = ExporterIdentity::kSource;
    std::string state_file;
  } decode;
  struct {
    Micros delay_us = 75'000'000;
    Micros idle_timeout_us = 60'000'000;
    Micros max_skew_us = 30'000'000;
    Micros max_hold_us = 120'000'000;
    Micros max_future_us = 60'000'000;
  } watermark;
  struct {
    int64_t receive_buffer_octets = 32 << 20;
    int64_t sockets = 1;
    Steering steering = Steering::kExporter;
    int64_t backlog_octets = 256 << 20;
    bool coalesce = true;
    std::vector<base::Inet> allow;  ///< prefixes; empty: all are heard
  } ingest;
  struct {
    int64_t batch_rows = 2048;
    int64_t ready_memory_octets = 64 << 20;
  } exec;
  struct {
    bool rewrites = true;
    bool share = true;
  } plan;
  struct {
    std::string as_table;
  } enrich;
  struct {
    std::string sites, exporters, interfaces;
  } inventory;
  std::vector<ExporterSettings> exporters;  ///< each prefix once, in no order
  /// Columns added to `flows`: settings "column.NAME". Names are unlike those that `flows` has, each once, in the order
  /// of their first setting; at most kColumnsMax.
  std::vector<batch::UserColumn> columns;
  static constexpr size_t kColumnsMax = 256;
  std::vector<ForwardSettings> forwards;  ///< each name once, in the order of their first setting
  static constexpr size_t kForwardsMax = 16;

  /// The delay of an exporter: that of the longest prefix that holds its address and has one, else watermark.delay.
  Micros delay_of(const base::Inet& exporter) const;
  /// Its site, by the same rule; empty: none is set.
  std::string_view site_of(const base::Inet& exporter) const;
};

/// How the text of a setting is read.
enum class SettingKind : uint8_t {
  kDuration,  ///< "75 s", "500ms", "1 min"; a bare 0
  kOctets,    ///< a count of octets, or with KiB, MiB, GiB
  kCount,     ///< a whole number
  kSwitch,    ///< true or false
  kChoice,    ///< one of `choices`
};

/// One row of the table of settings.
struct SettingDef {
  std::string_view key;  ///< "watermark.delay": section, dot, name
  SettingKind kind;
  int64_t minimum, maximum;  ///< inclusive; durations in µs
  std::string_view choices;  ///< kChoice: "ip|frame", the first is value 0
  std::string_view about;
  void (*store)(Settings&, int64_t);
  int64_t (*load)(const Settings&);
};
std::span<const SettingDef> setting_table();
/// The value as a person would write it.
std::string setting_text(const SettingDef& setting, const Settings& settings);

/// A setting of a prefix of exporters, as the rows of setting_table().
struct ExporterSettingDef {
  std::string_view name;
  SettingKind kind;
  int64_t minimum, maximum;
  std::string_view choices;  ///< as of SettingDef
  std::string_view about;
  void (*store)(ExporterSettings&, int64_t);
};
std::span<const ExporterSettingDef> exporter_setting_table();
/// One that is text.
struct ExporterTextSettingDef {
  std::string_view name;
  std::string_view about;
  std::string& (*text)(ExporterSettings&);
};
std::span<const ExporterTextSettingDef> exporter_text_setting_table();

/// A setting of a target of forwarding.
struct ForwardSettingDef {
  std::string_view name;
  std::string_view about;
  std::string_view expectation;
  /// False: the text is no value of it.
  bool (*store)(ForwardSettings&, std::string_view text);
};
std::span<const ForwardSettingDef> forward_setting_table();

/// A setting that is text, such as the name of a file; empty: not set.
struct TextSettingDef {
  std::string_view key;
  std::string_view about;
  std::string& (*text)(Settings&);
};
std::span<const TextSettingDef> text_setting_table();

/// A setting that is a list: in TOML an array, elsewhere its elements with commas between.
struct ListSettingDef {
  std::string_view key;
  std::string_view about;
  /// Replaces the list. False: `wrong` is no element of it.
  bool (*store)(Settings&, std::span<const std::string_view> elements, std::string_view& wrong);
  std::string_view expectation;  ///< of an element
};
std::span<const ListSettingDef> list_setting_table();

// Each changes `settings` only by keys that are named and valid. Errors are located in the text; an unknown key has the
// nearest one as hint. Later calls win: file, then environment, then command line.

/// TOML text: [section] tables of the table's keys, and [exporter."192.0.2.0/24"].
Result<void> apply_toml(Settings& settings, std::string_view text, std::string_view source_name);
/// A TOML file. Error "config" when it cannot be read.
Result<void> apply_file(Settings& settings, const std::string& path);
/// "key.path=value", as after --set.
Result<void> apply_assignment(Settings& settings, std::string_view assignment);
/// BACKSTREAM__SECTION__KEY=value of the environment; other variables are not looked at.
/// @param environment  null-terminated, as `environ`
Result<void> apply_environment(Settings& settings, const char* const* environment);

}  // namespace backstream::config
