#include "app/query_apply.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "app/client_command.h"
#include "app/diagram_texts.h"
#include "app/query_texts.h"

namespace backstream::app {
namespace {

ServiceError error_of(std::string_view code, std::string message, std::string hint = {}) {
  return {base::fail(code, std::move(message), {}, std::move(hint)).value()};
}

}  // namespace

ServiceResult<QueryDirectory> read_query_directory(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator entry(path, error), end; !error && entry != end; entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    std::error_code ignored;
    if (name.starts_with('.') || entry->is_directory(ignored)) continue;
    if (is_query_file(name)) names.push_back(entry->path().string());
  }
  if (error) {
    return tl::unexpected(error_of("file",
                                   fmt::format("cannot read the directory '{}': {}", printable(path), error.message()),
                                   "backstream query apply DIR"));
  }
  if (names.empty()) {
    return tl::unexpected(error_of("usage", fmt::format("there is no *.sql or *.xml in '{}'", printable(path)),
                                   "an empty directory is no reason to drop everything: backstream query drop NAME"));
  }
  std::sort(names.begin(), names.end());
  QueryDirectory directory;
  for (std::string& name : names) {
    auto text = read_text_file(name);
    if (!text) return tl::unexpected(ServiceError(std::move(text.error())));
    if (is_deploy_file(*text)) {
      ServiceError refused = error_of(
          "0A000", fmt::format("'{}' is a deploy file: it says where queries run, not what they are", printable(name)),
          fmt::format("backstream query deploy {}; keep it in another directory", printable(name)));
      refused.exit_code = kExitInvalid;
      return tl::unexpected(std::move(refused));
    }
    directory.files.push_back({std::move(name), std::move(*text)});
  }
  return directory;
}

std::string apply_owner(const std::string& directory, const std::string& set_name) {
  if (!set_name.empty()) return "apply:" + set_name;
  std::error_code error;
  std::filesystem::path path = std::filesystem::weakly_canonical(directory, error);
  if (error) path = directory;
  if (!path.has_filename()) path = path.parent_path();
  return "apply:" + path.filename().string();
}

ServiceResult<ApplyPlan> plan_apply(const QueryDirectory& directory, const nlohmann::json& queries,
                                    const std::string& owner, bool prune) {
  ApplyPlan plan;
  for (const QueryDirectory::File& file : directory.files) {
    auto split = split_queries(file.text, file.path, std::filesystem::path(file.path).stem().string());
    if (!split) return tl::unexpected(ServiceError(std::move(split.error())));
    for (QueryText& query : *split) {
      const auto [there, is_new] = plan.files.emplace(query.name, file.path);
      if (!is_new) {
        auto twice = base::fail("42710", fmt::format("query '{}' is in {}, too", printable(query.name), there->second),
                                query.place, "a name stands for one query");
        base::locate(twice.value(), file.path, file.text);
        return tl::unexpected(ServiceError(std::move(twice.value())));
      }
      plan.texts.push_back({query.source, file.path, file.text, query.offset_octets, query.length_octets});
      plan.edits.push_back({{"action", "put"},
                            {"name", query.name},
                            {"text", std::string(plan.texts.back().sent())},
                            {"source", query.source},
                            {"owner", owner}});
    }
  }
  if (!prune) return plan;
  for (const nlohmann::json& query : list_of(queries, "queries")) {
    const std::string name = text_of(query, "name");
    if (name.empty() || plan.files.contains(name)) continue;
    if (text_of(query, "owner") != owner) {
      ++plan.kept_by_others;
      continue;
    }
    // Not what somebody made of it since it was looked at.
    plan.edits.push_back({{"action", "drop"}, {"name", name}, {"expected", count_of(query, "revision")}});
  }
  return plan;
}

std::string apply_report(const ApplyPlan& plan, const nlohmann::json& done, bool dry_run) {
  std::vector<std::vector<std::string>> lines;
  size_t added = 0, altered = 0, dropped = 0, unchanged = 0;
  for (const nlohmann::json& one : list_of(done, "done")) {
    const std::string verb = text_of(one, "verb"), name = text_of(one, "name");
    if (verb == "unchanged") {
      ++unchanged;
      continue;
    }
    (verb == "add" ? added : verb == "drop" ? dropped : altered) += 1;
    std::string also;
    for (const nlohmann::json& reader : list_of(one, "also")) {
      if (reader.is_string())
        also.append(also.empty() ? "starts anew with it: " : ", ").append(reader.get<std::string>());
    }
    const auto file = plan.files.find(name);
    lines.push_back({verb, name, file == plan.files.end() ? "no file names it" : file->second, also});
  }
  std::string text;
  if (!lines.empty()) {
    // A header makes the table; people need none here.
    lines.insert(lines.begin(), std::vector<std::string>(4));
    text = text_table(lines);
    text.erase(0, text.find('\n') + 1);
  }
  if (lines.empty()) {
    text += fmt::format("nothing to change: {} {} as the files say\n", unchanged,
                        unchanged == 1 ? "query is" : "queries are");
  } else {
    text += fmt::format("{}{} added, {} altered, {} dropped, {} unchanged\n", dry_run ? "would be: " : "", added,
                        altered, dropped, unchanged);
  }
  if (plan.kept_by_others != 0) {
    text += fmt::format("{} {} kept: no file names {}, and no apply of this set made {}\n", plan.kept_by_others,
                        plan.kept_by_others == 1 ? "query is" : "queries are", plan.kept_by_others == 1 ? "it" : "them",
                        plan.kept_by_others == 1 ? "it" : "them");
  }
  return text;
}

}  // namespace backstream::app
