#pragma once
// Text on its way to a person's terminal.
#include <cstddef>
#include <string>
#include <string_view>

namespace backstream::app::shell {

/// Text from the network must neither move a person's cursor nor turn his lines around: control characters (C0, DEL,
/// C1), marks that set the direction of writing, and octets that are no UTF-8 are shown by number, \x1b or \u202e.
std::string printable(std::string_view text);
/// The same, but '\n' stays, and a tab becomes spaces: texts of several lines, such as plans and statements.
std::string printable_lines(std::string_view text);

/// Columns of a terminal that printable text takes; wide characters take two, combining ones none (wcwidth; LC_CTYPE
/// must be UTF-8, see use_utf8()).
size_t width_of(std::string_view printable_text);
/// The text if it is at most so wide, else its begin and "…". columns >= 1.
std::string cut_to(std::string_view printable_text, size_t columns);
/// Makes wcwidth know UTF-8 whatever the environment says. Once, before threads.
void use_utf8();

}  // namespace backstream::app::shell
