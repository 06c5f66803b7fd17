// SPDX-License-Identifier: MIT
// The records of fibers are read as they are written: most of a record and of a portal is no atomic, since nobody but
// who runs the portal needs it, and that costs nothing. So each word is read whole, and what is a pointer is asked for
// whether it points to something that stays: a kind and a site are constants of the program. Whether all of it belongs
// together is told by the word `other`, the same before and after, and for the backtrace by more than that.

#include "portal_survey.hpp"

#include "label.hpp"
#include "moving_memory.hpp"
#include "portal_layout.hpp"
#include "program_memory.hpp"

#include <greenback/detail/fiber/fiber.hpp>
#include <greenback/detail/fiber/portal_base.hpp>
#include <greenback/detail/fiber/stack_pool.hpp>

#include <atomic>
#include <bit>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>

namespace greenback::detail {

namespace {

// A pointer, in both standard libraries, to what the compiler has put among the constants.
static_assert(sizeof(std::source_location) == sizeof(std::uintptr_t));
constexpr std::size_t bytes_of_a_site = 2 * sizeof(char const*) + 2 * sizeof(unsigned);

class look {
public:
    /// @param s its stack: for one of the pool's what the pool says, as the record may be gone at any moment, and anything
    /// be in its place
    look(program_memory const& memory, fiber const& f, stack s) noexcept : memory_(memory), f_(f), stack_(s) {}

    /// @returns nothing, if there is no portal
    std::optional<portal_info> take(backtrace& calls) noexcept {
        portal_info info{};
        info.id = &f_;
        info.stack_size = stack_.size;
        // A portal that goes in and out all the while is running. It is asked for a few times, as one that was about to
        // be resumed is most probably out again.
        for (int attempt = 0; attempt != 4; ++attempt) {
            std::uintptr_t const at = f_.other.load(std::memory_order_acquire);
            if (!f_.is_busy())
                return std::nullopt;
            bool const out = (at & fiber::in_mark) == 0;
            info.label = label_of(reinterpret_cast<void const*>(load_word(&f_.argument)));
            look_at_portal(info);
            be_running(info, calls);
            if (out) {
                if (!take_backtrace(f_, stack_, at, calls))
                    continue;
                info.state = portal_state::suspended;
                std::uintptr_t const used = reinterpret_cast<std::uintptr_t>(stack_.top) - at;
                info.stack_used = used <= stack_.size ? used : 0; // 0: on a stack of somebody else's
            }
            std::atomic_thread_fence(std::memory_order_acquire);
            if (f_.other.load(std::memory_order_relaxed) == at && f_.is_busy())
                return info;
        }
        be_running(info, calls);
        return f_.is_busy() ? std::optional(info) : std::nullopt;
    }

private:
    static void be_running(portal_info& info, backtrace& calls) noexcept {
        info.state = portal_state::running;
        info.stack_used = 0;
        calls.count = 0;
    }

    void look_at_portal(portal_info& info) const noexcept {
        unsigned char const* const portal = f_.portal_memory;
        info.site = std::source_location();
        info.executor = nullptr;
        auto const* kind = reinterpret_cast<portal_kind const*>(load_word(portal + portal_layout::of_kind()));
        if (kind == &unprepared_kind)
            return;
        std::uintptr_t const site = load_word(portal + portal_layout::of_site());
        if (is_site(site))
            info.site = std::bit_cast<std::source_location>(site);
        info.executor = executor(kind);
    }

    /// The last await may have been in a shared object that is gone, and another one be where it was: what lies there
    /// then leads nowhere as a rule.
    bool is_site(std::uintptr_t at) const noexcept {
        auto const* const names = reinterpret_cast<std::uintptr_t const*>(at); // first its file, then its function
        return at % alignof(void*) == 0 && memory_.holds(names, bytes_of_a_site) &&
               memory_.holds(reinterpret_cast<void const*>(load_word(names)), 1) &&
               memory_.holds(reinterpret_cast<void const*>(load_word(names + 1)), 1);
    }

    /// Scopes that forbid to await lie on the portal's stack. One that is in a coroutine, and so in memory of which
    /// nothing is known, hides the executor.
    std::type_info const* executor(portal_kind const* kind) const noexcept {
        for (int scopes = 0; scopes != 16; ++scopes) {
            if (kind == &abandoned_kind)
                return nullptr;
            if (memory_.holds(kind, sizeof *kind))
                return kind->executor_type;
            if (!is_on_stack(kind, sizeof(forbidden_kind)))
                return nullptr;
            kind = reinterpret_cast<portal_kind const*>(
                load_word(reinterpret_cast<char const*>(kind) + portal_layout::of_outside()));
        }
        return nullptr;
    }
    bool is_on_stack(void const* begin, std::size_t bytes) const noexcept {
        auto const above_bottom =
            reinterpret_cast<std::uintptr_t>(begin) - reinterpret_cast<std::uintptr_t>(stack_.bottom());
        return above_bottom < stack_.size && stack_.size - above_bottom >= bytes && above_bottom % alignof(void*) == 0;
    }

    program_memory const& memory_;
    fiber const& f_;
    stack const stack_;
};

std::size_t count_fibers_elsewhere() noexcept {
    std::size_t n = 0;
    for_each_fiber_elsewhere([](fiber&, void* count) { ++*static_cast<std::size_t*>(count); }, &n);
    return n;
}

} // namespace

portal_survey::portal_survey() {
    program_memory const memory;
    auto const taken = std::make_unique<backtrace>();
    auto const add = [&](fiber const& f, stack s, bool (*is_there)(fiber const&)) {
        std::optional<portal_info> const info = look(memory, f, s).take(*taken);
        if (info && is_there(f)) {
            portals_.push_back({*info, calls_.size(), taken->count});
            calls_.insert(calls_.end(), taken->calls.begin(), taken->calls.begin() + taken->count);
            if (info->state == portal_state::suspended)
                ++suspended_;
        }
    };
    for_each_stack([&](stack s, bool in_use) {
        fiber const& f = *fiber_at(s.top);
        constexpr auto is_there = [](fiber const& one) { return one.valid(); };
        if (in_use && is_there(f))
            add(f, s, is_there);
    });
    // Those elsewhere are visited with their lock held, and nothing may throw there: so there is room for all of them, and
    // a few more. If more than that are made meanwhile, these are left out.
    std::size_t const room = portals_.size() + count_fibers_elsewhere() + 64;
    portals_.reserve(room);
    calls_.reserve(calls_.size() + (room - portals_.size()) * most_calls);
    auto add_if_there_is_room = [&](fiber const& f) {
        if (portals_.size() != room)
            add(f, {f.stack.sp, f.stack.size}, [](fiber const&) { return true; }); // it can't leave the list meanwhile
    };
    using adder = decltype(add_if_there_is_room);
    for_each_fiber_elsewhere([](fiber& f, void* a) { (*static_cast<adder*>(a))(f); }, &add_if_there_is_room);
}

portal_info portal_survey::operator[](std::size_t i) const noexcept {
    seen const& s = portals_[i];
    portal_info info = s.info;
    info.backtrace = {calls_.data() + s.first_call, s.call_count};
    return info;
}

} // namespace greenback::detail
