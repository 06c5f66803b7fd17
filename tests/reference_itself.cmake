# Checks the check of the reference, reference.cmake, on copies of it in which something is wrong.
#   cmake -D SOURCE_DIR=<folder> -D WORK_DIR=<folder> -P reference_itself.cmake
cmake_minimum_required(VERSION 3.25)

# Starts a copy in which all is as it should be.
macro(copy)
    file(REMOVE_RECURSE "${WORK_DIR}")
    foreach(folder IN ITEMS docs/reference include/greenback examples/helpers tests)
        file(GLOB files "${SOURCE_DIR}/${folder}/*.[chm][pd]*")
        file(COPY ${files} DESTINATION "${WORK_DIR}/${folder}")
    endforeach()
    file(COPY "${SOURCE_DIR}/docs/reference.md" DESTINATION "${WORK_DIR}/docs")
endmacro()

# Replaces text in a file of the copy, where it must be.
function(replace file from to)
    file(READ "${WORK_DIR}/${file}" text)
    string(REPLACE "${from}" "${to}" changed "${text}")
    if(changed STREQUAL text)
        message(SEND_ERROR "${file} has no '${from}'")
    endif()
    file(WRITE "${WORK_DIR}/${file}" "${changed}")
endfunction()

# Runs the check. Without an argument it must pass, otherwise fail, with this error among others.
function(expect)
    execute_process(
        COMMAND "${CMAKE_COMMAND}" "-DSOURCE_DIR=${WORK_DIR}" -P "${SOURCE_DIR}/tests/reference.cmake"
        RESULT_VARIABLE result
        OUTPUT_VARIABLE output
        ERROR_VARIABLE output
    )
    if(ARGC EQUAL 0)
        if(NOT result EQUAL 0)
            message(SEND_ERROR "a reference without fault is refused:\n${output}")
        endif()
        return()
    endif()
    string(REGEX REPLACE "[ \n]+" " " output "${output}")
    string(FIND "${output}" "${ARGV0}" position)
    if(result EQUAL 0 OR position EQUAL -1)
        message(SEND_ERROR "an error was to be '${ARGV0}', not:\n${output}")
    endif()
endfunction()

copy()
expect()

copy()
file(REMOVE "${WORK_DIR}/docs/reference/has_portal.md")
expect("docs/reference.md links docs/reference/has_portal.md for has_portal, which is not there")

copy()
replace(docs/reference.md " [page](reference/stats.md) | `greenback/diagnostics.hpp` |" " | `greenback/diagnostics.hpp` |")
expect("no '[page](reference/….md)' in the row of portal_stats")
expect("docs/reference.md does not link docs/reference/stats.md")

copy()
replace(docs/reference/sleep.md "`sleep_until" "`sleep_for")
expect("docs/reference/sleep.md does not name `sleep_until`")

copy() # a part of another name is not enough
replace(docs/reference/set_log_handler.md "`log_handler`" "`set_log_handler`")
expect("docs/reference/set_log_handler.md does not name `log_handler`")

copy()
replace(docs/reference/stats.md "<!-- snippet: " "<!-- no snippet: ")
expect("docs/reference/stats.md has no code")

copy()
file(WRITE "${WORK_DIR}/docs/reference/forgotten.md" "# forgotten\n")
expect("docs/reference.md does not link docs/reference/forgotten.md")

copy()
replace(include/greenback/sleep.hpp "void sleep_for(" "void doze_for(")
expect("docs/reference.md does not list sleep.hpp:doze_for")
