# Builds TARGET in BUILD_DIR and succeeds only if the build fails and the first error of the compiler matches EXPECTED.

execute_process(
    COMMAND "${CMAKE_COMMAND}" --build "${BUILD_DIR}" --target "${TARGET}" --config "${CONFIG}"
    RESULT_VARIABLE result
    OUTPUT_VARIABLE output
    ERROR_VARIABLE output
)
if(result EQUAL 0)
    message(FATAL_ERROR "${TARGET} was built, and must not be")
endif()
# One line, which may be preceded by notes on what was instantiated.
string(REGEX MATCH "(^|\n)[^\n]*error: [^\n]*" first_error "${output}")
if(NOT first_error MATCHES "${EXPECTED}")
    message("${output}")
    message(FATAL_ERROR "${TARGET} was not built, but the first error above does not match: ${EXPECTED}")
endif()
