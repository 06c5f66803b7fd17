// SPDX-License-Identifier: MIT
// A deadline for operations that come one after the other: one timer for all of them, and a cancellation signal.
#pragma once

#include <greenback/detail/asio/backend.hpp>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/steady_timer.hpp>
#else
#include <asio/steady_timer.hpp>
#endif

#include <chrono>
#include <memory>
#include <mutex>
#include <type_traits>
#include <utility>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// What the stream, the operation and the timer's handler share. Each has a reference of its own, so none of them minds
/// who goes first. The task's cancellation only looks whether it is there still: what is left in a slot goes with the
/// signal, which may outlive the event loop, and the timer may not.
///
/// The operation and the timer's handler run on the task's executor, which keeps them apart if it is a strand or has
/// one thread. Where it is neither (a plain `thread_pool`), and where the stream is destroyed on another thread, the
/// lock does: no signal is emitted while an operation is being started, or after it has ended. It may be locked again
/// by its owner: a stream that completes an operation where it is started, or cancelled, enters the fiber there.
class deadline_state : public std::enable_shared_from_this<deadline_state> {
public:
    using clock = std::chrono::steady_clock;
    static constexpr clock::time_point never = clock::time_point::max();
    using lock = std::unique_lock<std::recursive_mutex>;

    explicit deadline_state(asio::any_io_executor const& task) : timer_(task) {}

    asio::any_io_executor task() { return timer_.get_executor(); }

    /// An operation of the task begins. @returns the lock to be held until it is started
    lock begin(clock::time_point when, asio::cancellation_slot task_slot) {
        lock held(mutex_);
        if (task_slot.is_connected())
            task_slot.assign(cancellation{weak_from_this()}); // the operation gets ours instead
        when_ = when;
        if (when < waits_until_)
            wait();
        timed_out_ = cancelled_ = false;
        running_ = true;
        return held;
    }
    asio::cancellation_slot slot() noexcept { return signal_.slot(); }

    /// It has ended, or was dropped. @returns whether the deadline has cancelled it, and nobody else
    bool end() noexcept {
        lock const held(mutex_);
        running_ = false;
        if (!emitting_) // what the operation left there refers to the stream, which may be closed next
            signal_.slot().clear();
        return timed_out_ && !cancelled_;
    }

    /// There is no deadline any more: nothing of this keeps the event loop waiting.
    void stop() noexcept {
        lock const held(mutex_);
        ++waits_;
        if (std::exchange(waits_until_, never) != never)
            timer_.cancel();
    }

private:
    struct cancellation {
        std::weak_ptr<deadline_state> state;
        void operator()(asio::cancellation_type type) const {
            if (auto const self = state.lock())
                self->cancel(type);
        }
    };

    /// The timer may be waiting for an earlier deadline that has been put off: then it waits again when it is over. So
    /// putting it off costs nothing, and most deadlines are.
    void wait() {
        timer_.expires_at(when_); // ends the wait for a later one
        timer_.async_wait([self = shared_from_this(), wait_number = ++waits_](error_code const&) {
            self->wait_is_over(wait_number);
        });
        waits_until_ = when_;
    }
    void wait_is_over(unsigned wait_number) {
        lock const held(mutex_);
        if (wait_number != waits_)
            return;
        waits_until_ = never;
        if (!running_)
            return; // the next operation waits again if it has to
        if (clock::now() < when_)
            return wait();
        timed_out_ = true;
        if (!cancelled_)
            emit(asio::cancellation_type::terminal); // the one type that whatever can be cancelled knows
    }
    void cancel(asio::cancellation_type type) {
        lock const held(mutex_);
        if (!running_)
            return;
        cancelled_ = true;
        emit(type);
    }
    void emit(asio::cancellation_type type) {
        emitting_ = true;
        signal_.emit(type);
        emitting_ = false;
    }

    std::recursive_mutex mutex_;
    asio::steady_timer timer_;
    asio::cancellation_signal signal_;
    clock::time_point when_ = never;        ///< of the operation that runs
    clock::time_point waits_until_ = never; ///< what the timer is set to; never: it is not
    unsigned waits_ = 0;                    ///< tells the handler of the last wait from those before
    bool running_ = false;
    bool timed_out_ = false; ///< the operation that runs, or ran last
    bool cancelled_ = false; ///< it was, by the task's cancellation
    bool emitting_ = false;
};

/// The deadline of a stream, which starts operations under it. Until one has been set, and used, it is two null words.
class deadline {
public:
    using clock = deadline_state::clock;
    static constexpr clock::time_point never = deadline_state::never;

    deadline() = default;
    deadline(deadline&& other) noexcept : when_(std::exchange(other.when_, never)), state_(std::move(other.state_)) {}
    deadline& operator=(deadline&& other) noexcept {
        if (this != &other) {
            forget();
            when_ = std::exchange(other.when_, never);
            state_ = std::move(other.state_);
        }
        return *this;
    }
    ~deadline() { forget(); }

    bool is_set() const noexcept { return when_ != never; }
    bool is_over() const noexcept { return is_set() && clock::now() >= when_; }

    void set(clock::time_point when) noexcept {
        when_ = when;
        if (when == never && state_)
            state_->stop();
    }
    template <class Rep, class Period> void set_after(std::chrono::duration<Rep, Period> d) noexcept {
        using wide = std::chrono::duration<double>;
        auto const now = clock::now();
        if (!(wide(d) < wide(never - now))) // hours::max() doesn't fit; nor is a double always a number
            set(never);
        else if (wide(d) <= wide(0))
            set(now);
        else
            set(now + std::chrono::ceil<clock::duration>(d));
    }

    /// What an operation runs with; keeps it past the stream's end.
    std::shared_ptr<deadline_state> for_operation(asio::any_io_executor const& task) {
        if (!state_ || state_->task() != task) { // or the stream has come to another task
            auto fresh = std::make_shared<deadline_state>(task);
            if (state_)
                state_->stop();
            state_ = std::move(fresh);
        }
        return state_;
    }
    clock::time_point when() const noexcept { return when_; }

    /// Ends the operation, however it is left.
    class guard {
    public:
        explicit guard(deadline& d) noexcept : deadline_(d) {}
        guard(guard&&) = delete;
        ~guard() {
            if (!ended_)
                end();
        }
        bool end() noexcept {
            ended_ = true;
            return deadline_.state_ && deadline_.state_->end();
        }

    private:
        deadline& deadline_;
        bool ended_ = false;
    };

private:
    void forget() noexcept {
        if (state_)
            state_->stop();
        state_.reset();
    }

    clock::time_point when_ = never;
    std::shared_ptr<deadline_state> state_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
