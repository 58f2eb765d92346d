#pragma once
// Flows by chance from a seed, the queries that are asked of them, and how they get into batches: for the tests of the
// law whole = split.
#include <algorithm>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "batch/flow_schema.h"
#include "exec/engine.h"
#include "expr/expr.h"

namespace backstream {

using base::Micros;
using batch::FlowColumn;

inline constexpr Micros kSecond = base::kMicrosPerSecond;
inline constexpr Micros kStart = 1'769'860'800 * kSecond;  // 2026-01-31 12:00:00 UTC

inline const char* const kQueries[] = {
    "CREATE MATERIALIZED VIEW matrix AS "
    "SELECT window_start, src_as, dst_as, sum(octets) AS octets FROM tumble(flows, time, interval '300 s') "
    "GROUP BY window_start, src_as, dst_as",
    "SELECT window_start, src_ip, dst_ip, count(DISTINCT dst_port) AS ports FROM tumble(flows, time, interval '60 s') "
    "WHERE packets_raw = 1 GROUP BY window_start, src_ip, dst_ip HAVING count(DISTINCT dst_port) > 1",
    "CREATE MATERIALIZED VIEW hops AS "
    "SELECT window_start, protocol, count(*), sum(octets), avg(packets), min(dst_port), max(src_ip) "
    "FROM hop(flows, time, interval '30 s', interval '120 s') GROUP BY window_start, protocol",
    "SELECT window_start, exporter, sum(octets) FILTER (WHERE protocol = 6) AS tcp, count(DISTINCT src_ip) AS hosts, "
    "bit_or(tcp_flags) AS flags FROM tumble(flows, time, interval '60 s') GROUP BY window_start, exporter",
    "SELECT window_start, protocol_version, dst_port, count(*) AS n FROM tumble(flows, time, interval '60 s') "
    "GROUP BY window_start, protocol_version, dst_port ORDER BY n DESC LIMIT 3",
    "SELECT window_start, network(set_masklen(src_ip, 24)) AS net, avg(octets::double precision) AS mean, "
    "sum(octets / 3.0) AS third FROM tumble(flows, time, interval '100 s') GROUP BY window_start, net",
    "SELECT window_start, count(*) AS n, sum(packets) AS packets, bool_and(packets_raw > 1) AS big "
    "FROM tumble(flows, time, interval '60 s') GROUP BY window_start",
    "SELECT window_start, CASE WHEN dst_port < 1024 THEN 'low' ELSE host(dst_ip) END AS what, min(octets) AS least "
    "FROM tumble(flows, time, interval '300 s') GROUP BY window_start, what",
    "SELECT * FROM matrix_late",
    "SELECT * FROM hops_late",
    "SELECT window_start, protocol, stddev(octets) AS a, var_pop(octets::double precision / 7) AS b, "
    "approx_count_distinct(src_ip) AS c, approx_count_distinct(dst_port) AS d, entropy(dst_ip) AS e, "
    "entropy(dst_port, octets) AS f FROM hop(flows, time, interval '60 s', interval '180 s') "
    "GROUP BY window_start, protocol",
    "SELECT window_start, exporter, approx_percentile(octets, 0.95) AS a, "
    "percentile_cont(0.9) WITHIN GROUP (ORDER BY octets) AS b, "
    "percentile_disc(0.5) WITHIN GROUP (ORDER BY src_ip DESC) AS c, bit_xor(src_as) AS d "
    "FROM hop(flows, time, interval '60 s', interval '180 s') GROUP BY window_start, exporter",
    "SELECT window_start, dst_as, first(src_ip, time) AS a, last(octets, time) AS b, "
    "last(protocol_version, time) FILTER (WHERE protocol = 6) AS c, sum_stderr(packets) AS d, sum_stderr(octets) AS e, "
    "count(sampling_rate) AS f FROM tumble(flows, time, interval '60 s') GROUP BY window_start, dst_as",
    // Bounded in general, exact while no more than 20 n keys come: 10 n = 30 and dst_as has 10 values.
    "SELECT window_start, topk(3, dst_as, octets) AS top FROM hop(flows, time, interval '60 s', interval '180 s') "
    "GROUP BY window_start",
    "SELECT window_start, window_end, src_as, dst_port, count(*) AS n, sum(octets) AS octets, min(src_ip) AS least "
    "FROM session(flows, time, interval '20 s', partition_by => (src_as, dst_port)) "
    "GROUP BY window_start, window_end, src_as, dst_port",
    "SELECT * FROM (SELECT window_start, src_ip, sum(octets) AS octets, rank() OVER (ORDER BY sum(octets) DESC) AS r "
    "FROM tumble(flows, time, interval '60 s') GROUP BY window_start, src_ip) t WHERE r <= 5",
    "SELECT window_start, dst_as, count(*) AS n, count(*) - lag(count(*)) OVER w AS change, lead(count(*), 2) OVER w "
    "AS "
    "next, avg(sum(octets)) OVER (PARTITION BY dst_as ORDER BY window_start RANGE '90 s' PRECEDING) AS mean "
    "FROM tumble(flows, time, interval '30 s') GROUP BY window_start, dst_as "
    "WINDOW w AS (PARTITION BY dst_as ORDER BY window_start)",
    "SELECT time, src_as, octets - lag(octets) OVER (PARTITION BY src_as ORDER BY time) AS change, "
    "sum(packets) OVER (ORDER BY time RANGE BETWEEN '2 s' PRECEDING AND '1 s' FOLLOWING) AS near "
    "FROM flows WHERE protocol = 17",
    "SELECT window_start, protocol, sum(octets) AS n FROM tumble(flows, time, interval '60 s') GROUP BY window_start, "
    "protocol UNION ALL SELECT window_start, dst_as, count(*) FROM tumble(flows, time, interval '30 s') "
    "WHERE protocol = 6 GROUP BY window_start, dst_as ORDER BY n DESC LIMIT 7",
    "SELECT window_start, max(octets), count(*) FROM tumble((SELECT time, octets FROM flows WHERE dst_port < 100 UNION "
    "ALL SELECT time, packets FROM flows), time, interval '60 s') GROUP BY window_start",
    // Midnight in Honolulu is where the flows begin.
    "SELECT window_start, window_end, protocol, sum(octets) AS n, count(DISTINCT dst_port) AS ports FROM "
    "tumble((SELECT "
    "time, protocol, octets * 8 AS octets, dst_port FROM flows WHERE dst_port < 1000), time, interval '1 day', "
    "timezone => 'Pacific/Honolulu') WHERE octets > 9 GROUP BY window_start, window_end, protocol",
    "SELECT window_start, max(n) AS most, sum(n) AS n FROM tumble((SELECT window_start, dst_as, count(*) AS n FROM "
    "tumble(flows, time, interval '60 s') GROUP BY window_start, dst_as), window_start, interval '1 month', "
    "timezone => 'Pacific/Honolulu') GROUP BY window_start",
    "SELECT DISTINCT window_start, exporter, protocol FROM tumble(flows, time, interval '60 s') WHERE packets > 2",
    // Sites and their filters, each with what they mean (see kSitesFirst).
    "CREATE MATERIALIZED VIEW of_sites WITH (sites = 'fra,ams', \"filter.fra\" = 'packets / (dst_port - 3) >= 0 AND "
    "src_as < 15', placement = 'edge') AS SELECT window_start, site, dst_as, sum(octets) AS octets, count(*) AS n "
    "FROM tumble(flows, time, interval '60 s') WHERE protocol = 6 GROUP BY window_start, site, dst_as",
    "CREATE MATERIALIZED VIEW of_where AS SELECT window_start, site, dst_as, sum(octets) AS octets, count(*) AS n "
    "FROM tumble(flows, time, interval '60 s') WHERE protocol = 6 AND (site = 'ams' OR site = 'fra' AND "
    "packets / (dst_port - 3) >= 0 AND src_as < 15) GROUP BY window_start, site, dst_as",
    "CREATE MATERIALIZED VIEW without_sites WITH (\"filter.rio\" = 'false') AS SELECT window_start, window_end, "
    "src_as, "
    "min(octets) AS least, count(*) AS n FROM session(flows, time, interval '20 s', partition_by => (src_as)) "
    "GROUP BY window_start, window_end, src_as",
    "CREATE MATERIALIZED VIEW without_where AS SELECT window_start, window_end, src_as, min(octets) AS least, count(*) "
    "AS n FROM session(flows, time, interval '20 s', partition_by => (src_as)) WHERE site IS DISTINCT FROM 'rio' "
    "GROUP BY window_start, window_end, src_as",
    "CREATE MATERIALIZED VIEW rows_of_sites WITH (sites = 'rio') AS SELECT time, site, octets FROM flows WHERE packets "
    "= 2",
    "CREATE MATERIALIZED VIEW rows_of_where AS SELECT time, site, octets FROM flows WHERE packets = 2 AND site = 'rio'",
    "SELECT * FROM of_sites_late",
    "SELECT * FROM of_where_late",
};
inline constexpr size_t kSitesFirst =
    std::size(kQueries) - 8;  ///< from here on each query has the rows of the one after it

/// One flow of the test's own making, all columns that the queries read.
struct Flow {
  Micros time;
  bool time_present;
  int64_t octets, packets, sampling_rate, protocol, dst_port, tcp_flags, src_as, dst_as;
  bool as_present, rate_present;
  base::Inet src, dst, exporter;
  std::string_view version, site;
};

inline std::vector<Flow> make_flows(std::mt19937_64& random, size_t count, Micros disorder) {
  std::vector<Flow> flows;
  for (size_t i = 0; i < count; ++i) {
    Flow f{};
    f.time = kStart + static_cast<Micros>(i) * 900 * kSecond / static_cast<Micros>(count) -
             static_cast<Micros>(random() % static_cast<uint64_t>(disorder + 1));
    f.time_present = random() % 50 != 0;
    f.octets = static_cast<int64_t>(random() % 100'000);
    f.packets = static_cast<int64_t>(1 + random() % 3);
    f.protocol = random() % 3 == 0 ? 17 : 6;
    f.dst_port = static_cast<int64_t>(random() % 2 ? random() % 2000 : random() % 4);
    f.tcp_flags = static_cast<int64_t>(random() % 64);
    f.src_as = static_cast<int64_t>(random() % 20 ? random() % 30 : 4'200'000'000 + random() % 3);
    f.dst_as = static_cast<int64_t>(random() % 10);
    f.as_present = random() % 40 != 0;
    f.src = random() % 5 ? base::Inet::v4(static_cast<uint32_t>(0x0a000000 + random() % 600))
                         : base::Inet::v6(0x20010db800000000, random() % 50);
    f.dst = base::Inet::v4(static_cast<uint32_t>(0xc0a80000 + random() % 20));
    f.exporter = base::Inet::v4(static_cast<uint32_t>(0x7f000001 + random() % 4));
    f.version = random() % 2 ? "5" : "10";
    f.site = random() % 2 ? "ams" : "fra";
    if (f.octets % 5 == 0) f.site = "rio";
    if (f.octets % 7 == 0) f.site = "";  // None.
    f.sampling_rate = random() % 3 ? 1000 : static_cast<int64_t>(1 + random() % 100);
    f.rate_present = random() % 200 != 0;
    flows.push_back(f);
  }
  return flows;
}

/// Collects final rows as text, window by window.
class Rows : public exec::ResultSink {
 public:
  void on_result(const exec::ResultBatch& result) override {
    if (!result.final) return;
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      std::string text = std::to_string(result.query_index);
      for (size_t c = 0; c < result.rows.columns.size(); ++c) {
        const auto& column = result.rows.columns[c];
        text += '|';
        text += column.is_null(row) ? "NULL" : expr::value_text(expr::value_at(column, row), column.type);
      }
      rows.push_back(std::move(text));
    }
  }
  std::vector<std::string> sorted() const {
    auto copy = rows;
    std::sort(copy.begin(), copy.end());
    return copy;
  }
  std::vector<std::string> rows;
};

/// Adds a flow to a batch whose columns have room for it; those without memory are not wanted.
inline void put(batch::ColumnBatch& batch, const Flow& f) {
  const size_t row = batch.row_count++;
  const auto set = [&](FlowColumn which, auto value, bool present = true) {
    auto& column = batch.columns[static_cast<size_t>(which)];
    if (column.values == nullptr) return;
    column.has_nulls = true;
    column.validity[row] = present;
    column.template as<decltype(value)>()[row] = value;
  };
  set(FlowColumn::kTime, f.time, f.time_present);
  set(FlowColumn::kOctets, f.octets);
  set(FlowColumn::kPackets, f.packets);
  set(FlowColumn::kPacketsRaw, f.packets);
  set(FlowColumn::kOctetsRaw, f.octets);
  set(FlowColumn::kSamplingRate, f.sampling_rate, f.rate_present);
  set(FlowColumn::kProtocol, f.protocol);
  set(FlowColumn::kDstPort, f.dst_port);
  set(FlowColumn::kTcpFlags, f.tcp_flags);
  set(FlowColumn::kSrcAs, f.src_as, f.as_present);
  set(FlowColumn::kDstAs, f.dst_as);
  set(FlowColumn::kSrcIp, f.src);
  set(FlowColumn::kDstIp, f.dst);
  set(FlowColumn::kExporter, f.exporter);
  set(FlowColumn::kProtocolVersion, f.version);
  set(FlowColumn::kSite, f.site, !f.site.empty());
  set(FlowColumn::kReceivedAt, f.time + f.octets);
}

}  // namespace backstream
