#pragma once
/// Matrix: a parameter that its module can also compute with as bfloat16, in half the memory.

#include <type_traits>
#include <utility>

#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// Matrix — tensor() or, where it is kept as bfloat16, bf16(): one of the two is defined. An
/// Embedding has one for its rows; those that are multiplied by are Weights (weight.hpp).
///
///   nn::Embedding<float> table(10, 4, random);
///   nn::Linear<float> out(4, 10, random);
///   out.weight = table.weight;      // ties the two
///   sum(out.forward(ones<float>({4}))).backward();
///   table.weight.tensor().grad();   // → (10, 4)
///
/// It stays where it is, as the module that it is added to does: it is neither copied nor moved.
/// Where it is kept as bfloat16 it is no parameter and not part of the state dict.
template <FloatingElement T>
class Matrix {
 public:
  explicit Matrix(Tensor<T> values) : tensor_(std::move(values)) {}
  virtual ~Matrix() = default;
  Matrix(const Matrix&) = delete;
  /// Ties the two: from now on they are one tensor.
  Matrix& operator=(const Matrix&) = default;
  /// Puts another tensor in its place.
  Matrix& operator=(Tensor<T> values) {
    tensor_ = std::move(values);
    bf16_ = {};
    return *this;
  }

  /// The parameter; undefined where it is kept as bfloat16.
  const Tensor<T>& tensor() const { return tensor_; }
  /// What it is kept as in place of tensor(); undefined where it is not.
  const Tensor<bfloat16>& bf16() const { return bf16_; }
  /// Whether it is kept as bfloat16.
  bool is_bfloat16() const { return bf16_.defined(); }
  /// Keeps `values`, such as the memory of a mapped file, in place of tensor(), which is let go.
  void keep(Tensor<bfloat16> values) requires(std::is_same_v<T, float>) {
    bf16_ = std::move(values);
    tensor_ = {};
  }

  /// Makes the packed copy of what is multiplied by; nothing where nothing is (Weight::pack).
  virtual void pack() {}
  /// Whether there is a packed copy that is still that of this matrix.
  virtual bool is_packed() const { return false; }

 private:
  template <FloatingElement>
  friend class Module;
  Tensor<T> tensor_;
  Tensor<bfloat16> bf16_;
};

}  // namespace nn
TANDEM_NAMESPACE_END
