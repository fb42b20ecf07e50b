#pragma once
/// View: one step from a tensor's layout to another layout of the same memory.
///
/// A view is kept as data, not as a closure, so that autograd can apply the same step to the buffer
/// of the gradient: the backward of every view is "the same view of the gradient".

#include <cstdint>

#include "tandem/tensor/loop.hpp"
#include "tandem/tensor/shape.hpp"

TANDEM_NAMESPACE_BEGIN

/// Sizes, strides and the first element of a strided array.
struct Layout {
  Shape shape;              ///< sizes
  Strides strides;          ///< in elements; 0 where a dimension repeats
  std::int64_t offset = 0;  ///< of the first element, in elements
};

/// True when the elements lie densely in row-major order.
inline bool is_contiguous(const Shape& shape, const Strides& strides) {
  std::int64_t expected = 1;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    if (shape[d] == 1) continue;
    if (shape[d] == 0) return true;
    if (strides[d] != expected) return false;
    expected *= shape[d];
  }
  return true;
}

/// How a view is made of its base: what autograd records of slice(), permute() and the others.
struct View {
  enum Kind : std::uint8_t {
    slice,    ///< dim, begin, step; `sizes[0]` elements are kept
    select,   ///< dim, begin; the dimension is dropped
    permute,  ///< sizes = the order of the old dimensions
    reshape,  ///< sizes = the new shape, same elements in the same order
    expand,   ///< sizes = the new shape, repeated by stride 0
    copy,     ///< same layout in fresh dense memory (contiguous(), clone())
  };
  Kind kind = copy;        ///< which of them, and so what the numbers mean
  int dim = 0;             ///< a dimension of the base
  std::int64_t begin = 0;  ///< the first position kept
  std::int64_t step = 1;
  Shape sizes = {};  ///< sizes or an order of dimensions, by kind

  /// The name of the kind, for messages.
  const char* name() const {
    constexpr const char* names[] = {"slice", "select", "permute", "reshape", "expand", "copy"};
    return names[kind];
  }
};

namespace detail {

/// Strides under which an array of `shape`/`strides` reads as `to` without moving an element;
/// false when there are none. Both have the same number of elements.
inline bool reshape_strides(const Shape& shape, const Strides& strides, const Shape& to,
                            Strides& out) {
  out = contiguous_strides(to);
  if (to.numel() <= 1 || is_contiguous(shape, strides)) return true;
  // Merge evenly spaced neighbours into runs, then cut the new sizes out of the runs, both from
  // the right; a new dimension that would span two runs has no stride.
  Shape run_sizes;
  Strides run_steps;
  for (int d = shape.rank() - 1; d >= 0; --d) {
    if (shape[d] == 1) continue;
    const int last = run_sizes.rank() - 1;
    if (last >= 0 && strides[d] == run_steps[last] * run_sizes[last]) {
      run_sizes[last] *= shape[d];
    } else {
      run_sizes.push_back(shape[d]);
      run_steps.push_back(strides[d]);
    }
  }
  int run = 0;
  std::int64_t taken = 1;  // elements of the current run that are already used
  for (int d = to.rank() - 1; d >= 0; --d) {
    if (to[d] == 1) continue;
    if (taken == run_sizes[run]) {
      ++run;
      taken = 1;
    }
    if ((run_sizes[run] / taken) % to[d] != 0) return false;
    out[d] = run_steps[run] * taken;
    taken *= to[d];
  }
  return true;
}

/// The layout after `view`; throws with the view's name when the arguments do not fit.
inline Layout apply_view(const View& view, const Layout& in) {
  Layout out = in;
  switch (view.kind) {
    case View::slice:
      out.shape[view.dim] = view.sizes[0];
      out.strides[view.dim] = in.strides[view.dim] * view.step;
      out.offset += view.begin * in.strides[view.dim];
      break;
    case View::select:
      out.offset += view.begin * in.strides[view.dim];
      out.shape.erase(view.dim);
      out.strides.erase(view.dim);
      break;
    case View::permute:
      for (int d = 0; d < in.shape.rank(); ++d) {
        out.shape[d] = in.shape[static_cast<int>(view.sizes[d])];
        out.strides[d] = in.strides[static_cast<int>(view.sizes[d])];
      }
      break;
    case View::reshape:
      TANDEM_CHECK(reshape_strides(in.shape, in.strides, view.sizes, out.strides), "view",
                   "a tensor of shape ", in.shape, " and strides ", in.strides,
                   " cannot be seen as ", view.sizes, " without a copy: use reshape()");
      out.shape = view.sizes;
      break;
    case View::expand:
      out.strides = broadcast_strides(in.shape, in.strides, view.sizes);
      out.shape = view.sizes;
      break;
    case View::copy:
      out.strides = contiguous_strides(in.shape);
      out.offset = 0;
      break;
  }
  return out;
}

}  // namespace detail

TANDEM_NAMESPACE_END
