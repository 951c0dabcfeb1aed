# Writes OUT, the manual's page of units, from what the program SLUICE says. With EXPECTED, fails when
# the two differ in more than what bench/unit_figures.py adds.
execute_process(COMMAND ${SLUICE} units --markdown OUTPUT_FILE ${OUT} COMMAND_ERROR_IS_FATAL ANY)
if(EXPECTED)
  file(READ ${OUT} said)
  file(READ ${EXPECTED} written)
  string(REGEX REPLACE " Greatest errors over every float: [^\n]*" "" written "${written}")
  string(REGEX REPLACE "- Speed: [^\n]*; \\[benchmarks\\]" "- Speed: [benchmarks]" written "${written}")
  if(NOT said STREQUAL written)
    message(FATAL_ERROR "${EXPECTED} is out of date: run ./dev docs")
  endif()
endif()
