// SPDX-License-Identifier: MIT
// Many that wait, for bench_memory and bench_many: portals, coroutines, or nothing but pages.
//
//     portals      each waits for a timer, three calls deep
//     coroutines   the same in three nested coroutines
//     pages        what the system takes for as many pages as portals need, at the distance that stacks have: address
//                  space is reserved as the pool does it, and the last page of each stack is written to once
#pragma once

#include "operations.hpp"

#include <greenback/detail/fiber/stack_pool.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include <sys/mman.h>
#include <unistd.h>

namespace bench::suspended {

using clock = std::chrono::steady_clock;

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

[[gnu::noinline]] inline void third_call(asio::any_io_executor const& ex) {
    wait_timer timer(ex, wait_time(24));
    timer.async_wait(greenback::use_portal);
}
[[gnu::noinline]] inline void second_call(asio::any_io_executor const& ex) {
    third_call(ex);
    asm volatile("" ::: "memory"); // no tail call
}
[[gnu::noinline]] inline void first_call(asio::any_io_executor const& ex) {
    second_call(ex);
    asm volatile("" ::: "memory");
}

inline task<> third_coroutine(asio::any_io_executor const& ex) {
    wait_timer timer(ex, wait_time(24));
    co_await timer.async_wait(asio::use_awaitable);
}
inline task<> second_coroutine(asio::any_io_executor const& ex) { co_await third_coroutine(ex); }
inline task<> first_coroutine(asio::any_io_executor const& ex) { co_await second_coroutine(ex); }

// ---- what the kernel says ----

inline double resident_kib() {
    long size = 0, resident = 0;
    std::ifstream("/proc/self/statm") >> size >> resident;
    return double(resident) * double(::sysconf(_SC_PAGESIZE)) / 1024;
}

/// Page tables are the kernel's memory, not in what is resident, but they are charged to the process all the same.
inline double page_tables_kib() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);)
        if (line.starts_with("VmPTE:"))
            return std::stod(line.substr(6));
    return 0;
}

inline long mappings() {
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

inline constexpr std::array kinds{"portals", "coroutines", "pages"};

inline std::unique_ptr<subject> make_subject(std::string_view kind) {
    if (kind == "pages")
        return std::make_unique<pages>();
    return std::make_unique<tasks>(kind == "portals");
}

} // namespace bench::suspended
