#pragma once
// Settings from all layers, and what changed since they were loaded before.
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "config/settings.h"

namespace backstream::config {

/// The file of a daemon that is told no other.
inline constexpr const char* kDefaultFile = "/etc/backstream/backstream.toml";

/// Where settings come from; a later one wins: defaults, the file, conf.d/*.toml beside it by name, the environment,
/// assignments. Of secrets, $CREDENTIALS_DIRECTORY comes right behind the defaults.
/// What is wrong with a property of a library that this room does not know.
struct PropertyFault {
  std::string message, hint;
};
using PropertyCheck = std::optional<PropertyFault> (*)(const std::string& name, const std::string& value);

struct LoadRequest {
  std::optional<std::string> file;  ///< --config: must be there
  std::string default_file;         ///< without `file`; need not be there; empty: none
  std::vector<std::string> assignments;
  const char* const* environment = nullptr;  ///< null-terminated, as `environ`
  std::span<const SecretDef> secrets = secret_table();
  PropertyCheck kafka_property = nullptr;  ///< of kafka.property.NAME; null: any is taken
};

struct Loaded : Applied {
  Settings settings;               ///< not to be used when there are errors
  std::vector<std::string> files;  ///< those that were read, in order
};

/// Reads files, and those of secrets; else nothing is opened. Never throws on what they hold.
Loaded load(const LoadRequest& request);

/// Why the settings would show to others what is for nobody else to see; the keys to change stand in the hint.
struct ExposureFault {
  std::string key, message, hint;
};
/// Of http.listen and what belongs to it. load() tells it; whoever opens the listener asks again.
std::optional<ExposureFault> exposure_fault(const Settings& settings);

/// The secret that a file holds, without the newline at its end.
/// Errors: it cannot be read, others may read or write it, it is empty or has more than 64 KiB.
Result<std::string> read_secret(const std::string& path);

struct SettingChange {
  std::string key;
  std::string before, after;  ///< as in TOML; empty: it was not, or is no more; secrets: "(set)"
  Reload reload = Reload::kRestart;
};
/// By section, as setting_values().
std::vector<SettingChange> changed_settings(const Settings& running, const Settings& loaded,
                                            std::span<const SecretDef> secrets = secret_table());

struct Reloaded {
  Loaded loaded;
  std::vector<SettingChange> changes;  ///< none when there are errors
  Settings settings;                   ///< to run with from now on: the running ones and those changes that are live
};
/// What SIGHUP asks for. With errors all stays as it runs.
Reloaded reload(const LoadRequest& request, const Settings& running);

}  // namespace backstream::config
