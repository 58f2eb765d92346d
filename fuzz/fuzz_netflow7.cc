// Datagrams that begin as netflow7 ones do, then any octets.
#include "decode_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  backstream::fuzz::decode_input(data, size, {0, 7});
  return 0;
}
