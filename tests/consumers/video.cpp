// A program that reads videos: consumer_video FOLDER. There is none at hand, so it reads a text.
#include "tandem/image/video.hpp"

#include <cstdio>
#include <string>

#include "tandem/io/file.hpp"

int main(int argc, char** argv) {
  using namespace tandem;
  if (argc != 2) return 2;
  const std::string path = std::string(argv[1]) + "/a.mp4";
  io::write_text(path, "this is no video\n");
  try {
    io::VideoReader reader(path, {.fps = 25});
    return 1;
  } catch (const Error& error) {
    std::printf("consumer_video works: %s\n", error.what());
  }
  return 0;
}
