#pragma once
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "app/shell/completion.h"

namespace backstream::app::shell {

/// Lines from a person at a terminal: libedit's editing (Emacs keys, ~/.editrc wins), history, Ctrl-R, Tab. The only
/// file that knows libedit is line_editor.cc. One thread; standard input and output.
class LineEditor {
 public:
  /// @param history_path  see HistoryFile; empty: nothing is kept
  explicit LineEditor(const std::string& history_path);
  ~LineEditor();
  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  enum class Outcome : uint8_t { kLine, kEnd, kInterrupted };
  /// One line, without its end; one that came out of the history may hold several. kEnd: Ctrl-D, or the terminal has
  /// gone, or the process is to stop. kInterrupted: Ctrl-C, what was typed is dropped.
  Outcome read(const std::string& prompt, std::string& line);
  /// @return  false: it could not be written to its file, the first time that it fails
  bool remember(const std::string& entry);
  /// Asked at each Tab: text of the line before the cursor, and after it.
  void on_tab(std::function<Completion(std::string_view before, std::string_view after)> complete);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace backstream::app::shell
