// SPDX-License-Identifier: MIT
#include "waiting_room.hpp"

#include "error_number.hpp"
#include "loop_side.hpp"
#include "plain_calls.hpp"

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <exception>

#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/dispatch.hpp>
#else
#include <asio/dispatch.hpp>
#endif

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {
namespace {

std::atomic<std::uint64_t> socket_timeouts_state{1};

/// Gives a context its room, and takes it away in time.
class waiting_room_service : public asio::execution_context::service {
public:
    using key_type = waiting_room_service;
    static inline asio::execution_context::id id;
    explicit waiting_room_service(asio::execution_context& context)
        : service(context), room_(std::make_shared<waiting_room>(context)) {}
    std::shared_ptr<waiting_room> const& room() const noexcept { return room_; }

private:
    void shutdown() override { room_->close(); }
    void notify_fork(asio::execution_context::fork_event event) override {
        if (event == asio::execution_context::fork_prepare)
            room_->hold_for_fork();
        else
            room_->release_after_fork(event == asio::execution_context::fork_child);
    }

    std::shared_ptr<waiting_room> room_;
};

/// poll's events as epoll's, whose values Linux has made the same.
std::uint32_t epoll_events(short events) noexcept {
    return static_cast<unsigned short>(events) &
           std::uint32_t(EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLRDNORM | EPOLLRDBAND | EPOLLWRNORM | EPOLLWRBAND |
                         EPOLLMSG | EPOLLRDHUP);
}
static_assert(POLLIN == EPOLLIN && POLLPRI == EPOLLPRI && POLLOUT == EPOLLOUT && POLLERR == EPOLLERR &&
              POLLHUP == EPOLLHUP && POLLRDNORM == EPOLLRDNORM && POLLRDBAND == EPOLLRDBAND &&
              POLLWRNORM == EPOLLWRNORM && POLLWRBAND == EPOLLWRBAND && POLLRDHUP == EPOLLRDHUP);

} // namespace

void socket_timeouts_have_changed() noexcept { socket_timeouts_state.fetch_add(1, std::memory_order_release); }

// ---- the room -------------------------------------------------------------------------------------------------------

waiting_room::waiting_room(asio::execution_context& context) : loop_(std::make_unique<loop_side>(*this, context)) {}
waiting_room::~waiting_room() = default;

std::shared_ptr<waiting_room> waiting_room::of(asio::any_io_executor const& executor) {
    asio::execution_context& context = asio::query(executor, asio::execution::context);
    return asio::use_service<waiting_room_service>(context).room();
}

int waiting_room::enter(wait& w, std::span<pollfd const> descriptors, socket_timeout* timeout) {
    if (descriptors.size() > 1)
        w.many_ = std::make_unique<descriptor_wait[]>(descriptors.size());
    w.descriptors_ =
        descriptors.size() > 1 ? std::span(w.many_.get(), descriptors.size()) : std::span(&w.one_, descriptors.size());
    std::scoped_lock const lock(mutex_);
    if (!loop_)
        return ECANCELED;
    if (free_seats_.empty()) {
        seats_.emplace_back();
        free_seats_.reserve(seats_.capacity());
        free_seats_.push_back(seats_.size() - 1);
    }
    w.seat_ = free_seats_.back();
    free_seats_.pop_back();
    seats_[w.seat_].taken_by = &w;
    w.seat_number_ = ++seats_[w.seat_].number;
    waits_.add(w);
    int why_not = 0;
    try {
        why_not = add(w, descriptors, timeout);
    } catch (...) {
        why_not = ENOMEM;
    }
    if (why_not) {
        waits_over over;
        finish(w, why_not, over);
    }
    return why_not;
}

int waiting_room::add(wait& w, std::span<pollfd const> descriptors, socket_timeout* timeout) {
    bool is_registered = false;
    for (std::size_t i = 0; i != descriptors.size(); ++i) {
        if (descriptors[i].fd < 0)
            continue;
        descriptor_waiters& d = descriptors_.try_emplace(descriptors[i].fd, descriptors[i].fd).first->second;
        epoll_slot& slot = loop_->slot_of(d.number);
        descriptor_wait& waits = w.descriptors_[i];
        waits.owner = &w;
        waits.events = epoll_events(descriptors[i].events);
        waits.at = &d;
        d.waits.add(waits);
        ++slot.waits;
        int const why_not = arm(d);
        if (why_not == EPERM) { // there is nothing that would ever happen to it, as to a regular file
            remove(waits);
            continue;
        }
        if (why_not)
            return why_not;
        loop_->wait_for(slot);
        is_registered = true;
        if (timeout && !timeout->is_known)
            timeout->until = ask_timeout(d, *timeout);
    }
    if (timeout)
        w.until_ = timeout->until;
    if (w.until_.is_set()) {
        w.in_deadlines_ = deadlines_.emplace(w.until_.at(), &w);
        set_timer();
    } else if (!is_registered) {
        w.executor_ = asio::prefer(w.executor_, asio::execution::outstanding_work.tracked);
    }
    return 0;
}

void waiting_room::remove(descriptor_wait& d) noexcept {
    if (!d.at)
        return;
    d.at->waits.remove(d);
    if (loop_) {
        epoll_slot& slot = loop_->slot_of(d.at->number);
        if (--slot.waits == 0)
            loop_->no_wait_left(slot);
    }
    d.at = nullptr;
}

/// @returns 0 or an error number; EPERM: the descriptor is always ready
int waiting_room::arm(descriptor_waiters& d) noexcept {
    epoll_slot& slot = loop_->slot_of(d.number);
    if (slot.number < 0) {
        if (int const why_not = loop_->open(slot))
            return why_not;
    }
    epoll_event event{};
    event.events = EPOLLONESHOT;
    for (descriptor_wait* w = d.waits.first(); w; w = w->next)
        event.events |= w->events;
    event.data.fd = d.number;
    int answer = d.is_known ? ::epoll_ctl(slot.number, EPOLL_CTL_MOD, d.number, &event) : -1;
    if (answer < 0 && (!d.is_known || error_number() == ENOENT)) {
        d.timeouts_asked = {}; // a number that means something else than before
        answer = ::epoll_ctl(slot.number, EPOLL_CTL_ADD, d.number, &event);
        if (answer < 0 && error_number() == EEXIST) // it was one of our child's or parent's
            answer = ::epoll_ctl(slot.number, EPOLL_CTL_MOD, d.number, &event);
    }
    if (answer < 0)
        return error_number();
    d.is_known = true;
    if (!std::exchange(d.is_armed, true))
        slot.armed.add(d);
    return 0;
}

/// To be asked when the descriptor has just been armed: so it is known that it is the one that was asked before.
deadline waiting_room::ask_timeout(descriptor_waiters& d, socket_timeout& timeout) noexcept {
    timeout.is_known = true;
    std::size_t const which = timeout.option == SO_RCVTIMEO ? 0 : 1;
    std::uint64_t const now = socket_timeouts_state.load(std::memory_order_acquire);
    if (d.timeouts_asked[which] != now) {
        timeval t{};
        socklen_t size = sizeof t;
        if (::getsockopt(d.number, SOL_SOCKET, timeout.option, &t, &size) < 0)
            t = {}; // not a socket
        d.timeouts[which] = std::chrono::seconds(t.tv_sec) + std::chrono::microseconds(t.tv_usec);
        d.timeouts_asked[which] = now;
    }
    return d.timeouts[which].count() > 0 ? deadline::in(d.timeouts[which]) : deadline();
}

bool waiting_room::take_handler(wait& w, operation_handler<operation_result<>>& handler) noexcept {
    std::scoped_lock const lock(mutex_);
    if (w.over_)
        return false;
    w.handler_.emplace(std::move(handler));
    return true;
}

/// With the lock held: `w` is over. It is resumed without the lock, as its code runs then.
void waiting_room::finish(wait& w, int result, waits_over& over) noexcept {
    w.over_ = true;
    w.result_ = result;
    for (descriptor_wait& d : w.descriptors_)
        remove(d);
    if (w.in_deadlines_) {
        deadlines_.erase(*w.in_deadlines_);
        w.in_deadlines_.reset();
        if (deadlines_.empty() && loop_)
            loop_->set_timer(std::nullopt);
    }
    waits_.remove(w);
    seats_[w.seat_].taken_by = nullptr;
    free_seats_.push_back(w.seat_);
    w.next = nullptr;
    if (w.handler_) {
        (over.last ? over.last->next : over.first) = &w;
        over.last = &w;
    }
}

/// An epoll is readable: whose waits are over?
void waiting_room::collect(std::size_t number, waits_over& over) noexcept {
    epoll_slot& slot = loop_->slot(number);
    // Who waits for the only descriptor that may be the cause need not be looked up. It stays armed. If that was not true,
    // it waits again; and if others are armed by then, the epoll is asked, which disarms what it reports. Now and then it
    // is asked all the same: a number that was closed and used again may have left something behind in it.
    descriptor_waiters* const only = slot.armed.first();
    if (only && !only->next && ++slot.not_asked % 32 != 0) {
        descriptor_wait* const w = only->waits.first();
        if (w && !w->next)
            return finish(*w->owner, 0, over);
    }
    std::array<epoll_event, 64> events;
    int count;
    do {
        count = plain::epoll_wait(slot.number, events.data(), int(events.size()), 0);
        for (int i = 0; i < count; ++i) {
            epoll_event const& event = events[static_cast<std::size_t>(i)];
            descriptor_waiters& d = descriptors_.at(event.data.fd);
            if (std::exchange(d.is_armed, false))
                slot.armed.remove(d);
            for (descriptor_wait* w = d.waits.first(); w;) {
                if (event.events & (w->events | EPOLLERR | EPOLLHUP)) {
                    finish(*w->owner, 0, over); // which may take several out of the list
                    w = d.waits.first();
                } else {
                    w = w->next;
                }
            }
            if (!d.waits.empty())
                arm(d); // if it has been closed, its waits end by their deadlines, as those of a thread would
        }
    } while (count == int(events.size()));
}

void waiting_room::collect_passed(waits_over& over) noexcept {
    auto const now = clock::now();
    while (!deadlines_.empty() && deadlines_.begin()->first <= now)
        finish(*deadlines_.begin()->second, ETIMEDOUT, over);
    try {
        set_timer();
    } catch (...) { // nobody would tell when the time has come
        while (!deadlines_.empty())
            finish(*deadlines_.begin()->second, ENOMEM, over);
    }
}

void waiting_room::set_timer() {
    if (deadlines_.empty())
        loop_->set_timer(std::nullopt);
    else
        loop_->set_timer(deadlines_.begin()->first);
}

/// Asio waits for one descriptor of the room's, so as to tell when a wait is over; or those waits end.
void waiting_room::wait_on(std::size_t number, waits_over& over) noexcept {
    epoll_slot& slot = loop_->slot(number);
    if (slot.waits == 0)
        return;
    try {
        loop_->wait_for(slot);
    } catch (...) {
        end_all(number, ENOMEM, over);
    }
}
void waiting_room::end_all(std::size_t number, int why, waits_over& over) noexcept {
    for (auto& [descriptor, d] : descriptors_) {
        while (&loop_->slot_of(descriptor) == &loop_->slot(number) && !d.waits.empty())
            finish(*d.waits.first()->owner, why, over);
    }
}

/// Not noexcept: what a completion handler throws that one of the tasks runs into leaves the loop's `run()`.
///
/// The first goes on here; the others are for whoever has the time, as one may take long, or wait for another. One that
/// there is no memory to post is dropped, which its task is told of; the others must not wait for ever because of it.
void waiting_room::resume(waits_over const& over) {
    if (!over.first)
        return;
    std::exception_ptr no_memory;
    for (wait* i = over.first->next; i;) {
        wait& w = *std::exchange(i, i->next);
        asio::any_io_executor const executor = std::move(w.executor_);
        try {
            asio::post(executor, w.take_handler());
        } catch (...) {
            no_memory = std::current_exception();
        }
    }
    asio::any_io_executor const executor = std::move(over.first->executor_);
    asio::dispatch(executor, over.first->take_handler());
    if (no_memory)
        std::rethrow_exception(no_memory);
}

void waiting_room::cancel(std::size_t number_of_seat, std::uint64_t number) {
    std::scoped_lock const lock(mutex_);
    seat const& s = seats_[number_of_seat];
    if (s.taken_by && s.number == number)
        post_finished(*s.taken_by, ECANCELED);
}

void waiting_room::wake(wait& w) {
    std::scoped_lock const lock(mutex_);
    if (!w.over_)
        post_finished(w, 0);
}

/// The task does not go on here, in whoever cancels or has done the work. With the lock held, which the context's end has
/// to wait for: it must not go away while something is posted to it.
void waiting_room::post_finished(wait& w, int result) {
    waits_over over;
    finish(w, result, over);
    if (!over.first)
        return; // the fiber is about to go out, and will find that it need not
    asio::any_io_executor const executor = std::move(w.executor_);
    asio::post(executor, w.take_handler());
}

void waiting_room::leave(wait& w) noexcept {
    std::scoped_lock const lock(mutex_);
    waits_over over;
    if (!w.over_)
        finish(w, ECANCELED, over);
}

void waiting_room::close() noexcept {
    std::unique_ptr<loop_side> loop;
    for (;;) {
        waits_over over;
        // Destroyed without the lock: that destroys its task.
        std::optional<operation_handler<operation_result<>>> dropped;
        std::scoped_lock const lock(mutex_);
        if (loop_)
            loop = std::move(loop_);
        if (!waits_.first())
            break;
        wait& w = *waits_.first();
        finish(w, ECANCELED, over);
        if (over.first) {
            dropped.emplace(w.take_handler());
            w.executor_ = {};
        }
    }
}

/// The thread that forks may not be the only one that uses the context: the child gets it between two changes.
void waiting_room::hold_for_fork() {
    mutex_.lock();
    is_held_for_fork_ = true;
}
void waiting_room::release_after_fork(bool is_child) {
    if (!is_held_for_fork_) // nobody has announced the fork
        mutex_.lock();
    is_held_for_fork_ = false;
    std::scoped_lock const lock(std::adopt_lock, mutex_);
    if (is_child)
        reopen_in_child();
}

/// The child goes on with this context: `notify_fork` says so. Its epolls were the parent's, too.
void waiting_room::reopen_in_child() {
    if (!loop_)
        return;
    loop_->make_anew_in_child(); // what Asio waits for is aborted by it, and is then waited for anew
    for (auto& [number, d] : descriptors_) {
        d.is_known = false;
        if (!d.waits.empty())
            arm(d); // if that goes wrong, it is as if nothing ever happened to the descriptor
    }
}

// ---- a wait ---------------------------------------------------------------------------------------------------------

wait::~wait() {
    if (room_)
        room_->leave(*this);
}

/// @pre there is one
operation_handler<operation_result<>> wait::take_handler() noexcept {
    GREENBACK_ASSERT(handler_);
    operation_handler<operation_result<>> taken = std::move(*handler_); // NOLINT(bugprone-unchecked-optional-access)
    handler_.reset();
    return taken;
}

int wait::enter(std::source_location call, std::span<pollfd const> descriptors, socket_timeout* timeout) {
    portal_.check_cancelled();
    portal_.site = call;
    executor_ = portal_.executor();
    std::shared_ptr<waiting_room> room = waiting_room::of(executor_);
    if (int const why_not = room->enter(*this, descriptors, timeout))
        return why_not;
    room_ = std::move(room);
    if (asio::cancellation_slot slot = portal_.cancellation().slot(); slot.is_connected())
        slot.assign([room = room_, seat = seat_, number = seat_number_](asio::cancellation_type) {
            room->cancel(seat, number); // a signal may outlive the context, and the wait
        });
    return 0;
}

int wait::suspend() {
    if (!portal_.suspend_for_operation({&start, static_cast<operation_result<>*>(this)}))
        portal_.cancellation().slot().clear(); // as a resumption does
    return result_;
}

/// On the resumer's stack, the fiber being out: see `after_suspend`.
bool wait::start(portal_base& portal, void* self) {
    wait& w = static_cast<wait&>(*static_cast<operation_result<>*>(self));
    operation_handler<operation_result<>> handler(static_cast<any_portal&>(portal));
    if (w.room_->take_handler(w, handler))
        return false; // from here on, `w` may be gone
    handler.release();
    return true;
}

} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
