#include "history/roll_up.h"

#include <algorithm>

#include "partial/value_bytes.h"

namespace backstream::history {
namespace {

using batch::Type;

bool is_window(const ResultForm& form, int column) {
  return column == form.window_start_column || column == form.window_end_column;
}
bool is_key(const ResultForm& form, int column) {
  return std::find(form.keys.begin(), form.keys.end(), column) != form.keys.end();
}
/// A window's columns are keys only where it tells its rows apart; they are the bucket's in any case.
bool is_measure(const ResultForm& form, int column) {
  return batch::is_numeric(form.schema.columns[static_cast<size_t>(column)].type) && !is_key(form, column) &&
         !is_window(form, column);
}

int columns_of(const batch::Schema& schema) { return static_cast<int>(schema.columns.size()); }

bool is_same(const batch::Schema& a, const batch::Schema& b) {
  return std::equal(
      a.columns.begin(), a.columns.end(), b.columns.begin(), b.columns.end(),
      [](const auto& one, const auto& other) { return one.name == other.name && one.type == other.type; });
}

std::string maximum_name(const std::string& measure) { return measure + "_max"; }
constexpr const char* kWindows = "_windows";

}  // namespace

std::shared_ptr<const ResultForm> tier_form(const ResultForm& form, Tier tier) {
  if (form.window_size_us <= 0 || form.window_size_us > length_us(tier)) return nullptr;
  auto made = std::make_shared<ResultForm>();
  made->window_size_us = length_us(tier);
  bool has_measure = false;
  for (int column = 0; column < columns_of(form.schema); ++column) {
    const batch::ColumnDef& def = form.schema.columns[static_cast<size_t>(column)];
    const int to = columns_of(made->schema);
    if (is_window(form, column)) {
      (column == form.window_start_column ? made->window_start_column : made->window_end_column) = to;
      if (is_key(form, column)) made->keys.push_back(to);
      made->schema.columns.push_back(def);
    } else if (is_key(form, column)) {
      made->keys.push_back(to);
      made->schema.columns.push_back(def);
    } else if (is_measure(form, column)) {
      has_measure = true;
      made->schema.columns.push_back({def.name, Type::kFloat8});
      if (form.schema.find(maximum_name(def.name)) < 0)
        made->schema.columns.push_back({maximum_name(def.name), def.type});
    }
  }
  if (!has_measure) return nullptr;
  if (form.schema.find(kWindows) < 0) made->schema.columns.push_back({kWindows, Type::kInt8});
  return made;
}

RollUp::RollUp(const ResultForm& form, Tier tier, Micros start)
    : schema_(form.schema), form_(tier_form(form, tier)), start_(start) {
  for (int column = 0; column < columns_of(schema_); ++column) {
    const std::string& name = schema_.columns[static_cast<size_t>(column)].name;
    const auto from = static_cast<size_t>(column);
    if (is_measure(form, column)) {
      Measure& measure = measures_.emplace_back();
      measure.from = from;
      measure.average = form_->schema.find(name);
      if (schema_.find(maximum_name(name)) < 0) measure.maximum = form_->schema.find(maximum_name(name));
      measure.is_double = schema_.columns[from].type == Type::kFloat8;
    } else if (is_key(form, column) && !is_window(form, column)) {
      keys_.push_back({from, static_cast<size_t>(form_->schema.find(name))});
    }
  }
}

bool RollUp::fits(const ResultPart& part) const { return is_same(part.form->schema, schema_); }

void RollUp::add(const ResultPart& part) {
  if (!fits(part)) return;
  complete_ &= part.complete;
  sites_missing_.insert(part.sites_missing.begin(), part.sites_missing.end());
  version_ = std::max(version_, part.version);
  incarnation_ = part.incarnation;
  std::vector<uint8_t> octets;
  for (size_t row = 0; row < part.rows.row_count; ++row) {
    octets.clear();
    for (const Key& key : keys_) partial::put_value(octets, part.rows.columns[key.from], row);
    const auto [at, fresh] = rows_.try_emplace(std::string(octets.begin(), octets.end()), key_octets_.size());
    if (fresh) {
      key_octets_.push_back(&at->first);
      windows_.push_back(0);
      for (Measure& measure : measures_) {
        measure.sums.push_back(0);
        measure.counts.push_back(0);
        measure.most.push_back(INT64_MIN);
        measure.most_double.push_back(0);
      }
    }
    const size_t to = at->second;
    ++windows_[to];
    for (Measure& measure : measures_) {
      const batch::Column& column = part.rows.columns[measure.from];
      if (column.is_null(row)) continue;
      if (measure.is_double) {
        const double value = column.as<double>()[row];
        measure.sums[to] += value;
        // As PostgreSQL orders them: NaN is the greatest.
        double& most = measure.most_double[to];
        if (measure.counts[to] == 0 || value != value || value > most) most = value;
      } else {
        const int64_t value = column.as<int64_t>()[row];
        measure.sums[to] += static_cast<double>(value);
        measure.most[to] = std::max(measure.most[to], value);
      }
      ++measure.counts[to];
    }
  }
}

std::vector<std::shared_ptr<ResultPart>> RollUp::finish(size_t part_rows) const {
  std::vector<std::shared_ptr<ResultPart>> parts;
  const std::vector<Type> types = form_->schema.types();
  const int windows_column = schema_.find(kWindows) < 0 ? form_->schema.find(kWindows) : -1;
  size_t first = 0;
  do {
    const size_t count = std::min(part_rows, windows_.size() - first);
    batch::BatchBuffer rows(types, std::vector<bool>(types.size(), true), std::max<size_t>(count, 1));
    for (batch::Column& column : rows.batch.columns) column.has_nulls = true;
    const auto number = [&](int column, size_t row, int64_t value) {
      if (column >= 0) rows.batch.columns[static_cast<size_t>(column)].as<int64_t>()[row] = value;
    };
    for (size_t row = 0; row < count; ++row) {
      number(form_->window_start_column, row, start_);
      number(form_->window_end_column, row, start_ + form_->window_size_us);
      number(windows_column, row, static_cast<int64_t>(windows_[first + row]));
      const std::string& octets = *key_octets_[first + row];
      partial::Cursor in({reinterpret_cast<const uint8_t*>(octets.data()), octets.size()});
      for (const Key& key : keys_) (void)partial::get_value(in, rows.batch.columns[key.to], row, rows.texts);
      for (const Measure& measure : measures_) {
        const uint64_t values = measure.counts[first + row];
        batch::Column& average = rows.batch.columns[static_cast<size_t>(measure.average)];
        average.validity[row] = values != 0;
        average.as<double>()[row] = values == 0 ? 0 : measure.sums[first + row] / static_cast<double>(values);
        if (measure.maximum < 0) continue;
        batch::Column& maximum = rows.batch.columns[static_cast<size_t>(measure.maximum)];
        maximum.validity[row] = values != 0;
        if (measure.is_double) maximum.as<double>()[row] = measure.most_double[first + row];
        else maximum.as<int64_t>()[row] = values == 0 ? 0 : measure.most[first + row];
      }
    }
    auto part = std::make_shared<ResultPart>();
    part->incarnation = incarnation_;
    part->version = version_;
    part->window_start = start_;
    part->window_end = start_ + form_->window_size_us;
    part->part = static_cast<uint32_t>(parts.size());
    part->complete = complete_;
    part->sites_missing = {sites_missing_.begin(), sites_missing_.end()};
    part->rows_before = first;
    part->form = form_;
    receiver::copy_rows(rows.batch, 0, count, types.size(), *part);
    part->octets = receiver::copied_octets(part->rows, 0, count);
    first += count;
    part->last = first == windows_.size();
    parts.push_back(std::move(part));
  } while (first < windows_.size());
  return parts;
}

}  // namespace backstream::history
