// SPDX-License-Identifier: MIT
#include "loop_side.hpp"

#include "error_number.hpp"

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {
namespace {

template <std::size_t... I>
std::array<epoll_slot, sizeof...(I)> make_slots(anywhere_in_context const& executor, std::index_sequence<I...>) {
    return {(static_cast<void>(I), epoll_slot(executor))...};
}

} // namespace

// The I/O objects are all made at once, though without descriptors: the services behind them are older than the room's
// then, and outlive it.
loop_side::loop_side(waiting_room& room, asio::execution_context& context)
    : room_(room), slots_(make_slots({&context}, std::make_index_sequence<slot_count>())), timer_({&context}) {}

int loop_side::open(epoll_slot& s) noexcept {
    int const made = ::epoll_create1(EPOLL_CLOEXEC);
    if (made < 0)
        return error_number();
    error_code ec;
    try {
        s.registered.assign(made, ec); // NOLINT(bugprone-unused-return-value): it is in `ec`
    } catch (...) {                    // no memory for what Asio notes of a descriptor
        ec = asio::error::no_memory;
    }
    if (ec) {
        ::close(made);
        return ec.value();
    }
    s.number = made;
    return 0;
}

void loop_side::wait_for(epoll_slot& s) {
    if (s.is_waited_for)
        return;
    if (s.number < 0) // nothing to wait for; to ask Asio would have the handler called here, with the lock held
        throw system_error(error_code(asio::error::bad_descriptor));
    std::size_t const number = static_cast<std::size_t>(&s - slots_.data());
    s.registered.async_wait(s.registered.wait_read, [this, number](error_code ec) { has_event(number, ec); });
    s.is_waited_for = true;
}

/// Or the loop would not end for lack of work.
void loop_side::no_wait_left(epoll_slot& s) noexcept {
    error_code ignored;
    if (s.is_waited_for)
        s.registered.cancel(ignored); // NOLINT(bugprone-unused-return-value)
}

void loop_side::has_event(std::size_t number, error_code ec) {
    waits_over over;
    {
        std::scoped_lock const lock(room_.mutex_);
        if (room_.loop_.get() != this)
            return; // closed meanwhile
        epoll_slot& s = slots_[number];
        s.is_waited_for = false;
        if (!ec)
            room_.collect(number, over);
        else if (ec != asio::error::operation_aborted) // the epoll is gone, by whatever has closed it
            room_.end_all(number, ec.value(), over);
        room_.wait_on(number, over); // also for those that came when Asio's wait had just been aborted for lack of any
    }
    waiting_room::resume(over);
}

/// The timer is not put off when the first deadline goes: it is then too early, once, and sets itself anew. But where
/// none is left, it must not keep the loop from ending.
void loop_side::set_timer(std::optional<clock::time_point> first) {
    if (!first) {
        if (std::exchange(timer_at_, std::nullopt))
            timer_.cancel();
        return;
    }
    if (timer_at_ && *timer_at_ <= *first)
        return;
    timer_at_.reset();
    timer_.expires_at(*first); // which aborts the wait that there may be
    timer_.async_wait([this](error_code ec) { time_has_come(ec); });
    timer_at_ = first;
}

void loop_side::time_has_come(error_code ec) {
    if (ec)
        return; // set anew, or for nobody
    waits_over over;
    {
        std::scoped_lock const lock(room_.mutex_);
        if (room_.loop_.get() != this)
            return;
        timer_at_.reset(); // if it has been set anew all the same, too late to abort this: then it is set once more
        room_.collect_passed(over);
    }
    waiting_room::resume(over);
}

void loop_side::make_anew_in_child() {
    for (epoll_slot& s : slots_) {
        if (s.number < 0)
            continue;
        error_code ignored;
        // The parent has it too. What waits for it is aborted, and then waits for the new one.
        s.registered.close(ignored); // NOLINT(bugprone-unused-return-value)
        s.number = -1;
        while (descriptor_waiters* const d = s.armed.first()) {
            d->is_armed = false;
            s.armed.remove(*d);
        }
    }
}

} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
