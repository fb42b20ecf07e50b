#pragma once
/// Tensors with reverse-mode automatic differentiation, without the ops.

#include "tandem/autograd/backward.hpp"
#include "tandem/autograd/gradcheck.hpp"
#include "tandem/autograd/record.hpp"
#include "tandem/tensor.hpp"
