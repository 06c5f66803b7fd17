// SPDX-License-Identifier: MIT
// What is given back when a thread ends, arranged without the C library's ending the program where there is no memory.
#pragma once

#include <atomic>

#include <pthread.h>

namespace greenback::detail {

/// Has `F(argument)` called at the end of each thread that has asked for it. To be a static object with an
/// `init_priority`, so that the program's own static objects find it there.
///
/// Not a thread_local with a destructor: to register that takes memory, and glibc ends the program if there is none.
/// Asking here takes memory only in a program with more than 32 keys, and may be refused. The differences are that
/// `F` comes after the destructors of thread_locals, and that main's thread never gets to it where main returns.
template <void (*F)(void*) noexcept> class at_thread_exit {
public:
    at_thread_exit() noexcept : made_(::pthread_key_create(&key_, [](void* argument) { F(argument); }) == 0) {}
    at_thread_exit(at_thread_exit const&) = delete;
    /// Threads may outlive a shared object with the library in it.
    ~at_thread_exit() {
        if (made_.exchange(false))
            ::pthread_key_delete(key_);
    }

    /// @param argument null: it is not to be called after all @returns whether it was done
    bool ask(void* argument) const noexcept { return made_ && ::pthread_setspecific(key_, argument) == 0; }
    /// What this thread has asked with; null: it has not.
    void* asked() const noexcept { return made_ ? ::pthread_getspecific(key_) : nullptr; }

private:
    pthread_key_t key_{};
    std::atomic<bool> made_; ///< threads may outlive the program's static objects, too, and ask
};

} // namespace greenback::detail
