# Makes TARGET hold the claims of claims/*.json (lab/claims/claims.hpp): a source file with their texts,
# written anew when one changes.
function(sluice_embed_claims target)
  file(GLOB files CONFIGURE_DEPENDS ${PROJECT_SOURCE_DIR}/claims/*.json)
  set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${files})
  set(entries "")
  foreach(file IN LISTS files)
    get_filename_component(name ${file} NAME_WE)
    file(READ ${file} text)
    string(APPEND entries "      {\"${name}\", R\"claim(${text})claim\"},\n")
  endforeach()
  set(source ${PROJECT_BINARY_DIR}/claims/shipped_claims.cpp)
  file(WRITE ${source}.new
    "// Made from claims/*.json by cmake/Claims.cmake.\n\n"
    "#include \"sluice/lab/claims/claims.hpp\"\n\nnamespace sluice {\n\n"
    "const std::vector<std::pair<std::string, std::string>>& shipped_claims() {\n"
    "  static const std::vector<std::pair<std::string, std::string>> claims = {\n"
    "${entries}  };\n  return claims;\n}\n\n}  // namespace sluice\n")
  file(COPY_FILE ${source}.new ${source} ONLY_IF_DIFFERENT)
  target_sources(${target} PRIVATE ${source})
endfunction()
