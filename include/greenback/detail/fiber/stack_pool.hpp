// SPDX-License-Identifier: MIT
//
// The pool of stacks as the fiber layer sees it. One mutex guards the whole pool: a thread that wants to
// avoid it keeps a few stacks of its own and trades them in batches.
#pragma once

#include <cstddef>
#include <memory>
#include <type_traits>

namespace greenback::detail {

/// One stack. A plain value: copying it copies no memory and owns nothing.
struct stack {
    void* top;        // highest address, page aligned
    std::size_t size; // usable bytes below top, guard excluded

    void* bottom() const noexcept { return static_cast<char*>(top) - size; }
};

/// The usable size of the stack that a request for `size` bytes gets; 0 stands for the default.
/// @throws stack_exhausted if no stack can be that large.
std::size_t rounded_stack_size(std::size_t size);

/// Takes a stack of at least `size` bytes: the one released last, else an idle one whose pages were given
/// back, else a new one. Its contents are unspecified: zeros, or what its last user left there.
/// @throws stack_exhausted
stack acquire_stack(std::size_t size);

/// Takes up to `count` stacks with one lock. If that is more than one, the page at the top of each is made ready for
/// the first write, where the system can do that for several at once.
/// @pre count > 0
/// @returns how many were taken, at least 1: a shortage after the first is met by returning fewer.
/// @throws stack_exhausted if not even one can be had.
std::size_t acquire_stacks(std::size_t size, stack* out, std::size_t count);

/// Gives stacks back, of any sizes, the last one to be handed out first.
/// @pre each came from `acquire_stack` or `acquire_stacks`, and nothing runs on it any more.
void release_stacks(stack const* stacks, std::size_t count) noexcept;
inline void release_stack(stack s) noexcept { release_stacks(&s, 1); }

/// Gives the memory of a stack back to the system, all but the `keep_top_bytes` at its top (rounded up to
/// pages). The guard stays; what was given back reads as zeros and is committed again when touched.
/// @pre nothing in the given part is in use: it lies below the stack pointer of whatever is suspended there, by
///     more than the processor's red zone.
void discard_pages(stack s, std::size_t keep_top_bytes) noexcept;

/// How deep the stack has ever been used since its pages were last discarded: the bytes from its top to the
/// lowest page that was touched. 0 if the system can't tell. Costs a few system calls: for diagnostics.
std::size_t stack_bytes_touched(stack s) noexcept;

/// The pages of `s` are about to go: add what they tell to the high-water mark, if it is kept.
void note_stack_use(stack s) noexcept;

/// Idle stacks in the pool, of all sizes. Exact when no other thread uses the pool.
std::size_t stacks_idle() noexcept;

/// Calls `visit(top, size, in_use, arg)` for every stack that was ever handed out, whether it is in use now
/// or idle.
///
/// No lock is held: `visit` may use the pool, suspend or throw. That is safe because stacks are never
/// unmapped: whatever `visit` reads at `top` is mapped memory. It is not a snapshot: `in_use` was true of
/// some moment during the call, a stack may change hands before `visit` looks at it, and one taken for the
/// first time meanwhile may be missed. What is read from a stack in use must therefore be atomic, and a
/// record there has to say by itself whether it is valid. Reading an idle stack whose pages were discarded
/// yields zeros (and maps a shared page of zeros).
void for_each_stack(void (*visit)(void* top, std::size_t size, bool in_use, void* arg), void* arg);

/// The same for a callable `visit(stack, in_use)`.
template <class Visitor> void for_each_stack(Visitor&& visit) {
    using visitor = std::remove_reference_t<Visitor>;
    for_each_stack([](void* top, std::size_t size, bool in_use,
                      void* arg) { (*static_cast<visitor*>(arg))(stack{top, size}, in_use); },
                   const_cast<void*>(static_cast<void const*>(std::addressof(visit))));
}

/// Bytes of inaccessible memory below each stack.
std::size_t stack_guard_size() noexcept;

/// How this system guards a stack.
enum class guard_kind {
    marker,    // MADV_GUARD_INSTALL: page table entries only, no mapping of its own
    protection // mprotect: splits a mapping, two more per stack
};
guard_kind stack_guard_kind() noexcept;

/// For tests: new stacks are guarded by mprotect even where the system has something better.
void force_protection_guards(bool force) noexcept;

/// For tests: the system is asked for one stack at a time even where it can be asked for several at once.
void force_single_advice(bool force) noexcept;

} // namespace greenback::detail
