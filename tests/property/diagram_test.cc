// A query in SQL and the diagram that is written of it have the same rows, whole and split over edges: for queries of
// every kind that boxes have, and for others by chance from a seed. Flows are of IPv4, as addresses are numbers there.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "borealis/compile.h"
#include "borealis/write.h"
#include "exec/engine.h"
#include "plan/definitions.h"
#include "random_flows.h"
#include "sql/parse.h"

namespace backstream {
namespace {

/// Final rows as text, an address as the number that it is in a diagram.
class NumberedRows : public exec::ResultSink {
 public:
  void on_result(const exec::ResultBatch& result) override {
    if (!result.final) return;
    for (size_t row = 0; row < result.rows.row_count; ++row) {
      std::string text;
      for (const auto& column : result.rows.columns) {
        if (!text.empty()) text += '|';
        if (column.is_null(row)) text += "NULL";
        else if (column.type == batch::Type::kInet) text += std::to_string(column.as<base::Inet>()[row].v4_address());
        else text += expr::value_text(expr::value_at(column, row), column.type);
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

std::vector<Flow> make_ipv4_flows(std::mt19937_64& random, size_t count, Micros disorder) {
  std::vector<Flow> flows = make_flows(random, count, disorder);
  for (Flow& flow : flows) {
    if (flow.src.family == 6) flow.src = base::Inet::v4(0xc0a80000 + static_cast<uint32_t>(flow.src.lo));
  }
  return flows;
}

using Query = std::shared_ptr<const plan::Query>;

/// Null, and a failure of the test, where it is none.
Query query_of(plan::Definitions& definitions, base::Result<std::vector<plan::UnboundStatement>> statements,
               const std::string& text) {
  if (!statements) {
    ADD_FAILURE() << statements.error().render() << text;
    return nullptr;
  }
  plan::UnboundStatement& statement = statements->front();
  if (auto read = sql::parse_conditions(statement.options); !read) ADD_FAILURE() << read.error().message;
  auto entry = definitions.add_query(std::move(statement), text, "result");
  if (!entry) {
    ADD_FAILURE() << base::locate(entry.error(), "", text).render() << text;
    return nullptr;
  }
  return (*entry)->query;
}

/// A query twice.
struct Pair {
  std::string sql, xml;
  Query of_sql, of_xml;
};
Pair pair_of(const std::string& sql) {
  Pair pair;
  pair.sql = sql;
  plan::Definitions of_sql(true), of_xml(true);
  pair.of_sql = query_of(of_sql, sql::parse(sql, ""), sql);
  if (!pair.of_sql) return pair;
  auto xml = borealis::to_xml(sql::parse(sql, "")->front(), of_xml.catalog());
  if (!xml) {
    ADD_FAILURE() << base::locate(xml.error(), "", sql).render();
    return pair;
  }
  pair.xml = *xml;
  pair.of_xml = query_of(of_xml, borealis::parse(*xml, ""), *xml);
  return pair;
}

/// The rows of each query.
std::vector<std::vector<std::string>> run(const std::vector<Query>& queries, const std::vector<Flow>& flows,
                                          exec::EngineOptions options, uint32_t deal_seed, Micros delay) {
  exec::Engine engine(options);
  std::vector<NumberedRows> sinks(queries.size());
  for (size_t q = 0; q < queries.size(); ++q) engine.add_query(queries[q], &sinks[q]);
  const std::vector<batch::Type> types = batch::flow_schema().types();
  const auto used = engine.columns_used("flows", types.size());
  std::vector<batch::BatchBuffer> buffers;
  for (uint32_t e = 0; e < options.edges; ++e) buffers.emplace_back(types, used, options.batch_rows);
  for (auto& buffer : buffers) buffer.batch.row_count = 0;
  const auto flush = [&](uint32_t edge) {
    engine.process("flows", buffers[edge].batch, edge);
    buffers[edge].batch.row_count = 0;
  };
  std::mt19937 deal(deal_seed);
  Micros high = base::kMinTime, cut = engine.next_cut("flows");
  for (const Flow& flow : flows) {
    const uint32_t edge = options.edges == 1 ? 0 : deal() % options.edges;
    put(buffers[edge].batch, flow);
    if (buffers[edge].batch.row_count == options.batch_rows) flush(edge);
    if (flow.time_present) high = std::max(high, flow.time);
    if (high == base::kMinTime || high - delay < cut) continue;
    for (uint32_t e = 0; e < options.edges; ++e) flush(e);
    engine.advance("flows", high - delay);
    cut = engine.next_cut("flows");
  }
  for (uint32_t e = 0; e < options.edges; ++e) flush(e);
  engine.finish();
  std::vector<std::vector<std::string>> rows;
  for (const NumberedRows& sink : sinks) rows.push_back(sink.sorted());
  return rows;
}

/// @return  rows of all queries together
size_t expect_same_rows(const std::vector<Pair>& pairs, const std::vector<Flow>& flows, uint64_t seed) {
  std::vector<Query> of_sql, of_xml;
  for (const Pair& pair : pairs) {
    if (!pair.of_sql || !pair.of_xml) return 0;
    const auto& a = pair.of_sql->output().columns;
    const auto& b = pair.of_xml->output().columns;
    EXPECT_EQ(a.size(), b.size()) << pair.sql;
    for (size_t c = 0; c < std::min(a.size(), b.size()); ++c) EXPECT_EQ(a[c].name, b[c].name) << pair.sql;
    of_sql.push_back(pair.of_sql);
    of_xml.push_back(pair.of_xml);
  }
  constexpr Micros kDelay = 40 * kSecond;
  exec::EngineOptions split;
  split.edges = 3;
  split.ship = true;
  split.pane_us_max = 60 * kSecond;
  const auto wanted = run(of_sql, flows, {}, 0, kDelay), whole = run(of_xml, flows, {}, 0, kDelay),
             over_edges = run(of_xml, flows, split, static_cast<uint32_t>(seed), kDelay);
  size_t rows = 0;
  for (size_t q = 0; q < pairs.size(); ++q) {
    EXPECT_EQ(whole[q], wanted[q]) << "seed " << seed << ": " << pairs[q].sql << "\n" << pairs[q].xml;
    EXPECT_EQ(over_edges[q], wanted[q]) << "split, seed " << seed << ": " << pairs[q].sql << "\n" << pairs[q].xml;
    rows += wanted[q].size();
  }
  return rows;
}

const char* const kWritten[] = {
    "CREATE MATERIALIZED VIEW matrix AS SELECT window_start, src_as, dst_as, sum(octets) AS octets "
    "FROM tumble(flows, time, interval '300 s') GROUP BY window_start, src_as, dst_as",
    "CREATE MATERIALIZED VIEW sweep AS SELECT window_start, src_ip, dst_ip, count(DISTINCT dst_port) AS ports "
    "FROM tumble(flows, time, interval '60 s') WHERE packets_raw = 1 GROUP BY window_start, src_ip, dst_ip "
    "HAVING count(DISTINCT dst_port) > 1",
    "SELECT window_start, protocol, count(*), sum(octets), avg(packets) AS mean, min(dst_port), max(src_ip) "
    "FROM hop(flows, time, interval '30 s', interval '120 s') GROUP BY window_start, protocol",
    "SELECT window_start, exporter, count(src_as) AS known, count(*) FILTER (WHERE protocol = 6) AS tcp, "
    "count(site) FILTER (WHERE packets > 1) AS sites, sum(octets) * 8 / 60 AS bits FROM "
    "tumble(flows, time, interval '60 s') GROUP BY window_start, exporter",
    "SELECT window_start, CASE WHEN dst_port < 1024 THEN 'low' ELSE site END AS what, min(octets) AS least, "
    "max(received_at) AS last FROM tumble(flows, received_at, interval '100 s') GROUP BY 1, 2",
    "SELECT time, src_ip, octets / (dst_port - 3) AS a, site || '-' || protocol_version AS b FROM flows "
    "WHERE src_ip << '10.0.1.0/24' AND (dst_port BETWEEN 2 AND 30 OR site IN ('ams', 'fra') AND NOT protocol = 17)",
    "SELECT window_start, tcp_flags & 18 AS flags, avg(octets / 3.0) AS mean, sum(octets / 3.0) AS third FROM "
    "tumble(flows, time, interval '1.5 min') WHERE (src_as > 7) IS NOT TRUE GROUP BY window_start, flags",
    "SELECT window_start, dst_ip, count(*) AS ports, sum(n) AS n, max(octets) AS most FROM (SELECT window_start, "
    "dst_ip, "
    "dst_port, count(*) AS n, sum(octets) AS octets FROM tumble(flows, time, interval '60 s') GROUP BY window_start, "
    "dst_ip, dst_port) ports GROUP BY window_start, dst_ip HAVING count(*) > 2",
    "SELECT start, sum(n) AS n FROM (SELECT window_start AS start, dst_as, count(*) AS n FROM "
    "hop(flows, time, interval '20 s', interval '60 s') GROUP BY 1, 2) hops GROUP BY start",
    "SELECT window_start, max(n) AS most FROM tumble((SELECT window_start AS at, dst_as, count(*) AS n FROM "
    "tumble(flows, time, interval '60 s') GROUP BY 1, 2), at, interval '300 s') GROUP BY window_start",
    "SELECT window_start, max(o) AS most, count(*) AS n FROM tumble((SELECT time, octets AS o FROM flows WHERE "
    "dst_port < "
    "100 UNION ALL SELECT time, packets / 2.0 FROM flows), time, interval '60 s') GROUP BY window_start",
    "WITH a AS (SELECT window_start, dst_as, sum(octets) AS n FROM tumble(flows, time, interval '60 s') GROUP BY 1, 2) "
    "SELECT window_start, dst_as, n FROM a WHERE n > 100000 UNION ALL SELECT window_start, 0, n FROM a",
    "SELECT window_start, least(src_ip, dst_ip) AS a, greatest(src_ip, dst_ip) AS b, sum(packets) AS packets FROM "
    "tumble(flows, time, interval '300 s') GROUP BY window_start, least(src_ip, dst_ip), greatest(src_ip, dst_ip) "
    "HAVING count(DISTINCT src_ip) = 1",
    "CREATE MATERIALIZED VIEW of_sites WITH (sites = 'fra,ams', \"filter.fra\" = 'src_as < 15', placement = 'edge') AS "
    "SELECT window_start, site, dst_as, sum(octets) AS octets FROM tumble(flows, time, interval '60 s') "
    "WHERE protocol = 6 GROUP BY window_start, site, dst_as",
};

TEST(SqlIsItsDiagram, ForQueriesOfEveryKind) {
  std::vector<Pair> pairs;
  for (const char* sql : kWritten) pairs.push_back(pair_of(sql));
  for (uint64_t seed = 1; seed <= 2; ++seed) {
    std::mt19937_64 random(seed);
    const auto flows = make_ipv4_flows(random, 3000, seed == 1 ? 30 * kSecond : 200 * kSecond);
    for (const Pair& pair : pairs) EXPECT_GT(expect_same_rows({pair}, flows, seed), 0u) << pair.sql;
  }
}

/// Queries by chance.
class Maker {
 public:
  explicit Maker(std::mt19937_64& random) : random_(random) {}

  std::string query() {
    switch (below(5)) {
      case 0: return rows();
      case 1: return fmt::format("SELECT window_start, n FROM ({}) q WHERE n > {}", grouped("flows"), below(5));
      case 2:
        return fmt::format(
            "SELECT window_start, count(*) AS windows, sum(n) AS n, max(a) AS a FROM ({}) q GROUP BY window_start",
            grouped("flows"));
      case 3: {
        const std::string columns =
            "time, octets, packets, dst_port, protocol, tcp_flags, src_as, dst_as, site, "
            "protocol_version, src_ip, dst_ip, exporter";
        return grouped(fmt::format("(SELECT {0} FROM flows WHERE {1} UNION ALL SELECT {0} FROM flows WHERE {2})",
                                   columns, condition(2), condition(1)));
      }
      default: return grouped("flows");
    }
  }

 private:
  uint64_t below(uint64_t bound) { return random_() % bound; }
  template <size_t kCount>
  const char* one_of(const char* const (&list)[kCount]) {
    return list[below(kCount)];
  }

  std::string rows() {
    return fmt::format("SELECT time, {} AS a, {} AS b, {} AS c, {} AS d FROM flows WHERE {}", whole(2), real(2),
                       text(2), address(1), condition(3));
  }
  std::string grouped(const std::string& from) {
    std::string keys, names;
    const uint64_t count = below(4);
    for (uint64_t i = 0; i < count; ++i) {
      const std::string key = below(3) == 0   ? whole(2)
                              : below(3) == 0 ? text(1)
                              : below(2) == 0 ? address(1)
                                              : column();
      keys += fmt::format(", {} AS key{}", key, i);
      names += fmt::format(", {}", i + 2);
    }
    const char* const kWindows[] = {"tumble({}, time, interval '60 s')", "tumble({}, time, interval '45 s')",
                                    "hop({}, time, interval '30 s', interval '60 s')",
                                    "hop({}, time, interval '20 s', interval '100 s')"};
    const std::string window = fmt::format(fmt::runtime(one_of(kWindows)), from);
    std::string made = fmt::format("SELECT window_start{}, count(*) AS n, {} AS a, {} AS b, {} AS c FROM {}", keys,
                                   aggregate(), aggregate(), below(2) ? "avg(octets)" : aggregate(), window);
    if (below(3) > 0) made += " WHERE " + condition(2);
    made += " GROUP BY window_start" + names;
    if (below(3) == 0) made += fmt::format(" HAVING {} > {}", aggregate(), below(100));
    return made;
  }
  std::string aggregate() {
    switch (below(7)) {
      case 0: return fmt::format("sum({})", whole(2));
      case 1: return fmt::format("avg({})", below(2) ? whole(1) : real(1));
      case 2: return fmt::format("{}({})", below(2) ? "min" : "max", whole(2));
      case 3: return fmt::format("count(DISTINCT {})", below(2) ? address(1) : whole(1));
      case 4: return fmt::format("count({})", below(2) ? "src_as" : whole(1));
      case 5: return fmt::format("count(*) FILTER (WHERE {})", condition(1));
      default: return fmt::format("sum(octets) / {}", below(2) ? "60" : "sum(dst_port)");
    }
  }
  std::string column() {
    const char* const kColumns[] = {"octets", "packets", "dst_port", "protocol", "tcp_flags", "src_as", "dst_as"};
    return one_of(kColumns);
  }
  /// No product of two 32 bits: it ends there in SQL only.
  std::string whole(int depth) {
    if (depth == 0) return below(4) ? column() : std::to_string(below(100));
    switch (below(11)) {
      case 0: return fmt::format("({} + {})", whole(depth - 1), whole(depth - 1));
      case 1: return fmt::format("({} - {})", whole(depth - 1), whole(depth - 1));
      case 2: return fmt::format("{} * {}", column(), below(50));
      case 3: return fmt::format("({} / {})", whole(depth - 1), below(2) ? "7" : "(dst_port - 3)");
      case 4: return fmt::format("({} % {})", whole(depth - 1), 1 + below(9));
      case 5: return fmt::format("CASE WHEN {} THEN {} ELSE {} END", condition(1), whole(depth - 1), whole(depth - 1));
      case 6: return fmt::format("greatest({}, {})", whole(depth - 1), whole(depth - 1));
      case 7: return fmt::format("(tcp_flags & {})", 1 + below(63));
      case 8: return fmt::format("CASE protocol WHEN 6 THEN {} WHEN 17 THEN {} ELSE 0 END", whole(depth - 1), column());
      case 9: return fmt::format("abs(-{})", whole(depth - 1));
      default: return column();
    }
  }
  std::string real(int depth) {
    switch (below(4)) {
      case 0: return fmt::format("({} / 3.5)", whole(depth - 1));
      case 1: return fmt::format("{}::double precision", column());
      case 2: return fmt::format("sqrt(abs({}))", whole(depth - 1));
      default: return fmt::format("({} * 0.1 + {})", whole(depth - 1), below(9));
    }
  }
  std::string text(int depth) {
    if (depth == 0) return below(2) ? "site" : "protocol_version";
    switch (below(4)) {
      case 0: return fmt::format("CASE WHEN {} THEN 'a' ELSE {} END", condition(1), text(depth - 1));
      case 1: return fmt::format("({} || 'it''s' || {})", text(depth - 1), text(0));
      default: return text(0);
    }
  }
  std::string address(int depth) {
    const char* const kAddresses[] = {"src_ip", "dst_ip", "exporter"};
    if (depth > 0 && below(4) == 0) return fmt::format("least({}, {})", address(0), address(0));
    return one_of(kAddresses);
  }
  std::string condition(int depth) {
    const char* const kComparisons[] = {"=", "<>", "<", "<=", ">", ">="};
    if (depth > 0) {
      switch (below(6)) {
        case 0: return fmt::format("({} AND {})", condition(depth - 1), condition(depth - 1));
        case 1: return fmt::format("({} OR {} OR {})", condition(depth - 1), condition(0), condition(depth - 1));
        case 2: return fmt::format("NOT {}", condition(depth - 1));
        case 3: return fmt::format("({}) IS {}", condition(depth - 1), below(2) ? "TRUE" : "NOT FALSE");
        case 4: return fmt::format("({}) {} ({})", condition(depth - 1), below(2) ? "=" : "<>", condition(depth - 1));
        default: break;
      }
    }
    switch (below(8)) {
      case 0: return fmt::format("{} IN ({}, {})", column(), below(20), column());
      case 1: return fmt::format("{} NOT BETWEEN {} AND {}", column(), below(20), below(2000));
      case 2: return fmt::format("{} {} 'ams'", text(0), one_of(kComparisons));
      case 3: return fmt::format("{} <<= '10.0.{}.0/{}'", address(1), below(3), 20 + below(12));
      case 4: return fmt::format("{} {} '10.0.1.{}'", address(1), one_of(kComparisons), below(256));
      case 5: return fmt::format("{} {} {}", address(0), one_of(kComparisons), address(0));
      default: return fmt::format("{} {} {}", whole(1), one_of(kComparisons), whole(1));
    }
  }

  std::mt19937_64& random_;
};

uint64_t rounds() {
  const char* given = std::getenv("BACKSTREAM_PROPERTY_ROUNDS");
  return given == nullptr ? 6 : std::strtoull(given, nullptr, 10);
}

TEST(SqlIsItsDiagram, ForQueriesByChance) {
  for (uint64_t seed = 1; seed <= rounds(); ++seed) {
    std::mt19937_64 random(seed);
    const auto flows = make_ipv4_flows(random, 1500, 200 * kSecond);
    Maker maker(random);
    size_t rows = 0;
    for (int i = 0; i < 20; ++i) {
      const Pair pair = pair_of(maker.query());
      rows += expect_same_rows({pair}, flows, seed);
      if (HasFailure()) FAIL() << "seed " << seed;
    }
    EXPECT_GT(rows, 100u) << "seed " << seed;
  }
}

}  // namespace
}  // namespace backstream
