#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <string>
#include <unordered_map>

#include "base/byte_order.h"
#include "base/utf8.h"
#include "lookup/table_reader.h"

namespace backstream::lookup {
namespace {

using base::Inet;
using batch::Type;

// MaxMind DB File Format Specification 2.0, "Output Data Section".
enum class Kind : uint8_t {
  kPointer = 1,
  kText = 2,
  kDouble = 3,
  kBytes = 4,
  kUint16 = 5,
  kUint32 = 6,
  kMap = 7,
  kInt32 = 8,
  kUint64 = 9,
  kUint128 = 10,
  kArray = 11,
  kContainer = 12,
  kEndMarker = 13,
  kBool = 14,
  kFloat = 15,
};

/// One decoded value; a map or an array is its size, its members follow at `next`.
struct DataValue {
  Kind kind = Kind::kEndMarker;
  uint32_t size = 0;  ///< octets, or members
  const uint8_t* octets = nullptr;
  uint64_t number = 0;     ///< unsigned kinds of up to 64 bits, kInt32 sign-extended, kBool
  bool too_large = false;  ///< a kUint128 over 64 bits
  size_t next = 0;         ///< offset behind the value, or of a map's or array's first member
};

/// The data section, or the metadata. No recursion, every read checked, and a budget of values for all of a file: what
/// pointers make of a small damaged file is not followed for ever.
class Data {
 public:
  Data(std::span<const uint8_t> octets, uint64_t budget) : octets_(octets), budget_(budget) {}
  bool exhausted() const { return budget_ == 0; }

  /// Reads the value at `offset`; a pointer is followed once (a pointer to a pointer is malformed). `*behind`: where
  /// the member after it stands.
  bool read(size_t offset, DataValue& value, size_t* behind = nullptr) {
    if (!decode(offset, value)) return false;
    if (behind != nullptr) *behind = value.next;
    if (value.kind != Kind::kPointer) return true;
    return decode(static_cast<size_t>(value.number), value) && value.kind != Kind::kPointer;
  }

  /// Moves over one value with all that is in it; pointers are not followed.
  bool skip(size_t& offset) {
    uint64_t pending = 1;
    DataValue value;
    while (pending > 0) {
      if (!decode(offset, value)) return false;
      --pending;
      if (value.kind == Kind::kMap) pending += uint64_t{value.size} * 2;
      else if (value.kind == Kind::kArray) pending += value.size;
      offset = value.next;
    }
    return true;
  }

  enum class Found : uint8_t { kNo, kYes, kMalformed };
  /// The member `key` of the map whose members begin at `map.next`.
  Found find(const DataValue& map, std::string_view key, DataValue& value) {
    size_t at = map.next;
    for (uint32_t i = 0; i < map.size; ++i) {
      DataValue name;
      if (!read(at, name, &at) || name.kind != Kind::kText) return Found::kMalformed;
      if (std::string_view(reinterpret_cast<const char*>(name.octets), name.size) == key) {
        return read(at, value) ? Found::kYes : Found::kMalformed;
      }
      if (!skip(at)) return Found::kMalformed;
    }
    return Found::kNo;
  }

 private:
  bool decode(size_t offset, DataValue& value) {
    if (budget_ == 0) return false;
    --budget_;
    value = {};
    const auto has = [&](size_t octets) { return offset <= octets_.size() && octets <= octets_.size() - offset; };
    if (!has(1)) return false;
    const uint8_t control = octets_[offset++];
    unsigned kind = control >> 5;
    if (kind == static_cast<unsigned>(Kind::kPointer)) {
      // The size bits are two of the pointer's octets and three of its value.
      static constexpr uint32_t kBase[] = {0, 2048, 526336, 0};
      const unsigned octets = (control >> 3 & 3U) + 1;
      if (!has(octets)) return false;
      uint64_t target = base::load_be(&octets_[offset], octets);
      if (octets < 4) target |= uint64_t{control & 7U} << (8 * octets);
      value.kind = Kind::kPointer;
      value.number = target + kBase[octets - 1];
      value.next = offset + octets;
      return true;
    }
    if (kind == 0) {
      if (!has(1)) return false;
      kind = 7U + octets_[offset++];
      if (kind <= 7 || kind > 15) return false;
    }
    value.kind = static_cast<Kind>(kind);
    uint32_t size = control & 31U;
    if (size >= 29) {
      static constexpr uint32_t kSizeBase[] = {29, 285, 65821};
      const unsigned octets = size - 28;
      if (!has(octets)) return false;
      size = static_cast<uint32_t>(base::load_be(&octets_[offset], octets)) + kSizeBase[octets - 1];
      offset += octets;
    }
    value.size = size;
    value.next = offset;
    if (value.kind == Kind::kMap || value.kind == Kind::kArray) return true;
    if (value.kind == Kind::kBool) {
      value.number = size;
      return size <= 1;
    }
    if (!has(size)) return false;
    value.octets = octets_.data() + offset;
    value.next = offset + size;
    switch (value.kind) {
      case Kind::kUint16: return number(value, 2);
      case Kind::kUint32: return number(value, 4);
      case Kind::kUint64: return number(value, 8);
      case Kind::kUint128: {
        if (size > 16) return false;
        for (uint32_t i = 0; i < size; ++i) {
          if (size - i > 8 && value.octets[i] != 0) value.too_large = true;
        }
        const uint32_t low = std::min(size, 8U);
        value.number = base::load_be(value.octets + size - low, low);
        return true;
      }
      case Kind::kInt32:
        if (!number(value, 4)) return false;
        value.number = static_cast<uint64_t>(int64_t{static_cast<int32_t>(value.number)});
        return true;
      case Kind::kDouble: return size == 8;
      case Kind::kFloat: return size == 4;
      case Kind::kText:
      case Kind::kBytes: return true;
      default: return false;  // Containers and end markers are not in data.
    }
  }
  static bool number(DataValue& value, unsigned octets_max) {
    if (value.size > octets_max) return false;
    value.number = base::load_be(value.octets, value.size);
    return true;
  }

  std::span<const uint8_t> octets_;
  uint64_t budget_;
};

using Path = std::vector<std::string_view>;
struct FieldColumn {
  size_t column;
  Type type;
  std::vector<Path> paths;  ///< the first that a record has
};

struct ShortName {
  std::string_view name;
  std::vector<Path> paths;
};
const std::vector<ShortName>& short_names() {
  static const std::vector<ShortName> kNames = {
      {"asn", {{"autonomous_system_number"}}},
      {"name", {{"autonomous_system_organization"}}},
      {"country", {{"country", "iso_code"}, {"registered_country", "iso_code"}, {"country"}}},
  };
  return kNames;
}

Path split_path(std::string_view name) {
  Path path;
  for (;;) {
    const size_t dot = name.find('.');
    path.push_back(name.substr(0, dot));
    if (dot == std::string_view::npos) return path;
    name.remove_prefix(dot + 1);
  }
}

class MmdbReader {
 public:
  MmdbReader(std::span<const uint8_t> octets, std::string_view source_name, const TableDefinition& definition,
             const ReadLimits& limits)
      : octets_(octets),
        source_name_(source_name),
        definition_(definition),
        builder_(definition.schema, limits.table),
        data_({}, 0) {}

  base::Result<ReadTable> read() {
    if (auto columns = find_columns(); !columns) return tl::unexpected(columns.error());
    if (auto metadata = read_metadata(); !metadata) return tl::unexpected(metadata.error());
    if (auto walked = walk(); !walked) return tl::unexpected(walked.error());
    if (builder_.row_count() == 0 && skipped_.total() > 0) {
      return refuse("damaged: no network in it can be used",
                    "the skipped entries are counted by reason; fetch it again");
    }
    ReadTable result{builder_.finish(), skipped_};
    result.table = keep_unique_keys(result.table, definition_.primary_key, result.skipped);
    return result;
  }

 private:
  tl::unexpected<base::Diagnostic> refuse(std::string message, std::string hint = {}) const {
    auto failure = base::fail("22P04", std::move(message), {}, std::move(hint));
    failure.value().source_name = source_name_;
    return failure;
  }

  base::Result<void> find_columns() {
    for (size_t c = 0; c < definition_.schema.columns.size(); ++c) {
      const batch::ColumnDef& column = definition_.schema.columns[c];
      if (column.name == "network" || column.name == "prefix") {
        if (batch::physical(column.type) != batch::Physical::kInet) {
          return base::fail(
              "42804", fmt::format("column '{}' of an MMDB is cidr, not {}", column.name, batch::name(column.type)));
        }
        network_columns_.push_back(c);
        continue;
      }
      if (!batch::is_numeric(column.type) && column.type != Type::kText && column.type != Type::kBool) {
        return base::fail(
            "42804", fmt::format("column '{}': no field of an MMDB is {}", column.name, batch::name(column.type)), {},
            "fields are text, bigint, double precision or boolean; the network is column 'network' or 'prefix'");
      }
      FieldColumn field{c, column.type, {}};
      for (const ShortName& known : short_names()) {
        if (known.name == column.name) field.paths = known.paths;
      }
      field.paths.push_back(split_path(column.name));
      fields_.push_back(std::move(field));
    }
    return {};
  }

  base::Result<void> read_metadata() {
    static constexpr char kMarker[] = "\xab\xcd\xefMaxMind.com";
    constexpr size_t kMarkerOctets = sizeof kMarker - 1, kSearchOctets = 128 << 10;  // The specification's own bound.
    const size_t from = octets_.size() > kSearchOctets ? octets_.size() - kSearchOctets : 0;
    const std::string_view text(reinterpret_cast<const char*>(octets_.data()), octets_.size());
    const size_t marker = text.rfind(std::string_view(kMarker, kMarkerOctets));
    if (marker == std::string_view::npos || marker < from) {
      return refuse("not an MMDB file: it has no metadata at its end",
                    "a MaxMind DB is meant, as GeoLite2-ASN.mmdb; was it cut?");
    }
    Data metadata(octets_.subspan(marker + kMarkerOctets), 1 << 20);
    DataValue map;
    if (!metadata.read(0, map) || map.kind != Kind::kMap) return refuse("damaged: the metadata is no map");
    const auto number = [&](std::string_view key) -> std::optional<uint64_t> {
      DataValue value;
      if (metadata.find(map, key, value) != Data::Found::kYes) return std::nullopt;
      if (value.kind != Kind::kUint16 && value.kind != Kind::kUint32 && value.kind != Kind::kUint64)
        return std::nullopt;
      return value.number;
    };
    const auto major = number("binary_format_major_version"), nodes = number("node_count"),
               record = number("record_size"), version = number("ip_version");
    if (!major || !nodes || !record || !version) {
      return refuse("damaged: the metadata lacks the format, node_count, record_size or ip_version");
    }
    if (*major != 2) return refuse(fmt::format("an MMDB of format {}, which is not read", *major), "format 2 is");
    if (*record != 24 && *record != 28 && *record != 32)
      return refuse(fmt::format("damaged: records of {} bits", *record));
    if (*version != 4 && *version != 6) return refuse(fmt::format("damaged: IP version {}", *version));
    record_bits_ = static_cast<unsigned>(*record);
    const uint64_t node_octets = record_bits_ / 4;
    constexpr uint64_t kSeparatorOctets = 16;
    if (*nodes == 0 || *nodes > UINT32_MAX || *nodes * node_octets + kSeparatorOctets > marker) {
      return refuse(fmt::format("damaged: a tree of {} nodes does not fit into the file", *nodes),
                    "was the file cut? fetch it again");
    }
    node_count_ = static_cast<uint32_t>(*nodes);
    v6_ = *version == 6;
    const size_t data_at = static_cast<size_t>(*nodes * node_octets + kSeparatorOctets);
    const auto data = octets_.subspan(data_at, marker - data_at);
    data_octets_ = data.size();
    // A sound file needs a few dozen values for each data record, and no record is read twice.
    data_ = Data(data, uint64_t{16} * octets_.size() + (1 << 20));
    return {};
  }

  uint32_t child(uint32_t node, unsigned side) const {
    const uint8_t* at = octets_.data() + size_t{node} * (record_bits_ / 4);
    if (record_bits_ == 24) return base::load_be24(at + side * 3);
    if (record_bits_ == 32) return base::load_be32(at + side * 4);
    // 28 bits: the middle octet has the upper four bits of both.
    return side == 0 ? (at[3] & 0xf0U) << 20 | base::load_be24(at) : (at[3] & 0x0fU) << 24 | base::load_be24(at + 4);
  }

  /// Every node once, the smallest addresses first. A node that is met again repeats networks that are in the table:
  /// the places where the IPv4 tree is put again, or damage.
  base::Result<void> walk() {
    struct Place {
      uint32_t record;
      uint8_t bits;  ///< 0 .. 128
      uint64_t hi, lo;
    };
    const unsigned bits_max = v6_ ? 128 : 32;
    // The node where IPv4 addresses begin: 96 zero bits down.
    ipv4_node_ = 0;
    for (unsigned bit = 0; v6_ && bit < 96 && ipv4_node_ < node_count_; ++bit) ipv4_node_ = child(ipv4_node_, 0);
    std::vector<bool> seen(node_count_, false);
    std::vector<Place> places{{0, 0, 0, 0}};
    while (!places.empty()) {
      const Place place = places.back();
      places.pop_back();
      if (place.record == node_count_) continue;  // No data.
      if (place.record > node_count_) {
        if (is_ipv4_alias(place.record, place.bits, place.hi, place.lo)) continue;
        if (!leaf(place.record, place.bits, place.hi, place.lo)) {
          base::Diagnostic limit = builder_.refuse_limit().value();
          limit.source_name = source_name_;
          return tl::unexpected(limit);
        }
        if (data_.exhausted()) return refuse("damaged: its data records lie inside each other", "fetch the file again");
        continue;
      }
      if (seen[place.record]) {
        if (!(v6_ && place.record == ipv4_node_ && place.record != 0)) skipped_.add(Skip::kTreePointer);
        continue;
      }
      if (place.bits == bits_max) {
        skipped_.add(Skip::kTreePointer);
        continue;
      }
      seen[place.record] = true;
      Place one = place, zero = place;
      one.bits = zero.bits = static_cast<uint8_t>(place.bits + 1);
      zero.record = child(place.record, 0);
      one.record = child(place.record, 1);
      // IPv4 trees are left-aligned as Inet is.
      if (place.bits < 64) one.hi |= uint64_t{1} << (63 - place.bits);
      else one.lo |= uint64_t{1} << (127 - place.bits);
      places.push_back(one);
      places.push_back(zero);
    }
    return {};
  }

  /// A tree whose whole IPv4 part is one data record (or none) has that record at its aliases too.
  bool is_ipv4_alias(uint32_t record, unsigned bits, uint64_t hi, uint64_t lo) const {
    if (!v6_ || ipv4_node_ != record) return false;
    return (bits == 96 && hi == 0 && lo == uint64_t{0xffff} << 32) || (bits == 16 && hi == uint64_t{0x2002} << 48) ||
           (bits == 32 && hi == uint64_t{0x20010000} << 32);
  }

  /// One network. False: the table is at its limit.
  bool leaf(uint32_t record, uint8_t bits, uint64_t hi, uint64_t lo) {
    constexpr uint32_t kSeparatorOctets = 16;
    const uint32_t from_tree = record - node_count_;
    if (from_tree < kSeparatorOctets || from_tree - kSeparatorOctets >= data_octets_) {
      skipped_.add(Skip::kTreePointer);
      return true;
    }
    const uint32_t offset = from_tree - kSeparatorOctets;
    auto [known, is_new] = rows_.try_emplace(offset, 0);
    if (is_new) known->second = read_fields(offset);
    if (known->second == kMalformed) {
      skipped_.add(Skip::kDataRecord);
      return true;
    }
    Inet network;
    if (!v6_) network = Inet::v4(static_cast<uint32_t>(hi >> 32), bits);
    else if (bits >= 96 && hi == 0 && lo >> 32 == 0)
      network = Inet::v4(static_cast<uint32_t>(lo), static_cast<uint8_t>(bits - 96));
    else network = Inet::v6(hi, lo, bits);
    if (!add_row(network, known->second)) return false;
    // A network that holds more than all of IPv4 answers for IPv4 addresses as well.
    if (v6_ && bits < 96 && hi == 0 && lo == 0) return add_row(Inet::v4(0, 0), known->second);
    return true;
  }

  bool add_row(const Inet& network, size_t values_at) {
    for (const size_t c : network_columns_) builder_.set_inet(c, network);
    for (size_t f = 0; f < fields_.size(); ++f) {
      const FieldValue& value = values_[values_at + f];
      const size_t c = fields_[f].column;
      if (!value.present) continue;
      switch (batch::physical(fields_[f].type)) {
        case batch::Physical::kByte: builder_.set_bool(c, value.number != 0); break;
        case batch::Physical::kInt64: builder_.set_int64(c, value.number); break;
        case batch::Physical::kDouble: builder_.set_double(c, value.real); break;
        default: builder_.set_kept_text(c, value.text); break;
      }
    }
    return builder_.end_row();
  }

  /// The fields of a data record, read once for all of its networks. Returns where they begin in values_.
  size_t read_fields(uint32_t offset) {
    const size_t begin = values_.size();
    values_.resize(begin + fields_.size());
    DataValue record;
    bool sound = data_.read(offset, record);
    for (size_t f = 0; sound && f < fields_.size(); ++f) {
      for (const Path& path : fields_[f].paths) {
        DataValue value = record;
        Data::Found found = Data::Found::kYes;
        for (const std::string_view key : path) {
          if (value.kind != Kind::kMap) found = Data::Found::kNo;
          else found = data_.find(DataValue(value), key, value);
          if (found != Data::Found::kYes) break;
        }
        sound = found != Data::Found::kMalformed;
        // "country" is a map in some databases and text in others.
        if (!sound) break;
        if (found == Data::Found::kNo || (value.kind == Kind::kMap && &path != &fields_[f].paths.back())) continue;
        if (!convert(value, fields_[f].type, values_[begin + f])) skipped_.add(Skip::kFieldType);
        break;
      }
    }
    if (sound) return begin;
    values_.resize(begin);
    return kMalformed;
  }

  struct FieldValue {
    bool present = false;
    int64_t number = 0;
    double real = 0;
    std::string_view text;
  };
  bool convert(const DataValue& value, Type type, FieldValue& to) {
    const bool is_unsigned = value.kind == Kind::kUint16 || value.kind == Kind::kUint32 ||
                             value.kind == Kind::kUint64 || value.kind == Kind::kUint128;
    if (type == Type::kText) {
      if (value.kind != Kind::kText) return false;
      // Records share texts: one copy of each. A map of the place, so that a small file cannot make much of one text.
      auto [kept, is_new] = texts_.try_emplace(value.octets);
      if (is_new) {
        const std::string_view text(reinterpret_cast<const char*>(value.octets), value.size);
        if (base::find_bad_text(text) != std::string_view::npos) kept->second = std::nullopt;
        else kept->second = builder_.keep_text(text);
      }
      if (!kept->second) return false;
      to.text = *kept->second;
    } else if (type == Type::kBool) {
      if (value.kind != Kind::kBool) return false;
      to.number = static_cast<int64_t>(value.number);
    } else if (type == Type::kFloat8) {
      if (value.kind == Kind::kDouble) to.real = std::bit_cast<double>(base::load_be64(value.octets));
      else if (value.kind == Kind::kFloat) to.real = std::bit_cast<float>(base::load_be32(value.octets));
      else if (is_unsigned && !value.too_large) to.real = static_cast<double>(value.number);
      else if (value.kind == Kind::kInt32) to.real = static_cast<double>(static_cast<int64_t>(value.number));
      else return false;
    } else {
      if (!is_unsigned && value.kind != Kind::kInt32) return false;
      const int64_t least = type == Type::kInt2 ? INT16_MIN : type == Type::kInt4 ? INT32_MIN : INT64_MIN;
      const int64_t most = type == Type::kInt2 ? INT16_MAX : type == Type::kInt4 ? INT32_MAX : INT64_MAX;
      if (is_unsigned && (value.too_large || value.number > static_cast<uint64_t>(INT64_MAX))) return false;
      const auto number = static_cast<int64_t>(value.number);
      if (number < least || number > most) return false;
      to.number = number;
    }
    to.present = true;
    return true;
  }

  static constexpr size_t kMalformed = SIZE_MAX;
  const std::span<const uint8_t> octets_;
  const std::string_view source_name_;
  const TableDefinition& definition_;
  TableBuilder builder_;
  SkipCounts skipped_;
  std::vector<size_t> network_columns_;
  std::vector<FieldColumn> fields_;
  unsigned record_bits_ = 0;
  uint32_t node_count_ = 0;
  uint32_t ipv4_node_ = 0;
  bool v6_ = false;
  size_t data_octets_ = 0;
  Data data_;
  std::unordered_map<uint32_t, size_t> rows_;  ///< by data offset: where its values begin, or kMalformed
  std::vector<FieldValue> values_;
  std::unordered_map<const uint8_t*, std::optional<std::string_view>> texts_;  ///< nothing: not UTF-8
};

}  // namespace

base::Result<ReadTable> read_mmdb(std::span<const uint8_t> octets, std::string_view source_name,
                                  const TableDefinition& definition, const ReadLimits& limits) {
  return MmdbReader(octets, source_name, definition, limits).read();
}

}  // namespace backstream::lookup
