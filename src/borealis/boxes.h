#pragma once
// The types of boxes. Inside this room only.
#include "borealis/diagram.h"

namespace backstream::borealis {

/// Reads the type and the parameters of `element`, a <box>, into `box`, whose ports are known.
/// Throws Refused: a type that is not known or not run, ports that it has not, parameters that are missing, wrong or
/// unknown.
void read_box_type(const Element& element, Box& box);

}  // namespace backstream::borealis
