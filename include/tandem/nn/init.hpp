#pragma once
/// Initial values of parameters.

#include <utility>

#include "tandem/tensor/finite.hpp"
#include "tandem/tensor/random.hpp"
#include "tandem/tensor/restore.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// Modules made on this thread in this scope get their shapes, but no memory and no random numbers:
/// for loaders that put tensors into the module's slots. Until then a parameter reads as zeros and
/// refuses to be written.
///
///   const nn::SkipInit skip;
///   const nn::Linear<float> layer(1 << 20, 1 << 20, random);   // four terabytes of nothing
///   layer.weight.tensor().shape();                             // → (1048576, 1048576)
class SkipInit {
 public:
  /// True inside such a scope on this thread.
  static bool& active() {
    thread_local bool skipping = false;
    return skipping;
  }
  /// One zero, read-only, repeated to `shape`.
  template <FloatingElement T>
  static Tensor<T> placeholder(const Shape& shape) {
    static T zero{};
    auto storage =
        make_ref<Storage>(&zero, static_cast<std::int64_t>(sizeof(T)), Ref<RefCounted>(), false);
    return Tensor<T>(std::move(storage), Layout{shape, Shape::filled(shape.rank(), 0), 0});
  }

 private:
  const tandem::detail::Restore<bool> outer_{active(), true};
};

/// N(0, deviation²).  Errors: a deviation that is negative or not finite.
template <FloatingElement T>
Tensor<T> normal(const Shape& shape, Generator& random, double deviation) {
  TANDEM_CHECK(deviation >= 0 && is_finite(deviation), "normal",
               "the deviation must be finite and not negative, it is ", deviation);
  if (SkipInit::active()) return SkipInit::placeholder<T>(shape);
  return randn<T>(shape, random, 0, deviation);
}

/// U(−b, b) with b = √(6/(fan_in + fan_out)) for a weight (out, in).        [Glorot & Bengio 2010]
template <FloatingElement T>
Tensor<T> xavier_uniform(const Shape& shape, Generator& random) {
  TANDEM_CHECK(shape.rank() == 2, "xavier_uniform", "expected a shape (out, in), got ", shape);
  if (SkipInit::active()) return SkipInit::placeholder<T>(shape);
  const double bound = __builtin_sqrt(6.0 / static_cast<double>(shape[0] + shape[1]));
  return rand<T>(shape, random, -bound, bound);
}

/// U(−1/√fan_in, 1/√fan_in): PyTorch's default for Linear, Kaiming-uniform with a = √5.
///                                                                             [He et al. 2015]
template <FloatingElement T>
Tensor<T> kaiming_uniform(const Shape& shape, std::int64_t fan_in, Generator& random) {
  if (SkipInit::active()) return SkipInit::placeholder<T>(shape);
  const double bound = fan_in > 0 ? 1 / __builtin_sqrt(static_cast<double>(fan_in)) : 0;
  return rand<T>(shape, random, -bound, bound);
}

}  // namespace nn
TANDEM_NAMESPACE_END
