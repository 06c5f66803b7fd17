// SPDX-License-Identifier: MIT
//
// The pool of stacks. Address space is reserved in large regions, each cut into equal slots:
//
//      region of one size class, e.g. 4 MiB              low address first
//      ┌───────┬───────────┬───────┬───────────┬───────┬─ ─ ─┐
//      │ guard │ stack     │ guard │ stack     │ guard │     │   one mapping, whatever the number of stacks
//      └───────┴───────────┴───────┴───────────┴───────┴─ ─ ─┘
//       slot 0              slot 1              handed_out → never used yet: no guard, no page
//
// A slot goes   fresh → in use → resident → in use → …     resident: idle, its pages kept; a bounded LIFO
//                                    └────→ cold → in use  cold: idle, its pages given back
//
// Regions are never unmapped, so an address that once was a stack stays one: that makes the walk in
// `for_each_stack` safe without a lock, and a stale pointer into a stack a bug without consequences for
// strangers.
//
// What knows the operating system stands in namespace `os`, what explains a shortage in namespace `shortage`.

#include <greenback/detail/fiber/stack_pool.hpp>
#include <greenback/detail/fiber/thread_state.hpp>
#include <greenback/stack.hpp>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cassert>
#include <cerrno>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <mutex>
#include <new>
#include <optional>
#include <utility>

#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GREENBACK_STACK_POOL_ASAN 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(GREENBACK_STACK_POOL_ASAN)
#include <sanitizer/asan_interface.h>
#endif

// The default size. Lua's 200 nested C calls take 416 KiB, and libraries that were made portable run in the
// 512 KiB that macOS gives a process's other threads; docs/pitfalls.md has what others were measured to need. While a
// portal is in force the task's own coroutines run on its stack as well. Generosity costs no memory but page tables, 2
// bytes per KiB: a suspended portal with one page in use takes 1.03 KiB of them at 512 KiB, 0.66 KiB at 320 KiB. A
// million of them reserve half a TiB of the 128 TiB that a process can address. AddressSanitizer makes frames two to
// three times larger.
#ifndef GREENBACK_DEFAULT_STACK_SIZE
#if defined(__SANITIZE_ADDRESS__) || defined(GREENBACK_STACK_POOL_ASAN)
#define GREENBACK_DEFAULT_STACK_SIZE (std::size_t(1024) * 1024)
#else
#define GREENBACK_DEFAULT_STACK_SIZE (std::size_t(512) * 1024)
#endif
#endif

namespace greenback {
namespace {

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;
constexpr bool wide_addresses = sizeof(void*) >= 8;

constexpr std::size_t min_stack_size = 16 * kib;
constexpr std::size_t max_stack_size = wide_addresses ? mib << (wide_addresses ? 20 : 0) : 256 * mib;

// Wider than a page, so that a function with a local buffer of up to 16 KiB can't step over the guard even
// where the compiler doesn't probe the stack. It costs 24 bytes of page tables more than one page would.
constexpr std::size_t min_guard_size = 16 * kib;

// A region doubles what its class has reserved, so a class never reserves more than about twice what it uses,
// and a million stacks of the default size take fewer than 150 regions. The bound keeps a refused request from being an
// absurd one.
constexpr std::size_t first_region_size = 4 * mib;
constexpr std::size_t max_region_size = wide_addresses ? 4096 * mib : 64 * mib;

// How much idle memory a size class keeps: enough that a server whose load fluctuates by some hundred tasks makes no
// system call (with 64, two threads that each made 100 portals at a time threw pages away all the while, and took turns
// in the kernel doing it), little enough that a single burst of deep recursion isn't remembered for ever.
// The bytes are what that many stacks of the default size come to, so that they limit larger ones only: 80 MiB would be
// 160 stacks, and four threads with bursts of 100 portals would throw pages away again. They are an upper bound, for
// stacks that were all used to the bottom; what most of these hold is a page or two each.
constexpr std::size_t max_resident_stacks = 256;
constexpr std::size_t max_resident_bytes = 128 * mib;

static_assert(GREENBACK_DEFAULT_STACK_SIZE > 0 && std::size_t(GREENBACK_DEFAULT_STACK_SIZE) <= max_stack_size,
              "GREENBACK_DEFAULT_STACK_SIZE is not a size that a stack can have");

constexpr std::size_t round_up(std::size_t value, std::size_t power_of_two) noexcept {
    return (value + power_of_two - 1) & ~(power_of_two - 1);
}

// ----------------------------------------------------------------------------------------------------
// What the operating system is asked for. POSIX, with Linux's additions where they exist.
namespace os {

std::size_t page_size() noexcept {
    static auto const size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
    return size;
}

std::size_t guard_size() noexcept { return std::max(min_guard_size, page_size()); }

// Address space without memory; nullptr and errno if refused.
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

// Gives the pages back at once (MADV_DONTNEED) rather than when memory gets short (MADV_FREE): the two cost
// much the same, and a container is charged for memory until it is really gone. Fails on locked memory (mlockall),
// which then stays.
void discard(void* begin, std::size_t bytes) noexcept {
#if defined(__linux__)
    (void)::madvise(begin, bytes, MADV_DONTNEED);
#elif defined(MADV_FREE)
    (void)::madvise(begin, bytes, MADV_FREE);
#else
    (void)begin, (void)bytes;
#endif
}

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

// Makes memory inaccessible; false and errno if refused. Both kinds survive `discard` and fork(). The second
// attempt is for locked memory (mlockall), on which some kernels refuse a marker.
bool guard(void* begin, std::size_t bytes) noexcept {
    if (!protection_forced.load(std::memory_order_relaxed) && try_marker(begin, bytes))
        return true;
    return ::mprotect(begin, bytes, PROT_NONE) == 0;
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

// The first page in [begin, end) that has memory, in RAM or swapped out; `end` if none, nullptr if the system
// can't tell.
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

// How much address space this process uses, and how many mappings. Read with plain system calls into a buffer
// on the stack: this runs when memory can't be had. Nothing where there is no /proc.
struct usage {
    std::size_t address_space;
    std::size_t data;
};

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

} // namespace os

// ----------------------------------------------------------------------------------------------------
// AddressSanitizer's view of the stacks
namespace sanitizer {

void unpoison(void* begin, std::size_t bytes) noexcept {
#if defined(__SANITIZE_ADDRESS__) || defined(GREENBACK_STACK_POOL_ASAN)
    // Mostly there is nothing to do, and asking is cheaper: it commits no shadow memory.
    if (__asan_region_is_poisoned(begin, bytes))
        __asan_unpoison_memory_region(begin, bytes);
#else
    (void)begin, (void)bytes;
#endif
}

} // namespace sanitizer

// ----------------------------------------------------------------------------------------------------
// Log lines
namespace log {

std::atomic<log_handler> handler{nullptr}; // nullptr: stderr. Written by set_log_handler
std::atomic<unsigned> said{0}; // one bit per topic, set by whoever says it first; a forked child inherits it

constexpr unsigned unguarded_topic = 31; // the others are the values of stack_limit

bool first_time(unsigned topic) noexcept {
    unsigned const bit = 1U << topic;
    return (said.fetch_or(bit, std::memory_order_relaxed) & bit) == 0;
}

void line(char const* text) noexcept {
    if (log_handler const f = handler.load(std::memory_order_acquire))
        return f(text);
    std::fprintf(stderr, "%s\n", text);
}

} // namespace log

// ----------------------------------------------------------------------------------------------------
// Why no stack could be had
namespace shortage {

enum class step { none, reserve, bookkeeping, guard };

// What failed. Filled in with the pool's lock held, examined after it was released: reading /proc/self/maps
// may take tens of milliseconds when it is full.
struct failure {
    step at = step::none;
    int error = 0;         // errno of that step
    std::size_t bytes = 0; // asked for in that step
};

std::atomic<bool> unguarded_allowed{false}; // written by allow_unguarded_stacks

// A process that stays at the limit may fail thousands of times a second: then its mappings are counted once
// in that time.
bool mappings_exhausted() noexcept {
    static std::atomic<std::int64_t> asked{0}; // in ms, 0: never. Both written here
    static std::atomic<bool> answer{false};
    using namespace std::chrono;
    std::int64_t const now = duration_cast<milliseconds>(steady_clock::now().time_since_epoch()).count();
    std::int64_t const last = asked.load(std::memory_order_acquire);
    if (last != 0 && now - last < 1000 && answer.load(std::memory_order_relaxed))
        return true;
    auto const count = os::mapping_count();
    auto const limit = os::max_mapping_count();
    bool const result = count && limit && *count + 2 >= *limit; // 2: what one guard by mprotect needs
    answer.store(result, std::memory_order_relaxed);
    asked.store(now, std::memory_order_release);
    return result;
}

stack_limit diagnose(failure const& f) noexcept {
    if (f.at != step::guard) {
        // The same comparisons as the kernel's. A failed allocation on the heap doesn't say how much it
        // wanted.
        std::size_t const wanted = f.at == step::bookkeeping ? std::max(f.bytes, mib) : f.bytes;
        if (auto const used = os::memory_usage()) {
            auto const exceeds = [&](std::size_t in_use, int resource) {
                auto const limit = os::resource_limit(resource);
                return limit && in_use + wanted > *limit;
            };
            if (exceeds(used->address_space, RLIMIT_AS))
                return stack_limit::address_space;
            if (exceeds(used->data, RLIMIT_DATA))
                return stack_limit::data_segment;
        }
    }
    return mappings_exhausted() ? stack_limit::mapping_count : stack_limit::memory;
}

char const* explain(stack_limit limit) noexcept {
    switch (limit) {
    case stack_limit::address_space:
        return "greenback: no stack to be had: the process has reached its address space limit (RLIMIT_AS, "
               "ulimit -v); "
               "raise it, or make stacks smaller (greenback::default_stack_size)";
    case stack_limit::data_segment:
        return "greenback: no stack to be had: the process has reached its data segment limit (RLIMIT_DATA, "
               "ulimit -d); "
               "raise it, or make stacks smaller (greenback::default_stack_size)";
    case stack_limit::mapping_count:
        return "greenback: no stack to be had: the process has reached vm.max_map_count; "
               "raise it with sysctl, or use Linux 6.13 or later, where guarded stacks need no mappings of "
               "their own";
    case stack_limit::memory:
        return "greenback: no stack to be had: the system refused the memory";
    case stack_limit::size:
        return "greenback: no stack to be had: the size asked for is larger than any stack can be";
    }
    return "greenback: no stack to be had";
}

void report(stack_limit limit, failure const& f, std::size_t stack_size) noexcept {
    if (!log::first_time(static_cast<unsigned>(limit)))
        return;
    char text[512];
    std::snprintf(text, sizeof text, "%s [stack of %zu KiB, %s of %zu KiB: %s; this line appears once]", explain(limit),
                  stack_size / kib, f.at == step::guard ? "guard" : (f.at == step::reserve ? "mapping" : "bookkeeping"),
                  f.bytes / kib, std::strerror(f.error));
    log::line(text);
}

[[noreturn]] void raise(failure const& f, std::size_t stack_size) {
    stack_limit const limit = diagnose(f);
    report(limit, f, stack_size);
    throw stack_exhausted(limit);
}

void report_unguarded(failure const& f) noexcept {
    if (!log::first_time(log::unguarded_topic))
        return;
    char text[512];
    std::snprintf(text, sizeof text,
                  "greenback: WARNING: handing out stacks WITHOUT A GUARD, as "
                  "greenback::allow_unguarded_stacks permits: "
                  "an overflow will damage another task's stack silently%s [%s; this line appears once]",
                  mappings_exhausted() ? "; the process has reached vm.max_map_count" : "", std::strerror(f.error));
    log::line(text);
}

} // namespace shortage

// ----------------------------------------------------------------------------------------------------
// The pool

// The states of a slot. All are written with the pool's lock held; for_each_stack reads them without.
//   in_use     handed out, or about to be
//   resident   idle; in its class's LIFO, or just taken out of it to be discarded
//   first_link and above: cold; the value minus first_link is the next cold slot of the region,
//   `region::count` the end
using slot_state = std::uint32_t;
constexpr slot_state in_use = 0;
constexpr slot_state resident = 1;
constexpr slot_state first_link = 2;

struct size_class;

struct region {
    using slot_states = std::unique_ptr<std::atomic<slot_state>[]>;

    region(size_class& c, char* b, std::uint32_t n, slot_states s, region* o) noexcept
        : owner(c), base(b), count(n), slots(std::move(s)), older(o), first_cold(n) {}

    // Constant:
    size_class& owner;
    char* const base;
    std::uint32_t const count; // slots that fit
    slot_states const slots;   // outside of the stacks: 4 bytes each
    region* const older;       // next region of the class

    // Slots ever handed out: [0, handed_out). Only grows, with the lock held, after the new slot's guard is
    // in place.
    std::atomic<std::uint32_t> handed_out{0};

    // With the lock held:
    std::uint32_t first_cold; // head of the chain through `slots`; `count`: none
    region* next_with_cold = nullptr;
};

struct slot_ref {
    region* in;
    std::uint32_t index;
};

struct size_class {
    std::size_t size = 0; // usable bytes; 0: never used. Written once, with the lock held, before `newest`

    std::atomic<region*> newest{nullptr}; // written with the lock held; for_each_stack follows it without

    // With the lock held:
    std::size_t next_region = 0;                           // bytes to ask for next; 0: first_region_size
    region* with_cold = nullptr;                           // regions with at least one cold slot
    std::array<slot_ref, max_resident_stacks> residents{}; // ring: the idle stacks that keep their pages,
    std::uint32_t oldest_resident = 0;                     //   the one released first,
    std::uint32_t resident_count = 0;                      //   and how many

    std::size_t stride() const noexcept { return size + os::guard_size(); }

    std::uint32_t max_residents() const noexcept {
        return static_cast<std::uint32_t>(std::clamp<std::size_t>(max_resident_bytes / size, 1, max_resident_stacks));
    }

    char* top(slot_ref slot) const noexcept { return slot.in->base + (slot.index + std::size_t(1)) * stride(); }
};

// Four classes per doubling: 16, 20, 24, 28, 32, 40, 48, … A fixed number of them, so that odd sizes can't
// multiply.
constexpr unsigned class_index(std::size_t size) noexcept // size > min_stack_size / 2
{
    // 2^octave < size <= 2^(octave + 1), in which there are 5 to 8 steps
    auto const octave = static_cast<unsigned>(std::bit_width(size - 1)) - 1;
    std::size_t const step = (std::size_t(1) << octave) / 4;
    auto const steps = static_cast<unsigned>((size + step - 1) / step);
    return (octave - 13) * 4 + steps - 8;
}
static_assert(class_index(min_stack_size) == 0 && class_index(min_stack_size + 1) == 1);
static_assert(class_index(2 * min_stack_size) == 4 && class_index(2 * min_stack_size + 1) == 5);

constexpr std::size_t class_count = class_index(max_stack_size) + 1;

class pool {
public:
    constexpr pool() noexcept = default;

    std::size_t acquire(std::size_t size, detail::stack* out, std::size_t count) {
        shortage::failure why;
        bool unguarded = false;
        std::size_t taken = 0;
        {
            std::lock_guard const lock(mutex_);
            size_class& c = classes_[class_index(size)];
            if (c.size == 0)
                c.size = size;
            for (; taken != count; ++taken) {
                std::optional<slot_ref> const slot = take(c, why, unguarded);
                if (!slot)
                    break;
                out[taken] = {c.top(*slot), size};
            }
        }
        if (unguarded)
            shortage::report_unguarded(why);
        if (taken == 0)
            shortage::raise(why, size);
        return taken;
    }

    void release(detail::stack const* stacks, std::size_t count) noexcept {
        std::array<slot_ref, 32> evicted; // NOLINT: filled as far as it is read
        while (count != 0) {
            std::size_t const n = std::min(count, evicted.size());
            for (std::size_t i = 0; i != n; ++i) {
                // What ran here may have ended without leaving its frames (a jump, a killed fiber): their red
                // zones would be false alarms for the next user. New memory has none, so this is the only
                // place.
                sanitizer::unpoison(stacks[i].bottom(), stacks[i].size);
            }
            std::size_t evictions = 0;
            {
                std::lock_guard const lock(mutex_);
                for (std::size_t i = 0; i != n; ++i) {
                    if (auto const oldest = put(find(stacks[i].top)))
                        evicted[evictions++] = *oldest;
                }
                idle_.fetch_add(n, std::memory_order_relaxed);
            }
            if (evictions != 0) {
                // Without the lock: nobody else can reach these slots, they are in neither list.
                for (std::size_t i = 0; i != evictions; ++i) {
                    size_class const& c = evicted[i].in->owner;
                    detail::note_stack_use({c.top(evicted[i]), c.size});
                    os::discard(c.top(evicted[i]) - c.size, c.size);
                }
                std::lock_guard const lock(mutex_);
                for (std::size_t i = 0; i != evictions; ++i)
                    put_cold(evicted[i]);
            }
            stacks += n;
            count -= n;
        }
    }

    std::size_t idle() const noexcept { return idle_.load(std::memory_order_relaxed); }

    void for_each(void (*visit)(void*, std::size_t, bool, void*), void* arg) const {
        for (size_class const& c : classes_) {
            // Acquire: everything a region points to, and the class's size, was written before it was
            // published.
            for (region const* r = c.newest.load(std::memory_order_acquire); r; r = r->older) {
                std::uint32_t const end = r->handed_out.load(std::memory_order_acquire);
                for (std::uint32_t i = 0; i != end; ++i) {
                    bool const used = r->slots[i].load(std::memory_order_acquire) == in_use;
                    visit(r->base + (i + std::size_t(1)) * c.stride(), c.size, used, arg);
                }
            }
        }
    }

    // Around fork(): the child gets the pool between two operations, with its lock free.
    void lock() { mutex_.lock(); }
    void unlock() { mutex_.unlock(); }

private:
    // Everything below: with the lock held.

    std::optional<slot_ref> take(size_class& c, shortage::failure& why, bool& unguarded) {
        if (c.resident_count != 0) {
            slot_ref const slot = c.residents[(c.oldest_resident + --c.resident_count) % c.residents.size()];
            set(slot, in_use);
            idle_.fetch_sub(1, std::memory_order_relaxed);
            return slot;
        }
        if (region* const r = c.with_cold) {
            slot_ref const slot{r, r->first_cold};
            r->first_cold = r->slots[slot.index].load(std::memory_order_relaxed) - first_link;
            if (r->first_cold == r->count)
                c.with_cold = r->next_with_cold;
            set(slot, in_use);
            idle_.fetch_sub(1, std::memory_order_relaxed);
            return slot;
        }
        region* r = c.newest.load(std::memory_order_relaxed);
        if (!r || r->handed_out.load(std::memory_order_relaxed) == r->count)
            r = add_region(c, why);
        if (!r)
            return std::nullopt;
        slot_ref const slot{r, r->handed_out.load(std::memory_order_relaxed)};
        // One system call per guard, at its first use. Asking for several at once (process_madvise, 16 in a
        // call) was measured to gain 0.3 µs of the 2.3 µs that a new stack costs with its first page: not
        // worth a second path.
        if (!os::guard(c.top(slot) - c.stride(), os::guard_size())) {
            why = {shortage::step::guard, errno, os::guard_size()};
            if (!shortage::unguarded_allowed.load(std::memory_order_relaxed))
                return std::nullopt;
            unguarded = true;
        }
        // Its state has been in_use since the region was made.
        r->handed_out.store(slot.index + 1, std::memory_order_release);
        return slot;
    }

    region* add_region(size_class& c, shortage::failure& why) {
        std::size_t const stride = c.stride();
        std::size_t bytes = c.next_region != 0 ? c.next_region : first_region_size;
        for (;; bytes /= 2) {
            std::size_t const count = std::max<std::size_t>(bytes / stride, 1);
            if (void* const base = os::reserve(count * stride)) {
                region* const r = make_region(c, static_cast<char*>(base), static_cast<std::uint32_t>(count));
                if (r) {
                    c.next_region = std::clamp(count * stride * 2, first_region_size, max_region_size);
                    return r;
                }
                os::unreserve(base, count * stride);
                why = {shortage::step::bookkeeping, ENOMEM, count * sizeof(std::atomic<slot_state>)};
            } else
                why = {shortage::step::reserve, errno, count * stride};
            if (count == 1) {
                // Next time, don't start with sizes that were refused just now; from there it doubles again.
                c.next_region = stride;
                return nullptr;
            }
        }
    }

    region* make_region(size_class& c, char* base, std::uint32_t count) noexcept {
        try {
            make_room_for_region();
            auto slots = std::make_unique<std::atomic<slot_state>[]>(count); // zero: in_use
            auto r =
                std::make_unique<region>(c, base, count, std::move(slots), c.newest.load(std::memory_order_relaxed));
            region** const above = first_region_above(base);
            std::copy_backward(above, regions_end(), regions_end() + 1);
            *above = r.get();
            ++region_count_;
            c.newest.store(r.get(), std::memory_order_release);
            return r.release(); // for the life of the process
        } catch (std::bad_alloc const&) {
            return nullptr;
        }
    }

    void make_room_for_region() {
        if (region_count_ != region_capacity_)
            return;
        std::size_t const capacity = std::max<std::size_t>(2 * region_capacity_, 16);
        auto larger = std::make_unique<region*[]>(capacity);
        std::copy(regions_.get(), regions_end(), larger.get());
        regions_ = std::move(larger);
        region_capacity_ = capacity;
    }

    region** regions_end() const noexcept { return regions_.get() + region_count_; }

    region** first_region_above(char const* address) const noexcept {
        return std::upper_bound(regions_.get(), regions_end(), address,
                                [](char const* a, region const* r) { return a < r->base; });
    }

    slot_ref find(void const* top) const noexcept {
        // The last byte of the stack, which unlike `top` can't belong to the region above.
        char const* const address = static_cast<char const*>(top) - 1;
        region** const above = first_region_above(address);
        assert(above != regions_.get() && "this stack is not from the pool");
        region* const r = above[-1];
        auto const index = static_cast<std::size_t>(address - r->base) / r->owner.stride();
        assert(index < r->count && "this stack is not from the pool");
        return {r, static_cast<std::uint32_t>(index)};
    }

    // Returns what had to leave the LIFO for it.
    std::optional<slot_ref> put(slot_ref slot) noexcept {
        size_class& c = slot.in->owner;
        assert(slot.in->slots[slot.index].load(std::memory_order_relaxed) == in_use && "a stack was released twice");
        set(slot, resident);
        std::optional<slot_ref> oldest;
        if (c.resident_count == c.max_residents()) {
            oldest = c.residents[c.oldest_resident];
            c.oldest_resident = static_cast<std::uint32_t>((c.oldest_resident + 1) % c.residents.size());
            --c.resident_count;
        }
        c.residents[(c.oldest_resident + c.resident_count++) % c.residents.size()] = slot;
        return oldest;
    }

    void put_cold(slot_ref slot) noexcept {
        region& r = *slot.in;
        if (r.first_cold == r.count) {
            r.next_with_cold = r.owner.with_cold;
            r.owner.with_cold = &r;
        }
        set(slot, first_link + r.first_cold);
        r.first_cold = slot.index;
    }

    static void set(slot_ref slot, slot_state state) noexcept {
        slot.in->slots[slot.index].store(state, std::memory_order_release);
    }

    std::mutex mutex_; // guards everything here but the atomics' readers
    std::array<size_class, class_count> classes_{};
    // By address; only grows. Not a std::vector: with _GLIBCXX_DEBUG that can't be constructed before any code runs.
    std::unique_ptr<region*[]> regions_;
    std::size_t region_count_ = 0;
    std::size_t region_capacity_ = 0;
    std::atomic<std::size_t> idle_{0}; // resident, cold and in between; written with the lock held
};

// Constructed before any code runs and never destroyed: stacks are released by the destructors of static
// objects as well.
union immortal_pool {
    constexpr immortal_pool() noexcept : value() {}
    ~immortal_pool() {} // NOLINT: nothing is destroyed, on purpose
    pool value;
};
constinit immortal_pool the_pool;

// Registered before main, so that no fork can come between the pool's first use and this.
[[maybe_unused]] int const fork_handlers =
    ::pthread_atfork([] { the_pool.value.lock(); }, [] { the_pool.value.unlock(); }, [] { the_pool.value.unlock(); });

std::atomic<std::size_t> default_size{0}; // as asked for; 0: the build's. Written by default_stack_size

// Whole pages, then the size of the class; 0 if there is no class for it.
std::size_t rounded(std::size_t size) noexcept {
    if (size > max_stack_size)
        return 0;
    size = round_up(std::max(size, min_stack_size), os::page_size());
    // Step and page are powers of two: a multiple of the larger is a multiple of both.
    std::size_t const step = std::bit_floor(size - 1) / 4;
    return round_up(size, std::max(step, os::page_size()));
}

} // namespace

// ----------------------------------------------------------------------------------------------------
// detail/fiber/stack_pool.hpp
namespace detail {

std::size_t rounded_stack_size(std::size_t size) {
    std::size_t const result = rounded(size != 0 ? size : default_stack_size());
    if (result == 0) {
        shortage::report(stack_limit::size, {shortage::step::reserve, ENOMEM, size}, size);
        throw stack_exhausted(stack_limit::size);
    }
    return result;
}

stack acquire_stack(std::size_t size) {
    stack result{};
    the_pool.value.acquire(rounded_stack_size(size), &result, 1);
    return result;
}

std::size_t acquire_stacks(std::size_t size, stack* out, std::size_t count) {
    assert(count > 0);
    return the_pool.value.acquire(rounded_stack_size(size), out, count);
}

void release_stacks(stack const* stacks, std::size_t count) noexcept { the_pool.value.release(stacks, count); }

void discard_pages(stack s, std::size_t keep_top_bytes) noexcept {
    std::size_t const kept = round_up(std::min(keep_top_bytes, s.size), os::page_size());
    if (kept >= s.size)
        return;
    note_stack_use(s);
    os::discard(s.bottom(), s.size - kept);
}

std::size_t stack_bytes_touched(stack s) noexcept {
    // Whole pages: another allocator's stack may begin and end anywhere.
    std::size_t const page = os::page_size();
    char* const top = static_cast<char*>(s.top);
    char* const bottom = top - s.size;
    char* const begin = bottom + (page - reinterpret_cast<std::uintptr_t>(bottom) % page) % page;
    char* const end = top + (page - reinterpret_cast<std::uintptr_t>(top) % page) % page;
    if (begin >= end)
        return 0;
    char* const lowest = os::first_touched(begin, end);
    return lowest && lowest < top ? static_cast<std::size_t>(top - lowest) : 0;
}

std::size_t stacks_idle() noexcept { return the_pool.value.idle(); }

void for_each_stack(void (*visit)(void* top, std::size_t size, bool in_use, void* arg), void* arg) {
    the_pool.value.for_each(visit, arg);
}

std::size_t stack_guard_size() noexcept { return os::guard_size(); }

guard_kind stack_guard_kind() noexcept { return os::guard_kind(); }

void force_protection_guards(bool force) noexcept { os::protection_forced.store(force, std::memory_order_relaxed); }

} // namespace detail

// ----------------------------------------------------------------------------------------------------
// stack.hpp

std::size_t default_stack_size() noexcept {
    std::size_t const asked = default_size.load(std::memory_order_relaxed);
    return asked != 0 ? asked : rounded(GREENBACK_DEFAULT_STACK_SIZE);
}

void default_stack_size(std::size_t bytes) noexcept {
    // What can't be had stays as it was asked for: the first request for a stack says so, by stack_exhausted.
    std::size_t const size = rounded(bytes);
    std::size_t const asked = bytes == 0 ? 0 : size != 0 ? size : bytes;
    if (default_size.exchange(asked, std::memory_order_relaxed) != asked)
        detail::renew_caches(); // after the store: who sees the new generation sees the new size
}

stack_exhausted::~stack_exhausted() = default;

char const* stack_exhausted::what() const noexcept { return shortage::explain(limit_); }

void allow_unguarded_stacks(bool allow) noexcept {
    shortage::unguarded_allowed.store(allow, std::memory_order_relaxed);
}

log_handler set_log_handler(log_handler handler) noexcept {
    return log::handler.exchange(handler, std::memory_order_acq_rel);
}

std::size_t pooled_stack::traits_type::page_size() noexcept { return os::page_size(); }

std::size_t pooled_stack::traits_type::minimum_size() noexcept { return rounded(min_stack_size); }

std::size_t pooled_stack::traits_type::maximum_size() noexcept { return max_stack_size; }

boost::context::stack_context pooled_stack::allocate() const {
    detail::stack const s = detail::acquire_stack(size_);
    boost::context::stack_context result;
    result.sp = s.top;
    result.size = s.size;
    return result;
}

void pooled_stack::deallocate(boost::context::stack_context& stack) const noexcept {
    assert(stack.sp);
    detail::release_stack({stack.sp, stack.size});
}

} // namespace greenback
