#pragma once
#include <string>

#include "base/diagnostic.h"

namespace backstream::app::shell {

/// Opens a file in $BACKSTREAM_EDITOR, $VISUAL, $EDITOR or vi, and waits. Errors: "file".
base::Result<void> open_editor(const std::string& path);
/// The text as a file of its own, which only its owner can read, edited and read again. Errors: "file"; 54000 too long.
base::Result<std::string> edit_text(const std::string& text);
/// A whole file. Errors: "file"; 54000 longer than 16 MiB.
base::Result<std::string> read_file(const std::string& path);

}  // namespace backstream::app::shell
