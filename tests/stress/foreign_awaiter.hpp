// SPDX-License-Identifier: MIT
//
// An awaiter that Asio's coroutines don't take, and what it is in a model that has nothing else.
#pragma once

#include "stress/task.hpp"

#include <coroutine>

namespace stress {

/// What a foreign awaiter does.
struct foreign_way {
    enum { is_ready, resumes_inside_await_suspend, does_not_suspend, resumes_later } how;
    bool throws;
    unsigned ticks;

    foreign_way(task const& t, unsigned value)
        : how(value % 4 == 0   ? is_ready
              : value % 4 == 1 ? resumes_inside_await_suspend
              : value % 4 == 2 ? does_not_suspend
              : t.all->clock   ? resumes_later
                               : is_ready),
          throws(value % 16 >= 12), ticks(value / 16 % 3) {}
};

struct foreign_awaiter {
    task& t;
    foreign_way way;
    unsigned value;

    bool await_ready() const noexcept { return way.how == foreign_way::is_ready; }
    bool await_suspend(std::coroutine_handle<> h) const {
        if (way.how == foreign_way::does_not_suspend)
            return false;
        if (way.how == foreign_way::resumes_inside_await_suspend)
            h.resume();
        else
            t.all->clock->resume_after(way.ticks, h, *t.all->late);
        return true;
    }
    unsigned await_resume() const {
        if (way.throws)
            fail(value);
        return value;
    }
};

} // namespace stress
