// Records of Kafka that should be FlowBatches of the public schema, and are any octets.
#include "decode_input.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  backstream::fuzz::decode_input(data, size, {}, backstream::base::PayloadForm::kFlowBatch);
  return 0;
}
