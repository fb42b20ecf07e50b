#pragma once
/// What extraction is told and what it gives; extraction.hpp does it.               [method §2, §9]

#include <cstdint>
#include <string>
#include <vector>

#include "tandem/clip/preprocess.hpp"
#include "tandem/cpu/precision.hpp"
#include "tandem/features/snippets.hpp"
#include "tandem/flow/tvl1.hpp"
#include "tandem/i3d/preprocess.hpp"
#include "tandem/image/video.hpp"

TANDEM_NAMESPACE_BEGIN
namespace wtal {

/// How features are extracted: rows, preprocessing, flow, threads.
struct ExtractionOptions {
  SnippetOptions snippets = {};       ///< how frames become rows
  i3d::PreprocessOptions i3d = {};    ///< of frames and flow for I3D
  clip::PreprocessOptions clip = {};  ///< of frames for CLIP
  /// Frames of a row that CLIP sees; the row is the mean of theirs  (reading)
  std::int64_t clip_frames = 1;
  flow::TvL1Options tvl1 = {};
  std::int64_t flow_size = 256;           ///< short side of the frames that flow is computed on
  int threads = 0;                        ///< over all stages; 0: cpu::num_threads()
  Precision precision = Precision::full;  ///< of the networks' products (cpu/precision.hpp)
  int decoding_threads = 1;               ///< of the decoder itself
};

/// Seconds that threads were held by each stage, added up over the threads, without waiting.
struct StageSeconds {
  /// Of each stage.
  double decode = 0, prepare = 0, flow = 0, i3d_rgb = 0, i3d_flow = 0, clip = 0;
  /// The sum of all stages.
  double total() const { return decode + prepare + flow + i3d_rgb + i3d_flow + clip; }
};

/// The rows of one video, and how they came about.
struct VideoFeatures {
  Tensor<float> rgb, flow, clip;      ///< (T, 1024), (T, 1024), (T, 512); undefined: not asked for
  std::vector<double> timestamps_ms;  ///< when each row ends; see snippets.hpp
  std::int64_t frames = 0;            ///< after resampling
  double fps = 0;              ///< of these frames; 0: they are not equally far apart, or unknown
  double seconds_per_row = 0;  ///< step / fps
  double seconds = 0;          ///< from the first frame to the end of the last
  io::VideoInfo info;
  std::vector<std::string> warnings;  ///< of the reader
  StageSeconds stages;
  double wall_seconds = 0;  ///< from beginning to end
};

}  // namespace wtal
TANDEM_NAMESPACE_END
