#include "exec/gather.h"

#include <algorithm>
#include <string_view>

namespace backstream::exec {

using batch::Column;
using batch::Physical;

namespace {

template <typename Value>
void gather_values(const void* from, const uint32_t* __restrict numbers, size_t n, void* to, size_t at) {
  const Value* source = static_cast<const Value*>(from);
  Value* target = static_cast<Value*>(to) + at;
  for (size_t i = 0; i < n; ++i) target[i] = source[numbers[i]];
}

}  // namespace

void gather_column(const Column& from, const uint32_t* numbers, size_t n, Column& to, size_t at) {
  switch (batch::physical(from.type)) {
    case Physical::kByte: gather_values<uint8_t>(from.values, numbers, n, to.values, at); break;
    case Physical::kInt64: gather_values<int64_t>(from.values, numbers, n, to.values, at); break;
    case Physical::kDouble: gather_values<double>(from.values, numbers, n, to.values, at); break;
    case Physical::kText: gather_values<std::string_view>(from.values, numbers, n, to.values, at); break;
    case Physical::kInet: gather_values<base::Inet>(from.values, numbers, n, to.values, at); break;
    case Physical::kInterval: gather_values<base::Interval>(from.values, numbers, n, to.values, at); break;
  }
  if (at == 0) to.has_nulls = false;
  if (from.has_nulls) {
    if (!to.has_nulls) std::fill_n(to.validity, at, uint8_t{1});
    to.has_nulls = true;
    gather_values<uint8_t>(from.validity, numbers, n, to.validity, at);
  } else if (to.has_nulls) {
    std::fill_n(to.validity + at, n, uint8_t{1});
  }
}

}  // namespace backstream::exec
