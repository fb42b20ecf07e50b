#pragma once
/// I3D without a graph: batch norms folded, weights packed once, ReLU done while a result is in the
/// cache, and every branch of a Mixed block writing into its place of the joint tensor.

#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "tandem/cpu/conv3d.hpp"
#include "tandem/cpu/convert.hpp"
#include "tandem/i3d/config.hpp"
#include "tandem/i3d/neighbour_max.hpp"
#include "tandem/ops/avg_pool3d.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/max_pool3d.hpp"

TANDEM_NAMESPACE_BEGIN
namespace i3d {

/// How prepare() keeps the weights.
struct InferenceOptions {
  bool bfloat16 = false;  ///< weights and activations in bfloat16, sums in float
};

/// A folded convolution: weight (out, in, k, k, k), bias (out,).
struct InferenceLayer {
  Tensor<float> weight, bias;
};

/// The layers up to Mixed_5c with weights and activations of type E, float or bfloat16. The first
/// 1×1×1 convolutions of the second and third branch are done as one.
template <class E>
class Inference final : public RefCounted {
 public:
  /// Layers in the order of InceptionI3d::units().
  Inference(const Config& config, const std::vector<InferenceLayer>& layers) : config_(config) {
    Triple size{16, 224, 224};  // what is expected; other sizes work, too
    std::size_t next = 0;
    for (int i = 0; i < 12; ++i) {
      for (const Pool& pool : pools) {
        if (pool.before == i) size = same_size(size, pool.stride);
      }
      if (i < 3) {
        const Triple stride = Triple::all(i == 0 ? 2 : 1);
        packed_.push_back(make_ref<Packed>(layers[next++], stride, size));
        size = same_size(size, stride);
        continue;
      }
      const InferenceLayer* branch = &layers[next];  // b0, b1a, b1b, b2a, b2b, b3b
      const InferenceLayer both{cat(std::vector<Tensor<float>>{branch[1].weight, branch[3].weight}),
                                cat(std::vector<Tensor<float>>{branch[1].bias, branch[3].bias})};
      for (const InferenceLayer* layer : {branch, &both, branch + 2, branch + 4, branch + 5}) {
        packed_.push_back(make_ref<Packed>(*layer, Triple::all(1), size));
      }
      next += 6;
    }
  }

  /// clips (N, channels, T, H, W) → the average pools of Mixed_5c (N, features, T′, H′, W′). The
  /// observer, if there is one, sees the endpoints up to Mixed_5c, as float.
  template <class Observer>
  Tensor<float> run(const Tensor<float>& clips, const Observer& observer) const {
    const std::int64_t count = clips.size(0);
    const Shape last = detail::check_clips(config_, clips.shape());
    const Triple& window = config_.window;
    const Tensor<float> out({count, config_.features(), last[2] - window.depth + 1,
                             last[3] - window.height + 1, last[4] - window.width + 1});
    std::vector<Seen> seen;
    const NoGrad no_grad;
    for (std::int64_t n = 0; n < count; ++n) {
      std::size_t at = 0;
      const auto see = [&](const char* name, const Tensor<E>& x) {
        if (!observer) return;
        if (n == 0) {
          seen.push_back(
              {name, Tensor<float>({count, x.size(0), x.size(1), x.size(2), x.size(3)})});
        }
        seen[at++].tensor.select(0, n).copy_elements(widened(x));
      };
      const Tensor<float> pooled =
          avg_pool3d(widened(run_layers(clips.select(0, n), see)).unsqueeze(0),
                     {.kernel = window, .stride = Triple::all(1)});
      out.select(0, n).copy_elements(pooled.select(0, 0));
    }
    for (const Seen& endpoint : seen) observer(endpoint.name, endpoint.tensor);
    return out;
  }

 private:
  struct Seen {
    const char* name;
    Tensor<float> tensor;
  };

  struct Packed : RefCounted {
    Packed(const InferenceLayer& layer, const Triple& stride, const Triple& size)
        : shape(shape_of(layer.weight.shape(), stride, size)),
          weights(shape, as_e(layer.weight).data()),
          bias(layer.bias.contiguous()) {}
    cpu::Conv3dShape shape;
    cpu::Conv3dWeights<E> weights;
    Tensor<float> bias;
  };

  static Triple same_size(const Triple& in, const Triple& stride) {
    return {(in.depth - 1) / stride.depth + 1, (in.height - 1) / stride.height + 1,
            (in.width - 1) / stride.width + 1};
  }
  static Tensor<E> as_e(const Tensor<float>& x) {
    const Tensor<float> dense = x.contiguous();
    if constexpr (std::is_same_v<E, float>) {
      return dense;
    } else {
      const Tensor<E> out(x.shape());
      cpu::round_to_bfloat16(dense.data(), out.mutable_data(), x.numel());
      return out;
    }
  }
  static Tensor<float> widened(const Tensor<E>& x) {
    if constexpr (std::is_same_v<E, float>) {
      return x;
    } else {
      const Tensor<float> out(x.shape());
      cpu::widen(x.data(), out.mutable_data(), x.numel());
      return out;
    }
  }

  /// The convolution of a weight over volumes of `size`, padded as "SAME".
  static cpu::Conv3dShape shape_of(const Shape& weight, const Triple& stride, const Triple& size) {
    const tandem::detail::Window3d window =
        tandem::detail::window3d("i3d", {1, 1, size.depth, size.height, size.width},
                                 {weight[2], weight[3], weight[4]}, stride, Padding3d::same());
    cpu::Conv3dShape out{.channels = weight[1],
                         .depth = size.depth,
                         .height = size.height,
                         .width = size.width,
                         .out_channels = weight[0]};
    for (int a = 0; a < 3; ++a) {
      out.kernel[a] = window[a].kernel;
      out.stride[a] = window[a].stride;
      out.pad_front[a] = window[a].front;
      out.pad_back[a] = window[a].back;
    }
    return out;
  }

  /// x (in, D, H, W) into the channels of y from `first` on.
  static void convolve(const Packed& layer, const E* x, const Triple& size, const Tensor<E>& y,
                       std::int64_t first) {
    const cpu::Conv3dShape& s = layer.shape;
    const cpu::Conv3dShape shape =
        shape_of({s.out_channels, s.channels, s.kernel[0], s.kernel[1], s.kernel[2]},
                 {s.stride[0], s.stride[1], s.stride[2]}, size);
    cpu::conv3d_forward(shape, x, layer.weights, layer.bias.data(), true, y.mutable_data(),
                        {.total = y.size(0), .first = first});
  }

  /// The max pool of x (C, D, H, W), padded as "SAME". Where E is bfloat16, each plane is widened.
  static Tensor<E> max_pool(const Tensor<E>& x, const Triple& kernel, const Triple& stride) {
    const Shape shape{1, x.size(0), x.size(1), x.size(2), x.size(3)};
    const tandem::detail::Window3d window =
        tandem::detail::pool_window("i3d", shape, kernel, stride, Padding3d::same());
    const Tensor<E> y({x.size(0), window[0].out, window[1].out, window[2].out});
    const E* from = x.data();
    E* to = y.mutable_data();
    tandem::detail::each_plane(
        shape[0] * shape[1], window, [&](std::int64_t begin, std::int64_t end) {
          const Tensor<float> row = zeros<float>(tandem::detail::pool_row(window));
          constexpr bool low = !std::is_same_v<E, float>;
          const Tensor<float> wide({low ? window.inputs() : 0}),
              result({low ? window.outputs() : 0});
          for (std::int64_t plane = begin; plane < end; ++plane) {
            const E* in = from + plane * window.inputs();
            E* out = to + plane * window.outputs();
            if constexpr (low) {
              cpu::widen(in, wide.mutable_data(), window.inputs());
              pool_plane(window, wide.data(), result.mutable_data(), row.mutable_data());
              cpu::round_to_bfloat16(result.data(), out, window.outputs());
            } else {
              pool_plane(window, in, out, row.mutable_data());
            }
          }
        });
    return y;
  }
  static void pool_plane(const tandem::detail::Window3d& window, const float* x, float* y,
                         float* row) {
    cpu::simd_dispatch<tandem::detail::MaxPoolPlane<false>, float>(
        &window, x, -std::numeric_limits<float>::infinity(), y, static_cast<std::int32_t*>(nullptr),
        row, static_cast<std::int32_t*>(nullptr));
  }

  template <class See>
  Tensor<E> run_layers(const Tensor<float>& clip, const See& see) const {
    Tensor<E> x = as_e(clip);
    const Ref<Packed>* layer = packed_.data();
    for (int i = 0; i < 12; ++i) {
      for (const Pool& pool : pools) {
        if (pool.before != i) continue;
        x = max_pool(x, pool.kernel, pool.stride);
        see(pool.name, x);
      }
      const Triple size{x.size(1), x.size(2), x.size(3)};
      if (i < 3) {
        const Packed& unit = **layer++;
        const Triple to = same_size(size, Triple::all(unit.shape.stride[0]));
        const Tensor<E> y({unit.shape.out_channels, to.depth, to.height, to.width});
        convolve(unit, x.data(), size, y, 0);
        x = y;
        constexpr const char* names[3] = {"Conv3d_1a_7x7", "Conv3d_2b_1x1", "Conv3d_2c_3x3"};
        see(names[i], x);
      } else {
        x = mixed(layer, x, size);
        layer += 5;
        see(mixed_names[i - 3], x);
      }
    }
    return x;
  }

  /// layer: b0, b1a with b2a, b1b, b2b, b3b.
  static Tensor<E> mixed(const Ref<Packed>* layer, const Tensor<E>& x, const Triple& size) {
    const auto out = [&](int i) { return layer[i]->shape.out_channels; };
    const Tensor<E> y({out(0) + out(2) + out(3) + out(4), size.depth, size.height, size.width});
    const Tensor<E> middle({out(1), size.depth, size.height, size.width});
    convolve(*layer[0], x.data(), size, y, 0);
    convolve(*layer[1], x.data(), size, middle, 0);
    const std::int64_t half = layer[2]->shape.channels * size.depth * size.height * size.width;
    convolve(*layer[2], middle.data(), size, y, out(0));
    convolve(*layer[3], middle.data() + half, size, y, out(0) + out(2));
    const Tensor<E> pooled(x.shape());
    detail::neighbour_max(x.data(), x.size(0), size.depth, size.height, size.width,
                          pooled.mutable_data());
    convolve(*layer[4], pooled.data(), size, y, out(0) + out(2) + out(3));
    return y;
  }

  Config config_;
  std::vector<Ref<Packed>> packed_;  // per unit one, per Mixed block five
};

}  // namespace i3d
TANDEM_NAMESPACE_END
