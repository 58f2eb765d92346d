#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/diagnostic.h"
#include "base/inet.h"
#include "base/time.h"
#include "batch/elements.h"
#include "config/endpoint.h"

namespace backstream::config {

using base::Micros;
using base::Result;

enum class SflowOctets : uint8_t { kIp, kFrame };
enum class Tunnels : uint8_t { kOuter, kInner };
enum class Biflow : uint8_t { kSplit, kForward };
/// How datagrams are divided over sockets: all of an exporter to one, or each to any.
enum class Steering : uint8_t { kExporter, kSpread };
/// Who is the exporter of a flow: docs/operations.md, "Exporters".
enum class ExporterIdentity : uint8_t { kSource, kElement, kAgent };
/// Where the catalog is: in a file of this node alone, or in a topic that all nodes share.
enum class CatalogStore : uint8_t { kSqlite, kKafka };
/// What a node of `backstream serve` does.
enum class NodeRole : uint8_t { kEdge, kMerge, kReceiver };

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

/// A topic of Kafka that flows are read from.
struct FlowTopic {
  enum class Format : uint8_t {
    kBackstream,  ///< docs/flows.proto
    kGoflow2,     ///< goflow2's FlowMessage
  } format = Format::kBackstream;
  std::string name;  ///< whole, as the brokers know it
  uint32_t first_partition = 0, last_partition = UINT32_MAX;
  bool operator==(const FlowTopic&) const = default;
  std::string text() const;  ///< "flows", "goflow2:flow-messages/0-15"
};
/// [FORMAT:]TOPIC[/FIRST-LAST]. Nothing when it is not of that form.
std::optional<FlowTopic> parse_flow_topic(std::string_view text);

/// What somebody may do over HTTP; each includes those before it.
enum class AccessRole : uint8_t {
  kViewer = 1,  ///< look
  kOperator,    ///< change queries, sinks, alerts
  kAdmin,       ///< tokens, the audit, exports
};
std::string_view name(AccessRole role);
std::optional<AccessRole> access_role_of(std::string_view name);

/// Of whom a trusted proxy tells.
struct AccessSubject {
  enum class Kind : uint8_t { kUser, kGroup, kAnybody } kind = Kind::kUser;
  std::string name;  ///< empty only of kAnybody
  bool operator==(const AccessSubject&) const = default;
  std::string text() const;  ///< "alice", "group:noc", "*"
};
struct AccessGrant {
  AccessSubject who;
  AccessRole role = AccessRole::kViewer;
  bool operator==(const AccessGrant&) const = default;
};
struct AccessFilter {
  AccessSubject who;
  std::string condition;  ///< in SQL, not looked at here
  bool operator==(const AccessFilter&) const = default;
};

/// A password, key or token. Nothing prints `value`.
struct Secret {
  std::string value;  ///< empty: not set
  std::string file;   ///< as the settings name it, absolute if they are a file's; empty: it was not read from one
};

/// Where sinks can send rows to: settings "server.NAME.name".
struct ServerSettings {
  enum class Type : uint8_t { kFile, kPostgres, kKafka, kPrometheus };
  std::string name;
  std::optional<Type> type;  ///< none: not set, which load() refuses
  std::string folder;        ///< kFile
  std::string connection;    ///< kPostgres
  Secret password;           ///< kPostgres
  // kKafka. Without brokers it is that of kafka.*, and nothing of this is set.
  std::vector<std::string> brokers;
  std::vector<std::pair<std::string, std::string>> properties;  ///< as kafka.properties
  Secret sasl_password, ssl_key_password;
};

/// Where notices of alerts go: settings "notify.NAME.name".
struct NotifySettings {
  enum class Type : uint8_t { kWebhook, kAlertmanager, kSyslog, kScript } type = Type::kWebhook;
  enum class Auth : uint8_t { kBearer, kHmac } auth = Auth::kBearer;
  std::string name;
  bool has_type = false;
  std::string to;    ///< a URL; of syslog udp://, tcp:// or unix://; of a script its path
  std::string body;  ///< of a webhook: JSON with ${places}, or the name of a ready one; empty: the whole notice
  std::vector<std::string> headers;  ///< of webhook and Alertmanager: "Name: value"
  Secret secret;                     ///< what `auth` is about; of webhook and Alertmanager
  Micros timeout_us = 10'000'000;    ///< of one attempt
  int64_t per_minute = 60;           ///< at most so many requests, datagrams or runs; more wait
  bool trust_any = false;            ///< certificates are not looked at
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
  struct {
    std::string name;  ///< empty only before load(): the host's name
    std::string site;
    std::vector<NodeRole> roles = {NodeRole::kEdge, NodeRole::kMerge, NodeRole::kReceiver};  ///< ascending, each once
  } node;
  struct {
    /// Scheme udp; no two are alike.
    std::vector<Endpoint> flow = {{"udp", "127.0.0.1", 2055}, {"udp", "127.0.0.1", 4739}, {"udp", "127.0.0.1", 6343}};
    std::vector<FlowTopic> kafka;  ///< no two of one name
    bool kafka_from_begin = false;
  } listen;
  struct {
    std::string listen = "http://127.0.0.1:8844";  ///< parse_http_endpoint() takes it; https has certificate and key
    bool allow_insecure = false;
    std::string certificate, key;      ///< files (PEM)
    std::vector<std::string> hosts;    ///< further names of this server, lower case, without ports
    std::vector<std::string> origins;  ///< "https://noc.example": pages of others that may ask
  } http;
  struct {
    bool required = false;
    std::vector<base::Inet> proxy_addresses;
    std::string proxy_header = "X-Forwarded-User";
    std::string proxy_groups_header = "X-Forwarded-Groups";  ///< empty: groups are not looked at
    std::vector<AccessGrant> grants;                         ///< each subject once
    std::vector<AccessFilter> filters;                       ///< each subject once
  } access;
  struct {
    std::string topic;  ///< empty: decoded flows are not sent on
    int64_t queue_octets = 64 << 20;
  } flows;
  struct {
    std::string folder;  ///< absolute; empty only before load()
  } state;
  struct {
    std::string folder;  ///< empty: `tables` in state.folder
  } tables;
  struct {
    bool enabled = true;
    std::string folder;  ///< empty: `history` in state.folder
    Micros keep_us = 7 * Micros{86'400} * base::kMicrosPerSecond;
    Micros keep_1m_us = 14 * Micros{86'400} * base::kMicrosPerSecond;
    Micros keep_5m_us = 90 * Micros{86'400} * base::kMicrosPerSecond;
    Micros keep_1h_us = 730 * Micros{86'400} * base::kMicrosPerSecond;
    int64_t octets_max = int64_t{16} << 30;
  } history;
  struct {
    CatalogStore store = CatalogStore::kSqlite;  ///< kKafka: there are brokers
  } catalog;
  struct {
    std::vector<std::string> brokers;  ///< "HOST:PORT"; empty: there is no Kafka
    std::string prefix = "backstream";
    int64_t partitions = 32;
    int64_t replication = 0;          ///< of topics that are made; 0: the brokers' default
    int64_t min_insync_replicas = 0;  ///< 0: the brokers' default
    bool create_topics = true;
    Micros retention_us = Micros{86'400} * base::kMicrosPerSecond;
    Micros timeout_us = 30'000'000;
    int64_t queue_octets = 64 << 20;
    int64_t read_memory_octets = 64 << 20;
    /// Of librdkafka, by its names, each once, in the order of their first setting; no secrets among them.
    std::vector<std::pair<std::string, std::string>> properties;
  } kafka;
  static constexpr size_t kKafkaPropertiesMax = 256;
  struct {
    std::string link;  ///< what links in notices begin with; empty: the address of http.listen
  } alert;
  struct {
    int64_t spool_octets = int64_t{4} << 30;
  } edge;
  struct {
    Micros absent_after_us = 90 * base::kMicrosPerSecond;
  } merge;
  std::map<std::string, Secret, std::less<>> secrets;  ///< by key of the table of secrets; only those that are given
  std::vector<ExporterSettings> exporters;             ///< each prefix once, in no order
  /// Columns added to `flows`: settings "column.NAME". Names are unlike those that `flows` has, each once, in the order
  /// of their first setting; at most kColumnsMax.
  std::vector<batch::UserColumn> columns;
  static constexpr size_t kColumnsMax = 256;
  std::vector<ForwardSettings> forwards;  ///< each name once, in the order of their first setting
  static constexpr size_t kForwardsMax = 16;
  std::vector<ServerSettings> servers;  ///< each name once, in the order of their first setting
  static constexpr size_t kServersMax = 64;
  std::vector<NotifySettings> notify;  ///< each name once, in the order of their first setting
  static constexpr size_t kNotifyMax = 16;

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

/// When a changed setting of a running `backstream serve` takes effect: kLive at SIGHUP. A row that says kLive is a
/// promise that serve keeps.
enum class Reload : uint8_t { kRestart, kLive };

/// One row of the table of settings.
struct SettingDef {
  std::string_view key;  ///< "watermark.delay": section, dot, name
  SettingKind kind;
  int64_t minimum, maximum;  ///< inclusive; durations in µs
  std::string_view choices;  ///< kChoice: "ip|frame", the first is value 0
  std::string_view about;
  void (*store)(Settings&, int64_t);
  int64_t (*load)(const Settings&);
  Reload reload = Reload::kRestart;
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
  std::optional<int64_t> (*load)(const ExporterSettings&);
  Reload reload = Reload::kRestart;
};
std::span<const ExporterSettingDef> exporter_setting_table();
/// As setting_text().
std::string setting_text(const ExporterSettingDef& setting, int64_t value);
/// One that is text.
struct ExporterTextSettingDef {
  std::string_view name;
  std::string_view about;
  std::string& (*text)(ExporterSettings&);
  Reload reload = Reload::kRestart;
};
std::span<const ExporterTextSettingDef> exporter_text_setting_table();

/// A setting of a target of forwarding.
struct ForwardSettingDef {
  std::string_view name;
  std::string_view about;
  std::string_view expectation;
  /// False: the text is no value of it.
  bool (*store)(ForwardSettings&, std::string_view text);
  std::string (*literal)(const ForwardSettings&);  ///< in TOML
  Secret* (*secret)(ForwardSettings&) = nullptr;   ///< it names the file of this one; null: it is no secret
};
std::span<const ForwardSettingDef> forward_setting_table();

/// A setting of a server of sinks; as ForwardSettingDef.
struct ServerSettingDef {
  std::string_view name;
  std::string_view about;
  std::string_view expectation;
  bool (*store)(ServerSettings&, std::string_view text);
  std::string (*literal)(const ServerSettings&);  ///< in TOML; empty: it is not set
  Secret* (*secret)(ServerSettings&) = nullptr;
  Reload reload = Reload::kLive;
};
std::span<const ServerSettingDef> server_setting_table();

/// A setting of an endpoint of notices.
struct NotifySettingDef {
  std::string_view name;
  std::string_view about;
  std::string_view expectation;
  bool (*store)(NotifySettings&, std::string_view text);  ///< false: the text is no value of it
  std::string (*literal)(const NotifySettings&);          ///< in TOML; empty: it is not set
  Secret* (*secret)(NotifySettings&) = nullptr;           ///< as of ForwardSettingDef
};
std::span<const NotifySettingDef> notify_setting_table();

/// A setting that is text, such as the name of a file; empty: not set.
struct TextSettingDef {
  std::string_view key;
  std::string_view about;
  std::string& (*text)(Settings&);
  bool (*valid)(std::string_view) = nullptr;  ///< null: every text is
  std::string_view expectation = {};          ///< of a valid one
  Reload reload = Reload::kRestart;
};
std::span<const TextSettingDef> text_setting_table();

/// What is wrong with an element of a list.
struct ListFault {
  size_t index;               ///< of the element; npos: the list itself
  std::string message, hint;  ///< empty: it is no such element
  static constexpr size_t npos = SIZE_MAX;
};
/// A setting that is a list: in TOML an array, elsewhere its elements with commas between.
struct ListSettingDef {
  std::string_view key;
  std::string_view about;
  /// Replaces the list, or says why not and leaves it.
  std::optional<ListFault> (*store)(Settings&, std::span<const std::string_view> elements);
  std::vector<std::string> (*load)(const Settings&);
  std::string_view expectation;  ///< of an element
  Reload reload = Reload::kRestart;
};
std::span<const ListSettingDef> list_setting_table();

/// A setting that is a secret. It never stands in a file of settings, in the environment or in a command line:
/// "KEY_file" names the file that holds it, or systemd gives it as $CREDENTIALS_DIRECTORY/KEY.
struct SecretDef {
  std::string_view key;
  std::string_view about;
  Reload reload = Reload::kRestart;
};
std::span<const SecretDef> secret_table();

/// An effective setting.
struct SettingValue {
  std::string key;      ///< as after --set: "exporter.192.0.2.0/24.delay"
  std::string section;  ///< in TOML: exporter."192.0.2.0/24"
  std::string name;     ///< in that section
  std::string literal;  ///< the value in TOML; JSON spells it the same
  Reload reload = Reload::kRestart;
  bool is_secret_file = false;
  bool secret_is_set = false;
};
/// All of them, section by section: every row of the tables, and what exporters, targets and columns have. A TOML file
/// of them, in this order, gives the same settings.
std::vector<SettingValue> setting_values(const Settings& settings, std::span<const SecretDef> secrets = secret_table());

/// Where an effective setting comes from.
struct Origin {
  enum class Layer : uint8_t { kFile, kEnvironment, kAssignment } layer = Layer::kFile;
  base::Diagnostic place;  ///< of the value: source_name, line, column and excerpt are set
  /// "FILE:LINE", "environment" or "--set".
  std::string text() const;
};

/// What came of applying one or several layers of settings.
struct Applied {
  std::map<std::string, Origin, std::less<>> origins;  ///< by SettingValue::key; absent: the default
  std::vector<base::Diagnostic> errors;                ///< located; by place in a file
  std::vector<std::string> refused;                    ///< keys that stand somewhere with an error
  std::vector<std::string> warnings;
};

// Each changes `settings` by those keys that are named and valid, and tells all that are not. An unknown key has the
// nearest one as hint. Later calls win.

/// TOML text: [section] tables of the table's keys, and [exporter."192.0.2.0/24"].
/// @param source_name  the file's; names of files of secrets are relative to its folder
void apply_toml(Settings& settings, std::string_view text, const std::string& source_name, Applied& applied,
                std::span<const SecretDef> secrets = secret_table());
/// "key.path=value", as after --set.
void apply_assignment(Settings& settings, std::string_view assignment, Applied& applied,
                      std::span<const SecretDef> secrets = secret_table());
/// BACKSTREAM_SECTION__KEY=value of the environment. Variables BACKSTREAM_… that are no setting are warned about.
/// @param environment  null-terminated, as `environ`
void apply_environment(Settings& settings, const char* const* environment, Applied& applied,
                       std::span<const SecretDef> secrets = secret_table());

/// As above; the first error is returned, and then nothing was changed.
Result<void> apply_toml(Settings& settings, std::string_view text, const std::string& source_name);
Result<void> apply_assignment(Settings& settings, std::string_view assignment);

}  // namespace backstream::config
