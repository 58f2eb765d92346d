#pragma once
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace backstream::app::shell {

/// What the server has, as far as Tab is concerned.
struct KnownRelation {
  std::string name;
  std::string kind;  ///< "stream", "table", "view", "query"
  std::vector<std::string> columns;
};

/// What the word before the cursor may become.
struct Completion {
  size_t from = 0;                      ///< octets of the text before the word
  std::vector<std::string> candidates;  ///< sorted, each once; a name that needs quotes has them
  bool is_path = false;                 ///< no blank after it
};

/// @param before  the statement from its begin to the cursor
/// @param after   the rest of it: columns of relations that are named there are offered, too
Completion complete(std::string_view before, std::string_view after, const std::vector<KnownRelation>& relations);

/// What all candidates begin with, case ignored; as the first writes it.
std::string common_begin(const std::vector<std::string>& candidates);

}  // namespace backstream::app::shell
