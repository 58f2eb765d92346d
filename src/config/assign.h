#pragma once
// One setting from its key and the text of its value. Of this room only.
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/settings.h"

namespace backstream::config {

using base::SourceSpan;

/// A value and where it stands in the source.
struct ValueText {
  std::string_view text;
  SourceSpan span;
  bool verbatim = false;  ///< `text` is the source at `span`, so that a part of it can be pointed at
  bool is_array = false;  ///< the value is `elements`; `text` has them with commas between
  std::vector<std::pair<std::string, SourceSpan>> elements;
};

struct AssignContext {
  Settings& settings;
  std::span<const SecretDef> secrets;
  std::string_view folder;  ///< that names of files of secrets are relative to; empty: the current one
};

/// Sets it, or says what is wrong; the spans of errors are the caller's.
/// @return  the key as SettingValue has it
Result<std::string> assign(const AssignContext& context, std::string_view key, SourceSpan key_span,
                           const ValueText& value);
/// Error code of a mistake whose value may be a secret: it must not be quoted.
inline constexpr std::string_view kUnquotable = "config-secret";

/// Keys of the three tables, and "KEY_file" of the secrets.
std::vector<std::string> plain_keys(std::span<const SecretDef> secrets);
/// Sections that have settings, "exporter", "forward", "notify", "server" and "column" among them.
std::vector<std::string> sections(std::span<const SecretDef> secrets);
/// True for keys whose value is an array in TOML.
bool is_list(std::string_view key);

std::string_view trim(std::string_view text);
/// As a basic string of TOML, which is one of JSON, too. The text has no control characters.
std::string toml_string(std::string_view text);

inline constexpr std::string_view kExporterSection = "exporter.", kForwardSection = "forward.",
                                  kColumnSection = "column.", kServerSection = "server.", kNotifySection = "notify.",
                                  kKafkaSection = "kafka.", kKafkaPropertySection = "kafka.property.",
                                  kSecretFileSuffix = "_file";

}  // namespace backstream::config
