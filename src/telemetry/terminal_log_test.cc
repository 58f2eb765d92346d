#include "telemetry/terminal_log.h"

#include <gtest/gtest.h>
#include <unistd.h>

namespace backstream::telemetry {
namespace {

std::string read_all(int descriptor) {
  char bytes[256];
  const ssize_t octets = ::read(descriptor, bytes, sizeof bytes);
  return std::string(bytes, octets < 0 ? 0 : static_cast<size_t>(octets));
}

TEST(TerminalLog, WritesWholeLinesAndNoStatusOffATerminal) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  {
    TerminalLog log(ends[1]);
    log.status("50 %");
    log.warning("x.pcap: cut in the middle");
    log.line("two\nlines\n");
  }
  ::close(ends[1]);
  EXPECT_EQ(read_all(ends[0]), "backstream: warning: x.pcap: cut in the middle\ntwo\nlines\n");
  ::close(ends[0]);
}

TEST(TerminalLog, GivesLinesToWhoHasTheTerminal) {
  int ends[2];
  ASSERT_EQ(::pipe(ends), 0);
  std::string diverted;
  {
    TerminalLog log(ends[1]);
    log.divert([&](std::string_view line) { diverted.append(line) += '|'; });
    log.warning("the disk is slow");
    log.line("two\nlines\n");
    log.divert(nullptr);
    log.line("again");
  }
  ::close(ends[1]);
  EXPECT_EQ(diverted, "backstream: warning: the disk is slow|two\nlines|");
  EXPECT_EQ(read_all(ends[0]), "again\n");
  ::close(ends[0]);
}

}  // namespace
}  // namespace backstream::telemetry
