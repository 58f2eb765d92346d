#include "app/client_command.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <iostream>

#include "app/commands.h"
#include "receiver/text_buffer.h"
#include "telemetry/terminal_log.h"

namespace backstream::app {

int run_subcommand(std::string_view command, std::string_view about, std::span<const Subcommand> subcommands,
                   const Arguments& arguments) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h") {
    std::fputs(std::string(about).c_str(), arguments.empty() ? stderr : stdout);
    return arguments.empty() ? kExitUsage : kExitOk;
  }
  std::vector<std::string_view> names;
  std::string list;
  for (const Subcommand& subcommand : subcommands) {
    if (subcommand.name == arguments[0]) return subcommand.run({arguments.begin() + 1, arguments.end()});
    names.push_back(subcommand.name);
    list.append(list.empty() ? "" : ", ").append(subcommand.name);
  }
  const std::string_view near = base::nearest_name(arguments[0], names);
  return misused(fmt::format("no command '{} {}'", command, printable(arguments[0])),
                 near.empty() ? "there are " + list : fmt::format("did you mean '{}'?", near));
}

void add_settings_flags(CLI::App& app, std::optional<std::string>& file, Arguments& assignments,
                        const std::string& when) {
  app.add_option("--config", file, when + "the file of settings (default: /etc/backstream/backstream.toml)")
      ->type_name("FILE");
  app.add_option("--set", assignments, when + "a setting, as if it were set last")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false)
      ->type_name("KEY=VALUE");
}

std::optional<int> parse_arguments(CLI::App& app, const Arguments& arguments, size_t column) {
  app.get_formatter()->column_width(column);
  try {
    app.parse(Arguments(arguments.rbegin(), arguments.rend()));
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return kExitOk;
  } catch (const CLI::ParseError& error) {
    return misused(error.what(), app.get_name() + " --help lists the flags");
  }
  return std::nullopt;
}

int write_out(std::string_view text) {
  receiver::TextBuffer out(STDOUT_FILENO);
  out.append(text);
  out.flush();
  if (out.error() == 0 || out.error() == EPIPE) return kExitOk;
  telemetry::terminal_log().error(fmt::format("standard output: {}", std::strerror(out.error())));
  return kExitFailure;
}

int write_document(const nlohmann::json& document) {
  return write_out(document.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + '\n');
}

base::Result<std::string> read_text_file(const std::string& path) {
  constexpr size_t kOctetsMax = size_t{16} << 20;
  std::ifstream file;
  if (path != "-") file.open(path, std::ios::binary);
  std::istream& in = path == "-" ? std::cin : file;
  const auto unreadable = [&](std::string_view why) {
    return base::fail("file", fmt::format("cannot read '{}': {}", printable(path), why));
  };
  if (path != "-" && !file.is_open()) return unreadable(std::strerror(errno));
  std::string text, piece(size_t{64} << 10, '\0');
  errno = 0;
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())) || in.gcount() > 0) {
    text.append(piece, 0, static_cast<size_t>(in.gcount()));
    if (text.size() > kOctetsMax) return unreadable("it is longer than 16 MiB");
  }
  // A directory opens, and fails when it is read.
  if (in.bad()) return unreadable(errno != 0 ? std::strerror(errno) : "reading failed");
  return text;
}

std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool c1 = c == 0xC2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (c < 0x20 || c == 0x7F) {
      out += fmt::format("\\x{:02x}", c);
    } else if (c1) {
      out += fmt::format("\\x{:02x}", static_cast<unsigned char>(text[++i]));
    } else {
      out += text[i];
    }
  }
  return out;
}

size_t character_count(std::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
}

std::string shortened(std::string_view text, size_t characters_max) {
  std::string line(text);
  std::replace(line.begin(), line.end(), '\n', ' ');
  if (character_count(line) <= characters_max) return line;
  size_t at = 0;
  for (size_t left = characters_max; at < line.size(); ++at) {
    if ((static_cast<unsigned char>(line[at]) & 0xC0) == 0x80) continue;
    if (--left == 0) break;
  }
  return line.substr(0, at) + "…";
}

std::string text_table(const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> cells;
  std::vector<size_t> widths;
  std::vector<bool> numeric;
  for (const auto& row : rows) {
    auto& line = cells.emplace_back();
    widths.resize(std::max(widths.size(), row.size()));
    numeric.resize(widths.size(), rows.size() > 1);
    for (size_t c = 0; c < row.size(); ++c) {
      line.push_back(printable(row[c]));
      widths[c] = std::max(widths[c], character_count(line[c]));
      if (cells.size() > 1 && row[c].find_first_not_of("0123456789.-") != std::string::npos) numeric[c] = false;
    }
  }
  std::string text;
  for (const auto& row : cells) {
    std::string line;
    for (size_t c = 0; c < row.size(); ++c) {
      const size_t gap = widths[c] - character_count(row[c]);
      if (c != 0) line += "  ";
      if (numeric[c]) line.append(gap, ' ');
      line += row[c];
      if (!numeric[c]) line.append(gap, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + '\n';
  }
  return text;
}

std::string csv_line(const std::vector<std::string>& cells) {
  std::string line;
  for (const std::string& cell : cells) {
    if (!line.empty() || &cell != &cells.front()) line += ',';
    if (cell.find_first_of(",\"\r\n") == std::string::npos) {
      line += cell;
      continue;
    }
    line += '"';
    for (const char c : cell) line.append(c == '"' ? 2 : 1, c);
    line += '"';
  }
  return line + '\n';
}

std::string short_time(std::string_view rfc3339) {
  const auto time = base::parse_timestamp(rfc3339);
  if (!time) return std::string(rfc3339);
  return base::format_local_timestamp(base::floor_to(*time, base::kMicrosPerSecond));
}

std::string human_duration(base::Micros duration) {
  int64_t seconds = std::max<int64_t>(0, duration) / base::kMicrosPerSecond;
  constexpr std::pair<int64_t, const char*> kUnits[] = {{86'400, "d"}, {3'600, "h"}, {60, "min"}, {1, "s"}};
  std::string text;
  int parts = 0;
  for (const auto& [size, unit] : kUnits) {
    if (parts == 0 && seconds < size && size != 1) continue;
    if (parts == 2) break;
    if (parts == 0 || seconds / size != 0)
      text += fmt::format("{}{} {}", text.empty() ? "" : " ", seconds / size, unit);
    seconds %= size;
    ++parts;
  }
  return text;
}

std::string human_count(double count) {
  constexpr const char* kUnits[] = {"", " k", " M", " G", " T", " P"};
  size_t unit = 0;
  while (std::abs(count) >= 999.5 && unit + 1 < std::size(kUnits)) {
    count /= 1000;
    ++unit;
  }
  const bool whole = unit == 0 && count == std::floor(count);
  return fmt::format("{:.{}f}{}", count, whole || count >= 99.95 ? 0 : count >= 9.995 ? 1 : 2, kUnits[unit]);
}

}  // namespace backstream::app
