// count, sum, avg. Integers are summed in 127 bits, doubles exactly, so that the order of rows never shows.
#include <cmath>

#include "agg/exact_sum.h"
#include "agg/states.h"
#include "agg/wide_sum.h"

namespace backstream::agg {
namespace {

// --- count ------------------------------------------------------------------------------------------------------

void count_rows(uint8_t* const* group_rows, size_t offset, const Column*, const uint32_t*, size_t n, StateContext&) {
  for (size_t i = 0; i < n; ++i) ++state_at<int64_t>(group_rows[i] + offset);
}
void count_present(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
                   StateContext&) {
  for_each_present<int64_t>(group_rows, offset, args[0], rows, n, [](int64_t& count, size_t) { ++count; });
}
void count_combine(uint8_t* to, const uint8_t* from, StateContext&) {
  state_at<int64_t>(to) += state_at<int64_t>(from);
}
void count_finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at, StateContext&) {
  for (size_t i = 0; i < n; ++i) {
    out.as<int64_t>()[at + i] = state_at<int64_t>(group_rows[i] + offset);
    out.validity[at + i] = 1;
  }
}
void count_encode(const uint8_t* state, std::vector<uint8_t>& out) {
  base::put_varint(out, static_cast<uint64_t>(state_at<int64_t>(state)));
}
size_t count_decode(uint8_t* state, const uint8_t* bytes, size_t octets, StateContext&) {
  uint64_t count = 0;
  const size_t used = base::get_varint(bytes, octets, count);
  if (used == 0 || count > INT64_MAX) return 0;
  state_at<int64_t>(state) = static_cast<int64_t>(count);
  return used;
}

// --- sum and avg of integers ----------------------------------------------------------------------------------------

void integer_update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
                    StateContext& context) {
  const int64_t* values = args[0].as<int64_t>();
  for_each_present<CompactSum>(group_rows, offset, args[0], rows, n,
                               [&context, values](CompactSum& sum, size_t row) { sum.add(values[row], context); });
}
void integer_combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  state_at<CompactSum>(to).add(state_at<CompactSum>(from), context);
}
void integer_sum_finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at,
                        StateContext& context) {
  int64_t* values = out.as<int64_t>() + at;
  uint8_t* validity = out.validity + at;
  for (size_t i = 0; i < n; ++i) {
    const WideSum sum = state_at<CompactSum>(group_rows[i] + offset).sum();
    const bool fits = sum.fits_bigint();
    context.overflow_count += !fits;
    values[i] = static_cast<int64_t>(sum.low);
    validity[i] = sum.any() && fits;
  }
}
void integer_encode(const uint8_t* state, std::vector<uint8_t>& out) { state_at<CompactSum>(state).sum().encode(out); }
size_t integer_decode(uint8_t* state, const uint8_t* bytes, size_t octets, StateContext& context) {
  return state_at<CompactSum>(state).decode(bytes, octets, context);
}

struct IntegerMean {
  CompactSum sum;
  int64_t count;
};
void mean_update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
                 StateContext& context) {
  const int64_t* values = args[0].as<int64_t>();
  for_each_present<IntegerMean>(group_rows, offset, args[0], rows, n,
                                [&context, values](IntegerMean& mean, size_t row) {
                                  mean.sum.add(values[row], context);
                                  ++mean.count;
                                });
}
void mean_combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  state_at<IntegerMean>(to).sum.add(state_at<IntegerMean>(from).sum, context);
  state_at<IntegerMean>(to).count += state_at<IntegerMean>(from).count;
}
void mean_finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at, StateContext&) {
  for (size_t i = 0; i < n; ++i) {
    const IntegerMean& mean = state_at<IntegerMean>(group_rows[i] + offset);
    out.validity[at + i] = mean.count != 0;
    out.as<double>()[at + i] = mean.count == 0 ? 0 : mean.sum.sum().as_double() / static_cast<double>(mean.count);
  }
}
void mean_encode(const uint8_t* state, std::vector<uint8_t>& out) {
  integer_encode(state, out);
  count_encode(reinterpret_cast<const uint8_t*>(&state_at<IntegerMean>(state).count), out);
}
size_t mean_decode(uint8_t* state, const uint8_t* bytes, size_t octets, StateContext& context) {
  const size_t sum_octets = integer_decode(state, bytes, octets, context);
  if (sum_octets == 0) return 0;
  const size_t count_octets = count_decode(reinterpret_cast<uint8_t*>(&state_at<IntegerMean>(state).count),
                                           bytes + sum_octets, octets - sum_octets, context);
  return count_octets == 0 ? 0 : sum_octets + count_octets;
}

// --- sum and avg of doubles -----------------------------------------------------------------------------------------

/// The exact sum is 550 octets; it hangs off the group's row and is made with the first value.
struct DoubleMean {
  ExactSum* sum;
  int64_t count;
};
ExactSum& exact_sum(DoubleMean& mean, StateContext& context) {
  if (mean.sum == nullptr) mean.sum = new (context.arena.allocate(sizeof(ExactSum))) ExactSum();
  return *mean.sum;
}
void double_update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
                   StateContext& context) {
  const double* values = args[0].as<double>();
  for_each_present<DoubleMean>(group_rows, offset, args[0], rows, n, [&](DoubleMean& mean, size_t row) {
    exact_sum(mean, context).add(values[row]);
    ++mean.count;
  });
}
void double_combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  const DoubleMean& other = state_at<DoubleMean>(from);
  if (other.sum == nullptr) return;
  DoubleMean& mean = state_at<DoubleMean>(to);
  exact_sum(mean, context).add(*other.sum);
  mean.count += other.count;
}
void double_finish_as(bool average, const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at,
                      StateContext& context) {
  for (size_t i = 0; i < n; ++i) {
    const DoubleMean& mean = state_at<DoubleMean>(group_rows[i] + offset);
    bool present = mean.count != 0;
    double value = 0;
    if (present) {
      value = mean.sum->result();
      if (mean.sum->overflowed()) {
        ++context.overflow_count;
        present = false;
      }
      if (average) value /= static_cast<double>(mean.count);
    }
    out.as<double>()[at + i] = value;
    out.validity[at + i] = present;
  }
}
void double_sum_finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at,
                       StateContext& context) {
  double_finish_as(false, group_rows, offset, n, out, at, context);
}
void double_mean_finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at,
                        StateContext& context) {
  double_finish_as(true, group_rows, offset, n, out, at, context);
}
void double_encode(const uint8_t* state, std::vector<uint8_t>& out) {
  const DoubleMean& mean = state_at<DoubleMean>(state);
  base::put_varint(out, static_cast<uint64_t>(mean.count));
  if (mean.count != 0) mean.sum->encode(out);
}
size_t double_decode(uint8_t* state, const uint8_t* bytes, size_t octets, StateContext& context) {
  DoubleMean& mean = state_at<DoubleMean>(state);
  const size_t count_octets = count_decode(reinterpret_cast<uint8_t*>(&mean.count), bytes, octets, context);
  if (count_octets == 0) return 0;
  if (mean.count == 0) return count_octets;
  const size_t sum_octets = exact_sum(mean, context).decode(bytes + count_octets, octets - count_octets);
  return sum_octets == 0 ? 0 : count_octets + sum_octets;
}

AggregateFunction counting(std::vector<Type> args) {
  AggregateFunction f;
  f.name = "count";
  f.arg_types = std::move(args);
  f.result_type = Type::kInt8;
  f.partial_form = "1 integer";
  f.state_octets = sizeof(int64_t);
  f.update = f.arg_types.empty() ? count_rows : count_present;
  f.combine = count_combine;
  f.finish = count_finish;
  f.encode = count_encode;
  f.decode = count_decode;
  return f;
}

}  // namespace

void add_counting(std::vector<AggregateFunction>& table) {
  table.push_back(counting({}));
  for (const Type type :
       {Type::kBool, Type::kInt2, Type::kInt4, Type::kInt8, Type::kFloat8, Type::kText, Type::kBytea, Type::kInet,
        Type::kCidr, Type::kMacaddr, Type::kTimestamptz, Type::kTimestamp, Type::kInterval}) {
    table.push_back(counting({type}));
  }
}

void add_sums(std::vector<AggregateFunction>& table) {
  for (const Type type : {Type::kInt2, Type::kInt4, Type::kInt8}) {
    AggregateFunction sum;
    sum.name = "sum";
    sum.arg_types = {type};
    sum.result_type = Type::kInt8;
    sum.partial_form = "1 integer (127 bit)";
    sum.state_octets = sizeof(CompactSum);
    sum.update = integer_update;
    sum.combine = integer_combine;
    sum.finish = integer_sum_finish;
    sum.encode = integer_encode;
    sum.decode = integer_decode;
    table.push_back(sum);

    AggregateFunction avg = sum;
    avg.name = "avg";
    avg.result_type = Type::kFloat8;
    avg.partial_form = "sum (127 bit) and count";
    avg.state_octets = sizeof(IntegerMean);
    avg.update = mean_update;
    avg.combine = mean_combine;
    avg.finish = mean_finish;
    avg.encode = mean_encode;
    avg.decode = mean_decode;
    table.push_back(avg);
  }
  AggregateFunction sum;
  sum.name = "sum";
  sum.arg_types = {Type::kFloat8};
  sum.result_type = Type::kFloat8;
  sum.partial_form = "exact sum of doubles";
  sum.state_octets = sizeof(DoubleMean);
  sum.update = double_update;
  sum.combine = double_combine;
  sum.finish = double_sum_finish;
  sum.encode = double_encode;
  sum.decode = double_decode;
  table.push_back(sum);
  sum.name = "avg";
  sum.partial_form = "exact sum of doubles and count";
  sum.finish = double_mean_finish;
  table.push_back(sum);
}

}  // namespace backstream::agg
