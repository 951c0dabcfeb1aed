# What `cmake --install` puts where: the program; the public headers; the rooms as static libraries, by
# component; libsluice.so with all of them; a package for find_package(sluice) and one for pkg-config.
include(CMakePackageConfigHelpers)

if(TARGET sluice_cli)
  install(TARGETS sluice_cli RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR})
endif()
if(TARGET sluice_mpi)
  install(TARGETS sluice_mpi LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR}/sluice)
endif()
# Headers in detail/ are for the rooms among themselves.
install(DIRECTORY include/sluice DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}
  FILES_MATCHING PATTERN "*.hpp" PATTERN "detail" EXCLUDE)

set(package_dir ${CMAKE_INSTALL_LIBDIR}/cmake/sluice)
set(components)
get_property(rooms GLOBAL PROPERTY SLUICE_ROOMS)
foreach(room ${rooms})
  get_target_property(component ${room} SLUICE_COMPONENT)
  list(APPEND components ${component})
  install(TARGETS ${room} EXPORT sluice-${component} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
  # The room's include root: a link to its headers, as in the build.
  get_target_property(headers ${room} SLUICE_HEADERS)
  file(RELATIVE_PATH up /${SLUICE_INSTALL_ROOMS}/${headers}/sluice /${CMAKE_INSTALL_INCLUDEDIR}/sluice/${headers})
  install(CODE "
    set(root \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${SLUICE_INSTALL_ROOMS}/${headers}/sluice\")
    file(MAKE_DIRECTORY \"\${root}\")
    file(CREATE_LINK ${up} \"\${root}/${headers}\" SYMBOLIC)")
endforeach()

if(TARGET sluice_shared)
  list(APPEND components shared)
  install(TARGETS sluice_shared EXPORT sluice-shared LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR})
endif()
list(REMOVE_DUPLICATES components)
foreach(component ${components})
  install(EXPORT sluice-${component} NAMESPACE sluice:: DESTINATION ${package_dir})
endforeach()

configure_package_config_file(cmake/sluice-config.cmake.in
  ${PROJECT_BINARY_DIR}/sluice-config.cmake INSTALL_DESTINATION ${package_dir})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/sluice-config-version.cmake
  COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/sluice-config.cmake
  ${PROJECT_BINARY_DIR}/sluice-config-version.cmake cmake/Dependencies.cmake
  DESTINATION ${package_dir})

file(RELATIVE_PATH SLUICE_PC_TO_PREFIX /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
configure_file(cmake/sluice.pc.in ${PROJECT_BINARY_DIR}/sluice.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/sluice.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig)
