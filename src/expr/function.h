#pragma once
// The signature table of scalar functions, operators and casts. A new function is one row in one of functions_*.cc.
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/arena.h"
#include "expr/expr.h"

namespace backstream::expr {

/// What a kernel may use besides its columns.
struct KernelContext {
  base::Arena& texts;  ///< results of type text live here until the next batch
  ValueErrorCounts& errors;
  uint8_t* error_rows = nullptr;   ///< may be null
  const void* prepared = nullptr;  ///< Expr::prepared of the call

  /// The row's value cannot be computed: it becomes null and is counted.
  void fail(batch::Column& out, size_t row, ValueError error) {
    out.has_nulls = true;
    out.validity[row] = 0;
    ++errors.by_kind[static_cast<size_t>(error)];
    if (error_rows != nullptr) error_rows[row] = 1;
  }
};

/// Computes rows 0 .. n - 1. When called, out.validity is written for all rows (1, or 0 where an argument is null or
/// the row is not wanted) and out.has_nulls says whether any is 0. Values of null rows are readable but must not raise
/// errors.
using Kernel = void (*)(const batch::Column* args, size_t n, batch::Column& out, KernelContext& context);

/// Looks at the literals among the arguments of a call once, when it is bound, for what its kernel would otherwise look
/// up per row. Null when there is nothing to keep. Errors: the constant is none that the function takes, with its code.
using Prepare = Result<std::shared_ptr<const void>> (*)(const std::vector<ExprPtr>& args);

struct ScalarFunction {
  enum class Kind : uint8_t { kFunction, kOperator, kCast };
  Kind kind;
  std::string_view name;  ///< operators: their text; casts: empty
  std::vector<Type> args;
  Type result;
  Kernel kernel;          ///< all are strict: null when an argument is null
  bool implicit = false;  ///< casts: applied without being written
  Prepare prepare = nullptr;
};

/// All rows, built once.
const std::vector<ScalarFunction>& functions();
/// The cast from one type to another, or null.
const ScalarFunction* find_cast(Type from, Type to);

/// The families register themselves.
void add_number_functions(std::vector<ScalarFunction>& table);
void add_text_functions(std::vector<ScalarFunction>& table);
void add_inet_functions(std::vector<ScalarFunction>& table);
void add_time_functions(std::vector<ScalarFunction>& table);
void add_hash_functions(std::vector<ScalarFunction>& table);
void add_casts(std::vector<ScalarFunction>& table);

// --- kernels as templates over a function of values -----------------------------------------------------------------

template <typename R, typename A, auto f>
void map1(const batch::Column* args, size_t n, batch::Column& out, KernelContext&) {
  const A* a = args[0].as<A>();
  R* r = out.as<R>();
  for (size_t i = 0; i < n; ++i) r[i] = f(a[i]);
}
template <typename R, typename A, typename B, auto f>
void map2(const batch::Column* args, size_t n, batch::Column& out, KernelContext&) {
  const A* a = args[0].as<A>();
  const B* b = args[1].as<B>();
  R* r = out.as<R>();
  for (size_t i = 0; i < n; ++i) r[i] = f(a[i], b[i]);
}
/// For functions that can fail or need memory: f(context, result, a) returns kCount when all is well. Null rows are
/// left out.
template <typename R, typename A, auto f>
void try1(const batch::Column* args, size_t n, batch::Column& out, KernelContext& context) {
  for (size_t i = 0; i < n; ++i) {
    out.as<R>()[i] = R{};
    if (out.validity[i] == 0) continue;
    const ValueError error = f(context, out.as<R>()[i], args[0].as<A>()[i]);
    if (error != ValueError::kCount) context.fail(out, i, error);
  }
}
template <typename R, typename A, typename B, auto f>
void try2(const batch::Column* args, size_t n, batch::Column& out, KernelContext& context) {
  for (size_t i = 0; i < n; ++i) {
    out.as<R>()[i] = R{};
    if (out.validity[i] == 0) continue;
    const ValueError error = f(context, out.as<R>()[i], args[0].as<A>()[i], args[1].as<B>()[i]);
    if (error != ValueError::kCount) context.fail(out, i, error);
  }
}
template <typename R, typename A, typename B, typename C, auto f>
void try3(const batch::Column* args, size_t n, batch::Column& out, KernelContext& context) {
  for (size_t i = 0; i < n; ++i) {
    out.as<R>()[i] = R{};
    if (out.validity[i] == 0) continue;
    const ValueError error = f(context, out.as<R>()[i], args[0].as<A>()[i], args[1].as<B>()[i], args[2].as<C>()[i]);
    if (error != ValueError::kCount) context.fail(out, i, error);
  }
}

}  // namespace backstream::expr
