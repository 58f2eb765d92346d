// Captures as a source of datagrams: files one after another, sites merged by capture time.
#include "ingest/captures.h"

#include <fmt/format.h>

#include <algorithm>

#include "ingest/capture_reader.h"
#include "ingest/frame.h"

namespace backstream::ingest {

std::string_view name(IngestSkip skip) {
  switch (skip) {
#define BACKSTREAM_X(enumerator, text, about) \
  case IngestSkip::enumerator: return text;
    BACKSTREAM_INGEST_SKIPS(BACKSTREAM_X)
#undef BACKSTREAM_X
  }
  return "";
}

void IngestStats::add_rejected(const base::Inet& source) {
  ++skipped[static_cast<size_t>(IngestSkip::kNotAllowed)];
  const auto named =
      std::find_if(rejected.begin(), rejected.end(), [&](const auto& entry) { return entry.first == source; });
  if (named != rejected.end()) ++named->second;
  else if (rejected.size() < kRejectedNamedMax) rejected.emplace_back(source, 1);
}

IngestStats& IngestStats::operator+=(const IngestStats& other) {
  frames += other.frames;
  datagrams += other.datagrams;
  octets += other.octets;
  for (size_t i = 0; i < kIngestSkipCount; ++i) skipped[i] += other.skipped[i];
  kernel_drops += other.kernel_drops;
  for (const auto& [address, count] : other.rejected) {
    const auto named =
        std::find_if(rejected.begin(), rejected.end(), [&](const auto& entry) { return entry.first == address; });
    if (named != rejected.end()) named->second += count;
    else if (rejected.size() < kRejectedNamedMax) rejected.emplace_back(address, count);
  }
  sockets.insert(sockets.end(), other.sockets.begin(), other.sockets.end());
  topics.insert(topics.end(), other.topics.begin(), other.topics.end());
  truncated |= other.truncated;
  warnings.insert(warnings.end(), other.warnings.begin(), other.warnings.end());
  return *this;
}

namespace {

constexpr size_t kBlockDatagrams = 1024;

struct CaptureFile {
  std::string path;
  uint64_t octets_total = 0;
  std::unique_ptr<CaptureReader> reader;  ///< null: opened when its turn comes
};

base::Result<std::unique_ptr<CaptureReader>> open_capture(const std::string& path) {
  auto octets = open_octets(path);
  if (!octets) return tl::unexpected(octets.error());
  return CaptureReader::open(std::move(*octets), path);
}

/// The files of one input, one after another.
class FilesSource final : public DatagramSource {
 public:
  FilesSource(std::vector<CaptureFile> files, uint32_t site, std::vector<uint16_t> ports, base::PrefixSet allow)
      : files_(std::move(files)), site_(site), ports_(std::move(ports)), allow_(std::move(allow)) {
    for (const CaptureFile& file : files_) octets_total_ += file.octets_total;
    block_.reserve(kBlockDatagrams);
  }

  std::span<const base::Datagram> next_block() override {
    block_.clear();
    while (block_.empty() && current_ < files_.size()) {
      if (files_[current_].reader == nullptr && !open_current()) continue;
      CaptureReader& reader = *files_[current_].reader;
      CaptureReader::Packet packet;
      while (block_.size() < kBlockDatagrams && reader.next(packet)) take(packet);
      // What lies in the buffer is handed on before it is overwritten.
      if (block_.empty() && !reader.refill()) close_current();
    }
    stats_.datagrams += block_.size();
    return block_;
  }
  bool at_end() const override { return current_ == files_.size(); }
  const IngestStats& stats() const override {
    stats_.octets = octets_read();
    return stats_;
  }
  uint64_t octets_read() const override {
    const bool open = current_ < files_.size() && files_[current_].reader != nullptr;
    return octets_before_ + (open ? files_[current_].reader->octets_read() : 0);
  }
  uint64_t octets_total() const override { return octets_total_; }

 private:
  bool open_current() {
    auto opened = open_capture(files_[current_].path);
    if (opened) {
      files_[current_].reader = std::move(*opened);
      return true;
    }
    // It could be opened when the program began: it was removed or changed since.
    stats_.truncated = true;
    stats_.warnings.push_back(opened.error().message);
    ++current_;
    return false;
  }
  void close_current() {
    std::unique_ptr<CaptureReader> reader = std::move(files_[current_].reader);
    stats_.truncated |= reader->truncated();
    stats_.warnings.insert(stats_.warnings.end(), reader->warnings().begin(), reader->warnings().end());
    octets_before_ += reader->octets_read();
    ++current_;
  }
  void skip(IngestSkip why) { ++stats_.skipped[static_cast<size_t>(why)]; }

  void take(const CaptureReader::Packet& packet) {
    ++stats_.frames;
    base::Datagram datagram;
    IngestSkip why{};
    if (!find_datagram(packet.link_type, packet.frame, packet.octets, datagram, why)) return skip(why);
    if (!ports_.empty() && std::find(ports_.begin(), ports_.end(), datagram.destination_port) == ports_.end()) {
      return skip(IngestSkip::kPortFiltered);
    }
    if (!allow_.empty() && !allow_.contains(datagram.source)) {
      stats_.add_rejected(datagram.source);
      return;
    }
    datagram.site = site_;
    datagram.received_at = packet.time;
    block_.push_back(datagram);
  }

  std::vector<CaptureFile> files_;
  const uint32_t site_;
  const std::vector<uint16_t> ports_;
  const base::PrefixSet allow_;
  size_t current_ = 0;
  uint64_t octets_before_ = 0;  ///< of the files that were read to their end
  uint64_t octets_total_ = 0;
  std::vector<base::Datagram> block_;
  mutable IngestStats stats_;
};

/// Several inputs as one, by capture time; of equal times the input that was named first.
class MergedSource final : public DatagramSource {
 public:
  explicit MergedSource(std::vector<std::unique_ptr<DatagramSource>> sources) : inputs_(sources.size()) {
    for (size_t i = 0; i < sources.size(); ++i) inputs_[i].source = std::move(sources[i]);
  }
  std::span<const base::Datagram> next_block() override {
    block_.clear();
    for (Input& input : inputs_) {
      while (input.rest.empty() && !input.source->at_end()) input.rest = input.source->next_block();
    }
    // Until one input's block is used up: then its next one must be read before the order is known.
    for (;;) {
      Input* first = nullptr;
      for (Input& input : inputs_) {
        if (input.rest.empty()) {
          if (!input.source->at_end()) return block_;
          continue;
        }
        if (first == nullptr || input.rest.front().received_at < first->rest.front().received_at) first = &input;
      }
      if (first == nullptr) return block_;
      block_.push_back(first->rest.front());
      first->rest = first->rest.subspan(1);
    }
  }
  bool at_end() const override {
    return std::all_of(inputs_.begin(), inputs_.end(),
                       [](const Input& input) { return input.rest.empty() && input.source->at_end(); });
  }
  const IngestStats& stats() const override {
    stats_ = IngestStats{};
    for (const Input& input : inputs_) stats_ += input.source->stats();
    return stats_;
  }
  uint64_t octets_read() const override {
    uint64_t octets = 0;
    for (const Input& input : inputs_) octets += input.source->octets_read();
    return octets;
  }
  uint64_t octets_total() const override {
    uint64_t octets = 0;
    for (const Input& input : inputs_) octets += input.source->octets_total();
    return octets;
  }

 private:
  struct Input {
    std::unique_ptr<DatagramSource> source;
    std::span<const base::Datagram> rest;
  };
  std::vector<Input> inputs_;
  std::vector<base::Datagram> block_;
  mutable IngestStats stats_;
};

}  // namespace

base::Result<std::unique_ptr<DatagramSource>> open_captures(const std::vector<CaptureInput>& inputs,
                                                            const std::vector<uint16_t>& ports,
                                                            std::vector<std::string>& sites,
                                                            const base::PrefixSet& allow) {
  struct Group {
    std::string site;
    std::vector<CaptureFile> files;
  };
  std::vector<Group> groups;
  for (const CaptureInput& input : inputs) {
    auto reader = open_capture(input.path);
    if (!reader) return tl::unexpected(reader.error());
    auto group = std::find_if(groups.begin(), groups.end(), [&](const Group& g) { return g.site == input.site; });
    if (group == groups.end()) group = groups.insert(groups.end(), Group{input.site, {}});
    CaptureFile file{input.path, (*reader)->octets_total(), std::move(*reader)};
    // A file that waits for others is opened again in its turn, so that thousands need no memory nor descriptors. What
    // has no size (a pipe) cannot be read twice.
    if (!group->files.empty() && file.octets_total > 0) file.reader.reset();
    group->files.push_back(std::move(file));
  }
  if (sites.empty()) sites.emplace_back();
  std::vector<std::unique_ptr<DatagramSource>> sources;
  for (Group& group : groups) {
    uint32_t site = 0;
    if (!group.site.empty()) {
      const auto known = std::find(sites.begin() + 1, sites.end(), group.site);
      site = static_cast<uint32_t>(known - sites.begin());
      if (known == sites.end()) sites.push_back(group.site);
    }
    sources.push_back(std::make_unique<FilesSource>(std::move(group.files), site, ports, allow));
  }
  if (sources.size() == 1) return std::move(sources[0]);
  return std::make_unique<MergedSource>(std::move(sources));
}

base::Result<std::unique_ptr<DatagramSource>> open_capture_octets(std::span<const uint8_t> octets) {
  auto reader = CaptureReader::open(octets_in_memory(octets), "memory");
  if (!reader) return tl::unexpected(reader.error());
  std::vector<CaptureFile> files;
  files.push_back({"memory", octets.size(), std::move(*reader)});
  return std::make_unique<FilesSource>(std::move(files), 0, std::vector<uint16_t>{}, base::PrefixSet{});
}

}  // namespace backstream::ingest
