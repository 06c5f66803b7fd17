// SPDX-License-Identifier: MIT
// What many that wait cost, for bench_memory and bench_many. Each kind is a process of its own. They take turns in making
// a thousand at a time, because a first touch costs what the system's supply of free pages makes of it: in a virtual
// machine ten times as much where the host has to find the page, and who comes first gets the pages that are at hand.
#pragma once

#include "suspended.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <span>
#include <vector>

#include <sys/wait.h>
#include <unistd.h>

namespace bench::suspended {

constexpr long batch = 1000;

/// What the processes are told to do, one after the other. Each measures only what it does itself.
enum class step : char { make, look, end, make_again, destroy };

/// The child's side: does what it is told until nobody is left to tell.
class measured {
public:
    measured(char const* kind, long count) : kind_(kind), count_(count), subject_(make_subject(kind)) {}

    bool perform(step s) {
        switch (s) {
        case step::make:
        case step::make_again: {
            long const n = std::min(batch, count_ - made_);
            (s == step::make ? making_ : making_again_) += time([&] { subject_->make(n); });
            made_ += n;
            break;
        }
        case step::look: {
            if (!subject_->all_wait(count_)) {
                std::fprintf(stderr, "%s: not all are suspended\n", kind_);
                return false;
            }
            // Before the first print, which touches pages as well.
            double const resident = resident_kib() - resident_before_;
            double const tables = page_tables_kib() - tables_before_;
            print("count", "%.0f", double(count_));
            print("resident_kib_each", "%.3f", resident / double(count_));
            print("page_tables_kib_each", "%.3f", tables / double(count_));
            print("memory_mappings", "%.0f", double(mappings()));
            print_time("make", making_);
            break;
        }
        case step::end:
            print_time("end", time([&] { subject_->end_all(); }));
            if (!subject_->all_wait(0)) {
                std::fprintf(stderr, "%s: not all have ended\n", kind_);
                return false;
            }
            made_ = 0;
            print("resident_kib_left_each", "%.3f", (resident_kib() - resident_before_) / double(count_));
            print("page_tables_kib_left_each", "%.3f", (page_tables_kib() - tables_before_) / double(count_));
            break;
        case step::destroy:
            print_time("make_again", making_again_);
            print_time("destroy", time([&] { subject_->destroy_all(); }));
            break;
        }
        std::fflush(stdout);
        return true;
    }

private:
    /// What is touched by the first one, and by looking, is not counted: it is much beside one that waits.
    static void prepare(subject& s) {
        s.make(1);
        (void)s.all_wait(1);
        std::array<char, 32> text;
        (void)std::snprintf(text.data(), text.size(), "%.3f", resident_kib() + page_tables_kib() + double(mappings()));
        s.end_all();
    }

    template <class Work> static clock::duration time(Work work) {
        auto const start = clock::now();
        work();
        return clock::now() - start;
    }
    void print(char const* what, char const* format, double value) const {
        std::printf("%s.%s ", kind_, what);
        std::printf(format, value); // NOLINT: literals, above
        std::printf("\n");
    }
    void print_time(char const* what, clock::duration d) const {
        std::printf("%s.nanoseconds_to_%s_each %.0f\n", kind_, what,
                    std::chrono::duration<double, std::nano>(d).count() / double(count_));
    }

    char const* const kind_;
    long const count_;
    std::unique_ptr<subject> const subject_;
    double const resident_before_ = (prepare(*subject_), resident_kib()), tables_before_ = page_tables_kib();
    long made_ = 0;
    clock::duration making_{}, making_again_{};
};

struct process {
    pid_t id;
    int to_it, from_it;

    /// Lets it take its turn. @returns whether it has
    bool perform(step s) const { return ::write(to_it, &s, 1) == 1 && ::read(from_it, &s, 1) == 1; }
};

inline process start(char const* kind, long count) {
    int to_child[2], from_child[2];
    if (::pipe(to_child) != 0 || ::pipe(from_child) != 0) {
        std::perror("pipe");
        std::exit(1);
    }
    pid_t const id = ::fork();
    if (id != 0) {
        ::close(to_child[0]);
        ::close(from_child[1]);
        return {id, to_child[1], from_child[0]};
    }
    ::close(to_child[1]);
    ::close(from_child[0]);
    measured m(kind, count);
    step s;
    while (::read(to_child[0], &s, 1) == 1)
        if (!m.perform(s) || ::write(from_child[1], &s, 1) != 1)
            ::_exit(1);
    ::_exit(0);
}

/// The processes, which end with it.
class turns {
public:
    turns(std::span<char const* const> chosen, long count) : batches_((count + batch - 1) / batch) {
        for (char const* kind : chosen)
            processes_.push_back(start(kind, count));
    }
    turns(turns const&) = delete;
    ~turns() {
        // All of them first: those that started later have inherited the ends of those before them.
        for (process const& p : processes_) {
            ::close(p.to_it);
            ::close(p.from_it);
        }
        for (process const& p : processes_)
            ::waitpid(p.id, nullptr, 0);
    }

    /// @returns whether all of them have done it.
    bool perform(step s) {
        bool all = true;
        for (process const& p : processes_)
            all = p.perform(s) && all;
        // The first of a round is the last of the next one: none always follows the same other one.
        std::rotate(processes_.begin(), processes_.begin() + 1, processes_.end());
        return all;
    }
    /// As often as it takes to make all.
    bool perform_batches(step s) {
        bool all = true;
        for (long rounds = batches_; rounds != 0 && all; --rounds)
            all = perform(s);
        return all;
    }

private:
    long const batches_;
    std::vector<process> processes_;
};

} // namespace bench::suspended
