#include "generate/backbone.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "base/byte_order.h"

namespace backstream::generate {
namespace {

using base::kMicrosPerMilli;
using base::kMicrosPerSecond;
using base::load_be16;
using base::load_be32;
using base::load_be64;
using base::Micros;

constexpr Micros kStart = 1'769'860'800 * kMicrosPerSecond;  // 2026-01-31 12:00 UTC
constexpr Protocol kProtocols[] = {Protocol::kNetflow5, Protocol::kNetflow9, Protocol::kIpfix, Protocol::kSflow};

BackboneOptions small(Protocol protocol) {
  BackboneOptions options;
  options.protocol = protocol;
  options.records = 30'000;
  options.start = kStart;
  options.span = 300 * kMicrosPerSecond;
  options.seed = 7;
  return options;
}

BackboneOptions mixed(Protocol protocol) {
  BackboneOptions options = small(protocol);
  options.sampling_rate = 512;
  if (protocol != Protocol::kNetflow5) options.traffic.ipv6_share = options.traffic.as4_share = 0.3;
  return options;
}

struct Output : RecordObserver {
  std::vector<Record> records;
  std::vector<GeneratedDatagram> datagrams;
  explicit Output(const BackboneOptions& options) {
    Backbone backbone(options);
    backbone.set_observer(this);
    for (GeneratedDatagram datagram; backbone.next(datagram);) datagrams.push_back(datagram);
  }
  void observe(const Record& record) override { records.push_back(record); }
  /// As a collector sees them.
  std::vector<Record> by_arrival() const {
    std::vector<Record> sorted = records;
    std::stable_sort(sorted.begin(), sorted.end(), [](auto& a, auto& b) { return a.received < b.received; });
    return sorted;
  }
};

/// What a reader finds of a record, in one order for all protocols: times in ms, addresses as two words.
using Row = std::array<uint64_t, 18>;

Row row_of(const Record& r) {
  return {r.source.hi,
          r.source.lo,
          r.destination.hi,
          r.destination.lo,
          static_cast<uint64_t>(r.start / kMicrosPerMilli),
          static_cast<uint64_t>(r.end / kMicrosPerMilli),
          r.octets,
          r.packets,
          r.source_port,
          r.destination_port,
          r.ip_protocol,
          r.tcp_flags,
          r.tos,
          r.source_as,
          r.destination_as,
          r.source_mask,
          r.destination_mask,
          r.in_if << 16 | r.out_if};
}

std::vector<Row> sorted(std::vector<Row> rows) {
  std::sort(rows.begin(), rows.end());
  return rows;
}
std::vector<Row> rows_of(const std::vector<Record>& records) {
  std::vector<Row> rows;
  for (const Record& record : records) rows.push_back(row_of(record));
  return sorted(std::move(rows));
}

using Flow = std::tuple<uint64_t, uint64_t, uint16_t, uint16_t, uint8_t>;
Flow flow_of(const Record& r) {
  return {r.source.hi ^ r.source.lo, r.destination.hi ^ r.destination.lo, r.source_port, r.destination_port,
          r.ip_protocol};
}

TEST(Backbone, SameSeedSameBytes) {
  for (const Protocol protocol : kProtocols) {
    BackboneOptions options = mixed(protocol);
    options.exporters = 3;
    options.disorder = 5 * kMicrosPerSecond;
    const Output a(options), b(options);
    options.seed = 8;
    const Output other(options);
    ASSERT_EQ(a.datagrams.size(), b.datagrams.size());
    bool differs = a.datagrams.size() != other.datagrams.size();
    for (size_t i = 0; i < a.datagrams.size(); ++i) {
      ASSERT_EQ(a.datagrams[i].payload, b.datagrams[i].payload) << i;
      ASSERT_EQ(a.datagrams[i].time, b.datagrams[i].time) << i;
      differs = differs || a.datagrams[i].payload != other.datagrams[i].payload;
    }
    EXPECT_TRUE(differs);
  }
}

TEST(Backbone, ExactlyTheRecordsThatWereAskedFor) {
  for (const Protocol protocol : kProtocols) {
    for (const uint64_t records : {0, 1, 7, 29'999}) {
      BackboneOptions options = mixed(protocol);
      options.records = records;
      options.exporters = 4;
      const Output output(options);
      uint64_t sent = 0;
      for (const GeneratedDatagram& datagram : output.datagrams) {
        EXPECT_GE(datagram.record_count, 1u);
        EXPECT_LE(datagram.record_count, ExportWriter::pack_default(protocol));
        EXPECT_EQ(datagram.address, base::Inet::v4(0x7f000101 + datagram.exporter));
        sent += datagram.record_count;
      }
      EXPECT_EQ(sent, records);
      EXPECT_EQ(output.records.size(), records);
    }
  }
}

TEST(Backbone, DatagramsComeInTheOrderOfTheirArrival) {
  BackboneOptions options = small(Protocol::kNetflow5);
  options.exporters = 3;
  for (const Micros disorder : {Micros{0}, 30 * kMicrosPerSecond}) {
    options.disorder = disorder;
    const Output output(options);
    size_t overtaken = 0;
    std::map<uint32_t, uint32_t> greatest;
    for (size_t i = 0; i < output.datagrams.size(); ++i) {
      const GeneratedDatagram& datagram = output.datagrams[i];
      if (i > 0) {
        ASSERT_LE(output.datagrams[i - 1].time, datagram.time);
      }
      const Micros exported =
          Micros{load_be32(&datagram.payload[8])} * kMicrosPerSecond + load_be32(&datagram.payload[12]) / 1000;
      ASSERT_LE(exported, datagram.time);
      ASSERT_LT(datagram.time - exported, disorder + kMicrosPerMilli);
      const uint32_t sequence = load_be32(&datagram.payload[16]);
      overtaken += sequence < greatest[datagram.exporter];
      greatest[datagram.exporter] = std::max(greatest[datagram.exporter], sequence);
    }
    if (disorder == 0) {
      EXPECT_EQ(overtaken, 0u);
    } else {
      EXPECT_GT(overtaken, output.datagrams.size() / 2);
    }
  }
}

TEST(Backbone, NoRecordIsFurtherBehindThanTheCacheModelSays) {
  for (const Protocol protocol : {Protocol::kNetflow5, Protocol::kNetflow9, Protocol::kIpfix}) {
    for (const Micros disorder : {Micros{0}, 30 * kMicrosPerSecond}) {
      BackboneOptions options = mixed(protocol);
      options.exporters = 3;
      options.disorder = disorder;
      const Micros hold = options.inactive_timeout + options.jitter + kPackingDelay + kMicrosPerMilli;
      std::map<uint64_t, Micros> newest;
      Micros most = 0;
      for (const Record& record : Output(options).by_arrival()) {
        ASSERT_LE(record.start, record.end);
        ASSERT_LE(record.end - record.start, options.active_timeout);
        ASSERT_LE(record.end, record.received);
        ASSERT_LE(record.received - record.end, hold + disorder);
        ASSERT_EQ(record.end % kMicrosPerMilli, 0);
        Micros& latest = newest.try_emplace(record.exporter.hi, record.end).first->second;
        ASSERT_LE(latest - record.end, hold + disorder);
        most = std::max(most, latest - record.end);
        latest = std::max(latest, record.end);
      }
      EXPECT_GT(most, 14 * kMicrosPerSecond) << "flow end and export differ as they do in the field";
    }
  }
}

TEST(Backbone, LongFlowsComeInPiecesOfTheActiveTimeout) {
  BackboneOptions options = small(Protocol::kIpfix);
  options.traffic.long_share = 0.5;
  options.active_timeout = 20 * kMicrosPerSecond;
  std::map<Flow, std::vector<const Record*>> flows;
  const Output output(options);
  for (const Record& record : output.records) flows[flow_of(record)].push_back(&record);
  size_t continued = 0;
  for (const auto& [flow, pieces] : flows) {
    for (size_t i = 1; i < pieces.size(); ++i) {
      if (pieces[i]->start != pieces[i - 1]->start + options.active_timeout) continue;
      ++continued;
      EXPECT_LE(pieces[i - 1]->end, pieces[i]->start);
      EXPECT_GE(pieces[i - 1]->end - pieces[i - 1]->start, options.active_timeout - 501 * kMicrosPerMilli);
    }
  }
  EXPECT_GT(continued, 5'000u);
}

TEST(Backbone, ReadsBackAsNetflow5) {
  const Output output(mixed(Protocol::kNetflow5));
  std::vector<Row> rows;
  uint32_t sequence = 0;
  for (const GeneratedDatagram& datagram : output.datagrams) {
    const uint8_t* at = datagram.payload.data();
    const size_t count = load_be16(at + 2);
    ASSERT_EQ(load_be16(at), 5);
    ASSERT_EQ(datagram.payload.size(), 24 + 48 * count);
    ASSERT_EQ(load_be32(at + 16), sequence);
    ASSERT_EQ(load_be16(at + 22), 0x4000 | 512);
    sequence += static_cast<uint32_t>(count);
    const uint64_t boot = uint64_t{load_be32(at + 8)} * 1000 + load_be32(at + 12) / 1'000'000 - load_be32(at + 4);
    for (const uint8_t* r = at + 24; r < at + datagram.payload.size(); r += 48) {
      rows.push_back({uint64_t{load_be32(r)} << 32, 0, uint64_t{load_be32(r + 4)} << 32, 0, boot + load_be32(r + 24),
                      boot + load_be32(r + 28), load_be32(r + 20), load_be32(r + 16), load_be16(r + 32),
                      load_be16(r + 34), r[38], r[37], r[39], load_be16(r + 40), load_be16(r + 42), r[44], r[45],
                      static_cast<uint32_t>(load_be16(r + 12)) << 16 | load_be16(r + 14)});
    }
  }
  EXPECT_EQ(sorted(std::move(rows)), rows_of(output.records));
}

/// A reader of NetFlow v9 and IPFIX that knows nothing but the RFCs: layouts come from the templates it met.
struct TemplateReader {
  std::map<uint16_t, std::vector<std::pair<uint16_t, uint16_t>>> templates;
  std::vector<Row> rows;
  std::set<uint64_t> rates;
  size_t data_records = 0;

  void read(const std::vector<uint8_t>& payload) {
    const bool ipfix = load_be16(payload.data()) == 10;
    ASSERT_TRUE(ipfix || load_be16(payload.data()) == 9);
    if (ipfix) {
      ASSERT_EQ(load_be16(&payload[2]), payload.size());
    }
    const uint64_t boot = ipfix ? 0 : uint64_t{load_be32(&payload[8])} * 1000 - load_be32(&payload[4]);
    size_t in_header = 0;
    for (size_t at = ipfix ? 16 : 20; at < payload.size();) {
      const uint16_t id = load_be16(&payload[at]), octets = load_be16(&payload[at + 2]);
      ASSERT_GE(octets, 4);
      ASSERT_LE(at + octets, payload.size());
      // RFC 3954 §5.2 wants aligned sets; in IPFIX padding is optional (RFC 7011 §3.3.1).
      if (!ipfix) {
        ASSERT_EQ(octets % 4, 0);
      }
      size_t p = at + 4;
      const size_t end = at + octets;
      const bool options = id == (ipfix ? 3 : 1);
      if (id < 256) {
        while (end - p > 4) {
          const uint16_t name = load_be16(&payload[p]);
          size_t fields = load_be16(&payload[p + 2]);
          p += 4;
          if (options && ipfix) p += 2;
          if (options && !ipfix) {
            fields = (fields + load_be16(&payload[p])) / 4;
            p += 2;
          }
          auto& layout = templates[name];
          layout.clear();
          for (; fields > 0; --fields, p += 4) layout.emplace_back(load_be16(&payload[p]), load_be16(&payload[p + 2]));
          ASSERT_LE(p, end);
          ++in_header;
        }
      } else {
        ASSERT_TRUE(templates.contains(id));
        size_t length = 0;
        for (const auto& [element, width] : templates[id]) length += width;
        for (; end - p >= length; p += length, ++in_header, ++data_records) read_record(&payload[p], id, boot);
        ASSERT_LT(end - p, 4u);
      }
      at = end;
    }
    if (!ipfix) {
      EXPECT_EQ(load_be16(&payload[2]), in_header);
    }
  }

  void read_record(const uint8_t* at, uint16_t id, uint64_t boot) {
    Row row{};
    uint64_t space = 0;
    bool flow = false;
    for (const auto& [element, width] : templates[id]) {
      const uint64_t value = width <= 8 ? base::load_be(at, width) : 0;
      switch (element) {
        case 8:
        case 12:
          row[element == 8 ? 0 : 2] = value << 32;
          flow = true;
          break;
        case 27:
        case 28:
          row[element == 27 ? 0 : 2] = load_be64(at);
          row[element == 27 ? 1 : 3] = load_be64(at + 8);
          flow = true;
          break;
        case 22:
        case 152: row[4] = boot + value; break;
        case 21:
        case 153: row[5] = boot + value; break;
        case 1: row[6] = value; break;
        case 2: row[7] = value; break;
        case 7: row[8] = value; break;
        case 11: row[9] = value; break;
        case 4: row[10] = value; break;
        case 6: row[11] = value; break;
        case 5: row[12] = value; break;
        case 16: row[13] = value; break;
        case 17: row[14] = value; break;
        case 9:
        case 29: row[15] = value; break;
        case 13:
        case 30: row[16] = value; break;
        case 10: row[17] |= value << 16; break;
        case 14: row[17] |= value; break;
        case 34: rates.insert(value); break;
        case 305: EXPECT_EQ(value, 1u); break;
        case 306:
          space = value;
          rates.insert(space + 1);
          break;
        default: break;
      }
      at += width;
    }
    if (flow) rows.push_back(row);
  }
};

TEST(Backbone, ReadsBackAsNetflow9AndIpfix) {
  for (const Protocol protocol : {Protocol::kNetflow9, Protocol::kIpfix}) {
    const Output output(mixed(protocol));
    TemplateReader reader;
    uint32_t datagrams = 0;
    for (const GeneratedDatagram& datagram : output.datagrams) {
      const uint32_t sequence = load_be32(&datagram.payload[protocol == Protocol::kIpfix ? 8 : 12]);
      ASSERT_EQ(sequence, protocol == Protocol::kIpfix ? reader.data_records : datagrams);
      ++datagrams;
      ASSERT_NO_FATAL_FAILURE(reader.read(datagram.payload));
    }
    EXPECT_EQ(sorted(std::move(reader.rows)), rows_of(output.records));
    EXPECT_EQ(reader.rates, std::set<uint64_t>{512});
  }
}

TEST(Backbone, ReadsBackAsSflow) {
  const Output output(mixed(Protocol::kSflow));
  size_t next = 0, v6_seen = 0, icmp_seen = 0;
  for (const GeneratedDatagram& datagram : output.datagrams) {
    const uint8_t* at = datagram.payload.data();
    ASSERT_EQ(load_be32(at), 5u);
    ASSERT_EQ(load_be32(at + 8), datagram.address.v4_address());
    const uint32_t samples = load_be32(at + 24);
    size_t p = 28;
    for (uint32_t s = 0; s < samples; ++s) {
      const Record& record = output.records.at(next++);
      const bool v6 = record.source.family == 6;
      v6_seen += v6;
      ASSERT_EQ(load_be32(at + p), 1u);
      const size_t end = p + 8 + load_be32(at + p + 4);
      ASSERT_LE(end, datagram.payload.size());
      EXPECT_EQ(load_be32(at + p + 16), 512u);
      EXPECT_EQ(load_be32(at + p + 28), record.in_if);
      EXPECT_EQ(load_be32(at + p + 32), record.out_if);
      ASSERT_EQ(load_be32(at + p + 36), 3u);
      p += 40;
      for (int r = 0; r < 3; ++r) {
        const uint32_t format = load_be32(at + p), length = load_be32(at + p + 4);
        const uint8_t* body = at + p + 8;
        if (format == 1) {
          const uint8_t* ip = body + 16 + 14;
          ASSERT_EQ(load_be16(ip - 2), v6 ? 0x86dd : 0x0800);
          EXPECT_EQ(v6 ? load_be16(ip + 4) + 40u : load_be16(ip + 2), record.octets);
          EXPECT_EQ(v6 ? ip[6] : ip[9], record.ip_protocol);
          EXPECT_EQ(v6 ? load_be64(ip + 8) : uint64_t{load_be32(ip + 12)} << 32, record.source.hi);
          EXPECT_EQ(v6 ? load_be64(ip + 24) : uint64_t{load_be32(ip + 16)} << 32, record.destination.hi);
          const uint8_t* transport = ip + (v6 ? 40 : 20);
          if (record.has_ports) {
            EXPECT_EQ(load_be16(transport), record.source_port);
            EXPECT_EQ(load_be16(transport + 2), record.destination_port);
          } else {
            ++icmp_seen;
            EXPECT_EQ(transport[0], v6 ? 128 : 8);
          }
          if (record.has_flags) {
            EXPECT_EQ(transport[13], record.tcp_flags);
          }
        } else if (format == 1002) {
          EXPECT_EQ(load_be32(body + length - 8), record.source_mask);
          EXPECT_EQ(load_be32(body + length - 4), record.destination_mask);
        } else {
          ASSERT_EQ(format, 1003u);
          const uint8_t* own = body + (v6 ? 20 : 8);
          EXPECT_EQ(load_be32(own + 4), record.source_as);
          EXPECT_EQ(load_be32(own + 28), record.destination_as);
        }
        p += 8 + length;
      }
      ASSERT_EQ(p, end);
      EXPECT_EQ(record.end, datagram.time);
      EXPECT_EQ(record.packets, 1u);
    }
    ASSERT_EQ(p, datagram.payload.size());
  }
  EXPECT_EQ(next, output.records.size());
  EXPECT_GT(v6_seen, 0u);
  EXPECT_GT(icmp_seen, 0u);
}

TEST(Backbone, TemplatesComeAgain) {
  const Output output(small(Protocol::kNetflow9));
  size_t with_templates = 0;
  for (const GeneratedDatagram& datagram : output.datagrams) with_templates += load_be16(&datagram.payload[20]) == 0;
  EXPECT_EQ(load_be16(&output.datagrams.front().payload[20]), 0);
  EXPECT_EQ(with_templates, 10u);  // 300 s, every 30 s
}

TEST(Backbone, SharesAndPopularityAreThoseAskedFor) {
  BackboneOptions options = small(Protocol::kIpfix);
  options.traffic.one_packet_share = 0.4;
  options.traffic.ipv6_share = 0.25;
  options.traffic.as4_share = 0.5;
  options.traffic.long_share = 0;
  size_t one = 0, v6 = 0;
  std::map<uint32_t, size_t> sources;
  const Output output(options);
  std::set<uint32_t> wide;
  for (const Record& record : output.records) {
    one += record.packets == 1;
    v6 += record.source.family == 6;
    ++sources[record.source_as];
    if (record.source_as > 0xffff) wide.insert(record.source_as);
  }
  const auto n = static_cast<double>(output.records.size());
  EXPECT_NEAR(static_cast<double>(one) / n, 0.4, 0.02);
  EXPECT_NEAR(static_cast<double>(v6) / n, 0.25, 0.02);
  EXPECT_NEAR(static_cast<double>(wide.size()) / static_cast<double>(sources.size()), 0.5, 0.1);
  std::vector<size_t> counts;
  for (const auto& [as, count] : sources) counts.push_back(count);
  std::sort(counts.rbegin(), counts.rend());
  // Zipf: rank 1 to rank 10 as 10^1.1.
  EXPECT_NEAR(static_cast<double>(counts[0]) / static_cast<double>(counts[9]), 12.6, 2.5);
}

TEST(Backbone, AttacksShowTheirSignature) {
  const auto attacked = [](Attack attack) {
    BackboneOptions options = small(Protocol::kNetflow5);
    options.attacks = {attack};
    return Output(options).records;
  };
  std::map<std::pair<uint64_t, uint64_t>, std::set<uint16_t>> ports;
  for (const Record& r : attacked(Attack::kPortSweep))
    if (r.packets == 1) ports[{r.source.hi, r.destination.hi}].insert(r.destination_port);
  EXPECT_EQ(std::count_if(ports.begin(), ports.end(), [](const auto& p) { return p.second.size() > 1'000; }), 1);

  std::map<uint64_t, std::set<uint64_t>> hosts;
  for (const Record& r : attacked(Attack::kHostScan))
    if (r.destination_port == 23) hosts[r.source.hi].insert(r.destination.hi);
  ASSERT_EQ(hosts.size(), 1u);
  EXPECT_GT(hosts.begin()->second.size(), 100u);

  std::map<uint64_t, std::set<uint64_t>> spoofed;
  for (const Record& r : attacked(Attack::kSynFlood))
    if (r.packets == 1 && r.tcp_flags == 2 && r.destination_port == 443) spoofed[r.destination.hi].insert(r.source.hi);
  EXPECT_EQ(std::count_if(spoofed.begin(), spoofed.end(), [](const auto& p) { return p.second.size() > 1'000; }), 1);

  std::set<uint64_t> victims;
  size_t answers = 0;
  for (const Record& r : attacked(Attack::kAmplification)) {
    if (r.source_port != 123 || r.octets != 46'800) continue;
    victims.insert(r.destination.hi);
    ++answers;
  }
  EXPECT_EQ(victims.size(), 1u);
  EXPECT_GT(answers, 1'000u);
}

TEST(Backbone, RefusesWhatDoesNotFit) {
  const auto refused = [](auto change) {
    BackboneOptions options = small(Protocol::kNetflow5);
    change(options);
    EXPECT_THROW(Backbone{options}, std::invalid_argument);
  };
  refused([](BackboneOptions& o) { o.exporters = 0; });
  refused([](BackboneOptions& o) { o.exporters = 251; });
  refused([](BackboneOptions& o) { o.pack = 31; });
  refused([](BackboneOptions& o) { o.traffic.ipv6_share = 0.1; });
  refused([](BackboneOptions& o) { o.traffic.as4_share = 0.1; });
  refused([](BackboneOptions& o) { o.traffic.one_packet_share = 1.5; });
  refused([](BackboneOptions& o) { o.traffic.as_count = 0; });
  refused([](BackboneOptions& o) { o.traffic.host_count = 0; });
  refused([](BackboneOptions& o) { o.sampling_rate = 0; });
  refused([](BackboneOptions& o) { o.sampling_rate = 0x4000; });
  refused([](BackboneOptions& o) { o.span = 0; });
  refused([](BackboneOptions& o) { o.active_timeout = 0; });
  refused([](BackboneOptions& o) { o.start = -1; });
  refused([](BackboneOptions& o) { o.start = int64_t{1} << 60; });
}

TEST(Backbone, TheLargestDatagramFitsUdp) {
  for (const Protocol protocol : kProtocols) {
    BackboneOptions options = mixed(protocol);
    options.span = kMicrosPerSecond;
    options.pack = ExportWriter::pack_max(protocol);
    if (protocol != Protocol::kNetflow5) options.traffic.ipv6_share = 1;
    size_t most = 0;
    for (const GeneratedDatagram& datagram : Output(options).datagrams) most = std::max(most, datagram.payload.size());
    EXPECT_LE(most, 65'507u);
  }
}

}  // namespace
}  // namespace backstream::generate
