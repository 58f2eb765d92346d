#pragma once
// What the fuzz targets of the decoders share: the input is cut into datagrams, and after each the ledger must add up.
#include <cassert>
#include <cstdint>
#include <memory>
#include <string_view>
#include <vector>

#include "base/byte_order.h"
#include "base/utf8.h"
#include "decode/decoder.h"
#include "decode/template_store.h"

namespace backstream::fuzz {

struct Rows : decode::FlowWriter::Consumer {
  void on_flows(batch::ColumnBatch& batch) override {
    // Reads every value that it was given, so that the sanitizer sees memory that was never written for.
    for (const batch::Column& column : batch.columns) {
      if (column.values == nullptr) continue;
      for (size_t row = 0; row < batch.row_count; ++row) {
        if (column.is_null(row)) continue;
        if (column.type == batch::Type::kText)
          assert(base::find_bad_text(column.as<std::string_view>()[row]) == std::string_view::npos);
        if (column.type == batch::Type::kBytea)
          octets += base::find_bad_text(column.as<std::string_view>()[row]) == std::string_view::npos;
        if (batch::physical(column.type) != batch::Physical::kInet) continue;
        const uint8_t family = column.as<base::Inet>()[row].family;
        assert(family == 4 || family == 6);
        (void)family;
      }
    }
    rows += batch.row_count;
  }
  uint64_t rows = 0;
  uint64_t octets = 0;  ///< values of bytea, read whole
};

/// The first elements of each type, and two of an enterprise.
inline std::shared_ptr<const decode::WantedElements> some_elements() {
  const std::vector<batch::UserColumn> more = {{"text", {9, 1, batch::ElementType::kString}},
                                               {"number", {9, 2, batch::ElementType::kSigned64}}};
  decode::WantedElements wanted;
  std::vector<int> taken(256);
  for (const batch::ElementColumn& from : batch::element_columns(more)) {
    const bool take = taken[static_cast<size_t>(from.type)]++ < 3 || from.enterprise != 0;
    if (take) wanted.columns.push_back({batch::kFlowColumnCount + wanted.types.size(), from});
    wanted.types.push_back(batch::sql_type(from.type));
  }
  return std::make_shared<const decode::WantedElements>(std::move(wanted));
}

/// Each datagram is `length:2 octets`; `head` is put before its octets, so that most of them are of the protocol. Two
/// decoders that share what they learn take turns; of one of the senders records name the exporter.
inline void decode_input(const uint8_t* data, size_t size, const std::vector<uint8_t>& head) {
  batch::FlowColumnSet wanted;
  for (size_t c = 0; c < batch::kFlowColumnCount; ++c) {
    const auto column = static_cast<batch::FlowColumn>(c);
    if (column != batch::FlowColumn::kOctets && column != batch::FlowColumn::kPackets &&
        column != batch::FlowColumn::kSrcPrefix && column != batch::FlowColumn::kDstPrefix) {
      wanted.add(column);
    }
  }
  // Made once, as to make them takes longer than to decode an input: they are empty again after each.
  static Rows rows, side_rows;
  static decode::FlowWriter writer(wanted, rows, 7, some_elements());
  static decode::SideWriters side;
  if (side.of(batch::SideStream::kCounters) == nullptr) {
    for (const batch::SideStreamDef& stream : batch::side_streams()) {
      side.set(stream.stream, std::make_unique<decode::SideWriter>(
                                  stream.schema, std::vector<bool>(stream.schema.columns.size(), true), 3,
                                  [](batch::ColumnBatch& batch) { side_rows.on_flows(batch); }));
    }
  }
  rows.rows = 0;
  decode::DecodeSettings settings;
  settings.template_count_max = 16;
  settings.exporter_count_max = 3;
  settings.template_wait_octets_max = 4096;
  settings.tunnels = decode::Tunnels::kInner;
  decode::ExporterRule named;
  named.prefix = base::Inet::v4(0x0a000001);
  named.identity = decode::ExporterIdentity::kElement;
  settings.exporters.push_back(named);
  const auto store = std::make_shared<decode::TemplateStore>();
  decode::Decoder decoders[2] = {{settings, {}, store}, {settings, {}, store}};
  base::Micros now = 1'769'860'800'000'000;
  while (size >= 2) {
    const size_t octets = std::min<size_t>(base::load_be16(data) & 0x0fff, size - 2);
    // A copy of the exact size: a read past its end is seen.
    std::vector<uint8_t> payload(head);
    payload.insert(payload.end(), data + 2, data + 2 + octets);
    const std::vector<uint8_t> exact(payload.begin(), payload.end());
    base::Datagram datagram;
    datagram.payload = exact.data();
    datagram.payload_octets = static_cast<uint32_t>(exact.size());
    datagram.source = base::Inet::v4(0x0a000000 + (data[0] >> 4) % 5);
    datagram.received_at = now += 1'000'000;
    datagram.source_port = data[0] >> 7;
    decoders[(data[0] >> 5) % 2].decode(datagram, writer, &side);
    data += 2 + octets;
    size -= 2 + octets;
  }
  writer.flush();
  decode::IngestLedger total;
  for (decode::Decoder& decoder : decoders) {
    decoder.write_minutes(base::kMaxTime, *side.of(batch::SideStream::kExporterMinutes));
    decoder.finish();
    total += decoder.total();
  }
  side.flush();
  assert(total.datagrams == total.decoded + total.rejected + total.undecodable);
  assert(total.records == total.flows + total.events + total.option_rows + total.malformed + total.awaiting_template);
  assert(total.flows == rows.rows);
  assert(total.sets_released <= total.sets_held);
  assert(decode::TemplateStore().decode(store->encode()));
}

}  // namespace backstream::fuzz
