#include "lookup/file_table.h"

#include <gtest/gtest.h>
#include <zlib.h>

#include <filesystem>
#include <fstream>

#include "lookup/lookup_test_input.h"
#include "lookup/mmdb_test_writer.h"

namespace backstream::lookup {
namespace {

using batch::Type;
using Poll = FileTable::Poll;
using Rows = std::vector<std::string>;
constexpr base::Micros kSecond = base::kMicrosPerSecond;

class FileTables : public testing::Test {
 protected:
  FileTables() {
    std::string pattern = (std::filesystem::temp_directory_path() / "backstream-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~FileTables() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& name) const { return folder_ + "/" + name; }
  /// A new file by rename, as a careful writer does it: always another inode.
  void put(const std::string& name, std::string_view octets) const {
    std::ofstream(path("new"), std::ios::binary) << octets;
    std::filesystem::rename(path("new"), path(name));
  }
  FileOptions options(const std::string& name, Format format = Format::kCsv) const {
    FileOptions result;
    result.path = path(name);
    result.format = format;
    return result;
  }
  Rows rows() const { return rows_text(*table_.published().snapshot()->table); }

  std::string folder_;
  LookupTable table_{{"t", {{{"asn", Type::kInt8}, {"name", Type::kText}}}, {0}}};
};

TEST_F(FileTables, ReadsAtOnceThenWhenTheFileChanged) {
  put("as.csv", "asn,name\n1,a\n");
  FileTable file(table_, options("as.csv"));
  EXPECT_EQ(rows(), Rows{});
  EXPECT_EQ(file.poll(0), Poll::kLoaded);
  EXPECT_EQ(rows(), Rows{"1|a"});
  EXPECT_EQ(file.poll(59 * kSecond), Poll::kNotDue);
  EXPECT_EQ(file.poll(60 * kSecond), Poll::kUnchanged);
  put("as.csv", "asn,name\n1,b\n");
  EXPECT_EQ(file.poll(119 * kSecond), Poll::kNotDue);
  EXPECT_EQ(file.poll(120 * kSecond), Poll::kLoaded);
  EXPECT_EQ(rows(), Rows{"1|b"});
  EXPECT_EQ(file.status().loaded_at, 120 * kSecond);
  EXPECT_EQ(file.status().loaded_count, 2u);
  EXPECT_EQ(file.status().row_count, 1u);
}

TEST_F(FileTables, ABadFileLeavesTheTableAndTellsWhy) {
  put("as.csv", "asn,name\n1,a\n");
  FileTable file(table_, options("as.csv"));
  ASSERT_EQ(file.poll(0), Poll::kLoaded);
  put("as.csv", "asn,name\nx,b\n");
  EXPECT_EQ(file.poll(60 * kSecond), Poll::kFailed);
  EXPECT_EQ(rows(), Rows{"1|a"});
  ASSERT_TRUE(file.status().error);
  EXPECT_EQ(file.status().error->line, 2u);
  EXPECT_EQ(file.status().loaded_at, 0);
  EXPECT_EQ(file.poll(120 * kSecond), Poll::kUnchanged) << "a bad file is read once";
  EXPECT_TRUE(file.status().error) << "and stays reported";
  put("as.csv", "asn,name\n1,a\n1,b\n");
  EXPECT_EQ(file.poll(180 * kSecond), Poll::kFailed);
  EXPECT_EQ(file.status().error->code, "23505");
  put("as.csv", "asn,name\n2,b\n");
  EXPECT_EQ(file.poll(240 * kSecond), Poll::kLoaded);
  EXPECT_FALSE(file.status().error);
  EXPECT_EQ(rows(), Rows{"2|b"});
  EXPECT_EQ(file.status().failed_count, 2u);
}

TEST_F(FileTables, AFileMayComeGoAndComeAgain) {
  FileTable file(table_, options("as.csv"));
  EXPECT_EQ(file.poll(0), Poll::kFailed);
  EXPECT_EQ(file.status().error->render(), path("as.csv") + ": error: No such file or directory\n");
  put("as.csv", "asn,name\n1,a\n");
  EXPECT_EQ(file.poll(60 * kSecond), Poll::kLoaded);
  std::filesystem::remove(path("as.csv"));
  EXPECT_EQ(file.poll(120 * kSecond), Poll::kFailed);
  EXPECT_EQ(rows(), Rows{"1|a"});
  EXPECT_EQ(file.poll(180 * kSecond), Poll::kUnchanged);
  put("as.csv", "asn,name\n1,a\n");
  EXPECT_EQ(file.poll(240 * kSecond), Poll::kLoaded);
}

TEST_F(FileTables, WithoutRefreshItIsReadOnce) {
  put("as.csv", "asn,name\n1,a\n");
  FileOptions once = options("as.csv");
  once.refresh_us = 0;
  FileTable file(table_, once);
  EXPECT_EQ(file.poll(0), Poll::kLoaded);
  put("as.csv", "asn,name\n2,b\n");
  EXPECT_EQ(file.poll(1'000'000 * kSecond), Poll::kNotDue);
}

TEST_F(FileTables, CompressedFilesAndOtherFormats) {
  gzFile packed = ::gzopen(path("as.csv.gz").c_str(), "wb");
  ASSERT_NE(packed, nullptr);
  ::gzputs(packed, "asn,name\n1,a\n");
  ::gzclose(packed);
  FileTable csv(table_, options("as.csv.gz"));
  EXPECT_EQ(csv.poll(0), Poll::kLoaded);
  EXPECT_EQ(rows(), Rows{"1|a"});

  LookupTable networks({"n", {{{"network", Type::kCidr}, {"asn", Type::kInt8}}}, {}});
  MmdbWriter writer(4, 24);
  writer.insert("10.0.0.0/8", writer.add_data(mmdb_map({{"autonomous_system_number", mmdb_uint32(7)}})));
  const Octets octets = writer.file();
  put("x.mmdb", {reinterpret_cast<const char*>(octets.data()), octets.size()});
  FileTable mmdb(networks, options("x.mmdb", Format::kMmdb));
  EXPECT_EQ(mmdb.poll(0), Poll::kLoaded);
  EXPECT_EQ(rows_text(*networks.published().snapshot()->table), Rows{"10.0.0.0/8|7"});

  LookupTable rib({"rib", {{{"prefix", Type::kCidr}, {"asn", Type::kInt8}}}, {0}});
  const Octets dump = mrt_peers({1}) + mrt_route("10.0.0.0/8", {{0, as_path({1, 2})}});
  put("rib.mrt", {reinterpret_cast<const char*>(dump.data()), dump.size()});
  FileTable mrt(rib, options("rib.mrt", Format::kMrt));
  EXPECT_EQ(mrt.poll(0), Poll::kLoaded);
  EXPECT_EQ(rows_text(*rib.published().snapshot()->table), Rows{"10.0.0.0/8|2"});
}

TEST_F(FileTables, WhatIsNoFileIsRefused) {
  const auto error_of = [&](const std::string& where) {
    const auto read = read_table_file(where, Format::kCsv, table_.definition());
    return read ? "" : read.error().code + " " + read.error().message;
  };
  EXPECT_EQ(error_of(folder_), "58030 is a folder, not a file");
  EXPECT_EQ(error_of("/dev/zero"), "58030 is a device, not a file");
  EXPECT_EQ(error_of("-"), "58P01 No such file or directory") << "standard input is no lookup table";
  put("empty.csv", "");
  EXPECT_EQ(error_of(path("empty.csv")), "22P04 the file is empty");
  put("cut.gz", "\x1f\x8b\x08");
  EXPECT_EQ(error_of(path("cut.gz")), "22P04 the gzip data ends in the middle");
  ReadLimits limits;
  limits.file_octets_max = 5;
  put("large.csv", "asn,name\n");
  EXPECT_EQ(read_table_file(path("large.csv"), Format::kCsv, table_.definition(), limits).error().message,
            "the file has more than 5 octets");
}

TEST(Format, IsSaidOrToldByTheName) {
  EXPECT_EQ(parse_format("mrt", "x.csv").value(), Format::kMrt);
  EXPECT_EQ(parse_format("", "/a/as.csv").value(), Format::kCsv);
  EXPECT_EQ(parse_format("", "/a/GeoLite2-ASN.mmdb").value(), Format::kMmdb);
  EXPECT_EQ(parse_format("", "/a/bview.20260101.0000.gz").value(), Format::kMrt);
  EXPECT_EQ(parse_format("", "/a/rib.20260101.0000.bz2").value(), Format::kMrt);
  EXPECT_EQ(parse_format("", "dump.mrt.zst").value(), Format::kMrt);
  EXPECT_EQ(parse_format("cvs", "x").error().hint, "did you mean 'csv'?");
  EXPECT_EQ(parse_format("parquet", "x").error().code, "22023");
}

}  // namespace
}  // namespace backstream::lookup
