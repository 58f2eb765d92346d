// A text as the CSV file of a lookup table.
#include <cstddef>

#include "lookup_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  backstream::fuzz::read_as_tables({reinterpret_cast<const char*>(data), size}, backstream::lookup::read_csv);
  return 0;
}
