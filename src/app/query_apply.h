#pragma once
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "app/service_client.h"

namespace backstream::app {

/// A directory of queries: its files are the truth of what they name.
struct QueryDirectory {
  struct File {
    std::string path;
    std::string text;
  };
  std::vector<File> files;  ///< *.sql and *.xml, in order of name
};
/// Not below it, and nothing that begins with a dot. Errors: "file"; "usage" there is none of either; 0A000 there is a
/// deploy file of Borealis.
ServiceResult<QueryDirectory> read_query_directory(const std::string& path);

/// Who owns what an apply of this directory made: "apply:" and the directory's own name, wherever it lies. It is how a
/// later apply knows which queries are its to drop.
std::string apply_owner(const std::string& directory, const std::string& set_name = {});

/// One request that makes the register what the files say.
struct ApplyPlan {
  nlohmann::json edits = nlohmann::json::array();
  std::vector<SentText> texts;               ///< of the edits; views of the directory's files
  std::map<std::string, std::string> files;  ///< of each query that they name
  size_t kept_by_others = 0;                 ///< with pruning: queries that no file names and that are not of this set
};
/// @param queries    of GET /api/v1/queries; read only with pruning
/// @param directory  must outlive the plan
/// Errors: located in the files; 42710 a name that two files give.
ServiceResult<ApplyPlan> plan_apply(const QueryDirectory& directory, const nlohmann::json& queries,
                                    const std::string& owner, bool prune);

/// What was or is to be done, for people.
std::string apply_report(const ApplyPlan& plan, const nlohmann::json& done, bool dry_run);

}  // namespace backstream::app
