// SPDX-License-Identifier: MIT
// Making, parking and destroying fibers: everything that is not on the path of an await.

#include <greenback/detail/fiber.hpp>
#include <greenback/detail/stack_pool.hpp>
#include <greenback/detail/thread_state.hpp>
#include <greenback/stack.hpp>

#include <mutex>
#include <new>

namespace greenback::detail {
namespace {

/// Where a fiber begins, sleeps between two jobs, and ends.
void fiber_main(boost::context::detail::transfer_t from) noexcept {
    // There is no frame above this one. Boost.Context's entry code does not say so in every version, and an unwinder or
    // a debugger would go on into whatever lies there.
#if defined(__x86_64__)
    asm volatile(".cfi_undefined rip");
#endif
    fiber& f = *static_cast<fiber*>(from.data);
    f.other = from.fctx;
#if defined(GREENBACK_ASAN)
    __sanitizer_finish_switch_fiber(nullptr, &f.resumer_bottom, &f.resumer_size);
#endif
    while (!f.leaving) {
        f.job(f.argument);
        switch_out(f);
    }
    // The last way out. A null place for the fake stack tells ASan to free it.
#if defined(GREENBACK_ASAN)
    __sanitizer_start_switch_fiber(nullptr, f.resumer_bottom, f.resumer_size);
#endif
#if defined(GREENBACK_TSAN)
    __tsan_switch_to_fiber(f.tsan_resumer, 0);
#endif
    jump(f.other, nullptr);
    __builtin_unreachable();
}

/// Gives a thread's parked fibers back when the thread ends.
struct at_thread_exit {
    ~at_thread_exit() {
        thread_state& thread = this_thread();
        thread.parked_limit = 0; // anything returned after this goes to the pool at once
        while (fiber* f = thread.parked) {
            thread.parked = f->next;
            destroy_fiber(*f);
        }
        thread.parked_count = 0;
    }
};

/// How many fibers a thread keeps ready. Beyond that their stacks go to the shared pool.
constexpr unsigned parked_per_thread = 64;

void allow_parking(thread_state& thread) {
    thread_local at_thread_exit cleanup;
    (void)cleanup;
    if (thread.parked_limit == 0)
        thread.parked_limit = parked_per_thread;
}

/// The fibers on other allocators' stacks: the pool knows nothing of those.
struct fibers_elsewhere {
    std::mutex mutex;
    fiber* first = nullptr;

    void add(fiber& f) noexcept {
        std::scoped_lock lock(mutex);
        f.next = first;
        f.previous = nullptr;
        if (first)
            first->previous = &f;
        first = &f;
    }
    void remove(fiber& f) noexcept {
        std::scoped_lock lock(mutex);
        (f.previous ? f.previous->next : first) = f.next;
        if (f.next)
            f.next->previous = f.previous;
    }
};

/// Never destroyed: fibers may end after the program's other statics.
fibers_elsewhere& elsewhere() noexcept {
    alignas(fibers_elsewhere) static unsigned char memory[sizeof(fibers_elsewhere)];
    static auto* const list = new (memory) fibers_elsewhere;
    return *list;
}

} // namespace

void for_each_fiber_elsewhere(void (*visit)(fiber&, void*), void* argument) noexcept {
    std::scoped_lock lock(elsewhere().mutex);
    for (fiber* f = elsewhere().first; f; f = f->next)
        visit(*f, argument);
}

fiber* make_fiber(boost::context::stack_context stack, void (*release)(fiber&) noexcept, void* where) {
    auto* f = new (where) fiber;
    f->stack = stack;
    f->release = release;
    const auto below = reinterpret_cast<std::uintptr_t>(where) & ~std::uintptr_t(63);
    const auto bottom = reinterpret_cast<std::uintptr_t>(f->stack_bottom());
    f->other = boost::context::detail::make_fcontext(reinterpret_cast<void*>(below), below - bottom, fiber_main);
    if (release)
        elsewhere().add(*f);
    f->magic.store(fiber::magic_value, std::memory_order_release);
    return f;
}

void destroy_fiber(fiber& f) noexcept {
#if defined(GREENBACK_ASAN)
    if (f.asan_fake_stack || f.resumer_bottom) { // it has run: let it leave for good, and its fake stack be freed
        f.leaving = true;
        switch_in(f);
    }
#endif
#if defined(GREENBACK_TSAN)
    if (f.tsan_fiber)
        __tsan_destroy_fiber(f.tsan_fiber);
    f.tsan_fiber = nullptr;
#endif
    f.magic.store(0, std::memory_order_release);
    if (f.release) {
        elsewhere().remove(f);
        return f.release(f);
    }
    boost::context::stack_context stack = f.stack;
    f.~fiber();
    pooled_stack().deallocate(stack);
}

fiber& borrow_fiber_slowly(thread_state& thread) {
    allow_parking(thread);
    boost::context::stack_context stack = pooled_stack().allocate();
    return *make_fiber(stack, nullptr, fiber_at(stack.sp));
}

void return_fiber_slowly(thread_state& thread, fiber& f) noexcept {
    if (f.release || (thread.parked_limit != 0 && thread.parked_count >= thread.parked_limit))
        return destroy_fiber(f);
    // A thread that so far only ended other threads' portals.
    allow_parking(thread);
    if (thread.parked_limit == 0)
        return destroy_fiber(f);
    f.next = thread.parked;
    thread.parked = &f;
    ++thread.parked_count;
}

} // namespace greenback::detail
