#include "borealis/diagram.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <functional>
#include <queue>
#include <unordered_map>
#include <utility>

#include "borealis/boxes.h"
#include "borealis/elements.h"
#include "borealis/refused.h"

namespace backstream::borealis {
namespace {

constexpr auto kTypeNames =
    std::to_array<std::string_view>({"byte", "short", "int", "long", "single", "double", "string", "timestamp"});

FieldType field_type_of(const Value& value) {
  const std::string text = lower_case(value.text);
  const auto found = std::find(kTypeNames.begin(), kTypeNames.end(), text);
  if (found != kTypeNames.end()) return static_cast<FieldType>(found - kTypeNames.begin());
  if (text.find_first_of("([") != std::string::npos) refuse("0A000", "arrays are not supported", value.span);
  constexpr auto kOthers = std::to_array<std::pair<std::string_view, std::string_view>>({{"float", "single"},
                                                                                         {"real", "single"},
                                                                                         {"integer", "int"},
                                                                                         {"smallint", "short"},
                                                                                         {"bigint", "long"},
                                                                                         {"char", "string"},
                                                                                         {"text", "string"},
                                                                                         {"varchar", "string"},
                                                                                         {"time", "timestamp"},
                                                                                         {"timestamptz", "timestamp"},
                                                                                         {"bool", "int"},
                                                                                         {"boolean", "int"},
                                                                                         {"inet", "long"}});
  std::string hint = did_you_mean(base::nearest_name(text, {kTypeNames.begin(), kTypeNames.end()}));
  for (const auto& [other, ours] : kOthers) {
    if (text == other) hint = fmt::format("write {}", ours);
  }
  if (hint.empty()) hint = fmt::format("there are {}", listed(kTypeNames));
  refuse("42704", fmt::format("there is no type {}", quoted(value.text)), value.span, std::move(hint));
}

void check_string_size(const Value& value) {
  const bool is_number = !value.text.empty() && value.text.size() < 10 &&
                         value.text.find_first_not_of("0123456789") == std::string::npos &&
                         value.text.find_first_not_of('0') != std::string::npos;
  if (!is_number) {
    refuse("22023", fmt::format("the size of a string is a whole number above zero, not {}", quoted(value.text)),
           value.span, "leave it out: strings are as long as they are");
  }
}

/// Names that are there once, each with what it is.
using Names = std::unordered_map<std::string, size_t>;

void add_name(Names& names, const Name& name, size_t index, std::string_view what) {
  if (!names.emplace(name.text, index).second) {
    refuse("42710", fmt::format("the {} {} is there twice", what, quoted(name.text)), name.span);
  }
}

[[noreturn]] void refuse_missing(const Names& names, const Name& name, std::string_view code, std::string_view what) {
  std::vector<std::string_view> known;
  for (const auto& [text, index] : names) known.push_back(text);
  std::sort(known.begin(), known.end());  // The hint does not depend on the map's order.
  refuse(code, fmt::format("there is no {} {}", what, quoted(name.text)), name.span,
         did_you_mean(base::nearest_name(name.text, known)));
}

class DiagramReader {
 public:
  explicit DiagramReader(const Document& document) : document_(document) {}

  Diagram read() {
    const Element& root = document_.root;
    check_root(root);
    diagram_.options = document_.options;
    diagram_.options_span = document_.options_span;
    // A name may be used before the element that it is given in.
    for_each_of(root, kSchema.name, [&](const Element& schema) { read_schema(schema); });
    read_parts(root, {});
    connect();
    put_in_order();
    read_outputs();
    return std::move(diagram_);
  }

 private:
  /// Who writes a stream: an input, or a box at a port.
  struct Stream {
    Name name;  ///< where it is written
    bool is_input = false;
    size_t writer = 0;  ///< index of an input or a box
    bool is_read = false;
  };

  static void check_root(const Element& root) {
    if (root.name == kBorealis.name) return check_element(root, kBorealis);
    if (root.name == "deploy") {
      refuse("42601", "this is a deployment file, not a diagram", root.span, "a diagram stands in <borealis>");
    }
    refuse("42601", fmt::format("a diagram stands in <borealis>, not in {}", quoted(root.name)), root.span);
  }

  /// The elements of a name in the root and in its queries, in their order.
  template <typename Read>
  static void for_each_of(const Element& parent, std::string_view name, Read read) {
    for (const Element& child : parent.children) {
      if (child.name == name) read(child);
      if (child.name == kQuery.name) for_each_of(child, name, read);
    }
  }

  void read_schema(const Element& element) {
    check_element(element, kSchema);
    const Name name = required_name(element, "name");
    add_name(schema_index_, name, diagram_.schemas.size(), "schema");
    Schema schema{name.text, name.span, {}};
    Names fields;
    for (const Element& child : element.children) {
      check_element(child, kField);
      const Name field = required_name(child, "name");
      if (schema.fields.size() == kFieldsMax) {
        refuse("54000", fmt::format("a schema has at most {} fields", kFieldsMax), child.span);
      }
      if (!fields.emplace(field.text, 0).second) {
        refuse("42701", fmt::format("the field {} is there twice", quoted(field.text)), field.span);
      }
      const Value& type = required(child, "type");
      schema.fields.push_back({field.text, field_type_of(type), field.span, type.span});
      if (const Attribute* size = child.find("size")) check_string_size(size->value);
    }
    if (schema.fields.empty()) {
      refuse("0A000", fmt::format("the schema {} has no field", quoted(name.text)), element.span,
             "streams of control are not supported");
    }
    diagram_.schemas.push_back(std::move(schema));
  }

  size_t schema_of(const Value& value) const {
    const Name name = name_of(value);
    const auto found = schema_index_.find(name.text);
    if (found == schema_index_.end()) refuse_missing(schema_index_, name, "42704", "schema");
    return found->second;
  }

  /// @param query  whose parts these are; empty: the diagram's own
  void read_parts(const Element& parent, const std::string& query) {
    for (const Element& child : parent.children) {
      if (child.name == kInput.name) read_input(child);
      if (child.name == kOutput.name) read_output(child);
      if (child.name == kBox.name) read_box(child, query);
      if (child.name == kQuery.name) read_query(child);
    }
  }

  void read_query(const Element& element) {
    check_element(element, kQuery);
    const Name name = required_name(element, "name");
    add_query(name);
    const bool has_box = std::any_of(element.children.begin(), element.children.end(),
                                     [](const Element& child) { return child.name == kBox.name; });
    if (!has_box) refuse("42601", fmt::format("the query {} has no box", quoted(name.text)), element.span);
    read_parts(element, name.text);
  }
  void add_query(const Name& name) {
    add_name(query_index_, name, diagram_.queries.size(), "query");
    diagram_.queries.push_back(name);
  }

  void read_input(const Element& element) {
    check_element(element, kInput);
    if (diagram_.inputs.size() == kInputsMax) {
      refuse("54000", fmt::format("a diagram has at most {} inputs", kInputsMax), element.span);
    }
    const Name name = required_name(element, "stream");
    add_stream({name, true, diagram_.inputs.size()});
    diagram_.inputs.push_back({name, schema_of(required(element, "schema"))});
  }

  void read_output(const Element& element) {
    check_element(element, kOutput);
    const Name name = required_name(element, "stream");
    add_name(output_index_, name, diagram_.outputs.size(), "output");
    const Attribute* schema = element.find("schema");
    diagram_.outputs.push_back({name, schema ? std::optional<size_t>(schema_of(schema->value)) : std::nullopt});
  }

  void read_box(const Element& element, const std::string& query) {
    check_element(element, kBox);
    if (diagram_.boxes.size() == kBoxesMax) {
      refuse("54000", fmt::format("a diagram has at most {} boxes", kBoxesMax), element.span);
    }
    Box box;
    const Name name = required_name(element, "name");
    add_name(box_index_, name, diagram_.boxes.size(), "box");
    if (query.empty()) add_query(name);
    box.name = name.text;
    box.span = element.span;
    box.name_span = name.span;
    box.query = query.empty() ? name.text : query;
    if (const Attribute* node = element.find("node")) box.node = name_of(node->value).text;
    for (const Element& child : element.children) {
      if (child.name == kParameter.name) {
        check_element(child, kParameter);
        continue;
      }
      const bool is_in = child.name == kIn.name;
      check_element(child, is_in ? kIn : kOut);
      std::vector<Name>& ports = is_in ? box.inputs : box.outputs;
      if (ports.size() == kPortsMax) {
        refuse("54000", fmt::format("a box has at most {} of <{}>", kPortsMax, child.name), child.span);
      }
      ports.push_back(required_name(child, "stream"));
    }
    read_box_type(element, box);
    for (const Name& stream : box.outputs) add_stream({stream, false, diagram_.boxes.size()});
    diagram_.boxes.push_back(std::move(box));
  }

  void add_stream(Stream stream) {
    const auto [found, is_new] = stream_index_.emplace(stream.name.text, streams_.size());
    if (!is_new) {
      const Stream& first = streams_[found->second];
      refuse("42710", fmt::format("the stream {} is written twice", quoted(stream.name.text)), stream.name.span,
             first.is_input ? std::string("it is an input")
                            : fmt::format("the box {} writes it, too; a union box makes one stream of two",
                                          quoted(diagram_.boxes[first.writer].name)));
    }
    streams_.push_back(std::move(stream));
  }

  Stream& stream_of(const Name& name) {
    const auto found = stream_index_.find(name.text);
    if (found == stream_index_.end()) refuse_missing(stream_index_, name, "42P01", "stream");
    return streams_[found->second];
  }

  /// Finds the writer of each stream that is read.
  void connect() {
    writers_.resize(diagram_.boxes.size());
    for (size_t i = 0; i < diagram_.boxes.size(); ++i) {
      for (const Name& name : diagram_.boxes[i].inputs) {
        Stream& stream = stream_of(name);
        stream.is_read = true;
        if (!stream.is_input) writers_[i].push_back(stream.writer);
      }
    }
  }

  /// Boxes after those that they read, otherwise as the document has them.
  void put_in_order() {
    const size_t count = diagram_.boxes.size();
    std::vector<std::vector<size_t>> readers(count);
    std::vector<size_t> missing(count);
    std::priority_queue<size_t, std::vector<size_t>, std::greater<>> ready;
    for (size_t i = 0; i < count; ++i) {
      missing[i] = writers_[i].size();
      for (const size_t writer : writers_[i]) readers[writer].push_back(i);
      if (missing[i] == 0) ready.push(i);
    }
    std::vector<Box> ordered;
    ordered.reserve(count);
    while (!ready.empty()) {
      const size_t next = ready.top();
      ready.pop();
      ordered.push_back(std::move(diagram_.boxes[next]));
      for (const size_t reader : readers[next]) {
        if (--missing[reader] == 0) ready.push(reader);
      }
    }
    if (ordered.size() < count) refuse_circle(missing);
    diagram_.boxes = std::move(ordered);
  }

  /// @param missing  for each box how many of its inputs come from a circle, or from a box behind one
  [[noreturn]] void refuse_circle(const std::vector<size_t>& missing) const {
    const auto writer_of = [&](size_t box) {
      return *std::find_if(writers_[box].begin(), writers_[box].end(), [&](size_t w) { return missing[w] > 0; });
    };
    // Who goes from reader to writer long enough has come into a circle.
    size_t box = static_cast<size_t>(
        std::find_if(missing.begin(), missing.end(), [](size_t count) { return count > 0; }) - missing.begin());
    for (size_t i = 0; i < missing.size(); ++i) box = writer_of(box);
    std::vector<size_t> circle{box};
    while (writer_of(circle.back()) != box) circle.push_back(writer_of(circle.back()));
    std::reverse(circle.begin(), circle.end());
    std::rotate(circle.begin(), std::min_element(circle.begin(), circle.end()), circle.end());

    constexpr size_t kShownMax = 8;
    std::string path;
    for (size_t i = 0; i < circle.size() && i < kShownMax; ++i) {
      path += fmt::format("{} -> ", quoted(diagram_.boxes[circle[i]].name));
    }
    if (circle.size() > kShownMax) path += "... -> ";
    const Box& first = diagram_.boxes[circle[0]];
    refuse("42P19", fmt::format("boxes read each other in a circle: {}{}", path, quoted(first.name)), first.name_span);
  }

  void read_outputs() {
    if (diagram_.outputs.empty()) {
      for (const Stream& stream : streams_) {
        if (!stream.is_input && !stream.is_read) diagram_.outputs.push_back({stream.name, std::nullopt});
      }
    }
    if (diagram_.outputs.size() > kOutputsMax) {
      refuse("54000", fmt::format("a diagram has at most {} outputs", kOutputsMax),
             diagram_.outputs[kOutputsMax].stream.span);
    }
    for (const OutputStream& output : diagram_.outputs) stream_of(output.stream).is_read = true;
    for (const Stream& stream : streams_) {
      if (stream.is_read) continue;
      refuse("42601",
             fmt::format("no box reads the {} {}, and it is no output", stream.is_input ? "input" : "stream",
                         quoted(stream.name.text)),
             stream.name.span,
             stream.is_input ? std::string("leave it out")
                             : fmt::format("write <output stream=\"{}\"/>, or leave it out", stream.name.text));
    }
    if (diagram_.outputs.empty()) refuse("42601", "the diagram has no output", document_.root.span);
  }

  const Document& document_;
  Diagram diagram_;
  Names schema_index_, query_index_, box_index_, output_index_, stream_index_;
  std::vector<Stream> streams_;               ///< in the document's order
  std::vector<std::vector<size_t>> writers_;  ///< of each box: the boxes that write what it reads, by port
};

}  // namespace

std::string_view name(FieldType type) { return kTypeNames[static_cast<size_t>(type)]; }

Result<Diagram> read_diagram(const Document& document) {
  try {
    return DiagramReader(document).read();
  } catch (Refused& refused) {
    return tl::unexpected<base::Diagnostic>(std::move(refused.diagnostic));
  }
}

}  // namespace backstream::borealis
