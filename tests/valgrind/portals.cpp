// SPDX-License-Identifier: MIT
//
// Run under memcheck, which must not report anything: portals that enter others, whose stacks are neighbours; more
// portals than a thread keeps, so that stacks are used for a second fiber; portals on stacks that somebody else's fiber
// was on; stacks of another allocator; tasks that are destroyed while they wait; threads, whose stacks may be near;
// visits to the thread's stack.

#include <asio.hpp>
#include <asio/experimental/awaitable_operators.hpp>
#include <greenback/greenback.hpp>
#include <greenback/on_task_stack.hpp>

#include <boost/context/fiber.hpp>
#include <boost/context/fixedsize_stack.hpp>
#include <valgrind/valgrind.h>

#include <cstddef>
#include <cstdio>
#include <functional>
#include <memory>
#include <numeric>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace {

using greenback::await_;

/// Fills a frame of some size, lets other tasks run, and looks whether all is still there.
int wait_in_a_frame(int value) {
    constexpr std::size_t size = 500;
    int frame[size];
    std::iota(frame, frame + size, value);
    await_(asio::post(asio::use_awaitable));
    int wrong = 0;
    for (std::size_t i = 0; i != size; ++i)
        wrong += frame[i] != value + static_cast<int>(i) ? 1 : 0;
    return wrong == 0 ? value : -1'000'000;
}

asio::awaitable<int> coroutine_with_a_portal(int depth);

/// The sum of 1 to depth. Each level is a portal that the one above has entered.
int nested(int depth) {
    int const here = wait_in_a_frame(depth);
    int const below = depth == 1 ? 0 : await_(coroutine_with_a_portal(depth - 1));
    return below + here - depth + wait_in_a_frame(depth);
}

asio::awaitable<int> coroutine_with_a_portal(int depth) {
    int const result = co_await greenback::with_portal_run_sync(nested, depth);
    co_await asio::post(asio::use_awaitable);
    co_return result;
}

int sum_in_nested_portals() {
    asio::io_context loop;
    int sum = 0;
    // Several at once: so that what is next to a portal is not always the one that it was entered by.
    for (int i = 0; i != 3; ++i)
        greenback::spawn(loop, [&] { sum += nested(4); }, greenback::rethrow);
    loop.run();
    return sum;
}

/// Two children in each portal. A child begins where it is spawned: on its parent's stack, which enters the child's.
int tree(int depth) {
    using namespace asio::experimental::awaitable_operators;
    int const here = wait_in_a_frame(1);
    if (depth == 1)
        return here;
    auto const [left, right] =
        await_(greenback::with_portal_run_sync(tree, depth - 1) && greenback::with_portal_run_sync(tree, depth - 1));
    return left + here + right;
}

int sum_in_a_tree() {
    asio::io_context loop;
    int sum = 0;
    greenback::spawn(loop, [&] { sum = tree(4); }, greenback::rethrow);
    loop.run();
    return sum;
}

int many_portals() {
    asio::io_context loop;
    int sum = 0;
    for (int burst = 0; burst != 2; ++burst) {
        for (int i = 0; i != 100; ++i)
            greenback::spawn(loop, [&] { sum += wait_in_a_frame(1); }, greenback::rethrow);
        loop.run();
        loop.restart();
    }
    return sum;
}

/// As `greenback::pooled_stack`, for somebody who doesn't tell valgrind of its stacks.
class known_stack : public greenback::pooled_stack {
public:
    boost::context::stack_context allocate() {
        auto const stack = pooled_stack::allocate();
        char* const top = static_cast<char*>(stack.sp);
        id_ = VALGRIND_STACK_REGISTER(top - stack.size, top - 1);
        return stack;
    }
    void deallocate(boost::context::stack_context& stack) {
        VALGRIND_STACK_DEREGISTER(id_);
        pooled_stack::deallocate(stack);
    }

private:
    unsigned id_ = 0;
};

/// Somebody else's fiber on stacks of the pool, whose frames are where the record of a portal's fiber will be.
int others_before() {
    namespace ctx = boost::context;
    int sum = 0;
    for (int i = 0; i != 3; ++i) {
        ctx::fiber other(std::allocator_arg, known_stack(), [&](ctx::fiber&& back) {
            int volatile frame[300] = {};
            frame[i] = 1;
            sum += frame[i];
            return std::move(back);
        });
        other = std::move(other).resume();
    }
    std::thread([&] { sum += sum_in_a_tree(); }).join(); // a thread that keeps no stacks yet
    return sum;
}

int other_stacks() {
    asio::io_context loop;
    int sum = 0;
    auto const task = [&]() -> asio::awaitable<void> {
        boost::context::fixedsize_stack const small(64 * 1024);
        sum += co_await greenback::with_portal_run_sync(std::allocator_arg, small, nested, 2);
        sum +=
            co_await greenback::with_portal_run_sync(std::allocator_arg, greenback::pooled_stack(1 << 20), nested, 2);
    };
    asio::co_spawn(loop, task(), greenback::rethrow);
    loop.run();
    return sum;
}

int destroyed_while_waiting() {
    int destroyed = 0;
    {
        asio::io_context loop;
        for (int i = 0; i != 10; ++i)
            greenback::spawn(
                loop,
                [&] {
                    std::shared_ptr<void> const counts(nullptr, [&](void*) { ++destroyed; });
                    asio::steady_timer timer(await_(asio::this_coro::executor), asio::steady_timer::time_point::max());
                    timer.async_wait(greenback::use_portal);
                },
                greenback::rethrow);
        loop.poll();
    }
    return destroyed;
}

int on_threads() {
    std::vector<int> sums(3);
    std::vector<std::thread> threads;
    for (int& sum : sums)
        threads.emplace_back([&] { sum = sum_in_nested_portals() + sum_in_a_tree(); });
    for (std::thread& t : threads)
        t.join();
    return std::accumulate(sums.begin(), sums.end(), 0);
}

int on_the_task_stack() {
    asio::io_context loop;
    int sum = 0;
    auto const visit = [&] {
        for (int i = 0; i != 3; ++i) {
            sum += greenback::on_task_stack([i] {
                std::vector<int> const values(100, i);
                return std::accumulate(values.begin(), values.end(), 0) / 100;
            });
            sum += wait_in_a_frame(i);
        }
    };
    greenback::spawn(loop, visit, greenback::rethrow);
    loop.run();
    return sum;
}

int wrong = 0;

void check(char const* what, int is, int expected) {
    if (is != expected) {
        std::printf("%s: %d instead of %d\n", what, is, expected);
        ++wrong;
    }
}

} // namespace

int main() {
    check("nested portals", sum_in_nested_portals(), 30);
    check("a tree of portals", sum_in_a_tree(), 15);
    check("many portals", many_portals(), 200);
    check("others before", others_before(), 18);
    check("other stacks", other_stacks(), 6);
    check("destroyed while waiting", destroyed_while_waiting(), 10);
    check("on threads", on_threads(), 135);
    check("on the task's stack", on_the_task_stack(), 6);
    check("a tree of portals, again", sum_in_a_tree(), 15);
    return wrong == 0 ? 0 : 1;
}
