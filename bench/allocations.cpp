// SPDX-License-Identifier: MIT
// Heap allocations per operation once warm. The exit status is 0 only if awaiting through a portal, and making one,
// takes none. (Asio recycles the memory of coroutine frames and operations; what is counted here is what reaches
// operator new in spite of that.)

#include "support/operations.hpp"

#include <cstddef>
#include <cstdio>
#include <cstdlib>
#include <new>

namespace {

std::size_t allocations = 0; // one thread

void* counted(std::size_t size, std::size_t alignment) {
    ++allocations;
    void* const p = alignment > alignof(std::max_align_t)
                        ? std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment)
                        : std::malloc(size ? size : 1);
    if (!p)
        throw std::bad_alloc();
    return p;
}

} // namespace

void* operator new(std::size_t size) { return counted(size, 0); }
void* operator new[](std::size_t size) { return counted(size, 0); }
void* operator new(std::size_t size, std::align_val_t alignment) { return counted(size, std::size_t(alignment)); }
void* operator new[](std::size_t size, std::align_val_t alignment) { return counted(size, std::size_t(alignment)); }
void operator delete(void* p) noexcept { std::free(p); }
void operator delete[](void* p) noexcept { std::free(p); }
void operator delete(void* p, std::size_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t) noexcept { std::free(p); }
void operator delete(void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::align_val_t) noexcept { std::free(p); }
void operator delete(void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }
void operator delete[](void* p, std::size_t, std::align_val_t) noexcept { std::free(p); }

namespace {

/// Some passes to get warm, then those in which allocations are counted.
class counting_loop {
public:
    static constexpr std::size_t warm_up = 100, measured = 10'000;

    struct pass {};
    struct sentinel {};
    class iterator {
    public:
        explicit iterator(counting_loop& loop) : loop_(loop) {}
        pass operator*() const { return {}; }
        iterator& operator++() {
            if (++done_ == warm_up)
                loop_.begin_ = allocations;
            if (done_ == warm_up + measured)
                loop_.end_ = allocations;
            return *this;
        }
        bool operator!=(sentinel) const { return done_ != warm_up + measured; }

    private:
        counting_loop& loop_;
        std::size_t done_ = 0;
    };

    iterator begin() { return iterator(*this); }
    sentinel end() { return {}; }
    double per_pass() const { return double(end_ - begin_) / double(measured); }

private:
    std::size_t begin_ = 0, end_ = 0;
};

double count(void (*operation)(counting_loop&), char const* name) {
    counting_loop loop;
    operation(loop);
    std::printf("%-36s %.4f\n", name, loop.per_pass());
    return loop.per_pass();
}

} // namespace

int main() {
    double of_portals = 0;
#define ROW(name) count(&bench::name<counting_loop>, #name)
    ROW(co_await_ready);
    of_portals += ROW(await_ready);
    ROW(co_await_post);
    of_portals += ROW(await_post);
    of_portals += ROW(use_portal_post);
    of_portals += ROW(use_portal_post_ten_deep);
    of_portals += ROW(co_await_post_with_ensure_portal);
    of_portals += ROW(await_post_with_ensure_portal);
    ROW(co_await_child);
    of_portals += ROW(with_portal_run_sync_nothing);
    of_portals += ROW(portal_run_nothing);
    ROW(co_spawn_child);
    ROW(co_spawn_with_portal_run_sync); // as many as the row above: what co_spawn itself takes
    std::printf("%s\n", of_portals == 0 ? "portals allocate nothing" : "portals allocate");
    return of_portals == 0 ? 0 : 1;
}
