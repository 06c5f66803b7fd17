#[=======================================================================[.rst:
FindAsio
--------

Finds standalone Asio, a library of headers without a CMake package of its own.

Result: ``Asio_FOUND``, ``Asio_VERSION`` and the imported target ``Asio::asio``.
Hint: the cache variable ``Asio_INCLUDE_DIR``, the folder that holds ``asio.hpp``.
#]=======================================================================]

find_path(Asio_INCLUDE_DIR NAMES asio.hpp DOC "Folder that holds asio.hpp")
mark_as_advanced(Asio_INCLUDE_DIR)

unset(Asio_VERSION)
if(Asio_INCLUDE_DIR AND EXISTS "${Asio_INCLUDE_DIR}/asio/version.hpp")
    # ASIO_VERSION is major * 100000 + minor * 100 + patch.
    file(STRINGS "${Asio_INCLUDE_DIR}/asio/version.hpp" Asio_version_line REGEX "^#define ASIO_VERSION [0-9]+")
    if(Asio_version_line MATCHES "ASIO_VERSION ([0-9]+)")
        math(EXPR Asio_version_major "${CMAKE_MATCH_1} / 100000")
        math(EXPR Asio_version_minor "${CMAKE_MATCH_1} / 100 % 1000")
        math(EXPR Asio_version_patch "${CMAKE_MATCH_1} % 100")
        set(Asio_VERSION "${Asio_version_major}.${Asio_version_minor}.${Asio_version_patch}")
        unset(Asio_version_major)
        unset(Asio_version_minor)
        unset(Asio_version_patch)
    endif()
    unset(Asio_version_line)
endif()

include(FindPackageHandleStandardArgs)
find_package_handle_standard_args(Asio REQUIRED_VARS Asio_INCLUDE_DIR VERSION_VAR Asio_VERSION)

if(Asio_FOUND AND NOT TARGET Asio::asio)
    add_library(Asio::asio INTERFACE IMPORTED)
    target_include_directories(Asio::asio INTERFACE "${Asio_INCLUDE_DIR}")
endif()
