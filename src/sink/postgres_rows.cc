#include "sink/postgres_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cassert>
#include <limits>

#include "base/byte_order.h"
#include "base/inet.h"

namespace backstream::sink {
namespace {

using base::Micros;
using base::Result;
using batch::Type;

constexpr size_t kPutOctets = 256 << 10;
/// 2000-01-01, from which PostgreSQL counts its microseconds.
constexpr Micros kPostgresEpoch = 946'684'800 * base::kMicrosPerSecond;
constexpr uint8_t kFamily4 = 2, kFamily6 = 3;  // PGSQL_AF_INET, PGSQL_AF_INET6

class Octets {
 public:
  explicit Octets(std::string& out) : out_(out) {}
  void put8(uint8_t value) { out_.push_back(static_cast<char>(value)); }
  void put16(uint16_t value) {
    put<2>([&](uint8_t* at) { base::store_be16(at, value); });
  }
  void put32(uint32_t value) {
    put<4>([&](uint8_t* at) { base::store_be32(at, value); });
  }
  void put64(uint64_t value) {
    put<8>([&](uint8_t* at) { base::store_be64(at, value); });
  }
  void put_text(std::string_view text) {
    put32(static_cast<uint32_t>(text.size()));
    out_ += text;
  }
  void put_null() { put32(std::numeric_limits<uint32_t>::max()); }
  void put_bool(bool value) {
    put32(1);
    put8(value ? 1 : 0);
  }
  /// The ends of time are infinities there as here. What lies near them is out of PostgreSQL's range, and refused by
  /// it.
  void put_time(Micros time) {
    put32(8);
    if (time == base::kMaxTime || time == base::kMinTime) put64(static_cast<uint64_t>(time));
    else put64(static_cast<uint64_t>(std::max(time, base::kMinTime + 1 + kPostgresEpoch) - kPostgresEpoch));
  }
  void put_inet(const base::Inet& inet, bool cidr) {
    const bool v4 = inet.family == 4;
    put32(v4 ? 8 : 20);
    put8(v4 ? kFamily4 : kFamily6);
    put8(inet.prefix_bits);
    put8(cidr ? 1 : 0);
    put8(v4 ? 4 : 16);
    if (v4) {
      put32(inet.v4_address());
    } else {
      put64(inet.hi);
      put64(inet.lo);
    }
  }
  void put_texts(const std::vector<std::string>& texts) {
    size_t octets = 12 + (texts.empty() ? 0 : 8);
    for (const std::string& text : texts) octets += 4 + text.size();
    put32(static_cast<uint32_t>(octets));
    put32(texts.empty() ? 0 : 1);  // dimensions
    put32(0);                      // no nulls
    put32(postgres_type(Type::kText));
    if (texts.empty()) return;
    put32(static_cast<uint32_t>(texts.size()));
    put32(1);  // the first index
    for (const std::string& text : texts) put_text(text);
  }

 private:
  template <size_t kCount, typename Store>
  void put(Store store) {
    uint8_t octets[kCount];
    store(octets);
    out_.append(reinterpret_cast<const char*>(octets), kCount);
  }
  std::string& out_;
};

/// False: the type does not hold the value.
bool put_value(Octets& out, const batch::Column& column, size_t row) {
  if (column.is_null(row)) {
    out.put_null();
    return true;
  }
  switch (column.type) {
    case Type::kBool: out.put_bool(column.as<uint8_t>()[row] != 0); return true;
    case Type::kInt2: {
      const int64_t value = column.as<int64_t>()[row];
      out.put32(2);
      out.put16(static_cast<uint16_t>(value));
      return value == static_cast<int16_t>(value);
    }
    case Type::kInt4: {
      const int64_t value = column.as<int64_t>()[row];
      out.put32(4);
      out.put32(static_cast<uint32_t>(value));
      return value == static_cast<int32_t>(value);
    }
    case Type::kInt8:
      out.put32(8);
      out.put64(static_cast<uint64_t>(column.as<int64_t>()[row]));
      return true;
    case Type::kFloat8:
      out.put32(8);
      out.put64(std::bit_cast<uint64_t>(column.as<double>()[row]));
      return true;
    case Type::kUnknown:
    case Type::kText:
    case Type::kBytea: out.put_text(column.as<std::string_view>()[row]); return true;
    case Type::kInet:
    case Type::kCidr: out.put_inet(column.as<base::Inet>()[row], column.type == Type::kCidr); return true;
    case Type::kMacaddr: {
      const auto value = static_cast<uint64_t>(column.as<int64_t>()[row]);
      out.put32(6);
      out.put16(static_cast<uint16_t>(value >> 32));
      out.put32(static_cast<uint32_t>(value));
      return true;
    }
    case Type::kTimestamptz:
    case Type::kTimestamp: out.put_time(column.as<int64_t>()[row]); return true;
    case Type::kInterval: {
      const auto& value = column.as<base::Interval>()[row];
      out.put32(16);
      out.put64(static_cast<uint64_t>(value.micros));
      out.put32(static_cast<uint32_t>(value.days));
      out.put32(static_cast<uint32_t>(value.months));
      return true;
    }
  }
  return true;
}

}  // namespace

uint32_t postgres_type(Type type) {
  switch (type) {
    case Type::kBool: return kPostgresBool;
    case Type::kInt2: return 21;
    case Type::kInt4: return kPostgresInt4;
    case Type::kInt8: return 20;
    case Type::kFloat8: return 701;
    case Type::kUnknown:
    case Type::kText: return 25;
    case Type::kBytea: return 17;
    case Type::kInet: return 869;
    case Type::kCidr: return 650;
    case Type::kMacaddr: return 829;
    case Type::kTimestamptz: return kPostgresTimestamptz;
    case Type::kInterval: return 1186;
    case Type::kTimestamp: return 1114;
  }
  return 0;
}

PostgresRowWriter::PostgresRowWriter(Put put, bool with_op)
    : put_(std::move(put)), with_op_(with_op), octets_("PGCOPY\n\377\r\n\0", 11) {
  Octets out(octets_);
  out.put32(0);  // flags
  out.put32(0);  // no extension
}

Result<void> PostgresRowWriter::add(const receiver::ResultPart& part) {
  std::string same;  // Of all rows of the part.
  Octets marks(same);
  marks.put16(static_cast<uint16_t>((with_op_ ? 7 : 6) + part.rows.columns.size()));
  if (part.windowed()) {
    marks.put_time(part.window_start);
    marks.put_time(part.window_end);
  } else {
    marks.put_null();
    marks.put_null();
  }
  marks.put32(4);
  marks.put32(static_cast<uint32_t>(part.revision));
  marks.put_bool(part.final);
  marks.put_bool(part.complete);
  marks.put_texts(part.sites_missing);
  if (with_op_) marks.put_text(part.removed ? "d" : "u");
  Octets out(octets_);
  for (size_t row = 0; row < part.rows.row_count; ++row) {
    ++rows_;
    octets_ += same;
    for (const batch::Column& column : part.rows.columns) {
      if (put_value(out, column, row)) continue;
      auto refused = base::fail("22003", fmt::format("{} out of range", batch::name(column.type)));
      refused.value().line = static_cast<uint32_t>(rows_);
      return refused;
    }
    if (octets_.size() < kPutOctets) continue;
    if (auto sent = put_(octets_); !sent) return sent;
    octets_.clear();
  }
  return {};
}

Result<void> PostgresRowWriter::end() {
  Octets(octets_).put16(std::numeric_limits<uint16_t>::max());
  return put_(octets_);
}

}  // namespace backstream::sink
