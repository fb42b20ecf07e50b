#pragma once
/// Bands of rows that stay with their threads.

#include <atomic>
#include <cstdint>
#include <vector>

#include "tandem/cpu/threads.hpp"

TANDEM_NAMESPACE_BEGIN
namespace flow::detail {

/// The band that a thread had last.
inline thread_local constinit std::int64_t last_band = -1;

/// An image cut into one band of rows per thread. An iteration takes microseconds, and a band that
/// moved to another core would first have to be fetched from there: so each thread takes the band
/// that it had last, if nobody else was faster.
class Bands {
 public:
  /// For images of height × width; narrow threads are not worth their start. Which rows form a band
  /// must not matter to what is computed.
  Bands(std::int64_t height, std::int64_t width) : height_(height) {
    const std::int64_t useful = height * width / 4000 + 1;
    std::int64_t count = cpu::in_parallel_region() ? 1 : cpu::num_threads();
    count = count < useful ? count : useful;
    rows_ = (height + count - 1) / count;
    taken_ = std::vector<std::atomic<std::int64_t>>(
        static_cast<std::size_t>((height + rows_ - 1) / rows_));
  }

  std::int64_t count() const { return static_cast<std::int64_t>(taken_.size()); }
  std::int64_t end(std::int64_t band) const {
    return (band + 1) * rows_ < height_ ? (band + 1) * rows_ : height_;
  }

  /// f(begin, end) for every band.
  template <class F>
  void run(F f) {
    if (count() == 1) return f(std::int64_t{0}, height_);
    ++round_;
    cpu::parallel_chunks(count(), 1, [&](std::int64_t, std::int64_t, std::int64_t) {
      const std::int64_t band = take();
      f(band * rows_, end(band));
    });
  }

 private:
  /// As many calls as there are bands in a round, so every one finds a band.
  std::int64_t take() {
    if (last_band >= 0 && last_band < count() && take(last_band)) return last_band;
    std::int64_t band = 0;
    while (!take(band)) ++band;
    return last_band = band;
  }
  bool take(std::int64_t band) {
    return taken_[static_cast<std::size_t>(band)].exchange(round_) != round_;
  }

  std::int64_t height_, rows_ = 0, round_ = 0;
  std::vector<std::atomic<std::int64_t>> taken_;  // the round in which each was taken last
};

}  // namespace flow::detail
TANDEM_NAMESPACE_END
