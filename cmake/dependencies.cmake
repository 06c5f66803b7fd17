# Finds what greenback needs. What is missing is downloaded, by commit, only when greenback is itself the project that
# is built: a project that uses greenback decides where its dependencies come from.

include(FetchContent)

# The targets found here must be visible to the project that links greenback::greenback after add_subdirectory.
set(CMAKE_FIND_PACKAGE_TARGETS_GLOBAL ON)

find_package(Threads REQUIRED)
if(NOT TARGET Boost::context)
    find_package(Boost 1.81 CONFIG QUIET COMPONENTS context)
    if(NOT Boost_FOUND)
        message(
            FATAL_ERROR
            "greenback needs Boost.Context 1.81 or newer, with its CMake package. Install it (on Debian 12: "
            "libboost-context1.81-dev, on 13: libboost-context-dev) or point CMAKE_PREFIX_PATH or Boost_DIR to it."
        )
    endif()
endif()

set(greenback_asio_minimum 1.22.1)
if(NOT GREENBACK_USE_BOOST_ASIO AND NOT TARGET Asio::asio)
    find_package(Asio ${greenback_asio_minimum} MODULE QUIET) # not a package of another name for it
    if(NOT Asio_FOUND)
        if(NOT PROJECT_IS_TOP_LEVEL)
            message(
                FATAL_ERROR
                "greenback needs standalone Asio ${greenback_asio_minimum} or newer. Install it (on Debian: libasio-dev), "
                "set Asio_INCLUDE_DIR to the folder that holds asio.hpp, or set GREENBACK_USE_BOOST_ASIO to ON."
            )
        endif()
        message(STATUS "Asio ${greenback_asio_minimum} or newer not found: downloading it")
        FetchContent_Declare(
            asio
            GIT_REPOSITORY https://github.com/chriskohlhoff/asio.git
            GIT_TAG 231cb29bab30f82712fcd54faaea42424cc6e710 # asio-1-36-0
        )
        FetchContent_MakeAvailable(asio)
        unset(Asio_INCLUDE_DIR CACHE)
        set(Asio_ROOT "${asio_SOURCE_DIR}/asio")
        find_package(Asio ${greenback_asio_minimum} MODULE REQUIRED)
    endif()
endif()

# The test framework: Catch2 2.13 or 3.
macro(greenback_find_catch2)
    find_package(Catch2 QUIET)
    if(NOT Catch2_FOUND)
        if(NOT PROJECT_IS_TOP_LEVEL)
            message(FATAL_ERROR "greenback's tests need Catch2. Install it (on Debian: catch2), or set GREENBACK_BUILD_TESTS to OFF.")
        endif()
        message(STATUS "Catch2 not found: downloading it")
        FetchContent_Declare(
            Catch2
            GIT_REPOSITORY https://github.com/catchorg/Catch2.git
            GIT_TAG fa43b77429ba76c462b1898d6cd2f2d7a9416b14 # v3.7.1
            SYSTEM
        )
        # Catch2's library and the tests must be built for the same standard.
        set(CMAKE_CXX_STANDARD 20)
        FetchContent_MakeAvailable(Catch2)
        list(APPEND CMAKE_MODULE_PATH "${catch2_SOURCE_DIR}/extras")
    endif()
endmacro()
