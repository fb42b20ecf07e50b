#pragma once
/// Tensor<T>: a strided n-dimensional array with shared memory and, when asked, a gradient.
///
///   Tensor<float> x = tensor<float>({{1, 2, 3}, {4, 5, 6}});   // → (2, 3)
///   Tensor<float> column = x.select(1, 0);                     // → [1., 4.]   a view
///   Tensor<float> y = x.transpose(0, 1).contiguous();          // → (3, 2)     a copy
///
/// Only the element type is a template parameter; shapes are run-time values. Copying a Tensor
/// copies a reference: both see the same elements. Views share memory too. `data()` reads,
/// `mutable_data()` writes and counts as an in-place change, so that backward notices when a saved
/// tensor changed.
///
///   x[0].copy_(y);   // writes into x; `x[0] = y` would rename a temporary: does not compile

#include <cstdint>
#include <initializer_list>
#include <type_traits>
#include <vector>

#include "tandem/tensor/absent.hpp"
#include "tandem/tensor/dtype.hpp"
#include "tandem/tensor/grad_node.hpp"
#include "tandem/tensor/overlap.hpp"
#include "tandem/tensor/scalar.hpp"
#include "tandem/tensor/storage.hpp"
#include "tandem/tensor/view.hpp"

TANDEM_NAMESPACE_BEGIN

template <Element T>
class Tensor;

namespace detail {

template <class T>
struct TensorImpl final : RefCounted {
  Ref<Storage> storage;
  Layout layout;
  std::int64_t numel = 0;
  bool contiguous = true;
  Ref<GradNode> node;
};

template <class T>
struct TensorPlace;  // place.hpp

/// Defined by the headers that they name. Members that these define take one, so that a call
/// without the header does not compile, and the message names it; else the linker would miss them.
template <class T>
struct include_tandem_autograd_hpp;
template <class T>
struct include_tandem_ops_to_hpp;

/// Copies `from` into `to` (same shape, any strides, both on the CPU); defined in copy.hpp.
template <class To, class From>
void strided_copy(const Shape& shape, To* to, const Strides& to_strides, const From* from,
                  const Strides& from_strides);

}  // namespace detail

/// The `end` of a slice that goes to the end of its dimension.
inline constexpr std::int64_t to_end = INT64_MAX;

template <Element T>
class Tensor {
 public:
  using value_type = T;

  /// An undefined tensor: no shape, no memory; `defined()` is false.
  Tensor() = default;
  Tensor(const Tensor& other) noexcept : impl_(other.impl_), absent_(other.absent_) {}
  Tensor(Tensor&& other) noexcept
      : impl_(static_cast<Ref<detail::TensorImpl<T>>&&>(other.impl_)),
        absent_(std::exchange(other.absent_, detail::Absent::moved)) {
    if (other.place_) [[unlikely]]
      inherit_place(other);
  }
  ~Tensor() {
    if (place_) [[unlikely]]
      leave_place();
  }
  /// Makes this variable refer to what `other` refers to; elements are copied by copy_().
  Tensor& operator=(const Tensor& other) & noexcept {
    impl_ = other.impl_;
    absent_ = other.absent_;
    return *this;
  }
  Tensor& operator=(Tensor&& other) & noexcept {
    impl_ = static_cast<Ref<detail::TensorImpl<T>>&&>(other.impl_);
    absent_ = std::exchange(other.absent_, detail::Absent::moved);
    return *this;
  }
  /// `x[0] = y`, `x.slice(…) = y` would rename a temporary and leave x as it is: write
  /// x[0].copy_(y).
  Tensor& operator=(const Tensor& other) && = delete;
  Tensor& operator=(Tensor&& other) && = delete;
  /// Uninitialised elements. Factories that fill: zeros, ones, full, tensor, rand … (factory.hpp).
  explicit Tensor(const Shape& shape, Device device = Device::cpu()) {
    const std::int64_t n = shape.numel();
    std::int64_t bytes = 0;
    TANDEM_CHECK(!__builtin_mul_overflow(n, static_cast<std::int64_t>(sizeof(T)), &bytes), "tensor",
                 "too many bytes for shape ", shape);
    impl_ = make_ref<detail::TensorImpl<T>>();
    impl_->storage = detail::storage_for(shape, bytes, device);
    impl_->layout = {shape, contiguous_strides(shape), 0};
    impl_->numel = n;
  }
  /// A tensor over existing storage; the layout must lie inside it.
  Tensor(Ref<Storage> storage, const Layout& layout) {
    std::int64_t lowest = layout.offset, highest = layout.offset;
    const std::int64_t n = layout.shape.numel();
    for (int d = 0; d < layout.shape.rank() && n > 0; ++d) {
      const std::int64_t reach = (layout.shape[d] - 1) * layout.strides[d];
      (reach < 0 ? lowest : highest) += reach;
    }
    TANDEM_CHECK(n == 0 || (lowest >= 0 &&
                            highest < storage->bytes() / static_cast<std::int64_t>(sizeof(T))),
                 "tensor", "shape ", layout.shape, " with strides ", layout.strides,
                 " does not fit into ", storage->bytes(), " bytes");
    impl_ = make_ref<detail::TensorImpl<T>>();
    impl_->storage = static_cast<Ref<Storage>&&>(storage);
    set_layout(layout);
  }

  // --- what it is -----------------------------------------------------------------------------
  /// False for an undefined tensor, which has no shape and no memory.
  bool defined() const { return static_cast<bool>(impl_); }
  /// Why not, if it is not defined().
  detail::Absent absence() const { return absent_; }
  /// Sizes, strides in elements, and the first element's place in the storage; layout() has all
  /// three.
  const Shape& shape() const { return impl("shape").layout.shape; }
  const Strides& strides() const { return impl("strides").layout.strides; }
  std::int64_t offset() const { return impl("offset").layout.offset; }
  const Layout& layout() const { return impl("layout").layout; }
  /// Number of dimensions.
  int rank() const { return rank_for("rank"); }
  /// Number of elements.
  std::int64_t numel() const { return impl("numel").numel; }
  /// The size of one dimension; negative counts from the end.
  std::int64_t size(Dim dim) const {
    const Shape& all = impl("size").layout.shape;
    return all[normalize_dim("size", dim, all.rank())];
  }
  /// Where the elements are.
  Device device() const { return impl("device").storage->device(); }
  /// The element type as a value at run time.
  static constexpr DType dtype() { return dtype_of<T>; }
  /// True when the elements lie densely in row-major order.
  bool is_contiguous() const { return impl("is_contiguous").contiguous; }
  /// The memory, which views share.
  const Ref<Storage>& storage() const { return impl("storage").storage; }
  /// How often the memory was changed in place.
  std::uint64_t version() const { return impl("version").storage->version(); }
  /// True when this handle is the only one to the tensor and the tensor the only one to its memory.
  bool is_unshared() const {
    return impl().use_count() == 1 && impl().storage->use_count() == 1 &&
           impl().storage->writable();
  }
  /// True when both are views of the same elements in the same layout.
  bool is_same(const Tensor& other) const { return impl_ == other.impl_; }

  // --- elements -------------------------------------------------------------------------------
  /// The first element; the others follow `strides()`. Throws for a tensor that the CPU cannot
  /// read.
  const T* data() const {
    require_cpu_memory("data");
    return device_data();
  }
  /// As data(), for writing; counts as an in-place change.
  T* mutable_data() const {
    require_cpu_memory("mutable_data");
    return mutable_device_data();
  }
  /// As data(), on whatever device the tensor is: what a kernel of that device takes.
  const T* device_data() const { return static_cast<const T*>(impl().storage->data()) + offset(); }
  /// As device_data(), for writing; counts as an in-place change.
  T* mutable_device_data() const {
    TANDEM_CHECK(impl().storage->writable(), "tensor",
                 "this tensor borrows read-only memory: clone() it before changing it");
    impl().storage->bump_version();
    return static_cast<T*>(impl().storage->data()) + offset();
  }
  /// The only element of a tensor with one element.
  T item() const {
    TANDEM_CHECK(impl("item").numel == 1, "item", "a tensor of shape ", shape(), " has ", numel(),
                 " elements, not one");
    if (device().is_cpu()) return *data();
    T value;
    cuda_interface().copy_to_host(device().index(), &value, device_data(), sizeof(T));
    return value;
  }
  /// One element by its index, negative indices count from the end: x.at({0, -1}).
  T at(std::initializer_list<std::int64_t> index) const {
    const std::int64_t where = element("at", index);  // which checks the device by this name
    return *(data() + where);
  }
  /// Changes one element to a number that T holds.
  template <class S>
  requires(std::is_arithmetic_v<S> ||
           std::is_same_v<S, T>) void set(std::initializer_list<std::int64_t> index,
                                          S value) const {
    refuse_in_place("set");
    refuse_shared_elements("set");
    const std::int64_t where = element("set", index);
    const T number = detail::scalar_element<T>("set", value);
    *(mutable_data() + where) = number;
  }
  /// The elements in row-major order.
  std::vector<T> to_vector() const {
    const Tensor dense = alias(impl("to_vector").layout).cpu_copy();
    const T* p = dense.data();
    return std::vector<T>(p, p + dense.numel());
  }

  // --- views (no copy; gradients flow through) ---------------------------------------------------
  /// Elements begin, begin+step, … below end along `dim`; negative positions count from the end.
  ///
  ///   const auto x = arange<float>(6);
  ///   x.slice(0, 1, -1);          // → [1., 2., 3., 4.]   all but the first and the last
  ///   x.slice(0, -3);             // → [3., 4., 5.]   without `end`, to the end
  ///   x.slice(0, 1, to_end, 2);   // → [1., 3., 5.]
  Tensor slice(Dim dim, std::int64_t begin, std::int64_t end = to_end,
               std::int64_t step = 1) const {
    const int d = normalize_dim("slice", dim, rank_for("slice"));
    const std::int64_t n = shape()[d];
    if (end == to_end) end = n;
    TANDEM_CHECK(step >= 1, "slice", "the step must be at least 1, it is ", step);
    if (begin < 0) begin += n;
    if (end < 0) end += n;
    TANDEM_CHECK(begin >= 0 && begin <= n && end >= begin && end <= n, "slice", "range [", begin,
                 ", ", end, ") does not lie in dimension ", d, " of shape ", shape());
    if (step > n) step = n > 0 ? n : 1;  // one element or none: no product below overflows
    return view_of({.kind = View::slice,
                    .dim = d,
                    .begin = begin,
                    .step = step,
                    .sizes = {(end - begin + step - 1) / step}});
  }
  /// Index `index` of `dim`, which is dropped.
  Tensor select(Dim dim, std::int64_t index) const {
    const int d = normalize_dim("select", dim, rank_for("select"));
    const std::int64_t n = shape()[d], at = index < 0 ? index + n : index;
    TANDEM_CHECK(at >= 0 && at < n, "select", "index ", index, " is out of range for dimension ", d,
                 " of shape ", shape());
    return view_of({.kind = View::select, .dim = d, .begin = at});
  }
  /// x[i] is x.select(0, i).
  Tensor operator[](std::int64_t index) const { return select(0, index); }
  /// Dimension d of the result is dimension order[d] of this.
  Tensor permute(const Shape& order) const {
    TANDEM_CHECK(order.rank() == rank_for("permute"), "permute", "an order of ", order.rank(),
                 " dimensions was given for shape ", shape());
    Shape normal;
    unsigned seen = 0;
    for (std::int64_t d : order) {
      const int at = normalize_dim("permute", d, rank());
      TANDEM_CHECK((seen >> at & 1u) == 0, "permute", "dimension ", at, " appears twice in ",
                   order);
      seen |= 1u << at;
      normal.push_back(at);
    }
    return view_of({.kind = View::permute, .sizes = normal});
  }
  /// Exchanges two dimensions.
  Tensor transpose(Dim a, Dim b) const {
    Shape order;
    for (int d = 0; d < rank_for("transpose"); ++d) order.push_back(d);
    const int da = normalize_dim("transpose", a, rank()),
              db = normalize_dim("transpose", b, rank());
    order[da] = db;
    order[db] = da;
    return permute(order);
  }
  /// The same elements in another shape; one size may be −1. Throws when that needs a copy.
  Tensor view(const Shape& sizes) const {
    return view_of({.kind = View::reshape, .sizes = inferred("view", sizes)});
  }
  /// As view(), copying first when the layout requires it.
  Tensor reshape(const Shape& sizes) const {
    const Shape to = inferred("reshape", sizes);
    Strides ignored;
    const bool viewable = detail::reshape_strides(shape(), strides(), to, ignored);
    return (viewable ? *this : contiguous()).view_of({.kind = View::reshape, .sizes = to});
  }
  /// Dimensions [first, last] merged into one.
  Tensor flatten(Dim first = 0, Dim last = -1) const {
    if (rank_for("flatten") == 0) return reshape({1});
    const int a = normalize_dim("flatten", first, rank()),
              b = normalize_dim("flatten", last, rank());
    TANDEM_CHECK(a <= b, "flatten", "the first dimension ", a, " comes after the last, ", b);
    Shape to;
    std::int64_t merged = 1;
    for (int d = 0; d < rank(); ++d) {
      if (d < a || d > b) {
        to.push_back(shape()[d]);
      } else {
        merged *= shape()[d];
        if (d == b) to.push_back(merged);
      }
    }
    return reshape(to);
  }
  /// Repeats dimensions of size 1 (and new leading ones) without copying.
  Tensor expand(const Shape& sizes) const {
    TANDEM_CHECK(broadcast_shapes("expand", impl("expand").layout.shape, sizes) == sizes, "expand",
                 "shape ", shape(), " does not expand to ", sizes);
    return view_of({.kind = View::expand, .sizes = sizes});
  }
  /// Drops a dimension of size 1.
  Tensor squeeze(Dim dim) const {
    const int d = normalize_dim("squeeze", dim, rank_for("squeeze"));
    TANDEM_CHECK(shape()[d] == 1, "squeeze", "dimension ", d, " of shape ", shape(), " is not 1");
    Shape to = shape();
    to.erase(d);
    return view(to);
  }
  /// Inserts a dimension of size 1 before `dim`.
  Tensor unsqueeze(Dim dim) const {
    Shape to = impl("unsqueeze").layout.shape;
    to.insert(normalize_dim("unsqueeze", dim, rank() + 1), 1);
    return view(to);
  }

  // --- copies (gradients flow through) -----------------------------------------------------------
  /// This tensor if it is dense, a dense copy otherwise.
  Tensor contiguous() const { return impl("contiguous").contiguous ? *this : clone(); }
  /// A dense copy in memory of its own.
  Tensor clone() const {
    (void)impl("clone");
    return view_of({.kind = View::copy});
  }
  /// The same elements without the link to the graph.
  Tensor detach() const {
    Tensor out = alias(impl("detach").layout);
    return out;
  }

  // --- in-place changes (refused where a gradient would be lost, or elements share memory)
  // ---------
  /// Sets every element to a number that T holds.
  template <class S>
  requires(std::is_arithmetic_v<S> || std::is_same_v<S, T>) const Tensor& fill_(S number) const {
    refuse_in_place("fill_");
    refuse_shared_elements("fill_");
    const T value = detail::scalar_element<T>("fill_", number);
    if (device().is_cpu()) {
      detail::strided_copy(shape(), mutable_data(), strides(), &value, Shape::filled(rank(), 0));
    } else if (is_contiguous()) {
      std::uint64_t bits = 0;
      std::memcpy(&bits, &value, sizeof(T));
      cuda_interface().fill(device().index(), mutable_device_data(), sizeof(T), bits, numel());
    } else {
      const Tensor one(Shape(), device());
      one.fill_(value);
      copy_elements(one);
    }
    return *this;
  }
  /// As fill_(0).
  const Tensor& zero_() const {
    (void)impl("zero_");
    return fill_(T(0));
  }
  /// Copies `from`, broadcast to this shape, into this tensor. `from` may be a view of the same
  /// memory: the result is as if it had been copied out first.  Errors: this tensor was expanded;
  /// `from` needs a gradient.
  const Tensor& copy_(const Tensor& from) const {
    refuse_in_place("copy_");
    detail::require_defined("copy_", "from", from);
    TANDEM_CHECK(!(grad_mode() && from.requires_grad()), "copy_",
                 "has no backward, but what is copied needs a gradient: detach() it or use NoGrad");
    copy_elements(from);
    return *this;
  }

  // --- gradients (defined in tandem/autograd.hpp) --------------------------------------------
  using NeedsAutograd = detail::include_tandem_autograd_hpp<T>;
  /// True when a gradient flows back to this tensor.
  bool requires_grad() const { return static_cast<bool>(impl("requires_grad").node); }
  /// True when no recorded op made this tensor: a parameter, or a tensor without a gradient.
  bool is_leaf() const { return !requires_grad() || impl().node->is_leaf(); }
  /// Makes this tensor a leaf that collects a gradient (or stops it from doing so, which forgets
  /// the gradient and cuts it off from what was computed before).
  const Tensor& requires_grad_(bool on = true, NeedsAutograd = {}) const;
  /// The collected gradient of a leaf; undefined before the first backward.
  Tensor grad(NeedsAutograd = {}) const;
  /// Puts `gradient` (same shape) in the place of the collected one; an undefined one forgets it.
  void set_grad(const Tensor& gradient, NeedsAutograd = {}) const;
  /// Gives this tensor, through every variable that refers to it, the memory of `other` (same
  /// shape, any device) in place of its own. It stays the same leaf: optimizers and ties keep it,
  /// and its gradient moves to the new device. Views and detached aliases made before keep the old
  /// memory. Errors: the result of an op; another shape.
  const Tensor& replace_(const Tensor& other, NeedsAutograd = {}) const;
  /// Forgets the gradient.
  void zero_grad() const { set_grad(Tensor()); }
  /// Back-propagates from this one-element tensor with gradient 1.
  void backward(bool retain_graph = false, NeedsAutograd = {}) const;
  /// Back-propagates `cotangent` (same shape) from this tensor.
  void backward(const Tensor& cotangent, bool retain_graph = false, NeedsAutograd = {}) const;

  using NeedsTo = detail::include_tandem_ops_to_hpp<T>;
  /// Moves to another device or element type (defined in ops/to.hpp; gradients flow through).
  Tensor to(Device device, NeedsTo = {}) const;
  template <Element U>
  Tensor<U> to(NeedsTo = {}) const;
  void to(DType) const = delete;  // the type is an argument of the template: x.to<double>()

  // --- for autograd and ops ----------------------------------------------------------------------
  /// The node of the graph that this tensor is the result or the leaf of; null without a gradient.
  const Ref<GradNode>& node() const { return impl().node; }
  /// Makes this tensor the result of `node`, as record() does.
  void set_node(Ref<GradNode> node) const { impl().node = static_cast<Ref<GradNode>&&>(node); }
  /// Where this variable is, for those who must find it again when it was moved (place.hpp).
  const Ref<detail::TensorPlace<T>>& place();
  /// The same memory in another layout, without a link to the graph.
  Tensor alias(const Layout& layout) const {
    Tensor out;
    out.impl_ = make_ref<detail::TensorImpl<T>>();
    out.impl_->storage = impl().storage;
    out.set_layout(layout);
    return out;
  }
  /// Throws when an in-place change would make a recorded gradient wrong.
  void refuse_in_place(const char* op) const {
    TANDEM_CHECK(
        !(impl(op).node && grad_mode()), op, "a tensor that ",
        is_leaf() ? "collects a gradient" : "is part of the graph",
        " cannot be changed in place while gradients are recorded: use NoGrad or detach()");
  }
  /// Throws where several elements are one place in memory, as in a view made by expand().
  void refuse_shared_elements(const char* op) const {
    if (is_contiguous()) return;
    for (int d = 0; d < rank(); ++d) {
      TANDEM_CHECK(shape()[d] <= 1 || strides()[d] != 0 || numel() == 0, op, "dimension ", d,
                   " of shape ", shape(),
                   " was expanded, so its elements share memory: clone() it first");
    }
    TANDEM_CHECK(!detail::overlaps_itself(shape(), strides()), op,
                 "the elements of a tensor of shape ", shape(), " and strides ", strides(),
                 " share memory: clone() it first");
  }
  /// For what writes to several tensors: throws where writing to this one would.
  void require_target(const char* op, std::string_view name) const {
    TANDEM_CHECK(impl(op).storage->writable(), op, name,
                 " lies in read-only memory, such as a mapped file: nothing was changed");
    refuse_shared_elements(op);
  }
  /// Copies without the gradient's checks of copy_ (optimizers and loaders run under NoGrad).
  void copy_elements(const Tensor& from) const {
    const Shape common = broadcast_shapes("copy_", shape(), from.shape());
    TANDEM_CHECK(common == shape(), "copy_", "shape ", from.shape(), " does not broadcast to ",
                 shape());
    refuse_shared_elements("copy_");
    if (device() == from.device() && detail::may_share_memory(*this, from)) {
      if (from.shape() == shape() && from.strides() == strides() && from.offset() == offset() &&
          from.storage() == storage()) {
        return;  // onto itself
      }
      return copy_elements(from.detach().clone());
    }
    if (device().is_cpu() && from.device().is_cpu()) {
      const T* source = from.data();
      detail::strided_copy(shape(), mutable_data(), strides(), source,
                           detail::broadcast_strides(from.shape(), from.strides(), shape()));
      return;
    }
    if (numel() > 0) copy_with_device(from);
  }

 private:
  /// What `op`, a member, reads; throws where there is no tensor.
  detail::TensorImpl<T>& impl(const char* op = "tensor") const {
    if (!impl_) [[unlikely]]
      detail::fail_absent(op, {}, absent_);
    return *impl_;
  }
  int rank_for(const char* op) const { return impl(op).layout.shape.rank(); }
  void set_layout(const Layout& layout) const {
    impl_->layout = layout;
    impl_->numel = layout.shape.numel();
    impl_->contiguous = tandem::is_contiguous(layout.shape, layout.strides);
  }
  Tensor view_of(const View& view) const {
    Tensor out;
    if (view.kind == View::copy) {
      out = Tensor(shape(), device());
      out.copy_elements(*this);
    } else {
      out = alias(detail::apply_view(view, layout()));
    }
    if (requires_grad()) out.impl_->node = impl().node->record_view(view, shape());
    return out;
  }
  Tensor cpu_copy() const {
    if (device().is_cpu()) return contiguous();
    Tensor out(shape());
    out.copy_elements(*this);
    return out;
  }
  void copy_with_device(const Tensor& from) const;  // device_copy.hpp
  void require_cpu_memory(const char* op) const {
    TANDEM_CHECK(impl(op).storage->device().is_cpu(), op,
                 "needs a tensor on the CPU, this one is on ", device(),
                 ": move it with .to(Device::cpu())");
  }
  Shape inferred(const char* op, const Shape& sizes) const {
    (void)impl(op);
    Shape out = sizes;
    std::int64_t known = 1;
    int unknown = -1;
    for (int d = 0; d < sizes.rank(); ++d) {
      if (sizes[d] == -1) {
        TANDEM_CHECK(unknown < 0, op, "only one size may be -1: ", sizes);
        unknown = d;
      } else {
        TANDEM_CHECK(sizes[d] >= 0 && !__builtin_mul_overflow(known, sizes[d], &known), op,
                     "bad size in ", sizes);
      }
    }
    if (unknown >= 0) {
      TANDEM_CHECK(known > 0 && numel() % known == 0, op, "shape ", shape(), " does not fit into ",
                   sizes);
      out[unknown] = numel() / known;
      known = numel();
    }
    TANDEM_CHECK(known == numel(), op, "shape ", shape(), " has ", numel(), " elements, shape ",
                 sizes, " has ", known);
    return out;
  }
  std::int64_t element(const char* op, std::initializer_list<std::int64_t> index) const {
    require_cpu_memory(op);
    TANDEM_CHECK(static_cast<int>(index.size()) == rank(), op, index.size(),
                 " indices were given for shape ", shape());
    std::int64_t where = 0;
    int d = 0;
    for (std::int64_t i : index) {
      const std::int64_t n = shape()[d];
      TANDEM_CHECK(i >= -n && i < n, op, "index ", i, " is out of range for dimension ", d,
                   " of shape ", shape());
      where += (i < 0 ? i + n : i) * strides()[d++];
    }
    return where;
  }

  void inherit_place(Tensor& other) noexcept;
  void leave_place() noexcept;

  Ref<detail::TensorImpl<T>> impl_;
  detail::Absent absent_ = detail::Absent::undefined;  // only read where impl_ is null
  Ref<detail::TensorPlace<T>> place_;  // null but for the variables that a module has registered
};

TANDEM_NAMESPACE_END

#include "tandem/tensor/copy.hpp"
#include "tandem/tensor/device_copy.hpp"
#include "tandem/tensor/place.hpp"
