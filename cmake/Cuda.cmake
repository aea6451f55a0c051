# libmicroemo_cuda.so: all that needs CUDA, loaded by base/device.h when a CUDA device is asked for. Nothing links to it.
# MICROEMO_CUDA: AUTO builds it where nvcc and LibTorch's CUDA libraries are found, ON demands them, OFF leaves it out.

set(MICROEMO_CUDA_ARCHITECTURES "sm_80;sm_90a" CACHE STRING "GPUs to compile for; newer ones compile the PTX of compute_90 when they run")

if(MICROEMO_CUDA STREQUAL "OFF")
  return()
endif()

if(NOT DEFINED CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  find_program(MICROEMO_NVCC nvcc HINTS /usr/local/cuda/bin ENV CUDA_HOME PATH_SUFFIXES bin)
  if(MICROEMO_NVCC)
    set(CMAKE_CUDA_COMPILER "${MICROEMO_NVCC}")
  endif()
endif()
# Chosen below, by flags: this version of CMake does not know the architectures with a letter.
set(CMAKE_CUDA_ARCHITECTURES OFF)
include(CheckLanguage)
check_language(CUDA)

set(missing "")
if(NOT CMAKE_CUDA_COMPILER)
  list(APPEND missing "nvcc was not found")
endif()
if(NOT TARGET microemo::torch_cuda)
  list(APPEND missing "this LibTorch has no libtorch_cuda.so")
endif()
if(missing)
  list(JOIN missing "; " missing)
  if(MICROEMO_CUDA STREQUAL "ON")
    message(FATAL_ERROR "MICROEMO_CUDA=ON, but ${missing}")
  endif()
  message(STATUS "The CUDA plug-in is left out: ${missing}")
  return()
endif()

enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

set(gencode "-gencode=arch=compute_90,code=compute_90")
foreach(architecture ${MICROEMO_CUDA_ARCHITECTURES})
  string(REPLACE "sm_" "compute_" virtual "${architecture}")
  list(APPEND gencode "-gencode=arch=${virtual},code=${architecture}")
endforeach()

file(GLOB kernel_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/cuda/*.cu")
add_library(microemo_cuda_kernels OBJECT ${kernel_sources})
# The newest that CMake 3.25 knows for nvcc; kernels need no more.
set_target_properties(microemo_cuda_kernels PROPERTIES CUDA_STANDARD 17)
target_include_directories(microemo_cuda_kernels PRIVATE "${PROJECT_SOURCE_DIR}/include")
target_compile_options(microemo_cuda_kernels PRIVATE ${gencode} -Xcompiler=-Wall,-Wextra)

file(GLOB plugin_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/cuda/*.cpp")
add_library(microemo_cuda SHARED ${plugin_sources} $<TARGET_OBJECTS:microemo_cuda_kernels>)
target_include_directories(microemo_cuda PRIVATE "${PROJECT_SOURCE_DIR}/src")
target_link_libraries(microemo_cuda PRIVATE microemo_flags microemo::torch_cuda CUDA::cudart)
# c10d's header of NCCL wants nccl.h, which the toolkit or LibTorch's wheel brings; the library is the one that libtorch_cuda loads.
find_path(NCCL_INCLUDE_DIR nccl.h HINTS ${CUDAToolkit_INCLUDE_DIRS} "${LibTorch_ROOT_DIR}/../nvidia/nccl/include" REQUIRED)
target_include_directories(microemo_cuda SYSTEM PRIVATE ${NCCL_INCLUDE_DIR})
target_compile_definitions(microemo_cuda PRIVATE USE_C10D_NCCL)
# libtorch_cuda registers itself when it is loaded; no symbol of it may be needed by name.
target_link_options(microemo_cuda PRIVATE "-Wl,--no-as-needed")
set_target_properties(microemo_cuda PROPERTIES
  LIBRARY_OUTPUT_DIRECTORY "${CMAKE_RUNTIME_OUTPUT_DIRECTORY}" CXX_VISIBILITY_PRESET hidden LINKER_LANGUAGE CXX)
