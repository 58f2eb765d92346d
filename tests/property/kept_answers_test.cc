// The law of plan/kept_answer.h: where it says that the rows of a view answer a question, the SELECT that it writes
// gives the rows of the question, asked of the flows themselves. Views, questions and flows by chance.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <iterator>
#include <random>
#include <span>

#include "plan/bind.h"
#include "plan/kept_answer.h"
#include "random_flows.h"
#include "sql/parse.h"

namespace backstream {
namespace {

using Random = std::mt19937_64;

bool chance(Random& random, unsigned one_in) { return random() % one_in == 0; }
const char* one_of(Random& random, std::span<const char* const> list) { return list[random() % list.size()]; }

constexpr const char* kKeys[] = {"src_as",   "dst_as", "protocol",         "exporter",
                                 "dst_port", "src_ip", "protocol_version", "network(set_masklen(src_ip, 24))"};
constexpr const char* kAggregates[] = {"sum(octets)",
                                       "sum(packets)",
                                       "count(*)",
                                       "count(octets)",
                                       "count(src_as)",
                                       "max(octets)",
                                       "min(dst_port)",
                                       "max(src_ip)",
                                       "avg(octets)",
                                       "avg(octets) FILTER (WHERE protocol = 6)",
                                       "count(DISTINCT dst_as)",
                                       "count(DISTINCT src_ip)",
                                       "approx_count_distinct(dst_port)",
                                       "bit_or(tcp_flags)",
                                       "bit_xor(src_as)",
                                       "bool_and(packets_raw > 1)",
                                       "sum(octets) FILTER (WHERE protocol = 6)",
                                       "count(*) FILTER (WHERE protocol = 6)",
                                       "count(*) FILTER (WHERE packets > 2)",
                                       "sum(octets / 3.0)",
                                       "avg(octets / 7.0)",
                                       "stddev(octets)",
                                       "percentile_disc(0.5) WITHIN GROUP (ORDER BY octets)",
                                       "min(src_as + dst_as)"};
constexpr const char* kConditions[] = {"protocol = 6",
                                       "17 = protocol",
                                       "dst_as IN (1, 2, 3, 4)",
                                       "src_as > 10",
                                       "dst_port < 1000",
                                       "packets > 1",
                                       "exporter <> '127.0.0.1'",
                                       "src_as IS NOT NULL",
                                       "(src_as IS NULL OR NOT dst_as BETWEEN 3 AND 7)",
                                       "protocol_version LIKE '1%'",
                                       "src_ip << '10.0.0.0/9'",
                                       "dst_as = 4",
                                       "CASE WHEN dst_as < 5 THEN src_as ELSE dst_as END < 8",
                                       "src_as IS DISTINCT FROM dst_as",
                                       "time >= '2026-01-31 12:05:00+00'",
                                       "time < '2026-01-31 12:10:00+00'",
                                       "time BETWEEN '2026-01-31 12:02:00+00' AND '2026-01-31 12:08:59.999999+00'",
                                       "time > '2026-01-31 12:03:20+00'"};
constexpr const char* kTumbles[] = {"tumble(flows, time, interval '60 s')", "tumble(flows, time, interval '100 s')",
                                    "tumble(flows, time, interval '60 s', interval '20 s')",
                                    "tumble(flows, time, interval '20 s')"};
constexpr const char* kOthers[] = {"hop(flows, time, interval '60 s', interval '180 s')",
                                   "hop(flows, time, interval '20 s', interval '60 s')",
                                   "tumble(flows, time, interval '300 s')",
                                   "tumble(flows, time, interval '300 s', interval '20 s')",
                                   "tumble(flows, received_at, interval '60 s')",
                                   "tumble(flows, time, interval '1 day', timezone => 'Pacific/Honolulu')",
                                   "session"};
constexpr const char* kHavings[] = {"sum(octets) > 100000", "count(*) > 2", "window_start >= '2026-01-31 12:05:00+00'",
                                    "window_start < '2026-01-31 12:10:00+00'",
                                    "window_end > '2026-01-31 12:06:00+00' AND max(octets) > 5000"};
constexpr const char* kComputed[] = {
    "sum(octets) * 8 / 60", "sum(octets) / count(*)",        "sum(octets) - max(octets)",        "-max(octets)",
    "window_end",           "coalesce(sum(packets), 0) % 7", "extract(minute FROM window_start)"};

struct Asked {
  std::vector<std::string> keys, values, conditions, having;
  std::string from, end;

  std::string text() const {
    std::string select = "SELECT window_start", group = "window_start, window_end", where, having_text;
    for (const std::string& key : keys) {
      select += ", " + key;
      group += ", " + key;
    }
    for (size_t i = 0; i < values.size(); ++i) select += fmt::format(", {} AS v{}", values[i], i);
    for (const std::string& condition : conditions) where += (where.empty() ? " WHERE " : " AND ") + condition;
    for (const std::string& condition : having) having_text += (having_text.empty() ? " HAVING " : " AND ") + condition;
    std::string source = from;
    if (from == "session") {
      source = "session(flows, time, interval '20 s'";
      for (size_t k = 0; k < keys.size(); ++k)
        source += fmt::format("{}{}", k == 0 ? ", partition_by => (" : ", ", keys[k]);
      source += keys.empty() ? ")" : "))";
    }
    return fmt::format("{} FROM {}{} GROUP BY {}{}{}", select, source, where, group, having_text, end);
  }
};

template <typename List>
std::vector<std::string> some(Random& random, const List& list, size_t most) {
  std::vector<std::string> chosen;
  for (size_t wanted = random() % (most + 1); chosen.size() < wanted;) {
    std::string one(list[random() % std::size(list)]);
    if (std::find(chosen.begin(), chosen.end(), one) == chosen.end()) chosen.push_back(std::move(one));
    else --wanted;
  }
  return chosen;
}

Asked random_view(Random& random) {
  Asked view;
  view.keys = some(random, kKeys, 4);
  view.values = some(random, kAggregates, 7);
  if (view.values.empty()) view.values = {"count(*)"};
  if (chance(random, 4)) view.values.emplace_back(one_of(random, kComputed));
  if (chance(random, 3)) view.conditions = some(random, kConditions, 2);
  if (chance(random, 10)) view.having = some(random, kHavings, 1);
  view.from = chance(random, 4) ? one_of(random, kOthers) : one_of(random, kTumbles);
  if (view.from == "session") std::erase_if(view.keys, [](const std::string& key) { return key.ends_with(')'); });
  else if (chance(random, 12)) view.end = " ORDER BY v0 DESC LIMIT 4";
  return view;
}

/// Mostly near to what the view keeps, so that it is often answered.
Asked random_question(Random& random, const Asked& view) {
  Asked asked;
  for (const std::string& key : view.keys) {
    if (!chance(random, 2)) asked.keys.push_back(key);
  }
  if (chance(random, 3)) asked.keys = view.keys;
  if (chance(random, 8)) asked.keys.emplace_back("dst_as % 3");
  if (chance(random, 10)) asked.keys.emplace_back("CASE WHEN protocol = 6 THEN 'tcp' ELSE text(exporter) END");
  for (const std::string& value : view.values) {
    if (!chance(random, 3)) asked.values.push_back(value);
  }
  if (chance(random, 3)) asked.values.emplace_back(one_of(random, kAggregates));
  if (chance(random, 4)) asked.values.emplace_back(one_of(random, kComputed));
  if (asked.values.empty()) asked.values = {"count(*)"};
  asked.conditions = view.conditions;
  if (chance(random, 2)) {
    for (std::string& more : some(random, kConditions, 2)) asked.conditions.push_back(std::move(more));
  }
  asked.having = view.having;
  if (chance(random, 4)) asked.having = some(random, kHavings, 2);
  constexpr const char* kLonger[] = {"tumble(flows, time, interval '300 s')",
                                     "tumble(flows, time, interval '300 s', interval '20 s')",
                                     "hop(flows, time, interval '60 s', interval '180 s')",
                                     "tumble(flows, time, interval '1 day', timezone => 'Pacific/Honolulu')"};
  asked.from = chance(random, 2) ? view.from : chance(random, 8) ? one_of(random, kTumbles) : one_of(random, kLonger);
  if (asked.from == "session") asked.keys = view.keys;
  asked.end = chance(random, 3) || asked.from == "session" ? view.end
              : chance(random, 3)                          ? " ORDER BY v0 DESC LIMIT 3"
                                                           : "";
  if (asked.end == view.end && !view.end.empty())
    asked.keys = view.keys, asked.values = view.values, asked.having = view.having;
  return asked;
}

/// Runs queries over the same flows, none of which is late. Rows by query, in order.
std::vector<std::vector<std::string>> rows_of(const std::vector<std::string>& texts, const std::vector<Flow>& flows) {
  plan::Catalog catalog;
  exec::Engine engine({});
  Rows sink;
  for (const std::string& text : texts) {
    auto statements = sql::parse(text, "");
    EXPECT_TRUE(statements.has_value()) << text;
    auto query = plan::bind(statements->front(), text, catalog);
    EXPECT_TRUE(query.has_value()) << text << ": " << query.error().message;
    plan::rewrite(*query);
    if (query->is_view) catalog.add_view(*query);
    engine.add_query(std::make_unique<plan::Query>(std::move(*query)), &sink);
  }
  const std::vector<batch::Type> types = batch::flow_schema().types();
  batch::BatchBuffer buffer(types, engine.columns_used("flows", types.size()), 512);
  buffer.batch.row_count = 0;
  for (const Flow& flow : flows) {
    put(buffer.batch, flow);
    if (buffer.batch.row_count < 512) continue;
    engine.process("flows", buffer.batch, 0);
    buffer.batch.row_count = 0;
  }
  engine.process("flows", buffer.batch, 0);
  engine.finish();
  std::vector<std::vector<std::string>> rows(texts.size());
  for (const std::string& row : sink.sorted()) {
    const size_t end = row.find('|');
    rows[std::stoull(row.substr(0, end))].push_back(row.substr(end + 1));
  }
  return rows;
}

/// Last digits may differ.
bool nearly(const std::string& a, const std::string& b) {
  size_t i = 0, k = 0;
  while (i < a.size() && k < b.size()) {
    const size_t end_a = std::min(a.find('|', i), a.size()), end_b = std::min(b.find('|', k), b.size());
    const std::string x = a.substr(i, end_a - i), y = b.substr(k, end_b - k);
    const double left = std::strtod(x.c_str(), nullptr), right = std::strtod(y.c_str(), nullptr);
    if (x != y && !(std::abs(left - right) <= 1e-9 * std::max(std::abs(left), 1.0) && left != 0)) return false;
    i = end_a + 1;
    k = end_b + 1;
  }
  return i >= a.size() && k >= b.size();
}

uint64_t rounds() {
  const char* given = std::getenv("BACKSTREAM_PROPERTY_ROUNDS");
  return given == nullptr ? 60 : std::strtoull(given, nullptr, 10);
}

TEST(KeptAnswers, AreTheRowsOfTheQuestion) {
  size_t asked_count = 0, answered = 0, with_rows = 0, grouped = 0;
  for (uint64_t seed = 1; seed <= rounds(); ++seed) {
    Random random(seed);
    const auto flows = make_flows(random, 400 + random() % 1200, 30 * kSecond);
    const Asked view = random_view(random);
    std::vector<std::string> texts = {"CREATE MATERIALIZED VIEW kept AS " + view.text()};
    plan::Catalog catalog;
    const plan::BindText bind = [&](const std::string& text) -> base::Result<plan::Query> {
      auto statements = sql::parse(text, "");
      if (!statements) return tl::unexpected(statements.error());
      auto query = plan::bind(statements->front(), text, catalog);
      if (query) plan::rewrite(*query);
      return query;
    };
    const auto bound = bind(texts[0]);
    ASSERT_TRUE(bound.has_value()) << texts[0] << ": " << bound.error().message;
    catalog.add_view(*bound);
    enum class Same { kWholly, kNearly, kElsewhere };  // kElsewhere: of other times than were asked for.
    std::vector<Same> same;
    for (int q = 0; q < 12; ++q) {
      const std::string text = random_question(random, view).text();
      const auto question = bind(text);
      ASSERT_TRUE(question.has_value()) << text << ": " << question.error().message;
      ASSERT_EQ(plan::question_obstacle(*question), "");
      const plan::KeptAnswer answer = plan::answer_from(*question, *bound, bind, std::nullopt);
      ++asked_count;
      ASSERT_NE(answer.text.empty(), answer.reasons.empty()) << texts[0] << "; " << text;
      for (const std::string& reason : answer.reasons)
        ASSERT_FALSE(reason.starts_with("no text")) << texts[0] << "; " << text;
      if (answer.text.empty()) continue;
      ++answered;
      grouped += answer.text.find("GROUP BY") != std::string::npos;
      texts.push_back(text);
      texts.push_back(answer.text);
      const bool whole_windows = !answer.notes.empty() && answer.notes[0].find("taken whole") != std::string::npos;
      same.push_back(whole_windows ? Same::kElsewhere : answer.notes.empty() ? Same::kWholly : Same::kNearly);
    }
    const auto rows = rows_of(texts, flows);
    for (size_t q = 0; q < same.size(); ++q) {
      const std::string what =
          fmt::format("{}\nquestion {}\nanswer   {}\nseed {}", texts[0], texts[1 + 2 * q], texts[2 + 2 * q], seed);
      const auto &asked = rows[1 + 2 * q], &given = rows[2 + 2 * q];
      with_rows += !asked.empty();
      if (same[q] == Same::kWholly) {
        ASSERT_EQ(asked, given) << what;
      }
      if (same[q] != Same::kNearly) continue;
      ASSERT_EQ(asked.size(), given.size()) << what;
      for (size_t r = 0; r < asked.size(); ++r)
        ASSERT_TRUE(nearly(asked[r], given[r])) << asked[r] << '\n' << given[r] << '\n' << what;
    }
  }
  std::printf("%zu questions, %zu answered, %zu with rows, %zu by groups of rows\n", asked_count, answered, with_rows,
              grouped);
  EXPECT_GT(answered, asked_count / 10);
  EXPECT_GT(with_rows, answered / 2);
  EXPECT_GT(grouped, answered / 5);
}

}  // namespace
}  // namespace backstream
