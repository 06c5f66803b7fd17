// SPDX-License-Identifier: MIT
//
// What the system that the tests run on can do. Asked of the system itself, not of the library: an emulator of another
// processor (qemu-user) leaves out some of it.
#pragma once

#include "support/child.hpp"

#include <cstdint>
#include <thread>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

namespace test {

/// Is more memory refused than the limit `resource` (RLIMIT_AS, RLIMIT_DATA) allows? An emulator ignores these: they
/// would count for itself. Nor are its mappings those that the program made.
inline bool keeps_limit(int resource) {
    return in_child([=] {
               rlimit limit{};
               ::getrlimit(static_cast<decltype(RLIMIT_AS)>(resource), &limit);
               limit.rlim_cur = std::size_t(64) << 20;
               if (::setrlimit(static_cast<decltype(RLIMIT_AS)>(resource), &limit) != 0)
                   return 1;
               void* const memory = ::mmap(nullptr, std::size_t(1) << 30, PROT_READ | PROT_WRITE,
                                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
               return memory == MAP_FAILED ? 0 : 1;
           })
        .exited_with(0);
}

/// Does /proc/self/pagemap show which pages were touched? An emulator's file shows its own pages, which may be of
/// another size.
inline bool shows_pages() {
    auto const page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* const memory = ::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    static_cast<char volatile*>(memory)[page] = 1;
    std::uint64_t entries[2] = {};
    int const file = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    auto const offset = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(memory) / page * sizeof entries[0]);
    bool const read = file >= 0 && ::pread(file, entries, sizeof entries, offset) == ssize_t(sizeof entries);
    if (file >= 0)
        ::close(file);
    ::munmap(memory, 2 * page);
    constexpr std::uint64_t present_or_swapped = std::uint64_t(3) << 62;
    return read && (entries[0] & present_or_swapped) == 0 && (entries[1] & present_or_swapped) != 0;
}

/// Can the kernel be asked to do the same to several pieces of the caller's own memory in one call? (Linux 6.15)
inline bool advises_several() {
#if defined(SYS_process_madvise)
    auto const page = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    void* const memory = ::mmap(nullptr, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return false;
    iovec const pieces[] = {{memory, page}, {static_cast<char*>(memory) + page, page}};
    constexpr int this_thread = -10000;
    bool const done = ::syscall(SYS_process_madvise, this_thread, pieces, 2, MADV_DONTNEED, 0U) == long(2 * page);
    ::munmap(memory, 2 * page);
    return done;
#else
    return false;
#endif
}

/// Can a child of fork() start threads, if the parent had another one? An emulator may not survive it.
inline bool starts_threads_in_children() {
    return in_child([] {
               std::thread([] { ::pause(); }).detach();
               return in_child([] {
                          std::thread([] {}).join();
                          return 0;
                      }).exited_with(0)
                          ? 0
                          : 1;
           })
        .exited_with(0);
}

} // namespace test
