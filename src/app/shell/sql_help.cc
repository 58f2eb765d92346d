#include "app/shell/sql_help.h"

#include <fmt/format.h>

#include "app/shell/display_text.h"
#include "app/shell/meta_command.h"

namespace backstream::app::shell {
namespace {

struct Help {
  std::string_view name, text;
};
constexpr Help kHelp[] = {
    {"ALTER MATERIALIZED VIEW",
     "ALTER MATERIALIZED VIEW [IF EXISTS] name SET (option = 'value', …)\n"
     "ALTER MATERIALIZED VIEW [IF EXISTS] name RESET (option, …)\n\n"
     "  ALTER MATERIALIZED VIEW matrix SET (allowed_lateness = '60 s');\n\n"
     "The new version takes over at the next window.\n"},
    {"COMMENT",
     "COMMENT ON {VIEW | MATERIALIZED VIEW} name IS {'text' | NULL}\n\n"
     "  COMMENT ON MATERIALIZED VIEW matrix IS 'for the peering team';\n"},
    {"CREATE MATERIALIZED VIEW",
     "CREATE MATERIALIZED VIEW [IF NOT EXISTS] name [(column, …)] [WITH (option = 'value', …)] AS SELECT …\n\n"
     "  CREATE MATERIALIZED VIEW matrix AS\n"
     "  SELECT window_start, src_as, dst_as, sum(octets) AS octets\n"
     "  FROM tumble(flows, time, interval '5 min') GROUP BY 1, 2, 3;\n\n"
     "It runs from now on, on the server; \\dq lists what runs, \\tail name shows its results.\n"},
    {"CREATE VIEW",
     "CREATE [OR REPLACE] VIEW name [(column, …)] AS SELECT …\n\n"
     "  CREATE VIEW web AS SELECT * FROM flows WHERE dst_port IN (80, 443);\n\n"
     "A name for a SELECT; it is expanded where it is read.\n"},
    {"DROP",
     "DROP {VIEW | MATERIALIZED VIEW} [IF EXISTS] name, …\n\n  DROP MATERIALIZED VIEW matrix;\n\n"
     "Refused while another query reads it.\n"},
    {"EXPLAIN",
     "EXPLAIN [(DISTRIBUTED, FORMAT json)] {SELECT … | CREATE MATERIALIZED VIEW …}\n\n"
     "  EXPLAIN (DISTRIBUTED) SELECT window_start, sum(octets) FROM tumble(flows, time, interval '1 min') GROUP BY "
     "1;\n"},
    {"SELECT",
     "SELECT expression [AS name], … FROM {relation | tumble(…) | hop(…) | session(…)} [WHERE …] [GROUP BY …]\n"
     "  [HAVING …] [ORDER BY …] [LIMIT n]\n\n"
     "  SELECT window_start, dst_as, sum(octets) AS octets FROM tumble(flows, time, interval '10 s')\n"
     "  GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 5;\n\n"
     "  tumble(relation, time, size)       windows side by side\n"
     "  hop(relation, time, slide, size)   windows that overlap\n"
     "  session(relation, time, gap, key)  a window per burst of a key\n\n"
     "It runs until Ctrl-C; a window is shown when it is complete. docs/sql.md has the whole language.\n"},
    {"WITH", "WITH name AS (SELECT …), … SELECT …\n"},
};

char upper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }

}  // namespace

std::optional<std::string> sql_help(const std::vector<std::string>& words) {
  if (words.empty()) {
    std::string text = "\\h STATEMENT says more of:\n";
    for (const Help& help : kHelp) text += fmt::format("  {}\n", help.name);
    return text + "Windows are functions in FROM: tumble(flows, time, interval '1 min').\n";
  }
  std::string wanted;
  for (const std::string& word : words) {
    if (!wanted.empty()) wanted += ' ';
    for (const char c : word) wanted += upper(c);
  }
  while (wanted.ends_with(';')) wanted.pop_back();
  std::string text;
  for (const Help& help : kHelp) {
    if (help.name.starts_with(wanted)) text += fmt::format("{}{}", text.empty() ? "" : "\n", help.text);
  }
  if (text.empty()) return std::nullopt;
  return text;
}

std::string meta_help() {
  std::string text =
      "A statement ends with ; and may go over several lines. Ctrl-C drops it, or ends a live result.\n\n";
  for (const MetaEntry& entry : meta_entries()) {
    std::string head = fmt::format("\\{} {}", entry.name, entry.arguments);
    if (head.size() < 26) head.append(26 - head.size(), ' ');
    text += fmt::format("  {} {}\n", head, entry.about);
  }
  return text +
         "\nIn a live result: space pauses and goes on, q or Ctrl-C ends it.\n"
         "Keys: Tab completes, Up and Ctrl-R find what was typed before; a line that begins with a blank is not "
         "kept.\n";
}

}  // namespace backstream::app::shell
