#include "app/help_pages.h"

#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace backstream::app {
namespace {

std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return lines;
}

std::vector<std::string> words_of(std::string_view text, char between) {
  std::vector<std::string> words;
  while (!text.empty()) {
    const size_t end = std::min(text.find(between), text.size());
    if (end != 0) words.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(text.size(), end + 1));
  }
  return words;
}

/// "-o,--output FORMAT:{table,json} ..." of a line that begins with a flag.
HelpFlag flag_of(std::string_view line) {
  HelpFlag flag;
  line.remove_prefix(line.find_first_not_of(' '));
  const size_t gap = line.find("  ");
  std::string_view head = line.substr(0, gap);
  if (gap != std::string_view::npos) {
    const std::string_view about = line.substr(gap);
    flag.about = about.substr(about.find_first_not_of(' '));
  }
  const size_t space = head.find(' ');
  flag.names = words_of(head.substr(0, space), ',');
  if (space != std::string_view::npos) {
    flag.value = head.substr(space + 1);
    if (const size_t open = flag.value.find(":{"); open != std::string::npos) {
      const size_t close = flag.value.find('}', open);
      flag.choices = words_of(std::string_view(flag.value).substr(open + 2, close - open - 2), ',');
      flag.value.resize(open);
    }
    flag.value.resize(std::min(flag.value.size(), flag.value.find(" ...")));
    flag.value.resize(std::min(flag.value.size(), flag.value.find(" REQUIRED")));
    flag.value.resize(std::min(flag.value.size(), flag.value.find(" Excludes:")));
  }
  return flag;
}

std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '\\') out += "\\e";
    else if (c == '-') out += "\\-";
    else out += c;
  }
  // A line that begins with one of these would be a request.
  if (!out.empty() && (out[0] == '.' || out[0] == '\'')) out.insert(0, "\\&");
  return out;
}

void put_lines(std::string& out, const std::vector<std::string>& lines) {
  bool as_it_is = false;
  for (const std::string& line : lines) {
    const bool indented = line.starts_with("  ");
    if (indented != as_it_is) out += indented ? ".PP\n.nf\n" : ".fi\n";
    as_it_is = indented;
    if (line.empty()) out += ".PP\n";
    else out += roff(line) + '\n';
  }
  if (as_it_is) out += ".fi\n";
}

void put_flags(std::string& out, const std::vector<HelpFlag>& flags) {
  for (const HelpFlag& flag : flags) {
    std::string names;
    for (const std::string& name : flag.names)
      names += fmt::format("{}\\fB{}\\fR", names.empty() ? "" : ", ", roff(name));
    std::string value = flag.value.empty() ? "" : fmt::format(" \\fI{}\\fR", roff(flag.value));
    out += fmt::format(".TP\n{}{}\n{}\n", names, value, roff(flag.about));
  }
}

std::string title(std::string_view name) {
  return fmt::format(".TH {} 1 \"\" \"backstream {}\" \"User Commands\"\n.SH NAME\n", name, BACKSTREAM_VERSION);
}

void put_help(std::string& out, const HelpText& help, bool is_section) {
  const char* const heading = is_section ? ".SS" : ".SH";
  if (!help.usage.empty())
    out += fmt::format("{} {}\n{}\n", heading, is_section ? "Usage" : "SYNOPSIS", roff(help.usage));
  out += is_section ? ".PP\n" : ".SH DESCRIPTION\n";
  put_lines(out, help.description);
  if (!help.flags.empty()) out += fmt::format("{} {}\n", heading, is_section ? "Options" : "OPTIONS");
  put_flags(out, help.flags);
  if (!help.more.empty() && !is_section) out += ".SH NOTES\n";
  put_lines(out, help.more);
}

/// What may stand where a command's own words go.
enum class Names : uint8_t { kNone, kQueries, kShells };
Names names_after(std::string_view command, std::string_view subcommand) {
  constexpr std::string_view kOfQueries[] = {"show", "alter",   "move", "pause",  "resume",
                                             "drop", "history", "diff", "explain"};
  if (command == "tail") return Names::kQueries;
  if (command == "completion") return Names::kShells;
  if (command == "query" && std::find(std::begin(kOfQueries), std::end(kOfQueries), subcommand) != std::end(kOfQueries))
    return Names::kQueries;
  return Names::kNone;
}

constexpr std::string_view kQueryNames = "backstream query list -o names --timeout 300ms 2>/dev/null";
// compgen expands its words as the shell does: a name that is more than a name would be run.
constexpr std::string_view kPlainNames = "| LC_ALL=C grep -x '[A-Za-z0-9_.~-]*'";

/// One command, or one of its subcommands, for completion.
struct Place {
  std::string_view command;
  std::string subcommand;
  std::vector<HelpFlag> flags;
  Names names = Names::kNone;
};
std::vector<Place> places_of(std::span<const Command> commands) {
  std::vector<Place> places;
  for (const Command& command : commands) {
    std::vector<std::string> subcommands = words_of(command.subcommands, ' ');
    if (subcommands.empty()) subcommands.emplace_back();
    for (std::string& subcommand : subcommands) {
      HelpText help = parse_help(help_of(command, subcommand));
      const Names names = names_after(command.name, subcommand);
      places.push_back({command.name, std::move(subcommand), std::move(help.flags), names});
    }
  }
  return places;
}

std::string names_of(std::span<const Command> commands) {
  std::string names;
  for (const Command& command : commands) names.append(names.empty() ? "" : " ").append(command.name);
  return names + " help";
}

/// The body that bash and zsh share: it sets `found` and, where names of queries go, adds them. Both know `case`.
std::string cases(const std::vector<Place>& places, std::string_view indent) {
  std::string out;
  for (const Place& place : places) {
    std::string words, values;
    for (const HelpFlag& flag : place.flags) {
      std::string pattern;
      for (const std::string& name : flag.names) {
        words.append(words.empty() ? "" : " ").append(name);
        pattern.append(pattern.empty() ? "" : "|").append(name);
      }
      if (flag.choices.empty()) continue;
      std::string choices;
      for (const std::string& choice : flag.choices) choices.append(choices.empty() ? "" : " ").append(choice);
      values += fmt::format("{}    {}) found='{}' ;;\n", indent, pattern, choices);
    }
    const std::string key = place.subcommand.empty() ? fmt::format("'{} '*", place.command)
                                                     : fmt::format("'{} {}'", place.command, place.subcommand);
    out += fmt::format("{}{})\n{}  found='{}'\n", indent, key, indent, words);
    if (place.names == Names::kQueries)
      out +=
          fmt::format("{}  case \"$cur\" in -*) ;; *) found=\"$({} {})\" ;; esac\n", indent, kQueryNames, kPlainNames);
    if (place.names == Names::kShells) out += fmt::format("{}  found='bash zsh fish'\n", indent);
    if (!values.empty()) out += fmt::format("{0}  case \"$prev\" in\n{1}{0}  esac\n", indent, values);
    out += fmt::format("{}  ;;\n", indent);
  }
  return out;
}

std::string subcommand_cases(std::span<const Command> commands, std::string_view indent) {
  std::string out;
  for (const Command& command : commands) {
    if (!command.subcommands.empty())
      out += fmt::format("{}{}) found='{}' ;;\n", indent, command.name, command.subcommands);
  }
  return out;
}

std::string bash_script(std::span<const Command> commands) {
  return fmt::format(R"(# bash completion of backstream; made by `backstream completion bash`
_backstream() {{
  local cur="${{COMP_WORDS[COMP_CWORD]}}" prev="${{COMP_WORDS[COMP_CWORD-1]}}" found=''
  if [ "$COMP_CWORD" -eq 1 ]; then
    found='{}'
  elif [ "$COMP_CWORD" -eq 2 ] && case "$cur" in -*) false ;; esac; then
    case "${{COMP_WORDS[1]}}" in
{}    esac
  fi
  if [ -z "$found" ]; then
    case "${{COMP_WORDS[1]}} ${{COMP_WORDS[2]}}" in
{}    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$found" -- "$cur")
}}
complete -o default -F _backstream backstream
)",
                     names_of(commands), subcommand_cases(commands, "      "), cases(places_of(commands), "      "));
}

std::string zsh_script(std::span<const Command> commands) {
  return fmt::format(R"zsh(#compdef backstream
# zsh completion of backstream; made by `backstream completion zsh`
_backstream() {{
  local cur="${{words[CURRENT]}}" prev="${{words[CURRENT-1]}}" found=''
  if (( CURRENT == 2 )); then
    found='{}'
  elif (( CURRENT == 3 )) && [[ "$cur" != -* ]]; then
    case "${{words[2]}}" in
{}    esac
  fi
  if [[ -z "$found" ]]; then
    case "${{words[2]}} ${{words[3]}}" in
{}    esac
  fi
  [[ -n "$found" ]] && compadd -- ${{=found}}
  [[ "$cur" == -* ]] || _files
}}
if [ "$funcstack[1]" = "_backstream" ]; then _backstream "$@"; else compdef _backstream backstream; fi
)zsh",
                     names_of(commands), subcommand_cases(commands, "      "), cases(places_of(commands), "      "));
}

std::string fish_text(std::string_view text) {
  std::string out = "'";
  for (const char c : text) {
    if (c == '\'' || c == '\\') out += '\\';
    out += c;
  }
  return out + '\'';
}

std::string fish_script(std::span<const Command> commands) {
  std::string out = "# fish completion of backstream; made by `backstream completion fish`\n";
  for (const Command& command : commands) {
    out += fmt::format("complete -c backstream -f -n __fish_use_subcommand -a {} -d {}\n", command.name,
                       fish_text(command.about));
    for (const std::string& subcommand : words_of(command.subcommands, ' ')) {
      out += fmt::format(
          "complete -c backstream -f -n '__fish_seen_subcommand_from {0}; and not __fish_seen_subcommand_from {1}' -a "
          "{2}\n",
          command.name, command.subcommands, subcommand);
    }
  }
  for (const Place& place : places_of(commands)) {
    std::string when = fmt::format("__fish_seen_subcommand_from {}", place.command);
    if (!place.subcommand.empty()) when += fmt::format("; and __fish_seen_subcommand_from {}", place.subcommand);
    if (place.names == Names::kQueries)
      out += fmt::format("complete -c backstream -f -n '{}' -a '({})'\n", when, kQueryNames);
    if (place.names == Names::kShells)
      out += fmt::format("complete -c backstream -f -n '{}' -a 'bash zsh fish'\n", when);
    for (const HelpFlag& flag : place.flags) {
      out += fmt::format("complete -c backstream -n '{}'", when);
      for (const std::string& name : flag.names)
        out += name.starts_with("--") ? " -l " + name.substr(2) : " -s " + name.substr(1);
      std::string choices;
      for (const std::string& choice : flag.choices) choices.append(choices.empty() ? "" : " ").append(choice);
      if (!flag.value.empty()) out += " -r";
      if (!choices.empty()) out += " -f -a " + fish_text(choices);
      out += " -d " + fish_text(flag.about) + '\n';
    }
  }
  return out;
}

}  // namespace

HelpText parse_help(std::string_view text) {
  HelpText help;
  enum class In : uint8_t { kDescription, kFlags, kMore } in = In::kDescription;
  bool in_flag = false;
  for (const std::string& line : lines_of(text)) {
    const size_t indent = line.find_first_not_of(' ');
    if (line.starts_with("Usage: ")) {
      help.usage = line.substr(7);
    } else if (line == "Options:" || line == "Positionals:" || line == "The server that is asked:") {
      in = In::kFlags;
      in_flag = false;
    } else if (in != In::kDescription && indent != std::string::npos && indent <= 4 && indent >= 2 &&
               line[indent] == '-') {
      help.flags.push_back(flag_of(line));
      in_flag = true;
    } else if (in == In::kFlags && in_flag && indent != std::string::npos && indent > 8) {
      std::string& about = help.flags.back().about;
      about.append(about.empty() ? "" : " ").append(line.substr(indent));
    } else if (in == In::kFlags && indent == 0) {
      in = In::kMore;
      help.more.push_back(line);
    } else if (in == In::kDescription) {
      help.description.push_back(line);
    } else if (in == In::kMore) {
      help.more.push_back(line);
    } else {
      in_flag = in_flag && indent == std::string::npos;
    }
  }
  for (auto* lines : {&help.description, &help.more}) {
    while (!lines->empty() && lines->back().empty()) lines->pop_back();
    while (!lines->empty() && lines->front().empty()) lines->erase(lines->begin());
  }
  return help;
}

std::string help_of(const Command& command, std::string_view subcommand) {
  std::fflush(stdout);
  const int own = ::dup(STDOUT_FILENO), memory = ::memfd_create("help", MFD_CLOEXEC);
  std::string text;
  if (own >= 0 && memory >= 0 && ::dup2(memory, STDOUT_FILENO) >= 0) {
    std::vector<std::string> arguments = {"--help"};
    if (!subcommand.empty()) arguments.insert(arguments.begin(), std::string(subcommand));
    command.run(arguments);
    std::fflush(stdout);
    ::dup2(own, STDOUT_FILENO);
    const off_t octets = ::lseek(memory, 0, SEEK_END);
    text.resize(octets > 0 ? static_cast<size_t>(octets) : 0);
    const ssize_t got = ::pread(memory, text.data(), text.size(), 0);
    text.resize(got > 0 ? static_cast<size_t>(got) : 0);
  }
  if (memory >= 0) ::close(memory);
  if (own >= 0) ::close(own);
  return text;
}

std::string man_page(const Command& command) {
  std::string out = title(fmt::format("BACKSTREAM-{}", command.name));
  out += fmt::format("backstream\\-{} \\- {}\n", command.name, roff(command.about));
  put_help(out, parse_help(help_of(command, {})), false);
  for (const std::string& subcommand : words_of(command.subcommands, ' ')) {
    out += fmt::format(".SH BACKSTREAM {} {}\n", command.name, subcommand);
    put_help(out, parse_help(help_of(command, subcommand)), true);
  }
  return out + ".SH SEE ALSO\n.BR backstream (1)\n";
}

std::string main_man_page(std::span<const Command> commands, std::string_view help) {
  std::string out = title("BACKSTREAM") + "backstream \\- continuous SQL over NetFlow, IPFIX and sFlow\n";
  out += ".SH SYNOPSIS\n.B backstream\n\\fICOMMAND\\fR ...\n.SH DESCRIPTION\n";
  put_lines(out, lines_of(help));
  out += ".SH SEE ALSO\n";
  for (const Command& command : commands)
    out += fmt::format(".BR backstream\\-{} (1){}\n", command.name, &command == &commands.back() ? "" : ",");
  return out;
}

std::optional<std::string> completion_script(std::span<const Command> commands, std::string_view shell) {
  if (shell == "bash") return bash_script(commands);
  if (shell == "zsh") return zsh_script(commands);
  if (shell == "fish") return fish_script(commands);
  return std::nullopt;
}

}  // namespace backstream::app
