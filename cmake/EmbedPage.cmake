# Writes OUT, the C++ source that holds the server's page: page.html of DIR, with page.css and the scripts
# (SCRIPTS, in order) where it says so.
file(READ ${DIR}/page.html page)
file(READ ${DIR}/page.css style)
set(script "")
foreach(name ${SCRIPTS})
  file(READ ${DIR}/${name} part)
  string(APPEND script "${part}")
endforeach()
string(REPLACE "/*STYLE*/" "${style}" page "${page}")
string(REPLACE "/*SCRIPT*/" "${script}" page "${page}")
string(FIND "${page}" ")sluice\"" clash)
if(NOT clash EQUAL -1)
  message(FATAL_ERROR "${DIR} cannot be embedded: it contains )sluice\"")
endif()
# Compilers need not take literals of any length.
string(LENGTH "${page}" length)
set(parts "")
set(at 0)
while(at LESS length)
  string(SUBSTRING "${page}" ${at} 12000 part)
  string(APPEND parts "R\"sluice(${part})sluice\"\n")
  math(EXPR at "${at} + 12000")
endwhile()
file(WRITE ${OUT} "#include \"page.hpp\"

namespace sluice::server {

std::string_view page() {
  static constexpr std::string_view text =
${parts};
  return text;
}

}  // namespace sluice::server
")
