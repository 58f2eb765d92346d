// Any text as a Borealis diagram: what it is made of, or one located diagnostic. All places lie inside the text.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "borealis/diagram.h"

namespace {

using namespace backstream;

void require(bool condition) {
  if (!condition) std::abort();
}

struct Checker {
  std::string_view text;

  void check(base::SourceSpan span) const { require(span.offset_octets + uint64_t{span.length_octets} <= text.size()); }
  void check(const base::Diagnostic& error) const {
    require(!error.code.empty() && !error.message.empty());
    check(error.span);
    base::Diagnostic located = error;
    require(!base::locate(located, "fuzz", text).render().empty());
  }

  void check(const borealis::Attribute& attribute) const {
    check(attribute.name_span);
    require(attribute.name_span.length_octets == attribute.name.size());
    const borealis::Value& value = attribute.value;
    check(value.span);
    require(value.places.size() == value.text.size() + 1);
    require(std::is_sorted(value.places.begin(), value.places.end()));
    require(value.places.front() == value.span.offset_octets);
    require(value.places.back() == value.span.offset_octets + value.span.length_octets);
    for (size_t i = 0; i < value.text.size(); ++i) {
      const char written = text[value.places[i]];
      const bool is_other = written == '&' || written == '\r' || written == '\n' || written == '\t';
      require(is_other || written == value.text[i]);
    }
  }
  void check(const borealis::Element& element) const {
    check(element.span);
    require(text[element.span.offset_octets] == '<' && element.span.length_octets == element.name.size() + 1);
    for (const borealis::Attribute& attribute : element.attributes) check(attribute);
    for (const borealis::Element& child : element.children) check(child);
  }
  void check(const borealis::Document& document) const {
    check(document.root);
    for (const borealis::Attribute& option : document.options) check(option);
    check(document.options_span);
  }

  void check(const borealis::Name& name) const {
    require(!name.text.empty() && name.text.size() <= 63);
    check(name.span);
  }
  void check(const borealis::Diagram& diagram) const {
    for (const borealis::Schema& schema : diagram.schemas) {
      require(!schema.fields.empty());
      for (const borealis::Field& field : schema.fields) {
        check(field.span);
        check(field.type_span);
      }
    }
    require(!diagram.outputs.empty() && diagram.boxes.size() <= borealis::kBoxesMax);
    std::vector<std::string_view> written;
    for (const borealis::InputStream& input : diagram.inputs) {
      check(input.stream);
      require(input.schema < diagram.schemas.size());
      written.push_back(input.stream.text);
    }
    const auto is_written = [&](const borealis::Name& name) {
      check(name);
      return std::find(written.begin(), written.end(), name.text) != written.end();
    };
    for (const borealis::Box& box : diagram.boxes) {
      check(box.span);
      check(box.name_span);
      require(!box.inputs.empty() && !box.outputs.empty());
      for (const borealis::Name& input : box.inputs) require(is_written(input));
      for (const borealis::Name& output : box.outputs) {
        require(!is_written(output));
        written.push_back(output.text);
      }
    }
    for (const borealis::OutputStream& output : diagram.outputs) require(is_written(output.stream));
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t octets) {
  const std::string_view text(reinterpret_cast<const char*>(data), octets);
  const Checker checker{text};
  const auto document = borealis::read_document(text);
  if (!document) {
    checker.check(document.error());
    return 0;
  }
  checker.check(*document);
  const auto diagram = borealis::read_diagram(*document);
  if (!diagram) {
    checker.check(diagram.error());
  } else {
    checker.check(*diagram);
  }
  return 0;
}
