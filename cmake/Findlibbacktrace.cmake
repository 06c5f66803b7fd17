# Finds libbacktrace, which tells file and line of an address: an installed one (github.com/ianlancetaylor/libbacktrace), or
# the one that Debian's g++ has in its own folder.
#
# Variables: libbacktrace_FOUND, libbacktrace_LIBRARY, libbacktrace_COPIED_INCLUDE_DIR (its headers and no others).

# Where the compiler looks for its own libraries; clang names g++'s folder.
execute_process(
    COMMAND "${CMAKE_CXX_COMPILER}" -print-file-name=libbacktrace.a
    OUTPUT_VARIABLE libbacktrace_of_compiler
    OUTPUT_STRIP_TRAILING_WHITESPACE
    ERROR_QUIET
)
cmake_path(GET libbacktrace_of_compiler PARENT_PATH libbacktrace_of_compiler)

find_library(libbacktrace_LIBRARY libbacktrace.a backtrace HINTS "${libbacktrace_of_compiler}")
find_path(libbacktrace_INCLUDE_DIR backtrace.h HINTS "${libbacktrace_of_compiler}/include")

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(
    libbacktrace
    REQUIRED_VARS libbacktrace_LIBRARY libbacktrace_INCLUDE_DIR
    REASON_FAILURE_MESSAGE "on Debian it comes with g++, elsewhere see github.com/ianlancetaylor/libbacktrace"
)
mark_as_advanced(libbacktrace_LIBRARY libbacktrace_INCLUDE_DIR)

if(libbacktrace_FOUND)
    # Its headers alone: g++'s folder has others, which are not for other compilers.
    set(libbacktrace_COPIED_INCLUDE_DIR "${CMAKE_BINARY_DIR}/libbacktrace")
    file(
        COPY "${libbacktrace_INCLUDE_DIR}/backtrace.h" "${libbacktrace_INCLUDE_DIR}/backtrace-supported.h"
        DESTINATION "${libbacktrace_COPIED_INCLUDE_DIR}"
    )
endif()
