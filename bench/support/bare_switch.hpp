// SPDX-License-Identifier: MIT
// What the returns cost that a processor mispredicts where stacks are switched, whoever switches: a switch and nothing
// else, entered from within one call and left from within some. The processor predicts returns from the calls it has
// seen; those of the other stack are among them. It is the least that a wait a few calls deep can take.
#pragma once

#include <greenback/detail/platform/jump.hpp>

#include <boost/context/detail/fcontext.hpp>

#include <vector>

namespace bench {

/// Goes to where the other stack was left, and notes where it has been left when somebody comes back.
[[gnu::always_inline]] inline void switch_to(greenback::detail::context& other) {
    other = greenback::detail::jump(other, nullptr).from;
}

/// As an event loop that calls a handler, which switches.
[[gnu::noinline]] inline void switch_within_a_call(greenback::detail::context& other) {
    switch_to(other);
    asm volatile("" ::: "memory"); // no tail call
}

[[gnu::noinline]] inline void switch_at_depth(greenback::detail::context& other, int depth) {
    if (depth > 1)
        switch_at_depth(other, depth - 1);
    else
        switch_to(other);
    asm volatile("" ::: "memory");
}

template <int Depth> void switch_at_depth_forever(boost::context::detail::transfer_t from) {
    auto& other = *static_cast<greenback::detail::context*>(from.data);
    other = from.fctx;
    for (;;)
        switch_at_depth(other, Depth);
}

template <int Depth, class Loop> void switch_with_calls(Loop& loop) {
    // Outlives the function on it, which is left for good and has nothing to destroy.
    std::vector<char> stack(64 * 1024);
    greenback::detail::context other = boost::context::detail::make_fcontext(stack.data() + stack.size(), stack.size(),
                                                                             &switch_at_depth_forever<Depth>);
    other = greenback::detail::jump(other, &other).from;
    for ([[maybe_unused]] auto _ : loop)
        switch_within_a_call(other);
}

template <class Loop> void switch_with_calls_three_deep(Loop& loop) { switch_with_calls<3>(loop); }
template <class Loop> void switch_with_calls_ten_deep(Loop& loop) { switch_with_calls<10>(loop); }

} // namespace bench
