#include "app/demo/temporary_folder.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <stdexcept>

namespace backstream::app::demo {

TemporaryFolder::TemporaryFolder() {
  std::string name = (std::filesystem::temp_directory_path() / "backstream-demo-XXXXXX").string();
  if (::mkdtemp(name.data()) == nullptr)
    throw std::runtime_error(
        fmt::format("cannot make a folder in '{}'", std::filesystem::temp_directory_path().string()));
  path_ = name;
}

TemporaryFolder::~TemporaryFolder() {
  if (kept_) return;
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

}  // namespace backstream::app::demo
