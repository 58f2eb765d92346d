#include "app/site_names.h"

namespace backstream::app {

std::set<std::string> sites_of_settings(const config::Settings& settings) {
  std::set<std::string> sites;
  for (const config::ExporterSettings& exporter : settings.exporters) {
    if (!exporter.site.empty()) sites.insert(exporter.site);
  }
  return sites;
}

std::vector<std::string> unknown_sites(const plan::Placement& placement, const std::set<std::string>& known) {
  std::set<std::string> named(placement.sites.begin(), placement.sites.end());
  for (const plan::Placement::Filter& filter : placement.filters) named.insert(filter.site);
  std::vector<std::string> unknown;
  for (const std::string& site : named) {
    if (!known.contains(site)) unknown.push_back(site);
  }
  return unknown;
}

}  // namespace backstream::app
