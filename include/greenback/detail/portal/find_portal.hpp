// SPDX-License-Identifier: MIT
// Which portal? Four answers:
//
//   asks                    where there is none             also looks for              for
//   find_portal()           null                            code run inline by others   every await, has_portal
//   require_portal(where)   throws                          the backend, and as above   what needs no executor type
//   explain_no_portal(…)    throws, saying why              everything there is         the two above, when they fail
//   raw_current_portal()    null                            nothing: no thread-local    signal handlers, and code that
//                           (thread_state.hpp)              but its own is touched      is known to be on its fiber
//
// A portal that is found may not have been prepared, or be one that is being abandoned: its `kind` tells, in the one
// comparison with which `await_` asks whether the executor is the right one, and whether a `no_await_scope` is alive. Whether the portal is the one that runs a
// certain *frame* is another question: `portal_core::find_runner`.
#pragma once

#include <greenback/detail/asio/inline_code.hpp>
#include <greenback/detail/config.hpp>
#include <greenback/detail/portal/any_portal.hpp>

#include <source_location>
#include <typeinfo>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// The portal whose synchronous code calls this; null if there is none, or the code is run inline by others. Opaque to
/// the compiler for the reason that `this_thread` is; all thread-locals an await needs are read here, by one call.
GREENBACK_READS_THREAD_LOCAL inline portal_base* find_portal() noexcept {
    asm volatile("" : : : "memory");
    portal_base* const p = state_of_this_thread.current;
    if (!p || runs_inline(p->own_fiber())) [[unlikely]]
        return nullptr;
    return p;
}

/// Why `find_portal` has no portal for this backend. Returns if it has: a portal may not have been prepared.
/// @throws abandoned · no_portal · await_forbidden
GREENBACK_COLD inline portal_base* explain_no_portal(std::source_location where) {
    portal_base* const p = raw_current_portal();
    if (p)
        p->ensure_prepared();
    if (p && p->abandoned())
        throw_abandoned();
    if (!p || p->kind_when_allowed().backend != GREENBACK_BACKEND)
        throw_no_portal(where, in_event_loop() ? no_portal_because::not_in_portal : no_portal_because::not_in_loop);
    if (!find_portal())
        throw_no_portal(where, no_portal_because::runs_inline);
    if (forbidden_kind const* const by = p->forbidden_by())
        throw_await_forbidden(where, by->reason, by->where);
    return p;
}

/// The same for an awaitable with this executor type. @throws, also, executor_mismatch; `x` is then destroyed unrun
template <class T, class Executor>
GREENBACK_COLD portal_base* explain_no_portal(asio::awaitable<T, Executor>& x, std::source_location where) {
    asio::awaitable<T, Executor> taken(std::move(x)); // destroyed by what is thrown
    portal_base* const p = explain_no_portal(where);
    if (!same_type(p->executor_type(), typeid(Executor)))
        throw_executor_mismatch(where, typeid(Executor), p->executor_type());
    x = std::move(taken); // the same type after all, seen from another shared object
    return p;
}

/// The portal in force for the caller. @throws no_portal, saying why there is none · await_forbidden · abandoned
GREENBACK_SWITCH_PATH inline any_portal& require_portal(std::source_location where) {
    portal_base* p = find_portal();
    if (!p || p->backend() != GREENBACK_BACKEND) [[unlikely]]
        p = explain_no_portal(where);
    return static_cast<any_portal&>(*p);
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
