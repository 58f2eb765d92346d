// Arbitrary bytes as what files of history hold: forms of results, and blocks of their rows. The first octet chooses
// which, and whether a block's columns are compressed here, so that the fuzzer gets past zstd.
#include <zstd.h>

#include <cstdint>
#include <vector>

#include "history/block.h"

namespace {

using namespace backstream;

std::shared_ptr<const receiver::ResultForm> form() {
  static const auto made = [] {
    auto built = std::make_shared<receiver::ResultForm>();
    for (uint8_t type = 1; type <= static_cast<uint8_t>(batch::Type::kTimestamp); ++type)
      built->schema.columns.push_back({"c", static_cast<batch::Type>(type)});
    return built;
  }();
  return made;
}

/// What could be read is shown, and can be written.
void read_block(std::span<const uint8_t> block, size_t row_count) {
  static history::BlockReader reader;
  static history::BlockWriter writer;
  receiver::ResultPart part;
  part.form = form();
  if (!reader.read(block, row_count, part)) return;
  receiver::window_json("q", part, 0, part.rows.row_count, true, false);
  const auto again = writer.write(part.rows);
  receiver::ResultPart copy;
  copy.form = form();
  if (!again || !reader.read(*again, row_count, copy)) __builtin_trap();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const std::span<const uint8_t> bytes(data + 2, size - 2);
  switch (data[0] % 3) {
    case 0: {
      const auto read = history::read_form(bytes);
      if (read != nullptr && history::read_form(history::write_form(*read)) == nullptr) __builtin_trap();
      break;
    }
    case 1: read_block(bytes, data[1]); break;
    default: {
      std::vector<uint8_t> block(ZSTD_compressBound(bytes.size()));
      block.resize(ZSTD_compress(block.data(), block.size(), bytes.data(), bytes.size(), 1));
      read_block(block, data[1]);
    }
  }
  return 0;
}
