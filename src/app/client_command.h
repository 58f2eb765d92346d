#pragma once
// What the commands that ask a server have in common beside the asking (service_client.h).
#include <nlohmann/json.hpp>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/time.h"

namespace CLI {
class App;
}

namespace backstream::app {

using Arguments = std::vector<std::string>;

struct Subcommand {
  std::string_view name;
  int (*run)(const Arguments& arguments);
};
/// Calls the one that the first argument names; --help, and none, show `about`.
int run_subcommand(std::string_view command, std::string_view about, std::span<const Subcommand> subcommands,
                   const Arguments& arguments);

/// An exit code where there is nothing more to do: help was asked for, or flags were wrong, which has been told.
/// @param column  of the help at which what flags are about begins
std::optional<int> parse_arguments(CLI::App& app, const Arguments& arguments, size_t column = 30);

/// --config FILE and --set KEY=VALUE.
/// @param when  said before what they are about: "without a server: "; may be empty
void add_settings_flags(CLI::App& app, std::optional<std::string>& file, Arguments& assignments,
                        const std::string& when = {});

/// To standard output. A reader who has gone is no failure; all else is told.
int write_out(std::string_view text);
/// Indented, with a newline.
int write_document(const nlohmann::json& document);

/// A file of text, "-" for standard input. Errors: "file", also where it is longer than 16 MiB.
base::Result<std::string> read_text_file(const std::string& path);

/// Text of others as a terminal may show it: control characters as \xNN, on one line.
std::string printable(std::string_view text);
/// The same, cut to so many characters with an ellipsis.
std::string shortened(std::string_view text, size_t characters_max);
/// Code points.
size_t character_count(std::string_view text);
/// Aligned columns for people; the first row is the header. Columns of which all other rows are numbers are
/// right-aligned. Cells are made printable.
std::string text_table(const std::vector<std::vector<std::string>>& rows);
/// RFC 4180.
std::string csv_line(const std::vector<std::string>& cells);

/// "2026-01-31 12:05:00" of the API's RFC 3339, whole seconds; the text itself where it is none.
std::string short_time(std::string_view rfc3339);
/// "3 d 4 h", "2 min 5 s": the two largest units.
std::string human_duration(base::Micros duration);
/// "153 k", "1.42 G": three digits.
std::string human_count(double count);

}  // namespace backstream::app
