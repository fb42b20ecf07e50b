#pragma once
/// The inner iterations of TV-L1, several in a launch with the working set in shared memory, and
/// the decision after them which pairs have converged. Bound by barriers and by square roots and
/// divisions: two and one a pixel and iteration.

#include "tvl1.cuh"

namespace tandem_kernels {

/// The region of a block, and the iterations that it takes before its edges are worn off.
struct SweepTile {
  static constexpr int across = 64, down = 32, steps = 5, threads = 512;
  static constexpr int area = across * down, each = area / threads;
  static constexpr int inner_across = across - 2 * steps, inner_down = down - 2 * steps;
  static constexpr int warps = threads / 32;
  static constexpr std::size_t shared_bytes = (6 * area + steps * warps) * sizeof(float);
};

/// `steps` iterations of the pairs that still run; or, again, the wanted ones of those that have
/// run too far. filtered: a median filter has come before. changes (pairs, tiles, SweepTile::steps)
/// = Σ |u_new − u_old|² of each tile and iteration.
template <class T>
__global__ void __launch_bounds__(SweepTile::threads, 2)
    tvl1_sweep_kernel(TvL1Planes planes, const TvL1State* states, T* changes, int height, int width,
                      tvl1::SweepConstants constants, int steps, bool filtered, bool again) {
  using Tile = SweepTile;
  TANDEM_SHARED_BYTES(float, shared);
  float* const partial = shared + 6 * Tile::area;  // (steps, warps)
  float *const su = shared, *const sv = su + Tile::area, *const sa = sv + Tile::area,
               *const sb = sa + Tile::area, *const sd = sb + Tile::area,
               *const se = sd + Tile::area;
  float* const planes_here[6] = {su, sv, sa, sb, sd, se};
  const int tiles_x = (width + Tile::inner_across - 1) / Tile::inner_across;
  const int tiles = tiles_x * ((height + Tile::inner_down - 1) / Tile::inner_down);
  const int lx = static_cast<int>(threadIdx.x) % Tile::across,
            top = static_cast<int>(threadIdx.x) / Tile::across;
  const F limit = constants.lambda_theta, theta = constants.theta, tau = constants.tau_theta;
  const F one = 1.0F;
  for (std::int64_t tile = blockIdx.x; tile < tiles * planes.pairs; tile += gridDim.x) {
    const std::int64_t pair = tile / tiles;
    const int within = static_cast<int>(tile - pair * tiles);
    const TvL1State state = states[pair];
    if (state.stopped != 0 || (state.redo > 0) != again) continue;
    const int todo = again ? state.redo : steps;
    const int u_at = filtered && !again ? 1 - state.u_at : state.u_at;
    const int x = within % tiles_x * Tile::inner_across - Tile::steps + lx;
    const int y0 = within / tiles_x * Tile::inner_down - Tile::steps;
    const auto line = [&](int m) { return top + m * (Tile::threads / Tile::across); };
    const auto exists = [&](int m) {
      const int y = y0 + line(m);
      return x >= 0 && x < width && y >= 0 && y < height;
    };
    float ix[Tile::each], iy[Tile::each], rho0[Tile::each], inv[Tile::each];
    TANDEM_UNROLLED
    for (int m = 0; m < Tile::each; ++m) {
      const int place = (y0 + line(m)) * width + x;
      const int q = line(m) * Tile::across + lx;
      ix[m] = iy[m] = rho0[m] = inv[m] = 0;
      if (!exists(m)) continue;
      TANDEM_UNROLLED
      for (int c = 0; c < 6; ++c) {
        planes_here[c][q] =
            c < 2 ? planes.flow(u_at, c, pair)[place] : planes.dual(state.p_at, c - 2, pair)[place];
      }
      ix[m] = planes.term(0, pair)[place];
      iy[m] = planes.term(1, pair)[place];
      rho0[m] = planes.term(2, pair)[place];
      inv[m] = planes.term(3, pair)[place];
    }
    __syncthreads();
    // At the edges of the region, neighbours that it lacks are taken from the pixel itself: what
    // comes of that is not written.
    TANDEM_UNROLLED
    for (int k = 0; k < Tile::steps; ++k) {
      if (k >= todo) break;
      F change = 0.0F;
      TANDEM_UNROLLED
      for (int m = 0; m < Tile::each; ++m) {
        if (!exists(m)) continue;
        const int ly = line(m), q = ly * Tile::across + lx;
        const int left = lx > 0 ? q - 1 : q, up = ly > 0 ? q - Tile::across : q;
        const bool has_left = x > 0, has_up = y0 + ly > 0;
        const F s = su[q], t = sv[q], i = ix[m], j = iy[m];
        const F rho = F(rho0[m]) + (i * s + j * t);
        const F step = smaller(larger((rho * F(inv[m])).v, -limit.v), limit.v);
        const F div1 =
            (F(sa[q]) - F(has_left ? sa[left] : 0.0F)) + (F(sb[q]) - F(has_up ? sb[up] : 0.0F));
        const F div2 =
            (F(sd[q]) - F(has_left ? sd[left] : 0.0F)) + (F(se[q]) - F(has_up ? se[up] : 0.0F));
        const F new_s = theta * div1 + (s - step * i), new_t = theta * div2 + (t - step * j);
        su[q] = new_s.v;
        sv[q] = new_t.v;
        const F ds = new_s - s, dt = new_t - t;
        const bool counts = lx >= Tile::steps && lx < Tile::across - Tile::steps &&
                            ly >= Tile::steps && ly < Tile::down - Tile::steps;
        if (counts) change = change + (ds * ds + dt * dt);
      }
      const float sum = warp_sum(change.v);
      if (threadIdx.x % 32 == 0) partial[k * Tile::warps + threadIdx.x / 32] = sum;
      __syncthreads();
      TANDEM_UNROLLED
      for (int m = 0; m < Tile::each; ++m) {
        if (!exists(m)) continue;
        const int ly = line(m), q = ly * Tile::across + lx;
        const int right = lx + 1 < Tile::across && x + 1 < width ? q + 1 : q;
        const int down = ly + 1 < Tile::down && y0 + ly + 1 < height ? q + Tile::across : q;
        const F s = su[q], t = sv[q];
        const F sx = F(su[right]) - s, sy = F(su[down]) - s;
        const F tx = F(sv[right]) - t, ty = F(sv[down]) - t;
        const F n1 = tau * F(sqrtf((sx * sx + sy * sy).v)) + one;
        const F n2 = tau * F(sqrtf((tx * tx + ty * ty).v)) + one;
        const F both = 1 / (n1 * n2).v, r1 = both * n2, r2 = both * n1;
        sa[q] = ((tau * sx + F(sa[q])) * r1).v;
        sb[q] = ((tau * sy + F(sb[q])) * r1).v;
        sd[q] = ((tau * tx + F(sd[q])) * r2).v;
        se[q] = ((tau * ty + F(se[q])) * r2).v;
      }
      __syncthreads();
    }
    TANDEM_UNROLLED
    for (int m = 0; m < Tile::each; ++m) {
      const int ly = line(m), q = ly * Tile::across + lx;
      if (!exists(m) || lx < Tile::steps || lx >= Tile::across - Tile::steps || ly < Tile::steps ||
          ly >= Tile::down - Tile::steps)
        continue;
      const int place = (y0 + ly) * width + x;
      TANDEM_UNROLLED
      for (int c = 0; c < 6; ++c) {
        float* const to =
            c < 2 ? planes.flow(1 - u_at, c, pair) : planes.dual(1 - state.p_at, c - 2, pair);
        to[place] = planes_here[c][q];
      }
    }
    const int k = static_cast<int>(threadIdx.x);
    if (k < todo) {
      float sum = 0;
      for (int w = 0; w < Tile::warps; ++w) sum += partial[k * Tile::warps + w];
      changes[tile * Tile::steps + k] = sum;
    }
    __syncthreads();  // before partial and the planes are used again
  }
}

/// After tvl1_sweep_kernel with the same arguments: which pairs stop, and where u and p are. A
/// block a pair; the change of an iteration is added up over the tiles in a fixed order.
template <class Sum>
__global__ void __launch_bounds__(256)
    tvl1_stop_kernel(TvL1State* states, std::int32_t* running, const float* changes,
                     std::int64_t pairs, std::int64_t tiles, Sum stop, int steps, bool filtered,
                     bool again) {
  TANDEM_SHARED(Sum, partial, 32);
  for (std::int64_t pair = blockIdx.x; pair < pairs; pair += gridDim.x) {
    TvL1State state = states[pair];
    if (state.stopped != 0 || (state.redo > 0) != again) continue;
    int found = 0;  // the first iteration after which the pair may stop, or 0
    for (int k = 0; k < steps && !again && found == 0; ++k) {
      Sum sum = 0;
      for (std::int64_t tile = threadIdx.x; tile < tiles; tile += blockDim.x)
        sum += static_cast<Sum>(changes[(pair * tiles + tile) * SweepTile::steps + k]);
      if (block_sum(sum, partial) <= stop) found = k + 1;
    }
    __syncthreads();  // everybody has read the state
    if (threadIdx.x != 0) continue;
    if (filtered && !again) state.u_at = 1 - state.u_at;
    if (found > 0 && found < steps) {
      state.redo = found;
    } else {
      state.u_at = 1 - state.u_at;
      state.p_at = 1 - state.p_at;
      state.redo = 0;
      state.stopped = again || found > 0 ? 1 : 0;
    }
    state.done += again ? 0 : found > 0 ? found : steps;
    if (state.stopped != 0) atomicAdd(running, -1);
    states[pair] = state;
  }
}

}  // namespace tandem_kernels
