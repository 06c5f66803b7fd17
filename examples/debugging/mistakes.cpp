// SPDX-License-Identifier: MIT
// For docs/debugging.md: mistakes in synchronous code on portals, which a tool finds. `mistakes use-after-free`, …

#include <greenback/dump_portals.hpp>
#include <greenback/greenback.hpp>
#include <greenback/stack_use.hpp>

#include <asio.hpp>

#include <atomic>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

static void let_others_run() { greenback::await_(asio::post(asio::use_awaitable)); }

// --- A pointer into a line that is gone -----------------------------------------------------------------------------

struct session {
    std::unique_ptr<char[]> line;

    [[gnu::noinline]] void read_line(char const* text) {
        let_others_run();
        line.reset(new char[std::strlen(text) + 1]);
        std::strcpy(line.get(), text);
    }
};

[[gnu::noinline]] static void use_after_free() {
    session s;
    s.read_line("MAIL FROM:<a>");
    char const* const first = s.line.get();
    s.read_line("QUIT"); // frees what `first` points to
    std::printf("%c\n", *first);
}

// --- A counter without a lock ---------------------------------------------------------------------------------------

static int mails = 0;

/// Two portals on two threads. The second begins when the first has counted, and nothing but a relaxed atomic says so: it
/// is a race, and is reported the same each time.
static void race() {
    asio::io_context loop(1), other_loop(1);
    asio::steady_timer end(loop, asio::steady_timer::time_point::max());
    greenback::spawn(
        loop,
        [&] {
            greenback::label_portal("smtp session");
            ++mails;
            greenback::error_code ended;
            greenback::await_(end.async_wait(asio::redirect_error(asio::use_awaitable, ended)));
        },
        greenback::rethrow);
    greenback::spawn(
        other_loop,
        [] {
            greenback::label_portal("imap session");
            ++mails;
        },
        greenback::rethrow);
    std::atomic<bool> counted = false;
    std::thread other([&] {
        while (!counted.load(std::memory_order_relaxed))
            std::this_thread::yield();
        other_loop.run();
    });
    loop.poll();
    counted.store(true, std::memory_order_relaxed);
    other.join();
    end.cancel();
    loop.run();
    std::printf("%d mails\n", mails);
}

// --- Memory that nobody gives back ----------------------------------------------------------------------------------

[[gnu::noinline]] static void leak() {
    for (int i = 0; i < 100; ++i) {
        let_others_run();
        char* const volatile kept = new char[1000];
        *kept = 0;
    }
}

// --- Too deep a recursion -------------------------------------------------------------------------------------------

[[gnu::noinline]] static int depth_of(int level) {
    char volatile buffer[1000];
    buffer[0] = 1;
    int const below = level == 0 ? 0 : depth_of(level - 1);
    return below + buffer[0];
}

static void overflow() {
    let_others_run();
    depth_of(1'000);
}

static void high_water() {
    let_others_run();
    depth_of(100);
    std::printf("left: %zu KiB\n", greenback::remaining_stack() / 1024);
}

int main(int argc, char** argv) {
    std::string_view const mistake = argc == 2 ? argv[1] : "";
    if (mistake == "race")
        return race(), 0;
    greenback::report_stack_overflow();
    greenback::measure_stack_use(true);
    void (*const run)() = mistake == "use-after-free" ? use_after_free
                          : mistake == "leak"         ? leak
                          : mistake == "overflow"     ? overflow
                                                      : high_water;
    asio::io_context loop;
    greenback::spawn(loop, run, greenback::rethrow);
    loop.run();
    std::printf("deepest portal: %zu KiB\n", greenback::stack_high_water() / 1024);
}
