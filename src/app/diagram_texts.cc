#include "app/diagram_texts.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

#include "app/run_options.h"
#include "borealis/compile.h"
#include "borealis/diagram.h"
#include "service/query_statements.h"

namespace backstream::app {
namespace {

using borealis::Attribute;
using borealis::Document;

constexpr std::string_view kBinding = "bind.", kOpen = "<?backstream", kClose = "?>";

bool is_space(char c) { return std::isspace(static_cast<unsigned char>(c)) != 0; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

/// Streams are called the same in any case, options are not.
bool is_same(std::string_view a, std::string_view b) {
  return a == b || (a.starts_with(kBinding) && lower(a) == lower(b));
}

size_t end_of(base::SourceSpan span) { return size_t{span.offset_octets} + span.length_octets; }

/// As it stands between quotes; '>' because "?>" would end the instruction.
std::string escaped(std::string_view value) {
  std::string out;
  for (const char c : value) {
    switch (c) {
      case '&': out += "&amp;"; break;
      case '<': out += "&lt;"; break;
      case '>': out += "&gt;"; break;
      case '"': out += "&quot;"; break;
      case '\'': out += "&apos;"; break;
      default: out += c;
    }
  }
  return out;
}

std::string attribute(const OptionChange& change) {
  return fmt::format("{}=\"{}\"", change.name, escaped(*change.value));
}

/// A piece of the text that is replaced.
struct Replaced {
  size_t begin, end;
  std::string by;
};

/// The document's first instruction is taken away with the one space before or after it that came with it.
Replaced without_instruction(std::string_view text, base::SourceSpan span) {
  size_t begin = span.offset_octets, end = end_of(span);
  const auto space_at = [&](size_t at) { return at < text.size() && is_space(text[at]); };
  if (end < text.size() && text[end] == '\n' && (begin == 0 || text[begin - 1] == '\n')) ++end;
  else if (begin > 0 && text[begin - 1] == ' ') --begin;
  else if (space_at(end) && text[end] == ' ') ++end;
  return {begin, end, ""};
}

/// Where a document without an instruction gets one: at the end of the last line before the root, where there is one.
Replaced new_instruction(std::string_view text, size_t root, const std::string& attributes) {
  const std::string instruction = fmt::format("{} {}{}", kOpen, attributes, kClose);
  size_t before = root;
  while (before > 0 && is_space(text[before - 1])) --before;
  const bool is_on_its_own_line = text.substr(before, root - before).find('\n') != std::string_view::npos;
  if (before > 0 && is_on_its_own_line) return {before, before, ' ' + instruction};
  return {root, root, instruction + ' '};
}

/// Empty where it cannot be read.
std::set<std::string> input_streams(std::string_view text) {
  std::set<std::string> streams;
  const auto document = borealis::read_document(text);
  if (!document) return streams;
  const auto diagram = borealis::read_diagram(*document);
  if (!diagram) return streams;
  for (const borealis::InputStream& input : diagram->inputs) streams.insert(input.stream.text);
  return streams;
}

std::string with_replaced(std::string text, std::vector<Replaced> pieces) {
  // From behind, so that places before stay what they are.
  std::stable_sort(pieces.begin(), pieces.end(), [](const auto& a, const auto& b) { return a.begin > b.begin; });
  for (const Replaced& piece : pieces) text.replace(piece.begin, piece.end - piece.begin, piece.by);
  return text;
}

}  // namespace

base::Result<std::vector<QueryText>> split_diagram(std::string_view text, const std::string& source_name) {
  const auto statements = service::parse_queries(text, source_name);
  if (!statements) return tl::unexpected(statements.error());
  size_t first = 0, last = text.size();
  while (first < last && is_space(text[first])) ++first;
  while (last > first && is_space(text[last - 1])) --last;
  std::vector<QueryText> queries;
  for (const plan::UnboundStatement& statement : *statements) {
    QueryText query;
    query.name = statement.name;
    query.source = queries.empty() ? source_name : fmt::format("{}#{}", source_name, queries.size() + 1);
    query.offset_octets = first;
    query.length_octets = last - first;
    query.is_named = query.is_diagram = true;
    query.place = statement.name_span;
    queries.push_back(std::move(query));
  }
  return queries;
}

base::Result<std::string> with_diagram_options(const std::string& text, const std::string& source_name,
                                               const std::vector<OptionChange>& changes) {
  auto document = borealis::read_document(text);
  if (!document) {
    base::locate(document.error(), source_name, text);
    return tl::unexpected(std::move(document.error()));
  }
  const std::vector<Attribute>& options = document->options;
  const auto is_of_first = [&](const Attribute& option) {
    return end_of(option.value.span) <= end_of(document->options_span);
  };
  std::vector<Replaced> pieces;
  std::string added;
  for (const OptionChange& change : changes) {
    const auto is_it = [&](const Attribute& option) { return is_same(option.name, change.name); };
    if (change.value && std::none_of(options.begin(), options.end(), is_it))
      added.append(added.empty() ? "" : " ").append(attribute(change));
    for (const Attribute& option : options) {
      if (!is_it(option)) continue;
      if (change.value) {
        pieces.push_back({option.value.span.offset_octets, end_of(option.value.span), escaped(*change.value)});
        continue;
      }
      size_t begin = option.name_span.offset_octets;
      while (is_space(text[begin - 1])) --begin;
      pieces.push_back({begin, end_of(option.value.span) + 1, ""});
    }
  }
  const bool has_instruction = document->options_span.length_octets != 0;
  const auto goes = [&](const Attribute& option) {
    return std::any_of(changes.begin(), changes.end(),
                       [&](const OptionChange& change) { return !change.value && is_same(option.name, change.name); });
  };
  const bool is_emptied = has_instruction && added.empty() && std::any_of(options.begin(), options.end(), goes) &&
                          std::all_of(options.begin(), options.end(),
                                      [&](const Attribute& option) { return !is_of_first(option) || goes(option); });
  if (is_emptied) {
    std::erase_if(pieces, [&](const Replaced& piece) { return piece.begin < end_of(document->options_span); });
    pieces.push_back(without_instruction(text, document->options_span));
  } else if (!added.empty() && !has_instruction) {
    pieces.push_back(new_instruction(text, document->root.span.offset_octets, added));
  } else if (!added.empty()) {
    size_t behind = document->options_span.offset_octets + kOpen.size();
    for (const Attribute& option : options) {
      if (is_of_first(option)) behind = std::max(behind, end_of(option.value.span) + 1);
    }
    pieces.push_back({behind, behind, ' ' + added});
  }
  return with_replaced(text, std::move(pieces));
}

base::Result<std::string> with_bindings(const std::string& text, const std::string& source_name,
                                        const std::vector<std::string>& bindings) {
  if (bindings.empty()) return text;
  std::vector<OptionChange> changes;
  std::set<std::string> bound;
  for (const std::string& binding : bindings) {
    const size_t equals = binding.find('=');
    if (equals == 0 || equals == std::string::npos || equals + 1 == binding.size()) {
      return base::fail("usage", fmt::format("'{}' binds nothing", binding), {},
                        "--bind STREAM=RELATION, such as --bind packets=flows");
    }
    const std::string stream = lower(std::string_view(binding).substr(0, equals));
    if (!bound.insert(stream).second)
      return base::fail("usage", fmt::format("two --bind are of the stream '{}'", stream));
    changes.push_back(set_option(std::string(kBinding) + stream, std::string_view(binding).substr(equals + 1)));
  }
  if (!borealis::is_xml(text)) {
    return base::fail("usage", fmt::format("--bind is for diagrams in Borealis XML, and '{}' is SQL", source_name), {},
                      "a statement names the relations that it reads itself");
  }
  return with_diagram_options(text, source_name, changes);
}

base::Result<void> bind_inputs(std::vector<SqlText>& texts, const std::vector<std::string>& bindings) {
  std::vector<SqlText*> diagrams;
  for (SqlText& text : texts) {
    if (borealis::is_xml(text.text)) diagrams.push_back(&text);
  }
  if (bindings.empty()) return {};
  if (diagrams.empty())
    return base::fail("usage", "--bind is for diagrams in Borealis XML, and all that runs is SQL", {},
                      "a statement names the relations that it reads itself");
  std::vector<bool> is_taken(bindings.size(), diagrams.size() == 1);  // What one alone does not take, it says itself.
  for (SqlText* diagram : diagrams) {
    std::vector<std::string> own = bindings;
    if (diagrams.size() > 1) {
      own.clear();
      const std::set<std::string> inputs = input_streams(diagram->text);
      for (size_t i = 0; i < bindings.size(); ++i) {
        if (!inputs.contains(lower(std::string_view(bindings[i]).substr(0, bindings[i].find('='))))) continue;
        own.push_back(bindings[i]);
        is_taken[i] = true;
      }
    }
    auto bound = with_bindings(diagram->text, diagram->source_name, own);
    if (!bound) return tl::unexpected(std::move(bound.error()));
    diagram->text = std::move(*bound);
  }
  const auto left = std::find(is_taken.begin(), is_taken.end(), false);
  if (left == is_taken.end()) return {};
  return base::fail("usage",
                    fmt::format("no diagram has the input stream of --bind {}",
                                bindings[static_cast<size_t>(left - is_taken.begin())]),
                    {}, "--bind STREAM=RELATION, such as --bind packets=flows");
}

void add_bind_flag(CLI::App& app, std::vector<std::string>& bindings) {
  app.add_option("--bind", bindings,
                 "which relation an input stream of a diagram is (default: the one of its name); may come again")
      ->expected(1)
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
      ->allow_extra_args(false)
      ->type_name("STREAM=RELATION");
}

void add_as_flag(CLI::App& app, std::string& as) {
  app.add_option("--as", as, "plan (default), or the query as a text: sql, xml (a diagram in Borealis XML)")
      ->check(CLI::IsMember({"plan", "sql", "xml"}))
      ->type_name("FORM");
}

bool is_deploy_file(std::string_view text) {
  if (!borealis::is_xml(text)) return false;
  const auto document = borealis::read_document(text);
  return document && document->root.name == "deploy";
}

bool is_query_file(std::string_view name) { return name.ends_with(".sql") || name.ends_with(".xml"); }

}  // namespace backstream::app
