# The source tree that this file lies in: the folder above is an overlay of ports (vcpkg --overlay-ports). A registry
# would have the release's archive here, by its address and SHA512.
cmake_path(GET CMAKE_CURRENT_LIST_DIR PARENT_PATH SOURCE_PATH)
foreach(folder IN ITEMS vcpkg packages cmake)
    cmake_path(GET SOURCE_PATH PARENT_PATH SOURCE_PATH)
endforeach()

vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS
        -DGREENBACK_BUILD_TESTS=OFF
        -DGREENBACK_BUILD_EXAMPLES=OFF
        -DGREENBACK_ASIO_THREAD_LOCALS=OFF # a project may have another compiler than the one that is found here
)
vcpkg_cmake_install()
vcpkg_cmake_config_fixup(CONFIG_PATH "lib/cmake/greenback")
vcpkg_fixup_pkgconfig()

file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/debug/include" "${CURRENT_PACKAGES_DIR}/debug/share")
file(INSTALL "${CMAKE_CURRENT_LIST_DIR}/usage" DESTINATION "${CURRENT_PACKAGES_DIR}/share/${PORT}")
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE")
