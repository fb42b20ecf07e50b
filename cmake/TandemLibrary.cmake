# What the libraries that are compiled, tandem::image and tandem::video, have in common.

# As a guest in a project without a build type, they would be compiled without optimization, in which
# decoding an image takes several times as long.
function(tandem_compiled_library target)
  set_target_properties(${target} PROPERTIES POSITION_INDEPENDENT_CODE ON)
  if(NOT PROJECT_IS_TOP_LEVEL)
    set_target_properties(${target} PROPERTIES EXCLUDE_FROM_ALL ON)
  endif()
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES AND NOT CMAKE_CXX_FLAGS MATCHES "-O")
    target_compile_options(${target} PRIVATE -O2)
  endif()
endfunction()

# Lets `cmake --install` work without a build before it: what is missing is built first.
function(tandem_build_before_install)
  foreach(target IN LISTS ARGN)
    install(CODE "
      if(NOT EXISTS \"$<TARGET_FILE:${target}>\")
        execute_process(COMMAND \"${CMAKE_COMMAND}\" --build \"${PROJECT_BINARY_DIR}\" --target ${target}
                                --config \"$<CONFIG>\" COMMAND_ERROR_IS_FATAL ANY)
      endif()")
  endforeach()
endfunction()
