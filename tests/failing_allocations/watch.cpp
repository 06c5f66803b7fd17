// SPDX-License-Identifier: MIT

#include "failing_allocations/watch.hpp"

#include "support/child.hpp"

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <iterator>

#include <execinfo.h>
#include <unistd.h>

namespace failing {
namespace {

constexpr int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGALRM};

constinit char const* current_program = nullptr;
constinit plan current_plan;

void report_death(char const* how) noexcept {
    static constinit char text[300];
    auto const n = std::snprintf(text, sizeof text, "\n%s: in \"%s\" where allocation %ld %s. It was asked for by:\n",
                                 how, current_program ? current_program : "?", current_plan.first,
                                 current_plan.and_all_after ? "and all after it failed" : "failed");
    test::say(n > 0 ? text : how);
    ::backtrace_symbols_fd(first_failure().data(), static_cast<int>(first_failure().size()), STDERR_FILENO);
    test::say("\nand this is:\n");
    void* here[64];
    ::backtrace_symbols_fd(here, ::backtrace(here, 64), STDERR_FILENO);
}

extern "C" void report_signal(int number) {
    report_death(number == SIGALRM ? "hung" : number == SIGSEGV ? "crashed (SIGSEGV)" : "crashed");
    std::signal(number == SIGALRM ? SIGABRT : number, SIG_DFL);
    ::raise(number == SIGALRM ? SIGABRT : number);
}

} // namespace

watch::watch(char const* program) noexcept
    : terminate_(std::set_terminate([] {
          end();
          report_death("std::terminate");
          std::signal(SIGABRT, SIG_DFL);
          std::abort();
      })) {
    static_assert(std::size(signals) == count);
    current_program = program;
    for (int i = 0; i != count; ++i)
        before_[i] = std::signal(signals[i], report_signal);
}

watch::~watch() {
    ::alarm(0);
    std::set_terminate(terminate_);
    for (int i = 0; i != count; ++i)
        std::signal(signals[i], before_[i]);
}

void watch::plan_is(plan p) noexcept { current_plan = p; }

} // namespace failing
