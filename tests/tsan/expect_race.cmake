# Runs PROGRAM, and succeeds only if ThreadSanitizer reports its race, between two portals that it names.
execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env TSAN_OPTIONS=exitcode=66 "${PROGRAM}"
    RESULT_VARIABLE result
    OUTPUT_VARIABLE output
    ERROR_VARIABLE error
)
message("${output}${error}")
if(NOT result EQUAL 66 OR NOT error MATCHES "WARNING: ThreadSanitizer: data race")
    message(FATAL_ERROR "No race was reported (result: ${result}).")
endif()
foreach(name IN ITEMS "greenback portal" "the portal that is late")
    if(NOT error MATCHES "Thread T[0-9]+ '${name}'")
        message(FATAL_ERROR "The report does not name '${name}'.")
    endif()
endforeach()
