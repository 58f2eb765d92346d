#include "app/shell/output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "app/shell/display_text.h"

namespace backstream::app::shell {

Output::Output(int descriptor)
    : descriptor_(descriptor), on_terminal_(::isatty(descriptor) != 0), text_(descriptor, 64 << 10) {}
Output::~Output() {
  text_.flush();
  if (owned_) ::close(descriptor_);
}

base::Result<std::unique_ptr<Output>> Output::to_file(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
  if (descriptor < 0) return base::fail("file", fmt::format("cannot write '{}': {}", path, std::strerror(errno)));
  auto output = std::make_unique<Output>(descriptor);
  output->owned_ = true;
  output->name_ = path;
  return output;
}

void Output::write_record(std::string_view text) {
  if (!on_terminal_) {
    text_.append(text);
    return;
  }
  const bool has_end = text.ends_with('\n');
  text_.append(printable(has_end ? text.substr(0, text.size() - 1) : text));
  if (has_end) text_.append("\n");
}

}  // namespace backstream::app::shell
