# greenback.pc, and greenback-blocking-calls.pc: how a build without CMake compiles and links.
#
# A file for pkg-config cannot ask which compiler reads it. So what CMake's targets define for some compilers is defined
# here for all: ASIO_DISABLE_THREAD_KEYWORD_EXTENSION, without which a program by clang may crash, costs one by g++ a
# few nanoseconds where Asio looks for its thread's state. The archive of blocking calls has Asio's inline functions in
# it, and must have been compiled in the same way; where it was not, it gets no file.
#
# -std=c++20 is not among the flags: it would take back a newer standard that stands before it.

# The prefix, as seen from the file itself: what is installed may be moved as a whole.
set(greenback_pc_prefix "${CMAKE_INSTALL_PREFIX}")
if(NOT IS_ABSOLUTE "${CMAKE_INSTALL_LIBDIR}")
    cmake_path(SET greenback_pc_folder NORMALIZE "/prefix/${CMAKE_INSTALL_LIBDIR}/pkgconfig")
    cmake_path(RELATIVE_PATH greenback_pc_folder BASE_DIRECTORY "/prefix" OUTPUT_VARIABLE greenback_pc_way)
    string(REGEX REPLACE "[^/]+" ".." greenback_pc_way "${greenback_pc_way}")
    set(greenback_pc_prefix "\${pcfiledir}/${greenback_pc_way}")
endif()
foreach(folder IN ITEMS LIBDIR INCLUDEDIR)
    if(IS_ABSOLUTE "${CMAKE_INSTALL_${folder}}")
        set(greenback_pc_${folder} "${CMAKE_INSTALL_${folder}}")
    else()
        set(greenback_pc_${folder} "\${prefix}/${CMAKE_INSTALL_${folder}}")
    endif()
endforeach()

# --- What greenback.pc names besides greenback: neither Boost.Context nor Asio has a file of its own ---------------

set(greenback_pc_cflags "-pthread")
set(greenback_pc_libs "")

set(greenback_pc_folders ${Boost_INCLUDE_DIRS})
if(NOT GREENBACK_USE_BOOST_ASIO)
    list(APPEND greenback_pc_folders "${Asio_INCLUDE_DIR}")
endif()
list(REMOVE_DUPLICATES greenback_pc_folders)
list(REMOVE_ITEM greenback_pc_folders "" ${CMAKE_CXX_IMPLICIT_INCLUDE_DIRECTORIES})
foreach(folder IN LISTS greenback_pc_folders)
    string(APPEND greenback_pc_cflags " -I\"${folder}\"")
endforeach()

if(GREENBACK_USE_BOOST_ASIO)
    string(
        APPEND greenback_pc_cflags
        " -DGREENBACK_USE_BOOST_ASIO=1 -DBOOST_ASIO_DISABLE_THREAD_KEYWORD_EXTENSION=1"
    )
    set(greenback_pc_blocking_calls_cflags "-DBOOST_ASIO_HAS_STD_ALIGNED_ALLOC=1")
    set(greenback_pc_asio "Boost.Asio")
else()
    string(APPEND greenback_pc_cflags " -DASIO_HAS_CO_AWAIT=1 -DASIO_DISABLE_THREAD_KEYWORD_EXTENSION=1")
    set(greenback_pc_blocking_calls_cflags "-DASIO_HAS_STD_ALIGNED_ALLOC=1")
    set(greenback_pc_asio "standalone Asio")
endif()
if(GREENBACK_ASSERTIONS)
    string(APPEND greenback_pc_cflags " -DGREENBACK_ASSERTIONS=1")
endif()

# Boost.Context's file has its layout's suffixes in its name, and may lie where linkers don't look. The headers call it
# by themselves, so it is linked with a shared greenback too.
set(greenback_boost_context "")
foreach(configuration IN ITEMS _RELEASE "" _NONE _DEBUG)
    if(NOT greenback_boost_context)
        get_target_property(greenback_boost_context Boost::context IMPORTED_LOCATION${configuration})
    endif()
endforeach()
set(greenback_pc_boost_context boost_context)
if(greenback_boost_context)
    cmake_path(GET greenback_boost_context PARENT_PATH greenback_boost_folder)
    cmake_path(GET greenback_boost_context FILENAME greenback_boost_file)
    if(greenback_boost_file MATCHES "^lib(boost_context[^.]*)\\.")
        set(greenback_pc_boost_context "${CMAKE_MATCH_1}")
    endif()
    if(NOT greenback_boost_folder IN_LIST CMAKE_CXX_IMPLICIT_LINK_DIRECTORIES)
        string(APPEND greenback_pc_libs " -L\"${greenback_boost_folder}\"")
    endif()
endif()
string(APPEND greenback_pc_libs " -l${greenback_pc_boost_context}")

# libbacktrace is inside of a shared greenback; an archive needs it beside it.
set(greenback_pc_libs_private "")
if(GREENBACK_LIBBACKTRACE)
    set(greenback_pc_libs_private " ${libbacktrace_LIBRARY}")
endif()
get_target_property(greenback_type greenback TYPE)
if(greenback_type STREQUAL "STATIC_LIBRARY")
    string(APPEND greenback_pc_libs "${greenback_pc_libs_private}")
    set(greenback_pc_libs_private "")
endif()

configure_file(cmake/greenback.pc.in "${PROJECT_BINARY_DIR}/greenback.pc" @ONLY)
install(
    FILES "${PROJECT_BINARY_DIR}/greenback.pc"
    DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
    COMPONENT greenback_development
)

if(GREENBACK_BUILD_BLOCKING_CALLS)
    if(greenback_asio_thread_locals STREQUAL "g++")
        message(
            STATUS
            "greenback-blocking-calls.pc is not installed: pkg-config cannot tell g++ from other compilers. Set "
            "GREENBACK_ASIO_THREAD_LOCALS to OFF to have it."
        )
    else()
        configure_file(
            cmake/greenback-blocking-calls.pc.in
            "${PROJECT_BINARY_DIR}/greenback-blocking-calls.pc"
            @ONLY
        )
        install(
            FILES "${PROJECT_BINARY_DIR}/greenback-blocking-calls.pc"
            DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig"
            COMPONENT greenback_development
        )
    endif()
endif()
