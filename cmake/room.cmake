# Most of the time of a small file is the standard library's headers. A compiler cache cannot tell that a precompiled
# header of one folder is that of another, and without it is faster than with it: then there are none.
if(CMAKE_CXX_COMPILER_LAUNCHER MATCHES "ccache" OR CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  set(BACKSTREAM_PCH_DEFAULT OFF)
else()
  set(BACKSTREAM_PCH_DEFAULT ON)
endif()
option(BACKSTREAM_PCH "Precompiled headers" ${BACKSTREAM_PCH_DEFAULT})
if(BACKSTREAM_PCH)
  # g++ 12 takes moved strings for overrun buffers, and does not know that it is in a system header when that is precompiled.
  add_compile_options(-Wno-array-bounds -Wno-stringop-overflow -Wno-stringop-overread -Wno-restrict)
endif()

# The headers that nearly every file includes; `kind` is one for all targets that are compiled alike: common, test.
function(backstream_common_headers target kind)
  if(NOT BACKSTREAM_PCH)
    return()
  endif()
  get_property(owner GLOBAL PROPERTY BACKSTREAM_PCH_${kind})
  if(owner)
    target_precompile_headers(${target} REUSE_FROM ${owner})
    return()
  endif()
  set_property(GLOBAL PROPERTY BACKSTREAM_PCH_${kind} ${target})
  target_precompile_headers(${target} PRIVATE ${CMAKE_SOURCE_DIR}/cmake/${kind}_headers.h)
endfunction()

# What a test does itself need not be fast, and is half of all code.
function(backstream_test_code target)
  target_compile_options(${target} PRIVATE $<IF:$<CONFIG:Release>,-O1,-O0>)
  backstream_common_headers(${target} test)
endfunction()

# A room is one folder of src/ and one static library. It names the rooms that its files may include;
# an include of any other room fails the build (cmake/check_arrows.cmake), so a wrong arrow never lands.
#
#   backstream_room(decode ROOMS base batch LINK ZLIB::ZLIB)
#
# Sources are every *.cc below the folder except *_test.cc, which become <room>_test.
function(backstream_room name)
  cmake_parse_arguments(room "" "" "ROOMS;LINK;TEST_ROOMS;TEST_LINK;EXCLUDE" ${ARGN})
  set(folder ${CMAKE_SOURCE_DIR}/src/${name})
  file(GLOB_RECURSE all CONFIGURE_DEPENDS ${folder}/*.cc)
  file(GLOB_RECURSE headers CONFIGURE_DEPENDS ${folder}/*.h)
  foreach(pattern ${room_EXCLUDE})
    list(FILTER all EXCLUDE REGEX ${pattern})
  endforeach()
  set(tests ${all})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  set(sources ${all})
  list(FILTER sources EXCLUDE REGEX "_test\\.cc$")
  set(targets)
  foreach(other ${room_ROOMS})
    list(APPEND targets backstream_${other})
  endforeach()

  set(stamp ${CMAKE_BINARY_DIR}/arrows/${name}.ok)
  add_custom_command(OUTPUT ${stamp}
    COMMAND ${CMAKE_COMMAND} -DROOM=${name} "-DALLOWED=${room_ROOMS}" "-DTEST_ALLOWED=${room_TEST_ROOMS}"
            -DSOURCE_DIR=${CMAKE_SOURCE_DIR}/src -DSTAMP=${stamp} -P ${CMAKE_SOURCE_DIR}/cmake/check_arrows.cmake
    DEPENDS ${all} ${headers} ${CMAKE_SOURCE_DIR}/cmake/check_arrows.cmake VERBATIM)
  add_custom_target(backstream_${name}_arrows DEPENDS ${stamp})
  set_property(GLOBAL APPEND PROPERTY BACKSTREAM_ROOMS backstream_${name})   # For bench/ and fuzz/.

  if(sources)
    add_library(backstream_${name} STATIC ${sources})
    target_include_directories(backstream_${name} PUBLIC ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(backstream_${name} PUBLIC ${targets} fmt::fmt Threads::Threads PRIVATE ${room_LINK})
    add_dependencies(backstream_${name} backstream_${name}_arrows)
    backstream_common_headers(backstream_${name} common)
  else()
    add_library(backstream_${name} INTERFACE)
    target_include_directories(backstream_${name} INTERFACE ${CMAKE_SOURCE_DIR}/src)
    target_link_libraries(backstream_${name} INTERFACE ${targets} fmt::fmt Threads::Threads)
    add_dependencies(backstream_${name} backstream_${name}_arrows)
  endif()

  if(BACKSTREAM_TESTS AND tests)
    set(test_targets)
    foreach(other ${room_TEST_ROOMS})
      list(APPEND test_targets backstream_${other})
    endforeach()
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE backstream_${name} ${test_targets} ${room_LINK} ${room_TEST_LINK}
                          GTest::gtest_main GTest::gtest)
    # Only for who asks: what another folder's name is compiled into is compiled anew for each checkout.
    foreach(test ${tests})
      file(STRINGS ${test} asks REGEX "BACKSTREAM_SOURCE_DIR" LIMIT_COUNT 1)
      if(asks)
        set_source_files_properties(${test} PROPERTIES COMPILE_DEFINITIONS BACKSTREAM_SOURCE_DIR="${CMAKE_SOURCE_DIR}"
                                                       SKIP_PRECOMPILE_HEADERS ON)
      endif()
    endforeach()
    backstream_test_code(${name}_test)
    add_test(NAME unit.${name} COMMAND ${name}_test)
  endif()
endfunction()
