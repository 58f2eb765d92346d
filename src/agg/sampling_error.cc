// sum_stderr(packets), sum_stderr(octets): the standard error that packet sampling gives the sums of the scaled
// counters. A packet is sampled with probability 1/r, so k sampled ones stand for kr and the variance of that estimate
// is itself estimated by r (r - 1) k (binomial sampling, Horvitz-Thompson). Octets: a packet of s octets adds
// r (r - 1) s²; a flow tells only octets and packets, and equal sizes within it make Σ s² least, so its
// r (r - 1) octets² / packets is a lower bound. Flows are independent: variances add.
//
// The binder turns the written argument into the columns these read: sampling rate and the counters as exported.
#include <algorithm>
#include <cmath>
#include <new>

#include "agg/exact_sum.h"
#include "agg/states.h"
#include "agg/wide_int.h"

namespace backstream::agg {
namespace {

/// Whether any row counted, and whether one lacked its sampling rate (then the error is unknown: null).
enum Seen : uint64_t { kAny = 1, kRateUnknown = 2 };

bool present(const Column& column, size_t row) { return !column.is_null(row); }

// --- packets: integers ----------------------------------------------------------------------------------------------

struct PacketState {
  ProductSum variance;
  uint64_t seen;
};
void packets_update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
                    StateContext&) {
  const Column& rate = args[0];
  const int64_t* rates = rate.as<int64_t>();
  const int64_t* packets = args[1].as<int64_t>();
  for_each_present<PacketState>(group_rows, offset, args[1], rows, n, [&](PacketState& state, size_t row) {
    if (!present(rate, row) || rates[row] < 1) {
      state.seen |= kRateUnknown;
      return;
    }
    state.seen |= kAny;
    const uint64_t r = static_cast<uint64_t>(rates[row]);
    const uint64_t k = static_cast<uint64_t>(std::max(packets[row], int64_t{0}));
    // A rate has 32 bits in flows; a greater one is cut so that the product fits.
    const uint64_t cut = std::min(r, uint64_t{UINT32_MAX});
    state.variance.add(static_cast<Wide128>(cut * (cut - 1)) * k);
  });
}
void packets_combine(uint8_t* to, const uint8_t* from, StateContext&) {
  state_at<PacketState>(to).variance.add(state_at<PacketState>(from).variance);
  state_at<PacketState>(to).seen |= state_at<PacketState>(from).seen;
}
void packets_finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at, StateContext&) {
  for (size_t i = 0; i < n; ++i) {
    const PacketState& state = state_at<PacketState>(group_rows[i] + offset);
    const double variance = Wide256::product(state.variance, 1).as_double();
    put_result(out, at + i, state.seen == kAny, state.seen == kAny ? std::sqrt(variance) : 0.0);
  }
}
void packets_encode(const uint8_t* state, std::vector<uint8_t>& out) {
  out.push_back(static_cast<uint8_t>(state_at<PacketState>(state).seen));
  if (state_at<PacketState>(state).seen & kAny) state_at<PacketState>(state).variance.encode(out);
}
size_t packets_decode(uint8_t* to, const uint8_t* bytes, size_t octets, StateContext&) {
  if (octets == 0 || bytes[0] > (kAny | kRateUnknown)) return 0;
  PacketState& state = state_at<PacketState>(to);
  state = PacketState{};
  state.seen = bytes[0];
  if ((state.seen & kAny) == 0) return 1;
  const size_t used = state.variance.decode(bytes + 1, octets - 1);
  return used == 0 ? 0 : 1 + used;
}

// --- octets: each row's share is one double, their sum exact --------------------------------------------------------

struct OctetState {
  ExactSum* variance;  ///< made with the first row
  uint64_t seen;
};
ExactSum& variance_of(OctetState& state, StateContext& context) {
  if (state.variance == nullptr) state.variance = new (context.arena.allocate(sizeof(ExactSum))) ExactSum();
  return *state.variance;
}
void octets_update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
                   StateContext& context) {
  const Column& rate = args[0];
  const Column& packets = args[1];
  const int64_t* rates = rate.as<int64_t>();
  const int64_t* counts = packets.as<int64_t>();
  const int64_t* octets = args[2].as<int64_t>();
  for_each_present<OctetState>(group_rows, offset, args[2], rows, n, [&](OctetState& state, size_t row) {
    if (!present(rate, row) || rates[row] < 1 || !present(packets, row)) {
      state.seen |= kRateUnknown;
      return;
    }
    state.seen |= kAny;
    const double r = static_cast<double>(rates[row]);
    const double size_sum = static_cast<double>(octets[row]);
    // Octets without packets cannot be: such a record is taken for one packet.
    const double k = static_cast<double>(std::max(counts[row], int64_t{1}));
    variance_of(state, context).add(r * (r - 1) * (size_sum * size_sum / k));
  });
}
void octets_combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  OctetState& state = state_at<OctetState>(to);
  const OctetState& other = state_at<OctetState>(from);
  if (other.variance != nullptr) variance_of(state, context).add(*other.variance);
  state.seen |= other.seen;
}
void octets_finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at, StateContext&) {
  for (size_t i = 0; i < n; ++i) {
    const OctetState& state = state_at<OctetState>(group_rows[i] + offset);
    put_result(out, at + i, state.seen == kAny, state.seen == kAny ? std::sqrt(state.variance->result()) : 0.0);
  }
}
void octets_encode(const uint8_t* state, std::vector<uint8_t>& out) {
  out.push_back(static_cast<uint8_t>(state_at<OctetState>(state).seen));
  if (state_at<OctetState>(state).seen & kAny) state_at<OctetState>(state).variance->encode(out);
}
size_t octets_decode(uint8_t* to, const uint8_t* bytes, size_t octets, StateContext& context) {
  if (octets == 0 || bytes[0] > (kAny | kRateUnknown)) return 0;
  OctetState& state = state_at<OctetState>(to);
  state = OctetState{};
  state.seen = bytes[0];
  if ((state.seen & kAny) == 0) return 1;
  const size_t used = variance_of(state, context).decode(bytes + 1, octets - 1);
  return used == 0 ? 0 : 1 + used;
}

}  // namespace

void add_sampling_errors(std::vector<AggregateFunction>& table) {
  AggregateFunction packets;
  packets.name = "sum_stderr";
  packets.arg_types = {Type::kInt8, Type::kInt8};
  packets.result_type = Type::kFloat8;
  packets.spelling = "sum_stderr(packets)";
  packets.partial_form = "variance (192 bit)";
  packets.state_octets = sizeof(PacketState);
  packets.update = packets_update;
  packets.combine = packets_combine;
  packets.finish = packets_finish;
  packets.encode = packets_encode;
  packets.decode = packets_decode;
  table.push_back(packets);

  AggregateFunction octets = packets;
  octets.arg_types = {Type::kInt8, Type::kInt8, Type::kInt8};
  octets.spelling = "sum_stderr(octets)";
  octets.partial_form = "variance (exact sum of doubles)";
  octets.state_octets = sizeof(OctetState);
  octets.update = octets_update;
  octets.combine = octets_combine;
  octets.finish = octets_finish;
  octets.encode = octets_encode;
  octets.decode = octets_decode;
  table.push_back(octets);
}

}  // namespace backstream::agg
