#include "ingest/octet_source.h"

#include <bzlib.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <vector>

#include "base/byte_order.h"

namespace backstream::ingest {
namespace {

constexpr size_t kCompressedOctets = 64 << 10;

class FileSource final : public OctetSource {
 public:
  FileSource(int file, uint64_t total) : file_(file), total_(total) {}
  ~FileSource() override {
    if (file_ != STDIN_FILENO) ::close(file_);
  }
  size_t read(uint8_t* to, size_t octets_max) override {
    for (;;) {
      const ssize_t got = ::read(file_, to, octets_max);
      if (got >= 0) {
        read_ += static_cast<uint64_t>(got);
        return static_cast<size_t>(got);
      }
      if (errno == EINTR) continue;
      error_ = std::strerror(errno);
      return 0;
    }
  }
  const std::string& error() const override { return error_; }
  uint64_t octets_read() const override { return read_; }
  uint64_t octets_total() const override { return total_; }

 private:
  const int file_;
  const uint64_t total_;
  uint64_t read_ = 0;
  std::string error_;
};

class MemorySource final : public OctetSource {
 public:
  explicit MemorySource(std::span<const uint8_t> octets) : octets_(octets) {}
  size_t read(uint8_t* to, size_t octets_max) override {
    const size_t n = std::min(octets_max, octets_.size() - at_);
    if (n > 0) std::memcpy(to, octets_.data() + at_, n);
    at_ += n;
    return n;
  }
  const std::string& error() const override { return error_; }
  uint64_t octets_read() const override { return at_; }
  uint64_t octets_total() const override { return octets_.size(); }

 private:
  std::span<const uint8_t> octets_;
  size_t at_ = 0;
  std::string error_;
};

/// What is common to sources over another one: the octets that were read from it and not used yet.
class Wrapped : public OctetSource {
 public:
  /// `begin`: octets already taken from `below`; not more than `buffer_octets`.
  Wrapped(std::unique_ptr<OctetSource> below, std::span<const uint8_t> begin, size_t buffer_octets)
      : below_(std::move(below)), in_(buffer_octets), end_(begin.size()) {
    std::copy(begin.begin(), begin.end(), in_.begin());
  }
  const std::string& error() const override { return below_->error().empty() ? error_ : below_->error(); }
  uint64_t octets_read() const override { return below_->octets_read(); }
  uint64_t octets_total() const override { return below_->octets_total(); }

 protected:
  /// True when there is input left.
  bool fill() {
    if (at_ < end_) return true;
    at_ = 0;
    end_ = below_->read(in_.data(), in_.size());
    return end_ > 0;
  }
  std::unique_ptr<OctetSource> below_;
  std::vector<uint8_t> in_;
  size_t at_ = 0, end_;
  std::string error_;
};

/// Plain data whose first octets were looked at.
class PlainSource final : public Wrapped {
 public:
  PlainSource(std::unique_ptr<OctetSource> below, std::span<const uint8_t> begin)
      : Wrapped(std::move(below), begin, begin.size()) {}
  size_t read(uint8_t* to, size_t octets_max) override {
    if (at_ == end_) return below_->read(to, octets_max);
    const size_t n = std::min(octets_max, end_ - at_);
    std::memcpy(to, in_.data() + at_, n);
    at_ += n;
    return n;
  }
};

/// gzip, several members one after another (RFC 1952 §2.2).
class GzipSource final : public Wrapped {
 public:
  GzipSource(std::unique_ptr<OctetSource> below, std::span<const uint8_t> begin)
      : Wrapped(std::move(below), begin, kCompressedOctets) {
    if (::inflateInit2(&stream_, 15 + 16) != Z_OK) throw std::bad_alloc();
  }
  ~GzipSource() override { ::inflateEnd(&stream_); }
  size_t read(uint8_t* to, size_t octets_max) override {
    stream_.next_out = to;
    stream_.avail_out = static_cast<uInt>(octets_max);
    while (stream_.avail_out == octets_max && error_.empty()) {
      const bool more = fill();
      if (!more) {
        if (inside_) error_ = "the gzip data ends in the middle";
        break;
      }
      if (!inside_) {
        while (at_ < end_ && in_[at_] == 0) ++at_;  // Padding behind a member, as gzip itself allows.
        if (at_ == end_) continue;
        ::inflateReset(&stream_);
        inside_ = true;
      }
      stream_.next_in = in_.data() + at_;
      stream_.avail_in = static_cast<uInt>(end_ - at_);
      const int status = ::inflate(&stream_, Z_NO_FLUSH);
      at_ = end_ - stream_.avail_in;
      if (status == Z_STREAM_END) inside_ = false;
      else if (status != Z_OK && status != Z_BUF_ERROR) error_ = "the gzip data is damaged";
    }
    return octets_max - stream_.avail_out;
  }

 private:
  z_stream stream_{};
  bool inside_ = false;  ///< of a member
};

/// Zstandard frames one after another.
class ZstdSource final : public Wrapped {
 public:
  ZstdSource(std::unique_ptr<OctetSource> below, std::span<const uint8_t> begin)
      : Wrapped(std::move(below), begin, kCompressedOctets), stream_(::ZSTD_createDStream()) {
    if (stream_ == nullptr) throw std::bad_alloc();
  }
  ~ZstdSource() override { ::ZSTD_freeDStream(stream_); }
  size_t read(uint8_t* to, size_t octets_max) override {
    ZSTD_outBuffer out{to, octets_max, 0};
    while (out.pos == 0 && error_.empty()) {
      const bool more = fill();
      if (!more && !inside_) break;
      ZSTD_inBuffer in{in_.data(), end_, at_};
      const size_t left = ::ZSTD_decompressStream(stream_, &out, &in);
      at_ = in.pos;
      if (::ZSTD_isError(left)) error_ = fmt::format("the zstd data is damaged ({})", ::ZSTD_getErrorName(left));
      else inside_ = left != 0;
      if (!more && out.pos == 0 && inside_ && error_.empty()) error_ = "the zstd data ends in the middle";
    }
    return out.pos;
  }

 private:
  ZSTD_DStream* stream_;
  bool inside_ = false;
};

/// bzip2, several streams one after another, as parallel compressors write them.
class Bzip2Source final : public Wrapped {
 public:
  Bzip2Source(std::unique_ptr<OctetSource> below, std::span<const uint8_t> begin)
      : Wrapped(std::move(below), begin, kCompressedOctets) {}
  ~Bzip2Source() override {
    if (inside_) ::BZ2_bzDecompressEnd(&stream_);
  }
  size_t read(uint8_t* to, size_t octets_max) override {
    const auto room = static_cast<unsigned>(std::min<size_t>(octets_max, 1U << 30));
    unsigned left = room;
    while (left == room && error_.empty()) {
      if (!fill()) {
        if (inside_) error_ = "the bzip2 data ends in the middle";
        break;
      }
      if (!inside_) {
        stream_ = {};
        if (::BZ2_bzDecompressInit(&stream_, 0, 0) != BZ_OK) throw std::bad_alloc();
        inside_ = true;
      }
      stream_.next_in = reinterpret_cast<char*>(in_.data() + at_);
      stream_.avail_in = static_cast<unsigned>(end_ - at_);
      stream_.next_out = reinterpret_cast<char*>(to);
      stream_.avail_out = left;
      const int status = ::BZ2_bzDecompress(&stream_);
      at_ = end_ - stream_.avail_in;
      left = stream_.avail_out;
      if (status == BZ_STREAM_END) {
        ::BZ2_bzDecompressEnd(&stream_);
        inside_ = false;
      } else if (status != BZ_OK) {
        error_ = "the bzip2 data is damaged";
      }
    }
    return room - left;
  }

 private:
  bz_stream stream_{};
  bool inside_ = false;  ///< of a stream
};

std::unique_ptr<OctetSource> by_content(std::unique_ptr<OctetSource> source, bool& empty) {
  uint8_t first[4];
  size_t got = 0;
  while (got < sizeof first) {
    const size_t n = source->read(first + got, sizeof first - got);
    if (n == 0) break;
    got += n;
  }
  const std::span<const uint8_t> begin(first, got);
  empty = got == 0;
  if (got >= 2 && begin[0] == 0x1f && begin[1] == 0x8b) return std::make_unique<GzipSource>(std::move(source), begin);
  // A frame, or a skippable frame as parallel compressors put before each (RFC 8878 §3.1).
  const uint32_t magic = got == 4 ? base::load_be32(first) : 0;
  if (magic == 0x28b52ffd || (magic & 0xf0ffffff) == 0x502a4d18) {
    return std::make_unique<ZstdSource>(std::move(source), begin);
  }
  if (got == 4 && std::memcmp(first, "BZh", 3) == 0 && first[3] >= '1' && first[3] <= '9') {
    return std::make_unique<Bzip2Source>(std::move(source), begin);
  }
  return std::make_unique<PlainSource>(std::move(source), begin);
}

}  // namespace

base::Result<std::unique_ptr<OctetSource>> open_octets(const std::string& path) {
  int file = STDIN_FILENO;
  uint64_t total = 0;
  if (path != "-") {
    file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) return base::fail("capture", fmt::format("{}: {}", path, std::strerror(errno)));
    struct stat about {};
    if (::fstat(file, &about) == 0) {
      if (S_ISDIR(about.st_mode)) {
        ::close(file);
        return base::fail("capture", fmt::format("{}: is a folder, not a capture", path), {},
                          "name its files: --pcap FILE --pcap FILE");
      }
      if (S_ISREG(about.st_mode)) total = static_cast<uint64_t>(about.st_size);
    }
  }
  auto source = std::make_unique<FileSource>(file, total);
  const FileSource* below = source.get();
  bool empty = false;
  auto opened = by_content(std::move(source), empty);
  if (!below->error().empty()) return base::fail("capture", fmt::format("{}: {}", path, below->error()));
  if (empty) return base::fail("capture", fmt::format("{}: the file is empty", path));
  return opened;
}

std::unique_ptr<OctetSource> octets_in_memory(std::span<const uint8_t> octets) {
  bool empty = false;
  return by_content(std::make_unique<MemorySource>(octets), empty);
}

}  // namespace backstream::ingest
