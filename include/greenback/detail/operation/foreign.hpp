// SPDX-License-Identifier: MIT
// Awaiting what is not Asio's: any C++20 awaiter, completed by anybody on any thread.
#pragma once

#include <greenback/detail/operation/bridge.hpp>

#include <coroutine>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

template <class X>
concept awaiter = requires(X& x, std::coroutine_handle<> h) {
    x.await_ready() ? true : false;
    x.await_suspend(h);
    x.await_resume();
};

template <class X>
concept has_member_co_await = requires(X&& x) { std::forward<X>(x).operator co_await(); };
template <class X>
concept has_free_co_await = requires(X&& x) { operator co_await(std::forward<X>(x)); };

template <class X>
concept foreign_awaitable = has_member_co_await<X> || has_free_co_await<X> || awaiter<std::remove_reference_t<X>>;

template <foreign_awaitable X> decltype(auto) get_awaiter(X&& x) {
    if constexpr (has_member_co_await<X>)
        return std::forward<X>(x).operator co_await();
    else if constexpr (has_free_co_await<X>)
        return operator co_await(std::forward<X>(x));
    else
        return std::forward<X>(x);
}

/// One await of a foreign awaiter, on the fiber's stack.
template <class Awaiter> class foreign_operation : operation_result<> {
public:
    explicit foreign_operation(Awaiter& awaiter) : awaiter_(awaiter) {}

    void run(any_portal& portal) {
        asio::any_io_executor executor = portal.executor();
        asio::execution_context& context = asio::query(executor, asio::execution::context);
        list_ = asio::use_service<pending_bridges_service>(context).list();
        executor_ = std::move(executor);
        portal.check_abandoned(); // await_ready may have awaited
        portal.suspend_for_operation({&start, static_cast<operation_result<>*>(this)});
        if (not_started_)
            std::rethrow_exception(std::exchange(not_started_, nullptr));
    }

private:
    /// On the resumer's stack, the fiber being out: see `after_suspend`.
    static bool start(portal_base& portal, void* self) {
        auto& op = static_cast<foreign_operation&>(*static_cast<operation_result<>*>(self));
        foreign_handler handler(static_cast<any_portal&>(portal));
        bridge::handle b;
        try {
            b = make_bridge(op.list_, op.executor_, handler);
        } catch (...) {
            return handler.release(), op.not_started_ = std::current_exception(), true;
        }
        try {
            using answer = decltype(op.awaiter_.await_suspend(std::coroutine_handle<>(b)));
            if constexpr (std::is_void_v<answer>) {
                op.awaiter_.await_suspend(std::coroutine_handle<>(b));
                return false;
            } else if constexpr (std::is_same_v<answer, bool>) {
                if (op.awaiter_.await_suspend(std::coroutine_handle<>(b)))
                    return false;
            } else {
                std::coroutine_handle<> const next = op.awaiter_.await_suspend(std::coroutine_handle<>(b));
                resume_transferred(next);
                return false;
            }
        } catch (...) {
            op.not_started_ = std::current_exception();
        }
        // Not suspended after all, or thrown: then nobody has the handle, and it is ours to destroy.
        if (std::optional<foreign_handler> unused = b.promise().bridge_.take())
            unused->release();
        b.destroy();
        return true;
    }

    /// Outside of the try block's reach: what another coroutine throws when it is resumed is not await_suspend's error.
    static void resume_transferred(std::coroutine_handle<> next) noexcept { next.resume(); }

    Awaiter& awaiter_;
    asio::any_io_executor executor_;
    std::shared_ptr<pending_bridges> list_;
    std::exception_ptr not_started_;
};

/// What a result becomes that is returned out of the scope of the awaiter it came from. `co_await` would keep the awaiter to
/// the end of the full expression; here an rvalue reference, which is into the awaiter more often than not, becomes a
/// value. Of an lvalue reference nobody knows.
template <class Result>
using outliving =
    std::conditional_t<std::is_rvalue_reference_v<Result> && !std::is_array_v<std::remove_reference_t<Result>> &&
                           std::is_constructible_v<std::remove_cvref_t<Result>, Result>,
                       std::remove_cvref_t<Result>, Result>;

template <class X> decltype(auto) await_foreign(X&& x, std::source_location where) {
    any_portal& portal = require_portal(where);
    portal.site = where;
    portal.check_cancelled();
    auto&& a = get_awaiter(std::forward<X>(x));
    if (!a.await_ready()) {
        foreign_operation<std::remove_reference_t<decltype(a)>> op(a);
        op.run(portal);
    }
    if constexpr (std::is_reference_v<decltype(get_awaiter(std::forward<X>(x)))>)
        return a.await_resume(); // the caller has it
    else
        return static_cast<outliving<decltype(a.await_resume())>>(a.await_resume());
}

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
