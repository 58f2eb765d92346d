#include "service/query_register.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "partial/codec.h"
#include "plan/explain.h"
#include "plan/late.h"
#include "plan/references.h"
#include "plan/time_range.h"
#include "sql/parse.h"

namespace backstream::service {

using base::fail;
using base::Micros;
using base::Result;
using catalog::QueryDefinition;
using catalog::QueryState;
using plan::UnboundStatement;

namespace {

std::vector<std::string> relations_of(const UnboundStatement& statement) {
  std::set<std::string> names;
  if (statement.maker) {
    for (const plan::UnboundName& read : statement.maker->relations()) names.insert(read.name);
  } else {
    plan::for_each_relation(*statement.select, [&](std::string& found) { names.insert(found); });
  }
  return {names.begin(), names.end()};
}

/// Where it is not known how far a version is: for so long after its last window has begun, rows of it may come.
constexpr Micros kEndingKept = 3'600 * base::kMicrosPerSecond;

/// The query that a relation is of: its own, or the one whose late rows it holds.
std::string owner_of(const std::string& relation, const auto& wanted) {
  if (wanted.contains(relation)) return relation;
  if (relation.ends_with(plan::kLateSuffix)) return relation.substr(0, relation.size() - plan::kLateSuffix.size());
  return relation;
}

std::string_view verb_of(QueryRegister::Edit::Action action, bool there) {
  using Action = QueryRegister::Edit::Action;
  switch (action) {
    case Action::kAdd: return "add";
    case Action::kAlter: return "alter";
    case Action::kPut: return there ? "alter" : "add";
    case Action::kDrop: return "drop";
    case Action::kPause: return "pause";
    case Action::kResume: return "resume";
  }
  return {};
}

}  // namespace

QueryRegister::QueryRegister(catalog::Catalog& catalog, QueryGround ground)
    : catalog_(catalog), ground_(std::move(ground)), definitions_(ground_.definitions()) {}

/// Binds all that is to run, each after what it reads.
/// @param sources  names of texts that were just given, by query
Result<QueryRegister::Stage> QueryRegister::stage(const WantedMap& wanted,
                                                  const std::map<std::string, std::string>& sources) const {
  struct Waiting {
    const std::string* name;
    std::string source;
    UnboundStatement statement;
    std::vector<std::string> reads, relations;
  };
  Stage stage;
  stage.definitions = ground_.definitions();
  std::vector<Waiting> waiting;
  QueryReader reader;
  std::set<std::string> late_read;
  for (const auto& [name, entry] : wanted) {
    if (entry.definition.state != QueryState::kRunning) continue;
    const auto given = sources.find(name);
    std::string source = given == sources.end() || given->second.empty() ? name : given->second;
    auto statement = reader.query_called(name, entry.definition.text, source);
    if (!statement) return tl::unexpected(std::move(statement.error()));
    auto relations = relations_of(*statement);
    std::set<std::string> others;
    for (const std::string& relation : relations) {
      const std::string owner = owner_of(relation, wanted);
      const auto found = wanted.find(owner);
      if (found == wanted.end() || found->second.definition.state != QueryState::kRunning) continue;
      others.insert(owner);
      if (owner != relation) late_read.insert(owner);
    }
    waiting.push_back(
        {&name, std::move(source), std::move(*statement), {others.begin(), others.end()}, std::move(relations)});
  }
  std::set<std::string> bound;
  while (!waiting.empty()) {
    bool any = false;
    for (auto at = waiting.begin(); at != waiting.end();) {
      const bool ready =
          std::all_of(at->reads.begin(), at->reads.end(), [&](const auto& name) { return bound.contains(name); });
      if (!ready) {
        ++at;
        continue;
      }
      any = true;
      const std::string& name = *at->name;
      const std::string& text = wanted.find(name)->second.definition.text;
      Staged staged{name, text, {}, nullptr, std::move(at->reads), std::move(at->relations)};
      Result<void> done;
      if (at->statement.kind == UnboundStatement::Kind::kCreateView) {
        done = stage.definitions->change(std::move(at->statement));
      } else {
        auto added = stage.definitions->add_query(std::move(at->statement), text, name);
        if (!added) done = tl::unexpected(std::move(added.error()));
        else staged.query = (*added)->query;
      }
      if (!done) {
        base::Diagnostic error = std::move(done.error());
        if (error.line == 0) base::locate(error, at->source, text);
        return tl::unexpected(std::move(error));
      }
      bound.insert(name);
      stage.items.push_back(std::move(staged));
      at = waiting.erase(at);
    }
    if (any) continue;
    std::string names;
    for (const Waiting& left : waiting) names.append(names.empty() ? "" : ", ").append(*left.name);
    auto error =
        fail("42P17", fmt::format("these queries read each other: {}", names), waiting.front().statement.name_span,
             "each must read only streams, tables and queries that do not read it");
    base::locate(error.value(), waiting.front().source, wanted.find(*waiting.front().name)->second.definition.text);
    return error;
  }
  // When all are bound: what one keeps of its late rows depends on who reads them.
  for (Staged& staged : stage.items) {
    if (staged.query) staged.plan = plan::explain(*staged.query);
    staged.late_kept = late_read.contains(staged.name);
  }
  if (ground_.engine.half() != exec::Half::kBoth) {
    if (auto possible = check_apart(stage, sources); !possible) return tl::unexpected(std::move(possible.error()));
  }
  return stage;
}

/// Where halves are apart, late rows are told where windows close, and only rows that travel as such can be told.
Result<void> QueryRegister::check_apart(const Stage& stage, const std::map<std::string, std::string>& sources) const {
  for (const Staged& view : stage.items) {
    if (!view.late_kept || !view.query || view.query->options.placement.where == plan::Placement::Where::kCentral)
      continue;
    for (const Staged& reader : stage.items) {
      if (std::find(reader.relations.begin(), reader.relations.end(), view.name + std::string(plan::kLateSuffix)) ==
          reader.relations.end())
        continue;
      auto error =
          fail("0A000", fmt::format("the late rows of \"{}\" are at no one place", view.name), {},
               fmt::format("its groups are made at the edges; give {} WITH (placement = 'central')", view.name));
      const auto given = sources.find(reader.name);
      base::locate(error.value(), given == sources.end() || given->second.empty() ? reader.name : given->second,
                   reader.text);
      return error;
    }
  }
  return {};
}

/// The names of those that are to start, or to start anew: they have another text or plan, something that they read
/// starts anew, or somebody wants their late rows, which are kept from the begin or not at all.
std::vector<std::string> QueryRegister::restarted(const Stage& stage, const WantedMap& wanted) const {
  std::set<std::string> names;
  std::vector<std::string> ordered;
  for (const Staged& staged : stage.items) {
    const auto was = running_.find(staged.name);
    const bool same =
        was != running_.end() && (was->second.staged.late_kept || !staged.late_kept) &&
        was->second.staged.text == staged.text && was->second.staged.plan == staged.plan &&
        was->second.object.incarnation == wanted.find(staged.name)->second.object.incarnation &&
        std::none_of(staged.reads.begin(), staged.reads.end(), [&](const auto& name) { return names.contains(name); });
    if (same) continue;
    names.insert(staged.name);
    ordered.push_back(staged.name);
  }
  return ordered;
}

/// A version gives no window that starts at `boundary` or later.
void QueryRegister::end(Running&& going, Micros boundary) {
  if (!going.staged.query) return;
  ground_.engine.set_life(going.number, going.begin, std::max(going.begin, boundary));
  going.ended_at = boundary == base::kMinTime ? base::kMinTime : boundary;
  const auto place = std::upper_bound(ending_.begin(), ending_.end(), going.order,
                                      [](uint64_t order, const Running& other) { return order < other.order; });
  ending_.insert(place, std::move(going));
}

/// Of queries, some of which are plain: those that run.
std::vector<std::string> QueryRegister::views_read(const std::vector<std::string>& reads) const {
  std::vector<std::string> views;
  for (const std::string& read : reads) {
    const Running& below = running_.find(read)->second;
    if (below.staged.query) {
      views.push_back(read);
      continue;
    }
    for (std::string& view : views_read(below.staged.reads)) views.push_back(std::move(view));
  }
  return views;
}

/// Makes what runs equal to what is staged. At rest.
void QueryRegister::settle(Stage stage, const WantedMap& wanted) {
  const std::vector<std::string> starting = restarted(stage, wanted);
  const auto boundary_of = [&](const std::string& name) {
    const Micros seen = ground_.seen_from(wanted.find(name)->second.object);
    return seen == base::kMinTime ? base::kMinTime : seen + 1;
  };
  const auto end_of = [&](const std::string& name) {
    const Micros boundary = boundary_of(name);
    if (ground_.windows_begin_after == 0) return boundary;
    return std::max(boundary, wanted.find(name)->second.object.changed_at + ground_.windows_begin_after + 1);
  };
  std::set<std::string> there;
  for (const Staged& staged : stage.items) there.insert(staged.name);
  const auto starts = [&](const std::string& name) {
    return std::find(starting.begin(), starting.end(), name) != starting.end();
  };

  std::set<std::string> taken_over;  // By a version whose windows follow its own.
  for (const Staged& staged : stage.items) {
    const auto was = running_.find(staged.name);
    if (was == running_.end() || !starts(staged.name) || !staged.query || !was->second.staged.query) continue;
    if (staged.query->has_windows && was->second.staged.query->has_windows &&
        was->second.object.incarnation == wanted.find(staged.name)->second.object.incarnation) {
      taken_over.insert(staged.name);
    }
  }
  for (auto at = running_.begin(); at != running_.end();) {
    const std::string& name = at->first;
    if (there.contains(name) && !starts(name)) {
      ++at;
      continue;
    }
    end(std::move(at->second), taken_over.contains(name) ? end_of(name) : base::kMinTime);
    at = running_.erase(at);
  }
  for (Staged& staged : stage.items) {
    const catalog::Object& object = wanted.find(staged.name)->second.object;
    if (!starts(staged.name)) {
      running_.find(staged.name)->second.object = object;  // Its state may have changed.
      continue;
    }
    Running running;
    running.object = object;
    running.order = ++started_;
    running.staged = std::move(staged);
    // What reads a view is completed where the view is, and is another thing when the view is another.
    for (const std::string& read : running.staged.reads) {
      const Running& below = running_.find(read)->second;
      if (running.root == 0) running.root = below.root;
    }
    if (const auto& query = running.staged.query) {
      const Micros boundary = boundary_of(running.staged.name);
      const uint64_t number = partial::object_number(object.name, object.incarnation.value);
      if (running.root == 0) running.root = number;
      running.incarnation = partial::incarnation_of(running.root, number, object.version);
      for (const std::string& read : views_read(running.staged.reads)) {
        running.incarnation =
            partial::incarnation_of_input(running.incarnation, running_.find(read)->second.incarnation);
      }
      running.sink = ground_.sink_of(object, *query);
      running.number = ground_.engine.add_query(query, running.sink, exec::Measured::kNot, running.incarnation);
      running.since = boundary;
      if (boundary != base::kMinTime) ground_.engine.mark_gap(running.number, base::kMinTime, boundary);
      if (taken_over.contains(running.staged.name)) {
        running.begin = boundary;
        ground_.engine.set_life(running.number, boundary, base::kMaxTime);
      }
    }
    const std::string name = running.staged.name;
    running_.emplace(name, std::move(running));
  }
  definitions_ = std::move(stage.definitions);
  ground_.engine.catch_up();
}

/// Under change_mutex_ alone: the engine's thread, which does it, takes the other.
void QueryRegister::run(Stage stage, WantedMap wanted) {
  ground_.change([&] {
    const std::lock_guard lock(mutex_);
    settle(std::move(stage), wanted);
    wanted_.swap(wanted);
    // Of those that did not run nothing ends that would tell it.
    for (const auto& [name, entry] : wanted) {
      const auto is_it = [&, of = &name](const Running& other) { return other.object.name == *of; };
      if (!wanted_.contains(name) && !running_.contains(name) && std::none_of(ending_.begin(), ending_.end(), is_it))
        ground_.forget(entry.object, nullptr, true);
    }
  });
}

Result<void> QueryRegister::start(Micros now) {
  const std::lock_guard changing(change_mutex_);
  if (ground_.shared) return follow_locked(true);
  const auto listed = catalog_.list(catalog::Kind::kQuery);
  if (!listed) return tl::unexpected(listed.error());
  for (const catalog::Object& object : *listed) {
    auto definition = catalog::query_of(object);
    if (!definition) return tl::unexpected(std::move(definition.error()));
    wanted_[object.name] = {object, std::move(*definition)};
  }
  // A later version of the program may refuse what an earlier one took: that one is left out, the others run.
  for (;;) {
    auto staged = stage(wanted_, {});
    if (staged) {
      run(std::move(*staged), wanted_);
      return {};
    }
    const auto wrong = wanted_.find(staged.error().source_name);
    if (wrong == wanted_.end() || wrong->second.definition.state != QueryState::kRunning)
      return tl::unexpected(staged.error());
    QueryDefinition& definition = wrong->second.definition;
    definition.state = QueryState::kFailed;
    definition.reason = staged.error().code + ' ' + staged.error().message;
    catalog::Change failed;
    failed.action = catalog::Change::Action::kUpdate;
    failed.kind = catalog::Kind::kQuery;
    failed.name = wrong->first;
    failed.body = catalog::to_body(definition);
    failed.verb = "fail";
    failed.comment = definition.reason;
    if (const auto told = catalog_.apply({&failed, 1}, {"backstream", "start"}, now); !told)
      return tl::unexpected(told.error());
    if (const auto object = catalog_.find(catalog::Kind::kQuery, wrong->first); object && *object)
      wrong->second.object = **object;
  }
}

Result<void> QueryRegister::follow(bool tables_changed) {
  const std::lock_guard changing(change_mutex_);
  return follow_locked(tables_changed);
}

Result<void> QueryRegister::follow_locked(bool tables_changed) {
  if (!ground_.shared || (catalog_.revision() == seen_ && !tables_changed)) return {};
  WantedMap wanted;
  catalog::Revision at;
  bool differs = tables_changed;
  do {  // Until all was read of one revision: changes of several queries are whole.
    wanted = wanted_;
    at = catalog_.revision();
    std::set<std::string> names;
    const auto changed = catalog_.changed_since(seen_);
    if (!changed) return tl::unexpected(changed.error());
    if (*changed) {
      for (const auto& one : **changed) {
        if (one.kind == catalog::Kind::kQuery) names.insert(one.name);
      }
    }
    if (!*changed || seen_ == catalog::Revision{}) {
      const auto listed = catalog_.list(catalog::Kind::kQuery);
      if (!listed) return tl::unexpected(listed.error());
      for (const catalog::Object& object : *listed) names.insert(object.name);
      for (const auto& [name, entry] : wanted) {
        if (!entry.is_of_this_node_alone()) names.insert(name);
      }
    }
    for (const auto& [name, entry] : wanted) {
      if (entry.unbound) names.insert(name);
    }
    for (const std::string& name : names) {
      const auto object = catalog_.find(catalog::Kind::kQuery, name);
      if (!object) return tl::unexpected(object.error());
      if (!*object) {
        differs = wanted.erase(name) > 0 || differs;
        continue;
      }
      Wanted& entry = wanted[name];
      if (entry.object == **object && !entry.unbound) continue;
      differs = true;
      entry = {**object, {}, name.starts_with(kTemporaryMark)};
      if (auto definition = catalog::query_of(**object)) {
        entry.definition = std::move(*definition);
      } else {
        entry.definition.state = QueryState::kFailed;
        entry.definition.reason = definition.error().code + ' ' + definition.error().message;
        entry.unbound = true;
      }
    }
  } while (catalog_.revision() != at);
  if (!differs) {
    seen_ = at;
    return {};
  }
  for (;;) {
    auto staged = stage(wanted, {});
    if (staged) {
      run(std::move(*staged), std::move(wanted));
      seen_ = at;
      return {};
    }
    const auto wrong = wanted.find(staged.error().source_name);
    if (wrong == wanted.end() || wrong->second.definition.state != QueryState::kRunning)
      return tl::unexpected(staged.error());
    if (wrong->second.temporary) {
      wanted.erase(wrong);
      continue;
    }
    wrong->second.definition.state = QueryState::kFailed;
    wrong->second.definition.reason = staged.error().code + ' ' + staged.error().message;
    wrong->second.unbound = true;
  }
}

void QueryRegister::begin_at(const std::string& name, Micros begin) {
  const std::lock_guard changing(change_mutex_);
  const std::lock_guard lock(mutex_);
  const auto at = running_.find(name);
  if (at == running_.end() || !at->second.staged.query) return;
  at->second.begin = begin;
  ground_.engine.set_life(at->second.number, begin, base::kMaxTime);
}

Result<std::vector<QueryRegister::Done>> QueryRegister::change(std::span<const Edit> edits,
                                                               const catalog::Author& author, Micros now,
                                                               bool dry_run) {
  using Action = Edit::Action;
  const std::lock_guard changing(change_mutex_);
  if (auto followed = follow_locked(false); !followed) return tl::unexpected(std::move(followed.error()));
  WantedMap wanted = wanted_;
  std::map<std::string, std::string> sources;
  std::vector<catalog::Change> changes;
  std::vector<Done> done;
  std::set<std::string> touched;
  QueryReader reader;
  for (const Edit& edit : edits) {
    if (edit.name.starts_with(kTemporaryMark)) {
      return fail("42939",
                  fmt::format("'{}': names that begin with {} are those of queries that somebody is reading", edit.name,
                              kTemporaryMark),
                  {}, "take another name");
    }
    auto at = wanted.find(edit.name);
    const bool there = at != wanted.end();
    if (there && edit.action == Action::kAdd)
      return fail("42710", fmt::format("query '{}' already exists", edit.name), {}, "alter it, or drop it first");
    if (!there && edit.action != Action::kAdd && edit.action != Action::kPut) {
      std::vector<std::string_view> names;
      for (const auto& [name, entry] : wanted) names.push_back(name);
      const auto near = base::nearest_name(edit.name, names);
      return fail("42704", fmt::format("there is no query '{}'", edit.name), {},
                  near.empty() ? "" : fmt::format("did you mean '{}'?", near));
    }
    // The catalog asks this, too; but an edit that changes nothing never comes there.
    if (there && edit.expected && *edit.expected != at->second.object.revision) {
      return fail("40001",
                  fmt::format("query '{}' was changed by somebody else: it is at revision {} now", edit.name,
                              at->second.object.revision.value),
                  {}, "look at it again, then decide");
    }
    const bool defines = edit.action == Action::kAdd || edit.action == Action::kAlter || edit.action == Action::kPut;
    catalog::Change change;
    change.kind = catalog::Kind::kQuery;
    change.name = edit.name;
    change.verb = verb_of(edit.action, there);
    change.comment = edit.comment.value_or("");
    change.expected = edit.expected;
    // What another node changes in this moment is not to be written over by what was made of the definition before it.
    if (ground_.shared && there && !edit.expected && touched.insert(edit.name).second)
      change.expected = at->second.object.revision;
    if (edit.action == Action::kDrop) {
      change.action = catalog::Change::Action::kDrop;
      wanted.erase(at);
    } else {
      QueryDefinition definition = there ? at->second.definition : QueryDefinition{};
      const QueryDefinition before = definition;
      if (defines) {
        definition.text = edit.text;
        definition.state = before.state == QueryState::kPaused ? QueryState::kPaused : QueryState::kRunning;
        if (!edit.owner.empty() || !there) definition.owner = edit.owner.empty() ? author.name : edit.owner;
        if (edit.comment) definition.comment = *edit.comment;
        sources[edit.name] = edit.source_name;
        // What is paused is not bound with the others, but must be a query all the same.
        if (auto one =
                reader.query_called(edit.name, edit.text, edit.source_name.empty() ? edit.name : edit.source_name);
            !one)
          return tl::unexpected(std::move(one.error()));
      } else {
        definition.state = edit.action == Action::kPause ? QueryState::kPaused : QueryState::kRunning;
      }
      if (definition.state != QueryState::kFailed) definition.reason.clear();
      const bool same = there && definition == before;
      if (same && edit.action != Action::kAlter) {
        done.push_back({edit.name, "unchanged", {}});
        continue;
      }
      change.action = !there    ? catalog::Change::Action::kCreate
                      : defines ? catalog::Change::Action::kDefine
                                : catalog::Change::Action::kUpdate;
      change.body = catalog::to_body(definition);
      if (!there) at = wanted.emplace(edit.name, Wanted{}).first;
      at->second.definition = std::move(definition);
      at->second.unbound = false;
    }
    done.push_back({edit.name, change.verb, {}});
    changes.push_back(std::move(change));
  }
  // Who reads what goes must go first, and is named instead of a relation that "does not exist".
  for (const auto& [name, running] : running_) {
    const auto stays = wanted.find(name);
    if (stays == wanted.end() || stays->second.temporary || stays->second.definition.state != QueryState::kRunning ||
        stays->second.definition.text != running.staged.text)
      continue;
    for (const std::string& read : running.staged.reads) {
      const auto still = wanted.find(read);
      if (still != wanted.end() && still->second.definition.state == QueryState::kRunning) continue;
      return fail("2BP01", fmt::format("query '{}' is read by '{}'", read, name), {},
                  fmt::format("drop or pause '{}', too", name));
    }
  }
  auto staged = stage(wanted, sources);
  // A query that somebody just looks at does not stand in the way of what is registered.
  while (!staged && wanted.contains(staged.error().source_name) &&
         wanted.find(staged.error().source_name)->second.temporary) {
    wanted.erase(staged.error().source_name);
    staged = stage(wanted, sources);
  }
  if (!staged) return tl::unexpected(std::move(staged.error()));
  for (const std::string& name : restarted(*staged, wanted)) {
    if (wanted.find(name)->second.temporary || done.empty() ||
        std::any_of(done.begin(), done.end(), [&](const Done& own) { return own.name == name; }))
      continue;
    done.front().also.push_back(name);
  }
  if (dry_run || changes.empty()) return done;
  const auto applied = catalog_.apply(changes, author, now);
  if (!applied) return tl::unexpected(applied.error());
  bool overtaken = false;  // By another node, since: then what it made is what is to run.
  for (const catalog::Change& change : changes) {
    const auto at = wanted.find(change.name);
    if (at == wanted.end()) continue;
    const auto object = catalog_.find(catalog::Kind::kQuery, change.name);
    if (object && *object) at->second.object = **object;
    overtaken = overtaken || (ground_.shared && at->second.object.revision != *applied);
  }
  if (overtaken) {
    (void)follow_locked(false);  // If it cannot now, it will when it is called for the others' changes.
    return done;
  }
  run(std::move(*staged), std::move(wanted));
  return done;
}

bool QueryRegister::reads_only_views(const plan::UnboundSelect& select, const plan::Definitions& definitions) const {
  bool only = true, any = false;
  // Nothing is changed: the visitor only looks.
  plan::for_each_relation(const_cast<plan::UnboundSelect&>(select), [&](const std::string& name) {
    const plan::Relation* const relation = definitions.catalog().find(name);
    if (relation == nullptr) {
      only = false;
    } else if (relation->kind == plan::Relation::Kind::kPlainView) {
      only = only && reads_only_views(*relation->definition->select, definitions);
      any = true;
    } else if (relation->kind != plan::Relation::Kind::kTable) {
      // Rows without windows come as they come: neither their order nor how far they are is kept.
      only = only && relation->kind == plan::Relation::Kind::kView && relation->has_windows && wanted_.contains(name);
      any = true;
    }
  });
  return only && any;
}

namespace {

/// Where a range of window starts begins and how long it is with the windows that begin in it.
Result<std::pair<Micros, Micros>> extent_of(const plan::ViewRead& read, base::SourceSpan span) {
  const plan::TimeRange& range = read.range;
  if (!range.has_from() || !range.has_until()) {
    return fail("42803", "a stream has no end: groups without a window need both ends of the time that they are of",
                span,
                "WHERE window_start >= now() - interval '24 h' AND window_end <= now(); or GROUP BY window_start");
  }
  constexpr Micros kLongest = Micros{100} * 366 * 86'400 * base::kMicrosPerSecond;
  if (range.from < -kLongest || range.until > 3 * kLongest)
    return fail("22008", "the time that the groups are of is too long", span);
  Micros first = range.from, last = std::max(range.from, range.until - 1);
  const auto& window = read.view->window;
  if (window && !window->calendar) {
    first = base::floor_to(range.from + window->slide_us - 1, window->slide_us, window->offset_us);
    last = std::max(first, base::floor_to(range.until - 1, window->slide_us, window->offset_us));
  }
  return std::pair{first, last - first + std::max<Micros>(window ? window->size_us : read.view->window_size_us, 1)};
}

}  // namespace

Result<std::optional<QueryRegister::OverViews>> QueryRegister::bind_over_views(UnboundStatement& statement,
                                                                               const std::string& text,
                                                                               const std::string& source_name,
                                                                               const plan::Definitions& definitions,
                                                                               Micros now) const {
  if (statement.kind != UnboundStatement::Kind::kSelect || !reads_only_views(*statement.select, definitions))
    return std::nullopt;
  const auto located = [&](base::Diagnostic error) {
    if (error.line == 0) base::locate(error, source_name, text);
    return tl::unexpected(std::move(error));
  };
  plan::fix_now(*statement.select, now);
  plan::spell_window_ends(*statement.select, definitions.catalog());
  if (plan::UnboundFrom* const from = plan::grouped_without_window(*statement.select)) {
    const plan::Relation* const view = definitions.catalog().find(from->name);
    // What the range is, the conditions say when they are bound: in a copy, whose window does not matter.
    constexpr Micros kAnySize = 86'400 * base::kMicrosPerSecond;
    auto copies = sql::parse(text, source_name);
    if (!copies) return tl::unexpected(std::move(copies.error()));
    for (UnboundStatement& copy : *copies) {
      if (copy.span.offset_octets != statement.span.offset_octets) continue;
      plan::fix_now(*copy.select, now);
      plan::spell_window_ends(*copy.select, definitions.catalog());
      plan::group_whole_range(*copy.select, *plan::grouped_without_window(*copy.select), view, 0, kAnySize);
      const auto bound = definitions.bind(copy, text);
      if (!bound) return located(bound.error());
      const auto reads = plan::views_read(*bound);
      if (reads.size() != 1) break;  // As it is: what is said of it then is said better.
      const auto extent = extent_of(
          reads[0], statement.select->group_by.empty() ? statement.select->span : statement.select->group_by[0]->span);
      if (!extent) return located(extent.error());
      plan::group_whole_range(*statement.select, *from, view, extent->first, extent->second);
    }
  }
  auto query = definitions.bind(statement, text);
  if (!query) return located(std::move(query.error()));
  OverViews over;
  for (const plan::ViewRead& read : plan::views_read(*query)) {
    const auto entry = wanted_.find(read.view->name);
    if (entry == wanted_.end()) return std::nullopt;
    over.views.emplace(read.view->name, entry->second.object.incarnation.value);
  }
  over.query = std::make_shared<const plan::Query>(std::move(*query));
  return over;
}

Result<std::optional<QueryRegister::OverViews>> QueryRegister::bind_over_views(const std::string& text,
                                                                               const std::string& source_name,
                                                                               Micros now) {
  auto statements = sql::parse(text, source_name);
  if (!statements || statements->size() != 1) return std::nullopt;
  const std::lock_guard lock(mutex_);
  // Tables may have come since the last change of a query.
  const auto staged = stage(wanted_, {});
  return bind_over_views(statements->front(), text, source_name, staged ? *staged->definitions : *definitions_, now);
}

namespace {

/// Those that are explained: all of the text, or the one of the name where it is a diagram.
Result<std::vector<UnboundStatement>> explained_statements(const std::string& text, const std::string& source_name,
                                                           const std::string& name) {
  auto statements = parse_queries(text, source_name);
  if (!statements || name.empty() || statements->empty() || !statements->front().maker) return statements;
  auto one = query_called(name, text, source_name);
  if (!one) return tl::unexpected(std::move(one.error()));
  statements->clear();
  statements->push_back(std::move(*one));
  return statements;
}

}  // namespace

Result<std::string> QueryRegister::explain(const std::string& text, const std::string& source_name,
                                           const std::string& name, const std::string& options,
                                           const std::function<std::string(const OverViews&)>& over_views) {
  plan::ExplainOptions explained;
  if (!options.empty()) {
    const std::string asked = "EXPLAIN (" + options + ") SELECT 1";
    const auto located = [&](base::Diagnostic error) {
      if (error.line == 0) base::locate(error, "options", asked);
      return tl::unexpected(std::move(error));
    };
    auto parsed = sql::parse(asked, "options");
    if (!parsed) return located(std::move(parsed.error()));
    if (parsed->size() != 1 || parsed->front().kind != UnboundStatement::Kind::kExplain)
      return fail("22023", "these are no options of EXPLAIN", {}, "for example DISTRIBUTED, FORMAT json");
    const auto bound = plan::bind_explain_options(parsed->front().options);
    if (!bound) return located(bound.error());
    if (bound->analyze) {
      return fail("0A000", "ANALYZE is not possible for a query that does not run", {},
                  "backstream run -e 'EXPLAIN ANALYZE …' runs it");
    }
    explained = *bound;
  }
  auto statements = explained_statements(text, source_name, name);
  if (!statements) return tl::unexpected(std::move(statements.error()));
  const std::lock_guard lock(mutex_);
  // Tables may have come since the last change of a query.
  const auto staged = stage(wanted_, {});
  const plan::Definitions& definitions = staged ? *staged->definitions : *definitions_;
  std::string plans;
  for (UnboundStatement& statement : *statements) {
    // A query that is there is explained as it is, or would be when it is altered: it runs, so it is not answered from
    // results, and what it alerts of is no part of a plan. A stream of a diagram may be called like something else.
    const bool is_there = statement.kind == UnboundStatement::Kind::kCreateMaterializedView &&
                          (wanted_.contains(statement.name) ||
                           (statement.maker && std::as_const(definitions).catalog().find(statement.name) != nullptr));
    if (is_there) {
      statement.kind = UnboundStatement::Kind::kSelect;
      std::erase_if(statement.options, [](const auto& option) { return option.name.starts_with("alert."); });
    }
    if (over_views && !is_there) {
      const auto over = bind_over_views(statement, text, source_name, definitions, base::wall_clock());
      if (!over) return tl::unexpected(over.error());
      if (*over) {
        plans += (explained.json ? "" : over_views(**over)) + plan::explain(*(*over)->query, explained);
        continue;
      }
    }
    auto query = definitions.bind(statement, text);
    if (!query) {
      base::Diagnostic error = std::move(query.error());
      if (error.line == 0) base::locate(error, source_name, text);
      return tl::unexpected(std::move(error));
    }
    if (statement.maker) {  // Of several streams it is said which.
      query->is_view = true;
      query->name = statement.name;
    }
    plans += plan::explain(*query, explained);
  }
  return plans;
}

Result<std::string> QueryRegister::written(const std::string& text, const std::string& source_name,
                                           const std::string& name, Language language) {
  auto statements = explained_statements(text, source_name, name);
  if (!statements) return tl::unexpected(std::move(statements.error()));
  const std::lock_guard lock(mutex_);
  // Tables may have come since the last change of a query.
  const auto staged = stage(wanted_, {});
  auto all = written_in(language, *statements, text, staged ? *staged->definitions : *definitions_);
  if (!all && all.error().line == 0) base::locate(all.error(), source_name, text);
  return all;
}

void QueryRegister::look_at_definitions(const std::function<void(const plan::Definitions&)>& look) {
  const std::lock_guard lock(mutex_);
  // Tables may have come since the last change of a query.
  const auto staged = stage(wanted_, {});
  look(staged ? *staged->definitions : *definitions_);
}

Result<std::string> QueryRegister::add_temporary(const std::string& text, const std::string& source_name,
                                                 const catalog::Author& author, Micros now) {
  const std::lock_guard changing(change_mutex_);
  const bool apart = shares_temporary();
  if (apart) {
    if (auto followed = follow_locked(false); !followed) return tl::unexpected(std::move(followed.error()));
  }
  WantedMap wanted = wanted_;
  // Of two nodes that make one in the same microsecond, one is refused by the catalog.
  const std::string name = apart ? fmt::format("{}{:x}", kTemporaryMark, now + static_cast<Micros>(++temporary_count_))
                                 : fmt::format("{}{}", kTemporaryMark, ++temporary_count_);
  auto statements = sql::parse(text, source_name);
  if (!statements) return tl::unexpected(std::move(statements.error()));
  if (statements->size() == 1 && statements->front().kind != UnboundStatement::Kind::kSelect) {
    auto refused = fail("42601", "only a SELECT can be run without a name", statements->front().span,
                        "add it as a query of its name");
    base::locate(refused.value(), source_name, text);
    return refused;
  }
  Wanted& entry = wanted[name];
  entry.temporary = true;
  entry.object.kind = catalog::Kind::kQuery;
  entry.object.name = name;
  entry.object.incarnation.value = temporary_count_;
  entry.object.changed_at = now;
  entry.definition.text = text;
  auto staged = stage(wanted, {{name, source_name}});
  if (!staged) return tl::unexpected(std::move(staged.error()));
  if (apart) {
    entry.definition.owner = author.name;
    entry.definition.until = now + kTemporaryLease;
    catalog::Change change;
    change.action = catalog::Change::Action::kCreate;
    change.kind = catalog::Kind::kQuery;
    change.name = name;
    change.verb = "read";
    change.body = catalog::to_body(entry.definition);
    if (const auto applied = catalog_.apply({&change, 1}, author, now); !applied)
      return tl::unexpected(applied.error());
    const auto object = catalog_.find(catalog::Kind::kQuery, name);
    if (!object) return tl::unexpected(object.error());
    if (*object) entry.object = **object;
  }
  run(std::move(*staged), std::move(wanted));
  return name;
}

Result<void> QueryRegister::drop_temporary(const std::string& name, Micros now) {
  const std::lock_guard changing(change_mutex_);
  const auto at = wanted_.find(name);
  if (at == wanted_.end() || !at->second.temporary) return {};
  if (!at->second.is_of_this_node_alone()) {
    catalog::Change change;
    change.action = catalog::Change::Action::kDrop;
    change.kind = catalog::Kind::kQuery;
    change.name = name;
    change.verb = "read no more";
    // Another node may have found that its lease is over.
    if (const auto dropped = catalog_.apply({&change, 1}, {"backstream", "sessions"}, now);
        !dropped && dropped.error().code != "42704")
      return tl::unexpected(dropped.error());
  }
  WantedMap wanted = wanted_;
  wanted.erase(name);
  auto staged = stage(wanted, {});
  if (!staged) return {};  // Nothing of the others has changed: they could be bound before.
  run(std::move(*staged), std::move(wanted));
  return {};
}

void QueryRegister::renew_temporary(const std::vector<std::string>& read_here, Micros now) {
  std::vector<std::string> over;
  {
    const std::lock_guard changing(change_mutex_);
    std::vector<catalog::Change> changes;
    for (auto& [name, entry] : wanted_) {
      if (!entry.temporary || entry.is_of_this_node_alone()) continue;
      const bool is_read = std::find(read_here.begin(), read_here.end(), name) != read_here.end();
      if (!is_read && entry.definition.until < now) over.push_back(name);
      if (!is_read || entry.definition.until > now + kTemporaryLease / 2) continue;
      QueryDefinition renewed = entry.definition;
      renewed.until = now + kTemporaryLease;
      catalog::Change& change = changes.emplace_back();
      change.action = catalog::Change::Action::kUpdate;
      change.kind = catalog::Kind::kQuery;
      change.name = name;
      change.verb = "read on";
      change.body = catalog::to_body(renewed);
    }
    // What the catalog does not take now it will when this is called again, in time.
    if (!changes.empty()) (void)catalog_.apply(changes, {"backstream", "sessions"}, now);
  }
  for (const std::string& name : over) (void)drop_temporary(name, now);
}

QueryRegister::Status QueryRegister::status_of(const std::string& name, const Wanted& wanted) const {
  Status status;
  status.object = wanted.object;
  status.definition = wanted.definition;
  status.temporary = wanted.temporary;
  const auto running = running_.find(name);
  if (running == running_.end()) return status;
  status.query = running->second.staged.query;
  status.plain = status.query == nullptr;
  if (!status.plain) status.number = running->second.number;
  status.reads = running->second.staged.reads;
  status.since = running->second.since;
  return status;
}

std::vector<QueryRegister::Status> QueryRegister::list() {
  const std::lock_guard lock(mutex_);
  return list_locked();
}

std::optional<std::vector<QueryRegister::Status>> QueryRegister::list_unless_changing() {
  const std::unique_lock changing(change_mutex_, std::try_to_lock);
  if (!changing) return std::nullopt;
  return list();
}

std::vector<QueryRegister::Status> QueryRegister::list_locked() const {
  std::vector<Status> all;
  for (const auto& [name, entry] : wanted_) all.push_back(status_of(name, entry));
  std::stable_partition(all.begin(), all.end(), [](const Status& status) { return !status.temporary; });
  return all;
}

std::optional<QueryRegister::Status> QueryRegister::find(const std::string& name) {
  const std::lock_guard lock(mutex_);
  const auto at = wanted_.find(name);
  if (at == wanted_.end()) return std::nullopt;
  return status_of(name, at->second);
}

std::vector<QueryRegister::Started> QueryRegister::started() {
  const std::lock_guard lock(mutex_);
  std::vector<Started> all;
  for (const auto& [name, running] : running_) {
    if (!running.staged.query || wanted_.find(name)->second.is_of_this_node_alone()) continue;
    all.push_back({running.object, running.staged.query, running.number, running.incarnation,
                   views_read(running.staged.reads), running.begin, running.since, running.order});
  }
  std::sort(all.begin(), all.end(), [](const Started& a, const Started& b) { return a.order < b.order; });
  return all;
}

std::vector<std::string> QueryRegister::readers_of(const std::string& relation) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> readers;
  for (const auto& [name, running] : running_) {
    const auto& named = running.staged.relations;
    if (std::find(named.begin(), named.end(), relation) != named.end()) readers.push_back(name);
  }
  return readers;
}

std::vector<QueryRegister::RelationInfo> QueryRegister::relations() {
  const std::lock_guard lock(mutex_);
  std::vector<RelationInfo> all;
  // Tables may have come since the last change of a query.
  const auto standing = ground_.definitions();
  std::set<std::string_view> names;
  for (const std::string_view name : std::as_const(*standing).catalog().names()) names.insert(name);
  for (const std::string_view name : std::as_const(*definitions_).catalog().names()) names.insert(name);
  for (const std::string_view name : names) {
    if (name.starts_with(kTemporaryMark)) continue;
    const plan::Relation* relation = std::as_const(*standing).catalog().find(name);
    if (relation == nullptr) relation = std::as_const(*definitions_).catalog().find(name);
    if (relation->kind == plan::Relation::Kind::kTable && std::as_const(*standing).catalog().find(name) == nullptr)
      continue;  // It was dropped.
    RelationInfo& info = all.emplace_back(RelationInfo{std::string(name), relation->kind, {}});
    for (const batch::ColumnDef& column : relation->schema.columns) {
      if (!column.hidden) info.columns.push_back(column);
    }
  }
  return all;
}

size_t QueryRegister::tend(Micros now) {
  const std::unique_lock changing(change_mutex_, std::try_to_lock);
  if (!changing) return 0;  // A change is being made; it waits for this thread.
  const std::lock_guard lock(mutex_);
  exec::Engine& engine = ground_.engine;
  // Readers began after what they read.
  for (size_t i = ending_.size(); i-- > 0;) {
    Running& going = ending_[i];
    const bool over = ground_.elsewhere ? now - kEndingKept >= going.ended_at
                                        : engine.has_ended(going.number) || !engine.failure(going.number).empty();
    if (!over || !engine.remove_query(going.number)) continue;
    const Running gone = std::move(going);
    ending_.erase(ending_.begin() + static_cast<long>(i));
    const std::string& name = gone.object.name;
    const bool last =
        !wanted_.contains(name) &&
        std::none_of(ending_.begin(), ending_.end(), [&](const Running& other) { return other.object.name == name; });
    ground_.forget(gone.object, gone.sink, last);
  }
  if (engine.failed_count() == 0) return 0;
  std::vector<catalog::Change> changes;
  size_t failed_here = 0;
  for (auto at = running_.begin(); at != running_.end();) {
    Running& running = at->second;
    if (!running.staged.query || engine.failure(running.number).empty()) {
      ++at;
      continue;
    }
    Wanted& wanted = wanted_.find(at->first)->second;
    wanted.definition.state = QueryState::kFailed;
    wanted.definition.reason = engine.failure(running.number);
    if (wanted.temporary || ground_.shared) {  // Elsewhere it may run on.
      failed_here += !wanted.temporary;
      end(std::move(running), base::kMinTime);
      at = running_.erase(at);
      continue;
    }
    catalog::Change failed;
    failed.action = catalog::Change::Action::kUpdate;
    failed.kind = catalog::Kind::kQuery;
    failed.name = at->first;
    failed.body = catalog::to_body(wanted.definition);
    failed.verb = "fail";
    failed.comment = wanted.definition.reason;
    changes.push_back(std::move(failed));
    end(std::move(running), base::kMinTime);
    at = running_.erase(at);
  }
  if (changes.empty()) return failed_here;
  if (catalog_.apply(changes, {"backstream", "engine"}, now)) {
    for (const catalog::Change& change : changes) {
      if (const auto object = catalog_.find(catalog::Kind::kQuery, change.name); object && *object)
        wanted_.find(change.name)->second.object = **object;
    }
  }
  return changes.size();
}

}  // namespace backstream::service
