# Checks the check of the headers' layers, cmake/check_layers.cmake, on made-up trees.
#   cmake -D SOURCE_DIR=<folder> -D WORK_DIR=<folder> -P layers.cmake
cmake_minimum_required(VERSION 3.25)

# Writes the header `name` of the tree at hand: what it includes follows.
function(header name)
    set(text "#pragma once\n")
    foreach(included IN LISTS ARGN)
        string(APPEND text "#include <${included}> // a comment\n")
    endforeach()
    file(WRITE "${WORK_DIR}/greenback/${name}" "${text}")
endfunction()

# Starts a tree in which all is as it should be.
macro(tree)
    file(REMOVE_RECURSE "${WORK_DIR}")
    header(detail/config.hpp)
    header(detail/fiber/fiber.hpp greenback/detail/config.hpp greenback/error.hpp boost/context/fiber.hpp)
    header(detail/task/pump.hpp greenback/detail/fiber/fiber.hpp)
    header(detail/portal/core.hpp greenback/detail/task/pump.hpp greenback/detail/portal/any.hpp)
    header(detail/portal/any.hpp vector greenback/stack.hpp)
    header(detail/operation/operation.hpp greenback/detail/portal/core.hpp)
    header(error.hpp stdexcept greenback/detail/config.hpp)
    header(stack.hpp greenback/error.hpp)
    header(portal.hpp greenback/detail/portal/core.hpp)
    header(await.hpp greenback/portal.hpp greenback/detail/operation/operation.hpp)
    header(greenback.hpp greenback/error.hpp greenback/stack.hpp greenback/portal.hpp greenback/await.hpp)
endmacro()

# Runs the check. Without an argument it must pass, otherwise fail with just this one error.
function(expect)
    execute_process(
        COMMAND "${CMAKE_COMMAND}" "-DINCLUDE_DIR=${WORK_DIR}" -P "${SOURCE_DIR}/cmake/check_layers.cmake"
        RESULT_VARIABLE result
        OUTPUT_VARIABLE output
        ERROR_VARIABLE output
    )
    if(ARGC EQUAL 0)
        if(NOT result EQUAL 0)
            message(SEND_ERROR "a tree without fault is refused:\n${output}")
        endif()
        return()
    endif()
    string(REGEX REPLACE "[ \n]+" " " output "${output}")
    string(REGEX MATCHALL "CMake Error" errors "${output}")
    list(LENGTH errors count)
    string(FIND "${output}" "${ARGV0}" position)
    if(result EQUAL 0 OR NOT count EQUAL 1 OR position EQUAL -1)
        message(SEND_ERROR "the error was to be '${ARGV0}', not:\n${output}")
    endif()
endfunction()

tree()
expect()

tree()
header(detail/fiber/fiber.hpp greenback/detail/task/held.hpp)
header(detail/task/held.hpp)
expect("greenback/detail/fiber/fiber.hpp includes greenback/detail/task/held.hpp, which stands above it")

tree()
header(detail/task/pump.hpp greenback/portal.hpp)
header(portal.hpp)
expect("greenback/detail/task/pump.hpp includes greenback/portal.hpp, which stands above it")

tree() # the public headers have the order of greenback.hpp
header(portal.hpp greenback/await.hpp)
header(await.hpp)
expect("greenback/portal.hpp includes greenback/await.hpp, which stands above it")

tree() # what everybody may include must be able to do without the rest
header(stack.hpp greenback/detail/platform/jump.hpp)
header(detail/platform/jump.hpp)
expect("greenback/stack.hpp includes greenback/detail/platform/jump.hpp, which stands above it")

tree() # within a layer any direction is fine, but not all at once
header(detail/portal/any.hpp greenback/detail/portal/kind.hpp)
header(detail/portal/kind.hpp greenback/detail/portal/core.hpp)
expect("these include each other in a circle: greenback/detail/portal/any.hpp, greenback/detail/portal/core.hpp, greenback/detail/portal/kind.hpp")

tree()
header(detail/portal/any.hpp greenback/detail/portal/any.hpp)
expect("these include each other in a circle: greenback/detail/portal/any.hpp")

tree()
header(detail/elsewhere/helper.hpp)
expect("greenback/detail/elsewhere/helper.hpp: its folder is in no layer")

tree()
header(spawn.hpp)
expect("greenback/spawn.hpp: a public header that greenback/greenback.hpp does not list")

tree()
header(detail/task/pump.hpp greenback/detail/fiber/gone.hpp)
expect("greenback/detail/task/pump.hpp includes greenback/detail/fiber/gone.hpp, which is not there")

tree()
file(APPEND "${WORK_DIR}/greenback/detail/task/pump.hpp" "  #  include \"../fiber/fiber.hpp\"\n")
expect("greenback/detail/task/pump.hpp: \"../fiber/fiber.hpp\": greenback's own headers are included as <greenback/...>")
