// SPDX-License-Identifier: MIT
// Where the portals of an execution context wait for descriptors, for a time, or for a thread of ours.
#pragma once

#include "deadline.hpp"

#include <greenback/detail/intrusive_list.hpp>
#include <greenback/detail/operation/operation.hpp>

#include <poll.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <source_location>
#include <span>
#include <unordered_map>
#include <vector>

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {

class loop_side;
class wait;
struct descriptor_waiters;

/// For how long the socket option says that a call may wait.
struct socket_timeout {
    int option; ///< SO_RCVTIMEO or SO_SNDTIMEO
    bool is_known = false;
    deadline until{}; ///< counted from the first wait of the call
};

/// Somebody has set one of those options: what was asked before is to be asked again.
void socket_timeouts_have_changed() noexcept;

/// A wait, as the list of one descriptor has it.
struct descriptor_wait {
    wait* owner = nullptr;
    descriptor_waiters* at = nullptr; ///< null: in no list
    std::uint32_t events = 0;
    descriptor_wait* next = nullptr; ///< these two are the list's
    descriptor_wait* previous = nullptr;
};

/// Waits that are over, in the order in which that became so. Their fibers are out, and nobody else knows of them.
struct waits_over {
    wait* first = nullptr;
    wait* last = nullptr;
};

/// The waits of one execution context.
///
/// Descriptors are registered in epolls of its own, for one event at a time, and Asio waits for the epolls. So a descriptor
/// may be registered with Asio too, keeps its O_NONBLOCK as it is, and may be waited for by several portals. What an epoll
/// says is never the answer: the caller asks the descriptor again. So it does no harm that a descriptor may be closed, and
/// its number used again, at any moment, and nobody tells.
///
/// A descriptor stays registered. To arm it again takes one system call, which fails if the number now belongs to
/// something else: so that call is also what tells whether the things known of the descriptor are still true.
class waiting_room {
public:
    explicit waiting_room(asio::execution_context& context);
    waiting_room(waiting_room const&) = delete;
    ~waiting_room();

    static std::shared_ptr<waiting_room> of(asio::any_io_executor const& executor);

    /// @returns 0; ECANCELED if the context is going away; or what the system had to say, and then `w` has not entered
    int enter(wait& w, std::span<pollfd const> descriptors, socket_timeout* timeout);
    /// The fiber is out. @returns false: `w` is over, and the handler was not taken
    bool take_handler(wait& w, operation_handler<operation_result<>>& handler) noexcept;
    /// If it still waits: the wait that has, or had, this seat. From any thread
    void cancel(std::size_t seat, std::uint64_t number);
    /// For a wait that the caller knows to be there.
    void wake(wait& w);
    /// Not suspended after all, or being destroyed.
    void leave(wait& w) noexcept;

    /// The context goes: the tasks that wait are destroyed.
    void close() noexcept;
    void hold_for_fork();
    void release_after_fork(bool is_child);

private:
    friend class loop_side;

    void reopen_in_child();
    int add(wait& w, std::span<pollfd const> descriptors, socket_timeout* timeout);
    void remove(descriptor_wait& d) noexcept;
    int arm(descriptor_waiters& d) noexcept;
    deadline ask_timeout(descriptor_waiters& d, socket_timeout& timeout) noexcept;
    void finish(wait& w, int result, waits_over& over) noexcept;
    void post_finished(wait& w, int result);
    void collect(std::size_t slot, waits_over& over) noexcept;
    void wait_on(std::size_t slot, waits_over& over) noexcept;
    void end_all(std::size_t slot, int why, waits_over& over) noexcept;
    void collect_passed(waits_over& over) noexcept;
    void set_timer();
    static void resume(waits_over const& over);

    /// Tells a wait from a later one at the same place.
    struct seat {
        wait* taken_by = nullptr;
        std::uint64_t number = 0; ///< of those who have had it
    };

    std::mutex mutex_;                ///< guards all the rest, and what is not constant of each wait
    std::unique_ptr<loop_side> loop_; ///< null: closed
    std::unordered_map<int, descriptor_waiters> descriptors_;
    std::multimap<clock::time_point, wait*> deadlines_;
    intrusive_list<wait> waits_;
    std::vector<seat> seats_;
    std::vector<std::size_t> free_seats_; ///< room for all of them is kept
    bool is_held_for_fork_ = false;       ///< written by the thread that forks, with the mutex held
};

/// One wait, on the stack of the fiber that waits.
///
/// States, written with the room's mutex held:
///
///     room_      over_   handler_   the wait is
///     null       false   none       outside
///     the room   false   none       in the room, its fiber not out yet
///     the room   false   there      waited for
///     the room   true    either     over: about to be resumed by whoever made it so, if there is a handler
class wait : operation_result<> {
public:
    wait(any_portal& portal, deadline const& until) noexcept : portal_(portal), until_(until) {}
    wait(wait const&) = delete;
    ~wait();

    /// Until one of `descriptors` may be ready, the deadline or the socket's timeout has passed, somebody has called
    /// `waiting_room::wake`, or the task is cancelled. Those with a negative number, or that no epoll takes, are left out.
    /// @param starts called when it has entered the room, before the fiber goes out
    /// @returns 0, or why not: ETIMEDOUT, ECANCELED, or what the system had to say. Never throws: nothing may cross the
    /// frames of the library that has called, not even that the task is being destroyed
    template <class Starts>
    int run(std::source_location call, std::span<pollfd const> descriptors, socket_timeout* timeout,
            Starts starts) noexcept;
    int run(std::source_location call, std::span<pollfd const> descriptors,
            socket_timeout* timeout = nullptr) noexcept {
        return run(call, descriptors, timeout, [](std::shared_ptr<waiting_room> const&) {});
    }

private:
    friend class waiting_room;
    friend class intrusive_list<wait>;

    int enter(std::source_location call, std::span<pollfd const> descriptors, socket_timeout* timeout);
    int suspend();
    operation_handler<operation_result<>> take_handler() noexcept;
    static bool start(portal_base& portal, void* self);

    any_portal& portal_;
    deadline until_;
    std::shared_ptr<waiting_room> room_;
    asio::any_io_executor executor_; ///< the task's; tracked if nothing else tells the loop that there is work
    bool over_ = false;
    int result_ = 0;
    std::optional<operation_handler<operation_result<>>> handler_;
    std::optional<std::multimap<clock::time_point, wait*>::iterator> in_deadlines_;
    std::size_t seat_ = 0;
    std::uint64_t seat_number_ = 0;
    descriptor_wait one_;                      ///< where it waits for a single descriptor, as nearly always
    std::unique_ptr<descriptor_wait[]> many_;  ///< else
    std::span<descriptor_wait> descriptors_{}; ///< either
    wait* next = nullptr;                      ///< these two are the room's list's; or `next` of those to be resumed
    wait* previous = nullptr;
};

template <class Starts>
int wait::run(std::source_location call, std::span<pollfd const> descriptors, socket_timeout* timeout,
              Starts starts) noexcept {
    try {
        if (int const why_not = enter(call, descriptors, timeout))
            return why_not;
        starts(room_);
        return suspend();
    } catch (std::bad_alloc const&) {
        return ENOMEM;
    } catch (system_error const& e) { // what Asio cannot have; or operation_aborted, which is ECANCELED
        return e.code().value();
    } catch (...) { // the task is being destroyed
        return ECANCELED;
    }
}

} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
