// SPDX-License-Identifier: MIT
// The time after which the operations of a stream end: one timer for all of them.
#pragma once

#include <greenback/detail/asio/backend.hpp>
#include <greenback/detail/config.hpp>

#include <chrono>
#include <memory>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/steady_timer.hpp>
#else
#include <asio/steady_timer.hpp>
#endif

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// Emits a cancellation signal when the time has come while an operation is under way.
///
/// The timer is not set anew for each operation, nor when the time is put off, as it is for each operation of most
/// programs: when it goes off too early it is set again. So an operation costs a comparison or two.
///
/// Used by one task at a time. The timer's handler runs on the executor of that task, so it is never at the same time as
/// the task itself if that executor runs one thing at a time.
class stream_deadline : public std::enable_shared_from_this<stream_deadline> {
public:
    using clock = std::chrono::steady_clock;

    /// @param executor the task's
    explicit stream_deadline(asio::any_io_executor const& executor) : timer_(executor) {}
    stream_deadline(stream_deadline const&) = delete;

    asio::any_io_executor executor() { return timer_.get_executor(); }
    asio::cancellation_slot slot() noexcept { return signal_.slot(); }
    /// Whether it has ended an operation since that began.
    bool has_passed() const noexcept { return passed_; }

    /// An operation that is to end at `time` begins.
    void begin(clock::time_point time) {
        expiry_ = time;
        passed_ = false;
        under_way_ = true;
        if (!is_set_ || time < timer_.expiry())
            set();
    }
    void end() noexcept {
        under_way_ = false;
        signal_.slot().clear();
    }
    /// What is to reach the operation besides.
    void emit(asio::cancellation_type type) {
        if (under_way_)
            signal_.emit(type);
    }

    /// The time is no more: nothing waits for it.
    void stop() {
        is_set_ = false;
        timer_.cancel();
    }

private:
    void set() {
        timer_.expires_at(expiry_); // whose handler was waiting is told `operation_aborted`
        timer_.async_wait([weak = weak_from_this()](error_code const& error) {
            if (error)
                return;
            if (auto const self = weak.lock())
                self->go_off();
        });
        is_set_ = true;
    }

    void go_off() {
        // Set anew after this was on its way already?
        if (!is_set_ || timer_.expiry() > clock::now())
            return;
        is_set_ = false;
        if (!under_way_)
            return; // the next operation will see what time it is
        if (expiry_ > clock::now())
            return set();
        passed_ = true;
        signal_.emit(asio::cancellation_type::terminal); // what every operation understands
    }

    asio::steady_timer timer_;
    asio::cancellation_signal signal_;
    clock::time_point expiry_;
    bool is_set_ = false;    ///< does a handler wait for the timer? Written by `set`, `go_off`, `stop`
    bool under_way_ = false; ///< an operation is. Written by `begin` and `end`
    bool passed_ = false;    ///< written by `begin` and `go_off`
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
