#include "app/shell/meta_command.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

namespace backstream::app::shell {
namespace {

using Kind = MetaCommand::Kind;

constexpr size_t kAny = 16;
constexpr MetaEntry kEntries[] = {
    {Kind::kDescribe, "d", "[NAME]", "relations; or the columns and the definition of one", 1},
    {Kind::kQueries, "dq", "[NAME]", "registered queries, what they are doing; + with their texts", 1},
    {Kind::kTables, "dt", "[NAME]", "tables that rows are looked up in", 1},
    {Kind::kViews, "dv", "[NAME]", "views", 1},
    {Kind::kExporters, "de", "", "exporters: who sends flows, and is it well", 0},
    {Kind::kWhy, "why", "[QUERY]", "why there are no rows yet, and when the next are due", 1},
    {Kind::kTail, "tail", "QUERY", "results of a registered query, live; leaving does not stop it", 1},
    {Kind::kWatch, "watch", "[i=SEC] [c=N]", "run the statement again and again; of a live SELECT: N windows", 2},
    {Kind::kSuggest, "suggest", "", "which kept results answer the statement, a question about flows", 0},
    {Kind::kGo, "g", "", "run the statement, as ; does", 0},
    {Kind::kGoExpanded, "gx", "", "the same with expanded display", 0},
    {Kind::kPrintBuffer, "p", "", "show the statement that is being typed", 0},
    {Kind::kReset, "r", "", "forget it", 0},
    {Kind::kEdit, "e", "[FILE]", "edit it (or the last) in $EDITOR", 1},
    {Kind::kInclude, "i", "FILE", "run the statements of a file", 1},
    {Kind::kOutput, "o", "[FILE]", "write results to a file; without one: to the screen again", 1},
    {Kind::kExpanded, "x", "[on|off|auto]", "a line a value; auto: when a row is wider than the screen", 1},
    {Kind::kTiming, "timing", "[on|off]", "say how long statements take", 1},
    {Kind::kPrintSetting, "pset", "[NAME [VALUE]]",
     "format table|csv|jsonl|prometheus, null TEXT, expanded on|off|auto", 2},
    {Kind::kConnect, "c", "[URL [TOKEN_FILE]]", "ask another server (the token of this one is not sent to it)", 2},
    {Kind::kConnectionInfo, "conninfo", "", "which server, who am I, is it well", 0},
    {Kind::kHelpSql, "h", "[STATEMENT]", "help on SQL", kAny},
    {Kind::kHelpMeta, "?", "", "this help", 0},
    {Kind::kQuit, "q", "", "leave (or Ctrl-D)", 0},
};
struct Alias {
  std::string_view name, is;
};
constexpr Alias kAliases[] = {{"quit", "q"}, {"exit", "q"},    {"help", "h"},  {"edit", "e"},         {"include", "i"},
                              {"out", "o"},  {"connect", "c"}, {"reset", "r"}, {"print", "p"},        {"ds", "d"},
                              {"dm", "dq"},  {"dmv", "dq"},    {"l", "dq"},    {"status", "conninfo"}};

bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r'; }

base::Result<std::vector<std::string>> read_arguments(std::string_view text, size_t& at) {
  std::vector<std::string> arguments;
  while (true) {
    while (at < text.size() && is_blank(text[at])) ++at;
    if (at >= text.size() || text[at] == '\n' || text[at] == '\\') return arguments;
    std::string argument;
    bool quoted = false;
    const size_t begin = at;
    while (at < text.size() && text[at] != '\n') {
      const char c = text[at];
      if (c == '\'') {
        ++at;
        if (quoted && at < text.size() && text[at] == '\'') {
          argument += '\'';
          ++at;
        } else {
          quoted = !quoted;
        }
        continue;
      }
      if (!quoted && (is_blank(c) || c == '\\')) break;
      argument += c;
      ++at;
    }
    if (quoted) {
      return base::fail("42601", "a quote is not closed",
                        {static_cast<uint32_t>(begin), static_cast<uint32_t>(at - begin)});
    }
    arguments.push_back(std::move(argument));
  }
}

std::optional<double> number_of(std::string_view text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace

std::span<const MetaEntry> meta_entries() { return kEntries; }

base::Result<MetaCommand> parse_meta(std::string_view text, size_t& used) {
  const size_t line_end = std::min(text.find('\n'), text.size());
  size_t at = 1;
  while (at < line_end && !is_blank(text[at]) && text[at] != '\\') ++at;
  std::string_view name = text.substr(1, at - 1);
  const base::SourceSpan place{0, static_cast<uint32_t>(at)};
  used = line_end;
  MetaCommand command;
  if (name.size() > 1 && name.ends_with('+') && name.starts_with('d')) {
    command.plus = true;
    name.remove_suffix(1);
  }
  const std::string_view asked = name;
  for (const Alias& alias : kAliases) {
    if (alias.name == name) name = alias.is;
  }
  const auto* const entry =
      std::find_if(std::begin(kEntries), std::end(kEntries), [&](const MetaEntry& e) { return e.name == name; });
  if (entry == std::end(kEntries)) {
    std::vector<std::string_view> names;
    for (const MetaEntry& e : kEntries) names.push_back(e.name);
    for (const Alias& alias : kAliases) names.push_back(alias.name);
    // Everything is one letter away from \d: only longer names are taken for slips.
    const std::string_view near = name.size() < 2 ? "" : base::nearest_name(name, names);
    return base::fail("42601", fmt::format("no command \\{}", asked), place,
                      near.empty() ? "\\? lists them" : fmt::format("did you mean \\{}?", near));
  }
  command.kind = entry->kind;
  auto arguments = read_arguments(text.substr(0, line_end), at);
  if (!arguments) return tl::unexpected(std::move(arguments.error()));
  command.arguments = std::move(*arguments);
  if (command.arguments.size() > entry->arguments_max) {
    return base::fail("42601",
                      fmt::format("\\{} takes {}", entry->name,
                                  entry->arguments_max == 0 ? "nothing after it" : std::string(entry->arguments)),
                      place);
  }
  used = at;
  // "\\" parts a command from what follows it on its line, as in psql.
  if (text.substr(used).starts_with("\\\\")) used += 2;
  return command;
}

base::Result<WatchOptions> parse_watch(const std::vector<std::string>& arguments) {
  constexpr double kSecondsMin = 0.1, kSecondsMax = 86'400;
  WatchOptions options;
  bool has_interval = false, has_count = false;
  for (const std::string& argument : arguments) {
    const bool is_count = argument.starts_with("c=") || argument.starts_with("count=");
    const size_t equals = argument.find('=');
    const std::string_view key = std::string_view(argument).substr(0, equals == std::string::npos ? 0 : equals);
    const std::string_view value = std::string_view(argument).substr(equals == std::string::npos ? 0 : equals + 1);
    const bool is_interval = key.empty() || key == "i" || key == "interval";
    if (!is_count && !is_interval)
      return base::fail("22023", fmt::format("\\watch knows no '{}'", key), {}, "\\watch i=2 c=10");
    if (is_count ? has_count : has_interval)
      return base::fail("22023", fmt::format("\\watch is told {} twice", is_count ? "how often" : "the interval"));
    const auto number = number_of(value);
    if (is_count) {
      has_count = true;
      if (!number || *number < 1 || *number > 1e9 || *number != std::floor(*number))
        return base::fail("22023", fmt::format("'{}' is no count", value), {}, "c=10 runs it ten times");
      options.count = static_cast<uint64_t>(*number);
    } else {
      has_interval = true;
      if (!number || *number < kSecondsMin || *number > kSecondsMax)
        return base::fail("22023", fmt::format("'{}' is no interval", value), {}, "seconds from 0.1 to 86400: i=2");
      options.interval = static_cast<base::Micros>(*number * base::kMicrosPerSecond);
    }
  }
  return options;
}

}  // namespace backstream::app::shell
