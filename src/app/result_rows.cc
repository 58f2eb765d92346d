#include "app/result_rows.h"

#include <charconv>
#include <nlohmann/json.hpp>
#include <utility>

namespace backstream::app {
namespace {

constexpr size_t kDepthMax = 16;  // Nodes go recursively.

/// A document whose numbers are text.
struct Node {
  enum class Kind : uint8_t { kNull, kTrue, kFalse, kNumber, kText, kList, kObject };
  Kind kind = Kind::kNull;
  std::string text;
  std::vector<Node> items;
  std::vector<std::string> keys;  // kObject: of the items.

  const Node& at(std::string_view key) const {
    static const Node kNone;
    for (size_t i = 0; i < keys.size(); ++i) {
      if (keys[i] == key) return items[i];
    }
    return kNone;
  }
  std::string text_at(std::string_view key) const {
    const Node& node = at(key);
    return node.kind == Kind::kText ? node.text : std::string();
  }
  std::optional<uint64_t> count_at(std::string_view key) const {
    const Node& node = at(key);
    uint64_t value = 0;
    const char* const end = node.text.data() + node.text.size();
    if (node.kind != Kind::kNumber || std::from_chars(node.text.data(), end, value).ptr != end) return std::nullopt;
    return value;
  }
  bool flag_at(std::string_view key, bool otherwise) const {
    const Kind own = at(key).kind;
    return own == Kind::kTrue || (own != Kind::kFalse && otherwise);
  }
};

class Builder : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit Builder(Node& root) : root_(root) {}

  bool null() override { return add(Node::Kind::kNull, {}) != nullptr; }
  bool boolean(bool value) override { return add(value ? Node::Kind::kTrue : Node::Kind::kFalse, {}) != nullptr; }
  bool number_integer(number_integer_t value) override { return number(std::to_string(value)); }
  bool number_unsigned(number_unsigned_t value) override { return number(std::to_string(value)); }
  bool number_float(number_float_t, const string_t& text) override { return number(text); }
  bool string(string_t& value) override { return add(Node::Kind::kText, std::move(value)) != nullptr; }
  bool binary(binary_t&) override { return false; }
  bool start_object(size_t) override { return open(Node::Kind::kObject); }
  bool key(string_t& value) override {
    path_.back()->keys.push_back(std::move(value));
    return true;
  }
  bool end_object() override { return close(); }
  bool start_array(size_t) override { return open(Node::Kind::kList); }
  bool end_array() override { return close(); }
  bool parse_error(size_t, const std::string&, const nlohmann::json::exception&) override { return false; }

 private:
  Node* add(Node::Kind kind, std::string text) {
    Node* node = &root_;
    // An item's address holds while it is open: its list grows only when it is closed.
    if (!path_.empty()) node = &path_.back()->items.emplace_back();
    node->kind = kind;
    node->text = std::move(text);
    return node;
  }
  bool number(std::string text) { return add(Node::Kind::kNumber, std::move(text)) != nullptr; }
  bool open(Node::Kind kind) {
    if (path_.size() == kDepthMax) return false;
    path_.push_back(add(kind, {}));
    return true;
  }
  bool close() {
    path_.pop_back();
    return true;
  }

  Node& root_;
  std::vector<Node*> path_;
};

tl::unexpected<base::Diagnostic> no_result() {
  return base::fail("08P01", "the server's answer is not a result", {}, "is it of another version than this program?");
}

base::Result<Node> parse(std::string_view json) {
  Node root;
  Builder builder(root);
  if (!nlohmann::json::sax_parse(json.begin(), json.end(), &builder) || root.kind != Node::Kind::kObject)
    return no_result();
  return root;
}

std::vector<ResultColumn> columns_of(const Node& list) {
  std::vector<ResultColumn> columns;
  for (const Node& column : list.items)
    columns.push_back(
        {column.text_at("name"), column.text_at("type"), column.flag_at("key", false), column.text_at("stderr_of")});
  return columns;
}

base::Result<ResultPart> part_of(Node& node) {
  ResultPart part;
  part.query = node.text_at("query");
  const auto seq = node.count_at("seq");
  if (!seq) return no_result();
  part.seq = *seq;
  part.window_start = node.text_at("window_start");
  part.window_end = node.text_at("window_end");
  part.revision = static_cast<int64_t>(node.count_at("revision").value_or(1));
  part.final = node.flag_at("final", true);
  part.complete = node.flag_at("complete", true);
  for (const Node& site : node.at("sites_missing").items) {
    if (site.kind == Node::Kind::kText) part.sites_missing.push_back(site.text);
  }
  part.removed = node.flag_at("removed", false);
  part.last = node.flag_at("last", true);
  part.truncated = node.flag_at("truncated", false);
  part.columns = columns_of(node.at("columns"));
  for (size_t i = 0; i < node.keys.size(); ++i) {
    if (node.keys[i] != "rows") continue;
    part.rows.reserve(node.items[i].items.size());
    for (Node& row : node.items[i].items) {
      if (row.kind != Node::Kind::kList || row.items.size() != part.columns.size()) return no_result();
      auto& cells = part.rows.emplace_back();
      cells.reserve(row.items.size());
      for (Node& cell : row.items) {
        // The kinds of both begin alike.
        if (cell.kind > Node::Kind::kText) return no_result();
        cells.push_back({static_cast<ResultCell::Kind>(cell.kind), std::move(cell.text)});
      }
    }
  }
  return part;
}
static_assert(static_cast<int>(Node::Kind::kText) == static_cast<int>(ResultCell::Kind::kText));

}  // namespace

base::Result<ResultPart> parse_result_part(std::string_view json) {
  auto node = parse(json);
  if (!node) return tl::unexpected(std::move(node.error()));
  return part_of(*node);
}

base::Result<ResultPage> parse_result_page(std::string_view json) {
  auto node = parse(json);
  if (!node) return tl::unexpected(std::move(node.error()));
  ResultPage page;
  page.columns = columns_of(node->at("columns"));
  page.next = node->count_at("next");
  page.last_seq = node->count_at("last_seq");
  page.parts_dropped = node->count_at("windows_dropped").value_or(0);
  for (size_t i = 0; i < node->keys.size(); ++i) {
    if (node->keys[i] != "windows") continue;
    for (Node& window : node->items[i].items) {
      auto part = part_of(window);
      if (!part) return tl::unexpected(std::move(part.error()));
      page.parts.push_back(std::move(*part));
    }
  }
  return page;
}

}  // namespace backstream::app
