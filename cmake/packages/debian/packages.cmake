# `cpack -G DEB`: the packages libgreenback0.2, libgreenback-dev and libgreenback-doc, as Debian splits a library.
#
# Built by .ci/packages, on the Debian that they are for, with a shared library, CMAKE_INSTALL_PREFIX=/usr and
# GREENBACK_ASIO_THREAD_LOCALS=OFF: who has them may have any compiler.

if(NOT BUILD_SHARED_LIBS OR GREENBACK_ASIO_THREAD_LOCALS OR NOT CMAKE_INSTALL_PREFIX STREQUAL "/usr")
    message(
        FATAL_ERROR
        "GREENBACK_DEBIAN_PACKAGES needs BUILD_SHARED_LIBS=ON, GREENBACK_ASIO_THREAD_LOCALS=OFF and "
        "CMAKE_INSTALL_PREFIX=/usr."
    )
endif()

set(
    GREENBACK_PACKAGE_CONTACT "The greenback for C++ authors <greenback@localhost>"
    CACHE STRING "Who is answerable for the packages: name and address"
)

set(greenback_soversion "${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}")
set(greenback_package_greenback_runtime "libgreenback${greenback_soversion}")
set(greenback_package_greenback_development "libgreenback-dev")
set(greenback_package_greenback_documentation "libgreenback-doc")
set(greenback_debian_components greenback_runtime greenback_development greenback_documentation)

# One Debian's packages are older than the next one's: 0.2.0-1~debian12. The rest is dpkg's and Debian's to say.
file(STRINGS /etc/os-release greenback_debian_version REGEX "^VERSION_ID=")
string(REGEX REPLACE "[^0-9.]" "" greenback_debian_version "${greenback_debian_version}")
set(greenback_debian_revision "1~debian${greenback_debian_version}")

# --- What only the packages have ---------------------------------------------------------------------------------

# gdb loads this by itself with a program that has the library.
install(
    FILES src/gdb/greenback.py
    DESTINATION "share/gdb/auto-load/usr/${CMAKE_INSTALL_LIBDIR}"
    RENAME "libgreenback.so.${PROJECT_VERSION}-gdb.py"
    COMPONENT greenback_runtime
)

set(greenback_doc_dir "share/doc/${greenback_package_greenback_documentation}")
install(FILES README.md DESTINATION "${greenback_doc_dir}" COMPONENT greenback_documentation)
install(
    DIRECTORY docs examples
    DESTINATION "${greenback_doc_dir}"
    COMPONENT greenback_documentation
    PATTERN "debugging_outputs.py" EXCLUDE
)

string(TIMESTAMP greenback_debian_date "%a, %d %b %Y %H:%M:%S +0000" UTC) # or SOURCE_DATE_EPOCH
foreach(component IN LISTS greenback_debian_components)
    set(package "${greenback_package_${component}}")
    file(
        CONFIGURE
        OUTPUT "${PROJECT_BINARY_DIR}/debian/${package}/changelog.Debian"
        CONTENT
            "greenback (@PROJECT_VERSION@-@greenback_debian_revision@) unstable; urgency=medium

  * Version @PROJECT_VERSION@: see changelog.gz.

 -- @GREENBACK_PACKAGE_CONTACT@  @greenback_debian_date@
"
        @ONLY
    )
    file(COPY_FILE "${PROJECT_SOURCE_DIR}/CHANGELOG.md" "${PROJECT_BINARY_DIR}/debian/${package}/changelog")
    execute_process(
        COMMAND gzip -9nf changelog.Debian changelog
        WORKING_DIRECTORY "${PROJECT_BINARY_DIR}/debian/${package}"
        COMMAND_ERROR_IS_FATAL ANY
    )
    install(
        FILES
            "${PROJECT_BINARY_DIR}/debian/${package}/changelog.Debian.gz"
            "${PROJECT_BINARY_DIR}/debian/${package}/changelog.gz"
            cmake/packages/debian/copyright
        DESTINATION "share/doc/${package}"
        COMPONENT "${component}"
    )
endforeach()

# What is linked with the library depends on it; and ldconfig is called when all is unpacked.
file(
    WRITE "${PROJECT_BINARY_DIR}/debian/shlibs"
    "libgreenback ${greenback_soversion} libgreenback${greenback_soversion} (>= ${PROJECT_VERSION})\n"
)
file(WRITE "${PROJECT_BINARY_DIR}/debian/triggers" "activate-noawait ldconfig\n")

# --- What is in their control files ------------------------------------------------------------------------------

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME greenback)
set(CPACK_PACKAGE_VENDOR "The greenback for C++ authors")
set(CPACK_PACKAGE_CONTACT "${GREENBACK_PACKAGE_CONTACT}")
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(
    CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
    OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE
)
set(CPACK_COMPONENTS_ALL ${greenback_debian_components})
set(CPACK_COMPONENTS_GROUPING IGNORE)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_PRE_BUILD_SCRIPTS "${PROJECT_SOURCE_DIR}/cmake/packages/debian/strip.cmake")
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PACKAGE_SOURCE greenback)
set(CPACK_DEBIAN_PACKAGE_RELEASE "${greenback_debian_revision}")
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)

set(CPACK_DEBIAN_GREENBACK_RUNTIME_PACKAGE_NAME "${greenback_package_greenback_runtime}")
set(CPACK_DEBIAN_GREENBACK_RUNTIME_PACKAGE_SECTION libs)
set(CPACK_DEBIAN_GREENBACK_RUNTIME_PACKAGE_SHLIBDEPS ON)
set(
    CPACK_DEBIAN_GREENBACK_RUNTIME_PACKAGE_CONTROL_EXTRA
    "${PROJECT_BINARY_DIR}/debian/shlibs;${PROJECT_BINARY_DIR}/debian/triggers"
)
set(CPACK_DEBIAN_GREENBACK_RUNTIME_PACKAGE_SUGGESTS gdb)
set(
    CPACK_DEBIAN_GREENBACK_RUNTIME_DESCRIPTION
    "Inside of a portal, ordinary synchronous functions, at any depth of the call
stack, wait as an Asio C++20 coroutine waits: the event loop goes on.

This package contains the shared library, and gdb's commands for portals."
)

# Boost.Context's library has its version in its name: a program must not have two.
set(
    CPACK_DEBIAN_GREENBACK_DEVELOPMENT_PACKAGE_DEPENDS
    "libboost-context${Boost_VERSION_MAJOR}.${Boost_VERSION_MINOR}-dev"
)
if(NOT GREENBACK_USE_BOOST_ASIO) # with Boost.Asio, the headers are there with Boost.Context's
    string(APPEND CPACK_DEBIAN_GREENBACK_DEVELOPMENT_PACKAGE_DEPENDS ", libasio-dev (>= 1:${greenback_asio_minimum})")
endif()
string(
    APPEND CPACK_DEBIAN_GREENBACK_DEVELOPMENT_PACKAGE_DEPENDS
    ", ${greenback_package_greenback_runtime} (= ${PROJECT_VERSION}-${greenback_debian_revision})"
)
set(CPACK_DEBIAN_GREENBACK_DEVELOPMENT_PACKAGE_NAME "${greenback_package_greenback_development}")
set(CPACK_DEBIAN_GREENBACK_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_GREENBACK_DEVELOPMENT_PACKAGE_SUGGESTS "cmake (>= 3.25), libgreenback-doc, pkgconf")
set(
    CPACK_DEBIAN_GREENBACK_DEVELOPMENT_DESCRIPTION
    "Inside of a portal, ordinary synchronous functions, at any depth of the call
stack, wait as an Asio C++20 coroutine waits: the event loop goes on.

This package contains the headers, the library with which libc's blocking
calls are awaited, and what CMake and pkg-config need to find them."
)

set(CPACK_DEBIAN_GREENBACK_DOCUMENTATION_PACKAGE_NAME "${greenback_package_greenback_documentation}")
set(CPACK_DEBIAN_GREENBACK_DOCUMENTATION_PACKAGE_SECTION doc)
set(CPACK_DEBIAN_GREENBACK_DOCUMENTATION_PACKAGE_ARCHITECTURE all)
set(
    CPACK_DEBIAN_GREENBACK_DOCUMENTATION_DESCRIPTION
    "Inside of a portal, ordinary synchronous functions, at any depth of the call
stack, wait as an Asio C++20 coroutine waits: the event loop goes on.

This package contains the documentation, and the examples' sources."
)

include(CPack)
