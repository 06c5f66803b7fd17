# Included where greenback::blocking_calls is built.
find_package(PkgConfig QUIET)
find_package(PostgreSQL QUIET)
if(PkgConfig_FOUND) # with the macros that Debian has built it with
    pkg_check_modules(greenback_cpp_httplib QUIET IMPORTED_TARGET cpp-httplib)
endif()
find_path(greenback_hiredis_include hiredis/hiredis.h)
find_library(greenback_hiredis hiredis)
mark_as_advanced(greenback_hiredis_include greenback_hiredis)
if(greenback_hiredis_include AND greenback_hiredis)
    greenback_library_of_examples(
        hiredis::of_examples
        INCLUDE "${greenback_hiredis_include}"
        LIBRARIES "${greenback_hiredis}"
    )
endif()
greenback_add_example(
    cpp_httplib
    SOURCES blocking_calls/cpp_httplib.cpp
    LIBRARIES PkgConfig::greenback_cpp_httplib greenback::blocking_calls
)

# The script starts a server for it, and ends with 77 where the machine has none.
if(TARGET hiredis::of_examples)
    add_executable(example_hiredis blocking_calls/hiredis.cpp)
    set_target_properties(example_hiredis PROPERTIES OUTPUT_NAME hiredis)
    target_link_libraries(
        example_hiredis
        PRIVATE example_base hiredis::of_examples greenback::blocking_calls
    )
    greenback_developer_warnings(example_hiredis)
    add_test(
        NAME "example: hiredis"
        COMMAND
            "${CMAKE_CURRENT_SOURCE_DIR}/blocking_calls/redis.sh" "$<TARGET_FILE:example_hiredis>"
    )
    set_tests_properties("example: hiredis" PROPERTIES TIMEOUT 60 SKIP_RETURN_CODE 77)
else()
    message(STATUS "Example hiredis: hiredis not found, left out")
endif()

# postgres_server.cpp, with and without the component; and who asks it. Fewer requests than the demonstration has.
if(TARGET PostgreSQL::PostgreSQL)
    foreach(name IN ITEMS postgres_server postgres_server_blocking http_clients)
        string(REPLACE _blocking "" source "${name}")
        add_executable(example_${name} blocking_calls/${source}.cpp)
        set_target_properties(example_${name} PROPERTIES OUTPUT_NAME ${name})
        target_link_libraries(example_${name} PRIVATE example_base)
        greenback_developer_warnings(example_${name})
    endforeach()
    target_link_libraries(example_postgres_server PRIVATE PostgreSQL::PostgreSQL greenback::blocking_calls)
    target_link_libraries(example_postgres_server_blocking PRIVATE PostgreSQL::PostgreSQL)
    add_test(
        NAME "example: postgres_server"
        COMMAND
            "${CMAKE_CURRENT_SOURCE_DIR}/blocking_calls/postgres.sh" "$<TARGET_FILE_DIR:example_postgres_server>" 40 2
    )
    set_tests_properties("example: postgres_server" PROPERTIES TIMEOUT 120 SKIP_RETURN_CODE 77)
else()
    message(STATUS "Example postgres_server: libpq not found, left out")
endif()
