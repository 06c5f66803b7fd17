// SPDX-License-Identifier: MIT
// 6. The completion token: start an operation, and return its result to synchronous code.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/detail/asio/other_asio.hpp>
#include <greenback/detail/operation/operation.hpp>

#include <type_traits>
#include <utility>

namespace greenback::inline GREENBACK_BACKEND_NAMESPACE {

/// The completion token that makes an initiating function return the operation's result, as a blocking function would:
/// `std::size_t n = socket.async_read_some(buffer, greenback::use_portal)`.
///
/// Composes with `as_tuple(use_portal)`, `redirect_error(use_portal, ec)`, `bind_executor`, `bind_cancellation_slot`.
///
/// @pre as for `await_`.
/// @returns, from the initiating function, `void`, the value or a tuple of the values that follow the operation's
///     `error_code` or `exception_ptr` (since Asio 1.33, whatever has `disposition_traits`).
/// @throws the operation's error (`error_code` as `system_error`) · what its initiation throws before it takes the
///     handler (what it throws after that does what it does in a plain task: see docs/pitfalls.md) · `no_portal` ·
///     `abandoned` if the task is destroyed meanwhile.
///
/// Cancellation: the operation gets the task's cancellation slot; a task already cancelled throws, starting nothing.
/// Thread safety: returns on a thread that runs the task's executor, or the one that `bind_executor` names; else as
///     `await_`.
/// Cost: two stack switches, the operation itself, and no coroutine frame: the cheapest way to await an operation. A
///     block of up to 256 bytes that it takes from its associated allocator lies at the top of the portal's stack, in a
///     page in use anyway, if the stack is the library's own.
/// Example: `asio::steady_timer(executor, 1s).async_wait(greenback::use_portal);`
struct use_portal_t {
    constexpr use_portal_t() noexcept = default;

    /// Not a handler. The Asio that greenback was not built for would take it for one, and say so at length.
    template <class... Args> void operator()(Args&&...) const {
        static_assert(detail::never<Args...>, "greenback::use_portal was taken for a handler. " GREENBACK_OTHER_ASIO);
    }

    /// An executor that makes `use_portal` the default token of the I/O objects on it.
    template <class InnerExecutor> struct executor_with_default : InnerExecutor {
        using default_completion_token_type = use_portal_t;

        executor_with_default(InnerExecutor const& ex) noexcept : InnerExecutor(ex) {}

        /// From another executor that `InnerExecutor` can be made of. Whether it is this very type is asked first:
        /// otherwise the answer would depend on itself.
        template <class Other>
            requires(!std::is_same_v<Other, executor_with_default> && !std::is_base_of_v<InnerExecutor, Other> &&
                     std::is_convertible_v<Other const&, InnerExecutor>)
        executor_with_default(Other const& ex) noexcept : InnerExecutor(ex) {}
    };

    /// `T`, an I/O object, with `use_portal` as its default token.
    template <class T>
    using as_default_on_t =
        typename T::template rebind_executor<executor_with_default<typename T::executor_type>>::other;

    /// The same for an object.
    template <class T> static as_default_on_t<std::decay_t<T>> as_default_on(T&& object) {
        return as_default_on_t<std::decay_t<T>>(std::forward<T>(object));
    }
};

inline constexpr use_portal_t use_portal{};

} // namespace greenback::inline GREENBACK_BACKEND_NAMESPACE

/// Asio's customisation point for completion tokens.
template <class R, class... Args> class GREENBACK_ASIO_ROOT::async_result<greenback::use_portal_t, R(Args...)> {
    using result = greenback::detail::operation_result<std::decay_t<Args>...>;

public:
    using return_type = typename result::type;

    template <class Initiation, class... InitArgs>
    GREENBACK_SWITCH_PATH static return_type initiate(Initiation&& initiation, greenback::use_portal_t,
                                                      InitArgs&&... args) {
        // The caller's place can't be had from a token. The name of this very function says what is waited for.
        std::source_location const where = std::source_location::current();
        greenback::detail::any_portal& portal = greenback::detail::require_portal(where);
        portal.site = where;
        using operation = greenback::detail::operation<greenback::detail::not_started::throws_at_call, result,
                                                       Initiation&&, InitArgs&&...>;
        return operation(std::forward<Initiation>(initiation), std::forward<InitArgs>(args)...).run(portal);
    }
};
