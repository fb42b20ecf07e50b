# tandem::image, the definitions of tandem/io/image.hpp over stb_image: the one source file of the
# library, so the one thing that is compiled. It exists where stb and zlib are found.

find_path(STB_INCLUDE_DIR NAMES stb/stb_image.h stb_image.h)
mark_as_advanced(STB_INCLUDE_DIR)
if(NOT STB_INCLUDE_DIR OR NOT TARGET ZLIB::ZLIB)
  return()
endif()

add_library(tandem_image STATIC "${CMAKE_CURRENT_SOURCE_DIR}/src/image_stb.cpp")
add_library(tandem::image ALIAS tandem_image)
target_link_libraries(tandem_image PUBLIC tandem PRIVATE ZLIB::ZLIB)
target_include_directories(tandem_image SYSTEM PRIVATE "${STB_INCLUDE_DIR}")
tandem_compiled_library(tandem_image)
