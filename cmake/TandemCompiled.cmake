# tandem::compiled: the ops, modules and optimizers for float and double, compiled once (tandem/compiled.hpp). Programs
# that link it include the same headers and are built several times faster; header-only stays the default.

if(NOT TANDEM_COMPILED)
  return()
endif()
file(GLOB compiled_sources CONFIGURE_DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/src/compiled/*.cpp")
add_library(tandem_compiled STATIC ${compiled_sources})
add_library(tandem::compiled ALIAS tandem_compiled)
target_link_libraries(tandem_compiled PUBLIC tandem)
target_compile_definitions(tandem_compiled PUBLIC TANDEM_COMPILED=1)
tandem_compiled_library(tandem_compiled)
