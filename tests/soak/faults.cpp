// SPDX-License-Identifier: MIT
#include "soak/faults.hpp"

#include "soak/counts.hpp"
#include "soak/dice.hpp"

#include <greenback/stack.hpp>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <mutex>
#include <new>

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

namespace soak {
namespace {

std::atomic<bool> failures{false};
std::atomic<bool> memory_has_failed{false};
thread_local unsigned memory_fails = 0; // one of so many; 0: none

bool fails(unsigned one_of) noexcept { return failures.load(std::memory_order_relaxed) && one_in(one_of); }

bool is_socket(int fd) noexcept {
    struct stat what{};
    return ::fstat(fd, &what) == 0 && S_ISSOCK(what.st_mode);
}

// The window's number is read and written here alone, so that no compiler keeps its address across a switch.
[[gnu::noinline]] void set_memory_fails(unsigned one_of) noexcept { memory_fails = one_of; }
[[gnu::noinline]] bool memory_fails_now() noexcept { return memory_fails != 0 && one_in(memory_fails); }

void* allocate(std::size_t size, std::size_t alignment) {
    if (memory_fails_now()) {
        memory_has_failed.store(true, std::memory_order_relaxed);
        count("injected: operator new");
        throw std::bad_alloc();
    }
    if (size == 0)
        size = 1;
    void* const p = alignment <= __STDCPP_DEFAULT_NEW_ALIGNMENT__
                        ? std::malloc(size)
                        : std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment);
    if (!p)
        throw std::bad_alloc();
    return p;
}

std::mutex shortage_mutex; // one at a time: the limit is the process's
rlimit usual_limit{};

} // namespace

void make_failures(bool on) noexcept { failures = on; }
bool memory_failures_injected() noexcept { return memory_has_failed.load(std::memory_order_relaxed); }

memory_window::memory_window(unsigned one_of) noexcept {
    if (failures.load(std::memory_order_relaxed))
        set_memory_fails(one_of);
}
memory_window::~memory_window() { set_memory_fails(0); }

descriptor_shortage::descriptor_shortage() noexcept {
    shortage_mutex.lock();
    ::getrlimit(RLIMIT_NOFILE, &usual_limit);
    rlimit none = usual_limit;
    none.rlim_cur = 0; // those that are open stay so
    ::setrlimit(RLIMIT_NOFILE, &none);
    count("injected: no descriptors (RLIMIT_NOFILE)");
}
descriptor_shortage::~descriptor_shortage() {
    ::setrlimit(RLIMIT_NOFILE, &usual_limit);
    shortage_mutex.unlock();
}

failing_stack::failing_stack() : size_(std::size_t(64 * 1024) << below(4)) {}

boost::context::stack_context failing_stack::allocate() const {
    if (fails(4)) {
        count("injected: a stack allocator");
        throw greenback::stack_exhausted(greenback::stack_limit::memory);
    }
    return greenback::pooled_stack(size_).allocate();
}
void failing_stack::deallocate(boost::context::stack_context& stack) const noexcept {
    greenback::pooled_stack().deallocate(stack);
}

} // namespace soak

// ---- operator new ---------------------------------------------------------------------------------------------------

void* operator new(std::size_t size) { return soak::allocate(size, 0); }
void* operator new[](std::size_t size) { return soak::allocate(size, 0); }
void* operator new(std::size_t size, std::align_val_t alignment) {
    return soak::allocate(size, static_cast<std::size_t>(alignment));
}
void* operator new[](std::size_t size, std::align_val_t alignment) {
    return soak::allocate(size, static_cast<std::size_t>(alignment));
}
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

// ---- libc, by the linker's --wrap -----------------------------------------------------------------------------------

extern "C" {
// NOLINTBEGIN: the linker's names
int __real_epoll_ctl(int, int, int, epoll_event*);
int __real_accept(int, sockaddr*, socklen_t*);
int __real_accept4(int, sockaddr*, socklen_t*, int);
void* __real_mmap(void*, std::size_t, int, int, int, off_t);
int __real_madvise(void*, std::size_t, int);
int __real_mprotect(void*, std::size_t, int);

// Of sockets alone: an event loop without its timer or its interrupter is none.
int __wrap_epoll_ctl(int epoll, int what, int fd, epoll_event* event) {
    if (what != EPOLL_CTL_DEL && soak::is_socket(fd) && soak::fails(300)) {
        soak::count("injected: epoll_ctl");
        errno = soak::one_in(2) ? ENOMEM : ENOSPC;
        return -1;
    }
    return __real_epoll_ctl(epoll, what, fd, event);
}

static bool accept_fails() noexcept {
    if (!soak::fails(40))
        return false;
    soak::count("injected: accept");
    errno = soak::one_in(2) ? EMFILE : ECONNABORTED;
    return true;
}
int __wrap_accept(int fd, sockaddr* address, socklen_t* size) {
    return accept_fails() ? -1 : __real_accept(fd, address, size);
}
int __wrap_accept4(int fd, sockaddr* address, socklen_t* size, int flags) {
    return accept_fails() ? -1 : __real_accept4(fd, address, size, flags);
}

void* __wrap_mmap(void* address, std::size_t size, int protection, int flags, int fd, off_t offset) {
    if ((flags & MAP_STACK) != 0 && soak::fails(2)) {
        soak::count("injected: mmap of stacks");
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return __real_mmap(address, size, protection, flags, fd, offset);
}
int __wrap_madvise(void* address, std::size_t size, int advice) {
    constexpr int guard_install = 102; // MADV_GUARD_INSTALL
    if (advice == guard_install && soak::fails(4)) {
        soak::count("injected: madvise of a guard");
        errno = ENOMEM;
        return -1;
    }
    return __real_madvise(address, size, advice);
}
int __wrap_mprotect(void* address, std::size_t size, int protection) {
    if (protection == PROT_NONE && soak::fails(2)) {
        soak::count("injected: mprotect of a guard");
        errno = ENOMEM;
        return -1;
    }
    return __real_mprotect(address, size, protection);
}
// NOLINTEND
}
