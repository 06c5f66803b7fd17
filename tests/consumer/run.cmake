# Builds and runs a small project that uses greenback: the installed one (CONSUMER is install, with a fresh
# installation below WORK_DIR), its source tree (subdirectory), or a git repository with the sources (fetch_content).

include("${WORK_DIR}/../cache.cmake")

function(run)
    execute_process(COMMAND ${ARGV} COMMAND_ECHO STDOUT RESULT_VARIABLE result)
    if(NOT result EQUAL 0)
        message(FATAL_ERROR "failed: ${ARGV}")
    endif()
endfunction()

file(REMOVE_RECURSE "${WORK_DIR}")

# In each, a package of the name Asio that is not what greenback looks for, as Conan makes one.
file(WRITE "${WORK_DIR}/other/AsioConfig.cmake" "add_library(other::asio INTERFACE IMPORTED)\n")
file(
    WRITE "${WORK_DIR}/other/AsioConfigVersion.cmake"
    "set(PACKAGE_VERSION 9.9.9)\nset(PACKAGE_VERSION_COMPATIBLE TRUE)\n"
)

set(
    arguments
    -C "${WORK_DIR}/../cache.cmake"
    "-DBLOCKING_CALLS=${BLOCKING_CALLS}"
    -DCMAKE_FIND_PACKAGE_PREFER_CONFIG=ON
    "-DAsio_DIR=${WORK_DIR}/other"
)
if(CONSUMER STREQUAL "install")
    run("${CMAKE_COMMAND}" --install "${GREENBACK_BUILD_DIR}" --prefix "${WORK_DIR}/prefix" --config "${CONFIG}")
    file(GLOB_RECURSE script "${WORK_DIR}/prefix/*/greenback.py")
    if(NOT script MATCHES "share/greenback/gdb/greenback.py$")
        message(FATAL_ERROR "the commands for gdb are not installed")
    endif()
    list(APPEND arguments "-Dgreenback_ROOT=${WORK_DIR}/prefix" "-DGREENBACK_VERSION=${GREENBACK_VERSION}")
    run("${CMAKE_COMMAND}" -G "${generator}" ${arguments} -S "${CONSUMER_DIR}/../versions" -B "${WORK_DIR}/versions")
elseif(CONSUMER STREQUAL "fetch_content")
    # A repository of its own: the sources may be an archive's, or have changes that are not committed.
    set(repository "${WORK_DIR}/repository")
    file(
        COPY
            "${GREENBACK_SOURCE_DIR}/CMakeLists.txt"
            "${GREENBACK_SOURCE_DIR}/cmake"
            "${GREENBACK_SOURCE_DIR}/include"
            "${GREENBACK_SOURCE_DIR}/src"
        DESTINATION "${repository}"
    )
    set(git "${GIT}" -C "${repository}" -c user.name=test -c user.email=test@localhost -c commit.gpgsign=false)
    run(${git} init -q)
    run(${git} add .)
    run(${git} commit -q -m sources)
    execute_process(
        COMMAND ${git} rev-parse HEAD
        OUTPUT_VARIABLE commit
        OUTPUT_STRIP_TRAILING_WHITESPACE
        COMMAND_ERROR_IS_FATAL ANY
    )
    list(APPEND arguments "-DGREENBACK_REPOSITORY=file://${repository}" "-DGREENBACK_COMMIT=${commit}")
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
