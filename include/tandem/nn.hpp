#pragma once
/// Modules.

#include "tandem/nn/attention.hpp"
#include "tandem/nn/batch_norm3d.hpp"
#include "tandem/nn/conv3d.hpp"
#include "tandem/nn/dropout.hpp"
#include "tandem/nn/embedding.hpp"
#include "tandem/nn/init.hpp"
#include "tandem/nn/layer_norm.hpp"
#include "tandem/nn/linear.hpp"
#include "tandem/nn/matrix.hpp"
#include "tandem/nn/module.hpp"
#include "tandem/nn/packed_rows.hpp"
#include "tandem/nn/pool3d.hpp"
#include "tandem/nn/sequential.hpp"
#include "tandem/nn/transformer.hpp"
#include "tandem/nn/weight.hpp"
