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

/// Two portals on two threads. The second begins later, and the first ends after it, by what orders nothing else: so the
/// report is the same each time, and has both names.
static void race() {
    asio::io_context loop(1), other_loop(1);
    std::atomic<int> counted = 0;
    greenback::spawn(
        loop,
        [&] {
            greenback::label_portal("smtp session");
            ++mails;
            counted.store(1, std::memory_order_relaxed);
            while (counted.load(std::memory_order_relaxed) == 1)
                let_others_run();
        },
        greenback::rethrow);
    greenback::spawn(
        other_loop,
        [&] {
            greenback::label_portal("imap session");
            ++mails;
            counted.store(2, std::memory_order_relaxed);
        },
        greenback::rethrow);
    std::thread other([&] {
        while (counted.load(std::memory_order_relaxed) == 0)
            std::this_thread::yield();
        other_loop.run();
    });
    loop.run();
    other.join();
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
