#include "telemetry/notify.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "base/utf8.h"

namespace backstream::telemetry {
namespace {

constexpr size_t kStatusOctetsMax = 1'024;

std::optional<uint64_t> number(const char* text) {
  if (text == nullptr) return std::nullopt;
  uint64_t value = 0;
  const char* const end = text + std::strlen(text);
  const auto [at, error] = std::from_chars(text, end, value);
  if (error != std::errc() || at != end) return std::nullopt;
  return value;
}

/// A status of two lines would be two assignments.
std::string one_line(std::string_view text) {
  std::string line;
  text = text.substr(0, kStatusOctetsMax);
  while (!text.empty()) {
    const size_t bad = base::find_bad_text(text);
    for (const char c : text.substr(0, bad)) line += static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? ' ' : c;
    if (bad == std::string_view::npos) break;
    line += '?';
    text.remove_prefix(bad + 1);
  }
  return line;
}

}  // namespace

Notifier Notifier::of_environment() {
  const char* const address = std::getenv("NOTIFY_SOCKET");
  std::optional<std::chrono::microseconds> watchdog;
  const auto period = number(std::getenv("WATCHDOG_USEC"));
  const auto process = number(std::getenv("WATCHDOG_PID"));
  const bool ours = std::getenv("WATCHDOG_PID") == nullptr || process == static_cast<uint64_t>(::getpid());
  if (period && *period != 0 && *period < INT64_MAX && ours) watchdog = std::chrono::microseconds(*period);
  return Notifier(address == nullptr ? "" : address, watchdog);
}

Notifier::Notifier(std::string address, std::optional<std::chrono::microseconds> watchdog)
    : address_(std::move(address)) {
  // Other families (vsock) are for whole machines.
  const bool usable = address_.size() >= 2 && address_.size() < sizeof sockaddr_un{}.sun_path &&
                      (address_[0] == '/' || address_[0] == '@');
  if (!usable) return;
  socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (socket_ >= 0) watchdog_ = watchdog;
}

Notifier::Notifier(Notifier&& other) noexcept
    : socket_(std::exchange(other.socket_, -1)), address_(std::move(other.address_)), watchdog_(other.watchdog_) {}

Notifier::~Notifier() {
  if (socket_ >= 0) ::close(socket_);
}

bool Notifier::reloading() {
  timespec now{};
  ::clock_gettime(CLOCK_MONOTONIC, &now);
  return tell(fmt::format("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1'000'000 + now.tv_nsec / 1'000), {});
}

bool Notifier::extend(std::chrono::microseconds longer) {
  return tell(fmt::format("EXTEND_TIMEOUT_USEC={}", std::max<int64_t>(longer.count(), 0)), {});
}

bool Notifier::tell(std::string_view assignments, std::string_view status) {
  if (socket_ < 0) return false;
  std::string message(assignments);
  if (!status.empty()) message.append(message.empty() ? "STATUS=" : "\nSTATUS=").append(one_line(status));
  if (message.empty()) return false;
  sockaddr_un place{};
  place.sun_family = AF_UNIX;
  std::memcpy(place.sun_path, address_.data(), address_.size());
  // A name of the abstract namespace begins with a zero octet and ends where the address does.
  if (address_[0] == '@') place.sun_path[0] = '\0';
  const auto octets =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + address_.size() + (address_[0] == '@' ? 0 : 1));
  const ssize_t sent = ::sendto(socket_, message.data(), message.size(), MSG_NOSIGNAL,
                                reinterpret_cast<const sockaddr*>(&place), octets);
  return sent == static_cast<ssize_t>(message.size());
}

}  // namespace backstream::telemetry
