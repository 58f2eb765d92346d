#pragma once
#include <cstdint>
#include <string_view>

#include "base/inet.h"
#include "base/time.h"

namespace backstream::batch {

/// SQL types. smallint, integer and bigint share one 64-bit representation and are range-checked by the functions
/// that make them (docs/sql.md). kUnknown is an untyped literal or NULL before binding; no column has it.
enum class Type : uint8_t {
  kUnknown,
  kBool,
  kInt2,
  kInt4,
  kInt8,
  kFloat8,
  kText,
  kBytea,
  kInet,
  kCidr,
  kMacaddr,
  kTimestamptz,
  kInterval,
  kTimestamp,
};

/// How the values of a type lie in memory.
enum class Physical : uint8_t {
  kByte,      ///< uint8_t, 0 or 1: boolean
  kInt64,     ///< int64_t: all integers, timestamptz (µs since the epoch), timestamp (as if UTC), macaddr (48 bits)
  kDouble,    ///< double
  kText,      ///< std::string_view: text, bytea; the bytes belong to the batch's producer
  kInet,      ///< base::Inet
  kInterval,  ///< base::Interval
};

constexpr Physical physical(Type type) {
  switch (type) {
    case Type::kBool: return Physical::kByte;
    case Type::kFloat8: return Physical::kDouble;
    case Type::kUnknown:
    case Type::kText:
    case Type::kBytea: return Physical::kText;
    case Type::kInet:
    case Type::kCidr: return Physical::kInet;
    case Type::kInterval: return Physical::kInterval;
    default: return Physical::kInt64;
  }
}
constexpr uint32_t octets_per_value(Physical physical) {
  switch (physical) {
    case Physical::kByte: return 1;
    case Physical::kInt64:
    case Physical::kDouble: return 8;
    case Physical::kText: return sizeof(std::string_view);
    case Physical::kInet: return sizeof(base::Inet);
    case Physical::kInterval: return sizeof(base::Interval);
  }
  return 0;
}
/// PostgreSQL's name: "bigint", "timestamp with time zone", ...
std::string_view name(Type type);
constexpr bool is_integer(Type type) { return type == Type::kInt2 || type == Type::kInt4 || type == Type::kInt8; }
constexpr bool is_numeric(Type type) { return is_integer(type) || type == Type::kFloat8; }

}  // namespace backstream::batch
