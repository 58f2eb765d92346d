# PostgreSQL's parser (libpg_query, Debian's static archive) as one object that shows only what we call. The archive's
# own xxhash, protobuf-c, palloc, errmsg and bison symbols (about 2,100) would otherwise meet those of other libraries.
#   target: pg_query::pg_query
find_path(PG_QUERY_INCLUDE_DIR pg_query.h REQUIRED)
find_library(PG_QUERY_ARCHIVE libpg_query.a REQUIRED)
find_program(PG_QUERY_LD NAMES ld.bfd ld REQUIRED)

set(pg_query_symbols pg_query_parse pg_query_free_parse_result)
set(pg_query_object ${CMAKE_BINARY_DIR}/pg_query/pg_query.o)
file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/pg_query)
list(TRANSFORM pg_query_symbols PREPEND "--undefined=" OUTPUT_VARIABLE pg_query_wanted)
list(TRANSFORM pg_query_symbols PREPEND "--keep-global-symbol=" OUTPUT_VARIABLE pg_query_kept)
add_custom_command(OUTPUT ${pg_query_object}
  COMMAND ${PG_QUERY_LD} -r ${pg_query_wanted} -o ${pg_query_object}.all ${PG_QUERY_ARCHIVE}
  COMMAND ${CMAKE_OBJCOPY} ${pg_query_kept} ${pg_query_object}.all ${pg_query_object}
  COMMAND ${CMAKE_COMMAND} -E rm ${pg_query_object}.all
  DEPENDS ${PG_QUERY_ARCHIVE} COMMENT "Linking PostgreSQL's parser into one object" VERBATIM)

add_library(pg_query STATIC ${pg_query_object})
set_target_properties(pg_query PROPERTIES LINKER_LANGUAGE C)
set_source_files_properties(${pg_query_object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
target_include_directories(pg_query SYSTEM INTERFACE ${PG_QUERY_INCLUDE_DIR})
target_link_libraries(pg_query INTERFACE Threads::Threads)
add_library(pg_query::pg_query ALIAS pg_query)
