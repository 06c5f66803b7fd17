# Checks that the headers include only what stands below them: no include points up, and none in a circle.
#   cmake -D INCLUDE_DIR=<folder that holds greenback/> -P check_layers.cmake
cmake_minimum_required(VERSION 3.25)

# From the bottom to the top. Within one of them headers include each other in any direction, short of a circle.
set(layers
    greenback/detail
    greenback/detail/platform
    greenback/detail/fiber
    greenback/detail/asio
    greenback/detail/task
    greenback/detail/portal
    greenback/detail/operation
    greenback/detail/stream
)
# Above those stand the public headers, each a layer of its own, in the order in which this one lists them; it is the top.
set(umbrella greenback/greenback.hpp)
# Public headers that it leaves out, for what they need beside Asio and the library itself. They stand on top of everything.
set(not_in_umbrella greenback/beast.hpp greenback/blocking_calls.hpp)
# Public headers that need none of the others' machinery: every layer may include them. They count as the lowest layer.
set(for_everybody greenback/error.hpp greenback/version.hpp greenback/stack_use.hpp greenback/stack.hpp)

# Sets `result` to what `header` includes of greenback, in the order of its lines.
function(read_includes header result)
    file(STRINGS "${INCLUDE_DIR}/${header}" lines REGEX "^[ \t]*#[ \t]*include[ \t]*[<\"]")
    set(found "")
    foreach(line IN LISTS lines)
        string(REGEX MATCH "[<\"]([^>\"]+)[>\"]" name "${line}")
        set(name "${CMAKE_MATCH_1}")
        if(name MATCHES "^greenback/")
            list(APPEND found "${name}")
        elseif(line MATCHES "include[ \t]*\"")
            message(SEND_ERROR "${header}: \"${name}\": greenback's own headers are included as <greenback/...>")
        endif()
    endforeach()
    set(${result} "${found}" PARENT_SCOPE)
endfunction()

# Sets `result` to the number of the layer that `header` is in.
function(find_layer header result)
    if(header IN_LIST for_everybody)
        set(number 0)
    else()
        cmake_path(GET header PARENT_PATH folder)
        list(FIND layers "${folder}" number)
        if(folder STREQUAL "greenback")
            list(LENGTH layers number)
            list(FIND public "${header}" position)
            math(EXPR number "${number} + ${position}")
        endif()
    endif()
    set(${result} "${number}" PARENT_SCOPE)
endfunction()

file(GLOB_RECURSE headers RELATIVE "${INCLUDE_DIR}" "${INCLUDE_DIR}/greenback/*.hpp")
if(NOT umbrella IN_LIST headers)
    message(FATAL_ERROR "no ${umbrella} in ${INCLUDE_DIR}")
endif()
read_includes("${umbrella}" public)
list(APPEND public "${umbrella}" ${not_in_umbrella})

foreach(header IN LISTS headers)
    find_layer("${header}" layer)
    read_includes("${header}" includes_of_${header})
    cmake_path(GET header PARENT_PATH folder)
    if(folder STREQUAL "greenback" AND NOT header IN_LIST public)
        message(SEND_ERROR "${header}: a public header that ${umbrella} does not list")
    elseif(NOT folder STREQUAL "greenback" AND NOT folder IN_LIST layers)
        message(SEND_ERROR "${header}: its folder is in no layer")
    endif()
    foreach(included IN LISTS includes_of_${header})
        if(NOT included IN_LIST headers)
            message(SEND_ERROR "${header} includes ${included}, which is not there")
            continue()
        endif()
        find_layer("${included}" layer_of_included)
        if(layer_of_included GREATER layer)
            message(SEND_ERROR "${header} includes ${included}, which stands above it")
        endif()
    endforeach()
endforeach()

# What includes only headers that were taken away before can be in no circle. What then remains is in one, or above one.
set(remaining ${headers})
set(before "")
while(NOT remaining STREQUAL before)
    set(before "${remaining}")
    foreach(header IN LISTS before)
        set(in_the_way FALSE)
        foreach(included IN LISTS includes_of_${header})
            if(included IN_LIST remaining)
                set(in_the_way TRUE)
            endif()
        endforeach()
        if(NOT in_the_way)
            list(REMOVE_ITEM remaining "${header}")
        endif()
    endforeach()
endwhile()
# Nor is a header that nothing includes any more of what remains: what is left when those are gone is the circle.
set(before "")
while(NOT remaining STREQUAL before)
    set(before "${remaining}")
    set(included_ones "")
    foreach(header IN LISTS remaining)
        list(APPEND included_ones ${includes_of_${header}})
    endforeach()
    foreach(header IN LISTS before)
        if(NOT header IN_LIST included_ones)
            list(REMOVE_ITEM remaining "${header}")
        endif()
    endforeach()
endwhile()
if(remaining)
    list(JOIN remaining ", " text)
    message(SEND_ERROR "these include each other in a circle: ${text}")
endif()

list(LENGTH headers count)
message(STATUS "${count} headers")
