#include "shared_memory.hpp"

#include <algorithm>
#include <cstdlib>
#include <new>

#include "executor.hpp"
#include "sanitizers.hpp"

namespace simt {

namespace {
// Room for the limits and for the red zones of 64 arrays.
constexpr std::size_t arena_bytes = shared_limit + static_shared_limit + 64 * 256;
}  // namespace

SharedMemory::~SharedMemory() {
  launch_done();
  if (arena_ != nullptr) permit(arena_, arena_bytes);
  std::free(arena_);
}

void SharedMemory::block_starts(std::size_t dynamic_bytes, std::size_t granted) {
  // Blocks are not ordered with each other, their accesses to one arena must not look like races:
  // under ThreadSanitizer each block has an arena of its own until the launch ends.
  if (SIMT_TSAN && arena_ != nullptr) {
    old_.push_back(arena_);
    arena_ = nullptr;
  }
  if (arena_ == nullptr) {
    arena_ = static_cast<unsigned char*>(std::aligned_alloc(128, (arena_bytes + 127) / 128 * 128));
    if (arena_ == nullptr) throw std::bad_alloc();
    forbid(arena_, arena_bytes);
    filled_ = 0;
  }
  if (filled_ != poison()) {
    filled_ = poison();
    fill_unseen(arena_, filled_, arena_bytes);
  }
  arrays_.clear();
  used_ = red_zone;
  static_bytes_ = 0;
  granted_ = granted;
  append(nullptr, "the launch's shared bytes", dynamic_bytes);
}

void SharedMemory::launch_done() {
  for (unsigned char* arena : old_) std::free(arena);
  old_.clear();
}

/// Not instrumented: the executor is compiled without ThreadSanitizer and looks at memory after the
/// block.
std::string SharedMemory::block_ends() {
  permit(arena_, used_);
  const auto poison_byte = [this](std::size_t at) {
    return static_cast<unsigned char>(filled_ >> 8 * (at % 4));
  };
  std::string damage;
  std::size_t at = 0;
  for (std::size_t i = 0; i <= arrays_.size() && damage.empty(); ++i) {
    const std::size_t end = i < arrays_.size() ? arrays_[i].begin : used_;
    for (; at < end; ++at) {
      if (arena_[at] == poison_byte(at)) continue;
      const bool before = i == 0;
      const Array& array = arrays_[before ? 0 : i - 1];
      damage = std::string("a write outside the shared array '") + array.name + "' of " +
               std::to_string(array.bytes) + " bytes, " +
               (before ? std::to_string(array.begin - at) + " bytes before it"
                       : std::to_string(at - array.begin - array.bytes) + " bytes behind its end");
      break;
    }
    if (i < arrays_.size()) at = arrays_[i].begin + arrays_[i].bytes;
  }
  fill_unseen(arena_, filled_, used_);
  forbid(arena_, used_);
  return damage;
}

std::string SharedMemory::limit_problem(const void* declaration, std::size_t bytes) const {
  if (find(declaration) != nullptr) return "";
  const std::size_t total = static_bytes_ + bytes;
  if (total > static_shared_limit) {
    return "declares " + std::to_string(total) + " bytes of shared arrays, at most " +
           std::to_string(static_shared_limit) + " are allowed";
  }
  // What was granted counts, not what this launch takes of it.
  const std::size_t dynamic = std::max(arrays_[0].bytes, granted_),
                    limit = granted_ > 0 ? shared_limit : static_shared_limit;
  if (total + dynamic > limit) {
    return "needs " + std::to_string(total + dynamic) + " bytes of shared memory, of which it " +
           "declares " + std::to_string(total) + ", at most " + std::to_string(limit) +
           " are allowed" + (granted_ > 0 ? "" : " without cudaFuncSetAttribute");
  }
  return "";
}

void* SharedMemory::array(const void* declaration, const char* name, std::size_t bytes) {
  if (find(declaration) == nullptr) {
    static_bytes_ += bytes;
    append(declaration, name, bytes);
  }
  return arena_ + find(declaration)->begin;
}

bool SharedMemory::holds(const void* begin, std::size_t bytes) const {
  const auto at = reinterpret_cast<std::uintptr_t>(begin),
             arena = reinterpret_cast<std::uintptr_t>(arena_);
  for (const Array& array : arrays_) {
    if (at >= arena + array.begin && at + bytes <= arena + array.begin + array.bytes) return true;
  }
  return false;
}

void SharedMemory::append(const void* declaration, const char* name, std::size_t bytes) {
  arrays_.push_back({declaration, name, used_, bytes});
  permit(arena_ + used_, bytes);
  used_ += (bytes + 127) / 128 * 128 + red_zone;
  if (used_ > arena_bytes) throw Fault("[simt] more than 64 shared arrays in one kernel");
}

const SharedMemory::Array* SharedMemory::find(const void* declaration) const {
  for (const Array& array : arrays_) {
    if (array.declaration == declaration) return &array;
  }
  return nullptr;
}

}  // namespace simt
