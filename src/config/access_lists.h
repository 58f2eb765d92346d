#pragma once
// The lists of settings about who may ask over HTTP. Of this room only.
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "config/settings.h"

namespace backstream::config {

// As ListSettingDef has them.
std::optional<ListFault> store_hosts(Settings& settings, std::span<const std::string_view> elements);
std::vector<std::string> load_hosts(const Settings& settings);
std::optional<ListFault> store_origins(Settings& settings, std::span<const std::string_view> elements);
std::vector<std::string> load_origins(const Settings& settings);
std::optional<ListFault> store_proxies(Settings& settings, std::span<const std::string_view> elements);
std::vector<std::string> load_proxies(const Settings& settings);
std::optional<ListFault> store_grants(Settings& settings, std::span<const std::string_view> elements);
std::vector<std::string> load_grants(const Settings& settings);
std::optional<ListFault> store_filters(Settings& settings, std::span<const std::string_view> elements);
std::vector<std::string> load_filters(const Settings& settings);

/// A field name of HTTP (RFC 9110 §5.1).
bool is_header_name(std::string_view text);

}  // namespace backstream::config
