// Stands for what console/embed.mjs writes, where there is no Node.
#include "console/assets.h"

namespace backstream::console {

std::span<const Asset> built_assets() { return {}; }

}  // namespace backstream::console
