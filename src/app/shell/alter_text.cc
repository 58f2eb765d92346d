#include "app/shell/alter_text.h"

#include "app/query_texts.h"

namespace backstream::app::shell {

base::Result<std::string> altered_text(const std::string& name, const std::string& text,
                                       const plan::UnboundStatement& alter, std::string_view alter_text) {
  std::vector<OptionChange> changes;
  for (const plan::UnboundOption& option : alter.options) {
    OptionChange& change = changes.emplace_back();
    change.name = option.name;
    if (alter.resets) continue;
    change.value = option.has_value ? option.value : "true";
    change.written = alter_text.substr(option.span.offset_octets, option.span.length_octets);
  }
  return with_options(text, name, changes);
}

}  // namespace backstream::app::shell
