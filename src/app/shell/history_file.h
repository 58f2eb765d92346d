#pragma once
#include <string>
#include <string_view>
#include <vector>

namespace backstream::app::shell {

/// What was typed before: a file that only its owner may read, an entry a line ("\n" and "\\" written so). Every entry
/// is appended at once, so that two shells do not overwrite each other's. Without a place to write it nothing is kept.
class HistoryFile {
 public:
  static constexpr size_t kEntriesMax = 2'000;
  static constexpr size_t kEntryOctetsMax = 64 << 10;

  /// $XDG_STATE_HOME/backstream/history, or ~/.local/state/backstream/history; empty: neither is known.
  static std::string usual_path();
  explicit HistoryFile(std::string path) : path_(std::move(path)) {}

  /// The newest kEntriesMax, oldest first; a file that has become much longer is cut to them.
  std::vector<std::string> load();
  /// What begins with a blank is not kept, as in many a shell: for what is nobody's business.
  /// @return  false: it could not be written
  bool append(std::string_view entry);

 private:
  const std::string path_;
};

}  // namespace backstream::app::shell
