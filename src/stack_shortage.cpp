// SPDX-License-Identifier: MIT

#include "stack_shortage.hpp"

#include "log.hpp"
#include "os_memory.hpp"
#include "stack_size.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstring>

#include <sys/resource.h>

namespace greenback::detail::shortage {
namespace {

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

} // namespace

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
    case stack_limit::memory: return "greenback: no stack to be had: the system refused the memory";
    case stack_limit::size: return "greenback: no stack to be had: the size asked for is larger than any stack can be";
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

} // namespace greenback::detail::shortage
