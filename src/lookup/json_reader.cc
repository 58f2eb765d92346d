#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>
#include <optional>

#include "base/utf8.h"
#include "lookup/key_index.h"
#include "lookup/table_reader.h"

namespace backstream::lookup {
namespace {

using base::SourceSpan;
using Json = nlohmann::json;

/// Tells the parser's handler how far the text has been read.
class CountedIterator {
 public:
  using iterator_category = std::forward_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  CountedIterator(const char* at, size_t* read) : at_(at), read_(read) {}
  reference operator*() const { return *at_; }
  CountedIterator& operator++() {
    ++at_;
    ++*read_;
    return *this;
  }
  CountedIterator operator++(int) {
    CountedIterator before = *this;
    ++*this;
    return before;
  }
  bool operator==(const CountedIterator& other) const { return at_ == other.at_; }
  bool operator!=(const CountedIterator& other) const { return at_ != other.at_; }

 private:
  const char* at_;
  size_t* read_;
};

/// The handler of a parse: rows go to a builder as their objects end. It says false at the first mistake.
class JsonRows : public nlohmann::json_sax<Json> {
 public:
  JsonRows(std::string_view text, std::string_view source_name, const TableDefinition& definition,
           const ReadLimits& limits, const size_t& read)
      : text_(text),
        source_name_(source_name),
        definition_(definition),
        read_(read),
        builder_(definition.schema, limits.table),
        seen_(definition.schema.columns.size()) {}

  const std::optional<base::Diagnostic>& error() const { return error_; }
  std::shared_ptr<const Table> finish() { return builder_.finish(); }
  SourceSpan row_span(size_t row) const { return row_spans_[row]; }

  bool null() override { return value("null", Kind::kNull); }
  bool boolean(bool of) override { return value(of ? "true" : "false", Kind::kScalar); }
  bool number_integer(number_integer_t of) override { return value(std::to_string(of), Kind::kScalar); }
  bool number_unsigned(number_unsigned_t of) override { return value(std::to_string(of), Kind::kScalar); }
  bool number_float(number_float_t, const string_t& of) override { return value(of, Kind::kScalar); }
  bool string(string_t& of) override { return value(of, Kind::kScalar); }
  bool binary(binary_t&) override { return false; }  // Not of JSON.

  bool start_array(size_t) override {
    if (depth_ == 0) return ++depth_, true;
    return begin_nested();
  }
  bool end_array() override { return --depth_, true; }
  bool start_object(size_t) override {
    if (depth_ != 1) return begin_nested();
    ++depth_;
    row_begin_ = read_ > 0 ? read_ - 1 : 0;
    std::fill(seen_.begin(), seen_.end(), false);
    return true;
  }
  bool end_object() override {
    if (--depth_ != 1) return true;
    if (!builder_.end_row()) {
      const base::Diagnostic limit = builder_.refuse_limit().value();
      return refuse(limit.code, limit.message, {offset(row_begin_), 1}, limit.hint);
    }
    row_spans_.push_back({offset(row_begin_), 1});
    return true;
  }
  bool key(string_t& name) override {
    if (depth_ != 2) return true;
    column_ = definition_.schema.find(name);
    const size_t octets = std::min(name.size() + 2, read_);
    key_span_ = {offset(read_ - octets), offset(octets)};
    if (column_ < 0) return true;
    if (seen_[static_cast<size_t>(column_)])
      return refuse("42701", fmt::format("column '{}' is there twice", name), key_span_);
    seen_[static_cast<size_t>(column_)] = true;
    return true;
  }
  bool parse_error(size_t position, const std::string& token, const nlohmann::detail::exception& error) override {
    if (error_) return false;
    std::string_view message = error.what();
    // "[json.exception.parse_error.101] parse error at line 1, column 2: ...": the place is told in our way.
    if (const size_t colon = message.find(": "); colon != std::string_view::npos) message.remove_prefix(colon + 2);
    // `position` is behind the token; a token with control characters is told longer than it is.
    const size_t end = std::min(position, text_.size()),
                 octets = std::clamp<size_t>(token.size(), 1, std::max<size_t>(end, 1));
    return refuse("22P04", fmt::format("not valid JSON: {}", message),
                  {offset(end - std::min(end, octets)), offset(octets)});
  }

 private:
  enum class Kind : uint8_t { kNull, kScalar };
  static uint32_t offset(size_t octets) { return static_cast<uint32_t>(octets); }

  bool refuse(std::string_view code, std::string message, SourceSpan where, std::string hint = {}) {
    auto failure = base::fail(std::string(code), std::move(message), where, std::move(hint));
    base::locate(failure.value(), source_name_, text_);
    error_ = std::move(failure.value());
    return false;
  }
  bool refuse_shape() {
    return refuse("22P04", "the file is not an array of objects", {offset(read_ > 0 ? read_ - 1 : 0), 1},
                  "write [{\"column\": value, ...}, ...]");
  }
  bool begin_nested() {
    if (depth_ < 2) return refuse_shape();
    if (depth_ == 2 && column_ >= 0) {
      return refuse("22P02", fmt::format("column '{}': an array or object is no value", column_definition().name),
                    key_span_);
    }
    return ++depth_, true;
  }
  const batch::ColumnDef& column_definition() const { return definition_.schema.columns[static_cast<size_t>(column_)]; }
  bool value(const std::string& of, Kind kind) {
    if (depth_ < 2) return refuse_shape();
    if (depth_ > 2 || column_ < 0 || kind == Kind::kNull) return true;
    const batch::ColumnDef& column = column_definition();
    const auto c = static_cast<size_t>(column_);
    if (of.find('\0') != std::string::npos)
      return refuse("22021", fmt::format("column '{}': a zero octet", column.name), key_span_);
    if (column.type == batch::Type::kText) {
      if (const auto word = definition_.check_word(c, of, key_span_); !word)
        return refuse(word.error().code, word.error().message, key_span_, word.error().hint);
      builder_.set_text(c, of);
      return true;
    }
    const auto parsed = expr::parse_value(of, column.type, key_span_);
    if (!parsed) {
      return refuse(parsed.error().code, fmt::format("column '{}': {}", column.name, parsed.error().message), key_span_,
                    parsed.error().hint);
    }
    builder_.set_value(c, *parsed);
    return true;
  }

  const std::string_view text_, source_name_;
  const TableDefinition& definition_;
  const size_t& read_;  ///< octets that the parser has taken
  TableBuilder builder_;
  std::vector<bool> seen_;  ///< by column: of the row at hand
  std::vector<SourceSpan> row_spans_;
  std::optional<base::Diagnostic> error_;
  size_t depth_ = 0;  ///< 1 in the array, 2 in a row
  size_t row_begin_ = 0;
  int column_ = -1;  ///< of the key at hand; -1: not read
  SourceSpan key_span_;
};

}  // namespace

base::Result<ReadTable> read_json(std::string_view text, std::string_view source_name,
                                  const TableDefinition& definition, const ReadLimits& limits) {
  if (text.size() > UINT32_MAX) return base::fail("54000", fmt::format("{}: the file has more than 4 GB", source_name));
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);  // A byte order mark.
  size_t read = 0;
  JsonRows rows(text, source_name, definition, limits, read);
  const CountedIterator begin(text.data(), &read), end(text.data() + text.size(), &read);
  if (!Json::sax_parse(begin, end, &rows)) return tl::unexpected(*rows.error());
  ReadTable result{rows.finish(), {}};
  if (definition.primary_key.empty()) return result;
  uint32_t wrong = 0;
  const auto index = KeyIndex::build(result.table, definition.primary_key, KeyIndex::Keys::kUnique, &wrong);
  if (!index) {
    base::Diagnostic error = index.error();
    error.span = rows.row_span(wrong);
    error.hint = "every row needs a key of its own";
    base::locate(error, source_name, text);
    return tl::unexpected(std::move(error));
  }
  return result;
}

}  // namespace backstream::lookup
