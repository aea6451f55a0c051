# One static library per room (design: a room uses only the rooms above it in the table of src/README.md).
#
#   microemo_room(NAME [TENSORS|MODULES] ROOMS lower rooms… LIBS libraries…)   builds src/NAME/*.cpp as microemo_NAME
#   microemo_room_test(NAME [TENSORS|MODULES] SOURCES helpers… LIBS …)         builds tests/NAME/*_test.cpp and helpers as NAME_test
#
# TENSORS and MODULES: the room uses LibTorch, and which of its precompiled headers most of the files want.

include(GoogleTest)
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER env "CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime" "CCACHE_INODECACHE=true" "CCACHE_DEPEND=true" ${CCACHE_PROGRAM})
endif()

add_library(microemo_flags INTERFACE)
target_include_directories(microemo_flags INTERFACE "${PROJECT_SOURCE_DIR}/include")
target_compile_options(microemo_flags INTERFACE -Wall -Wextra -Wshadow -Wnon-virtual-dtor)
target_compile_definitions(microemo_flags INTERFACE MICROEMO_VERSION="${MICROEMO_VERSION}")
# Linked, not header-only: that alone would add 3 s to every file that formats an error.
target_link_libraries(microemo_flags INTERFACE fmt::fmt)
if(MICROEMO_ARCH)
  target_compile_options(microemo_flags INTERFACE -march=${MICROEMO_ARCH})
endif()
if(MICROEMO_SANITIZE)
  target_compile_options(microemo_flags INTERFACE -fsanitize=${MICROEMO_SANITIZE} -fno-omit-frame-pointer)
  target_link_options(microemo_flags INTERFACE -fsanitize=${MICROEMO_SANITIZE})
endif()

function(microemo_precompiled_header name)
  add_library(microemo_${name}_pch STATIC "${PROJECT_SOURCE_DIR}/cmake/pch.cpp")
  target_link_libraries(microemo_${name}_pch PUBLIC microemo_flags ${ARGN})
  target_precompile_headers(microemo_${name}_pch PUBLIC "${PROJECT_SOURCE_DIR}/cmake/${name}_pch.h")
endfunction()

function(microemo_room name)
  cmake_parse_arguments(ROOM "TENSORS;MODULES" "" "ROOMS;LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/${name}/*.cpp")
  if(NOT sources)
    add_library(microemo_${name} INTERFACE)
    set(scope INTERFACE)
  else()
    add_library(microemo_${name} STATIC ${sources})
    set(scope PUBLIC)
  endif()
  list(TRANSFORM ROOM_ROOMS PREPEND microemo_)
  target_link_libraries(microemo_${name} ${scope} microemo_flags ${ROOM_ROOMS} ${ROOM_LIBS})
  if(ROOM_TENSORS OR ROOM_MODULES)
    target_link_libraries(microemo_${name} ${scope} microemo::torch_cpu)
  endif()
  if(ROOM_TENSORS AND sources)
    target_precompile_headers(microemo_${name} REUSE_FROM microemo_tensors_pch)
  elseif(ROOM_MODULES AND sources)
    target_precompile_headers(microemo_${name} REUSE_FROM microemo_modules_pch)
  endif()
endfunction()

# libsentencepiece and libc10 both export FLAGS_minloglevel, an object of 32 bytes there and an int here, and the first one named
# serves the whole program: behind libc10, sentencepiece's constructor writes over libc10's other flags, and memory that is not
# there ends the program instead of throwing (tests/data/flags_test.cpp).
function(microemo_sentencepiece_first target)
  target_link_options(${target} BEFORE PRIVATE "SHELL:-Wl,--push-state,--no-as-needed ${SENTENCEPIECE_LIBRARY} -Wl,--pop-state")
endfunction()

function(microemo_room_test name)
  cmake_parse_arguments(TEST "TENSORS;MODULES" "" "SOURCES;LIBS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/tests/${name}/*_test.cpp")
  if(NOT sources)
    return()
  endif()
  add_executable(${name}_test ${sources} ${TEST_SOURCES})
  set(room "")
  if(TARGET microemo_${name})
    set(room microemo_${name})
  endif()
  target_link_libraries(${name}_test PRIVATE ${room} microemo_test_support ${TEST_LIBS} GTest::gmock GTest::gtest_main)
  if(TEST_MODULES)
    target_precompile_headers(${name}_test REUSE_FROM microemo_modules_pch)
  elseif(TEST_TENSORS)
    target_precompile_headers(${name}_test REUSE_FROM microemo_tensors_pch)
  else()
    target_precompile_headers(${name}_test REUSE_FROM microemo_tests_pch)
  endif()
  if(CMAKE_BUILD_TYPE STREQUAL "Release")
    # A test spends its time in the rooms that it calls; -O2 here would lengthen the build alone.
    target_compile_options(${name}_test PRIVATE -O1)
  endif()
  set(with_text_and_torch data infer train cli device)
  if(name IN_LIST with_text_and_torch)
    microemo_sentencepiece_first(${name}_test)
  endif()
  gtest_discover_tests(${name}_test DISCOVERY_MODE PRE_TEST TEST_PREFIX "${name}." PROPERTIES TIMEOUT 600
    ENVIRONMENT "OMP_NUM_THREADS=1;OMP_WAIT_POLICY=passive")
endfunction()
