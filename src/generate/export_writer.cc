#include "generate/export_writer.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <initializer_list>

#include "base/byte_order.h"

namespace backstream::generate {
namespace {

using base::kMicrosPerMilli;
using base::kMicrosPerSecond;

constexpr base::Micros kTemplateEvery = 30 * kMicrosPerSecond;
constexpr uint16_t kAsTrans = 23'456;  // RFC 6793: stands for a number of 4 octets where 2 are.
constexpr uint16_t kTemplateV4 = 256, kTemplateV6 = 257, kTemplateOptions = 258;
constexpr uint32_t kOwnAs = 64'500, kTransitAs = 64'501;
constexpr uint8_t kTcp = 6;

/// Appends in network order.
class Writer {
 public:
  explicit Writer(std::vector<uint8_t>& out) : out_(out) {}
  void u8(uint8_t value) { out_.push_back(value); }
  void u16(uint16_t value) { base::store_be16(grow(2), value); }
  void u32(uint32_t value) { base::store_be32(grow(4), value); }
  void u64(uint64_t value) { base::store_be64(grow(8), value); }
  void zeros(size_t count) { out_.resize(out_.size() + count); }
  void address(const base::Inet& inet) {
    if (inet.family == 4) return u32(inet.v4_address());
    u64(inet.hi);
    u64(inet.lo);
  }
  size_t size() const { return out_.size(); }
  void set_u16(size_t at, uint16_t value) { base::store_be16(&out_[at], value); }
  void set_u32(size_t at, uint32_t value) { base::store_be32(&out_[at], value); }
  void pad_to_4(size_t begin) { zeros((4 - (size() - begin) % 4) % 4); }

 private:
  uint8_t* grow(size_t count) {
    const size_t at = out_.size();
    out_.resize(at + count);
    return &out_[at];
  }
  std::vector<uint8_t>& out_;
};

struct Field {
  uint16_t element_v4, element_v6, octets_v4, octets_v6;
};

// Element, octets. The order is that of write_record().
constexpr Field kFieldsV9[] = {{8, 27, 4, 16}, {12, 28, 4, 16}, {15, 62, 4, 16}, {10, 10, 4, 4}, {14, 14, 4, 4},
                               {2, 2, 4, 4},   {1, 1, 4, 4},    {22, 22, 4, 4},  {21, 21, 4, 4}, {7, 7, 2, 2},
                               {11, 11, 2, 2}, {6, 6, 1, 1},    {4, 4, 1, 1},    {5, 5, 1, 1},   {9, 29, 1, 1},
                               {13, 30, 1, 1}, {16, 16, 4, 4},  {17, 17, 4, 4}};
constexpr Field kFieldsIpfix[] = {{8, 27, 4, 16}, {12, 28, 4, 16}, {15, 62, 4, 16},  {10, 10, 4, 4},   {14, 14, 4, 4},
                                  {2, 2, 8, 8},   {1, 1, 8, 8},    {152, 152, 8, 8}, {153, 153, 8, 8}, {7, 7, 2, 2},
                                  {11, 11, 2, 2}, {6, 6, 1, 1},    {4, 4, 1, 1},     {5, 5, 1, 1},     {9, 29, 1, 1},
                                  {13, 30, 1, 1}, {16, 16, 4, 4},  {17, 17, 4, 4}};

template <size_t kCount>
void write_template(Writer& out, const Field (&fields)[kCount], bool v6) {
  out.u16(v6 ? kTemplateV6 : kTemplateV4);
  out.u16(kCount);
  for (const Field& field : fields) {
    out.u16(v6 ? field.element_v6 : field.element_v4);
    out.u16(v6 ? field.octets_v6 : field.octets_v4);
  }
}

void pairs(Writer& out, std::initializer_list<uint16_t> values) {
  for (const uint16_t value : values) out.u16(value);
}

}  // namespace

base::Inet next_hop(const Record& record) {
  if (record.source.family == 4) return base::Inet::v4(0xc6120000 | record.out_if);  // 198.18.0.0/15 (RFC 2544)
  return base::Inet::v6(0x2001000200000000, record.out_if);                          // 2001:2::/48 (RFC 5180)
}

uint32_t ExportWriter::pack_max(Protocol protocol) {
  switch (protocol) {
    case Protocol::kNetflow5: return 30;
    case Protocol::kSflow: return 250;
    default: return 400;  // Of IPv6 records, with templates: within 65,507 octets.
  }
}

uint32_t ExportWriter::pack_default(Protocol protocol) {
  switch (protocol) {
    case Protocol::kNetflow5: return 30;
    case Protocol::kNetflow9: return 26;
    case Protocol::kIpfix: return 20;
    case Protocol::kSflow: return 7;
  }
  return 1;
}

uint32_t ExportWriter::sampling_rate_max(Protocol protocol) {
  return protocol == Protocol::kNetflow5 ? 0x3fff : 1'000'000'000;  // v5 has 14 bits.
}

ExportWriter::ExportWriter(const Options& options) : options_(options) {
  assert(options.pack >= 1 && options.pack <= pack_max(options.protocol));
  assert(options.sampling_rate >= 1 && options.sampling_rate <= sampling_rate_max(options.protocol));
  assert(options.boot % kMicrosPerMilli == 0);
  records_.reserve(options.pack);
}

uint32_t ExportWriter::uptime_ms(base::Micros time) const {
  return static_cast<uint32_t>((time - options_.boot) / kMicrosPerMilli);  // Wraps after 49 days, as routers do.
}

void ExportWriter::write(base::Micros now, std::vector<uint8_t>& payload) {
  payload.clear();
  switch (options_.protocol) {
    case Protocol::kNetflow5: return write_netflow5(now, payload);
    case Protocol::kNetflow9:
    case Protocol::kIpfix: return write_templated(now, payload);
    case Protocol::kSflow: return write_sflow(now, payload);
  }
}

void ExportWriter::write_netflow5(base::Micros now, std::vector<uint8_t>& payload) {
  Writer out(payload);
  // Whole milliseconds, so that uptime and clock tell the same instant and flow times are exact.
  const base::Micros sent = base::floor_to(now, kMicrosPerMilli);
  out.u16(5);
  out.u16(static_cast<uint16_t>(records_.size()));
  out.u32(uptime_ms(sent));
  out.u32(static_cast<uint32_t>(sent / kMicrosPerSecond));
  out.u32(static_cast<uint32_t>(sent % kMicrosPerSecond * 1000));
  out.u32(sequence_);
  out.u8(0);
  out.u8(static_cast<uint8_t>(options_.index));
  out.u16(options_.sampling_rate == 1 ? 0 : static_cast<uint16_t>(0x4000 | options_.sampling_rate));
  sequence_ += static_cast<uint32_t>(records_.size());
  for (Record& record : records_) {
    record.source_as = record.source_as > 0xffff ? kAsTrans : record.source_as;
    record.destination_as = record.destination_as > 0xffff ? kAsTrans : record.destination_as;
    out.address(record.source);
    out.address(record.destination);
    out.address(next_hop(record));
    out.u16(static_cast<uint16_t>(record.in_if));
    out.u16(static_cast<uint16_t>(record.out_if));
    out.u32(static_cast<uint32_t>(record.packets));
    out.u32(static_cast<uint32_t>(record.octets));
    out.u32(uptime_ms(record.start));
    out.u32(uptime_ms(record.end));
    out.u16(record.source_port);
    out.u16(record.destination_port);
    out.u8(0);
    out.u8(record.tcp_flags);
    out.u8(record.ip_protocol);
    out.u8(record.tos);
    out.u16(static_cast<uint16_t>(record.source_as));
    out.u16(static_cast<uint16_t>(record.destination_as));
    out.u8(record.source_mask);
    out.u8(record.destination_mask);
    out.u16(0);
  }
}

void ExportWriter::write_templated(base::Micros now, std::vector<uint8_t>& payload) {
  Writer out(payload);
  const bool ipfix = options_.protocol == Protocol::kIpfix;
  const auto seconds = static_cast<uint32_t>(now / kMicrosPerSecond);
  uint32_t record_count = static_cast<uint32_t>(records_.size());  // Of the header: v9 counts templates too.
  out.u16(ipfix ? 10 : 9);
  out.u16(0);
  // v9's clock has whole seconds: uptime is read at the same instant, so that flow times are exact.
  if (!ipfix) out.u32(uptime_ms(base::Micros{seconds} * kMicrosPerSecond));
  out.u32(seconds);
  out.u32(sequence_);
  out.u32(options_.index);
  uint32_t data_records = record_count;

  if (!templates_sent_ || now >= templates_due_) {
    templates_sent_ = true;
    templates_due_ = now + kTemplateEvery;
    const size_t set = out.size();
    pairs(out, {static_cast<uint16_t>(ipfix ? 2 : 0), 0});
    for (const bool v6 : {false, true}) {
      if (ipfix) write_template(out, kFieldsIpfix, v6);
      else write_template(out, kFieldsV9, v6);
    }
    out.set_u16(set + 2, static_cast<uint16_t>(out.size() - set));
    if (ipfix) {
      // selectorId as scope; selectorAlgorithm, samplingPacketInterval, samplingPacketSpace (RFC 5477).
      pairs(out, {3, 26, kTemplateOptions, 4, 1, 302, 4, 304, 2, 305, 4, 306, 4});
      pairs(out, {kTemplateOptions, 20});
      out.u32(1);
      out.u16(1);  // systematic, count-based
      out.u32(1);
      out.u32(options_.sampling_rate - 1);
      out.zeros(2);
    } else {
      // Scope system; SAMPLING_INTERVAL, SAMPLING_ALGORITHM.
      pairs(out, {1, 24, kTemplateOptions, 4, 8, 1, 4, 34, 4, 35, 1, 0});
      pairs(out, {kTemplateOptions, 16});
      out.u32(0);
      out.u32(options_.sampling_rate);
      out.u8(1);  // deterministic
      out.zeros(3);
    }
    ++data_records;
    record_count += 4;
  }

  for (const uint8_t family : {uint8_t{4}, uint8_t{6}}) {
    const size_t set = out.size();
    for (const Record& record : records_) {
      if (record.source.family != family) continue;
      if (out.size() == set) pairs(out, {family == 4 ? kTemplateV4 : kTemplateV6, 0});
      out.address(record.source);
      out.address(record.destination);
      out.address(next_hop(record));
      out.u32(record.in_if);
      out.u32(record.out_if);
      if (ipfix) {
        out.u64(record.packets);
        out.u64(record.octets);
        out.u64(static_cast<uint64_t>(record.start / kMicrosPerMilli));
        out.u64(static_cast<uint64_t>(record.end / kMicrosPerMilli));
      } else {
        out.u32(static_cast<uint32_t>(record.packets));
        out.u32(static_cast<uint32_t>(record.octets));
        out.u32(uptime_ms(record.start));
        out.u32(uptime_ms(record.end));
      }
      out.u16(record.source_port);
      out.u16(record.destination_port);
      out.u8(record.tcp_flags);
      out.u8(record.ip_protocol);
      out.u8(record.tos);
      out.u8(record.source_mask);
      out.u8(record.destination_mask);
      out.u32(record.source_as);
      out.u32(record.destination_as);
    }
    if (out.size() == set) continue;
    out.pad_to_4(set);
    out.set_u16(set + 2, static_cast<uint16_t>(out.size() - set));
  }
  out.set_u16(2, static_cast<uint16_t>(ipfix ? out.size() : record_count));
  sequence_ += ipfix ? data_records : 1;
}

void ExportWriter::write_sflow(base::Micros now, std::vector<uint8_t>& payload) {
  Writer out(payload);
  out.u32(5);
  out.u32(1);
  out.u32(options_.address.v4_address());
  out.u32(options_.index);
  out.u32(++sequence_);
  out.u32(uptime_ms(now));
  out.u32(static_cast<uint32_t>(records_.size()));
  for (const Record& record : records_) {
    const bool v4 = record.source.family == 4;
    const base::Inet hop = next_hop(record);
    const uint32_t address_kind = v4 ? 1 : 2;
    pool_ += options_.sampling_rate;
    out.u32(1);  // flow sample
    const size_t sample = out.size();
    out.u32(0);
    out.u32(++sample_sequences_[record.in_if]);
    out.u32(record.in_if);
    out.u32(options_.sampling_rate);
    out.u32(pool_);
    out.u32(0);
    out.u32(record.in_if);
    out.u32(record.out_if);
    out.u32(3);

    const auto ip_octets = static_cast<uint32_t>(record.octets);
    const uint32_t transport_octets = record.ip_protocol == kTcp ? 20 : 8;
    const uint32_t header_octets = 14 + (v4 ? 20 : 40) + transport_octets;
    out.u32(1);  // raw packet header
    out.u32(16 + (header_octets + 3) / 4 * 4);
    out.u32(1);                                       // Ethernet
    out.u32(std::max<uint32_t>(64, ip_octets + 18));  // With the checksum of 4 octets that was stripped.
    out.u32(4);
    out.u32(header_octets);
    const size_t header = out.size();
    out.u32(0x02000000);
    out.u32(record.out_if << 16 | 0x0200);
    out.u32(record.in_if);
    out.u16(v4 ? 0x0800 : 0x86dd);
    if (v4) {
      out.u8(0x45);
      out.u8(record.tos);
      out.u16(static_cast<uint16_t>(ip_octets));
      out.u32(0x00004000);
      out.u16(static_cast<uint16_t>(60 << 8 | record.ip_protocol));
      out.u16(0);
    } else {
      out.u32(6u << 28 | static_cast<uint32_t>(record.tos) << 20);
      out.u16(static_cast<uint16_t>(ip_octets - 40));
      out.u8(record.ip_protocol);
      out.u8(60);
    }
    out.address(record.source);
    out.address(record.destination);
    if (record.has_ports) {
      out.u16(record.source_port);
      out.u16(record.destination_port);
      if (record.ip_protocol == kTcp) {
        out.u32(0);
        out.u32(0);
        out.u16(static_cast<uint16_t>(0x5000 | record.tcp_flags));
        out.zeros(6);
      } else {
        out.u16(static_cast<uint16_t>(ip_octets - (v4 ? 20 : 40)));
        out.u16(0);
      }
    } else {
      out.u16(record.destination_port);  // ICMP: type and code.
      out.zeros(6);
    }
    assert(out.size() - header == header_octets);
    out.pad_to_4(header);

    out.u32(1002);  // extended router
    out.u32(v4 ? 16 : 28);
    out.u32(address_kind);
    out.address(hop);
    out.u32(record.source_mask);
    out.u32(record.destination_mask);

    out.u32(1003);  // extended gateway
    const size_t gateway = out.size();
    out.u32(0);
    out.u32(address_kind);
    out.address(hop);
    out.u32(kOwnAs);
    out.u32(record.source_as);
    out.u32(record.source_as);
    out.u32(1);  // one segment: a sequence of two
    out.u32(2);
    out.u32(2);
    out.u32(kTransitAs);
    out.u32(record.destination_as);
    out.u32(0);  // no communities
    out.u32(100);
    out.set_u32(gateway, static_cast<uint32_t>(out.size() - gateway - 4));
    out.set_u32(sample, static_cast<uint32_t>(out.size() - sample - 4));
  }
}

}  // namespace backstream::generate
