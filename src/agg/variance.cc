// variance, stddev and their _samp and _pop forms. Of integers from n, sum and sum of squares, all exact; of doubles
// from the exact sums of x and x². Either way the variance is rounded a few times at its end and nowhere before, so
// that no order or deal of the rows changes it and no cancellation spoils it.
#include <cmath>
#include <new>

#include "agg/exact_sum.h"
#include "agg/states.h"
#include "agg/wide_int.h"
#include "agg/wide_sum.h"

namespace backstream::agg {
namespace {

enum class Divisor : uint8_t { kSample, kPopulation };

/// PostgreSQL: the sample forms of one value are null, the population forms 0.
template <Divisor divisor>
constexpr uint64_t kCountMin = divisor == Divisor::kSample ? 2 : 1;

// --- integers -------------------------------------------------------------------------------------------------------

struct IntegerMoments {
  uint64_t count;
  WideSum sum;
  ProductSum squares;
};

/// n Σx² and (Σx)², whose difference is n² times the population variance.
struct Scaled {
  Wide256 squares, square;
};
Scaled scaled(const IntegerMoments& m) {
  const Wide128 sum = static_cast<Wide128>(static_cast<uint64_t>(m.sum.high())) << 64 | m.sum.low;
  return {Wide256::product(m.squares, m.count), Wide256::square(m.sum.high() < 0 ? 0 - sum : sum)};
}

void integer_update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
                    StateContext&) {
  const int64_t* values = args[0].as<int64_t>();
  for_each_present<IntegerMoments>(group_rows, offset, args[0], rows, n, [values](IntegerMoments& m, size_t row) {
    ++m.count;
    m.sum.add(values[row]);
    m.squares.add_square(values[row]);
  });
}
void integer_combine(uint8_t* to, const uint8_t* from, StateContext&) {
  IntegerMoments& m = state_at<IntegerMoments>(to);
  const IntegerMoments& other = state_at<IntegerMoments>(from);
  m.count += other.count;
  m.sum.add(other.sum);
  m.squares.add(other.squares);
}
template <Divisor divisor, bool root>
void integer_finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at, StateContext&) {
  for (size_t i = 0; i < n; ++i) {
    const IntegerMoments& m = state_at<IntegerMoments>(group_rows[i] + offset);
    const bool present = m.count >= kCountMin<divisor>;
    double variance = 0;
    if (present) {
      const Scaled s = scaled(m);
      const Wide128 scale = static_cast<Wide128>(m.count) * (divisor == Divisor::kSample ? m.count - 1 : m.count);
      if (s.square < s.squares) variance = s.squares.minus(s.square).as_double() / static_cast<double>(scale);
    }
    put_result(out, at + i, present, root ? std::sqrt(variance) : variance);
  }
}
void integer_encode(const uint8_t* state, std::vector<uint8_t>& out) {
  const IntegerMoments& m = state_at<IntegerMoments>(state);
  base::put_varint(out, m.count);
  if (m.count == 0) return;
  m.sum.encode(out);
  m.squares.encode(out);
}
size_t integer_decode(uint8_t* state, const uint8_t* bytes, size_t octets, StateContext&) {
  IntegerMoments& m = state_at<IntegerMoments>(state);
  m = IntegerMoments{};
  const size_t count_octets = base::get_varint(bytes, octets, m.count);
  if (count_octets == 0 || m.count > INT64_MAX) return 0;
  if (m.count == 0) return count_octets;
  const size_t sum_octets = m.sum.decode(bytes + count_octets, octets - count_octets);
  if (sum_octets == 0 || !m.sum.any()) return 0;
  const size_t head = count_octets + sum_octets;
  const size_t squares_octets = m.squares.decode(bytes + head, octets - head);
  if (squares_octets == 0) return 0;
  const Scaled s = scaled(m);
  return s.squares < s.square ? 0 : head + squares_octets;  // no values have these moments
}

// --- doubles --------------------------------------------------------------------------------------------------------

struct DoubleMoments {
  struct Sums {
    ExactSum values, squares;
  };
  Sums* sums;  ///< made with the first value
  uint64_t count;
};

/// Adds a * b exactly, as the rounded product and its error. Below 2^-1022 the error itself is rounded, alike for any
/// order.
void add_product(ExactSum& sum, double a, double b) {
  const double product = a * b;
  sum.add(product);
  if (std::isfinite(product)) sum.add(std::fma(a, b, -product));
}

DoubleMoments::Sums& sums_of(DoubleMoments& m, StateContext& context) {
  if (m.sums == nullptr) m.sums = new (context.arena.allocate(sizeof(DoubleMoments::Sums))) DoubleMoments::Sums();
  return *m.sums;
}
void double_update(uint8_t* const* group_rows, size_t offset, const Column* args, const uint32_t* rows, size_t n,
                   StateContext& context) {
  const double* values = args[0].as<double>();
  for_each_present<DoubleMoments>(group_rows, offset, args[0], rows, n, [&](DoubleMoments& m, size_t row) {
    DoubleMoments::Sums& sums = sums_of(m, context);
    ++m.count;
    sums.values.add(values[row]);
    add_product(sums.squares, values[row], values[row]);
  });
}
void double_combine(uint8_t* to, const uint8_t* from, StateContext& context) {
  const DoubleMoments& other = state_at<DoubleMoments>(from);
  if (other.sums == nullptr) return;
  DoubleMoments& m = state_at<DoubleMoments>(to);
  DoubleMoments::Sums& sums = sums_of(m, context);
  m.count += other.count;
  sums.values.add(other.sums->values);
  sums.squares.add(other.sums->squares);
}

/// Σ (x - mean)², not finite when it (or an x²) is beyond double. The sum is finite.
double squared_deviations(const DoubleMoments& m) {
  const double count = static_cast<double>(m.count);  // exact: fewer than 2^53 rows
  // About a double c near the mean, Σ (x - c)² = Σx² - 2c Σx + n c² has no cancellation left once it is rounded.
  const double c = m.sums->values.result() / count;
  ExactSum about_c = m.sums->squares;
  ExactSum rest = m.sums->values;
  for (double part = rest.result(); part != 0; part = rest.result()) {
    rest.add(-part);
    add_product(about_c, -c, part);
    add_product(about_c, -c, part);
  }
  const double c_squared = c * c;
  add_product(about_c, c_squared, count);
  add_product(about_c, std::fma(c, c, -c_squared), count);
  // What c misses of the mean: Σ (x - mean)² = Σ (x - c)² - (Σx - n c)² / n.
  ExactSum missed = m.sums->values;
  add_product(missed, -c, count);
  const double shift = missed.result();
  const double result = about_c.result() - shift * shift / count;
  return result < 0 ? 0 : result;
}
template <Divisor divisor, bool root>
void double_finish(const uint8_t* const* group_rows, size_t offset, size_t n, Column& out, size_t at,
                   StateContext& context) {
  for (size_t i = 0; i < n; ++i) {
    const DoubleMoments& m = state_at<DoubleMoments>(group_rows[i] + offset);
    bool present = m.count >= kCountMin<divisor>;
    double variance = 0;
    if (present) {
      const ExactSum& values = m.sums->values;
      if (!std::isfinite(values.result()) && !values.overflowed()) {
        variance = std::nan("");  // an infinity or a NaN among them
      } else {
        const bool fits = std::isfinite(values.result()) && std::isfinite(m.sums->squares.result());
        if (fits)
          variance = squared_deviations(m) / static_cast<double>(divisor == Divisor::kSample ? m.count - 1 : m.count);
        if (!fits || !std::isfinite(variance)) {
          ++context.overflow_count;
          present = false;
          variance = 0;
        }
      }
    }
    put_result(out, at + i, present, root ? std::sqrt(variance) : variance);
  }
}
void double_encode(const uint8_t* state, std::vector<uint8_t>& out) {
  const DoubleMoments& m = state_at<DoubleMoments>(state);
  base::put_varint(out, m.count);
  if (m.count == 0) return;
  m.sums->values.encode(out);
  m.sums->squares.encode(out);
}
size_t double_decode(uint8_t* state, const uint8_t* bytes, size_t octets, StateContext& context) {
  DoubleMoments& m = state_at<DoubleMoments>(state);
  m = DoubleMoments{};
  const size_t count_octets = base::get_varint(bytes, octets, m.count);
  if (count_octets == 0 || m.count > INT64_MAX) return 0;
  if (m.count == 0) return count_octets;
  DoubleMoments::Sums& sums = sums_of(m, context);
  const size_t values_octets = sums.values.decode(bytes + count_octets, octets - count_octets);
  if (values_octets == 0) return 0;
  const size_t head = count_octets + values_octets;
  const size_t squares_octets = sums.squares.decode(bytes + head, octets - head);
  return squares_octets == 0 ? 0 : head + squares_octets;
}

template <Divisor divisor, bool root>
void add_named(std::vector<AggregateFunction>& table, std::string_view name) {
  for (const Type type : {Type::kInt2, Type::kInt4, Type::kInt8, Type::kFloat8}) {
    AggregateFunction f;
    f.name = name;
    f.arg_types = {type};
    f.result_type = Type::kFloat8;
    if (type == Type::kFloat8) {
      f.partial_form = "count, exact sums of x and of its square";
      f.state_octets = sizeof(DoubleMoments);
      f.update = double_update;
      f.combine = double_combine;
      f.finish = double_finish<divisor, root>;
      f.encode = double_encode;
      f.decode = double_decode;
    } else {
      f.partial_form = "count, sum (127 bit), sum of squares (192 bit)";
      f.state_octets = sizeof(IntegerMoments);
      f.update = integer_update;
      f.combine = integer_combine;
      f.finish = integer_finish<divisor, root>;
      f.encode = integer_encode;
      f.decode = integer_decode;
    }
    table.push_back(f);
  }
}

}  // namespace

void add_variances(std::vector<AggregateFunction>& table) {
  add_named<Divisor::kSample, true>(table, "stddev");
  add_named<Divisor::kSample, true>(table, "stddev_samp");
  add_named<Divisor::kPopulation, true>(table, "stddev_pop");
  add_named<Divisor::kSample, false>(table, "variance");
  add_named<Divisor::kSample, false>(table, "var_samp");
  add_named<Divisor::kPopulation, false>(table, "var_pop");
}

}  // namespace backstream::agg
