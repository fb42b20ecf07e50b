#!/usr/bin/env bash
# Installs what building and testing tandem needs and this machine lacks (Debian 12 and 13, Ubuntu
# 24.04), through apt-get, without asking. Says what it installs; does nothing when all is there.
#
# usage: scripts/install-deps.sh [--bench] [--clang] [--extra] [--fuzz] [--dry-run]
#   --bench    also what `make bench` needs
#   --extra    also Chromium, for the test of localize's page, ffmpeg, for scripts/ucf101_end_to_end.sh, and clang-format
#   --clang    also Clang 16 or later, for the header tests
#   --fuzz     also Clang 16 or later with its run-time library, for scripts/fuzz.sh
#   --dry-run  only print the packages that are missing
set -euo pipefail

bench=no clang=no extra=no fuzz=no dry_run=no
for option in "$@"; do
  case $option in
    --bench) bench=yes ;;
    --clang) clang=yes ;;
    --extra) extra=yes ;;
    --fuzz) clang=yes fuzz=yes ;;
    --dry-run) dry_run=yes ;;
    *)
      echo "install-deps.sh: unknown option '$option' (known: --bench, --clang, --extra, --fuzz, --dry-run)" >&2
      exit 2
      ;;
  esac
done

missing=()
need() { # need PACKAGE TEST…: the package is missing when the test fails
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}
version_at_least() { # version_at_least MAJOR.MINOR PROGRAM: compares the first x.y it prints
  local found
  found=$("$2" --version 2>/dev/null | grep -oE '[0-9]+\.[0-9]+' | head -n 1)
  [ -n "$found" ] && [ "$(printf '%s\n%s\n' "$1" "$found" | sort -V | head -n 1)" = "$1" ]
}
header() { # header NAME: the compiler, or without one the usual folder, has it
  [ -e "/usr/include/$1" ] || [ -e "/usr/local/include/$1" ]
}
cxx20() { # the chosen or default C++ compiler takes C++20
  echo 'int main() {}' | "${CXX:-c++}" -std=c++20 -x c++ -fsyntax-only -
}

need cmake version_at_least 3.25 cmake
need make command -v make
need ninja-build command -v ninja
need g++ cxx20
need doctest-dev header doctest/doctest.h
need libcli11-dev header CLI/CLI.hpp
need nlohmann-json3-dev header nlohmann/json.hpp
need zlib1g-dev header zlib.h
need libstb-dev header stb/stb_image.h
need libjpeg-dev header jpeglib.h
need pkg-config command -v pkg-config
multiarch_header() { # multiarch_header NAME: as header, also where Debian puts those that depend on the machine
  header "$1" || ls /usr/include/*-linux-gnu*/"$1"
}
need libavformat-dev multiarch_header libavformat/avformat.h
need libavcodec-dev multiarch_header libavcodec/avcodec.h
need libswscale-dev multiarch_header libswscale/swscale.h
need libavutil-dev multiarch_header libavutil/avutil.h
need python3 python3 --version
if [ "$bench" = yes ]; then
  need python3-venv python3 -c 'import ensurepip, venv'
  # torch.compile builds Python modules.
  need python3-dev python3 -c \
    'import os, sysconfig; os.stat(sysconfig.get_path("include") + "/Python.h")'
fi

if [ "$extra" = yes ]; then
  need ffmpeg command -v ffmpeg
  need clang-format command -v clang-format
  has_browser() { command -v chromium || command -v chromium-browser || command -v google-chrome; }
  . /etc/os-release
  case ${ID:-} in
    ubuntu) need chromium-browser has_browser ;;
    *) need chromium has_browser ;;
  esac
fi

if [ "$clang" = yes ]; then
  new_clang() {
    local name
    for name in clang++ clang++-16 clang++-17 clang++-18 clang++-19; do
      version_at_least 16.0 "$name" && return 0
    done
    return 1
  }
  # Debian 12's plain clang is 14; the others' is new enough and has no package clang-16.
  . /etc/os-release
  case ${VERSION_ID:-} in
    12) need clang-16 new_clang ;;
    *) need clang new_clang ;;
  esac
fi

if [ "$fuzz" = yes ]; then
  # The sanitizers and libFuzzer come with the version of the compiler.
  has_fuzzer() {
    local name
    for name in clang++ clang++-16 clang++-17 clang++-18 clang++-19; do
      version_at_least 16.0 "$name" &&
        ls "$("$name" -print-resource-dir)"/lib/*/libclang_rt.fuzzer*.a && return 0
    done
    return 1
  }
  runtime=libclang-rt-dev
  [ "${VERSION_ID:-}" = 12 ] && runtime=libclang-rt-16-dev
  if ! has_fuzzer >/dev/null 2>&1; then
    for name in clang++-16 clang++-17 clang++-18 clang++-19; do
      if command -v "$name" >/dev/null; then runtime=libclang-rt-${name#clang++-}-dev && break; fi
    done
    need "$runtime" false
  fi
fi

if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi
if [ "$dry_run" = yes ]; then
  printf '%s\n' "${missing[@]}"
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "tandem: this machine has no apt-get; please install: ${missing[*]}" >&2
  exit 1
fi
sudo=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null; then
    echo "tandem: not root and no sudo here; please have these packages installed: ${missing[*]}" >&2
    exit 1
  fi
  sudo=(sudo)
fi

echo "tandem: installing with apt-get: ${missing[*]}"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
apt() {
  if ! "${sudo[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y "$@" >"$log" 2>&1 </dev/null; then
    tail -n 20 "$log" >&2
    echo "tandem: 'apt-get $*' failed; its last lines are above" >&2
    return 1
  fi
}
# A package list may be absent (fresh container) or name versions that are gone by now.
apt install --no-install-recommends "${missing[@]}" 2>/dev/null || {
  apt update
  apt install --no-install-recommends "${missing[@]}"
}
