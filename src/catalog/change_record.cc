#include "catalog/change_record.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <nlohmann/json.hpp>
#include <random>

#include "base/utf8.h"

namespace backstream::catalog {
namespace {

using Json = nlohmann::ordered_json;
using Action = Change::Action;

constexpr std::string_view kKeyBegin = "change/";
constexpr uint64_t kRevisionMax = INT64_MAX - 1;  // As SQLite keeps them, and one more can be claimed.
constexpr std::pair<Action, std::string_view> kActionNames[] = {{Action::kCreate, "create"},
                                                                {Action::kDefine, "define"},
                                                                {Action::kUpdate, "update"},
                                                                {Action::kDrop, "drop"},
                                                                {Action::kNote, "note"}};

uint32_t sum_of(std::string_view text) { return static_cast<uint32_t>(XXH3_64bits(text.data(), text.size())); }

/// The next part of `text`, up to a slash or the end.
std::string_view part(std::string_view& text) {
  const size_t end = std::min(text.find('/'), text.size());
  const std::string_view found = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return found;
}

template <typename T>
bool parse_number(std::string_view text, int base, size_t digits, T& out) {
  if (digits != 0 && text.size() != digits) return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), out, base);
  return error == std::errc() && end == text.data() + text.size();
}

/// Thrown within this file only.
struct Malformed {};

const Json& member(const Json& object, const char* name) {
  const auto found = object.find(name);
  if (found == object.end()) throw Malformed{};
  return *found;
}
std::string text_of(const Json& object, const char* name) {
  const Json& found = member(object, name);
  if (!found.is_string()) throw Malformed{};
  return found.get<std::string>();
}
uint64_t number_of(const Json& object, const char* name, uint64_t max) {
  const Json& found = member(object, name);
  if (!found.is_number_unsigned() || found.get<uint64_t>() > max) throw Malformed{};
  return found.get<uint64_t>();
}

/// What no change of this program has is none that it does.
bool can_be(const SettledChange::Item& item, Revision revision) {
  const bool has_body = item.action != Action::kDrop && item.action != Action::kNote;
  if (item.name.empty() || item.name.size() > kNameOctetsMax ||
      base::find_bad_text(item.name) != std::string_view::npos)
    return false;
  if (has_body ? !is_body(item.body) || item.version == 0 || item.incarnation.value == 0 : !item.body.empty())
    return false;
  return item.action != Action::kCreate || (item.version == 1 && item.incarnation == revision);
}

}  // namespace

ChangeId ChangeId::random() {
  static thread_local std::random_device device;
  ChangeId id;
  for (size_t i = 0; i < id.octets.size(); i += sizeof(uint32_t)) {
    const uint32_t bits = device();
    std::memcpy(id.octets.data() + i, &bits, sizeof bits);
  }
  return id;
}

std::string key_text(const ChangeKey& key) {
  std::string text = fmt::format("{}{}/{:016x}/", kKeyBegin, key.revision.value, key.deployment);
  for (const uint8_t octet : key.id.octets) text += fmt::format("{:02x}", octet);
  return text + fmt::format("/{:08x}", sum_of(text));
}

std::optional<ChangeKey> parse_change_key(std::string_view text) {
  if (!text.starts_with(kKeyBegin)) return std::nullopt;
  std::string_view rest = text.substr(kKeyBegin.size());
  ChangeKey key;
  uint32_t sum = 0;
  if (!parse_number(part(rest), 10, 0, key.revision.value) || !parse_number(part(rest), 16, 16, key.deployment))
    return std::nullopt;
  const std::string_view id = part(rest);
  if (id.size() != 2 * key.id.octets.size()) return std::nullopt;
  for (size_t i = 0; i < key.id.octets.size(); ++i) {
    if (!parse_number(id.substr(2 * i, 2), 16, 2, key.id.octets[i])) return std::nullopt;
  }
  if (!parse_number(rest, 16, 8, sum) || key.revision.value == 0 || key.revision.value > kRevisionMax ||
      key.deployment == 0)
    return std::nullopt;
  // One text for each key, or somebody else's record could be ours for one reader and not for another.
  return key_text(key) == text ? std::optional(key) : std::nullopt;
}

std::string encode_change(const SettledChange& change) {
  Json items = Json::array();
  for (const SettledChange::Item& item : change.items) {
    std::string_view action;
    for (const auto& [known, text] : kActionNames) {
      if (known == item.action) action = text;
    }
    items.push_back({{"action", action},
                     {"kind", name(item.kind)},
                     {"name", item.name},
                     {"incarnation", item.incarnation.value},
                     {"version", item.version},
                     {"body", item.body},
                     {"verb", item.verb},
                     {"comment", item.comment}});
  }
  const Json record = {{"format", kChangeFormat}, {"revision", change.revision.value},
                       {"at", change.at},         {"author", change.author},
                       {"via", change.via},       {"items", std::move(items)}};
  return record.dump(-1, ' ', false, Json::error_handler_t::replace);
}

ChangeFault decode_change(std::string_view value, SettledChange& out) {
  try {
    const Json record = Json::parse(value);
    if (!record.is_object()) return ChangeFault::kMalformed;
    const uint64_t format = number_of(record, "format", UINT32_MAX);
    if (format == 0) return ChangeFault::kMalformed;
    if (format > kChangeFormat) return ChangeFault::kLaterFormat;
    out = {};
    out.revision.value = number_of(record, "revision", kRevisionMax);
    const Json& at = member(record, "at");
    if (!at.is_number_integer()) return ChangeFault::kMalformed;
    out.at = at.get<int64_t>();
    out.author = text_of(record, "author");
    out.via = text_of(record, "via");
    const Json& items = member(record, "items");
    if (!items.is_array() || items.empty() || out.revision.value == 0) return ChangeFault::kMalformed;
    for (const Json& entry : items) {
      if (!entry.is_object()) return ChangeFault::kMalformed;
      SettledChange::Item& item = out.items.emplace_back();
      const std::string action = text_of(entry, "action"), kind = text_of(entry, "kind");
      const auto known = std::find_if(std::begin(kActionNames), std::end(kActionNames),
                                      [&](const auto& named) { return named.second == action; });
      const auto kind_known = kind_of(kind);
      if (known == std::end(kActionNames) || !kind_known) return ChangeFault::kMalformed;
      item.action = known->first;
      item.kind = *kind_known;
      item.name = text_of(entry, "name");
      item.incarnation.value = number_of(entry, "incarnation", kRevisionMax);
      item.version = static_cast<uint32_t>(number_of(entry, "version", UINT32_MAX));
      item.body = text_of(entry, "body");
      item.verb = text_of(entry, "verb");
      item.comment = text_of(entry, "comment");
      if (!can_be(item, out.revision)) return ChangeFault::kMalformed;
    }
    return ChangeFault::kNone;
  } catch (const Json::exception&) {
    return ChangeFault::kMalformed;
  } catch (const Malformed&) {
    return ChangeFault::kMalformed;
  }
}

}  // namespace backstream::catalog
