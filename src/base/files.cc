#include "base/files.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <utility>

namespace backstream::base {

File::File(const std::string& path, int flags) : file_(::open(path.c_str(), flags | O_CLOEXEC, 0600)) {}
File::~File() {
  if (file_ >= 0) ::close(file_);
}
File::File(File&& other) noexcept : file_(std::exchange(other.file_, -1)) {}
File& File::operator=(File&& other) noexcept {
  if (this == &other) return *this;
  if (file_ >= 0) ::close(file_);
  file_ = std::exchange(other.file_, -1);
  return *this;
}
bool File::close() { return ::close(std::exchange(file_, -1)) == 0; }

bool write_all(int file, std::span<const uint8_t> octets) {
  while (!octets.empty()) {
    const ssize_t written = ::write(file, octets.data(), octets.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return false;
    octets = octets.subspan(static_cast<size_t>(written));
  }
  return true;
}
bool write_all(int file, std::string_view text) {
  return write_all(file, {reinterpret_cast<const uint8_t*>(text.data()), text.size()});
}

Result<void> write_atomically(const std::string& path, std::span<const uint8_t> octets, bool for_others) {
  const std::string next = path + ".new";
  File file(next, O_WRONLY | O_CREAT | O_TRUNC);
  if (file.get() < 0) return file_failed("write", next);
  if (for_others && ::fchmod(file.get(), S_IRUSR | S_IWUSR | S_IRGRP | S_IROTH) != 0) return file_failed("write", next);
  // Without the first fsync the name could survive a power cut and the octets not; the second one keeps the name.
  if (!write_all(file.get(), octets) || ::fsync(file.get()) != 0 || !file.close()) {
    auto failed = file_failed("write", next);
    ::unlink(next.c_str());
    return failed;
  }
  if (::rename(next.c_str(), path.c_str()) != 0) return file_failed("write", path);
  sync_folder_of(path);
  return {};
}

void sync_folder_of(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const File directory(folder.empty() ? "." : folder, O_RDONLY | O_DIRECTORY);
  if (directory.get() >= 0) ::fsync(directory.get());
}

tl::unexpected<Diagnostic> file_failed(const char* what, const std::string& path) {
  return fail("file", fmt::format("cannot {} '{}': {}", what, path, std::strerror(errno)));
}

}  // namespace backstream::base
