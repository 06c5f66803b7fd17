# greenback_add_memcheck_test(<name> <target> [<argument>...]): a test that memcheck has nothing to say of a program.
# Not where valgrind is missing, or its headers, from which the library has what it tells it of fibers; nor with a
# sanitizer, which doesn't run under valgrind.
find_program(greenback_valgrind valgrind)
find_path(greenback_valgrind_header valgrind/memcheck.h)
mark_as_advanced(greenback_valgrind greenback_valgrind_header)

if(NOT greenback_valgrind OR NOT greenback_valgrind_header)
    message(STATUS "valgrind or its headers not found (on Debian: valgrind): no program is run under memcheck")
    set(greenback_runs_memcheck OFF)
elseif(CMAKE_CXX_FLAGS MATCHES "-fsanitize=|-DNVALGRIND")
    set(greenback_runs_memcheck OFF)
else()
    set(greenback_runs_memcheck ON)
endif()

function(greenback_add_memcheck_test name target)
    if(NOT greenback_runs_memcheck)
        return()
    endif()
    add_test(
        NAME "memcheck: ${name}"
        COMMAND
            "${CMAKE_COMMAND}" "-DVALGRIND=${greenback_valgrind}" -P "${PROJECT_SOURCE_DIR}/cmake/run_memcheck.cmake" --
            "$<TARGET_FILE:${target}>" ${ARGN}
    )
    set_tests_properties("memcheck: ${name}" PROPERTIES TIMEOUT 120 SKIP_REGULAR_EXPRESSION "\nskipped: this valgrind")
endfunction()
