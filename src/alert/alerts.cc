#include "alert/alerts.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "expr/expr.h"
#include "receiver/value_text.h"

namespace backstream::alert {

using base::fail;
using base::Result;
using base::wall_clock;
using receiver::ResultPart;

namespace {

constexpr Micros kSecond = base::kMicrosPerSecond;
constexpr size_t kVersionsKept = 4;

/// `rows` from `first` on, in place.
batch::ColumnBatch slice(const batch::ColumnBatch& rows, size_t first, size_t count) {
  batch::ColumnBatch part;
  part.row_count = count;
  part.columns = rows.columns;
  for (batch::Column& column : part.columns) {
    if (column.values != nullptr)
      column.values = static_cast<uint8_t*>(column.values) + first * octets_per_value(batch::physical(column.type));
    if (column.has_nulls) column.validity += first;
  }
  return part;
}

std::optional<double> number_at(const batch::ColumnBatch& rows, int of, size_t row) {
  if (of < 0 || rows.columns[static_cast<size_t>(of)].is_null(row)) return std::nullopt;
  const batch::Column& column = rows.columns[static_cast<size_t>(of)];
  if (batch::physical(column.type) == batch::Physical::kDouble) return column.as<double>()[row];
  if (batch::physical(column.type) == batch::Physical::kInt64) return static_cast<double>(column.as<int64_t>()[row]);
  return std::nullopt;
}

std::string row_json(const ResultPart& part, size_t row) {
  std::string out = "{";
  for (size_t c = 0; c < part.rows.columns.size(); ++c) {
    if (c != 0) out += ',';
    out += receiver::json_string(part.form->schema.columns[c].name) + ':';
    receiver::append_json_value(out, part.rows.columns[c], row);
  }
  return out + '}';
}

Json silence_json(const Silence& silence) {
  return {{"id", silence.id},
          {"alert", silence.rule},
          {"key", silence.key},
          {"until", base::format_rfc3339(silence.until)},
          {"author", silence.author},
          {"comment", silence.comment},
          {"made_at", base::format_rfc3339(silence.made_at)}};
}

}  // namespace

/// What a version of a rule makes of rows.
struct Alerts::Version {
  uint32_t number = 0;
  std::shared_ptr<const plan::AlertRule> rule;
  std::optional<expr::Evaluator> when, clear;
  RuleStates::Options options;
};

struct Alerts::Rule {
  std::string name;
  uint64_t incarnation = 0;
  std::deque<Version> versions;  ///< the newest last; empty: only what an earlier process left is known
  NoticeFacts facts;             ///< as of the newest version, or of the earlier process
  std::vector<std::string> notify;
  RuleStates states{RuleStates::Options{}};
  /// The window at hand.
  std::vector<std::shared_ptr<const ResultPart>> parts;
  size_t row_count = 0;
  bool rows_lost = false;
};

namespace {

Json kept_facts(const NoticeFacts& facts, const std::vector<std::string>& notify) {
  Json labels = Json::array();
  for (const auto& [name, value] : facts.labels) labels.push_back({name, value});
  return {{"severity", facts.severity},         {"threshold", facts.threshold},
          {"value_column", facts.value_column}, {"summary", facts.summary},
          {"keys", facts.key_columns},          {"labels", std::move(labels)},
          {"version", facts.version},           {"notify", notify}};
}

void read_facts(const std::string& text, NoticeFacts& facts, std::vector<std::string>& notify) {
  const Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return;
  const auto text_of = [&](const char* name) {
    const auto at = json.find(name);
    return at != json.end() && at->is_string() ? at->get<std::string>() : std::string();
  };
  const auto texts_of = [&](const char* name) {
    std::vector<std::string> texts;
    if (const auto at = json.find(name); at != json.end() && at->is_array()) {
      for (const Json& one : *at) {
        if (one.is_string()) texts.push_back(one.get<std::string>());
      }
    }
    return texts;
  };
  facts.severity = text_of("severity");
  facts.threshold = text_of("threshold");
  facts.value_column = text_of("value_column");
  facts.summary = text_of("summary");
  facts.key_columns = texts_of("keys");
  notify = texts_of("notify");
  if (const auto at = json.find("version"); at != json.end() && at->is_number_unsigned()) facts.version = *at;
  if (const auto at = json.find("labels"); at != json.end() && at->is_array()) {
    for (const Json& pair : *at) {
      if (pair.is_array() && pair.size() == 2 && pair[0].is_string() && pair[1].is_string())
        facts.labels.emplace_back(pair[0].get<std::string>(), pair[1].get<std::string>());
    }
  }
}

}  // namespace

Alerts::Alerts(Options options) : options_(std::move(options)) {}

Result<std::unique_ptr<Alerts>> Alerts::open(Options options) {
  std::unique_ptr<Alerts> alerts(new Alerts(std::move(options)));
  if (auto loaded = alerts->load(); !loaded) return tl::unexpected(std::move(loaded.error()));
  alerts->thread_ = std::thread([&alerts = *alerts] { alerts.run(); });
  return alerts;
}

Result<void> Alerts::load() {
  auto store = AlertStore::open(options_.file);
  if (!store) return tl::unexpected(std::move(store.error()));
  store_ = std::move(*store);
  auto kept = store_->load();
  if (!kept) return tl::unexpected(std::move(kept.error()));
  silences_ = std::move(kept->silences);
  for (auto& [name, from] : kept->rules) {
    auto rule = std::make_unique<Rule>();
    rule->name = rule->facts.rule = name;
    rule->incarnation = rule->facts.incarnation = from.incarnation;
    read_facts(from.facts, rule->facts, rule->notify);
    rule->states.restore(std::move(from.keys), from.evaluated_until);
    rule->states.set_blind_until(options_.started_at);
    rules_.emplace(name, std::move(rule));
  }
  Notifier::Options notifier;
  notifier.endpoints = options_.endpoints;
  notifier.limits = options_.notifier;
  notifier.tell = options_.tell;
  notifier.firing = [this](const std::string& endpoint) { return firing_for(endpoint); };
  auto opened = Notifier::open(std::move(notifier), *store_, std::move(kept->notices));
  if (!opened) return tl::unexpected(std::move(opened.error()));
  notifier_ = std::move(*opened);
  return {};
}

Alerts::~Alerts() { stop(); }

void Alerts::stop() {
  {
    const std::lock_guard lock(queue_mutex_);
    stop_ = true;
  }
  queue_changed_.notify_all();
  if (thread_.joinable()) thread_.join();
  if (notifier_) notifier_->stop();
}

void Alerts::queue(Work work) {
  {
    const std::lock_guard lock(queue_mutex_);
    queue_.push_back(std::move(work));
  }
  queue_changed_.notify_all();
}

void Alerts::open_query(const std::string& name, uint64_t incarnation, uint32_t version, const plan::Query& query) {
  {
    const std::lock_guard lock(queue_mutex_);
    if (query.alert) rule_names_.insert(name);
    else rule_names_.erase(name);
  }
  if (!query.alert) {
    queue({.task = [this, name] {
      if (rules_.contains(name)) end_rule(name, wall_clock());
    }});
    return;
  }
  auto made = std::make_shared<Version>();
  made->number = version;
  made->rule = query.alert;
  const plan::AlertRule& rule = *query.alert;
  if (rule.when) made->when.emplace(expr::clone(*rule.when));
  if (rule.clear) made->clear.emplace(expr::clone(*rule.clear));
  made->options.for_us = rule.for_us;
  made->options.keep_us = rule.keep_us;
  made->options.has_clear = rule.clear != nullptr;
  made->options.early = rule.early;
  made->options.keys_max = options_.keys_max;
  made->options.window_size_us = query.window_size_us;
  NoticeFacts facts;
  const auto& columns = query.output().columns;
  for (const int column : rule.key_columns) facts.key_columns.push_back(columns[static_cast<size_t>(column)].name);
  if (rule.value_column >= 0) facts.value_column = columns[static_cast<size_t>(rule.value_column)].name;
  facts.rule = name;
  facts.incarnation = incarnation;
  facts.version = version;
  facts.severity = plan::name(rule.severity);
  facts.threshold = std::string(rule.threshold_text());
  facts.summary = rule.summary;
  facts.labels = rule.labels;
  queue({.task = [this, made, facts] { begin_version(std::move(*made), facts); }});
}

void Alerts::begin_version(Version version, const NoticeFacts& facts) {
  const auto known = rules_.find(facts.rule);
  if (known != rules_.end() && known->second->incarnation != facts.incarnation) end_rule(facts.rule, wall_clock());
  std::unique_ptr<Rule>& at = rules_[facts.rule];
  if (at == nullptr) {
    at = std::make_unique<Rule>();
    at->states.set_blind_until(options_.started_at);
  }
  Rule& rule = *at;
  rule.name = facts.rule;
  rule.incarnation = facts.incarnation;
  rule.facts = facts;
  rule.notify = version.rule->notify;
  rule.states.set_options(version.options);
  std::erase_if(rule.versions, [&](const Version& before) { return before.number == version.number; });
  rule.versions.push_back(std::move(version));
  if (rule.versions.size() > kVersionsKept) rule.versions.pop_front();
}

void Alerts::keep_queries(std::map<std::string, uint64_t, std::less<>> queries) {
  queue({.task = [this, kept = std::move(queries)] {
    std::vector<std::string> gone;
    for (const auto& [name, rule] : rules_) {
      const auto at = kept.find(name);
      if (at == kept.end() || at->second != rule->incarnation) gone.push_back(name);
    }
    for (const std::string& name : gone) {
      end_rule(name, wall_clock());
      const std::lock_guard lock(queue_mutex_);
      rule_names_.erase(name);
    }
  }});
}

/// Under mutex_.
void Alerts::end_rule(const std::string& name, Micros at) {
  const auto found = rules_.find(name);
  Rule& rule = *found->second;
  std::vector<Event> events;
  rule.states.end(at, events);
  AlertStore::Step step;
  step.rule = name;
  step.rule_gone = true;
  for (const Event& event : events) tell_end(rule, event, step);
  write(step);
  rules_.erase(found);
}

void Alerts::take(const std::string& query, const std::shared_ptr<const ResultPart>& part) {
  {
    const std::lock_guard lock(queue_mutex_);
    if (!rule_names_.contains(query) || !part->windowed() || part->removed) return;
    if (queue_octets_ + part->octets > options_.queue_octets_max && !part->last) {
      ++parts_dropped_;
      lossy_.insert(query);
      return;
    }
    queue_octets_ += part->octets;
    queue_.push_back({.query = query, .part = part, .lost = lossy_.erase(query) != 0});
  }
  queue_changed_.notify_all();
}

void Alerts::advance(const std::string& query, Micros until, Micros known_from) {
  queue({.query = query, .until = until, .known_from = known_from});
}

std::vector<std::string> Alerts::rules() const {
  const std::lock_guard lock(queue_mutex_);
  return {rule_names_.begin(), rule_names_.end()};
}

void Alerts::note_sampling(std::string text) {
  queue({.task = [this, text = std::move(text)] { sampling_ = text; }});
}

void Alerts::note_link(std::string link) {
  while (link.ends_with('/')) link.pop_back();
  queue({.task = [this, link = std::move(link)] { link_ = link; }});
}

void Alerts::settle() {
  std::unique_lock lock(queue_mutex_);
  queue_changed_.wait(lock, [&] { return stop_ || (queue_.empty() && !busy_); });
}

void Alerts::run() {
  std::unique_lock lock(queue_mutex_);
  Micros ticked_at = wall_clock();
  while (!stop_ || !queue_.empty()) {
    queue_changed_.wait_for(lock, std::chrono::seconds(1), [&] { return stop_ || !queue_.empty(); });
    std::deque<Work> taken = std::exchange(queue_, {});
    queue_octets_ = 0;
    busy_ = true;
    lock.unlock();
    for (Work& work : taken) {
      const std::lock_guard rules_lock(mutex_);
      do_work(work);
      work = {};  // The rows go now.
    }
    if (const Micros now = wall_clock(); now - ticked_at >= kSecond || now < ticked_at) {
      ticked_at = now;
      const std::lock_guard rules_lock(mutex_);
      tick(now);
    }
    lock.lock();
    busy_ = false;
    if (queue_.empty()) queue_changed_.notify_all();
  }
}

void Alerts::do_work(Work& work) {
  if (work.task) {
    work.task();
    return;
  }
  const auto at = rules_.find(work.query);
  if (at == rules_.end()) return;
  Rule& rule = *at->second;
  if (work.part) {
    rule.rows_lost |= work.lost;
    take_part(rule, std::move(work.part));
    return;
  }
  std::vector<Event> events;
  rule.states.set_blind_until(std::max(options_.started_at, work.known_from));
  rule.states.advance(work.until, events);
  settle_events(rule, events);
}

/// Silences end, and then what was kept quiet is told.
void Alerts::tick(Micros now) {
  std::vector<uint64_t> over;
  for (const Silence& silence : silences_) {
    if (silence.until <= now) over.push_back(silence.id);
  }
  for (const uint64_t id : over) {
    std::erase_if(silences_, [&](const Silence& silence) { return silence.id == id; });
    (void)store_->remove_silence(id);
  }
  for (auto& [name, rule] : rules_) {
    AlertStore::Step step;
    std::vector<std::string> told;
    for (const auto& [of, key] : rule->states.keys()) {
      if (!key.fires() || key.told.notified || silenced(*rule, key, now)) continue;
      told.push_back(of);
    }
    if (told.empty()) continue;
    for (const std::string& of : told) {
      KeyState& key = *rule->states.find(of);
      tell_firing(*rule, key, step.notices);
      step.put.push_back(&key);
    }
    step.rule = name;
    step.incarnation = rule->incarnation;
    step.facts = kept_facts(rule->facts, rule->notify).dump(-1, ' ', false, Json::error_handler_t::replace);
    step.evaluated_until = rule->states.evaluated_until();
    write(step);
  }
}

void Alerts::take_part(Rule& rule, std::shared_ptr<const ResultPart> held) {
  const ResultPart& part = *held;
  if (part.incarnation != rule.incarnation) return;
  if (!rule.parts.empty()) {
    const ResultPart& first = *rule.parts.front();
    const bool same = first.window_start == part.window_start && first.window_end == part.window_end &&
                      first.revision == part.revision && first.version == part.version && first.final == part.final;
    if (!same) {
      rule.parts.clear();  // Its end never came.
      rule.row_count = 0;
    }
  }
  if (rule.row_count + part.rows.row_count > options_.window_rows_max && !part.last) {
    rule.rows_lost = true;
    return;
  }
  const bool last = part.last;
  rule.row_count += part.rows.row_count;
  rule.parts.push_back(std::move(held));
  if (!last) return;
  evaluate(rule);
  rule.parts.clear();
  rule.row_count = 0;
  rule.rows_lost = false;
}

/// A window whose parts are all there.
void Alerts::evaluate(Rule& rule) {
  const ResultPart& first = *rule.parts.front();
  const auto version = std::find_if(rule.versions.begin(), rule.versions.end(),
                                    [&](const Version& known) { return known.number == first.version; });
  if (version == rule.versions.end()) return;
  if (!first.final && !version->options.early) return;
  WindowRows window;
  window.start = first.window_start;
  window.end = first.window_end;
  window.final = first.final;
  window.complete = first.complete;
  window.sites_missing = first.sites_missing;
  window.rows_lost = rule.rows_lost;
  window.rows.reserve(rule.row_count);
  expr::ValueErrorCounts errors;
  std::vector<uint32_t> chosen(batch::kBatchRows);
  for (const auto& held : rule.parts) {
    const ResultPart& part = *held;
    for (size_t begin = 0; begin < part.rows.row_count; begin += batch::kBatchRows) {
      const size_t count = std::min(batch::kBatchRows, part.rows.row_count - begin);
      const batch::ColumnBatch rows = slice(part.rows, begin, count);
      const size_t first_row = window.rows.size();
      for (size_t r = 0; r < count; ++r) {
        KeyRow& row = window.rows.emplace_back();
        row.key.assign(1, '[');
        for (const int column : version->rule->key_columns) {
          if (row.key.size() > 1) row.key += ',';
          receiver::append_json_value(row.key, rows.columns[static_cast<size_t>(column)], r);
        }
        row.key += ']';
        row.fires = !version->when;
        row.value = number_at(rows, version->rule->value_column, r);
        row.columns = [&part, at = begin + r] { return row_json(part, at); };
      }
      const auto mark = [&](std::optional<expr::Evaluator>& condition, bool KeyRow::*to) {
        if (!condition) return;
        const size_t n = expr::select_true(condition->evaluate(rows, nullptr, errors), count, chosen.data());
        for (size_t i = 0; i < n; ++i) window.rows[first_row + chosen[i]].*to = true;
      };
      mark(version->when, &KeyRow::fires);
      mark(version->clear, &KeyRow::clears);
    }
  }
  rule.states.set_options(version->options);
  std::vector<Event> events;
  rule.states.take(window, events);
  settle_events(rule, events);
}

/// Writes what has changed, and the notices of it, then lets them go.
void Alerts::settle_events(Rule& rule, std::vector<Event>& events) {
  AlertStore::Step step;
  const Micros now = wall_clock();
  for (Event& event : events) {
    if (event.kind == Event::Kind::kResolved) {
      tell_end(rule, event, step);
      continue;
    }
    if (silenced(rule, event.key, now)) continue;
    KeyState* const key = rule.states.find(event.key.key);
    tell_firing(rule, key != nullptr ? *key : event.key, step.notices);
  }
  const RuleStates::Changes changes = rule.states.take_changes();
  if (changes.put.empty() && changes.gone.empty() && step.notices.empty() && step.ended.empty()) return;
  for (const std::string& key : changes.put) step.put.push_back(rule.states.find(key));
  step.gone = changes.gone;
  step.rule = rule.name;
  step.incarnation = rule.incarnation;
  step.facts = kept_facts(rule.facts, rule.notify).dump(-1, ' ', false, Json::error_handler_t::replace);
  step.evaluated_until = rule.states.evaluated_until();
  write(step);
}

/// Under mutex_. A full disk keeps no notice back.
void Alerts::write(AlertStore::Step& step) {
  const auto written = store_->write(step);
  const std::string error = written ? std::string() : written.error().message;
  if (!error.empty() && store_error_.empty() && options_.tell)
    options_.tell("states of alerts are not kept: a restart may tell some twice, or not at all: " + error);
  store_error_ = error;
  if (!step.notices.empty()) notifier_->push(std::move(step.notices));
}

NoticeFacts Alerts::facts_of(const Rule& rule) const {
  NoticeFacts facts = rule.facts;
  facts.sampling = sampling_;
  facts.link = link_;
  return facts;
}

bool Alerts::silenced(const Rule& rule, const KeyState& key, Micros now) const {
  return std::any_of(silences_.begin(), silences_.end(), [&](const Silence& silence) {
    if (silence.until <= now || (silence.rule != "*" && silence.rule != rule.name)) return false;
    return silence.key.empty() || silence.key == key_text(rule.facts.key_columns, key.key);
  });
}

std::vector<std::string> Alerts::endpoints_of(const Rule& rule) const {
  std::vector<std::string> names;
  for (const std::string& name : notifier_->names()) {
    if (rule.notify.empty() || std::find(rule.notify.begin(), rule.notify.end(), name) != rule.notify.end())
      names.push_back(name);
  }
  return names;
}

void Alerts::queue_notice(const Rule& rule, const KeyState& key, NoticeState state, Micros at,
                          std::vector<QueuedNotice>& to) {
  const std::vector<std::string> endpoints = endpoints_of(rule);
  if (endpoints.empty()) return;
  const std::string body =
      notice_json(facts_of(rule), key, state, at).dump(-1, ' ', false, Json::error_handler_t::replace);
  for (const std::string& endpoint : endpoints) to.push_back({notifier_->next_number(), endpoint, body, wall_clock()});
}

void Alerts::tell_firing(const Rule& rule, KeyState& key, std::vector<QueuedNotice>& to) {
  queue_notice(rule, key, NoticeState::kFiring, 0, to);
  key.told.notified = true;
  key.told.notified_at = wall_clock();
  key.told.notified_to = endpoints_of(rule);
}

/// It is told where it was told that it fires, and kept for who asks what was.
void Alerts::tell_end(const Rule& rule, const Event& event, AlertStore::Step& step) {
  Json body = key_json(rule, event.key);
  if (event.key.told.notified) {
    queue_notice(rule, event.key, NoticeState::kResolved, event.at, step.notices);
    body["notices"].push_back(
        {{"state", "resolved"}, {"at", base::format_rfc3339(wall_clock())}, {"endpoints", endpoints_of(rule)}});
  }
  body["state"] = "ended";
  body["ends_at"] = base::format_rfc3339(event.at);
  step.ended.push_back({alert_id(rule.facts, event.key), event.key.since, event.at,
                        body.dump(-1, ' ', false, Json::error_handler_t::replace)});
}

std::vector<Json> Alerts::firing_for(const std::string& endpoint) const {
  const std::lock_guard lock(mutex_);
  std::vector<Json> firing;
  for (const auto& [name, rule] : rules_) {
    if (!rule->notify.empty() && std::find(rule->notify.begin(), rule->notify.end(), endpoint) == rule->notify.end())
      continue;
    for (const auto& [of, key] : rule->states.keys()) {
      if (key.fires() && key.told.notified)
        firing.push_back(notice_json(facts_of(*rule), key, NoticeState::kFiring, 0));
    }
  }
  return firing;
}

Json Alerts::key_json(const Rule& rule, const KeyState& key) const {
  Json json = notice_json(facts_of(rule), key, NoticeState::kFiring, 0);
  json["id"] = json["alert_id"];
  json.erase("alert_id");
  json.erase("v");
  json["state"] = name(key.state);
  json["key_text"] = key_text(rule.facts.key_columns, key.key);
  json["silenced"] = silenced(rule, key, wall_clock());
  const auto time_or_null = [](Micros time) { return time == 0 ? Json(nullptr) : Json(base::format_rfc3339(time)); };
  json["fired_at"] = time_or_null(key.fired_at);
  json["recovering_since"] = time_or_null(key.state == KeyState::State::kRecovering ? key.recovering_since : Micros{0});
  json["notified"] = key.told.notified;
  json["notices"] = Json::array();
  if (key.told.notified)
    json["notices"].push_back(
        {{"state", "firing"}, {"at", time_or_null(key.told.notified_at)}, {"endpoints", key.told.notified_to}});
  json["acknowledged"] = key.told.acknowledged_by.empty() ? Json(nullptr)
                                                          : Json{{"by", key.told.acknowledged_by},
                                                                 {"at", base::format_rfc3339(key.told.acknowledged_at)},
                                                                 {"comment", key.told.comment}};
  return json;
}

Json Alerts::list() const {
  const std::lock_guard lock(mutex_);
  Json all = Json::array();
  for (const auto& [name, rule] : rules_) {
    for (const auto& [of, key] : rule->states.keys()) all.push_back(key_json(*rule, key));
  }
  return all;
}

Json Alerts::rule_states() const {
  const std::lock_guard lock(mutex_);
  Json all = Json::array();
  for (const auto& [name, rule] : rules_) {
    size_t counts[3] = {};
    for (const auto& [of, key] : rule->states.keys()) ++counts[static_cast<size_t>(key.state)];
    Json labels = Json::object();
    for (const auto& [label, value] : rule->facts.labels) labels[label] = value;
    Json json = {{"name", name},
                 {"version", rule->facts.version},
                 {"severity", rule->facts.severity},
                 {"threshold", rule->facts.threshold},
                 {"clear", nullptr},
                 {"for_seconds", nullptr},
                 {"keep_firing_for_seconds", nullptr},
                 {"labels", std::move(labels)},
                 {"endpoints", endpoints_of(*rule)},
                 {"key_columns", rule->facts.key_columns},
                 {"value_column", rule->facts.value_column.empty() ? Json(nullptr) : Json(rule->facts.value_column)},
                 {"pending", counts[0]},
                 {"firing", counts[1]},
                 {"recovering", counts[2]},
                 {"keys_left_out", rule->states.keys_left_out()}};
    if (!rule->versions.empty()) {
      const plan::AlertRule& newest = *rule->versions.back().rule;
      if (newest.clear) json["clear"] = newest.clear_text;
      json["for_seconds"] = static_cast<double>(newest.for_us) / kSecond;
      json["keep_firing_for_seconds"] = static_cast<double>(newest.keep_us) / kSecond;
    }
    all.push_back(std::move(json));
  }
  return all;
}

Result<std::optional<Json>> Alerts::show(const std::string& id) const {
  {
    const std::lock_guard lock(mutex_);
    for (const auto& [name, rule] : rules_) {
      for (const auto& [of, key] : rule->states.keys()) {
        if (alert_id(rule->facts, key) == id) return key_json(*rule, key);
      }
    }
  }
  const auto body = store_->find_ended(id);
  if (!body) return tl::unexpected(body.error());
  if (!*body) return std::nullopt;
  return Json::parse(**body, nullptr, false);
}

Result<Json> Alerts::ended(Micros from, Micros until, size_t count_max) const {
  const auto bodies = store_->ended(from, until, count_max);
  if (!bodies) return tl::unexpected(bodies.error());
  Json all = Json::array();
  for (const std::string& body : *bodies) all.push_back(Json::parse(body, nullptr, false));
  return all;
}

Result<Json> Alerts::acknowledge(const std::string& id, const std::string& author, const std::string& comment,
                                 Micros now) {
  const std::lock_guard lock(mutex_);
  for (const auto& [name, rule] : rules_) {
    for (const auto& [of, known] : rule->states.keys()) {
      if (alert_id(rule->facts, known) != id) continue;
      KeyState& key = *rule->states.find(of);
      key.told.acknowledged_by = author;
      key.told.acknowledged_at = now;
      key.told.comment = comment;
      AlertStore::Step step;
      step.rule = name;
      step.incarnation = rule->incarnation;
      step.facts = kept_facts(rule->facts, rule->notify).dump(-1, ' ', false, Json::error_handler_t::replace);
      step.evaluated_until = rule->states.evaluated_until();
      step.put.push_back(&key);
      if (auto written = store_->write(step); !written) return tl::unexpected(std::move(written.error()));
      return key_json(*rule, key);
    }
  }
  return fail("42704", fmt::format("there is no alert '{}'", id), {},
              "backstream alert list shows those that there are");
}

Json Alerts::silences() const {
  const std::lock_guard lock(mutex_);
  Json all = Json::array();
  for (const Silence& silence : silences_) all.push_back(silence_json(silence));
  return all;
}

Result<Json> Alerts::add_silence(Silence silence) {
  const std::vector<std::string> names = rules();
  const std::lock_guard lock(mutex_);
  if (silence.rule != "*" && std::find(names.begin(), names.end(), silence.rule) == names.end())
    return fail("42704", fmt::format("there is no rule '{}'", silence.rule), {}, "'*' is all of them");
  if (silence.until <= silence.made_at) return fail("22023", "the time until which it is to be quiet is over");
  if (silences_.size() >= kSilencesMax)
    return fail("53400", fmt::format("there are {} silences already", kSilencesMax), {}, "remove some");
  for (const Silence& known : silences_) silence.id = std::max(silence.id, known.id);
  silence.id = std::max(silence.id + 1, static_cast<uint64_t>(silence.made_at / kSecond));  // None is used again.
  if (auto put = store_->put_silence(silence); !put) return tl::unexpected(std::move(put.error()));
  silences_.push_back(silence);
  return silence_json(silence);
}

Result<Silence> Alerts::remove_silence(uint64_t id) {
  const std::lock_guard lock(mutex_);
  const auto at =
      std::find_if(silences_.begin(), silences_.end(), [&](const Silence& known) { return known.id == id; });
  if (at == silences_.end()) return fail("42704", fmt::format("there is no silence {}", id));
  if (auto removed = store_->remove_silence(id); !removed) return tl::unexpected(std::move(removed.error()));
  Silence gone = std::move(*at);
  silences_.erase(at);
  return gone;
}

Result<Json> Alerts::test(const std::string& endpoint, const std::string& rule, const std::string& author,
                          std::chrono::milliseconds patience) {
  std::vector<std::string> names;
  std::vector<QueuedNotice> notices;
  {
    const std::lock_guard lock(mutex_);
    const auto of = rules_.find(rule);
    if (!rule.empty() && of == rules_.end()) return fail("42704", fmt::format("there is no rule '{}'", rule));
    if (!endpoint.empty() && !notifier_->has(endpoint))
      return fail("42704", fmt::format("there is no endpoint '{}'", endpoint), {}, "settings [notify.NAME] make one");
    if (!endpoint.empty()) names.push_back(endpoint);
    else names = of == rules_.end() ? notifier_->names() : endpoints_of(*of->second);
    if (names.empty()) return fail("42704", "there is no endpoint", {}, "settings [notify.NAME] make one");
    NoticeFacts facts;
    if (of != rules_.end()) {
      facts = facts_of(*of->second);
    } else {
      facts.rule = std::string("test");
      facts.severity = std::string("info");
      facts.link = link_;
      facts.sampling = sampling_;
    }
    facts.summary.clear();
    KeyState key;
    key.key.assign("[]");
    key.since = key.window_start = key.window_end = wall_clock();
    Json notice = notice_json(facts, key, NoticeState::kTest, 0);
    notice["message"] = fmt::format("{} has asked for this test: nothing fires. {}", receiver::printable(author),
                                    notice["message"].get<std::string>());
    const std::string body = notice.dump(-1, ' ', false, Json::error_handler_t::replace);
    for (const std::string& name : names) notices.push_back({notifier_->next_number(), name, body, wall_clock()});
  }
  (void)store_->put_notices(notices);
  notifier_->push(notices);
  const auto deadline = std::chrono::steady_clock::now() + patience;
  Json results = Json::array();
  for (const QueuedNotice& notice : notices) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    const Notifier::Outcome outcome =
        notifier_->wait(notice.endpoint, notice.number, std::max(left, std::chrono::milliseconds(0)));
    results.push_back({{"endpoint", notice.endpoint},
                       {"result", outcome.delivered ? "delivered"
                                  : outcome.over    ? "refused"
                                                    : "waiting"},
                       {"error", outcome.error.empty() ? Json(nullptr) : Json(outcome.error)}});
  }
  return results;
}

Alerts::Status Alerts::status() const {
  Status status;
  {
    const std::lock_guard lock(mutex_);
    status.rules = rules_.size();
    status.silences = silences_.size();
    status.store_error = store_error_;
    for (const auto& [name, rule] : rules_) {
      status.keys_left_out += rule->states.keys_left_out();
      for (const auto& [of, key] : rule->states.keys()) {
        if (key.state == KeyState::State::kPending) ++status.pending;
        else if (key.state == KeyState::State::kFiring) ++status.firing;
        else ++status.recovering;
        if (!key.told.acknowledged_by.empty()) ++status.acknowledged;
      }
      for (const std::string& endpoint : rule->notify) {
        if (!notifier_->has(endpoint)) status.unknown_endpoints.emplace_back(name, endpoint);
      }
    }
  }
  {
    const std::lock_guard lock(queue_mutex_);
    status.parts_dropped = parts_dropped_;
  }
  status.endpoints = notifier_->status();
  return status;
}

}  // namespace backstream::alert
