// SPDX-License-Identifier: MIT

#include "os_memory.hpp"

#include "valgrind.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#if defined(__linux__)
#include <sys/syscall.h>
#include <sys/uio.h>
#endif
#include <unistd.h>

namespace greenback::detail::os {

void* reserve(std::size_t bytes) noexcept {
    int flags = MAP_PRIVATE | MAP_ANONYMOUS;
#if defined(MAP_NORESERVE)
    flags |= MAP_NORESERVE; // or the heuristic overcommit check would count stacks that nobody has touched
#endif
#if defined(MAP_STACK) && (defined(__linux__) || defined(__OpenBSD__))
    flags |= MAP_STACK; // elsewhere it means a mapping that grows by itself, with rules of its own
#endif
    void* const base = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (base == MAP_FAILED)
        return nullptr;
#if defined(MADV_NOHUGEPAGE)
    // Where huge pages are always on, the first touch of one stack would otherwise commit 2 MiB. Fails only
    // on kernels that have no huge pages.
    (void)::madvise(base, bytes, MADV_NOHUGEPAGE);
#endif
    return base;
}

void unreserve(void* base, std::size_t bytes) noexcept { (void)::munmap(base, bytes); }

namespace {

#if defined(__linux__)
// For several ranges in one call, without a descriptor that a child of fork() would inherit, and that would be its
// parent's: process_madvise takes advice on the caller itself under this name (PIDFD_SELF_THREAD: Linux 6.15). Absent
// from the C library's older headers.
constexpr int self = -10000;
#if defined(SYS_process_madvise)
constexpr long process_madvise_number = SYS_process_madvise;
#else
constexpr long process_madvise_number = 440; // on every processor but Alpha, where the answer is ENOSYS or EBADF
#endif

std::atomic<bool> several_refused{false}; // written by advise_at_once, once and for all
std::atomic<bool> single_forced{false};   // written by tests only

/// @returns whether it was done for all; if not, it may have been for some
bool advise_at_once(range const* ranges, std::size_t count, int advice) noexcept {
    if (several_refused.load(std::memory_order_relaxed) || single_forced.load(std::memory_order_relaxed))
        return false;
    // Before a version that has the call, valgrind refuses it, and says so in five lines.
    if (valgrind::runs_this()) {
        several_refused.store(true, std::memory_order_relaxed);
        return false;
    }
    std::array<iovec, most_ranges> pieces; // NOLINT: filled as far as it is read
    std::size_t bytes = 0;
    for (std::size_t i = 0; i != count; ++i) {
        pieces[i] = {ranges[i].begin, ranges[i].bytes};
        bytes += ranges[i].bytes;
    }
    // What a call may ask for in all is limited; then the answer is less than was asked for.
    long const done = ::syscall(process_madvise_number, self, pieces.data(), count, advice, 0U);
    if (done < 0 && (errno == EBADF || errno == ENOSYS || errno == EPERM))
        several_refused.store(true, std::memory_order_relaxed);
    return done >= 0 && static_cast<std::size_t>(done) == bytes;
}
#endif

} // namespace

// Gives the pages back at once (MADV_DONTNEED) rather than when memory gets short (MADV_FREE): the two cost
// much the same, and a container is charged for memory until it is really gone. Fails on locked memory (mlockall),
// which then stays.
void discard(range const* ranges, std::size_t count) noexcept {
#if defined(__linux__)
    if (count > 1 && advise_at_once(ranges, count, MADV_DONTNEED))
        return;
    for (std::size_t i = 0; i != count; ++i)
        (void)::madvise(ranges[i].begin, ranges[i].bytes, MADV_DONTNEED);
#elif defined(MADV_FREE)
    for (std::size_t i = 0; i != count; ++i)
        (void)::madvise(ranges[i].begin, ranges[i].bytes, MADV_FREE);
#else
    (void)ranges, (void)count;
#endif
}

// A call for one page costs what a fault does, so it is only made for several.
void populate(range const* ranges, std::size_t count) noexcept {
#if defined(__linux__)
    constexpr int populate_write = 23; // MADV_POPULATE_WRITE: Linux 5.14, absent from older headers
    if (count > 1)
        (void)advise_at_once(ranges, count, populate_write); // what it could not do, the first touch does
#else
    (void)ranges, (void)count;
#endif
}

void force_single_advice([[maybe_unused]] bool force) noexcept {
#if defined(__linux__)
    single_forced.store(force, std::memory_order_relaxed);
#endif
}

namespace {

// Whether the system can guard pages by a mark in the page tables. unknown until the first attempt, then
// final; written by try_marker.
enum class markers { unknown, work, absent };
std::atomic<markers> marker_support{markers::unknown};
std::atomic<bool> protection_forced{false}; // written by tests only

#if defined(__linux__)
// MADV_GUARD_INSTALL: Linux 6.13, absent from the C library's older headers.
constexpr int guard_install_advice = 102;

// The first success is verified: emulators exist that ignore unknown advice and answer 0. The kernel is asked
// to write an answer there (one byte, about the page itself), and reports as EFAULT what would be SIGSEGV
// here. Of the calls that could be used, this one needs no file and isn't read along by valgrind, which
// crashed on access().
bool try_marker(void* begin, std::size_t bytes) noexcept {
    markers const support = marker_support.load(std::memory_order_relaxed);
    if (support == markers::absent)
        return false;
    if (::madvise(begin, bytes, guard_install_advice) != 0) {
        if (support == markers::unknown && errno != ENOMEM && errno != EAGAIN)
            marker_support.store(markers::absent, std::memory_order_relaxed);
        return false;
    }
    if (support == markers::work)
        return true;
    bool const works = ::mincore(begin, 1, static_cast<unsigned char*>(begin)) != 0 && errno == EFAULT;
    marker_support.store(works ? markers::work : markers::absent, std::memory_order_relaxed);
    return works;
}
#else
bool try_marker(void*, std::size_t) noexcept { return false; }
#endif

} // namespace

// Both kinds survive `discard` and fork(). The second attempt is for locked memory (mlockall), on which some
// kernels refuse a marker.
std::size_t guard(void* first, std::size_t stride, std::size_t count, std::size_t bytes) noexcept {
    bool const forced = protection_forced.load(std::memory_order_relaxed);
    char* const base = static_cast<char*>(first);
#if defined(__linux__)
    // Not before one by itself was seen to work.
    if (!forced && count > 1 && marker_support.load(std::memory_order_relaxed) == markers::work) {
        std::array<range, most_ranges> ranges; // NOLINT: filled as far as it is read
        for (std::size_t i = 0; i != count; ++i)
            ranges[i] = {base + i * stride, bytes};
        if (advise_at_once(ranges.data(), count, guard_install_advice))
            return count;
    }
#endif
    for (std::size_t i = 0; i != count; ++i) {
        char* const begin = base + i * stride;
        if (!(!forced && try_marker(begin, bytes)) && ::mprotect(begin, bytes, PROT_NONE) != 0)
            return i;
        valgrind::forbid(begin, bytes);
    }
    return count;
}

detail::guard_kind guard_kind() noexcept {
    if (protection_forced.load(std::memory_order_relaxed))
        return detail::guard_kind::protection;
    if (marker_support.load(std::memory_order_relaxed) == markers::unknown) {
        void* const page = ::mmap(nullptr, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (page != MAP_FAILED) {
            (void)try_marker(page, page_size());
            (void)::munmap(page, page_size());
        }
    }
    return marker_support.load(std::memory_order_relaxed) == markers::work ? detail::guard_kind::marker
                                                                           : detail::guard_kind::protection;
}

void force_protection(bool force) noexcept { protection_forced.store(force, std::memory_order_relaxed); }

char* first_touched(char* begin, char* end) noexcept {
#if defined(__linux__)
    const int file = ::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return nullptr;
    constexpr std::uint64_t present = std::uint64_t(1) << 63;
    constexpr std::uint64_t swapped = std::uint64_t(1) << 62;
    std::array<std::uint64_t, 128> entries{};
    std::size_t const page = page_size();
    char* result = begin;
    for (bool found = false; result != end && result && !found;) {
        std::size_t const pages = std::min(entries.size(), static_cast<std::size_t>(end - result) / page);
        std::size_t const bytes = pages * sizeof(std::uint64_t);
        auto const offset = static_cast<off_t>(reinterpret_cast<std::uintptr_t>(result) / page * sizeof(std::uint64_t));
        if (::pread(file, entries.data(), bytes, offset) != static_cast<ssize_t>(bytes)) {
            result = nullptr;
            break;
        }
        auto const first = std::find_if(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(pages),
                                        [](std::uint64_t entry) { return (entry & (present | swapped)) != 0; });
        auto const skipped = static_cast<std::size_t>(first - entries.begin());
        found = skipped != pages;
        result += skipped * page;
    }
    ::close(file);
    return result;
#else
    (void)begin, (void)end;
    return nullptr;
#endif
}

// What follows runs when memory can't be had: plain system calls, into a buffer on the stack.

std::optional<usage> memory_usage() noexcept {
    int const file = ::open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return std::nullopt;
    char text[256];
    ssize_t const length = ::read(file, text, sizeof text - 1);
    ::close(file);
    if (length <= 0)
        return std::nullopt;
    text[length] = '\0';
    unsigned long long total = 0;
    unsigned long long data = 0;
    if (std::sscanf(text, "%llu %*u %*u %*u %*u %llu", &total, &data) != 2)
        return std::nullopt;
    return usage{static_cast<std::size_t>(total) * page_size(), static_cast<std::size_t>(data) * page_size()};
}

std::optional<std::size_t> mapping_count() noexcept {
    int const file = ::open("/proc/self/maps", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return std::nullopt;
    std::size_t lines = 0;
    char text[4096];
    ssize_t length = 0;
    while ((length = ::read(file, text, sizeof text)) > 0)
        lines += static_cast<std::size_t>(std::count(text, text + length, '\n'));
    ::close(file);
    return lines;
}

std::optional<std::size_t> max_mapping_count() noexcept {
    int const file = ::open("/proc/sys/vm/max_map_count", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return std::nullopt;
    char text[32];
    ssize_t const length = ::read(file, text, sizeof text - 1);
    ::close(file);
    if (length <= 0)
        return std::nullopt;
    text[length] = '\0';
    return static_cast<std::size_t>(std::strtoull(text, nullptr, 10));
}

std::optional<std::size_t> resource_limit(int resource) noexcept {
    rlimit limit{};
    // The type of the first parameter differs between C libraries (an enumeration in glibc).
    int const failed = ::getrlimit(static_cast<decltype(RLIMIT_AS)>(resource), &limit);
    if (failed != 0 || limit.rlim_cur == RLIM_INFINITY)
        return std::nullopt;
    return static_cast<std::size_t>(limit.rlim_cur);
}

} // namespace greenback::detail::os
