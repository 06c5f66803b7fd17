// SPDX-License-Identifier: MIT
//
// Every request has a number, and is answered rightly or fails by a known error: no other end is let pass.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>
#include <string>
#include <string_view>

namespace soak {

/// An error that the program itself throws, and wants back as it was.
struct thrown_on_purpose {
    std::uint64_t number;
};
/// The server has said that it failed, and how.
struct server_failed {
    std::string_view how;
};
/// A peer has sent what is not the answer. Never a known failure.
struct wrong_answer {
    std::string text;
};

/// The name of a failure that may happen under the troubles of this program ("failed: …"); empty: it may not.
std::string_view known_failure(std::exception_ptr const& error) noexcept;
/// What can be said of any.
std::string describe(std::exception_ptr const& error);

/// One request, from its issue to its end.
class request {
public:
    request();
    request(request const&) = delete;
    /// Not settled yet: its task has been destroyed without being unwound, as a coroutine is. A fault where nobody
    /// destroys tasks at that moment.
    ~request();

    std::uint64_t number() const noexcept { return number_; }
    void answered() noexcept;
    /// By an exception that is known, or the run ends.
    void failed(std::exception_ptr const& error);

private:
    void settle() noexcept;
    std::uint64_t number_;
    bool settled_ = false;
};

/// While one is alive tasks are being destroyed.
class tasks_are_being_destroyed {
public:
    tasks_are_being_destroyed() noexcept;
    tasks_are_being_destroyed(tasks_are_being_destroyed const&) = delete;
    ~tasks_are_being_destroyed();
};

struct balance {
    std::uint64_t issued = 0, answered = 0, failed = 0, open = 0;
};
balance balance_so_far();

/// The number of ticks since the oldest open request; see `tick`.
std::uint64_t oldest_age();
/// The ledger's own time: one tick a second of time that the program could use. If the machine stands still, so does it.
void tick();

/// A request made by `f(number)`, which throws what the request fails by, and returns where it is answered rightly.
/// @throws nothing but `abandoned`, which is to go on
template <class F> void ask(F const& f);

} // namespace soak

#include <greenback/error.hpp>

template <class F> void soak::ask(F const& f) {
    request r;
    try {
        f(r.number());
        r.answered();
    } catch (greenback::abandoned const&) {
        r.failed(std::current_exception());
        throw;
    } catch (...) {
        r.failed(std::current_exception());
    }
}
