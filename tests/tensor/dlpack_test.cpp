#include "tandem/tensor/dlpack.hpp"

#include <doctest/doctest.h>

#include <cstddef>
#include <vector>

#include "tandem/autograd.hpp"
#include "tandem/tensor/factory.hpp"

using namespace tandem;

namespace {

std::string error_of(const auto& f) {
  try {
    f();
  } catch (const Error& e) {
    return e.what();
  }
  return "no error";
}

// Another library's tensor: counts how often it is deleted.
struct Theirs {
  std::vector<std::int64_t> shape, strides;
  std::vector<double> data;
  int deleted = 0;
  dlpack::ManagedTensor managed{};

  Theirs(std::vector<std::int64_t> sizes, std::vector<std::int64_t> steps, std::size_t first)
      : shape(std::move(sizes)), strides(std::move(steps)), data(24) {
    for (std::size_t i = 0; i < data.size(); ++i) data[i] = static_cast<double>(i);
    managed.tensor = {data.data(), {1, 0},       static_cast<std::int32_t>(shape.size()),
                      {2, 64, 1},  shape.data(), strides.empty() ? nullptr : strides.data(),
                      8 * first};
    managed.context = this;
    managed.deleter = [](dlpack::ManagedTensor* self) {
      ++static_cast<Theirs*>(self->context)->deleted;
    };
  }
};

}  // namespace

// The sizes and places that DLPack 1.0's header gives them on 64-bit machines.
static_assert(sizeof(dlpack::TensorView) == 48 && offsetof(dlpack::TensorView, dtype) == 20 &&
              offsetof(dlpack::TensorView, shape) == 24);
static_assert(sizeof(dlpack::ManagedTensor) == 64 &&
              offsetof(dlpack::ManagedTensor, context) == 48);
static_assert(sizeof(dlpack::ManagedTensorVersioned) == 80 &&
              offsetof(dlpack::ManagedTensorVersioned, flags) == 24 &&
              offsetof(dlpack::ManagedTensorVersioned, tensor) == 32);

TEST_CASE("to_dlpack: any view goes out and comes back over the same memory") {
  Tensor<float> x = arange<float>(24).reshape({2, 3, 4});
  for (const Tensor<float>& view :
       {x, x.transpose(0, 2), x.slice(1, 1, 3), x[1], x.select(2, 3).unsqueeze(0), x[0][0][0]}) {
    dlpack::ManagedTensor* given = to_dlpack(view);
    CHECK(given->tensor.rank == view.rank());
    CHECK(given->tensor.dtype.code == 2);
    CHECK(given->tensor.dtype.bits == 32);
    const Tensor<float> back = from_dlpack<float>(given);
    CHECK(back.shape() == view.shape());
    CHECK(back.to_vector() == view.to_vector());
    CHECK(back.data() == view.data());
  }
  const Tensor<float> other = from_dlpack<float>(to_dlpack_versioned(x));
  other.fill_(7);
  CHECK(x.at({1, 2, 3}) == 7);
  // The memory outlives the tensor that it came from.
  dlpack::ManagedTensor* left = nullptr;
  { left = to_dlpack(full<std::int64_t>({3}, 5)); }
  CHECK(from_dlpack<std::int64_t>(left).to_vector() == std::vector<std::int64_t>{5, 5, 5});
  CHECK(from_dlpack<bool>(to_dlpack(full<bool>({2}, true))).to_vector() ==
        std::vector<bool>{true, true});
  CHECK(from_dlpack<bfloat16>(to_dlpack(zeros<bfloat16>({0, 3}))).shape() == Shape{0, 3});
}

TEST_CASE("from_dlpack: strides of either sign, none, offsets; the deleter runs once, at the end") {
  Theirs dense({2, 3}, {}, 4), backwards({3, 2}, {-4, 1}, 9), empty({0, 2}, {5, 1}, 0),
      one({}, {}, 3);
  {
    const Tensor<double> a = from_dlpack<double>(&dense.managed);
    CHECK(a.to_vector() == std::vector<double>{4, 5, 6, 7, 8, 9});
    const Tensor<double> row = a[1];
    const Tensor<double> b = from_dlpack<double>(&backwards.managed);
    CHECK(b.to_vector() == std::vector<double>{9, 10, 5, 6, 1, 2});
    b.set({0, 1}, -1);
    CHECK(backwards.data[10] == -1);
    CHECK(from_dlpack<double>(&empty.managed).numel() == 0);
    CHECK(from_dlpack<double>(&one.managed).item() == 3);
    CHECK(dense.deleted + backwards.deleted == 0);
    CHECK(empty.deleted == 1);
  }
  CHECK(dense.deleted == 1);
  CHECK(backwards.deleted == 1);
}

TEST_CASE("from_dlpack: what is refused stays the caller's") {
  Theirs x({2, 3}, {}, 0);
  CHECK(error_of([&] { from_dlpack<float>(&x.managed); }) ==
        "[from_dlpack] the tensor holds float64, expected float32");
  x.managed.tensor.dtype = {5, 128, 1};
  CHECK(error_of([&] { from_dlpack<double>(&x.managed); }) ==
        "[from_dlpack] the tensor holds complex128, expected float64");
  x.managed.tensor.dtype = {2, 64, 4};
  CHECK(error_of([&] { from_dlpack<double>(&x.managed); }) ==
        "[from_dlpack] the tensor holds float64 in lanes of 4, expected float64");
  x.managed.tensor.dtype = {2, 64, 1};
  x.managed.tensor.device.type = 8;
  CHECK(
      error_of([&] { from_dlpack<double>(&x.managed); })
          .starts_with(
              "[from_dlpack] the tensor is on a device of type 8; those that are known here are"));
  x.managed.tensor.device.type = 1;
  x.managed.tensor.rank = 9;
  CHECK(error_of([&] { from_dlpack<double>(&x.managed); }) ==
        "[from_dlpack] the tensor has 9 dimensions, at most 8 are possible");
  x.managed.tensor.rank = 2;
  x.managed.tensor.byte_offset = 3;
  CHECK(error_of([&] { from_dlpack<double>(&x.managed); }) ==
        "[from_dlpack] the elements are not aligned to 8 bytes");
  x.managed.tensor.byte_offset = 0;
  x.shape[1] = -3;
  CHECK(error_of([&] { from_dlpack<double>(&x.managed); }) ==
        "[from_dlpack] dimension 1 has the size -3");
  x.shape[1] = 3;
  x.strides = {std::int64_t{1} << 62, std::int64_t{1} << 62};
  x.managed.tensor.strides = x.strides.data();
  CHECK(error_of([&] {
          from_dlpack<double>(&x.managed);
        }).ends_with("of shape (2, 3) reach too far"));
  x.managed.tensor.strides = nullptr;
  x.managed.tensor.data = nullptr;
  CHECK(error_of([&] { from_dlpack<double>(&x.managed); }) ==
        "[from_dlpack] the tensor of shape (2, 3) has no memory (data is null)");
  CHECK(error_of([&] { from_dlpack<double>(static_cast<dlpack::ManagedTensor*>(nullptr)); }) ==
        "[from_dlpack] expected a tensor, got a null pointer");
  CHECK(x.deleted == 0);
  dlpack::ManagedTensorVersioned future{};
  future.version.major = 2;
  CHECK(error_of([&] { from_dlpack<double>(&future); }) ==
        "[from_dlpack] the tensor is of DLPack 2, expected DLPack 1");
}

TEST_CASE("to_dlpack: gradients and read-only memory") {
  Tensor<float> x = ones<float>({2});
  x.requires_grad_();
  CHECK(error_of([&] { to_dlpack(x); }) ==
        "[to_dlpack] x needs a gradient, which no other library would record: detach() it");
  CHECK(error_of([&] { to_dlpack(Tensor<float>()); }).starts_with("[to_dlpack] "));
  static const float fixed[2] = {5, 6};
  const Tensor<float> constant(
      make_ref<Storage>(const_cast<float*>(fixed), 8, Ref<RefCounted>(), false), {{2}, {1}, 0});
  CHECK(
      error_of([&] { to_dlpack(constant); }).starts_with("[to_dlpack] x lies in memory that must"));
  dlpack::ManagedTensorVersioned* given = to_dlpack_versioned(constant);
  CHECK(given->flags == dlpack::read_only);
  const Tensor<float> back = from_dlpack<float>(given);
  CHECK(back.to_vector() == std::vector<float>{5, 6});
  CHECK_FALSE(back.storage()->writable());
}
