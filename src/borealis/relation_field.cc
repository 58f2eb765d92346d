// What a field of an input's schema is read from.
#include <fmt/format.h>

#include <algorithm>

#include "borealis/field.h"

namespace backstream::borealis {

using base::fail;
using batch::Type;

namespace {

/// Names that NetFlow's documents give to the fields of a v5 record. Counters are as exported.
struct NetflowName {
  std::string_view netflow, ours;
};
constexpr NetflowName kNetflowNames[] = {
    {"srcaddr", "src_ip"},       {"dstaddr", "dst_ip"},
    {"nexthop", "next_hop"},     {"input", "in_if"},
    {"output", "out_if"},        {"dpkts", "packets_raw"},
    {"doctets", "octets_raw"},   {"first", "flow_start"},
    {"last", "flow_end"},        {"srcport", "src_port"},
    {"dstport", "dst_port"},     {"prot", "protocol"},
    {"srcas", "src_as"},         {"dstas", "dst_as"},
    {"srcmask", "src_mask"},     {"dstmask", "dst_mask"},
    {"tcpflags", "tcp_flags"},   {"unix_secs", "exported_at"},
    {"unixsecs", "exported_at"}, {"sampling_interval", "sampling_rate"},
};

bool is_whole(FieldType type) { return family_of(type) == Family::kInteger; }

/// Unix time in seconds.
UnboundExprPtr epoch_of(UnboundExprPtr time, FieldType type) {
  const SourceSpan span = time->span;
  std::vector<UnboundExprPtr> args;
  args.push_back(text("epoch", span));
  args.push_back(std::move(time));
  UnboundExprPtr epoch = call("date_part", std::move(args), span);
  return is_whole(type) ? cast(call("floor", std::move(epoch)), "bigint") : std::move(epoch);
}

/// The address as a number; in 32 bits with a sign as the original has to carry it in an int.
UnboundExprPtr number_of(UnboundExprPtr address, FieldType type) {
  const SourceSpan span = address->span;
  UnboundExprPtr number = op("-", std::move(address), cast(text("0.0.0.0", span), "inet"));
  if (type == FieldType::kLong) return number;
  return op(">>", op("<<", std::move(number), integer(32, span)), integer(32, span));
}

}  // namespace

int find_column(const plan::Relation& relation, std::string_view field) {
  const std::vector<batch::ColumnDef>& columns = relation.schema.columns;
  const auto named = [&](std::string_view name) {
    const auto found =
        std::find_if(columns.begin(), columns.end(), [&](const auto& column) { return column.name == name; });
    return found == columns.end() ? -1 : static_cast<int>(found - columns.begin());
  };
  if (const int found = named(field); found >= 0 || relation.name != "flows") return found;
  for (const NetflowName& known : kNetflowNames) {
    if (known.netflow == field) return named(known.ours);
  }
  return -1;
}

Result<FieldValue> read_field(const plan::Relation& relation, const Field& field) {
  const int found = find_column(relation, field.name);
  if (found < 0) {
    std::vector<std::string_view> names;
    for (const batch::ColumnDef& known : relation.schema.columns) names.push_back(known.name);
    if (relation.name == "flows") {
      for (const NetflowName& known : kNetflowNames) names.push_back(known.netflow);
    }
    const auto near = base::nearest_name(field.name, names);
    return fail("42703", fmt::format("\"{}\" has no column \"{}\"", relation.name, field.name), field.span,
                near.empty() ? "a schema names columns of the relation, each by its own name"
                             : fmt::format("did you mean '{}'?", near));
  }
  const batch::ColumnDef& def = relation.schema.columns[static_cast<size_t>(found)];
  FieldValue made;
  made.name = field.name;
  made.family = family_of(field.type);
  UnboundExprPtr value = column(def.name, field.span);
  const auto refuse = [&](std::string_view instead) {
    return fail("42804",
                fmt::format("\"{}\" is {} in \"{}\", which is no {}", field.name, batch::name(def.type), relation.name,
                            name(field.type)),
                field.type_span, fmt::format("declare it as {}", instead));
  };
  if (found == relation.time_column || found == relation.arrival_column) {
    made.time_column = def.name;
    made.in_whole_seconds = is_whole(field.type);
  }
  switch (def.type) {
    case Type::kInt2:
    case Type::kInt4:
    case Type::kInt8:
      if (made.family == Family::kReal) value = cast(std::move(value), "double precision");
      else if (made.family != Family::kInteger) return refuse("int or long");
      made.is_wide = def.type == Type::kInt8;
      made.is_unsigned = made.family == Family::kInteger && def.value_bits != 0;
      break;
    case Type::kFloat8:
      if (made.family == Family::kInteger) value = cast(call("trunc", std::move(value)), "bigint");
      else if (made.family != Family::kReal) return refuse("double");
      break;
    case Type::kText:
      if (made.family != Family::kString) return refuse("string");
      break;
    case Type::kInet:
      if (made.family == Family::kString) {
        if (relation.name == "flows") made.family = Family::kAddress;  // What is read from views may be networks.
        else value = call("host", std::move(value));
      } else if (field.type == FieldType::kInt || field.type == FieldType::kLong)
        value = number_of(std::move(value), field.type);
      else return refuse("int or long (IPv4 only), or string");
      break;
    case Type::kCidr:
    case Type::kMacaddr:
      if (made.family != Family::kString) return refuse("string");
      value = cast(std::move(value), "text");
      break;
    case Type::kTimestamptz:
      if (made.family == Family::kString) return refuse("timestamp, or as a number: seconds since 1970");
      if (made.family != Family::kTimestamp) value = epoch_of(std::move(value), field.type);
      break;
    case Type::kBool:
      if (made.family != Family::kInteger) return refuse("int, which is 1 or 0");
      value = cast(std::move(value), "int");
      made.is_wide = false;
      break;
    default: return refuse("nothing: it can only be read in SQL");
  }
  made.value = std::move(value);
  return made;
}

}  // namespace backstream::borealis
