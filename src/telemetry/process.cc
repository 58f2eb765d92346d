#include "telemetry/process.h"

#include <dirent.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cstdio>
#include <cstring>
#include <sstream>
#include <string>

namespace backstream::telemetry {
namespace {

/// Fields 3 and on of /proc/self/stat: the second, a name in brackets, may hold anything.
std::optional<std::string> stat_fields() {
  std::FILE* const file = std::fopen("/proc/self/stat", "re");
  if (file == nullptr) return std::nullopt;
  char text[4096];
  const size_t octets = std::fread(text, 1, sizeof text - 1, file);
  std::fclose(file);
  text[octets] = '\0';
  const char* const end = std::strrchr(text, ')');
  if (end == nullptr) return std::nullopt;
  return std::string(end + 1);
}

int64_t clock_us(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return now.tv_sec * base::kMicrosPerSecond + now.tv_nsec / 1000;
}

std::optional<uint64_t> count_descriptors() {
  DIR* const folder = ::opendir("/proc/self/fd");
  if (folder == nullptr) return std::nullopt;
  uint64_t count = 0;
  while (const dirent* const entry = ::readdir(folder)) {
    if (entry->d_name[0] != '.') ++count;
  }
  ::closedir(folder);
  return count - 1;  // Without the folder's own.
}

}  // namespace

ProcessFacts process_facts() {
  ProcessFacts facts;
  const auto ticks = static_cast<double>(::sysconf(_SC_CLK_TCK));
  if (const auto fields = stat_fields()) {
    std::istringstream in(*fields);
    std::string state;
    // proc(5): numbers of the fields in the man page, from 4 on.
    int64_t values[25] = {};
    in >> state;
    for (int i = 4; i <= 24; ++i) in >> values[i];
    if (in) {
      facts.cpu_seconds = static_cast<double>(values[14] + values[15]) / ticks;
      facts.threads = static_cast<uint64_t>(values[20]);
      // Since boot; the time of boot itself is in a file that a hardened unit does not show.
      const auto since_boot_us = static_cast<int64_t>(static_cast<double>(values[22]) / ticks * 1e6);
      facts.started_at = clock_us(CLOCK_REALTIME) - (clock_us(CLOCK_BOOTTIME) - since_boot_us);
      facts.virtual_octets = static_cast<uint64_t>(values[23]);
      facts.resident_octets = static_cast<uint64_t>(values[24]) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
    }
  }
  facts.open_descriptors = count_descriptors();
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
    facts.descriptors_max = limit.rlim_cur;
  return facts;
}

}  // namespace backstream::telemetry
