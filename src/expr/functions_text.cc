// Text, and LIKE. Lengths and positions count characters (UTF-8 code points), as in PostgreSQL.
#include <algorithm>
#include <string>

#include "expr/function.h"

namespace backstream::expr {
namespace {

using Kind = ScalarFunction::Kind;
using Text = std::string_view;
constexpr ValueError kFine = ValueError::kCount;

bool begins_character(char octet) { return (static_cast<unsigned char>(octet) & 0xc0) != 0x80; }
int64_t characters(Text text) { return std::count_if(text.begin(), text.end(), begins_character); }
/// Octet at which character number `index` (from 0) begins; the text's end beyond it.
size_t octet_of(Text text, int64_t index) {
  if (index <= 0) return 0;
  for (size_t at = 0; at < text.size(); ++at) {
    if (begins_character(text[at]) && index-- == 0) return at;
  }
  return text.size();
}

ValueError concatenate(KernelContext& context, Text& r, Text a, Text b) {
  char* to = static_cast<char*>(context.texts.allocate(a.size() + b.size() + 1, 1));
  std::copy(b.begin(), b.end(), std::copy(a.begin(), a.end(), to));
  r = {to, a.size() + b.size()};
  return kFine;
}
template <char first, char last, int shift>
ValueError change_case(KernelContext& context, Text& r, Text a) {
  char* to = static_cast<char*>(context.texts.allocate(a.size() + 1, 1));
  std::transform(a.begin(), a.end(), to,
                 [](char c) { return c >= first && c <= last ? static_cast<char>(c + shift) : c; });
  r = {to, a.size()};
  return kFine;
}
int64_t char_length(Text a) { return characters(a); }
int64_t octet_length(Text a) { return static_cast<int64_t>(a.size()); }
ValueError substring3(KernelContext&, Text& r, Text a, int64_t from, int64_t count) {
  if (count < 0) return ValueError::kInvalidSubstring;
  int64_t end = 0;
  if (__builtin_add_overflow(from, count, &end)) end = INT64_MAX;
  const int64_t begin = std::max<int64_t>(from, 1);
  if (end <= begin) {
    r = {};
    return kFine;
  }
  const size_t at = octet_of(a, begin - 1);
  r = a.substr(at, octet_of(a.substr(at), end - begin));
  return kFine;
}
ValueError substring2(KernelContext&, Text& r, Text a, int64_t from) {
  r = a.substr(octet_of(a, std::max<int64_t>(from, 1) - 1));
  return kFine;
}
ValueError left(KernelContext&, Text& r, Text a, int64_t count) {
  if (count < 0) count = std::max<int64_t>(characters(a) + count, 0);
  r = a.substr(0, octet_of(a, count));
  return kFine;
}
ValueError right(KernelContext&, Text& r, Text a, int64_t count) {
  const int64_t length = characters(a);
  count = count < 0 ? std::max<int64_t>(length + count, 0) : std::min(count, length);
  r = a.substr(octet_of(a, length - count));
  return kFine;
}
/// position(needle IN hay): the grammar passes (hay, needle).
int64_t position(Text hay, Text needle) {
  const size_t at = hay.find(needle);
  return at == Text::npos ? 0 : characters(hay.substr(0, at)) + 1;
}
uint8_t starts_with(Text a, Text prefix) { return a.starts_with(prefix); }
ValueError replace(KernelContext& context, Text& r, Text a, Text from, Text to) {
  if (from.empty() || a.find(from) == Text::npos) {
    r = a;
    return kFine;
  }
  std::string made;
  for (size_t at = 0;;) {
    const size_t next = a.find(from, at);
    made += a.substr(at, next - at);
    if (next == Text::npos) break;
    made += to;
    at = next + from.size();
  }
  r = context.texts.copy(made);
  return kFine;
}
/// lpad, rpad: to `length` characters, cut when longer. At most 64 Ki characters: nobody pads a label further.
template <bool at_begin>
ValueError pad(KernelContext& context, Text& r, Text a, int64_t length, Text fill) {
  length = std::max<int64_t>(length, 0);
  if (length > 65536) return ValueError::kInvalidParameter;
  const int64_t missing = length - characters(a);
  if (missing <= 0 || fill.empty()) {
    r = a.substr(0, octet_of(a, length));
    return kFine;
  }
  std::string padding;
  for (const int64_t whole = characters(fill); static_cast<int64_t>(padding.size()) < missing * 4 && whole > 0;) {
    if (characters(padding) >= missing) break;
    padding += fill;
  }
  padding.resize(octet_of(padding, missing));
  r = context.texts.copy(at_begin ? padding + std::string(a) : std::string(a) + padding);
  return kFine;
}
template <bool at_begin>
ValueError pad_spaces(KernelContext& context, Text& r, Text a, int64_t length) {
  return pad<at_begin>(context, r, a, length, " ");
}
/// Whole characters: an octet of one must not match a part of another.
template <bool at_begin, bool at_end>
ValueError trim_of(KernelContext&, Text& r, Text a, Text what) {
  r = a;
  const auto wanted = [what](Text character) {
    for (size_t at = what.find(character); at != Text::npos; at = what.find(character, at + 1)) {
      if (begins_character(what[at])) return true;
    }
    return false;
  };
  while (at_begin && !r.empty()) {
    const size_t length = octet_of(r, 1);
    if (!wanted(r.substr(0, length))) break;
    r.remove_prefix(length);
  }
  while (at_end && !r.empty()) {
    size_t begin = r.size() - 1;
    while (begin > 0 && !begins_character(r[begin])) --begin;
    if (!wanted(r.substr(begin))) break;
    r = r.substr(0, begin);
  }
  return kFine;
}
template <bool at_begin, bool at_end>
ValueError trim_spaces(KernelContext& context, Text& r, Text a) {
  return trim_of<at_begin, at_end>(context, r, a, " ");
}
ValueError split_part(KernelContext&, Text& r, Text a, Text separator, int64_t number) {
  if (number == 0) return ValueError::kInvalidParameter;
  int64_t fields = 1;
  if (!separator.empty()) {
    for (size_t at = a.find(separator); at != Text::npos; at = a.find(separator, at + separator.size())) ++fields;
  }
  if (number < 0) number += fields + 1;
  r = {};
  if (number < 1 || number > fields) return kFine;
  size_t at = 0;
  for (int64_t field = 1; field < number; ++field) at = a.find(separator, at) + separator.size();
  r = separator.empty() ? a : a.substr(at, a.find(separator, at) - at);
  return kFine;
}

/// LIKE: % any text, _ one character, \ takes the next as it is. Linear in text times pattern, no recursion.
bool like(Text text, Text pattern, bool ignore_case, bool& bad_escape) {
  const auto fold = [ignore_case](char c) {
    return ignore_case && c >= 'A' && c <= 'Z' ? static_cast<char>(c + ('a' - 'A')) : c;
  };
  size_t t = 0, p = 0;
  size_t star_p = Text::npos, star_t = 0;
  while (true) {
    if (p < pattern.size() && pattern[p] == '%') {
      star_p = ++p;
      star_t = t;
      continue;
    }
    if (t == text.size()) break;
    bool matches = false;
    size_t used_p = 1, used_t = 1;
    if (p < pattern.size()) {
      if (pattern[p] == '_') {
        matches = true;
        while (t + used_t < text.size() && !begins_character(text[t + used_t])) ++used_t;
      } else if (pattern[p] == '\\') {
        if (p + 1 == pattern.size()) {
          bad_escape = true;
          return false;
        }
        matches = fold(pattern[p + 1]) == fold(text[t]);
        used_p = 2;
      } else {
        matches = fold(pattern[p]) == fold(text[t]);
      }
    }
    if (matches) {
      p += used_p;
      t += used_t;
    } else if (star_p != Text::npos) {
      p = star_p;
      t = ++star_t;
    } else {
      return false;
    }
  }
  return p == pattern.size();
}
template <bool ignore_case, bool negated>
ValueError like_op(KernelContext&, uint8_t& r, Text a, Text b) {
  bool bad_escape = false;
  r = like(a, b, ignore_case, bad_escape) != negated;
  return bad_escape ? ValueError::kInvalidEscape : kFine;
}

}  // namespace

void add_text_functions(std::vector<ScalarFunction>& table) {
  const Type t = Type::kText, i = Type::kInt4, b = Type::kBool;
  const auto op = [&](std::string_view name, Type result, Kernel k) {
    table.push_back({Kind::kOperator, name, {t, t}, result, k});
  };
  op("||", t, try2<Text, Text, Text, concatenate>);
  op("~~", b, try2<uint8_t, Text, Text, like_op<false, false>>);
  op("!~~", b, try2<uint8_t, Text, Text, like_op<false, true>>);
  op("~~*", b, try2<uint8_t, Text, Text, like_op<true, false>>);
  op("!~~*", b, try2<uint8_t, Text, Text, like_op<true, true>>);
  const auto f = [&](std::string_view name, std::vector<Type> args, Type result, Kernel k) {
    table.push_back({Kind::kFunction, name, std::move(args), result, k});
  };
  f("lower", {t}, t, try1<Text, Text, change_case<'A', 'Z', 'a' - 'A'>>);
  f("upper", {t}, t, try1<Text, Text, change_case<'a', 'z', 'A' - 'a'>>);
  for (const char* name : {"length", "char_length", "character_length"})
    f(name, {t}, i, map1<int64_t, Text, char_length>);
  f("octet_length", {t}, i, map1<int64_t, Text, octet_length>);
  for (const char* name : {"substring", "substr"}) {
    f(name, {t, i, i}, t, try3<Text, Text, int64_t, int64_t, substring3>);
    f(name, {t, i}, t, try2<Text, Text, int64_t, substring2>);
  }
  f("left", {t, i}, t, try2<Text, Text, int64_t, left>);
  f("right", {t, i}, t, try2<Text, Text, int64_t, right>);
  f("position", {t, t}, i, map2<int64_t, Text, Text, position>);
  f("strpos", {t, t}, i, map2<int64_t, Text, Text, position>);
  f("starts_with", {t, t}, b, map2<uint8_t, Text, Text, starts_with>);
  f("replace", {t, t, t}, t, try3<Text, Text, Text, Text, replace>);
  f("lpad", {t, i, t}, t, try3<Text, Text, int64_t, Text, pad<true>>);
  f("rpad", {t, i, t}, t, try3<Text, Text, int64_t, Text, pad<false>>);
  f("lpad", {t, i}, t, try2<Text, Text, int64_t, pad_spaces<true>>);
  f("rpad", {t, i}, t, try2<Text, Text, int64_t, pad_spaces<false>>);
  f("split_part", {t, t, i}, t, try3<Text, Text, Text, int64_t, split_part>);
  f("btrim", {t}, t, try1<Text, Text, trim_spaces<true, true>>);
  f("ltrim", {t}, t, try1<Text, Text, trim_spaces<true, false>>);
  f("rtrim", {t}, t, try1<Text, Text, trim_spaces<false, true>>);
  f("btrim", {t, t}, t, try2<Text, Text, Text, trim_of<true, true>>);
  f("ltrim", {t, t}, t, try2<Text, Text, Text, trim_of<true, false>>);
  f("rtrim", {t, t}, t, try2<Text, Text, Text, trim_of<false, true>>);
}

}  // namespace backstream::expr
