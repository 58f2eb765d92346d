#include "service/state_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <cerrno>
#include <cstring>
#include <span>
#include <string_view>

#include "base/files.h"
#include "base/varint.h"

namespace backstream::service {
namespace {

constexpr std::string_view kMagic = "BSSTATE";
constexpr uint8_t kVersion = 1;
constexpr uint64_t kLengthOctets = 8, kChecksumOctets = 8;
constexpr uint64_t kQueryOctetsMin = 2 * kLengthOctets + kChecksumOctets;

void put_fixed(std::vector<uint8_t>& out, uint64_t value) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<uint8_t>(value >> (8 * i)));
}
void put_octets(std::vector<uint8_t>& out, const void* octets, size_t n) {
  base::put_varint(out, n);
  const auto* from = static_cast<const uint8_t*>(octets);
  out.insert(out.end(), from, from + n);
}

// --- writing ------------------------------------------------------------------------------------------------------

/// Writes and sums what it writes. After a failure it does nothing; errno is that of the failure.
class Out {
 public:
  explicit Out(int file) : file_(file) { XXH3_64bits_reset(&sum_); }
  void put(std::span<const uint8_t> octets) {
    XXH3_64bits_update(&sum_, octets.data(), octets.size());
    write(octets);
  }
  void end_section() {
    std::vector<uint8_t> sum;
    put_fixed(sum, XXH3_64bits_digest(&sum_));
    write(sum);
    XXH3_64bits_reset(&sum_);
  }
  bool failed() const { return error_ != 0; }
  int error() const { return error_; }
  uint64_t octets() const { return octets_; }

 private:
  void write(std::span<const uint8_t> octets) {
    octets_ += octets.size();
    while (!octets.empty() && error_ == 0) {
      const ssize_t written = ::write(file_, octets.data(), octets.size());
      if (written < 0 && errno == EINTR) continue;
      if (written <= 0) {
        error_ = written < 0 ? errno : ENOSPC;
        return;
      }
      octets = octets.subspan(static_cast<size_t>(written));
    }
  }
  const int file_;
  XXH3_state_t sum_;
  uint64_t octets_ = 0;
  int error_ = 0;
};

void write_state(const SavedState& state, Out& out) {
  std::vector<uint8_t> begin(kMagic.begin(), kMagic.end());
  begin.push_back(kVersion);
  std::vector<uint8_t> head;
  base::put_varint_signed(head, state.saved_at);
  head.push_back(state.clean ? 1 : 0);
  put_octets(head, state.header.data(), state.header.size());
  put_octets(head, state.streams.data(), state.streams.size());
  base::put_varint(head, state.queries.size());
  put_fixed(begin, head.size());
  out.put(begin);
  out.put(head);
  out.end_section();
  for (const SavedQuery& query : state.queries) {
    std::vector<uint8_t> name;
    put_octets(name, query.name.data(), query.name.size());
    base::put_varint(name, query.incarnation);
    base::put_varint(name, query.version);
    std::vector<uint8_t> lengths;
    put_fixed(lengths, name.size());
    lengths.insert(lengths.end(), name.begin(), name.end());
    put_fixed(lengths, query.octets.size());
    out.put(lengths);
    out.put(query.octets);
    out.end_section();
  }
}

// --- reading ------------------------------------------------------------------------------------------------------

/// What is wrong with a file, for people.
struct Damage {
  std::string text;
};

/// Reads and sums what it reads; never more than the file had at first.
class In {
 public:
  In(int file, uint64_t octets) : file_(file), left_(octets) { XXH3_64bits_reset(&sum_); }
  uint64_t at() const { return at_; }
  uint64_t left() const { return left_; }
  std::vector<uint8_t> get(uint64_t n, const char* what) {
    std::vector<uint8_t> octets = read(n, what);
    XXH3_64bits_update(&sum_, octets.data(), octets.size());
    return octets;
  }
  uint64_t length(const char* what) {
    const uint64_t value = fixed(get(kLengthOctets, what));
    if (value > left_) throw Damage{fmt::format("at octet {}: the length of {} is more than the file has", at_, what)};
    return value;
  }
  void end_section(const std::string& what) {
    const uint64_t expected = XXH3_64bits_digest(&sum_);
    if (fixed(read(kChecksumOctets, "a checksum")) != expected)
      throw Damage{fmt::format("before octet {}: the checksum of {} is wrong", at_, what)};
    XXH3_64bits_reset(&sum_);
  }

 private:
  static uint64_t fixed(const std::vector<uint8_t>& octets) {
    uint64_t value = 0;
    for (size_t i = 0; i < octets.size(); ++i) value |= uint64_t{octets[i]} << (8 * i);
    return value;
  }
  std::vector<uint8_t> read(uint64_t n, const char* what) {
    if (n > left_) throw Damage{fmt::format("at octet {}: the file ends within {}", at_, what)};
    std::vector<uint8_t> octets(n);
    for (size_t done = 0; done < n;) {
      const ssize_t got = ::read(file_, octets.data() + done, n - done);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0)
        throw Damage{
            fmt::format("at octet {}: {}", at_ + done, got < 0 ? std::strerror(errno) : "the file has become shorter")};
      done += static_cast<size_t>(got);
    }
    at_ += n;
    left_ -= n;
    return octets;
  }
  const int file_;
  uint64_t at_ = 0, left_;
  XXH3_state_t sum_;
};

/// Fields of a section whose checksum was right: what does not fit was written so.
class Fields {
 public:
  Fields(const std::vector<uint8_t>& octets, const char* what) : rest_(octets), what_(what) {}
  uint64_t number() {
    uint64_t value = 0;
    skip(base::get_varint(rest_.data(), rest_.size(), value));
    return value;
  }
  int64_t integer() {
    int64_t value = 0;
    skip(base::get_varint_signed(rest_.data(), rest_.size(), value));
    return value;
  }
  std::span<const uint8_t> octets() {
    const uint64_t n = number();
    if (n > rest_.size()) refuse();
    const auto octets = rest_.first(n);
    rest_ = rest_.subspan(n);
    return octets;
  }
  std::string text() {
    const auto from = octets();
    return {from.begin(), from.end()};
  }
  void end() const {
    if (!rest_.empty()) refuse();
  }

 private:
  void skip(size_t octets) {
    if (octets == 0) refuse();
    rest_ = rest_.subspan(octets);
  }
  [[noreturn]] void refuse() const { throw Damage{fmt::format("{} cannot be read", what_)}; }
  std::span<const uint8_t> rest_;
  const char* what_;
};

SavedState read_state(In& in) {
  const std::vector<uint8_t> begin = in.get(kMagic.size() + 1, "the begin");
  if (std::memcmp(begin.data(), kMagic.data(), kMagic.size()) != 0) throw Damage{"it is no state of this program"};
  if (begin.back() != kVersion)
    throw Damage{fmt::format("it is of format {}, and this program knows {}", begin.back(), kVersion)};
  const std::vector<uint8_t> head = in.get(in.length("the head"), "the head");
  in.end_section("the head");
  SavedState state;
  Fields fields(head, "the head");
  state.saved_at = fields.integer();
  state.clean = fields.number() != 0;
  state.header = fields.text();
  const auto streams = fields.octets();
  state.streams.assign(streams.begin(), streams.end());
  const uint64_t queries = fields.number();
  fields.end();
  if (queries > in.left() / kQueryOctetsMin) throw Damage{"it has less queries than its head says"};
  for (uint64_t q = 0; q < queries; ++q) {
    SavedQuery& query = state.queries.emplace_back();
    const std::vector<uint8_t> name = in.get(in.length("the name of a query"), "the name of a query");
    query.octets = in.get(in.length("a query"), "a query");
    in.end_section(fmt::format("query {} of {}", q + 1, queries));
    Fields own(name, "the name of a query");
    query.name = own.text();
    query.incarnation = own.number();
    query.version = own.number();
    own.end();
  }
  if (in.left() != 0) throw Damage{fmt::format("at octet {}: there is more than its head says", in.at())};
  return state;
}

}  // namespace

base::Result<uint64_t> StateFile::write(const SavedState& state) const {
  const std::string next = path_ + ".new";
  base::File file(next, O_WRONLY | O_CREAT | O_TRUNC);
  if (file.get() < 0) return base::file_failed("write", next);
  Out out(file.get());
  write_state(state, out);
  if (out.failed()) errno = out.error();
  // Without the first fsync the name could survive a power cut and the octets not; the second one keeps the name.
  if (out.failed() || ::fsync(file.get()) != 0 || !file.close()) {
    auto failed = base::file_failed("write", next);
    ::unlink(next.c_str());
    return failed;
  }
  if (::rename(next.c_str(), path_.c_str()) != 0) return base::file_failed("write", path_);
  base::sync_folder_of(path_);
  return out.octets();
}

base::Result<std::optional<SavedState>> StateFile::load() const {
  const base::File file(path_, O_RDONLY);
  if (file.get() < 0 && errno == ENOENT) return std::nullopt;
  struct stat status {};
  if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return base::file_failed("read", path_);
  if (!S_ISREG(status.st_mode)) return base::fail("file", fmt::format("'{}' is no regular file", path_));
  try {
    In in(file.get(), static_cast<uint64_t>(status.st_size));
    return read_state(in);
  } catch (const Damage& damage) {
    const std::string aside = path_ + ".damaged";
    if (::rename(path_.c_str(), aside.c_str()) != 0) return base::file_failed("rename", path_);
    return base::fail("state", fmt::format("'{}' is not used: {}; it was renamed to '{}'", path_, damage.text, aside),
                      {},
                      "windows that were open begin anew, and are not complete; a file of a newer program can be moved "
                      "back and read by that");
  }
}

}  // namespace backstream::service
