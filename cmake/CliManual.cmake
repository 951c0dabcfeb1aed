# Writes OUT, the manual of the program SLUICE, from its --help. With EXPECTED, fails when the two
# differ.
set(manual "# The commands\n\nMade from `--help` by `./dev docs`; do not edit.\n")
foreach(command "" train plan eval score rescore next mix arpa generate classify quantize export serve info units compare inspect report claims)
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
