#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <unordered_set>

#include "base/byte_order.h"
#include "lookup/table_reader.h"

namespace backstream::lookup {
namespace {

using base::Inet;
using batch::Type;

// RFC 6396 §4, RFC 8050 §4.
constexpr uint16_t kTableDump = 12, kTableDumpV2 = 13, kBgp4mp = 16, kBgp4mpEt = 17;
enum Subtype : uint16_t {
  kPeerIndexTable = 1,
  kRibIpv4Unicast = 2,
  kRibIpv6Unicast = 4,
  kRibIpv4UnicastAddpath = 8,
  kRibIpv6UnicastAddpath = 10,
};
// RFC 4271 §4.3, §5.1, RFC 4760 §3, RFC 5065 §3.
constexpr uint8_t kAttributeAsPath = 2, kAttributeNextHop = 3, kAttributeMpReach = 14;
constexpr uint8_t kFlagExtendedLength = 0x10;
constexpr uint8_t kAsSet = 1, kAsSequence = 2;

/// A route has up to 65535 entries of some 100 octets each; more is damage.
constexpr uint32_t kRecordOctetsMax = 64U << 20;
constexpr size_t kHeaderOctets = 12;

/// What is left of a record. Every take checks; after a false nothing more is read of it.
struct Cursor {
  const uint8_t* at;
  size_t left;
  bool take(size_t octets, const uint8_t*& begin) {
    if (octets > left) return false;
    begin = at;
    at += octets;
    left -= octets;
    return true;
  }
  bool u8(uint8_t& value) {
    const uint8_t* begin = nullptr;
    if (!take(1, begin)) return false;
    value = *begin;
    return true;
  }
  bool u16(uint16_t& value) {
    const uint8_t* begin = nullptr;
    if (!take(2, begin)) return false;
    value = base::load_be16(begin);
    return true;
  }
};

enum class Source : uint8_t { kPrefix, kAsn, kAsPath, kNextHop, kPeerAs, kCount };
struct SourceDef {
  const char* name;
  Source source;
  Type type;
};
constexpr SourceDef kSources[] = {
    {"prefix", Source::kPrefix, Type::kCidr},  {"asn", Source::kAsn, Type::kInt8},
    {"as_path", Source::kAsPath, Type::kText}, {"next_hop", Source::kNextHop, Type::kInet},
    {"peer_as", Source::kPeerAs, Type::kInt8},
};

class MrtReader {
 public:
  MrtReader(ingest::OctetSource& octets, std::string_view source_name, const TableDefinition& definition,
            const ReadLimits& limits)
      : octets_(octets),
        source_name_(source_name),
        definition_(definition),
        limits_(limits),
        builder_(definition.schema, limits.table) {
    std::fill(std::begin(column_of_), std::end(column_of_), -1);
  }

  base::Result<ReadTable> read() {
    if (auto columns = find_columns(); !columns) return tl::unexpected(columns.error());
    buffer_.resize(size_t{1} << 18);
    for (;;) {
      if (!fill(kHeaderOctets)) {
        if (auto ended = at_end("an MRT header"); !ended) return tl::unexpected(ended.error());
        break;
      }
      const uint8_t* header = buffer_.data() + at_;
      const uint16_t type = base::load_be16(header + 4), subtype = base::load_be16(header + 6);
      const uint32_t octets = base::load_be32(header + 8);
      if (octets > kRecordOctetsMax) {
        return refuse(fmt::format("damaged at octet {}: a record of {} octets", place(), octets));
      }
      if (!fill(kHeaderOctets + octets)) {
        if (!octets_.error().empty()) return refuse(octets_.error());
        return refuse(fmt::format("the file ends inside the record at octet {}", place()),
                      "half a table gives wrong answers; fetch the file again");
      }
      const bool room = record(type, subtype, {buffer_.data() + at_ + kHeaderOctets, octets});
      if (!room) {
        base::Diagnostic limit = builder_.refuse_limit().value();
        limit.source_name = source_name_;
        return tl::unexpected(limit);
      }
      at_ += kHeaderOctets + octets;
      if (place() > limits_.stream_octets_max) {
        base::Diagnostic limit =
            base::fail("54000", fmt::format("more than {} octets after decompression", limits_.stream_octets_max))
                .value();
        limit.source_name = source_name_;
        return tl::unexpected(limit);
      }
    }
    if (builder_.row_count() == 0) return refuse_empty();
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
  tl::unexpected<base::Diagnostic> refuse_empty() const {
    if (updates_seen_) {
      return refuse("these are BGP messages, not a table", "take a dump of the table (bview.*, rib.*), not of updates");
    }
    if (old_tables_seen_) {
      return refuse("a dump of type TABLE_DUMP, which is not read",
                    "write it as TABLE_DUMP_V2, as routers do since 2008");
    }
    if (skipped_.total() > 0) return refuse("no route in it can be used", "the skipped entries are counted by reason");
    return refuse("no MRT records of routes", "a dump of BGP tables is meant (RFC 6396, TABLE_DUMP_V2)");
  }

  base::Result<void> find_columns() {
    std::vector<std::string_view> names;
    for (const SourceDef& source : kSources) names.emplace_back(source.name);
    for (size_t c = 0; c < definition_.schema.columns.size(); ++c) {
      const batch::ColumnDef& column = definition_.schema.columns[c];
      const SourceDef* found = nullptr;
      for (const SourceDef& source : kSources) {
        if (column.name == source.name) found = &source;
      }
      if (found == nullptr) {
        const std::string_view nearest = base::nearest_name(column.name, names);
        return base::fail("42703", fmt::format("an MRT dump has no column '{}'", column.name), {},
                          nearest.empty() ? "it has prefix, asn, as_path, next_hop and peer_as"
                                          : fmt::format("did you mean '{}'?", nearest));
      }
      const bool network = found->source == Source::kPrefix && column.type == Type::kInet;
      if (column.type != found->type && !network) {
        return base::fail("42804", fmt::format("column '{}' of an MRT dump is {}, not {}", column.name,
                                               batch::name(found->type), batch::name(column.type)));
      }
      column_of_[static_cast<size_t>(found->source)] = static_cast<int>(c);
    }
    return {};
  }
  bool wanted(Source source) const { return column_of_[static_cast<size_t>(source)] >= 0; }
  size_t column(Source source) const { return static_cast<size_t>(column_of_[static_cast<size_t>(source)]); }

  uint64_t place() const { return before_buffer_ + at_; }
  /// True when `octets` lie in the buffer from at_ on.
  bool fill(size_t octets) {
    if (end_ - at_ >= octets) return true;
    std::memmove(buffer_.data(), buffer_.data() + at_, end_ - at_);
    before_buffer_ += at_;
    end_ -= at_;
    at_ = 0;
    while (end_ < octets) {
      // Grows as octets come, so that a damaged length does not take memory.
      if (end_ == buffer_.size()) buffer_.resize(buffer_.size() * 2);
      const size_t got = octets_.read(buffer_.data() + end_, buffer_.size() - end_);
      if (got == 0) return false;
      end_ += got;
    }
    return true;
  }
  base::Result<void> at_end(std::string_view inside) const {
    if (!octets_.error().empty()) return refuse(octets_.error());
    if (end_ != at_) {
      return refuse(fmt::format("the file ends inside {} at octet {}", inside, place()),
                    "half a table gives wrong answers; fetch the file again");
    }
    return {};
  }

  /// False: the table is at its limit.
  bool record(uint16_t type, uint16_t subtype, Cursor body) {
    if (type == kTableDumpV2) {
      switch (subtype) {
        case kPeerIndexTable: read_peers(body); return true;
        case kRibIpv4Unicast: return read_route(body, 4, false);
        case kRibIpv6Unicast: return read_route(body, 6, false);
        case kRibIpv4UnicastAddpath: return read_route(body, 4, true);
        case kRibIpv6UnicastAddpath: return read_route(body, 6, true);
        default: break;
      }
    }
    updates_seen_ |= type == kBgp4mp || type == kBgp4mpEt;
    old_tables_seen_ |= type == kTableDump;
    skipped_.add(Skip::kRecordType);
    return true;
  }

  /// RFC 6396 §4.3.1.
  void read_peers(Cursor body) {
    peer_as_.clear();
    const uint8_t* at = nullptr;
    uint16_t name_octets = 0, peer_count = 0;
    if (!body.take(4, at) || !body.u16(name_octets) || !body.take(name_octets, at) || !body.u16(peer_count)) {
      skipped_.add(Skip::kTruncatedEntry);
      return;
    }
    for (unsigned i = 0; i < peer_count; ++i) {
      uint8_t kind = 0;
      const uint8_t* as = nullptr;
      if (!body.u8(kind) || !body.take(4 + ((kind & 1) != 0 ? 16 : 4), at) || !body.take((kind & 2) != 0 ? 4 : 2, as)) {
        skipped_.add(Skip::kTruncatedEntry);
        return;
      }
      peer_as_.push_back((kind & 2) != 0 ? base::load_be32(as) : base::load_be16(as));
    }
  }

  /// RFC 6396 §4.3.2: one network and its entries, of which the first is used.
  bool read_route(Cursor body, uint8_t family, bool addpath) {
    const uint8_t* at = nullptr;
    uint8_t bits = 0;
    if (!body.take(4, at) || !body.u8(bits)) return skip(Skip::kTruncatedEntry);
    if (bits > (family == 4 ? 32 : 128)) return skip(Skip::kPrefixLength);
    uint8_t address[16] = {};
    const size_t octets = (bits + 7U) / 8;
    if (!body.take(octets, at)) return skip(Skip::kTruncatedEntry);
    std::memcpy(address, at, octets);
    // Bits behind the length mean nothing (RFC 4271 §4.3).
    const Inet network = (family == 4 ? Inet::v4(base::load_be32(address), bits)
                                      : Inet::v6(base::load_be64(address), base::load_be64(address + 8), bits))
                             .network();
    uint16_t entry_count = 0, peer = 0, attribute_octets = 0;
    if (!body.u16(entry_count)) return skip(Skip::kTruncatedEntry);
    if (entry_count == 0) return skip(Skip::kNoEntries);
    if (!body.u16(peer) || !body.take(addpath ? 8 : 4, at) || !body.u16(attribute_octets) ||
        !body.take(attribute_octets, at)) {
      return skip(Skip::kTruncatedEntry);
    }
    if (wanted(Source::kPrefix)) builder_.set_inet(column(Source::kPrefix), network);
    if (wanted(Source::kPeerAs)) {
      if (peer < peer_as_.size()) builder_.set_int64(column(Source::kPeerAs), peer_as_[peer]);
      else skipped_.add(Skip::kPeerIndex);
    }
    if (!read_attributes({at, attribute_octets})) skipped_.add(Skip::kAttribute);
    return builder_.end_row();
  }
  bool skip(Skip reason) {
    skipped_.add(reason);
    return true;
  }

  bool read_attributes(Cursor attributes) {
    while (attributes.left > 0) {
      uint8_t flags = 0, type = 0, short_octets = 0;
      uint16_t octets = 0;
      const uint8_t* at = nullptr;
      if (!attributes.u8(flags) || !attributes.u8(type)) return false;
      if ((flags & kFlagExtendedLength) != 0) {
        if (!attributes.u16(octets)) return false;
      } else {
        if (!attributes.u8(short_octets)) return false;
        octets = short_octets;
      }
      if (!attributes.take(octets, at)) return false;
      if (type == kAttributeAsPath && (wanted(Source::kAsn) || wanted(Source::kAsPath))) {
        if (!read_as_path({at, octets})) return false;
      } else if (type == kAttributeNextHop && wanted(Source::kNextHop)) {
        if (octets != 4) return false;
        builder_.set_inet(column(Source::kNextHop), Inet::v4(base::load_be32(at)));
      } else if (type == kAttributeMpReach && wanted(Source::kNextHop)) {
        if (!read_mp_reach({at, octets})) return false;
      }
    }
    return true;
  }

  /// AS numbers have four octets here whatever the peer sent (RFC 6396 §4.3.4).
  bool read_as_path(Cursor path) {
    path_text_.clear();
    bool origin_known = false;
    uint32_t origin = 0;
    while (path.left > 0) {
      uint8_t kind = 0, count = 0;
      const uint8_t* at = nullptr;
      if (!path.u8(kind) || !path.u8(count) || !path.take(size_t{count} * 4, at)) return false;
      if ((kind != kAsSet && kind != kAsSequence) || count == 0) continue;
      if (!path_text_.empty()) path_text_ += ' ';
      if (kind == kAsSet) path_text_ += '{';
      for (unsigned i = 0; i < count; ++i) {
        if (i > 0) path_text_ += kind == kAsSet ? ',' : ' ';
        fmt::format_to(std::back_inserter(path_text_), "{}", base::load_be32(at + size_t{i} * 4));
      }
      if (kind == kAsSet) path_text_ += '}';
      origin_known = kind == kAsSequence;
      if (origin_known) origin = base::load_be32(at + size_t{count - 1U} * 4);
    }
    if (wanted(Source::kAsn) && origin_known) builder_.set_int64(column(Source::kAsn), origin);
    if (wanted(Source::kAsPath)) builder_.set_kept_text(column(Source::kAsPath), kept_path());
    return true;
  }
  /// Many routes share a path: one copy of each.
  std::string_view kept_path() {
    if (const auto found = paths_.find(path_text_); found != paths_.end()) return *found;
    const std::string_view kept = builder_.keep_text(path_text_);
    paths_.insert(kept);
    return kept;
  }

  /// Only length and next hop (RFC 6396 §4.3.4); some writers keep family and subfamily in front, which begin with
  /// zero.
  bool read_mp_reach(Cursor reach) {
    const uint8_t* at = nullptr;
    uint8_t octets = 0;
    if (!reach.u8(octets)) return false;
    if (octets == 0 && (!reach.take(2, at) || !reach.u8(octets))) return false;
    if (!reach.take(octets, at)) return false;
    if (octets == 4) builder_.set_inet(column(Source::kNextHop), Inet::v4(base::load_be32(at)));
    else if (octets == 16 || octets == 32)
      builder_.set_inet(column(Source::kNextHop), Inet::v6(base::load_be64(at), base::load_be64(at + 8)));
    else return false;  // 32: global, then link-local (RFC 2545 §3).
    return true;
  }

  ingest::OctetSource& octets_;
  const std::string_view source_name_;
  const TableDefinition& definition_;
  const ReadLimits& limits_;
  TableBuilder builder_;
  SkipCounts skipped_;
  int column_of_[static_cast<size_t>(Source::kCount)];  ///< -1: not wanted
  std::vector<uint8_t> buffer_;
  size_t at_ = 0, end_ = 0;
  uint64_t before_buffer_ = 0;     ///< octets of the file that were in the buffer before
  std::vector<uint32_t> peer_as_;  ///< by peer index
  std::string path_text_;
  std::unordered_set<std::string_view> paths_;
  bool updates_seen_ = false, old_tables_seen_ = false;
};

}  // namespace

base::Result<ReadTable> read_mrt(ingest::OctetSource& octets, std::string_view source_name,
                                 const TableDefinition& definition, const ReadLimits& limits) {
  return MrtReader(octets, source_name, definition, limits).read();
}

}  // namespace backstream::lookup
