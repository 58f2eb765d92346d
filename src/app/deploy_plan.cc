#include "app/deploy_plan.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <utility>

#include "app/query_texts.h"
#include "app/service_client.h"
#include "borealis/compile.h"
#include "borealis/demand.h"
#include "plan/query.h"
#include "plan/references.h"
#include "service/query_statements.h"

namespace backstream::app {
namespace {

using base::fail;
using base::Result;
using base::SourceSpan;
using borealis::Deployment;
using borealis::Name;
using plan::Placement;
using Sites = std::set<std::string>;

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

template <typename Names>
std::string joined(const Names& names, std::string_view between) {
  std::string list;
  for (const auto& name : names) list.append(list.empty() ? "" : between).append(name);
  return list;
}

/// For a hint: the name that was meant, or those that there are.
std::string hint_of(std::string_view name, const std::vector<std::string_view>& names, std::string_view what,
                    std::string_view none) {
  constexpr size_t kListedMax = 10;
  if (names.empty()) return std::string(none);
  const std::string_view near = base::nearest_name(name, names);
  if (!near.empty()) return fmt::format("did you mean '{}'?", near);
  const size_t listed = std::min(names.size(), kListedMax);
  std::string list = joined(std::vector(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(listed)), ", ");
  if (names.size() > listed) list += fmt::format(" and {} more", names.size() - listed);
  return fmt::format("{} {}", what, list);
}

struct Node {
  std::string name, site;
  std::vector<std::string> roles;
  bool has(std::string_view role) const { return std::find(roles.begin(), roles.end(), role) != roles.end(); }
};

/// A registered query, and what its diagram is made of, as far as it needs it; all empty of SQL.
struct Registered {
  std::string name, text;
  uint64_t revision = 0;
  std::map<std::string, bool> elements;       ///< query elements; whether a box of it reads an input
  std::set<std::string> boxes;                ///< names
  std::map<std::string, std::string> inputs;  ///< by stream: the relation
};

/// Empty where the text is no diagram that can be read: what is wrong with it is not ours to say.
void read_parts(Registered& query) {
  if (!borealis::is_xml(query.text)) return;
  const auto document = borealis::read_document(query.text);
  if (!document) return;
  const auto diagram = borealis::read_diagram(*document);
  if (!diagram) return;
  size_t output = 0;
  for (size_t i = 0; i < diagram->outputs.size(); ++i) {
    if (diagram->outputs[i].stream.text == query.name) output = i;
  }
  std::map<std::string, std::string> relations;
  for (const borealis::InputStream& input : diagram->inputs) relations[input.stream.text] = input.stream.text;
  for (const borealis::Attribute& option : diagram->options) {
    constexpr std::string_view kBinding = "bind.";
    if (!option.name.starts_with(kBinding)) continue;
    const auto input = relations.find(lower(option.name.substr(kBinding.size())));
    if (input != relations.end()) input->second = option.value.text;
  }
  const borealis::Demand demand(*diagram, output);
  for (size_t i = 0; i < diagram->boxes.size(); ++i) {
    if (!demand.needs(i)) continue;
    const borealis::Box& box = diagram->boxes[i];
    bool& reads_input = query.elements[box.query];
    query.boxes.insert(box.name);
    for (const Name& stream : box.inputs) {
      const auto input = relations.find(stream.text);
      if (input == relations.end()) continue;
      reads_input = true;
      query.inputs.insert(*input);
    }
  }
}

/// What of a query stands under a node.
struct Place {
  size_t node = 0;
  SourceSpan node_span;
  bool reads_input = true;  ///< false: boxes that other boxes give their streams
};
struct Placed {
  std::vector<Place> places;
  SourceSpan span;  ///< of the name that asks for it first, or moves it
  bool is_moved = false;
};

/// What the catalog's options say of a query, or are to say.
struct Options {
  Sites sites;  ///< empty: all
  Placement::Where where = Placement::Where::kAuto;
};

std::string told(const Sites& sites) { return sites.empty() ? "all" : joined(sites, ","); }

class Planner {
 public:
  Planner(const Deployment& deployment, const nlohmann::json& nodes, const nlohmann::json& queries)
      : deployment_(deployment) {
    for (const nlohmann::json& node : list_of(nodes, "nodes")) {
      Node& known = nodes_.emplace_back();
      known.name = text_of(node, "name");
      known.site = text_of(node, "site");
      for (const nlohmann::json& role : list_of(node, "roles")) {
        if (role.is_string()) known.roles.push_back(role.get<std::string>());
      }
    }
    for (const nlohmann::json& query : list_of(queries, "queries")) {
      const auto temporary = query.find("temporary");
      if (temporary != query.end() && *temporary == true) continue;
      queries_.push_back({text_of(query, "name"), text_of(query, "text"), count_of(query, "revision"), {}, {}, {}});
    }
    std::sort(queries_.begin(), queries_.end(),
              [](const Registered& a, const Registered& b) { return a.name < b.name; });
    for (size_t i = 0; i < queries_.size(); ++i) {
      read_parts(queries_[i]);
      // Names of the file are in lower case: of two that differ in case alone it means that one.
      const std::string name = lower(queries_[i].name);
      if (name == queries_[i].name) by_name_[name] = i;
      else by_name_.emplace(name, i);
      for (const auto& [element, reads_input] : queries_[i].elements) by_element_[element].push_back(i);
      for (const std::string& box : queries_[i].boxes) by_box_[box].push_back(i);
    }
  }

  Result<DeployPlan> plan() {
    if (auto done = place_nodes(); !done) return tl::unexpected(std::move(done.error()));
    if (auto done = place_moves(); !done) return tl::unexpected(std::move(done.error()));
    if (auto done = read_publishes(); !done) return tl::unexpected(std::move(done.error()));
    DeployPlan plan;
    for (const auto& [query, placed] : placed_) {
      auto planned = plan_query(queries_[query], query, placed);
      if (!planned) return tl::unexpected(std::move(planned.error()));
      plan.queries.push_back(std::move(*planned));
    }
    if (auto done = read_subscribes(plan.notes); !done) return tl::unexpected(std::move(done.error()));
    return plan;
  }

 private:
  std::vector<std::string_view> names_of_nodes(std::initializer_list<std::string_view> roles) const {
    std::vector<std::string_view> names;
    for (const Node& node : nodes_) {
      if (std::any_of(roles.begin(), roles.end(), [&](std::string_view role) { return node.has(role); }))
        names.push_back(node.name);
    }
    return names;
  }

  /// The node of the name. An endpoint of Borealis may leave the host out, or say localhost: then it is the only node.
  Result<size_t> find_node(const Name& host) const {
    const auto found =
        std::find_if(nodes_.begin(), nodes_.end(), [&](const Node& node) { return lower(node.name) == host.text; });
    if (found != nodes_.end()) return static_cast<size_t>(found - nodes_.begin());
    const bool is_here = host.text.empty() || host.text == "localhost";
    if (is_here && nodes_.size() == 1) return 0;
    std::string hint =
        hint_of(host.text, names_of_nodes({"edge", "merge", "receiver"}), "nodes are", "backstream node list");
    if (host.text.empty()) return fail("42704", "an endpoint without a host names no node", host.span, std::move(hint));
    return fail("42704", fmt::format("there is no node '{}'", host.text), host.span, std::move(hint));
  }
  Result<size_t> find_node(const Name& host, std::initializer_list<std::string_view> roles,
                           std::string_view lack) const {
    const auto node = find_node(host);
    if (!node) return node;
    const Node& found = nodes_[*node];
    if (std::any_of(roles.begin(), roles.end(), [&](std::string_view role) { return found.has(role); })) return node;
    return fail("22023", fmt::format("{} node '{}': its role is {}", lack, found.name, joined(found.roles, ", ")),
                host.span,
                hint_of(host.text, names_of_nodes(roles), "it can be", "no node of the catalog has such a role"));
  }

  Result<void> place_nodes() {
    for (const Deployment::Node& element : deployment_.nodes) {
      const auto node = element.queries.empty() ? find_node(element.host)
                                                : find_node(element.host, {"edge", "merge"}, "no query runs on");
      if (!node) return tl::unexpected(node.error());
      for (const Name& name : element.queries) {
        if (const auto query = by_name_.find(name.text); query != by_name_.end()) {
          place(query->second, {*node, element.host.span, true}, name.span);
          continue;
        }
        const auto queries = by_element_.find(name.text);
        if (queries == by_element_.end()) return no_query(name);
        for (const size_t query : queries->second)
          place(query, {*node, element.host.span, queries_[query].elements.at(name.text)}, name.span);
      }
    }
    return {};
  }
  void place(size_t query, Place where, SourceSpan span) {
    const auto [placed, is_new] = placed_.try_emplace(query);
    if (is_new) placed->second.span = span;
    std::vector<Place>& places = placed->second.places;
    const auto same =
        std::find_if(places.begin(), places.end(), [&](const Place& at) { return at.node == where.node; });
    if (same == places.end()) places.push_back(where);
    else same->reads_input = same->reads_input || where.reads_input;
  }
  tl::unexpected<base::Diagnostic> no_query(const Name& name) const {
    std::vector<std::string_view> names;
    for (const Registered& query : queries_) names.push_back(query.name);
    for (const auto& [element, queries] : by_element_) names.push_back(element);
    return fail("42704", fmt::format("no query is called '{}', nor a query of a diagram that is registered", name.text),
                name.span, hint_of(name.text, names, "there are", "backstream query add NAME diagram.xml"));
  }

  /// What is moved stands under that node alone.
  Result<void> place_moves() {
    for (const Deployment::Move& move : deployment_.moves) {
      const auto node = find_node(move.host, {"edge", "merge"}, "no query runs on");
      if (!node) return tl::unexpected(node.error());
      for (const Name& box : move.boxes) {
        const auto queries = by_box_.find(box.text);
        if (queries == by_box_.end()) {
          std::vector<std::string_view> names;
          for (const auto& [name, having] : by_box_) names.push_back(name);
          return fail("42704", fmt::format("no diagram that is registered has a box '{}'", box.text), box.span,
                      hint_of(box.text, names, "there are", "backstream query add NAME diagram.xml"));
        }
        for (const size_t query : queries->second) {
          Placed& placed = placed_[query];
          if (placed.is_moved && placed.places.front().node != *node) {
            return fail("42710",
                        fmt::format("query '{}' is moved to two nodes: '{}' is a box of it, too", queries_[query].name,
                                    box.text),
                        box.span, "a query moves as a whole");
          }
          placed = {{{*node, move.host.span, true}}, box.span, true};
        }
      }
    }
    return {};
  }

  /// The site by which the flows of an edge are told from those of others; none of the only edge there is.
  Result<Sites> sites_of(size_t edge, SourceSpan span) const {
    const Node& node = nodes_[edge];
    if (node.site.empty()) {
      if (names_of_nodes({"edge"}).size() == 1) return Sites{};
      return fail(
          "55000",
          fmt::format("node '{}' has no site, so its flows cannot be told from those of other edges", node.name), span,
          "give it one: node.site");
    }
    if (node.site == "all" || node.site.find(',') != std::string::npos || node.site.front() == ' ' ||
        node.site.back() == ' ') {
      return fail("55000",
                  fmt::format("the site '{}' of node '{}' cannot stand in the option sites", node.site, node.name),
                  span, "give it another: node.site");
    }
    return Sites{node.site};
  }

  const std::set<std::string>& relations_of(size_t query) {
    const auto [found, is_new] = relations_.try_emplace(query);
    if (!is_new) return found->second;
    const Registered& registered = queries_[query];
    for (const auto& [stream, relation] : registered.inputs) found->second.insert(lower(relation));
    if (borealis::is_xml(registered.text)) return found->second;
    auto statement = service::query_called(registered.name, registered.text, registered.name);
    if (statement && statement->select) {
      plan::for_each_relation(*statement->select, [&](std::string& name) { found->second.insert(lower(name)); });
    }
    return found->second;
  }

  /// What streams come from which sites, by the queries that read them.
  Result<void> read_publishes() {
    for (const Deployment::Publish& publish : deployment_.publishes) {
      std::set<std::string> streams, relations;
      for (const auto& [query, placed] : placed_) {
        const Registered& registered = queries_[query];
        for (const auto& [stream, relation] : registered.inputs) {
          streams.insert(stream);
          if (stream == publish.stream.text) relations.insert(lower(relation));
        }
        if (!borealis::is_xml(registered.text)) {
          streams.insert(relations_of(query).begin(), relations_of(query).end());
          if (relations_of(query).contains(publish.stream.text)) relations.insert(publish.stream.text);
        }
      }
      if (relations.empty()) {
        return fail("42704", fmt::format("no query of this file reads the stream '{}'", publish.stream.text),
                    publish.stream.span,
                    hint_of(publish.stream.text, {streams.begin(), streams.end()}, "they read",
                            "name the queries that read it under <node>"));
      }
      if (!publish.host) continue;
      const auto node = find_node(*publish.host, {"edge"}, "no flows come to");
      if (!node) return tl::unexpected(node.error());
      auto sites = sites_of(*node, publish.host->span);
      if (!sites) return tl::unexpected(std::move(sites.error()));
      Published& published = published_[publish.stream.text];
      published.span = publish.host->span;
      published.sites.merge(*sites);
      published.relations.merge(relations);
    }
    return {};
  }

  /// What a query is to count of the sites that it stands under, by where its streams come from.
  Result<Sites> published_sites(size_t query, Sites sites) {
    const Published* before = nullptr;
    std::string_view stream_before;
    for (const auto& [stream, published] : published_) {
      const std::set<std::string>& read = relations_of(query);
      const bool is_read = std::any_of(published.relations.begin(), published.relations.end(),
                                       [&](const std::string& relation) { return read.contains(relation); });
      if (!is_read || published.sites.empty()) continue;
      if (before != nullptr && before->sites != published.sites) {
        return fail("0A000",
                    fmt::format("query '{}' reads the streams '{}' and '{}' from different nodes", queries_[query].name,
                                stream_before, stream),
                    published.span, "its option sites holds for every stream that it reads");
      }
      before = &published;
      stream_before = stream;
    }
    if (before == nullptr) return sites;
    if (sites.empty()) return before->sites;
    Sites both;
    std::set_intersection(sites.begin(), sites.end(), before->sites.begin(), before->sites.end(),
                          std::inserter(both, both.end()));
    if (!both.empty()) return both;
    return fail("22023",
                fmt::format("query '{}' is placed at {}, and its stream '{}' comes from {}", queries_[query].name,
                            told(sites), stream_before, told(before->sites)),
                before->span, "place it where its flows come from, or on a node that merges");
  }

  Result<Options> wanted(size_t query, const Placed& placed) {
    Options options;
    bool at_edges = false, elsewhere = false;
    for (const Place& place : placed.places) {
      const Node& node = nodes_[place.node];
      if (!node.has("edge") || !place.reads_input) {
        elsewhere = true;
        continue;
      }
      at_edges = true;
      elsewhere = elsewhere || node.has("merge");
      auto sites = sites_of(place.node, place.node_span);
      if (!sites) return tl::unexpected(std::move(sites.error()));
      options.sites.merge(*sites);
    }
    options.where = at_edges && elsewhere ? Placement::Where::kAuto
                    : at_edges            ? Placement::Where::kEdge
                                          : Placement::Where::kCentral;
    auto sites = published_sites(query, std::move(options.sites));
    if (!sites) return tl::unexpected(std::move(sites.error()));
    options.sites = std::move(*sites);
    return options;
  }

  static Options options_of(const plan::UnboundStatement& statement) {
    Options options;
    for (const plan::UnboundOption& option : statement.options) {
      if (option.name == "placement") {
        for (const auto where : {Placement::Where::kAuto, Placement::Where::kEdge, Placement::Where::kCentral}) {
          if (option.value == plan::name(where)) options.where = where;
        }
      }
      if (option.name != "sites") continue;
      for (size_t begin = 0; begin <= option.value.size();) {
        const size_t comma = std::min(option.value.find(',', begin), option.value.size());
        std::string site = option.value.substr(begin, comma - begin);
        site.erase(0, site.find_first_not_of(' '));
        site.erase(site.find_last_not_of(' ') + 1);
        options.sites.insert(std::move(site));
        begin = comma + 1;
      }
    }
    return options;
  }

  Result<DeployPlan::Query> plan_query(const Registered& registered, size_t query, const Placed& placed) {
    const auto statement = service::query_called(registered.name, registered.text, registered.name);
    if (!statement) {
      return fail(statement.error().code,
                  fmt::format("the text of query '{}' cannot be read: {}", registered.name, statement.error().message),
                  placed.span);
    }
    if (statement->kind != plan::UnboundStatement::Kind::kCreateMaterializedView) {
      return fail("42809", fmt::format("'{}' is a plain view, which runs with those that read it", registered.name),
                  placed.span, "place the queries that read it");
    }
    const auto is_to_be = wanted(query, placed);
    if (!is_to_be) return tl::unexpected(is_to_be.error());
    const Options is = options_of(*statement);

    DeployPlan::Query planned{registered.name, {}, placed.span, false, registered.text, registered.revision};
    std::vector<OptionChange> changes;
    planned.placement = fmt::format("sites {}", told(is_to_be->sites));
    if (is.sites != is_to_be->sites) {
      planned.placement += fmt::format(" (was {})", told(is.sites));
      changes.push_back(is_to_be->sites.empty() ? OptionChange{"sites", std::nullopt}
                                                : set_option("sites", told(is_to_be->sites)));
    }
    planned.placement += fmt::format(", placement {}", plan::name(is_to_be->where));
    if (is.where != is_to_be->where) {
      planned.placement += fmt::format(" (was {})", plan::name(is.where));
      // What is the same without the option needs none.
      changes.push_back(is_to_be->where == Placement::Where::kAuto
                            ? OptionChange{"placement", std::nullopt}
                            : set_option("placement", plan::name(is_to_be->where)));
    }
    if (changes.empty()) return planned;
    auto text = with_options(registered.text, registered.name, changes);
    if (!text) return fail(text.error().code, std::move(text.error().message), placed.span);
    planned.is_changed = true;
    planned.text = std::move(*text);
    return planned;
  }

  Result<void> read_subscribes(std::vector<std::string>& notes) const {
    std::set<std::string> told;
    for (const Deployment::Subscribe& subscribe : deployment_.subscribes) {
      const auto query = by_name_.find(subscribe.stream.text);
      if (query == by_name_.end()) {
        std::vector<std::string_view> names;
        for (const Registered& registered : queries_) names.push_back(registered.name);
        return fail("42704", fmt::format("there is no query '{}' whose results could be read", subscribe.stream.text),
                    subscribe.stream.span,
                    hint_of(subscribe.stream.text, names, "there are", "backstream query add NAME diagram.xml"));
      }
      if (subscribe.host && !subscribe.host->text.empty()) {
        const auto node = find_node(*subscribe.host, {"receiver"}, "no results come to");
        if (!node) return tl::unexpected(node.error());
      }
      const std::string& name = queries_[query->second].name;
      if (told.insert(name).second) notes.push_back(fmt::format("every receiver has the results of {}", name));
    }
    return {};
  }

  struct Published {
    Sites sites;                      ///< empty: all
    std::set<std::string> relations;  ///< what the stream is, in lower case
    SourceSpan span;                  ///< of the last node
  };

  const Deployment& deployment_;
  std::vector<Node> nodes_;
  std::vector<Registered> queries_;        ///< by name
  std::map<std::string, size_t> by_name_;  ///< in lower case
  std::map<std::string, std::vector<size_t>> by_element_, by_box_;
  std::map<size_t, std::set<std::string>> relations_;  ///< by query, in lower case; those that were asked for
  std::map<size_t, Placed> placed_;                    ///< by query
  std::map<std::string, Published> published_;         ///< by stream; of those with a node
};

}  // namespace

Result<DeployPlan> plan_deploy(const Deployment& deployment, const nlohmann::json& nodes,
                               const nlohmann::json& queries) {
  return Planner(deployment, nodes, queries).plan();
}

}  // namespace backstream::app
