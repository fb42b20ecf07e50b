#pragma once
/// What is behind Device::cuda() in this program; one of executor_backend.cpp and gpu_backend.cpp.

#include <cstdint>

namespace backend {

extern const char* const name;
/// In how many orders the threads of a kernel are to be run, and choosing one of them. In the last
/// one grids are small, so that kernels stride.
extern const int orders;
void set_order(int order);

}  // namespace backend
