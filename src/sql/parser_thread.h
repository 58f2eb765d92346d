#pragma once
#include <functional>

namespace backstream::sql {

/// Runs `work` on a thread with a stack of 64 MiB and waits for it: PostgreSQL's parser recurses as deep as the text
/// nests, and 64 KiB of text overflow the usual 8 MiB. One at a time in the process. What `work` throws is thrown here.
/// Throws std::system_error when the thread cannot be made. Any thread.
void run_on_parser_thread(const std::function<void()>& work);

}  // namespace backstream::sql
