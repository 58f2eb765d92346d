// Arbitrary bytes as what an edge sent. The first octet chooses keys and aggregates, the second whether the bytes are
// taken as they are or given a right head and checksum, so that the fuzzer gets past them.
#include <cstdint>
#include <cstring>
#include <vector>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "partial/codec.h"
#include "partial/inbox.h"
#include "partial/rows.h"

namespace backstream::partial {
namespace {

using batch::Type;

GroupForm make_form(std::vector<Type> keys, const std::vector<std::pair<const char*, Type>>& calls, bool distinct) {
  GroupForm form;
  form.keys = std::move(keys);
  for (const auto& [name, type] : calls) {
    const auto found = agg::resolve(name, {type}, distinct, false, {});
    if (!found) continue;
    form.aggregates.push_back(*found);
    form.state_offsets.push_back(form.state_octets);
    form.state_octets += (*found)->state_octets;
  }
  return form;
}

const std::vector<GroupForm>& forms() {
  static const std::vector<GroupForm> all = {
      make_form({Type::kInt8, Type::kInet}, {{"count", Type::kInt8}, {"sum", Type::kInt8}, {"avg", Type::kInt8}},
                false),
      make_form({Type::kText, Type::kFloat8, Type::kBool}, {{"sum", Type::kFloat8}, {"avg", Type::kFloat8}}, false),
      make_form({Type::kInterval, Type::kCidr, Type::kTimestamptz},
                {{"min", Type::kText}, {"max", Type::kInet}, {"min", Type::kFloat8}, {"max", Type::kInterval}}, false),
      make_form({}, {{"count", Type::kInt8}, {"count", Type::kText}, {"count", Type::kInet}}, true),
      make_form({Type::kInt4}, {{"bool_and", Type::kBool}, {"bool_or", Type::kBool}, {"bit_or", Type::kInt8}}, false),
      make_form({Type::kMacaddr}, {{"sum", Type::kInt8}, {"avg", Type::kInt4}, {"sum", Type::kFloat8}}, true),
      make_form({}, {}, false),
  };
  return all;
}

}  // namespace
}  // namespace backstream::partial

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace backstream::partial;
  if (size < 2) return 0;
  const GroupForm& form = forms()[data[0] % forms().size()];
  std::vector<uint8_t> bytes(data + 2, data + size);
  if (data[1] % 2 != 0) {
    constexpr uint8_t kHead[4] = {'B', 'S', 'P', kVersion};
    bytes.insert(bytes.begin(), std::begin(kHead), std::end(kHead));
    const uint64_t checksum = XXH3_64bits(bytes.data(), bytes.size());
    for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<uint8_t>(checksum >> (8 * i)));
  }
  Message message;
  PartialFault fault{};
  if (!read_message(bytes, message, fault)) return 0;
  if (message.kind == Message::Kind::kData && message.chunk.kind == ChunkId::Kind::kRows) {
    RowsReader rows({form.keys, std::vector<bool>(form.keys.size(), true)}, 7);
    if (rows.read(message)) rows.for_each_batch([](const backstream::batch::ColumnBatch&) {});
  }
  Inbox inbox({0, 1, 2}, 4096);
  PartialReader reader(form);
  const auto deliver = [&](const ChunkId&, std::span<const uint8_t> chunk) {
    Message again;
    if (!read_message(chunk, again, fault) || !reader.read(again)) return;
    // What could be read can be written, and then reads as the same.
    PartialWriter writer(form);
    for (size_t group = 0; group < reader.group_count(); ++group) {
      writer.add(reader.keys().data(), group, reader.states(group));
    }
    writer.finish(again.chunk, again.ledgers, [&](std::vector<uint8_t>&& written) {
      Message rewritten;
      if (!read_message(written, rewritten, fault)) __builtin_trap();
      PartialReader second(form);
      if (!second.read(rewritten)) __builtin_trap();
    });
  };
  inbox.accept(message, bytes, deliver);
  if (message.kind == Message::Kind::kData) inbox.forget_before(message.chunk.pane_start);
  return 0;
}
