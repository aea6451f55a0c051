# Finds LibTorch in the layout of the PyPI wheel (torch/ beside nvidia/), without asking for a CUDA toolkit: the wheel's own
# package file stops where nvcc is missing, even for CPU use. Looks in MICROEMO_LIBTORCH, then in the per-user folder that tools/setup fills.
#
# Defines  microemo::torch_cpu   libtorch_cpu + libc10, the includes and the run path
#          microemo::torch_cuda  the same with libtorch_cuda + libc10_cuda (only when the wheel holds them)
#          LibTorch_ROOT_DIR, LibTorch_VERSION

set(MICROEMO_LIBTORCH "" CACHE PATH "Folder with torch/lib and torch/include, or with lib and include (an installed Python torch)")

if(DEFINED ENV{XDG_CACHE_HOME} AND NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(_libtorch_default "$ENV{XDG_CACHE_HOME}/microemo/libtorch-2.11.0")
else()
  set(_libtorch_default "$ENV{HOME}/.cache/microemo/libtorch-2.11.0")
endif()

foreach(_candidate "${MICROEMO_LIBTORCH}/torch" "${MICROEMO_LIBTORCH}" "${_libtorch_default}/torch")
  if(NOT LibTorch_ROOT_DIR AND EXISTS "${_candidate}/include/ATen/core/Tensor.h" AND EXISTS "${_candidate}/lib/libtorch_cpu.so")
    get_filename_component(LibTorch_ROOT_DIR "${_candidate}" ABSOLUTE)
  endif()
endforeach()

if(NOT LibTorch_ROOT_DIR)
  message(FATAL_ERROR "LibTorch 2.11.0 was not found in '${MICROEMO_LIBTORCH}' or '${_libtorch_default}'.\n"
    "Run tools/setup, which unpacks it there, or give -D MICROEMO_LIBTORCH=DIR (an installed Python torch serves).")
endif()

file(STRINGS "${LibTorch_ROOT_DIR}/include/torch/headeronly/version.h" _version REGEX "define TORCH_VERSION(_MAJOR|_MINOR|_PATCH) ")
string(REGEX REPLACE ".*MAJOR ([0-9]+).*MINOR ([0-9]+).*PATCH ([0-9]+).*" "\\1.\\2.\\3" LibTorch_VERSION "${_version}")

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(LibTorch REQUIRED_VARS LibTorch_ROOT_DIR VERSION_VAR LibTorch_VERSION)

# LibTorch's wheel brings headers of another fmt than Debian's, which spdlog and the project are linked with: Debian's are found first.
find_path(FMT_INCLUDE_DIR fmt/core.h REQUIRED)
file(MAKE_DIRECTORY "${CMAKE_BINARY_DIR}/fmt-headers")
file(CREATE_LINK "${FMT_INCLUDE_DIR}/fmt" "${CMAKE_BINARY_DIR}/fmt-headers/fmt" SYMBOLIC)

function(_microemo_torch_target name)
  add_library(microemo_${name} INTERFACE)
  add_library(microemo::${name} ALIAS microemo_${name})
  target_include_directories(microemo_${name} SYSTEM INTERFACE
    "${CMAKE_BINARY_DIR}/fmt-headers" "${LibTorch_ROOT_DIR}/include" "${LibTorch_ROOT_DIR}/include/torch/csrc/api/include")
  # LibTorch is built with NDEBUG, and some of its headers check flags that only a library built without it would have set.
  target_compile_definitions(microemo_${name} INTERFACE NDEBUG USE_DISTRIBUTED USE_C10D_GLOO)
  target_link_options(microemo_${name} INTERFACE "-Wl,-rpath,${LibTorch_ROOT_DIR}/lib" "-Wl,--allow-shlib-undefined")
endfunction()

# libtorch_cpu comes first on every link line, before dlib and its reference BLAS: both export sgemm_, the first one named serves the whole
# program, and the reference BLAS is ten times slower (tests/data/blas_test.cpp).
_microemo_torch_target(torch_cpu)
target_link_options(microemo_torch_cpu INTERFACE
  "SHELL:-Wl,--push-state,--no-as-needed ${LibTorch_ROOT_DIR}/lib/libtorch_cpu.so ${LibTorch_ROOT_DIR}/lib/libc10.so -Wl,--pop-state")
target_link_libraries(microemo_torch_cpu INTERFACE "${LibTorch_ROOT_DIR}/lib/libtorch_cpu.so" "${LibTorch_ROOT_DIR}/lib/libc10.so")

if(EXISTS "${LibTorch_ROOT_DIR}/lib/libtorch_cuda.so")
  _microemo_torch_target(torch_cuda)
  target_link_libraries(microemo_torch_cuda INTERFACE microemo_torch_cpu
    "${LibTorch_ROOT_DIR}/lib/libtorch_cuda.so" "${LibTorch_ROOT_DIR}/lib/libc10_cuda.so")
endif()
