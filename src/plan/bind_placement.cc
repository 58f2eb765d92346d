// Binds WITH (sites, "filter.SITE", placement, absent_sites).
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "plan/join_conditions.h"
#include "plan/late.h"
#include "plan/split.h"

namespace backstream::plan {

using base::fail;
using batch::Type;

bool Placement::counts(std::string_view site) const {
  return sites.empty() || std::binary_search(sites.begin(), sites.end(), site);
}
std::string_view name(Placement::Where where) {
  constexpr std::string_view kNames[] = {"auto", "edge", "central"};
  return kNames[static_cast<size_t>(where)];
}
std::string_view name(Placement::AbsentSites absent_sites) {
  constexpr std::string_view kNames[] = {"mark", "wait"};
  return kNames[static_cast<size_t>(absent_sites)];
}

namespace {

constexpr std::string_view kFilter = "filter.";
constexpr std::string_view kSitesHint = "labels of sites with commas between: sites = 'ams,fra'";

/// 'ams, fra': sites in order. Blanks around a comma do not count.
Result<std::vector<std::string>> read_sites(const UnboundOption& option) {
  const std::string_view text = option.value;
  std::vector<std::string> sites;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t comma = std::min(text.find(',', begin), text.size());
    size_t first = begin, last = comma;
    while (first < last && text[first] == ' ') ++first;
    while (last > first && text[last - 1] == ' ') --last;
    const std::string_view site = text.substr(first, last - first);
    const auto span = option.span_of({static_cast<uint32_t>(first), static_cast<uint32_t>(site.size())});
    if (site.empty()) return fail("22023", "a site without a name in sites", span, std::string(kSitesHint));
    if (site == "all")
      return fail("22023", "\"all\" is no site", span, "without the option sites a query counts all of them");
    if (std::find(sites.begin(), sites.end(), site) != sites.end())
      return fail("22023", fmt::format("site \"{}\" is there twice", site), span, "leave one of them out");
    sites.emplace_back(site);
    begin = comma + 1;
  }
  std::sort(sites.begin(), sites.end());
  return sites;
}

std::string list_of(const std::vector<std::string>& sites) {
  std::string list;
  for (const std::string& site : sites) list.append(list.empty() ? "" : ",").append(site);
  return list;
}

void find_sources(Query& query, std::vector<Query*>& streams, std::vector<Query*>& views) {
  for (auto& input : query.inputs) find_sources(*input, streams, views);
  if (!query.inputs.empty()) return;
  (query.source.kind == Relation::Kind::kStream ? streams : views).push_back(&query);
}

/// For a hint: the view whose rows these are.
std::string_view view_of(const Relation& source) {
  std::string_view view = source.name;
  if (view.ends_with(kLateSuffix)) view.remove_suffix(kLateSuffix.size());
  return view;
}

Result<int> site_column(const Relation& stream, SourceSpan span) {
  const int column = stream.schema.find("site");
  if (column >= 0 && stream.schema.columns[static_cast<size_t>(column)].type == Type::kText) return column;
  return fail("0A000", fmt::format("rows of \"{}\" have no site: it has no column site of type text", stream.name),
              span, "flows and the streams beside it have one");
}

ExprPtr text_literal(const std::string& text, SourceSpan span) { return expr::make_literal(text, Type::kText, span); }

/// site IS NOT NULL and site = 'ams', or site IN ('ams', 'fra'). False, never null: what follows is not computed then.
Result<void> add_sites(int column, const std::vector<std::string>& sites, SourceSpan span, std::vector<ExprPtr>& to) {
  const auto site = [&] { return expr::make_column(column, Type::kText, span); };
  auto present = expr::make_is_null(site(), true, span);
  if (!present) return tl::unexpected(present.error());
  std::vector<ExprPtr> values;
  for (const std::string& each : sites) values.push_back(text_literal(each, span));
  const bool several = values.size() > 1;
  if (!several) values.insert(values.begin(), site());
  auto counted = several ? expr::make_in_list(site(), std::move(values), false, span)
                         : expr::make_operator("=", std::move(values), span);
  if (!counted) return tl::unexpected(counted.error());
  to.push_back(std::move(*present));
  to.push_back(std::move(*counted));
  return {};
}

/// site IS DISTINCT FROM 'ams' OR (condition) IS TRUE: a row of the site must meet it, which null does not.
Result<ExprPtr> of_filter(int column, const std::string& site, const UnboundOption& option, const Relation& stream) {
  Input input;
  input.source = stream;
  input.schema = stream.schema;
  input.alias = stream.name;
  const std::string clause = fmt::format("\"{}\"", option.name);
  const auto bound = [&]() -> Result<ExprPtr> {
    auto condition = ExprBinder(input).bind_row(*option.condition, clause);
    if (condition && (*condition)->type == Type::kUnknown)
      condition = expr::make_cast(std::move(*condition), Type::kBool, option.condition->span);
    if (!condition || (*condition)->type == Type::kBool) return condition;
    return fail(
        "42804",
        fmt::format("argument of {} must be type boolean, not type {}", clause, batch::name((*condition)->type)),
        option.condition->span);
  };
  auto condition = bound();
  if (!condition) {
    condition.error().span = option.span_of(condition.error().span);
    return condition;
  }
  condition = expr::make_is_truth(std::move(*condition), "true", false, option.span);
  if (!condition) return condition;
  auto other = expr::make_distinct_from(expr::make_column(column, Type::kText, option.span),
                                        text_literal(site, option.span), false, option.span);
  if (!other) return other;
  std::vector<ExprPtr> either;
  either.push_back(std::move(*other));
  either.push_back(std::move(*condition));
  return expr::make_or(std::move(either), option.span);
}

/// The conditions of sites stand before those of WHERE: what these cannot compute of rows of other sites is no error.
Result<void> add_conditions(Query& reader, const Placement& placement, const std::vector<UnboundOption>& options) {
  Stage& stage = reader.stages.front();
  std::vector<ExprPtr> all;
  if (const UnboundOption* sites = find_option(options, "sites")) {
    const auto column = site_column(reader.source, sites->span);
    if (!column) return tl::unexpected(column.error());
    if (auto added = add_sites(*column, placement.sites, sites->span, all); !added) return added;
  }
  for (const Placement::Filter& filter : placement.filters) {
    const UnboundOption& option = *find_option(options, std::string(kFilter) + filter.site);
    const auto column = site_column(reader.source, option.span);
    if (!column) return tl::unexpected(column.error());
    auto condition = of_filter(*column, filter.site, option, reader.source);
    if (!condition) return tl::unexpected(condition.error());
    all.push_back(std::move(*condition));
  }
  if (all.empty()) return {};
  for (const ExprPtr& condition : all) note_columns(condition.get(), stage.input_used);
  if (stage.where) add_conjuncts(std::move(stage.where), all);
  auto where = all_of(std::move(all));
  if (!where) return tl::unexpected(where.error());
  stage.where = std::move(*where);
  return {};
}

/// 0A000 for an option about rows of streams where the query reads none.
Result<void> need_streams(const UnboundOption& option, const Relation& source) {
  const std::string_view view = view_of(source);
  return fail("0A000",
              fmt::format("{} is about the streams that a query reads, and this one reads views alone", option.name),
              option.span,
              option.name == "placement"
                  ? fmt::format("its rows are made where those of \"{}\" are: leave it out", view)
                  : fmt::format("set it for the view below: ALTER MATERIALIZED VIEW {} SET ({} = '{}')", view,
                                option.name.starts_with(kFilter) ? fmt::format("\"{}\"", option.name) : option.name,
                                option.name.starts_with(kFilter) ? "…" : option.value));
}

}  // namespace

Result<void> bind_placement_option(const UnboundOption& option, Placement& to) {
  const auto word = [&](auto& value,
                        std::initializer_list<std::remove_reference_t<decltype(value)>> all) -> Result<void> {
    std::string known;
    for (const auto each : all) {
      if (option.value == name(each)) {
        value = each;
        return {};
      }
      known += fmt::format("{}'{}'",
                           known.empty()                            ? ""
                           : each == std::data(all)[all.size() - 1] ? " or "
                                                                    : ", ",
                           name(each));
    }
    return fail("22023", fmt::format("invalid value \"{}\" for {}", option.value, option.name), option.span,
                "it is " + known);
  };
  if (option.name == "placement")
    return word(to.where, {Placement::Where::kAuto, Placement::Where::kEdge, Placement::Where::kCentral});
  if (option.name == "absent_sites")
    return word(to.absent_sites, {Placement::AbsentSites::kMark, Placement::AbsentSites::kWait});
  auto sites = read_sites(option);
  if (!sites) return tl::unexpected(sites.error());
  to.sites = std::move(*sites);
  return {};
}

Result<void> bind_site_filter(const UnboundOption& option, Placement& to) {
  const std::string site = option.name.substr(kFilter.size());
  if (site.empty()) {
    return fail("22023", fmt::format("\"{}\" names no site", option.name), option.span,
                "for example \"filter.ams\" = 'octets > 1000'");
  }
  if (!option.condition) {
    return fail("22023", fmt::format("\"{}\" has no condition", option.name), option.span,
                fmt::format("for example \"{}\" = 'octets > 1000'", option.name));
  }
  const auto at =
      std::lower_bound(to.filters.begin(), to.filters.end(), site,
                       [](const Placement::Filter& filter, const std::string& s) { return filter.site < s; });
  to.filters.insert(at, {site, option.value});
  return {};
}

Result<void> check_site_filters(const std::vector<UnboundOption>& options, const Placement& placement) {
  for (const Placement::Filter& filter : placement.filters) {
    if (placement.counts(filter.site)) continue;
    return fail("22023", fmt::format("\"filter.{}\" is of a site that sites leaves out", filter.site),
                find_option(options, std::string(kFilter) + filter.site)->span,
                fmt::format("it counts {} only: add {} to sites, or take the filter away", list_of(placement.sites),
                            filter.site));
  }
  return {};
}

Result<void> apply_placement(Query& query, const std::vector<UnboundOption>& options) {
  const Placement& placement = query.options.placement;
  std::vector<Query*> streams, views;
  find_sources(query, streams, views);
  for (const UnboundOption& option : options) {
    const bool of_rows = option.name == "sites" || option.name.starts_with(kFilter) ||
                         (option.name == "placement" && placement.where == Placement::Where::kEdge) ||
                         (option.name == "absent_sites" && placement.absent_sites == Placement::AbsentSites::kWait);
    if (of_rows && streams.empty()) return need_streams(option, views.front()->source);
  }
  for (Query* reader : streams) {
    if (auto added = add_conditions(*reader, placement, options); !added) return added;
  }
  if (placement.where != Placement::Where::kEdge) return {};
  if (const std::string obstacle = edge_obstacle(query); !obstacle.empty()) {
    return fail("0A000", fmt::format("placement = 'edge' is not possible: {}", obstacle),
                find_option(options, "placement")->span,
                "'auto' sends the columns that it needs, 'central' the flows as they are");
  }
  return {};
}

}  // namespace backstream::plan
