#pragma once
/// The light header: tensors without autograd or ops.

#include "tandem/tensor/factory.hpp"
#include "tandem/tensor/print.hpp"
#include "tandem/tensor/random.hpp"
#include "tandem/tensor/tensor.hpp"
