// SPDX-License-Identifier: MIT
//
// Runs of programs, as the model or as the mixture.
#pragma once

#include "stress/mixed.hpp"
#include "stress/plain.hpp"
#include "stress/portal_kinds.hpp"
#include "stress/program.hpp"
#include "stress/synchronous.hpp"
#include "stress/task.hpp"

#include <list>
#include <vector>

namespace stress {

/// Starts every program as a task on an executor from `next_executor`; its log ends with what became of it.
/// @param tasks lives longer than what refers to it from the event loop
template <class How, class F>
void start_all(std::list<task>& tasks, world& all, task& outside, std::vector<node> const& programs, F next_executor) {
    for (node const& program : programs) {
        task& t = tasks.emplace_back(all);
        t.number = static_cast<unsigned>(tasks.size());
        asio::co_spawn(next_executor(), How::start(outside, t, program),
                       asio::bind_cancellation_slot(t.signal->slot(), [&t](std::exception_ptr e, unsigned result) {
                           e ? t.note("fails with", e) : t.note("returns", result);
                       }));
    }
}

} // namespace stress
