// SPDX-License-Identifier: MIT
// Backtraces through a fiber's first frame: what gdb, AddressSanitizer and std::terminate show of code in a portal.

#include "support/asio.hpp"
#include "support/awaitables.hpp"
#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/event_loop.hpp"
#include "support/every_kind.hpp"
#include "support/one_function.hpp"
#include "support/sanitizers.hpp"
#include "support/tasks.hpp"

#include "../src/saved_context.hpp"

#include <greenback/detail/fiber/fiber.hpp>
#include <greenback/detail/fiber/thread_state.hpp>
#include <greenback/on_task_stack.hpp>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <iterator>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <thread>
#include <vector>

#include <sys/time.h>
#include <ucontext.h>
#include <unwind.h>
#if defined(__x86_64__)
#include <x86intrin.h>
#endif

#if defined(GREENBACK_CONTEXT_KNOWN)

using greenback::await_;
using greenback::use_portal;

namespace {

/// The functions that the caller is in, innermost first; each frame is looked at whether its stack pointer is above that
/// of the frame it called, or on another stack.
struct frames {
    std::vector<void*> functions;

    [[gnu::noinline]] static frames here() {
        frames result;
        _Unwind_Backtrace(
            [](_Unwind_Context* context, void* to) {
                if (void* const pc = reinterpret_cast<void*>(_Unwind_GetIP(context)))
                    static_cast<frames*>(to)->functions.push_back(
                        _Unwind_FindEnclosingFunction(static_cast<char*>(pc) - 1));
                return _URC_NO_REASON;
            },
            &result);
        return result;
    }

    template <class Function> std::ptrdiff_t depth_of(Function* function) const {
        auto const at = std::find(functions.begin(), functions.end(), reinterpret_cast<void*>(function));
        return at == functions.end() ? -1 : at - functions.begin();
    }
};

frames seen;

ONE_FUNCTION void innermost() {
    seen = frames::here();
    asm volatile("");
}
ONE_FUNCTION void outer() {
    innermost();
    asm volatile("");
}

ONE_FUNCTION void run_the_loop(asio::io_context& context) {
    test::run_all(context);
    asm volatile("");
}
ONE_FUNCTION void run_the_thread(asio::io_context& context) {
    run_the_loop(context);
    asm volatile("");
}

void check_that_the_loop_is_seen() {
    std::ptrdiff_t const inner = seen.depth_of(&innermost);
    REQUIRE(inner >= 0);
    CHECK(seen.depth_of(&outer) > inner);
    CHECK(seen.depth_of(&run_the_loop) > seen.depth_of(&outer));
    CHECK(seen.functions.size() < 200);
}

} // namespace

TEST_CASE("a backtrace in a portal goes on into the event loop", "[backtrace]") {
    FOR_EVERY_KIND_OF_PORTAL(how);
    asio::io_context context(1);
    SECTION("when it was entered first") {
        test::spawn(context, test::in_portal(how, outer));
        run_the_loop(context);
        check_that_the_loop_is_seen();
    }
    SECTION("when it goes on after an await") {
        test::spawn(context, test::in_portal(how, [] {
                        await_(test::yield_now());
                        outer();
                    }));
        run_the_loop(context);
        check_that_the_loop_is_seen();
    }
    SECTION("when it goes on after an operation") {
        test::spawn(context, test::in_portal(how, [&] {
                        asio::post(context, use_portal);
                        outer();
                    }));
        run_the_loop(context);
        check_that_the_loop_is_seen();
    }
    SECTION("on another thread") {
        test::spawn(context, test::in_portal(how, [] {
                        await_(test::yield_now());
                        outer();
                    }));
        std::thread([&] { run_the_thread(context); }).join();
        check_that_the_loop_is_seen();
        CHECK(seen.depth_of(&run_the_thread) > seen.depth_of(&run_the_loop));
    }
}

TEST_CASE("a backtrace goes on through a portal inside a portal", "[backtrace]") {
    asio::io_context context(1);
    struct middle {
        ONE_FUNCTION static void run() {
            await_([]() -> asio::awaitable<void> {
                greenback::portal inner;
                co_await inner.run(outer);
            }());
            asm volatile("");
        }
    };
    test::spawn(context, greenback::with_portal_run_sync(middle::run));
    run_the_loop(context);
    check_that_the_loop_is_seen();
    CHECK(seen.depth_of(&middle::run) > seen.depth_of(&outer));
    CHECK(seen.depth_of(&run_the_loop) > seen.depth_of(&middle::run));
}

TEST_CASE("a backtrace on the task's stack goes on into the event loop, and so does one after that", "[backtrace]") {
    asio::io_context context(1);
    struct caller {
        ONE_FUNCTION static void run() {
            outer();
            asm volatile("");
        }
    };
    std::vector<frames> all;
    test::spawn(context, greenback::with_portal_run_sync([&] {
                    for (int i = 0; i != 2; ++i) {
                        greenback::on_task_stack(caller::run); // the second time, the visit is there already
                        all.push_back(seen);
                        outer();
                        all.push_back(seen);
                        await_(test::yield_now());
                    }
                    greenback::on_task_stack(caller::run);
                    greenback::on_task_stack(caller::run);
                    all.push_back(seen);
                }));
    run_the_loop(context);
    REQUIRE(all.size() == 5);
    for (frames const& f : all) {
        seen = f;
        check_that_the_loop_is_seen();
    }
}

TEST_CASE("a backtrace of portals on other stacks", "[backtrace]") {
    asio::io_context context(1);
    test::spawn(context, greenback::with_portal_run_sync(std::allocator_arg,
                                                         greenback::pooled_stack(std::size_t(64) * 1024), outer));
    run_the_loop(context);
    check_that_the_loop_is_seen();
}

#if defined(TEST_UNDER_ASAN)
TEST_CASE("AddressSanitizer's report goes on into the event loop, and has no call that is none", "[backtrace]") {
    struct wrong {
        ONE_FUNCTION static int read(int const volatile* p) { return *p; }
        ONE_FUNCTION static void run() {
            auto owner = std::make_unique<int>(1);
            int const* const p = owner.get();
            asio::post(await_(asio::this_coro::executor), use_portal);
            owner.reset();
            read(p);
            asm volatile("");
        }
    };
    auto const ended = test::in_child([] {
        asio::io_context context(1);
        test::spawn(context, greenback::with_portal_run_sync(wrong::run));
        run_the_loop(context);
        return 0;
    });
    CAPTURE(ended.said);
    REQUIRE(test::contains(ended.said, "heap-use-after-free"));
    std::string_view report = ended.said;
    std::string_view const fault = report.substr(0, report.find("freed by"));
    CHECK(test::contains(report, "freed by"));
    if (test::contains(fault, "wrong::run")) // otherwise there is nobody who tells it names
        CHECK(test::contains(fault, "run_the_loop"));
    else
        WARN("skipped: AddressSanitizer has no symbolizer here");
    CHECK(!test::contains(report, "<unknown module>")); // where frame pointers are followed
}
#endif

// ---- what must not follow from it ------------------------------------------------------------------------------------

TEST_CASE("an exception that a fiber's job throws ends the program, whoever has entered it", "[backtrace]") {
    auto const ended = test::in_child([] {
        std::set_terminate([] {
            test::say("terminated");
            ::_exit(3);
        });
        try {
            greenback::detail::fiber& f = greenback::detail::borrow_fiber(greenback::detail::this_thread());
            f.start([](void*) { throw std::runtime_error("from a job"); }, nullptr);
            greenback::detail::switch_in(f);
        } catch (...) {
            return 1; // it has gone through the first frame
        }
        return 2;
    });
    CHECK(ended.exited_with(3));
    CHECK(ended.said == "terminated");
}

#if !defined(TEST_UNDER_TSAN) // which runs handlers where it likes
namespace {

void take_backtrace() {
    _Unwind_Backtrace([](_Unwind_Context* context,
                         void*) { return _Unwind_GetIP(context) == 0 ? _URC_END_OF_STACK : _URC_NO_REASON; },
                      nullptr);
}

} // namespace

#if defined(__x86_64__)
TEST_CASE("a backtrace can be taken at each instruction of a switch", "[backtrace]") {
    // The processor's trap flag has the kernel send a signal after each instruction.
    constexpr unsigned long long trap_flag = 0x100;
    static int samples = 0;
    samples = 0;
    struct sigaction action{};
    struct sigaction before{};
    action.sa_handler = [](int) {
        take_backtrace();
        ++samples;
    };
    frames::here(); // loads what it takes
    REQUIRE(::sigaction(SIGTRAP, &action, &before) == 0);
    asio::io_context context(1);
    for (int i = 0; i != 3; ++i) {
        test::spawn(context, test::in_portal(test::kind_in_turn(i), [&] {
                        asio::post(context, use_portal); // the first is not like the others
                        __writeeflags(__readeflags() | trap_flag);
                        asio::post(context, use_portal); // the flag is the thread's: it stays set in the event loop
                        await_(test::yield_now());
                        __writeeflags(__readeflags() & ~trap_flag);
                    }));
        test::run_all(context);
    }
    ::sigaction(SIGTRAP, &before, nullptr);
    CHECK(samples > 300);
}
#endif

TEST_CASE("a profiler may take backtraces at any instruction", "[backtrace]") {
    // As gperftools and others do, by a timer's signal.
    static int samples = 0;
    struct sigaction action{};
    struct sigaction before{};
    action.sa_sigaction = [](int, siginfo_t*, void*) {
        take_backtrace();
        ++samples;
    };
    action.sa_flags = SA_RESTART | SA_SIGINFO;
    frames::here(); // loads what it takes
    REQUIRE(::sigaction(SIGPROF, &action, &before) == 0);
    itimerval const each{{0, 500}, {0, 500}}; // 0.5 ms
    ::setitimer(ITIMER_PROF, &each, nullptr);
    asio::io_context context(1);
    for (int i = 0; i != 3; ++i)
        test::spawn(context, test::in_portal(test::kind_in_turn(i), [&] {
                        while (samples < 200)
                            for (int n = 0; n != 100; ++n)
                                if (n % 2 == 0)
                                    asio::post(context, use_portal);
                                else
                                    await_(test::yield_now());
                    }));
    test::run_all(context);
    itimerval const off{};
    ::setitimer(ITIMER_PROF, &off, nullptr);
    ::sigaction(SIGPROF, &before, nullptr);
    CHECK(samples >= 200);
}
#endif

// ---- where Boost.Context keeps the registers ---------------------------------------------------------------------------

namespace {

using registers = std::array<std::uint64_t, std::size(greenback::detail::saved_context::places)>;

constexpr registers known_values = [] {
    registers values{};
    for (std::size_t i = 0; i != values.size(); ++i)
        values[i] = 0x1111111111111111 * (i + 1);
    return values;
}();

/// Goes out of the fiber with known values in all registers that `jump_fcontext` saves.
#if defined(GREENBACK_CONTEXT_X86_64)
extern "C" void backtrace_test_leave(void* to, void* jump, std::uint64_t const* values);
asm(R"(
    .pushsection .text
    .hidden backtrace_test_leave
    .globl backtrace_test_leave
    .type backtrace_test_leave, @function
backtrace_test_leave:
    pushq %rbx
    pushq %rbp
    pushq %r12
    pushq %r13
    pushq %r14
    pushq %r15
    subq $8, %rsp
    movq %rsi, %rax
    movq 0(%rdx), %rbx
    movq 8(%rdx), %rbp
    movq 16(%rdx), %r12
    movq 24(%rdx), %r13
    movq 32(%rdx), %r14
    movq 40(%rdx), %r15
    xorl %esi, %esi
    call *%rax
    .globl backtrace_test_left
    .hidden backtrace_test_left
backtrace_test_left:
    addq $8, %rsp
    popq %r15
    popq %r14
    popq %r13
    popq %r12
    popq %rbp
    popq %rbx
    ret
    .size backtrace_test_leave, .-backtrace_test_leave
    .popsection
)");
#else
extern "C" void backtrace_test_leave(void* to, void* jump, std::uint64_t const* values);
asm(R"(
    .pushsection .text
    .hidden backtrace_test_leave
    .globl backtrace_test_leave
    .type backtrace_test_leave, %function
backtrace_test_leave:
    stp x19, x20, [sp, #-96]!
    stp x21, x22, [sp, #16]
    stp x23, x24, [sp, #32]
    stp x25, x26, [sp, #48]
    stp x27, x28, [sp, #64]
    stp x29, x30, [sp, #80]
    mov x9, x1
    ldp x19, x20, [x2]
    ldp x21, x22, [x2, #16]
    ldp x23, x24, [x2, #32]
    ldp x25, x26, [x2, #48]
    ldp x27, x28, [x2, #64]
    ldr x29, [x2, #80]
    mov x1, xzr
    blr x9
    .globl backtrace_test_left
    .hidden backtrace_test_left
backtrace_test_left:
    ldp x29, x30, [sp, #80]
    ldp x27, x28, [sp, #64]
    ldp x25, x26, [sp, #48]
    ldp x23, x24, [sp, #32]
    ldp x21, x22, [sp, #16]
    ldp x19, x20, [sp], #96
    ret
    .size backtrace_test_leave, .-backtrace_test_leave
    .popsection
)");
#endif
extern "C" char const backtrace_test_left;

} // namespace

TEST_CASE("the registers of who has left a stack are where saved_context.hpp says", "[backtrace]") {
    if (test::sanitized) {
        WARN("skipped: the sanitizer is not told of these switches");
        return;
    }
    namespace saved = greenback::detail::saved_context;
    static std::array<unsigned char, 64 * 1024> stack;
    boost::context::detail::fcontext_t const begin = boost::context::detail::make_fcontext(
        stack.data() + stack.size(), stack.size(), [](boost::context::detail::transfer_t from) {
            backtrace_test_leave(from.fctx, reinterpret_cast<void*>(&boost::context::detail::jump_fcontext),
                                 known_values.data());
        });
    auto const place = static_cast<unsigned char const*>(boost::context::detail::jump_fcontext(begin, nullptr).fctx);
    for (std::size_t i = 0; i != known_values.size(); ++i) {
        std::uint64_t found = 0;
        std::memcpy(&found, place + saved::places[i].offset, sizeof found);
        CAPTURE(i);
        if (saved::places[i].register_number == 30) // AArch64's x30: where the call returns to
            CHECK(found == reinterpret_cast<std::uintptr_t>(&backtrace_test_left));
        else
            CHECK(found == known_values[i]);
    }
    std::uint64_t pc = 0;
    std::memcpy(&pc, place + saved::program_counter, sizeof pc);
    CHECK(pc == reinterpret_cast<std::uintptr_t>(&backtrace_test_left));
}

#else
TEST_CASE("backtraces end at the beginning of a portal", "[backtrace]") {
    WARN("skipped: not known how Boost.Context saves registers here");
}
#endif
