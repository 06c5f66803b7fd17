// SPDX-License-Identifier: MIT
//
// malloc and its kin are replaced as the C library allows it, with its own under them; so libstdc++'s operator new, its
// exceptions and the C library's own allocations are seen too. AddressSanitizer and ThreadSanitizer have replaced them
// already: there it is operator new that is replaced, and what this program's own object files call (--wrap, see
// CMakeLists.txt).

#include "allocations.hpp"

#include "support/sanitizers.hpp"

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <exception>
#include <iterator>
#include <new>

#include <execinfo.h>
#include <sys/mman.h>
#include <sys/types.h>

namespace failing {
namespace {

constinit std::atomic<bool> counting{false};
constinit std::atomic<long> seen{0}, failed{0}, first{0}, allocated{0};
constinit std::atomic<bool> all_after{false}, spares_asio{true};
constinit std::atomic<int> reprieves{0};

constinit void* site[64] = {};
constinit int site_depth = 0;

/// Is this allocation to fail?
bool fails() noexcept {
    if (!counting.load(std::memory_order_relaxed))
        return false;
    bool const spares = spares_asio.load(std::memory_order_relaxed);
    if (spares && reprieves.load(std::memory_order_relaxed) != 0)
        return false;
    long const n = seen.fetch_add(1) + 1;
    long const wanted = first.load();
    if (wanted == 0 || (all_after ? n < wanted : n != wanted))
        return false;
    // What runs while an exception passes is destructors, and the exception tells of it already. Asio's owner of a task
    // posts the task's destruction from its destructor, which ends the program if there is no memory for that.
    if (spares && n != wanted && std::uncaught_exceptions() != 0)
        return false;
    if (failed.fetch_add(1) == 0)
        site_depth = ::backtrace(site, static_cast<int>(std::size(site)));
    errno = ENOMEM;
    return true;
}

/// The unwinder is loaded at the first backtrace, which takes memory.
[[maybe_unused]] int const unwinder_is_loaded = [] {
    void* here[1];
    return ::backtrace(here, 1);
}();

} // namespace

void begin(plan p) noexcept {
    seen = 0;
    failed = 0;
    site_depth = 0;
    first = p.first;
    all_after = p.and_all_after;
    spares_asio = p.spares_asio;
    counting = true;
}

void relent() noexcept { first = 0; }

long end() noexcept {
    counting = false;
    return seen.load();
}

long failures() noexcept { return failed.load(); }
long live() noexcept { return allocated.load(); }
std::span<void* const> first_failure() noexcept { return {site, static_cast<std::size_t>(site_depth)}; }

reprieve::reprieve() noexcept { ++reprieves; }
reprieve::~reprieve() { --reprieves; }

namespace {

template <class P> P counted(P p) noexcept {
    if (p)
        allocated.fetch_add(1, std::memory_order_relaxed);
    return p;
}

} // namespace
} // namespace failing

// NOLINTBEGIN: names and signatures are the C library's, the compiler's and the linker's

extern "C" {

void* __real_mmap(void*, std::size_t, int, int, int, off_t);
void* __wrap_mmap(void* at, std::size_t bytes, int protection, int flags, int file, off_t offset) {
    return failing::fails() ? MAP_FAILED : __real_mmap(at, bytes, protection, flags, file, offset);
}
}

#if !defined(TEST_UNDER_ASAN) && !defined(TEST_UNDER_TSAN)

extern "C" {

void* __libc_malloc(std::size_t);
void* __libc_calloc(std::size_t, std::size_t);
void* __libc_realloc(void*, std::size_t);
void* __libc_memalign(std::size_t, std::size_t);
void __libc_free(void*);

void* malloc(std::size_t n) { return failing::fails() ? nullptr : failing::counted(__libc_malloc(n)); }
void* calloc(std::size_t n, std::size_t each) {
    return failing::fails() ? nullptr : failing::counted(__libc_calloc(n, each));
}
void* realloc(void* p, std::size_t n) {
    if (failing::fails())
        return nullptr;
    if (!p)
        return malloc(n);
    void* const result = __libc_realloc(p, n);
    if (!result && n == 0)
        failing::allocated.fetch_sub(1, std::memory_order_relaxed);
    return result;
}
void* memalign(std::size_t alignment, std::size_t n) {
    return failing::fails() ? nullptr : failing::counted(__libc_memalign(alignment, n));
}
void* aligned_alloc(std::size_t alignment, std::size_t n) { return memalign(alignment, n); }
int posix_memalign(void** result, std::size_t alignment, std::size_t n) {
    void* const p = memalign(alignment, n);
    if (!p)
        return ENOMEM;
    *result = p;
    return 0;
}
void free(void* p) {
    if (p)
        failing::allocated.fetch_sub(1, std::memory_order_relaxed);
    __libc_free(p);
}
}

#else

extern "C" {

void* __real_malloc(std::size_t);
void* __real_calloc(std::size_t, std::size_t);
void* __real_realloc(void*, std::size_t);
void* __real_aligned_alloc(std::size_t, std::size_t);
int __real_posix_memalign(void**, std::size_t, std::size_t);

void* __wrap_malloc(std::size_t n) { return failing::fails() ? nullptr : __real_malloc(n); }
void* __wrap_calloc(std::size_t n, std::size_t each) { return failing::fails() ? nullptr : __real_calloc(n, each); }
void* __wrap_realloc(void* p, std::size_t n) { return failing::fails() ? nullptr : __real_realloc(p, n); }
void* __wrap_aligned_alloc(std::size_t alignment, std::size_t n) {
    return failing::fails() ? nullptr : __real_aligned_alloc(alignment, n);
}
int __wrap_posix_memalign(void** result, std::size_t alignment, std::size_t n) {
    return failing::fails() ? ENOMEM : __real_posix_memalign(result, alignment, n);
}
}

void* operator new(std::size_t n, std::nothrow_t const&) noexcept {
    return failing::fails() ? nullptr : failing::counted(__real_malloc(n));
}
void* operator new(std::size_t n, std::align_val_t alignment, std::nothrow_t const&) noexcept {
    auto const a = static_cast<std::size_t>(alignment);
    return failing::fails() ? nullptr : failing::counted(__real_aligned_alloc(a, (n + a - 1) / a * a));
}
void* operator new(std::size_t n) {
    if (void* const p = operator new(n, std::nothrow))
        return p;
    throw std::bad_alloc();
}
void* operator new(std::size_t n, std::align_val_t alignment) {
    if (void* const p = operator new(n, alignment, std::nothrow))
        return p;
    throw std::bad_alloc();
}
void* operator new[](std::size_t n) { return operator new(n); }
void* operator new[](std::size_t n, std::nothrow_t const& t) noexcept { return operator new(n, t); }
void* operator new[](std::size_t n, std::align_val_t a) { return operator new(n, a); }
void* operator new[](std::size_t n, std::align_val_t a, std::nothrow_t const& t) noexcept {
    return operator new(n, a, t);
}
void operator delete(void* p) noexcept {
    if (p)
        failing::allocated.fetch_sub(1, std::memory_order_relaxed);
    std::free(p);
}
void operator delete(void* p, std::nothrow_t const&) noexcept { operator delete(p); }
void operator delete(void* p, std::size_t) noexcept { operator delete(p); }
void operator delete(void* p, std::align_val_t) noexcept { operator delete(p); }
void operator delete(void* p, std::align_val_t, std::nothrow_t const&) noexcept { operator delete(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { operator delete(p); }
void operator delete[](void* p) noexcept { operator delete(p); }
void operator delete[](void* p, std::nothrow_t const&) noexcept { operator delete(p); }
void operator delete[](void* p, std::size_t) noexcept { operator delete(p); }
void operator delete[](void* p, std::align_val_t) noexcept { operator delete(p); }
void operator delete[](void* p, std::align_val_t, std::nothrow_t const&) noexcept { operator delete(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { operator delete(p); }

#endif

// NOLINTEND
