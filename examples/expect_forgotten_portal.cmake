# Runs PROGRAM, which awaits without a portal, and succeeds only if it fails and says so.
execute_process(COMMAND "${PROGRAM}" RESULT_VARIABLE result OUTPUT_VARIABLE output ERROR_VARIABLE error)
message("${output}${error}")
if(result EQUAL 0)
    message(FATAL_ERROR "The program has ended as if nothing were wrong.")
endif()
if(NOT error MATCHES "without a portal in this task" OR NOT error MATCHES "ensure_portal")
    message(FATAL_ERROR "The program (result: ${result}) does not say what was forgotten.")
endif()
