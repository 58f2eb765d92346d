#include "inventory/inventory.h"

#include <algorithm>
#include <utility>

#include "base/hash.h"
#include "base/utf8.h"

namespace backstream::inventory {
namespace {

using batch::Type;
using lookup::Table;
using lookup::TableBuilder;
using lookup::TableDefinition;

enum InterfaceColumn : size_t {
  kInterfaceExporter,
  kInterfaceIndex,
  kInterfaceName,
  kInterfaceDescription,
  kInterfaceSpeed,
  kInterfaceRole,
  kInterfacePeerAs,
  kInterfaceCustomer,
  kInterfaceSite,
  kInterfaceColumns,
};
TableDefinition interfaces_definition() {
  TableDefinition table;
  table.name = "interfaces";
  table.schema.columns = {{"exporter", Type::kInet},    {"if_index", Type::kInt8},        {"name", Type::kText},
                          {"description", Type::kText}, {"bits_per_second", Type::kInt8}, {"role", Type::kText},
                          {"peer_as", Type::kInt8},     {"customer", Type::kText},        {"site", Type::kText}};
  table.primary_key = {kInterfaceExporter, kInterfaceIndex};
  table.choices = {{kInterfaceRole, {"external", "internal", "customer"}}};
  table.partial_files = true;
  return table;
}

enum ExporterColumn : size_t {
  kExporterAddress,
  kExporterName,
  kExporterSite,
  kExporterProtocols,
  kExporterFirstSeen,
  kExporterLastSeen,
  kExporterDatagrams,
  kExporterRecords,
  kExporterRate,
  kExporterTemplates,
  kExporterSampling,
  kExporterSamplingMin,
  kExporterSamplingMax,
  kExporterSamplingUnknown,
  kExporterMissing,
  kExporterUndecodable,
  kExporterDelay,
  kExporterShift,
  kExporterIdle,
  kExporterHeld,
};
/// Those that a file may have; the others are what was seen.
constexpr size_t kExporterFileColumns = kExporterProtocols;
TableDefinition exporters_definition() {
  TableDefinition table;
  table.name = "exporters";
  table.schema.columns = {{"exporter", Type::kInet},
                          {"name", Type::kText},
                          {"site", Type::kText},
                          {"protocols", Type::kText},
                          {"first_seen", Type::kTimestamptz},
                          {"last_seen", Type::kTimestamptz},
                          {"datagrams", Type::kInt8},
                          {"records", Type::kInt8},
                          {"records_per_second", Type::kFloat8},
                          {"templates", Type::kInt8},
                          {"sampling_rate", Type::kInt8},
                          {"sampling_rate_min", Type::kInt8},
                          {"sampling_rate_max", Type::kInt8},
                          {"sampling_unknown_rows", Type::kInt8},
                          {"missing", Type::kInt8},
                          {"undecodable", Type::kInt8},
                          {"delay_p999", Type::kInterval},
                          {"clock_shift", Type::kInterval},
                          {"idle", Type::kBool},
                          {"held", Type::kBool}};
  table.primary_key = {kExporterAddress};
  table.partial_files = true;
  return table;
}

enum VrfColumn : size_t { kVrfExporter, kVrfId, kVrfName, kVrfColumns };
TableDefinition vrfs_definition() {
  TableDefinition table;
  table.name = "vrfs";
  table.schema.columns = {{"exporter", Type::kInet}, {"vrf_id", Type::kInt8}, {"name", Type::kText}};
  table.primary_key = {kVrfExporter, kVrfId};
  return table;
}

enum ApplicationColumn : size_t {
  kApplicationExporter,
  kApplicationId,
  kApplicationSelector,
  kApplicationName,
  kApplicationDescription,
  kApplicationColumns,
};
TableDefinition applications_definition() {
  TableDefinition table;
  table.name = "applications";
  table.schema.columns = {{"exporter", Type::kInet},
                          {"application_id", Type::kBytea},
                          {"selector", Type::kText},
                          {"name", Type::kText},
                          {"description", Type::kText}};
  table.primary_key = {kApplicationExporter, kApplicationId};
  return table;
}
/// The octets of an applicationId and its text: the engine, which is never 0, and what that calls it.
struct ApplicationId {
  std::string octets, selector;
  explicit ApplicationId(uint64_t id) {
    for (int shift = 56; shift >= 0; shift -= 8) {
      if (id >> shift != 0) octets.push_back(static_cast<char>(id >> shift & 0xff));
    }
    const uint64_t engine = octets.empty() ? 0 : static_cast<unsigned char>(octets[0]);
    const uint64_t rest = octets.size() < 2 ? 0 : id & (UINT64_MAX >> (72 - 8 * octets.size()));
    selector = std::to_string(engine) + ":" + std::to_string(rest);
  }
};

constexpr size_t kSiteColumns = 4;
TableDefinition sites_definition() {
  TableDefinition table;
  table.name = "sites";
  table.schema.columns = {
      {"site", Type::kText}, {"name", Type::kText}, {"latitude", Type::kFloat8}, {"longitude", Type::kFloat8}};
  table.primary_key = {0};
  table.partial_files = true;
  return table;
}

base::Interval interval_of(Micros micros) {
  base::Interval interval{};
  interval.micros = micros;
  return interval;
}
constexpr Micros kRateSpan = 60 * base::kMicrosPerSecond;
int64_t bigint(uint64_t value) { return static_cast<int64_t>(std::min<uint64_t>(value, INT64_MAX)); }

}  // namespace

size_t Inventory::NameKeyHash::operator()(const NameKey& key) const noexcept {
  return base::hash_mix(base::InetHash{}(key.exporter), key.id);
}

base::Result<void> Inventory::Part::open(TableDefinition definition, size_t file_columns, const std::string& path,
                                         Micros refresh_us) {
  published = std::make_shared<lookup::LookupTable>(definition);
  if (path.empty()) return {};
  definition.schema.columns.resize(file_columns);
  lookup::FileOptions options;
  options.path = path;
  options.refresh_us = refresh_us;
  const auto format = lookup::parse_format("", path);
  if (!format) return tl::unexpected(format.error());
  options.format = *format;
  file_rows = std::make_unique<lookup::LookupTable>(std::move(definition));
  file = std::make_unique<lookup::FileTable>(*file_rows, std::move(options));
  if (file->poll(0) == lookup::FileTable::Poll::kFailed) return tl::unexpected(*file->status().error);
  changed = true;
  return {};
}

bool Inventory::Part::due() {
  const uint64_t version = file_rows ? file_rows->published().version() : 0;
  if (!changed && version == file_version) return false;
  changed = false;
  file_version = version;
  return true;
}

std::shared_ptr<const Table> Inventory::Part::rows_of_file() const {
  return file_rows ? file_rows->published().snapshot()->table : nullptr;
}

base::Result<std::unique_ptr<Inventory>> Inventory::open(const Files& files) {
  std::unique_ptr<Inventory> inventory(new Inventory);
  const auto open = [&](Part& part, TableDefinition definition, size_t file_columns, const std::string& path) {
    return part.open(std::move(definition), file_columns, path, files.refresh_us);
  };
  auto opened = open(inventory->sites_, sites_definition(), kSiteColumns, files.sites);
  if (opened) opened = open(inventory->exporters_, exporters_definition(), kExporterFileColumns, files.exporters);
  if (opened) opened = open(inventory->interfaces_, interfaces_definition(), kInterfaceColumns, files.interfaces);
  if (opened) opened = open(inventory->vrfs_, vrfs_definition(), kVrfColumns, {});
  if (opened) opened = open(inventory->applications_, applications_definition(), kApplicationColumns, {});
  if (!opened) return tl::unexpected(opened.error());
  inventory->publish();
  return inventory;
}

std::vector<lookup::FileTable*> Inventory::files() const {
  std::vector<lookup::FileTable*> files;
  for (const Part* part : {&sites_, &exporters_, &interfaces_}) {
    if (part->file) files.push_back(part->file.get());
  }
  return files;
}

bool Inventory::take_text(std::string& text, std::string_view told) {
  told = told.substr(0, told.find('\0'));  // Fixed fields of v9 are filled with zero octets.
  if (told.size() > kTextOctetsMax) {
    size_t end = kTextOctetsMax;
    while (end > 0 && (static_cast<unsigned char>(told[end]) & 0xC0) == 0x80) --end;
    told = told.substr(0, end);
  }
  if (told.empty() || told == text) return false;
  if (base::find_bad_text(told) != std::string_view::npos) {
    ++facts_refused_;
    return false;
  }
  text = told;
  return true;
}

Inventory::Part& Inventory::part_of(NameFact::Of of) {
  switch (of) {
    case NameFact::Of::kInterface: break;
    case NameFact::Of::kVrf: return vrfs_;
    case NameFact::Of::kApplication: return applications_;
  }
  return interfaces_;
}

void Inventory::observe(const NameFact& fact) {
  Names& names = names_of(fact.of);
  Part& part = part_of(fact.of);
  auto at = names.find({fact.exporter, fact.id});
  if (at == names.end()) {
    if (names.size() >= kNamesMax) {
      ++facts_refused_;
      return;
    }
    at = names.emplace(NameKey{fact.exporter, fact.id}, Named{}).first;
    part.changed = true;
  }
  Named& known = at->second;
  part.changed |= take_text(known.name, fact.name);
  part.changed |= take_text(known.description, fact.description);
  if (fact.bits_per_second != 0 && fact.bits_per_second != known.bits_per_second) {
    known.bits_per_second = fact.bits_per_second;
    part.changed = true;
  }
}

void Inventory::observe(const std::vector<ExporterFact>& facts, Micros now) {
  std::unordered_map<base::Inet, ExporterRow, base::InetHash> rows;
  rows.reserve(facts.size());
  for (const ExporterFact& fact : facts) {
    ExporterRow row{fact, std::string(fact.site), 0, fact.first_seen, 0, false};
    if (const auto before = known_exporters_.find(fact.exporter); before != known_exporters_.end()) {
      row.records_per_second = before->second.records_per_second;
      row.rate_since = before->second.rate_since;
      row.rate_records = before->second.rate_records;
    }
    // Of a whole minute; until the first is over, of the time so far.
    const Micros span = now - row.rate_since;
    const bool whole = span >= kRateSpan;
    if (span > 0 && (whole || row.rate_since == fact.first_seen)) {
      const uint64_t came = fact.records - std::min(fact.records, row.rate_records);
      row.records_per_second = static_cast<double>(came) * base::kMicrosPerSecond / static_cast<double>(span);
    }
    if (whole) {
      row.rate_since = now;
      row.rate_records = fact.records;
    }
    row.fact.site = {};  // Its memory is the caller's.
    rows.insert_or_assign(fact.exporter, std::move(row));
  }
  known_exporters_ = std::move(rows);
  exporters_.changed = true;
}

std::shared_ptr<const Table> Inventory::make_interfaces() {
  TableBuilder builder(interfaces_.published->definition().schema, interfaces_.published->limits());
  Names& names = names_of(NameFact::Of::kInterface);
  const auto add_facts = [&](const Named& known, const Table* file, size_t row) {
    const auto missing = [&](size_t column) { return file == nullptr || file->column(column).is_null(row); };
    if (!known.name.empty() && missing(kInterfaceName)) builder.set_text(kInterfaceName, known.name);
    if (!known.description.empty() && missing(kInterfaceDescription))
      builder.set_text(kInterfaceDescription, known.description);
    if (known.bits_per_second != 0 && missing(kInterfaceSpeed))
      builder.set_int64(kInterfaceSpeed, bigint(known.bits_per_second));
  };
  for (auto& [key, known] : names) known.in_file = false;
  if (const auto file = interfaces_.rows_of_file()) {
    const auto* exporters = file->column(kInterfaceExporter).as<base::Inet>();
    const auto* indexes = file->column(kInterfaceIndex).as<int64_t>();
    for (size_t row = 0; row < file->row_count(); ++row) {
      for (size_t c = 0; c < file->column_count(); ++c) builder.set_from(c, file->column(c), row);
      if (const auto known = names.find({exporters[row], static_cast<uint64_t>(indexes[row])}); known != names.end()) {
        known->second.in_file = true;
        add_facts(known->second, file.get(), row);
      }
      builder.end_row();
    }
  }
  for (const auto& [key, known] : names) {
    if (known.in_file) continue;
    builder.set_inet(kInterfaceExporter, key.exporter);
    builder.set_int64(kInterfaceIndex, bigint(key.id));
    add_facts(known, nullptr, 0);
    builder.end_row();
  }
  return builder.finish();
}

std::shared_ptr<const Table> Inventory::make_vrfs() const {
  TableBuilder builder(vrfs_.published->definition().schema, vrfs_.published->limits());
  for (const auto& [key, known] : names_of(NameFact::Of::kVrf)) {
    builder.set_inet(kVrfExporter, key.exporter);
    builder.set_int64(kVrfId, bigint(key.id));
    if (!known.name.empty()) builder.set_text(kVrfName, known.name);
    builder.end_row();
  }
  return builder.finish();
}

std::shared_ptr<const Table> Inventory::make_applications() const {
  TableBuilder builder(applications_.published->definition().schema, applications_.published->limits());
  for (const auto& [key, known] : names_of(NameFact::Of::kApplication)) {
    const ApplicationId id(key.id);
    builder.set_inet(kApplicationExporter, key.exporter);
    builder.set_text(kApplicationId, id.octets);
    builder.set_text(kApplicationSelector, id.selector);
    if (!known.name.empty()) builder.set_text(kApplicationName, known.name);
    if (!known.description.empty()) builder.set_text(kApplicationDescription, known.description);
    builder.end_row();
  }
  return builder.finish();
}

std::shared_ptr<const Table> Inventory::make_exporters() {
  TableBuilder builder(exporters_.published->definition().schema, exporters_.published->limits());
  const auto add_facts = [&](const ExporterRow& row) {
    const ExporterFact& fact = row.fact;
    builder.set_text(kExporterProtocols, fact.protocols);
    builder.set_int64(kExporterFirstSeen, fact.first_seen);
    builder.set_int64(kExporterLastSeen, fact.last_seen);
    builder.set_int64(kExporterDatagrams, bigint(fact.datagrams));
    builder.set_int64(kExporterRecords, bigint(fact.records));
    builder.set_double(kExporterRate, row.records_per_second);
    builder.set_int64(kExporterTemplates, bigint(fact.template_count));
    const bool one_rate = fact.sampling_rate_min == fact.sampling_rate_max;
    if (one_rate && fact.sampling_rate_min != 0) builder.set_int64(kExporterSampling, bigint(fact.sampling_rate_min));
    if (fact.sampling_rate_min != 0) builder.set_int64(kExporterSamplingMin, bigint(fact.sampling_rate_min));
    if (fact.sampling_rate_max != 0) builder.set_int64(kExporterSamplingMax, bigint(fact.sampling_rate_max));
    builder.set_int64(kExporterSamplingUnknown, bigint(fact.sampling_unknown_rows));
    builder.set_int64(kExporterMissing, bigint(fact.missing));
    builder.set_int64(kExporterUndecodable, bigint(fact.undecodable));
    builder.set_interval(kExporterDelay, interval_of(fact.delay_p999_us));
    builder.set_interval(kExporterShift, interval_of(fact.clock_shift_us));
    builder.set_bool(kExporterIdle, fact.idle);
    builder.set_bool(kExporterHeld, fact.held);
  };
  for (auto& [address, row] : known_exporters_) row.in_file = false;
  if (const auto file = exporters_.rows_of_file()) {
    const auto* addresses = file->column(kExporterAddress).as<base::Inet>();
    for (size_t row = 0; row < file->row_count(); ++row) {
      for (size_t c = 0; c < file->column_count(); ++c) builder.set_from(c, file->column(c), row);
      if (const auto known = known_exporters_.find(addresses[row]); known != known_exporters_.end()) {
        known->second.in_file = true;
        if (file->column(kExporterSite).is_null(row) && !known->second.site.empty())
          builder.set_text(kExporterSite, known->second.site);
        add_facts(known->second);
      }
      builder.end_row();
    }
  }
  for (const auto& [address, row] : known_exporters_) {
    if (row.in_file) continue;
    builder.set_inet(kExporterAddress, address);
    if (!row.site.empty()) builder.set_text(kExporterSite, row.site);
    add_facts(row);
    builder.end_row();
  }
  return builder.finish();
}

bool Inventory::publish() {
  bool changed = false;
  // Keys are unique in the file and among the facts, and no row is in both, so the replacements cannot fail.
  if (sites_.due()) changed |= sites_.published->replace(sites_.rows_of_file()).has_value();
  if (exporters_.due()) changed |= exporters_.published->replace(make_exporters()).has_value();
  if (interfaces_.due()) changed |= interfaces_.published->replace(make_interfaces()).has_value();
  if (vrfs_.due()) changed |= vrfs_.published->replace(make_vrfs()).has_value();
  if (applications_.due()) changed |= applications_.published->replace(make_applications()).has_value();
  return changed;
}

}  // namespace backstream::inventory
