#pragma once
/// Optimizers, schedules, averages of parameters and gradient clipping.

#include "tandem/optim/adam.hpp"
#include "tandem/optim/clip_grad.hpp"
#include "tandem/optim/ema.hpp"
#include "tandem/optim/parameters.hpp"
#include "tandem/optim/schedule.hpp"
#include "tandem/optim/sgd.hpp"
