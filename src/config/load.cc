#include "config/load.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>

#include "config/assign.h"

namespace backstream::config {
namespace {

using base::Diagnostic;
using base::fail;

constexpr size_t kFileOctetsMax = 1 << 20;
constexpr size_t kSecretOctetsMax = 64 << 10;

class File {
 public:
  explicit File(int descriptor) : descriptor_(descriptor) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() {
    if (descriptor_ >= 0) ::close(descriptor_);
  }
  int descriptor() const { return descriptor_; }

 private:
  const int descriptor_;
};

tl::unexpected<Diagnostic> unreadable(const std::string& path, int error) {
  return fail("config", fmt::format("cannot read '{}': {}", path, std::strerror(error)));
}

/// All of it; more than `octets_max` is an error.
Result<std::string> read_all(const File& file, const std::string& path, size_t octets_max) {
  std::string text;
  char part[16'384];
  while (true) {
    const ssize_t count = ::read(file.descriptor(), part, sizeof part);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return unreadable(path, errno);
    if (count == 0) return text;
    text.append(part, static_cast<size_t>(count));
    if (text.size() > octets_max)
      return fail("config", fmt::format("'{}' has more than {} KiB", path, octets_max >> 10));
  }
}

std::string_view variable(const char* const* environment, std::string_view name) {
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    const std::string_view entry = *environment;
    if (entry.starts_with(name) && entry.substr(name.size()).starts_with('=')) return entry.substr(name.size() + 1);
  }
  return {};
}

/// False: it is not there.
bool read_layer(Loaded& loaded, const std::string& path, std::span<const SecretDef> secrets) {
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (file.descriptor() < 0 && errno == ENOENT) return false;
  auto text =
      file.descriptor() < 0 ? Result<std::string>(unreadable(path, errno)) : read_all(file, path, kFileOctetsMax);
  if (!text) {
    loaded.errors.push_back(std::move(text.error()));
    return true;
  }
  loaded.files.push_back(path);
  apply_toml(loaded.settings, *text, path, loaded, secrets);
  return true;
}

void read_folder(Loaded& loaded, const std::filesystem::path& beside, std::span<const SecretDef> secrets) {
  const std::string folder = (beside.parent_path() / "conf.d").string();
  const std::unique_ptr<DIR, int (*)(DIR*)> listing(::opendir(folder.c_str()), ::closedir);
  if (listing == nullptr) {
    if (errno != ENOENT && errno != ENOTDIR) loaded.errors.push_back(unreadable(folder, errno).value());
    return;
  }
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(listing.get())) {
    const std::string_view name = entry->d_name;
    if (name.ends_with(".toml") && !name.starts_with('.')) names.emplace_back(name);
  }
  std::sort(names.begin(), names.end());
  for (const std::string& name : names) {
    const std::string path = (std::filesystem::path(folder) / name).string();
    if (!read_layer(loaded, path, secrets)) loaded.errors.push_back(unreadable(path, ENOENT).value());
  }
}

/// Told where the value of `key` stands, if it stands anywhere.
void tell(Loaded& loaded, std::string_view key, std::string message, std::string hint) {
  Diagnostic error = fail("config", std::move(message), {}, std::move(hint)).value();
  if (const auto origin = loaded.origins.find(key); origin != loaded.origins.end()) {
    const Diagnostic& place = origin->second.place;
    error.span = place.span;
    error.source_name = place.source_name;
    error.line = place.line;
    error.column = place.column;
    error.excerpt = place.excerpt;
    error.caret_characters = place.caret_characters;
  }
  loaded.errors.push_back(std::move(error));
}

void read_secrets(Loaded& loaded, const LoadRequest& request) {
  const std::string credentials(variable(request.environment, "CREDENTIALS_DIRECTORY"));
  for (const SecretDef& secret : request.secrets) {
    const auto named = loaded.settings.secrets.find(secret.key);
    if (named != loaded.settings.secrets.end()) {
      auto value = read_secret(named->second.file);
      if (value) named->second.value = std::move(*value);
      else tell(loaded, fmt::format("{}{}", secret.key, kSecretFileSuffix), value.error().message, value.error().hint);
      continue;
    }
    if (credentials.empty()) continue;
    const std::string path = fmt::format("{}/{}", credentials, secret.key);
    if (::access(path.c_str(), F_OK) != 0) continue;
    auto value = read_secret(path);
    if (value) loaded.settings.secrets.emplace(secret.key, Secret{std::move(*value), {}});
    else loaded.errors.push_back(std::move(value.error()));
  }
}

/// Servers of sinks: what must be there, and their passwords.
void read_servers(Loaded& loaded) {
  for (ServerSettings& server : loaded.settings.servers) {
    const std::string key = fmt::format("{}{}", kServerSection, server.name);
    using Type = ServerSettings::Type;
    const auto is_missing = [&](std::string_view name, std::string hint) {
      tell(loaded, key + ".type", fmt::format("setting '{}.{}' is missing", key, name), std::move(hint));
    };
    const bool has_secret = !server.sasl_password.file.empty() || !server.ssl_key_password.file.empty();
    if (!server.type) is_missing("type", "file, postgres, kafka or prometheus");
    else if (*server.type == Type::kFile && server.folder.empty()) is_missing("folder", "a folder that is there");
    else if (*server.type == Type::kPostgres && server.connection.empty())
      is_missing("connection", "such as 'host=db dbname=flows user=backstream'");
    else if (*server.type == Type::kKafka && server.brokers.empty() && (has_secret || !server.properties.empty()))
      is_missing("brokers", "without it the server is that of kafka.*, with its properties and passwords");
    else if (*server.type == Type::kKafka && server.brokers.empty() && loaded.settings.kafka.brokers.empty())
      is_missing("brokers", "such as ['kafka-1.example:9092'], here or as kafka.brokers");
    const auto read = [&](Secret& secret, std::string_view name) {
      if (secret.file.empty()) return;
      auto value = read_secret(secret.file);
      if (value) secret.value = std::move(*value);
      else tell(loaded, fmt::format("{}.{}", key, name), value.error().message, value.error().hint);
    };
    read(server.password, "password_file");
    read(server.sasl_password, "sasl_password_file");
    read(server.ssl_key_password, "ssl_key_password_file");
  }
}

/// Empty: it can be one.
std::string_view expected_target(const NotifySettings& notify) {
  const std::string_view to = notify.to;
  switch (notify.type) {
    case NotifySettings::Type::kScript: return to.starts_with('/') ? "" : "of a script its absolute path";
    case NotifySettings::Type::kSyslog:
      if (to.starts_with("unix:///")) return "";
      for (const std::string_view scheme : {"udp", "tcp"}) {
        if (!to.starts_with(scheme)) continue;
        const auto at = parse_endpoint(to, scheme);
        if (at && !at->is_any() && at->port != 0) return "";
      }
      return "of a syslog udp://HOST:514, tcp://HOST:514 or unix:///dev/log";
    case NotifySettings::Type::kWebhook:
    case NotifySettings::Type::kAlertmanager: break;
  }
  return to.starts_with("http://") || to.starts_with("https://") ? "" : "it takes http://HOST or https://HOST";
}

/// Endpoints of notices: what must be there, and their secrets.
void read_notify(Loaded& loaded) {
  for (NotifySettings& notify : loaded.settings.notify) {
    const std::string key = fmt::format("{}{}", kNotifySection, notify.name);
    if (!notify.has_type)
      tell(loaded, key + ".to", fmt::format("setting '{}.type' is missing", key),
           "webhook, alertmanager, syslog or script");
    else if (notify.to.empty())
      tell(loaded, key + ".type", fmt::format("setting '{}.to' is missing", key), "a URL; of a script its path");
    else if (const std::string_view hint = expected_target(notify); !hint.empty())
      tell(loaded, key + ".to", fmt::format("setting '{}.to' cannot be '{}'", key, notify.to), std::string(hint));
    if (notify.secret.file.empty()) continue;
    auto value = read_secret(notify.secret.file);
    if (value) notify.secret.value = std::move(*value);
    else tell(loaded, key + ".secret_file", value.error().message, value.error().hint);
  }
}

/// A name for the node from that of the host, which may be any text.
std::string host_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') return "localhost";
  std::string text = name;
  for (char& c : text) {
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '.' && c != '_' && c != '-') c = '-';
  }
  return text;
}

std::string state_folder(const char* const* environment) {
  // systemd.exec(5), StateDirectory=; of several the first. Relative ones are to be ignored (XDG base directories).
  const std::string_view from_systemd = variable(environment, "STATE_DIRECTORY");
  if (from_systemd.starts_with('/')) return std::string(from_systemd.substr(0, from_systemd.find(':')));
  if (::geteuid() != 0) {
    const std::string_view state = variable(environment, "XDG_STATE_HOME"), home = variable(environment, "HOME");
    if (state.starts_with('/')) return fmt::format("{}/backstream", state);
    if (home.starts_with('/')) return fmt::format("{}/.local/state/backstream", home);
  }
  return "/var/lib/backstream";
}

/// What no single key can tell.
void check_together(Loaded& loaded, PropertyCheck kafka_property) {
  const Settings& settings = loaded.settings;
  if (kafka_property != nullptr) {
    const auto check = [&](const auto& properties, const std::string& section) {
      for (const auto& [name, value] : properties) {
        const auto fault = kafka_property(name, value);
        if (fault) tell(loaded, section + name, fault->message, fault->hint);
      }
    };
    check(settings.kafka.properties, std::string(kKafkaPropertySection));
    for (const ServerSettings& server : settings.servers)
      check(server.properties, fmt::format("{}{}.property.", kServerSection, server.name));
  }
  if (settings.catalog.store == CatalogStore::kKafka && settings.kafka.brokers.empty()) {
    tell(loaded, "catalog.store", "the catalog is to be in Kafka, and no broker is named",
         "set kafka.brokers, such as ['kafka-1.example:9092']");
  }
  for (const FlowTopic& topic : settings.listen.kafka) {
    if (topic.name == settings.flows.topic) {
      tell(loaded, "flows.topic",
           fmt::format("'{}' is read by listen.kafka, too: flows would come again and again", topic.name),
           "what is read has been acquired already");
    }
  }
  if (settings.kafka.brokers.empty() && !(settings.listen.kafka.empty() && settings.flows.topic.empty())) {
    tell(loaded, settings.listen.kafka.empty() ? "flows.topic" : "listen.kafka",
         "no brokers are named that have the topic", "set kafka.brokers, such as ['kafka-1.example:9092']");
  }
  const bool allow_unknown =
      std::find(loaded.refused.begin(), loaded.refused.end(), "ingest.allow") != loaded.refused.end();
  for (const Endpoint& endpoint : settings.listen.flow) {
    if (endpoint.is_loopback() || !settings.ingest.allow.empty() || allow_unknown) continue;
    tell(loaded, "listen.flow",
         fmt::format("'{}' can be reached from outside, and ingest.allow does not say who is heard", endpoint.text()),
         "set ingest.allow to the addresses of your routers, such as ['192.0.2.0/24', '2001:db8::/32']");
    break;
  }
  if (const auto fault = exposure_fault(settings)) tell(loaded, fault->key, fault->message, fault->hint);
  for (const ForwardSettings& forward : settings.forwards) {
    const auto to = parse_endpoint(forward.to, "udp");
    if (to && !to->is_any() && to->port != 0) continue;
    const std::string key = fmt::format("{}{}", kForwardSection, forward.name);
    tell(loaded, key + ".to",
         forward.to.empty() ? fmt::format("setting '{}.to' is missing", key)
                            : fmt::format("setting '{}' cannot be '{}'", key, forward.to),
         "it takes udp://HOST:PORT, for example udp://192.0.2.10:2055");
  }
}

std::string shown(const SettingValue& value) {
  if (!value.is_secret_file) return value.literal;
  return value.secret_is_set ? "(set)" : "";
}

bool same_secret(const Settings& a, const Settings& b, std::string_view file_key) {
  const std::string_view key = file_key.substr(0, file_key.size() - kSecretFileSuffix.size());
  const auto in_a = a.secrets.find(key), in_b = b.secrets.find(key);
  return (in_a == a.secrets.end() ? std::string() : in_a->second.value) ==
         (in_b == b.secrets.end() ? std::string() : in_b->second.value);
}

/// The running settings with those of `loaded` that take effect at once.
Settings with_live(const Settings& running, const Settings& loaded, std::span<const SecretDef> secrets) {
  Settings out = running, from = loaded;
  for (const SettingDef& setting : setting_table()) {
    if (setting.reload == Reload::kLive) setting.store(out, setting.load(loaded));
  }
  for (const TextSettingDef& setting : text_setting_table()) {
    if (setting.reload == Reload::kLive) setting.text(out) = setting.text(from);
  }
  for (const ListSettingDef& setting : list_setting_table()) {
    if (setting.reload != Reload::kLive) continue;
    const std::vector<std::string> elements = setting.load(loaded);
    setting.store(out, std::vector<std::string_view>(elements.begin(), elements.end()));
  }
  for (const SecretDef& secret : secrets) {
    if (secret.reload != Reload::kLive) continue;
    const auto at = loaded.secrets.find(secret.key);
    if (at == loaded.secrets.end()) out.secrets.erase(std::string(secret.key));
    else out.secrets.insert_or_assign(std::string(secret.key), at->second);
  }

  out.servers = loaded.servers;

  // Exporters: each setting of each prefix from the one or the other.
  Settings old = running;
  out.exporters.clear();
  const auto take = [&](ExporterSettings& exporter, Reload reload) {
    auto at = std::find_if(out.exporters.begin(), out.exporters.end(),
                           [&](const ExporterSettings& other) { return other.prefix == exporter.prefix; });
    const auto place = [&]() -> ExporterSettings& {
      if (at == out.exporters.end())
        at = out.exporters.insert(at, ExporterSettings{exporter.prefix, {}, {}, {}, {}, {}});
      return *at;
    };
    for (const ExporterSettingDef& setting : exporter_setting_table()) {
      const auto value = setting.load(exporter);
      if (setting.reload == reload && value) setting.store(place(), *value);
    }
    for (const ExporterTextSettingDef& setting : exporter_text_setting_table()) {
      const std::string& text = setting.text(exporter);
      if (setting.reload == reload && !text.empty()) setting.text(place()) = text;
    }
  };
  for (ExporterSettings& exporter : old.exporters) take(exporter, Reload::kRestart);
  for (ExporterSettings& exporter : from.exporters) take(exporter, Reload::kLive);
  return out;
}

}  // namespace

std::optional<ExposureFault> exposure_fault(const Settings& settings) {
  const auto& http = settings.http;
  const auto listen = parse_http_endpoint(http.listen);
  if (!listen) return std::nullopt;  // Only in settings that were not read: the table refuses it.
  const bool has_both = !http.certificate.empty() && !http.key.empty();
  const bool has_one = !http.certificate.empty() || !http.key.empty();
  if (listen->scheme == "https" && !has_both) {
    return ExposureFault{"http.listen", fmt::format("'{}' needs a certificate and its key", http.listen),
                         "set http.certificate and http.key to files (PEM)"};
  }
  if (listen->scheme == "http" && has_one) {
    return ExposureFault{http.certificate.empty() ? "http.key" : "http.certificate",
                         fmt::format("'{}' uses no certificate", http.listen), "write https:// in http.listen"};
  }
  if (listen->scheme == "http" && !listen->is_loopback() && !http.allow_insecure) {
    return ExposureFault{
        "http.listen", fmt::format("'{}' can be reached from outside, without encryption", http.listen),
        "write https:// and set http.certificate and http.key, listen on 127.0.0.1 behind a proxy, or set "
        "http.allow_insecure = true"};
  }
  return std::nullopt;
}

Result<std::string> read_secret(const std::string& path) {
  // Not waiting for the writer of a pipe, which is refused below.
  const File file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (file.descriptor() < 0) return unreadable(path, errno);
  struct stat status {};
  if (::fstat(file.descriptor(), &status) != 0) return unreadable(path, errno);
  if (!S_ISREG(status.st_mode)) return fail("config", fmt::format("'{}' is no file that could hold a secret", path));
  if ((status.st_mode & S_IRWXO) != 0) {
    return fail(
        "config",
        fmt::format("everybody may open '{}', which holds a secret (mode {:04o})", path, status.st_mode & 07777), {},
        fmt::format("chmod o= '{}'", path));
  }
  auto text = read_all(file, path, kSecretOctetsMax);
  if (!text) return text;
  if (text->ends_with('\n')) text->pop_back();
  if (text->ends_with('\r')) text->pop_back();
  if (text->empty()) return fail("config", fmt::format("'{}' is empty, and should hold a secret", path));
  return text;
}

Loaded load(const LoadRequest& request) {
  Loaded loaded;
  const std::string& path = request.file ? *request.file : request.default_file;
  if (request.file || !path.empty()) {
    if (read_layer(loaded, path, request.secrets) || !request.file) read_folder(loaded, path, request.secrets);
    else loaded.errors.push_back(unreadable(path, ENOENT).value());
  }
  if (request.environment != nullptr) apply_environment(loaded.settings, request.environment, loaded, request.secrets);
  for (const std::string& assignment : request.assignments)
    apply_assignment(loaded.settings, assignment, loaded, request.secrets);
  if (loaded.settings.node.name.empty()) loaded.settings.node.name = host_name();
  if (loaded.settings.state.folder.empty()) loaded.settings.state.folder = state_folder(request.environment);
  read_secrets(loaded, request);
  read_servers(loaded);
  read_notify(loaded);
  check_together(loaded, request.kafka_property);
  return loaded;
}

std::vector<SettingChange> changed_settings(const Settings& running, const Settings& loaded,
                                            std::span<const SecretDef> secrets) {
  const std::vector<SettingValue> before = setting_values(running, secrets), after = setting_values(loaded, secrets);
  std::map<std::string_view, const SettingValue*> old, now;
  for (const SettingValue& value : before) old.emplace(value.key, &value);
  for (const SettingValue& value : after) now.emplace(value.key, &value);
  std::vector<SettingChange> changes;
  for (const SettingValue& value : before) {
    const auto found = now.find(value.key);
    if (found == now.end()) {
      changes.push_back({value.key, value.literal, {}, value.reload});
      continue;
    }
    const SettingValue& other = *found->second;
    if (value.is_secret_file ? !same_secret(running, loaded, value.key) : other.literal != value.literal)
      changes.push_back({value.key, shown(value), shown(other), value.reload});
  }
  for (const SettingValue& value : after) {
    if (!old.contains(value.key)) changes.push_back({value.key, {}, value.literal, value.reload});
  }
  return changes;
}

Reloaded reload(const LoadRequest& request, const Settings& running) {
  Reloaded reloaded;
  reloaded.loaded = load(request);
  reloaded.settings = running;
  if (!reloaded.loaded.errors.empty()) return reloaded;
  reloaded.changes = changed_settings(running, reloaded.loaded.settings, request.secrets);
  reloaded.settings = with_live(running, reloaded.loaded.settings, request.secrets);
  return reloaded;
}

}  // namespace backstream::config
