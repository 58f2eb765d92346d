// Arbitrary octets as the saved state of a query. The first octet chooses the query; what follows stands behind the
// head that its own states have. Whatever is taken over must go on: rows, watermarks, the end; and can be saved once
// more.
#include <cstdint>
#include <cstdlib>
#include <iterator>
#include <memory>
#include <string>
#include <vector>

#include "batch/flow_schema.h"
#include "exec/engine.h"
#include "plan/bind.h"
#include "sql/parse.h"

namespace {

using namespace backstream;
using base::Micros;
using batch::FlowColumn;

constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr Micros kStart = 1'769'860'800 * kSecond;
constexpr size_t kHeadOctets = 12;

const char* const kQueries[] = {
    "SELECT window_start, src_as, site, sum(octets), count(DISTINCT dst_port), topk(3, dst_as, octets) FROM hop(flows, "
    "time, interval '30 s', interval '60 s') GROUP BY window_start, src_as, site",
    "SELECT window_start, src_ip, count(*), entropy(dst_port), approx_percentile(octets, 0.9), first(site, time), "
    "approx_count_distinct(src_ip), percentile_disc(0.5) WITHIN GROUP (ORDER BY octets) FROM tumble(flows, time, "
    "interval '60 s') WHERE packets > 1 GROUP BY window_start, src_ip ORDER BY 3 DESC LIMIT 3",
    "SELECT window_start, window_end, sum(octets) FROM tumble(flows, time, interval '1 month', timezone => "
    "'Europe/Berlin') GROUP BY window_start, window_end",
    "SELECT window_start, window_end, src_as, count(*) FROM session(flows, time, interval '20 s', partition_by => "
    "src_as) GROUP BY window_start, window_end, src_as",
    "SELECT window_start, dst_as, lag(count(*), 3) OVER w, ewma(avg(octets)::double precision, interval '90 s') OVER "
    "w, "
    "sum(count(*)) OVER w, counter_delta(sum(octets), 32) OVER w FROM tumble(flows, time, interval '30 s') GROUP BY "
    "window_start, dst_as WINDOW w AS (PARTITION BY dst_as ORDER BY window_start)",
    "SELECT window_start, dst_as, lead(count(*), 2) OVER w, first_value(min(site)) OVER w, avg(sum(octets)) OVER "
    "(PARTITION BY dst_as ORDER BY window_start RANGE '90 s' PRECEDING) FROM tumble(flows, time, interval '30 s') "
    "GROUP "
    "BY window_start, dst_as WINDOW w AS (PARTITION BY dst_as ORDER BY window_start)",
    "SELECT time, src_as, lag(octets, 9) OVER (PARTITION BY src_as ORDER BY time), sum(packets) OVER (ORDER BY time "
    "RANGE BETWEEN '2 s' PRECEDING AND '1 s' FOLLOWING) FROM flows",
    "SELECT window_start, protocol FROM tumble(flows, time, interval '60 s') GROUP BY window_start, protocol UNION ALL "
    "SELECT window_start, dst_as FROM tumble(flows, time, interval '120 s') GROUP BY window_start, dst_as",
    "SELECT a.time, a.src_as, b.octets, b.site FROM flows a FULL JOIN flows b ON a.src_as = b.dst_as AND b.time "
    "BETWEEN "
    "a.time - interval '5 s' AND a.time + interval '20 s'",
    "SELECT a.window_start, a.site, b.n FROM tumble(flows, time, interval '60 s') a JOIN (SELECT window_start, site, "
    "count(*) AS n FROM tumble(flows, time, interval '60 s') GROUP BY window_start, site) b ON a.window_start = "
    "b.window_start AND a.site = b.site",
    "SELECT time, octets FROM flows WHERE octets > 5",
};

/// Bound once: to read the text takes longer than all that follows, and engines share what they do not change.
std::shared_ptr<const plan::Query> bound(size_t number) {
  static const plan::Catalog catalog;
  static std::shared_ptr<const plan::Query> queries[std::size(kQueries)];
  if (queries[number] != nullptr) return queries[number];
  const std::string text = kQueries[number];
  auto statements = sql::parse(text, "");
  if (!statements) std::abort();
  auto query = plan::bind(statements->front(), text, catalog);
  if (!query) std::abort();
  plan::rewrite(*query);
  return queries[number] = std::make_shared<const plan::Query>(std::move(*query));
}

class Running {
 public:
  explicit Running(size_t number) { engine.add_query(bound(number), nullptr); }
  void feed(Micros from, size_t count) {
    const std::vector<batch::Type> types = batch::flow_schema().types();
    batch::BatchBuffer rows(types, engine.columns_used("flows", types.size()), count);
    const auto set = [&](FlowColumn which, size_t row, auto value) {
      auto& column = rows.batch.columns[static_cast<size_t>(which)];
      if (column.values != nullptr) column.as<decltype(value)>()[row] = value;
    };
    for (size_t row = 0; row < count; ++row) {
      const auto i = static_cast<int64_t>(row);
      set(FlowColumn::kTime, row, from + i * 7 * kSecond);
      set(FlowColumn::kOctets, row, i * 100);
      set(FlowColumn::kPackets, row, i % 4);
      set(FlowColumn::kProtocol, row, int64_t{6});
      set(FlowColumn::kSrcAs, row, i % 5);
      set(FlowColumn::kDstAs, row, i % 3);
      set(FlowColumn::kDstPort, row, i % 7);
      set(FlowColumn::kSrcIp, row, base::Inet::v4(static_cast<uint32_t>(i % 4)));
      set(FlowColumn::kSite, row, std::string_view(i % 2 == 0 ? "ams" : "fra"));
    }
    rows.batch.row_count = count;
    engine.process("flows", rows.batch);
  }
  exec::Engine engine{exec::EngineOptions{}};
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 1) return 0;
  const size_t number = data[0] % std::size(kQueries);
  Running running(number);
  std::vector<uint8_t> head;
  Running(number).engine.save_state(0, head);
  std::vector<uint8_t> saved(head.begin(), head.begin() + kHeadOctets);
  saved.insert(saved.end(), data + 1, data + size);
  if (running.engine.restore_state(0, saved)) {
    std::vector<uint8_t> again;
    running.engine.save_state(0, again);
    Running second(number);
    if (!second.engine.restore_state(0, again)) __builtin_trap();
  }
  running.engine.catch_up();
  running.feed(kStart, 16);
  running.engine.advance("flows", kStart + 60 * kSecond);
  running.feed(kStart + 30 * kSecond, 16);
  running.engine.advance("flows", kStart + 200 * kSecond);
  running.engine.finish();
  return 0;
}
