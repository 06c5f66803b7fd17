// SPDX-License-Identifier: MIT
// One asynchronous operation, started for a fiber and waited for by it: its handler and its initiation.
#pragma once

#include <greenback/detail/config.hpp>
#include <greenback/detail/operation/operation_allocator.hpp>
#include <greenback/detail/operation/result.hpp>
#include <greenback/detail/portal/find_portal.hpp>

#include <exception>
#include <new>
#include <tuple>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// The completion handler. From the initiation on, the portal holds the task for it: called, it continues the task;
/// destroyed uncalled, it lets the task be destroyed. Without an associated executor it completes on the operation's
/// own.
template <class Result> class operation_handler {
public:
    using cancellation_slot_type = asio::cancellation_slot;
    using allocator_type = operation_allocator<void>;

    /// @pre the portal's fiber has left the `Result` to be started with
    explicit operation_handler(any_portal& portal) noexcept
        : portal_(&portal), memory_(portal.own_fiber().for_operation) {}
    operation_handler(operation_handler&& other) noexcept
        : portal_(std::exchange(other.portal_, nullptr)), memory_(other.memory_) {}
    operation_handler& operator=(operation_handler&&) = delete;
    GREENBACK_SWITCH_PATH ~operation_handler() {
        if (portal_) [[unlikely]]
            portal_->drop_from_operation();
    }

    cancellation_slot_type get_cancellation_slot() const noexcept { return portal_->cancellation().slot(); }

    /// Asio asks for it even when it has moved from the handler, to free what it had allocated before something threw.
    allocator_type get_allocator() const noexcept { return allocator_type(memory_); }

    template <class... Args> GREENBACK_SWITCH_PATH void operator()(Args&&... args) {
        static_cast<Result*>(portal_->operation())->set(std::forward<Args>(args)...);
        std::exchange(portal_, nullptr)->resume_from_operation();
    }

    /// Whether the initiation has not moved this handler away.
    bool still_here() const noexcept { return portal_ != nullptr; }
    void release() noexcept { portal_ = nullptr; }

protected:
    any_portal* portal_; ///< null once called or moved from

private:
    operation_memory* memory_;
};

/// The same, completing on the task's executor.
template <class Result> class operation_handler_on_task : public operation_handler<Result> {
public:
    using executor_type = asio::any_io_executor;
    using operation_handler<Result>::operation_handler;
    executor_type get_executor() const noexcept { return this->portal_->executor(); }
};

/// Does the operation complete on the task's executor anyway? Then its handler needs none, which saves the operation
/// the work of tracking and dispatching through a second, type-erased one.
template <class Initiation>
GREENBACK_SWITCH_PATH inline bool completes_on_task(Initiation const& initiation, any_portal& portal) noexcept {
    return portal.runs_on(initiation.get_executor());
}

/// Where goes what an initiation throws before it has taken the handler?
enum class not_started {
    throws_at_call, ///< to who called the initiating function, as with a blocking one
    throws_as_asio, ///< since Asio 1.24 out of `run()`, the task being lost, as with a coroutine's operation
};

/// One operation, from its initiation to its result; lives on the fiber's stack, as does what the initiating function
/// was called with: it hasn't returned. `Initiation` and `Args` are references.
template <not_started NotStarted, class Result, class Initiation, class... Args> class operation : Result {
public:
    explicit operation(Initiation&& initiation, Args&&... args) noexcept
        : initiation_(std::forward<Initiation>(initiation)), args_(std::forward<Args>(args)...) {}

    GREENBACK_SWITCH_PATH typename Result::type run(any_portal& portal) {
        portal.check_cancelled();
        bool (*start)(portal_base&, void*) = &initiate<operation_handler_on_task<Result>>;
        if constexpr (requires { initiation_.get_executor(); }) { // without one, the handler's executor is all there is
            if (completes_on_task(initiation_, portal))
                start = &initiate<operation_handler<Result>>;
        }
        if (!portal.suspend_for_operation({start, static_cast<Result*>(this)})) [[unlikely]]
            rethrow_not_started();
        return this->get();
    }

    ~operation() {} // `not_started_` is taken by `rethrow_not_started`
    operation(operation const&) = delete;

private:
    /// Runs on the resumer's stack, the fiber being out. Once the initiation has the handler, the operation may be over
    /// at any moment and this object with it.
    /// @returns whether the fiber is to go on at once
    template <class Handler> static bool initiate(portal_base& portal, void* self) {
        auto& op = static_cast<operation&>(*static_cast<Result*>(self));
        Handler handler(static_cast<any_portal&>(portal));
        try {
            std::apply(
                [&](auto&... args) {
                    std::forward<Initiation>(op.initiation_)(std::move(handler), std::forward<Args>(args)...);
                },
                op.args_);
        } catch (...) {
            if constexpr (initiates_while_suspending) {
                if (!handler.still_here()) // started or lost, nobody can tell, nor whether there still is a portal
                    std::terminate();      // as Asio does with a coroutine's operation
            } else {
                if (NotStarted == not_started::throws_as_asio || !handler.still_here())
                    throw; // a handler that is still here ends the task by its destructor
            }
            handler.release();
            new (&op.not_started_) std::exception_ptr(std::current_exception());
            return true;
        }
        return false; // a handler that was neither kept nor called ends the task by its destructor
    }

    [[noreturn]] GREENBACK_COLD void rethrow_not_started() {
        std::exception_ptr const thrown = std::move(not_started_);
        not_started_.~exception_ptr();
        std::rethrow_exception(thrown);
    }

    Initiation&& initiation_;
    std::tuple<Args&&...> args_;
    union {
        /// What the initiation has thrown. Made by `initiate` where the fiber goes on without the operation, which is
        /// rare: so nothing is written for it otherwise.
        std::exception_ptr not_started_;
    };
};

/// The token with which `await_` starts an operation: it has the portal, which knows the place already. The meaning is
/// that of `co_await`, also where the initiation throws.
struct use_this_portal {
    any_portal& portal;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

template <class R, class... Args>
class GREENBACK_ASIO_ROOT::async_result<greenback::detail::use_this_portal, R(Args...)> {
    using result = greenback::detail::operation_result<std::decay_t<Args>...>;

public:
    using return_type = typename result::type;

    template <class Initiation, class... InitArgs>
    GREENBACK_SWITCH_PATH static return_type initiate(Initiation&& initiation, greenback::detail::use_this_portal token,
                                                      InitArgs&&... args) {
        token.portal.check_abandoned(); // what puts the operation together may have awaited
        using operation = greenback::detail::operation<greenback::detail::not_started::throws_as_asio, result,
                                                       Initiation&&, InitArgs&&...>;
        return operation(std::forward<Initiation>(initiation), std::forward<InitArgs>(args)...).run(token.portal);
    }
};
