#pragma once
// For the room's tests: datagrams written octet by octet, and decoded rows by column name.
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "decode/decoder.h"
#include "decode/template_store.h"

namespace backstream::decode {

/// Appends integers in network order.
class Octets {
 public:
  Octets& u8(uint64_t value) { return put(value, 1); }
  Octets& u16(uint64_t value) { return put(value, 2); }
  Octets& u32(uint64_t value) { return put(value, 4); }
  Octets& u64(uint64_t value) { return put(value, 8); }
  Octets& put(uint64_t value, int octets) {
    for (int i = octets - 1; i >= 0; --i) bytes.push_back(static_cast<uint8_t>(value >> (8 * i)));
    return *this;
  }
  Octets& add(const Octets& other) {
    bytes.insert(bytes.end(), other.bytes.begin(), other.bytes.end());
    return *this;
  }
  Octets& zeros(size_t count) {
    bytes.insert(bytes.end(), count, 0);
    return *this;
  }
  std::vector<uint8_t> bytes;
};

inline constexpr base::Micros kReceived = 1'769'860'860'000'000;  // 2026-01-31 12:01:00 UTC
inline constexpr uint32_t kExported = 1'769'860'859;              // a second before

/// The rows of a batch as numbers or text, "null" for nulls.
inline void append_rows(const batch::Schema& schema, const batch::ColumnBatch& batch,
                        std::vector<std::map<std::string, std::string>>& rows) {
  for (size_t row = 0; row < batch.row_count; ++row) {
    auto& out = rows.emplace_back();
    for (size_t c = 0; c < batch.columns.size(); ++c) {
      const batch::Column& column = batch.columns[c];
      if (column.values == nullptr) continue;
      std::string& text = out[schema.columns[c].name];
      if (column.is_null(row)) {
        text = "null";
      } else if (column.type == batch::Type::kTimestamptz) {
        text = base::format_timestamp(column.as<int64_t>()[row]);
      } else if (batch::physical(column.type) == batch::Physical::kInt64) {
        text = std::to_string(column.as<int64_t>()[row]);
      } else if (batch::physical(column.type) == batch::Physical::kInet) {
        text = base::to_string(column.as<base::Inet>()[row]);
      } else if (column.type == batch::Type::kBool) {
        text = column.as<uint8_t>()[row] != 0 ? "true" : "false";
      } else if (column.type == batch::Type::kFloat8) {
        text = std::to_string(column.as<double>()[row]);
      } else {
        text = column.as<std::string_view>()[row];
      }
    }
  }
}

/// A decoder with all columns wanted; keeps the rows that come out as numbers or text.
class DecodeRun : private FlowWriter::Consumer {
 public:
  explicit DecodeRun(DecodeSettings settings = {}, size_t batch_rows = 5,
                     const batch::FlowColumnSet& wanted = all_columns(), std::shared_ptr<TemplateStore> store = nullptr)
      : decoder(std::move(settings), {}, std::move(store)),
        schema_(batch::flow_schema()),
        writer_(wanted, *this, batch_rows) {
    for (const batch::SideStreamDef& stream : batch::side_streams()) {
      side.set(stream.stream,
               std::make_unique<SideWriter>(stream.schema, std::vector<bool>(stream.schema.columns.size(), true),
                                            batch_rows, [this, &stream](const batch::ColumnBatch& batch) {
                                              append_rows(stream.schema, batch, side_rows[stream.name]);
                                            }));
    }
  }
  /// With the columns of elements, and more.
  DecodeRun(size_t batch_rows, const std::vector<batch::UserColumn>& user_columns)
      : decoder({}, {}),
        schema_(batch::flow_schema(user_columns)),
        writer_(all_columns(), *this, batch_rows, all_elements(user_columns)) {}

  DecodeOutcome feed(const Octets& octets, base::Micros received_at = kReceived, uint32_t address = 0x0a000001,
                     uint16_t port = 50'000, int64_t arrived_ns = 0) {
    // Of the exact size, so that the sanitizer sees a read past its end.
    const std::vector<uint8_t> exact(octets.bytes.begin(), octets.bytes.end());
    base::Datagram datagram;
    datagram.payload = exact.data();
    datagram.payload_octets = static_cast<uint32_t>(exact.size());
    datagram.source = base::Inet::v4(address);
    datagram.source_port = port;
    datagram.received_at = received_at;
    datagram.arrived_ns = arrived_ns;
    const DecodeOutcome outcome = decoder.decode(datagram, writer_, &side);
    writer_.flush();
    side.flush();
    const IngestLedger l = decoder.total();
    EXPECT_EQ(l.datagrams, l.decoded + l.rejected + l.undecodable);
    EXPECT_EQ(l.records, l.flows + l.events + l.option_rows + l.malformed + l.awaiting_template);
    EXPECT_EQ(l.flows, rows.size());
    return outcome;
  }
  /// As between datagrams of other exporters.
  void read_released(base::Micros now = kReceived) {
    decoder.read_released(now, writer_, &side, [](const base::Inet&) {});
    writer_.flush();
    side.flush();
    EXPECT_EQ(decoder.total().flows, rows.size());
  }
  /// A column of the last row.
  std::string last(const std::string& column) const { return rows.empty() ? "no row" : rows.back().at(column); }
  uint64_t fault(DecodeFault fault) const { return decoder.total().faults[static_cast<size_t>(fault)]; }

  static batch::FlowColumnSet all_columns() {
    batch::FlowColumnSet wanted;
    for (size_t c = 0; c < batch::kFlowColumnCount; ++c) {
      const std::string& name = batch::flow_schema().columns[c].name;
      if (name != "octets" && name != "packets" && name != "src_prefix" && name != "dst_prefix") {
        wanted.add(static_cast<batch::FlowColumn>(c));
      }
    }
    return wanted;
  }

  static std::shared_ptr<const WantedElements> all_elements(const std::vector<batch::UserColumn>& user_columns) {
    WantedElements wanted;
    for (const batch::ElementColumn& from : batch::element_columns(user_columns)) {
      wanted.columns.push_back({batch::kFlowColumnCount + wanted.types.size(), from});
      wanted.types.push_back(batch::sql_type(from.type));
    }
    return std::make_shared<const WantedElements>(std::move(wanted));
  }

  Decoder decoder;
  std::vector<std::map<std::string, std::string>> rows;
  SideWriters side;
  std::map<std::string_view, std::vector<std::map<std::string, std::string>>> side_rows;  ///< by stream

 private:
  void on_flows(batch::ColumnBatch& batch) override { append_rows(schema_, batch, rows); }
  const batch::Schema schema_;
  FlowWriter writer_;
};

}  // namespace backstream::decode
