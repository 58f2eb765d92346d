#pragma once
#include <chrono>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "app/commands.h"
#include "app/service_client.h"
#include "app/shell/completion.h"
#include "app/shell/live_run.h"
#include "app/shell/meta_command.h"
#include "app/shell/output.h"
#include "app/shell/result_view.h"
#include "plan/unbound.h"

namespace backstream::app::shell {

class LineEditor;

struct ShellSettings {
  TableFormat format = TableFormat::kTable;
  Expanded expanded = Expanded::kAuto;
  std::string null_text;
  bool timing = false;
  bool quiet = false;      ///< no summaries and no reasons, only results and errors
  bool revisions = false;  ///< see ViewOptions
  LiveLimits limits;       ///< of each live result
};

/// `backstream sql`: statements and meta commands against one server. What a statement means is the parser's to say;
/// the rest is HTTP. Needs an InterruptGuard. One thread.
class Shell {
 public:
  /// @param standard  where results go unless \o says otherwise; must outlive the shell
  Shell(http::ClientOptions server, ShellSettings settings, Output& standard);
  ~Shell();
  Shell(const Shell&) = delete;
  Shell& operator=(const Shell&) = delete;

  /// Statements and meta commands of -c, a file or standard input. Ends at the first error, which has been told with
  /// its place in the text.
  /// @return  an exit code
  int run_text(std::string_view text, const std::string& source_name);
  /// Prompts until the person leaves. @return an exit code
  int interact();

 private:
  /// 0, or the exit code of what was not an error but came to nothing.
  using Done = ServiceResult<int>;
  /// A statement: a part of a text that a person wrote.
  struct Statement {
    const plan::UnboundStatement& parsed;
    std::string_view whole;
    size_t begin;  ///< of the piece that was parsed
    std::string source_name;

    std::string text(base::SourceSpan span) const;
    std::string text() const { return text(parsed.span); }
    SentText sent(base::SourceSpan span) const;
  };

  // shell.cc
  Done run_piece(std::string_view whole, size_t begin, size_t end, const std::string& source_name);
  Done run_buffer(std::string text);
  void feed(std::string line);
  bool word_for_command(std::string_view line);
  int tell(const ServiceError& error) const;
  /// A 404 of a query with what was perhaps meant.
  ServiceError missing(ServiceError error, const std::string& name);
  void say(std::string_view line) const;
  void start_text();

  // shell_statements.cc
  Done run_statement(const Statement& statement);
  Done create(const Statement& statement);
  Done drop(const Statement& statement);
  Done alter(const Statement& statement);
  Done comment(const Statement& statement);
  Done explain(const Statement& statement);
  Done other(const Statement& statement);
  Done select(const Statement& statement);
  /// Where its rows come from, and whether they come to an end by themselves.
  enum class Followed : uint8_t { kQuery, kSession, kAnswer };
  Done follow(const std::string& query, Followed what);
  Done refused(const Statement& statement, std::string_view code, std::string what, std::string hint,
               base::SourceSpan span);
  void say_done(std::string_view tag, const nlohmann::json& answer) const;

  // shell_meta.cc
  Done run_meta(const MetaCommand& command, std::string& buffer);
  Done watch(const MetaCommand& command, const std::string& text);
  Done suggest(const std::string& typed);
  Done edit(const MetaCommand& command, std::string& buffer);
  Done include(const std::string& path);
  Done redirect(const std::vector<std::string>& arguments);
  Done connect(const std::vector<std::string>& arguments);
  Done why(const std::vector<std::string>& arguments);
  Done set_expanded(const std::vector<std::string>& arguments);
  Done set_timing(const std::vector<std::string>& arguments);
  Done print_setting(const std::vector<std::string>& arguments);

  // shell_lists.cc
  Done describe(const MetaCommand& command, std::string_view kind);
  Done describe_one(const nlohmann::json& relation, bool with_text);
  Done list_queries(const MetaCommand& command);
  Done list_exporters();
  Done connection_info();
  void print_table(std::string_view title, const std::vector<ResultColumn>& columns, const std::vector<Row>& rows);
  void print_text(std::string_view text);
  Completion complete_line(std::string_view before, std::string_view after);

  Output& out() { return file_ ? *file_ : standard_; }

  http::ClientOptions server_;
  std::unique_ptr<ServiceClient> client_;
  ShellSettings settings_;
  Output& standard_;
  std::unique_ptr<Output> file_;  // Of \o.
  std::unique_ptr<LineEditor> editor_;

  std::string buffer_, typed_;  // The statement that is being typed; all lines since the last prompt "=>".
  std::string last_statement_;
  std::optional<WatchOptions> watching_;  // While \watch runs a live SELECT.
  bool answered_ = false;                 // The last SELECT came to its end by itself.
  bool expanded_once_ = false;            // \gx
  bool quit_ = false;
  size_t include_depth_ = 0;
  std::string last_query_, last_why_;  // For \why after a live result.
  std::vector<KnownRelation> known_;
  std::chrono::steady_clock::time_point known_at_{};
  bool known_is_old_ = true;
};

}  // namespace backstream::app::shell
