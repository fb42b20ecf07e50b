#pragma once
/// Making tensors: zeros, ones, full, arange, linspace, eye, and from values in the source.

#include <cstdint>
#include <initializer_list>
#include <type_traits>
#include <vector>

#include "tandem/tensor/scalar.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN

/// A tensor of `shape` with every element `value`, a number that T holds: not 300 for uint8, nor
/// 0.5 for an integer, nor 1e300 for float.
///
///   full<float>({2, 2}, 7);   // → [[7., 7.], [7., 7.]]
template <Element T, class S>
requires(std::is_arithmetic_v<S> ||
         std::is_same_v<S, T>) Tensor<T> full(const Shape& shape, S value,
                                              Device device = Device::cpu()) {
  const T element = detail::scalar_element<T>("full", value);
  Tensor<T> out(shape, device);
  out.fill_(element);
  return out;
}
template <Element T>
Tensor<T> zeros(const Shape& shape, Device device = Device::cpu()) {
  Tensor<T> out(shape, device);
  out.zero_();
  return out;
}
template <Element T>
Tensor<T> ones(const Shape& shape, Device device = Device::cpu()) {
  return full<T>(shape, T(1), device);
}
/// Uninitialised.
template <Element T>
Tensor<T> empty(const Shape& shape, Device device = Device::cpu()) {
  return Tensor<T>(shape, device);
}
/// Of the shape and on the device of `like`: uninitialised, all 0, all 1.
///
///   zeros<float>({2});                 // → [0., 0.]
///   ones<std::int64_t>({2});           // → [1, 1]
///   ones_like(zeros<float>({1, 2}));   // → [[1., 1.]]
template <Element T>
Tensor<T> empty_like(const Tensor<T>& like) {
  return Tensor<T>(like.shape(), like.device());
}
template <Element T>
Tensor<T> zeros_like(const Tensor<T>& like) {
  return zeros<T>(like.shape(), like.device());
}
template <Element T>
Tensor<T> ones_like(const Tensor<T>& like) {
  return ones<T>(like.shape(), like.device());
}

/// begin, begin + step, … below end: ⌈(end − begin)/step⌉ elements. An integer type drops
/// fractions; the first and the last must lie in its range.
///
///   arange<float>(1, 2, 0.25);   // → [1., 1.25, 1.5, 1.75]
///   arange<std::int64_t>(5);     // → [0, 1, 2, 3, 4]
template <Element T>
Tensor<T> arange(double begin, double end, double step = 1) {
  TANDEM_CHECK(step != 0 && (end - begin) / step < 9e18, "arange", "bad range: ", begin, " to ",
               end, " by ", step);
  const double count = __builtin_ceil((end - begin) / step);
  Tensor<T> out(Shape{count > 0 ? static_cast<std::int64_t>(count) : 0});
  if (count > 0) {
    detail::require_in_range<T>("arange", begin);
    detail::require_in_range<T>("arange", begin + (count - 1) * step);
  }
  T* p = out.mutable_data();
  for (std::int64_t i = 0; i < out.numel(); ++i) {
    p[i] = detail::convert_element<T>(begin + static_cast<double>(i) * step);
  }
  return out;
}
/// 0, 1, …, n − 1.
template <Element T>
Tensor<T> arange(std::int64_t n) {
  return arange<T>(0.0, static_cast<double>(n));
}
/// `count` evenly spaced values from `first` to `last`, both included and both in T's range.
///
///   linspace<float>(0, 1, 5);   // → [0., 0.25, 0.5, 0.75, 1.]
template <Element T>
Tensor<T> linspace(double first, double last, std::int64_t count) {
  if (count > 0) detail::require_in_range<T>("linspace", first);
  if (count > 1) detail::require_in_range<T>("linspace", last);
  Tensor<T> out(Shape{count});
  T* p = out.mutable_data();
  for (std::int64_t i = 0; i < count; ++i) {
    const double share = count > 1 ? static_cast<double>(i) / static_cast<double>(count - 1) : 0.0;
    p[i] = detail::convert_element<T>(i + 1 == count && count > 1 ? last
                                                                  : first + share * (last - first));
  }
  return out;
}
/// The n × n identity.
///
///   eye<float>(2);   // → [[1., 0.], [0., 1.]]
template <Element T>
Tensor<T> eye(std::int64_t n) {
  Tensor<T> out = zeros<T>({n, n});
  T* p = out.mutable_data();
  for (std::int64_t i = 0; i < n; ++i) p[i * (n + 1)] = T(1);
  return out;
}

/// The elements of `values` in row-major order.
///
///   from_vector<float>(std::vector<int>{1, 2, 3, 4}, {2, 2});   // → [[1., 2.], [3., 4.]]
template <Element T, class V>
Tensor<T> from_vector(const std::vector<V>& values, const Shape& shape) {
  TANDEM_CHECK(shape.numel() == static_cast<std::int64_t>(values.size()), "from_vector", "shape ",
               shape, " needs ", shape.numel(), " values, ", values.size(), " were given");
  Tensor<T> out(shape);
  T* p = out.mutable_data();
  for (std::size_t i = 0; i < values.size(); ++i) {
    p[i] = detail::convert_element<T>(static_cast<V>(values[i]));
  }
  return out;
}
template <Element T>
Tensor<T> from_vector(const std::vector<T>& values) {
  return from_vector<T, T>(values, Shape{static_cast<std::int64_t>(values.size())});
}

/// tensor<float>(3) is a scalar of shape ().
template <Element T>
Tensor<T> tensor(T value) {
  return full<T>({}, value);
}
/// tensor<float>({1, 2, 3}) has shape (3,).
template <Element T>
Tensor<T> tensor(std::initializer_list<T> values) {
  Tensor<T> out(Shape{static_cast<std::int64_t>(values.size())});
  T* p = out.mutable_data();
  for (T value : values) *p++ = value;
  return out;
}
/// tensor<float>({{1, 2}, {3, 4}}) has shape (2, 2); rows must be equally long.
template <Element T>
Tensor<T> tensor(std::initializer_list<std::initializer_list<T>> rows) {
  const auto columns = rows.size() > 0 ? rows.begin()->size() : 0;
  Tensor<T> out(Shape{static_cast<std::int64_t>(rows.size()), static_cast<std::int64_t>(columns)});
  T* p = out.mutable_data();
  for (const auto& row : rows) {
    TANDEM_CHECK(row.size() == columns, "tensor", "rows differ in length: ", columns, " and ",
                 row.size());
    for (T value : row) *p++ = value;
  }
  return out;
}

TANDEM_NAMESPACE_END
