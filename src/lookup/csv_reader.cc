#include <fmt/format.h>

#include <algorithm>

#include "base/arena.h"
#include "base/utf8.h"
#include "lookup/key_index.h"
#include "lookup/table_reader.h"

namespace backstream::lookup {
namespace {

using base::SourceSpan;

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  return result;
}

/// No value of a type other than text and bytea is as long; messages quote values.
constexpr size_t kValueOctetsMax = 1024;

struct Field {
  std::string_view value;  ///< in the text, or in the reader's scratch when quotes were doubled
  SourceSpan span;
  bool quoted = false;
};

class CsvReader {
 public:
  CsvReader(std::string_view text, std::string_view source_name, const TableDefinition& definition,
            const ReadLimits& limits)
      : text_(text), source_name_(source_name), definition_(definition), builder_(definition.schema, limits.table) {}

  base::Result<ReadTable> read() {
    if (text_.size() > UINT32_MAX)
      return base::fail("54000", fmt::format("{}: the file has more than 4 GB", source_name_));
    if (const size_t bad = base::find_bad_text(text_); bad != std::string_view::npos) {
      return refuse("22021",
                    fmt::format("the file is not UTF-8: octet 0x{:02x}", static_cast<unsigned char>(text_[bad])),
                    span(bad, bad + 1), "save it as UTF-8, without zero octets");
    }
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;  // A byte order mark, as spreadsheets write.
    skip_empty_lines();
    if (at_ == text_.size()) {
      return refuse("22P04", "the file has no line that names its columns", span(at_, at_),
                    fmt::format("the first line must be like: {}", column_list()));
    }
    if (auto header = read_header(); !header) return tl::unexpected(header.error());
    for (skip_empty_lines(); at_ < text_.size(); skip_empty_lines()) {
      if (auto row = read_row(); !row) return tl::unexpected(row.error());
    }
    ReadTable result{builder_.finish(), {}};
    if (definition_.primary_key.empty()) return result;
    uint32_t wrong = 0;
    const auto index = KeyIndex::build(result.table, definition_.primary_key, KeyIndex::Keys::kUnique, &wrong);
    if (!index)
      return refuse(index.error().code, index.error().message, row_spans_[wrong], "every row needs a key of its own");
    return result;
  }

 private:
  static SourceSpan span(size_t begin, size_t end) {
    return {static_cast<uint32_t>(begin), static_cast<uint32_t>(end - begin)};
  }
  tl::unexpected<base::Diagnostic> refuse(std::string_view code, std::string message, SourceSpan where,
                                          std::string hint = {}) const {
    auto failure = base::fail(code, std::move(message), where, std::move(hint));
    base::locate(failure.value(), source_name_, text_);
    return failure;
  }
  std::string column_list() const {
    std::string list;
    for (const auto& column : definition_.schema.columns) {
      if (!list.empty()) list += ',';
      list += column.name;
    }
    return list;
  }

  void skip_empty_lines() {
    while (at_ < text_.size() &&
           (text_[at_] == '\n' || (text_[at_] == '\r' && (at_ + 1 == text_.size() || text_[at_ + 1] == '\n')))) {
      ++at_;
    }
  }

  /// Reads one line's fields into fields_; a field in quotes may span lines.
  base::Result<void> read_line() {
    fields_.clear();
    scratch_.reset();
    for (;;) {
      Field field;
      const size_t begin = at_;
      if (at_ < text_.size() && text_[at_] == '"') {
        field.quoted = true;
        if (auto quoted = read_quoted(field); !quoted) return quoted;
      } else {
        while (at_ < text_.size() && text_[at_] != ',' && text_[at_] != '\n' && text_[at_] != '\r') {
          if (text_[at_] == '"') {
            return refuse("22P04", "a quote inside a field without quotes", span(at_, at_ + 1),
                          "put the whole field in quotes and write each quote in it twice");
          }
          ++at_;
        }
        field.value = text_.substr(begin, at_ - begin);
      }
      field.span = span(begin, at_);
      fields_.push_back(field);
      if (at_ == text_.size()) return {};
      const char end = text_[at_];
      if (end == ',') {
        ++at_;
        continue;
      }
      if (end == '\r') {
        ++at_;
        if (at_ < text_.size() && text_[at_] != '\n') {
          return refuse("22P04", "a carriage return inside a field without quotes", span(at_ - 1, at_),
                        "end lines with a line feed, or put the field in quotes");
        }
        if (at_ == text_.size()) return {};
      } else if (end != '\n') {
        return refuse("22P04", "text after the closing quote of a field", span(at_, at_ + 1),
                      "a quote inside a field in quotes is written twice");
      }
      ++at_;
      return {};
    }
  }

  base::Result<void> read_quoted(Field& field) {
    const size_t open = at_++;
    size_t piece = at_;
    bool doubled = false;
    std::string copy;
    for (;;) {
      const size_t quote = text_.find('"', at_);
      if (quote == std::string_view::npos) {
        return refuse("22P04", "the file ends inside this field in quotes", span(open, open + 1), "close the quote");
      }
      at_ = quote + 1;
      if (at_ < text_.size() && text_[at_] == '"') {
        copy += text_.substr(piece, at_ - piece);
        piece = ++at_;
        doubled = true;
        continue;
      }
      if (!doubled) {
        field.value = text_.substr(piece, quote - piece);
      } else {
        copy += text_.substr(piece, quote - piece);
        field.value = scratch_.copy(copy);
      }
      return {};
    }
  }

  bool is_key(size_t column) const {
    return std::find(definition_.primary_key.begin(), definition_.primary_key.end(), column) !=
           definition_.primary_key.end();
  }

  base::Result<void> read_header() {
    const size_t begin = at_;
    if (auto line = read_line(); !line) return line;
    const auto& columns = definition_.schema.columns;
    column_of_field_.assign(fields_.size(), -1);
    std::vector<bool> found(columns.size(), false);
    for (size_t f = 0; f < fields_.size(); ++f) {
      for (size_t c = 0; c < columns.size(); ++c) {
        if (lower(fields_[f].value) != lower(columns[c].name)) continue;
        if (found[c]) {
          return refuse("42701", fmt::format("column '{}' is there twice", columns[c].name), fields_[f].span);
        }
        found[c] = true;
        column_of_field_[f] = static_cast<int>(c);
      }
    }
    for (size_t c = 0; c < columns.size(); ++c) {
      if (found[c] || (definition_.partial_files && !is_key(c))) continue;
      std::vector<std::string_view> unused;
      for (size_t f = 0; f < fields_.size(); ++f) {
        if (column_of_field_[f] < 0) unused.push_back(fields_[f].value);
      }
      const std::string_view nearest = base::nearest_name(columns[c].name, unused);
      SourceSpan where = span(begin, begin);
      for (const Field& field : fields_) {
        if (!nearest.empty() && field.value == nearest) where = field.span;
      }
      return refuse(
          "42703",
          fmt::format("the first line does not name column '{}' of table '{}'", columns[c].name, definition_.name),
          where,
          nearest.empty() ? fmt::format("the first line must name all of: {}", column_list())
                          : fmt::format("is '{}' meant?", nearest));
    }
    return {};
  }

  base::Result<void> read_row() {
    const size_t begin = at_;
    if (auto line = read_line(); !line) return line;
    if (fields_.size() != column_of_field_.size()) {
      const size_t end = fields_.back().span.offset_octets + fields_.back().span.length_octets;
      return refuse("22P04",
                    fmt::format("{} fields, but the first line names {}", fields_.size(), column_of_field_.size()),
                    span(begin, end), "a field with a comma in it must be in quotes");
    }
    for (size_t f = 0; f < fields_.size(); ++f) {
      const int column = column_of_field_[f];
      const Field& field = fields_[f];
      if (column < 0 || (field.value.empty() && !field.quoted)) continue;
      const auto c = static_cast<size_t>(column);
      const batch::ColumnDef& definition = definition_.schema.columns[c];
      if (definition.type == batch::Type::kText) {
        if (const auto word = definition_.check_word(c, field.value, field.span); !word)
          return refuse(word.error().code, word.error().message, field.span, word.error().hint);
        builder_.set_text(c, field.value);
        continue;
      }
      if (field.value.size() > kValueOctetsMax && definition.type != batch::Type::kBytea) {
        return refuse("22P02",
                      fmt::format("column '{}': a value of {} octets for type {}", definition.name, field.value.size(),
                                  batch::name(definition.type)),
                      field.span);
      }
      const auto value = expr::parse_value(field.value, definition.type, field.span);
      if (!value) {
        return refuse(value.error().code, fmt::format("column '{}': {}", definition.name, value.error().message),
                      field.span, value.error().hint);
      }
      builder_.set_value(c, *value);
    }
    if (!builder_.end_row()) {
      const base::Diagnostic limit = builder_.refuse_limit().value();
      return refuse(limit.code, limit.message, span(begin, begin), limit.hint);
    }
    if (!definition_.primary_key.empty()) {
      row_spans_.push_back(span(begin, fields_.back().span.offset_octets + fields_.back().span.length_octets));
    }
    return {};
  }

  const std::string_view text_, source_name_;
  const TableDefinition& definition_;
  TableBuilder builder_;
  size_t at_ = 0;
  std::vector<Field> fields_;
  std::vector<int> column_of_field_;   ///< -1: not read
  std::vector<SourceSpan> row_spans_;  ///< by row, for mistakes in keys
  base::Arena scratch_;                ///< values of this line whose quotes were doubled
};

}  // namespace

base::Result<ReadTable> read_csv(std::string_view text, std::string_view source_name, const TableDefinition& definition,
                                 const ReadLimits& limits) {
  return CsvReader(text, source_name, definition, limits).read();
}

}  // namespace backstream::lookup
