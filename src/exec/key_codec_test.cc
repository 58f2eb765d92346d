#include "exec/key_codec.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "expr/expr.h"

namespace backstream::exec {
namespace {

using base::Inet;
using batch::Column;
using batch::ColumnDef;
using batch::Type;

template <typename Value>
Column column(Type type, std::vector<Value>& values, std::vector<uint8_t>* validity = nullptr) {
  Column c;
  c.type = type;
  c.values = values.data();
  c.has_nulls = validity != nullptr;
  c.validity = validity == nullptr ? nullptr : validity->data();
  return c;
}

std::vector<uint32_t> all(size_t n) {
  std::vector<uint32_t> rows(n);
  std::iota(rows.begin(), rows.end(), 0u);
  return rows;
}

/// Packs rows, unpacks them, and expects the same values and nulls.
void expect_round_trip(const std::vector<ColumnDef>& defs, const std::vector<Column>& keys, size_t n) {
  KeyCodec codec(defs);
  TextDictionary texts;
  const auto rows = all(n);
  std::vector<uint32_t> split(n);
  const size_t narrow = codec.split_forms(keys.data(), rows.data(), n, split.data());
  if (narrow == n) split = rows;
  std::vector<Type> types;
  for (const auto& def : defs) types.push_back(def.type);
  batch::BatchBuffer out(types, std::vector<bool>(types.size(), true), n);
  for (auto& c : out.batch.columns) c.has_nulls = true;

  std::vector<uint64_t> words(n * std::max(codec.narrow_words(), codec.wide_words()));
  std::vector<const uint64_t*> at(n);
  codec.pack_narrow(keys.data(), split.data(), narrow, texts, words.data());
  for (size_t i = 0; i < narrow; ++i) at[i] = &words[i * codec.narrow_words()];
  codec.unpack_narrow(at.data(), narrow, texts, out.batch.columns.data(), 0);
  codec.pack_wide(keys.data(), split.data() + narrow, n - narrow, texts, words.data());
  for (size_t i = 0; i < n - narrow; ++i) at[i] = &words[i * codec.wide_words()];
  codec.unpack_wide(at.data(), n - narrow, texts, out.batch.columns.data(), narrow);
  for (size_t k = 0; k < keys.size(); ++k) {
    for (size_t i = 0; i < n; ++i) {
      EXPECT_EQ(expr::value_text(expr::value_at(out.batch.columns[k], i), types[k]),
                expr::value_text(expr::value_at(keys[k], split[i]), types[k]))
          << "key " << k << " row " << split[i];
    }
  }
}

TEST(KeyCodec, PacksAnAsPairIntoOneWord) {
  const KeyCodec codec({{"src_as", Type::kInt8, 32}, {"dst_as", Type::kInt8, 32}});
  EXPECT_EQ(codec.narrow_words(), 1u);
  const KeyCodec flow({{"a", Type::kInet, 0},
                       {"b", Type::kInet, 0},
                       {"p", Type::kInt4, 8},
                       {"x", Type::kInt4, 16},
                       {"y", Type::kInt4, 16}});
  EXPECT_EQ(flow.narrow_words(), 2u);
  EXPECT_EQ(KeyCodec({}).narrow_words(), 1u) << "no key at all is one constant word";
}

TEST(KeyCodec, KeepsEveryValueOfEveryType) {
  std::vector<int64_t> numbers{0, 65535, 65536, -1, std::numeric_limits<int64_t>::min()};
  std::vector<uint8_t> flags{0, 1, 1, 0, 1};
  std::vector<double> doubles{0.5, -1e300, 0, std::numeric_limits<double>::infinity(), 3};
  std::vector<std::string_view> texts{"a", "", "bb", "a", "a somewhat longer text"};
  std::vector<Inet> addresses{Inet::v4(1), Inet::v4(0xffffffff), Inet::v6(1, 2), Inet::v4(0x0a000000, 8),
                              Inet::v6(0, 0, 0)};
  std::vector<base::Interval> intervals{{1, 2, 3}, {-1, -2, -3}, {}, {5, 0, 0}, {0, 0, -1}};
  expect_round_trip({{"n", Type::kInt4, 16}, {"f", Type::kBool, 0}, {"t", Type::kText, 0}, {"i", Type::kInet, 0}},
                    {column(Type::kInt4, numbers), column(Type::kBool, flags), column(Type::kText, texts),
                     column(Type::kInet, addresses)},
                    5);
  expect_round_trip({{"n", Type::kInt8, 0}, {"d", Type::kFloat8, 0}, {"c", Type::kCidr, 0}},
                    {column(Type::kInt8, numbers), column(Type::kFloat8, doubles), column(Type::kCidr, addresses)}, 5);
  expect_round_trip({{"v", Type::kInterval, 0}}, {column(Type::kInterval, intervals)}, 5);
}

TEST(KeyCodec, KeepsNulls) {
  std::vector<int64_t> numbers{7, 0, 7};
  std::vector<uint8_t> number_present{1, 0, 1};
  std::vector<std::string_view> texts{"x", "y", {}};
  std::vector<uint8_t> text_present{1, 1, 0};
  expect_round_trip({{"n", Type::kInt8, 32}, {"t", Type::kText, 0}},
                    {column(Type::kInt8, numbers, &number_present), column(Type::kText, texts, &text_present)}, 3);
}

TEST(KeyCodec, ARowIsWideOnlyForItsOwnValues) {
  KeyCodec codec({{"a", Type::kInet, 0}});
  std::vector<Inet> addresses{Inet::v4(1), Inet::v6(1, 2), Inet::v4(2), Inet::v4(3, 24)};
  const std::vector<Column> keys{column(Type::kInet, addresses)};
  const auto rows = all(4);
  std::vector<uint32_t> split(4);
  EXPECT_EQ(codec.split_forms(keys.data(), rows.data(), 4, split.data()), 2u);
  EXPECT_EQ(split, (std::vector<uint32_t>{0, 2, 1, 3}));
}

TEST(KeyCodec, EqualDoublesHaveEqualKeys) {
  KeyCodec codec({{"d", Type::kFloat8, 0}});
  std::vector<double> doubles{0.0, -0.0, std::nan(""), -std::nan("1")};
  const std::vector<Column> keys{column(Type::kFloat8, doubles)};
  TextDictionary texts;
  std::vector<uint64_t> words(4);
  codec.pack_narrow(keys.data(), all(4).data(), 4, texts, words.data());
  EXPECT_EQ(words[0], words[1]);
  EXPECT_EQ(words[2], words[3]);
}

TEST(TextDictionary, ReusedMemoryIsNotTakenForTheSameText) {
  KeyCodec codec({{"t", Type::kText, 0}});
  TextDictionary texts;
  char bytes[4] = {'a', 'b', 'c', 'd'};
  std::vector<std::string_view> values{{bytes, 4}};
  const std::vector<Column> keys{column(Type::kText, values)};
  uint64_t first = 0, second = 0;
  const uint32_t row = 0;
  codec.pack_narrow(keys.data(), &row, 1, texts, &first);
  bytes[0] = 'x';
  codec.pack_narrow(keys.data(), &row, 1, texts, &second);
  EXPECT_NE(first, second);
  EXPECT_EQ(texts.text(static_cast<uint32_t>(second)), "xbcd");
}

}  // namespace
}  // namespace backstream::exec
