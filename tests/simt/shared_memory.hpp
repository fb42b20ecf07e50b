#pragma once
/// The shared memory of a block: arrays in the order in which they are met, each between red zones,
/// all of it poison() when the block starts.

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace simt {

class SharedMemory {
 public:
  ~SharedMemory();
  /// `granted`: what cudaFuncSetAttribute has allowed the launch to ask for, 0 if it was not
  /// called.
  void block_starts(std::size_t dynamic_bytes, std::size_t granted);
  /// "" or what was damaged: the bytes between the arrays must be as they were.
  std::string block_ends();
  void launch_done();

  /// "" or why another array of `bytes` would be too much for a GPU.
  std::string limit_problem(const void* declaration, std::size_t bytes) const;
  /// The array of one declaration: the first thread that comes makes it.
  void* array(const void* declaration, const char* name, std::size_t bytes);
  /// Whether these bytes lie in one of the arrays.
  bool holds(const void* begin, std::size_t bytes) const;
  void* dynamic() const { return arena_ + red_zone; }
  /// An address that stands for one meeting of the block's threads (number < 128), for
  /// ThreadSanitizer. Two numbers take turns: a thread that leaves a meeting late must not seem to
  /// have seen the next one.
  void* meeting_place(std::size_t number) const { return arena_ + number; }

 private:
  static constexpr std::size_t red_zone = 128;
  struct Array {
    const void* declaration;
    const char* name;
    std::size_t begin, bytes;
  };
  void append(const void* declaration, const char* name, std::size_t bytes);
  const Array* find(const void* declaration) const;

  unsigned char* arena_ = nullptr;
  std::size_t used_ = 0, static_bytes_ = 0, granted_ = 0;
  std::uint32_t filled_ = 0;   // what the free part of the arena holds
  std::vector<Array> arrays_;  // the first one is what the launch asked for
  std::vector<unsigned char*> old_;
};

}  // namespace simt
