# One static library per room. A room sees its own headers and those of the rooms it names in
# USES, and no others: each room's public headers are reached through a private include root that
# holds nothing but a link to include/sluice/<room>, so an include of a room that is not linked
# fails to compile. The installed package keeps such roots too (Install.cmake).
set(SLUICE_INSTALL_ROOMS ${CMAKE_INSTALL_LIBDIR}/sluice/rooms)

add_library(sluice_options INTERFACE)
target_compile_options(sluice_options INTERFACE
  $<$<COMPILE_LANGUAGE:CXX>:-Wall -Wextra -Wpedantic -Wshadow -Wconversion>
  # GCC 12 warns about std::string's operator+ in its own headers (GCC bug 105651).
  $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
  $<$<BOOL:${SLUICE_WERROR}>:-Werror>)
if(SLUICE_SANITIZE)
  target_compile_options(sluice_options INTERFACE
    $<$<NOT:$<BOOL:$<TARGET_PROPERTY:SLUICE_PLAIN>>>:-fsanitize=${SLUICE_SANITIZE}> -fno-omit-frame-pointer)
  target_link_options(sluice_options INTERFACE -fsanitize=${SLUICE_SANITIZE})
endif()

# Compiles up to `sources` sources together, which must not give one name two meanings, not in unnamed
# namespaces either.
function(sluice_join target sources)
  if(SLUICE_JOIN_SOURCES)
    set_target_properties(${target} PROPERTIES UNITY_BUILD ON UNITY_BUILD_BATCH_SIZE ${sources})
  endif()
endfunction()

# sluice_room(NAME COMPONENT C [PART OF] USES rooms...): the library sluice_NAME of src/NAME/, or, as a
# part of the room OF that needs fewer packages, of src/OF/NAME/; installed with component C.
function(sluice_room name)
  cmake_parse_arguments(ROOM "" "COMPONENT;PART" "USES" ${ARGN})
  set(room ${name})
  set(folder ${PROJECT_SOURCE_DIR}/src/${name})
  if(ROOM_PART)
    set(room ${ROOM_PART})
    set(folder ${PROJECT_SOURCE_DIR}/src/${ROOM_PART}/${name})
    set_property(GLOBAL APPEND PROPERTY SLUICE_PARTS_OF_${ROOM_PART} ${folder})
  endif()
  set(root ${PROJECT_BINARY_DIR}/rooms/${room})
  file(MAKE_DIRECTORY ${root}/sluice)
  file(CREATE_LINK ${PROJECT_SOURCE_DIR}/include/sluice/${room} ${root}/sluice/${room} SYMBOLIC)
  file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${folder}/*.cpp)
  get_property(parts GLOBAL PROPERTY SLUICE_PARTS_OF_${name})
  foreach(part ${parts})
    list(FILTER sources EXCLUDE REGEX "^${part}/")
  endforeach()
  if(NOT sources)
    set(sources ${PROJECT_SOURCE_DIR}/cmake/empty.cpp)
  endif()
  add_library(sluice_${name} STATIC ${sources})
  add_library(sluice::${name} ALIAS sluice_${name})
  target_include_directories(sluice_${name}
    PUBLIC $<BUILD_INTERFACE:${root}> $<INSTALL_INTERFACE:${SLUICE_INSTALL_ROOMS}/${room}>)
  set_target_properties(sluice_${name} PROPERTIES EXPORT_NAME ${name} OUTPUT_NAME sluice_${name}
    SLUICE_COMPONENT ${ROOM_COMPONENT} SLUICE_HEADERS ${room})
  target_link_libraries(sluice_${name} PRIVATE $<BUILD_INTERFACE:sluice_options>)
  target_compile_features(sluice_${name} PUBLIC cxx_std_20)
  # What computes reads no bytes that somebody else made, and takes most of the fuzzer's build.
  if(SLUICE_FUZZ AND name MATCHES "^(kernels|autograd|nn)$")
    set_target_properties(sluice_${name} PROPERTIES SLUICE_PLAIN ON)
  endif()
  foreach(used ${ROOM_USES})
    target_link_libraries(sluice_${name} PUBLIC sluice_${used})
  endforeach()
  # Kernels are compiled once per SIMD target, each source by itself; tensor's sources take time
  # themselves, not their headers.
  if(NOT name MATCHES "^(kernels|tensor)$")
    sluice_join(sluice_${name} 16)
  endif()
  set_property(GLOBAL APPEND PROPERTY SLUICE_ROOMS sluice_${name})
endfunction()
