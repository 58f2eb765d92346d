#pragma once
#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/diagnostic.h"
#include "base/time.h"

namespace backstream::app::shell {

/// A command of the shell itself: a backslash, a name and arguments.
struct MetaCommand {
  enum class Kind : uint8_t {
    kDescribe,
    kQueries,
    kTables,
    kViews,
    kExporters,
    kExpanded,
    kTiming,
    kWatch,
    kSuggest,
    kWhy,
    kTail,
    kEdit,
    kInclude,
    kOutput,
    kPrintSetting,
    kConnect,
    kConnectionInfo,
    kGo,
    kGoExpanded,
    kPrintBuffer,
    kReset,
    kHelpMeta,
    kHelpSql,
    kQuit,
  };
  Kind kind = Kind::kQuit;
  std::vector<std::string> arguments;
  bool plus = false;  ///< \d+, \dq+: with more
};

/// One line of \? each; several names may do the same.
struct MetaEntry {
  MetaCommand::Kind kind;
  std::string_view name;       ///< without the backslash
  std::string_view arguments;  ///< as \? shows them
  std::string_view about;
  size_t arguments_max;
};
std::span<const MetaEntry> meta_entries();

/// Reads one from the begin of `text`, which begins with the backslash; it ends at the line's end, at "\\" or at the
/// backslash of the next command. Arguments are parted by blanks; '…' holds blanks ('' is a quote within).
/// @param used  set to the octets that it took, also on an error
/// Errors: 42601 no such command (with the likely one), too many arguments, a quote that is not closed.
base::Result<MetaCommand> parse_meta(std::string_view text, size_t& used);

/// \watch [i=SECONDS] [c=COUNT], in any order; a bare number is the seconds, as psql has it.
struct WatchOptions {
  base::Micros interval = 2 * base::kMicrosPerSecond;  ///< 0.1 s to 1 d
  uint64_t count = 0;                                  ///< 0: until Ctrl-C
};
/// Errors: 22023.
base::Result<WatchOptions> parse_watch(const std::vector<std::string>& arguments);

}  // namespace backstream::app::shell
