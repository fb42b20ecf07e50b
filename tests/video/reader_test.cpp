#include "tandem/io/video.hpp"

#include <doctest/doctest.h>

#include "../io/util.hpp"
#include "../wtal/test_data.hpp"
#include "tandem/io/npy.hpp"

using namespace tandem;
using namespace tandem_test;

TEST_CASE("video: the published RGB frames, byte for byte, in order and by index") {
  struct Clip {
    const char* name;
    std::int64_t frames;
    std::vector<int> known;
  };
  const Clip clips[] = {{"var_fps_video.mp4", 300, {0, 150, 151, 152, 153, 154, 155, 156, 157, 158, 159, 299}},
                        {"h265_video.mp4", 10, {5}}};
  for (const Clip& clip : clips) {
    const std::string path = test_data(concat("video/decode_golden/", clip.name));
    if (path.empty()) return;
    CAPTURE(clip.name);
    io::VideoReader reader(path), seeker(path);
    io::VideoFrame frame;
    std::size_t next = 0;
    while (reader.next(frame)) {
      if (next == clip.known.size() || frame.index != clip.known[next]) continue;
      std::string number = std::to_string(clip.known[next++]);
      number.insert(0, 6 - number.size(), '0');
      const auto want = io::load_npy(concat(path, ".stream0.frame", number, ".hwc.npy")).tensor<std::uint8_t>();
      CAPTURE(number);
      CHECK(frame.rgb.shape() == want.shape());
      CHECK(frame.rgb.to_vector() == want.to_vector());
      CHECK(seeker.at_index(frame.index).rgb.to_vector() == want.to_vector());
    }
    CHECK(next == clip.known.size());
    CHECK(reader.report().frames == clip.frames);
    CHECK(reader.report().clean());
  }
}
