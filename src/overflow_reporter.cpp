// SPDX-License-Identifier: MIT
// What is said when a portal's stack is used up: the handler of the fault, and the stack it needs on each thread.

#include "at_thread_exit.hpp"
#include "call_site.hpp"
#include "hold_across_fork.hpp"
#include "never_destroyed.hpp"

#include <greenback/detail/fiber/fiber.hpp>
#include <greenback/detail/fiber/portal_base.hpp>
#include <greenback/detail/fiber/stack_pool.hpp>
#include <greenback/detail/fiber/thread_state.hpp>
#include <greenback/stack.hpp>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <source_location>
#include <string_view>

#include <sys/mman.h>
#include <unistd.h>

namespace greenback {
namespace {

std::atomic<bool> reporting{false}; // written once, by report_stack_overflow

constinit detail::never_destroyed<std::mutex> installing; // held while report_stack_overflow installs the handlers

// A fork waits until the handlers are there, or comes before the first of them.
[[maybe_unused]] int const across_fork = detail::hold_across_fork<installing>();

struct handled_signal {
    int number;
    struct sigaction before; // written before our handler is installed, read by it
};
handled_signal handled[] = {{SIGSEGV, {}}, {SIGBUS, {}}};

// One line, put together with nothing but what a signal handler may use.
class line {
public:
    line& operator<<(std::string_view text) noexcept {
        for (char const c : text.substr(0, sizeof text_ - length_))
            text_[length_++] = c;
        return *this;
    }
    line& operator<<(std::size_t number) noexcept {
        char digits[24];
        char* const end = digits + sizeof digits;
        char* first = end;
        do
            *--first = static_cast<char>('0' + number % 10);
        while ((number /= 10) != 0);
        return *this << std::string_view(first, end);
    }
    ~line() {
        if (length_ == sizeof text_) // a name without end
            text_[length_ - 1] = '\n';
        auto const written = ::write(STDERR_FILENO, text_, length_);
        (void)written;
    }

private:
    char text_[2048];
    std::size_t length_ = 0;
};

void report(detail::fiber const& f, std::source_location const& last) noexcept {
    line out;
    out << "greenback: stack overflow in a portal: " << f.stack.size / 1024 << " KiB stack, ";
    if (last.line() == 0)
        out << "no await_ yet";
    else if (detail::is_use_portal(last))
        out << "last waited for " << detail::operation_at(last) << " by use_portal";
    else if (auto const call = detail::blocking_call_at(last); !call.empty())
        out << "last waited in " << call;
    else
        out << "last await_ at " << last.file_name() << ":" << std::size_t(last.line());
    out << "; give it more: with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(bytes), ...) or "
           "greenback::default_stack_size(bytes)\n";
}

// Does `address` lie below the end of this thread's portal's stack, in its guard?
bool overflows(detail::fiber const& f, void const* address) noexcept {
    // Nothing but a guard can fault inside a stack either: Boost's protected_fixedsize_stack counts its own in the
    // size.
    auto const top = reinterpret_cast<std::uintptr_t>(f.stack.sp);
    return top - reinterpret_cast<std::uintptr_t>(address) - 1 < f.stack.size + detail::stack_guard_size();
}

void pass_on(handled_signal& to, siginfo_t* info, void* context) noexcept {
    int const number = to.number;
    if ((to.before.sa_flags & SA_SIGINFO) != 0)
        return to.before.sa_sigaction(number, info, context);
    if (to.before.sa_handler != SIG_DFL && to.before.sa_handler != SIG_IGN)
        return to.before.sa_handler(number);
    bool const sent = info->si_code <= 0; // by kill() or the like: no instruction will repeat it
    if (sent && to.before.sa_handler == SIG_IGN)
        return;
    ::sigaction(number, &to.before, nullptr);
    if (sent)
        ::raise(number); // blocked until this handler has returned
}

void on_fault(int number, siginfo_t* info, void* context) noexcept {
    int const error = errno;
    handled_signal& mine = number == SIGSEGV ? handled[0] : handled[1];
    detail::portal_base const* const portal = info->si_code > 0 ? detail::raw_current_portal() : nullptr;
    if (portal && overflows(portal->own_fiber(), info->si_addr)) {
        report(portal->own_fiber(), portal->is_prepared() ? portal->site : std::source_location());
        // The instruction that faulted runs again, and whoever was here before us sees the fault as if we had not been.
        ::sigaction(number, &mine.before, nullptr);
    } else
        pass_on(mine, info, context);
    errno = error;
}

// A handler needs a stack, and the one that overflowed has no room. The system keeps one such stack per thread; if it
// is there already (AddressSanitizer's, a test framework's), it will do.

// Committed as it is touched. With AVX-512 and AMX the registers alone take 11 KiB, and handlers before ours run on it.
constexpr std::size_t alternate_bytes = std::size_t(128) * 1024;

/// @param base of the stack that this thread was given
void give_alternate_stack_back(void* base) noexcept {
    stack_t now{};
    if (::sigaltstack(nullptr, &now) != 0)
        return;
    if (now.ss_sp == base) {
        stack_t none{};
        none.ss_flags = SS_DISABLE;
        none.ss_size = alternate_bytes; // some systems check it all the same
        if (::sigaltstack(&none, nullptr) != 0)
            return; // the thread ended in a signal handler: we are on it
    }
    ::munmap(base, alternate_bytes);
}

[[gnu::init_priority(101)]] detail::at_thread_exit<give_alternate_stack_back> const cleanup;

} // namespace

void detail::watch_for_overflow() noexcept {
    if (!reporting.load(std::memory_order_acquire) || cleanup.asked())
        return;
    stack_t now{};
    if (::sigaltstack(nullptr, &now) != 0 || (now.ss_flags & SS_DISABLE) == 0)
        return;
    stack_t ours{};
    ours.ss_size = alternate_bytes;
    ours.ss_sp = ::mmap(nullptr, alternate_bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (ours.ss_sp == MAP_FAILED)
        return; // this thread's overflows go unreported
    if (!cleanup.ask(ours.ss_sp) || ::sigaltstack(&ours, nullptr) != 0) {
        cleanup.ask(nullptr);
        ::munmap(ours.ss_sp, alternate_bytes);
    }
}

void report_stack_overflow() noexcept {
    {
        std::scoped_lock const lock(*installing);
        if (!reporting.load(std::memory_order_relaxed)) {
            for (handled_signal& s : handled) {
                // Asked for first: our handler may be needed before a single call has answered and installed.
                ::sigaction(s.number, nullptr, &s.before);
                struct sigaction ours = s.before;
                ours.sa_sigaction = on_fault;
                ours.sa_flags = (s.before.sa_flags & (SA_NODEFER | SA_RESTART)) | SA_SIGINFO | SA_ONSTACK;
                ::sigaction(s.number, &ours, nullptr);
            }
            reporting.store(true, std::memory_order_release);
            detail::renew_caches(); // so that the threads that have portals already come by
        }
    }
    detail::watch_for_overflow();
}

} // namespace greenback
