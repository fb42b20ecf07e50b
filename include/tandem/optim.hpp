#pragma once
/// Optimizers, schedules and gradient clipping.

#include "tandem/optim/adam.hpp"
#include "tandem/optim/clip_grad.hpp"
#include "tandem/optim/schedule.hpp"
#include "tandem/optim/sgd.hpp"
