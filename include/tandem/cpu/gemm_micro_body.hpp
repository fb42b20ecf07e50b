// The micro kernels, packing and epilogue of every instruction set: written once in terms of a
// vector description V and included once per instruction set by gemm_kernels_*.hpp, inside a
// namespace of its own and with TANDEM_GEMM_TARGET set to the function attribute that lets the
// compiler use that set. (A lambda or a helper without the attribute could not be inlined, hence
// the plain loops.) On its own this file is empty, and it has no include guard on purpose.
//
// V provides: Elem (a packed element), Vec (lanes × Elem), lanes, k_unit, cheap_partial (partial
// loads and stores cost no more than whole ones), load/store with and without a count, broadcast,
// zero, transpose of lanes × lanes elements, fma(a, b, c) = a·b + c with a sum c, Sums, and where
// k_unit is 2, combine, which makes elements of two rows. Sums is V itself or, where the sums are
// of another type than the elements, the description of that: Elem, Vec, load/store, zero, set,
// mul, fma and sum4. The epilogue needs no intrinsics and uses Vec.

#ifdef TANDEM_GEMM_TARGET

/// C (rows × cols ≤ rows × 2 vectors) = alpha·A·B + beta·C.
///
/// One step loads two vectors of B, broadcasts one element of each row of A and does 2·rows
/// multiply-adds into 2·rows accumulators that stay in registers: 12 × 2 of the 32 AVX-512
/// registers, 6 × 2 of the 16 AVX2 ones. That is 14 loads for 24 multiply-adds (8 for 12), below
/// what the load ports deliver, and enough independent chains to hide the latency.
template <class V, int rows>
TANDEM_GEMM_TARGET void micro_kernel(const MicroArgs<typename V::Sums::Elem>& t) {
  using Elem = typename V::Elem;
  using Acc = typename V::Sums::Elem;
  constexpr int lanes = V::lanes;
  typename V::Sums::Vec acc[extent(rows)][2];
  TANDEM_UNROLL for (int i = 0; i < rows; ++i) {
    acc[i][0] = V::Sums::zero();
    acc[i][1] = V::Sums::zero();
  }

  // Every third row gets a pointer; the rows between are reached by scaled index addressing.
  constexpr int bases = (rows + 2) / 3;
  const std::int64_t a_row = t.a_row, a_step = t.a_step, b_step = t.b_step;
  const Elem* a[extent(bases)];
  TANDEM_UNROLL for (int g = 0; g < bases; ++g) a[g] =
      static_cast<const Elem*>(t.a) + 3 * g * a_row;
  const Elem* b = static_cast<const Elem*>(t.b);

  // The steps come in three runs that differ in what they prefetch, one address each: this tile's
  // share of the next panel of B; then, late enough that nothing evicts them again, the rows of C;
  // at last nothing.
  const std::int64_t ahead = rows + 36;
  const std::int64_t early = t.steps > ahead ? t.steps - ahead : 0;
  const std::int64_t fetch_c = t.steps - early < rows ? t.steps - early : rows;
  const std::int64_t runs[3] = {early, fetch_c, t.steps - early - fetch_c};
  const char* next = t.prefetch;
  std::int64_t next_step = t.prefetch_step, next_width = 0;
  for (int run = 0; run < 3; ++run) {
    if (run == 1) {
      next = reinterpret_cast<const char*>(t.c);
      next_step = t.ldc * static_cast<std::int64_t>(sizeof(Acc));
      next_width = (t.cols - 1) * static_cast<std::int64_t>(sizeof(Acc));
    }
    if (run == 2) next_step = 0;
    for (std::int64_t p = runs[run]; p > 0; --p) {
      __builtin_prefetch(next);
      __builtin_prefetch(next + next_width);
      next += next_step;
      const typename V::Vec b0 = V::load(b), b1 = V::load(b + lanes);
      TANDEM_UNROLL for (int i = 0; i < rows; ++i) {
        const typename V::Vec ai = V::broadcast(a[i / 3] + (i % 3) * a_row);
        acc[i][0] = V::fma(ai, b0, acc[i][0]);
        acc[i][1] = V::fma(ai, b1, acc[i][1]);
      }
      TANDEM_UNROLL for (int g = 0; g < bases; ++g) a[g] += a_step;
      b += b_step;
    }
  }

  const typename V::Sums::Vec alpha = V::Sums::set(t.alpha), beta = V::Sums::set(t.beta);
  const bool read_c = t.beta != Acc(0);
  const std::int64_t second = t.cols > lanes ? t.cols - lanes : 0;
  const std::int64_t counts[2] = {t.cols - second, second};
  const bool whole = !V::cheap_partial && second == lanes;
  TANDEM_UNROLL for (int i = 0; i < rows; ++i) {
    Acc* c = t.c + i * t.ldc;
    TANDEM_UNROLL for (int j = 0; j < 2; ++j, c += lanes) {
      typename V::Sums::Vec x = V::Sums::mul(alpha, acc[i][j]);
      if (whole) {
        if (read_c) x = V::Sums::fma(beta, V::Sums::load(c), x);
        V::Sums::store(c, x);
      } else {
        if (read_c) x = V::Sums::fma(beta, V::Sums::load(c, counts[j]), x);
        V::Sums::store(c, x, counts[j]);
      }
    }
  }
}

/// C (rows × cols ≤ rows × 4) = alpha·A·Bᵀ + beta·C where rows of A and of B are contiguous: for
/// products so narrow that packing B would cost more than it saves. Vectors run along k.
template <class V, class In, int rows>
TANDEM_GEMM_TARGET void dot_kernel(const DotArgs<In, typename V::Sums::Elem>& t) {
  using Acc = typename V::Sums::Elem;
  constexpr std::int64_t step = V::lanes * V::k_unit;
  typename V::Sums::Vec acc[extent(rows)][extent(dot_cols)];
  const In *a[extent(rows)], *b[extent(dot_cols)];
  TANDEM_UNROLL for (int i = 0; i < rows; ++i) {
    a[i] = t.a + i * t.lda;
    TANDEM_UNROLL for (int j = 0; j < dot_cols; ++j) acc[i][j] = V::Sums::zero();
  }
  // A missing row of B repeats the last one; its results are dropped.
  TANDEM_UNROLL for (int j = 0; j < dot_cols; ++j) {
    b[j] = t.b + (j < t.cols ? j : t.cols - 1) * t.ldb;
  }
  std::int64_t p = 0;
  for (; p + step <= t.k; p += step) {
    typename V::Vec bj[dot_cols];
    TANDEM_UNROLL for (int j = 0; j < dot_cols; ++j) bj[j] = V::load(b[j] + p);
    TANDEM_UNROLL for (int i = 0; i < rows; ++i) {
      const typename V::Vec ai = V::load(a[i] + p);
      TANDEM_UNROLL for (int j = 0; j < dot_cols; ++j) acc[i][j] = V::fma(ai, bj[j], acc[i][j]);
    }
  }
  if (p < t.k) {
    typename V::Vec bj[dot_cols];
    TANDEM_UNROLL for (int j = 0; j < dot_cols; ++j) bj[j] = V::load(b[j] + p, t.k - p);
    TANDEM_UNROLL for (int i = 0; i < rows; ++i) {
      const typename V::Vec ai = V::load(a[i] + p, t.k - p);
      TANDEM_UNROLL for (int j = 0; j < dot_cols; ++j) acc[i][j] = V::fma(ai, bj[j], acc[i][j]);
    }
  }
  TANDEM_UNROLL for (int i = 0; i < rows; ++i) {
    Acc sums[dot_cols];
    V::Sums::sum4(acc[i][0], acc[i][1], acc[i][2], acc[i][3], sums);
    Acc* c = t.c + i * t.ldc;
    for (int j = 0; j < t.cols; ++j) {
      c[j] = t.beta != Acc(0) ? t.alpha * sums[j] + t.beta * c[j] : t.alpha * sums[j];
    }
  }
}

/// Packs a panel whose source is contiguous along the inner dimension: lanes × lanes elements at a
/// time are read as rows, transposed in registers and written as columns.
template <class V, class In, int width>
TANDEM_GEMM_TARGET void pack_along_k(const In* source, std::int64_t ld, std::int64_t count,
                                     std::int64_t k, void* packed) {
  using Elem = typename V::Elem;
  constexpr int lanes = V::lanes;
  constexpr std::int64_t step = lanes * V::k_unit;
  Elem* out = static_cast<Elem*>(packed);
  constexpr int pack_ahead = 2;  // so many short streams are beyond what hardware prefetches
  const std::int64_t units = ceil_div(k, V::k_unit);
  for (std::int64_t u = 0; u < units; u += lanes, out += lanes * width) {
    const std::int64_t left = k - u * V::k_unit;
    const std::int64_t columns = units - u < lanes ? units - u : lanes;
    for (int w = 0; w < width; w += lanes) {
      typename V::Vec block[extent(lanes)];
      const In* from = source + w * ld + u * V::k_unit;
      TANDEM_UNROLL for (int i = 0; i < lanes; ++i) {
        if (w + i >= count || w + i >= width) {
          block[i] = V::zero();
        } else if (left >= step) {
          block[i] = V::load(from + i * ld);
          __builtin_prefetch(from + i * ld + pack_ahead * step);
        } else {
          block[i] = V::load(from + i * ld, left);
        }
      }
      V::transpose(block);
      // Where the panel is narrower than a vector, a full store spills into the next step, which is
      // written later; only the last step of the panel must not.
      Elem* to = out + w;
      const std::int64_t part = width - w < lanes ? width - w : lanes;
      if (columns == lanes && (part == lanes || (width < lanes && u + lanes < units))) {
        TANDEM_UNROLL for (int p = 0; p < lanes; ++p) V::store(to + p * width, block[p]);
      } else {
        TANDEM_UNROLL for (int p = 0; p < lanes; ++p) {
          if (p < columns) V::store(to + p * width, block[p], part);
        }
      }
    }
  }
}

/// Packed elements of neighbouring columns: those of row p or, in pairs, of p and q (null: zeros).
template <class V, class In, class... Count>
TANDEM_ALWAYS_INLINE TANDEM_GEMM_TARGET typename V::Vec packed_row(const In* p, const In* q,
                                                                   Count... count) {
  if constexpr (V::k_unit == 1) {
    return V::load(p, count...);
  } else {
    return V::combine(p, q, count...);
  }
}

/// Packs a panel whose source is contiguous across the inner dimension: row by row.
template <class V, class In, int width>
TANDEM_GEMM_TARGET void pack_across_k(const In* source, std::int64_t ld, std::int64_t count,
                                      std::int64_t k, void* packed) {
  using Elem = typename V::Elem;
  constexpr int lanes = V::lanes;
  Elem* out = static_cast<Elem*>(packed);
  for (std::int64_t p = 0; p < k; p += V::k_unit, source += V::k_unit * ld, out += width) {
    // An odd k leaves the second half of the last pair without a row.
    const In* second = p + V::k_unit <= k ? source + (V::k_unit - 1) * ld : nullptr;
    TANDEM_UNROLL for (int w = 0; w < width; w += lanes) {
      const int part = width - w < lanes ? width - w : lanes;
      if (part == lanes && count - w >= lanes && second != nullptr) {
        V::store(out + w, packed_row<V>(source + w, second + w));
      } else {
        const std::int64_t have = count - w < part ? count - w : part;
        const auto x =
            have <= 0 ? V::zero() : packed_row<V>(source + w, second ? second + w : nullptr, have);
        // As above: a narrow panel may spill into its next step.
        if (width < lanes && p + V::k_unit < k) {
          V::store(out + w, x);
        } else {
          V::store(out + w, x, part);
        }
      }
    }
  }
}

/// The epilogue on `n` ≤ lanes neighbours of one row of C: full vectors without counting.
template <class X, bool full>
TANDEM_ALWAYS_INLINE void finish_vector(const Epilogue<typename X::value_type>& e, std::int64_t row,
                                        std::int64_t col, typename X::value_type* c,
                                        std::int64_t n) {
  using Acc = typename X::value_type;
  X x = full ? X::load(c) : X::load_partial(c, n);
  if (e.bias != nullptr) x += full ? X::load(e.bias + col) : X::load_partial(e.bias + col, n);
  if (e.pre_activation != nullptr) {
    Acc* pre = e.pre_activation + row * e.ld_pre + col;
    full ? x.store(pre) : x.store_partial(pre, n);
  }
  x = formula::activate(e.activation, x);
  if (e.residual != nullptr) {
    const Acc* residual = e.residual + row * e.ld_residual + col;
    x += full ? X::load(residual) : X::load_partial(residual, n);
  }
  full ? x.store(c) : x.store_partial(c, n);
}

/// The epilogue on a finished tile of C at (row, col).
template <class X>
TANDEM_GEMM_TARGET void finish_tile(const Epilogue<typename X::value_type>& e, std::int64_t row,
                                    std::int64_t col, std::int64_t rows, std::int64_t cols,
                                    typename X::value_type* c, std::int64_t ldc) {
  for (std::int64_t i = 0; i < rows; ++i) {
    std::int64_t j = 0;
    for (; j + X::size <= cols; j += X::size) {
      finish_vector<X, true>(e, row + i, col + j, c + i * ldc + j, X::size);
    }
    if (j < cols) finish_vector<X, false>(e, row + i, col + j, c + i * ldc + j, cols - j);
  }
}

/// The table of kernels; rows are the heights 1 … n of the micro tile.
template <class V, class In, int... i, int... d>
Kernels<In, typename V::Sums::Elem> make_kernels(const char* name, std::int64_t k_block,
                                                 std::integer_sequence<int, i...>,
                                                 std::integer_sequence<int, d...>) {
  constexpr int rows = sizeof...(i), cols = 2 * V::lanes;
  return {.name = name,
          .rows = rows,
          .cols = cols,
          .k_unit = V::k_unit,
          .k_multiple = V::k_unit,
          .element_size = sizeof(typename V::Elem),
          .k_block = k_block,
          .reads_unpacked = std::is_same_v<In, typename V::Elem>,
          .even_rows = true,
          .micro = {micro_kernel<V, i + 1>...},
          .micro_in_rows = {},
          .rows_read = 1,
          .pack_a_along_k = pack_along_k<V, In, rows>,
          .pack_a_across_k = pack_across_k<V, In, rows>,
          .pack_b_along_k = pack_along_k<V, In, cols>,
          .pack_b_across_k = pack_across_k<V, In, cols>,
          .dot = {dot_kernel<V, In, d + 1>...},
          .dot_side = 24,
          .finish = finish_tile<Vec<typename V::Sums::Elem, V::lanes>>,
          .begin = nullptr,
          .end = nullptr};
}

#endif  // TANDEM_GEMM_TARGET
