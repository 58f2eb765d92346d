// Octets as the value of a record of the catalog's topic, and as its key: what is taken is written alike.
#include <cstdlib>
#include <string_view>

#include "catalog/change_record.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace backstream::catalog;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  SettledChange change, again;
  if (decode_change(text, change) == ChangeFault::kNone &&
      (decode_change(encode_change(change), again) != ChangeFault::kNone || !(again == change)))
    std::abort();
  if (const auto key = parse_change_key(text); key && key_text(*key) != text) std::abort();
  return 0;
}
