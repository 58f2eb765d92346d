#include "alert/notice.h"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <array>
#include <cmath>

#include "base/inet.h"
#include "base/utf8.h"
#include "receiver/value_text.h"

namespace backstream::alert {
namespace {

using base::fail;

constexpr size_t kTextOctetsMax = 2'000;  ///< of title and message
constexpr uint32_t kEnterprise = 32473;   // RFC 5612: for examples; we have no number of our own.

std::string time_text(Micros time) {
  char text[64];
  return std::string(text, base::format_rfc3339(time, text));
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

/// A value as people read it.
std::string shown(const Json& value) {
  return receiver::printable(value.is_string() ? value.get<std::string>() : dump(value));
}

/// At most so many octets, whole characters.
std::string cut(std::string text, size_t octets_max) {
  if (text.size() <= octets_max) return text;
  size_t end = octets_max;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "…";
}

Json member(const Json& json, std::string_view path) {
  const Json* at = &json;
  while (!path.empty()) {
    const size_t dot = std::min(path.find('.'), path.size());
    const auto found = at->is_object() ? at->find(std::string(path.substr(0, dot))) : at->end();
    if (!at->is_object() || found == at->end()) return nullptr;
    at = &*found;
    path.remove_prefix(std::min(path.size(), dot + 1));
  }
  return *at;
}

std::string text_at(const Json& json, std::string_view path) {
  const Json value = member(json, path);
  return value.is_string() ? value.get<std::string>() : value.is_null() ? std::string() : dump(value);
}

/// Of "alert.summary".
std::string filled_summary(std::string_view summary, const Json& columns) {
  std::string out;
  for (size_t at = 0; at < summary.size(); ++at) {
    if (summary[at] != '{') {
      out += summary[at];
      continue;
    }
    if (at + 1 < summary.size() && summary[at + 1] == '{') {
      out += '{';
      ++at;
      continue;
    }
    const size_t close = std::min(summary.find('}', at), summary.size());
    const auto value = columns.find(std::string(summary.substr(at + 1, close - at - 1)));
    if (value != columns.end()) out += shown(*value);
    at = close;
  }
  return out;
}

std::string value_text(const Json& value) {
  if (value.is_null()) return "unknown";
  return dump(value);
}

constexpr std::string_view kStates[] = {"firing", "resolved", "test"};

}  // namespace

std::string alert_id(const NoticeFacts& facts, const KeyState& key) {
  const std::string all = fmt::format("{}\n{}\n{}\n{}", facts.rule, facts.incarnation, key.key, key.since);
  return fmt::format("{:016x}", XXH3_64bits(all.data(), all.size()));
}

std::string key_text(const std::vector<std::string>& columns, std::string_view key) {
  const Json values = Json::parse(key, nullptr, false);
  std::string text;
  for (size_t i = 0; values.is_array() && i < std::min(columns.size(), values.size()); ++i)
    text.append(text.empty() ? "" : ", ").append(columns[i]).append("=").append(shown(values[i]));
  return text;
}

Json notice_json(const NoticeFacts& facts, const KeyState& key, NoticeState state, Micros at) {
  const bool rest = key.key == kRest;
  const std::string id = alert_id(facts, key);
  const std::string_view state_text = kStates[static_cast<size_t>(state)];
  Json columns = Json::parse(key.columns, nullptr, false);
  if (!columns.is_object()) columns = Json::object();
  const Json values = Json::parse(key.key, nullptr, false);
  Json keys = Json::object();
  for (size_t i = 0; values.is_array() && i < std::min(facts.key_columns.size(), values.size()); ++i)
    keys[facts.key_columns[i]] = values[i];
  Json labels = Json::object();
  for (const auto& [name, value] : facts.labels) labels[name] = value;

  std::string of = rest ? fmt::format("{} more keys", key.more) : key_text(facts.key_columns, key.key);
  Json notice = {{"v", 1},
                 {"id", fmt::format("{}-{}", id, state_text)},
                 {"alert_id", id},
                 {"state", state_text},
                 {"alert", facts.rule},
                 {"severity", facts.severity},
                 {"labels", std::move(labels)},
                 {"starts_at", time_text(key.since)},
                 {"ends_at", state == NoticeState::kResolved ? Json(time_text(at)) : Json(nullptr)},
                 {"key", std::move(keys)},
                 {"columns", columns},
                 {"value_column", facts.value_column.empty() ? Json(nullptr) : Json(facts.value_column)},
                 {"value", key.value && std::isfinite(*key.value) ? Json(*key.value) : Json(nullptr)},
                 {"threshold", facts.threshold},
                 {"more", key.more},
                 {"window_start", time_text(key.window_start)},
                 {"window_end", time_text(key.window_end)},
                 {"complete", key.complete},
                 {"sites_missing", key.sites_missing},
                 {"sampling", facts.sampling.empty() ? Json("unknown") : Json(facts.sampling)},
                 {"query", fmt::format("{}@{}", facts.rule, facts.version)},
                 {"url", fmt::format("{}/alerts/{}", facts.link, id)}};
  // A whole number stays one.
  if (!facts.value_column.empty() && columns.contains(facts.value_column) && columns[facts.value_column].is_number())
    notice["value"] = columns[facts.value_column];

  const std::string title = fmt::format("[{}] {}{}{}", state_text, facts.rule, of.empty() ? "" : ": ", of);
  std::string message;
  if (!facts.summary.empty() && !rest && !columns.empty()) message = filled_summary(facts.summary, columns) + ". ";
  if (rest) message += fmt::format("{} more keys than are told one by one. ", key.more);
  else if (!facts.value_column.empty())
    message += fmt::format("{} = {}. ", facts.value_column, value_text(notice["value"]));
  if (!facts.threshold.empty()) message += fmt::format("Rule: {}. ", receiver::printable(facts.threshold));
  std::string missing;
  for (const std::string& site : key.sites_missing) missing.append(missing.empty() ? "" : ", ").append(site);
  message += key.complete ? "Complete" : missing.empty() ? "Not complete" : "Without " + receiver::printable(missing);
  message += fmt::format(", sampling {}. {}", notice["sampling"].get<std::string>(), notice["url"].get<std::string>());
  notice["title"] = cut(title, kTextOctetsMax);
  notice["message"] = cut(std::move(message), kTextOctetsMax);
  return notice;
}

namespace {

/// For chat systems: nothing of the network's calls people (@channel, <!here>) or makes links of its own.
std::string chat_safe(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '@': out += "@\xE2\x80\x8B"; break;  // A space of no width.
      default: out += c;
    }
  }
  return out;
}

/// A text of a template. @return what takes its place
Json filled(std::string_view text, const Json& notice, bool for_chat) {
  if (text.starts_with("${") && text.find('}') == text.size() - 1 && !for_chat)
    return member(notice, text.substr(2, text.size() - 3));
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const std::string_view rest = text.substr(at);
    const size_t close = rest.starts_with("${") ? rest.find('}') : std::string_view::npos;
    if (close != std::string_view::npos) {
      const std::string value = text_at(notice, rest.substr(2, close - 2));
      out += for_chat ? chat_safe(value) : value;
      at += close + 1;
      continue;
    }
    out += rest[0];
    at += rest.starts_with("$$") ? 2 : 1;
  }
  return out;
}

void fill_in(Json& form, const Json& notice, bool for_chat) {
  if (form.is_string()) {
    form = filled(form.get<std::string>(), notice, for_chat);
  } else if (form.is_structured()) {
    for (Json& element : form) fill_in(element, notice, for_chat);
  }
}

}  // namespace

base::Result<BodyTemplate> BodyTemplate::make(std::string_view text) {
  BodyTemplate made;
  if (text.empty()) return made;
  made.for_chat_ = text == "chat";
  made.form_ = made.for_chat_ ? Json{{"text", "*${title}*\n${message}"}} : Json::parse(text, nullptr, false);
  if (made.form_.is_object()) return made;
  return fail("config", "the body of a webhook is a JSON object", {},
              R"(such as '{"text": "${title}"}', or 'chat', or nothing for the whole notice)");
}

std::string BodyTemplate::fill(const Json& notice) const {
  if (form_.is_null()) return dump(notice);
  Json body = form_;
  fill_in(body, notice, for_chat_);
  return dump(body);
}

Json alertmanager_alert(const Json& notice, Micros ends_at) {
  Json labels = Json::object();
  for (const auto& [name, value] : notice["labels"].items()) labels[name] = value;
  for (const auto& [name, value] : notice["key"].items()) {
    std::string label;
    for (const char c : name) label += std::isalnum(static_cast<unsigned char>(c)) != 0 ? c : '_';
    if (label.empty() || std::isdigit(static_cast<unsigned char>(label[0])) != 0) label.insert(0, "_");
    if (labels.contains(label) || label == "alertname" || label == "severity") label += "_key";
    const std::string text = cut(value.is_string() ? value.get<std::string>() : dump(value), 1'000);
    if (!text.empty()) labels[label] = text;
  }
  labels["alertname"] = notice["alert"];
  labels["severity"] = notice["severity"];
  if (notice["more"] != 0) labels["more"] = "true";
  if (notice["state"] == "test") labels["test"] = "true";
  Json annotations = {{"summary", notice["title"]},          {"description", notice["message"]},
                      {"threshold", notice["threshold"]},    {"value", text_at(notice, "value")},
                      {"sampling", notice["sampling"]},      {"query", notice["query"]},
                      {"complete", dump(notice["complete"])}};
  return {{"labels", std::move(labels)},
          {"annotations", std::move(annotations)},
          {"startsAt", notice["starts_at"]},
          {"endsAt", notice["state"] == "resolved" ? notice["ends_at"] : Json(time_text(ends_at))},
          {"generatorURL", notice["url"]}};
}

namespace {

/// RFC 5424 §6.3.3: '"', '\' and ']' are escaped; control characters have no place in a line.
std::string parameter(std::string_view name, const std::string& value) {
  std::string out = fmt::format(" {}=\"", name);
  for (const char c : receiver::printable(value)) {
    if (c == '"' || c == '\\' || c == ']') out += '\\';
    out += c;
  }
  return out + '"';
}

/// A field of the header: printable ASCII without blanks, §6.2.
std::string header_field(std::string_view text, size_t octets_max) {
  std::string out;
  for (const char c : text.substr(0, octets_max)) out += c > 0x20 && c < 0x7F ? c : '_';
  return out.empty() ? "-" : out;
}

}  // namespace

std::string syslog_message(const Json& notice, std::string_view host, Micros sent_at) {
  constexpr int kDaemon = 3;
  const std::string severity = notice["severity"].get<std::string>();
  const bool fires = notice["state"] == "firing";
  const int level = !fires ? 5 : severity == "page" ? 1 : severity == "critical" ? 2 : severity == "warning" ? 4 : 6;
  std::string out =
      fmt::format("<{}>1 {} {} backstream - {} [backstream@{}", kDaemon * 8 + level, time_text(sent_at),
                  header_field(host, 255), header_field(notice["state"].get<std::string>(), 32), kEnterprise);
  for (const char* name : {"id", "alert", "severity", "value", "threshold", "complete", "sampling", "query", "url"})
    out += parameter(name, text_at(notice, name));
  for (const auto& [name, value] : notice["key"].items())
    out += parameter("key." + header_field(name, 28),
                     cut(value.is_string() ? value.get<std::string>() : dump(value), 200));
  // §6.4: the mark says that the text is UTF-8.
  return out + "] \xEF\xBB\xBF" +
         receiver::printable(notice["title"].get<std::string>() + " " + notice["message"].get<std::string>());
}

std::vector<std::string> script_arguments(const Json& notice) {
  std::string address = "-", direction = "incoming";
  for (const auto& [name, value] : notice["key"].items()) {
    if (!value.is_string()) continue;
    const std::string text = value.get<std::string>();
    if (address == "-" && base::parse_inet(text)) address = text;
    if (name == "direction" && (text == "out" || text == "outgoing")) direction = "outgoing";
  }
  const Json& value = notice["value"];
  const std::string amount = value.is_number() ? fmt::format("{:.0f}", value.get<double>()) : "0";
  return {address, direction, amount, notice["state"] == "resolved" ? "unban" : "ban"};
}

}  // namespace backstream::alert
