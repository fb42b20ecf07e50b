#pragma once
/// DLPack: tensors given to other libraries, and taken from them, without a copy.
///
///   dlpack::ManagedTensor* given = to_dlpack(x);           // PyTorch, NumPy, JAX, TVM … take this
///   const Tensor<float> taken = from_dlpack<float>(theirs);   // calls their deleter when it goes
///   taken.shape();                                         // → (2, 3)
///
/// The structures are those of DLPack 1.0 (dmlc.github.io/dlpack, "C API"): DLManagedTensor, which
/// every library knows, and DLManagedTensorVersioned, which can say that memory is read-only. A
/// pointer of DLPack's own header becomes one of these by reinterpret_cast. In Python they travel
/// in a capsule named "dltensor" ("dltensor_versioned"), as PyCapsule_New makes it;
/// torch.utils.dlpack.from_dlpack and numpy.from_dlpack take it from there.
///
/// Both sides see the same memory: a change here is seen there. What the other side changes is not
/// noticed by backward(), as it is after an in-place change here. Work on a GPU that was put into a
/// queue must have been waited for before a tensor changes sides.

#include <cstdint>
#include <utility>

#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace dlpack {

/// DLDevice: type 1 is the CPU, 2 CUDA, 3 host memory that CUDA has pinned.
struct DeviceTag {
  std::int32_t type;   ///< which kind
  std::int32_t index;  ///< which of that kind
};
/// DLDataType: code 0 is signed, 1 unsigned, 2 floating, 4 bfloat16, 6 bool; bits of one element.
struct DataType {
  std::uint8_t code;    ///< what kind of number
  std::uint8_t bits;    ///< of one number
  std::uint16_t lanes;  ///< numbers in an element: 1 here
};
/// DLTensor: strides in elements, or null for row-major; the first element is at data +
/// byte_offset.
struct TensorView {
  void* data;                 ///< an address of the device
  DeviceTag device;           ///< where
  std::int32_t rank;          ///< number of dimensions
  DataType dtype;             ///< of the elements
  std::int64_t* shape;        ///< `rank` sizes
  std::int64_t* strides;      ///< `rank` strides, or null
  std::uint64_t byte_offset;  ///< of the first element
};
/// DLManagedTensor: whoever takes it calls deleter(this) once, when it needs it no more.
struct ManagedTensor {
  TensorView tensor;
  void* context;  ///< the giver's
  void (*deleter)(ManagedTensor*);
};
/// DLManagedTensorVersioned, version 1.
struct ManagedTensorVersioned {
  struct {
    std::uint32_t major, minor;
  } version;
  void* context;  ///< the giver's
  void (*deleter)(ManagedTensorVersioned*);
  std::uint64_t flags;  ///< read_only, or 0
  TensorView tensor;
};
/// A flag: the memory must not be changed.
inline constexpr std::uint64_t read_only = 1;

namespace detail {

template <Element T>
constexpr DataType data_type() {
  constexpr DType dtype = tandem::dtype_of<T>;
  constexpr std::uint8_t code = dtype.kind() == DType::boolean ? 6
                                : dtype.kind() == DType::bf16  ? 4
                                : dtype.is_floating()          ? 2
                                : dtype.kind() == DType::u8    ? 1
                                                               : 0;
  return {code, static_cast<std::uint8_t>(8 * sizeof(T)), 1};
}

/// "float32", "uint16" …, also for types that there are not here.
inline std::string name_of(DataType type) {
  const char* const codes[] = {"int", "uint", "float", "opaque", "bfloat", "complex", "bool"};
  std::string out = type.code < 7 ? codes[type.code] : concat("type ", type.code, " of bits ");
  if (type.code != 6 || type.bits != 8) out += concat(static_cast<int>(type.bits));
  if (type.lanes != 1) out += concat(" in lanes of ", static_cast<int>(type.lanes));
  return out;
}

/// What is given away: the structure, its shape and strides, and the tensor that keeps the memory.
template <class Managed, Element T>
struct Given {
  Managed managed;
  Tensor<T> tensor;
  Shape shape;
  Strides strides;
};

template <class Managed, Element T>
Managed* give(const char* op, const Tensor<T>& x) {
  tandem::detail::require_defined(op, "x", x);
  TANDEM_CHECK(!x.requires_grad(), op,
               "x needs a gradient, which no other library would record: detach() it");
  auto* given = new Given<Managed, T>{{}, x, x.shape(), x.strides()};  // deleted by the taker
  TensorView& view = given->managed.tensor;
  view.data = x.storage()->data();
  view.device = {x.device().is_cpu() ? 1 : 2, x.device().is_cpu() ? 0 : x.device().index()};
  view.rank = x.rank();
  view.dtype = data_type<T>();
  view.shape = x.rank() > 0 ? &given->shape[0] : nullptr;
  view.strides = x.rank() > 0 ? &given->strides[0] : nullptr;
  view.byte_offset = static_cast<std::uint64_t>(x.offset()) * sizeof(T);
  given->managed.context = given;
  given->managed.deleter = [](Managed* self) {
    delete static_cast<Given<Managed, T>*>(self->context);
  };
  return &given->managed;
}

/// What was taken: calls the deleter when the last tensor over the memory goes.
template <class Managed>
struct Taken final : RefCounted {
  ~Taken() override {
    if (managed != nullptr && managed->deleter != nullptr) managed->deleter(managed);
  }
  Managed* managed = nullptr;
};

template <Element T, class Managed>
Tensor<T> take(Managed* managed, bool writable) {
  const char* const op = "from_dlpack";
  TANDEM_CHECK(managed != nullptr, op, "expected a tensor, got a null pointer");
  const TensorView& view = managed->tensor;
  constexpr DataType own = data_type<T>();
  TANDEM_CHECK(view.dtype.code == own.code && view.dtype.bits == own.bits && view.dtype.lanes == 1,
               op, "the tensor holds ", name_of(view.dtype), ", expected ", name_of(own));
  TANDEM_CHECK(view.device.type >= 1 && view.device.type <= 3, op,
               "the tensor is on a device of type ", view.device.type,
               "; those that are known here are the CPU (1), CUDA (2) and pinned "
               "memory (3)");
  TANDEM_CHECK(view.rank >= 0 && view.rank <= Shape::max_rank, op, "the tensor has ", view.rank,
               " dimensions, at most ", Shape::max_rank, " are possible");
  Shape shape;
  for (int d = 0; d < view.rank; ++d) {
    TANDEM_CHECK(view.shape[d] >= 0, op, "dimension ", d, " has the size ", view.shape[d]);
    shape.push_back(view.shape[d]);
  }
  const std::int64_t n = shape.numel();
  Layout layout{shape, contiguous_strides(shape), 0};
  // Storage begins at the lowest element and ends behind the highest, whatever the strides' signs.
  std::int64_t lowest = 0, highest = n > 0 ? n - 1 : 0;
  if (view.strides != nullptr) {
    highest = 0;
    for (int d = 0; d < view.rank; ++d) {
      layout.strides[d] = view.strides[d];
      if (n == 0) continue;
      std::int64_t reach = 0;
      std::int64_t& end = view.strides[d] < 0 ? lowest : highest;
      TANDEM_CHECK(!__builtin_mul_overflow(shape[d] - 1, view.strides[d], &reach) &&
                       !__builtin_add_overflow(end, reach, &end),
                   op, "the strides ", layout.strides, " of shape ", shape, " reach too far");
    }
  }
  std::int64_t bytes = 0;
  TANDEM_CHECK(!__builtin_sub_overflow(highest, lowest, &bytes) &&
                   !__builtin_add_overflow(bytes, n > 0 ? 1 : 0, &bytes) &&
                   !__builtin_mul_overflow(bytes, static_cast<std::int64_t>(sizeof(T)), &bytes),
               op, "the strides ", layout.strides, " of shape ", shape, " reach too far");
  layout.offset = -lowest;
  TANDEM_CHECK(n == 0 || view.data != nullptr, op, "the tensor of shape ", shape,
               " has no memory (data is null)");
  char* first = n == 0 ? nullptr
                       : static_cast<char*>(view.data) + view.byte_offset +
                             lowest * static_cast<std::int64_t>(sizeof(T));
  TANDEM_CHECK(reinterpret_cast<std::uintptr_t>(first) % alignof(T) == 0, op,
               "the elements are not aligned to ", alignof(T), " bytes");
  const Device device = view.device.type == 2 ? Device::cuda(view.device.index) : Device::cpu();
  auto owner = make_ref<Taken<Managed>>();
  auto storage = make_ref<Storage>(first, n == 0 ? 0 : bytes, owner, writable, device);
  Tensor<T> out(std::move(storage), layout);
  owner->managed = managed;  // last: where something threw above, it is still the caller's
  return out;
}

}  // namespace detail
}  // namespace dlpack

/// Gives a tensor to another library, which calls the deleter; the memory is shared, and lives as
/// long as either side needs it.  Errors: an undefined tensor, one that needs a gradient (detach()
/// it), memory that must not be changed (to_dlpack_versioned can say so).
template <Element T>
dlpack::ManagedTensor* to_dlpack(const Tensor<T>& x) {
  tandem::detail::require_defined("to_dlpack", "x", x);
  TANDEM_CHECK(x.storage()->writable(), "to_dlpack",
               "x lies in memory that must not be changed, which this structure cannot say: use "
               "to_dlpack_versioned or clone() it");
  return dlpack::detail::give<dlpack::ManagedTensor>("to_dlpack", x);
}
/// As to_dlpack, in the structure of DLPack 1.0.
template <Element T>
dlpack::ManagedTensorVersioned* to_dlpack_versioned(const Tensor<T>& x) {
  auto* out = dlpack::detail::give<dlpack::ManagedTensorVersioned>("to_dlpack_versioned", x);
  out->version = {1, 0};
  out->flags = x.storage()->writable() ? 0 : dlpack::read_only;
  return out;
}

/// A tensor over another library's memory; calls its deleter when the last tensor over it goes.
/// Errors, after which it is still the caller's to delete: elements of another type than T, another
/// device than CPU and CUDA, more than 8 dimensions, memory that is not aligned.
template <Element T>
Tensor<T> from_dlpack(dlpack::ManagedTensor* managed) {
  return dlpack::detail::take<T>(managed, true);
}
/// The same for the structure of DLPack 1.x.
template <Element T>
Tensor<T> from_dlpack(dlpack::ManagedTensorVersioned* managed) {
  TANDEM_CHECK(managed == nullptr || managed->version.major == 1, "from_dlpack",
               "the tensor is of DLPack ", managed->version.major, ", expected DLPack 1");
  return dlpack::detail::take<T>(managed,
                                 managed == nullptr || (managed->flags & dlpack::read_only) == 0);
}

TANDEM_NAMESPACE_END
