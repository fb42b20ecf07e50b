# tandem::video, the definitions of tandem/image/video.hpp and video_writer.hpp over FFmpeg's libraries. It exists where their
# development files (FFmpeg 5.1 or later) are found through pkg-config.

find_package(PkgConfig QUIET)
if(PkgConfig_FOUND AND NOT TARGET PkgConfig::TANDEM_FFMPEG)
  pkg_check_modules(TANDEM_FFMPEG QUIET IMPORTED_TARGET GLOBAL
    libavformat>=59.27 libavcodec>=59.37 libswscale>=6.7 libavutil>=57.28)
endif()
if(NOT TARGET PkgConfig::TANDEM_FFMPEG)
  return()
endif()

add_library(tandem_video STATIC
  "${CMAKE_CURRENT_SOURCE_DIR}/src/video_convert.cpp"
  "${CMAKE_CURRENT_SOURCE_DIR}/src/video_decoder.cpp"
  "${CMAKE_CURRENT_SOURCE_DIR}/src/video_ffmpeg.cpp"
  "${CMAKE_CURRENT_SOURCE_DIR}/src/video_frames.cpp"
  "${CMAKE_CURRENT_SOURCE_DIR}/src/video_log.cpp"
  "${CMAKE_CURRENT_SOURCE_DIR}/src/video_writer.cpp")
add_library(tandem::video ALIAS tandem_video)
target_link_libraries(tandem_video PUBLIC tandem PRIVATE PkgConfig::TANDEM_FFMPEG)
tandem_compiled_library(tandem_video)
