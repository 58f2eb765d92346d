#include <gtest/gtest.h>

#include "lookup/lookup_test_input.h"
#include "lookup/table_reader.h"

namespace backstream::lookup {
namespace {

using batch::Type;
using Rows = std::vector<std::string>;

const TableDefinition kInterfaces = {"interfaces",
                                     {{{"exporter", Type::kInet},
                                       {"if_index", Type::kInt8},
                                       {"name", Type::kText},
                                       {"speed", Type::kFloat8},
                                       {"up", Type::kBool}}},
                                     {0, 1}};

Rows rows_of(std::string_view text) {
  const auto read = read_json(text, "x.json", kInterfaces);
  EXPECT_TRUE(read) << read.error().render();
  return read ? rows_text(*read->table) : Rows{};
}
std::string error_of(std::string_view text, const ReadLimits& limits = {}) {
  const auto read = read_json(text, "x.json", kInterfaces, limits);
  EXPECT_FALSE(read);
  return read ? "" : read.error().code + " " + read.error().render();
}
bool has(const std::string& text, std::string_view part) {
  if (text.find(part) != std::string::npos) return true;
  ADD_FAILURE() << "no '" << part << "' in: " << text;
  return false;
}

TEST(JsonReader, ObjectsAreRowsAndNamesAreColumns) {
  EXPECT_EQ(rows_of(R"([{"if_index": 7, "exporter": "192.0.2.1", "name": "ge-0/0/7", "speed": 1e10, "up": true},
                        {"exporter": "2001:db8::1", "if_index": "8", "speed": "2.5", "up": "f"}])"),
            (Rows{"192.0.2.1|7|ge-0/0/7|10000000000|t", "2001:db8::1|8|-|2.5|f"}));
  EXPECT_EQ(rows_of("\xef\xbb\xbf []"), Rows{});
}

TEST(JsonReader, WhatIsNoColumnIsPassedOverAtAnyDepth) {
  EXPECT_EQ(
      rows_of(
          R"([{"tags": [{"exporter": 1}, [[]]], "exporter": "192.0.2.1", "if_index": 1, "more": {"name": "x"}, "name": null}])"),
      Rows{"192.0.2.1|1|-|-|-"});
}

TEST(JsonReader, TextKeepsEscapesAndNumbersKeepTheirDigits) {
  EXPECT_EQ(rows_of(R"([{"exporter": "192.0.2.1", "if_index": 9223372036854775807, "name": "\u00e9\n\"x\""}])"),
            Rows{"192.0.2.1|9223372036854775807|\u00e9\n\"x\"|-|-"});
  EXPECT_EQ(rows_of(R"([{"exporter": "192.0.2.1", "if_index": 1, "name": 12}])"), Rows{"192.0.2.1|1|12|-|-"});
}

TEST(JsonReader, MistakesAreLocated) {
  has(error_of("[{\"exporter\": \"192.0.2.1\",\n  \"if_index\": \"seven\"}]"),
      "x.json:2:3: error: column 'if_index': ");
  has(error_of("[{\"exporter\": \"192.0.2.1\" \"if_index\": 1}]"), "22P04 x.json:1:27: error: not valid JSON: ");
  has(error_of("[{\"exporter\": \"192.0.2.1\", \"if_index\": 1}"), "22P04 x.json:1:");
  has(error_of(""), "22P04 ");
  has(error_of(R"({"exporter": "192.0.2.1"})"), "22P04 x.json:1:1: error: the file is not an array of objects");
  has(error_of("[1]"), "not an array of objects");
  has(error_of("[[]]"), "not an array of objects");
  has(error_of("7"), "not an array of objects");
  has(error_of(R"([{"exporter": ["192.0.2.1"], "if_index": 1}])"),
      "22P02 x.json:1:3: error: column 'exporter': an array or object is no value");
  has(error_of(R"([{"exporter": "192.0.2.1", "if_index": 1, "if_index": 2}])"), "42701 ");
  has(error_of("[{\"name\": \"a\\u0000b\"}]"), "22021 ");
  has(error_of("[{\"name\": \"\xff\"}]"), "22P04 ");
}

TEST(JsonReader, KeysMustBeThereAndUnique) {
  has(error_of(R"([{"exporter": "192.0.2.1"}])"), "23502 x.json:1:2:");
  has(error_of("[{\"exporter\": \"192.0.2.1\", \"if_index\": 1},\n {\"exporter\": \"192.0.2.1\", \"if_index\": 1}]"),
      "23505 x.json:2:2:");
}

TEST(JsonReader, LimitsHold) {
  ReadLimits limits;
  limits.table.row_count_max = 1;
  has(error_of(R"([{"exporter": "192.0.2.1", "if_index": 1}, {"exporter": "192.0.2.1", "if_index": 2}])", limits),
      "54000 ");
  // Depth costs a bit a level and no stack.
  has(error_of(std::string(2'000'000, '[')), "not an array of objects");
  has(error_of("[{\"x\":" + std::string(2'000'000, '[')), "22P04 ");
}

}  // namespace
}  // namespace backstream::lookup
