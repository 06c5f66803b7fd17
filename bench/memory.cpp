// SPDX-License-Identifier: MIT
// Many suspended portals: the memory that they hold, all included, the time to make them, and to resume and end them.
// Each waits for a timer three calls deep.
//
//     bench_memory [<count>] [portals|coroutines|pages]...
//
// `coroutines` wait in three nested coroutines instead. `pages` are what the system takes for as many pages as portals
// need, at the distance that stacks have: address space is reserved as the pool does it, and the last page of each
// stack is written to once.
//
// Each kind is a process of its own. They take turns in making a thousand at a time, because a first touch costs what
// the system's supply of free pages makes of it: in a virtual machine ten times as much where the host has to find the
// page, and who comes first gets the pages that are at hand. What is named alone runs alone.

#include "support/operations.hpp"

#include <greenback/detail/fiber/stack_pool.hpp>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

namespace {

using bench::task;
using clock = std::chrono::steady_clock;

constexpr long batch = 1000;

// ---- three calls deep ----

/// The steady clock, until `the_time_has_come`: then every timer is over, and in the order in which they were made.
struct wait_clock {
    using duration = clock::duration;
    using rep = duration::rep;
    using period = duration::period;
    using time_point = std::chrono::time_point<wait_clock>;
    [[maybe_unused]] static constexpr bool is_steady = true; // asked of a clock by the standard
    static inline bool the_time_has_come = false;            // written by `tasks`
    static time_point now() {
        return time_point(clock::now().time_since_epoch() + (the_time_has_come ? std::chrono::hours(48) : duration(0)));
    }
};
using wait_timer = asio::basic_waitable_timer<wait_clock>;
using wait_time = std::chrono::hours;

[[gnu::noinline]] void third_call(asio::any_io_executor const& ex) {
    wait_timer timer(ex, wait_time(24));
    timer.async_wait(greenback::use_portal);
}
[[gnu::noinline]] void second_call(asio::any_io_executor const& ex) {
    third_call(ex);
    asm volatile("" ::: "memory"); // no tail call
}
[[gnu::noinline]] void first_call(asio::any_io_executor const& ex) {
    second_call(ex);
    asm volatile("" ::: "memory");
}

task<> third_coroutine(asio::any_io_executor const& ex) {
    wait_timer timer(ex, wait_time(24));
    co_await timer.async_wait(asio::use_awaitable);
}
task<> second_coroutine(asio::any_io_executor const& ex) { co_await third_coroutine(ex); }
task<> first_coroutine(asio::any_io_executor const& ex) { co_await second_coroutine(ex); }

// ---- what the kernel says ----

double resident_kib() {
    long size = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> size >> resident;
    return double(resident) * double(::sysconf(_SC_PAGESIZE)) / 1024;
}

/// Page tables are the kernel's memory, not in what is resident, but they are charged to the process all the same.
double page_tables_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmPTE:"))
            return std::stod(line.substr(6));
    return 0;
}

long mappings() {
    std::ifstream maps("/proc/self/maps");
    long count = 0;
    for (std::string line; std::getline(maps, line);)
        ++count;
    return count;
}

// ---- the kinds ----

struct subject {
    virtual ~subject() = default;
    virtual void make(long count) = 0; ///< until they wait
    virtual bool all_wait(long) const { return true; }
    virtual void end_all() = 0;     ///< as if what they wait for were over
    virtual void destroy_all() = 0; ///< while they wait
};

class tasks final : public subject {
public:
    explicit tasks(bool portals) : portals_(portals) {
        make(1);
        end_all(); // what the first one alone needs is not counted
    }

    void make(long count) override {
        wait_clock::the_time_has_come = false;
        io_->restart();
        for (long i = 0; i < count; ++i) {
            if (portals_)
                asio::co_spawn(*io_, greenback::with_portal_run_sync(first_call, std::ref(ex_)), asio::detached);
            else
                asio::co_spawn(*io_, first_coroutine(ex_), asio::detached);
            if ((i + 1) % queued == 0)
                io_->poll(); // until they wait: a queue of a million tasks is not what is measured
        }
        io_->poll();
    }
    bool all_wait(long count) const override {
        return !portals_ || greenback::stats().suspended == static_cast<std::size_t>(count);
    }
    void end_all() override {
        wait_clock::the_time_has_come = true;
        // Earlier than all the others, so that the loop looks: it believes that there is a day to sleep.
        wait_timer first(ex_, wait_clock::time_point(wait_clock::duration(0)));
        first.async_wait([](std::error_code) {});
        io_->run();
    }
    void destroy_all() override { io_.reset(); }

private:
    static constexpr long queued = 20; // a poll makes system calls, which are not a task's

    bool const portals_;
    std::unique_ptr<asio::io_context> io_ = std::make_unique<asio::io_context>(1);
    asio::any_io_executor const ex_ = io_->get_executor();
};

class pages final : public subject {
public:
    void make(long count) override {
        for (; count != 0; --count, ++touched_) {
            if (touched_ / per_region_ == regions_.size())
                add_region();
            char volatile* const base = regions_[touched_ / per_region_] + touched_ % per_region_ * stride_;
            base[stride_ - 1] = 1;
        }
    }
    void end_all() override {
        for (char* const region : regions_)
            ::madvise(region, per_region_ * stride_, MADV_DONTNEED);
        touched_ = 0;
    }
    void destroy_all() override { end_all(); }

private:
    void add_region() {
        void* const base = ::mmap(nullptr, per_region_ * stride_, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
        if (base == MAP_FAILED) {
            std::perror("mmap");
            std::exit(1);
        }
        ::madvise(base, per_region_ * stride_, MADV_NOHUGEPAGE);
        regions_.push_back(static_cast<char*>(base));
    }

    std::size_t const stride_ = greenback::default_stack_size() + greenback::detail::stack_guard_size();
    std::size_t const per_region_ = (std::size_t(4) << 30) / stride_;
    std::vector<char*> regions_;
    std::size_t touched_ = 0;
};

constexpr std::array kinds{"portals", "coroutines", "pages"};

std::unique_ptr<subject> make_subject(std::string_view kind) {
    if (kind == "pages")
        return std::make_unique<pages>();
    return std::make_unique<tasks>(kind == "portals");
}

// ---- one process for each kind ----

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
        case step::look:
            if (!subject_->all_wait(count_)) {
                std::fprintf(stderr, "%s: not all are suspended\n", kind_);
                return false;
            }
            print("count", "%.0f", double(count_));
            print("resident_kib_each", "%.3f", (resident_kib() - resident_before_) / double(count_));
            print("page_tables_kib_each", "%.3f", (page_tables_kib() - tables_before_) / double(count_));
            print("memory_mappings", "%.0f", double(mappings()));
            print_time("make", making_);
            break;
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
    double const resident_before_ = resident_kib(), tables_before_ = page_tables_kib();
    long made_ = 0;
    clock::duration making_{}, making_again_{};
};

struct process {
    pid_t id;
    int to_it, from_it;

    /// Lets it take its turn. @returns whether it has
    bool perform(step s) const { return ::write(to_it, &s, 1) == 1 && ::read(from_it, &s, 1) == 1; }
};

process start(char const* kind, long count) {
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

} // namespace

int main(int argc, char** argv) {
    long count = 1'000'000;
    std::vector<char const*> chosen;
    for (std::string_view argument : std::span(argv + 1, argv + argc)) {
        auto const kind = std::find(kinds.begin(), kinds.end(), argument);
        if (kind != kinds.end())
            chosen.push_back(*kind);
        else if (std::from_chars(argument.data(), argument.data() + argument.size(), count).ec != std::errc() ||
                 count <= 0) {
            std::fprintf(stderr, "usage: %s [<count>] [portals|coroutines|pages]...\n", argv[0]);
            return 2;
        }
    }
    if (chosen.empty())
        chosen.assign(kinds.begin(), kinds.end());

    std::vector<process> processes;
    for (char const* kind : chosen)
        processes.push_back(start(kind, count));

    // The first of a round is the last of the next one: none always follows the same other one.
    auto const perform = [&](step s, long rounds) {
        bool all = true;
        for (; rounds != 0 && all; --rounds) {
            for (process const& p : processes)
                all = p.perform(s) && all;
            std::rotate(processes.begin(), processes.begin() + 1, processes.end());
        }
        return all;
    };
    long const batches = (count + batch - 1) / batch;
    bool const done = perform(step::make, batches) && perform(step::look, 1) && perform(step::end, 1) &&
                      perform(step::make_again, batches) && perform(step::destroy, 1);
    // All of them first: those that started later have inherited the ends of those before them.
    for (process const& p : processes)
        ::close(p.to_it);
    for (process const& p : processes)
        ::waitpid(p.id, nullptr, 0);
    return done ? 0 : 1;
}
