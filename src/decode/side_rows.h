#pragma once
// Rows of the streams beside flows that are made of templates' records and of ledgers. Private to the room; those of
// sFlow samples are made in decode/sflow.cc.
#include "decode/exporter.h"

namespace backstream::decode {

void write_minute(const MinuteLedger& minute, const base::Inet& exporter, std::string_view site,
                  std::string_view protocols, SideWriter& out);

/// A record of options data, whose template has this id. `sampling_rate`: what its elements say, 0 when they say none.
void write_option_row(const TemplateDefinition& known, uint16_t id, const uint8_t* record, const uint32_t* offsets,
                      const uint16_t* widths, const MessageFacts& facts, uint64_t sampling_rate, SideWriter& out);

/// A record of which RecordPlan::is_event() is true, or may_be_event() and it counts nothing.
void write_event_row(std::span<const FieldSpec> fields, const uint8_t* record, const uint32_t* offsets,
                     const uint16_t* widths, const MessageFacts& facts, SideWriter& out);

/// Names of RFC 8158 §4 and of the registry of firewallEvent; of sFlow's reasons ("sFlow Dropped Packet Notification
/// Structures"). Null: none.
std::string_view nat_event_name(uint64_t event);
std::string_view firewall_event_name(uint64_t event);
std::string_view drop_reason_name(uint32_t reason);

}  // namespace backstream::decode
