// Joins of rows with lookup tables: JOIN, lpm(), the LATERAL form of longest-prefix match, EXISTS and IN.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "lookup/lookup_table.h"
#include "plan/select_binder.h"

namespace backstream::plan {

using base::fail;
using batch::Type;
using Kind = UnboundExpr::Kind;

namespace {

constexpr std::string_view kKeyHint = "JOIN table t ON t.key = f.column";

/// a AND (b AND c) as a, b, c.
void flatten(const UnboundExpr& e, std::vector<const UnboundExpr*>& parts) {
  if (e.kind != Kind::kAnd) {
    parts.push_back(&e);
    return;
  }
  for (const auto& arg : e.args) flatten(*arg, parts);
}
bool is_true(const UnboundExpr* e) { return e != nullptr && e->kind == Kind::kBool && e->text == "true"; }

/// The lookup that is being bound: its step, and the columns that it adds to the input.
class StepBinder {
 public:
  StepBinder(Input& input, const Relation& table) : input_(input), table_(*table.table) {
    step_.table = table.table;
    step_.first_column = static_cast<int>(input.schema.columns.size());
  }
  LookupStep& step() { return step_; }

  /// The table's columns under `alias`, for names in what follows.
  Result<void> add_columns(const std::string& alias, SourceSpan span) {
    Input columns;
    columns.alias = alias;
    columns.schema = table_.definition().schema;
    if (auto appended = append_columns(input_, columns, span); !appended) return appended;
    end_ = static_cast<int>(input_.schema.columns.size());
    return {};
  }
  int column_of(uint32_t table_column) const { return step_.first_column + static_cast<int>(table_column); }
  bool is_own(int column) const { return column >= step_.first_column && column < end_; }

  /// `value` is compared with a column of the table.
  Result<void> add_key(int column, ExprPtr value, SourceSpan span) {
    const batch::ColumnDef& definition = input_.schema.columns[static_cast<size_t>(column)];
    std::vector<ExprPtr> sides;
    sides.push_back(expr::make_column(column, definition.type));
    sides.push_back(expr::clone(*value));
    if (auto equality = expr::make_operator("=", std::move(sides), span); !equality)
      return tl::unexpected(equality.error());
    const bool same = value->type == definition.type ||
                      (batch::is_integer(value->type) && batch::is_integer(definition.type)) ||
                      (batch::physical(value->type) == batch::Physical::kInet &&
                       batch::physical(definition.type) == batch::Physical::kInet);
    if (!same) {
      const Type type = value->type;
      auto cast = expr::make_cast(std::move(value), definition.type, span, true);
      if (!cast) {
        return fail("42804",
                    fmt::format("the key column \"{}\" is of type {}, the value of type {}", definition.name,
                                batch::name(definition.type), batch::name(type)),
                    span, fmt::format("write CAST(... AS {})", batch::name(definition.type)));
      }
      value = std::move(*cast);
    }
    const auto table_column = static_cast<uint32_t>(column - step_.first_column);
    if (std::find(step_.columns.begin(), step_.columns.end(), table_column) != step_.columns.end())
      return fail("0A000", fmt::format("\"{}\" is compared twice", definition.name), span);
    step_.columns.push_back(table_column);
    step_.keys.push_back(std::move(value));
    return {};
  }

  /// A condition of ON or of a subquery's WHERE: equalities with columns of the table become keys.
  Result<void> add_conditions(const UnboundExpr& on, std::string_view clause) {
    std::vector<const UnboundExpr*> parts;
    flatten(on, parts);
    ExprBinder binder(input_);
    std::vector<ExprPtr> filters, conditions;
    for (const UnboundExpr* part : parts) {
      if (is_true(part)) continue;
      if (part->kind == Kind::kOperator && part->args.size() == 2 && (part->op == "=" || part->op == "<<=")) {
        const auto done = add_comparison(*part, binder, clause);
        if (!done) return tl::unexpected(done.error());
        if (*done) continue;
      }
      auto bound = binder.bind_row(*part, clause);
      if (bound && (*bound)->type == Type::kUnknown)
        bound = expr::make_cast(std::move(*bound), Type::kBool, part->span);
      if (!bound) return tl::unexpected(bound.error());
      if ((*bound)->type != Type::kBool) {
        return fail(
            "42804",
            fmt::format("argument of {} must be type boolean, not type {}", clause, batch::name((*bound)->type)),
            part->span);
      }
      (reads(**bound, false) ? conditions : filters).push_back(std::move(*bound));
    }
    for (ExprPtr& filter : filters) {
      expr::walk(*filter, [&](expr::Expr& e) {
        if (e.kind == expr::ExprKind::kColumn) e.column -= step_.first_column;
      });
    }
    step_.filter = all_of(std::move(filters), on.span);
    step_.condition = all_of(std::move(conditions), on.span);
    return {};
  }

  /// lpm: the network column, and the address.
  Result<void> set_prefix(uint32_t column, SourceSpan column_span, const UnboundExpr& address) {
    const batch::ColumnDef& definition = table_.definition().schema.columns[column];
    if (batch::physical(definition.type) != batch::Physical::kInet) {
      return fail("42804",
                  fmt::format("column \"{}\" is of type {}, not cidr", definition.name, batch::name(definition.type)),
                  column_span);
    }
    auto value = ExprBinder(input_).bind_row(address, "lpm()");
    if (value && (*value)->type == Type::kUnknown)
      value = expr::make_cast(std::move(*value), Type::kInet, address.span);
    if (!value) return tl::unexpected(value.error());
    return set_prefix(column, std::move(*value), address.span);
  }
  Result<void> set_prefix(uint32_t column, ExprPtr value, SourceSpan span) {
    if (batch::physical(value->type) != batch::Physical::kInet) {
      return fail("42804", fmt::format("the address is of type {}, not inet", batch::name(value->type)), span);
    }
    step_.by = LookupStep::By::kPrefix;
    step_.columns = {column};
    step_.keys.push_back(std::move(value));
    return {};
  }

  /// Makes the index that the step needs, and the column that says whether there was a match. Returns that column.
  Result<int> finish(SourceSpan span) {
    if (step_.by == LookupStep::By::kPrefix) {
      const auto index = table_.add_prefix_table(step_.columns[0]);
      if (!index) {
        base::Diagnostic error = index.error();
        error.span = span;
        return tl::unexpected(std::move(error));
      }
      step_.index = *index;
    } else {
      sort_keys();
      step_.index = table_.add_key_index(step_.columns);
    }
    step_.matched_column = static_cast<int>(input_.schema.columns.size());
    input_.schema.columns.push_back({fmt::format("match in {}", table_.definition().name), Type::kBool, 0});
    input_.merged.resize(input_.schema.columns.size());
    input_.hidden.resize(input_.schema.columns.size());
    input_.hidden.back() = true;
    input_.lookups.push_back(std::move(step_));
    return input_.lookups.back().matched_column;
  }

 private:
  /// Whether the expression reads a column of the table (`own`), or one that is not.
  bool reads(const expr::Expr& e, bool own) const {
    bool found = false;
    expr::walk(e, [&](const expr::Expr& part) {
      if (part.kind == expr::ExprKind::kColumn) found = found || is_own(part.column) == own;
    });
    return found;
  }
  /// table column = value, value = table column; address <<= network column. False: it is neither.
  Result<bool> add_comparison(const UnboundExpr& e, ExprBinder& binder, std::string_view clause) {
    auto a = binder.bind_row(*e.args[0], clause);
    if (!a) return tl::unexpected(a.error());
    auto b = binder.bind_row(*e.args[1], clause);
    if (!b) return tl::unexpected(b.error());
    const auto is_key = [&](const expr::Expr& column, const expr::Expr& value) {
      return column.kind == expr::ExprKind::kColumn && is_own(column.column) && !reads(value, true);
    };
    if (e.op == "<<=") {
      if (!step_.test || !step_.keys.empty() || !is_key(**b, **a) || (*a)->kind == expr::ExprKind::kLiteral)
        return false;
      auto set = set_prefix(static_cast<uint32_t>((*b)->column - step_.first_column), std::move(*a), e.span);
      if (!set) return tl::unexpected(set.error());
      return true;
    }
    if (step_.by == LookupStep::By::kPrefix) return false;
    if (!is_key(**a, **b)) std::swap(*a, *b);
    if (!is_key(**a, **b)) return false;
    // A constant says which rows of the table count, not which belong to a row.
    if ((*b)->kind == expr::ExprKind::kLiteral) return false;
    auto added = add_key((*a)->column, std::move(*b), e.span);
    if (!added) return tl::unexpected(added.error());
    return true;
  }
  static ExprPtr all_of(std::vector<ExprPtr> conditions, SourceSpan span) {
    if (conditions.empty()) return nullptr;
    if (conditions.size() == 1) return std::move(conditions[0]);
    return *expr::make_and(std::move(conditions), span);
  }
  /// In the order of the primary key when they are its columns, else of the table: one index serves all.
  void sort_keys() {
    std::vector<size_t> order(step_.columns.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    const std::vector<uint32_t>& primary = table_.definition().primary_key;
    const auto place = [&](size_t i) {
      const auto found = std::find(primary.begin(), primary.end(), step_.columns[i]);
      return found == primary.end() ? primary.size() + step_.columns[i] : static_cast<size_t>(found - primary.begin());
    };
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return place(a) < place(b); });
    std::vector<uint32_t> columns;
    std::vector<ExprPtr> keys;
    for (const size_t i : order) {
      columns.push_back(step_.columns[i]);
      keys.push_back(std::move(step_.keys[i]));
    }
    step_.columns = std::move(columns);
    step_.keys = std::move(keys);
  }

  Input& input_;
  lookup::LookupTable& table_;
  LookupStep step_;
  int end_ = 0;
};

/// The column of networks: named, or the only one of its type.
Result<uint32_t> prefix_column(const Relation& table, const UnboundExpr& name) {
  if (name.names.size() == 2) {
    const int column = table.schema.find(name.names[1]);
    if (column >= 0) return static_cast<uint32_t>(column);
    return fail("42703", fmt::format("column \"{}\" of table \"{}\" does not exist", name.names[1], table.name),
                name.span);
  }
  std::vector<uint32_t> networks;
  for (uint32_t c = 0; c < table.schema.columns.size(); ++c) {
    if (batch::physical(table.schema.columns[c].type) == batch::Physical::kInet) networks.push_back(c);
  }
  if (networks.size() > 1) {  // A dump of routes has next_hop, too.
    std::erase_if(networks, [&](uint32_t c) { return table.schema.columns[c].type != Type::kCidr; });
  }
  if (networks.size() == 1) return networks[0];
  if (networks.empty()) {
    return fail("42804", fmt::format("table \"{}\" has no column of networks", table.name), name.span,
                "a column of type cidr holds them");
  }
  return fail("42702", fmt::format("table \"{}\" has several columns of networks", table.name), name.span,
              fmt::format("write lpm({}.{}, ...)", table.name, table.schema.columns[networks[0]].name));
}

/// LATERAL (SELECT ... FROM table t WHERE address <<= t.network ORDER BY masklen(t.network) DESC LIMIT 1).
struct LateralForm {
  const UnboundFrom* table = nullptr;
  const UnboundExpr* address = nullptr;
  const UnboundExpr* network = nullptr;
};
std::optional<LateralForm> lateral_form(const UnboundSelect& select) {
  const bool plain = select.set_op == UnboundSelect::SetOp::kNone && select.ctes.empty() && !select.distinct &&
                     select.distinct_on.empty() && select.group_by.empty() && !select.having && !select.offset &&
                     !select.with_ties && select.from.size() == 1 && select.where && select.limit &&
                     select.order_by.size() == 1;
  if (!plain || select.from[0]->kind != UnboundFrom::Kind::kRelation) return std::nullopt;
  const UnboundExpr& where = *select.where;
  const UnboundOrder& order = select.order_by[0];
  const bool is_match = where.kind == Kind::kOperator && where.op == "<<=" && where.args.size() == 2 &&
                        where.args[1]->kind == Kind::kColumn;
  const bool longest = order.descending && order.expr->kind == Kind::kCall && order.expr->text == "masklen" &&
                       order.expr->args.size() == 1 && order.expr->args[0]->kind == Kind::kColumn;
  if (!is_match || !longest || select.limit->kind != Kind::kInteger || select.limit->text != "1") return std::nullopt;
  if (order.expr->args[0]->names.back() != where.args[1]->names.back()) return std::nullopt;
  return LateralForm{select.from[0].get(), where.args[0].get(), where.args[1].get()};
}

constexpr std::string_view kLateralHint =
    "LATERAL (SELECT * FROM table t WHERE f.dst_ip <<= t.network ORDER BY masklen(t.network) DESC LIMIT 1), or "
    "lpm(table, f.dst_ip)";

/// Every EXISTS and IN (SELECT ...) in an expression.
template <typename Visit>
Result<void> for_each_subquery(const UnboundExpr* e, Visit&& visit) {
  if (e == nullptr) return {};
  std::vector<const UnboundExpr*> parts;
  for (const auto& arg : e->args) parts.push_back(arg.get());
  parts.push_back(e->filter.get());
  for (const UnboundOrder& order : e->order_by) parts.push_back(order.expr.get());
  if (e->over) {
    for (const auto& key : e->over->partition_by) parts.push_back(key.get());
    for (const UnboundOrder& order : e->over->order_by) parts.push_back(order.expr.get());
  }
  for (const UnboundExpr* part : parts) {
    if (auto done = for_each_subquery(part, visit); !done) return done;
  }
  if (e->kind == Kind::kSubquery && !e->op.empty()) return visit(*e);
  return {};
}

}  // namespace

bool SelectBinder::is_lookup(const UnboundFrom& from) const {
  const auto is_table = [&](const UnboundFrom& item) {
    if (item.kind != UnboundFrom::Kind::kRelation || ctes_.find(item.name) != nullptr) return false;
    const Relation* relation = catalog_.find(item.name);
    return relation != nullptr && relation->kind == Relation::Kind::kTable;
  };
  if (from.kind == UnboundFrom::Kind::kFunction) return from.name == "lpm";
  if (from.kind != UnboundFrom::Kind::kSubquery) return is_table(from);
  return from.lateral || (from.subquery->from.size() == 1 && is_table(*from.subquery->from[0]));
}

Result<const Relation*> SelectBinder::find_table(const std::string& name, SourceSpan span) const {
  const Relation* relation = catalog_.find(name);
  if (relation != nullptr && relation->kind == Relation::Kind::kTable) return relation;
  std::vector<std::string_view> tables;
  for (const std::string_view known : catalog_.names()) {
    if (catalog_.find(known)->kind == Relation::Kind::kTable) tables.push_back(known);
  }
  const auto near = base::nearest_name(name, tables);
  const std::string hint = near.empty() ? "" : fmt::format("did you mean '{}'?", near);
  if (relation == nullptr) return fail("42P01", fmt::format("relation \"{}\" does not exist", name), span, hint);
  return fail("42809", fmt::format("\"{}\" is not a lookup table", name), span, "CREATE TABLE makes one");
}

Result<Input> SelectBinder::bind_lookup_join(const UnboundFrom& from) {
  if (is_lookup(*from.left)) {
    return fail("0A000", "rows of a stream look up rows of a table, not the other way round", from.left->span,
                "write the stream first: FROM flows f LEFT JOIN table t ON t.key = f.column");
  }
  auto input = bind_from(*from.left);
  if (!input) return input;
  const LookupJoin join{from.join, from.on.get(), from.using_columns.empty() ? nullptr : &from.using_columns,
                        from.span};
  if (auto joined = bind_lookup(*input, *from.right, join); !joined) return tl::unexpected(joined.error());
  return input;
}

Result<void> SelectBinder::bind_lookup(Input& input, const UnboundFrom& from, const LookupJoin& join) {
  if (join.kind == UnboundFrom::Join::kRight || join.kind == UnboundFrom::Join::kFull) {
    return fail("0A000", "a stream has no end, so no row of a table is known to match none of it", join.span,
                "write JOIN or LEFT JOIN");
  }
  if (!from.column_aliases.empty())
    return fail("0A000", "column names after a FROM alias are not supported", from.span);
  const bool inner = join.kind != UnboundFrom::Join::kLeft;
  const auto finished = [&](StepBinder& binder) -> Result<void> {
    binder.step().inner = inner;
    const auto matched = binder.finish(from.span);
    if (!matched) return tl::unexpected(matched.error());
    if (inner) input.required.push_back(*matched);
    return {};
  };

  if (from.kind == UnboundFrom::Kind::kRelation) {
    const auto table = find_table(from.name, from.name_span);
    if (!table) return tl::unexpected(table.error());
    if (join.on == nullptr && join.using_columns == nullptr) {
      return fail("0A000", fmt::format("every row would meet every row of \"{}\"", from.name), from.span,
                  std::string(kKeyHint));
    }
    StepBinder binder(input, **table);
    ExprBinder left(input);
    std::vector<std::pair<int, int>> pairs;  // Of USING: a column before, a column of the table.
    for (const std::string& name : join.using_columns ? *join.using_columns : std::vector<std::string>{}) {
      UnboundExpr column{};
      column.kind = Kind::kColumn;
      column.span = join.span;
      column.names = {name};
      const auto own = left.find_column(column);
      if (!own) return tl::unexpected(own.error());
      const int other = (*table)->schema.find(name);
      if (other < 0) {
        return fail("42703", fmt::format("column \"{}\" in USING is no column of \"{}\"", name, from.name), join.span);
      }
      if (*own < 0) return fail("0A000", "the window of a row is found after joins", join.span);
      pairs.emplace_back(*own, binder.column_of(static_cast<uint32_t>(other)));
    }
    if (auto added = binder.add_columns(from.alias.empty() ? from.name : from.alias, from.span); !added) return added;
    for (const auto& [own, other] : pairs) {
      const Type type = input.schema.columns[static_cast<size_t>(own)].type;
      if (auto key = binder.add_key(other, expr::make_column(own, type), join.span); !key) return key;
      input.merged[static_cast<size_t>(other)] = true;
      if (std::find(input.using_columns.begin(), input.using_columns.end(), own) == input.using_columns.end())
        input.using_columns.push_back(own);
    }
    if (join.on != nullptr) {
      if (auto on = binder.add_conditions(*join.on, "JOIN/ON"); !on) return on;
    }
    if (binder.step().keys.empty()) {
      return fail("0A000", fmt::format("no column of \"{}\" is compared with rows before it", from.name), join.on->span,
                  join.on->kind == Kind::kOperator && join.on->op == "<<="
                      ? fmt::format("for the longest network: JOIN lpm({}, address) ON true", from.name)
                      : std::string(kKeyHint));
    }
    return finished(binder);
  }

  if (from.kind == UnboundFrom::Kind::kFunction) {  // lpm
    const bool named = std::any_of(from.arg_names.begin(), from.arg_names.end(),
                                   [](const std::string& name) { return !name.empty(); });
    if (from.args.size() != 2 || named || from.args[0]->kind != Kind::kColumn || from.args[0]->names.size() > 2) {
      return fail("42883", "lpm() takes a lookup table and an address", from.span,
                  "LEFT JOIN lpm(table, f.dst_ip) r ON true");
    }
    const UnboundExpr& name = *from.args[0];
    const auto table = find_table(name.names[0], name.span);
    if (!table) return tl::unexpected(table.error());
    const auto network = prefix_column(**table, name);
    if (!network) return tl::unexpected(network.error());
    StepBinder binder(input, **table);
    if (auto set = binder.set_prefix(*network, name.span, *from.args[1]); !set) return set;
    if (auto added = binder.add_columns(from.alias.empty() ? from.name : from.alias, from.span); !added) return added;
    if (join.using_columns != nullptr)
      return fail("0A000", "lpm() has no USING", join.span, "LEFT JOIN lpm(table, address) r ON true");
    if (join.on != nullptr) {
      if (auto on = binder.add_conditions(*join.on, "JOIN/ON"); !on) return on;
    }
    return finished(binder);
  }

  const auto form = from.lateral ? lateral_form(*from.subquery) : std::nullopt;
  if (!form) {
    return fail("0A000",
                from.lateral ? "LATERAL is supported for longest-prefix match only"
                             : "a subquery over a lookup table cannot be joined",
                from.span, from.lateral ? std::string(kLateralHint) : "join the table itself, with conditions in ON");
  }
  const auto table = find_table(form->table->name, form->table->name_span);
  if (!table) return tl::unexpected(table.error());
  const std::string inside = form->table->alias.empty() ? form->table->name : form->table->alias;
  const auto own_column = [&](const UnboundExpr& e) -> Result<uint32_t> {
    if (e.kind != Kind::kColumn || (e.names.size() == 2 && e.names[0] != inside))
      return fail("0A000", "only columns of the table may stand here", e.span, std::string(kLateralHint));
    const int column = (*table)->schema.find(e.names.back());
    if (column >= 0) return static_cast<uint32_t>(column);
    return fail("42703", fmt::format("column \"{}\" does not exist", e.names.back()), e.span);
  };
  const auto network = own_column(*form->network);
  if (!network) return tl::unexpected(network.error());
  StepBinder binder(input, **table);
  if (auto set = binder.set_prefix(*network, form->network->span, *form->address); !set) return set;
  if (auto added = binder.add_columns(from.alias, from.span); !added) return added;
  std::vector<std::string> names((*table)->schema.columns.size());
  for (const UnboundTarget& target : from.subquery->targets) {
    if (target.expr->kind == Kind::kStar) {
      for (size_t c = 0; c < names.size(); ++c) names[c] = (*table)->schema.columns[c].name;
      continue;
    }
    const auto column = own_column(*target.expr);
    if (!column) return tl::unexpected(column.error());
    names[*column] = target.alias.empty() ? target.expr->names.back() : target.alias;
  }
  for (uint32_t c = 0; c < names.size(); ++c) {
    const auto at = static_cast<size_t>(binder.column_of(c));
    if (names[c].empty()) input.hidden[at] = true;
    else input.schema.columns[at].name = names[c];
  }
  if (join.on != nullptr) {
    if (auto on = binder.add_conditions(*join.on, "JOIN/ON"); !on) return on;
  }
  return finished(binder);
}

Result<void> SelectBinder::bind_subqueries(const UnboundSelect& select, Input& input) {
  const auto bind_test = [&](const UnboundExpr& e) { return bind_subquery_test(e, input); };
  std::vector<const UnboundExpr*> exprs;
  for (const UnboundTarget& target : select.targets) exprs.push_back(target.expr.get());
  exprs.insert(exprs.end(), where_.begin(), where_.end());  // Joins of streams have taken theirs.
  for (const auto& key : select.group_by) exprs.push_back(key.get());
  exprs.push_back(select.having.get());
  for (const UnboundOrder& order : select.order_by) exprs.push_back(order.expr.get());
  for (const UnboundExpr* e : exprs) {
    if (auto done = for_each_subquery(e, bind_test); !done) return done;
  }
  return {};
}

Result<void> SelectBinder::bind_subquery_test(const UnboundExpr& e, Input& input) {
  const UnboundSelect& select = *e.subquery;
  const bool in = e.op == "in";
  const bool plain = select.set_op == UnboundSelect::SetOp::kNone && select.ctes.empty() &&
                     select.distinct_on.empty() && select.group_by.empty() && !select.having && !select.limit &&
                     !select.offset && select.from.size() == 1 && is_lookup(*select.from[0]) &&
                     select.from[0]->kind == UnboundFrom::Kind::kRelation;
  if (!plain) {
    const base::SourceSpan span = select.from.size() == 1 ? select.from[0]->span : e.span;
    const bool table = select.from.size() == 1 && is_lookup(*select.from[0]);
    if (in) {
      return fail("0A000", "IN (SELECT ...) is supported over one lookup table", span,
                  table ? "x IN (SELECT column FROM table WHERE ...)"
                        : "list the values: IN (1, 2), or write EXISTS (SELECT 1 FROM b WHERE b.key = a.key AND ...)");
    }
    return fail("0A000",
                table ? "EXISTS takes a plain SELECT from one lookup table"
                      : "EXISTS over a stream stands in WHERE by itself, or joined by AND to other conditions",
                span, "EXISTS (SELECT 1 FROM b WHERE b.key = a.key AND ...)");
  }
  const ExprBinder targets(input);
  for (const UnboundTarget& target : select.targets) {
    if (!targets.has_aggregate(*target.expr)) continue;
    return fail("0A000", "aggregates over a lookup table are not supported", target.expr->span,
                "without them EXISTS tells whether there is a row");
  }
  const UnboundFrom& from = *select.from[0];
  const auto table = find_table(from.name, from.name_span);
  if (!table) return tl::unexpected(table.error());
  StepBinder binder(input, **table);
  LookupStep& step = binder.step();
  step.test = true;
  step.in = in;
  ExprPtr value;
  if (in) {
    if (select.targets.size() != 1) return fail("42601", "subquery has too many columns", e.span);
    auto bound = ExprBinder(input).bind_row(*e.args[0], "IN");
    if (!bound) return tl::unexpected(bound.error());
    value = std::move(*bound);
  }
  // The subquery's own names are known only while it is bound.
  const int nested_before = std::exchange(input.nested_first, step.first_column);
  const auto bind_inside = [&]() -> Result<void> {
    if (auto added = binder.add_columns(from.alias.empty() ? from.name : from.alias, from.span); !added) return added;
    if (in) {
      const UnboundExpr& target = *select.targets[0].expr;
      const auto column = target.kind == Kind::kColumn ? ExprBinder(input).find_column(target) : Result<int>(-1);
      if (!column) return tl::unexpected(column.error());
      if (!binder.is_own(*column)) {
        return fail("0A000", "IN (SELECT ...) needs a column of the table", target.span,
                    "x IN (SELECT column FROM table WHERE ...)");
      }
      if (auto key = binder.add_key(*column, std::move(value), e.span); !key) return key;
    }
    if (select.where) {
      if (auto where = binder.add_conditions(*select.where, "WHERE"); !where) return where;
    }
    if (step.keys.empty()) {
      return fail("0A000", fmt::format("no column of \"{}\" is compared with rows outside", from.name), e.span,
                  "EXISTS (SELECT 1 FROM table t WHERE t.key = f.column)");
    }
    if (in && (step.condition || step.keys.size() > 1)) {
      return fail("0A000", "IN (SELECT ...) reads columns from outside", select.where->span,
                  "EXISTS (SELECT 1 FROM table t WHERE t.key = f.column AND ...)");
    }
    if (step.by == LookupStep::By::kPrefix && (step.filter || step.condition)) {
      return fail("0A000", "EXISTS with <<= and another condition", select.where->span,
                  "LEFT JOIN lpm(table, address) r ON true, and compare its columns");
    }
    return {};
  };
  auto done = bind_inside();
  input.nested_first = nested_before;
  if (!done) return done;
  input.relations.pop_back();
  for (size_t c = static_cast<size_t>(step.first_column); c < input.schema.columns.size(); ++c) input.hidden[c] = true;

  // The same test as one before: GROUP BY finds it in SELECT again.
  for (const LookupStep& other : input.lookups) {
    const auto same = [](const ExprPtr& a, const ExprPtr& b) { return a && b ? expr::equal(*a, *b) : !a && !b; };
    if (!other.test || other.in != step.in || other.table != step.table || other.by != step.by ||
        other.columns != step.columns || other.condition || step.condition || !same(other.filter, step.filter))
      continue;
    if (!std::equal(other.keys.begin(), other.keys.end(), step.keys.begin(), step.keys.end(), same)) continue;
    input.subqueries[&e] = other.matched_column;
    // Its columns go: the next lookup's are numbered from here.
    const auto first = static_cast<size_t>(step.first_column);
    input.schema.columns.resize(first);
    input.merged.resize(first);
    input.hidden.resize(first);
    return {};
  }
  const auto matched = binder.finish(e.span);
  if (!matched) return tl::unexpected(matched.error());
  input.schema.columns.back().name =
      in ? fmt::format("{} IN {}", expr::to_string(*input.lookups.back().keys[0], input.schema), from.name)
         : fmt::format("EXISTS in {}", from.name);
  input.subqueries[&e] = *matched;
  return {};
}

}  // namespace backstream::plan
