#pragma once
/// The golden cases of tests/golden/{ops,basics,conv,layers}.npz: inputs, `out`, a cotangent `cot`,
/// gradients `d_<input>`.

#include <string>
#include <vector>

#include "check.hpp"
#include "tandem/io/npz.hpp"

namespace golden {

using tandem::Tensor;

inline const tandem::io::Npz& file(const std::string& key) {
  using tandem::io::Npz;
  static const Npz ops = Npz::open(TANDEM_SOURCE_DIR "/tests/golden/ops.npz");
  static const Npz conv = Npz::open(TANDEM_SOURCE_DIR "/tests/golden/conv.npz");
  static const Npz basics = Npz::open(TANDEM_SOURCE_DIR "/tests/golden/basics.npz");
  static const Npz layers = Npz::open(TANDEM_SOURCE_DIR "/tests/golden/layers.npz");
  for (const Npz* other : {&conv, &basics, &layers}) {
    if (other->contains(key)) return *other;
  }
  return ops;
}

inline Tensor<double> get(const std::string& key) { return file(key).at(key).tensor_as<double>(); }
inline Tensor<std::int64_t> ids(const std::string& key) {
  return file(key).at(key).tensor_as<std::int64_t>();
}
inline Tensor<bool> mask(const std::string& key) {
  const Tensor<std::int64_t> integers = ids(key);
  return tandem::from_vector<bool>(integers.to_vector(), integers.shape());
}

/// Runs f on the named inputs of `key` and compares its result and gradients with the file's. All
/// is in double; both sides round differently, so 1e-12 leaves room for a few hundred roundings.
template <class F>
void compare(const std::string& key, const std::vector<std::string>& names, const F& f) {
  INFO(key);
  std::vector<Tensor<double>> inputs;
  for (const std::string& name : names) {
    inputs.push_back(get(key + "." + name));
    inputs.back().requires_grad_();
  }
  const Tensor<double> out = f(inputs);
  const Tensor<double> expected = get(key + ".out");
  CHECK(check::distance(out, expected) < 1e-12);
  out.backward(get(key + ".cot"));
  for (std::size_t i = 0; i < names.size(); ++i) {
    INFO("d_", names[i]);
    CHECK(check::distance(inputs[i].grad(), get(key + ".d_" + names[i])) < 1e-12);
  }
}

}  // namespace golden
