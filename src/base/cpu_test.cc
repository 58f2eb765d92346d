#include "base/cpu.h"

#include <gtest/gtest.h>

namespace backstream::base {
namespace {

TEST(CpuLevel, LimitLowersAndNeverRaises) {
  const CpuLevel had = cpu_level();
  limit_cpu_level(CpuLevel::kPlain);
  EXPECT_EQ(cpu_level(), CpuLevel::kPlain);
  limit_cpu_level(CpuLevel::kAvx2);
  EXPECT_EQ(cpu_level(), had);
}

}  // namespace
}  // namespace backstream::base
