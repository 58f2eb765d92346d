// For bench/udp.py: sends the datagrams of a capture over UDP at a set rate, or receives in a bare loop.
//   udp_load send FILE.pcap PORT RATE SECONDS [--gso]     NetFlow v5 to 127.0.0.1, RATE datagrams a second (0: all it
//   can) udp_load receive PORT SECONDS BUFFER [--gro]          recvmmsg and nothing else, until nothing comes any more
// One line of JSON on standard output. Exporters are 127.0.1.1 and on, their clocks right and their numbers without
// gaps.
#include <fmt/format.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstring>
#include <map>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/byte_order.h"
#include "base/huge_pages.h"
#include "ingest/socket_address.h"
#include "ingest/source.h"

namespace {

using namespace backstream;
using Clock = std::chrono::steady_clock;

constexpr size_t kBatch = 64;

double cpu_seconds() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

[[noreturn]] void give_up(const std::string& why) {
  std::fprintf(stderr, "udp_load: %s\n", why.c_str());
  std::exit(1);
}

/// One exporter's datagrams, and its socket.
struct Exporter {
  int file = -1;
  std::vector<std::pair<uint8_t*, uint32_t>> datagrams;
  size_t next = 0;
  uint32_t sequence = 0;
};

/// The whole capture in memory, by exporter.
std::vector<Exporter> load(const std::string& path, uint16_t port, base::HugePageVector<uint8_t>& memory) {
  std::vector<std::string> sites;
  uint64_t octets = 0;
  {
    auto source = ingest::open_captures({{path, ""}}, {}, sites);
    if (!source) give_up(source.error().message);
    octets = (*source)->octets_total();
  }
  memory.resize(octets);
  auto source = ingest::open_captures({{path, ""}}, {}, sites);
  std::map<uint64_t, size_t> index;
  std::vector<Exporter> exporters;
  uint8_t* at = memory.data();
  while (!(*source)->at_end()) {
    for (const base::Datagram& datagram : (*source)->next_block()) {
      if (datagram.payload_octets < 24 || base::load_be16(datagram.payload) != 5) continue;
      const auto [known, fresh] = index.emplace(datagram.source.hi, exporters.size());
      if (fresh) exporters.emplace_back();
      std::memcpy(at, datagram.payload, datagram.payload_octets);
      exporters[known->second].datagrams.emplace_back(at, datagram.payload_octets);
      at += datagram.payload_octets;
    }
  }
  if (exporters.empty()) give_up("no NetFlow v5 in " + path);
  for (size_t e = 0; e < exporters.size(); ++e) {
    Exporter& exporter = exporters[e];
    exporter.file = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    sockaddr_storage address;
    socklen_t length = ingest::to_socket_address(base::Inet::v4(0x7f000101 + static_cast<uint32_t>(e)), 0, address);
    if (::bind(exporter.file, reinterpret_cast<const sockaddr*>(&address), length) != 0) give_up("bind");
    length = ingest::to_socket_address(base::Inet::v4(0x7f000001), port, address);
    if (::connect(exporter.file, reinterpret_cast<const sockaddr*>(&address), length) != 0) give_up("connect");
  }
  return exporters;
}

struct Sent {
  uint64_t datagrams = 0, records = 0, refused = 0;
};

/// The next kBatch datagrams of an exporter.
void send_batch(Exporter& exporter, bool gso, Sent& sent) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto seconds = static_cast<uint32_t>(std::chrono::duration_cast<std::chrono::seconds>(now).count());
  const auto nanos = static_cast<uint32_t>(std::chrono::nanoseconds(now).count() % 1'000'000'000);
  iovec parts[kBatch];
  mmsghdr messages[kBatch] = {};
  alignas(cmsghdr) uint8_t controls[kBatch][CMSG_SPACE(sizeof(uint16_t))];
  size_t counts[kBatch];
  for (size_t i = 0; i < kBatch; ++i) {
    const auto [payload, octets] = exporter.datagrams[exporter.next];
    if (++exporter.next == exporter.datagrams.size()) exporter.next = 0;
    base::store_be32(payload + 8, seconds);
    base::store_be32(payload + 12, nanos);
    base::store_be32(payload + 16, exporter.sequence);
    exporter.sequence += base::load_be16(payload + 2);
    sent.records += base::load_be16(payload + 2);
    parts[i] = {payload, octets};
  }
  size_t message_count = 0;
  for (size_t begin = 0; begin < kBatch; begin += counts[message_count++]) {
    size_t end = begin + 1, octets = parts[begin].iov_len;
    while (gso && end < kBatch && parts[end].iov_len == parts[begin].iov_len && octets + parts[end].iov_len < 65'000)
      octets += parts[end++].iov_len;
    counts[message_count] = end - begin;
    msghdr& header = messages[message_count].msg_hdr;
    header.msg_iov = &parts[begin];
    header.msg_iovlen = end - begin;
    if (end - begin == 1) continue;
    header.msg_control = controls[message_count];
    header.msg_controllen = sizeof controls[message_count];
    cmsghdr* const control = CMSG_FIRSTHDR(&header);
    control->cmsg_level = SOL_UDP;
    control->cmsg_type = UDP_SEGMENT;
    control->cmsg_len = CMSG_LEN(sizeof(uint16_t));
    const auto segment = static_cast<uint16_t>(parts[begin].iov_len);
    std::memcpy(CMSG_DATA(control), &segment, sizeof segment);
  }
  for (size_t at = 0; at < message_count;) {
    const int taken = ::sendmmsg(exporter.file, messages + at, static_cast<unsigned>(message_count - at), 0);
    if (taken <= 0) {
      sent.refused += counts[at++];
      continue;
    }
    for (const size_t end = at + static_cast<size_t>(taken); at < end; ++at) sent.datagrams += counts[at];
  }
}

int send(const std::string& path, uint16_t port, double rate, double seconds, bool gso) {
  base::HugePageVector<uint8_t> memory;
  std::vector<Exporter> exporters = load(path, port, memory);
  Sent sent;
  uint64_t due_count = 0, late_batches = 0;
  const double cpu_begin = cpu_seconds();
  const auto begin = Clock::now();
  const auto end = begin + std::chrono::duration<double>(seconds);
  for (size_t e = 0;; e = (e + 1) % exporters.size()) {
    auto now = Clock::now();
    if (now >= end) break;
    if (rate > 0) {
      const auto due = begin + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double>(static_cast<double>(due_count) / rate));
      if (now > due + std::chrono::milliseconds(20)) {
        // The guest stood still: what could not be sent is not sent in one burst that no router would send.
        due_count += static_cast<uint64_t>(std::chrono::duration<double>(now - due).count() * rate);
        ++late_batches;
      }
      while (now < due) now = Clock::now();  // The core is its own.
    }
    send_batch(exporters[e], gso, sent);
    due_count += kBatch;
  }
  const double passed = std::chrono::duration<double>(Clock::now() - begin).count();
  fmt::print(
      "{{\"sent\": {}, \"records\": {}, \"refused\": {}, \"seconds\": {:.3f}, \"cpu\": {:.2f}, \"pauses\": {}}}\n",
      sent.datagrams, sent.records, sent.refused, passed, cpu_seconds() - cpu_begin, late_batches);
  return 0;
}

int receive(uint16_t port, double seconds, int buffer, bool gro) {
  constexpr size_t kStride = 65'536 + 26 * 64;
  const int file = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_storage address;
  const socklen_t length = ingest::to_socket_address(base::Inet::v4(0x7f000001), port, address);
  const int on = 1;
  if (::setsockopt(file, SOL_SOCKET, SO_RCVBUFFORCE, &buffer, sizeof buffer) != 0)
    ::setsockopt(file, SOL_SOCKET, SO_RCVBUF, &buffer, sizeof buffer);
  if (gro) ::setsockopt(file, SOL_UDP, UDP_GRO, &on, sizeof on);
  if (::bind(file, reinterpret_cast<const sockaddr*>(&address), length) != 0) give_up("bind");
  base::HugePageVector<uint8_t> memory(kBatch * kStride);
  std::vector<iovec> parts(kBatch);
  std::vector<mmsghdr> messages(kBatch);
  std::vector<std::vector<uint8_t>> controls(kBatch, std::vector<uint8_t>(64));
  for (size_t i = 0; i < kBatch; ++i) {
    parts[i] = {memory.data() + i * kStride, 65'536};
    messages[i].msg_hdr.msg_iov = &parts[i];
    messages[i].msg_hdr.msg_iovlen = 1;
    messages[i].msg_hdr.msg_control = controls[i].data();
  }
  uint64_t datagrams = 0;
  const auto begin = Clock::now();
  bool any = false;
  double cpu_begin = 0;
  for (;;) {
    pollfd readable{file, POLLIN, 0};
    if (::poll(&readable, 1, 500) == 0) {
      const bool over = std::chrono::duration<double>(Clock::now() - begin).count() > seconds;
      if (over || any) break;
      continue;
    }
    if (!any) cpu_begin = cpu_seconds();
    any = true;
    for (;;) {
      for (mmsghdr& message : messages) message.msg_hdr.msg_controllen = 64;
      const int got = ::recvmmsg(file, messages.data(), kBatch, MSG_DONTWAIT, nullptr);
      if (got <= 0) break;
      for (int i = 0; i < got; ++i) {
        uint32_t segment = messages[static_cast<size_t>(i)].msg_len;
        msghdr& header = messages[static_cast<size_t>(i)].msg_hdr;
        for (cmsghdr* c = CMSG_FIRSTHDR(&header); c != nullptr; c = CMSG_NXTHDR(&header, c)) {
          if (c->cmsg_level == SOL_UDP && c->cmsg_type == UDP_GRO) std::memcpy(&segment, CMSG_DATA(c), sizeof(int));
        }
        if (segment > 0) datagrams += (messages[static_cast<size_t>(i)].msg_len + segment - 1) / segment;
      }
    }
  }
  uint32_t facts[SK_MEMINFO_VARS] = {};
  socklen_t octets = sizeof facts;
  ::getsockopt(file, SOL_SOCKET, SO_MEMINFO, facts, &octets);
  fmt::print("{{\"received\": {}, \"dropped\": {}, \"cpu\": {:.2f}}}\n", datagrams, facts[SK_MEMINFO_DROPS],
             cpu_seconds() - cpu_begin);
  return 0;
}

}  // namespace

int main(int count, char** values) {
  const std::vector<std::string> arguments(values + 1, values + count);
  const auto has = [&](std::string_view flag) { return arguments.back() == flag; };
  if (arguments.size() >= 5 && arguments[0] == "send") {
    return send(arguments[1], static_cast<uint16_t>(std::stoi(arguments[2])), std::stod(arguments[3]),
                std::stod(arguments[4]), has("--gso"));
  }
  if (arguments.size() >= 4 && arguments[0] == "receive") {
    return receive(static_cast<uint16_t>(std::stoi(arguments[1])), std::stod(arguments[2]), std::stoi(arguments[3]),
                   has("--gro"));
  }
  give_up("send FILE.pcap PORT RATE SECONDS [--gso] | receive PORT SECONDS BUFFER [--gro]");
}
