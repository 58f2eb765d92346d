#include "app/shell/history_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

namespace backstream::app::shell {
namespace {

constexpr size_t kReadOctetsMax = size_t{8} << 20;
constexpr mode_t kOwnerOnly = S_IRUSR | S_IWUSR;

class Descriptor {
 public:
  Descriptor(const std::string& path, int flags) : number_(::open(path.c_str(), flags | O_CLOEXEC, kOwnerOnly)) {}
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  operator int() const { return number_; }  // NOLINT(google-explicit-constructor)

 private:
  const int number_;
};

bool write_all(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const ssize_t written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    text.remove_prefix(static_cast<size_t>(written));
  }
  return true;
}

std::string encoded(std::string_view entry) {
  std::string line;
  for (const char c : entry) {
    if (c == '\n') line += "\\n";
    else if (c == '\\') line += "\\\\";
    else line += c;
  }
  return line += '\n';
}
std::string decoded(std::string_view line) {
  std::string entry;
  for (size_t i = 0; i < line.size(); ++i) {
    if (line[i] != '\\' || i + 1 == line.size()) entry += line[i];
    else entry += line[++i] == 'n' ? '\n' : line[i];
  }
  return entry;
}

}  // namespace

std::string HistoryFile::usual_path() {
  const char* const state = std::getenv("XDG_STATE_HOME");
  // The specification has relative paths ignored.
  if (state != nullptr && *state == '/') return std::string(state) + "/backstream/history";
  const char* const home = std::getenv("HOME");
  if (home != nullptr && *home == '/') return std::string(home) + "/.local/state/backstream/history";
  return {};
}

std::vector<std::string> HistoryFile::load() {
  if (path_.empty()) return {};
  std::string text;
  {
    const Descriptor file(path_, O_RDONLY);
    if (file < 0) return {};
    const off_t size = ::lseek(file, 0, SEEK_END);
    const off_t from = size > static_cast<off_t>(kReadOctetsMax) ? size - static_cast<off_t>(kReadOctetsMax) : 0;
    if (size < 0 || ::lseek(file, from, SEEK_SET) < 0) return {};
    text.resize(static_cast<size_t>(size - from));
    size_t have = 0;
    for (ssize_t got = 1; have < text.size() && got > 0; have += static_cast<size_t>(got > 0 ? got : 0))
      got = ::read(file, text.data() + have, text.size() - have);
    text.resize(have);
    if (from > 0) text.erase(0, std::min(text.find('\n'), text.size() - 1) + 1);
  }
  std::vector<std::string> entries;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    if (end > at) entries.push_back(decoded(std::string_view(text).substr(at, end - at)));
    at = end + 1;
  }
  const bool is_long = entries.size() > 2 * kEntriesMax;
  if (entries.size() > kEntriesMax) entries.erase(entries.begin(), entries.end() - kEntriesMax);
  if (is_long) {
    std::string kept;
    for (const std::string& entry : entries) kept += encoded(entry);
    const std::string fresh = path_ + "." + std::to_string(::getpid());
    const Descriptor file(fresh, O_WRONLY | O_CREAT | O_EXCL);
    if (file >= 0 && write_all(file, kept)) ::rename(fresh.c_str(), path_.c_str());
    else if (file >= 0) ::unlink(fresh.c_str());
  }
  return entries;
}

bool HistoryFile::append(std::string_view entry) {
  if (path_.empty()) return false;
  if (entry.empty() || entry[0] == ' ' || entry.size() > kEntryOctetsMax) return true;
  std::error_code ignored;
  const std::filesystem::path folder = std::filesystem::path(path_).parent_path();
  if (!std::filesystem::exists(folder, ignored) && std::filesystem::create_directories(folder, ignored))
    std::filesystem::permissions(folder, std::filesystem::perms::owner_all, ignored);
  const Descriptor file(path_, O_WRONLY | O_CREAT | O_APPEND);
  if (file < 0) return false;
  ::fchmod(file, kOwnerOnly);
  return write_all(file, encoded(entry));
}

}  // namespace backstream::app::shell
