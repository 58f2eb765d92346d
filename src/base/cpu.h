#pragma once
#include <cstdint>

namespace backstream::base {

/// Instruction sets that kernels are compiled for, each with all of those before it. Whoever has kernels of several
/// levels chooses once, when it is made, and takes the plain ones where a level has none of its own.
enum class CpuLevel : uint8_t {
  kPlain,  ///< what the compiler makes of plain C++ for every x86-64
  kAvx2,
};

/// The highest level that this CPU and its operating system have, and that limit_cpu_level() allows. Any thread.
CpuLevel cpu_level() noexcept;
/// Lets cpu_level() answer at most `level`: for tests and benchmarks of both paths on one machine. Holds for what is
/// made afterwards. Any thread.
void limit_cpu_level(CpuLevel level) noexcept;

}  // namespace backstream::base
