# greenback::blocking_calls: a program that links it has libc's blocking calls awaited on portals.

if(NOT greenback_has_glibc OR NOT CMAKE_SYSTEM_NAME STREQUAL "Linux")
    message(
        FATAL_ERROR
        "greenback::blocking_calls takes the place of functions of glibc, on Linux; this system has another libc. Set "
        "GREENBACK_BUILD_BLOCKING_CALLS to OFF."
    )
endif()

# Always an archive: its definitions must be the program's own to come before libc's.
add_library(
    greenback_blocking_calls
    STATIC
    src/blocking_calls/await_ready.cpp
    src/blocking_calls/caller.cpp
    src/blocking_calls/calls_scope.cpp
    src/blocking_calls/connection.cpp
    src/blocking_calls/libc_calls.cpp
    src/blocking_calls/lookup.cpp
    src/blocking_calls/loop_side.cpp
    src/blocking_calls/plain_calls.cpp
    src/blocking_calls/readiness.cpp
    src/blocking_calls/time.cpp
    src/blocking_calls/transfer.cpp
    src/blocking_calls/waiting_room.cpp
)
add_library(greenback::blocking_calls ALIAS greenback_blocking_calls)
set_target_properties(
    greenback_blocking_calls
    PROPERTIES
        EXPORT_NAME blocking_calls
        CXX_EXTENSIONS OFF
        POSITION_INDEPENDENT_CODE ON
        CXX_VISIBILITY_PRESET default
        VISIBILITY_INLINES_HIDDEN OFF
)
target_link_libraries(greenback_blocking_calls PUBLIC greenback ${CMAKE_DL_LIBS})
# Asio decides by what was included before it whether it allocates by std::aligned_alloc. Its inline functions then differ
# between a program's files, of which there are now others than the program's own; and AddressSanitizer finds memory that
# was allocated by one and freed by the other. glibc always has the function.
if(GREENBACK_USE_BOOST_ASIO)
    target_compile_definitions(greenback_blocking_calls PUBLIC BOOST_ASIO_HAS_STD_ALIGNED_ALLOC=1)
else()
    target_compile_definitions(greenback_blocking_calls PUBLIC ASIO_HAS_STD_ALIGNED_ALLOC=1)
endif()
# A linker takes out of an archive what is asked for: the program's own objects may call nothing of it, and shared
# libraries' needs don't count.
target_link_options(greenback_blocking_calls INTERFACE "LINKER:--undefined=greenback_blocking_calls")

greenback_developer_warnings(greenback_blocking_calls)
