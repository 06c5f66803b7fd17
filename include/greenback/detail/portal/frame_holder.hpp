// SPDX-License-Identifier: MIT
// A coroutine of ours in a task of Asio's.
#pragma once

#include <greenback/detail/asio/access.hpp>

#include <coroutine>
#include <cstddef>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// The part of a promise that Asio sees: the frame is a member, and the coroutine behind it is ours, so its awaits are
/// not limited to what Asio's own promise allows.
template <class R, class Executor> class frame_holder {
public:
    using frame = frame_of<R, Executor>;

    std::suspend_always initial_suspend() const noexcept { return {}; }
    auto final_suspend() noexcept { return frame_.final_suspend(); }
    void return_void() const noexcept {} // a result is stored in the frame by whoever has it
    void unhandled_exception() noexcept { frame_.unhandled_exception(); }
    frame& asio_frame() noexcept { return frame_; }

#if !defined(ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING) && !defined(BOOST_ASIO_DISABLE_AWAITABLE_FRAME_RECYCLING)
    void* operator new(std::size_t size) { return frame_base<Executor>::operator new(size); }
    void operator delete(void* p, std::size_t size) { frame_base<Executor>::operator delete(p, size); }
#endif

protected:
    asio::awaitable<R, Executor> awaitable_for(std::coroutine_handle<> own) noexcept {
        frame_access<Executor>::coroutine(frame_) = own;
        return private_access::make_awaitable(&frame_);
    }

private:
    frame frame_;
};

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
