#include "ingest/capture_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "ingest/frame.h"

namespace backstream::ingest {
namespace {

constexpr size_t kHeadOctets = 32 << 10;         ///< read at open: many files may be opened to be checked
constexpr size_t kBufferOctets = 1 << 20;        ///< where the buffer, which begins with kHeadOctets, stops growing
constexpr uint32_t kRecordOctetsMax = 16 << 20;  ///< no capture has frames like this; a length beyond it is damage
constexpr uint32_t kPcapMicro = 0xa1b2c3d4, kPcapNano = 0xa1b23c4d;
constexpr uint32_t kPcapHeaderOctets = 24, kPcapRecordOctets = 16;
constexpr uint32_t kSectionHeader = 0x0a0d0d0a, kByteOrderMagic = 0x1a2b3c4d;
constexpr uint32_t kInterfaceBlock = 1, kPacketBlock = 2, kSimplePacketBlock = 3, kEnhancedPacketBlock = 6;
constexpr uint16_t kTimeResolution = 9, kTimeOffset = 14;  ///< options of an interface
constexpr size_t kInterfacesMax = 65'536;
constexpr int64_t kLastSecond = 253'402'300'799;  ///< of the year 9999

uint32_t load32(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

base::Micros to_micros(uint64_t ticks, uint64_t ticks_per_second) {
  constexpr auto kLast = static_cast<uint64_t>(kLastSecond) * base::kMicrosPerSecond;
  if (ticks_per_second == 1'000'000) return static_cast<base::Micros>(std::min(ticks, kLast));
  if (ticks_per_second == 1'000'000'000) return static_cast<base::Micros>(std::min(ticks / 1000, kLast));
  __extension__ using Wide = unsigned __int128;
  const Wide micros = static_cast<Wide>(ticks) * 1'000'000 / ticks_per_second;
  return static_cast<base::Micros>(std::min<Wide>(micros, kLast));
}

}  // namespace

CaptureReader::CaptureReader(std::unique_ptr<OctetSource> octets, std::string name)
    : source_(std::move(octets)), name_(std::move(name)), buffer_(kHeadOctets) {}

uint32_t CaptureReader::u32(const uint8_t* at) const {
  const uint32_t value = load32(at);
  return swapped_ ? __builtin_bswap32(value) : value;
}
uint16_t CaptureReader::u16(const uint8_t* at) const {
  uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return swapped_ ? __builtin_bswap16(value) : value;
}

/// Moves what is left to the front and reads behind it: at least `wanted_` octets unless the source ends, and no more
/// than it gives at once, so that a pipe is read as it comes.
bool CaptureReader::fill() {
  if (source_ended_) return false;
  std::memmove(buffer_.data(), buffer_.data() + at_, left());
  end_ -= at_;
  at_ = 0;
  if (wanted_ > buffer_.size()) buffer_.resize(wanted_);
  const size_t before = end_;
  do {
    const size_t got = source_->read(buffer_.data() + end_, buffer_.size() - end_);
    source_ended_ = got == 0;
    end_ += got;
  } while (end_ < wanted_ && !source_ended_);
  return end_ > before;
}

tl::unexpected<base::Diagnostic> CaptureReader::refuse(std::string_view what, std::string hint) const {
  // What stopped reading (a damaged gzip file) says more than what is missing.
  if (!source_->error().empty()) return base::fail("capture", fmt::format("{}: {}", name_, source_->error()));
  return base::fail("capture", fmt::format("{}: {}", name_, what), {}, std::move(hint));
}

tl::unexpected<base::Diagnostic> CaptureReader::refuse_link_type(uint32_t link_type) const {
  return base::fail("capture", fmt::format("{}: link type {} cannot be read", name_, link_type), {},
                    "Ethernet, Linux cooked, raw IP and loopback captures can");
}

base::Result<std::unique_ptr<CaptureReader>> CaptureReader::open(std::unique_ptr<OctetSource> octets,
                                                                 std::string name) {
  std::unique_ptr<CaptureReader> reader(new CaptureReader(std::move(octets), std::move(name)));
  if (auto begun = reader->begin(); !begun) return tl::unexpected(begun.error());
  return reader;
}

base::Result<void> CaptureReader::begin() {
  wanted_ = kPcapHeaderOctets;
  fill();
  const uint32_t magic = left() >= 4 ? load32(buffer_.data()) : 0;
  if (magic == kSectionHeader) return begin_pcapng();
  const uint32_t other_order = __builtin_bswap32(magic);
  swapped_ = other_order == kPcapMicro || other_order == kPcapNano;
  if (!swapped_ && magic != kPcapMicro && magic != kPcapNano) {
    return refuse("not a pcap or pcapng capture", "captures come from tcpdump -w, tshark -w or backstream generate");
  }
  fraction_per_micro_ = magic == kPcapNano || other_order == kPcapNano ? 1000 : 1;
  if (left() < kPcapHeaderOctets) return refuse("cut in the middle of its file header");
  link_type_ = u32(buffer_.data() + 20) & 0xffff;  // The upper half is about frame check sequences.
  if (!link_type_known(link_type_)) return refuse_link_type(link_type_);
  at_ = kPcapHeaderOctets;
  return {};
}

/// Reads the first section header and its interfaces, so that a file nothing can be read of is told before all else.
base::Result<void> CaptureReader::begin_pcapng() {
  pcapng_ = true;
  Packet packet;
  bool section = false;
  while (!section || (left() >= 4 && u32(buffer_.data() + at_) == kInterfaceBlock)) {
    const Step step = next_block(packet);
    if (step == Step::kNeedMore) {
      if (fill()) continue;
      if (!section) return refuse("cut in the middle of its file header");
      break;
    }
    if (step != Step::kSkipped) return base::fail("capture", warnings_.back());
    section = true;
  }
  const auto known = [](const Interface& interface) { return link_type_known(interface.link_type); };
  if (!interfaces_.empty() && std::none_of(interfaces_.begin(), interfaces_.end(), known)) {
    return refuse_link_type(interfaces_.front().link_type);
  }
  return {};
}

bool CaptureReader::next(Packet& packet) {
  while (!stopped_) {
    const Step step = pcapng_ ? next_block(packet) : next_pcap(packet);
    if (step == Step::kSkipped) continue;
    packet_count_ += step == Step::kPacket;
    return step == Step::kPacket;
  }
  return false;
}

bool CaptureReader::refill() {
  if (stopped_) return false;
  if (buffer_.size() < kBufferOctets) buffer_.resize(std::min(kBufferOctets, 4 * buffer_.size()));
  if (fill()) return true;
  if (!source_->error().empty()) {
    stop(fmt::format("{}: {} after packet {}; all before it was read", name_, source_->error(), packet_count_));
  } else if (left() > 0) {
    stop(fmt::format("{}: cut in the middle of packet {}; all before it was read", name_, packet_count_ + 1));
  }
  stopped_ = true;
  return false;
}

void CaptureReader::stop(std::string warning) {
  stopped_ = true;
  truncated_ = true;
  warnings_.push_back(std::move(warning));
}

CaptureReader::Step CaptureReader::damaged(std::string_view what) {
  stop(fmt::format("{}: damaged after packet {}: {}; all before it was read", name_, packet_count_, what));
  return Step::kStop;
}

CaptureReader::Step CaptureReader::next_pcap(Packet& packet) {
  wanted_ = kPcapRecordOctets;
  if (left() < wanted_) return Step::kNeedMore;
  const uint8_t* header = buffer_.data() + at_;
  const uint32_t octets = u32(header + 8);
  if (octets > kRecordOctetsMax) return damaged("a packet length that cannot be");
  wanted_ += octets;
  if (left() < wanted_) return Step::kNeedMore;
  packet.frame = header + kPcapRecordOctets;
  packet.octets = octets;
  packet.link_type = link_type_;
  packet.time = base::Micros{u32(header)} * base::kMicrosPerSecond + u32(header + 4) / fraction_per_micro_;
  at_ += wanted_;
  return Step::kPacket;
}

CaptureReader::Step CaptureReader::next_block(Packet& packet) {
  wanted_ = 12;
  if (left() < wanted_) return Step::kNeedMore;
  const uint8_t* block = buffer_.data() + at_;
  if (load32(block) == kSectionHeader) {  // Reads the same in both byte orders; each section has its own.
    const uint32_t magic = load32(block + 8);
    if (magic != kByteOrderMagic && __builtin_bswap32(magic) != kByteOrderMagic) {
      return damaged("a section without byte order");
    }
    swapped_ = magic != kByteOrderMagic;
  }
  const uint32_t type = u32(block), length = u32(block + 4);
  if (length < 12 || length % 4 != 0 || length > kRecordOctetsMax) return damaged("a block length that cannot be");
  wanted_ = length;
  if (left() < length) return Step::kNeedMore;
  if (u32(block + length - 4) != length) return damaged("a block whose two lengths differ");
  at_ += length;
  const uint8_t* body = block + 8;
  const uint32_t body_octets = length - 12;
  uint32_t header_octets = 20, interface_id = 0, captured = 0;
  switch (type) {
    case kSectionHeader:
      if (body_octets < 16) return damaged("a section header that is too short");
      interfaces_.clear();
      return Step::kSkipped;
    case kInterfaceBlock: return read_interface(body, body_octets);
    case kEnhancedPacketBlock:
    case kPacketBlock:
      if (body_octets < header_octets) return damaged("a packet block that is too short");
      interface_id = type == kPacketBlock ? u16(body) : u32(body);
      captured = u32(body + 12);
      break;
    case kSimplePacketBlock:
      header_octets = 4;
      if (body_octets < header_octets) return damaged("a packet block that is too short");
      break;
    default: return Step::kSkipped;
  }
  if (interface_id >= interfaces_.size()) return damaged("a packet of an interface that was not described");
  const Interface& interface = interfaces_[interface_id];
  if (type == kSimplePacketBlock) {
    // It tells neither its captured length nor a time: the former follows from the snap length, the latter is taken
    // from the packet before.
    captured = std::min(u32(body), body_octets - header_octets);
    if (interface.snap_octets > 0) captured = std::min(captured, interface.snap_octets);
  } else {
    const uint64_t ticks = uint64_t{u32(body + 4)} << 32 | u32(body + 8);
    last_time_ = std::clamp(to_micros(ticks, interface.ticks_per_second) + interface.offset_us, base::Micros{0},
                            base::Micros{kLastSecond * base::kMicrosPerSecond});
  }
  if (captured > body_octets - header_octets) return damaged("a packet that is longer than its block");
  packet.frame = body + header_octets;
  packet.octets = captured;
  packet.link_type = interface.link_type;
  packet.time = last_time_;
  return Step::kPacket;
}

CaptureReader::Step CaptureReader::read_interface(const uint8_t* body, uint32_t octets) {
  if (octets < 8) return damaged("an interface description that is too short");
  if (interfaces_.size() >= kInterfacesMax) return damaged("too many interfaces");
  Interface interface;
  interface.link_type = u16(body);
  interface.snap_octets = u32(body + 4);
  for (uint32_t at = 8; at + 4 <= octets;) {
    const uint32_t code = u16(body + at), length = u16(body + at + 2);
    if (code == 0 || at + 4 + length > octets) break;
    const uint8_t* value = body + at + 4;
    if (code == kTimeResolution && length >= 1) {
      const unsigned exponent = value[0] & 0x7f;
      const bool binary = (value[0] & 0x80) != 0;
      if (exponent > (binary ? 63 : 19)) return damaged("a time resolution that cannot be");
      interface.ticks_per_second = 1;
      for (unsigned i = 0; i < exponent; ++i) interface.ticks_per_second *= binary ? 2 : 10;
    } else if (code == kTimeOffset && length >= 8) {
      const uint64_t first = u32(value), second = u32(value + 4);
      const auto seconds = static_cast<int64_t>(swapped_ ? first << 32 | second : second << 32 | first);
      interface.offset_us = std::clamp(seconds, -kLastSecond, kLastSecond) * base::kMicrosPerSecond;
    }
    at += 4 + ((length + 3) & ~3u);
  }
  if (!link_type_known(interface.link_type) && !link_type_warned_) {
    link_type_warned_ = true;
    warnings_.push_back(fmt::format("{}: packets of interface {} are skipped: link type {} cannot be read", name_,
                                    interfaces_.size(), interface.link_type));
  }
  interfaces_.push_back(interface);
  return Step::kSkipped;
}

}  // namespace backstream::ingest
