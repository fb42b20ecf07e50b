/// Videos to RGB frames: opening a file and reading every frame of it, without keeping any. The
/// files are those of the optional data folder (TANDEM_TEST_DATA, default ../shared/data); without
/// it there is no work.

#include "harness.hpp"
#include "tandem/image/video.hpp"
#include "tandem/io/file.hpp"

int main(int argc, char** argv) {
  bench::Suite suite(argc, argv);
  const char* set = std::getenv("TANDEM_TEST_DATA");
  const std::string root = set != nullptr && *set != '\0' ? set : "../shared/data";
  struct Clip {
    const char* name;
    double frames, pixels;
  };
  for (const Clip clip : {Clip{"labelled/v_GGSY1Qvo990.mp4", 355, 320 * 240},
                          Clip{"labelled/women_long_jump.mp4", 871, 480 * 360},
                          Clip{"labelled/mmaction2_demo.mp4", 280, 340 * 256},
                          Clip{"labelled/v_ZNVhz7ctTq0.mp4", 420, 480 * 360},
                          Clip{"labelled/v_ApplyEyeMakeup_g01_c01.avi", 164, 320 * 240},
                          Clip{"decode_golden/h264_10bits.mp4", 30, 200 * 200},
                          Clip{"decode_golden/h265_video.mp4", 10, 128 * 128},
                          Clip{"decode_golden/av1_video.mkv", 125, 640 * 360}}) {
    const std::string path = tandem::io::join_path(root, std::string("video/") + clip.name);
    if (!tandem::io::is_file(path)) continue;
    suite.add(std::string("decode/") + clip.name, {.bytes = 3 * clip.frames * clip.pixels}, [=] {
      return [=] {
        tandem::io::VideoReader reader(path);
        tandem::io::VideoFrame frame;
        while (reader.next(frame)) bench::keep(*frame.rgb.data());
      };
    });
  }
  return suite.run();
}
