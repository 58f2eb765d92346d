#pragma once
// Files that must be there whole, or as they were, after any end of the process or the machine.
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/diagnostic.h"

namespace backstream::base {

/// A descriptor, closed at the end. Not made for others to read (0600), not inherited.
class File {
 public:
  File() = default;
  File(const std::string& path, int flags);
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;
  /// < 0: it could not be opened; errno says why.
  int get() const { return file_; }
  /// False: errno says why.
  bool close();

 private:
  int file_ = -1;
};

/// False: errno says why; some of it may be written.
bool write_all(int file, std::span<const uint8_t> octets);
bool write_all(int file, std::string_view text);

/// Replaces the file by one with these octets, so that at any time, even after a crash, it is the old or the new one.
/// @param for_others  anybody may read it (0644): programs of other users pick it up
/// Error "file".
Result<void> write_atomically(const std::string& path, std::span<const uint8_t> octets, bool for_others = false);
/// Names of a folder that were made, changed or removed outlive a power cut.
void sync_folder_of(const std::string& path);

/// Error "file": "cannot WHAT 'PATH': " and what errno says.
tl::unexpected<Diagnostic> file_failed(const char* what, const std::string& path);

}  // namespace backstream::base
