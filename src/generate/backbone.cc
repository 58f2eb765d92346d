#include "generate/backbone.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <stdexcept>

namespace backstream::generate {
namespace {

using base::kMicrosPerMilli;
using base::kMicrosPerSecond;
using base::Micros;

constexpr Micros kSlot = 100 * kMicrosPerMilli;
constexpr Micros kGap = 500 * kMicrosPerMilli;  // Most that the last packet of a piece lies before its timeout.
constexpr double kAttackShare = 0.1;

Micros whole_ms(Micros time) { return base::floor_to(time, kMicrosPerMilli); }

void check(bool holds, const char* message) {
  if (!holds) throw std::invalid_argument(message);
}

BackboneOptions checked(BackboneOptions options) {
  const TrafficOptions& traffic = options.traffic;
  const auto share = [](double value) { return value >= 0 && value <= 1; };
  check(options.exporters >= 1 && options.exporters <= 250, "1 to 250 exporters");
  check(options.first_exporter >= 1 && options.first_exporter <= 251 - options.exporters,
        "exporters from 127.0.1.1 to 127.0.1.250");
  check(traffic.as_count >= 1 && traffic.as_count <= 1'000'000, "1 to 1,000,000 ASes");
  check(traffic.host_count >= 1, "at least one host");
  check(traffic.zipf >= 0 && traffic.zipf <= 10, "a Zipf exponent of 0 to 10");
  check(share(traffic.as4_share) && share(traffic.one_packet_share) && share(traffic.ipv6_share), "shares of 0 to 1");
  check(options.span >= kMicrosPerMilli, "a span of 1 ms or more");
  check(options.start >= 0 && options.span < int64_t{1} << 50 &&
            (options.start + options.span) / kMicrosPerSecond <= std::numeric_limits<uint32_t>::max(),
        "times that 32 bits of seconds can tell");
  check(options.active_timeout >= kMicrosPerSecond && options.active_timeout <= 86'400 * kMicrosPerSecond,
        "an active timeout of 1 s to 1 day");
  for (const Micros each : {options.inactive_timeout, options.jitter, options.disorder})
    check(each >= 0 && each <= 86'400 * kMicrosPerSecond, "timeouts, jitter and disorder of 0 to 1 day");
  const uint32_t pack_max = ExportWriter::pack_max(options.protocol);
  if (options.pack == 0) options.pack = ExportWriter::pack_default(options.protocol);
  if (options.pack > pack_max) throw std::invalid_argument(fmt::format("at most {} records a datagram", pack_max));
  const uint32_t rate_max = ExportWriter::sampling_rate_max(options.protocol);
  if (options.sampling_rate < 1 || options.sampling_rate > rate_max)
    throw std::invalid_argument(fmt::format("a sampling rate of 1 to {}", rate_max));
  if (options.protocol == Protocol::kNetflow5) {
    check(!options.interfaces, "NetFlow v5 without interfaces: it has no way to tell their names");
    check(traffic.ipv6_share == 0, "NetFlow v5 without IPv6");
    check(traffic.as4_share == 0 && traffic.as_count <= 64'000, "NetFlow v5 with AS numbers of 2 octets");
  }
  return options;
}

}  // namespace

struct Backbone::Exporter {
  ExportWriter writer;
  base::Inet address;
  uint32_t index = 0;
  uint64_t quota = 0, emitted = 0;
  Micros oldest = 0;  // Export of the first record that waits in the writer.
  bool sent = false;
  std::vector<std::vector<Pending>> calendar;  // Pieces to come, by slot, a ring.
};

Backbone::Backbone(const BackboneOptions& options)
    : options_(checked(options)), traffic_(options_.traffic, options_.seed), slot_(options_.start) {
  const Micros ahead = options_.active_timeout + options_.inactive_timeout + 2 * options_.jitter;
  for (uint32_t i = 0; i < options_.exporters; ++i) {
    const base::Inet address = base::Inet::v4(0x7f000100 + options_.first_exporter + i);
    const Micros boot = whole_ms(options_.start) - (10 + i) * 86'400 * kMicrosPerSecond - i * 37 * kMicrosPerMilli;
    ExportWriter::Options writer{options_.protocol,  i, address, options_.sampling_rate, options_.pack, boot,
                                 options_.interfaces};
    auto exporter = std::make_unique<Exporter>(Exporter{ExportWriter(writer), address, i, 0, 0, 0, false, {}});
    exporter->quota = options_.records / options_.exporters + (i < options_.records % options_.exporters ? 1 : 0);
    exporter->calendar.resize(static_cast<size_t>(ahead / kSlot) + 2);
    exporters_.push_back(std::move(exporter));
  }
}

Backbone::~Backbone() = default;

Micros Backbone::jitter() {
  return static_cast<Micros>(traffic_.random().below(static_cast<uint64_t>(options_.jitter) + 1));
}

bool Backbone::next(GeneratedDatagram& datagram) {
  // Every datagram that is still to be made is sent at or after the begin of the next slot.
  while (!ended_ && (waiting_.empty() || waiting_.front().time >= slot_)) fill_slot();
  if (waiting_.empty()) return false;
  std::pop_heap(waiting_.begin(), waiting_.end(), later);
  if (datagram.payload.capacity() != 0) spare_.push_back(std::move(datagram.payload));
  datagram = std::move(waiting_.back().datagram);
  waiting_.pop_back();
  return true;
}

void Backbone::fill_slot() {
  const Micros slot_end = std::min(slot_ + kSlot, options_.start + options_.span);
  for (const auto& exporter : exporters_) fill_exporter(*exporter, slot_end);
  slot_ = slot_end;
  if (slot_ < options_.start + options_.span) return;
  ended_ = true;
  for (const auto& exporter : exporters_) {
    if (!exporter->writer.empty()) flush(*exporter, exporter->oldest + kPackingDelay);
  }
}

void Backbone::fill_exporter(Exporter& exporter, Micros slot_end) {
  const double progress = static_cast<double>(slot_end - options_.start) / static_cast<double>(options_.span);
  const uint64_t target = slot_end == options_.start + options_.span
                              ? exporter.quota
                              : static_cast<uint64_t>(static_cast<double>(exporter.quota) * progress);
  const auto slot_index = static_cast<size_t>((slot_ - options_.start) / kSlot);
  slot_records_.clear();
  slot_records_.swap(exporter.calendar[slot_index % exporter.calendar.size()]);
  if (const uint64_t left = exporter.quota - exporter.emitted; slot_records_.size() > left) slot_records_.resize(left);
  const uint64_t known = exporter.emitted + slot_records_.size();
  const size_t fresh = target > known ? static_cast<size_t>(target - known) : 0;
  for (size_t i = 0; i < fresh; ++i) {
    Pending& pending = slot_records_.emplace_back();
    const double within = (static_cast<double>(i) + traffic_.random().unit()) / static_cast<double>(fresh);
    pending.due = slot_ + static_cast<Micros>(static_cast<double>(slot_end - slot_) * within);
    pending.record.exporter = exporter.address;
    draw(pending);
  }
  exporter.emitted += slot_records_.size();
  std::stable_sort(slot_records_.begin(), slot_records_.end(),
                   [](const Pending& a, const Pending& b) { return a.due < b.due; });
  for (const Pending& pending : slot_records_) {
    if (!exporter.writer.empty() && pending.due >= exporter.oldest + kPackingDelay)
      flush(exporter, exporter.oldest + kPackingDelay);
    if (exporter.writer.empty()) exporter.oldest = pending.due;
    exporter.writer.add(pending.record);
    if (exporter.writer.full()) flush(exporter, pending.due);
    if (pending.left_ms > 0) after(exporter, pending);
  }
  if (!exporter.writer.empty() && exporter.oldest + kPackingDelay < slot_end)
    flush(exporter, exporter.oldest + kPackingDelay);
}

bool Backbone::attack_now(Micros now) {
  if (options_.attacks.empty()) return false;
  const bool given = options_.attacks_from != 0 || options_.attacks_until != 0;
  const Micros from = given ? options_.attacks_from : options_.span / 5;
  const Micros until = given ? options_.attacks_until : options_.span / 5 * 4;
  const Micros into = now - options_.start;
  return into >= from && into < until && traffic_.random().chance(kAttackShare);
}

/// A flow whose first piece is exported at pending.due: the cache is read backwards, so that nothing is stored for it.
void Backbone::draw(Pending& pending) {
  Record& record = pending.record;
  record.protocol = options_.protocol;
  record.sampling_rate = options_.sampling_rate;
  const int64_t duration_ms =
      attack_now(pending.due) ? traffic_.draw_attack(options_.attacks[attack_turn_++ % options_.attacks.size()], record)
                              : traffic_.draw(record);
  pending.left_ms = 0;
  if (options_.protocol == Protocol::kSflow) {
    const bool v4 = record.source.family == 4;
    record.octets = std::clamp<uint64_t>(record.octets / record.packets, v4 ? 40 : 60, 1500);
    record.packets = 1;
    record.has_flags = record.ip_protocol == 6;
    record.has_ports = record.has_flags || record.ip_protocol == 17;
    return;  // Times are those of its arrival.
  }
  const Micros duration = duration_ms * kMicrosPerMilli;
  if (duration <= options_.active_timeout) {
    const bool fin = duration > 0 && record.ip_protocol == 6 && traffic_.random().chance(0.5);
    record.end = whole_ms(pending.due - jitter() - (fin ? 0 : options_.inactive_timeout));
    record.start = record.end - duration;
    return;
  }
  record.start = whole_ms(pending.due - jitter() - options_.active_timeout);
  record.end = record.start + options_.active_timeout - whole_ms(static_cast<Micros>(traffic_.random().below(kGap)));
  record.end = std::min(record.end, whole_ms(pending.due));
  pending.left_ms = duration_ms - options_.active_timeout / kMicrosPerMilli;
}

/// What comes after a piece that the active timeout ended.
void Backbone::after(Exporter& exporter, const Pending& piece) {
  Pending following = piece;
  Record& record = following.record;
  record.start = whole_ms(piece.record.start + options_.active_timeout);
  const Micros left = piece.left_ms * kMicrosPerMilli;
  if (left > options_.active_timeout) {
    record.end = record.start + options_.active_timeout - whole_ms(static_cast<Micros>(traffic_.random().below(kGap)));
    following.due = record.start + options_.active_timeout + jitter();
    following.left_ms -= options_.active_timeout / kMicrosPerMilli;
  } else {
    record.end = record.start + left;
    following.due = record.end + options_.inactive_timeout + jitter();
    following.left_ms = 0;
  }
  if (following.due < slot_ + kSlot) following.due = slot_ + kSlot;  // A short end: with the next slot.
  if (following.due >= options_.start + options_.span) return;
  const auto slot = static_cast<size_t>((following.due - options_.start) / kSlot);
  exporter.calendar[slot % exporter.calendar.size()].push_back(following);
}

void Backbone::flush(Exporter& exporter, Micros now) {
  Waiting& waiting = waiting_.emplace_back();
  GeneratedDatagram& datagram = waiting.datagram;
  if (!spare_.empty()) {
    datagram.payload = std::move(spare_.back());
    spare_.pop_back();
  }
  // The first one brings the templates; a collector that has none yet would have to wait for them.
  Micros travel = 0;
  if (options_.disorder > 0 && exporter.sent)
    travel = static_cast<Micros>(traffic_.random().below(static_cast<uint64_t>(options_.disorder) + 1));
  exporter.sent = true;
  exporter.writer.write(now, datagram.payload);
  std::vector<Record>& records = exporter.writer.records();
  waiting.time = now + travel;
  waiting.order = order_++;
  datagram.exporter = exporter.index;
  datagram.address = exporter.address;
  datagram.time = waiting.time;
  datagram.record_count = static_cast<uint32_t>(records.size());
  if (observer_ != nullptr) {
    for (Record& record : records) {
      record.received = waiting.time;
      if (options_.protocol == Protocol::kSflow) record.start = record.end = waiting.time;
      observer_->observe(record);
    }
  }
  records.clear();
  std::push_heap(waiting_.begin(), waiting_.end(), later);
}

}  // namespace backstream::generate
