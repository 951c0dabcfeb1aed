# Writes OUT, the C++ source that holds the parts of the report's page: the files of DIR and LIBRARY, the
# chart library.
function(literal result file)
  file(READ ${file} text)
  string(FIND "${text}" ")sluice\"" clash)
  string(FIND "${text}" "</script" script)
  if(NOT clash EQUAL -1 OR (NOT script EQUAL -1 AND NOT file MATCHES "html$"))
    message(FATAL_ERROR "${file} cannot be embedded: it contains )sluice\" or </script")
  endif()
  set(${result} "R\"sluice(${text})sluice\"" PARENT_SCOPE)
endfunction()

literal(page ${DIR}/page.html)
literal(style ${DIR}/page.css)
literal(charts ${DIR}/charts.js)
literal(figures ${DIR}/figures.js)
literal(script ${DIR}/page.js)
literal(license ${DIR}/chartjs-license.txt)
literal(library ${LIBRARY})
file(WRITE ${OUT} "#include \"report/report_page.hpp\"

namespace sluice::report {

const Assets& assets() {
  static const Assets parts{.page = ${page},
                            .style = ${style},
                            .script = ${charts} ${figures} ${script},
                            .library = ${library},
                            .library_license = ${license}};
  return parts;
}

}  // namespace sluice::report
")
