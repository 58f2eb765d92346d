// Octets as a MaxMind DB: networks that do not overlap except where the tree says so, or a reason.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "lookup/prefix_table.h"
#include "lookup/table_reader.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace backstream;
  using batch::Type;
  static const lookup::TableDefinition kTable = {"geo",
                                                 {{{"network", Type::kCidr},
                                                   {"asn", Type::kInt8},
                                                   {"name", Type::kText},
                                                   {"country", Type::kText},
                                                   {"location.latitude", Type::kFloat8},
                                                   {"is_anycast", Type::kBool}}},
                                                 {}};
  const auto read = lookup::read_mmdb({data, size}, "fuzz.mmdb", kTable);
  if (!read) {
    if (read.error().message.empty()) std::abort();
    return 0;
  }
  const lookup::Table& table = *read->table;
  const batch::Column& networks = table.column(0);
  // An index has megabytes whatever the table has: one input in sixteen pays for it.
  const auto prefixes = size % 16 == 0 ? lookup::PrefixTable::build(read->table, 0)
                                       : base::Result<lookup::PrefixTable>(base::fail("", ""));
  if (size % 16 == 0 && !prefixes) std::abort();
  for (uint32_t row = 0; row < table.row_count(); ++row) {
    const base::Inet& network = networks.as<base::Inet>()[row];
    if (networks.is_null(row) || network != network.network()) std::abort();
    if (prefixes) {
      uint32_t match = 0;
      prefixes->find(networks, &row, 1, &match);
      if (match == lookup::kNoRow || networks.as<base::Inet>()[match] != network) std::abort();
    }
    for (size_t c = 0; c < table.column_count(); ++c) {
      (void)expr::value_text(expr::value_at(table.column(c), row), table.column(c).type);
    }
  }
  return 0;
}
