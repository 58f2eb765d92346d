#include "plan/definitions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "plan/late.h"
#include "plan/late_join.h"
#include "plan/references.h"

namespace backstream::plan {

using base::fail;
using base::Result;

namespace {

using Kind = UnboundStatement::Kind;

std::string_view object_of(const Relation& relation) {
  switch (relation.kind) {
    case Relation::Kind::kView: return "materialized view";
    case Relation::Kind::kPlainView: return "view";
    default: return "table";
  }
}

std::string late_name(std::string_view view) { return std::string(view) + std::string(kLateSuffix); }

/// The relation `<view>_late` is this view's; without, another may have the name.
bool owns_late(const Query& view) {
  return view.options.late == QueryOptions::Late::kSide && late_relation(view).has_value();
}

/// Gives a relation that a query and its inputs read another name.
void rename_sources(Query& query, const std::string& name, const std::string& new_name) {
  for (auto& input : query.inputs) rename_sources(*input, name, new_name);
  if (query.source.name == name) query.source.name = new_name;
}
void rename_references(UnboundSelect& select, const std::string& name, const std::string& new_name) {
  for_each_relation(select, [&](std::string& found) {
    if (found == name) found = new_name;
  });
}

/// Places of options that ALTER gave are told from those of the query's own text, which has at most 64 KiB, by these
/// being added: of the ALTER that is being done, and of those before it, whose texts are not kept.
constexpr uint32_t kAlterPlaces = uint32_t{1} << 24, kGonePlaces = 2 * kAlterPlaces;

void move_places(UnboundOption& option, uint32_t by) {
  option.span.offset_octets += by;
  for (uint32_t& place : option.places) place += by;
}

bool same_columns(const batch::Schema& a, const batch::Schema& b) {
  return std::equal(
      a.columns.begin(), a.columns.end(), b.columns.begin(), b.columns.end(),
      [](const batch::ColumnDef& x, const batch::ColumnDef& y) { return x.name == y.name && x.type == y.type; });
}

}  // namespace

bool Definitions::is_change(Kind kind) {
  switch (kind) {
    case Kind::kCreateView:
    case Kind::kAlterView:
    case Kind::kRename:
    case Kind::kDrop:
    case Kind::kComment: return true;
    default: return false;
  }
}

Result<Query> Definitions::bind(const UnboundStatement& statement, std::string_view text) const {
  auto query = plan::bind(statement, text, catalog_);
  if (query && rewrites_) plan::rewrite(*query);
  return query;
}

Result<Definitions::Entry*> Definitions::add_query(UnboundStatement statement, std::string_view text,
                                                   std::string label) {
  const bool is_view = statement.kind == Kind::kCreateMaterializedView;
  if (is_view && statement.if_exists && catalog_.find(statement.name) != nullptr) return nullptr;
  if (!statement.select) {
    auto made = statement.maker->make(catalog_);
    if (!made) return tl::unexpected(std::move(made.error()));
    statement.select = std::move(*made);
  }
  auto query = bind(statement, text);
  if (!query) return tl::unexpected(std::move(query.error()));
  if (is_view) {
    if (auto room = room_for_late(*query, statement.name_span); !room) return tl::unexpected(std::move(room.error()));
  }
  auto entry = std::make_unique<Entry>();
  entry->number = added_++;
  entry->label = is_view ? statement.name : std::move(label);
  entry->statement = std::move(statement);
  entry->text = std::string(text);
  entry->query = std::make_shared<Query>(std::move(*query));
  ask_for_late(*entry->query);
  if (is_view) catalog_.add_view(*entry->query);
  return entries_.emplace_back(std::move(entry)).get();
}

void Definitions::ask_for_late(const Query& reader) {
  for (const auto& input : reader.inputs) ask_for_late(*input);
  std::string_view view = reader.source.name;
  if (!view.ends_with(kLateSuffix)) return;
  view.remove_suffix(kLateSuffix.size());
  if (Entry* entry = entry_of(view)) pass_late_columns(*entry->query);
}

Result<void> Definitions::room_for_late(const Query& view, base::SourceSpan span) const {
  if (!owns_late(view) || catalog_.find(late_name(view.name)) == nullptr) return {};
  return fail("42P07", fmt::format("relation \"{}\" already exists", late_name(view.name)), span,
              "late rows of the view would have that name: give it another, or WITH (late = 'drop')");
}

Result<void> Definitions::change(UnboundStatement statement) {
  switch (statement.kind) {
    case Kind::kCreateView: return create_view(std::move(statement));
    case Kind::kAlterView: return alter(statement);
    case Kind::kRename: return rename(statement);
    case Kind::kDrop: return drop(statement);
    case Kind::kComment: return comment(statement);
    default: assert(!"no change"); return {};
  }
}

Definitions::Entry* Definitions::entry_of(std::string_view view) {
  for (auto& entry : entries_) {
    if (entry->query->is_view && entry->query->name == view) return entry.get();
  }
  return nullptr;
}

std::string Definitions::reader_where(const std::function<bool(const UnboundSelect&)>& reads_it) const {
  for (const auto& entry : entries_) {
    if (!reads_it(*entry->statement.select)) continue;
    return entry->query->is_view ? fmt::format("materialized view \"{}\"", entry->label) : entry->label;
  }
  for (const std::string_view name : catalog_.names()) {
    const Relation& other = *catalog_.find(name);
    if (other.kind == Relation::Kind::kPlainView && reads_it(*other.definition->select))
      return fmt::format("view \"{}\"", name);
  }
  return {};
}
std::string Definitions::reader_of(std::string_view relation) const {
  const bool with_late = std::any_of(entries_.begin(), entries_.end(), [&](const auto& entry) {
    return entry->query->is_view && entry->query->name == relation && owns_late(*entry->query);
  });
  return reader_where([&](const UnboundSelect& select) {
    return reads(select, relation) || (with_late && reads(select, late_name(relation)));
  });
}

std::set<std::string> Definitions::reached_from(const UnboundSelect& select) const {
  std::set<std::string> reached;
  std::vector<const UnboundSelect*> left{&select};
  while (!left.empty()) {
    const UnboundSelect* at = left.back();
    left.pop_back();
    for_each_relation(const_cast<UnboundSelect&>(*at), [&](std::string& name) {  // Only looks.
      if (!reached.insert(name).second) return;
      const Relation* relation = catalog_.find(name);
      if (relation != nullptr && relation->definition) left.push_back(relation->definition->select.get());
    });
  }
  return reached;
}

Result<Relation*> Definitions::find(const UnboundStatement& statement) {
  Relation* relation = catalog_.find(statement.name);
  const bool any_table = statement.object_type == "table" || statement.object_type == "foreign table";
  if (relation == nullptr) {
    if (statement.if_exists) return nullptr;
    const std::string what = statement.object_type == "column" ? "relation" : statement.object_type;
    const auto near = base::nearest_name(statement.name, catalog_.names());
    return fail("42P01", fmt::format("{} \"{}\" does not exist", what, statement.name), statement.name_span,
                near.empty() ? "" : fmt::format("did you mean '{}'?", near));
  }
  const std::string_view is = object_of(*relation);
  if (statement.object_type == "column" || statement.object_type == is || (any_table && is == "table")) return relation;
  return fail("42809", fmt::format("\"{}\" is not a {}", statement.name, statement.object_type), statement.name_span,
              fmt::format("it is a {}", is));
}

Result<void> Definitions::create_view(UnboundStatement statement) {
  const std::string name = statement.name;
  const base::SourceSpan span = statement.name_span;
  Relation* old = catalog_.find(name);
  if (old != nullptr && (!statement.or_replace || old->kind != Relation::Kind::kPlainView)) {
    return fail("42P07", fmt::format("relation \"{}\" already exists", name), span,
                old->kind == Relation::Kind::kPlainView ? "CREATE OR REPLACE VIEW gives it another query"
                                                        : fmt::format("it is a {}", object_of(*old)));
  }
  if (old != nullptr) {
    for (const auto& entry : entries_) {
      if (!reached_from(*entry->statement.select).contains(name)) continue;
      return fail("2BP01", fmt::format("view \"{}\" cannot be replaced: {} reads it", name, entry->label), span,
                  "a query keeps the text that it was made with: DROP it first, or give the new view another name");
    }
    if (reached_from(*statement.select).contains(name)) {
      return fail("42P17", fmt::format("view \"{}\" would read itself", name), span,
                  "another view that it names reads it");
    }
  }
  auto view = bind_plain_view(std::make_shared<const UnboundStatement>(std::move(statement)), catalog_);
  if (!view) return tl::unexpected(std::move(view.error()));
  if (old == nullptr) {
    catalog_.add(std::move(*view));
    return {};
  }
  view->comment = old->comment;
  std::swap(*old, *view);
  // Views that read it must still have a meaning.
  for (const std::string_view other : catalog_.names()) {
    const Relation& reader = *catalog_.find(other);
    if (reader.kind != Relation::Kind::kPlainView || !reached_from(*reader.definition->select).contains(name)) continue;
    if (auto bound = bind_plain_view(reader.definition, catalog_); !bound) {
      std::swap(*old, *view);
      return fail("2BP01", fmt::format("view \"{}\" cannot be replaced: view \"{}\" could not read it", name, other),
                  span, bound.error().message);
    }
  }
  return {};
}

Result<void> Definitions::alter(UnboundStatement& statement) {
  auto found = find(statement);
  if (!found) return tl::unexpected(std::move(found.error()));
  if (*found == nullptr) return {};
  Entry* entry = entry_of(statement.name);
  if (entry == nullptr) {
    return fail("42809", fmt::format("\"{}\" has no options of its own", statement.name), statement.name_span,
                "it holds the late rows of a view: alter that");
  }
  std::vector<UnboundOption> options = entry->statement.options;
  for (UnboundOption& option : statement.options) {
    if (!statement.resets) move_places(option, kAlterPlaces);
    const auto same = std::find_if(options.begin(), options.end(),
                                   [&](const UnboundOption& other) { return other.name == option.name; });
    if (!statement.resets) {
      if (same == options.end()) options.push_back(option);
      else *same = option;
      continue;
    }
    if (same == options.end()) {
      return fail("22023", fmt::format("option \"{}\" of \"{}\" is not set", option.name, statement.name), option.span);
    }
    options.erase(same);
  }
  // Bound anew, as if it had been created so.
  Relation old = **found;
  const bool had_late = owns_late(*entry->query);
  if (had_late) catalog_.remove(late_name(old.name));
  catalog_.remove(old.name);
  std::swap(entry->statement.options, options);
  auto query = bind(entry->statement, entry->text);
  const auto restore = [&] {
    std::swap(entry->statement.options, options);
    catalog_.add_view(*entry->query);
    catalog_.find(old.name)->comment = old.comment;
    catalog_.find(old.name)->column_comments = old.column_comments;
  };
  if (!query) {
    base::Diagnostic error = std::move(query.error());
    if (error.span.offset_octets >= kGonePlaces) error.span = statement.name_span;
    else if (error.span.offset_octets >= kAlterPlaces) error.span.offset_octets -= kAlterPlaces;
    else base::locate(error, entry->label, entry->text);
    restore();
    return tl::unexpected(std::move(error));
  }
  if (auto room = room_for_late(*query, statement.name_span); !room) {
    restore();
    return room;
  }
  const Relation now = as_relation(*query);
  const bool changed = !same_columns(now.schema, old.schema) || now.has_windows != old.has_windows;
  const bool loses_late = had_late && !owns_late(*query);
  std::string reader = changed ? reader_of(old.name) : "";
  const bool of_late = reader.empty() && loses_late;
  if (of_late) {
    reader = reader_where([&](const UnboundSelect& select) {
      bool named = false;  // The visitor only looks.
      for_each_relation(const_cast<UnboundSelect&>(select),
                        [&](std::string& name) { named = named || name == late_name(old.name); });
      return named;
    });
  }
  if (!reader.empty()) {
    restore();
    return fail("2BP01",
                fmt::format("{} reads {} of \"{}\", which would change", reader,
                            of_late ? "the late rows" : "the columns", old.name),
                statement.name_span, "DROP it first");
  }
  for (UnboundOption& option : entry->statement.options) {
    const uint32_t offset = option.span.offset_octets;
    if (offset >= kAlterPlaces && offset < kGonePlaces) move_places(option, kGonePlaces - kAlterPlaces);
  }
  entry->query = std::make_shared<Query>(std::move(*query));
  for (const auto& other : entries_) ask_for_late(*other->query);
  catalog_.add_view(*entry->query);
  catalog_.find(old.name)->comment = old.comment;
  catalog_.find(old.name)->column_comments = old.column_comments;
  return {};
}

Result<void> Definitions::rename(UnboundStatement& statement) {
  auto found = find(statement);
  if (!found) return tl::unexpected(std::move(found.error()));
  if (*found == nullptr) return {};
  const std::string name = statement.name, &new_name = statement.new_name;
  Entry* entry = entry_of(name);
  if (entry == nullptr && (*found)->kind == Relation::Kind::kView) {
    return fail("42809", fmt::format("\"{}\" has its name from the view whose late rows it holds", name),
                statement.name_span, "rename that");
  }
  Relation* late = entry != nullptr && owns_late(*entry->query) ? catalog_.find(late_name(name)) : nullptr;
  for (const std::string& taken : {new_name, late != nullptr ? late_name(new_name) : new_name}) {
    if (catalog_.find(taken) != nullptr)
      return fail("42P07", fmt::format("relation \"{}\" already exists", taken), statement.new_name_span);
  }
  (*found)->name = new_name;
  if (late != nullptr) late->name = late_name(new_name);
  // Who reads it goes on reading it.
  std::vector<std::pair<std::string, std::string>> renamed{{name, new_name}};
  if (late != nullptr) renamed.emplace_back(late_name(name), late_name(new_name));
  for (auto& other : entries_) {
    for (const auto& [from, to] : renamed) {
      rename_sources(*other->query, from, to);
      rename_references(*other->statement.select, from, to);
    }
  }
  for (const std::string_view other : catalog_.names()) {
    const Relation& view = *catalog_.find(other);
    if (!view.definition) continue;
    // The catalog is the only one that keeps definitions.
    for (const auto& [from, to] : renamed)
      rename_references(*std::const_pointer_cast<UnboundStatement>(view.definition)->select, from, to);
  }
  if (entry != nullptr) {
    entry->label = entry->statement.name = entry->query->name = new_name;
  }
  return {};
}

Result<void> Definitions::drop(UnboundStatement& statement) {
  auto found = find(statement);
  if (!found) return tl::unexpected(std::move(found.error()));
  if (*found == nullptr) return {};
  const std::string name = statement.name;
  Entry* entry = entry_of(name);
  if (entry == nullptr && (*found)->kind == Relation::Kind::kView) {
    return fail("42809", fmt::format("\"{}\" holds the late rows of a view", name), statement.name_span,
                "it goes with the view, or with ALTER MATERIALIZED VIEW ... SET (late = 'drop')");
  }
  if (const std::string reader = reader_of(name); !reader.empty()) {
    return fail("2BP01", fmt::format("cannot drop {} \"{}\": {} reads it", object_of(**found), name, reader),
                statement.name_span,
                reader.find(' ') == std::string::npos ? "leave one of the two statements out"
                                                      : fmt::format("drop {} first", reader));
  }
  catalog_.remove(name);
  if (entry == nullptr) return {};
  if (owns_late(*entry->query)) catalog_.remove(late_name(name));
  std::erase_if(entries_, [&](const auto& other) { return other.get() == entry; });
  return {};
}

Result<void> Definitions::comment(UnboundStatement& statement) {
  auto found = find(statement);
  if (!found) return tl::unexpected(std::move(found.error()));
  Relation& relation = **found;
  if (statement.object_type != "column") {
    relation.comment = statement.comment.value_or("");
    return {};
  }
  const int column = relation.schema.find(statement.column);
  if (column < 0) {
    std::vector<std::string_view> names;
    for (const batch::ColumnDef& def : relation.schema.columns) names.push_back(def.name);
    const auto near = base::nearest_name(statement.column, names);
    return fail("42703", fmt::format("column \"{}\" of \"{}\" does not exist", statement.column, statement.name),
                statement.column_span, near.empty() ? "" : fmt::format("did you mean '{}'?", near));
  }
  const auto index = static_cast<size_t>(column);
  if (relation.column_comments.size() <= index) relation.column_comments.resize(index + 1);
  relation.column_comments[index] = statement.comment.value_or("");
  return {};
}

}  // namespace backstream::plan
