// SPDX-License-Identifier: MIT
// A fiber that is out may be entered at any moment, and its frames may then be gone. Nothing keeps it from that; so each
// word is asked for whether it lies on the stack, which stays mapped, and what was read is read again at the end. What
// was in between, a garbled frame, leads nowhere: it is looked up in tables, and no word of it is used as an address
// unless it lies on the stack.

#include "suspended_backtrace.hpp"

#include "fiber_entry.hpp"
#include "moving_memory.hpp"
#include "unwind/call_frame_info.hpp"
#include "unwind/function_table.hpp"

#include <atomic>
#include <cstring>

namespace greenback::detail {

#if defined(GREENBACK_CONTEXT_KNOWN)

namespace {

/// The part of the fiber's stack that is in use, and what was read there.
class used_stack final : public readable_stack {
public:
    used_stack(std::uintptr_t begin, std::uintptr_t end, backtrace& notes) noexcept
        : begin_(begin), end_(end), notes_(notes) {}

    bool load(std::uintptr_t at, std::uintptr_t& value) noexcept override {
        if (at % sizeof(std::uintptr_t) != 0 || at < begin_ || at >= end_ || end_ - at < sizeof(std::uintptr_t) ||
            notes_.seen_count == notes_.seen.size())
            return false;
        value = load_word(reinterpret_cast<void const*>(at));
        notes_.seen[notes_.seen_count++] = {at, value};
        return true;
    }

    bool is_still_the_same() const noexcept {
        for (std::size_t i = 0; i != notes_.seen_count; ++i)
            if (load_word(reinterpret_cast<void const*>(notes_.seen[i].at)) != notes_.seen[i].value)
                return false;
        return true;
    }

private:
    std::uintptr_t const begin_, end_;
    backtrace& notes_;
};

/// Of the fiber's code, as it will go on. @returns false where it is not at a place that can be
bool first_frame(std::uintptr_t at, readable_stack& stack, frame_registers& frame) noexcept {
    using namespace saved_context;
    for (place const& p : places)
        if (!stack.load(at + p.offset, frame.value[p.register_number]))
            return false;
    if (!stack.load(at + program_counter, frame.pc) || !function_at(frame.pc))
        return false;
    frame.value[stack_pointer] = at + saved_context::size;
#if defined(GREENBACK_CONTEXT_X86_64)
    if (std::memcmp(reinterpret_cast<void const*>(frame.pc), red_zone_back, sizeof red_zone_back) == 0) {
        frame.pc += sizeof red_zone_back;
        frame.value[stack_pointer] += red_zone;
    }
#endif
    return true;
}

/// Where each fiber begins is no call of the program's.
bool is_main_loop(frame_registers const& frame) noexcept {
    void const* const function = function_at(frame.pc - 1);
    return function == reinterpret_cast<void const*>(&greenback_fiber_main) ||
           function == reinterpret_cast<void const*>(fiber_entry);
}

} // namespace

bool take_backtrace(fiber const& f, stack s, std::uintptr_t at, backtrace& result) noexcept {
    result.count = result.seen_count = 0;
    auto const top = reinterpret_cast<std::uintptr_t>(s.top);
    auto const bottom = reinterpret_cast<std::uintptr_t>(s.bottom());
    if (at < bottom || at >= top)
        return f.other.load(std::memory_order_relaxed) == at; // on a stack of somebody else's
    used_stack used(at, top, result);
    frame_registers frame;
    if (first_frame(at, used, frame)) {
        do
            result.calls[result.count++] = reinterpret_cast<void*>(frame.pc);
        while (result.count != most_calls && go_to_caller(frame, used) && !is_main_loop(frame));
    }
    std::atomic_thread_fence(std::memory_order_acquire);
    return f.other.load(std::memory_order_relaxed) == at && used.is_still_the_same();
}

#else

bool take_backtrace(fiber const& f, stack, std::uintptr_t at, backtrace& result) noexcept {
    result.count = 0;
    return f.other.load(std::memory_order_relaxed) == at;
}

#endif

} // namespace greenback::detail
