# What `cmake --install` installs: library, headers, the CMake package, files for pkg-config, gdb's commands.
#
# Two components: greenback_runtime is what a program that was linked with the shared library needs,
# greenback_development is everything else.

set(greenback_package_dir "${CMAKE_INSTALL_LIBDIR}/cmake/greenback")

install(
    TARGETS greenback
    EXPORT greenbackTargets
    RUNTIME COMPONENT greenback_runtime
    LIBRARY COMPONENT greenback_runtime NAMELINK_COMPONENT greenback_development
    ARCHIVE COMPONENT greenback_development
)
if(GREENBACK_BUILD_BLOCKING_CALLS)
    install(TARGETS greenback_blocking_calls EXPORT greenbackTargets ARCHIVE COMPONENT greenback_development)
endif()
install(
    DIRECTORY include/greenback
    DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
    COMPONENT greenback_development
    FILES_MATCHING
    PATTERN "*.hpp"
)
install(
    FILES src/gdb/greenback.py
    DESTINATION "${CMAKE_INSTALL_DATADIR}/greenback/gdb"
    COMPONENT greenback_development
)

# --- The CMake package -------------------------------------------------------------------------------------------

install(
    EXPORT greenbackTargets
    NAMESPACE greenback::
    DESTINATION "${greenback_package_dir}"
    COMPONENT greenback_development
)
# For greenback::blocking_calls, which must be used with what it was built with.
if(GREENBACK_USE_BOOST_ASIO)
    set(greenback_asio_version "${Boost_VERSION_STRING}")
else()
    set(greenback_asio_version "${Asio_VERSION}")
endif()
if(greenback_no_asio_thread_locals STREQUAL "1")
    set(greenback_asio_thread_locals "nobody")
elseif(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    set(greenback_asio_thread_locals "g++")
else()
    set(greenback_asio_thread_locals "others") # g++ would, but did not build this
endif()
configure_package_config_file(
    cmake/greenbackConfig.cmake.in
    "${PROJECT_BINARY_DIR}/greenbackConfig.cmake"
    INSTALL_DESTINATION "${greenback_package_dir}"
    NO_SET_AND_CHECK_MACRO
)
# Before 1.0.0 a minor version may break the interface. SOVERSION says the same.
if(PROJECT_VERSION_MAJOR EQUAL 0)
    set(greenback_compatibility SameMinorVersion)
else()
    set(greenback_compatibility SameMajorVersion)
endif()
write_basic_package_version_file(
    "${PROJECT_BINARY_DIR}/greenbackConfigVersion.cmake"
    COMPATIBILITY ${greenback_compatibility}
)
install(
    FILES
        "${PROJECT_BINARY_DIR}/greenbackConfig.cmake"
        "${PROJECT_BINARY_DIR}/greenbackConfigVersion.cmake"
        cmake/FindAsio.cmake
    DESTINATION "${greenback_package_dir}"
    COMPONENT greenback_development
)

include(pkg_config)
