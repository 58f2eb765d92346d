cmake_policy(VERSION 3.25)
# Writes a source file with a text in it:
#   cmake -DTEXT=docs/openapi.json -DHEADER=service/openapi.h -DNAMESPACE=backstream::service -DFUNCTION=openapi_document -DOUT=x.cc -P embed_text.cmake
file(READ ${TEXT} text)
string(FIND "${text}" ")embedded\"" end)
if(NOT end EQUAL -1)
  message(FATAL_ERROR "${TEXT}: error: it holds the mark that ends the text in the source file")
endif()
get_filename_component(name ${TEXT} NAME)
file(WRITE ${OUT} "// Made of ${name} by cmake/embed_text.cmake.
#include \"${HEADER}\"

namespace ${NAMESPACE} {

std::string_view ${FUNCTION}() {
  static constexpr char kText[] = R\"embedded(${text})embedded\";
  return {kText, sizeof kText - 1};
}

}  // namespace ${NAMESPACE}
")
