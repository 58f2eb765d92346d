// TOML, --set, the environment, and what the diagnostics quote of them. What is taken can be shown as TOML that gives
// the same.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "config/load.h"

namespace {

using namespace backstream;

constexpr config::SecretDef kSecrets[] = {{"bus.sasl_password", "", config::Reload::kRestart}};

void check(const config::Settings& settings, const config::Applied& applied) {
  for (const base::Diagnostic& error : applied.errors) (void)error.render();
  for (const config::SettingDef& setting : config::setting_table()) {
    const int64_t value = setting.load(settings);
    if (value < setting.minimum || value > setting.maximum) std::abort();
  }
}

std::string toml(const config::Settings& settings) {
  std::string text, section;
  for (const config::SettingValue& value : config::setting_values(settings, kSecrets)) {
    if (value.section != section) text += "[" + value.section + "]\n";
    section = value.section;
    // What load() fills in, or checks.
    const bool by_load = value.key == "node.name" || value.key == "state.folder" || value.literal == "\"\"";
    if (!by_load) text += value.name + " = " + value.literal + "\n";
  }
  return text;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t octets) {
  const std::string text(reinterpret_cast<const char*>(data), octets);
  config::Settings settings;
  config::Applied applied;
  config::apply_toml(settings, text, "fuzz.toml", applied, kSecrets);
  check(settings, applied);
  config::apply_assignment(settings, text, applied, kSecrets);
  check(settings, applied);
  const std::string variable = "BACKSTREAM_" + text;
  const char* const environment[] = {variable.c_str(), nullptr};
  config::apply_environment(settings, environment, applied, kSecrets);
  check(settings, applied);

  const std::string shown = toml(settings);
  config::Settings again;
  config::Applied taken;
  config::apply_toml(again, shown, "shown.toml", taken, kSecrets);
  if (!taken.errors.empty() || toml(again) != shown) std::abort();
  return 0;
}
