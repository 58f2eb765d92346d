#include <algorithm>
#include <cassert>
#include <cstring>

#include "expr/function.h"

namespace backstream::expr {

using batch::Column;
using batch::ColumnBatch;
using batch::Physical;

namespace {

/// The constants of an IN list of integers, for one look-up a row instead of a comparison a row and constant.
class IntegerSet {
 public:
  /// Null when the list is not of constants, or these are too far apart for a bit each.
  static std::unique_ptr<IntegerSet> of_list(const Expr& in) {
    constexpr uint64_t kSpanMax = 1 << 20;
    auto set = std::make_unique<IntegerSet>();
    std::vector<int64_t> values;
    for (const ExprPtr& arg : in.args) {
      if (batch::physical(arg->type) != Physical::kInt64) return nullptr;
      if (arg == in.args.front()) continue;
      if (arg->kind != ExprKind::kLiteral || !std::holds_alternative<int64_t>(arg->literal)) return nullptr;
      values.push_back(std::get<int64_t>(arg->literal));
    }
    if (values.size() < 2) return nullptr;
    const auto [least, greatest] = std::minmax_element(values.begin(), values.end());
    set->least_ = static_cast<uint64_t>(*least);
    set->span_ = static_cast<uint64_t>(*greatest) - set->least_ + 1;
    if (set->span_ > kSpanMax || set->span_ == 0) return nullptr;
    set->bits_.resize(set->span_ / 64 + 1);
    for (const int64_t value : values) {
      const uint64_t at = static_cast<uint64_t>(value) - set->least_;
      set->bits_[at / 64] |= uint64_t{1} << (at % 64);
    }
    return set;
  }
  void test(const int64_t* values, size_t n, uint8_t* found) const {
    const uint64_t* bits = bits_.data();
    const uint64_t least = least_, span = span_;
    for (size_t i = 0; i < n; ++i) {
      const uint64_t at = std::min(static_cast<uint64_t>(values[i]) - least, span);  // The bit at `span` is 0.
      found[i] = bits[at / 64] >> (at % 64) & 1;
    }
  }

 private:
  uint64_t least_ = 0, span_ = 0;
  std::vector<uint64_t> bits_;
};

/// One operation with the column that it fills.
struct Node {
  const Expr* expr;
  std::vector<Node> args;
  std::vector<Column> arg_columns;  ///< of the batch at hand
  Column out;
  std::unique_ptr<uint8_t[]> values, validity;
  std::vector<uint8_t> mask, pending;  ///< CASE, COALESCE, AND, OR: rows that an argument is still wanted for
  std::unique_ptr<IntegerSet> set;     ///< IN: null when each constant is compared
};

template <typename V>
void fill(Column& column, size_t rows, const V& value) {
  std::fill_n(column.as<V>(), rows, value);
}

void fill_literal(Node& node, size_t rows) {
  const Value& literal = node.expr->literal;
  const bool null = std::holds_alternative<std::monostate>(literal);
  std::memset(node.validity.get(), !null, rows);
  node.out.has_nulls = null;
  if (null) return;  // values are zero bytes: readable
  switch (batch::physical(node.out.type)) {
    case Physical::kByte: fill<uint8_t>(node.out, rows, std::get<bool>(literal)); break;
    case Physical::kInt64: fill<int64_t>(node.out, rows, std::get<int64_t>(literal)); break;
    case Physical::kDouble: fill<double>(node.out, rows, std::get<double>(literal)); break;
    case Physical::kText: fill<std::string_view>(node.out, rows, std::get<std::string>(literal)); break;
    case Physical::kInet: fill<base::Inet>(node.out, rows, std::get<base::Inet>(literal)); break;
    case Physical::kInterval: fill<base::Interval>(node.out, rows, std::get<base::Interval>(literal)); break;
  }
}

void compile(const Expr& expr, size_t rows, Node& node) {
  node.expr = &expr;
  node.out.type = expr.type;
  if (expr.kind == ExprKind::kColumn) return;
  const size_t octets = rows * batch::octets_per_value(batch::physical(expr.type));
  node.values.reset(new uint8_t[octets + 16]());
  node.validity.reset(new uint8_t[rows]());
  node.out.values = node.values.get();
  node.out.validity = node.validity.get();
  if (expr.kind == ExprKind::kLiteral) return fill_literal(node, rows);
  if (expr.kind != ExprKind::kCall && expr.kind != ExprKind::kNot && expr.kind != ExprKind::kIsNull) {
    node.mask.resize(rows);
    node.pending.resize(rows);
  }
  if (expr.kind == ExprKind::kInList) node.set = IntegerSet::of_list(expr);
  node.args.resize(expr.args.size());
  node.arg_columns.resize(expr.args.size());
  for (size_t a = 0; a < expr.args.size(); ++a) compile(*expr.args[a], rows, node.args[a]);
}

template <typename V>
void copy_where(const uint8_t* mask, const Column& from, Column& to, size_t n) {
  const V* source = from.as<V>();
  V* target = to.as<V>();
  // Without a branch: which rows take it nobody can foresee.
  for (size_t i = 0; i < n; ++i) target[i] = *(mask[i] != 0 ? &source[i] : &target[i]);
}
/// Rows of `mask` take value and validity from `from`.
void take_where(const uint8_t* mask, const Column& from, Column& to, size_t n) {
  switch (batch::physical(to.type)) {
    case Physical::kByte: copy_where<uint8_t>(mask, from, to, n); break;
    case Physical::kInt64: copy_where<int64_t>(mask, from, to, n); break;
    case Physical::kDouble: copy_where<double>(mask, from, to, n); break;
    case Physical::kText: copy_where<std::string_view>(mask, from, to, n); break;
    case Physical::kInet: copy_where<base::Inet>(mask, from, to, n); break;
    case Physical::kInterval: copy_where<base::Interval>(mask, from, to, n); break;
  }
  uint8_t* __restrict validity = to.validity;
  if (from.has_nulls) {
    for (size_t i = 0; i < n; ++i) validity[i] = mask[i] != 0 ? from.validity[i] : validity[i];
  } else {
    for (size_t i = 0; i < n; ++i) validity[i] |= mask[i];
  }
}

struct Run {
  const ColumnBatch& input;
  size_t n;
  KernelContext context;
};

const Column& evaluate(Node& node, Run& run, const uint8_t* active);

void evaluate_call(Node& node, Run& run, const uint8_t* active) {
  Column& out = node.out;
  const size_t n = run.n;
  bool nulls = active != nullptr;
  for (size_t a = 0; a < node.args.size(); ++a) {
    node.arg_columns[a] = evaluate(node.args[a], run, active);
    nulls |= node.arg_columns[a].has_nulls;
  }
  if (active != nullptr) std::memcpy(out.validity, active, n);
  else std::memset(out.validity, 1, n);
  if (nulls) {
    for (const Column& arg : node.arg_columns) {
      if (!arg.has_nulls) continue;
      for (size_t i = 0; i < n; ++i) out.validity[i] &= arg.validity[i];
    }
  }
  out.has_nulls = nulls;
  run.context.prepared = node.expr->prepared.get();
  node.expr->function->kernel(node.arg_columns.data(), n, out, run.context);
}

/// What an argument of AND or OR changes: rows where it is wanted and decides, and those where it is null.
void take_logic(const Column& arg, const uint8_t* __restrict wanted, size_t n, uint8_t decisive,
                uint8_t* __restrict value, uint8_t* __restrict validity) {
  const uint8_t* values = arg.as<uint8_t>();
  const uint8_t* present = arg.has_nulls ? arg.validity : nullptr;
  for (size_t i = 0; i < n; ++i) {
    const uint8_t want = wanted == nullptr ? 1 : wanted[i];
    const uint8_t known = present == nullptr ? 1 : present[i];
    const uint8_t decides = static_cast<uint8_t>(want & known & ((values[i] != 0) == (decisive != 0)));
    value[i] = static_cast<uint8_t>((value[i] & ~decides) | (decides & decisive));
    validity[i] = static_cast<uint8_t>((validity[i] & (known | (want ^ 1))) | decides);
  }
}

/// AND and OR. `decisive` is the value that decides alone: false for AND. An argument is computed only for rows that no
/// argument before it has decided. Masks are 0 or 1.
void evaluate_logic(Node& node, Run& run, const uint8_t* active, uint8_t decisive) {
  Column& out = node.out;
  const size_t n = run.n;
  uint8_t* value = out.as<uint8_t>();
  std::memset(value, !decisive, n);
  std::memset(out.validity, 1, n);
  for (size_t a = 0; a < node.args.size(); ++a) {
    const uint8_t* wanted = active;
    if (a > 0) {
      uint8_t any = 0;
      for (size_t i = 0; i < n; ++i) {
        const uint8_t undecided = static_cast<uint8_t>((value[i] != decisive) | (out.validity[i] ^ 1));
        node.mask[i] = static_cast<uint8_t>(undecided & (active == nullptr ? 1 : active[i]));
        any |= node.mask[i];
      }
      if (any == 0) break;
      wanted = node.mask.data();
    }
    take_logic(evaluate(node.args[a], run, wanted), wanted, n, decisive, value, out.validity);
  }
  uint8_t all = 1;
  for (size_t i = 0; i < n; ++i) all &= out.validity[i];
  out.has_nulls = all == 0;
}

void begin_pending(Node& node, size_t n, const uint8_t* active) {
  if (active != nullptr) std::memcpy(node.pending.data(), active, n);
  else std::memset(node.pending.data(), 1, n);
  std::memset(node.out.validity, 0, n);
  node.out.has_nulls = true;
}

void evaluate_case(Node& node, Run& run, const uint8_t* active) {
  const size_t n = run.n;
  begin_pending(node, n, active);
  for (size_t a = 0; a + 1 < node.args.size(); a += 2) {
    const Column& condition = evaluate(node.args[a], run, node.pending.data());
    const uint8_t* value = condition.as<uint8_t>();
    uint8_t any = 0;
    for (size_t i = 0; i < n; ++i) {
      const uint8_t known = condition.has_nulls ? condition.validity[i] : 1;
      const uint8_t chosen = static_cast<uint8_t>(node.pending[i] & (value[i] != 0) & known);
      node.mask[i] = chosen;
      node.pending[i] ^= chosen;
      any |= chosen;
    }
    if (any != 0) take_where(node.mask.data(), evaluate(node.args[a + 1], run, node.mask.data()), node.out, n);
  }
  take_where(node.pending.data(), evaluate(node.args.back(), run, node.pending.data()), node.out, n);
}

void evaluate_coalesce(Node& node, Run& run, const uint8_t* active) {
  const size_t n = run.n;
  begin_pending(node, n, active);
  for (Node& child : node.args) {
    const Column& arg = evaluate(child, run, node.pending.data());
    for (size_t i = 0; i < n; ++i) {
      const uint8_t chosen = static_cast<uint8_t>(node.pending[i] & (arg.has_nulls ? arg.validity[i] : 1));
      node.mask[i] = chosen;
      node.pending[i] ^= chosen;
    }
    take_where(node.mask.data(), arg, node.out, n);
  }
}

/// x IN (a, b, ...): true when one is equal, else null when one comparison is null, else false.
void evaluate_in(Node& node, Run& run, const uint8_t* active) {
  const size_t n = run.n;
  uint8_t* value = node.out.as<uint8_t>();
  uint8_t* validity = node.out.validity;
  Column pair[2];
  pair[0] = evaluate(node.args[0], run, active);
  if (node.set != nullptr) {
    node.set->test(pair[0].as<int64_t>(), n, value);
    node.out.has_nulls = pair[0].has_nulls;
    if (!pair[0].has_nulls) return;
    std::memcpy(validity, pair[0].validity, n);
    for (size_t i = 0; i < n; ++i) value[i] &= validity[i];
    return;
  }
  std::memset(value, 0, n);
  std::memset(validity, 1, n);
  Column equal;
  equal.type = Type::kBool;
  equal.values = node.mask.data();
  equal.validity = node.pending.data();
  for (size_t a = 1; a < node.args.size(); ++a) {
    pair[1] = evaluate(node.args[a], run, active);
    for (size_t i = 0; i < n; ++i) {
      node.pending[i] = static_cast<uint8_t>((!pair[0].has_nulls || pair[0].validity[i] != 0) &
                                             (!pair[1].has_nulls || pair[1].validity[i] != 0));
    }
    node.expr->function->kernel(pair, n, equal, run.context);
    for (size_t i = 0; i < n; ++i) {
      const bool hit = node.pending[i] != 0 && node.mask[i] != 0;
      value[i] |= hit;
      validity[i] &= node.pending[i];
    }
  }
  bool nulls = false;
  for (size_t i = 0; i < n; ++i) {
    validity[i] |= value[i];
    nulls |= validity[i] == 0;
  }
  node.out.has_nulls = nulls;
}

const Column& evaluate(Node& node, Run& run, const uint8_t* active) {
  const size_t n = run.n;
  switch (node.expr->kind) {
    case ExprKind::kColumn: node.out = run.input.columns[static_cast<size_t>(node.expr->column)]; break;
    case ExprKind::kLiteral: break;
    case ExprKind::kCall: evaluate_call(node, run, active); break;
    case ExprKind::kAnd: evaluate_logic(node, run, active, 0); break;
    case ExprKind::kOr: evaluate_logic(node, run, active, 1); break;
    case ExprKind::kNot: {
      const Column& arg = evaluate(node.args[0], run, active);
      for (size_t i = 0; i < n; ++i) node.out.as<uint8_t>()[i] = arg.as<uint8_t>()[i] == 0;
      node.out.has_nulls = arg.has_nulls;
      if (arg.has_nulls) std::memcpy(node.out.validity, arg.validity, n);
      break;
    }
    case ExprKind::kIsNull: {
      const Column& arg = evaluate(node.args[0], run, active);
      for (size_t i = 0; i < n; ++i) node.out.as<uint8_t>()[i] = arg.has_nulls && arg.validity[i] == 0;
      node.out.has_nulls = false;
      break;
    }
    case ExprKind::kCase: evaluate_case(node, run, active); break;
    case ExprKind::kCoalesce: evaluate_coalesce(node, run, active); break;
    case ExprKind::kInList: evaluate_in(node, run, active); break;
  }
  return node.out;
}

}  // namespace

struct Evaluator::State {
  ExprPtr expr;
  size_t batch_rows;
  Node root;
  base::Arena texts{4096};
};

Evaluator::Evaluator(ExprPtr expr, size_t batch_rows) : state_(std::make_unique<State>()) {
  state_->expr = std::move(expr);
  state_->batch_rows = batch_rows;
  compile(*state_->expr, batch_rows, state_->root);
}
Evaluator::~Evaluator() = default;
Evaluator::Evaluator(Evaluator&&) noexcept = default;
Evaluator& Evaluator::operator=(Evaluator&&) noexcept = default;
const Expr& Evaluator::expr() const { return *state_->expr; }

Column Evaluator::evaluate(const ColumnBatch& input, const uint8_t* active, ValueErrorCounts& errors,
                           uint8_t* error_rows) {
  assert(input.row_count <= state_->batch_rows);
  state_->texts.reset();
  Run run{input, input.row_count, {state_->texts, errors, error_rows}};
  return expr::evaluate(state_->root, run, active);
}

size_t select_true(const Column& condition, size_t row_count, uint32_t* selection) {
  const uint8_t* value = condition.as<uint8_t>();
  size_t selected = 0;
  if (condition.has_nulls) {
    for (size_t i = 0; i < row_count; ++i) {
      selection[selected] = static_cast<uint32_t>(i);
      selected += static_cast<size_t>((value[i] != 0) & (condition.validity[i] != 0));
    }
  } else {
    for (size_t i = 0; i < row_count; ++i) {
      selection[selected] = static_cast<uint32_t>(i);
      selected += value[i] != 0;
    }
  }
  return selected;
}

}  // namespace backstream::expr
