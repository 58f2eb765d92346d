#include "borealis/foreign_boxes.h"

#include <array>

namespace backstream::borealis {
namespace {

struct ForeignBox {
  std::string_view name, hint;
};
constexpr std::string_view kTableHint =
                               "lookup tables are changed by SQL (INSERT, UPDATE, DELETE) and read by joinstatic boxes",
                           kReplicaHint = "nodes take over from each other without it: leave it out",
                           kArrayHint = "arrays are not supported", kImageHint = "there are no images among flows",
                           kLoadHint = "backstream generate makes load; leave it out";
constexpr auto kForeignBoxes = std::to_array<ForeignBox>({
    {"aurorajoin", "use a join box: left-buffer-size for down-size, right-buffer-size for up-size"},
    {"sjoin", "use a join box: its answer does not depend on replicas"},
    {"lock", "tuples are taken in their order: leave it out"},
    {"unlock", "tuples are taken in their order: leave it out"},
    {"window_drop", "use random_drop before the aggregate, or state_limit with on_limit = 'shed' in SQL"},
    {"delay", kLoadHint},
    {"delay_sel", kLoadHint},
    {"combine", "use a join box on the key"},
    {"insert", kTableHint},
    {"update", kTableHint},
    {"delete", kTableHint},
    {"select", "use a joinstatic box"},
    {"exists", "use a joinstatic box, or in SQL x IN (SELECT ...)"},
    {"sunion", "use a union box: its answer does not depend on replicas"},
    {"soutput", kReplicaHint},
    {"scontrol", kReplicaHint},
    {"revisionfilter", "use a filter box: rows come again with a new revision where they change"},
    {"revisionmap", "use a map box: rows come again with a new revision where they change"},
    {"revisionaggregate", "use an aggregate box: rows come again with a new revision where they change"},
    {"lrwaitfor", "use a waitfor box"},
    {"filter_array", kArrayHint},
    {"scatter", kArrayHint},
    {"gather", kArrayHint},
    {"chunk_assembler", kArrayHint},
    {"concatenate", kArrayHint},
    {"merge", kArrayHint},
    {"regrid", kArrayHint},
    {"resample", "use an aggregate box"},
    {"edge_detect", kImageHint},
    {"map_frame", kImageHint},
    {"map_frame_composite", kImageHint},
    {"contrast", kImageHint},
    {"contrast_composite", kImageHint},
    {"delta_detect", kImageHint},
    {"delta_detect_adj", kImageHint},
    {"delta_detect_batch", kImageHint},
    {"delta_detect_recurse", kImageHint},
    {"delta_detect_sample", kImageHint},
    {"delta_ais", kImageHint},
    {"face_detect", kImageHint},
    {"face_detect_adj", kImageHint},
    {"face_detect_batch", kImageHint},
    {"face_detect_chunk", kImageHint},
    {"face_detect_recurse", kImageHint},
    {"face_detect_spatial", kImageHint},
    {"join_fits", kImageHint},
    {"render", kImageHint},
    {"render_deltas", kImageHint},
});

}  // namespace

std::string_view alternative_to(std::string_view box_type) {
  for (const ForeignBox& box : kForeignBoxes) {
    if (box.name == box_type) return box.hint;
  }
  return {};
}

}  // namespace backstream::borealis
