# Checks that the code in the documentation is code that is compiled.
#   cmake -D SOURCE_DIR=<folder> -P check_snippets.cmake
#
# In README.md, docs/*.md, docs/reference/*.md and docs/libraries/*.md, every block of C++ must be preceded by a line that
# names a file and a region of it:
#
#     <!-- snippet: examples/quickstart.cpp quickstart -->
#     ```cpp
#
# and must be equal to what stands in that file between the lines "// [quickstart]" and "// [/quickstart]". A region that is
# indented is compared without its marker's indentation.
cmake_minimum_required(VERSION 3.25)

set(fence "```")
set(count 0)

function(complain text)
    message(SEND_ERROR "${document}: ${text}")
endfunction()

# Sets `region` to the text between the markers, or to NOTFOUND.
function(read_region file name)
    set(region NOTFOUND PARENT_SCOPE)
    if(NOT EXISTS "${SOURCE_DIR}/${file}")
        return()
    endif()
    file(READ "${SOURCE_DIR}/${file}" text)
    string(REGEX MATCH "\n( *)// \\[${name}\\]\n" opening "\n${text}")
    set(indentation "${CMAKE_MATCH_1}")
    string(FIND "\n${text}" "${opening}" start)
    string(FIND "\n${text}" "\n${indentation}// [/${name}]\n" end)
    if(opening STREQUAL "" OR end EQUAL -1)
        return()
    endif()
    string(LENGTH "${opening}" length)
    math(EXPR start "${start} + ${length} - 1") # with the line feed before the first line
    math(EXPR length "${end} - ${start}")
    string(SUBSTRING "\n${text}" ${start} ${length} text)
    string(REPLACE "\n${indentation}" "\n" text "${text}")
    set(region "${text}" PARENT_SCOPE)
endfunction()

file(GLOB documents RELATIVE "${SOURCE_DIR}" "${SOURCE_DIR}/README.md" "${SOURCE_DIR}/docs/*.md"
     "${SOURCE_DIR}/docs/reference/*.md" "${SOURCE_DIR}/docs/libraries/*.md")
foreach(document IN LISTS documents)
    file(READ "${SOURCE_DIR}/${document}" rest)
    set(rest "\n${rest}")
    while(TRUE)
        string(FIND "${rest}" "\n${fence}cpp\n" start)
        if(start EQUAL -1)
            break()
        endif()
        string(SUBSTRING "${rest}" 0 ${start} before)
        math(EXPR start "${start} + 7") # keeps the last line feed
        string(SUBSTRING "${rest}" ${start} -1 rest)
        string(FIND "${rest}" "\n${fence}\n" end)
        if(end EQUAL -1)
            complain("a block of C++ has no end")
            break()
        endif()
        string(SUBSTRING "${rest}" 0 ${end} block)
        math(EXPR end "${end} + 4")
        string(SUBSTRING "${rest}" ${end} -1 rest)
        math(EXPR count "${count} + 1")

        if(NOT before MATCHES "\n<!-- snippet: ([^ \n]+) ([a-z0-9_]+) -->$")
            complain("this block of C++ names no snippet:${block}")
            continue()
        endif()
        set(file "${CMAKE_MATCH_1}")
        set(name "${CMAKE_MATCH_2}")
        read_region("${file}" "${name}")
        if(region STREQUAL "NOTFOUND")
            complain("no region '${name}' in ${file}")
        elseif(NOT region STREQUAL block)
            complain("differs from region '${name}' of ${file}:${block}\n--- the source says:${region}")
        endif()
    endwhile()
    if(rest MATCHES "<!-- snippet: ")
        complain("a snippet's name is not followed by a block of C++")
    endif()
endforeach()

if(count EQUAL 0)
    message(SEND_ERROR "no block of C++ found in README.md and docs")
endif()
message(STATUS "${count} blocks of C++")
