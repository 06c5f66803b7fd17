# Toolchain: from any Linux to AArch64, with Debian's cross compiler (g++-aarch64-linux-gnu) and an emulator (qemu-user).
#   -DCMAKE_TOOLCHAIN_FILE=cmake/aarch64.cmake -DGREENBACK_SYSROOT=<folder with the libraries for arm64>
# QEMU_PAGESIZE in the environment sets the size of a page in what is run.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)

list(APPEND CMAKE_TRY_COMPILE_PLATFORM_VARIABLES GREENBACK_SYSROOT)
set(CMAKE_FIND_ROOT_PATH "${GREENBACK_SYSROOT}" /usr/aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)

# The emulator finds the C library there, and nothing else.
set(Boost_USE_STATIC_LIBS ON)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64 -L /usr/aarch64-linux-gnu)
