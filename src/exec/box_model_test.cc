// Boxes on random tuples give what a plain model of each gives, tuple by tuple, however rows are cut and dealt.
#include <list>
#include <random>

#include "exec/box_diagram_test.h"

namespace backstream::exec {
namespace {

std::vector<Row> random_rows(std::mt19937_64& random, size_t count, bool two_streams) {
  std::vector<Row> rows;
  int64_t at = 1'000, v = 0;
  for (size_t i = 0; i < count; ++i) {
    at += static_cast<int64_t>(random() % 3 == 0 ? 1 + random() % 700 : 1);
    v += static_cast<int64_t>(random() % 5) - 1 + (random() % 40 == 0 ? 30 : 0);
    Row row{at, static_cast<int64_t>(random() % 3), v - static_cast<int64_t>(random() % 4),
            static_cast<uint32_t>(random() % 3)};
    if (two_streams && random() % 2 == 0) row.stream = "other";
    rows.push_back(row);
  }
  return rows;
}

/// Rows in another order of coming, those of an edge in theirs: as edges send them.
std::vector<Row> dealt(std::mt19937_64& random, const std::vector<Row>& rows) {
  std::vector<Row> parts[3], out;
  for (const Row& row : rows) parts[row.edge].push_back(row);
  size_t next[3] = {};
  while (out.size() < rows.size()) {
    const size_t edge = random() % 3;
    if (next[edge] < parts[edge].size()) out.push_back(parts[edge][next[edge]++]);
  }
  return out;
}

std::string joined(const std::vector<std::string>& all) {
  std::string text;
  for (const std::string& each : all) text += (text.empty() ? "" : " | ") + each;
  return text;
}

void expect_in_any_way(std::mt19937_64& random, const std::shared_ptr<const plan::Query>& query,
                       const std::vector<Row>& rows, const std::string& expected, const std::string& what) {
  for (const size_t batch_rows : {size_t{1}, size_t{7}, size_t{batch::kBatchRows}}) {
    Way way{batch_rows, random() % 2 == 0, random() % 4 == 0, random() % 2 == 0};
    ASSERT_EQ(run(query, dealt(random, rows), way).text, expected) << what << " batch " << batch_rows;
  }
}

struct WindowOfModel {
  int64_t k, start, opened_ms, sum = 0, count = 0;
  uint64_t beyond = 0;
};

std::string model_of(const plan::UnboundBoxes::Window& window, const std::vector<Row>& rows) {
  const auto size = static_cast<int64_t>(window.size), advance = static_cast<int64_t>(window.advance);
  std::list<WindowOfModel> open;  // As they were opened.
  std::map<int64_t, int64_t> next;
  std::vector<std::string> out;
  const auto send = [&](const WindowOfModel& w) {
    if (window.drops_empty && w.count == 0) return;
    out.push_back(std::to_string(w.k) + " " + std::to_string(w.start) + " " +
                  (w.count == 0 ? "null" : std::to_string(w.sum)) + " " + std::to_string(w.count));
  };
  for (const Row& row : rows) {
    const int64_t k = *row.k, v = *row.v;
    while (window.timeout_seconds && !open.empty() &&
           static_cast<double>(row.at_ms - open.front().opened_ms) > *window.timeout_seconds * 1'000) {
      send(open.front());
      open.pop_front();
    }
    if (window.by_values) {
      if (!next.contains(k))
        next[k] =
            window.is_aligned ? static_cast<int64_t>(std::floor(static_cast<double>(v) / window.advance)) * advance : v;
      for (; next[k] <= v; next[k] += advance) open.push_back({k, next[k], row.at_ms});
      for (auto w = open.begin(); w != open.end();) {
        if (w->k == k && v >= w->start + size && w->beyond++ >= window.slack) {
          send(*w);
          w = open.erase(w);
          continue;
        }
        if (w->k == k && v >= w->start && v < w->start + size) {
          w->sum += v;
          ++w->count;
        }
        ++w;
      }
      continue;
    }
    const auto last = std::find_if(open.rbegin(), open.rend(), [&](const WindowOfModel& w) { return w.k == k; });
    if (last == open.rend() || last->count >= advance) open.push_back({k, v, row.at_ms});
    for (auto w = open.begin(); w != open.end();) {
      if (w->k == k) {
        w->sum += v;
        if (++w->count == size) {
          send(*w);
          w = open.erase(w);
          continue;
        }
      }
      ++w;
    }
  }
  if (window.by_values && !window.timeout_seconds)
    open.sort([](const WindowOfModel& a, const WindowOfModel& b) { return a.start < b.start; });
  if (window.by_values || window.timeout_seconds) {
    for (const WindowOfModel& w : open) send(w);
  }
  return joined(out);
}

TEST(BoxModel, Aggregates) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    const std::vector<Row> rows = random_rows(random, 150, false);
    Diagram d;
    const auto size = static_cast<double>(1 + random() % 12);
    plan::UnboundBoxes::Window& window =
        d.aggregate(Diagram::source(), "sum(v) AS s, count(*) AS c", size, static_cast<double>(1 + random() % 12));
    window.advance = std::min(window.advance, size);
    window.by_values = random() % 3 != 0;
    window.slack = window.by_values ? random() % 4 : 0;
    if (random() % 2 == 0) window.timeout_seconds = static_cast<double>(random() % 20) / 10;
    window.is_aligned = random() % 2 == 0;
    window.drops_empty = random() % 2 == 0;
    const std::string expected = model_of(window, rows);
    expect_in_any_way(random, d.query(), rows, expected, "seed " + std::to_string(seed));
  }
}

TEST(BoxModel, Joins) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    std::mt19937_64 random(seed);
    const std::vector<Row> rows = random_rows(random, 150, true);
    Diagram d(kTwoSources);
    UnboundBoxes::Box& join =
        d.join(d.source(0), d.source(1), "\"left\".k = \"right\".k", "\"left\".v AS l, \"right\".v AS r");
    for (UnboundBoxes::Side* side : {&join.left, &join.right}) {
      side->by_values = random() % 2 == 0;
      side->size = static_cast<double>(random() % 12);
      if (side->by_values) side->order_on = expr_of("v");
    }
    if (random() % 2 == 0) join.timeout_seconds = static_cast<double>(random() % 20) / 10;
    std::list<Row> buffers[2];
    std::vector<std::string> out;
    for (const Row& row : rows) {
      const size_t own = std::string(row.stream) == "s" ? 0 : 1;
      for (const Row& kept : buffers[1 - own]) {
        if (*kept.k != *row.k) continue;
        const Row &left = own == 0 ? row : kept, &right = own == 0 ? kept : row;
        out.push_back(std::to_string(*left.v) + " " + std::to_string(*right.v));
      }
      std::list<Row>& buffer = buffers[own];
      while (join.timeout_seconds && !buffer.empty() &&
             static_cast<double>(row.at_ms - buffer.front().at_ms) > *join.timeout_seconds * 1'000)
        buffer.pop_front();
      buffer.push_back(row);
      const UnboundBoxes::Side& side = own == 0 ? join.left : join.right;
      while (!buffer.empty() && (side.by_values ? static_cast<double>(*row.v - *buffer.front().v) >= side.size
                                                : static_cast<double>(buffer.size()) > side.size))
        buffer.pop_front();
    }
    expect_in_any_way(random, d.query(), rows, joined(out), "seed " + std::to_string(seed));
  }
}

TEST(BoxModel, Sorts) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    const std::vector<Row> rows = random_rows(random, 150, false);
    const uint64_t slack = random() % 6;
    Diagram d;
    d.map(d.sort(Diagram::source(), "v", slack, "k"), "k, v, at");
    const auto text = [](const Row& row) {
      return std::to_string(*row.k) + " " + std::to_string(*row.v) + " " + std::to_string(row.at_ms) + "ms";
    };
    const auto is_less = [](const Row& a, const Row& b) { return *a.v < *b.v; };
    std::map<int64_t, std::list<Row>> buffers;  // As they came.
    std::vector<std::string> out;
    for (const Row& row : rows) {
      std::list<Row>& buffer = buffers[*row.k];
      buffer.push_back(row);
      if (buffer.size() <= slack) continue;
      const auto least = std::min_element(buffer.begin(), buffer.end(), is_less);  // The first of equal ones.
      out.push_back(text(*least));
      buffer.erase(least);
    }
    std::vector<Row> rest;
    for (const auto& [k, buffer] : buffers) rest.insert(rest.end(), buffer.begin(), buffer.end());
    std::sort(rest.begin(), rest.end(), [](const Row& a, const Row& b) { return a.at_ms < b.at_ms; });
    std::stable_sort(rest.begin(), rest.end(), is_less);
    for (const Row& row : rest) out.push_back(text(row));
    expect_in_any_way(random, d.query(), rows, joined(out), "seed " + std::to_string(seed));
  }
}

TEST(BoxModel, Waits) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    std::mt19937_64 random(seed);
    std::vector<Row> rows = random_rows(random, 150, false);
    for (Row& row : rows) {
      if (random() % 6 == 0) row.stream = "other";
    }
    const double timeout = static_cast<double>(random() % 40) / 10;
    Diagram d(kTwoSources);
    d.map(d.wait_for(d.source(0), d.source(1), "\"left\".k = \"right\".k AND \"left\".v < \"right\".v + 2", timeout),
          "k, v");
    std::list<Row> buffer;
    std::vector<std::string> out;
    for (const Row& row : rows) {
      std::erase_if(buffer,
                    [&](const Row& kept) { return static_cast<double>(row.at_ms - kept.at_ms) > timeout * 1'000; });
      if (std::string(row.stream) == "s") {
        buffer.push_back(row);
        continue;
      }
      std::erase_if(buffer, [&](const Row& kept) {
        if (*kept.k != *row.k || *kept.v >= *row.v + 2) return false;
        out.push_back(std::to_string(*kept.k) + " " + std::to_string(*kept.v));
        return true;
      });
    }
    expect_in_any_way(random, d.query(), rows, joined(out), "seed " + std::to_string(seed));
  }
}

}  // namespace
}  // namespace backstream::exec
