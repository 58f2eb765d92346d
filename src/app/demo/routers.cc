#include "app/demo/routers.h"

#include <algorithm>
#include <chrono>

namespace backstream::app::demo {

using base::wall_clock;

constexpr uint32_t kSamplingRate = 100;

void Truth::observe(const generate::Record& record) {
  const std::lock_guard lock(mutex_);
  windows_[base::floor_to(record.end, window_)][{record.source_as, record.destination_as}] +=
      record.octets * record.sampling_rate;
}

std::vector<Micros> Truth::windows() const {
  const std::lock_guard lock(mutex_);
  std::vector<Micros> starts;
  for (const auto& [start, matrix] : windows_) starts.push_back(start);
  return starts;
}

bool Truth::equals(Micros window_start, const Matrix& matrix) const {
  const std::lock_guard lock(mutex_);
  const auto window = windows_.find(window_start);
  return window == windows_.end() ? matrix.empty() : window->second == matrix;
}

void Truth::forget_until(Micros window_start) {
  const std::lock_guard lock(mutex_);
  windows_.erase(windows_.begin(), windows_.lower_bound(window_start));
}

Routers::Attack Routers::attack_of(Micros duration) {
  constexpr Micros kAttackAt = 11 * kSecond, kAttackMax = 60 * kSecond;
  const Micros from = std::min(kAttackAt, duration / 5);
  return {from, from + std::min(kAttackMax, duration / 10 * 3)};
}

Routers::Routers(Micros start, Micros duration, const std::array<uint16_t, kPops.size()>& ports, Truth& truth,
                 uint64_t records_per_second) {
  for (size_t pop = 0; pop < kPops.size(); ++pop) {
    generate::BackboneOptions traffic;
    traffic.protocol = kPops[pop].protocol;
    traffic.first_exporter = static_cast<uint32_t>(pop + 1);
    traffic.records = records_per_second / kPops.size() * static_cast<uint64_t>(duration / kSecond);
    traffic.start = start;
    traffic.span = duration;
    traffic.sampling_rate = kSamplingRate;
    // A cache that empties quickly, so that a flow is exported well within the delay.
    traffic.active_timeout = kSecond;
    traffic.inactive_timeout = kSecond / 5;
    traffic.jitter = kSecond / 10;
    if (pop == 0) {
      const Attack attack = attack_of(duration);
      traffic.attacks = {generate::Attack::kPortSweep};
      traffic.attacks_from = attack.from;
      traffic.attacks_until = attack.until;
    }
    traffic.traffic.as_count = 200;
    traffic.seed = static_cast<uint64_t>(start) + pop;
    Router& router = routers_[pop];
    router.backbone = std::make_unique<generate::Backbone>(traffic);
    router.backbone->set_observer(&truth);
    const base::Inet source = source_of(pop);
    router.sender = std::make_unique<ingest::UdpSender>(base::Inet::v4(0x7f000001), ports[pop], &source);
  }
  thread_ = std::thread([this] { run(); });
}

Routers::~Routers() {
  stop_ = true;
  thread_.join();
}

void Routers::run() {
  for (Router& router : routers_) router.ended = !router.backbone->next(router.next);
  const auto earlier = [](const Router& a, const Router& b) {
    return a.ended != b.ended ? b.ended : a.next.time < b.next.time;
  };
  while (!stop_) {
    Router& router = *std::min_element(routers_.begin(), routers_.end(), earlier);
    if (router.ended) break;
    const Micros due = router.next.time;
    for (Micros now = wall_clock(); now < due && !stop_; now = wall_clock()) {
      flush();
      std::this_thread::sleep_for(std::chrono::microseconds(std::min<Micros>(due - now, 20'000)));
    }
    router.sender->send(router.next.payload);
    router.ended = !router.backbone->next(router.next);
  }
  // The truth has them already.
  for (Router& router : routers_) {
    if (!router.ended) router.sender->send(router.next.payload);
  }
  flush();
  done_ = true;
}

void Routers::flush() {
  uint64_t sent = 0;
  for (const Router& router : routers_) {
    router.sender->flush();
    sent += router.sender->sent();
  }
  sent_ = sent;
}

}  // namespace backstream::app::demo
