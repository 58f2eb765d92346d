#include "telemetry/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>

namespace backstream::telemetry {
namespace {

TEST(ProcessFacts, AreThoseOfThisProcess) {
  const ProcessFacts before = process_facts();
  ASSERT_TRUE(before.open_descriptors && before.resident_octets && before.virtual_octets && before.threads &&
              before.started_at && before.cpu_seconds);
  const int file = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  EXPECT_EQ(*process_facts().open_descriptors, *before.open_descriptors + 1);
  ::close(file);
  EXPECT_GT(*before.resident_octets, 1U << 20);
  EXPECT_GE(*before.virtual_octets, *before.resident_octets);
  EXPECT_GE(*before.threads, 1U);
  const auto now =
      std::chrono::duration_cast<std::chrono::microseconds>(std::chrono::system_clock::now().time_since_epoch())
          .count();
  EXPECT_LE(*before.started_at, now);
  EXPECT_GT(*before.started_at, now - base::Micros{86'400} * base::kMicrosPerSecond);
}

}  // namespace
}  // namespace backstream::telemetry
