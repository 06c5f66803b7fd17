// SPDX-License-Identifier: MIT
// One read or write of a stream, as an operation whose result is its error and its size: neither is thrown.
#pragma once

#include <greenback/detail/asio/backend.hpp>
#include <greenback/detail/stream/deadline.hpp>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/associated_cancellation_slot.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/associator.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/buffer.hpp>
#else
#include <asio/associated_cancellation_slot.hpp>
#include <asio/associated_executor.hpp>
#include <asio/associator.hpp>
#include <asio/bind_cancellation_slot.hpp>
#include <asio/buffer.hpp>
#endif

#include <cstddef>
#include <memory>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

struct transferred {
    error_code error;
    std::size_t size;
};

/// Has the executor, the allocator and the cancellation slot of `Handler`.
template <class Handler> struct transfer_handler {
    Handler handler;
    void operator()(error_code const& ec, std::size_t size) { std::move(handler)(transferred{ec, size}); }
};

/// Something to ask a stream for its functions with.
struct any_transfer_handler {
    void operator()(error_code const&, std::size_t) const {}
};

template <class T>
concept async_read_stream = requires(T& s, asio::mutable_buffer b, any_transfer_handler h) {
    s.get_executor();
    s.async_read_some(b, h);
};
template <class T>
concept async_write_stream = requires(T& s, asio::const_buffer b, any_transfer_handler h) {
    s.get_executor();
    s.async_write_some(b, h);
};

/// Starts it: `start(handler)` calls the stream's function. Has the stream's executor, so that a task on the same one
/// is seen to be.
template <class Start, class Executor> class transfer {
public:
    using executor_type = Executor;

    transfer(Start& start, Executor const& executor, deadline* d) : start_(start), executor_(executor), deadline_(d) {}

    executor_type get_executor() const noexcept { return executor_; }

    template <class Handler> void operator()(Handler&& handler) const {
        using wrapped = transfer_handler<std::decay_t<Handler>>;
        if (!deadline_) [[likely]]
            return start_(wrapped{std::forward<Handler>(handler)});
        // Of this thread, not of the stream: as soon as it is started, the task may go on elsewhere.
        std::shared_ptr<deadline_state> const state =
            deadline_->for_operation(asio::get_associated_executor(handler, executor_));
        deadline_state::lock const held =
            state->begin(deadline_->when(), asio::get_associated_cancellation_slot(handler));
        start_(asio::bind_cancellation_slot(state->slot(), wrapped{std::forward<Handler>(handler)}));
    }

private:
    Start& start_;
    Executor executor_;
    deadline* deadline_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE

template <template <class, class> class Associator, class Handler, class Default>
struct GREENBACK_ASIO_ROOT::associator<Associator, greenback::detail::transfer_handler<Handler>, Default>
    : Associator<Handler, Default> {
    static decltype(auto) get(greenback::detail::transfer_handler<Handler> const& h) noexcept {
        return Associator<Handler, Default>::get(h.handler);
    }
    static decltype(auto) get(greenback::detail::transfer_handler<Handler> const& h, Default const& d) noexcept {
        return Associator<Handler, Default>::get(h.handler, d);
    }
};
