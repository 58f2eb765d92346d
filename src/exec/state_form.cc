#include "exec/state_form.h"

#define XXH_INLINE_ALL
#include <fmt/format.h>
#include <xxhash.h>

#include <string>

#include "plan/boxes.h"
#include "plan/explain.h"

namespace backstream::exec {
namespace {

/// Of all stages together: a stage that writes other octets than before needs another one.
constexpr uint64_t kVersion = 1;
constexpr std::string_view kMagic = "BSE";

void add_columns(const batch::Schema& schema, std::string& text) {
  for (const batch::ColumnDef& column : schema.columns)
    text += fmt::format("{}:{}:{} ", column.name, static_cast<int>(column.type), column.value_bits);
  text += '\n';
}

/// Beside what EXPLAIN tells: types, and which of the functions of one name each aggregate is.
void add_form(const plan::Query& query, std::string& text) {
  for (const plan::Stage& stage : query.stages) {
    for (const batch::Schema* schema : {&stage.input, &stage.grouped, &stage.output}) add_columns(*schema, text);
    const plan::Window& window = stage.window;
    text += fmt::format("{} {} {} {} {}\n", static_cast<int>(window.kind), window.time_column, window.size_us,
                        window.slide_us, window.offset_us);
    for (const plan::AggregateCall& call : stage.aggregates)
      text += fmt::format("{} {} {}\n", call.label, call.function->partial_form, call.function->state_octets);
    if (stage.boxes) {
      for (const plan::Boxes::Box& box : stage.boxes->boxes) {
        add_columns(box.output, text);
        for (const plan::Boxes::Call& call : box.calls)
          text += fmt::format("{} {}\n", call.aggregate.function->partial_form, call.aggregate.function->state_octets);
      }
    }
    if (!stage.analytic) continue;
    for (const plan::AnalyticCall& call : stage.analytic->calls)
      text += fmt::format("{} {} {}\n", call.label, call.number, static_cast<int>(call.type));
  }
  for (const auto& input : query.inputs) add_form(*input, text);
}

}  // namespace

uint64_t form_of_state(const plan::Query& query, const EngineOptions& options) {
  plan::ExplainOptions explain;
  explain.distributed = true;
  std::string text = plan::explain(query, explain);
  add_form(query, text);
  text += fmt::format("{} {} {} {}", options.share, options.ship, options.analytic_in_place, options.pane_us_max);
  if (options.half == Half::kMerge) text += " merge";
  return XXH3_64bits(text.data(), text.size());
}

void begin_state(StateWriter& out, uint64_t form) {
  out.octets().insert(out.octets().end(), kMagic.begin(), kMagic.end());
  out.number(kVersion);
  partial::put_u64(out.octets(), form);
}

base::Result<void> read_begin(StateReader& in, uint64_t form) {
  for (const char c : kMagic) in.check(in.number(127) == static_cast<uint64_t>(c));
  const uint64_t version = in.number();
  if (in.refused()) return state_damaged();
  if (version != kVersion) {
    return base::fail(
        "0A000", fmt::format("the saved state is of format {}, and this program knows {}", version, kVersion), {},
        "windows that were open begin anew; to keep them, run the program that has saved them until they are closed");
  }
  uint64_t saved = 0;
  for (int i = 0; i < 8; ++i) saved |= in.octet() << (8 * i);
  if (in.refused()) return state_damaged();
  if (saved != form) {
    return base::fail("55000", "the saved state is of another plan than the query's", {},
                      "the query, what it reads, or the program has changed: windows that were open begin anew");
  }
  return {};
}

tl::unexpected<base::Diagnostic> state_damaged() {
  return base::fail("XX001", "the saved state cannot be read", {},
                    "it was damaged, or a fault of this program has written it; windows that were open begin anew");
}

}  // namespace backstream::exec
