// SPDX-License-Identifier: MIT
// What tests/gdb/portals.py looks at: portals of every kind that wait, and some that run, all at the moment when
// `all_in_place` is called. The program then ends by itself, with 0 if every portal went on as if nobody had looked.
//
// With the argument "wait" it writes a line and waits in `all_in_place` until its input ends, for a debugger that
// attaches. With "guards" stacks have the guards that they have in other programs.

#include "support/asio.hpp"
#include "support/one_function.hpp"

#include <greenback/detail/fiber/stack_pool.hpp>

#include <boost/context/fixedsize_stack.hpp>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <semaphore>
#include <utility>

#include <malloc.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

// After a call, so that it is not the last that its function does.
#define GOES_ON asm volatile("" ::: "memory")

namespace {

bool waits_for_debugger = false;
bool failed = false;
int ended = 0; // portals of the main thread

void check(bool ok, char const* what) {
    if (!ok) {
        std::fprintf(stderr, "failed: %s\n", what);
        failed = true;
    }
}

// ---- what waits -----------------------------------------------------------------------------------------------------

asio::steady_timer* the_timer = nullptr; // nobody's time is up before it is cancelled

ONE_FUNCTION int read_line(int session) {
    int volatile line_number = session * 100 + 7;
    try {
        greenback::await_(the_timer->async_wait(test::deferred)); // line: read_line
    } catch (test::system_error const&) {
        GOES_ON;
    }
    return line_number;
}

ONE_FUNCTION int read_line_by_token(int session) {
    int volatile line_number = session * 100 + 8;
    try {
        the_timer->async_wait(greenback::use_portal); // line: read_line_by_token
    } catch (test::system_error const&) {
        GOES_ON;
    }
    return line_number;
}

ONE_FUNCTION void serve(int session) {
    int const line = read_line(session);
    check(line == session * 100 + 7, "the line that was read");
    ++ended;
}

ONE_FUNCTION void serve_mail(int session) {
    greenback::label_portal("mail session");
    serve(session);
    GOES_ON;
}

ONE_FUNCTION void serve_by_token(int session) {
    int const line = read_line_by_token(session);
    check(line == session * 100 + 8, "the line that was read by use_portal");
    ++ended;
}

ONE_FUNCTION asio::awaitable<void> serving_coroutine(int session) {
    serve(session);
    co_return;
}

ONE_FUNCTION asio::awaitable<void> with_portal_ensured(int session) {
    co_await greenback::ensure_portal();
    serve(session);
}

ONE_FUNCTION asio::awaitable<void> by_portal_object(int session) {
    greenback::portal p;
    co_await p.run(serve, session);
}

// A coroutine under await_, which waits: it has no frame on the stack.
asio::awaitable<int> read_file(int session) {
    try {
        co_await the_timer->async_wait(asio::use_awaitable);
    } catch (test::system_error const&) {
    }
    co_return session;
}

ONE_FUNCTION void copy_file(int session) {
    greenback::label_portal("file copy");
    int const result = greenback::await_(read_file(session)); // line: copy_file
    check(result == session, "the result of a coroutine");
    ++ended;
}

// Another one, which calls synchronous code that waits.
ONE_FUNCTION asio::awaitable<int> reading_coroutine(int session) { co_return read_line(session); }

ONE_FUNCTION void serve_through_coroutine(int session) {
    int const line = greenback::await_(reading_coroutine(session));
    check(line == session * 100 + 7, "the line that was read in a coroutine");
    ++ended;
}

// C code in between: the comparison that it calls awaits.
bool compared_first = true;

ONE_FUNCTION int compare(void const* a, void const* b) {
    if (std::exchange(compared_first, false))
        read_line(9);
    return *static_cast<int const*>(a) - *static_cast<int const*>(b);
}

ONE_FUNCTION void sort_slowly(int) {
    int numbers[] = {3, 1, 2};
    std::qsort(numbers, 3, sizeof(int), compare);
    check(numbers[0] == 1 && numbers[1] == 2 && numbers[2] == 3, "what was sorted");
    ++ended;
}

// ---- what runs ------------------------------------------------------------------------------------------------------

/// A thread whose stack lies at a place of our choosing, and which runs a portal that is busy.
struct worker {
    char const* label;
    bool on_task_stack = false; // is what it does on the stack of its task?
    void* stack = nullptr;
    pthread_t thread{};
    std::binary_semaphore is_busy{0}, may_end{0};

    static constexpr std::size_t stack_size = 256 * 1024;

    void start() {
        pthread_attr_t how;
        pthread_attr_init(&how);
        pthread_attr_setstack(&how, stack, stack_size);
        check(pthread_create(&thread, &how, run, this) == 0, "a thread could not be started");
        pthread_attr_destroy(&how);
        is_busy.acquire();
    }
    void end() {
        may_end.release();
        pthread_join(thread, nullptr);
    }

    static void* run(void* self);
};

ONE_FUNCTION void crunch(worker& w) {
    greenback::label_portal(w.label);
    auto const work = [&w] {
        w.is_busy.release();
        w.may_end.acquire();
        GOES_ON;
    };
    if (w.on_task_stack)
        greenback::on_task_stack(work);
    else
        work();
    GOES_ON;
}

ONE_FUNCTION void* worker::run(void* self) {
    asio::io_context loop(1);
    asio::co_spawn(loop, greenback::with_portal_run_sync(crunch, std::ref(*static_cast<worker*>(self))),
                   asio::detached);
    loop.run();
    GOES_ON;
    return nullptr;
}

void* memory_for_stack(std::uintptr_t where) {
    return mmap(reinterpret_cast<void*>(where), worker::stack_size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
                -1, 0);
}

worker above{"above"}, below{"below"}, visitor{"visitor", true};

} // namespace

extern "C" ONE_FUNCTION void wait_for_debugger() {
    if (waits_for_debugger) {
        std::puts("in place");
        std::fflush(stdout);
        char byte;
        while (read(STDIN_FILENO, &byte, 1) > 0) {
        }
    }
    GOES_ON;
}

int volatile steps = 0;

/// Where the debugger looks, and from where it takes some steps.
extern "C" ONE_FUNCTION void all_in_place() {
    wait_for_debugger();
    steps = 1;
    steps = 2;
}

namespace {

// A portal that runs an event loop in which another one runs.
ONE_FUNCTION void nested_portal() {
    greenback::label_portal("nested");
    all_in_place();
    GOES_ON;
}

ONE_FUNCTION void runs_nested_loop() {
    greenback::label_portal("outer");
    asio::io_context loop(1);
    asio::co_spawn(loop, greenback::with_portal_run_sync(nested_portal), asio::detached);
    loop.run();
    GOES_ON;
}

ONE_FUNCTION void start_workers() {
    char const here = 0;
    auto const region = reinterpret_cast<std::uintptr_t>(&here);
    if (reinterpret_cast<std::uintptr_t>(above.stack) < region) // this kernel puts the next above the last
        above.stack = memory_for_stack((region + (std::uintptr_t(1) << 30)) & ~std::uintptr_t(0xffff));
    check(reinterpret_cast<std::uintptr_t>(above.stack) > region, "a thread's stack above the region");
    below.stack = memory_for_stack((region - (std::uintptr_t(1) << 33)) & ~std::uintptr_t(0xffff));
    check(reinterpret_cast<std::uintptr_t>(below.stack) < region, "a thread's stack below the region");
    visitor.stack = memory_for_stack(0);
    above.start();
    below.start();
    visitor.start();
}

} // namespace

int main(int argc, char** argv) {
    waits_for_debugger = argc > 1 && std::strcmp(argv[1], "wait") == 0;
#if defined(PR_SET_PTRACER)
    if (waits_for_debugger)
        prctl(PR_SET_PTRACER, PR_SET_PTRACER_ANY, 0, 0, 0); // for a debugger that did not start this
#endif
    above.stack = memory_for_stack(0); // before there is a region, which the kernel will put below
    greenback::default_stack_size(64 * 1024);
    // gdb can't read guards that the kernel makes without a mapping of their own, and leaves out of the dumps that it
    // writes what lies between them.
    greenback::detail::force_protection_guards(argc < 2 || std::strcmp(argv[1], "guards") != 0);
#if defined(__GLIBC__)
    mallopt(M_ARENA_MAX, 1); // a thread's own would be 64 MiB of the dump
#endif

    asio::io_context loop(1);
    asio::steady_timer timer(loop, std::chrono::hours(24));
    the_timer = &timer;

    asio::co_spawn(loop, greenback::with_portal_run_sync(serve_mail, 1), asio::detached);
    asio::co_spawn(loop, by_portal_object(2), asio::detached);
    asio::co_spawn(loop, greenback::with_portal_run(serving_coroutine, 3), asio::detached);
    asio::co_spawn(loop, greenback::bestow_portal(serving_coroutine(4)), asio::detached);
    asio::co_spawn(loop, with_portal_ensured(5), asio::detached);
    asio::co_spawn(loop, greenback::with_portal_run_sync(serve_by_token, 6), asio::detached);
    asio::co_spawn(asio::make_strand(loop), greenback::with_portal_run_sync(copy_file, 7), asio::detached);
    asio::co_spawn(loop, greenback::with_portal_run_sync(serve_through_coroutine, 8), asio::detached);
    asio::co_spawn(loop, greenback::with_portal_run_sync(sort_slowly, 9), asio::detached);
    asio::co_spawn(
        loop,
        greenback::with_portal_run_sync(std::allocator_arg, boost::context::fixedsize_stack(64 * 1024), serve, 10),
        asio::detached);
    asio::co_spawn(loop, greenback::with_portal_run_sync(start_workers), asio::detached);
    loop.poll();

    asio::co_spawn(loop, greenback::with_portal_run_sync(runs_nested_loop), asio::detached);
    loop.poll();

    for (worker* w : {&above, &below, &visitor})
        w->end();
    timer.cancel();
    loop.run();
    check(ended == 10, "every portal that waited went on");
    return failed ? 1 : 0;
}
