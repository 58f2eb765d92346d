// TOML, --set and what the diagnostics quote of them.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "config/settings.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t octets) {
  using namespace backstream;
  const std::string_view text(reinterpret_cast<const char*>(data), octets);
  config::Settings settings;
  const auto in_range = [&] {
    for (const config::SettingDef& setting : config::setting_table()) {
      const int64_t value = setting.load(settings);
      if (value < setting.minimum || value > setting.maximum) std::abort();
    }
  };
  if (auto result = config::apply_toml(settings, text, "fuzz.toml"); !result) (void)result.error().render();
  in_range();
  if (auto result = config::apply_assignment(settings, text); !result) (void)result.error().render();
  in_range();
  return 0;
}
