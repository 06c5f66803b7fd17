// SPDX-License-Identifier: MIT
// A visit of a fiber to the stack of its resumer. The resumer is not told: what runs there runs on top of the frame in
// which it waits for the fiber, and is gone when that goes on. So no state of a portal or of a task is concerned.

#include <greenback/on_task_stack.hpp>

#include "fiber_entry.hpp"

#include <greenback/detail/fiber/portal_base.hpp>

#include <utility>

namespace greenback::detail {
namespace {

struct request {
    fiber& from;
    void (*run)(void*) noexcept;
    void* argument;
};

} // namespace
} // namespace greenback::detail

extern "C" {

/// Entered on top of the resumer's place, which it takes for the time being: a second request finds it there, so that a
/// thousand of them are not a thousand frames. Whoever comes without a request wants the resumer.
///
/// Of the resumer's frames nothing is touched; between two visits the fiber is in, for all that anybody can see.
#if defined(GREENBACK_ASAN)
__attribute__((no_sanitize("address"))) // its arrival and its leaving are not always told
#endif
__attribute__((used, noinline)) boost::context::detail::transfer_t
greenback_visit_resumer(boost::context::detail::transfer_t arrived) noexcept {
    namespace sanitizer = greenback::detail::sanitizer;
    auto& f = static_cast<greenback::detail::request*>(arrived.data)->from;
    f.visits_resumer = true;
    do {
        sanitizer::on_visit_to_resumer();
        auto const& r = *static_cast<greenback::detail::request*>(arrived.data);
        r.run(r.argument);
        sanitizer::on_return_from_resumer(f.sanitizers, f.stack_bottom(), f.stack.size);
        // Not `jump`: it is inlined, with what AddressSanitizer does about its locals when their scope ends, which is to
        // mark them in the shadow memory. Here nothing would ever take that back.
        arrived = boost::context::detail::jump_fcontext(arrived.fctx, nullptr);
    } while (arrived.data);
    f.visits_resumer = false;
    return arrived;
}

} // extern "C"

namespace greenback::detail {

void run_on_task_stack(void (*run)(void*) noexcept, void* argument) noexcept {
    thread_state& here = this_thread(); // to the end: nothing in between changes threads
    portal_base* const portal = std::exchange(here.current, nullptr);
    if (!portal)
        return run(argument);
    fiber& f = portal->own_fiber();
    exception_state const exceptions = std::exchange(*here.exceptions, exception_state(nullptr, 0));

    request r{f, run, argument};
    sanitizer::before_switch_out(f.sanitizers);
    arrival const back = f.visits_resumer ? jump(f.resumer(), &r) : jump_on_top(f.resumer(), &r, visit_entry);
    f.is_in_from(back.from);
    sanitizer::after_switch_out(f.sanitizers);

    *here.exceptions = exceptions;
    here.current = portal;
}

} // namespace greenback::detail
