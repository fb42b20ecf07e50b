#pragma once
/// What is behind Device::cuda() in this program; one of executor_backend.cpp and gpu_backend.cpp.

#include <cstdint>

namespace backend {

extern const char* const name;
/// In how many orders the threads of a kernel are to be run, and choosing one of them. In order 1
/// places are found in 64 bits, in order 2 grids are small, so that kernels stride.
extern const int orders;
void set_order(int order);
/// Lets Device::cuda() have about so many bytes left; −1: all of them again.
void leave_memory(std::int64_t bytes);
/// Graphs of the runtime that are not destroyed; 0 where nobody counts them.
int live_graphs();

}  // namespace backend
