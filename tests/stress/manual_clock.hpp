// SPDX-License-Identifier: MIT
//
// Time that passes when nothing else is left to do, and what waits for it. No system call: the same from run to run.
#pragma once

#include "support/asio.hpp"

#include <algorithm>
#include <coroutine>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace stress {

/// Awaiters that are not Asio's keep what they have to resume here, which outlives the event loop: what is resumed after
/// its task is gone must do nothing.
class late_resumptions {
public:
    late_resumptions() = default;
    late_resumptions(late_resumptions const&) = delete;
    ~late_resumptions() {
        for (std::coroutine_handle<> const h : handles_)
            h.resume();
    }
    void add(std::coroutine_handle<> h) { handles_.push_back(h); }

private:
    std::vector<std::coroutine_handle<>> handles_;
};

/// A service of the event loop, as Asio's own timers are: what still waits when the loop goes, goes with it.
class manual_clock : public asio::execution_context::service {
public:
    inline static asio::execution_context::id id;

    explicit manual_clock(asio::execution_context& context) : service(context) {}

    /// Waits for `ticks`, as a timer does: can be cancelled.
    template <class Token> auto async_wait(asio::any_io_executor const& ex, unsigned ticks, Token&& token) {
        return asio::async_initiate<Token, void(test::error_code)>(start<false>{this, ex, now_ + ticks}, token);
    }

    /// Never completes: after `ticks` the handler is destroyed.
    template <class Token> auto async_lose(asio::any_io_executor const& ex, unsigned ticks, Token&& token) {
        return asio::async_initiate<Token, void(test::error_code)>(start<true>{this, ex, now_ + ticks}, token);
    }

    void resume_after(unsigned ticks, std::coroutine_handle<> h, late_resumptions& late) {
        add(std::make_unique<foreign_waiter>(now_ + ticks, h, late));
    }

    /// To the next moment that somebody waits for. @returns whether there is one
    bool advance() {
        if (waiters_.empty())
            return false;
        now_ = (*std::ranges::min_element(waiters_, {}, [](auto const& w) { return w->due; }))->due;
        std::vector<owner> later, due;
        for (owner& w : waiters_)
            (w->due > now_ ? later : due).push_back(std::move(w));
        waiters_ = std::move(later);
        for (owner const& w : due)
            w->complete(test::error_code());
        return true;
    }

private:
    struct waiter {
        explicit waiter(unsigned when) : due(when) {}
        waiter(waiter const&) = delete;
        virtual ~waiter() = default;
        virtual void complete(test::error_code ec) = 0;
        unsigned const due;
        std::uint64_t number = 0; // unlike an address, never another's
    };
    using owner = std::unique_ptr<waiter>;

    template <class Handler, bool Loses> struct handler_waiter final : waiter {
        handler_waiter(unsigned when, asio::any_io_executor executor, Handler h)
            : waiter(when), ex(std::move(executor)), handler(std::move(h)) {}

        void complete(test::error_code ec) override {
            if constexpr (!Loses) {
                auto const executor = asio::get_associated_executor(handler, ex);
                asio::post(executor, [h = std::move(handler), ec]() mutable { std::move(h)(ec); });
            }
        }

        asio::any_io_executor ex;
        Handler handler;
    };

    struct foreign_waiter final : waiter {
        foreign_waiter(unsigned when, std::coroutine_handle<> h, late_resumptions& l)
            : waiter(when), handle(h), late(l) {}
        ~foreign_waiter() override {
            if (handle)
                late.add(handle);
        }
        void complete(test::error_code) override { std::exchange(handle, nullptr).resume(); }
        std::coroutine_handle<> handle;
        late_resumptions& late;
    };

    template <bool Loses> struct start {
        manual_clock* clock;
        asio::any_io_executor ex;
        unsigned due;
        template <class Handler> void operator()(Handler handler) const {
            auto slot = asio::get_associated_cancellation_slot(handler);
            std::uint64_t const number =
                clock->add(std::make_unique<handler_waiter<Handler, Loses>>(due, ex, std::move(handler)));
            if (!Loses && slot.is_connected())
                slot.assign([c = clock, number](asio::cancellation_type) { c->cancel(number); });
        }
    };

    std::uint64_t add(owner w) {
        w->number = ++count_;
        waiters_.push_back(std::move(w));
        return count_;
    }

    void cancel(std::uint64_t number) {
        auto const found = std::ranges::find(waiters_, number, [](auto const& w) { return w->number; });
        if (found == waiters_.end())
            return;
        owner const w = std::move(*found);
        waiters_.erase(found);
        w->complete(asio::error::operation_aborted);
    }

    void shutdown() noexcept override {
        while (!waiters_.empty()) {
            owner const w = std::move(waiters_.back());
            waiters_.pop_back();
        }
    }

    unsigned now_ = 0;
    std::uint64_t count_ = 0;
    std::vector<owner> waiters_;
};

} // namespace stress
