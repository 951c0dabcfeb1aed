# Writes OUT, the manual's page of units, from what the program SLUICE says. With EXPECTED, fails when
# the two differ.
execute_process(COMMAND ${SLUICE} units --markdown OUTPUT_FILE ${OUT} COMMAND_ERROR_IS_FATAL ANY)
if(EXPECTED)
  execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${OUT} ${EXPECTED}
    RESULT_VARIABLE differs OUTPUT_QUIET ERROR_QUIET)
  if(differs)
    message(FATAL_ERROR "${EXPECTED} is out of date: run ./dev docs")
  endif()
endif()
