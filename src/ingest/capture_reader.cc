#include "ingest/capture_reader.h"

#include <fmt/format.h>

#include <cstring>

#include "ingest/frame.h"

namespace backstream::ingest {
namespace {

constexpr size_t kBufferOctets = 1 << 20;
constexpr uint32_t kRecordOctetsMax = 64 << 20;  ///< no capture has frames like this; a length beyond it is damage
constexpr uint32_t kPcapMicro = 0xa1b2c3d4, kPcapNano = 0xa1b23c4d;
constexpr uint32_t kSectionHeader = 0x0a0d0d0a, kByteOrderMagic = 0x1a2b3c4d;
constexpr uint32_t kInterfaceBlock = 1, kPacketBlock = 2, kSimplePacketBlock = 3, kEnhancedPacketBlock = 6;
constexpr size_t kInterfacesMax = 65'536;

uint32_t load32(const uint8_t* at) {
  uint32_t value;
  std::memcpy(&value, at, sizeof value);
  return value;
}
uint32_t padded(uint32_t octets) { return (octets + 3) & ~3u; }

base::Diagnostic unknown_link_type(const std::string& name, uint32_t link_type) {
  return base::fail("capture", fmt::format("{}: link type {} cannot be read", name, link_type), {},
                    "Ethernet, Linux cooked, raw IP and loopback captures can")
      .value();
}

}  // namespace

CaptureReader::CaptureReader(std::unique_ptr<OctetSource> octets, std::string name)
    : source_(std::move(octets)), name_(std::move(name)), buffer_(kBufferOctets) {}

uint32_t CaptureReader::u32(const uint8_t* at) const {
  const uint32_t value = load32(at);
  return swapped_ ? __builtin_bswap32(value) : value;
}
uint16_t CaptureReader::u16(const uint8_t* at) const {
  uint16_t value;
  std::memcpy(&value, at, sizeof value);
  return swapped_ ? __builtin_bswap16(value) : value;
}

/// Moves what is left to the front and reads behind it.
bool CaptureReader::fill() {
  if (source_ended_) return false;
  std::memmove(buffer_.data(), buffer_.data() + at_, left());
  end_ -= at_;
  at_ = 0;
  if (wanted_ > buffer_.size()) buffer_.resize(wanted_);
  const size_t before = end_;
  while (end_ < buffer_.size()) {
    const size_t got = source_->read(buffer_.data() + end_, buffer_.size() - end_);
    if (got == 0) {
      source_ended_ = true;
      break;
    }
    end_ += got;
  }
  return end_ > before;
}

base::Result<std::unique_ptr<CaptureReader>> CaptureReader::open(std::unique_ptr<OctetSource> octets,
                                                                 std::string name) {
  std::unique_ptr<CaptureReader> reader(new CaptureReader(std::move(octets), std::move(name)));
  if (auto begun = reader->begin(); !begun) return tl::unexpected(begun.error());
  return reader;
}

base::Result<void> CaptureReader::begin() {
  fill();
  const auto not_a_capture = [&] {
    return base::fail("capture", fmt::format("{}: not a pcap or pcapng capture", name_), {},
                      source_->error().empty()
                          ? "captures come from tcpdump -w, tshark -w or backstream generate --pcap"
                          : source_->error());
  };
  if (left() < 4) return not_a_capture();
  const uint32_t magic = load32(buffer_.data());
  if (magic == kSectionHeader) {
    pcapng_ = true;
    Packet packet;
    // The first section header and its interfaces, so that a link type that cannot be read is told before all else.
    const Step step = next_block(packet);
    if (step == Step::kStop || step == Step::kNeedMore) return not_a_capture();
    if (!warning_.empty()) return base::fail("capture", warning_);
    while (left() >= 20 && u32(buffer_.data() + at_) == kInterfaceBlock) {
      if (next_block(packet) != Step::kSkipped) break;
      if (!interfaces_.back().known) return tl::unexpected(unknown_link_type(name_, interfaces_.back().link_type));
    }
    return {};
  }
  const bool swapped_micro = __builtin_bswap32(magic) == kPcapMicro,
             swapped_nano = __builtin_bswap32(magic) == kPcapNano;
  if (magic != kPcapMicro && magic != kPcapNano && !swapped_micro && !swapped_nano) return not_a_capture();
  swapped_ = swapped_micro || swapped_nano;
  fraction_per_micro_ = magic == kPcapNano || swapped_nano ? 1000 : 1;
  if (left() < 24) return base::fail("capture", fmt::format("{}: cut in the middle of its file header", name_));
  link_type_ = u32(buffer_.data() + 20) & 0xffff;  // the upper half is about frame check sequences
  if (!link_type_known(link_type_)) return tl::unexpected(unknown_link_type(name_, link_type_));
  at_ = 24;
  return {};
}

bool CaptureReader::next(Packet& packet) {
  for (;;) {
    if (stopped_) return false;
    switch (pcapng_ ? next_block(packet) : next_pcap(packet)) {
      case Step::kPacket: ++packet_number_; return true;
      case Step::kSkipped: continue;
      case Step::kNeedMore: return false;
      case Step::kStop: return false;
    }
  }
}

bool CaptureReader::refill() {
  if (stopped_) return false;
  if (fill()) return true;
  stopped_ = true;
  if (!source_->error().empty()) {
    warning_ = fmt::format("{}: {} after packet {}", name_, source_->error(), packet_number_);
  } else if (left() > 0) {
    warning_ = fmt::format("{}: cut in the middle of packet {}; all before it was read", name_, packet_number_ + 1);
  }
  return false;
}

CaptureReader::Step CaptureReader::damaged(std::string_view what) {
  stopped_ = true;
  warning_ = fmt::format("{}: damaged after packet {}: {}; all before it was read", name_, packet_number_, what);
  return Step::kStop;
}

CaptureReader::Step CaptureReader::next_pcap(Packet& packet) {
  wanted_ = 16;
  if (left() < 16) return Step::kNeedMore;
  const uint8_t* header = buffer_.data() + at_;
  const uint32_t octets = u32(header + 8);
  if (octets > kRecordOctetsMax) return damaged("a packet length that cannot be");
  wanted_ = size_t{16} + octets;
  if (left() < wanted_) return Step::kNeedMore;
  packet.frame = header + 16;
  packet.octets = octets;
  packet.link_type = link_type_;
  packet.time = base::Micros{u32(header)} * base::kMicrosPerSecond + u32(header + 4) / fraction_per_micro_;
  at_ += wanted_;
  return Step::kPacket;
}

void CaptureReader::read_interface(const uint8_t* body, uint32_t octets) {
  Interface interface;
  interface.link_type = u16(body);
  interface.known = link_type_known(interface.link_type);
  for (uint32_t at = 8; at + 4 <= octets;) {
    const uint16_t code = u16(body + at), length = u16(body + at + 2);
    if (code == 0 || at + 4 + length > octets) break;
    const uint8_t* value = body + at + 4;
    if (code == 9 && length >= 1) {  // if_tsresol
      const unsigned exponent = value[0] & 0x7f;
      if (value[0] & 0x80) {
        if (exponent < 63) interface.ticks_per_second = uint64_t{1} << exponent;
      } else if (exponent <= 18) {
        interface.ticks_per_second = 1;
        for (unsigned i = 0; i < exponent; ++i) interface.ticks_per_second *= 10;
      }
    } else if (code == 14 && length >= 8) {  // if_tsoffset
      const uint64_t low = u32(value), high = u32(value + 4);
      interface.offset_seconds = static_cast<int64_t>(swapped_ ? low << 32 | high : high << 32 | low);
    }
    at += 4 + padded(length);
  }
  interfaces_.push_back(interface);
}

CaptureReader::Step CaptureReader::next_block(Packet& packet) {
  wanted_ = 12;
  if (left() < 12) return Step::kNeedMore;
  const uint8_t* block = buffer_.data() + at_;
  if (load32(block) == kSectionHeader) {
    const uint32_t magic = load32(block + 8);
    if (magic != kByteOrderMagic && __builtin_bswap32(magic) != kByteOrderMagic)
      return damaged("a section without byte order");
    swapped_ = magic != kByteOrderMagic;
  }
  const uint32_t type = u32(block), length = u32(block + 4);
  if (length < 12 || length % 4 != 0 || length > kRecordOctetsMax) return damaged("a block length that cannot be");
  wanted_ = length;
  if (left() < length) return Step::kNeedMore;
  at_ += length;
  const uint8_t* body = block + 8;
  const uint32_t body_octets = length - 12;
  uint32_t header = 0, captured = 0, interface_id = 0;
  uint64_t ticks = 0;
  switch (type) {
    case kSectionHeader:
      if (body_octets < 16) return damaged("a section header that is too short");
      interfaces_.clear();
      return Step::kSkipped;
    case kInterfaceBlock:
      if (body_octets < 8 || interfaces_.size() >= kInterfacesMax) return damaged("an interface that cannot be read");
      read_interface(body, body_octets);
      return Step::kSkipped;
    case kEnhancedPacketBlock:
    case kPacketBlock:
      if (body_octets < 20) return damaged("a packet block that is too short");
      interface_id = type == kPacketBlock ? u16(body) : u32(body);
      ticks = uint64_t{u32(body + 4)} << 32 | u32(body + 8);
      captured = u32(body + 12);
      header = 20;
      break;
    case kSimplePacketBlock:
      if (body_octets < 4) return damaged("a packet block that is too short");
      captured = std::min(u32(body), body_octets - 4);
      header = 4;
      break;
    default: return Step::kSkipped;
  }
  if (captured > body_octets - header) return damaged("a packet that is longer than its block");
  if (interface_id >= interfaces_.size()) return damaged("a packet of an interface that was not described");
  const Interface& interface = interfaces_[interface_id];
  packet.frame = body + header;
  packet.octets = captured;
  packet.link_type = interface.link_type;
  __extension__ using Wide = unsigned __int128;
  packet.time = static_cast<base::Micros>(static_cast<Wide>(ticks) * 1'000'000 / interface.ticks_per_second) +
                static_cast<base::Micros>(static_cast<uint64_t>(interface.offset_seconds) * 1'000'000);
  return Step::kPacket;
}

}  // namespace backstream::ingest
