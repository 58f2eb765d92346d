// approx_percentile(x, fraction): DDSketch (Masson, Rim, Lee 2019): counts in buckets whose width grows with the value,
// so the answer is within 1 % of the value of the asked rank. The mapping is the one of the paper that needs no
// logarithm: each power of two is cut in 64 equal buckets, so a bucket is the upper 18 bits of the double, and its
// middle is within 1/128 (0.8 %) of all that it holds. No rounding of a mathematical library decides a bucket, so all
// machines agree.
//
// At most kBucketsMax buckets are kept, those farthest from 0; values of nearer ones count as 0. Dropping from a part
// only what the whole drops too makes the result the same for any order, deal and tree of combinations.
#include <bit>
#include <cmath>
#include <limits>

#include "agg/count_map.h"
#include "agg/states.h"

namespace backstream::agg {
namespace {

/// 32 octaves full of values; packet sizes take 4, octets of flows about 20, thinly.
constexpr size_t kBucketsMax = 2048;
/// Buckets are dropped in bulk: a table of 4096 places holds so many before it would grow.
constexpr uint32_t kBucketsHeldMax = 3072;
constexpr unsigned kBucketShift = 46;
constexpr int64_t kNanBucket = (int64_t{0x7ff} << 6) + 1;

/// Magnitudes below the normal doubles (2^-1022) are 0. The sign of the bucket is the value's.
int64_t bucket_of(double value) {
  if (std::isnan(value)) return kNanBucket;
  const double magnitude = std::abs(value);
  if (magnitude < std::numeric_limits<double>::min()) return 0;
  const int64_t bucket = static_cast<int64_t>(std::bit_cast<uint64_t>(magnitude) >> kBucketShift);
  return value < 0 ? -bucket : bucket;
}
double middle_of(int64_t bucket) {
  if (bucket == 0) return 0;
  if (bucket == kNanBucket) return std::numeric_limits<double>::quiet_NaN();
  const uint64_t magnitude = static_cast<uint64_t>(std::abs(bucket));
  const bool infinite = magnitude == uint64_t{0x7ff} << 6;
  const double middle = std::bit_cast<double>(magnitude << kBucketShift | uint64_t{!infinite} << (kBucketShift - 1));
  return bucket < 0 ? -middle : middle;
}

struct Sketch {
  CountMap buckets;  ///< without bucket 0
  int64_t zero_count;
  int64_t count;                     ///< of all values
  double least, greatest, fraction;  ///< set with the first value
};

int64_t bucket_of(const CountMap::Entry& entry) { return static_cast<int64_t>(entry.word); }

/// Leaves the kBucketsMax entries farthest from 0. Returns the count of the values of the others.
int64_t drop_nearest(std::vector<CountMap::Entry>& entries) {
  if (entries.size() <= kBucketsMax) return 0;
  const auto farther = [](const CountMap::Entry& a, const CountMap::Entry& b) {
    const int64_t x = std::abs(bucket_of(a)), y = std::abs(bucket_of(b));
    return x != y ? x > y : bucket_of(a) > bucket_of(b);
  };
  const auto end = entries.begin() + kBucketsMax;
  std::nth_element(entries.begin(), end, entries.end(), farther);
  int64_t dropped = 0;
  for (auto at = end; at != entries.end(); ++at) dropped = add_saturating(dropped, at->count);
  entries.erase(end, entries.end());
  return dropped;
}
void bound_buckets(Sketch& sketch) {
  if (sketch.buckets.size < kBucketsHeldMax) return;
  auto entries = sketch.buckets.list();
  sketch.zero_count = add_saturating(sketch.zero_count, drop_nearest(entries));
  keep_only<int64_t>(sketch.buckets, entries);
}
void note_extremes(Sketch& sketch, double least, double greatest, double fraction) {
  if (sketch.count == 0) {
    sketch.least = least;
    sketch.greatest = greatest;
    sketch.fraction = fraction;
    return;
  }
  if (order(least, sketch.least) < 0) sketch.least = least;
  if (order(greatest, sketch.greatest) > 0) sketch.greatest = greatest;
}

void update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
            StateContext& context) {
  const double* values = args[0].as<double>();
  const double* fractions = args[1].as<double>();
  for_each_present<Sketch>(group_rows, offset, args[0], rows, n, [&](Sketch& sketch, size_t row) {
    const double value = values[row] == 0 ? 0.0 : std::isnan(values[row]) ? std::nan("") : values[row];
    note_extremes(sketch, value, value, fractions[row]);
    ++sketch.count;
    if (const int64_t bucket = bucket_of(value); bucket == 0) {
      ++sketch.zero_count;
    } else {
      add<int64_t>(sketch.buckets, bucket, 1, context);
      bound_buckets(sketch);
    }
  });
}
void combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  Sketch& sketch = state_at<Sketch>(to);
  const Sketch& other = state_at<Sketch>(from);
  if (other.count == 0) return;
  note_extremes(sketch, other.least, other.greatest, other.fraction);
  sketch.count = add_saturating(sketch.count, other.count);
  sketch.zero_count = add_saturating(sketch.zero_count, other.zero_count);
  other.buckets.for_each([&](const CountMap::Entry& entry) {
    add<int64_t>(sketch.buckets, bucket_of(entry), entry.count, context);
    bound_buckets(sketch);
  });
}

/// The value of rank floor(fraction * (n - 1)), as in the paper; the least and the greatest are exact.
double value_at_fraction(const Sketch& sketch) {
  const double rank = std::floor(sketch.fraction * static_cast<double>(sketch.count - 1));
  if (rank == 0) return sketch.least;
  if (rank >= static_cast<double>(sketch.count - 1)) return sketch.greatest;
  auto entries = sketch.buckets.list();
  const int64_t zeros = add_saturating(sketch.zero_count, drop_nearest(entries));
  if (zeros != 0) entries.push_back({0, zeros});
  std::sort(entries.begin(), entries.end(),
            [](const CountMap::Entry& a, const CountMap::Entry& b) { return bucket_of(a) < bucket_of(b); });
  double before = 0;
  int64_t bucket = 0;
  for (const CountMap::Entry& entry : entries) {
    bucket = bucket_of(entry);
    before += static_cast<double>(entry.count);
    if (before > rank) break;
  }
  double value = middle_of(bucket);
  if (order(value, sketch.least) < 0) value = sketch.least;
  if (order(value, sketch.greatest) > 0) value = sketch.greatest;
  return value;
}
void finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at, StateContext&) {
  for (size_t i = 0; i < n; ++i) {
    const Sketch& sketch = state_at<Sketch>(group_rows[i] + offset);
    put_result(out, at + i, sketch.count != 0, sketch.count == 0 ? 0.0 : value_at_fraction(sketch));
  }
}

/// Count; then, unless it is 0, fraction, least, greatest, the count of zeros and the buckets in rising order.
void encode(const uint8_t* state, std::vector<uint8_t>& out) {
  const Sketch& sketch = state_at<Sketch>(state);
  base::put_varint(out, static_cast<uint64_t>(sketch.count));
  if (sketch.count == 0) return;
  auto entries = sketch.buckets.list();
  const int64_t zeros = add_saturating(sketch.zero_count, drop_nearest(entries));
  for (const double value : {sketch.fraction, sketch.least, sketch.greatest}) put_value(out, value);
  base::put_varint(out, static_cast<uint64_t>(zeros));
  base::put_varint(out, entries.size());
  std::sort(entries.begin(), entries.end(),
            [](const CountMap::Entry& a, const CountMap::Entry& b) { return bucket_of(a) < bucket_of(b); });
  int64_t before = 0;
  for (const CountMap::Entry& entry : entries) {
    base::put_varint_signed(out, bucket_of(entry) - before);
    base::put_varint(out, static_cast<uint64_t>(entry.count));
    before = bucket_of(entry);
  }
}
size_t decode(uint8_t* state, const uint8_t* bytes, size_t octets, StateContext& context) {
  Sketch& sketch = state_at<Sketch>(state);
  sketch = Sketch{};
  size_t at = 0;
  const auto take = [&](size_t used) {
    at += used;
    return used != 0;
  };
  const auto take_count = [&](int64_t& count) {
    uint64_t value = 0;
    if (!take(base::get_varint(bytes + at, octets - at, value)) || value > INT64_MAX) return false;
    count = static_cast<int64_t>(value);
    return true;
  };
  int64_t count = 0, size = 0;
  if (!take_count(count)) return 0;
  if (count == 0) return at;
  for (double* value : {&sketch.fraction, &sketch.least, &sketch.greatest}) {
    if (!take(get_value(bytes + at, octets - at, *value, context))) return 0;
  }
  if (!(sketch.fraction >= 0 && sketch.fraction <= 1) || order(sketch.least, sketch.greatest) > 0) return 0;
  if (!take_count(sketch.zero_count) || !take_count(size) || size > static_cast<int64_t>(kBucketsMax)) return 0;
  int64_t held = sketch.zero_count, bucket = 0;
  for (int64_t i = 0; i < size; ++i) {
    int64_t step = 0, values = 0;
    if (!take(base::get_varint_signed(bytes + at, octets - at, step))) return 0;
    if ((i > 0 && step <= 0) || __builtin_add_overflow(bucket, step, &bucket)) return 0;
    const bool known = bucket >= -(kNanBucket - 1) && bucket <= kNanBucket && std::abs(bucket) >= 64;
    if (!known || !take_count(values) || values == 0) return 0;
    held = add_saturating(held, values);
    add<int64_t>(sketch.buckets, bucket, values, context);
  }
  if (held != count) return 0;
  sketch.count = count;
  return at;
}

}  // namespace

void add_quantile_sketch(std::vector<AggregateFunction>& table) {
  AggregateFunction f;
  f.name = "approx_percentile";
  f.arg_types = {Type::kFloat8, Type::kFloat8};
  f.result_type = Type::kFloat8;
  f.spelling = "approx_percentile(double precision, fraction)";
  f.constant_arg = 1;
  f.constant_name = "fraction";
  f.constant_max = 1;
  f.partial_form = "DDSketch, error 1 %, up to 2048 buckets";
  f.state_octets = sizeof(Sketch);
  f.update = update;
  f.combine = combine;
  f.finish = finish;
  f.encode = encode;
  f.decode = decode;
  table.push_back(f);
}

}  // namespace backstream::agg
