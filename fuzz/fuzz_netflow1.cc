// Datagrams that begin as netflow1 ones do, then any octets.
#include "decode_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  backstream::fuzz::decode_input(data, size, {0, 1});
  return 0;
}
