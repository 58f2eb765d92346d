#include "borealis/compile.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "borealis/diagram.h"
#include "borealis/select_builder.h"
#include "plan/bind.h"

namespace backstream::borealis {

using base::fail;

namespace {

constexpr std::string_view kBind = "bind.";

class DiagramSelect final : public plan::SelectMaker {
 public:
  DiagramSelect(std::shared_ptr<const Diagram> diagram, size_t output, std::shared_ptr<const Bindings> bindings)
      : diagram_(std::move(diagram)), output_(output), bindings_(std::move(bindings)) {
    for (const InputStream& input : diagram_->inputs) {
      const auto bound = bindings_->find(input.stream.text);
      relations_.push_back({bound == bindings_->end() ? input.stream.text : bound->second.relation, input.stream.span});
    }
  }
  Result<std::unique_ptr<plan::UnboundSelect>> make(const plan::Catalog& catalog) const override {
    return make_select(*diagram_, output_, *bindings_, catalog);
  }
  const std::vector<plan::UnboundName>& relations() const override { return relations_; }

 private:
  const std::shared_ptr<const Diagram> diagram_;
  const size_t output_;
  const std::shared_ptr<const Bindings> bindings_;
  std::vector<plan::UnboundName> relations_;
};

plan::UnboundOption option_of(const Attribute& attribute) {
  plan::UnboundOption made;
  made.name = attribute.name;
  made.value = attribute.value.text;
  made.span = {
      attribute.name_span.offset_octets,
      attribute.value.span.offset_octets + attribute.value.span.length_octets + 1 - attribute.name_span.offset_octets};
  made.places = attribute.value.places;
  return made;
}

Result<std::vector<plan::UnboundStatement>> read(std::string_view text) {
  auto document = read_document(text);
  if (!document) return tl::unexpected(std::move(document.error()));
  auto read = read_diagram(*document);
  if (!read) return tl::unexpected(std::move(read.error()));
  const auto diagram = std::make_shared<const Diagram>(std::move(*read));
  Bindings bindings;
  std::vector<const Attribute*> options;
  for (const Attribute& option : diagram->options) {
    const auto same = [&](const Attribute& before) { return &before < &option && before.name == option.name; };
    if (std::any_of(diagram->options.begin(), diagram->options.end(), same))
      return fail("42601", fmt::format("the option '{}' is given twice", option.name), option.name_span);
    if (!option.name.starts_with(kBind)) {
      options.push_back(&option);
      continue;
    }
    std::string stream = option.name.substr(kBind.size());
    std::transform(stream.begin(), stream.end(), stream.begin(), [](unsigned char c) { return std::tolower(c); });
    std::vector<std::string_view> inputs;
    for (const InputStream& input : diagram->inputs) inputs.push_back(input.stream.text);
    if (std::find(inputs.begin(), inputs.end(), stream) == inputs.end()) {
      const auto near = base::nearest_name(stream, inputs);
      std::string list;
      for (const std::string_view input : inputs) list.append(list.empty() ? "" : ", ").append(input);
      return fail("42704", fmt::format("the diagram has no input \"{}\"", stream), option.name_span,
                  near.empty() ? fmt::format("inputs are {}", list) : fmt::format("did you mean '{}'?", near));
    }
    if (!bindings.try_emplace(stream, Binding{option.value.text, option.value.span}).second)
      return fail("42601", fmt::format("the input '{}' is bound twice", stream), option.name_span);
  }
  const auto shared = std::make_shared<const Bindings>(std::move(bindings));
  std::vector<plan::UnboundStatement> statements;
  for (size_t i = 0; i < diagram->outputs.size(); ++i) {
    plan::UnboundStatement& statement = statements.emplace_back();
    statement.kind = plan::UnboundStatement::Kind::kCreateMaterializedView;
    statement.span = {0, static_cast<uint32_t>(text.size())};
    statement.name = diagram->outputs[i].stream.text;
    statement.name_span = diagram->outputs[i].stream.span;
    bool decides_errors = false;
    for (const Attribute* option : options) {
      statement.options.push_back(option_of(*option));
      decides_errors = decides_errors || option->name == "on_error";
    }
    if (!decides_errors) {  // Borealis has no null that could stand for what cannot be computed.
      plan::UnboundOption& drops = statement.options.emplace_back();
      drops.name = "on_error";
      drops.value = "drop";
      drops.span = statement.name_span;
    }
    statement.maker = std::make_shared<DiagramSelect>(diagram, i, shared);
  }
  return statements;
}

}  // namespace

bool is_xml(std::string_view text) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  const size_t first = text.find_first_not_of(" \t\r\n");
  return first != std::string_view::npos && text[first] == '<';
}

Result<std::vector<plan::UnboundStatement>> parse(std::string_view text, std::string_view source_name) {
  auto statements = read(text);
  if (!statements) base::locate(statements.error(), source_name, text);
  return statements;
}

}  // namespace backstream::borealis
