// What the sanitizer does by default in all fuzz programs; ASAN_OPTIONS says otherwise.
// Stacks of allocations are short, and freed memory is kept for the last megabyte: more than an input frees. Both cost
// as much as the programs' own work. A crash is run again with ASAN_OPTIONS=malloc_context_size=30 for whole stacks.
extern "C" const char* __asan_default_options();
extern "C" const char* __asan_default_options() {
  return "malloc_context_size=2:quarantine_size_mb=1:thread_local_quarantine_size_kb=64";
}
