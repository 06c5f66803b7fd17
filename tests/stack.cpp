// SPDX-License-Identifier: MIT

#include "support/catch.hpp"
#include "support/child.hpp"
#include "support/sanitizers.hpp"
#include "support/system.hpp"

#include <greenback/detail/fiber/stack_pool.hpp>
#include <greenback/stack.hpp>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <limits>
#include <new>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include <sys/mman.h>
#include <sys/resource.h>

#ifdef TEST_UNDER_ASAN
#include <sanitizer/asan_interface.h>
#endif

using namespace greenback;
using detail::acquire_stack;
using detail::acquire_stacks;
using detail::release_stack;
using detail::release_stacks;
using detail::stack;
using test::contains;
using test::in_child;
using test::outcome;
using test::sanitized;
using test::say;

namespace {

// Valgrind keeps books on every byte of address space; it shows by what it preloads into its client.
bool under_valgrind() {
    char const* const preloaded = std::getenv("LD_PRELOAD");
    return preloaded && std::strstr(preloaded, "vgpreload");
}

constexpr std::size_t kib = 1024;
constexpr std::size_t mib = 1024 * kib;

std::size_t page_size() { return pooled_stack::traits_type::page_size(); }

// Volatile, so that no compiler and no sanitizer has an opinion on an address outside of every object it
// knows.
char peek(void const* address) { return *static_cast<char const volatile*>(address); }

void poke(void* address, char value = 1) { *static_cast<char volatile*>(address) = value; }

char* below_top(stack s, std::size_t bytes) { return static_cast<char*>(s.top) - bytes; }

std::size_t mapping_count() {
    std::ifstream maps("/proc/self/maps");
    return static_cast<std::size_t>(std::count(std::istreambuf_iterator<char>(maps), {}, '\n'));
}

} // namespace

TEST_CASE("a stack is page aligned, at least as large as asked for, and usable from end to end", "[stack]") {
    for (std::size_t const asked :
         {std::size_t(1), 16 * kib, 16 * kib + 1, std::size_t(100000), 256 * kib, 320 * kib, 3 * mib, 70 * mib}) {
        stack const s = acquire_stack(asked);
        CHECK(s.size >= asked);
        CHECK(s.size >= 16 * kib);
        CHECK(s.size <= std::max(std::max(16 * kib, page_size()), asked + asked / 4 + page_size()));
        CHECK(s.size == detail::rounded_stack_size(asked));
        CHECK(detail::rounded_stack_size(s.size) == s.size);
        CHECK(reinterpret_cast<std::uintptr_t>(s.top) % page_size() == 0);
        CHECK(s.size % page_size() == 0);
        poke(below_top(s, 1), 7);
        poke(s.bottom(), 8);
        CHECK(peek(below_top(s, 1)) == 7);
        CHECK(peek(s.bottom()) == 8);
        release_stack(s);
    }
}

TEST_CASE("the byte below a stack can't be touched", "[stack]") {
    bool const forced = GENERATE(false, true);
    CAPTURE(forced);
    detail::force_protection_guards(forced);
    // A size of its own for each run, so that the stack is a new one.
    stack const s = acquire_stack(forced ? 640 * kib : 768 * kib);
    detail::force_protection_guards(false);

    CHECK(in_child([&] { return poke(s.bottom()), 0; }).exited_with(0));
    for (std::size_t const distance : {std::size_t(1), detail::stack_guard_size()}) {
        CHECK(in_child([&] {
                  poke(static_cast<char*>(s.bottom()) - distance);
                  return 0;
              }).crashed());
    }
    SECTION("nor after its pages were given back") {
        poke(s.bottom());
        detail::discard_pages(s, 0);
        CHECK(peek(s.bottom()) == 0);
        CHECK(in_child([&] {
                  poke(static_cast<char*>(s.bottom()) - 1);
                  return 0;
              }).crashed());
    }
    release_stack(s);
}

TEST_CASE("the stack released last is the next to be handed out", "[stack]") {
    constexpr std::size_t size = 48 * kib;
    stack s[5];
    for (stack& x : s)
        x = acquire_stack(size);
    release_stack(s[1]);
    release_stack(s[4]);
    release_stack(s[0]);
    CHECK(acquire_stack(size).top == s[0].top);
    CHECK(acquire_stack(size).top == s[4].top);
    release_stack(s[4]);
    CHECK(acquire_stack(size - 100).top == s[4].top); // nearly the same size: the same stacks
    CHECK(acquire_stack(size).top == s[1].top);
    release_stacks(s, 5);
    stack again[5];
    REQUIRE(acquire_stacks(size, again, 5) == 5);
    for (int i = 0; i != 5; ++i)
        CHECK(again[i].top == s[4 - i].top);
    release_stacks(again, 5);
}

TEST_CASE("a batch may mix sizes, and every stack of it returns to its own kind", "[stack]") {
    stack const a = acquire_stack(640 * kib); // multiples of 64 KiB, which some systems' pages have
    stack const b = acquire_stack(896 * kib);
    stack const both[] = {a, b};
    std::size_t const idle = detail::stacks_idle();
    release_stacks(both, 2);
    CHECK(detail::stacks_idle() == idle + 2);
    CHECK(acquire_stack(640 * kib).top == a.top);
    CHECK(acquire_stack(896 * kib).top == b.top);
    CHECK(detail::stacks_idle() == idle);
    release_stacks(both, 2);
}

TEST_CASE("a bounded number of idle stacks keep their pages, the longest idle lose them", "[stack]") {
    if (!test::shows_pages()) {
        WARN("skipped: this system doesn't show which pages were touched");
        return;
    }
    constexpr std::size_t size = 56 * kib;
    constexpr std::size_t kept = 256;
    std::vector<stack> s(600);
    for (std::size_t have = 0; have != s.size();)
        have += acquire_stacks(size, s.data() + have, s.size() - have);
    for (stack const& x : s)
        poke(below_top(x, 1), 5);
    release_stacks(s.data(), s.size());
    // Counted without touching anything: reading would not commit memory, but would be harder to trust.
    auto const resident =
        std::count_if(s.begin(), s.end(), [](stack x) { return detail::stack_bytes_touched(x) != 0; });
    CHECK(resident == kept);
    std::vector<stack> again(s.size());
    REQUIRE(acquire_stacks(size, again.data(), again.size()) == again.size());
    for (std::size_t i = 0; i != kept; ++i) {
        CHECK(again[i].top == s[s.size() - 1 - i].top);
        CHECK(peek(below_top(again[i], 1)) == 5);
    }
    std::set<void*> tops;
    for (stack const& x : again)
        tops.insert(x.top);
    CHECK(tops.size() == s.size()); // each once, none was lost
    for (std::size_t i = kept; i != again.size(); ++i)
        CHECK(peek(below_top(again[i], 1)) == 0);
    release_stacks(again.data(), again.size());
}

TEST_CASE("discarding pages spares the bytes to be kept at the top", "[stack]") {
    stack const s = acquire_stack(112 * kib);
    std::size_t const page = page_size();
    for (std::size_t at = page; at <= s.size; at += page)
        poke(below_top(s, at), 3);
    detail::discard_pages(s, 1); // rounded up to a page
    CHECK(peek(below_top(s, page)) == 3);
    CHECK(peek(below_top(s, 2 * page)) == 0);
    CHECK(peek(s.bottom()) == 0);
    detail::discard_pages(s, std::numeric_limits<std::size_t>::max());
    CHECK(peek(below_top(s, page)) == 3);
    detail::discard_pages(s, 0);
    CHECK(peek(below_top(s, page)) == 0);
    release_stack(s);
}

TEST_CASE("the deepest use of a stack can be told afterwards", "[stack]") {
    if (!test::shows_pages()) {
        WARN("skipped: this system doesn't show which pages were touched");
        return;
    }
    stack const s = acquire_stack(5 * mib);
    detail::discard_pages(s, 0);
    if (detail::stack_bytes_touched(s) != 0) {
        WARN("the system doesn't tell which pages were touched, or memory is locked");
    } else {
        poke(below_top(s, 1));
        CHECK(detail::stack_bytes_touched(s) == page_size());
        poke(below_top(s, 4 * mib));
        CHECK(detail::stack_bytes_touched(s) == 4 * mib);
        poke(s.bottom());
        CHECK(detail::stack_bytes_touched(s) == s.size);
        detail::discard_pages(s, page_size());
        CHECK(detail::stack_bytes_touched(s) == page_size());
    }
    release_stack(s);
}

TEST_CASE("a hundred thousand stacks in use take fewer than two hundred memory mappings", "[stack]") {
    if (detail::stack_guard_kind() != detail::guard_kind::marker) {
        WARN("skipped: this system guards stacks by mprotect, which takes two mappings for each");
        return;
    }
    if (under_valgrind()) {
        WARN("skipped: valgrind takes minutes for 50 GiB of address space");
        return;
    }
    // In a child, whose memory is gone afterwards. A sanitizer's own mappings are not what is counted.
    outcome const result = in_child([] {
        std::size_t const count = sanitized ? 10000 : 100000;
        std::size_t const before = mapping_count();
        std::vector<stack> s(count);
        for (std::size_t have = 0; have != count;) {
            std::size_t const n = acquire_stacks(0, s.data() + have, std::min<std::size_t>(16, count - have));
            for (std::size_t i = have; i != have + n; ++i)
                poke(below_top(s[i], 64));
            have += n;
        }
        std::size_t const grown = mapping_count() - before;
        say(std::to_string(grown).c_str());
        if (grown >= (sanitized ? 150U : 100U) || (!sanitized && before + grown >= 200))
            return 1;
        release_stacks(s.data(), count);
        return detail::stacks_idle() >= count ? 0 : 2;
    });
    CAPTURE(result.said);
    CHECK(result.exited_with(0));
}

TEST_CASE("the address space limit is named when it is reached, and nothing is lost", "[stack]") {
    if (sanitized || under_valgrind()) {
        WARN("skipped: a sanitizer needs more address space than any sensible limit");
        return;
    }
    if (!test::keeps_limit(RLIMIT_AS)) {
        WARN("skipped: this system doesn't enforce RLIMIT_AS: an emulator");
        return;
    }
    outcome const result = in_child([] {
        set_log_handler([](char const* line) noexcept { say("LOG "), say(line), say("\n"); });
        rlimit limit{};
        ::getrlimit(RLIMIT_AS, &limit);
        limit.rlim_cur = 512 * mib;
        if (::setrlimit(RLIMIT_AS, &limit) != 0)
            return 1;
        std::vector<stack> s;
        s.reserve(4096);
        for (int failures = 0; failures != 3;) {
            try {
                s.push_back(acquire_stack(192 * kib));
                poke(below_top(s.back(), 1));
            } catch (std::bad_alloc const& e) {
                auto const* const exhausted = dynamic_cast<stack_exhausted const*>(&e);
                if (!exhausted || exhausted->limit() != stack_limit::address_space)
                    return say(e.what()), 2;
                if (!contains(e.what(), "address space limit") || !contains(e.what(), "RLIMIT_AS"))
                    return say(e.what()), 3;
                ++failures;
            }
        }
        if (s.size() < 1000) // growing must not have given up half-way: 512 MiB are 2,400 of them
            return say(std::to_string(s.size()).c_str()), 4;
        stack const last = s.back();
        release_stack(last);
        if (acquire_stack(192 * kib).top != last.top)
            return 5;
        limit.rlim_cur = limit.rlim_max;
        if (::setrlimit(RLIMIT_AS, &limit) != 0)
            return 6;
        std::size_t const more = acquire_stacks(192 * kib, s.data(), 1000);
        return more == 1000 ? 0 : 7;
    });
    CAPTURE(result.said);
    CHECK(result.exited_with(0));
    CHECK(contains(result.said,
                   "LOG greenback: no stack to be had: the process has reached its address space limit (RLIMIT_AS"));
    CHECK(result.said.find("LOG") == result.said.rfind("LOG")); // once per process
}

TEST_CASE("the data segment limit is named when it is reached", "[stack]") {
    if (sanitized || under_valgrind()) {
        WARN("skipped: a sanitizer needs more data than any sensible limit");
        return;
    }
    if (!test::keeps_limit(RLIMIT_DATA)) {
        WARN("skipped: this system doesn't enforce RLIMIT_DATA: an emulator");
        return;
    }
    outcome const result = in_child([] {
        set_log_handler([](char const*) noexcept {});
        rlimit limit{};
        ::getrlimit(RLIMIT_DATA, &limit);
        limit.rlim_cur = 512 * mib;
        ::setrlimit(RLIMIT_DATA, &limit);
        try {
            for (int i = 0; i != 100000; ++i)
                acquire_stack(192 * kib);
        } catch (stack_exhausted const& e) {
            say(e.what());
            return e.limit() == stack_limit::data_segment ? 0 : 1;
        }
        return 77; // kernels before 4.7 don't count stacks
    });
    CAPTURE(result.said);
    CHECK((result.exited_with(0) || result.exited_with(77)));
}

TEST_CASE("vm.max_map_count is named when guards run into it, and nothing is lost", "[stack]") {
    std::size_t most = 0;
    std::ifstream("/proc/sys/vm/max_map_count") >> most;
    if (sanitized || under_valgrind() || most == 0 || most > 200000) {
        WARN("skipped: a sanitizer has mappings of its own, and a limit beyond 200,000 takes too long to "
             "reach");
        return;
    }
    if (!test::keeps_limit(RLIMIT_AS)) {
        WARN("skipped: this system doesn't keep count of a process's mappings: an emulator");
        return;
    }
    bool const unguarded = GENERATE(false, true);
    CAPTURE(unguarded);
    outcome const result = in_child([=] {
        set_log_handler([](char const* line) noexcept { say("LOG "), say(line), say("\n"); });
        detail::force_protection_guards(true);
        std::vector<stack> s(most);
        std::size_t have = 0;
        try {
            while (have != most)
                have += acquire_stacks(16 * kib, s.data() + have, std::min<std::size_t>(64, most - have));
            return say("no limit met"), 1;
        } catch (stack_exhausted const& e) {
            if (e.limit() != stack_limit::mapping_count || !contains(e.what(), "vm.max_map_count"))
                return say(e.what()), 2;
        }
        if (have < most / 2 - 200)
            return say(std::to_string(have).c_str()), 3;
        for (int i = 0; i != 1000; ++i) { // failing is not expensive either
            try {
                acquire_stack(16 * kib);
                return 4;
            } catch (std::bad_alloc const&) {
            }
        }
        if (unguarded) {
            allow_unguarded_stacks(true);
            stack const bare = acquire_stack(16 * kib);
            poke(bare.bottom());
            acquire_stack(16 * kib);
            return 0;
        }
        release_stack(s[have - 1]);
        if (acquire_stack(16 * kib).top != s[have - 1].top)
            return 5;
        return 0;
    });
    CAPTURE(result.said);
    CHECK(result.exited_with(0));
    CHECK(contains(result.said, "LOG greenback: no stack to be had: the process has reached vm.max_map_count"));
    CHECK(contains(result.said, "LOG greenback: WARNING: handing out stacks WITHOUT A GUARD") == unguarded);
    CHECK(std::count(result.said.begin(), result.said.end(), '\n') == (unguarded ? 2 : 1));
}

// What follows reserves address space, of which those above count how much is left.

TEST_CASE("stacks that are taken together have their guards, and keep them when they are given back", "[stack]") {
    bool const one_by_one = GENERATE(false, true);
    bool const protection = GENERATE(false, true);
    CAPTURE(one_by_one, protection);
    // A size of its own for each run, so that the stacks are new ones.
    std::size_t const size = ((one_by_one ? 20 : 28) + (protection ? 4 : 0)) * kib;
    constexpr std::size_t count = 24;
    constexpr std::size_t kept = 256;
    std::vector<stack> s(count + kept);
    detail::force_single_advice(one_by_one);
    detail::force_protection_guards(protection);
    std::size_t have = acquire_stacks(size, s.data(), count);
    REQUIRE(have == count);
    detail::force_protection_guards(false);
    while (have != s.size())
        have += acquire_stacks(size, s.data() + have, s.size() - have);

    auto const all_guarded = [&] {
        for (std::size_t i = 0; i != count; ++i) {
            for (std::size_t const distance : {std::size_t(1), detail::stack_guard_size()})
                if (!in_child([&] {
                         poke(static_cast<char*>(s[i].bottom()) - distance);
                         return 0;
                     }).crashed())
                    return false;
        }
        return true;
    };
    CHECK(all_guarded());
    for (std::size_t i = 0; i != count; ++i)
        poke(below_top(s[i], 1), 5), poke(s[i].bottom(), 6);
    // Neighbours and others, in an order that is neither up nor down.
    for (std::size_t i = 0; i != count / 2; ++i)
        std::swap(s[i], s[i * 17 % count]);
    poke(below_top(s[count], 1), 7); // the neighbour of the last, which keeps its pages
    release_stacks(s.data(), s.size());
    detail::force_single_advice(false);
    for (std::size_t i = 0; i != count; ++i) {
        CHECK(peek(below_top(s[i], 1)) == 0);
        CHECK(peek(s[i].bottom()) == 0);
    }
    CHECK(peek(below_top(s[count], 1)) == 7);
    CHECK(all_guarded());
}

TEST_CASE("the first pages of stacks that are taken together are ready", "[stack]") {
    if (!test::advises_several() || !test::shows_pages()) {
        WARN("skipped: this system can't be asked for several pages at once, or doesn't show which were touched");
        return;
    }
    constexpr std::size_t size = 80 * kib;
    constexpr std::size_t count = 300;
    std::vector<stack> s(count);
    auto const each_has_its_first_page = [&] {
        return std::all_of(s.begin(), s.end(), [](stack x) { return detail::stack_bytes_touched(x) == page_size(); });
    };
    REQUIRE(acquire_stacks(size, s.data(), count) == count);
    CHECK(each_has_its_first_page());
    for (stack const& x : s)
        detail::discard_pages(x, 0);
    release_stacks(s.data(), count);
    REQUIRE(acquire_stacks(size, s.data(), count) == count);
    // Those that kept their memory were to keep it, not to get any.
    auto const ready = std::count_if(s.begin(), s.end(), [](stack x) { return detail::stack_bytes_touched(x) != 0; });
    CHECK(ready == count - 256);
    release_stacks(s.data(), count);
    SECTION("one alone is not: its first touch costs no more") {
        stack const one = acquire_stack(144 * kib);
        CHECK(detail::stack_bytes_touched(one) == 0);
        release_stack(one);
    }
}

TEST_CASE("a size that no stack can have is refused", "[stack]") {
    log_handler const before = set_log_handler([](char const*) noexcept {});
    CHECK_THROWS_AS(acquire_stack(std::numeric_limits<std::size_t>::max()), std::bad_alloc);
    try {
        acquire_stack(std::numeric_limits<std::size_t>::max() / 2);
        FAIL("no exception");
    } catch (stack_exhausted const& e) {
        CHECK(e.limit() == stack_limit::size);
    }
    CHECK(set_log_handler(before) != nullptr);
}

TEST_CASE("every stack that was ever handed out is visited once, with its state", "[stack]") {
    constexpr std::size_t size = 192 * kib;
    std::vector<stack> s(400);
    REQUIRE(acquire_stacks(size, s.data(), s.size()) == s.size());
    release_stacks(s.data() + 50, 350); // 256 of them resident, 94 cold
    std::vector<void*> used;
    std::vector<void*> idle;
    detail::for_each_stack([&](stack x, bool in_use) {
        if (x.size == size)
            (in_use ? used : idle).push_back(x.top);
        CHECK(peek(below_top(x, 1)) < 10); // readable
    });
    CHECK(used.size() == 50);
    CHECK(idle.size() == 350);
    for (stack const& x : s) {
        bool const expected_in_use = &x < s.data() + 50;
        CHECK(std::count(used.begin(), used.end(), x.top) == (expected_in_use ? 1 : 0));
        CHECK(std::count(idle.begin(), idle.end(), x.top) == (expected_in_use ? 0 : 1));
    }
    SECTION("and the visitor may use the pool") {
        std::size_t visited = 0;
        detail::for_each_stack([&](stack x, bool) {
            if (x.size == size && ++visited < 300)
                release_stack(acquire_stack(size));
        });
        CHECK(visited >= 150);
    }
    release_stacks(s.data(), 50);
}

TEST_CASE("stacks are taken, released and visited by several threads at once", "[stack]") {
    std::atomic<bool> clash{false};
    std::atomic<int> running{4};
    std::vector<std::thread> threads;
    for (unsigned id = 1; id <= 4; ++id) {
        threads.emplace_back([&, id] {
            stack held[24];
            unsigned random = id * 7919;
            for (int round = 0; round != 400; ++round) {
                random = random * 1103515245 + 12345;
                std::size_t const want = 1 + (random >> 16) % 24;
                std::size_t const size = ((random >> 8) % 3 + 2) * 16 * kib;
                std::size_t const have = acquire_stacks(size, held, want);
                for (std::size_t i = 0; i != have; ++i)
                    poke(below_top(held[i], 1), static_cast<char>(id));
                std::this_thread::yield();
                for (std::size_t i = 0; i != have; ++i) {
                    if (peek(below_top(held[i], 1)) != static_cast<char>(id))
                        clash = true;
                }
                release_stacks(held, have);
            }
            --running;
        });
    }
    std::size_t visited = 0;
    do {
        detail::for_each_stack([&](stack, bool) { ++visited; });
        std::this_thread::yield(); // valgrind runs one thread at a time, and would stay with this one
    } while (running != 0);
    for (std::thread& t : threads)
        t.join();
    CHECK_FALSE(clash);
    CHECK(visited > 0);
}

TEST_CASE("a forked child goes on using the pool, whatever other threads were doing", "[stack]") {
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    // ThreadSanitizer refuses to go on in the child of a process with several threads.
#ifndef TEST_UNDER_TSAN
    // Valgrind lets such a thread keep the processor for minutes.
    if (!under_valgrind())
        threads.emplace_back([&] {
            while (!stop) {
                release_stack(acquire_stack(224 * kib));
                std::this_thread::yield();
            }
        });
#endif
    const stack mine = acquire_stack(224 * kib);
    poke(below_top(mine, 1), 9);
    for (int i = 0, rounds = under_valgrind() ? 1 : 20; i != rounds; ++i) {
        outcome const result = in_child([&] {
            if (peek(below_top(mine, 1)) != 9)
                return 1;
            stack s[100];
            if (acquire_stacks(224 * kib, s, 100) != 100)
                return 2;
            for (stack const& x : s) {
                if (x.top == mine.top)
                    return 3;
                poke(x.bottom(), 6);
            }
            release_stacks(s, 100);
            release_stack(mine);
            return acquire_stack(224 * kib).top == mine.top ? 0 : 4;
        });
        CAPTURE(result.said, result.status);
        REQUIRE(result.exited_with(0));
    }
    CHECK(peek(below_top(mine, 1)) == 9);
    release_stack(mine);
    stop = true;
    for (std::thread& t : threads)
        t.join();
}

TEST_CASE("a guard made before a fork holds in the child", "[stack]") {
    stack const s = acquire_stack(880 * kib);
    outcome const result = in_child([&] {
        detail::discard_pages(s, 0);
        poke(static_cast<char*>(s.bottom()) - 1);
        return 0;
    });
    CHECK(result.crashed());
    release_stack(s);
}

TEST_CASE("a stack left poisoned by its last user is clean for the next", "[stack]") {
#ifdef TEST_UNDER_ASAN
    const stack s = acquire_stack(96 * kib);
    __asan_poison_memory_region(s.bottom(), s.size);
    release_stack(s);
    stack const again = acquire_stack(96 * kib);
    CHECK(again.top == s.top);
    CHECK(__asan_region_is_poisoned(again.bottom(), again.size) == nullptr);
    release_stack(again);
#else
    WARN("skipped: needs AddressSanitizer");
#endif
}

TEST_CASE("pooled_stack takes its size from the argument, or from the default of the moment", "[stack]") {
    std::size_t const built_in = default_stack_size();
    CHECK(built_in >= 64 * kib);
    pooled_stack by_default;
    pooled_stack large(2 * mib);

    boost::context::stack_context a = by_default.allocate();
    CHECK(a.size == built_in);
    default_stack_size(900 * kib);
    CHECK(default_stack_size() >= 900 * kib);
    boost::context::stack_context b = by_default.allocate();
    CHECK(b.size == default_stack_size());
    boost::context::stack_context c = large.allocate();
    CHECK(c.size == 2 * mib);
    poke(static_cast<char*>(c.sp) - c.size);
    poke(static_cast<char*>(c.sp) - 1);
    by_default.deallocate(c); // any of them takes back what any of them gave
    large.deallocate(b);
    by_default.deallocate(a);

    default_stack_size(1);
    CHECK(default_stack_size() == pooled_stack::traits_type::minimum_size());
    default_stack_size(std::numeric_limits<std::size_t>::max());
    log_handler const before = set_log_handler([](char const*) noexcept {});
    CHECK_THROWS_AS(by_default.allocate(), stack_exhausted);
    set_log_handler(before);
    default_stack_size(0);
    CHECK(default_stack_size() == built_in);
    CHECK(pooled_stack::traits_type::default_size() == built_in);
    CHECK_FALSE(pooled_stack::traits_type::is_unbounded());
    CHECK(pooled_stack::traits_type::maximum_size() >= 256 * mib);
}

// Static objects may release stacks in their destructors: the pool outlives them. A crash here shows in the
// exit code.
namespace {
struct released_late {
    stack s = acquire_stack(0);
    ~released_late() { release_stack(s); }
} const early_static_object;
} // namespace
