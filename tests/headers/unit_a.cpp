// Includes everything, as unit_b.cpp does: a function that is not inline would be defined twice and
// the program would not link.
#include <cstdio>
#include <string>

#include "all_headers.hpp"

std::string* module_path_of_unit_b();

int main() {
  // Inline state must be one object in the whole program.
  if (module_path_of_unit_b() != &tandem::detail::module_path()) {
    std::puts("the two units have different copies of tandem's inline state");
    return 1;
  }
  return 0;
}
