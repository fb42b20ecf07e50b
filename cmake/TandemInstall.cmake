# `cmake --install`: the headers, a CMake package (find_package(tandem)) and a pkg-config file.

include(CMakePackageConfigHelpers)
set(package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/tandem")

install(DIRECTORY include/tandem DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
        FILES_MATCHING PATTERN "*.hpp")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DATADIR}/doc/tandem")
install(TARGETS tandem EXPORT tandemTargets)
install(EXPORT tandemTargets NAMESPACE tandem:: DESTINATION "${package_dir}")
# tandem::io has a file of its own, so that its libraries are looked for only where it is asked for.
set_target_properties(tandem_io PROPERTIES EXPORT_NAME io)
install(TARGETS tandem_io EXPORT tandemIoTargets)
install(EXPORT tandemIoTargets NAMESPACE tandem:: DESTINATION "${package_dir}")

foreach(target tandem_compiled tandem_image tandem_video tandem_cuda_kernels)
  if(TARGET ${target})
    tandem_build_before_install(${target})
  endif()
endforeach()

if(TARGET tandem_compiled)
  set_target_properties(tandem_compiled PROPERTIES EXPORT_NAME compiled)
  install(TARGETS tandem_compiled EXPORT tandemCompiledTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT tandemCompiledTargets NAMESPACE tandem:: DESTINATION "${package_dir}")
endif()

if(TARGET tandem_image)
  set_target_properties(tandem_image PROPERTIES EXPORT_NAME image)
  install(TARGETS tandem_image EXPORT tandemImageTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT tandemImageTargets NAMESPACE tandem:: DESTINATION "${package_dir}")
endif()

if(TARGET tandem_video)
  set_target_properties(tandem_video PROPERTIES EXPORT_NAME video)
  install(TARGETS tandem_video EXPORT tandemVideoTargets ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT tandemVideoTargets NAMESPACE tandem:: DESTINATION "${package_dir}")
endif()

if(TARGET tandem_cuda)
  set_target_properties(tandem_cuda PROPERTIES EXPORT_NAME cuda)
  set_target_properties(tandem_cuda_kernels PROPERTIES EXPORT_NAME cuda_kernels)
  install(TARGETS tandem_cuda tandem_cuda_kernels EXPORT tandemCudaTargets
          ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}")
  install(EXPORT tandemCudaTargets NAMESPACE tandem:: DESTINATION "${package_dir}")
endif()

configure_package_config_file(cmake/tandemConfig.cmake.in
  "${CMAKE_CURRENT_BINARY_DIR}/tandemConfig.cmake" INSTALL_DESTINATION "${package_dir}")
# 0.x: a change of the minor version may break programs.
write_basic_package_version_file("${CMAKE_CURRENT_BINARY_DIR}/tandemConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion ARCH_INDEPENDENT)
# From the .pc file up to the prefix, so that an installed tree can be moved.
file(RELATIVE_PATH pc_up "/${CMAKE_INSTALL_LIBDIR}/pkgconfig" "/")
string(REGEX REPLACE "/$" "" pc_up "${pc_up}")
configure_file(cmake/tandem.pc.in "${CMAKE_CURRENT_BINARY_DIR}/tandem.pc" @ONLY)
configure_file(cmake/tandem-io.pc.in "${CMAKE_CURRENT_BINARY_DIR}/tandem-io.pc" @ONLY)

install(FILES "${CMAKE_CURRENT_BINARY_DIR}/tandemConfig.cmake"
              "${CMAKE_CURRENT_BINARY_DIR}/tandemConfigVersion.cmake"
        DESTINATION "${package_dir}")
install(FILES "${CMAKE_CURRENT_BINARY_DIR}/tandem.pc" "${CMAKE_CURRENT_BINARY_DIR}/tandem-io.pc"
        DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
