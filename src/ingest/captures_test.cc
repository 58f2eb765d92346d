#include "ingest/captures.h"

#include <bzlib.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>

#include "ingest/capture_bytes_test.h"
#include "ingest/capture_writer.h"

namespace backstream::ingest {
namespace {

using Payloads = std::vector<std::string>;
using Times = std::vector<base::Micros>;

/// Two packets "one" and "two" at 100.000001 s and 4,000,000,000.5 s (beyond 31 bits).
Octets pcap_of_two(const CaptureBytes& bytes, uint32_t magic = 0xa1b2c3d4, uint32_t per_micro = 1) {
  return bytes.pcap_header(1, magic) + bytes.pcap_packet(100, per_micro, flow_frame("one")) +
         bytes.pcap_packet(4'000'000'000, 500'000 * per_micro, flow_frame("two"));
}
const Times kTimesOfTwo = {100'000'001, 4'000'000'000'500'000};

Octets gzip(const Octets& plain) {
  z_stream stream{};
  EXPECT_EQ(::deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
  Octets out(::deflateBound(&stream, plain.size()) + 64);
  stream.next_in = const_cast<uint8_t*>(plain.data());
  stream.avail_in = static_cast<uInt>(plain.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(::deflate(&stream, Z_FINISH), Z_STREAM_END);
  out.resize(stream.total_out);
  ::deflateEnd(&stream);
  return out;
}
Octets zstd(const Octets& plain) {
  Octets out(::ZSTD_compressBound(plain.size()));
  out.resize(::ZSTD_compress(out.data(), out.size(), plain.data(), plain.size(), 3));
  return out;
}
Octets bzip2(const Octets& plain) {
  Octets out(plain.size() + plain.size() / 100 + 600);
  auto octets = static_cast<unsigned>(out.size());
  Octets in = plain;  // The library's parameter is not const, nor null.
  in.reserve(1);
  EXPECT_EQ(::BZ2_bzBuffToBuffCompress(reinterpret_cast<char*>(out.data()), &octets, reinterpret_cast<char*>(in.data()),
                                       static_cast<unsigned>(in.size()), 1, 0, 0),
            BZ_OK);
  out.resize(octets);
  return out;
}
Octets first_half(const Octets& octets) {
  return {octets.begin(), octets.begin() + static_cast<ptrdiff_t>(octets.size() / 2)};
}
Octets second_half(const Octets& octets) {
  return {octets.begin() + static_cast<ptrdiff_t>(octets.size() / 2), octets.end()};
}

class CaptureFiles : public testing::Test {
 protected:
  CaptureFiles() {
    std::string pattern = (std::filesystem::temp_directory_path() / "backstream-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~CaptureFiles() override { std::filesystem::remove_all(folder_); }
  std::string path(const std::string& file) const { return (folder_ / file).string(); }
  std::string write(const std::string& file, const Octets& octets) const {
    std::ofstream(path(file), std::ios::binary)
        .write(reinterpret_cast<const char*>(octets.data()), static_cast<std::streamsize>(octets.size()));
    return path(file);
  }
  Seen open(const std::vector<CaptureInput>& inputs, const std::vector<uint16_t>& ports = {}) {
    sites_.clear();
    return see(open_captures(inputs, ports, sites_));
  }
  base::Diagnostic refused(const std::string& file) {
    auto source = open_captures({{file, ""}}, {}, sites_);
    if (source) {
      ADD_FAILURE() << file << " was opened";
      return {};
    }
    return source.error();
  }

  std::filesystem::path folder_;
  std::vector<std::string> sites_;
};

TEST(Pcap, BothByteOrdersAndBothTimeUnits) {
  for (const bool big_endian : {false, true}) {
    for (const bool nano : {false, true}) {
      const Seen seen = see(pcap_of_two({big_endian}, nano ? 0xa1b23c4d : 0xa1b2c3d4, nano ? 1000 : 1));
      EXPECT_EQ(seen.payloads(), (Payloads{"one", "two"})) << big_endian << nano << seen.error;
      EXPECT_EQ(seen.times(), kTimesOfTwo);
      EXPECT_FALSE(seen.stats.truncated);
      EXPECT_TRUE(seen.stats.warnings.empty());
    }
  }
}

TEST(Pcap, FrameCheckSequenceBitsAreNoLinkType) {
  const CaptureBytes bytes;
  EXPECT_EQ(see(bytes.pcap_header(0x14000001) + bytes.pcap_packet(1, 0, flow_frame("one") + Octets(4, 9))).payloads(),
            Payloads{"one"});
}

TEST(Pcap, LengthThatCannotBeIsDamageAndWhatCameBeforeIsKept) {
  const CaptureBytes bytes;
  Octets capture = pcap_of_two(bytes);
  capture = capture + bytes.u32(1) + bytes.u32(1) + bytes.u32(0x7fffffff) + bytes.u32(60) + Octets(60, 0);
  const Seen seen = see(capture);
  EXPECT_EQ(seen.payloads(), (Payloads{"one", "two"}));
  EXPECT_TRUE(seen.stats.truncated);
  ASSERT_EQ(seen.stats.warnings.size(), 1u);
  EXPECT_EQ(seen.stats.warnings[0],
            "memory: damaged after packet 2: a packet length that cannot be; all before it was read");
}

TEST(Pcapng, EveryPacketBlockInBothByteOrders) {
  for (const bool big_endian : {false, true}) {
    const CaptureBytes bytes{big_endian};
    const Octets frame = flow_frame("simple");
    const Seen seen =
        see(bytes.section() + bytes.interface() + bytes.block(0x0bad0bad, text("of no interest")) +
            bytes.enhanced(5'000'000'000'000'001, flow_frame("enhanced")) + bytes.block(5, Octets(12, 0)) +
            bytes.obsolete(5'000'000'000'000'002, flow_frame("obsolete")) + bytes.simple(frame, frame.size()));
    EXPECT_EQ(seen.payloads(), (Payloads{"enhanced", "obsolete", "simple"})) << big_endian << seen.error;
    EXPECT_EQ(seen.times(), (Times{5'000'000'000'000'001, 5'000'000'000'000'002, 5'000'000'000'000'002}));
    EXPECT_FALSE(seen.stats.truncated);
  }
}

TEST(Pcapng, SectionsOfDifferentByteOrderAndTheirOwnInterfaces) {
  const CaptureBytes little{false}, big{true};
  const Seen seen = see(little.section() + little.interface(1) + little.enhanced(1, flow_frame("one")) + big.section() +
                        big.interface(101) + big.interface(1) + big.enhanced(2, ipv4(udp(text("two")))) +
                        big.enhanced(3, flow_frame("three"), 1));
  EXPECT_EQ(seen.payloads(), (Payloads{"one", "two", "three"})) << seen.error;
}

TEST(Pcapng, TimeResolutionsAndOffset) {
  for (const bool big_endian : {false, true}) {
    const CaptureBytes bytes{big_endian};
    const auto time = [&](std::initializer_list<uint8_t> resolution, uint64_t ticks, int64_t offset) {
      Octets options;
      if (resolution.size() > 0) options = bytes.option(9, resolution);
      if (offset != 0) options = options + bytes.option(14, bytes.u64(static_cast<uint64_t>(offset)));
      const Seen seen = see(bytes.section() + bytes.interface(1, 0, bytes.option(2, text("eth0")) + options) +
                            bytes.enhanced(ticks, flow_frame("x")));
      return seen.times().empty() ? -1 : seen.times()[0];
    };
    EXPECT_EQ(time({}, 1'700'000'000'123'456, 0), 1'700'000'000'123'456);
    EXPECT_EQ(time({6}, 1'700'000'000'123'456, 0), 1'700'000'000'123'456);
    EXPECT_EQ(time({9}, 1'700'000'000'123'456'789, 0), 1'700'000'000'123'456);
    EXPECT_EQ(time({3}, 1'700'000'000'123, 0), 1'700'000'000'123'000);
    EXPECT_EQ(time({0}, 1'700'000'000, 0), 1'700'000'000'000'000);
    EXPECT_EQ(time({0x80 | 10}, 1'700'000'000ull << 10 | 512, 0), 1'700'000'000'500'000);
    EXPECT_EQ(time({0x80 | 32}, 1'700'000'000ull << 32 | 0x40000000, 0), 1'700'000'000'250'000);
    EXPECT_EQ(time({6}, 123'456, 1'700'000'000), 1'700'000'000'123'456);
    EXPECT_EQ(time({6}, 1'700'000'000'123'456, -1'000'000'000), 700'000'000'123'456);
    // Out of all calendars: held within it, not wrapped.
    EXPECT_EQ(time({0}, UINT64_MAX, INT64_MAX), 253'402'300'799'000'000);
    EXPECT_EQ(time({6}, 5, INT64_MIN), 0);
  }
}

TEST(Pcapng, TimeResolutionThatCannotBeIsRefused) {
  const CaptureBytes bytes;
  for (const uint8_t resolution : {20, 127, 0x80 | 64, 255}) {
    EXPECT_NE(see(bytes.section() + bytes.interface(1, 0, bytes.option(9, {resolution}))).error, "");
  }
}

TEST(Pcapng, SimplePacketIsAsLongAsTheSnapLengthSays) {
  const CaptureBytes bytes;
  const Octets frame = flow_frame("flow");  // 46 octets
  ASSERT_EQ(frame.size() % 4, 2u);
  const auto cut_to = [&](uint32_t snap) {
    const Octets kept(frame.begin(), frame.begin() + snap);
    return see(bytes.section() + bytes.interface(1, snap) + bytes.simple(kept, frame.size()));
  };
  EXPECT_EQ(cut_to(46).payloads(), Payloads{"flow"});
  // 45 octets are padded to 48 in the file: padding is no payload.
  EXPECT_EQ(cut_to(45).skipped(IngestSkip::kCutShort), 1u);
}

TEST(Pcapng, UnknownLinkTypeBesideKnownOnesIsSkippedWithOneWarning) {
  const CaptureBytes bytes;
  const Seen seen = see(bytes.section() + bytes.interface(127) + bytes.interface(1) + bytes.interface(127) +
                        bytes.enhanced(1, flow_frame("no"), 0) + bytes.enhanced(2, flow_frame("yes"), 1) +
                        bytes.enhanced(3, flow_frame("no"), 2));
  EXPECT_EQ(seen.payloads(), Payloads{"yes"}) << seen.error;
  EXPECT_EQ(seen.skipped(IngestSkip::kNotIp), 2u);
  EXPECT_FALSE(seen.stats.truncated);
  EXPECT_EQ(seen.stats.warnings,
            (std::vector<std::string>{"memory: packets of interface 0 are skipped: link type 127 cannot be read"}));
  EXPECT_EQ(see(bytes.section() + bytes.interface(127) + bytes.interface(189)).error,
            "memory: link type 127 cannot be read");
}

TEST(Pcapng, DamagedBlocksStopTheFileAndAreTold) {
  const CaptureBytes bytes;
  const Octets begin = bytes.section() + bytes.interface() + bytes.enhanced(1, flow_frame("one"));
  Octets lengths_differ = bytes.enhanced(2, flow_frame("two"));
  lengths_differ.back() = 1;
  const std::pair<const char*, Octets> cases[] = {
      {"a block length that cannot be", bytes.u32(6) + bytes.u32(13) + Octets(20, 0)},
      {"a block length that cannot be", bytes.u32(6) + bytes.u32(8) + Octets(20, 0)},
      {"a block length that cannot be", bytes.u32(6) + bytes.u32(0x7ffffffc) + Octets(20, 0)},
      {"a block whose two lengths differ", lengths_differ},
      {"a packet of an interface that was not described", bytes.enhanced(2, flow_frame("two"), 1)},
      {"a packet of an interface that was not described", bytes.section() + bytes.enhanced(2, flow_frame("two"))},
      {"a packet block that is too short", bytes.block(6, Octets(16, 0))},
      {"a packet block that is too short", bytes.block(3, {})},
      {"a packet that is longer than its block",
       bytes.block(6, bytes.u32(0) + bytes.u64(0) + bytes.u32(100) + bytes.u32(100) + Octets(96, 0))},
      {"an interface description that is too short", bytes.block(1, Octets(4, 0))},
      {"a section without byte order", bytes.block(0x0a0d0d0a, Octets(16, 7))},
      {"a section header that is too short", bytes.block(0x0a0d0d0a, bytes.u32(0x1a2b3c4d))},
  };
  for (const auto& [what, damage] : cases) {
    const Seen seen = see(begin + damage + bytes.enhanced(3, flow_frame("three")));
    EXPECT_EQ(seen.payloads(), Payloads{"one"}) << what;
    EXPECT_TRUE(seen.stats.truncated) << what;
    EXPECT_EQ(
        seen.stats.warnings,
        (std::vector<std::string>{fmt::format("memory: damaged after packet 1: {}; all before it was read", what)}));
  }
}

/// Cuts `capture` after every octet: the datagrams of the whole records are there, never more, and each cut that is not
/// between two records is told.
/// @param ends  offsets behind the header(s) and behind each packet
void expect_every_cut_told(const Octets& capture, const std::vector<size_t>& ends, const Payloads& payloads) {
  for (size_t octets = 0; octets <= capture.size(); ++octets) {
    SCOPED_TRACE(octets);
    const Octets cut(capture.begin(), capture.begin() + static_cast<ptrdiff_t>(octets));
    const Seen seen = see(cut);
    if (octets < ends[0]) {
      // Cut within pcapng's interfaces: nothing is lost but what they would have described.
      EXPECT_TRUE(!seen.error.empty() || (seen.datagrams.empty() && seen.stats.frames == 0));
      continue;
    }
    ASSERT_EQ(seen.error, "");
    const auto whole = static_cast<size_t>(std::upper_bound(ends.begin(), ends.end(), octets) - ends.begin()) - 1;
    EXPECT_EQ(seen.payloads(), Payloads(payloads.begin(), payloads.begin() + static_cast<ptrdiff_t>(whole)));
    EXPECT_EQ(seen.stats.truncated, octets != ends[whole]);
    EXPECT_EQ(seen.stats.warnings.size(), octets != ends[whole] ? 1u : 0u);
    if (octets != ends[whole]) {
      EXPECT_EQ(seen.stats.warnings[0],
                fmt::format("memory: cut in the middle of packet {}; all before it was read", whole + 1));
    }
  }
}

TEST(Cut, PcapAtEveryOctet) {
  for (const bool big_endian : {false, true}) {
    const CaptureBytes bytes{big_endian};
    Octets capture = bytes.pcap_header();
    std::vector<size_t> ends = {capture.size()};
    const Payloads payloads = {"one", "", "three"};
    for (const std::string& payload : payloads) {
      capture = capture + bytes.pcap_packet(1, 2, flow_frame(payload));
      ends.push_back(capture.size());
    }
    expect_every_cut_told(capture, ends, payloads);
  }
}

TEST(Cut, PcapngAtEveryOctet) {
  for (const bool big_endian : {false, true}) {
    const CaptureBytes bytes{big_endian};
    Octets capture = bytes.section() + bytes.interface();
    std::vector<size_t> ends = {capture.size()};
    const Payloads payloads = {"one", "", "three"};
    for (const std::string& payload : payloads) {
      capture = capture + bytes.enhanced(1, flow_frame(payload));
      ends.push_back(capture.size());
    }
    expect_every_cut_told(capture, ends, payloads);
  }
}

TEST(Cut, CompressedAtEveryOctetIsToldAndNeverMakesDatagramsUp) {
  const Octets plain = pcap_of_two({});
  for (const Octets& packed : {gzip(plain), zstd(plain), bzip2(plain)}) {
    for (size_t octets = 0; octets < packed.size(); ++octets) {
      const Seen seen = see(Octets(packed.begin(), packed.begin() + static_cast<ptrdiff_t>(octets)));
      EXPECT_TRUE(!seen.error.empty() || seen.stats.truncated) << octets;
      const Payloads all = {"one", "two"};
      ASSERT_LE(seen.datagrams.size(), 2u);
      EXPECT_EQ(seen.payloads(), Payloads(all.begin(), all.begin() + static_cast<ptrdiff_t>(seen.datagrams.size())));
    }
    EXPECT_EQ(see(packed).payloads(), (Payloads{"one", "two"}));
  }
}

TEST(Compressed, SeveralMembersAndFramesAreOneFile) {
  const Octets plain = pcap_of_two({});
  const Octets skippable = number(0x502a4d18, 4) + number(3, 4, false) + text("abc");
  const Octets empty_member = gzip({}), empty_frame = zstd({});
  const std::pair<const char*, Octets> files[] = {
      {"gzip", gzip(plain)},
      {"gzip members", gzip(first_half(plain)) + empty_member + gzip(second_half(plain))},
      {"gzip with zero padding", gzip(first_half(plain)) + gzip(second_half(plain)) + Octets(512, 0)},
      {"zstd", zstd(plain)},
      {"zstd frames", zstd(first_half(plain)) + empty_frame + zstd(second_half(plain))},
      {"bzip2", bzip2(plain)},
      {"bzip2 streams", bzip2(first_half(plain)) + bzip2({}) + bzip2(second_half(plain))},
      {"zstd, skippable frame first", skippable + zstd(plain)},
  };
  for (const auto& [what, file] : files) {
    const Seen seen = see(file);
    EXPECT_EQ(seen.payloads(), (Payloads{"one", "two"})) << what << ": " << seen.error;
    EXPECT_FALSE(seen.stats.truncated) << what;
    EXPECT_EQ(seen.stats.octets, file.size()) << what;
  }
}

TEST(Compressed, DamageInTheMiddleIsTold) {
  Octets plain = CaptureBytes{}.pcap_header();
  uint32_t noise = 1;
  for (int i = 0; i < 3000; ++i) {
    std::string payload(100, ' ');
    for (char& c : payload) c = static_cast<char>((noise = noise * 1664525 + 1013904223) >> 24);
    plain = plain + CaptureBytes{}.pcap_packet(1, 0, flow_frame(payload));
  }
  for (Octets packed : {gzip(plain), zstd(plain), bzip2(plain)}) {
    packed[packed.size() - 3] ^= 0xff;  // gzip: of the length in its trailer; zstd: of the last block
    const Seen seen = see(packed);
    EXPECT_TRUE(seen.stats.truncated);
    ASSERT_EQ(seen.stats.warnings.size(), 1u);
    EXPECT_NE(seen.stats.warnings[0].find("data is damaged"), std::string::npos) << seen.stats.warnings[0];
    EXPECT_GT(seen.datagrams.size(), 1000u);
  }
}

TEST_F(CaptureFiles, LargeFileCrossesTheBufferManyTimes) {
  // Payload i is i octets of i; 0 to 9,000 and back, some 9 MB: records lie across every kind of buffer border.
  const base::Inet source = base::Inet::v4(0x0a000001), destination = base::Inet::v4(0x0a000002);
  constexpr int kCount = 2000;
  const auto payload = [](int i) { return std::string(static_cast<size_t>((i * 37) % 9001), static_cast<char>(i)); };
  {
    CaptureWriter writer(path("large.pcap"));
    for (int i = 0; i < kCount; ++i) {
      const std::string of = payload(i);
      writer.write(i * 1000, source, 1, destination, 2, {reinterpret_cast<const uint8_t*>(of.data()), of.size()});
    }
    writer.close();
  }
  std::ifstream in(path("large.pcap"), std::ios::binary);
  const Octets plain{std::istreambuf_iterator<char>(in), {}};
  write("large.gz", gzip(plain));
  write("large.zst", zstd(plain));
  for (const char* file : {"large.pcap", "large.gz", "large.zst"}) {
    const Seen seen = open({{path(file), ""}});
    ASSERT_EQ(seen.datagrams.size(), static_cast<size_t>(kCount)) << file << seen.error;
    for (int i = 0; i < kCount; ++i) {
      ASSERT_EQ(seen.datagrams[static_cast<size_t>(i)].payload, payload(i)) << file << " " << i;
      ASSERT_EQ(seen.datagrams[static_cast<size_t>(i)].about.received_at, i * 1000);
    }
    EXPECT_EQ(seen.stats.octets, std::filesystem::file_size(path(file)));
  }
}

TEST_F(CaptureFiles, PacketLargerThanTheBufferIsRead) {
  // 3 MB in one frame: the UDP length trims it.
  const CaptureBytes bytes;
  const Seen seen = see(bytes.pcap_header() + bytes.pcap_packet(1, 0, flow_frame("one")) +
                        bytes.pcap_packet(1, 0, flow_frame("big") + Octets(3'000'000, 1)) +
                        bytes.pcap_packet(1, 0, flow_frame("two")));
  EXPECT_EQ(seen.payloads(), (Payloads{"one", "big", "two"}));
}

TEST_F(CaptureFiles, ProgressCountsTheFilesOctets) {
  const Octets packed = gzip(pcap_of_two({}));
  write("a.gz", packed);
  write("b.pcap", pcap_of_two({}));
  auto source = open_captures({{path("a.gz"), ""}, {path("b.pcap"), ""}}, {}, sites_);
  ASSERT_TRUE(source);
  const uint64_t total = packed.size() + pcap_of_two({}).size();
  EXPECT_EQ((*source)->octets_total(), total);
  uint64_t before = 0;
  while (!(*source)->at_end()) {
    (*source)->next_block();
    EXPECT_GE((*source)->octets_read(), before);
    before = (*source)->octets_read();
  }
  EXPECT_EQ(before, total);
}

TEST_F(CaptureFiles, FilesWithoutSiteAreReadInTheListedOrder) {
  const CaptureBytes bytes;
  write("late.pcap", bytes.pcap_header() + bytes.pcap_packet(20, 0, flow_frame("late")));
  write("early.pcap", bytes.pcap_header(101) + bytes.pcap_packet(10, 0, ipv4(udp(text("early")))));
  const Seen seen = open({{path("late.pcap"), ""}, {path("early.pcap"), ""}, {path("late.pcap"), ""}});
  EXPECT_EQ(seen.payloads(), (Payloads{"late", "early", "late"}));
  EXPECT_EQ(sites_, std::vector<std::string>{""});
}

TEST_F(CaptureFiles, SitesAreMergedByTimeAndTiesGoToTheFirstListed) {
  const CaptureBytes bytes;
  const auto file = [&](const char* name, std::initializer_list<std::pair<uint32_t, const char*>> packets) {
    Octets capture = bytes.pcap_header();
    for (const auto& [time, payload] : packets) capture = capture + bytes.pcap_packet(time, 0, flow_frame(payload));
    return write(name, capture);
  };
  const std::vector<CaptureInput> inputs = {
      {file("f1", {{1, "f1"}, {4, "f4"}}), "fra"},
      {file("a1", {{1, "a1"}, {2, "a2"}, {7, "a7"}}), "ams"},
      {file("none", {{3, "n3"}, {4, "n4"}}), ""},
      {file("f2", {{4, "f4b"}, {5, "f5"}}), "fra"},
      {file("empty", {}), "par"},
  };
  const Seen seen = open(inputs);
  EXPECT_EQ(seen.payloads(), (Payloads{"f1", "a1", "a2", "n3", "f4", "f4b", "n4", "f5", "a7"})) << seen.error;
  std::string sites;
  for (const Seen::Datagram& datagram : seen.datagrams) sites += sites_[datagram.about.site] + " ";
  EXPECT_EQ(sites, "fra ams ams  fra fra  fra ams ");
  EXPECT_EQ(seen.stats.frames, 9u);
  EXPECT_EQ(seen.stats.datagrams, 9u);
}

TEST_F(CaptureFiles, MergeOfLargeFilesKeepsTimeOrderAndLosesNothing) {
  std::vector<CaptureInput> inputs;
  for (int site = 0; site < 5; ++site) {
    const std::string file = path(fmt::format("{}.pcap", site));
    CaptureWriter writer(file);
    for (int i = 0; i < 3000; ++i) {
      const auto time = base::Micros{i} * (site + 1) * 10;
      const std::string payload = fmt::format("{} {:500}", site, i);
      writer.write(time, base::Inet::v4(1), 1, base::Inet::v4(2), 2,
                   {reinterpret_cast<const uint8_t*>(payload.data()), payload.size()});
    }
    inputs.push_back({file, fmt::format("site{}", site)});
  }
  const Seen seen = open(inputs);
  ASSERT_EQ(seen.datagrams.size(), 15'000u);
  std::vector<int> next(5, 0);
  for (size_t i = 0; i < seen.datagrams.size(); ++i) {
    const auto& [payload, about] = seen.datagrams[i];
    if (i > 0) {
      const base::Datagram& before = seen.datagrams[i - 1].about;
      ASSERT_TRUE(before.received_at < about.received_at ||
                  (before.received_at == about.received_at && before.site < about.site));
    }
    ASSERT_EQ(payload, fmt::format("{} {:500}", about.site - 1, next[about.site - 1]++));
  }
}

TEST_F(CaptureFiles, PortsAreFilteredAndCounted) {
  const CaptureBytes bytes;
  write("a.pcap", bytes.pcap_header() + bytes.pcap_packet(1, 0, ethernet(ipv4(udp(text("a"), 1, 2055)))) +
                      bytes.pcap_packet(1, 0, ethernet(ipv4(udp(text("b"), 2055, 53)))) +
                      bytes.pcap_packet(1, 0, ethernet(ipv4(udp(text("c"), 1, 4739)))));
  const Seen seen = open({{path("a.pcap"), ""}}, {2055, 4739});
  EXPECT_EQ(seen.payloads(), (Payloads{"a", "c"}));
  EXPECT_EQ(seen.stats.frames, 3u);
  EXPECT_EQ(seen.skipped(IngestSkip::kPortFiltered), 1u);
}

TEST_F(CaptureFiles, CutFileAmongOthersIsToldAndTheNextIsRead) {
  const Octets whole = pcap_of_two({});
  write("cut.pcap", Octets(whole.begin(), whole.end() - 1));
  write("whole.pcap", whole);
  const Seen seen = open({{path("cut.pcap"), ""}, {path("whole.pcap"), ""}});
  EXPECT_EQ(seen.payloads(), (Payloads{"one", "one", "two"}));
  EXPECT_TRUE(seen.stats.truncated);
  EXPECT_EQ(seen.stats.warnings, (std::vector<std::string>{fmt::format(
                                     "{}: cut in the middle of packet 2; all before it was read", path("cut.pcap"))}));
}

TEST_F(CaptureFiles, FileThatVanishesBeforeItsTurnIsTold) {
  write("a.pcap", pcap_of_two({}));
  write("b.pcap", pcap_of_two({}));
  auto source = open_captures({{path("a.pcap"), ""}, {path("b.pcap"), ""}}, {}, sites_);
  ASSERT_TRUE(source);
  std::filesystem::remove(path("b.pcap"));
  const Seen seen = see(std::move(source));
  EXPECT_EQ(seen.payloads(), (Payloads{"one", "two"}));
  EXPECT_TRUE(seen.stats.truncated);
  EXPECT_EQ(seen.stats.warnings,
            (std::vector<std::string>{fmt::format("{}: No such file or directory", path("b.pcap"))}));
}

TEST_F(CaptureFiles, WaitingFilesHoldNoDescriptors) {
  const std::string file = write("a.pcap", pcap_of_two({}));
  const auto open_files = [] {
    const std::filesystem::directory_iterator files("/proc/self/fd");
    return std::distance(begin(files), end(files));
  };
  const auto before = open_files();
  auto source = open_captures(std::vector<CaptureInput>(50, {file, ""}), {}, sites_);
  ASSERT_TRUE(source);
  EXPECT_EQ(open_files(), before + 1);
  EXPECT_EQ(see(std::move(source)).datagrams.size(), 100u);
}

TEST_F(CaptureFiles, PipeIsReadInItsTurn) {
  const Octets capture = pcap_of_two({});
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], capture.data(), capture.size()), static_cast<ssize_t>(capture.size()));
  ::close(ends[1]);
  const Seen seen = open({{write("a.pcap", capture), ""}, {fmt::format("/proc/self/fd/{}", ends[0]), ""}});
  EXPECT_EQ(seen.payloads(), (Payloads{"one", "two", "one", "two"})) << seen.error;
  ::close(ends[0]);
}

TEST_F(CaptureFiles, PipeIsHandedOnAsItComes) {
  // The writer is still there: what it wrote must come out before it writes more.
  const CaptureBytes bytes;
  const Octets capture = pcap_of_two(bytes);
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  ASSERT_EQ(::write(ends[1], capture.data(), capture.size()), static_cast<ssize_t>(capture.size()));
  auto source = open_captures({{fmt::format("/proc/self/fd/{}", ends[0]), ""}}, {}, sites_);
  ASSERT_TRUE(source);
  EXPECT_EQ((*source)->next_block().size(), 2u);
  ::close(ends[1]);
  EXPECT_TRUE((*source)->next_block().empty());
  EXPECT_TRUE((*source)->at_end());
  ::close(ends[0]);
}

TEST_F(CaptureFiles, DashIsStandardInput) {
  const std::string file = write("a.pcap", pcap_of_two({}));
  const int saved = ::dup(STDIN_FILENO);
  ASSERT_NE(std::freopen(file.c_str(), "r", stdin), nullptr);
  EXPECT_EQ(open({{"-", ""}}).payloads(), (Payloads{"one", "two"}));
  if (saved >= 0) {
    ::dup2(saved, STDIN_FILENO);
    ::close(saved);
  }
}

TEST_F(CaptureFiles, WhatCannotBeOpenedIsToldInOneLine) {
  const CaptureBytes bytes;
  const auto expect = [&](const std::string& file, const std::string& message) {
    const base::Diagnostic refusal = refused(file);
    EXPECT_EQ(refusal.code, "capture");
    EXPECT_EQ(refusal.message, file + ": " + message);
    EXPECT_EQ(refusal.message.find('\n'), std::string::npos);
  };
  expect(path("missing.pcap"), "No such file or directory");
  expect(folder_.string(), "is a folder, not a capture");
  expect(write("empty.pcap", {}), "the file is empty");
  expect(write("one.pcap", {0xd4}), "not a pcap or pcapng capture");
  expect(write("readme.txt", text("these are not the packets you are looking for")), "not a pcap or pcapng capture");
  expect(write("text.gz", gzip(text("these neither"))), "not a pcap or pcapng capture");
  expect(write("cut.pcap", {0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0}), "cut in the middle of its file header");
  expect(write("cut.pcapng", first_half(bytes.section())), "cut in the middle of its file header");
  expect(write("cut.gz", first_half(gzip(text("x")))), "the gzip data ends in the middle");
  expect(write("damaged.gz", text("\x1f\x8b but no more")), "the gzip data is damaged");
  expect(write("wifi.pcap", bytes.pcap_header(127)), "link type 127 cannot be read");
  EXPECT_EQ(refused(path("wifi.pcap")).hint, "Ethernet, Linux cooked, raw IP and loopback captures can");
  EXPECT_NE(refused(path("readme.txt")).hint, "");
}

TEST_F(CaptureFiles, OneBadFileAmongManyIsToldBeforeAnythingIsRead) {
  const std::string good = write("a.pcap", pcap_of_two({}));
  EXPECT_EQ(open({{good, ""}, {good, "fra"}, {path("missing"), "ams"}}).error,
            path("missing") + ": No such file or directory");
}

TEST_F(CaptureFiles, WriterMakesBothTimeUnitsAndBothFamiliesWithRightChecksums) {
  const auto sum = [](std::string_view of, uint32_t sum_before = 0) {
    uint32_t total = sum_before;
    for (size_t i = 0; i < of.size(); ++i) total += uint32_t{static_cast<uint8_t>(of[i])} << (i % 2 ? 0 : 8);
    while (total >> 16 != 0) total = (total & 0xffff) + (total >> 16);
    return total;
  };
  const base::Inet v4 = *base::parse_inet("198.51.100.7"), v4_to = *base::parse_inet("192.0.2.1");
  const base::Inet v6 = *base::parse_inet("2001:db8::7"), v6_to = *base::parse_inet("2001:db8::1");
  for (const auto unit : {CaptureWriter::TimeUnit::kMicroseconds, CaptureWriter::TimeUnit::kNanoseconds}) {
    {
      CaptureWriter writer(path("w.pcap"), unit);
      const Octets payload = text("seven..");
      writer.write(1'700'000'000'123'456, v4, 50'000, v4_to, 2055, payload);
      writer.write(1'700'000'000'123'457, v6, 50'001, v6_to, 4739, payload);
    }
    const Seen seen = open({{path("w.pcap"), ""}});
    ASSERT_EQ(seen.payloads(), (Payloads{"seven..", "seven.."})) << seen.error;
    EXPECT_EQ(seen.times(), (Times{1'700'000'000'123'456, 1'700'000'000'123'457}));
    EXPECT_EQ(seen.datagrams[0].about.source, v4);
    EXPECT_EQ(seen.datagrams[0].about.source_port, 50'000);
    EXPECT_EQ(seen.datagrams[1].about.source, v6);
    EXPECT_EQ(seen.datagrams[1].about.destination_port, 4739);
    std::ifstream in(path("w.pcap"), std::ios::binary);
    const std::string file{std::istreambuf_iterator<char>(in), {}};
    const size_t first = 24 + 16 + 14, second = first + 20 + 15 + 16 + 14;
    ASSERT_EQ(file.size(), second + 40 + 15);
    EXPECT_EQ(sum(file.substr(first, 20)), 0xffffu);
    EXPECT_EQ(sum(file.substr(second + 8), 15 + 17), 0xffffu);  // pseudo header: addresses, length, protocol
  }
}

TEST_F(CaptureFiles, WriterNeverLeavesIpv6WithoutChecksum) {
  // 0 would mean "none", which IPv6 forbids (RFC 8200 §8.1): of these payloads one sums up to it.
  const base::Inet source = *base::parse_inet("2001:db8::7"), destination = *base::parse_inet("2001:db8::1");
  {
    CaptureWriter writer(path("w.pcap"));
    for (uint32_t value = 0; value <= 0xffff; ++value) {
      writer.write(0, source, 1, destination, 2, number(value, 2));
    }
  }
  std::ifstream in(path("w.pcap"), std::ios::binary);
  const std::string file{std::istreambuf_iterator<char>(in), {}};
  constexpr size_t kRecord = 16 + 14 + 40 + 8 + 2, kChecksum = 24 + 16 + 14 + 40 + 6;
  ASSERT_EQ(file.size(), 24 + 65'536 * kRecord);
  size_t all_ones = 0;
  for (size_t at = kChecksum; at < file.size(); at += kRecord) {
    ASSERT_NE(file.substr(at, 2), std::string(2, '\0'));
    all_ones += file.substr(at, 2) == "\xff\xff";
  }
  EXPECT_GE(all_ones, 1u);
}

TEST_F(CaptureFiles, WriterTellsWhatTheSystemSays) {
  EXPECT_THROW(CaptureWriter(path("no/such/folder.pcap")), std::system_error);
  CaptureWriter full("/dev/full");
  EXPECT_THROW(full.close(), std::system_error);
}

TEST(IngestSkips, HaveNames) {
  EXPECT_EQ(name(IngestSkip::kNotIp), "not_ip");
  EXPECT_EQ(name(IngestSkip::kMalformed), "malformed");
}

}  // namespace
}  // namespace backstream::ingest
