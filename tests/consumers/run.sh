#!/usr/bin/env bash
# Builds and runs one consumer program the way KIND says, in WORK (emptied first).
# usage: run.sh KIND SOURCE BUILD WORK CXX VERSION VIDEO (yes: the build has tandem::video)
set -euo pipefail
kind=$1 source=$2 build=$3 work=$4 cxx=$5 version=$6 video=$7
here=$source/tests/consumers
# Several consumers compile the same files by the same options: the first one does (once.sh).
launcher="$here/once.sh;${work%/*}/objects"
find "${work%/*}/objects" -type f -mtime +1 -delete 2>/dev/null || true  # of earlier sources
rm -rf "$work"
mkdir -p "$work"

configure_build_run() {
  cmake -S "$here/$kind" -B "$work/build" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" "$@"
  cmake --build "$work/build"
  "$work/build/consumer"
  [ "$kind" = find_package_cuda ] && return  # a consumer of the kernels alone
  "$work/build/consumer_io" "$work"
  "$work/build/consumer_image" "$work"
  if [ "$video" = yes ]; then "$work/build/consumer_video" "$work"; fi
}

# Without a build type, what the library compiles is compiled with optimization.
optimized() {
  local ours
  ours=$(grep '"command": .*/src/\(image_[a-z]*\|video_[a-z]*\)\.cpp"' "$1/compile_commands.json")
  ! grep -v -- ' -O[23] ' <<< "$ours"
}

case $kind in
  include_path)
    "$cxx" -std=c++20 -pthread -I "$source/include" "$here/main.cpp" -o "$work/consumer"
    "$work/consumer"
    # stb and libjpeg are in two source files of the library, which go to the compiler with the program's.
    "$cxx" -std=c++20 -pthread -I "$source/include" "$here/image.cpp" "$source"/src/image_*.cpp \
      -o "$work/consumer_image" -ljpeg -lz
    "$work/consumer_image" "$work"
    if [ "$video" = yes ]; then
      # shellcheck disable=SC2046  # flags are words
      "$cxx" -std=c++20 -pthread -I "$source/include" "$here/video.cpp" "$source"/src/video_*.cpp \
        -o "$work/consumer_video" $(pkg-config --cflags --libs libavformat libavcodec libswscale libavutil)
      "$work/consumer_video" "$work"
    fi
    ;;
  evaluate_alone)
    # As `make install-evaluate`, where neither stb nor FFmpeg is; -O1 compiles faster.
    cmake -S "$source" -B "$work/build" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_BUILD_TYPE=None \
      -DCMAKE_CXX_FLAGS=-O1 -DTANDEM_EXAMPLES=evaluate -DTANDEM_TESTS=OFF -DTANDEM_CUDA=OFF \
      -DSTB_INCLUDE_DIR=STB_INCLUDE_DIR-NOTFOUND -DCMAKE_DISABLE_FIND_PACKAGE_PkgConfig=ON
    cmake --build "$work/build" --target evaluate
    cmake --install "$work/build" --component evaluate --prefix "$work/prefix"
    [ "$(find "$work/prefix" -type f)" = "$work/prefix/bin/evaluate" ] # nothing else comes along
    "$work/prefix/bin/evaluate" --help
    ;;
  find_package | find_package_cuda)
    cmake --install "$build" --prefix "$work/prefix"
    configure_build_run -DCMAKE_PREFIX_PATH="$work/prefix" -DEXPECTED_VERSION="$version"
    if [ "$kind" = find_package ]; then  # the same numbers, header-only and compiled
      header_only=$("$work/build/consumer_tandem")
      [ "$("$work/build/consumer_compiled")" = "$header_only" ]
      # The library is in use: the program does not hold the code itself.
      object_size() { stat -c %s "$(find "$work/build/CMakeFiles/consumer_$1.dir" -name 'learns.cpp.o')"; }
      [ "$(object_size compiled)" -lt "$(object_size tandem)" ]
    fi
    ;;
  install_first)
    # `cmake --install` right after configuring, without tests: it builds what it installs, optimized.
    cmake -S "$source" -B "$work/tandem" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" -DTANDEM_TESTS=OFF -DTANDEM_EXAMPLES=OFF \
      -DTANDEM_CUDA=OFF -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
    optimized "$work/tandem"
    cmake --install "$work/tandem" --prefix "$work/prefix"
    cmake -S "$here/find_package" -B "$work/build" -DCMAKE_CXX_COMPILER="$cxx" -DCMAKE_CXX_COMPILER_LAUNCHER="$launcher" \
      -DCMAKE_PREFIX_PATH="$work/prefix" -DEXPECTED_VERSION="$version"
    cmake --build "$work/build" --target consumer_image
    "$work/build/consumer_image" "$work"
    # What was not installed is missed in a sentence that says how it would have been.
    mkdir "$work/without"
    printf 'cmake_minimum_required(VERSION 3.25)\nproject(without LANGUAGES CXX)\n%s\n' \
      'find_package(tandem REQUIRED COMPONENTS compiled)' > "$work/without/CMakeLists.txt"
    if cmake -S "$work/without" -B "$work/without/build" -DCMAKE_CXX_COMPILER="$cxx" \
        -DCMAKE_PREFIX_PATH="$work/prefix" 2> "$work/without/said"; then exit 1; fi
    grep -q -e '-DTANDEM_COMPILED=ON' "$work/without/said"
    ;;
  pkg_config)
    cmake --install "$build" --prefix "$work/first"
    mv "$work/first" "$work/prefix"  # an installed tree can be moved
    file=$(find "$work/prefix" -name tandem.pc)
    export PKG_CONFIG_PATH=${file%/*}
    pkg-config --exact-version="$version" tandem
    # shellcheck disable=SC2046  # flags are words
    "$cxx" -std=c++20 "$here/main.cpp" -o "$work/consumer" $(pkg-config --cflags --libs tandem)
    "$work/consumer"
    # shellcheck disable=SC2046
    "$cxx" -std=c++20 "$here/io.cpp" -o "$work/consumer_io" $(pkg-config --cflags --libs tandem-io)
    "$work/consumer_io" "$work"
    ;;
  add_subdirectory | fetch_content)
    configure_build_run -DTANDEM_SOURCE="$source" -DCMAKE_EXPORT_COMPILE_COMMANDS=ON
    optimized "$work/build"
    ;;
  *)
    echo "unknown kind of consumer: $kind" >&2
    exit 2
    ;;
esac
