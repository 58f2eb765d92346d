// Binds WITH (...): a table of options, and what must hold between them and the query.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "plan/option_values.h"
#include "plan/select_binder.h"

namespace backstream::plan {

using base::fail;

namespace {

using Read = Result<void> (*)(const UnboundOption&, QueryOptions&);

struct OptionDef {
  std::string_view name;
  Read read;  ///< null: known, and not supported yet
};

/// One of a few words.
template <typename Enum>
struct Word {
  std::string_view text;
  Enum value;
};
template <typename Enum, size_t kCount>
Result<void> read_word(const UnboundOption& option, const Word<Enum> (&words)[kCount], Enum& to) {
  std::string known;
  for (size_t i = 0; i < kCount; ++i) {
    if (option.value == words[i].text) {
      to = words[i].value;
      return {};
    }
    known += fmt::format("{}'{}'", i == 0 ? "" : i + 1 == kCount ? " or " : ", ", words[i].text);
  }
  return fail("22023", fmt::format("invalid value \"{}\" for {}", option.value, option.name), option.span,
              "it is " + known);
}

}  // namespace

Result<void> read_interval(const UnboundOption& option, Micros least, Micros& to) {
  const auto micros = interval_option(option.value, option.name, option.span);
  if (!micros) return tl::unexpected(micros.error());
  if (*micros < least) {
    return fail("22023", fmt::format("{} must be at least {}", option.name, base::format_duration(least)), option.span);
  }
  to = *micros;
  return {};
}

Result<void> read_bool(const UnboundOption& option, bool& to) {
  static constexpr Word<bool> kWords[] = {{"true", true}, {"false", false}, {"on", true}, {"off", false},
                                          {"yes", true},  {"no", false},    {"1", true},  {"0", false}};
  if (!option.has_value) {
    to = true;
    return {};
  }
  for (const auto& word : kWords) {
    if (option.value != word.text) continue;
    to = word.value;
    return {};
  }
  return fail("22023", fmt::format("invalid value \"{}\" for {}", option.value, option.name), option.span,
              "it is true or false");
}

Result<void> read_octets(const UnboundOption& option, uint64_t least, uint64_t& to) {
  struct Unit {
    std::string_view name;
    unsigned log2;
  };
  static constexpr Unit kUnits[] = {{"", 0},    {"B", 0},    {"kB", 10},  {"MB", 20},  {"GB", 30},
                                    {"TB", 40}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}, {"TiB", 40}};
  const std::string& text = option.value;
  double number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  std::string_view unit(end, static_cast<size_t>(text.data() + text.size() - end));
  while (unit.starts_with(' ')) unit.remove_prefix(1);
  const Unit* known = std::find_if(std::begin(kUnits), std::end(kUnits), [&](const Unit& u) { return u.name == unit; });
  if (error != std::errc() || known == std::end(kUnits)) {
    return fail("22023", fmt::format("invalid value \"{}\" for {}", text, option.name), option.span,
                "octets with a unit: '512 MB', '1 GB'");
  }
  const double octets = number * static_cast<double>(uint64_t{1} << known->log2);
  if (!(octets >= static_cast<double>(least)) || octets > 1e18) {
    return fail("22023", fmt::format("{} must be at least {} kB", option.name, least >> 10), option.span,
                "octets with a unit: '512 MB', '1 GB'");
  }
  to = static_cast<uint64_t>(octets);
  return {};
}

namespace {

/// The other family is cut, too: an address that leaves the view in full because nobody thought of IPv6 is what the
/// option is there to prevent.
Result<void> read_prefix(const UnboundOption& option, int bits_max, uint8_t AddressPrefixes::*to, QueryOptions& bound) {
  int bits = -1;
  const std::string& text = option.value;
  const char* begin = text.data() + text.starts_with('/');
  const auto [end, error] = std::from_chars(begin, text.data() + text.size(), bits);
  if (error != std::errc() || end != text.data() + text.size() || bits < 0 || bits > bits_max) {
    return fail("22023", fmt::format("{} must be a prefix length from 0 to {}", option.name, bits_max), option.span);
  }
  if (!bound.truncation) bound.truncation.emplace();
  (*bound.truncation).*to = static_cast<uint8_t>(bits);
  return {};
}

constexpr uint64_t kStateLimitMin = uint64_t{1} << 20;
constexpr Micros kRetentionMin = 60 * base::kMicrosPerSecond;
constexpr Micros kEveryMin = 100 * base::kMicrosPerMilli;

const OptionDef kOptions[] = {
    {"allowed_lateness",
     [](const UnboundOption& o, QueryOptions& to) { return read_interval(o, 0, to.allowed_lateness_us); }},
    {"delay", [](const UnboundOption& o, QueryOptions& to) { return read_interval(o, 0, to.delay_us.emplace()); }},
    {"emit",
     [](const UnboundOption& o, QueryOptions& to) {
       static constexpr Word<QueryOptions::Emit> kWords[] = {{"on_close", QueryOptions::Emit::kOnClose},
                                                             {"on_change", QueryOptions::Emit::kOnChange}};
       return read_word(o, kWords, to.emit);
     }},
    {"every", [](const UnboundOption& o, QueryOptions& to) { return read_interval(o, kEveryMin, to.every_us); }},
    {"late",
     [](const UnboundOption& o, QueryOptions& to) {
       // Revised is what allowed_lateness keeps open; rows that come later still go to the side.
       static constexpr Word<QueryOptions::Late> kWords[] = {{"side", QueryOptions::Late::kSide},
                                                             {"drop", QueryOptions::Late::kDrop},
                                                             {"revise", QueryOptions::Late::kSide}};
       return read_word(o, kWords, to.late);
     }},
    {"on_error",
     [](const UnboundOption& o, QueryOptions& to) {
       static constexpr Word<QueryOptions::OnError> kWords[] = {{"null", QueryOptions::OnError::kNull},
                                                                {"drop", QueryOptions::OnError::kDrop},
                                                                {"fail", QueryOptions::OnError::kFail}};
       return read_word(o, kWords, to.on_error);
     }},
    {"on_limit",
     [](const UnboundOption& o, QueryOptions& to) {
       static constexpr Word<QueryOptions::OnLimit> kWords[] = {{"fail", QueryOptions::OnLimit::kFail},
                                                                {"shed", QueryOptions::OnLimit::kShed}};
       return read_word(o, kWords, to.on_limit);
     }},
    {"retention",
     [](const UnboundOption& o, QueryOptions& to) { return read_interval(o, kRetentionMin, to.retention_us); }},
    {"rest_row", [](const UnboundOption& o, QueryOptions& to) { return read_bool(o, to.rest_row); }},
    {"state_limit",
     [](const UnboundOption& o, QueryOptions& to) { return read_octets(o, kStateLimitMin, to.state_octets_max); }},
    {"truncate_v4",
     [](const UnboundOption& o, QueryOptions& to) { return read_prefix(o, 32, &AddressPrefixes::v4_bits, to); }},
    {"truncate_v6",
     [](const UnboundOption& o, QueryOptions& to) { return read_prefix(o, 128, &AddressPrefixes::v6_bits, to); }},
    {"sites", [](const UnboundOption& o, QueryOptions& to) { return bind_placement_option(o, to.placement); }},
    {"placement", [](const UnboundOption& o, QueryOptions& to) { return bind_placement_option(o, to.placement); }},
    {"absent_sites", [](const UnboundOption& o, QueryOptions& to) { return bind_placement_option(o, to.placement); }},
    {"timezone", nullptr},
};

}  // namespace

const UnboundOption* find_option(const std::vector<UnboundOption>& options, std::string_view name) {
  const auto found =
      std::find_if(options.begin(), options.end(), [&](const UnboundOption& o) { return o.name == name; });
  return found == options.end() ? nullptr : &*found;
}

namespace {

bool is_windowed(const Query& query) {
  const Stage& first = query.stages.front();
  return query.inputs.empty() && first.aggregates_rows &&
         (first.window.kind == Window::Kind::kTumble || first.window.kind == Window::Kind::kHop);
}

/// Each group counts its rows and octets, so that what is shed with it is known.
void count_groups(Stage& stage) {
  const auto add = [&](AggregateCall call) {
    stage.grouped.columns.push_back({call.label, call.function->result_type, 0});
    stage.aggregates.push_back(std::move(call));
    return static_cast<int>(stage.aggregates.size()) - 1;
  };
  AggregateCall rows;
  rows.function = *agg::resolve("count", {}, false, true, {});
  rows.label = "count(*)";
  stage.rows_aggregate = add(std::move(rows));
  const int octets_column = stage.input.find("octets");
  if (octets_column < 0 || stage.input.columns[static_cast<size_t>(octets_column)].type != batch::Type::kInt8) return;
  AggregateCall octets;
  octets.function = *agg::resolve("sum", {batch::Type::kInt8}, false, false, {});
  octets.args.push_back(expr::make_column(octets_column, batch::Type::kInt8));
  octets.label = "sum(octets)";
  stage.input_used[static_cast<size_t>(octets_column)] = true;
  stage.octets_aggregate = add(std::move(octets));
}

}  // namespace

Result<void> apply_options(Query& query, const std::vector<UnboundOption>& options) {
  const QueryOptions& bound = query.options;
  if (bound.on_limit == QueryOptions::OnLimit::kShed) {
    const bool history = std::any_of(query.stages.begin(), query.stages.end(), [](const Stage& stage) {
      return stage.analytic && stage.analytic->across_windows;
    });
    if (!is_windowed(query) || history) {
      return fail("0A000", "on_limit = 'shed' needs a query whose state is groups of tumble or hop windows",
                  find_option(options, "on_limit")->span,
                  "sessions, OVER across windows and UNION ALL have on_limit = 'fail'");
    }
    count_groups(query.stages.front());
  }
  if (bound.emit == QueryOptions::Emit::kOnChange && (!is_windowed(query) || query.stages.size() > 1)) {
    return fail("0A000", "emit = 'on_change' needs a query that is one aggregation over tumble or hop windows",
                find_option(options, "emit")->span,
                "what stands above an aggregation reads its final rows; put that in a view above");
  }
  return {};
}

Result<QueryOptions> bind_options(const std::vector<UnboundOption>& options) {
  QueryOptions bound;
  for (const UnboundOption& option : options) {
    const auto def = std::find_if(std::begin(kOptions), std::end(kOptions),
                                  [&](const OptionDef& known) { return known.name == option.name; });
    if (option.name.starts_with("filter.")) {
      if (auto read = bind_site_filter(option, bound.placement); !read) return tl::unexpected(read.error());
      continue;
    }
    if (is_alert_option(option)) {
      if (auto known = check_alert_option(option); !known) return tl::unexpected(known.error());
      continue;
    }
    if (def == std::end(kOptions)) {
      std::vector<std::string_view> names;
      std::string list;
      for (const OptionDef& known : kOptions) {
        if (known.read == nullptr) continue;
        names.push_back(known.name);
        list.append(list.empty() ? "" : ", ").append(known.name);
      }
      const auto near = base::nearest_name(option.name, names);
      return fail("22023", fmt::format("unrecognized option \"{}\"", option.name), option.span,
                  near.empty() ? "options are " + list + ", \"filter.SITE\" and \"alert.…\""
                               : fmt::format("did you mean '{}'?", near));
    }
    if (def->read == nullptr)
      return fail("0A000", fmt::format("option \"{}\" is not supported yet", option.name), option.span);
    if (auto read = def->read(option, bound); !read) return tl::unexpected(read.error());
  }
  if (auto fits = check_site_filters(options, bound.placement); !fits) return tl::unexpected(fits.error());
  const UnboundOption* late = find_option(options, "late");
  if (late != nullptr && late->value == "revise" && bound.allowed_lateness_us == 0) {
    return fail("22023", "late = 'revise' needs allowed_lateness: how long windows are revised", late->span,
                "for example allowed_lateness = '60 s'");
  }
  if (const UnboundOption* every = find_option(options, "every");
      every != nullptr && bound.emit != QueryOptions::Emit::kOnChange) {
    return fail("22023", "every is how often emit = 'on_change' sends at most", every->span, "add emit = 'on_change'");
  }
  if (const UnboundOption* on_limit = find_option(options, "on_limit");
      on_limit != nullptr && find_option(options, "state_limit") == nullptr) {
    return fail("22023", "on_limit needs a state_limit", on_limit->span, "for example state_limit = '1 GB'");
  }
  return bound;
}

}  // namespace backstream::plan
