#pragma once
/// What TV-L1 is asked for, and the numbers that the CPU and the kernels of a GPU take from it.

#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace flow {

/// The usual parameters, for grey values in [0, 255].
struct TvL1Options {
  double tau = 0.25;        ///< time step of the dual update; converges up to 1/4
  double lambda = 0.15;     ///< weight of the data term; smaller is smoother
  double theta = 0.3;       ///< tightness of u ≈ v
  int scales = 5;           ///< of the pyramid, at most: no side becomes shorter than 16 pixels
  double scale_step = 0.8;  ///< size of a scale relative to the finer one
  int warps = 5;            ///< linearisations per scale
  /// Stop when the root mean square change of the flow is at most this, in pixels
  double epsilon = 0.01;
  int inner_iterations = 30;  ///< iterations between two median filters
  int outer_iterations = 10;  ///< median filters per warp, at most
  int median = 5;             ///< side of the median filter: 5, 3, or 1 for none
  /// The second image is sampled at multiples of 1/sampling_steps of a pixel, as OpenCV up to 4.x
  /// does, whose flow the published features were computed from; 0: at the exact points.
  int sampling_steps = 32;
  /// A flow to start from, (H, W, 2) or (N, H, W, 2): of the frames before, say. It enters at the
  /// coarsest scale, so with scales = 1 it is refined at full size only. Undefined: zero.
  Tensor<float> initial = {};
};

namespace detail {

/// Parameter of the cubic convolution kernel.                                  [Keys 1981, eq. 4]
inline constexpr float cubic_a = -0.75F;

/// What an iteration needs beside the planes.
struct SweepConstants {
  float lambda_theta;  // λθ
  float theta;
  float tau_theta;  // τ/θ
};

inline SweepConstants sweep_constants(const TvL1Options& options) {
  return {static_cast<float>(options.lambda * options.theta), static_cast<float>(options.theta),
          static_cast<float>(options.tau / options.theta)};
}

}  // namespace detail
}  // namespace flow
TANDEM_NAMESPACE_END
