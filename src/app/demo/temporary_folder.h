#pragma once
#include <string>

namespace backstream::app::demo {

/// Removed with all that is in it, unless it is to be kept.
class TemporaryFolder {
 public:
  /// Errors: std::runtime_error.
  TemporaryFolder();
  ~TemporaryFolder();
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::string& path() const { return path_; }
  void keep() { kept_ = true; }

 private:
  std::string path_;
  bool kept_ = false;
};

}  // namespace backstream::app::demo
