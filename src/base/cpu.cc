#include "base/cpu.h"

#include <algorithm>
#include <atomic>

namespace backstream::base {
namespace {

CpuLevel detect() noexcept {
  // The compiler's own table; it asks CPUID and, for the registers that the system must save, XGETBV.
  __builtin_cpu_init();
  return __builtin_cpu_supports("avx2") ? CpuLevel::kAvx2 : CpuLevel::kPlain;
}

std::atomic<CpuLevel> allowed{CpuLevel::kAvx2};

}  // namespace

CpuLevel cpu_level() noexcept {
  static const CpuLevel detected = detect();
  return std::min(detected, allowed.load(std::memory_order_relaxed));
}

void limit_cpu_level(CpuLevel level) noexcept { allowed.store(level, std::memory_order_relaxed); }

}  // namespace backstream::base
