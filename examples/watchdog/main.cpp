// SPDX-License-Identifier: MIT
// A watchdog reports who keeps an event loop from its other tasks: which portal, where it has awaited last, and what it
// computes now, by a backtrace that the thread of the loop prints itself.

#include <greenback/dump_portals.hpp>
#include <greenback/greenback.hpp>

#include <asio.hpp>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <execinfo.h>
#include <memory>
#include <pthread.h>
#include <thread>
#include <unistd.h>

// [watchdog]
/// Watches an event loop that the calling thread is going to run until it is stopped: the heartbeats are work. (A pool
/// of threads has none that must answer. Compare the portals that run now with those of a second ago, by `id` and `site`.)
class watchdog {
public:
    watchdog(asio::io_context& loop, std::chrono::nanoseconds limit)
        : loop_(loop), limit_(limit), runner_(::pthread_self()) {
        ::pthread_getcpuclockid(runner_, &clock_);
        void* frame;
        ::backtrace(&frame, 1); // loads libgcc, which a signal's handler must not
        struct sigaction action{};
        action.sa_handler = say_where;
        action.sa_flags = SA_RESTART;
        ::sigaction(SIGUSR2, &action, nullptr);
        thread_ = std::jthread([this](std::stop_token const& stop) { watch(stop); });
    }

    int reports() const { return reports_; }

private:
    void watch(std::stop_token const& stop) {
        while (!stop.stop_requested()) {
            auto const beaten = std::make_shared<std::atomic<bool>>(false);
            asio::post(loop_, [beaten] { *beaten = true; });
            auto const start = time_used();
            bool told = false;
            while (!*beaten && !stop.stop_requested()) {
                std::this_thread::sleep_for(limit_ / 10);
                if (!told && !*beaten && time_used() - start > limit_) {
                    report();
                    told = true;
                }
            }
        }
    }

    /// Processor time of the loop's thread: neither that it waits for something counts, nor that the machine is busy.
    /// The clock of the day finds calls that block, too, but has to be given a longer limit.
    std::chrono::nanoseconds time_used() const {
        timespec t{};
        ::clock_gettime(clock_, &t);
        return std::chrono::seconds(t.tv_sec) + std::chrono::nanoseconds(t.tv_nsec);
    }

    void report() {
        std::fprintf(stderr, "watchdog: something keeps the event loop\n");
        auto const print = [](greenback::portal_info const& p, void*) {
            if (p.state == greenback::portal_state::running)
                std::fprintf(stderr, "portal \"%s\", last await_ at %s:%u\n", p.label ? p.label : "",
                             p.site.file_name(), static_cast<unsigned>(p.site.line()));
        };
        greenback::for_each_portal(print, nullptr);
        said_where = false;
        ::pthread_kill(runner_, SIGUSR2);
        while (!said_where)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        ++reports_;
    }

    /// Runs on the stack of the code that it interrupts. So its backtrace is that of the portal, and goes on with the
    /// event loop, which has resumed the portal.
    static void say_where(int) {
        int const error = errno;
        void* frames[64];
        ::backtrace_symbols_fd(frames, ::backtrace(frames, 64), STDERR_FILENO);
        said_where = true;
        errno = error;
    }

    static inline std::atomic<bool> said_where = false;
    asio::io_context& loop_;
    std::chrono::nanoseconds limit_;
    pthread_t runner_;
    clockid_t clock_{};
    std::atomic<int> reports_ = 0;
    std::jthread thread_; // the last, since it uses the others
};
// [/watchdog]

/// Keeps the loop until the watchdog has said so. Not in a namespace without a name: its own would not be shown.
[[gnu::noinline]] long count_primes(watchdog const& dog) {
    long count = 0;
    for (long n = 2; dog.reports() == 0; ++n) {
        bool prime = true;
        for (long d = 2; d * d <= n && prime; ++d)
            prime = n % d != 0;
        count += prime ? 1 : 0;
    }
    return count;
}

static void wait(std::chrono::milliseconds time) {
    asio::steady_timer timer(greenback::await_(asio::this_coro::executor), time);
    greenback::await_(timer.async_wait(asio::use_awaitable));
}

int main() {
    asio::io_context loop;
    watchdog const dog(loop, std::chrono::milliseconds(100));

    for (int i = 0; i < 3; ++i)
        greenback::spawn(
            loop,
            [] {
                greenback::label_portal("chat"); // does as it should, and is not told of
                for (;;)
                    wait(std::chrono::milliseconds(1));
            },
            greenback::rethrow);
    greenback::spawn(
        loop,
        [&] {
            greenback::label_portal("statistics");
            greenback::await_(asio::post(asio::use_awaitable)); // the last await_
            std::printf("%s\n", count_primes(dog) > 0 ? "primes counted" : "no primes");
            loop.stop();
        },
        greenback::rethrow);
    loop.run();
}
