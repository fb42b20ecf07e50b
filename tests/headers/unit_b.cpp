#include <string>

#include "all_headers.hpp"

std::string* module_path_of_unit_b();
std::string* module_path_of_unit_b() { return &tandem::detail::module_path(); }
