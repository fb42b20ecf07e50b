#pragma once
/// Shape: up to 8 sizes in place, no allocation. Strides are the same type, counted in elements.

#include <cstdint>
#include <initializer_list>
#include <string>
#include <type_traits>
#include <vector>

#include "tandem/tensor/config.hpp"
#include "tandem/tensor/error.hpp"

TANDEM_NAMESPACE_BEGIN

/// A short list of 64-bit integers: the sizes of a tensor, its strides, or a list of dimensions.
class Shape {
 public:
  static constexpr int max_rank = 8;

  Shape() = default;
  Shape(std::initializer_list<std::int64_t> sizes) {
    for (std::int64_t size : sizes) push_back(size);
  }
  explicit Shape(const std::vector<std::int64_t>& sizes) {
    for (std::int64_t size : sizes) push_back(size);
  }
  /// `rank` times the same value.
  static Shape filled(int rank, std::int64_t value) {
    Shape out;
    for (int d = 0; d < rank; ++d) out.push_back(value);
    return out;
  }

  /// How many integers there are.
  int rank() const { return rank_; }
  std::int64_t operator[](int d) const { return sizes_[d]; }
  std::int64_t& operator[](int d) { return sizes_[d]; }
  /// The integers in order, for loops; back() is the last one.
  const std::int64_t* begin() const { return sizes_; }
  const std::int64_t* end() const { return sizes_ + rank_; }
  std::int64_t back() const { return sizes_[rank_ - 1]; }

  /// Appends one, puts one before place d, takes the one at d away. Errors: more than max_rank.
  void push_back(std::int64_t size) {
    TANDEM_CHECK(rank_ < max_rank, "shape", "a tensor has at most ", max_rank, " dimensions");
    sizes_[rank_++] = size;
  }
  void insert(int d, std::int64_t size) {
    push_back(size);
    for (int i = rank_ - 1; i > d; --i) sizes_[i] = sizes_[i - 1];
    sizes_[d] = size;
  }
  void erase(int d) {
    for (int i = d; i + 1 < max_rank; ++i)
      sizes_[i] = sizes_[i + 1];  // GCC knows that this stays inside
    --rank_;
  }

  bool operator==(const Shape& other) const {
    if (rank_ != other.rank_) return false;
    for (int d = 0; d < rank_; ++d) {
      if (sizes_[d] != other.sizes_[d]) return false;
    }
    return true;
  }

  /// The number of elements; throws when a size is negative or the product of those that are not 0
  /// exceeds 2⁶³ − 1 (strides are such products, also where there are no elements).
  std::int64_t numel() const {
    std::int64_t n = 1;
    bool none = false;
    for (std::int64_t size : *this) {
      TANDEM_CHECK(size >= 0, "shape", "sizes must not be negative: ", str());
      none = none || size == 0;
      TANDEM_CHECK(size == 0 || !__builtin_mul_overflow(n, size, &n), "shape",
                   "too many elements: ", str());
    }
    return none ? 0 : n;
  }

  /// "(2, 3)", "(5,)" and "()", as NumPy prints them.
  std::string str() const {
    std::string out = "(";
    for (int d = 0; d < rank_; ++d) {
      if (d > 0) out += ", ";
      out += std::to_string(sizes_[d]);
    }
    if (rank_ == 1) out += ",";
    return out + ")";
  }

 private:
  std::int64_t sizes_[max_rank] = {};
  int rank_ = 0;
};

using Strides = Shape;

/// Row-major strides of a dense tensor.
inline Strides contiguous_strides(const Shape& shape) {
  Strides strides = Shape::filled(shape.rank(), 1);
  for (int d = shape.rank() - 2; d >= 0; --d) {
    const std::int64_t inner = shape[d + 1] > 1 ? shape[d + 1] : 1;
    strides[d] = strides[d + 1] * inner;
  }
  return strides;
}

/// A number that counts dimensions: any integer but bool.
template <class D>
concept DimensionNumber = std::is_integral_v<D> && !std::is_same_v<D, bool>;

/// One dimension as an op's parameter: an integer. `{}`, which a plain integer would take for 0, is
/// none.
class Dim {
 public:
  template <DimensionNumber D>
  constexpr Dim(D dim) : dim_(static_cast<std::int64_t>(dim)) {}
  constexpr operator std::int64_t() const { return dim_; }

 private:
  std::int64_t dim_;
};

/// Turns a dimension counted from either end into one in [0, rank); throws otherwise.
inline int normalize_dim(const char* op, std::int64_t dim, int rank) {
  TANDEM_CHECK(dim >= -rank && dim < rank, op, "dimension ", dim,
               " is out of range for a tensor of ", rank, " dimensions");
  return static_cast<int>(dim < 0 ? dim + rank : dim);
}

/// The common shape of two under NumPy's rules; throws when there is none.
inline Shape broadcast_shapes(const char* op, const Shape& a, const Shape& b) {
  const int rank = a.rank() > b.rank() ? a.rank() : b.rank();
  Shape out = Shape::filled(rank, 1);
  for (int d = 0; d < rank; ++d) {
    const int da = d - (rank - a.rank()), db = d - (rank - b.rank());
    const std::int64_t na = da >= 0 ? a[da] : 1, nb = db >= 0 ? b[db] : 1;
    TANDEM_CHECK(na == nb || na == 1 || nb == 1, op, "shapes do not broadcast: ", a, " and ", b);
    out[d] = na == 1 ? nb : na;
  }
  return out;
}

TANDEM_NAMESPACE_END
