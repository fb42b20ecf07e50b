/// attention on tensor cores — what attention.cu computes, for Precision::bfloat16 and heads of at
/// most 128 columns: the factors of every product are rounded to bfloat16, sums and everything
/// between products are float.               [Dao 2023, "FlashAttention-2", algorithms 1 and 2]
///   O = P·V, P = e^{S − L}, S = s·Q·Kᵀ, with a running maximum and sum instead of L;
///   dP = dO·Vᵀ;  dS = s·P∘(dP − D);  dV = Pᵀ·dO;  dK = dSᵀ·Q;  dQ = dS·K
///
/// First a pass rounds Q, K, V and dO to dense matrices of 32, 64 or 128 columns, whose positions
/// are a multiple of 64; columns and positions that do not exist or take no part are zeros, and are
/// never read. So tiles need no tests when they are copied, and arrive by cp.async, the next one
/// while this one is multiplied. For a position and column that reads 4 bytes and writes 2.
///
/// Then a block of four warps owns 64 queries (O, dQ) or 64 keys (dK and dV), a warp 16 of them,
/// whose rows are fragments in its registers, and walks the tiles of the other side in their order;
/// tiles in which nothing takes part are skipped. The weights of 16 × 16 pairs never leave the
/// registers of their warp: the C fragments of one product are, rounded, the A fragment of the
/// next. No matrix of positions × positions exists anywhere, and nothing is added by atomics: the
/// same bits every time.
///
/// Forward takes 2·T_q·T_k·d multiplications with additions, backward 7 (S and dP are made twice,
/// so that dQ needs no atomics), and T_q·T_k exponentials each time S is made. A tile of the other
/// side, 4·64·d bytes, is read once per 64 rows, mostly from the L2 cache: bound by tensor cores
/// and by exponentials, for short sequences by the rounding pass. Not measured.

#include "attention_mma.cuh"

namespace tandem_kernels {
namespace tensor_cores {

// --- forward -------------------------------------------------------------------------------------

/// Blocks that an SM is to hold, for which its registers are shared out: with 64 columns, one more
/// than fit with what nvcc would give it (130 for sm_90).
template <int D>
constexpr int forward_blocks = D == 32   ? 3
                               : D == 64 ? 4
                                         : 2;

template <int D>
__global__ void __launch_bounds__(128, forward_blocks<D>)
    attention_mma_kernel(AttentionProblem<float> p, const bfloat16* q, const bfloat16* k,
                         const bfloat16* v, HeadView<float> out, float* lse, std::int64_t count) {
  TANDEM_SHARED_BYTES(bfloat16, shared);  // K and V of two tiles
  constexpr int size = Rows<D>::size;
  for (std::int64_t index = blockIdx.x; index < count; index += gridDim.x) {
    const Piece at(index, p.queries, p.heads);
    Walk<ByMask> wanted{.b = at.b,
                        .h = at.h,
                        .count = p.queries,
                        .end = at.first + tile,
                        .part = {p.query_mask, p.queries},
                        .first = at.first};
    if (!wanted.find()) continue;
    const std::int64_t last = p.causal && at.first + tile < p.keys ? at.first + tile : p.keys;
    Walk<ByMask> keys{.b = at.b,
                      .h = at.h,
                      .count = p.keys,
                      .end = last,
                      .part = {p.key_mask, p.keys},
                      .first = 0};
    float sums[D / 8][4] = {}, top[2] = {-INFINITY, -INFINITY}, total[2] = {};
    std::uint32_t queries[D / 16][4] = {};
    const auto start_own = [&] {
      start_rows<D>(shared + 2 * size, at.rows<D>(q, p.queries, at.first));
    };
    const auto load_own = [&] { load_left<D>(queries, shared + 2 * size); };
    const auto start = [&](int place) {
      start_rows<D>(shared + 2 * place * size, at.rows<D>(k, p.keys, keys.first));
      start_rows<D>(shared + (2 * place + 1) * size, at.rows<D>(v, p.keys, keys.first));
    };
    for_each_tile(keys, start_own, load_own, start, [&](const Walk<ByMask>& here, int now) {
      float s[tile / 16][2][4], largest[2] = {top[0], top[1]};
      TANDEM_UNROLLED
      for (int j = 0; j < tile / 16; ++j) {
        multiply<D>(s[j], queries, shared + 2 * now * size, 16 * j);
        TANDEM_UNROLLED
        for (int n = 0; n < 2; ++n) {
          TANDEM_UNROLLED
          for (int i = 0; i < 4; ++i) {
            const int key = 16 * j + 8 * n + fragment_column(i);
            const bool visible =
                here.has(key) && (!p.causal || here.first + key <= at.first + fragment_row(i));
            s[j][n][i] = visible ? p.scale * s[j][n][i] : -INFINITY;
            largest[i / 2] = formula::max_nan(largest[i / 2], s[j][n][i]);
          }
        }
      }
      float shift[2];
      for (int r = 0; r < 2; ++r) {
        for (int step = 1; step < 4; step *= 2) {  // over the four lanes that share the row
          largest[r] = formula::max_nan(largest[r], __shfl_xor_sync(every_lane, largest[r], step));
        }
        shift[r] = largest[r] == -INFINITY ? 0.0F : largest[r];  // nothing was seen
        const float factor = formula::exp(top[r] - shift[r]);
        top[r] = largest[r];
        total[r] *= factor;
        TANDEM_UNROLLED
        for (int n = 0; n < D / 8; ++n) {
          sums[n][2 * r] *= factor;
          sums[n][2 * r + 1] *= factor;
        }
      }
      TANDEM_UNROLLED
      for (int j = 0; j < tile / 16; ++j) {
        TANDEM_UNROLLED
        for (int n = 0; n < 2; ++n) {
          TANDEM_UNROLLED
          for (int i = 0; i < 4; ++i) {
            s[j][n][i] = formula::exp(s[j][n][i] - shift[i / 2]);
            total[i / 2] += s[j][n][i];
          }
        }
        add_weighted<D>(sums, s[j], shared + (2 * now + 1) * size, 16 * j);
      }
    });
    for (int r = 0; r < 2; ++r) {
      for (int step = 1; step < 4; step *= 2)
        total[r] += __shfl_xor_sync(every_lane, total[r], step);
      const float factor = 1 / total[r];
      TANDEM_UNROLLED
      for (int n = 0; n < D / 8; ++n) {
        sums[n][2 * r] *= factor;
        sums[n][2 * r + 1] *= factor;
      }
      const int row = fragment_row(2 * r);
      if (threadIdx.x % 4 == 0 && wanted.has(row)) {
        lse[at.head * p.queries + at.first + row] =
            total[r] == 0 ? -INFINITY : top[r] + formula::log(total[r]);
      }
    }
    write_rows<D>(out, at, p.queries, p.width, sums,
                  [&](int r) { return total[r] != 0 && wanted.has(fragment_row(2 * r)); });
  }
}

// --- backward ------------------------------------------------------------------------------------

/// dQ; rows of scores are queries.
template <int D>
__global__ void __launch_bounds__(128)
    attention_mma_dq_kernel(AttentionProblem<float> p, const bfloat16* q, const bfloat16* k,
                            const bfloat16* v, const bfloat16* dout, const Numbers* numbers,
                            HeadView<float> dq, std::int64_t count) {
  TANDEM_SHARED_BYTES(bfloat16, shared);  // K and V of two tiles
  constexpr int size = Rows<D>::size;
  for (std::int64_t index = blockIdx.x; index < count; index += gridDim.x) {
    const Piece at(index, p.queries, p.heads);
    const std::int64_t length = padded(p.queries);
    Walk<ByNumbers> attended{.b = at.b,
                             .h = at.h,
                             .count = p.queries,
                             .end = at.first + tile,
                             .part = {numbers, p.heads, length},
                             .first = at.first};
    const bool any = attended.find();
    const std::int64_t last = p.causal && at.first + tile < p.keys ? at.first + tile : p.keys;
    Walk<ByMask> keys{.b = at.b,
                      .h = at.h,
                      .count = p.keys,
                      .end = any ? last : 0,
                      .part = {p.key_mask, p.keys},
                      .first = 0};
    float sums[D / 8][4] = {};
    std::uint32_t queries[D / 16][4] = {}, grads[D / 16][4] = {};
    Numbers mine[2] = {};
    const auto start_own = [&] {
      start_rows<D>(shared + 2 * size, at.rows<D>(q, p.queries, at.first));
      start_rows<D>(shared + 3 * size, at.rows<D>(dout, p.queries, at.first));
      for (int r = 0; r < 2; ++r)
        mine[r] = numbers[at.head * length + at.first + fragment_row(2 * r)];
    };
    const auto load_own = [&] {
      load_left<D>(queries, shared + 2 * size);
      load_left<D>(grads, shared + 3 * size);
    };
    const auto start = [&](int place) {
      start_rows<D>(shared + 2 * place * size, at.rows<D>(k, p.keys, keys.first));
      start_rows<D>(shared + (2 * place + 1) * size, at.rows<D>(v, p.keys, keys.first));
    };
    for_each_tile(keys, start_own, load_own, start, [&](const Walk<ByMask>& here, int now) {
      for (int j = 0; j < tile; j += 16) {
        float s[2][4], ds[2][4];
        multiply<D>(s, queries, shared + 2 * now * size, j);
        multiply<D>(ds, grads, shared + (2 * now + 1) * size, j);
        TANDEM_UNROLLED
        for (int n = 0; n < 2; ++n) {
          TANDEM_UNROLLED
          for (int i = 0; i < 4; ++i) {
            const int key = j + 8 * n + fragment_column(i);
            const Numbers& row = mine[i / 2];
            const bool visible =
                here.has(key) && (!p.causal || here.first + key <= at.first + fragment_row(i));
            ds[n][i] = visible ? p.scale * formula::exp(p.scale * s[n][i] - row.shift) *
                                     (ds[n][i] - row.dot)
                               : 0.0F;
          }
        }
        add_weighted<D>(sums, ds, shared + 2 * now * size, j);
      }
    });
    write_rows<D>(dq, at, p.queries, p.width, sums,
                  [&](int r) { return any && attended.has(fragment_row(2 * r)); });
  }
}

/// dK and dV; rows of scores are keys, columns queries.
template <int D>
__global__ void __launch_bounds__(128)
    attention_mma_dkv_kernel(AttentionProblem<float> p, const bfloat16* q, const bfloat16* k,
                             const bfloat16* v, const bfloat16* dout, const Numbers* numbers,
                             HeadView<float> dk, HeadView<float> dv, std::int64_t count) {
  TANDEM_SHARED_BYTES(bfloat16, shared);  // Q and dO of two tiles, then L and D of two
  constexpr int size = Rows<D>::size;
  auto* const columns = reinterpret_cast<Numbers*>(shared + 4 * size);
  for (std::int64_t index = blockIdx.x; index < count; index += gridDim.x) {
    const Piece at(index, p.keys, p.heads);
    const std::int64_t length = padded(p.queries);
    Walk<ByMask> seen{.b = at.b,
                      .h = at.h,
                      .count = p.keys,
                      .end = at.first + tile,
                      .part = {p.key_mask, p.keys},
                      .first = at.first};
    const bool any = seen.find();
    Walk<ByNumbers> queries{.b = at.b,
                            .h = at.h,
                            .count = p.queries,
                            .end = any ? p.queries : 0,
                            .part = {numbers, p.heads, length},
                            .first = p.causal ? at.first : 0};  // tiles are of one size
    float key_sums[D / 8][4] = {}, value_sums[D / 8][4] = {};
    std::uint32_t keys[D / 16][4] = {}, values[D / 16][4] = {};
    const auto start_own = [&] {
      start_rows<D>(shared + 2 * size, at.rows<D>(k, p.keys, at.first));
      start_rows<D>(shared + 3 * size, at.rows<D>(v, p.keys, at.first));
    };
    const auto load_own = [&] {
      load_left<D>(keys, shared + 2 * size);
      load_left<D>(values, shared + 3 * size);
    };
    const auto start = [&](int place) {
      start_rows<D>(shared + 2 * place * size, at.rows<D>(q, p.queries, queries.first));
      start_rows<D>(shared + (2 * place + 1) * size, at.rows<D>(dout, p.queries, queries.first));
      if (threadIdx.x < tile / 2) {
        cp_async_16(columns + place * tile + 2 * threadIdx.x,
                    numbers + at.head * length + queries.first + 2 * threadIdx.x);
      }
    };
    for_each_tile(queries, start_own, load_own, start, [&](const Walk<ByNumbers>& here, int now) {
      for (int j = 0; j < tile; j += 16) {
        float s[2][4], ds[2][4];
        multiply<D>(s, keys, shared + 2 * now * size, j);
        multiply<D>(ds, values, shared + (2 * now + 1) * size, j);
        TANDEM_UNROLLED
        for (int n = 0; n < 2; ++n) {
          TANDEM_UNROLLED
          for (int i = 0; i < 4; ++i) {
            const int query = j + 8 * n + fragment_column(i);
            const Numbers column = columns[now * tile + query];
            const bool visible = column.shift != INFINITY &&
                                 (!p.causal || at.first + fragment_row(i) <= here.first + query);
            s[n][i] = visible ? formula::exp(p.scale * s[n][i] - column.shift) : 0.0F;
            ds[n][i] = visible ? p.scale * s[n][i] * (ds[n][i] - column.dot) : 0.0F;
          }
        }
        add_weighted<D>(value_sums, s, shared + (2 * now + 1) * size, j);
        add_weighted<D>(key_sums, ds, shared + 2 * now * size, j);
      }
    });
    const auto counts = [&](int r) { return any && seen.has(fragment_row(2 * r)); };
    write_rows<D>(dk, at, p.keys, p.width, key_sums, counts);
    write_rows<D>(dv, at, p.keys, p.width, value_sums, counts);
  }
}

// --- launches ------------------------------------------------------------------------------------

/// f(D) for the columns of a head's tile, as a type.
template <class F>
void with_columns(std::int64_t width, const F& f) {
  if (width <= 32) return f(std::integral_constant<int, 32>());
  if (width <= 64) return f(std::integral_constant<int, 64>());
  f(std::integral_constant<int, 128>());
}

/// A matrix (batch, heads, positions, width) rounded, as long as what is queued needs it.
template <int D>
class Rounded {
 public:
  template <class Part>
  Rounded(Queue& queue, const AttentionProblem<float>& p, const HeadView<const float>& from,
          std::int64_t positions, const Part& part)
      : memory_(queue, p.batch * p.heads * padded(positions) * D) {
    launch("attention_round", attention_round_kernel<D, Part>,
           dim3(blocks_for(p.batch * p.heads * padded(positions), 8)), dim3(32, 8), 0, queue, p,
           from, positions, part, memory_.data());
  }
  const bfloat16* data() const { return memory_.data(); }

 private:
  Scratch<bfloat16> memory_;
};

std::int64_t pieces(const AttentionProblem<float>& p, std::int64_t positions) {
  return p.batch * p.heads * (padded(positions) / tile);
}

}  // namespace tensor_cores

void mma_attention_forward(Queue& queue, const AttentionProblem<float>& p,
                           const HeadView<const float>& q, const HeadView<const float>& k,
                           const HeadView<const float>& v, const HeadView<float>& out, float* lse) {
  using namespace tensor_cores;
  with_columns(p.width, [&]<int D>(std::integral_constant<int, D>) {
    const ByMask wanted{p.query_mask, p.queries}, seen{p.key_mask, p.keys};
    const Rounded<D> queries(queue, p, q, p.queries, wanted), keys(queue, p, k, p.keys, seen),
        values(queue, p, v, p.keys, seen);
    const std::int64_t count = pieces(p, p.queries);
    launch("attention_mma", attention_mma_kernel<D>, dim3(blocks_for(count, 1)), dim3(threads),
           Rows<D>::bytes(4), queue, p, queries.data(), keys.data(), values.data(), out, lse,
           count);
  });
}

void mma_attention_backward(Queue& queue, const AttentionProblem<float>& p,
                            const HeadView<const float>& q, const HeadView<const float>& k,
                            const HeadView<const float>& v, const HeadView<const float>& out,
                            const HeadView<const float>& dout, const float* lse,
                            const HeadView<float>& dq, const HeadView<float>& dk,
                            const HeadView<float>& dv) {
  using namespace tensor_cores;
  const std::int64_t length = padded(p.queries), rows = p.batch * p.heads * length;
  const Scratch<Numbers> numbers(queue, rows);
  launch("attention_numbers", attention_numbers_kernel<float>, dim3(blocks_for(rows, 8)),
         dim3(32, 8), 0, queue, p, out, dout, lse, numbers.data());
  with_columns(p.width, [&]<int D>(std::integral_constant<int, D>) {
    const ByNumbers attended{numbers.data(), p.heads, length};
    const ByMask seen{p.key_mask, p.keys};
    const Rounded<D> queries(queue, p, q, p.queries, attended),
        grads(queue, p, dout, p.queries, attended), keys(queue, p, k, p.keys, seen),
        values(queue, p, v, p.keys, seen);
    const std::int64_t of_queries = pieces(p, p.queries), of_keys = pieces(p, p.keys);
    launch("attention_mma_dq", attention_mma_dq_kernel<D>, dim3(blocks_for(of_queries, 1)),
           dim3(threads), Rows<D>::bytes(4), queue, p, queries.data(), keys.data(), values.data(),
           grads.data(), numbers.data(), dq, of_queries);
    launch("attention_mma_dkv", attention_mma_dkv_kernel<D>, dim3(blocks_for(of_keys, 1)),
           dim3(threads), Rows<D>::bytes(4) + 2 * tile * static_cast<int>(sizeof(Numbers)), queue,
           p, queries.data(), keys.data(), values.data(), grads.data(), numbers.data(), dk, dv,
           of_keys);
  });
}

}  // namespace tandem_kernels
