#pragma once
// The text of a diagram that is written. Private to the room.
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "plan/query.h"
#include "plan/unbound.h"

namespace backstream::borealis {

/// A box of one output that is to be written.
struct WrittenBox {
  std::string name, type;
  std::vector<std::string> inputs;
  std::string output;
  std::vector<std::pair<std::string, std::string>> parameters;
};

/// A relation that is read, with the columns that are.
struct WrittenInput {
  const plan::Relation* relation = nullptr;
  std::set<size_t> columns;
};

struct WrittenDiagram {
  std::vector<std::string> comments;  ///< lines before the root
  std::vector<std::pair<std::string, std::string>> options;
  std::vector<WrittenInput> inputs;
  std::vector<WrittenBox> boxes;
  std::string output;
};

/// Throws Refused: 54000, with `whole` as its place.
std::string document_text(const WrittenDiagram& diagram, base::SourceSpan whole);

/// Whether a field can be called so without quotes: a word of small letters, and none of the grammar's own.
bool is_plain_field(std::string_view name);
/// As an expression: the name, or field("the name").
std::string field_text(std::string_view name);

}  // namespace backstream::borealis
