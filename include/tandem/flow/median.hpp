#pragma once
/// Median filters of 3×3 and 5×5 pixels by sorting networks; beyond the border the end pixel is
/// repeated.
///
/// Sorting one column of the window is shared by the windows that contain the column. What is then
/// known of the order in the window leaves 58 comparisons for a 5×5 median, of which some need only
/// one half.

#include <cstdint>
#include <iterator>
#include <utility>

#include "tandem/cpu/simd.hpp"
#include "tandem/flow/bands.hpp"
#include "tandem/flow/median_network.hpp"
#include "tandem/flow/planes.hpp"

TANDEM_NAMESPACE_BEGIN
namespace flow::detail {

template <const auto& Network, class V, std::size_t Wires, std::size_t... I>
TANDEM_ALWAYS_INLINE void compare_all(V (&w)[Wires], std::index_sequence<I...>) {
  const auto compare = [&w](int low, int high) TANDEM_INLINE_LAMBDA {
    const V a = w[low], b = w[high];
    w[low] = min(a, b);
    w[high] = max(a, b);
  };
  (compare(Network[I].low, Network[I].high), ...);
}

template <int Side>
struct MedianRow {
  static constexpr int reach = Side / 2;

  /// One output row from `Side` input rows. `sorted` is room for as many rows, `pitch` floats
  /// apart, that have a vector before and after them.
  template <class V>
  static TANDEM_ALWAYS_INLINE void run(const float* const* rows, std::int64_t width, float* sorted,
                                       std::int64_t pitch, float* out) {
    for (std::int64_t x = 0; x < width; x += V::size)
      sort_column<V>(rows, x, sorted, pitch, Ranks());
    for (int r = 0; r < Side; ++r) {
      float* row = sorted + r * pitch;
      for (int k = 1; k <= reach; ++k) {
        row[-k] = row[0];
        row[width - 1 + k] = row[width - 1];
      }
    }
    for (std::int64_t x = 0; x < width; x += V::size) {
      const V median = window_median<V>(sorted + x - reach, pitch, Window());
      if (x + V::size <= width) {
        median.store(out + x);
      } else {
        median.store_partial(out + x, width - x);
      }
    }
  }

 private:
  using Network = MedianNetwork<Side>;
  using Ranks = std::make_index_sequence<extent(Side)>;
  using Window = std::make_index_sequence<extent(Side* Side)>;

  // Written out by pack expansion, so that the wires are registers.
  template <class V, std::size_t... R>
  static TANDEM_ALWAYS_INLINE void sort_column(const float* const* rows, std::int64_t x,
                                               float* sorted, std::int64_t pitch,
                                               std::index_sequence<R...>) {
    V w[extent(Side)] = {V::load(rows[R] + x)...};
    compare_all<Network::column>(w, std::make_index_sequence<std::size(Network::column)>());
    (w[R].store(sorted + static_cast<std::int64_t>(R) * pitch + x), ...);
  }
  template <class V, std::size_t... I>
  static TANDEM_ALWAYS_INLINE V window_median(const float* corner, std::int64_t pitch,
                                              std::index_sequence<I...>) {
    constexpr std::size_t side = extent(Side);
    V w[side * side] = {
        V::load(corner + static_cast<std::int64_t>(I / side) * pitch + I % side)...};
    compare_all<Network::window>(w, std::make_index_sequence<std::size(Network::window)>());
    return w[Network::median];
  }
};

/// Filters `count` planes in place, each by way of a spare plane.
template <int Side>
void median_filter(Planes& planes, const int* plane, const int* spare, int count, Bands& bands) {
  const std::int64_t height = planes.height(), width = planes.width();
  const std::int64_t pitch = Planes::padded(width) + 2 * Planes::guard;
  bands.run([&](std::int64_t begin, std::int64_t end) {
    const Tensor<float> sorted({Side, pitch});
    float* const room = sorted.mutable_data() + Planes::guard;
    for (std::int64_t y = begin; y < end; ++y) {
      for (int k = 0; k < count; ++k) {
        const float* rows[extent(Side)];
        for (int r = 0; r < Side; ++r) {
          const std::int64_t at = y + r - Side / 2;
          rows[r] = planes.row(plane[k], at < 0 ? 0 : at < height ? at : height - 1);
        }
        const float* const* in = rows;
        cpu::simd_dispatch<MedianRow<Side>, float>(in, width, room, pitch, planes.row(spare[k], y));
      }
    }
  });
  for (int k = 0; k < count; ++k) planes.swap_planes(plane[k], spare[k]);
}

}  // namespace flow::detail
TANDEM_NAMESPACE_END
