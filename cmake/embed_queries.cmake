cmake_policy(VERSION 3.25)
# Writes a source file with the texts of queries in it, each under its file's name:
#   cmake "-DQUERIES=a.sql;b.sql" -DOUT=x.cc -P embed_queries.cmake
set(entries "")
foreach(file ${QUERIES})
  file(READ ${file} text)
  string(FIND "${text}" ")embedded\"" end)
  if(NOT end EQUAL -1)
    message(FATAL_ERROR "${file}: error: it holds the mark that ends the text in the source file")
  endif()
  get_filename_component(name ${file} NAME_WE)
  string(APPEND entries "    {\"${name}\", R\"embedded(${text})embedded\"},\n")
endforeach()
file(WRITE ${OUT} "// Made of queries/*.sql by cmake/embed_queries.cmake.
#include \"app/starter_queries.h\"

namespace backstream::app {

std::span<const StarterQuery> starter_queries() {
  static constexpr StarterQuery kQueries[] = {
${entries}  };
  return kQueries;
}

}  // namespace backstream::app
")
