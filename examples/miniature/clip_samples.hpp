#pragma once
/// What the encoders are trained on where there are trimmed clips: short windows and captioned
/// pictures, drawn one by one from a seed, the classes equally often. The frames are held in
/// memory, 12.5 a second.

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "tandem/clip/class_names.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/image/resize_and_crop.hpp"
#include "tandem/image/video.hpp"
#include "tandem/ops/stack.hpp"
#include "trimmed_clips.hpp"
#include "world.hpp"

namespace miniature {

/// A part of a picture.   (T, H, W, 3) → (T, height, width, 3)
inline Tensor<std::uint8_t> cut_out(const Tensor<std::uint8_t>& frames, std::int64_t y,
                                    std::int64_t x, std::int64_t height, std::int64_t width) {
  return frames.slice(1, y, y + height).slice(2, x, x + width).contiguous();
}

/// Every frame mirrored.
inline Tensor<std::uint8_t> mirrored(const Tensor<std::uint8_t>& frames) {
  const Tensor<std::uint8_t> from = frames.contiguous(), out(frames.shape());
  const std::int64_t width = frames.size(2), lines = frames.size(0) * frames.size(1);
  std::uint8_t* to = out.mutable_data();
  for (std::int64_t line = 0; line < lines; ++line) {
    for (std::int64_t x = 0; x < width; ++x)
      std::memcpy(to + (line * width + x) * 3, from.data() + (line * width + width - 1 - x) * 3, 3);
  }
  return out;
}

/// The frames of clips, `classes` of them by class.
class ClipFrames {
 public:
  static constexpr std::int64_t short_side = 80;  ///< as they are held

  /// What is drawn from a clip: some frames, 64 × 64, and the class.
  struct Window {
    Tensor<std::uint8_t> frames;  ///< (T, 64, 64, 3)
    int cls = 0;
  };

  ClipFrames() = default;
  /// Decodes all clips. Errors: a clip that cannot be read, by name; a class without a clip.
  ClipFrames(const char* program, const std::vector<TrimmedClip>& clips, std::size_t classes)
      : clips_(clips), frames_(clips.size()), of_class_(classes) {
    cpu::parallel_for(static_cast<std::int64_t>(clips.size()), 1,
                      [&](std::int64_t begin, std::int64_t end) {
                        for (std::int64_t i = begin; i < end; ++i) {
                          const auto n = static_cast<std::size_t>(i);
                          frames_[n] = decode(program, clips_[n].path);
                        }
                      });
    for (std::size_t i = 0; i < clips.size(); ++i)
      of_class_[static_cast<std::size_t>(clips[i].cls)].push_back(i);
    for (const auto& list : of_class_) TANDEM_CHECK(!list.empty(), program, "a class has no clips");
  }

  std::int64_t classes() const { return static_cast<std::int64_t>(of_class_.size()); }
  std::int64_t clips() const { return static_cast<std::int64_t>(clips_.size()); }
  /// Of all clips together.
  std::int64_t frames() const {
    std::int64_t sum = 0;
    for (const Tensor<std::uint8_t>& f : frames_) sum += f.size(0);
    return sum;
  }

  /// `count` frames in a row of a clip of any class; a clip that is shorter stands still at its
  /// end. With `varied`, from any square of the picture between 64 and 80 pixels, mirrored half of
  /// the time, in another light; else the middle of the picture.
  Window draw(Generator random, std::int64_t count, bool varied) const {
    using detail::below;
    using detail::uniform;
    const auto& list =
        of_class_[static_cast<std::size_t>(below(random, static_cast<int>(of_class_.size())))];
    const std::size_t clip =
        list[static_cast<std::size_t>(below(random, static_cast<int>(list.size())))];
    const Tensor<std::uint8_t>& all = frames_[clip];
    const std::int64_t length = all.size(0), places = std::max<std::int64_t>(length - count, 0) + 1,
                       first = below(random, static_cast<int>(places));
    std::vector<Tensor<std::uint8_t>> parts;
    for (std::int64_t t = 0; t < count; ++t)
      parts.push_back(all.select(0, std::min(first + t, length - 1)));
    Tensor<std::uint8_t> frames = stack(parts, 0);
    Window out{.frames = {}, .cls = clips_[clip].cls};
    if (!varied) {
      out.frames = io::resize_and_crop(frames, side, side, io::ResizeFilter::bilinear);
      return out;
    }
    const std::int64_t square = side + below(random, static_cast<int>(short_side - side + 1)),
                       y = below(random, static_cast<int>(frames.size(1) - square + 1)),
                       x = below(random, static_cast<int>(frames.size(2) - square + 1));
    frames = io::resize_and_crop(cut_out(frames, y, x, square, square), side, side,
                                 io::ResizeFilter::bilinear);
    if (random.next_double() < 0.5) frames = mirrored(frames);
    const double light = uniform(random, 0.75, 1.25);
    std::uint8_t level[3][256];
    for (auto& channel : level) {
      const double tint = light * uniform(random, 0.9, 1.1);
      for (int b = 0; b < 256; ++b)
        channel[b] = static_cast<std::uint8_t>(std::clamp(b * tint + 0.5, 0.0, 255.0));
    }
    std::uint8_t* pixel = frames.mutable_data();
    for (std::int64_t i = 0; i < frames.numel(); ++i) pixel[i] = level[i % 3][pixel[i]];
    out.frames = frames;
    return out;
  }

 private:
  /// All frames of a clip, the short side 80.   → (T, H, W, 3)
  static Tensor<std::uint8_t> decode(const char* program, const std::string& path) {
#ifdef TANDEM_VIDEO
    io::VideoReader reader(path, {.fps = frames_per_second, .threads = 1});
    io::VideoFrame frame;
    std::vector<Tensor<std::uint8_t>> out;
    while (reader.next(frame)) {
      const io::ImageSize size = io::resized_size(frame.rgb.size(0), frame.rgb.size(1), short_side);
      out.push_back(io::resize(frame.rgb, size.height, size.width, io::ResizeFilter::bilinear));
    }
    TANDEM_CHECK(!out.empty(), program, path, " has no frame");
    return stack(out, 0);
#else
    fail(program, path, " cannot be read: this program was built without FFmpeg's libraries");
#endif
  }

  std::vector<TrimmedClip> clips_;
  std::vector<Tensor<std::uint8_t>> frames_;
  std::vector<std::vector<std::size_t>> of_class_;
};

/// What somebody would write under a picture of a class: its name in words, alone or in a sentence.
inline std::string class_caption(const std::string& name, Generator random) {
  const std::string words = clip::readable_class_name(name);
  const std::string texts[] = {words, "a photo of " + words, "a video of " + words,
                               "somebody in a video of " + words,
                               "in this video one can see " + words};
  return texts[detail::below(random, 5)];
}

/// Its ASCII letters in lower case, a blank for everything else: what learn_merges takes.
inline std::string only_letters(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    if (c < 'a' || c > 'z') c = ' ';
  }
  return text;
}

}  // namespace miniature
