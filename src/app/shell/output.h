#pragma once
#include <memory>
#include <string>
#include <string_view>

#include "base/diagnostic.h"
#include "receiver/text_buffer.h"

namespace backstream::app::shell {

/// Where results go: standard output, or the file of \o. One thread.
class Output {
 public:
  /// The descriptor stays the caller's.
  explicit Output(int descriptor);
  ~Output();
  /// Makes the file, or empties it. Errors: "file".
  static base::Result<std::unique_ptr<Output>> to_file(const std::string& path);
  Output(const Output&) = delete;
  Output& operator=(const Output&) = delete;

  bool on_terminal() const { return on_terminal_; }
  int descriptor() const { return descriptor_; }
  /// "standard output", or the file's name.
  const std::string& name() const { return name_; }

  /// Text of ours, or what display_text.h has made presentable.
  void write(std::string_view text) { text_.append(text); }
  /// A record of data for programs, with its line end: as it is, but on a terminal printable().
  void write_record(std::string_view text);
  void flush() { text_.flush(); }
  /// errno of the first failed write, or 0. EPIPE: nobody reads any more.
  int error() const { return text_.error(); }

 private:
  const int descriptor_;
  bool owned_ = false;
  const bool on_terminal_;
  std::string name_ = "standard output";
  receiver::TextBuffer text_;
};

}  // namespace backstream::app::shell
