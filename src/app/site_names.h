#pragma once
// Labels of sites: which there are, and which a query names that there are not.
#include <set>
#include <string>
#include <vector>

#include "config/settings.h"
#include "plan/query.h"

namespace backstream::app {

/// Those that settings give to exporters: exporter.PREFIX.site.
std::set<std::string> sites_of_settings(const config::Settings& settings);

/// Those that the query is about, by `sites` or by a filter, and that are not among `known`. In order, each once. Sites
/// come and go, so this is no mistake; a slip of a key looks the same.
std::vector<std::string> unknown_sites(const plan::Placement& placement, const std::set<std::string>& known);

}  // namespace backstream::app
