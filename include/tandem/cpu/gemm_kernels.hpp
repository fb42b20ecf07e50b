#pragma once
/// Which kernels compute a matrix product: kernels<In, Out>(isa) for (float, float),
/// (double, double), (bfloat16, float) and (Rounded, float).

#include "tandem/cpu/gemm_kernels_amx.hpp"
#include "tandem/cpu/gemm_kernels_avx2.hpp"
#include "tandem/cpu/gemm_kernels_avx512.hpp"
#include "tandem/cpu/gemm_kernels_avx512_bf16.hpp"
#include "tandem/cpu/gemm_kernels_portable.hpp"
#include "tandem/cpu/isa.hpp"

TANDEM_NAMESPACE_BEGIN
namespace cpu::gemm_detail {

// Inner indices per pass over C, 2 KB of each row. A panel of A (12 × 512 floats, 24 KB) and one of
// B (32 × 512, 64 KB) pass through the first-level cache, a block of A (16 panels, 384 KB) stays in
// the second level. Reading and writing C costs as much as 40 steps or so: longer blocks gain
// little.
inline constexpr std::int64_t float_k_block = 512, double_k_block = 256, bf16_k_block = 1024;

template <int rows>
using Heights = std::make_integer_sequence<int, rows>;
using NoDot = Heights<0>;

template <class In, class Out>
const Kernels<In, Out>& kernels(Isa isa) {
  if constexpr (std::is_same_v<Out, double>) {
#if TANDEM_X86
    static const Kernels<In, Out> on_avx512 = avx512::make_kernels<avx512::F64, In>(
        "avx512", double_k_block, Heights<12>{}, Heights<6>{});
    static const Kernels<In, Out> on_avx2 =
        avx2::make_kernels<avx2::F64, In>("avx2", double_k_block, Heights<6>{}, NoDot{});
    if (isa >= Isa::avx512) return on_avx512;
    if (isa >= Isa::avx2) return on_avx2;
#endif
    static const Kernels<In, Out> on_any = portable::make_kernels<portable::Lanes<double>, In>(
        "portable", double_k_block, Heights<4>{}, NoDot{});
    return on_any;
  } else {
#if TANDEM_X86
    if constexpr (!std::is_same_v<In, float>) {
      static const Kernels<In, Out> on_amx = amx::make_kernels<In>();
      if (isa >= Isa::amx_bf16) return on_amx;
      static const Kernels<In, Out> on_avx512_bf16 =
          avx512_bf16::make_kernels<avx512_bf16::Pairs, In>("avx512_bf16", bf16_k_block,
                                                            Heights<12>{}, Heights<6>{});
      if (isa >= Isa::avx512_bf16) return on_avx512_bf16;
    }
    static const Kernels<In, Out> on_avx512 =
        avx512::make_kernels<avx512::F32, In>("avx512", float_k_block, Heights<12>{}, Heights<6>{});
    static const Kernels<In, Out> on_avx2 =
        avx2::make_kernels<avx2::F32, In>("avx2", float_k_block, Heights<6>{}, NoDot{});
    if (isa >= Isa::avx512) return on_avx512;
    if (isa >= Isa::avx2) return on_avx2;
#endif
    static const Kernels<In, Out> on_any = portable::make_kernels<portable::Lanes<float>, In>(
        "portable", float_k_block, Heights<4>{}, NoDot{});
    return on_any;
  }
}

}  // namespace cpu::gemm_detail
TANDEM_NAMESPACE_END
