#pragma once
#include <span>
#include <string_view>

namespace backstream::console {

/// A file of the pages for browsers, part of the program.
struct Asset {
  std::string_view path;  ///< "/index.html", "/assets/console-5ABCDPTO.js": the name has the hash of what is in it
  std::string_view type;  ///< media type
  std::string_view octets;
  std::string_view gzipped;  ///< the same, for who takes it
};

/// Those of this build, index.html first. Empty: it was built without Node.
std::span<const Asset> built_assets();

}  // namespace backstream::console
