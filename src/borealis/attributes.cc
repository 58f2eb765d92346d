#include "borealis/attributes.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "borealis/refused.h"

namespace backstream::borealis {
namespace {

using base::Diagnostic;

SourceSpan span_between(size_t begin, size_t end) {
  return {static_cast<uint32_t>(begin), static_cast<uint32_t>(end - begin)};
}
Diagnostic malformed(std::string message, SourceSpan span, std::string hint = "write name=\"value\"") {
  return base::fail("42601", std::move(message), span, std::move(hint)).value();
}

void append_utf8(uint32_t code_point, std::string& out) {
  const auto put = [&](uint32_t octet) { out += static_cast<char>(octet); };
  if (code_point < 0x80) return put(code_point);
  if (code_point < 0x800) {
    put(0xc0 | code_point >> 6);
    return put(0x80 | (code_point & 0x3f));
  }
  if (code_point < 0x10000) {
    put(0xe0 | code_point >> 12);
  } else {
    put(0xf0 | code_point >> 18);
    put(0x80 | (code_point >> 12 & 0x3f));
  }
  put(0x80 | (code_point >> 6 & 0x3f));
  put(0x80 | (code_point & 0x3f));
}

/// XML 1.0 §2.2.
bool is_xml_character(uint32_t c) {
  return c == 0x9 || c == 0xa || c == 0xd || (c >= 0x20 && c < 0xd800) || (c >= 0xe000 && c < 0xfffe) ||
         (c >= 0x10000 && c < 0x110000);
}

uint32_t digit_of(char c) {
  if (c >= '0' && c <= '9') return static_cast<uint32_t>(c - '0');
  if (c >= 'a' && c <= 'f') return static_cast<uint32_t>(c - 'a' + 10);
  if (c >= 'A' && c <= 'F') return static_cast<uint32_t>(c - 'A' + 10);
  return 16;
}

/// What "&…;" stands for, given what is between the two; none: it stands for no character.
std::optional<uint32_t> character_of(std::string_view reference) {
  if (reference == "lt") return '<';
  if (reference == "gt") return '>';
  if (reference == "amp") return '&';
  if (reference == "apos") return '\'';
  if (reference == "quot") return '"';
  if (reference.size() < 2 || reference[0] != '#') return std::nullopt;
  const uint32_t base = reference[1] == 'x' ? 16 : 10;
  reference.remove_prefix(base == 16 ? 2 : 1);
  uint32_t character = 0;
  for (const char c : reference) {
    const uint32_t digit = digit_of(c);
    if (digit >= base) return std::nullopt;
    character = character * base + digit;
    if (character >= 0x110000) return std::nullopt;
  }
  if (reference.empty() || !is_xml_character(character)) return std::nullopt;
  return character;
}

class AttributeReader {
 public:
  AttributeReader(std::string_view text, size_t begin, size_t end) : text_(text.substr(0, end)), at_(begin) {}

  std::optional<Diagnostic> read(std::vector<Attribute>& attributes) {
    const size_t count_before = attributes.size();
    while (true) {
      const size_t gap = at_;
      skip_space();
      if (at_ == text_.size()) return std::nullopt;
      if (gap == at_) return malformed("a space belongs before the next name", span_between(at_, at_ + 1), {});
      Attribute attribute;
      if (auto error = read_name(attribute)) return error;
      if (attributes.size() - count_before == kAttributesMax) {
        return base::fail("54000", fmt::format("more than {} attributes in one place", kAttributesMax),
                          attribute.name_span)
            .value();
      }
      if (auto error = read_value(attribute.value)) return error;
      attributes.push_back(std::move(attribute));
    }
  }

 private:
  void skip_space() {
    while (at_ < text_.size() && is_xml_space(text_[at_])) ++at_;
  }

  std::optional<Diagnostic> read_name(Attribute& attribute) {
    const size_t begin = at_;
    at_ = std::min(text_.find_first_of("= \t\r\n\"'", at_), text_.size());
    attribute.name = text_.substr(begin, at_ - begin);
    attribute.name_span = span_between(begin, at_);
    if (at_ == begin) return malformed("a name belongs before this", span_between(at_, at_ + 1));
    skip_space();
    if (at_ == text_.size() || text_[at_] != '=') {
      return malformed(fmt::format("{} has no value", quoted(attribute.name)), attribute.name_span);
    }
    ++at_;
    skip_space();
    return std::nullopt;
  }

  std::optional<Diagnostic> read_value(Value& value) {
    if (at_ == text_.size() || (text_[at_] != '"' && text_[at_] != '\'')) {
      return malformed("a value stands in quotes", span_between(at_, std::min(at_ + 1, text_.size())));
    }
    const size_t begin = at_ + 1, end = text_.find(text_[at_], begin);
    if (end == std::string_view::npos) {
      return malformed("the quote that ends this value is missing", span_between(at_, at_ + 1));
    }
    value.span = span_between(begin, end);
    for (at_ = begin; at_ < end;) {
      const auto place = static_cast<uint32_t>(at_);
      if (text_[at_] == '&') {
        const size_t semicolon = text_.find(';', at_);
        const auto character =
            semicolon < end ? character_of(text_.substr(at_ + 1, semicolon - at_ - 1)) : std::nullopt;
        if (!character) return unknown_entity(text_.substr(0, end), at_);
        append_utf8(*character, value.text);
        at_ = semicolon + 1;
      } else if (is_xml_space(text_[at_])) {  // XML 1.0 §2.11 and §3.3.3: the end of a line is one space.
        value.text += ' ';
        at_ += text_.substr(at_, 2) == "\r\n" ? 2 : 1;
      } else {
        value.text += text_[at_++];
      }
      value.places.resize(value.text.size(), place);
    }
    value.places.push_back(static_cast<uint32_t>(end));
    ++at_;
    return std::nullopt;
  }

  const std::string_view text_;
  size_t at_;
};

}  // namespace

std::optional<Diagnostic> read_attributes(std::string_view text, size_t begin, size_t end,
                                          std::vector<Attribute>& attributes) {
  return AttributeReader(text, begin, end).read(attributes);
}

Diagnostic unknown_entity(std::string_view text, size_t at) {
  const size_t end = text.find_first_of("; \t\r\n\"'<>&=", at + 1);
  if (end == std::string_view::npos || text[end] != ';' || end == at + 1) {
    return malformed("'&' begins an entity, and this is none", span_between(at, at + 1), "write &amp;");
  }
  return malformed(fmt::format("{} is not known", quoted(text.substr(at, end + 1 - at))), span_between(at, end + 1),
                   "there are &lt; &gt; &amp; &quot; &apos; and characters by number, such as &#9;");
}

bool is_xml_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

}  // namespace backstream::borealis
