// SPDX-License-Identifier: MIT
//
// Before Asio 1.24 an operation with use_awaitable is initiated in an await_suspend that is noexcept: an initiation that
// fails ends the program, in any coroutine. So it can't be asked of greenback to survive that, and these initiations,
// none but these, are spared. `co_spawn` has one in it as well.
//
// To be included before whatever initiates.
#pragma once

#include "failing_allocations/allocations.hpp"

#include <greenback/greenback.hpp>

#if GREENBACK_INITIATES_WHILE_SUSPENDING

/// More specialised than Asio's own, and for the rest the same.
template <class R, class... Args>
class GREENBACK_ASIO_ROOT::async_result<GREENBACK_ASIO_ROOT::use_awaitable_t<GREENBACK_ASIO_ROOT::any_io_executor>,
                                        R(Args...)> {
    using executor = GREENBACK_ASIO_ROOT::any_io_executor;

public:
    using handler_type = GREENBACK_ASIO_ROOT::detail::awaitable_handler<executor, std::decay_t<Args>...>;
    using return_type = typename handler_type::awaitable_type;

    template <class Initiation, class... InitArgs>
    static handler_type* do_init(GREENBACK_ASIO_ROOT::detail::awaitable_frame_base<executor>* frame,
                                 Initiation& initiation, InitArgs&... args) {
        failing::reprieve const here;
        handler_type handler(frame->detach_thread());
        std::move(initiation)(std::move(handler), std::move(args)...);
        return nullptr;
    }

    template <class Initiation, class... InitArgs>
    static return_type initiate(Initiation initiation, GREENBACK_ASIO_ROOT::use_awaitable_t<executor>,
                                InitArgs... args) {
        co_await [&](auto* frame) { return do_init(frame, initiation, args...); };
        for (;;) { // never reached
        }
    }
};

#endif
