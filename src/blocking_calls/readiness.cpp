// SPDX-License-Identifier: MIT
// poll, select, epoll_wait and their relatives.
#include "await_ready.hpp"
#include "calls.hpp"
#include "error_number.hpp"
#include "plain_calls.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <span>
#include <string_view>
#include <vector>

namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE {
namespace {

/// The plain call tells, again and again, until there is something to tell.
int poll_until(caller const& by, std::span<pollfd> fds, deadline const& until) noexcept {
    bool const might_wait = !until.passed();
    for (;;) {
        int const count = plain::poll(fds.data(), fds.size(), 0);
        if (count > 0 || (count == 0 && until.passed()))
            return might_wait ? done(by, count) : count;
        if (count < 0) {
            if (error_number() == EINTR)
                continue;
            return count;
        }
        int const why_not = await_ready(by, fds, until);
        if (why_not && why_not != ETIMEDOUT)
            return fail(why_not);
    }
}

/// A set of `select`'s: the bits of an array of words, of which a program may have more than an fd_set has.
class descriptor_set {
public:
    explicit descriptor_set(fd_set* set) noexcept : words_(reinterpret_cast<unsigned long*>(set)) {}
    bool has(int fd) const noexcept { return words_ && (words_[word(fd)] & bit(fd)); }
    /// @pre has(fd)
    void remove(int fd) const noexcept { words_[word(fd)] &= ~bit(fd); }

private:
    static constexpr unsigned bits = 8 * sizeof(unsigned long);
    static size_t word(int fd) noexcept { return static_cast<unsigned>(fd) / bits; }
    static unsigned long bit(int fd) noexcept { return 1UL << (static_cast<unsigned>(fd) % bits); }
    unsigned long* words_;
};

/// What poll is asked in the place of one set, and what of its answers means that the descriptor stays in that set, as
/// Linux's select has it.
struct set_of_events {
    descriptor_set set;
    int asked;
    int means;
};

/// Behind its table of descriptors, whose size is not that of the limit, the kernel looks at no set: a program may name a
/// number that is larger than its sets. proc(5) has it as FDSize.
int descriptor_table_size() noexcept {
    std::array<char, 1024> text{};
    int const file = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ssize_t const size = file < 0 ? 0 : plain::read(file, text.data(), text.size());
    if (file >= 0)
        ::close(file);
    std::string_view const status(text.data(), size < 0 ? 0 : static_cast<size_t>(size));
    constexpr std::string_view name = "\nFDSize:";
    size_t const at = status.find(name);
    if (at == status.npos)
        return FD_SETSIZE;
    return std::max(FD_SETSIZE,
                    std::atoi(status.data() + at + name.size())); // which skips blanks, and ends at the line's end
}

/// select's sets as poll's list, and back.
int select_until(caller const& by, int n, fd_set* readable, fd_set* writable, fd_set* exceptional,
                 deadline const& until) noexcept {
    if (n < 0)
        return fail(EINVAL);
    if (n > FD_SETSIZE)
        n = std::min(n, descriptor_table_size());
    std::array<set_of_events, 3> const sets{{{descriptor_set(readable), POLLIN, POLLIN | POLLHUP | POLLERR},
                                             {descriptor_set(writable), POLLOUT, POLLOUT | POLLERR},
                                             {descriptor_set(exceptional), POLLPRI, POLLPRI}}};
    std::vector<pollfd> list;
    try {
        for (int fd = 0; fd < n; ++fd) {
            int events = 0;
            for (set_of_events const& s : sets)
                events |= s.set.has(fd) ? s.asked : 0;
            if (events)
                list.push_back({fd, static_cast<short>(events), 0});
        }
    } catch (std::bad_alloc const&) {
        return fail(ENOMEM);
    }
    auto const means_nothing = [&](pollfd const& p) {
        return std::ranges::none_of(sets, [&](auto& s) { return (p.events & s.asked) && (p.revents & s.means); });
    };
    for (;;) {
        int const ready = poll_until(by, list, until);
        if (ready < 0)
            return ready;
        if (std::ranges::any_of(list, [](pollfd const& p) { return (p.revents & POLLNVAL) != 0; }))
            return fail(EBADF);
        if (ready == 0 || until.passed() || !std::ranges::all_of(list, means_nothing))
            break;
        for (pollfd& p : list) { // an end that nobody asks for; poll would tell of it at once, again and again
            if (p.revents)
                p.fd = ~p.fd; // which is negative
        }
    }
    int count = 0;
    for (pollfd const& p : list) {
        for (set_of_events const& s : sets) {
            if (!(p.events & s.asked))
                continue;
            if (p.revents & s.means)
                ++count;
            else
                s.set.remove(p.fd >= 0 ? p.fd : ~p.fd);
        }
    }
    return count;
}

} // namespace

namespace on_portal {

int poll(caller const& by, pollfd* fds, nfds_t n, int milliseconds) noexcept {
    return milliseconds == 0 ? plain::poll(fds, n, 0)
                             : poll_until(by, std::span(fds, n), deadline::in_milliseconds(milliseconds));
}

int ppoll(caller const& by, pollfd* fds, nfds_t n, timespec const* timeout) noexcept {
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999))
        return fail(EINVAL);
    return poll_until(by, std::span(fds, n), timeout ? deadline::in(*timeout) : deadline());
}

int select(caller const& by, int n, fd_set* r, fd_set* w, fd_set* x, timeval* timeout) noexcept {
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_usec < 0))
        return fail(EINVAL);
    deadline const until = timeout ? deadline::in(*timeout) : deadline();
    int const count = select_until(by, n, r, w, x, until);
    if (timeout && until.is_set()) { // Linux says what is left
        auto const left = std::chrono::duration_cast<std::chrono::microseconds>(until.left()).count();
        timeout->tv_sec = left / 1000000;
        timeout->tv_usec = left % 1000000;
    }
    return count;
}

int pselect(caller const& by, int n, fd_set* r, fd_set* w, fd_set* x, timespec const* timeout) noexcept {
    if (timeout && (timeout->tv_sec < 0 || timeout->tv_nsec < 0 || timeout->tv_nsec > 999999999))
        return fail(EINVAL);
    return select_until(by, n, r, w, x, timeout ? deadline::in(*timeout) : deadline());
}

int epoll_wait(caller const& by, int epoll, epoll_event* events, int n, int milliseconds) noexcept {
    if (milliseconds == 0)
        return plain::epoll_wait(epoll, events, n, 0);
    deadline const until = deadline::in_milliseconds(milliseconds);
    for (;;) {
        int const count = plain::epoll_wait(epoll, events, n, 0);
        if (count != 0 || until.passed())
            return done(by, count);
        pollfd const p{epoll, POLLIN, 0};
        int const why_not = await_ready(by, std::span(&p, 1), until);
        if (why_not && why_not != ETIMEDOUT)
            return fail(why_not);
    }
}

} // namespace on_portal
} // namespace greenback::detail::blocking::inline GREENBACK_BACKEND_NAMESPACE
