// Binds WITH ("alert.when", "alert.clear", …): options that make a materialized view a rule.
#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <iterator>
#include <optional>

#include "plan/select_binder.h"

namespace backstream::plan {

using base::fail;
using batch::Type;

std::string_view name(AlertRule::Severity severity) {
  constexpr std::string_view kNames[] = {"info", "warning", "critical", "page"};
  return kNames[static_cast<size_t>(severity)];
}

namespace {

constexpr size_t kLabelsMax = 32, kTextOctetsMax = 1'000;

tl::unexpected<base::Diagnostic> wrong(const UnboundOption& option, std::string hint) {
  return fail("22023", fmt::format("invalid value \"{}\" for {}", option.value, option.name), option.span,
              std::move(hint));
}

Result<void> read_duration(const UnboundOption& option, Micros& to) {
  const auto micros = interval_option(option.value, option.name, option.span);
  if (!micros) return tl::unexpected(micros.error());
  if (*micros < 0) return wrong(option, "a time such as '60 s', not less than nothing");
  to = *micros;
  return {};
}

std::string_view trimmed(std::string_view text) {
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  while (!text.empty() && text.back() == ' ') text.remove_suffix(1);
  return text;
}

/// The elements of a list with commas between, without blanks around them.
std::vector<std::string_view> elements_of(std::string_view text) {
  std::vector<std::string_view> elements;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    elements.push_back(trimmed(text.substr(begin, comma - begin)));
    begin = comma + 1;
  }
  return elements;
}

/// As Prometheus has label names: what Alertmanager takes.
bool is_label_name(std::string_view text) {
  const auto letter = [](char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  return !text.empty() && text.size() <= 63 && letter(text[0]) && std::all_of(text.begin(), text.end(), [&](char c) {
    return letter(c) || std::isdigit(static_cast<unsigned char>(c)) != 0;
  });
}

Result<void> read_labels(const UnboundOption& option, AlertRule& rule) {
  constexpr const char* kHint = "names and values with commas between: 'team=noc,kind=ddos'";
  for (const std::string_view element : elements_of(option.value)) {
    const size_t equals = element.find('=');
    if (equals == std::string_view::npos) return wrong(option, kHint);
    std::string label(trimmed(element.substr(0, equals))), value(trimmed(element.substr(equals + 1)));
    if (!is_label_name(label) || value.empty()) return wrong(option, kHint);
    if (label == "alertname" || label == "severity")
      return fail("22023", fmt::format("label \"{}\" is given by the rule itself", label), option.span,
                  "the rule's name is its view's, \"alert.severity\" has the severity");
    for (const auto& [known, ignored] : rule.labels) {
      if (known == label)
        return fail("22023", fmt::format("label \"{}\" is there twice", label), option.span, "leave one of them out");
    }
    rule.labels.emplace_back(std::move(label), std::move(value));
  }
  if (rule.labels.size() > kLabelsMax)
    return fail("54000", fmt::format("a rule has at most {} labels", kLabelsMax), option.span);
  std::sort(rule.labels.begin(), rule.labels.end());
  return {};
}

Result<void> read_notify(const UnboundOption& option, AlertRule& rule) {
  for (const std::string_view element : elements_of(option.value)) {
    const bool plain = !element.empty() && std::all_of(element.begin(), element.end(), [](char c) {
      return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '-';
    });
    if (!plain)
      return wrong(option, "names of sections [notify.NAME] of the settings, with commas between: 'chat,pager'");
    if (std::find(rule.notify.begin(), rule.notify.end(), element) != rule.notify.end())
      return fail("22023", fmt::format("endpoint \"{}\" is there twice", element), option.span,
                  "leave one of them out");
    rule.notify.emplace_back(element);
  }
  return {};
}

Result<void> read_severity(const UnboundOption& option, AlertRule& rule) {
  for (const auto severity : {AlertRule::Severity::kInfo, AlertRule::Severity::kWarning, AlertRule::Severity::kCritical,
                              AlertRule::Severity::kPage}) {
    if (name(severity) != option.value) continue;
    rule.severity = severity;
    return {};
  }
  return wrong(option, "it is 'info', 'warning', 'critical' or 'page'");
}

Result<void> read_early(const UnboundOption& option, AlertRule& rule) {
  if (option.has_value && option.value != "true" && option.value != "false")
    return wrong(option, "it is true or false");
  rule.early = !option.has_value || option.value == "true";
  return {};
}

bool is_number(Type type) {
  return type == Type::kInt2 || type == Type::kInt4 || type == Type::kInt8 || type == Type::kFloat8;
}

std::string columns_text(const batch::Schema& schema) {
  std::string list;
  for (const auto& column : schema.columns) list.append(list.empty() ? "" : ", ").append(column.name);
  return list;
}

Result<int> column_named(const UnboundOption& option, std::string_view text, const batch::Schema& schema) {
  const int column = schema.find(text);
  if (column >= 0) return column;
  std::vector<std::string_view> names;
  for (const auto& known : schema.columns) names.push_back(known.name);
  const auto near = base::nearest_name(text, names);
  return fail("42703", fmt::format("the view has no column \"{}\"", text), option.span,
              near.empty() ? "its columns are " + columns_text(schema) : fmt::format("did you mean '{}'?", near));
}

/// {column} is a place, {{ a brace.
Result<void> read_summary(const UnboundOption& option, const batch::Schema& schema, AlertRule& rule) {
  const std::string_view text = option.value;
  if (text.size() > kTextOctetsMax)
    return fail("54000", fmt::format("{} has at most {} octets", option.name, kTextOctetsMax), option.span);
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '{') continue;
    if (at + 1 < text.size() && text[at + 1] == '{') {
      ++at;
      continue;
    }
    const size_t close = text.find('}', at);
    if (close == std::string_view::npos)
      return fail("22023", fmt::format("a place in {} has no end", option.name), option.span,
                  "'{column}' stands for the value of a column, '{{' for a brace");
    if (const auto column = column_named(option, text.substr(at + 1, close - at - 1), schema); !column)
      return tl::unexpected(column.error());
    at = close;
  }
  rule.summary = text;
  return {};
}

/// Over the view's own columns.
Result<expr::ExprPtr> bind_condition(const UnboundOption& option, const Query& query) {
  if (!option.condition) return wrong(option, "a condition over the view's columns: 'sources > 200'");
  Input input;
  input.source.kind = Relation::Kind::kView;
  input.source.name = query.name;
  input.source.schema = query.output();
  input.schema = query.output();
  input.alias = query.name;
  const std::string clause = fmt::format("\"{}\"", option.name);
  auto condition = ExprBinder(input).bind_row(*option.condition, clause);
  if (condition && (*condition)->type == Type::kUnknown)
    condition = expr::make_cast(std::move(*condition), Type::kBool, option.condition->span);
  if (condition && (*condition)->type != Type::kBool) {
    condition =
        fail("42804",
             fmt::format("argument of {} must be type boolean, not type {}", clause, batch::name((*condition)->type)),
             option.condition->span);
  }
  if (!condition) condition.error().span = option.span_of(condition.error().span);
  return condition;
}

/// "alert.key".
Result<void> read_key(const UnboundOption& option, const Query& query, AlertRule& rule) {
  for (const std::string_view element : elements_of(option.value)) {
    const auto column = column_named(option, element, query.output());
    if (!column) return tl::unexpected(column.error());
    if (std::find(rule.key_columns.begin(), rule.key_columns.end(), *column) != rule.key_columns.end())
      return fail("22023", fmt::format("column \"{}\" is there twice", element), option.span, "leave one of them out");
    rule.key_columns.push_back(*column);
  }
  std::sort(rule.key_columns.begin(), rule.key_columns.end());
  return {};
}

/// The keys of GROUP BY, without the window; nullopt: not all of them are columns of the view, or there is no GROUP BY.
std::optional<std::vector<int>> group_columns(const Query& query) {
  const Stage& stage = query.stages.back();
  if (!stage.aggregates_rows) return std::nullopt;
  const auto key_end = 2 + static_cast<int>(stage.keys.size());
  std::vector<bool> shown(stage.keys.size(), false);
  std::vector<int> columns;
  for (int o = 0; o < static_cast<int>(stage.outputs.size()); ++o) {
    const expr::Expr& output = *stage.outputs[static_cast<size_t>(o)];
    if (output.kind != expr::ExprKind::kColumn || output.column < 2 || output.column >= key_end) continue;
    if (o >= static_cast<int>(stage.output.columns.size())) continue;
    shown[static_cast<size_t>(output.column) - 2] = true;
    columns.push_back(o);
  }
  if (std::find(shown.begin(), shown.end(), false) != shown.end()) return std::nullopt;
  return columns;
}

struct OptionDef {
  std::string_view name;
  Result<void> (*read)(const UnboundOption&, const Query&, AlertRule&);
};
const OptionDef kOptions[] = {
    {"alert.when",
     [](const UnboundOption& o, const Query& query, AlertRule& to) -> Result<void> {
       auto condition = bind_condition(o, query);
       if (!condition) return tl::unexpected(condition.error());
       to.when = std::move(*condition);
       to.when_text = o.value;
       return {};
     }},
    {"alert.clear",
     [](const UnboundOption& o, const Query& query, AlertRule& to) -> Result<void> {
       auto condition = bind_condition(o, query);
       if (!condition) return tl::unexpected(condition.error());
       to.clear = std::move(*condition);
       to.clear_text = o.value;
       return {};
     }},
    {"alert.key", [](const UnboundOption& o, const Query& query, AlertRule& to) { return read_key(o, query, to); }},
    {"alert.for", [](const UnboundOption& o, const Query&, AlertRule& to) { return read_duration(o, to.for_us); }},
    {"alert.keep_firing_for",
     [](const UnboundOption& o, const Query&, AlertRule& to) { return read_duration(o, to.keep_us); }},
    {"alert.severity", [](const UnboundOption& o, const Query&, AlertRule& to) { return read_severity(o, to); }},
    {"alert.labels", [](const UnboundOption& o, const Query&, AlertRule& to) { return read_labels(o, to); }},
    {"alert.value",
     [](const UnboundOption& o, const Query& query, AlertRule& to) -> Result<void> {
       const auto column = column_named(o, o.value, query.output());
       if (!column) return tl::unexpected(column.error());
       const Type type = query.output().columns[static_cast<size_t>(*column)].type;
       if (!is_number(type))
         return fail(
             "42804",
             fmt::format("the value of an alert is a number, and \"{}\" is of type {}", o.value, batch::name(type)),
             o.span);
       to.value_column = *column;
       return {};
     }},
    {"alert.summary",
     [](const UnboundOption& o, const Query& query, AlertRule& to) { return read_summary(o, query.output(), to); }},
    {"alert.notify", [](const UnboundOption& o, const Query&, AlertRule& to) { return read_notify(o, to); }},
    {"alert.early", [](const UnboundOption& o, const Query&, AlertRule& to) { return read_early(o, to); }},
};

/// The first number that is no key.
int default_value_column(const Query& query, const std::vector<int>& keys) {
  const auto& columns = query.output().columns;
  for (int c = 0; c < static_cast<int>(columns.size()); ++c) {
    if (is_number(columns[static_cast<size_t>(c)].type) && std::find(keys.begin(), keys.end(), c) == keys.end())
      return c;
  }
  return -1;
}

}  // namespace

Result<void> check_alert_option(const UnboundOption& option) {
  const auto known = [&](const OptionDef& def) { return def.name == option.name; };
  if (std::any_of(std::begin(kOptions), std::end(kOptions), known)) return {};
  std::vector<std::string_view> names;
  std::string list;
  for (const OptionDef& def : kOptions) {
    names.push_back(def.name);
    list.append(list.empty() ? "" : ", ").append(def.name);
  }
  const auto near = base::nearest_name(option.name, names);
  return fail("22023", fmt::format("unrecognized option \"{}\"", option.name), option.span,
              near.empty() ? "options of an alert are " + list : fmt::format("did you mean '{}'?", near));
}

Result<void> apply_alert(Query& query, const std::vector<UnboundOption>& options) {
  const auto first = std::find_if(options.begin(), options.end(), is_alert_option);
  if (first == options.end()) return {};
  if (!query.is_view)
    return fail("0A000", "an alert is a materialized view", first->span,
                "CREATE MATERIALIZED VIEW name WITH (…) AS SELECT …");
  if (query.window_size_us == 0)
    return fail("0A000", "an alert needs windows that are all of one length", first->span,
                "its rows come from tumble or hop: a key ends when a window comes without it");
  auto rule = std::make_shared<AlertRule>();
  for (const UnboundOption& option : options) {
    if (!is_alert_option(option)) continue;
    const auto def = std::find_if(std::begin(kOptions), std::end(kOptions),
                                  [&](const OptionDef& known) { return known.name == option.name; });
    if (auto read = def->read(option, query, *rule); !read) return read;
  }
  if (rule->early && query.options.emit != QueryOptions::Emit::kOnChange) {
    return fail("22023", "alert.early needs windows that are sent before they close",
                find_option(options, "alert.early")->span, "add emit = 'on_change'");
  }
  if (rule->key_columns.empty()) {
    auto keys = group_columns(query);
    if (!keys)
      return fail("0A000", "an alert must know which columns tell a key from others", first->span,
                  "its view has not all columns of a GROUP BY; name them: \"alert.key\" = 'src_ip'");
    rule->key_columns = std::move(*keys);
  }
  if (rule->value_column < 0) rule->value_column = default_value_column(query, rule->key_columns);
  const Stage& last = query.stages.back();
  if (last.having) rule->having_text = expr::to_string(*last.having, last.grouped);
  query.alert = std::move(rule);
  return {};
}

}  // namespace backstream::plan
