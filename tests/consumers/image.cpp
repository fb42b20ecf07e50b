// A program that writes and reads an image: consumer_image FOLDER.
#include "tandem/image/image.hpp"

#include <cstdio>
#include <string>

#include "tandem/clip/preprocess.hpp"
#include "tandem/tensor.hpp"

int main(int argc, char** argv) {
  using namespace tandem;
  if (argc != 2) return 2;
  const std::string path = std::string(argv[1]) + "/a.png";
  const Tensor<std::uint8_t> image = full<std::uint8_t>({4, 6, 3}, 200);
  io::write_png(path, image);
  if (io::read_image(path).to_vector() != image.to_vector()) return 1;
  if (clip::preprocess(image).shape() != Shape{3, 224, 224}) return 1;
  std::puts("consumer_image works");
  return 0;
}
