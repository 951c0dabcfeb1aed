# Everything here is a Debian package; ./dev setup installs them all. The installed package's
# sluice-config.cmake includes this file too.
find_package(OpenMP REQUIRED COMPONENTS CXX)
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(Boost REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET GLOBAL libxxhash)
pkg_check_modules(SENTENCEPIECE REQUIRED IMPORTED_TARGET GLOBAL sentencepiece)
pkg_check_modules(UTF8PROC REQUIRED IMPORTED_TARGET GLOBAL libutf8proc)
pkg_check_modules(HWY REQUIRED IMPORTED_TARGET GLOBAL libhwy)
if(NOT TARGET hwy::hwy)
  add_library(hwy::hwy ALIAS PkgConfig::HWY)
endif()

# Debian's own dnnl-config.cmake demands the OpenCL development files, which Sluice does not use.
if(NOT TARGET DNNL::dnnl)
  find_path(SLUICE_DNNL_INCLUDE_DIR dnnl.hpp)
  find_library(SLUICE_DNNL_LIBRARY dnnl)
  if(NOT SLUICE_DNNL_INCLUDE_DIR OR NOT SLUICE_DNNL_LIBRARY)
    message(FATAL_ERROR "oneDNN was not found: install libdnnl-dev.")
  endif()
  mark_as_advanced(SLUICE_DNNL_INCLUDE_DIR SLUICE_DNNL_LIBRARY)
  add_library(DNNL::dnnl SHARED IMPORTED GLOBAL)
  set_target_properties(DNNL::dnnl PROPERTIES IMPORTED_LOCATION ${SLUICE_DNNL_LIBRARY}
    INTERFACE_INCLUDE_DIRECTORIES ${SLUICE_DNNL_INCLUDE_DIR})
endif()

# The chart library of reports is built into Sluice: only its own build needs it.
if(PROJECT_NAME STREQUAL "sluice")
  find_file(SLUICE_CHART_JS chart.min.js PATHS /usr/share/javascript/chart.js NO_DEFAULT_PATH)
  if(NOT SLUICE_CHART_JS)
    message(FATAL_ERROR "Chart.js was not found: install libjs-chart.js, or set SLUICE_CHART_JS to the "
      "chart.min.js of its version 3.")
  endif()
  mark_as_advanced(SLUICE_CHART_JS)
endif()
