// SPDX-License-Identifier: MIT
// What AddressSanitizer and ThreadSanitizer have to be told of fibers; without them, nothing.
#pragma once

#include <greenback/detail/config.hpp>

#include <cstddef>

#if defined(GREENBACK_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(GREENBACK_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace greenback::detail::sanitizer {

/// In the record of each fiber, in every build, sanitized or not: so that its layout is the same.
struct fiber_state {
    void* asan_fake_stack = nullptr;      ///< the fiber's, while it is out
    void const* resumer_bottom = nullptr; ///< these two: the resumer's stack, learned on every way in
    std::size_t resumer_size = 0;
    void* tsan_fiber = nullptr; ///< made on the first way in, or where it is named before that
    void* tsan_resumer = nullptr;
};

/// What ThreadSanitizer calls the fiber in its reports, where they say which threads there are: "Thread T2 'greenback
/// portal' (tid=0, running)". It keeps a copy, of 63 characters at most. The fiber keeps its name in a cache: its main
/// loop gives it back the first one when a portal is over.
inline constexpr char const* portal_name = "greenback portal";
inline void name([[maybe_unused]] fiber_state& s, [[maybe_unused]] char const* what) noexcept {
#if defined(GREENBACK_TSAN)
    if (!s.tsan_fiber) // as it has not been in yet
        s.tsan_fiber = __tsan_create_fiber(0);
    __tsan_set_fiber_name(s.tsan_fiber, what);
#endif
}

/// On the resumer's side, with the fiber's stack. @returns what `after_switch_in` is to be given
GREENBACK_SWITCH_PATH inline void* before_switch_in([[maybe_unused]] fiber_state& s,
                                                    [[maybe_unused]] void const* bottom,
                                                    [[maybe_unused]] std::size_t size) noexcept {
    void* fake_stack = nullptr;
#if defined(GREENBACK_ASAN)
    __sanitizer_start_switch_fiber(&fake_stack, bottom, size);
#endif
#if defined(GREENBACK_TSAN)
    // The current TSan fiber is asked each time: the resumer may itself be a fiber, and another one every time.
    s.tsan_resumer = __tsan_get_current_fiber();
    if (!s.tsan_fiber)
        name(s, portal_name);
    __tsan_switch_to_fiber(s.tsan_fiber, 0);
#endif
    return fake_stack;
}
GREENBACK_SWITCH_PATH inline void after_switch_in([[maybe_unused]] void* fake_stack) noexcept {
#if defined(GREENBACK_ASAN)
    __sanitizer_finish_switch_fiber(fake_stack, nullptr, nullptr);
#endif
}

/// On the fiber.
GREENBACK_SWITCH_PATH inline void before_switch_out([[maybe_unused]] fiber_state& s) noexcept {
#if defined(GREENBACK_ASAN)
    __sanitizer_start_switch_fiber(&s.asan_fake_stack, s.resumer_bottom, s.resumer_size);
#endif
#if defined(GREENBACK_TSAN)
    __tsan_switch_to_fiber(s.tsan_resumer, 0);
#endif
}
GREENBACK_SWITCH_PATH inline void after_switch_out([[maybe_unused]] fiber_state& s) noexcept {
#if defined(GREENBACK_ASAN)
    __sanitizer_finish_switch_fiber(s.asan_fake_stack, &s.resumer_bottom, &s.resumer_size);
#endif
}

/// On the resumer's stack, where the fiber has it run something and goes on. The resumer itself notices nothing: what it
/// was given by `before_switch_in` is for when the fiber comes out. So what runs there gets a fake stack of its own.
inline void on_visit_to_resumer() noexcept {
#if defined(GREENBACK_ASAN)
    __sanitizer_finish_switch_fiber(nullptr, nullptr, nullptr);
#endif
}
inline void on_return_from_resumer([[maybe_unused]] fiber_state& s, [[maybe_unused]] void const* bottom,
                                   [[maybe_unused]] std::size_t size) noexcept {
#if defined(GREENBACK_ASAN)
    __sanitizer_start_switch_fiber(nullptr, bottom, size); // null: the fake stack is freed
#endif
#if defined(GREENBACK_TSAN)
    __tsan_switch_to_fiber(s.tsan_fiber, 0);
#endif
}

/// On the fiber, the first time that it is in.
inline void after_first_switch_in([[maybe_unused]] fiber_state& s) noexcept {
#if defined(GREENBACK_ASAN)
    __sanitizer_finish_switch_fiber(nullptr, &s.resumer_bottom, &s.resumer_size);
#endif
}

/// Must a fiber that has ever run be let go out for the last time, before its stack may be used for something else?
/// For AddressSanitizer, to have its fake stack freed.
#if defined(GREENBACK_ASAN)
inline constexpr bool ends_fibers = true;
#else
inline constexpr bool ends_fibers = false;
#endif
inline bool must_go_out_for_good(fiber_state const& s) noexcept {
    return ends_fibers && (s.asan_fake_stack || s.resumer_bottom);
}
/// On the fiber, which does so.
inline void before_last_switch_out([[maybe_unused]] fiber_state& s) noexcept {
#if defined(GREENBACK_ASAN)
    __sanitizer_start_switch_fiber(nullptr, s.resumer_bottom, s.resumer_size); // null: to be freed
#endif
#if defined(GREENBACK_TSAN)
    __tsan_switch_to_fiber(s.tsan_resumer, 0);
#endif
}
/// The fiber is out for good.
inline void forget([[maybe_unused]] fiber_state& s) noexcept {
#if defined(GREENBACK_TSAN)
    if (s.tsan_fiber)
        __tsan_destroy_fiber(s.tsan_fiber);
    s.tsan_fiber = nullptr;
#endif
}

/// Where the stack of the caller has room for what is at `address`. AddressSanitizer may put a local variable somewhere
/// else, to find out whether it is used after the function's return; clang does so unless it is told not to.
inline void const* on_stack([[maybe_unused]] void const* address) noexcept {
#if defined(GREENBACK_ASAN)
    void* begin;
    void* end;
    if (void* const real =
            __asan_addr_is_in_fake_stack(__asan_get_current_fake_stack(), const_cast<void*>(address), &begin, &end))
        return real;
#endif
    return address;
}

/// Lets memory be used again, whatever is marked there.
inline void unpoison([[maybe_unused]] void* begin, [[maybe_unused]] std::size_t bytes) noexcept {
#if defined(GREENBACK_ASAN)
    // Mostly there is nothing to do, and asking is cheaper: it commits no shadow memory.
    if (__asan_region_is_poisoned(begin, bytes))
        __asan_unpoison_memory_region(begin, bytes);
#endif
}

} // namespace greenback::detail::sanitizer
