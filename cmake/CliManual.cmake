# Writes OUT, the manual of the program SLUICE, from its --help. With EXPECTED, fails when the two
# differ.
set(manual "# The commands\n\nMade from `--help` by `./dev docs`; do not edit.\n")
# The commands are those that --help lists.
execute_process(COMMAND ${SLUICE} --help OUTPUT_VARIABLE help COMMAND_ERROR_IS_FATAL ANY)
string(REGEX REPLACE ".*\nSubcommands:\n" "" listed "${help}")
string(REGEX MATCHALL "\n  [a-z]+" commands "\n${listed}")
if(NOT commands)
  message(FATAL_ERROR "${SLUICE} --help lists no commands")
endif()
list(TRANSFORM commands STRIP)
foreach(command "" ${commands})
  execute_process(COMMAND ${SLUICE} ${command} --help OUTPUT_VARIABLE help
    COMMAND_ERROR_IS_FATAL ANY)
  string(STRIP "sluice ${command}" title)
  string(APPEND manual "\n## ${title}\n\n```\n${help}```\n")
endforeach()
file(WRITE ${OUT} "${manual}")
if(EXPECTED)
  execute_process(COMMAND ${CMAKE_COMMAND} -E compare_files ${OUT} ${EXPECTED}
    RESULT_VARIABLE differs OUTPUT_QUIET ERROR_QUIET)
  if(differs)
    message(FATAL_ERROR "${EXPECTED} is out of date: run ./dev docs")
  endif()
endif()
