# tandem::image, the definitions of tandem/image/image.hpp: PNG over stb_image, JPEG over libjpeg-turbo. It is compiled
# where stb, libjpeg and zlib are found.

find_path(STB_INCLUDE_DIR NAMES stb/stb_image.h stb_image.h)
mark_as_advanced(STB_INCLUDE_DIR)
if(NOT TARGET JPEG::JPEG)
  find_package(JPEG QUIET GLOBAL)
endif()
if(NOT STB_INCLUDE_DIR OR NOT TARGET ZLIB::ZLIB OR NOT TARGET JPEG::JPEG)
  return()
endif()

add_library(tandem_image STATIC
  "${CMAKE_CURRENT_SOURCE_DIR}/src/image_jpeg.cpp" "${CMAKE_CURRENT_SOURCE_DIR}/src/image_stb.cpp")
add_library(tandem::image ALIAS tandem_image)
target_link_libraries(tandem_image PUBLIC tandem PRIVATE ZLIB::ZLIB JPEG::JPEG)
target_include_directories(tandem_image SYSTEM PRIVATE "${STB_INCLUDE_DIR}")
tandem_compiled_library(tandem_image)
