// Records of Kafka that should be FlowMessages of goflow2, and are any octets.
#include "decode_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  backstream::fuzz::decode_input(data, size, {}, backstream::base::PayloadForm::kGoflow2);
  return 0;
}
