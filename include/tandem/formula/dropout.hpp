#pragma once
/// dropout — what a mask is a function of: element i is dropped when word i mod 4 of Philox block
/// position + i/4 is below the threshold; the others are multiplied by the scale.

#include <cstdint>

#include "tandem/tensor/config.hpp"

TANDEM_NAMESPACE_BEGIN
namespace formula {

struct DropoutMask {
  std::uint64_t seed, stream, position;
  std::uint32_t threshold;
  double scale;
  const std::int64_t* key;  ///< {seed, stream} in a GPU's memory, in place of those here, or null
};

}  // namespace formula
TANDEM_NAMESPACE_END
