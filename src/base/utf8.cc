#include "base/utf8.h"

namespace backstream::base {

size_t find_bad_text(std::string_view text) {
  const auto octet = [&](size_t i) { return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U; };
  for (size_t i = 0; i < text.size();) {
    const unsigned first = octet(i);
    if (first >= 0x01 && first < 0x80) {
      ++i;
      continue;
    }
    const size_t more = first >= 0xc2 && first < 0xe0   ? 1
                        : first >= 0xe0 && first < 0xf0 ? 2
                        : first >= 0xf0 && first < 0xf5 ? 3
                                                        : 0;
    if (more == 0) return i;
    for (size_t k = 1; k <= more; ++k) {
      if ((octet(i + k) & 0xc0) != 0x80) return i;
    }
    const unsigned second = octet(i + 1);
    if ((first == 0xe0 && second < 0xa0) || (first == 0xed && second >= 0xa0) || (first == 0xf0 && second < 0x90) ||
        (first == 0xf4 && second >= 0x90)) {
      return i;  // Too long, a surrogate, or beyond U+10FFFF.
    }
    i += more + 1;
  }
  return std::string_view::npos;
}

}  // namespace backstream::base
