#pragma once
/// Storage: one reference-counted block of memory on one device, owned or borrowed.

#include <cstdint>
#include <cstring>

#include "tandem/tensor/allocator.hpp"
#include "tandem/tensor/device.hpp"
#include "tandem/tensor/ref.hpp"
#include "tandem/tensor/shape.hpp"

TANDEM_NAMESPACE_BEGIN

/// Frees the physical memory behind bytes of `owner` that can be read again; the bytes stay what
/// they are. Does nothing where the owner is null or not such a lender.
inline void give_back_pages(const RefCounted* owner, const void* data, std::int64_t bytes) {
  const PageLender* lender = owner != nullptr ? owner->page_lender() : nullptr;
  if (lender != nullptr) lender->give_back_pages(data, bytes);
}

/// A block of bytes that tensors and their views share. `version` counts in-place changes, so that
/// backward can tell when a saved tensor is no longer what it was.
class Storage final : public RefCounted {
 public:
  /// Uninitialised memory of `bytes` bytes.
  Storage(std::int64_t bytes, Device device) : bytes_(bytes), device_(device), owned_(true) {
    require_device("storage", device);
    if (bytes == 0) return;
    data_ = device.is_cpu() ? detail::CpuAllocator::instance().allocate(bytes)
                            : cuda_interface().allocate(device.index(), bytes);
  }
  /// Borrows `bytes` bytes that `owner` keeps alive (a mapped file, say; another library's tensor).
  Storage(void* data, std::int64_t bytes, Ref<RefCounted> owner, bool writable,
          Device device = Device::cpu())
      : data_(data),
        bytes_(bytes),
        device_(device),
        owner_(static_cast<Ref<RefCounted>&&>(owner)),
        writable_(writable) {}
  ~Storage() override {
    if (!owned_ || data_ == nullptr) return;
    if (device_.is_cpu()) {
      detail::CpuAllocator::instance().deallocate(data_, bytes_);
    } else {
      cuda_interface().deallocate(device_.index(), data_, bytes_);
    }
  }

  /// The first byte, how many there are and where.
  void* data() const { return data_; }
  std::int64_t bytes() const { return bytes_; }
  Device device() const { return device_; }
  /// False for borrowed memory that must not be changed.
  bool writable() const { return writable_; }
  /// As above, for borrowed memory; memory of its own stays.
  void give_back_pages() const { tandem::give_back_pages(owner_.get(), data_, bytes_); }
  /// How often the bytes were changed: every access for writing counts one.
  std::uint64_t version() const { return __atomic_load_n(&version_, __ATOMIC_RELAXED); }
  void bump_version() { __atomic_fetch_add(&version_, 1, __ATOMIC_RELAXED); }

 private:
  void* data_ = nullptr;
  std::int64_t bytes_ = 0;
  Device device_;
  Ref<RefCounted> owner_;
  bool owned_ = false;
  bool writable_ = true;
  std::uint64_t version_ = 0;
};

namespace detail {
/// The memory of a new tensor.  Errors: there is not so much, which names the shape too.
TANDEM_NOINLINE inline Ref<Storage> storage_for(const Shape& shape, std::int64_t bytes,
                                                Device device) {
  if (!device.is_cpu()) return make_ref<Storage>(bytes, device);
  try {
    return make_ref<Storage>(bytes, device);
  } catch (const Error& error) {
    throw Error(concat(error.what(), " (for a tensor of shape ", shape, ")"));
  }
}
}  // namespace detail

TANDEM_NAMESPACE_END
