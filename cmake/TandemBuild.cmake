# How the tests, examples and benchmarks are compiled. Nothing here reaches a program that uses
# tandem::tandem or tandem::io.

# The kernels' tests and benchmark alone read no files: doctest is enough, zlib is for three of the tests.
set(kernels_only FALSE)
if(NOT TANDEM_EXAMPLES AND (NOT TANDEM_TESTS OR TANDEM_TESTS STREQUAL "cuda") AND
   (NOT TANDEM_BENCHMARKS OR TANDEM_BENCHMARKS STREQUAL "gpu_bench"))
  set(kernels_only TRUE)
endif()
if(NOT kernels_only AND (NOT TARGET nlohmann_json::nlohmann_json OR NOT TARGET ZLIB::ZLIB))
  message(FATAL_ERROR "The tests, examples and benchmarks need nlohmann-json 3.11 and zlib (Debian, "
                      "Ubuntu: nlohmann-json3-dev, zlib1g-dev). scripts/install-deps.sh installs "
                      "them; tandem::tandem alone needs neither.")
endif()

# The evaluator alone reads no pictures.
set(evaluator_only FALSE)
if(TANDEM_EXAMPLES STREQUAL "evaluate" AND NOT TANDEM_TESTS AND NOT TANDEM_BENCHMARKS)
  set(evaluator_only TRUE)
endif()
if(NOT TARGET tandem_image AND NOT evaluator_only AND NOT kernels_only)
  message(FATAL_ERROR "The tests, examples and benchmarks need stb and libjpeg-turbo (Debian, "
                      "Ubuntu: libstb-dev, libjpeg-dev). scripts/install-deps.sh installs them; "
                      "tandem::tandem alone needs neither.")
endif()

add_library(tandem_build INTERFACE)
if(TARGET nlohmann_json::nlohmann_json AND TARGET ZLIB::ZLIB)
  target_link_libraries(tandem_build INTERFACE tandem::io)
else()
  target_link_libraries(tandem_build INTERFACE tandem)
  if(TARGET ZLIB::ZLIB)
    target_link_libraries(tandem_build INTERFACE ZLIB::ZLIB)
  endif()
endif()
if(TARGET tandem_image AND NOT evaluator_only)
  target_link_libraries(tandem_build INTERFACE tandem::image)
endif()
if(TARGET tandem_video AND NOT evaluator_only)
  target_link_libraries(tandem_build INTERFACE tandem::video)
elseif(NOT TARGET tandem_video)
  message(STATUS "FFmpeg's libraries are not here, so what reads videos is not built (Debian, Ubuntu: "
                 "libavformat-dev, libavcodec-dev, libswscale-dev, libavutil-dev, pkg-config)")
endif()
target_compile_options(tandem_build INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall;-Wextra;-Wpedantic;-Wconversion;-Wshadow>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # GCC 12 to 14 warn about reads past a vector of one element that are never reached (tensor/ref.hpp).
  target_compile_options(tandem_build INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wno-array-bounds>")
  if(CMAKE_CXX_COMPILER_VERSION VERSION_LESS 13)
    # GCC 12 warns about std::string's own operator+ (GCC bug 105651).
    target_compile_options(tandem_build INTERFACE "$<$<COMPILE_LANGUAGE:CXX>:-Wno-restrict>")
  endif()
endif()
if(TANDEM_WERROR)
  target_compile_options(tandem_build INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Werror>)
endif()

# What tests and examples link: the flags above and, where it is built, tandem::compiled. Its header comes first in
# every file then, so that those that include single headers gain as well. (A precompiled one was not faster.)
function(tandem_fast_build target)
  target_link_libraries(${target} PRIVATE tandem_build)
  tandem_use_compiled(${target})
endfunction()
function(tandem_use_compiled target)
  if(TARGET tandem_compiled)
    target_link_libraries(${target} PRIVATE tandem::compiled)
    target_compile_options(${target} PRIVATE "SHELL:$<$<COMPILE_LANGUAGE:CXX>:-include tandem/compiled.hpp>")
  endif()
endfunction()

if(TANDEM_SANITIZE)
  list(JOIN TANDEM_SANITIZE "," sanitizers)
  target_compile_options(tandem_build INTERFACE
    -fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  target_link_options(tandem_build INTERFACE -fsanitize=${sanitizers})
  # stb's arithmetic on damaged files overflows, which is harmless there, so that is not looked for.
  if(TARGET tandem_image)
    target_compile_options(tandem_image PRIVATE -fsanitize=${sanitizers} -fno-sanitize-recover=all
      -fno-sanitize=signed-integer-overflow,shift -fno-omit-frame-pointer -g1)
  endif()
  if(TARGET tandem_video)
    target_compile_options(tandem_video PRIVATE
      -fsanitize=${sanitizers} -fno-sanitize-recover=all -fno-omit-frame-pointer -g1)
  endif()
  if("undefined" IN_LIST TANDEM_SANITIZE)
    # A check of every pointer addition for wrapping around: half the time that the matrix product's
    # kernels take to compile, and AddressSanitizer sees what is read through such a pointer.
    target_compile_options(tandem_build INTERFACE -fno-sanitize=pointer-overflow)
  endif()
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # The checks that the sanitizers add make GCC's flow analysis see paths that do not exist.
    target_compile_options(tandem_build INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()

# The examples, and the tests that run them, read their options with CLI11.
if(NOT kernels_only AND (TANDEM_EXAMPLES OR (TANDEM_TESTS AND NOT TANDEM_TESTS STREQUAL "cuda")))
  find_path(CLI11_INCLUDE_DIR CLI/CLI.hpp)
  if(NOT CLI11_INCLUDE_DIR)
    message(FATAL_ERROR "The examples need CLI11 (Debian, Ubuntu: libcli11-dev). "
                        "scripts/install-deps.sh installs it; -DTANDEM_EXAMPLES=OFF "
                        "-DTANDEM_TESTS=OFF builds without them.")
  endif()
  target_include_directories(tandem_build SYSTEM INTERFACE "${CLI11_INCLUDE_DIR}")
endif()

if(TARGET tandem_compiled)
  target_compile_options(tandem_compiled PRIVATE $<TARGET_PROPERTY:tandem_build,INTERFACE_COMPILE_OPTIONS>)
endif()
