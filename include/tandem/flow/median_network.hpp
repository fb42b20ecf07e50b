#pragma once
/// The sorting networks of the median filters of 3×3 and 5×5 pixels, for vectors of the CPU
/// (median.hpp) and for the threads of a GPU (kernels/tvl1.cu).

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace flow::detail {

/// A comparator puts the smaller of two wires first: w[low], w[high] = min, max.
struct Comparator {
  int low, high;
};

/// Of Side·Side values, wire rank·Side + column in columns that are sorted, the median ends on wire
/// `median`.
template <int Side>
struct MedianNetwork;

template <>
struct MedianNetwork<3> {
  static constexpr Comparator column[] = {{0, 2}, {0, 1}, {1, 2}};
  /// The largest of the least, the middle of the middle, the least of the largest; and the middle
  /// of these.
  static constexpr Comparator window[] = {{0, 1}, {1, 2}, {3, 4}, {4, 5}, {3, 4},
                                          {6, 7}, {6, 8}, {2, 4}, {4, 6}, {2, 4}};
  static constexpr int median = 4;
};

/// Batcher's network of the 13 values that can still be the median, without the comparators that
/// never matter; correct for all 0-1 inputs with sorted columns, and so for all inputs.
template <>
struct MedianNetwork<5> {
  static constexpr Comparator column[] = {{0, 3}, {1, 4}, {0, 2}, {1, 3}, {0, 1},
                                          {2, 4}, {1, 2}, {3, 4}, {2, 3}};
  static constexpr Comparator window[] = {
      {1, 4},   {0, 2},   {0, 1},   {2, 4},   {1, 2},   {3, 4},   {2, 3},   {5, 8},   {5, 7},
      {6, 8},   {5, 6},   {7, 9},   {6, 7},   {8, 9},   {7, 8},   {10, 13}, {11, 14}, {10, 12},
      {11, 13}, {10, 11}, {12, 14}, {11, 12}, {13, 14}, {12, 13}, {15, 18}, {16, 19}, {15, 17},
      {16, 18}, {15, 16}, {17, 19}, {16, 17}, {17, 18}, {20, 23}, {21, 24}, {21, 23}, {20, 21},
      {22, 24}, {21, 22}, {3, 7},   {11, 15}, {4, 8},   {12, 16}, {20, 9},  {13, 17}, {7, 15},
      {4, 12},  {8, 16},  {20, 13}, {8, 12},  {20, 21}, {15, 8},  {13, 21}, {8, 12},  {9, 13},
      {8, 9},   {15, 8},  {12, 20}, {8, 12}};
  static constexpr int median = 12;
};

}  // namespace flow::detail
TANDEM_NAMESPACE_END
