// SPDX-License-Identifier: MIT

#include "failing_allocations/harness.hpp"

#include "failing_allocations/watch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <iterator>
#include <new>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include <cxxabi.h>
#include <execinfo.h>
#include <unistd.h>

namespace failing {
namespace {

// ---- one run -----------------------------------------------------------------------------------------------------------

struct run_result {
    long allocations = 0;
    long failures = 0;
    std::exception_ptr thrown;
};

/// On a thread of its own: whatever a thread keeps is cold at its beginning, and given back at its end.
run_result run_once(void (*program)(), plan p) {
    watch::plan_is(p);
    run_result result;
    std::thread([&] {
        begin(p);
        try {
            program();
        } catch (...) {
            relent();
            result.thrown = std::current_exception();
        }
        result.allocations = end();
        result.failures = failures();
    }).join();
    return result;
}

std::string type_of(std::exception_ptr const& e) {
    try {
        std::rethrow_exception(e);
    } catch (std::exception const& x) {
        return std::string(typeid(x).name()) + ": " + x.what();
    } catch (...) {
        std::type_info const* const t = abi::__cxa_current_exception_type();
        return t ? t->name() : "something";
    }
}

std::size_t open_descriptors() {
    return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {}));
}

/// What is wrong with a run, if anything is.
std::optional<std::string> fault_of(run_result const& r) {
    if (r.thrown && !tells_of_memory(r.thrown))
        return "it threw " + type_of(r.thrown);
    if (r.thrown && r.failures == 0)
        return "it told of memory where there was enough: " + type_of(r.thrown);
    auto const s = greenback::stats();
    if (s.live != 0 || s.suspended != 0)
        return "it left " + std::to_string(s.live) + " portals behind, " + std::to_string(s.suspended) + " suspended";
    return std::nullopt;
}

/// A run without a failure. @returns what is wrong with it, if anything is
std::optional<std::string> fault_without_failure(void (*program)()) {
    auto const r = run_once(program, {});
    if (r.thrown)
        return "afterwards the program threw " + type_of(r.thrown);
    return fault_of(r);
}

/// What grows by each of three runs is a leak. What is there once more may be the library's, or the C library's, for
/// good: a region of the pool, a thread's stack.
template <class Count> bool grows(void (*program)(), plan p, Count count) {
    auto before = count();
    for (int i = 0; i != 3; ++i) {
        run_once(program, p);
        auto const now = count();
        if (now <= before)
            return false;
        before = now;
    }
    return true;
}

std::string place() {
    std::string text;
    auto const frames = first_failure();
    char** const names = ::backtrace_symbols(frames.data(), static_cast<int>(frames.size()));
    for (std::size_t i = 0; names && i != frames.size(); ++i)
        (text += "\n    ") += names[i];
    std::free(names);
    return text;
}

std::string at(plan p) {
    return "where allocation " + std::to_string(p.first) + (p.and_all_after ? " and all after it fail: " : " fails: ");
}

struct tally {
    long runs = 0, told = 0, got_over_it = 0;
};

// ---- in this process ---------------------------------------------------------------------------------------------------

void check_here(void (*program)(), bool and_all_after, tally& t, std::vector<std::string>& faults) {
    for (int i = 0; i != 3; ++i)
        if (auto const fault = fault_without_failure(program))
            return faults.push_back(*fault);
    auto const descriptors = open_descriptors();
    for (plan p{1, and_all_after};; ++p.first) {
        ::alarm(15);
        auto const live_before = live();
        auto const r = run_once(program, p);
        if (r.failures == 0)
            break; // it has no more allocations than that
        std::string const where = place();
        ++t.runs;
        ++(r.thrown ? t.told : t.got_over_it);
        auto fault = fault_of(r);
        if (!fault && live() > live_before && grows(program, p, live))
            fault = "memory was leaked";
        if (!fault && open_descriptors() > descriptors)
            fault = "descriptors were leaked";
        if (!fault)
            fault = fault_without_failure(program);
        if (fault)
            faults.push_back(at(p) + *fault + where);
    }
    ::alarm(0);
}

// ---- in a process of its own ---------------------------------------------------------------------------------------------

constexpr int told = 0, got_over_it = 1, no_failure = 2, at_fault = 3, leaked = 4, hung = 5;

int run_in_child(void (*program)(), plan p) {
    ::alarm(15);
    auto const r = run_once(program, p);
    if (r.failures == 0)
        return no_failure;
    std::string const where = place();
    auto fault = fault_of(r);
    auto const descriptors = open_descriptors();
    for (int i = 0; !fault && i != 2; ++i)
        fault = fault_without_failure(program);
    if (!fault && open_descriptors() > descriptors)
        fault = "descriptors were leaked";
    if (fault) {
        test::say((*fault + where).c_str());
        return at_fault;
    }
    return r.thrown ? told : got_over_it;
}

[[maybe_unused]] void check_in_children(char const* name, void (*program)(), bool and_all_after, tally& t,
                                        std::vector<std::string>& faults) {
    for (plan p{1, and_all_after};; ++p.first) {
        auto const o = test::in_child([&] {
            watch const w(name);
            return run_in_child(program, p);
        });
        if (o.exited_with(no_failure))
            return;
        ++t.runs;
        if (o.exited_with(told) || o.exited_with(got_over_it))
            ++(o.exited_with(told) ? t.told : t.got_over_it);
        else
            faults.push_back("in a new process, " + at(p) + o.said);
    }
}

} // namespace

ends ends_of(void (*program)(), bool and_all_after) {
    ends result;
    for (plan p{1, and_all_after, false};; ++p.first) {
        auto const o = test::in_child([&] {
            std::signal(SIGALRM, [](int) { ::_exit(hung); });
            ::alarm(3);
            for (int i = 0; i != 3; ++i)
                run_once(program, {});
            auto const r = run_once(program, p);
            if (r.failures == 0)
                return no_failure;
            if (r.thrown && !tells_of_memory(r.thrown))
                return at_fault;
            return grows(program, p, live) ? leaked : told;
        });
        if (o.exited_with(no_failure))
            return result;
        ++(o.exited_with(told)       ? result.survived
           : o.exited_with(leaked)   ? result.leaked
           : o.exited_with(hung)     ? result.hung
           : o.exited_with(at_fault) ? result.lost
                                     : result.died);
    }
}

bool tells_of_memory(std::exception_ptr const& e) noexcept {
    try {
        std::rethrow_exception(e);
    } catch (std::bad_alloc const&) {
        return true;
    } catch (test::system_error const& error) {
        return error.code() == asio::error::no_memory;
    } catch (asio::multiple_exceptions const& several) {
        return several.first_exception() && tells_of_memory(several.first_exception());
    } catch (...) {
        return false;
    }
}

void drain(asio::io_context& context) {
    std::exception_ptr first;
    for (int exceptions = 0; exceptions != 1000; ++exceptions) {
        try {
            context.restart();
            context.run_for(std::chrono::seconds(10));
            if (!context.stopped())
                throw wrong("the event loop still has work to do after a long time");
            if (first)
                std::rethrow_exception(first);
            return;
        } catch (wrong const&) {
            throw;
        } catch (...) {
            relent();
            if (first && context.stopped())
                throw;
            if (!first || (!tells_of_memory(first) && tells_of_memory(std::current_exception())))
                first = std::current_exception();
        }
    }
    throw wrong("exceptions without end");
}

void check_program(char const* name, void (*program)()) {
    INFO(name);
    tally t;
    std::vector<std::string> faults;
#if !defined(TEST_UNDER_TSAN)
    // First: nothing of the library was used in this process yet, if the test case is alone in it, as CTest has it.
    for (bool const and_all_after : {false, true})
        check_in_children(name, program, and_all_after, t, faults);
#endif
    if (faults.empty() || std::getenv("FAILING_ALLOCATIONS_HERE")) {
        watch const w(name);
        for (bool const and_all_after : {false, true})
            check_here(program, and_all_after, t, faults);
    }
    for (auto const& fault : faults)
        UNSCOPED_INFO(fault);
    CHECK(faults.empty());
    CHECK(t.told + t.got_over_it == t.runs);
    CHECK(t.told > 0);
    INFO(name << ": " << t.runs << " runs, " << t.told << " told, " << t.got_over_it << " got over it");
}

} // namespace failing
