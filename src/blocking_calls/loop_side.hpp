// SPDX-License-Identifier: MIT
// What a waiting room has registered with Asio: its epolls and its timer.
#pragma once

#include "waiting_room.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <utility>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/asio/posix/basic_stream_descriptor.hpp>
#else
#include <asio/basic_waitable_timer.hpp>
#include <asio/posix/basic_stream_descriptor.hpp>
#endif

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {

/// An executor for handlers that may run on whatever thread runs the context, in the place where they are called: what
/// they do to a task goes through the task's own executor. So the room belongs to the context, and depends on none of
/// the executors that the first task, say, had.
struct anywhere_in_context {
    asio::execution_context* context;

    asio::execution_context& query(asio::execution::context_t) const noexcept { return *context; }
    /// Newer Asios ask for it, for operations that are over when they begin. None of the room's is: see `wait_for`.
    anywhere_in_context require(asio::execution::blocking_t::never_t) const noexcept { return *this; }
    template <class F> void execute(F&& f) const { std::forward<F>(f)(); }
    bool operator==(anywhere_in_context const&) const noexcept = default;
};

/// One epoll, with the descriptors whose number has a certain remainder.
struct epoll_slot {
    explicit epoll_slot(anywhere_in_context const& executor) : registered(executor) {}

    int epoll() const noexcept { return number; }

    asio::posix::basic_stream_descriptor<anywhere_in_context> registered; ///< the epoll, once there is one
    int number = -1;                                                      ///< its descriptor; -1: not made yet
    bool is_waited_for = false;                                           ///< by Asio
    std::size_t waits = 0;                                                ///< of descriptors in it
    intrusive_list<descriptor_waiters> armed{};                           ///< may report an event
    unsigned not_asked = 0; ///< how often the epoll was not asked what it has to report
};

struct descriptor_waiters {
    explicit descriptor_waiters(int n) noexcept : number(n) {}

    int const number;
    bool is_known = false; ///< to the epoll, when last looked
    bool is_armed = false; ///< is in the slot's list
    intrusive_list<descriptor_wait> waits{};
    /// What the socket options said when `timeouts_asked` was the state of all such options.
    std::array<std::chrono::nanoseconds, 2> timeouts{};
    std::array<std::uint64_t, 2> timeouts_asked{};
    descriptor_waiters* next = nullptr; ///< these two are the list's
    descriptor_waiters* previous = nullptr;
};

class loop_side {
public:
    /// More epolls than one, so that the few descriptors of a small program have one each: when it becomes readable, it is
    /// known which descriptor is the cause, without asking.
    static constexpr std::size_t slot_count = 16;

    loop_side(waiting_room& room, asio::execution_context& context) noexcept(false);
    loop_side(loop_side const&) = delete;

    epoll_slot& slot_of(int descriptor) noexcept { return slots_[static_cast<unsigned>(descriptor) % slot_count]; }
    epoll_slot& slot(std::size_t i) noexcept { return slots_[i]; }
    /// @returns 0 or an error number
    int open(epoll_slot& s) noexcept;
    /// Unless it is waited for already. @throws std::bad_alloc · system_error
    void wait_for(epoll_slot& s);
    void no_wait_left(epoll_slot& s) noexcept;
    void set_timer(std::optional<clock::time_point> first);
    void make_anew_in_child();

private:
    void has_event(std::size_t slot, error_code ec);
    void time_has_come(error_code ec);

    waiting_room& room_;
    std::array<epoll_slot, slot_count> slots_;
    asio::basic_waitable_timer<clock, asio::wait_traits<clock>, anywhere_in_context> timer_;
    std::optional<clock::time_point> timer_at_; ///< what the timer is waited for; none: it is not
};

} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
