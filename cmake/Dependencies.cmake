# Everything here is a Debian package; ./dev setup installs them all. The installed package's
# sluice-config.cmake includes this file too, for the components that are asked for.
find_package(PkgConfig REQUIRED)

# An imported target for a package that pkg-config knows.
macro(sluice_find_pkg prefix module)
  if(NOT TARGET PkgConfig::${prefix})
    pkg_check_modules(${prefix} REQUIRED IMPORTED_TARGET GLOBAL ${module})
  endif()
endmacro()

# Debian's own dnnl-config.cmake demands the OpenCL development files, which Sluice does not use.
macro(sluice_find_dnnl)
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
endmacro()

# What a component needs besides the components before it.
macro(sluice_find_dependencies component)
  if("${component}" STREQUAL "kernels")
    sluice_find_pkg(HWY libhwy)
    if(NOT TARGET hwy::hwy)
      add_library(hwy::hwy ALIAS PkgConfig::HWY)
    endif()
  elseif("${component}" STREQUAL "inference")
    find_package(OpenMP REQUIRED COMPONENTS CXX)
    find_package(Threads REQUIRED)
    find_package(fmt REQUIRED)
    sluice_find_pkg(XXHASH libxxhash)
    sluice_find_pkg(SENTENCEPIECE sentencepiece)
    sluice_find_pkg(UTF8PROC libutf8proc)
    sluice_find_pkg(ZLIB zlib)
    sluice_find_pkg(LZMA liblzma)
    sluice_find_pkg(ZSTD libzstd)
    sluice_find_pkg(PCRE2 libpcre2-8)
    find_package(BZip2 REQUIRED)
    sluice_find_dnnl()
  endif()
endmacro()
