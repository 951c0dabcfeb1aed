# What `cmake --install` puts where: the program, the headers, the rooms as static libraries, and
# a package that find_package(sluice) finds.
include(CMakePackageConfigHelpers)

if(TARGET sluice_cli)
  install(TARGETS sluice_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
install(DIRECTORY include/sluice DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/sluice)
get_property(rooms GLOBAL PROPERTY SLUICE_ROOMS)
install(TARGETS sluice ${rooms} EXPORT sluice-targets
  ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
install(EXPORT sluice-targets NAMESPACE sluice:: DESTINATION ${package_dir})

configure_package_config_file(cmake/sluice-config.cmake.in
  ${PROJECT_BINARY_DIR}/sluice-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sluice-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/sluice-config.cmake
  ${PROJECT_BINARY_DIR}/sluice-config-version.cmake cmake/Dependencies.cmake
  DESTINATION ${package_dir})
