#include "app/suggestion_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "app/client_command.h"
#include "app/service_client.h"
#include "app/shell/display_text.h"

namespace backstream::app {
namespace {

using nlohmann::json;

/// A command with SQL from the server in it.
std::string command(std::string_view before, const std::string& sql) {
  return fmt::format("  {} {}\n", before, shell::printable_lines(shell_word(sql)));
}

std::string sentences(const json& list) {
  std::string text;
  for (const json& one : list) {
    if (one.is_string()) text.append(text.empty() ? "" : "; ").append(printable(one.get<std::string>()));
  }
  return text;
}

std::string answer_text(const json& answer, const std::string& asked_from, base::Micros now) {
  const std::string since = text_of(answer, "kept_since"), windows = text_of(answer, "windows");
  const auto kept_since = base::parse_timestamp(since), from = base::parse_timestamp(asked_from);
  std::string text = printable(text_of(answer, "query")) + " answers it";
  if (since.empty()) {
    text += "; nothing of it is kept yet";
  } else {
    text += "; kept since " + short_time(since);
    if (kept_since && *kept_since < now) text += fmt::format(" ({})", human_duration(now - *kept_since));
  }
  if (!since.empty() && !windows.empty()) text += fmt::format(", in windows of {}", printable(windows));
  if (const auto rows = answer.find("rows_per_window"); rows != answer.end() && rows->is_number())
    text += fmt::format(", about {} rows each", human_count(rows->get<double>()));
  if (const uint64_t seconds = count_of(answer, "retention_seconds"); seconds != 0)
    text += fmt::format("; for {}", human_duration(static_cast<base::Micros>(seconds) * base::kMicrosPerSecond));
  if (const auto memory = answer.find("in_memory"); memory != answer.end() && *memory == true)
    text += "; in memory only, as history is off";
  text += '\n';
  if (const std::string notes = sentences(list_of(answer, "notes")); !notes.empty())
    text += fmt::format("  rows may differ: {}\n", notes);
  if (from && kept_since && *from < *kept_since)
    text += fmt::format("  not whole: {} is asked for\n", short_time(asked_from));
  for (const json& tier : list_of(answer, "tiers")) {
    const std::string name = text_of(tier, "tier");
    text += fmt::format("  averages and maxima since {}: GET {}?tier={}\n", short_time(text_of(tier, "kept_since")),
                        query_path(text_of(answer, "query"), "/results"), printable(name));
  }
  return text + command("backstream sql -c", text_of(answer, "text"));
}

}  // namespace

std::string shell_word(std::string_view text) {
  // In double quotes these are more than themselves; `!` at a prompt.
  const bool has_special = text.find_first_of("\"$`\\!") != std::string_view::npos;
  if (text.find('\'') != std::string_view::npos && !has_special) return fmt::format("\"{}\"", text);
  std::string word = "'";
  for (const char c : text) {
    if (c == '\'') word += "'\\''";
    else word += c;
  }
  return word += '\'';
}

std::string suggestion_text(const json& suggestion, base::Micros now) {
  std::string text;
  const std::string from = text_of(list_of(suggestion, "asked"), "from");
  for (const json& answer : list_of(suggestion, "answers")) text += answer_text(answer, from, now);
  if (!text.empty()) return text;
  text = "no kept result answers it";
  if (const std::string obstacle = text_of(suggestion, "obstacle"); !obstacle.empty())
    text += ": " + printable(obstacle);
  text += '\n';
  for (const json& other : list_of(suggestion, "others"))
    text += fmt::format("  {}: {}\n", printable(text_of(other, "query")), sentences(list_of(other, "reasons")));
  const json& keep = list_of(suggestion, "keep");
  if (!keep.is_object()) return text;
  text += "flows are not kept, so what is past stays unanswered. From now on this keeps it:\n";
  return text + command("backstream query add " + printable(text_of(keep, "name")) + " -e", text_of(keep, "text"));
}

}  // namespace backstream::app
