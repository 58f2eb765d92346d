#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace backstream::service {

/// A system's lines as they are before values take the places {collector}, {port}, {source}, {interface} and {rate}.
struct SnippetForm {
  std::string_view name;
  int port;                            ///< of the protocol
  std::string_view source, interface;  ///< what stands there when nothing was given
  std::string_view text;
};
/// In the order of the help.
std::span<const SnippetForm> snippet_forms();

/// What a router's configuration is made for.
struct SnippetValues {
  std::string collector;    ///< address of this collector
  std::string source;       ///< address that the router sends from; how it names exporters
  std::string interface;    ///< one that is watched
  uint32_t rate = 1000;     ///< 1 in N packets
  std::optional<int> port;  ///< of the collector; none: the protocol's own
};

/// Names of the systems that snippet() knows, in the order of the help.
std::vector<std::string_view> snippet_systems();
/// Lines for the router's command line, with remarks as comments of its own syntax. Timeouts are 60 s (active) and 15 s
/// (inactive), which the default watermark.delay of 75 s fits. Nullopt: no such system.
std::optional<std::string> snippet(std::string_view system, const SnippetValues& values);

}  // namespace backstream::service
