// Effective settings as a list.
#include <fmt/format.h>

#include "config/assign.h"
#include "config/settings.h"

namespace backstream::config {
namespace {

/// Numbers and switches stand in TOML as they are, what has a unit or a name is a string.
std::string literal(SettingKind kind, const std::string& text) {
  return kind == SettingKind::kCount || kind == SettingKind::kSwitch ? text : toml_string(text);
}

/// The rows of all tables, each section's together, sections in the order of their first row.
class Values {
 public:
  void add(std::string_view key, std::string literal, Reload reload) {
    const size_t dot = key.find('.');
    SettingValue value;
    value.key = key;
    value.section = key.substr(0, dot);
    value.name = key.substr(dot + 1);
    value.literal = std::move(literal);
    value.reload = reload;
    add(std::move(value));
  }
  void add(SettingValue value) {
    for (auto& [section, values] : sections_) {
      if (section == value.section) return values.push_back(std::move(value));
    }
    const std::string section = value.section;
    sections_.emplace_back(section, std::vector<SettingValue>{std::move(value)});
  }
  std::vector<SettingValue> all() && {
    std::vector<SettingValue> all;
    for (auto& [section, values] : sections_) {
      for (SettingValue& value : values) all.push_back(std::move(value));
    }
    return all;
  }

 private:
  std::vector<std::pair<std::string, std::vector<SettingValue>>> sections_;
};

}  // namespace

std::vector<SettingValue> setting_values(const Settings& settings, std::span<const SecretDef> secrets) {
  Settings copy = settings;  // The tables' accessors of texts are not const.
  Values values;
  for (const SettingDef& setting : setting_table())
    values.add(setting.key, literal(setting.kind, setting_text(setting, settings)), setting.reload);
  for (const TextSettingDef& setting : text_setting_table())
    values.add(setting.key, toml_string(setting.text(copy)), setting.reload);
  for (const ListSettingDef& setting : list_setting_table()) {
    std::string elements;
    for (const std::string& element : setting.load(settings))
      elements.append(elements.empty() ? "" : ", ").append(toml_string(element));
    values.add(setting.key, "[" + elements + "]", setting.reload);
  }
  for (const SecretDef& secret : secrets) {
    const auto known = settings.secrets.find(secret.key);
    const size_t dot = secret.key.find('.');
    SettingValue value;
    value.key = fmt::format("{}{}", secret.key, kSecretFileSuffix);
    value.section = secret.key.substr(0, dot);
    value.name = value.key.substr(dot + 1);
    value.literal = toml_string(known == settings.secrets.end() ? "" : known->second.file);
    value.reload = secret.reload;
    value.is_secret_file = true;
    value.secret_is_set = known != settings.secrets.end() && !known->second.value.empty();
    values.add(std::move(value));
  }
  std::vector<SettingValue> all = std::move(values).all();

  for (ExporterSettings& exporter : copy.exporters) {
    const std::string prefix = base::to_string(exporter.prefix);
    const auto add = [&](std::string_view name, std::string text, Reload reload) {
      SettingValue value;
      value.key = fmt::format("{}{}.{}", kExporterSection, prefix, name);
      value.section = fmt::format("{}\"{}\"", kExporterSection, prefix);
      value.name = name;
      value.literal = std::move(text);
      value.reload = reload;
      all.push_back(std::move(value));
    };
    for (const ExporterSettingDef& setting : exporter_setting_table()) {
      if (const auto number = setting.load(exporter))
        add(setting.name, literal(setting.kind, setting_text(setting, *number)), setting.reload);
    }
    for (const ExporterTextSettingDef& setting : exporter_text_setting_table()) {
      if (const std::string& text = setting.text(exporter); !text.empty())
        add(setting.name, toml_string(text), setting.reload);
    }
  }
  for (const ForwardSettings& forward : settings.forwards) {
    for (const ForwardSettingDef& setting : forward_setting_table()) {
      SettingValue value;
      value.section = fmt::format("{}{}", kForwardSection, forward.name);
      value.key = fmt::format("{}.{}", value.section, setting.name);
      value.name = setting.name;
      value.literal = setting.literal(forward);
      all.push_back(std::move(value));
    }
  }
  const auto add_properties = [&](const auto& properties, const std::string& section, Reload reload) {
    for (const auto& [name, text] : properties) {
      SettingValue value;
      value.key = fmt::format("{}.{}", section, name);
      value.section = section;
      value.name = toml_string(name);
      value.literal = toml_string(text);
      value.reload = reload;
      all.push_back(std::move(value));
    }
  };
  for (const ServerSettings& server : settings.servers) {
    for (const ServerSettingDef& setting : server_setting_table()) {
      SettingValue value;
      value.section = fmt::format("{}{}", kServerSection, server.name);
      value.key = fmt::format("{}.{}", value.section, setting.name);
      value.name = setting.name;
      value.literal = setting.literal(server);
      value.reload = setting.reload;
      if (!value.literal.empty()) all.push_back(std::move(value));
    }
    add_properties(server.properties, fmt::format("{}{}.property", kServerSection, server.name), Reload::kLive);
  }
  for (const NotifySettings& notify : settings.notify) {
    for (const NotifySettingDef& setting : notify_setting_table()) {
      SettingValue value;
      value.section = fmt::format("{}{}", kNotifySection, notify.name);
      value.key = fmt::format("{}.{}", value.section, setting.name);
      value.name = setting.name;
      value.literal = setting.literal(notify);
      if (!value.literal.empty()) all.push_back(std::move(value));
    }
  }
  for (const batch::UserColumn& column : settings.columns) {
    const std::string element = column.from.enterprise == 0
                                    ? std::to_string(column.from.element)
                                    : fmt::format("{}/{}", column.from.enterprise, column.from.element);
    SettingValue value;
    value.key = fmt::format("{}{}", kColumnSection, column.name);
    value.section = "column";
    value.name = column.name;
    value.literal = toml_string(fmt::format("{} {}", element, batch::name(column.from.type)));
    all.push_back(std::move(value));
  }
  add_properties(settings.kafka.properties,
                 std::string(kKafkaPropertySection.substr(0, kKafkaPropertySection.size() - 1)), Reload::kRestart);
  return all;
}

}  // namespace backstream::config
