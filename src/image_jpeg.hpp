#pragma once
/// JPEG behind tandem/image/image.hpp: what src/image_stb.cpp calls. Not installed.

#include "tandem/image/image.hpp"

TANDEM_NAMESPACE_BEGIN
namespace io {

/// The pixels (H, W, 3) of a file that starts with FF D8 FF.
Tensor<std::uint8_t> decode_jpeg(std::string_view bytes, std::string_view name,
                                 const ImageOptions& options);

}  // namespace io
TANDEM_NAMESPACE_END
