/// Dimensions as parameters: one, a list, the empty list. What is no dimension does not compile.

#include <tuple>

#include "../ops/check.hpp"
#include "tandem/ops/argmax.hpp"
#include "tandem/ops/cat.hpp"
#include "tandem/ops/cumsum.hpp"
#include "tandem/ops/logsumexp.hpp"
#include "tandem/ops/max.hpp"
#include "tandem/ops/mean.hpp"
#include "tandem/ops/min.hpp"
#include "tandem/ops/normalize.hpp"
#include "tandem/ops/prod.hpp"
#include "tandem/ops/softmax.hpp"
#include "tandem/ops/sort.hpp"
#include "tandem/ops/sum.hpp"
#include "tandem/ops/topk.hpp"

using namespace tandem;

// A plain integer parameter takes {} for 0: the op would go along dimension 0 without a word.
#define NO_DIMENSION_IS_REFUSED(call)                                             \
  static_assert(                                                                  \
      !requires(const T& x) { call(x, {}); }, #call " takes {} for a dimension"); \
  static_assert(                                                                  \
      !requires(const T& x) { call(x, true); }, #call " takes a bool");           \
  static_assert(                                                                  \
      requires(const T& x) {                                                      \
        call(x, 1);                                                               \
        call(x, {1});                                                             \
        call(x, std::size_t{1});                                                  \
      },                                                                          \
      #call)

template <class T>
bool dimensions_are_integers() {
  NO_DIMENSION_IS_REFUSED(max);
  NO_DIMENSION_IS_REFUSED(min);
  NO_DIMENSION_IS_REFUSED(argmax);
  NO_DIMENSION_IS_REFUSED(argmin);
  NO_DIMENSION_IS_REFUSED(logsumexp);
  NO_DIMENSION_IS_REFUSED(softmax);
  NO_DIMENSION_IS_REFUSED(log_softmax);
  NO_DIMENSION_IS_REFUSED(normalize);
  NO_DIMENSION_IS_REFUSED(cumsum);
  NO_DIMENSION_IS_REFUSED(prod);
  NO_DIMENSION_IS_REFUSED(sort);
  NO_DIMENSION_IS_REFUSED(argsort);
  static_assert(!requires(const T& x) { topk(x, 1, {}); });
  static_assert(!requires(const std::vector<T>& x) { cat(x, {}); });
  static_assert(!requires(const T& x) { sum(x, true); });
  static_assert(!requires(const T& x) { mean(x, true); });
  return true;
}

TEST_CASE("sum, mean: an empty list of dimensions is all of them, one in braces is that one") {
  CHECK(dimensions_are_integers<Tensor<double>>());
  const auto x = tensor<double>({{1, 2, 3}, {4, 5, 9}});
  CHECK(sum(x, {}).shape() == Shape{});
  CHECK(sum(x, {}).item() == 24);
  CHECK(sum(x, {}, true).shape() == Shape{1, 1});
  CHECK(mean(x, {}).item() == 4);
  CHECK(mean(x, {}, true).shape() == Shape{1, 1});
  CHECK(sum(tensor<std::int64_t>({{1, 2}, {3, 4}}), {}).item() == 10);
  CHECK(sum(x, {0}).to_vector() == std::vector<double>{5, 7, 12});
  CHECK(sum(x, {1}, true).shape() == Shape{2, 1});
  CHECK(mean(x, {-1}).to_vector() == std::vector<double>{2, 6});
  CHECK(sum(x, {0, -1}).item() == 24);
  const std::size_t last = 1;
  CHECK(sum(x, last).to_vector() == sum(x, 1).to_vector());
  CHECK(mean(x, last).to_vector() == mean(x, {1}).to_vector());
  CHECK(check::message([&] { sum(x, ~std::size_t{0} / 2); }).find("is out of range") !=
        std::string::npos);
}
