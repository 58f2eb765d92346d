// Casts between all types, and text input and output as casts.
#include <cmath>

#include "expr/function.h"

namespace backstream::expr {
namespace {

using base::Inet;
using Kind = ScalarFunction::Kind;
using Text = std::string_view;
constexpr ValueError kFine = ValueError::kCount;

template <Type to>
ValueError narrow(KernelContext&, int64_t& r, int64_t a) {
  r = a;
  if constexpr (to == Type::kInt2) return a == static_cast<int16_t>(a) ? kFine : ValueError::kNumericOutOfRange;
  if constexpr (to == Type::kInt4) return a == static_cast<int32_t>(a) ? kFine : ValueError::kNumericOutOfRange;
  return kFine;
}
/// Rounds half to even, as float8 to integer does.
template <Type to>
ValueError from_double(KernelContext& context, int64_t& r, double a) {
  const double rounded = std::rint(a);
  if (!(rounded >= -9223372036854775808.0 && rounded < 9223372036854775808.0)) return ValueError::kNumericOutOfRange;
  return narrow<to>(context, r, static_cast<int64_t>(rounded));
}
int64_t same_integer(int64_t a) { return a; }
double to_double(int64_t a) { return static_cast<double>(a); }
int64_t bool_to_integer(uint8_t a) { return a != 0; }
uint8_t integer_to_bool(int64_t a) { return a != 0; }
Inet same_inet(const Inet& a) { return a; }
Inet to_network(const Inet& a) { return a.network(); }

ValueError value_error(const base::Diagnostic& diagnostic) {
  if (diagnostic.code == "22003") return ValueError::kNumericOutOfRange;
  if (diagnostic.code == "22007") return ValueError::kInvalidDatetime;
  if (diagnostic.code == "22008") return ValueError::kDatetimeOverflow;
  if (diagnostic.code == "22015") return ValueError::kIntervalOverflow;
  if (diagnostic.code == "22023") return ValueError::kInvalidParameter;
  return ValueError::kInvalidText;
}
template <Type type, typename V>
void to_text(const batch::Column* args, size_t n, batch::Column& out, KernelContext& context) {
  for (size_t i = 0; i < n; ++i) {
    out.as<Text>()[i] = out.validity[i] == 0 ? Text() : context.texts.copy(value_text(value_at(args[0], i), type));
  }
}
/// boolean to text is true/false, unlike boolean's output t/f.
ValueError bool_to_text(KernelContext&, Text& r, uint8_t a) {
  r = a != 0 ? "true" : "false";
  return kFine;
}
template <Type type, typename V>
ValueError from_text(KernelContext&, V& r, Text a) {
  const auto value = parse_value(a, type);
  if (!value) return value_error(value.error());
  if constexpr (std::is_same_v<V, uint8_t>) r = std::get<bool>(*value);
  else r = std::get<V>(*value);
  return kFine;
}
/// bytea's input form: hexadecimal after \x, or characters with \\ and \ooo.
ValueError bytea_from_text(KernelContext& context, Text& r, Text a) {
  const auto value = parse_value(a, Type::kBytea);
  if (!value) return value_error(value.error());
  r = context.texts.copy(std::get<std::string>(*value));
  return kFine;
}
template <Type type, typename V>
void add_text_casts(std::vector<ScalarFunction>& table) {
  table.push_back({Kind::kCast, "", {type}, Type::kText, to_text<type, V>});
  table.push_back({Kind::kCast, "", {Type::kText}, type, try1<V, Text, from_text<type, V>>});
}

}  // namespace

void add_casts(std::vector<ScalarFunction>& table) {
  const auto add = [&](Type from, Type to, Kernel kernel, bool implicit) {
    table.push_back({Kind::kCast, "", {from}, to, kernel, implicit});
  };
  add(Type::kInt2, Type::kInt4, map1<int64_t, int64_t, same_integer>, true);
  add(Type::kInt2, Type::kInt8, map1<int64_t, int64_t, same_integer>, true);
  add(Type::kInt4, Type::kInt8, map1<int64_t, int64_t, same_integer>, true);
  for (const Type from : {Type::kInt2, Type::kInt4, Type::kInt8})
    add(from, Type::kFloat8, map1<double, int64_t, to_double>, true);
  // TimeZone is UTC.
  add(Type::kTimestamp, Type::kTimestamptz, map1<int64_t, int64_t, same_integer>, true);
  add(Type::kTimestamptz, Type::kTimestamp, map1<int64_t, int64_t, same_integer>, false);
  add(Type::kInt4, Type::kInt2, try1<int64_t, int64_t, narrow<Type::kInt2>>, false);
  add(Type::kInt8, Type::kInt2, try1<int64_t, int64_t, narrow<Type::kInt2>>, false);
  add(Type::kInt8, Type::kInt4, try1<int64_t, int64_t, narrow<Type::kInt4>>, false);
  add(Type::kFloat8, Type::kInt2, try1<int64_t, double, from_double<Type::kInt2>>, false);
  add(Type::kFloat8, Type::kInt4, try1<int64_t, double, from_double<Type::kInt4>>, false);
  add(Type::kFloat8, Type::kInt8, try1<int64_t, double, from_double<Type::kInt8>>, false);
  add(Type::kBool, Type::kInt4, map1<int64_t, uint8_t, bool_to_integer>, false);
  add(Type::kInt4, Type::kBool, map1<uint8_t, int64_t, integer_to_bool>, false);
  add(Type::kCidr, Type::kInet, map1<Inet, Inet, same_inet>, true);
  add(Type::kInet, Type::kCidr, map1<Inet, Inet, to_network>, false);
  add(Type::kText, Type::kBytea, try1<Text, Text, bytea_from_text>, false);
  add_text_casts<Type::kInt2, int64_t>(table);
  add_text_casts<Type::kInt4, int64_t>(table);
  add_text_casts<Type::kInt8, int64_t>(table);
  add_text_casts<Type::kFloat8, double>(table);
  add_text_casts<Type::kCidr, Inet>(table);
  add_text_casts<Type::kMacaddr, int64_t>(table);
  add_text_casts<Type::kTimestamptz, int64_t>(table);
  add_text_casts<Type::kTimestamp, int64_t>(table);
  add_text_casts<Type::kInterval, base::Interval>(table);
  table.push_back({Kind::kCast, "", {Type::kBool}, Type::kText, try1<Text, uint8_t, bool_to_text>});
  table.push_back({Kind::kCast, "", {Type::kText}, Type::kBool, try1<uint8_t, Text, from_text<Type::kBool, uint8_t>>});
  // inet::text always has its length, as the function text(inet).
  table.push_back({Kind::kCast, "", {Type::kInet}, Type::kText, to_text<Type::kCidr, Inet>});
  table.push_back({Kind::kCast, "", {Type::kText}, Type::kInet, try1<Inet, Text, from_text<Type::kInet, Inet>>});
  table.push_back({Kind::kCast, "", {Type::kBytea}, Type::kText, to_text<Type::kBytea, Text>});
}

}  // namespace backstream::expr
