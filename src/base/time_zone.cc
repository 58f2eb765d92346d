#include "base/time_zone.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <mutex>
#include <numeric>
#include <optional>
#include <unordered_map>

namespace backstream::base {
namespace {

constexpr Micros kDay = 86'400 * kMicrosPerSecond;
/// The calendar repeats itself, days of the week too, after 400 years: rules are written out that far.
constexpr int kRuleYear = 2040, kLastYear = kRuleYear + 399;
constexpr Micros kCycle = 146'097 * kDay;
/// More than any offset: files have up to a day, POSIX texts up to 167 h.
constexpr Micros kOffsetMax = 8 * kDay;
/// 400 years in which all transitions are the rule's, whose dates may lie 167 h before or after their year.
constexpr Micros kRuleBegin = 25'567 * kDay - kOffsetMax, kRuleEnd = kRuleBegin + kCycle;  // 25,567: 2040-01-01
constexpr size_t kFileOctetsMax = 1 << 20;

/// Reads a file of RFC 8536. What is beyond its end reads as 0 and sets `failed`.
struct Reader {
  std::span<const uint8_t> bytes;
  size_t at = 0;
  bool failed = false;

  uint64_t number(size_t octets) {
    if (bytes.size() - at < octets) {
      failed = true;
      at = bytes.size();
      return 0;
    }
    uint64_t value = 0;
    for (size_t i = 0; i < octets; ++i) value = value << 8 | bytes[at++];
    return value;
  }
  uint32_t u32() { return static_cast<uint32_t>(number(4)); }
  void skip(uint64_t octets) {
    if (bytes.size() - at < octets) failed = true;
    else at += octets;
  }
};

struct Header {
  uint32_t isut, isstd, leap, times, types, chars;
};
std::optional<Header> read_header(Reader& in) {
  if (in.u32() != 0x545a6966) return std::nullopt;  // "TZif"
  if (in.number(1) < '2') return std::nullopt;      // Version 1 has neither 64-bit times nor a rule for the future.
  in.skip(15);
  Header header{};
  for (uint32_t* count : {&header.isut, &header.isstd, &header.leap, &header.times, &header.types, &header.chars})
    *count = in.u32();
  constexpr uint32_t kCountMax = 1 << 16;
  for (const uint32_t count : {header.isut, header.isstd, header.leap, header.times, header.types, header.chars}) {
    if (count > kCountMax) return std::nullopt;
  }
  return in.failed ? std::nullopt : std::optional(header);
}

/// The rule for the time after the last transition, "CET-1CEST,M3.5.0,M10.5.0/3": POSIX.1-2017 §8.3, with RFC 8536
/// §3.3.1: hours from -167 to 167.
class Rule {
 public:
  explicit Rule(std::string_view text) : text_(text) {}

  bool read() {
    if (!name() || !offset(standard_)) return false;
    standard_ = -standard_;  // POSIX counts west of Greenwich.
    if (at_end()) return true;
    if (!name()) return false;
    has_summer_ = true;
    summer_ = standard_ + 3600;
    if (!at_end() && text_[at_] != ',') {
      if (!offset(summer_)) return false;
      summer_ = -summer_;
    }
    return take(',') && date(begin_) && take(',') && date(end_) && at_end();
  }
  /// A name, or none, and an offset: what PostgreSQL takes for a zone, too.
  bool read_offset() {
    if (at_end()) return false;
    if (text_[0] == '<' ? !name() : false) return false;
    while (!at_end() && is_letter(text_[at_])) ++at_;
    if (!offset(standard_) || !at_end()) return false;
    standard_ = -standard_;
    return true;
  }
  int64_t standard() const { return standard_; }
  bool has_summer() const { return has_summer_; }
  int64_t summer() const { return summer_; }
  /// Begin and end of summer time in the year, in seconds since 1970 UTC.
  int64_t begin(int year) const { return seconds(begin_, year) - standard_; }
  int64_t end(int year) const { return seconds(end_, year) - summer_; }

 private:
  struct Date {
    enum class Form { kMonth, kJulian, kDayOfYear } form = Form::kMonth;
    int month = 0, week = 0, day = 0;
    int64_t time = 7200;
  };

  static bool is_letter(char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; }
  bool at_end() const { return at_ == text_.size(); }
  bool take(char c) {
    if (at_end() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool name() {
    const size_t first = at_;
    if (take('<')) {
      while (!at_end() && text_[at_] != '>') ++at_;
      return take('>');
    }
    while (!at_end() && is_letter(text_[at_])) ++at_;
    return at_ - first >= 3;
  }
  bool number(int& value, int max) {
    if (at_end() || text_[at_] < '0' || text_[at_] > '9') return false;
    value = 0;
    while (!at_end() && text_[at_] >= '0' && text_[at_] <= '9' && value <= max)
      value = value * 10 + (text_[at_++] - '0');
    return value <= max;
  }
  bool offset(int64_t& seconds) {  // [+-]hh[:mm[:ss]]
    const bool negative = take('-');
    if (!negative) take('+');
    int hours = 0, minutes = 0, rest = 0;
    if (!number(hours, 167)) return false;
    if (take(':') && !number(minutes, 59)) return false;
    if (take(':') && !number(rest, 59)) return false;
    seconds = hours * 3600 + minutes * 60 + rest;
    if (negative) seconds = -seconds;
    return true;
  }
  bool date(Date& date) {
    if (take('M')) {
      date.form = Date::Form::kMonth;
      if (!number(date.month, 12) || date.month == 0 || !take('.') || !number(date.week, 5) || date.week == 0 ||
          !take('.') || !number(date.day, 6)) {
        return false;
      }
    } else {
      date.form = take('J') ? Date::Form::kJulian : Date::Form::kDayOfYear;
      if (!number(date.day, 365) || (date.form == Date::Form::kJulian && date.day == 0)) return false;
    }
    return !take('/') || offset(date.time);
  }
  static int64_t day_of(int year, int month, int day) {
    CivilTime civil{};
    civil.year = year;
    civil.month = static_cast<uint8_t>(month);
    civil.day = static_cast<uint8_t>(day);
    return from_civil(civil) / kDay;
  }
  /// As local clocks show it, from 1970.
  static int64_t seconds(const Date& date, int year) {
    int64_t day = 0;
    if (date.form == Date::Form::kMonth) {
      const int64_t first = day_of(year, date.month, 1);
      const int64_t next = date.month == 12 ? day_of(year + 1, 1, 1) : day_of(year, date.month + 1, 1);
      const int64_t weekday = ((first + 4) % 7 + 7) % 7;  // 1970-01-01 was a Thursday.
      day = first + (date.day - weekday + 7) % 7 + 7 * (date.week - 1);
      while (day >= next) day -= 7;                 // Week 5 is the last.
    } else if (date.form == Date::Form::kJulian) {  // 1 to 365: the 29th of February is not counted.
      const bool leap = day_of(year, 3, 1) - day_of(year, 2, 28) == 2;
      day = day_of(year, 1, 1) + date.day - 1 + (leap && date.day >= 60);
    } else {
      day = day_of(year, 1, 1) + date.day;
    }
    return day * 86'400 + date.time;
  }

  std::string_view text_;
  size_t at_ = 0;
  int64_t standard_ = 0, summer_ = 0;
  bool has_summer_ = false;
  Date begin_, end_;
};

std::filesystem::path zone_folder() {
  const char* folder = std::getenv("TZDIR");
  return folder != nullptr && *folder != '\0' ? folder : "/usr/share/zoneinfo";
}

std::string folded(std::string_view name) {
  std::string lower(name);
  for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return lower;
}
bool is_utc(std::string_view name) {
  const std::string lower = folded(name);
  return lower == "utc" || lower == "gmt" || lower == "z" || lower == "etc/utc";
}
/// Files of the database whose names are abbreviations: with summer time in the file, without in PostgreSQL.
bool is_abbreviation(std::string_view name) {
  const std::string lower = folded(name);
  for (const char* known : {"cet", "eet", "est", "hst", "met", "mst", "wet"}) {
    if (lower == known) return true;
  }
  return false;
}

/// A name that cannot lead out of the folder.
bool is_zone_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && name[0] != '/' && name.find("..") == std::string_view::npos &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return ((c | 0x20) >= 'a' && (c | 0x20) <= 'z') || (c >= '0' && c <= '9') ||
                  std::string_view("/_-+").find(c) != std::string_view::npos;
         });
}

/// The file of that name, whatever the case of its letters; empty when there is none. The folder is looked through
/// once: names may come with rows.
std::filesystem::path zone_file(std::string_view name) {
  const std::filesystem::path folder = zone_folder();
  std::error_code error;
  if (std::filesystem::is_regular_file(folder / name, error)) return folder / name;
  static std::mutex mutex;
  static std::map<std::string, std::unordered_map<std::string, std::string>> by_folder;
  const std::lock_guard lock(mutex);
  const auto [names, fresh] = by_folder.try_emplace(folder.string());
  if (fresh) {
    constexpr size_t kNamesMax = 10'000;
    std::filesystem::recursive_directory_iterator at(folder, error);
    const auto end = std::filesystem::end(at);
    for (; !error && at != end && names->second.size() < kNamesMax; at.increment(error)) {
      std::string found = at->path().lexically_relative(folder).string();
      if (at->is_regular_file(error)) names->second.emplace(folded(found), std::move(found));
    }
  }
  const auto found = names->second.find(folded(name));
  return found == names->second.end() ? std::filesystem::path() : folder / found->second;
}

std::string zone_hint(std::string_view wanted) {
  constexpr size_t kAbbreviationMax = 5;
  if (!wanted.empty() && wanted.size() <= kAbbreviationMax &&
      std::all_of(wanted.begin(), wanted.end(), [](char c) { return (c | 0x20) >= 'a' && (c | 0x20) <= 'z'; })) {
    std::string offset = "abbreviations are not taken: write 'Europe/Berlin', or an offset such as '<+01>-1'";
    if (is_abbreviation(wanted) || folded(wanted).ends_with("st") || folded(wanted).ends_with("dt")) return offset;
  }
  const std::filesystem::path folder = zone_folder();
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::recursive_directory_iterator at(folder, error);
  if (error) return fmt::format("there is no folder {}: is the package tzdata installed?", folder.string());
  constexpr size_t kNamesMax = 5'000;
  for (const auto end = std::filesystem::end(at); at != end && names.size() < kNamesMax; at.increment(error)) {
    if (error) break;
    std::string name = std::filesystem::relative(at->path(), folder, error).string();
    if (name == "posix" || name == "right") at.disable_recursion_pending();  // The same zones again.
    else if (name.find('.') == std::string::npos && at->is_regular_file(error)) names.push_back(std::move(name));
  }
  std::vector<std::string_view> candidates(names.begin(), names.end());
  // "berlin" for "Europe/Berlin".
  for (const std::string_view name : candidates) {
    const std::string_view city = name.substr(name.rfind('/') + 1);
    if (city.size() == wanted.size() &&
        std::equal(city.begin(), city.end(), wanted.begin(), [](char a, char b) { return (a | 0x20) == (b | 0x20); })) {
      return fmt::format("did you mean '{}'?", name);
    }
  }
  const std::string_view near = nearest_name(wanted, candidates);
  return near.empty() ? "names are those of the IANA database, such as 'Europe/Berlin'"
                      : fmt::format("did you mean '{}'?", near);
}

}  // namespace

std::shared_ptr<const TimeZone> TimeZone::parse(std::span<const uint8_t> file, std::string name) {
  Reader in{file};
  const auto old = read_header(in);
  if (!old) return nullptr;
  in.skip(uint64_t{old->times} * 5 + uint64_t{old->types} * 6 + old->chars + uint64_t{old->leap} * 8 + old->isstd +
          old->isut);
  const auto header = read_header(in);
  if (!header || header->types == 0) return nullptr;
  std::vector<int64_t> times(header->times);
  for (int64_t& time : times) time = static_cast<int64_t>(in.number(8));
  std::vector<uint8_t> kinds(header->times);
  for (uint8_t& kind : kinds) kind = static_cast<uint8_t>(in.number(1));
  std::vector<int64_t> offsets(header->types);
  for (int64_t& offset : offsets) {
    offset = static_cast<int32_t>(in.u32());
    in.skip(2);
    if (offset < -86'400 || offset > 86'400) return nullptr;
  }
  in.skip(header->chars + uint64_t{header->leap} * 12 + header->isstd + header->isut);
  if (in.failed || in.number(1) != '\n') return nullptr;
  const auto* footer = reinterpret_cast<const char*>(file.data()) + in.at;
  const auto* footer_end = static_cast<const char*>(std::memchr(footer, '\n', file.size() - in.at));
  if (footer_end == nullptr) return nullptr;
  const std::string_view rule_text(footer, static_cast<size_t>(footer_end - footer));

  constexpr int64_t kSecondsMax = int64_t{1} << 40;  // Far beyond the last year; microseconds do not overflow.
  std::vector<Period> periods{{kMinTime, offsets[0] * kMicrosPerSecond}};
  for (size_t i = 0; i < times.size(); ++i) {
    if (kinds[i] >= offsets.size() || times[i] > kSecondsMax || (i > 0 && times[i] <= times[i - 1])) return nullptr;
    const Micros offset = offsets[kinds[i]] * kMicrosPerSecond;
    if (times[i] < -kSecondsMax) periods[0].offset = offset;  // Some files begin with the big bang.
    else periods.push_back({times[i] * kMicrosPerSecond, offset});
  }
  bool repeats = false;
  if (!rule_text.empty()) {
    Rule rule(rule_text);
    if (!rule.read()) return nullptr;
    const Micros last = periods.back().begin;
    const int first_year = last == kMinTime ? 1970 : to_civil(last).year;
    std::vector<Period> later;
    for (int year = first_year; rule.has_summer() && year <= kLastYear; ++year) {
      later.push_back({rule.begin(year) * kMicrosPerSecond, rule.summer() * kMicrosPerSecond});
      later.push_back({rule.end(year) * kMicrosPerSecond, rule.standard() * kMicrosPerSecond});
    }
    std::sort(later.begin(), later.end(), [](const Period& a, const Period& b) { return a.begin < b.begin; });
    for (const Period& period : later) {
      if (period.begin > last) periods.push_back(period);
    }
    if (!rule.has_summer() && last == kMinTime) periods[0].offset = rule.standard() * kMicrosPerSecond;
    repeats = rule.has_summer() && last < kRuleBegin - kOffsetMax;
  }
  auto zone = std::shared_ptr<TimeZone>(new TimeZone(std::move(name)));
  zone->repeats_ = repeats;
  zone->finish(std::move(periods));
  return zone;
}

void TimeZone::finish(const std::vector<Period>& periods) {
  for (const Period& period : periods) {
    if (periods_.empty() || period.offset != periods_.back().offset) periods_.push_back(period);
  }
  calendar_first_ = period_at(0);
  step_us_ = kDay;
  for (size_t i = calendar_first_; i < periods_.size(); ++i) step_us_ = std::gcd(step_us_, periods_[i].offset);
}

std::shared_ptr<const TimeZone> TimeZone::load(std::string_view name) {
  if (is_utc(name)) {
    auto zone = std::shared_ptr<TimeZone>(new TimeZone("UTC"));
    zone->finish({{kMinTime, 0}});
    return zone;
  }
  if (name.empty() || name.size() > 64 || is_abbreviation(name)) return nullptr;
  if (is_zone_name(name)) {
    const std::filesystem::path path = zone_file(name);
    if (!path.empty()) {
      std::ifstream file(path, std::ios::binary);
      std::vector<uint8_t> bytes(kFileOctetsMax);
      file.read(reinterpret_cast<char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
      bytes.resize(static_cast<size_t>(std::max<std::streamsize>(file.gcount(), 0)));
      if (auto zone = parse(bytes, path.lexically_relative(zone_folder()).string())) return zone;
    }
  }
  if (Rule rule(name); rule.read_offset()) {
    auto zone = std::shared_ptr<TimeZone>(new TimeZone(std::string(name)));
    zone->finish({{kMinTime, rule.standard() * kMicrosPerSecond}});
    return zone;
  }
  return nullptr;
}

Result<std::shared_ptr<const TimeZone>> TimeZone::find(std::string_view name) {
  if (auto zone = load(name)) return zone;
  return fail("22023", fmt::format("time zone \"{}\" is not known", name), {}, zone_hint(name));
}

std::shared_ptr<const TimeZone> TimeZone::find_kept(std::string_view name) {
  constexpr size_t kKeptMax = 1'000;
  thread_local std::unordered_map<std::string, std::shared_ptr<const TimeZone>> kept;
  std::string key(name.substr(0, 65));  // Longer ones are no names.
  if (const auto found = kept.find(key); found != kept.end()) return found->second;
  if (kept.size() >= kKeptMax) kept.clear();
  return kept.emplace(key, load(key)).first->second;
}

size_t TimeZone::period_at(Micros time) const {
  const auto next = std::upper_bound(periods_.begin() + 1, periods_.end(), time,
                                     [](Micros t, const Period& period) { return t < period.begin; });
  return static_cast<size_t>(next - periods_.begin()) - 1;
}

Micros TimeZone::offset_at(Micros time) const { return periods_[calendar_period_at(time)].offset; }

Micros TimeZone::first_at(Micros local) const {
  // No offset is more than a week, so the moment lies in a period that is near.
  for (size_t i = calendar_period_at(local - kOffsetMax);; ++i) {
    Micros moment = local - periods_[i].offset;
    if (i > calendar_first_) moment = std::max(moment, periods_[i].begin);
    if (i + 1 == periods_.size() || moment < periods_[i + 1].begin) return moment;
  }
}

Micros TimeZone::beyond(Micros time) const {
  return repeats_ && time >= kRuleEnd ? floor_to(time - kRuleBegin, kCycle) : 0;
}

TimeZone::Span TimeZone::span_at(Micros time) const {
  const Micros cycles = beyond(time);
  const size_t i = period_at(time - cycles);
  Span span{periods_[i].begin, i + 1 < periods_.size() ? periods_[i + 1].begin : kMaxTime, periods_[i].offset};
  if (repeats_) span.end = std::min(span.end, kRuleEnd);
  if (cycles == 0) return span;
  span.begin = std::max(span.begin, kRuleBegin) + cycles;
  if (__builtin_add_overflow(span.end, cycles, &span.end)) span.end = kMaxTime;
  return span;
}

Micros TimeZone::offset_of_local(Micros local) const {
  local = std::max(local - beyond(local), kMinTime + 2 * kOffsetMax);  // Nothing overflows below.
  // The period of a day before, whose offset counts unless the next one has begun.
  const size_t i = period_at(local < kMinTime + kDay ? kMinTime : local - kDay);
  if (i + 1 == periods_.size()) return periods_[i].offset;
  const Micros before = periods_[i].offset, after = periods_[i + 1].offset, boundary = periods_[i + 1].begin;
  const bool reached_before = local - before >= boundary, reached_after = local - after >= boundary;
  if (reached_before == reached_after) return reached_after ? after : before;
  return before < after ? before : after;  // leapt over; shown twice
}

}  // namespace backstream::base
