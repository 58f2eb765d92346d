#include "app/shell/result_window.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "app/shell/display_text.h"
#include "http/message.h"

namespace backstream::app::shell {
namespace {

using Json = nlohmann::json;

/// Takes a window as its text is read. Other than a document in memory it keeps the digits of numbers, and needs the
/// memory of a row's values once.
class WindowReader : public nlohmann::json_sax<Json> {
 public:
  explicit WindowReader(ResultWindow& window) : window_(window) {}

  bool null() override { return value({Cell::Kind::kNull, {}}); }
  bool boolean(bool truth) override { return value({Cell::Kind::kBool, truth ? "true" : "false"}); }
  bool number_integer(number_integer_t number) override { return value({Cell::Kind::kNumber, std::to_string(number)}); }
  bool number_unsigned(number_unsigned_t number) override {
    return value({Cell::Kind::kNumber, std::to_string(number)});
  }
  bool number_float(number_float_t, const string_t& digits) override { return value({Cell::Kind::kNumber, digits}); }
  bool string(string_t& text) override { return value({Cell::Kind::kText, std::move(text)}); }
  bool binary(binary_t&) override { return false; }
  bool key(string_t& name) override {
    if (nested_ > 0) nest(separator() + http::json_string(name) + ":", false);
    else key_ = std::move(name);
    return true;
  }
  bool start_object(size_t) override {
    if (nested_ > 0 || in_row()) return open("{");
    ++depth_;
    if (depth_ == 1) return true;
    if (depth_ == 3 && list_ == List::kColumns) window_.columns.emplace_back();
    else ignored_depth_ = ignored_depth_ == 0 ? depth_ : ignored_depth_;
    return true;
  }
  bool end_object() override {
    if (nested_ > 0) return close("}");
    if (ignored_depth_ == depth_) ignored_depth_ = 0;
    --depth_;
    return true;
  }
  bool start_array(size_t) override {
    if (nested_ > 0 || in_row()) return open("[");
    ++depth_;
    if (depth_ == 1) return false;
    if (depth_ == 2 && ignored_depth_ == 0) {
      list_ = key_ == "columns"         ? List::kColumns
              : key_ == "rows"          ? List::kRows
              : key_ == "sites_missing" ? List::kSites
                                        : List::kNone;
    } else if (depth_ == 3 && list_ == List::kRows) {
      window_.rows.emplace_back();
      window_.rows.back().reserve(window_.columns.size());
    } else if (ignored_depth_ == 0) {
      ignored_depth_ = depth_;
    }
    return true;
  }
  bool end_array() override {
    if (nested_ > 0) return close("]");
    if (ignored_depth_ == depth_) ignored_depth_ = 0;
    else if (depth_ == 2) list_ = List::kNone;
    --depth_;
    return true;
  }
  bool parse_error(size_t, const std::string&, const nlohmann::detail::exception&) override { return false; }

 private:
  enum class List : uint8_t { kNone, kColumns, kRows, kSites };

  bool in_row() const { return list_ == List::kRows && depth_ == 3 && ignored_depth_ == 0; }

  // A list or an object as a value: put together as text again.
  std::string separator() const {
    return nested_text_.empty() || std::string_view("[{:,").find(nested_text_.back()) != std::string_view::npos ? ""
                                                                                                                : ",";
  }
  bool nest(const std::string& text, bool with_separator = true) {
    nested_text_ += (with_separator ? separator() : "") + text;
    return true;
  }
  bool open(const char* sign) {
    nest(sign);
    ++nested_;
    return true;
  }
  bool close(const char* sign) {
    nested_text_ += sign;
    if (--nested_ == 0) window_.rows.back().push_back({Cell::Kind::kOther, std::exchange(nested_text_, {})});
    return true;
  }

  bool value(Cell cell) {
    if (nested_ > 0) return nest(json_value(cell));
    if (ignored_depth_ > 0) return true;
    if (in_row()) {
      window_.rows.back().push_back(std::move(cell));
      return true;
    }
    if (depth_ == 3 && list_ == List::kColumns && !window_.columns.empty()) {
      if (key_ == "name") window_.columns.back().name = std::move(cell.text);
      else if (key_ == "type") window_.columns.back().type = std::move(cell.text);
      else if (key_ == "stderr_of") window_.columns.back().stderr_of = std::move(cell.text);
      else if (key_ == "key") window_.columns.back().key = cell.text == "true";
      return true;
    }
    if (depth_ == 2 && list_ == List::kSites && cell.kind == Cell::Kind::kText)
      window_.sites_missing.push_back(std::move(cell.text));
    return depth_ == 1 ? member(cell) : depth_ > 1;
  }
  bool member(const Cell& cell) {
    const auto truth = [&] { return cell.text == "true"; };
    const auto number = [&]() -> uint64_t {
      uint64_t n = 0;
      for (const char c : cell.text) {
        if (c < '0' || c > '9' || n > UINT64_MAX / 10 - 1) return n;
        n = n * 10 + static_cast<uint64_t>(c - '0');
      }
      return n;
    };
    if (key_ == "query") window_.query = cell.text;
    else if (key_ == "window_start") window_.start = base::parse_timestamp(cell.text);
    else if (key_ == "window_end") window_.end = base::parse_timestamp(cell.text);
    else if (key_ == "revision") window_.revision = number();
    else if (key_ == "part") window_.part = number();
    else if (key_ == "final") window_.final = truth();
    else if (key_ == "complete") window_.complete = truth();
    else if (key_ == "last") window_.last = truth();
    else if (key_ == "truncated") window_.truncated = truth();
    else if (key_ == "removed") window_.removed = truth();
    else if (key_ == "rows_total" && cell.kind == Cell::Kind::kNumber) window_.rows_total = number();
    return true;
  }

  ResultWindow& window_;
  std::string key_;
  size_t depth_ = 0, ignored_depth_ = 0;
  List list_ = List::kNone;
  size_t nested_ = 0;
  std::string nested_text_;
};

bool is_time(const ResultColumn& column) { return column.type.starts_with("timestamp"); }

/// As PostgreSQL prints it, where it can be read.
std::string time_text(const Cell& cell, const ResultColumn& column) {
  if (cell.kind != Cell::Kind::kText || !is_time(column)) return cell.text;
  const auto time = base::parse_timestamp(cell.text);
  if (!time) return cell.text;
  const bool local = column.type == "timestamp" || column.type == "timestamp without time zone";
  return local ? base::format_local_timestamp(*time) : base::format_timestamp(*time);
}

}  // namespace

base::Result<ResultWindow> parse_window(std::string_view json) {
  ResultWindow window;
  WindowReader reader(window);
  bool fits = Json::sax_parse(json.begin(), json.end(), &reader);
  for (const Row& row : window.rows) fits = fits && row.size() == window.columns.size();
  if (!fits) return base::fail("08P01", "the server sent rows that cannot be read", {}, "is it of another version?");
  return window;
}

Cell cell_of(const Json& value) {
  switch (value.type()) {
    case Json::value_t::null:
    case Json::value_t::discarded: return {};
    case Json::value_t::boolean: return {Cell::Kind::kBool, value.get<bool>() ? "true" : "false"};
    case Json::value_t::string: return {Cell::Kind::kText, value.get<std::string>()};
    case Json::value_t::number_integer:
    case Json::value_t::number_unsigned:
    case Json::value_t::number_float: return {Cell::Kind::kNumber, value.dump()};
    default: return {Cell::Kind::kOther, value.dump(-1, ' ', false, Json::error_handler_t::replace)};
  }
}

std::vector<ResultColumn> columns_of(const Json& list) {
  std::vector<ResultColumn> columns;
  if (!list.is_array()) return columns;
  for (const Json& entry : list) {
    if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string()) continue;
    const auto type = entry.find("type");
    columns.push_back({entry["name"].get<std::string>(),
                       type != entry.end() && type->is_string() ? type->get<std::string>() : std::string()});
  }
  return columns;
}

bool is_number_type(std::string_view type) {
  constexpr std::string_view kTypes[] = {"smallint", "integer", "bigint", "double precision", "numeric", "real",
                                         "int2",     "int4",    "int8",   "float8",           "float4"};
  return std::find(std::begin(kTypes), std::end(kTypes), type) != std::end(kTypes);
}

std::string shown_value(const Cell& cell, const ResultColumn& column, std::string_view null_text) {
  switch (cell.kind) {
    case Cell::Kind::kNull: return std::string(null_text);
    case Cell::Kind::kBool: return cell.text == "true" ? "t" : "f";
    default: return printable(time_text(cell, column));
  }
}

std::string plain_value(const Cell& cell, const ResultColumn& column) {
  if (cell.kind == Cell::Kind::kBool) return cell.text == "true" ? "t" : "f";
  return time_text(cell, column);
}

std::string csv_value(const Cell& cell, const ResultColumn& column) {
  if (cell.kind == Cell::Kind::kNull) return {};
  std::string text = plain_value(cell, column);
  if (cell.kind == Cell::Kind::kBool) return text;
  if (!text.empty() && text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"') quoted += '"';
    quoted += c;
  }
  return quoted += '"';
}

std::string json_value(const Cell& cell) {
  switch (cell.kind) {
    case Cell::Kind::kNull: return "null";
    case Cell::Kind::kText: return http::json_string(cell.text);
    default: return cell.text;
  }
}

}  // namespace backstream::app::shell
