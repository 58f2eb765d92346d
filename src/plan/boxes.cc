#include "plan/boxes.h"

#include <fmt/format.h>

namespace backstream::plan {
namespace {

/// As the text had it: what is kept of a timestamptz is µs.
std::string length_text(double length, const batch::ColumnDef& column) {
  if (column.type != batch::Type::kTimestamptz) return fmt::format("{}", length);
  return base::format_duration(static_cast<Micros>(length));
}

class Text {
 public:
  Text(const Boxes& boxes, const Boxes::Box& box)
      : boxes_(boxes), box_(box), first_(boxes.schema_of(box.inputs.front())), both_(first_) {
    if (box.kind == Boxes::Kind::kMap) both_.columns.push_back({std::string(kTupleNumber), batch::Type::kInt8, 0});
    if (box.kind != Boxes::Kind::kJoin && box.kind != Boxes::Kind::kWaitFor) return;
    for (batch::ColumnDef& column : both_.columns) column.name.insert(0, "left.");
    for (batch::ColumnDef column : boxes.schema_of(box.inputs[1]).columns) {
      column.name.insert(0, "right.");
      both_.columns.push_back(std::move(column));
    }
  }

  std::string all() {
    static constexpr const char* kKinds[] = {"filter", "map", "union", "bsort", "aggregate", "join", "waitfor"};
    text_ = fmt::format("{} of ", kKinds[static_cast<size_t>(box_.kind)]);
    for (size_t i = 0; i < box_.inputs.size(); ++i) {
      if (i > 0) text_ += ", ";
      add_stream(box_.inputs[i]);
    }
    switch (box_.kind) {
      case Boxes::Kind::kFilter:
        for (size_t port = 0; port < box_.conditions.size(); ++port)
          text_ += fmt::format("; {}: {}", port + 1, expr::to_string(*box_.conditions[port], first_));
        if (box_.passes_rest) text_ += fmt::format("; {}: the others", box_.conditions.size() + 1);
        break;
      case Boxes::Kind::kMap: add_outputs(); break;
      case Boxes::Kind::kUnion: break;
      case Boxes::Kind::kSort:
        text_ += fmt::format("; by {}, slack {}", name(box_.order_on), box_.slack);
        add_groups();
        break;
      case Boxes::Kind::kAggregate: add_aggregate(); break;
      case Boxes::Kind::kJoin:
        text_ += fmt::format("; on {}", expr::to_string(*box_.conditions.front(), both_));
        add_side("left", box_.left, box_.inputs[0]);
        add_side("right", box_.right, box_.inputs[1]);
        add_time_out(box_.timeout_us);
        add_outputs();
        break;
      case Boxes::Kind::kWaitFor:
        text_ += fmt::format("; until {}", expr::to_string(*box_.conditions.front(), both_));
        add_time_out(box_.timeout_us);
        break;
    }
    return std::move(text_);
  }

 private:
  const std::string& name(int column) const { return first_.columns[static_cast<size_t>(column)].name; }

  void add_stream(const Boxes::Stream& stream) {
    if (stream.from < boxes_.sources.size()) {
      text_ += fmt::format("input {}", stream.from + 1);
      return;
    }
    const Boxes::Box& from = boxes_.boxes[stream.from - boxes_.sources.size()];
    text_ += from.name;
    if (from.port_count() > 1) text_ += fmt::format(".{}", stream.port + 1);
  }
  void add_outputs() {
    for (size_t o = 0; o < box_.outputs.size(); ++o) {
      const std::string value = expr::to_string(*box_.outputs[o], both_);
      const std::string& name = box_.output.columns[o].name;
      text_ +=
          fmt::format("{} {}", o == 0 ? "; gives" : ",", value == name ? name : fmt::format("{} AS {}", value, name));
    }
  }
  void add_groups() {
    for (size_t g = 0; g < box_.group_by.size(); ++g)
      text_ += fmt::format("{} {}", g == 0 ? ", of each" : ",", name(box_.group_by[g]));
  }
  void add_time_out(const std::optional<Micros>& timeout_us) {
    if (timeout_us) text_ += fmt::format("; timeout {}", base::format_duration(*timeout_us));
  }
  void add_aggregate() {
    for (size_t c = 0; c < box_.calls.size(); ++c)
      text_ += fmt::format("{} {}", c == 0 ? ";" : ",", box_.calls[c].aggregate.label);
    add_groups();
    const Boxes::Window& window = box_.window;
    if (window.by_values) {
      const batch::ColumnDef& column = first_.columns[static_cast<size_t>(window.order_on)];
      text_ += fmt::format("; windows of {} every {} of {}", length_text(window.size, column),
                           length_text(window.advance, column), column.name);
    } else {
      text_ += fmt::format("; windows of {} tuples every {}", window.size, window.advance);
      if (window.order_on >= 0) text_ += fmt::format(" by {}", name(window.order_on));
    }
    add_time_out(window.timeout_us);
    if (window.slack > 0) text_ += fmt::format("; slack {}", window.slack);
    if (window.is_aligned) text_ += "; aligned";
    if (window.drops_empty) text_ += "; empty ones are dropped";
  }
  void add_side(const char* which, const Boxes::Side& side, const Boxes::Stream& stream) {
    if (!side.by_values) {
      text_ += fmt::format("; {}: {} tuples", which, side.size);
      return;
    }
    const batch::ColumnDef& column = boxes_.schema_of(stream).columns[static_cast<size_t>(side.order_on)];
    text_ += fmt::format("; {}: {} of {}", which, length_text(side.size, column), column.name);
  }

  const Boxes& boxes_;
  const Boxes::Box& box_;
  const batch::Schema& first_;
  batch::Schema both_;
  std::string text_;
};

}  // namespace

std::string describe(const Boxes& boxes, const Boxes::Box& box) { return Text(boxes, box).all(); }

}  // namespace backstream::plan
