#include "borealis/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "borealis/elements.h"
#include "borealis/refused.h"

namespace backstream::borealis {
namespace {

std::string_view trimmed(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\r\n";
  const size_t begin = text.find_first_not_of(kSpaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

template <typename T>
std::optional<T> parsed(std::string_view text) {
  text = trimmed(text);
  if (text.starts_with('+')) text.remove_prefix(1);
  T number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

/// "expression" and 12 of "expression.12"; none: there is no number, or one with zeros before it.
struct Numbering {
  std::string_view name;
  uint32_t number;
};
std::optional<Numbering> numbering_of(std::string_view name) {
  const size_t point = name.rfind('.');
  if (point == std::string_view::npos) return std::nullopt;
  const std::string_view digits = name.substr(point + 1);
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (error != std::errc() || end != digits.data() + digits.size() || (digits.size() > 1 && digits[0] == '0')) {
    return std::nullopt;
  }
  return Numbering{name.substr(0, point), number};
}

std::vector<std::string> names_of(std::span<const ParameterType> types) {
  std::vector<std::string> names;
  for (const ParameterType& type : types) {
    if (type.use == ParameterType::Use::kRefused) continue;
    names.push_back(type.use == ParameterType::Use::kNumbered ? fmt::format("{}.0", type.name)
                                                              : std::string(type.name));
  }
  return names;
}

[[noreturn]] void refuse_unknown(std::string_view box_type, const Name& name, std::span<const ParameterType> types) {
  const std::vector<std::string> names = names_of(types);
  std::string message = fmt::format("{} boxes have no parameter {}", box_type, quoted(name.text));
  for (const ParameterType& type : types) {
    if (type.use != ParameterType::Use::kNumbered || type.name != name.text) continue;
    refuse("42704", std::move(message), name.span, fmt::format("they are numbered: {}.0", type.name));
  }
  const std::vector<std::string_view> views(names.begin(), names.end());
  const std::string_view nearest = base::nearest_name(name.text, views);
  refuse("42704", std::move(message), name.span,
         !nearest.empty() ? did_you_mean(nearest)
         : names.empty()  ? std::string("they have none")
                          : fmt::format("they have {}", listed(views)));
}

}  // namespace

Parameters::Parameters(const Element& box, std::string_view box_type, std::span<const ParameterType> types)
    : box_(box), box_type_(box_type) {
  for (const Element& child : box.children) {
    if (child.name != kParameter.name) continue;
    const Name name = required_name(child, "name");
    const Value& value = borealis::required(child, "value");
    const std::optional<Numbering> numbering = numbering_of(name.text);
    const auto type = std::find_if(types.begin(), types.end(), [&](const ParameterType& candidate) {
      if (candidate.use != ParameterType::Use::kNumbered && candidate.name == name.text) return true;
      return candidate.use != ParameterType::Use::kTaken && numbering && candidate.name == numbering->name;
    });
    if (type == types.end()) refuse_unknown(box_type, name, types);
    if (type->use == ParameterType::Use::kRefused) {
      if (!type->default_value.empty() && trimmed(value.text) == type->default_value) continue;
      refuse("0A000", fmt::format("the parameter {} is not supported", quoted(name.text)), name.span,
             std::string(type->hint));
    }
    const Found found{type->name, name.span, &value, numbering ? numbering->number : 0};
    if (type->use == ParameterType::Use::kNumbered) {
      numbered_[type->name].push_back(found);
    } else if (!single_.emplace(type->name, found).second) {
      refuse("42710", fmt::format("the parameter {} is there twice", quoted(name.text)), name.span);
    }
  }
  for (auto& [name, all] : numbered_) {
    std::stable_sort(all.begin(), all.end(), [](const Found& a, const Found& b) { return a.number < b.number; });
    const auto repeated =
        std::adjacent_find(all.begin(), all.end(), [](const Found& a, const Found& b) { return a.number == b.number; });
    if (repeated == all.end()) continue;
    refuse("42710", fmt::format("the parameter '{}.{}' is there twice", name, repeated->number), repeated[1].name_span);
  }
}

const Value* Parameters::find(std::string_view name) const {
  const auto found = single_.find(name);
  return found == single_.end() ? nullptr : found->second.value;
}

const Value& Parameters::required(std::string_view name) const {
  const Value* value = find(name);
  if (value == nullptr) {
    refuse("42601", fmt::format("{} boxes need the parameter '{}'", box_type_, name), box_.span);
  }
  if (trimmed(value->text).empty()) refuse("22023", fmt::format("'{}' is empty", name), value->span);
  return *value;
}

std::span<const Parameters::Found> Parameters::numbered_of(std::string_view name) const {
  const auto found = numbered_.find(name);
  return found == numbered_.end() ? std::span<const Found>() : found->second;
}

std::vector<Parameters::Pair> Parameters::numbered(std::string_view values, std::string_view names, size_t count_max,
                                                   bool needs_names) const {
  std::vector<Pair> pairs;
  const std::span<const Found> found = numbered_of(values);
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].number != i) {
      refuse("42601", fmt::format("'{}.{}' is there without '{}.{}'", values, found[i].number, values, i),
             found[i].name_span, "numbers begin at 0 and leave none out");
    }
    if (i == count_max) {
      refuse("54000", fmt::format("a box has at most {} of '{}.0', …", count_max, values), found[i].name_span);
    }
    const Value& value = *found[i].value;
    if (trimmed(value.text).empty()) refuse("22023", fmt::format("'{}.{}' is empty", values, i), value.span);
    pairs.push_back({&value, nullptr});
  }
  for (const Found& name : numbered_of(names)) {
    if (name.number >= pairs.size()) {
      refuse("42601", fmt::format("'{0}.{1}' is there without '{2}.{1}'", names, name.number, values), name.name_span);
    }
    pairs[name.number].name = name.value;
  }
  for (size_t i = 0; i < pairs.size() && needs_names; ++i) {
    if (pairs[i].name != nullptr) continue;
    refuse("42601", fmt::format("'{0}.{1}' needs '{2}.{1}'", values, i, names), found[i].name_span);
  }
  return pairs;
}

std::vector<const Value*> Parameters::numbered(std::string_view values, size_t count_max) const {
  std::vector<const Value*> all;
  for (const Pair& pair : numbered(values, {}, count_max, false)) all.push_back(pair.value);
  return all;
}

bool Parameters::flag(std::string_view name) const {
  const Value* value = find(name);
  if (value == nullptr) return false;
  const std::string word = lower_case(trimmed(value->text));
  if (word == "1" || word == "true") return true;
  if (word == "0" || word == "false") return false;
  refuse("22023", fmt::format("'{}' is 0 or 1, not {}", name, quoted(value->text)), value->span);
}

std::optional<double> Parameters::number(std::string_view name) const {
  const Value* value = find(name);
  if (value == nullptr) return std::nullopt;
  const std::optional<double> number = parsed<double>(value->text);
  if (!number || !std::isfinite(*number)) {
    refuse("22023", fmt::format("'{}' is a number, not {}", name, quoted(value->text)), value->span);
  }
  return number;
}

std::optional<uint64_t> Parameters::whole_number(std::string_view name, uint64_t max) const {
  const Value* value = find(name);
  if (value == nullptr) return std::nullopt;
  const std::optional<uint64_t> number = parsed<uint64_t>(value->text);
  if (!number || *number > max) {
    refuse("22023", fmt::format("'{}' is a whole number from 0 to {}, not {}", name, max, quoted(value->text)),
           value->span);
  }
  return number;
}

std::string_view Parameters::word(std::string_view name, std::span<const std::string_view> words) const {
  const Value& value = required(name);
  const std::string lower = lower_case(trimmed(value.text));
  const auto found = std::find(words.begin(), words.end(), lower);
  if (found != words.end()) return *found;
  std::string upper;
  for (const std::string_view word : words) {
    upper += upper.empty() ? "" : " or ";
    for (const char c : word) upper += static_cast<char>(c - 'a' + 'A');
  }
  refuse("22023", fmt::format("'{}' is {}, not {}", name, upper, quoted(value.text)), value.span);
}

}  // namespace backstream::borealis
