#include "app/help_pages.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace backstream::app {
namespace {

TEST(HelpPages, FlagsComeFromWhatHelpSays) {
  const Command command = {"query", "queries", query_command, "list show"};
  const HelpText help = parse_help(help_of(command, "list"));
  ASSERT_GE(help.flags.size(), 6u);
  const HelpFlag& output = help.flags[1];
  EXPECT_EQ(output.names, (std::vector<std::string>{"-o", "--output"}));
  EXPECT_EQ(output.value, "FORMAT");
  EXPECT_EQ(help.flags[2].names, (std::vector<std::string>{"--server"}));
  EXPECT_EQ(help.flags[2].value, "URL");
  EXPECT_EQ(help.description[0], "All queries of a server, with what they have counted.");
  const std::string page = man_page(command);
  EXPECT_NE(page.find(".SH BACKSTREAM query list\n"), std::string::npos);
  EXPECT_NE(page.find("\\fB\\-\\-server\\fR \\fIURL\\fR"), std::string::npos) << page;
  for (const char* shell : {"bash", "zsh", "fish"}) {
    const auto script = completion_script({&command, 1}, shell);
    ASSERT_TRUE(script) << shell;
    EXPECT_NE(script->find(shell == std::string("fish") ? "-l server" : "--server"), std::string::npos) << shell;
    EXPECT_NE(script->find("query list -o names"), std::string::npos) << shell;
  }
  EXPECT_FALSE(completion_script({&command, 1}, "csh"));
}

/// What Tab offers after these words.
std::string offered(const std::string& script, const std::vector<std::string>& words) {
  const auto file = std::filesystem::temp_directory_path() / ("backstream_tab_" + std::to_string(::getpid()));
  std::string list;
  for (const std::string& word : words) list += " '" + word + "'";
  // A program of this name that knows two queries, and one of somebody who means no good.
  std::ofstream(file) << "backstream() { echo top; echo '$(echo run)'; echo tail_of_it; }\n"
                      << script << "COMP_WORDS=(backstream" << list << ")\nCOMP_CWORD=" << words.size()
                      << "\n_backstream\necho \"${COMPREPLY[*]}\"\n";
  std::string out;
  if (FILE* pipe = ::popen(("bash " + file.string() + " 2>&1").c_str(), "r")) {
    char buffer[4'096];
    for (size_t got; (got = std::fread(buffer, 1, sizeof buffer, pipe)) > 0;) out.append(buffer, got);
    ::pclose(pipe);
  }
  std::filesystem::remove(file);
  while (out.ends_with('\n')) out.pop_back();
  return out;
}

TEST(HelpPages, BashCompletesCommandsFlagsValuesAndNames) {
  const Command commands[] = {{"query", "queries", query_command, "list show drop"},
                              {"tail", "results", tail_command},
                              {"completion", "this", completion_command}};
  const std::string script = *completion_script(commands, "bash");
  EXPECT_EQ(offered(script, {"q"}), "query");
  EXPECT_EQ(offered(script, {""}), "query tail completion help");
  EXPECT_EQ(offered(script, {"query", "l"}), "list");
  EXPECT_EQ(offered(script, {"query", "show", ""}), "top tail_of_it");
  EXPECT_EQ(offered(script, {"query", "show", "--to"}), "--token-file");
  EXPECT_EQ(offered(script, {"tail", "t"}), "top tail_of_it");
  EXPECT_EQ(offered(script, {"tail", "top", "-o", ""}), "table csv jsonl prometheus");
  EXPECT_EQ(offered(script, {"completion", "z"}), "zsh");
}

}  // namespace
}  // namespace backstream::app
