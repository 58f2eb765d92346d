#include "receiver/part_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "receiver/value_text.h"

namespace backstream::receiver {
namespace {

bool same_columns(const ResultForm& a, const ResultForm& b) {
  return a.schema.columns.size() == b.schema.columns.size() &&
         std::equal(a.schema.columns.begin(), a.schema.columns.end(), b.schema.columns.begin(),
                    [](const auto& x, const auto& y) { return x.name == y.name; });
}

std::string joined(const std::vector<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out.append(out.empty() ? "" : ",").append(name);
  return out;
}

std::string csv_tail(const ResultPart& part, Marks marks) {
  if (marks == Marks::kNone) return "\n";
  std::string tail;
  if (marks == Marks::kAll) {
    for (const Micros time : {part.window_start, part.window_end}) {
      char text[kCellOctetsMax];
      tail += ',';
      if (part.windowed()) tail.append(text, base::format_timestamp(time, text));
    }
  }
  tail += fmt::format(",{},{},{}", part.revision, part.final ? 't' : 'f', part.complete ? 't' : 'f');
  if (marks == Marks::kAll) {
    tail += ',';
    if (!part.sites_missing.empty()) tail += csv_text(joined(part.sites_missing));
  }
  return tail + (part.removed ? ",d\n" : ",u\n");
}

std::string json_tail(const ResultPart& part, Marks marks) {
  if (marks == Marks::kNone) return "}\n";
  std::string tail;
  if (marks == Marks::kAll) {
    for (const auto& [name, time] : {std::pair("_window_start", part.window_start), {"_window_end", part.window_end}}) {
      char text[kCellOctetsMax];
      tail += part.windowed()
                  ? fmt::format(R"(,"{}":"{}")", name, std::string_view(text, base::format_rfc3339(time, text)))
                  : fmt::format(R"(,"{}":null)", name);
    }
  }
  tail += fmt::format(R"(,"_rev":{},"_final":{},"_complete":{})", part.revision, part.final, part.complete);
  if (marks == Marks::kAll) tail += R"(,"_sites_missing":)" + texts_json(part.sites_missing);
  return tail + fmt::format(R"(,"_op":"{}"}})", part.removed ? 'd' : 'u') + '\n';
}

}  // namespace

std::string csv_header(const ResultForm& form, Marks marks) {
  std::string out;
  for (const auto& column : form.schema.columns) {
    if (&column != &form.schema.columns.front()) out += ',';
    out += csv_text(column.name);
  }
  switch (marks) {
    case Marks::kNone: break;
    case Marks::kRevision: out += ",_rev,_final,_complete,_op"; break;
    case Marks::kAll: out += ",_window_start,_window_end,_rev,_final,_complete,_sites_missing,_op"; break;
  }
  return out + '\n';
}

void append_csv(std::string& out, const ResultPart& part, Marks marks) {
  const std::string tail = csv_tail(part, marks);
  for (size_t row = 0; row < part.rows.row_count; ++row) {
    for (size_t c = 0; c < part.rows.columns.size(); ++c) {
      if (c != 0) out += ',';
      append_csv_value(out, part.rows.columns[c], row);
    }
    out += tail;
  }
}

void append_jsonl(std::string& out, const ResultPart& part, Marks marks) {
  std::vector<std::string> leads;
  for (const auto& column : part.form->schema.columns)
    leads.push_back(fmt::format("{}{}:", leads.empty() ? "{" : ",", json_string(column.name)));
  const std::string tail = json_tail(part, marks);
  for (size_t row = 0; row < part.rows.row_count; ++row) {
    for (size_t c = 0; c < part.rows.columns.size(); ++c) {
      out += leads[c];
      append_json_value(out, part.rows.columns[c], row);
    }
    out += tail;
  }
}

std::string csv_of(std::span<const std::shared_ptr<const ResultPart>> parts, Marks marks) {
  std::string out;
  const ResultForm* header_of = nullptr;
  for (const auto& part : parts) {
    // A later version may have other columns; what follows then has a header of its own.
    if (header_of == nullptr || !same_columns(*header_of, *part->form)) {
      if (header_of != nullptr) out += '\n';
      out += csv_header(*part->form, marks);
    }
    header_of = part->form.get();
    append_csv(out, *part, marks);
  }
  return out;
}

std::string jsonl_of(std::span<const std::shared_ptr<const ResultPart>> parts, Marks marks) {
  std::string out;
  for (const auto& part : parts) append_jsonl(out, *part, marks);
  return out;
}

}  // namespace backstream::receiver
