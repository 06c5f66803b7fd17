# Runs the program after "--" under memcheck. Succeeds only if the program does, and if memcheck has said nothing but
# that there is nothing to say. Not with -q: it would hide the warning of a switch of stacks, too.
set(program "")
set(is_program OFF)
math(EXPR last "${CMAKE_ARGC} - 1")
foreach(i RANGE ${last})
    if(is_program)
        list(APPEND program "${CMAKE_ARGV${i}}")
    elseif("${CMAKE_ARGV${i}}" STREQUAL "--")
        set(is_program ON)
    endif()
endforeach()

execute_process(
    COMMAND
        "${VALGRIND}" --tool=memcheck --error-exitcode=9 --leak-check=full --show-leak-kinds=definite
        --errors-for-leak-kinds=definite -- ${program}
    RESULT_VARIABLE result
    OUTPUT_VARIABLE output
    ERROR_VARIABLE error
)
message("${output}${error}")
if(error MATCHES "debuginfo reader")
    message("skipped: this valgrind can't read the debug information that this compiler writes")
    return()
endif()
if(NOT result EQUAL 0)
    message(FATAL_ERROR "The program ended with ${result}; 9 would be memcheck's own.")
endif()
if(NOT error MATCHES "ERROR SUMMARY: 0 errors from 0 contexts")
    message(FATAL_ERROR "memcheck was not there, or did not come to its end.")
endif()
if(error MATCHES "client switching stacks|unhandled|WARNING|Warning")
    message(FATAL_ERROR "memcheck has warned of something.")
endif()
