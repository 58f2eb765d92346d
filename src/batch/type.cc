#include "batch/type.h"

namespace backstream::batch {

std::string_view name(Type type) {
  switch (type) {
    case Type::kUnknown: return "unknown";
    case Type::kBool: return "boolean";
    case Type::kInt2: return "smallint";
    case Type::kInt4: return "integer";
    case Type::kInt8: return "bigint";
    case Type::kFloat8: return "double precision";
    case Type::kText: return "text";
    case Type::kBytea: return "bytea";
    case Type::kInet: return "inet";
    case Type::kCidr: return "cidr";
    case Type::kMacaddr: return "macaddr";
    case Type::kTimestamptz: return "timestamp with time zone";
    case Type::kInterval: return "interval";
    case Type::kTimestamp: return "timestamp without time zone";
  }
  return "unknown";
}

}  // namespace backstream::batch
