#pragma once
/// Golden files of the other methods (npz), and a watch over them: at the end every array must have
/// been read as an input or compared, so that nothing of a file is forgotten.

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "../ops/check.hpp"
#include "tandem/io/npz.hpp"
#include "tandem/nn/module.hpp"
#include "tandem/wtal/data/types.hpp"

namespace tandem_test {

using tandem::Tensor;

class RivalsGolden {
 public:
  explicit RivalsGolden(const std::string& path) : file_(tandem::io::Npz::open(path)) {
    for (const std::string& name : file_.names()) {
      if (name != "provenance") open_.insert(name);
    }
  }

  bool has(const std::string& key) const { return file_.contains(key); }
  /// An input, in float64 as it is stored or rounded to T.
  template <class T = double>
  Tensor<T> get(const std::string& key) {
    open_.erase(key);
    return check::cast<T>(file_.at(key).tensor_as<double>().clone());
  }
  double number(const std::string& key) { return get(key).item(); }
  std::int64_t integer(const std::string& key) { return static_cast<std::int64_t>(number(key)); }
  std::vector<std::int64_t> integers(const std::string& key) {
    std::vector<std::int64_t> out;
    for (const double x : get(key).to_vector()) out.push_back(static_cast<std::int64_t>(x));
    return out;
  }
  /// All arrays "prefix…", without the prefix in their names.
  template <class T>
  std::vector<tandem::nn::Named<T>> state(const std::string& prefix) {
    std::vector<tandem::nn::Named<T>> out;
    for (const std::string& name : names(prefix))
      out.push_back({name.substr(prefix.size()), get<T>(name)});
    return out;
  }
  std::vector<std::string> names(const std::string& prefix) const {
    std::vector<std::string> out;
    for (const std::string& name : file_.names()) {
      if (name.starts_with(prefix)) out.push_back(name);
    }
    return out;
  }

  /// The array of a key against a value that was computed, within `tolerance` of its largest entry:
  /// 1e-9 where T is double, 1e-5 where it is float.
  template <class T>
  void compare(const std::string& key, const Tensor<T>& computed, double tolerance = 0) {
    INFO(key);
    REQUIRE(computed.defined());
    const Tensor<double> expected = get(key);
    double largest = 0;
    for (const double x : expected.to_vector()) largest = std::max(largest, std::fabs(x));
    if (tolerance == 0) tolerance = sizeof(T) == 8 ? 1e-9 : 1e-5;
    CHECK_MESSAGE(check::distance(computed.detach(), expected) <= tolerance * largest, key, ": ",
                  check::distance(computed.detach(), expected), " of ", largest);
  }
  /// The gradient of every parameter of `module` against "prefix" + its name; a parameter without
  /// an array there has none.
  template <class T>
  void compare_gradients(const std::string& prefix, const tandem::nn::Module<T>& module) {
    for (const auto& p : module.named_parameters()) {
      INFO(p.name);
      if (has(prefix + p.name)) {
        compare(prefix + p.name, p.tensor.grad());
      } else {
        CHECK_FALSE(p.tensor.grad().defined());
      }
    }
  }
  /// Those gradients "prefix…" that the file has.
  template <class T>
  void compare_some_gradients(const std::string& prefix, const tandem::nn::Module<T>& module) {
    for (const std::string& name : names(prefix)) {
      bool found = false;
      for (const auto& p : module.named_parameters()) {
        if (prefix + p.name == name) compare(name, p.tensor.grad()), found = true;
      }
      CHECK_MESSAGE(found, "no parameter has the name of ", name);
    }
  }

  /// Rows (n, columns) in any order: both sides sorted, then compared number by number.
  void compare_rows(const std::string& key, std::vector<std::vector<double>> computed) {
    INFO(key);
    const Tensor<double> expected = get(key);
    std::vector<std::vector<double>> rows;
    for (std::int64_t r = 0; r < expected.size(0); ++r)
      rows.push_back(expected.select(0, r).clone().to_vector());
    std::sort(rows.begin(), rows.end());
    // Rounding must not decide the order
    const auto rounded = [](std::vector<double> row) {
      for (double& x : row) x = std::round(x * 1e6);
      return row;
    };
    // except between rows that only it tells apart
    const auto before = [&](const auto& a, const auto& b) {
      const auto x = rounded(a), y = rounded(b);
      return x < y || (x == y && a < b);
    };
    std::sort(rows.begin(), rows.end(), before);
    std::sort(computed.begin(), computed.end(), before);
    REQUIRE(computed.size() == rows.size());
    for (std::size_t r = 0; r < rows.size(); ++r) {
      INFO("row ", r);
      REQUIRE(computed[r].size() == rows[r].size());
      for (std::size_t c = 0; c < rows[r].size(); ++c)
        CHECK(std::fabs(computed[r][c] - rows[r][c]) <= 1e-9);
    }
  }

  /// compare_rows() of detections: class, score, start and end in seconds.
  void compare_detections(const std::string& key,
                          const std::vector<tandem::wtal::Detection>& detections) {
    std::vector<std::vector<double>> rows;
    for (const tandem::wtal::Detection& d : detections)
      rows.push_back({static_cast<double>(d.cls), d.score, d.segment.start, d.segment.end});
    compare_rows(key, std::move(rows));
  }

  /// Fails when an array was neither read nor compared. Call it last.
  void finish() const {
    std::string left;
    for (const std::string& name : open_) left += " " + name;
    CHECK_MESSAGE(open_.empty(), "nobody looked at", left);
  }

 private:
  tandem::io::Npz file_;
  std::set<std::string> open_;
};

}  // namespace tandem_test
