#include "borealis/document.h"

#include <expat.h>
#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

#include "base/utf8.h"
#include "borealis/attributes.h"
#include "borealis/refused.h"

namespace backstream::borealis {
namespace {

using base::Diagnostic;

constexpr std::string_view kInstruction = "backstream";

class DocumentReader {
 public:
  explicit DocumentReader(std::string_view text) : text_(text) {}

  Result<Document> read() {
    const std::unique_ptr<std::remove_pointer_t<XML_Parser>, decltype(&XML_ParserFree)> parser(
        XML_ParserCreate("UTF-8"), &XML_ParserFree);
    parser_ = parser.get();
    XML_SetUserData(parser_, this);
    XML_SetElementHandler(
        parser_, [](void* self, const XML_Char*, const XML_Char** attributes) { of(self).on_start_tag(attributes); },
        [](void* self, const XML_Char*) { of(self).open_.pop_back(); });
    XML_SetCharacterDataHandler(parser_, [](void* self, const XML_Char* data, int octets) {
      of(self).on_text({data, static_cast<size_t>(octets)});
    });
    XML_SetProcessingInstructionHandler(
        parser_, [](void* self, const XML_Char* target, const XML_Char*) { of(self).on_instruction(target); });
    XML_SetXmlDeclHandler(parser_, [](void* self, const XML_Char*, const XML_Char* encoding, int) {
      if (encoding != nullptr) of(self).on_encoding(encoding);
    });
    // External parts are never read: expat does so only through handlers that are not set.
    XML_SetStartDoctypeDeclHandler(
        parser_, [](void* self, const XML_Char*, const XML_Char*, const XML_Char*, int has_internal_subset) {
          if (has_internal_subset != 0) of(self).on_internal_subset();
        });
    XML_SetSkippedEntityHandler(parser_, [](void* self, const XML_Char*, int) {
      of(self).refuse_now(unknown_entity(of(self).text_, of(self).event().offset_octets));
    });

    const bool is_whole = XML_Parse(parser_, text_.data(), static_cast<int>(text_.size()), XML_TRUE) == XML_STATUS_OK;
    if (!is_whole && !error_) error_ = malformed(XML_GetErrorCode(parser_));
    if (error_) return tl::unexpected<Diagnostic>(std::move(*error_));
    return std::move(document_);
  }

 private:
  static DocumentReader& of(void* self) { return *static_cast<DocumentReader*>(self); }

  /// What expat is telling of.
  SourceSpan event() const {
    return {static_cast<uint32_t>(XML_GetCurrentByteIndex(parser_)),
            static_cast<uint32_t>(XML_GetCurrentByteCount(parser_))};
  }
  std::string_view text_of(SourceSpan span) const { return text_.substr(span.offset_octets, span.length_octets); }

  void refuse_now(Diagnostic diagnostic) {
    if (error_) return;
    error_ = std::move(diagnostic);
    XML_StopParser(parser_, XML_FALSE);
  }
  void refuse_now(std::string_view code, std::string message, SourceSpan span, std::string hint = {}) {
    refuse_now(base::fail(code, std::move(message), span, std::move(hint)).value());
  }

  /// @param expected  what expat has read of the attributes: names and values in turn, and null
  void on_start_tag(const XML_Char** expected) {
    const SourceSpan tag = event();
    const std::string_view raw = text_of(tag);
    const size_t name_end = raw.find_first_of(" \t\r\n/>");
    const SourceSpan name{tag.offset_octets, static_cast<uint32_t>(name_end)};

    // An element is opened whatever is wrong: expat may still tell of its end.
    std::vector<Element>* const siblings = open_.empty() ? nullptr : &open_.back()->children;
    Element& element = siblings == nullptr ? document_.root : siblings->emplace_back();
    open_.push_back(&element);
    element.name = lower_case(raw.substr(1, name_end - 1));
    element.span = name;
    if (++element_count_ > kElementsMax) {
      return refuse_now("54000", fmt::format("the document has more than {} elements", kElementsMax), name);
    }
    if (open_.size() > kDepthMax) {
      return refuse_now("54000", fmt::format("elements are more than {} deep in each other", kDepthMax), name);
    }

    const size_t end = tag.offset_octets + raw.size() - (raw[raw.size() - 2] == '/' ? 2 : 1);
    if (auto error = read_attributes(text_, tag.offset_octets + name_end, end, element.attributes)) {
      return refuse_now(std::move(*error));
    }
    for (auto attribute = element.attributes.begin(); attribute != element.attributes.end(); ++attribute) {
      assert(expected[0] != nullptr && attribute->name == expected[0] && attribute->value.text == expected[1]);
      expected += 2;
      attribute->name = lower_case(attribute->name);
      const bool is_repeated = std::any_of(element.attributes.begin(), attribute,
                                           [&](const Attribute& before) { return before.name == attribute->name; });
      if (is_repeated) {
        return refuse_now("42601", fmt::format("the attribute {} is there twice", quoted(attribute->name)),
                          attribute->name_span);
      }
    }
    assert(expected[0] == nullptr);
  }

  void on_text(std::string_view data) {
    if (std::all_of(data.begin(), data.end(), is_xml_space)) return;
    SourceSpan span = event();
    const std::string_view raw = text_of(span);
    const size_t begin = raw.find_first_not_of(" \t\r\n"), end = raw.find_last_not_of(" \t\r\n");
    span = {static_cast<uint32_t>(span.offset_octets + begin), static_cast<uint32_t>(end + 1 - begin)};
    refuse_now("42601", "text outside of attributes has no meaning here", span, "write a comment as <!-- ... -->");
  }

  void on_instruction(std::string_view target) {
    const SourceSpan whole = event();
    const std::string lower = lower_case(target);
    if (lower != kInstruction) {
      if (base::nearest_name(target, {kInstruction}).empty()) return;
      const SourceSpan name{whole.offset_octets + 2, static_cast<uint32_t>(target.size())};
      return refuse_now("42601", fmt::format("{} is no processing instruction of ours", quoted(target)), name,
                        did_you_mean(kInstruction));
    }
    if (element_count_ > 0) {
      return refuse_now("42601", "<?backstream ...?> belongs before the first element", whole);
    }
    const size_t begin = whole.offset_octets + 2 + target.size(), end = whole.offset_octets + whole.length_octets - 2;
    if (auto error = read_attributes(text_, begin, end, document_.options)) return refuse_now(std::move(*error));
    if (document_.options.size() > kOptionsMax) {
      return refuse_now("54000", fmt::format("there are more than {} options", kOptionsMax),
                        document_.options[kOptionsMax].name_span);
    }
    if (document_.options_span.length_octets == 0) document_.options_span = whole;
  }

  void on_encoding(std::string_view encoding) {
    if (lower_case(encoding) == "utf-8") return;
    SourceSpan span = event();
    const size_t at = text_of(span).rfind(encoding);
    span = {static_cast<uint32_t>(span.offset_octets + at), static_cast<uint32_t>(encoding.size())};
    refuse_now("42601", fmt::format("the encoding {} is not read", quoted(encoding)), span,
               "save the file as UTF-8 and write encoding=\"UTF-8\"");
  }

  /// Of <!DOCTYPE name [ … ]>: the event is its '['.
  void on_internal_subset() {
    const size_t at = text_.find_first_not_of(" \t\r\n", event().offset_octets + 1);
    if (at == std::string_view::npos || text_[at] == ']') return;
    const size_t end = std::min(text_.find_first_of(" \t\r\n>", at), text_.size());
    refuse_now("42601", "a document type that declares anything is not read",
               {static_cast<uint32_t>(at), static_cast<uint32_t>(end - at)}, "leave out what is between [ and ]");
  }

  Diagnostic malformed(XML_Error error) const;

  const std::string_view text_;
  XML_Parser parser_ = nullptr;
  Document document_;
  std::vector<Element*> open_;  ///< from the root to where the parser is; only the last one's children grow
  size_t element_count_ = 0;
  std::optional<Diagnostic> error_;
};

/// What expat has found, in words, and as much of the text as is wrong.
Diagnostic DocumentReader::malformed(XML_Error error) const {
  const auto at = static_cast<uint32_t>(
      std::clamp<XML_Index>(XML_GetCurrentByteIndex(parser_), 0, static_cast<XML_Index>(text_.size())));
  const auto until = [&](const char* ends) {
    const size_t end = std::min(text_.find_first_of(ends, at), text_.size());
    return SourceSpan{at, static_cast<uint32_t>(end - at)};
  };
  const auto refused = [](std::string message, SourceSpan span, std::string hint = {}) {
    return base::fail("42601", std::move(message), span, std::move(hint)).value();
  };
  switch (error) {
    case XML_ERROR_NO_ELEMENTS:
      if (open_.empty()) return refused("there is no element in the text", {at, 0});
      return refused(fmt::format("the element {} has no end", quoted(open_.back()->name)), open_.back()->span,
                     fmt::format("write </{}>", open_.back()->name));
    case XML_ERROR_TAG_MISMATCH:
      return refused(
          fmt::format("{} ends where {} is open", quoted(text_of(until(" \t\r\n>"))), quoted(open_.back()->name)),
          until(" \t\r\n>"));
    case XML_ERROR_DUPLICATE_ATTRIBUTE:
      return refused(fmt::format("the attribute {} is there twice", quoted(text_of(until("= \t\r\n")))),
                     until("= \t\r\n"));
    case XML_ERROR_UNCLOSED_TOKEN:
    case XML_ERROR_UNCLOSED_CDATA_SECTION: return refused("what begins here has no end", until(" \t\r\n/>"));
    case XML_ERROR_JUNK_AFTER_DOC_ELEMENT:
      return refused("a document is one element", until(" \t\r\n/>"), "nothing but comments stands behind its end");
    case XML_ERROR_MISPLACED_XML_PI:
      return refused("<?xml ...?> stands at the very begin, or nowhere", until(" \t\r\n"));
    case XML_ERROR_UNDEFINED_ENTITY:
    case XML_ERROR_BAD_CHAR_REF: {
      if (text_[at] == '&') return unknown_entity(text_, at);
      // It is in a value of this tag, of which expat has told nothing but the begin.
      std::vector<Attribute> attributes;
      auto found =
          read_attributes(text_, std::min(text_.find_first_of(" \t\r\n", at), text_.size()), text_.size(), attributes);
      if (found) return std::move(*found);
      break;
    }
    default: break;
  }
  const size_t before = at == 0 ? std::string_view::npos : text_.find_last_of("&;=<>\"' \t\r\n", at - 1);
  if (before != std::string_view::npos && text_[before] == '&') return unknown_entity(text_, before);
  uint32_t octets = at < text_.size() ? 1 : 0;
  while (at + octets < text_.size() && (static_cast<unsigned char>(text_[at + octets]) & 0xc0) == 0x80) ++octets;
  if ((error == XML_ERROR_INVALID_TOKEN || error == XML_ERROR_SYNTAX) && at < text_.size()) {
    const std::string found = quoted(text_.substr(at, octets));
    if (text_[at] == '<') return refused("'<' is not expected here", {at, octets}, "in a value write &lt;");
    return refused(fmt::format("{} is not expected here", found), {at, octets});
  }
  return refused(fmt::format("this is no XML: {}", XML_ErrorString(error)), {at, octets});
}

}  // namespace

SourceSpan Value::span_of(size_t begin, size_t length) const {
  const size_t end = begin + length;
  if (end >= places.size()) return span;
  return {places[begin], places[end] - places[begin]};
}

const Attribute* Element::find(std::string_view attribute) const {
  for (const Attribute& found : attributes) {
    if (found.name == attribute) return &found;
  }
  return nullptr;
}

Result<Document> read_document(std::string_view text) {
  if (text.size() > kTextOctetsMax) {
    return base::fail("54000", fmt::format("the text is longer than {} octets", kTextOctetsMax),
                      {static_cast<uint32_t>(kTextOctetsMax), 0});
  }
  const size_t bad = base::find_bad_text(text);
  if (bad != std::string_view::npos) {
    const SourceSpan span{static_cast<uint32_t>(bad), 1};
    if (text[bad] == '\0')
      return base::fail("22021", "the text holds an octet of zero", span, "save the file as UTF-8");
    return base::fail("22021", "the text is not UTF-8 here", span, "save the file as UTF-8");
  }
  return DocumentReader(text).read();
}

}  // namespace backstream::borealis
