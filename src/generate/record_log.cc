#include "generate/record_log.h"

#include <fmt/format.h>

#include <cerrno>
#include <iterator>
#include <system_error>

#include "generate/export_writer.h"

namespace backstream::generate {

RecordLog::RecordLog(const std::string& path) : path_(path), out_(path, std::ios::binary) {
  if (!out_) throw std::system_error(errno != 0 ? errno : EIO, std::generic_category(), path);
  out_ << "flow_start,flow_end,received_at,exporter,protocol_version,src_ip,dst_ip,next_hop,src_port,dst_port,protocol,"
          "tcp_flags,tos,octets_raw,packets_raw,sampling_rate,src_as,dst_as,src_mask,dst_mask,in_if,out_if\n";
}

void RecordLog::observe(const Record& record) {
  const auto optional = [](bool has, uint32_t value) { return has ? fmt::to_string(value) : std::string(); };
  const bool timed = record.protocol != Protocol::kSflow;
  line_.clear();
  fmt::format_to(std::back_inserter(line_), "{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{},{}\n",
                 timed ? base::format_timestamp(record.start) : std::string(),
                 timed ? base::format_timestamp(record.end) : std::string(), base::format_timestamp(record.received),
                 base::to_string(record.exporter), version_text(record.protocol), base::to_string(record.source),
                 base::to_string(record.destination), base::to_string(next_hop(record)),
                 optional(record.has_ports, record.source_port), optional(record.has_ports, record.destination_port),
                 record.ip_protocol, optional(record.has_flags, record.tcp_flags), record.tos, record.octets,
                 record.packets, record.sampling_rate, record.source_as, record.destination_as, record.source_mask,
                 record.destination_mask, record.in_if, record.out_if);
  out_ << line_;
}

void RecordLog::close() {
  out_.close();
  if (!out_) throw std::system_error(errno != 0 ? errno : EIO, std::generic_category(), path_);
}

}  // namespace backstream::generate
