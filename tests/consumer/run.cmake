# Builds and runs a small project that uses greenback: the installed one (CONSUMER is install, with a fresh
# installation below WORK_DIR) or its source tree (CONSUMER is subdirectory).

include("${WORK_DIR}/../cache.cmake")

function(run)
    execute_process(COMMAND ${ARGV} COMMAND_ECHO STDOUT RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "failed: ${ARGV}")
    endif()
endfunction()

file(REMOVE_RECURSE "${WORK_DIR}")

set(arguments -C "${WORK_DIR}/../cache.cmake" "-DBLOCKING_CALLS=${BLOCKING_CALLS}")
if(CONSUMER STREQUAL "install")
    run("${CMAKE_COMMAND}" --install "${GREENBACK_BUILD_DIR}" --prefix "${WORK_DIR}/prefix" --config "${CONFIG}")
    file(GLOB_RECURSE script "${WORK_DIR}/prefix/*/greenback.py")
    if(NOT script MATCHES "share/greenback/gdb/greenback.py$")
        message(FATAL_ERROR "the commands for gdb are not installed")
    endif()
    list(APPEND arguments "-Dgreenback_ROOT=${WORK_DIR}/prefix" "-DGREENBACK_VERSION=${GREENBACK_VERSION}")
else()
    list(APPEND arguments "-DGREENBACK_SOURCE_DIR=${GREENBACK_SOURCE_DIR}")
endif()

run("${CMAKE_COMMAND}" -G "${generator}" ${arguments} -S "${CONSUMER_DIR}" -B "${WORK_DIR}/build")
run("${CMAKE_COMMAND}" --build "${WORK_DIR}/build" --config "${CONFIG}")

set(programs consumer)
if(BLOCKING_CALLS)
    list(APPEND programs consumer_of_blocking_calls)
endif()
foreach(program IN LISTS programs)
    find_program(${program} NAMES ${program} PATHS "${WORK_DIR}/build" PATH_SUFFIXES "${CONFIG}" NO_DEFAULT_PATH REQUIRED)
    run("${${program}}")
endforeach()
