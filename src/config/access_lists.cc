#include "config/access_lists.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>

#include "base/utf8.h"
#include "config/assign.h"

namespace backstream::config {
namespace {

using Elements = std::span<const std::string_view>;

constexpr std::string_view kRoleNames[] = {"viewer", "operator", "admin"};  // From role 1 on.
constexpr size_t kElementsMax = 1'000, kNameOctetsMax = 127, kFilterOctetsMax = 4'096;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

bool has_only_name_characters(std::string_view text) {
  return !text.empty() && text.size() <= 253 && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '-' || c == '.' || c == '_';
  });
}
/// A name or an address, without a port.
bool is_host(std::string_view text) {
  if (const auto address = base::parse_inet(text)) return address->is_host();
  return has_only_name_characters(text);
}
/// "https://noc.example", as browsers send it: without a path, not even "/".
bool is_origin(std::string_view text) {
  for (const std::string_view scheme : {"https", "http"}) {
    if (const auto with_port = parse_endpoint(text, scheme))
      return !with_port->is_any() && with_port->port != 0 && with_port->text() == text;
    const std::string without_port = fmt::format("{}:1", text);
    if (const auto endpoint = parse_endpoint(without_port, scheme))
      return !endpoint->is_any() && endpoint->text() == without_port;
  }
  return false;
}

std::optional<ListFault> store_texts(std::vector<std::string>& into, Elements elements,
                                     bool (*valid)(std::string_view)) {
  std::vector<std::string> texts;
  for (size_t i = 0; i < elements.size(); ++i) {
    std::string text = lower(elements[i]);
    if (!valid(text)) return ListFault{i, {}, {}};
    if (std::find(texts.begin(), texts.end(), text) != texts.end())
      return ListFault{i, fmt::format("'{}' is there twice", elements[i]), {}};
    texts.push_back(std::move(text));
  }
  into = std::move(texts);
  return std::nullopt;
}

bool is_plain(std::string_view text) {
  return base::find_bad_text(text) == std::string_view::npos && std::none_of(text.begin(), text.end(), [](char c) {
           return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
         });
}

/// "WHO=what" at the first '='; nothing when it is not of that form.
std::optional<std::pair<AccessSubject, std::string_view>> subject_and_rest(std::string_view element) {
  constexpr std::string_view kGroup = "group:";
  const size_t equals = element.find('=');
  if (equals == std::string_view::npos || !is_plain(element)) return std::nullopt;
  AccessSubject subject;
  std::string_view who = trim(element.substr(0, equals));
  if (who.starts_with(kGroup)) {
    subject.kind = AccessSubject::Kind::kGroup;
    who.remove_prefix(kGroup.size());
  } else if (who == "*") {
    subject.kind = AccessSubject::Kind::kAnybody;
    who = {};
  }
  const bool named = subject.kind != AccessSubject::Kind::kAnybody;
  if (named && (who.empty() || who.size() > kNameOctetsMax)) return std::nullopt;
  subject.name = who;
  return std::pair(std::move(subject), trim(element.substr(equals + 1)));
}

template <typename T>
bool has_subject(const std::vector<T>& entries, const AccessSubject& subject) {
  return std::any_of(entries.begin(), entries.end(), [&](const T& entry) { return entry.who == subject; });
}

}  // namespace

std::string AccessSubject::text() const {
  switch (kind) {
    case Kind::kUser: return name;
    case Kind::kGroup: return "group:" + name;
    case Kind::kAnybody: return "*";
  }
  return {};
}

std::string_view name(AccessRole role) { return kRoleNames[static_cast<size_t>(role) - 1]; }
std::optional<AccessRole> access_role_of(std::string_view text) {
  const auto at = std::find(std::begin(kRoleNames), std::end(kRoleNames), text);
  if (at == std::end(kRoleNames)) return std::nullopt;
  return static_cast<AccessRole>(at - std::begin(kRoleNames) + 1);
}

bool is_header_name(std::string_view text) {
  return !text.empty() && text.size() <= 64 && std::all_of(text.begin(), text.end(), [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0 ||
           std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos;
  });
}

std::optional<ListFault> store_hosts(Settings& settings, Elements elements) {
  return store_texts(settings.http.hosts, elements, is_host);
}
std::vector<std::string> load_hosts(const Settings& settings) { return settings.http.hosts; }

std::optional<ListFault> store_origins(Settings& settings, Elements elements) {
  return store_texts(settings.http.origins, elements, is_origin);
}
std::vector<std::string> load_origins(const Settings& settings) { return settings.http.origins; }

std::optional<ListFault> store_proxies(Settings& settings, Elements elements) {
  std::vector<base::Inet> prefixes;
  for (size_t i = 0; i < elements.size(); ++i) {
    const auto prefix = base::parse_inet(elements[i]);
    if (!prefix) return ListFault{i, {}, {}};
    if (prefix->prefix_bits == 0)
      return ListFault{i, "whoever is a proxy says who asks: that cannot be every address", {}};
    prefixes.push_back(prefix->network());
  }
  settings.access.proxy_addresses = std::move(prefixes);
  return std::nullopt;
}
std::vector<std::string> load_proxies(const Settings& settings) {
  std::vector<std::string> elements;
  for (const base::Inet& prefix : settings.access.proxy_addresses) elements.push_back(base::to_cidr_string(prefix));
  return elements;
}

std::optional<ListFault> store_grants(Settings& settings, Elements elements) {
  if (elements.size() > kElementsMax) return ListFault{ListFault::npos, fmt::format("more than {}", kElementsMax), {}};
  std::vector<AccessGrant> grants;
  for (size_t i = 0; i < elements.size(); ++i) {
    const auto parts = subject_and_rest(elements[i]);
    if (!parts) return ListFault{i, {}, {}};
    const auto role = access_role_of(parts->second);
    if (!role) {
      const std::string_view near = base::nearest_name(parts->second, {std::begin(kRoleNames), std::end(kRoleNames)});
      return ListFault{
          i, fmt::format("there is no role '{}'", parts->second),
          near.empty() ? "the roles are viewer, operator and admin" : fmt::format("did you mean '{}'?", near)};
    }
    if (has_subject(grants, parts->first))
      return ListFault{i, fmt::format("'{}' is there twice", parts->first.text()), {}};
    grants.push_back({parts->first, *role});
  }
  settings.access.grants = std::move(grants);
  return std::nullopt;
}
std::vector<std::string> load_grants(const Settings& settings) {
  std::vector<std::string> elements;
  for (const AccessGrant& grant : settings.access.grants)
    elements.push_back(fmt::format("{}={}", grant.who.text(), name(grant.role)));
  return elements;
}

std::optional<ListFault> store_filters(Settings& settings, Elements elements) {
  if (elements.size() > kElementsMax) return ListFault{ListFault::npos, fmt::format("more than {}", kElementsMax), {}};
  std::vector<AccessFilter> filters;
  for (size_t i = 0; i < elements.size(); ++i) {
    const auto parts = subject_and_rest(elements[i]);
    if (!parts || parts->second.empty() || parts->second.size() > kFilterOctetsMax) return ListFault{i, {}, {}};
    if (has_subject(filters, parts->first))
      return ListFault{i, fmt::format("'{}' is there twice", parts->first.text()), "join conditions by AND or OR"};
    filters.push_back({parts->first, std::string(parts->second)});
  }
  settings.access.filters = std::move(filters);
  return std::nullopt;
}
std::vector<std::string> load_filters(const Settings& settings) {
  std::vector<std::string> elements;
  for (const AccessFilter& filter : settings.access.filters)
    elements.push_back(fmt::format("{}={}", filter.who.text(), filter.condition));
  return elements;
}

}  // namespace backstream::config
