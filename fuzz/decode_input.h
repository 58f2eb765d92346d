#pragma once
// What the fuzz targets of the decoders share: the input is cut into datagrams, and after each the ledger must add up.
#include <algorithm>
#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <memory>
#include <numeric>
#include <optional>
#include <string_view>
#include <vector>

#include "base/byte_order.h"
#include "base/utf8.h"
#include "decode/decoder.h"
#include "decode/flow_message.h"
#include "decode/template_store.h"

namespace backstream::fuzz {

struct Rows : decode::FlowWriter::Consumer {
  void on_flows(batch::ColumnBatch& batch) override {
    for (const batch::Column& column : batch.columns) {
      if (column.values != nullptr) read(column, batch.row_count);
    }
    rows += batch.row_count;
  }
  /// Reads the values that are more than a number: what they point to must be there, and be what the type allows.
  void read(const batch::Column& column, size_t row_count) {
    switch (batch::physical(column.type)) {
      case batch::Physical::kText:
        for (size_t row = 0; row < row_count; ++row) {
          if (column.is_null(row)) continue;
          const bool text = base::find_bad_text(column.as<std::string_view>()[row]) == std::string_view::npos;
          assert(text || column.type != batch::Type::kText);
          octets += text;
        }
        break;
      case batch::Physical::kInet:
        for (size_t row = 0; row < row_count; ++row) {
          const uint8_t family = column.as<base::Inet>()[row].family;
          assert(column.is_null(row) || family == 4 || family == 6);
          (void)family;
        }
        break;
      default: break;
    }
  }
  uint64_t rows = 0;
  uint64_t octets = 0;  ///< values that are text
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

inline const decode::DecodeSettings& settings() {
  static const decode::DecodeSettings made = [] {
    decode::DecodeSettings settings;
    settings.template_count_max = 16;
    settings.exporter_count_max = 3;
    settings.template_wait_octets_max = 4096;
    settings.tunnels = decode::Tunnels::kInner;
    decode::ExporterRule named;
    named.prefix = base::Inet::v4(0x0a000001);
    named.identity = decode::ExporterIdentity::kElement;
    settings.exporters.push_back(named);
    return settings;
  }();
  return made;
}

/// Made once, as to make them takes longer than to decode an input: they are empty again after each.
struct Writers {
  explicit Writers(bool minutes) : flows(wanted(), rows, 7, some_elements()) {
    for (const batch::SideStreamDef& stream : batch::side_streams()) {
      if (stream.stream == batch::SideStream::kExporterMinutes && !minutes) continue;
      side.set(stream.stream, std::make_unique<decode::SideWriter>(
                                  stream.schema, std::vector<bool>(stream.schema.columns.size(), true), 3,
                                  [this](batch::ColumnBatch& batch) { side_rows.on_flows(batch); }));
    }
  }
  static batch::FlowColumnSet wanted() {
    batch::FlowColumnSet wanted;
    for (size_t c = 0; c < batch::kFlowColumnCount; ++c) {
      const auto column = static_cast<batch::FlowColumn>(c);
      if (column != batch::FlowColumn::kOctets && column != batch::FlowColumn::kPackets &&
          column != batch::FlowColumn::kSrcPrefix && column != batch::FlowColumn::kDstPrefix) {
        wanted.add(column);
      }
    }
    return wanted;
  }
  Rows rows, side_rows;
  decode::FlowWriter flows;
  decode::SideWriters side;
};

/// Each datagram is `length:2 octets`; `head` is put before its octets, so that most of them are of the protocol. Two
/// decoders that share what they learn take turns; of one of the senders records name the exporter.
/// @param form  of records of Kafka: the exporter is the one that they name, if they do
inline void decode_input(const uint8_t* data, size_t size, std::initializer_list<uint8_t> head,
                         base::PayloadForm form = base::PayloadForm::kExport) {
  // What a minute's row says depends little on the input, and to write it takes as long as a datagram: one input of 32.
  static Writers without_minutes(false), with_minutes(true);
  Writers& writers = std::accumulate(data, data + size, 0u) % 32 == 0 ? with_minutes : without_minutes;
  writers.rows.rows = 0;
  const auto store = std::make_shared<decode::TemplateStore>();
  std::optional<decode::Decoder> decoders[2];  // Made when the first datagram comes: most inputs need one.
  base::Micros now = 1'769'860'800'000'000;
  while (size >= 2) {
    const size_t octets = std::min<size_t>(base::load_be16(data) & 0x0fff, size - 2);
    // Memory of the exact size: a read past its end is seen.
    const std::unique_ptr<uint8_t[]> payload(new uint8_t[head.size() + octets]);
    std::copy_n(data + 2, octets, std::copy(head.begin(), head.end(), payload.get()));
    base::Datagram datagram;
    datagram.payload = payload.get();
    datagram.payload_octets = static_cast<uint32_t>(head.size() + octets);
    datagram.source = base::Inet::v4(0x0a000000 + (data[0] >> 4) % 5);
    datagram.payload_form = form;
    if (form != base::PayloadForm::kExport) {
      const base::Inet named = decode::exporter_of_message(form, {payload.get(), head.size() + octets});
      if (named.family != 0) datagram.source = named;
    }
    datagram.received_at = now += 1'000'000;
    datagram.source_port = data[0] >> 7;
    std::optional<decode::Decoder>& decoder = decoders[(data[0] >> 5) % 2];
    if (!decoder) decoder.emplace(settings(), std::vector<std::string>{}, store);
    decoder->decode(datagram, writers.flows, &writers.side);
    data += 2 + octets;
    size -= 2 + octets;
  }
  writers.flows.flush();
  decode::IngestLedger total;
  std::vector<decode::Decoder*> used;
  for (std::optional<decode::Decoder>& decoder : decoders) {
    if (decoder) used.push_back(&*decoder);
  }
  if (decode::SideWriter* minutes = writers.side.of(batch::SideStream::kExporterMinutes); minutes != nullptr)
    decode::Decoder::write_minutes(used, base::kMaxTime, *minutes);
  for (decode::Decoder* decoder : used) {
    decoder->finish();
    total += decoder->total();
  }
  writers.side.flush();
  assert(total.datagrams == total.decoded + total.rejected + total.undecodable);
  assert(total.records == total.flows + total.events + total.option_rows + total.malformed + total.awaiting_template);
  assert(total.flows == writers.rows.rows);
  assert(total.sets_released <= total.sets_held);
  assert(decode::TemplateStore().decode(store->encode()));
}

}  // namespace backstream::fuzz
