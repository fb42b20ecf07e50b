#pragma once
/// The .flo format of the Middlebury benchmark.                               [Baker et al. 2011]
///
///   float 202021.25 ("PIEH"), int32 width, int32 height, then u, v of every pixel, row by row, as
///   floats; everything little-endian.
///
///   Tensor<float> flow = flow::read_flo("flow10.flo");      // (H, W, 2)
///   flow::write_flo("out.flo", flow);
///
/// A flow that is not known is stored as a number above 10⁹ (1666666752 in the published files) and
/// read as it stands: is_known() tells. Files with NaN are read too; NaN counts as not known.

#include <bit>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

#include "tandem/io/file.hpp"
#include "tandem/tensor/error.hpp"
#include "tandem/tensor/finite.hpp"
#include "tandem/tensor/tensor.hpp"

TANDEM_NAMESPACE_BEGIN
namespace flow {

static_assert(std::endian::native == std::endian::little, "tandem runs on little-endian machines");

/// What write_flo stores for a flow that is not known.
inline constexpr float unknown_flow = 1666666752.0F;

/// False when a component is NaN or larger than 10⁹.
inline bool is_known(float u, float v) { return std::fabs(u) <= 1e9F && std::fabs(v) <= 1e9F; }

/// The flow (H, W, 2) in the bytes of a .flo file; `name` is for messages.
/// Errors: another format, sizes below 1 or above 99999, more or fewer bytes than the sizes say.
inline Tensor<float> decode_flo(std::string_view bytes, std::string_view name) {
  TANDEM_CHECK(bytes.size() >= 12, "read_flo", name,
               ": a .flo file has at least 12 bytes, this one has ", bytes.size());
  TANDEM_CHECK(bytes.substr(0, 4) == "PIEH", "read_flo", name,
               ": the file does not begin with the four bytes PIEH of a .flo file");
  std::int32_t width = 0, height = 0;
  std::memcpy(&width, bytes.data() + 4, 4);
  std::memcpy(&height, bytes.data() + 8, 4);
  TANDEM_CHECK(width >= 1 && width <= 99999 && height >= 1 && height <= 99999, "read_flo", name,
               ": expected a width and a height from 1 to 99999, got ", width, " and ", height);
  const std::uint64_t needed =
      12 + 8 * static_cast<std::uint64_t>(width) * static_cast<std::uint64_t>(height);
  TANDEM_CHECK(bytes.size() == needed, "read_flo", name, ": a flow of ", width, " x ", height,
               " pixels has ", needed, " bytes, the file has ", bytes.size());
  const Tensor<float> flow({height, width, 2});
  std::memcpy(flow.mutable_data(), bytes.data() + 12, bytes.size() - 12);
  return flow;
}

inline Tensor<float> read_flo(const std::string& path) {
  return decode_flo(io::MappedFile::open(path)->text(), path);
}

/// Writes a flow (H, W, 2) in one step. NaN and infinities are stored as unknown_flow.
inline void write_flo(const std::string& path, const Tensor<float>& flow) {
  TANDEM_CHECK(flow.defined() && flow.rank() == 3 && flow.size(2) == 2 && flow.device().is_cpu() &&
                   flow.size(0) >= 1 && flow.size(1) >= 1 && flow.size(0) <= 99999 &&
                   flow.size(1) <= 99999,
               "write_flo", path,
               ": expected a flow (H, W, 2) of 1 to 99999 rows and columns on the CPU, got ",
               flow.defined() ? flow.shape().str() : "an undefined tensor");
  const Tensor<float> dense = flow.detach().contiguous();
  const float* p = dense.data();
  const std::int32_t size[2] = {static_cast<std::int32_t>(flow.size(1)),
                                static_cast<std::int32_t>(flow.size(0))};
  io::AtomicFile out(path);
  out.write("PIEH");
  out.write(size, sizeof size);
  std::string row(static_cast<std::size_t>(8 * flow.size(1)), '\0');
  for (std::int64_t y = 0; y < flow.size(0); ++y) {
    for (std::int64_t i = 0; i < 2 * flow.size(1); ++i) {
      const float value = p[2 * flow.size(1) * y + i];
      const float stored = is_finite(value) ? value : unknown_flow;
      std::memcpy(row.data() + 4 * i, &stored, 4);
    }
    out.write(row);
  }
  out.commit();
}

/// The mean of |flow − truth| over the pixels where the truth is known: the endpoint error.
inline double endpoint_error(const Tensor<float>& flow, const Tensor<float>& truth) {
  TANDEM_CHECK(flow.shape() == truth.shape() && flow.rank() >= 1 && flow.size(-1) == 2,
               "endpoint_error", "expected two flows (…, 2) of one size, got ", flow.shape(),
               " and ", truth.shape());
  const Tensor<float> a = flow.detach().contiguous(), b = truth.detach().contiguous();
  const float* p = a.data();
  const float* q = b.data();
  double sum = 0;
  std::int64_t known = 0;
  for (std::int64_t i = 0; i < a.numel(); i += 2) {
    if (!is_known(q[i], q[i + 1])) continue;
    const double du = static_cast<double>(p[i]) - static_cast<double>(q[i]);
    const double dv = static_cast<double>(p[i + 1]) - static_cast<double>(q[i + 1]);
    sum += std::sqrt(du * du + dv * dv);
    ++known;
  }
  TANDEM_CHECK(known > 0, "endpoint_error", "the truth is known nowhere");
  return sum / static_cast<double>(known);
}

}  // namespace flow
TANDEM_NAMESPACE_END
