#include "borealis/document.h"

#include <gtest/gtest.h>

#include "borealis/refusal_test.h"

namespace backstream::borealis {
namespace {

std::string_view piece(std::string_view text, SourceSpan span) {
  return text.substr(span.offset_octets, span.length_octets);
}

Document read(std::string_view text) {
  auto document = read_document(text);
  if (!document) {
    ADD_FAILURE() << base::locate(document.error(), "test", text).render();
    return {};
  }
  return std::move(*document);
}

void check(std::initializer_list<Refusal> refusals) {
  for (const Refusal& refusal : refusals) expect_refused(read_document(marked(refusal.text).text), refusal);
}

TEST(BorealisDocument, ElementsAndAttributesKnowTheirPlaces) {
  const std::string_view text = "\n<Borealis>\n  <Box Name = 'Tm'\ttype=\"\"/><box\n/>\n</Borealis >\n";
  const Document document = read(text);
  EXPECT_EQ(document.root.name, "borealis");
  EXPECT_EQ(piece(text, document.root.span), "<Borealis");
  ASSERT_EQ(document.root.children.size(), 2U);
  const Element& box = document.root.children[0];
  EXPECT_EQ(box.name, "box");
  EXPECT_EQ(piece(text, box.span), "<Box");
  ASSERT_EQ(box.attributes.size(), 2U);
  EXPECT_EQ(box.attributes[0].name, "name");
  EXPECT_EQ(piece(text, box.attributes[0].name_span), "Name");
  EXPECT_EQ(box.attributes[0].value.text, "Tm");
  EXPECT_EQ(piece(text, box.attributes[0].value.span), "Tm");
  EXPECT_EQ(box.attributes[1].value.text, "");
  EXPECT_EQ(piece(text, box.attributes[1].value.span), "");
  EXPECT_EQ(text[box.attributes[1].value.span.offset_octets], '"');
  EXPECT_EQ(piece(text, document.root.children[1].span), "<box");
  EXPECT_EQ(box.find("type"), &box.attributes[1]);
  EXPECT_EQ(box.find("Type"), nullptr);
}

TEST(BorealisDocument, OctetsOfAValueKnowTheirPlaces) {
  const std::string_view text = "<a v='1 &lt; &#x41;&#8364; &quot;ü&quot;\r\n\tx&#10;y\n&#x1F600;&#13;&#2047;'/>";
  const Value value = read(text).root.attributes[0].value;
  EXPECT_EQ(value.text, "1 < A€ \"ü\"  x\ny 😀\r\u07ff");
  ASSERT_EQ(value.places.size(), value.text.size() + 1);
  const auto at = [&](std::string_view part) { return piece(text, value.span_of(value.text.find(part), part.size())); };
  EXPECT_EQ(at("1"), "1");
  EXPECT_EQ(at("<"), "&lt;");
  EXPECT_EQ(at("A€"), "&#x41;&#8364;");
  EXPECT_EQ(at("ü"), "ü");
  EXPECT_EQ(at("\"ü\""), "&quot;ü&quot;");
  EXPECT_EQ(at("  x"), "\r\n\tx");
  EXPECT_EQ(at("y 😀"), "y\n&#x1F600;");
  EXPECT_EQ(at("\u07ff"), "&#2047;");
  EXPECT_EQ(piece(text, value.span_of(0, value.text.size())), piece(text, value.span));
  EXPECT_EQ(value.span_of(0, value.text.size() + 1), value.span);
}

TEST(BorealisDocument, ADocumentTypeIsNamedAndNotRead) {
  const Document document = read(
      "<?xml version=\"1.0\" encoding=\"utf-8\"?>\n<!DOCTYPE borealis SYSTEM \"http://127.0.0.1:1/no.dtd\">\n"
      "<!-- a comment --><?xml-stylesheet href='x'?><borealis><!-- another --></borealis><!-- last -->");
  EXPECT_EQ(document.root.name, "borealis");
  EXPECT_EQ(read("<!DOCTYPE a PUBLIC '-//x' '/etc/passwd' [ ]><a/>").root.name, "a");
  EXPECT_EQ(read("<!DOCTYPE a><a/>").root.name, "a");
}

TEST(BorealisDocument, WhatIsDeclaredIsRefused) {
  const std::string_view message = "a document type that declares anything is not read",
                         hint = "leave out what is between [ and ]";
  check({
      {"<!DOCTYPE a [ «<!ENTITY» x 'y'>]><a v='&x;'/>", "42601", message, hint},
      {"<!DOCTYPE a [\n«<!ENTITY» a 'aaaa'><!ENTITY b '&a;&a;&a;'>]><a v='&b;'/>", "42601", message, hint},
      {"<!DOCTYPE a SYSTEM 'x.dtd' [«<!ENTITY» % p SYSTEM 'file:///etc/passwd'>%p;]><a/>", "42601", message, hint},
      {"<!DOCTYPE a [«%p;]»><a/>", "42601", message, hint},
      {"<!DOCTYPE a [«<!ATTLIST» a v CDATA 'x'>]><a/>", "42601", message, hint},
      {"<!DOCTYPE a [«<!ELEMENT» a ANY>]><a/>", "42601", message, hint},
      {"<!DOCTYPE a [«<!NOTATION» n SYSTEM 'x'>]><a/>", "42601", message, hint},
      {"<!DOCTYPE a [«<?backstream» sites='x'?>]><a/>", "42601", message, hint},
      {"<!DOCTYPE a [ «<!--» x -->]><a/>", "42601", message, hint},
  });
}

TEST(BorealisDocument, OtherEntitiesAreRefused) {
  const std::string_view hint = "there are &lt; &gt; &amp; &quot; &apos; and characters by number, such as &#9;";
  check({
      {"<a v='x «&nbsp;» y'/>", "42601", "'&nbsp;' is not known", hint},
      {"<a v='«&Lt;»'/>", "42601", "'&Lt;' is not known", hint},
      {"<a>«&x;»</a>", "42601", "'&x;' is not known", hint},
      // With an external document type they might be declared there, and expat leaves them out.
      {"<!DOCTYPE a SYSTEM 'x.dtd'><a v='«&x;»'/>", "42601", "'&x;' is not known", hint},
      {"<!DOCTYPE a SYSTEM 'x.dtd'><a>«&x;»</a>", "42601", "'&x;' is not known", hint},
      {"<a v='«&#0;»'/>", "42601", "'&#0;' is not known", hint},
      {"<a v='«&#xD800;»'/>", "42601", "'&#xD800;' is not known", hint},
      {"<a v='«&#xFFFE;»'/>", "42601", "'&#xFFFE;' is not known", hint},
      {"<a v='«&#x110000;»'/>", "42601", "'&#x110000;' is not known", hint},
      {"<a v='«&#99999999999999999999;»'/>", "42601", "'&#99999999999999999999;' is not known", hint},
      {"<a v='a «&» b'/>", "42601", "'&' begins an entity, and this is none", "write &amp;"},
      {"<a v='a «&»b'/>", "42601", "'&' begins an entity, and this is none", "write &amp;"},
      {"<a v='a «&»& b'/>", "42601", "'&' begins an entity, and this is none", "write &amp;"},
      {"<a v='«&»;'/>", "42601", "'&' begins an entity, and this is none", "write &amp;"},
  });
}

TEST(BorealisDocument, WhatIsNotWellFormedIsLocated) {
  const std::string_view form = "write name=\"value\"";
  check({
      {"«»", "42601", "there is no element in the text"},
      {"  \n«»", "42601", "there is no element in the text"},
      {"<!-- x -->«»", "42601", "there is no element in the text"},
      {"«S»ELECT 1", "42601", "'S' is not expected here"},
      {"<a>\n  «<b»>\n", "42601", "the element 'b' has no end", "write </b>"},
      {"<a><b></b>\n</«c»>", "42601", "'c' ends where 'a' is open"},
      {"<a><b></«a» ></b>", "42601", "'a' ends where 'b' is open"},
      {"<a v='1' «v»='2'/>", "42601", "the attribute 'v' is there twice"},
      {"<a v='1' «V»='2'/>", "42601", "the attribute 'v' is there twice"},
      {"<a v='x «<» 5'/>", "42601", "'<' is not expected here", "in a value write &lt;"},
      {"<a v=«5»/>", "42601", "'5' is not expected here"},
      {"<a v«/»>", "42601", "'/' is not expected here"},
      {"<a v='1'«w»='2'/>", "42601", "'w' is not expected here"},
      {"<a «=»'2'/>", "42601", "'=' is not expected here"},
      {"<a>\n«<b» v='1", "42601", "what begins here has no end"},
      {"<a>«<!--» x</a>", "42601", "what begins here has no end"},
      {"<a/>\n«<b»/>", "42601", "a document is one element", "nothing but comments stands behind its end"},
      {"<a/> «x»", "42601", "a document is one element", "nothing but comments stands behind its end"},
      {"\n«<?xml» version='1.0'?><a/>", "42601", "<?xml ...?> stands at the very begin, or nowhere"},
      {"<?xml version='1.0' encoding='«ISO-8859-1»'?><a/>", "42601", "the encoding 'ISO-8859-1' is not read",
       "save the file as UTF-8 and write encoding=\"UTF-8\""},
      {"<a>\n  «some text»\n</a>", "42601", "text outside of attributes has no meaning here",
       "write a comment as <!-- ... -->"},
      {"<a><![CDATA[ «x» ]]></a>", "42601", "text outside of attributes has no meaning here",
       "write a comment as <!-- ... -->"},
      {"<a>«&lt;»</a>", "42601", "text outside of attributes has no meaning here", "write a comment as <!-- ... -->"},
      {"<?backstream «sites»?><a/>", "42601", "'sites' has no value", form},
  });
  EXPECT_EQ(read("<a>&#32;&#9;<![CDATA[ \n ]]></a>").root.name, "a");
}

TEST(BorealisDocument, LinesAndColumnsAreThoseOfTheText) {
  const std::string_view text = "<a>\r\n  <!-- ü -->\n\t<ü é='ö &x; '/>\n</a>";
  auto document = read_document(text);
  ASSERT_FALSE(document.has_value());
  EXPECT_EQ(
      base::locate(document.error(), "q.xml", text).render(),
      "q.xml:3:10: error: '&x;' is not known\n"
      "    3 | \t<ü é='ö &x; '/>\n"
      "      | \t        ^~~ hint: there are &lt; &gt; &amp; &quot; &apos; and characters by number, such as &#9;\n");
}

TEST(BorealisDocument, OnlyTextInUtf8IsRead) {
  const auto refused_at = [](std::string_view text, uint32_t offset, std::string_view message) {
    const auto document = read_document(text);
    ASSERT_FALSE(document.has_value()) << text;
    EXPECT_EQ(document.error().code, "22021");
    EXPECT_EQ(document.error().message, message);
    EXPECT_EQ(document.error().span, (SourceSpan{offset, 1}));
  };
  refused_at("<a v='\xfc'/>", 6, "the text is not UTF-8 here");
  refused_at("<a v='\xed\xa0\x80'/>", 6, "the text is not UTF-8 here");
  refused_at("\xff\xfe<\0a\0", 0, "the text is not UTF-8 here");
  refused_at(std::string_view("<a v='\0'/>", 10), 6, "the text holds an octet of zero");
  EXPECT_EQ(read("\xef\xbb\xbf<a v='x'/>").root.attributes[0].value.span, (SourceSpan{9, 1}));  // A byte order mark.
}

TEST(BorealisDocument, InstructionsBeforeTheRootAreOptions) {
  const std::string_view text =
      "<!-- x -->\n<?backstream sites=\"ams,fra\" Bind.packets='flows'\n filter.ams = \"a < 5 &amp;&amp; b\" ?>\n"
      "<!DOCTYPE a><?Backstream?><?backstream a.b='&lt;&#63;&gt;'?><a/>";
  const Document document = read(text);
  ASSERT_EQ(document.options.size(), 4U);
  EXPECT_EQ(document.options[0].name, "sites");
  EXPECT_EQ(document.options[0].value.text, "ams,fra");
  EXPECT_EQ(document.options[1].name, "Bind.packets");
  EXPECT_EQ(piece(text, document.options[1].name_span), "Bind.packets");
  EXPECT_EQ(piece(text, document.options[1].value.span), "flows");
  EXPECT_EQ(document.options[2].value.text, "a < 5 && b");
  EXPECT_EQ(piece(text, document.options[2].value.span_of(6, 2)), "&amp;&amp;");
  EXPECT_EQ(document.options[3].value.text, "<?>");
  EXPECT_TRUE(piece(text, document.options_span).starts_with("<?backstream sites"));
  EXPECT_TRUE(piece(text, document.options_span).ends_with("b\" ?>"));
  EXPECT_EQ(read("<a/>").options_span.length_octets, 0U);
}

TEST(BorealisDocument, OtherInstructionsOfOursAreRefused) {
  const std::string_view form = "write name=\"value\"";
  check({
      {"<a>«<?backstream sites='x'?>»</a>", "42601", "<?backstream ...?> belongs before the first element"},
      {"<a/>«<?backstream sites='x'?>»", "42601", "<?backstream ...?> belongs before the first element"},
      {"<?«backsteam» sites='x'?><a/>", "42601", "'backsteam' is no processing instruction of ours",
       "did you mean 'backstream'?"},
      {"<?backstream sites=«x»?><a/>", "42601", "a value stands in quotes", form},
      {"<?backstream sites=«»?><a/>", "42601", "a value stands in quotes", form},
      {"<?backstream sites=«'»x?><a/>", "42601", "the quote that ends this value is missing", form},
      {"<?backstream «=»'x'?><a/>", "42601", "a name belongs before this", form},
      {"<?backstream «'»x'?><a/>", "42601", "a name belongs before this", form},
      {"<?backstream a='x'«b»='y'?><a/>", "42601", "a space belongs before the next name"},
      {"<?backstream a='x «&y;»'?><a/>", "42601", "'&y;' is not known",
       "there are &lt; &gt; &amp; &quot; &apos; and characters by number, such as &#9;"},
      {"<?backstream a='«&#xD800;»'?><a/>", "42601", "'&#xD800;' is not known",
       "there are &lt; &gt; &amp; &quot; &apos; and characters by number, such as &#9;"},
      {"<?backstream a='x «&» y'?><a/>", "42601", "'&' begins an entity, and this is none", "write &amp;"},
  });
}

std::string repeated(size_t count, std::string_view text) {
  std::string all;
  for (size_t i = 0; i < count; ++i) all += text;
  return all;
}

TEST(BorealisDocument, LimitsAreKept) {
  const auto refused_at = [](std::string_view text, size_t offset, std::string_view message) {
    const auto document = read_document(text);
    ASSERT_FALSE(document.has_value()) << message;
    EXPECT_EQ(document.error().code, "54000") << document.error().message;
    EXPECT_EQ(document.error().message, message);
    EXPECT_EQ(document.error().span.offset_octets, offset);
  };
  const std::string deep = repeated(kDepthMax, "<a>");
  refused_at(deep + "<b/>" + repeated(kDepthMax, "</a>"), deep.size(), "elements are more than 16 deep in each other");
  refused_at(repeated(100'000, "<a>"), deep.size(), "elements are more than 16 deep in each other");
  EXPECT_EQ(read(repeated(kDepthMax, "<a>") + repeated(kDepthMax, "</a>")).root.name, "a");

  const std::string many = "<a>" + repeated(kElementsMax - 1, "<b/>");
  EXPECT_EQ(read(many + "</a>").root.children.size(), kElementsMax - 1);
  refused_at(many + "<b/></a>", many.size(), "the document has more than 50000 elements");

  std::string wide = "<a";
  for (size_t i = 0; i < kAttributesMax; ++i) wide += " v" + std::to_string(i) + "=''";
  EXPECT_EQ(read(wide + "/>").root.attributes.size(), kAttributesMax);
  refused_at(wide + " w=''/>", wide.size() + 1, "more than 64 attributes in one place");

  const std::string options = repeated(kOptionsMax, "<?backstream a=''?>");
  EXPECT_EQ(read(options + "<a/>").options.size(), kOptionsMax);
  refused_at(options + "<?backstream b=''?><a/>", options.size() + 13, "there are more than 1000 options");

  std::string long_value = "<a v='" + std::string(kTextOctetsMax - 9, 'x') + "'/>";
  EXPECT_EQ(read(long_value).root.attributes[0].value.text.size(), kTextOctetsMax - 9);
  refused_at(long_value + " ", kTextOctetsMax, "the text is longer than 1048576 octets");
}

}  // namespace
}  // namespace backstream::borealis
