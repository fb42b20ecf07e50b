#pragma once
/// The instructions of kernels/fragments.cuh on the CPU, by the names and signatures that it has
/// for nvcc.
///
/// Those of a whole warp exchange what the lanes bring (simt::together) and order no memory: each
/// lane reads its own row. An asynchronous copy overwrites its target with poison where it is
/// started, since from there on nobody may read it, and takes place in the wait that completes it:
/// without that wait the poison shows.

#include "cuda_runtime.h"

namespace simt {

struct AsyncCopy {
  void* to;
  const void* from;
};
/// Notes a copy of 16 bytes by this thread. A fault unless both addresses are multiples of 16 and
/// `to` is shared.
void async_copy(const AsyncCopy& copy, const SimtHere& at);
void async_commit();
/// Takes the first copy that is not in one of the `pending` newest groups; false if there is none.
bool async_next(unsigned pending, AsyncCopy& copy);
/// A fault unless the 16 bytes at `row` are shared and their address is a multiple of 16.
void check_row(const void* row, const SimtHere& at);
std::uint32_t poison();

inline void cp_async_16(void* shared, const void* global,
                        const SimtHere& at = SimtHere::current()) {
  async_copy({shared, global}, at);
  const std::uint32_t words[4] = {poison(), poison(), poison(), poison()};
  std::memcpy(shared, words, 16);
}
inline void cp_async_commit() { async_commit(); }
template <int pending>
void cp_async_wait() {
  for (AsyncCopy copy; async_next(pending, copy);) std::memcpy(copy.to, copy.from, 16);
}

/// What a lane brings to ldmatrix, and takes from it.
struct MatrixRow {
  std::uint32_t pair[4], out[4];
};
SIMT_UNSEEN inline void share_rows(void* const (&lanes)[32]) {
  for (int lane = 0; lane < 32; ++lane) {
    for (int m = 0; m < 4; ++m) {
      static_cast<MatrixRow*>(lanes[lane])->out[m] =
          static_cast<const MatrixRow*>(lanes[8 * m + lane / 4])->pair[lane % 4];
    }
  }
}
SIMT_UNSEEN inline void share_columns(void* const (&lanes)[32]) {
  for (int lane = 0; lane < 32; ++lane) {
    const int column = lane / 4, row = lane % 4 * 2;
    for (int m = 0; m < 4; ++m) {
      std::uint32_t both = 0;
      for (int i = 0; i < 2; ++i) {
        const std::uint32_t pair =
            static_cast<const MatrixRow*>(lanes[8 * m + row + i])->pair[column / 2];
        both |= (pair >> 16 * (column % 2) & 0xffffu) << 16 * i;
      }
      static_cast<MatrixRow*>(lanes[lane])->out[m] = both;
    }
  }
}
inline void ldmatrix(std::uint32_t (&to)[4], const void* row, Together run, const SimtHere& at) {
  check_row(row, at);
  MatrixRow mine;
  std::memcpy(mine.pair, row, 16);
  together(&mine, run, at);
  std::memcpy(to, mine.out, 16);
}
inline void ldmatrix_x4(std::uint32_t (&to)[4], const void* row,
                        const SimtHere& at = SimtHere::current()) {
  ldmatrix(to, row, share_rows, at);
}
inline void ldmatrix_x4_trans(std::uint32_t (&to)[4], const void* row,
                              const SimtHere& at = SimtHere::current()) {
  ldmatrix(to, row, share_columns, at);
}

/// What a lane brings to mma, and takes from it.
struct MatrixFragments {
  float c[4];
  std::uint32_t a[4], b[2];
};
SIMT_UNSEEN inline void multiply_fragments(void* const (&lanes)[32]) {
  float a[16][16], b[16][8];
  const auto number = [](std::uint32_t pair, int i) SIMT_UNSEEN {
    return __builtin_bit_cast(float, i == 0 ? pair << 16 : pair & 0xffff0000u);
  };
  for (int lane = 0; lane < 32; ++lane) {
    const auto* const mine = static_cast<const MatrixFragments*>(lanes[lane]);
    const int row = lane / 4, column = lane % 4 * 2;
    for (int i = 0; i < 8; ++i)
      a[row + 8 * (i / 2 % 2)][column + i % 2 + 8 * (i / 4)] = number(mine->a[i / 2], i % 2);
    for (int i = 0; i < 4; ++i)
      b[column + i % 2 + 8 * (i / 2)][row] = number(mine->b[i / 2], i % 2);
  }
  for (int lane = 0; lane < 32; ++lane) {
    for (int i = 0; i < 4; ++i) {
      float& sum = static_cast<MatrixFragments*>(lanes[lane])->c[i];
      for (int k = 0; k < 16; ++k) sum += a[lane / 4 + 8 * (i / 2)][k] * b[k][lane % 4 * 2 + i % 2];
    }
  }
}
inline void mma_m16n8k16(float (&c)[4], const std::uint32_t (&a)[4], std::uint32_t b0,
                         std::uint32_t b1, const SimtHere& at = SimtHere::current()) {
  MatrixFragments mine = {{c[0], c[1], c[2], c[3]}, {a[0], a[1], a[2], a[3]}, {b0, b1}};
  together(&mine, multiply_fragments, at);
  for (int i = 0; i < 4; ++i) c[i] = mine.c[i];
}

}  // namespace simt
