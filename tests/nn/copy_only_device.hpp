#pragma once
/// A device for tests of what happens around kernels: its memory is the host's, and it has none.

#include <cstdlib>
#include <cstring>

#include "tandem/tensor/device.hpp"
#include "tandem/tensor/restore.hpp"

namespace tandem_test {

/// For a scope, Device::cuda() is memory of the host that only copies reach.
struct CopyOnlyDevice {
  CopyOnlyDevice() {
    tandem::DeviceInterface& table = tandem::cuda_interface();
    table.default_stream = [](int) -> void* { return nullptr; };
    table.device_count = [] { return 1; };
    table.allocate = [](int, std::int64_t bytes) {
      return std::malloc(static_cast<std::size_t>(bytes));
    };
    table.deallocate = [](int, void* p, std::int64_t) { std::free(p); };
    table.copy_to_device = table.copy_to_host =
        table.copy_on_device = [](int, void* to, const void* from, std::int64_t bytes) {
          std::memcpy(to, from, static_cast<std::size_t>(bytes));
        };
    table.fill = [](int, void* to, std::int64_t element_bytes, std::uint64_t bits, std::int64_t n) {
      for (std::int64_t i = 0; i < n; ++i) {
        std::memcpy(static_cast<char*>(to) + i * element_bytes, &bits,
                    static_cast<std::size_t>(element_bytes));
      }
    };
  }
  const tandem::detail::Restore<tandem::DeviceInterface> before{tandem::cuda_interface()};
};

}  // namespace tandem_test
