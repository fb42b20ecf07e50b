#pragma once
/// Causal sequences of several lengths that begin alike, without their padding and with the common
/// beginning once.

#include <algorithm>
#include <cstdint>
#include <vector>

#include "tandem/ops/to.hpp"
#include "tandem/tensor/factory.hpp"

TANDEM_NAMESPACE_BEGIN
namespace nn {

/// PackedRows — where the rows of N sequences are in one matrix: first the `prefix` rows that all
/// sequences begin with, then the others of sequence 0, of sequence 1 …
///
///   const nn::PackedRows packed({7, 5, 9}, 3);   // 3 + 4 + 2 + 6 = 15 rows instead of 27
///   packed.rows;                                 // → 15
///
/// In a causal network a row depends on those before it only, so the common rows are the same in
/// all sequences and are computed once; a gradient gathers there from all of them.
/// Errors: no sequence, or a length that is not greater than the prefix.
struct PackedRows {
  PackedRows(const std::vector<std::int64_t>& lengths, std::int64_t common)
      : sequences(static_cast<std::int64_t>(lengths.size())), prefix(common) {
    TANDEM_CHECK(!lengths.empty() && prefix >= 0, "packed_rows",
                 "expected at least one sequence and a prefix of 0 or more rows, got ",
                 lengths.size(), " and ", prefix);
    for (const std::int64_t length : lengths) {
      TANDEM_CHECK(length > prefix, "packed_rows", "a sequence of ", length,
                   " rows has none behind the common ", prefix);
      longest = std::max(longest, length);
    }
    std::vector<std::int64_t> spread_at, place_at, position_at, last_at;
    // The common rows ask their questions once, in sequence 0.
    for (std::int64_t t = 0; t < prefix; ++t) place_at.push_back(t), position_at.push_back(t);
    for (std::int64_t n = 0; n < sequences; ++n) {
      const std::int64_t length = lengths[static_cast<std::size_t>(n)];
      // Row of t = 0, were it here
      const auto first = static_cast<std::int64_t>(position_at.size()) - prefix;
      for (std::int64_t t = 0; t < longest; ++t) {
        // Behind the end any row will do: no query that counts sees it.
        spread_at.push_back(t < prefix ? t : first + std::min(t, length - 1));
      }
      for (std::int64_t t = prefix; t < length; ++t) {
        place_at.push_back(n * longest + t), position_at.push_back(t);
      }
      last_at.push_back(static_cast<std::int64_t>(position_at.size()) - 1);
    }
    rows = static_cast<std::int64_t>(position_at.size());
    spread = from_vector<std::int64_t>(spread_at);
    place = from_vector<std::int64_t>(place_at);
    position = from_vector<std::int64_t>(position_at);
    last = from_vector<std::int64_t>(last_at);
    last_place = from_vector<std::int64_t>([&] {
      std::vector<std::int64_t> out;
      for (const std::int64_t row : last_at) out.push_back(place_at[static_cast<std::size_t>(row)]);
      return out;
    }());
    wanted = mask_of(place);
    wanted_last = mask_of(last_place);
  }

  /// On another device.
  PackedRows to(Device device) const {
    PackedRows out = *this;
    for (Tensor<std::int64_t>* ids :
         {&out.spread, &out.place, &out.position, &out.last, &out.last_place}) {
      *ids = ids->to(device);
    }
    out.wanted = wanted.to(device);
    out.wanted_last = wanted_last.to(device);
    return out;
  }

  std::int64_t sequences = 0, prefix = 0, longest = 0, rows = 0;
  Tensor<std::int64_t> spread;  ///< (N·longest): the row that stands at (n, t)
  Tensor<std::int64_t>
      place;  ///< (rows): the n·longest + t where a row stands, common ones at n = 0
  Tensor<std::int64_t> position;     ///< (rows): t
  Tensor<std::int64_t> last;         ///< (N): the row that ends each sequence
  Tensor<std::int64_t> last_place;   ///< (N): n·longest + t of it
  Tensor<bool> wanted, wanted_last;  ///< (N, longest): the places of `place` and of `last_place`

 private:
  Tensor<bool> mask_of(const Tensor<std::int64_t>& places) const {
    const Tensor<bool> mask = full<bool>({sequences, longest}, false);
    for (std::int64_t i = 0; i < places.numel(); ++i) mask.mutable_data()[places.data()[i]] = true;
    return mask;
  }
};

}  // namespace nn
TANDEM_NAMESPACE_END
