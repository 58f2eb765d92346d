#pragma once
// The parameters of a box. Inside this room only.
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "borealis/diagram.h"

namespace backstream::borealis {

/// A parameter that boxes of a type have.
struct ParameterType {
  enum class Use : uint8_t {
    kTaken,
    kNumbered,  ///< name.0, name.1, …
    kRefused,   ///< known to Borealis (also as name.0, …), not run: refused unless it has its default
  };
  std::string_view name;
  Use use = Use::kTaken;
  std::string_view default_value = {};  ///< kRefused; empty: it has none
  std::string_view hint = {};           ///< kRefused: what there is instead
};

/// The parameters of one box, as its document has them, which must outlive them. All members throw Refused.
class Parameters {
 public:
  /// Errors: one that is not of `types`, is there twice, or is not run.
  Parameters(const Element& box, std::string_view box_type, std::span<const ParameterType> types);

  SourceSpan box_span() const { return box_.span; }
  const Value* find(std::string_view name) const;  ///< null: it is not there
  /// Errors: it is not there (located at the box), or empty.
  const Value& required(std::string_view name) const;

  struct Pair {
    const Value* value = nullptr;
    const Value* name = nullptr;  ///< null: it is not there
  };
  /// values.0, values.1, … each with names.0, names.1, …
  /// Errors: a gap, more than `count_max` of them, a name without a value, and a value without a name if `needs_names`.
  std::vector<Pair> numbered(std::string_view values, std::string_view names, size_t count_max, bool needs_names) const;
  std::vector<const Value*> numbered(std::string_view values, size_t count_max) const;

  bool flag(std::string_view name) const;  ///< "0" or "1", "false" or "true"; absent: false
  std::optional<double> number(std::string_view name) const;
  std::optional<uint64_t> whole_number(std::string_view name, uint64_t max) const;
  /// One of `words`, in lower case; required.
  std::string_view word(std::string_view name, std::span<const std::string_view> words) const;

 private:
  struct Found {
    std::string_view name;
    SourceSpan name_span;
    const Value* value = nullptr;
    uint32_t number = 0;  ///< of a numbered one
  };
  std::span<const Found> numbered_of(std::string_view name) const;  ///< empty: there is none

  const Element& box_;
  const std::string_view box_type_;
  std::map<std::string_view, Found> single_;
  std::map<std::string_view, std::vector<Found>> numbered_;  ///< by name without number; sorted by it
};

}  // namespace backstream::borealis
