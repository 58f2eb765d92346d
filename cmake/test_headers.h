// As common_headers.h, for tests.
#include <gtest/gtest.h>

#include "common_headers.h"
