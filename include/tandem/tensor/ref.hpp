#pragma once
/// Intrusive reference counting: `Ref<T>` for any T derived from `RefCounted`.
///
/// std::shared_ptr would do the same work, but <memory> and <atomic> together cost more compile
/// time than the whole tensor header is allowed to (see benchmarks/include_cost.py).

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN

class PageLender;

/// Base of everything that is shared by reference; the count is atomic.
class RefCounted {
 public:
  RefCounted() = default;
  RefCounted(const RefCounted&) = delete;
  RefCounted& operator=(const RefCounted&) = delete;
  virtual ~RefCounted() = default;

  /// One reference more, one less: Ref calls them. The last one deletes the object.
  void retain() const noexcept { __atomic_fetch_add(&count_, 1, __ATOMIC_RELAXED); }
  void release() const noexcept {
    if (__atomic_fetch_sub(&count_, 1, __ATOMIC_ACQ_REL) == 1) delete this;
  }
  /// The number of references now; another thread may change it at once, except that 1 stays 1
  /// while the only holder is the caller.
  std::int64_t use_count() const noexcept { return __atomic_load_n(&count_, __ATOMIC_ACQUIRE); }
  /// This object as a PageLender, if it is one. (A dynamic_cast would need run-time type
  /// information.)
  virtual const PageLender* page_lender() const noexcept { return nullptr; }

 private:
  mutable std::int64_t count_ = 0;
};

/// An owner of memory that can do without its pages until somebody reads them again, as a mapped
/// file can.
class PageLender : public RefCounted {
 public:
  /// Lets go of the pages that lie whole in [data, data + bytes); what is read later comes back.
  virtual void give_back_pages(const void* data, std::int64_t bytes) const = 0;
  /// This object.
  const PageLender* page_lender() const noexcept final { return this; }
};

/// A shared reference to a RefCounted object, or null.
template <class T>
class Ref {
 public:
  Ref() noexcept = default;
  Ref(std::nullptr_t) noexcept {}
  explicit Ref(T* object) noexcept : object_(object) {
    if (object_ != nullptr) object_->retain();
  }
  Ref(const Ref& other) noexcept : Ref(other.object_) {}
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class U>
  requires(std::is_convertible_v<U*, T*>) Ref(const Ref<U>& other)
  noexcept : Ref(static_cast<T*>(other.get())) {}
  template <class U>
  requires(std::is_convertible_v<U*, T*>) Ref(Ref<U>&& other)
  noexcept : object_(other.detach()) {}
  ~Ref() {
    if (object_ != nullptr) object_->release();
  }
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }

  /// The object, or null.
  T* get() const noexcept { return object_; }
  T* operator->() const noexcept { return object_; }
  T& operator*() const noexcept { return *object_; }
  explicit operator bool() const noexcept { return object_ != nullptr; }
  bool operator==(const Ref& other) const noexcept { return object_ == other.object_; }
  /// Gives the pointer away without releasing it.
  T* detach() noexcept { return std::exchange(object_, nullptr); }

 private:
  T* object_ = nullptr;
};

/// A new T, made of these arguments, and the first reference to it.
template <class T, class... Args>
Ref<T> make_ref(Args&&... args) {
  return Ref<T>(new T(std::forward<Args>(args)...));
}

TANDEM_NAMESPACE_END
