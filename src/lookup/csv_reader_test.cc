#include <gtest/gtest.h>

#include "lookup/lookup_test_input.h"
#include "lookup/table_reader.h"

namespace backstream::lookup {
namespace {

using batch::Type;
using Rows = std::vector<std::string>;

const TableDefinition kAsNames = {
    "as_names", {{{"asn", Type::kInt8}, {"name", Type::kText}, {"country", Type::kText}}}, {0}};

Rows rows_of(std::string_view text, const TableDefinition& definition = kAsNames) {
  const auto read = read_csv(text, "as.csv", definition);
  EXPECT_TRUE(read) << read.error().render();
  return read ? rows_text(*read->table) : Rows{};
}
std::string error_of(std::string_view text, const TableDefinition& definition = kAsNames,
                     const ReadLimits& limits = {}) {
  const auto read = read_csv(text, "as.csv", definition, limits);
  EXPECT_FALSE(read);
  return read ? "" : read.error().code + " " + read.error().render();
}

TEST(CsvReader, ColumnsAreFoundByNameInAnyOrder) {
  EXPECT_EQ(rows_of("Country,ASN,since,Name\nDE,64500,2001,Example\nUS,64501,x,Other\n"),
            (Rows{"64500|Example|DE", "64501|Other|US"}));
}

TEST(CsvReader, ColumnsOutsideTheKeyMayBeLeftOutWhereTheTableSaysSo) {
  TableDefinition partial = kAsNames;
  partial.partial_files = true;
  EXPECT_EQ(rows_of("country,asn\nDE,64500\n", partial), Rows{"64500|-|DE"});
  EXPECT_NE(error_of("country,name\nDE,x\n", partial).find("does not name column 'asn'"), std::string::npos);
  EXPECT_NE(error_of("country,asn\nDE,64500\n").find("does not name column 'name'"), std::string::npos);
}

TEST(CsvReader, QuotesAsInRfc4180) {
  EXPECT_EQ(rows_of("asn,name,country\r\n"
                    "1,\"Example, Inc.\",US\r\n"
                    "\"2\",\"the \"\"best\"\" one\",\"two\nlines\"\r\n"
                    "3,\"\"\"\",x"),
            (Rows{"1|Example, Inc.|US", "2|the \"best\" one|two\nlines", "3|\"|x"}));
}

TEST(CsvReader, EmptyIsNullAndQuotedEmptyIsText) {
  const auto read = read_csv("asn,name,country\n1,,\"\"\n", "as.csv", kAsNames);
  ASSERT_TRUE(read);
  EXPECT_TRUE(read->table->column(1).is_null(0));
  EXPECT_FALSE(read->table->column(2).is_null(0));
  EXPECT_EQ(read->table->column(2).as<std::string_view>()[0], "");
}

TEST(CsvReader, ByteOrderMarkAndEmptyLinesArePassedOver) {
  EXPECT_EQ(rows_of("\xef\xbb\xbf\n\r\nasn,name,country\n\n1,a,b\n\r\n\n2,c,d\n\n"), (Rows{"1|a|b", "2|c|d"}));
  EXPECT_EQ(rows_of("asn,name,country\n"), Rows{});
}

TEST(CsvReader, ValuesAreReadAsTheirTypes) {
  const TableDefinition every = {"t",
                                 {{{"p", Type::kCidr},
                                   {"a", Type::kInet},
                                   {"f", Type::kFloat8},
                                   {"b", Type::kBool},
                                   {"t", Type::kTimestamptz},
                                   {"s", Type::kInt2}}},
                                 {}};
  EXPECT_EQ(rows_of("p,a,f,b,t,s\n10.1,2001:DB8::1,1e3,yes,2026-01-31T12:00:00Z, 7 \n", every),
            Rows{"10.1.0.0/16|2001:db8::1|1000|t|2026-01-31 12:00:00+00|7"});
}

TEST(CsvReader, MistakesInValuesAreLocated) {
  EXPECT_EQ(error_of("asn,name,country\n1,a,b\nAS2,größe,c\n"),
            "22P02 as.csv:3:1: error: column 'asn': invalid input syntax for type bigint: \"AS2\"\n"
            "    3 | AS2,größe,c\n"
            "      | ^~~\n");
  const TableDefinition prefixes = {"p", {{{"prefix", Type::kCidr}}}, {}};
  EXPECT_EQ(error_of("prefix\n10.0.0.1/8\n", prefixes),
            "22P02 as.csv:2:1: error: column 'prefix': invalid cidr value: \"10.0.0.1/8\"\n"
            "    2 | 10.0.0.1/8\n"
            "      | ^~~~~~~~~~ hint: value has bits set to right of mask\n");
  EXPECT_EQ(error_of("asn,name,country\n" + std::string(5000, '1') + ",a,b\n").substr(0, 74),
            "22P02 as.csv:2:1: error: column 'asn': a value of 5000 octets for type big");
}

TEST(CsvReader, MissingColumnsAreToldWithTheNearestName) {
  EXPECT_EQ(error_of("asn,nmae,country\n"),
            "42703 as.csv:1:5: error: the first line does not name column 'name' of table 'as_names'\n"
            "    1 | asn,nmae,country\n"
            "      |     ^~~~ hint: is 'nmae' meant?\n");
  EXPECT_EQ(error_of("64500,Example,DE\n"),
            "42703 as.csv:1:1: error: the first line does not name column 'asn' of table 'as_names'\n"
            "    1 | 64500,Example,DE\n"
            "      | ^ hint: the first line must name all of: asn,name,country\n");
  EXPECT_EQ(error_of("asn,name,country,name\n").substr(0, 55),
            "42701 as.csv:1:18: error: column 'name' is there twice\n");
  EXPECT_EQ(error_of("").substr(0, 70), "22P04 as.csv:1:1: error: the file has no line that names its columns\n ");
}

TEST(CsvReader, MistakesInQuotesAreLocated) {
  EXPECT_EQ(error_of("asn,name,country\n1,\"open,b\n2,c,d\n").substr(0, 68),
            "22P04 as.csv:2:3: error: the file ends inside this field in quotes\n ");
  EXPECT_EQ(error_of("asn,name,country\n1,a\"b,c\n").substr(0, 62),
            "22P04 as.csv:2:4: error: a quote inside a field without quotes");
  EXPECT_EQ(error_of("asn,name,country\n1,\"a\"b,c\n").substr(0, 65),
            "22P04 as.csv:2:6: error: text after the closing quote of a field\n");
  EXPECT_EQ(error_of("asn,name,country\n1,a,b,c\n").substr(0, 61),
            "22P04 as.csv:2:1: error: 4 fields, but the first line names 3");
  EXPECT_EQ(error_of("asn,name,country\n1,a\rb,c\n").substr(0, 74),
            "22P04 as.csv:2:4: error: a carriage return inside a field without quotes\n ");
}

TEST(CsvReader, OnlyUtf8WithoutZeroOctets) {
  for (const std::string bad : {"\xff", "\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "\xe0\x80\x80"}) {
    EXPECT_EQ(error_of("asn,name,country\n1,x" + bad).substr(0, 51),
              "22021 as.csv:2:4: error: the file is not UTF-8: oct");
  }
  EXPECT_EQ(error_of(std::string_view("asn,name,country\n1,a\0b,c\n", 25)).substr(0, 56),
            "22021 as.csv:2:4: error: the file is not UTF-8: octet 0x");
  EXPECT_EQ(rows_of("asn,name,country\n1,größe,\xf0\x9f\x98\x80\n"), Rows{"1|größe|\xf0\x9f\x98\x80"});
}

TEST(CsvReader, KeysAreCheckedAndTheRowIsShown) {
  EXPECT_EQ(error_of("asn,name,country\n1,a,b\n2,c,d\n1,e,f\n"),
            "23505 as.csv:4:1: error: duplicate key value violates the primary key: (asn) = (1)\n"
            "    4 | 1,e,f\n"
            "      | ^~~~~ hint: every row needs a key of its own\n");
  EXPECT_EQ(error_of("asn,name,country\n,a,b\n").substr(0, 60),
            "23502 as.csv:2:1: error: null in a column of the primary key");
}

TEST(CsvReader, LimitsAreKept) {
  ReadLimits limits;
  limits.table.row_count_max = 1;
  EXPECT_EQ(error_of("asn,name,country\n1,a,b\n2,c,d\n", kAsNames, limits).substr(0, 68),
            "54000 as.csv:3:1: error: the table would have more than 1 rows\n    3");
}

}  // namespace
}  // namespace backstream::lookup
