# tandem::cuda, the kernels of kernels/*.cu. It exists where they are built (nvcc is needed, a GPU is not);
# programs that link it register the kernels when they start. What ptxas says of registers, spills and shared
# memory is kept in <build>/ptxas/<source>.txt.

file(GLOB cuda_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/kernels/*.cu")
set(build_cuda ${TANDEM_CUDA})
if(TANDEM_CUDA STREQUAL "AUTO")
  set(build_cuda OFF)
  if(cuda_sources)
    include(CheckLanguage)
    if(NOT CMAKE_CUDA_ARCHITECTURES)
      set(CMAKE_CUDA_ARCHITECTURES 80 90)
    endif()
    check_language(CUDA)
    if(CMAKE_CUDA_COMPILER)
      set(build_cuda ON)
    endif()
  endif()
endif()
if(NOT build_cuda)
  return()
endif()

if(NOT CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80 90)  # Ampere and Hopper
endif()
enable_language(CUDA)
find_package(CUDAToolkit REQUIRED)

add_library(tandem_cuda_kernels STATIC ${cuda_sources})
# CMake 3.25 does not know that nvcc has C++20, so the option is given by hand.
target_compile_options(tandem_cuda_kernels PRIVATE
  $<$<COMPILE_LANGUAGE:CUDA>:-std=c++20;-Xcompiler=-Wall,-Wextra;-Xptxas=-v>)
set_target_properties(tandem_cuda_kernels PROPERTIES CUDA_COMPILER_LAUNCHER
  "${CMAKE_CURRENT_SOURCE_DIR}/cmake/keep_ptxas_report.sh;${CMAKE_CURRENT_BINARY_DIR}/ptxas")
if(TANDEM_WERROR)
  target_compile_options(tandem_cuda_kernels PRIVATE
    $<$<COMPILE_LANGUAGE:CUDA>:-Werror=all-warnings;-Xcompiler=-Werror>)
endif()
target_include_directories(tandem_cuda_kernels PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}/kernels")
target_link_libraries(tandem_cuda_kernels PUBLIC tandem CUDA::cudart CUDA::cublasLt)
set_target_properties(tandem_cuda_kernels PROPERTIES POSITION_INDEPENDENT_CODE ON)

# Nothing refers to the objects that register kernels, so the linker must be told to keep them.
add_library(tandem_cuda INTERFACE)
add_library(tandem::cuda ALIAS tandem_cuda)
target_link_libraries(tandem_cuda INTERFACE
  "$<BUILD_INTERFACE:$<LINK_LIBRARY:WHOLE_ARCHIVE,tandem_cuda_kernels>>"
  "$<INSTALL_INTERFACE:$<LINK_LIBRARY:WHOLE_ARCHIVE,tandem::cuda_kernels>>"  # as it is called there
  tandem CUDA::cudart CUDA::cublasLt)
