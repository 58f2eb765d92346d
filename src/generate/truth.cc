#include "generate/truth.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <functional>
#include <map>
#include <set>
#include <stdexcept>
#include <system_error>
#include <unordered_map>
#include <unordered_set>

namespace backstream::generate {

/// One standard query: its text, and how it is answered.
struct Truth::Query {
  std::string name, sql, header;
  explicit Query(std::string_view query_name) : name(query_name) {}
  virtual ~Query() = default;
  virtual void add(const Record& record) = 0;
  /// Calls row(line) for each row of the answer.
  virtual void rows(const std::function<void(const std::string&)>& row) const = 0;
};

namespace {

using base::Micros;
constexpr Micros kSecond = base::kMicrosPerSecond;

Micros window_of(const Record& r, Micros seconds) { return base::floor_to(r.end, seconds * kSecond); }
std::string time_text(Micros time) { return base::format_timestamp(time); }
uint64_t octets(const Record& r) { return r.octets * r.sampling_rate; }
uint64_t packets(const Record& r) { return r.packets * r.sampling_rate; }

/// Shortest text that reads back alike; whole numbers without a point.
std::string number_text(double value) {
  char text[40];
  const auto end = std::to_chars(text, text + sizeof text, value, std::chars_format::fixed).ptr;
  return {text, end};
}

/// What the groups of the smaller queries keep.
struct Sums {
  uint64_t count = 0, a = 0, b = 0, c = 0, d = 0;
  uint64_t least = UINT64_MAX, greatest = 0;
  bool every = true, some = false;
  std::set<std::string> first, second;
};

/// Groups named by the text of their keys.
class Grouped final : public Truth::Query {
 public:
  using Key = std::function<std::string(const Record&)>;  ///< empty: the record is left out
  using Update = std::function<void(Sums&, const Record&)>;
  using Result = std::function<std::string(const Sums&)>;
  Grouped(std::string_view query_name, std::string_view query_header, std::string_view query_sql, Micros seconds,
          Key key, Update update, Result result, Micros slide_seconds = 0)
      : Query(query_name),
        seconds_(seconds),
        slide_(slide_seconds == 0 ? seconds : slide_seconds),
        key_(std::move(key)),
        update_(std::move(update)),
        result_(std::move(result)) {
    header = query_header;
    sql = query_sql;
  }
  void add(const Record& r) override {
    const std::string key = key_(r);
    if (key.empty()) return;
    for (Micros start = window_of(r, slide_); start > r.end - seconds_ * kSecond; start -= slide_ * kSecond)
      update_(groups_[{start, key}], r);
  }
  void rows(const std::function<void(const std::string&)>& row) const override {
    for (const auto& [key, sums] : groups_) {
      // A key of "-" stands for no key beside the window.
      const std::string keys = key.second == "-" ? "" : "," + key.second;
      row(fmt::format("{}{},{}", time_text(key.first), keys, result_(sums)));
    }
  }

 private:
  Micros seconds_, slide_;
  Key key_;
  Update update_;
  Result result_;
  std::map<std::pair<Micros, std::string>, Sums> groups_;
};

struct PairHash {
  size_t operator()(const std::tuple<Micros, uint64_t, uint64_t>& key) const noexcept {
    const auto& [a, b, c] = key;
    uint64_t hash = static_cast<uint64_t>(a) * 0x9e3779b97f4a7c15 ^ b;
    hash = (hash ^ hash >> 29) * 0xbf58476d1ce4e5b9 ^ c;
    return (hash ^ hash >> 32) * 0x94d049bb133111eb;
  }
};

class TrafficMatrix final : public Truth::Query {
 public:
  TrafficMatrix() : Query("traffic_matrix") {
    header = "window_start,src_as,dst_as,octets";
    sql =
        "SELECT window_start, src_as, dst_as, sum(octets) AS octets\nFROM tumble(flows, time, interval '300 s')\n"
        "GROUP BY window_start, src_as, dst_as";
  }
  void add(const Record& r) override { groups_[{window_of(r, 300), r.source_as, r.destination_as}] += octets(r); }
  void rows(const std::function<void(const std::string&)>& row) const override {
    for (const auto& [key, sum] : groups_) {
      row(fmt::format("{},{},{},{}", time_text(std::get<0>(key)), std::get<1>(key), std::get<2>(key), sum));
    }
  }

 private:
  std::unordered_map<std::tuple<Micros, uint64_t, uint64_t>, uint64_t, PairHash> groups_;
};

class PortSweep final : public Truth::Query {
 public:
  PortSweep() : Query("port_sweep") {
    header = "window_start,src_ip,dst_ip,ports";
    sql =
        "SELECT window_start, src_ip, dst_ip, count(DISTINCT dst_port) AS ports\nFROM tumble(flows, time, interval '60 "
        "s')\n"
        "WHERE packets_raw = 1\nGROUP BY window_start, src_ip, dst_ip HAVING count(DISTINCT dst_port) > 100";
  }
  void add(const Record& r) override {
    if (r.packets != 1 || !r.has_ports) return;
    groups_[{window_of(r, 60), host(r.source), host(r.destination)}].insert(r.destination_port);
  }
  void rows(const std::function<void(const std::string&)>& row) const override {
    for (const auto& [key, ports] : groups_) {
      if (ports.size() <= 100) continue;
      row(fmt::format("{},{},{},{}", time_text(std::get<0>(key)), base::to_string(hosts_[std::get<1>(key)]),
                      base::to_string(hosts_[std::get<2>(key)]), ports.size()));
    }
  }

 private:
  uint64_t host(const base::Inet& inet) {
    const auto [at, fresh] =
        numbers_.try_emplace(std::tuple(static_cast<Micros>(inet.family), inet.hi, inet.lo), hosts_.size());
    if (fresh) hosts_.push_back(inet);
    return at->second;
  }
  std::unordered_map<std::tuple<Micros, uint64_t, uint64_t>, uint64_t, PairHash> numbers_;
  std::vector<base::Inet> hosts_;
  std::unordered_map<std::tuple<Micros, uint64_t, uint64_t>, std::unordered_set<uint16_t>, PairHash> groups_;
};

/// The ten hosts of a window that sent most; of equal ones the first by address.
class TopTalkers final : public Truth::Query {
 public:
  TopTalkers() : Query("top_talkers") {
    header = "window_start,src_ip,octets";
    sql =
        "SELECT window_start, src_ip, sum(octets) AS octets\nFROM tumble(flows, time, interval '300 s')\n"
        "GROUP BY window_start, src_ip ORDER BY octets DESC LIMIT 10";
  }
  void add(const Record& r) override {
    windows_[window_of(r, 300)][{r.source.family, r.source.hi, r.source.lo}] += octets(r);
  }
  void rows(const std::function<void(const std::string&)>& row) const override {
    for (const auto& [window, hosts] : windows_) {
      std::vector<std::pair<std::tuple<uint8_t, uint64_t, uint64_t>, uint64_t>> order(hosts.begin(), hosts.end());
      std::sort(order.begin(), order.end(), [](const auto& a, const auto& b) {
        return a.second != b.second ? a.second > b.second : a.first < b.first;
      });
      for (size_t i = 0; i < std::min<size_t>(10, order.size()); ++i) {
        const auto& [family, hi, lo] = order[i].first;
        const base::Inet inet = family == 4 ? base::Inet::v4(static_cast<uint32_t>(hi >> 32)) : base::Inet::v6(hi, lo);
        row(fmt::format("{},{},{}", time_text(window), base::to_string(inet), order[i].second));
      }
    }
  }

 private:
  std::map<Micros, std::map<std::tuple<uint8_t, uint64_t, uint64_t>, uint64_t>> windows_;
};

std::vector<std::unique_ptr<Truth::Query>> make_all() {
  std::vector<std::unique_ptr<Truth::Query>> all;
  all.push_back(std::make_unique<TrafficMatrix>());
  all.push_back(std::make_unique<PortSweep>());
  all.push_back(std::make_unique<TopTalkers>());
  const auto grouped = [&](auto&&... arguments) {
    all.push_back(std::make_unique<Grouped>(std::forward<decltype(arguments)>(arguments)...));
  };
  const auto number = [](uint64_t value) { return std::to_string(value); };

  grouped(
      "exporter_totals", "window_start,exporter,flows,octets,packets",
      "SELECT window_start, exporter, count(*) AS flows, sum(octets) AS octets, sum(packets) AS packets\n"
      "FROM tumble(flows, time, interval '60 s') GROUP BY window_start, exporter",
      60, [](const Record& r) { return base::to_string(r.exporter); },
      [](Sums& s, const Record& r) {
        ++s.count;
        s.a += octets(r);
        s.b += packets(r);
      },
      [](const Sums& s) { return fmt::format("{},{},{}", s.count, s.a, s.b); });
  grouped(
      "protocol_mix", "window_start,protocol,flows,octets,mean_packets",
      "SELECT window_start, protocol, count(*) AS flows, sum(octets) AS octets, avg(packets_raw) AS mean_packets\n"
      "FROM tumble(flows, time, interval '60 s') GROUP BY window_start, protocol",
      60, [=](const Record& r) { return number(r.ip_protocol); },
      [](Sums& s, const Record& r) {
        ++s.count;
        s.a += octets(r);
        s.b += r.packets;
      },
      [](const Sums& s) {
        return fmt::format("{},{},{}", s.count, s.a,
                           number_text(static_cast<double>(s.b) / static_cast<double>(s.count)));
      });
  grouped(
      "hop_totals", "window_start,flows,octets",
      "SELECT window_start, count(*) AS flows, sum(octets) AS octets\n"
      "FROM hop(flows, time, interval '60 s', interval '300 s') GROUP BY window_start",
      300, [](const Record&) { return std::string("-"); },
      [](Sums& s, const Record& r) {
        ++s.count;
        s.a += octets(r);
      },
      [](const Sums& s) { return fmt::format("{},{}", s.count, s.a); }, 60);
  grouped(
      "as_extremes", "window_start,dst_as,least,greatest",
      "SELECT window_start, dst_as, min(octets_raw) AS least, max(octets_raw) AS greatest\n"
      "FROM tumble(flows, time, interval '300 s') GROUP BY window_start, dst_as",
      300, [=](const Record& r) { return number(r.destination_as); },
      [](Sums& s, const Record& r) {
        s.least = std::min(s.least, r.octets);
        s.greatest = std::max(s.greatest, r.octets);
      },
      [](const Sums& s) { return fmt::format("{},{}", s.least, s.greatest); });
  grouped(
      "ip_versions", "window_start,v4,v6,v6_octets",
      "SELECT window_start, count(*) FILTER (WHERE family(src_ip) = 4) AS v4, count(*) FILTER (WHERE family(src_ip) = "
      "6) AS v6,\n"
      "       sum(CASE WHEN family(src_ip) = 6 THEN octets ELSE 0 END) AS v6_octets\n"
      "FROM tumble(flows, time, interval '60 s') GROUP BY window_start",
      60, [](const Record&) { return std::string("-"); },
      [](Sums& s, const Record& r) {
        (r.source.family == 4 ? s.a : s.b) += 1;
        s.c += r.source.family == 6 ? octets(r) : 0;
      },
      [](const Sums& s) { return fmt::format("{},{},{}", s.a, s.b, s.c); });
  grouped(
      "source_prefixes", "window_start,prefix,octets",
      "SELECT window_start, network(set_masklen(src_ip, 24)) AS prefix, sum(octets) AS octets\n"
      "FROM tumble(flows, time, interval '300 s') WHERE family(src_ip) = 4 GROUP BY window_start, prefix",
      300,
      [](const Record& r) {
        if (r.source.family != 4) return std::string();
        const uint32_t a = r.source.v4_address();
        return fmt::format("{}.{}.{}.0/24", a >> 24, a >> 16 & 255, a >> 8 & 255);
      },
      [](Sums& s, const Record& r) { s.a += octets(r); }, [=](const Sums& s) { return number(s.a); });
  grouped(
      "tcp_flags", "window_start,in_if,flags,single,large",
      "SELECT window_start, in_if, bit_or(tcp_flags) AS flags, bool_and(packets_raw = 1) AS single, "
      "bool_or(packets_raw > 100) AS large\n"
      "FROM tumble(flows, time, interval '60 s') WHERE protocol = 6 GROUP BY window_start, in_if",
      60, [=](const Record& r) { return r.ip_protocol == 6 ? number(r.in_if) : std::string(); },
      [](Sums& s, const Record& r) {
        s.a |= r.tcp_flags;
        s.every = s.every && r.packets == 1;
        s.some = s.some || r.packets > 100;
      },
      [](const Sums& s) { return fmt::format("{},{},{}", s.a, s.every ? "t" : "f", s.some ? "t" : "f"); });
  grouped(
      "interfaces", "window_start,in_if,out_if,octets,packets",
      "SELECT window_start, in_if, out_if, sum(octets) AS octets, sum(packets) AS packets\n"
      "FROM tumble(flows, time, interval '60 s') GROUP BY window_start, in_if, out_if",
      60, [](const Record& r) { return fmt::format("{},{}", r.in_if, r.out_if); },
      [](Sums& s, const Record& r) {
        s.a += octets(r);
        s.b += packets(r);
      },
      [](const Sums& s) { return fmt::format("{},{}", s.a, s.b); });
  grouped(
      "distinct_hosts", "window_start,src_as,sources,destinations",
      "SELECT window_start, src_as, count(DISTINCT src_ip) AS sources, count(DISTINCT dst_ip) AS destinations\n"
      "FROM tumble(flows, time, interval '300 s') GROUP BY window_start, src_as",
      300, [=](const Record& r) { return number(r.source_as); },
      [](Sums& s, const Record& r) {
        s.first.insert(base::to_string(r.source));
        s.second.insert(base::to_string(r.destination));
      },
      [](const Sums& s) { return fmt::format("{},{}", s.first.size(), s.second.size()); });
  grouped(
      "raw_and_scaled", "window_start,exporter,octets_raw,octets,packets_raw,packets,rate",
      "SELECT window_start, exporter, sum(octets_raw) AS octets_raw, sum(octets) AS octets, sum(packets_raw) AS "
      "packets_raw,\n"
      "       sum(packets) AS packets, max(sampling_rate) AS rate\n"
      "FROM tumble(flows, time, interval '300 s') GROUP BY window_start, exporter",
      300, [](const Record& r) { return base::to_string(r.exporter); },
      [](Sums& s, const Record& r) {
        s.a += r.octets;
        s.b += octets(r);
        s.c += r.packets;
        s.d += packets(r);
        s.greatest = std::max<uint64_t>(s.greatest, r.sampling_rate);
      },
      [](const Sums& s) { return fmt::format("{},{},{},{},{}", s.a, s.b, s.c, s.d, s.greatest); });
  grouped(
      "port_classes", "window_start,class,flows,octets",
      "SELECT window_start, CASE WHEN dst_port < 1024 THEN 'system' WHEN dst_port < 49152 THEN 'user' WHEN dst_port IS "
      "NULL THEN 'none'\n"
      "       ELSE 'dynamic' END AS class, count(*) AS flows, sum(octets) AS octets\n"
      "FROM tumble(flows, time, interval '60 s') GROUP BY window_start, class",
      60,
      [](const Record& r) {
        return std::string(!r.has_ports                 ? "none"
                           : r.destination_port < 1024  ? "system"
                           : r.destination_port < 49152 ? "user"
                                                        : "dynamic");
      },
      [](Sums& s, const Record& r) {
        ++s.count;
        s.a += octets(r);
      },
      [](const Sums& s) { return fmt::format("{},{}", s.count, s.a); });
  return all;
}

void write_file(const std::string& path, const std::function<void(std::ofstream&)>& body) {
  std::ofstream out(path, std::ios::binary);
  if (out) body(out);
  out.close();
  if (!out) throw std::system_error(errno != 0 ? errno : EIO, std::generic_category(), path);
}

}  // namespace

std::vector<std::string> Truth::names() {
  std::vector<std::string> names;
  for (const auto& query : make_all()) names.push_back(query->name);
  return names;
}

Truth::Truth(const std::vector<std::string>& wanted) {
  for (auto& query : make_all()) {
    if (wanted.empty() || std::find(wanted.begin(), wanted.end(), query->name) != wanted.end())
      queries_.push_back(std::move(query));
  }
  for (const std::string& name : wanted) {
    const bool known = std::any_of(queries_.begin(), queries_.end(), [&](const auto& q) { return q->name == name; });
    if (!known) throw std::invalid_argument(fmt::format("no standard query '{}'", name));
  }
}
Truth::~Truth() = default;

void Truth::observe(const Record& record) {
  for (auto& query : queries_) query->add(record);
}

void Truth::write(const std::string& folder) const {
  for (const auto& query : queries_) {
    write_file(folder + '/' + query->name + ".sql", [&](std::ofstream& out) { out << query->sql << ";\n"; });
    write_file(folder + '/' + query->name + ".csv", [&](std::ofstream& out) {
      out << query->header << '\n';
      query->rows([&](const std::string& line) { out << line << '\n'; });
    });
  }
}

}  // namespace backstream::generate
