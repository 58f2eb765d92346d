#include "borealis/write_document.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "borealis/refused.h"
#include "borealis/write.h"

namespace backstream::borealis {

using batch::Type;

namespace {

/// Writes no more than kXmlOctetsMax.
class Text {
 public:
  explicit Text(base::SourceSpan whole) : whole_(whole) {}
  void add(std::string_view text) {
    if (text_.size() + text.size() > kXmlOctetsMax)
      refuse("54000", fmt::format("the diagram would be larger than {} octets", kXmlOctetsMax), whole_);
    text_ += text;
  }
  /// In quotes.
  void add_value(std::string_view value) {
    add("\"");
    for (const char c : value) {
      switch (c) {
        case '&': add("&amp;"); break;
        case '<': add("&lt;"); break;
        case '>': add("&gt;"); break;
        case '"': add("&quot;"); break;
        // White space of an attribute becomes spaces where it is read, unless it is written so.
        case '\t': add("&#9;"); break;
        case '\n': add("&#10;"); break;
        case '\r': add("&#13;"); break;
        default: add({&c, 1});
      }
    }
    add("\"");
  }
  void add_attribute(std::string_view name, std::string_view value) {
    add(" ");
    add(name);
    add("=");
    add_value(value);
  }
  std::string take() { return std::move(text_); }

 private:
  const base::SourceSpan whole_;
  std::string text_;
};

/// As wide as any text of flows is; the size says nothing here.
constexpr std::string_view kStringSize = "255";

std::string_view field_type(Type type) {
  switch (type) {
    case Type::kInt2:
    case Type::kInt4: return "int";
    case Type::kInt8:
    case Type::kInet: return "long";
    case Type::kFloat8: return "double";
    case Type::kTimestamptz: return "timestamp";
    default: return "string";
  }
}

void add_input(Text& text, const WrittenInput& input) {
  text.add("  <schema");
  text.add_attribute("name", input.relation->name);
  text.add(">\n");
  for (const size_t number : input.columns) {
    const batch::ColumnDef& column = input.relation->schema.columns[number];
    const std::string_view type = field_type(column.type);
    text.add("    <field");
    text.add_attribute("name", column.name);
    text.add_attribute("type", type);
    if (type == "string") text.add_attribute("size", kStringSize);
    text.add("/>\n");
  }
  text.add("  </schema>\n  <input");
  text.add_attribute("stream", input.relation->name);
  text.add_attribute("schema", input.relation->name);
  text.add("/>\n");
}

void add_box(Text& text, const WrittenBox& box) {
  text.add("    <box");
  text.add_attribute("name", box.name);
  text.add_attribute("type", box.type);
  text.add(">\n");
  for (const std::string& input : box.inputs) {
    text.add("      <in");
    text.add_attribute("stream", input);
    text.add("/>\n");
  }
  text.add("      <out");
  text.add_attribute("stream", box.output);
  text.add("/>\n");
  for (const auto& [name, value] : box.parameters) {
    text.add("      <parameter");
    text.add_attribute("name", name);
    text.add_attribute("value", value);
    text.add("/>\n");
  }
  text.add("    </box>\n");
}

}  // namespace

std::string document_text(const WrittenDiagram& diagram, base::SourceSpan whole) {
  Text text(whole);
  if (!diagram.comments.empty()) {
    text.add("<!--");
    for (size_t i = 0; i < diagram.comments.size(); ++i)
      text.add(fmt::format("{} {}", i == 0 ? "" : "\n    ", diagram.comments[i]));
    text.add(" -->\n");
  }
  if (!diagram.options.empty()) {
    text.add("<?backstream");
    for (const auto& [name, value] : diagram.options) text.add_attribute(name, value);
    text.add("?>\n");
  }
  text.add("<borealis>\n");
  for (const WrittenInput& input : diagram.inputs) add_input(text, input);
  text.add("  <output");
  text.add_attribute("stream", diagram.output);
  text.add("/>\n  <query");
  text.add_attribute("name", diagram.output);
  text.add(">\n");
  for (const WrittenBox& box : diagram.boxes) add_box(text, box);
  text.add("  </query>\n</borealis>\n");
  return text.take();
}

bool is_plain_field(std::string_view name) {
  constexpr auto kWords =
      std::to_array<std::string_view>({"and", "else", "false", "field", "if", "not", "or", "then", "true"});
  const auto is_letter = [](char c) { return (c >= 'a' && c <= 'z') || c == '_'; };
  const auto is_part = [&](char c) { return is_letter(c) || (c >= '0' && c <= '9'); };
  return !name.empty() && is_letter(name.front()) && std::all_of(name.begin(), name.end(), is_part) &&
         std::find(kWords.begin(), kWords.end(), name) == kWords.end();
}

std::string field_text(std::string_view name) {
  return is_plain_field(name) ? std::string(name) : fmt::format("field(\"{}\")", name);
}

}  // namespace backstream::borealis
