# Builds TARGET in BUILD_DIR and succeeds only if the build fails with output that matches EXPECTED.

execute_process(
    COMMAND "${CMAKE_COMMAND}" --build "${BUILD_DIR}" --target "${TARGET}" --config "${CONFIG}"
    RESULT_VARIABLE result
    OUTPUT_VARIABLE output
    ERROR_VARIABLE output
)
if(result EQUAL 0)
    message(FATAL_ERROR "${TARGET} was built, and must not be")
endif()
if(NOT output MATCHES "${EXPECTED}")
    message("${output}")
    message(FATAL_ERROR "${TARGET} was not built, but the output above does not match: ${EXPECTED}")
endif()
