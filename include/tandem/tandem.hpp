#pragma once
/// The umbrella: tensors, autograd, ops, layers, optimizers and npy files.
///
/// Not here, because they need other libraries or are seldom needed together: the other file
/// formats (tandem/io.hpp) and temporal action localization (tandem/wtal.hpp), which need
/// tandem::io; video, CUDA, the encoders of clip/ and i3d/.

#include "tandem/autograd.hpp"
#include "tandem/cpu/threads.hpp"
#include "tandem/io/npy.hpp"
#include "tandem/nn.hpp"
#include "tandem/ops.hpp"
#include "tandem/optim.hpp"
#include "tandem/tensor.hpp"

#if defined(TANDEM_COMPILED)
#include "tandem/compiled.hpp"
#endif
