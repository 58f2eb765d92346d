#pragma once
// Fields of tuples as expressions over what they are made of, and expressions over fields.
#include <string>
#include <string_view>
#include <vector>

#include "borealis/diagram.h"
#include "borealis/unbound_exprs.h"
#include "plan/query.h"

namespace backstream::borealis {

/// Borealis has more types than kinds of values that can be mixed: integers of any width are computed in 64 bits, reals
/// as doubles.
enum class Family : uint8_t {
  kInteger,
  kReal,
  kString,
  kAddress,  ///< a string for Borealis: the address of a host, compared and grouped as such, and a text where one is
             ///< wanted
  kTimestamp,
  kBool
};
std::string_view name(Family family);  ///< "an integer", …
Family family_of(FieldType type);
constexpr bool is_string(Family family) { return family == Family::kString || family == Family::kAddress; }
/// Of values that can stand for each other.
constexpr bool are_alike(Family a, Family b) { return a == b || (is_string(a) && is_string(b)); }

struct FieldValue {
  std::string name;
  Family family = Family::kInteger;
  UnboundExprPtr value;
  bool is_wide = true;       ///< kInteger: a bigint in SQL, which nothing of 32 bits overflows
  bool is_unsigned = false;  ///< kInteger: never negative
  std::string
      time_column;  ///< it tells this time of the rows: of their stream, or the start of their windows; else empty
  bool in_whole_seconds = false;  ///< of a time: it is an integer
  bool is_needed = true;          ///< false: nothing may read it, it is there to be told of

  FieldValue copy() const;
};

/// A value that an expression computes.
struct Typed {
  UnboundExprPtr value;
  Family family = Family::kInteger;
  bool is_wide = true;
  bool is_literal_text = false;  ///< without a type in SQL
  bool is_unsigned = false;      ///< kInteger: never negative
};
/// The value with a type in SQL: of kString, an address becomes its text. Numbers need no cast: SQL mixes them.
UnboundExprPtr value_as(Typed&& typed, Family family);
/// What comes out of a diagram has no addresses but texts.
void settle_addresses(std::vector<FieldValue>& fields);

/// What names of an expression mean.
class Scope {
 public:
  /// @param qualifier  "" where the box has one input
  void add(std::string_view qualifier, const std::vector<FieldValue>& fields) {
    sides_.push_back({std::string(qualifier), &fields});
  }
  /// Another word for a qualifier.
  void add_word(std::string_view word, size_t side) { words_.push_back({std::string(word), side}); }
  /// What now() is; null: nothing is known of it here.
  void set_now(const UnboundExpr* now) { now_ = now; }
  const UnboundExpr* now() const { return now_; }
  /// sequence() has a meaning: the tuples come in an order.
  void set_numbered() { is_numbered_ = true; }
  bool is_numbered() const { return is_numbered_; }
  /// Errors: 42703 there is none, 42702 several sides have it.
  Result<const FieldValue*> find(const Expression& field) const;

 private:
  struct Side {
    std::string qualifier;
    const std::vector<FieldValue>* fields;
  };
  struct Word {
    std::string word;
    size_t side;
  };
  std::vector<Side> sides_;
  std::vector<Word> words_;
  const UnboundExpr* now_ = nullptr;
  bool is_numbered_ = false;
};

/// Errors: 42804 of types, 42883 no such function, those of Scope::find(), 0A000; with a span in the document.
Result<Typed> lower(const Expression& e, const Scope& scope);
/// A condition.
Result<UnboundExprPtr> lower_condition(const Expression& e, const Scope& scope);

/// The column of a relation that a field of a schema is, by its own name or, of `flows`, by that of NetFlow; -1: none.
int find_column(const plan::Relation& relation, std::string_view field);
/// Errors: 42703 with the nearest name, 42804 the declared type cannot hold the column.
Result<FieldValue> read_field(const plan::Relation& relation, const Field& field);

}  // namespace backstream::borealis
