#pragma once
/// Copies between any two layouts, converting the element type when they differ.

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "tandem/tensor/dtype.hpp"
#include "tandem/tensor/loop.hpp"

TANDEM_NAMESPACE_BEGIN

namespace detail {

/// Converts one element as C++ does; bool is "not zero"; NaN and values out of range of an integer
/// type become its nearest value (0 for NaN) instead of undefined behaviour. Kernels call it too.
template <class To, class From>
TANDEM_FORMULA To convert_element(From value) {
  if constexpr (std::is_same_v<To, From>) {
    return value;
  } else if constexpr (std::is_same_v<From, bfloat16>) {
    return convert_element<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From(0);
  } else if constexpr (std::is_integral_v<To> && std::is_floating_point_v<From>) {
    // 2^digits is exact in every floating type; the largest integer itself may not be.
    const From above = static_cast<From>(2) *
                       static_cast<From>(std::uint64_t{1} << (__CHAR_BIT__ * sizeof(To) -
                                                              (std::is_signed_v<To> ? 2 : 1)));
    const From below = std::is_signed_v<To> ? -above : From(0);
    if (!(value == value)) return To(0);
    if (value >= above)
      return std::is_signed_v<To> ? To(~(To(1) << (__CHAR_BIT__ * sizeof(To) - 1))) : To(~To(0));
    if (value <= below)
      return std::is_signed_v<To> ? To(To(1) << (__CHAR_BIT__ * sizeof(To) - 1)) : To(0);
    return static_cast<To>(value);
  } else if constexpr (std::is_same_v<To, bfloat16>) {
    return bfloat16(static_cast<float>(value));
  } else {
    return static_cast<To>(value);
  }
}

template <class To, class From>
void strided_copy(const Shape& shape, To* to, const Strides& to_strides, const From* from,
                  const Strides& from_strides) {
  const Loop<2> loop = make_loop<2>(shape, {to_strides, from_strides});
  const std::int64_t n = loop.inner, to_step = loop.inner_strides[0],
                     from_step = loop.inner_strides[1];
  // A transpose walks one side against the grain; 16 rows at a time keep its cache lines in use.
  const int outer = loop.shape.rank() - 1;
  if (outer >= 0 && from_step != 1 && to_step == 1 && loop.strides[1][outer] == 1 && n >= 16) {
    Loop<2> planes = loop;
    const std::int64_t rows = loop.shape[outer], row_step = loop.strides[0][outer];
    planes.shape.erase(outer);
    planes.strides[0].erase(outer);
    planes.strides[1].erase(outer);
    planes.for_rows(0, planes.shape.numel(), [&](const std::int64_t(&at)[2]) {
      for (std::int64_t r0 = 0; r0 < rows; r0 += 16) {
        const std::int64_t r1 = r0 + 16 < rows ? r0 + 16 : rows;
        for (std::int64_t i0 = 0; i0 < n; i0 += 16) {
          const std::int64_t i1 = i0 + 16 < n ? i0 + 16 : n;
          for (std::int64_t r = r0; r < r1; ++r) {
            To* out = to + at[0] + r * row_step;
            const From* in = from + at[1] + r;
            for (std::int64_t i = i0; i < i1; ++i) out[i] = convert_element<To>(in[i * from_step]);
          }
        }
      }
    });
    return;
  }
  loop.for_rows(0, loop.rows, [&](const std::int64_t(&at)[2]) {
    To* out = to + at[0];
    const From* in = from + at[1];
    if (to_step == 1 && from_step == 1) {
      if constexpr (std::is_same_v<To, From>) {
        std::memcpy(out, in, static_cast<std::size_t>(n) * sizeof(To));
      } else {
        for (std::int64_t i = 0; i < n; ++i) out[i] = convert_element<To>(in[i]);
      }
    } else if (to_step == 1 && from_step == 0) {
      const To value = convert_element<To>(*in);
      for (std::int64_t i = 0; i < n; ++i) out[i] = value;
    } else {
      for (std::int64_t i = 0; i < n; ++i)
        out[i * to_step] = convert_element<To>(in[i * from_step]);
    }
  });
}

}  // namespace detail

TANDEM_NAMESPACE_END
