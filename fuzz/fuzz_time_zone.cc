// Octets as a file of the time-zone database: no zone, or one whose offsets and local times agree.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <initializer_list>

#include "base/time_zone.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace backstream::base;
  const auto zone = TimeZone::parse({data, size}, "Fuzz/Zone");
  if (!zone) return 0;
  constexpr Micros kDay = 86'400 * kMicrosPerSecond;
  const auto check = [](bool holds) {
    if (!holds) std::abort();
  };
  check(zone->step_us() > 0 && kDay % zone->step_us() == 0);
  // A moment every few months and some of no pattern, from before the first transition to beyond the last year.
  const auto look = [&](Micros time) {
    const Micros offset = zone->offset_at(time);
    check(offset >= -7 * kDay && offset <= 7 * kDay && offset % zone->step_us() == 0);
    const Micros moment = zone->first_at(time);
    check(moment + zone->offset_at(moment) >= time);
    check(moment - 1 + zone->offset_at(moment - 1) < time);
    check(zone->first_at(time + kDay) >= moment);
    const TimeZone::Span span = zone->span_at(time);
    check(span.holds(time) && zone->span_at(span.begin).offset == span.offset);
    const Micros local = time + span.offset;
    // Local times that clocks show once lead back to their moment.
    const Micros again = local - zone->offset_of_local(local);
    check(again == time || span.begin > time - 15 * kDay || span.end < time + 15 * kDay);
  };
  uint64_t state = size;
  for (size_t i = 0; i < size; ++i) state = (state ^ data[i]) * 0x100000001b3;
  for (Micros time = -10 * 365 * kDay; time < Micros{340} * 365 * kDay; time += 97 * kDay + kMicrosPerSecond * 6'007) {
    look(time);
    state = state * 6'364'136'223'846'793'005 + 1'442'695'040'888'963'407;
    look(static_cast<Micros>(state >> 33) * kMicrosPerSecond);
  }
  return 0;
}
