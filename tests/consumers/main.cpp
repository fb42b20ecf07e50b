// What a stranger's first program does: include the library, compute something, catch an error.
#include <cstdio>
#include <cstring>

#if __has_include("tandem/tandem.hpp")
#include "tandem/tandem.hpp"
#else
#include "tandem/tensor/error.hpp"
#endif

int main() {
  try {
    tandem::fail("consumer", "expected ", 2, ", got ", 1.5);
  } catch (const tandem::Error& error) {
    if (std::strcmp(error.what(), "[consumer] expected 2, got 1.5") == 0) {
      std::printf("consumer works with tandem %s\n", TANDEM_VERSION_STRING);
      return 0;
    }
    std::printf("unexpected message: %s\n", error.what());
  }
  return 1;
}
