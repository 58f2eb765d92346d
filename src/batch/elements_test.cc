#include "batch/elements.h"

#include <gtest/gtest.h>

#include <set>

#include "batch/flow_schema.h"

namespace backstream::batch {
namespace {

TEST(Elements, AreOrderedAndUnlikeEachOtherAndTheColumnsOfFlows) {
  std::set<std::string_view> names;
  int last = 0;
  for (const Element& element : iana_elements()) {
    EXPECT_GT(int{element.id}, last) << element.name;
    last = element.id;
    EXPECT_TRUE(names.insert(element.name).second) << element.name;
  }
  for (size_t c = 0; c < kFlowColumnCount; ++c) EXPECT_FALSE(names.contains(flow_schema().columns[c].name));
  EXPECT_GE(iana_elements().size(), 500u);
}

/// From RFC 7011, RFC 7012 and the RFCs that asked for them.
TEST(Elements, AreAsTheStandardsSay) {
  const auto find = [](uint16_t id) {
    for (const Element& element : iana_elements()) {
      if (element.id == id) return element;
    }
    return Element{};
  };
  const Element expected[] = {
      {1, "octetDeltaCount", ElementType::kUnsigned64, ElementSemantics::kDeltaCounter},
      {8, "sourceIPv4Address", ElementType::kIpv4Address, ElementSemantics::kDefault},
      {82, "interfaceName", ElementType::kString, ElementSemantics::kDefault},
      {95, "applicationId", ElementType::kOctetArray, ElementSemantics::kDefault},
      {152, "flowStartMilliseconds", ElementType::kDateTimeMilliseconds, ElementSemantics::kDefault},
      {218, "tcpSynTotalCount", ElementType::kUnsigned64, ElementSemantics::kTotalCounter},
      {276, "dataRecordsReliability", ElementType::kBoolean, ElementSemantics::kDefault},
      {291, "basicList", ElementType::kBasicList, ElementSemantics::kList}};
  for (const Element& element : expected) {
    EXPECT_EQ(find(element.id).name, element.name);
    EXPECT_EQ(find(element.id).type, element.type) << element.name;
  }
  EXPECT_EQ(find(1).semantics, ElementSemantics::kDeltaCounter);
  EXPECT_EQ(find(218).semantics, ElementSemantics::kTotalCounter);
}

TEST(Elements, TypesHaveNames) {
  for (const std::string_view text : element_type_names()) EXPECT_EQ(name(*parse_element_type(text)), text);
  EXPECT_FALSE(parse_element_type("bigint"));
  EXPECT_FALSE(parse_element_type("Unsigned64"));
}

TEST(FlowSchema, ElementsAreHiddenAndUserColumnsAreNot) {
  const std::vector<UserColumn> added = {{"app", {9, 12232, ElementType::kString}}};
  const Schema schema = flow_schema(added);
  const auto columns = element_columns(added);
  ASSERT_EQ(schema.columns.size(), kFlowColumnCount + columns.size());
  const int element = schema.find("tcpSynTotalCount");
  ASSERT_GE(element, 0);
  EXPECT_TRUE(schema.columns[static_cast<size_t>(element)].hidden);
  EXPECT_EQ(columns[static_cast<size_t>(element) - kFlowColumnCount].element, 218);
  EXPECT_EQ(schema.columns.back().name, "app");
  EXPECT_FALSE(schema.columns.back().hidden);
  EXPECT_EQ(schema.columns.back().type, Type::kText);
  EXPECT_EQ(columns.back(), added[0].from);
}

}  // namespace
}  // namespace backstream::batch
