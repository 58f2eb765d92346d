#include "app/shell/alter_text.h"

#include <fmt/format.h>

#include <algorithm>

#include "sql/parse.h"
#include "sql/tokens.h"

namespace backstream::app::shell {
namespace {

/// An option of a WITH list: its name, and its text as it is written.
struct Option {
  std::string name, text;
};

std::string option_text(const plan::UnboundOption& option, std::string_view whole) {
  return std::string(whole.substr(option.span.offset_octets, option.span.length_octets));
}

}  // namespace

std::string quoted_name(std::string_view name) {
  const bool plain = !name.empty() && !(name[0] >= '0' && name[0] <= '9') &&
                     std::all_of(name.begin(), name.end(),
                                 [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_'; });
  if (plain) return std::string(name);
  std::string out = "\"";
  for (const char c : name) {
    if (c == '"') out += '"';
    out += c;
  }
  return out += '"';
}

base::Result<std::string> altered_text(const std::string& name, const std::string& text,
                                       const plan::UnboundStatement& alter, std::string_view alter_text) {
  using Kind = plan::UnboundStatement::Kind;
  auto parsed = sql::parse(text, name);
  if (!parsed) return tl::unexpected(std::move(parsed.error()));
  if (parsed->size() != 1 || ((*parsed)[0].kind != Kind::kSelect && (*parsed)[0].kind != Kind::kCreateMaterializedView))
    return base::fail("42809", fmt::format("\"{}\" is no materialized view", name));
  const plan::UnboundStatement& statement = (*parsed)[0];

  std::vector<Option> options;
  for (const plan::UnboundOption& option : statement.options)
    options.push_back({option.name, option_text(option, text)});
  for (const plan::UnboundOption& changed : alter.options) {
    const auto found =
        std::find_if(options.begin(), options.end(), [&](const Option& o) { return o.name == changed.name; });
    if (alter.resets) {
      if (found != options.end()) options.erase(found);
    } else if (found != options.end()) {
      found->text = option_text(changed, alter_text);
    } else {
      options.push_back({changed.name, option_text(changed, alter_text)});
    }
  }
  std::string with;
  for (const Option& option : options) with += (with.empty() ? "WITH (" : ", ") + option.text;
  if (!with.empty()) with += ") ";

  if (statement.kind == Kind::kSelect)
    return fmt::format("CREATE MATERIALIZED VIEW {} {}AS\n{}", quoted_name(name), with, text);
  // After the name (and its columns) come WITH (…) or AS; what WITH has begins with the first option.
  const sql::Tokens tokens(text);
  uint32_t as = tokens.at(statement.name_span.offset_octets) + 1, begin = sql::Token::kNone;
  for (; as < tokens.size() && !tokens.is_word(as, "as"); ++as) {
    if (tokens.is_word(as, "with")) begin = as;
    if (tokens.is(as, "(") && tokens[as].partner != sql::Token::kNone) as = tokens[as].partner;
  }
  if (as >= tokens.size()) return base::fail("42601", fmt::format("the text of \"{}\" has no AS", name));
  const size_t from = tokens[begin == sql::Token::kNone ? as : begin].offset;
  return text.substr(0, from) + with + text.substr(tokens[as].offset);
}

}  // namespace backstream::app::shell
