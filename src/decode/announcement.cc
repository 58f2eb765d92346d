#include "decode/announcement.h"

namespace backstream::decode {

bool can_be_template(uint16_t id, const TemplateDefinition& definition) {
  constexpr size_t kRecordOctetsMax = 65'535;
  size_t octets = 0;
  for (const FieldSpec& field : definition.fields) octets += field.width == kVariable ? 1 : field.width;
  // A record of no octets would be read for ever; one longer than a datagram cannot come.
  return id >= 256 && definition.fields.size() <= kTemplateFieldsMax && octets > 0 && octets <= kRecordOctetsMax &&
         definition.scope_count <= definition.fields.size();
}

}  // namespace backstream::decode
