// SPDX-License-Identifier: MIT
// Which Asio: standalone, or Boost's. Nothing below this header tells them apart.
#pragma once

#include <greenback/detail/config.hpp>

// What is asked of Asio is asked first: an Asio that lacks it would otherwise fail below, with less to say.
#if defined(GREENBACK_USE_BOOST_ASIO)
#include <boost/asio/detail/config.hpp>
#include <boost/asio/version.hpp>
#if BOOST_ASIO_VERSION < 102201
#error "greenback needs Boost.Asio of Boost 1.79 or newer."
#elif !defined(BOOST_ASIO_HAS_CO_AWAIT)
#error \
    "greenback needs co_await in Boost.Asio, which does not see it in this compiler: compile with -std=c++20 and without BOOST_ASIO_DISABLE_CO_AWAIT; if the compiler has coroutines, define BOOST_ASIO_HAS_CO_AWAIT for the whole program, or use a newer Boost."
#endif
#else
#include <asio/detail/config.hpp>
#include <asio/version.hpp>
#if ASIO_VERSION < 102201
#error "greenback needs Asio 1.22.1 or newer."
#elif !defined(ASIO_HAS_CO_AWAIT)
#error \
    "greenback needs co_await in Asio, which does not see it in this compiler: compile with -std=c++20 and without ASIO_DISABLE_CO_AWAIT; with clang and an Asio before 1.26 define ASIO_HAS_CO_AWAIT for the whole program, as greenback's CMake target does, or use a newer Asio."
#endif
#endif

#if defined(GREENBACK_USE_BOOST_ASIO)

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/cancellation_state.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/detail/bind_handler.hpp>
#include <boost/asio/detail/executor_function.hpp>
#include <boost/asio/detail/strand_executor_service.hpp>
#include <boost/asio/detail/thread_context.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/recycling_allocator.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/version.hpp>
#include <boost/system/system_error.hpp>

#define GREENBACK_ASIO_VERSION BOOST_ASIO_VERSION
#define GREENBACK_ASIO_ROOT boost::asio
#define GREENBACK_BACKEND 1

namespace greenback {
inline namespace on_boost_asio {
namespace asio = boost::asio;
using boost::system::error_code;
using boost::system::system_error;
} // namespace on_boost_asio
} // namespace greenback

#define GREENBACK_BACKEND_NAMESPACE on_boost_asio

#else

#include <asio/any_io_executor.hpp>
#include <asio/async_result.hpp>
#include <asio/awaitable.hpp>
#include <asio/cancellation_signal.hpp>
#include <asio/cancellation_state.hpp>
#include <asio/co_spawn.hpp>
#include <asio/detached.hpp>
#include <asio/detail/bind_handler.hpp>
#include <asio/detail/executor_function.hpp>
#include <asio/detail/strand_executor_service.hpp>
#include <asio/detail/thread_context.hpp>
#include <asio/error.hpp>
#include <asio/execution_context.hpp>
#include <asio/io_context.hpp>
#include <asio/post.hpp>
#include <asio/recycling_allocator.hpp>
#include <asio/system_error.hpp>
#include <asio/this_coro.hpp>
#include <asio/use_awaitable.hpp>
#include <asio/version.hpp>

#define GREENBACK_ASIO_VERSION ASIO_VERSION
#define GREENBACK_ASIO_ROOT asio
#define GREENBACK_BACKEND 0

namespace greenback {
inline namespace on_asio {
namespace asio = ::asio;
using ::asio::error_code;
using ::asio::system_error;
} // namespace on_asio
} // namespace greenback

#define GREENBACK_BACKEND_NAMESPACE on_asio

#endif

// g++ keeps the address of a thread-local across a call that may return on another thread, except on x86. Not asked of
// clang, though it does the same: tools made of clang read code that is compiled by g++, with the options of that.
#if defined(__GNUC__) && !defined(__clang__) && !defined(__x86_64__) && !defined(__i386__)
#if defined(GREENBACK_USE_BOOST_ASIO) && defined(BOOST_ASIO_HAS_THREAD_KEYWORD_EXTENSION)
#error "greenback: compile every file that includes Boost.Asio with -DBOOST_ASIO_DISABLE_THREAD_KEYWORD_EXTENSION=1."
#elif !defined(GREENBACK_USE_BOOST_ASIO) && defined(ASIO_HAS_THREAD_KEYWORD_EXTENSION)
#error "greenback: compile every file that includes Asio with -DASIO_DISABLE_THREAD_KEYWORD_EXTENSION=1."
#endif
#endif

#if GREENBACK_ASIO_VERSION < 102400
#define GREENBACK_INITIATES_WHILE_SUSPENDING 1
#else
#define GREENBACK_INITIATES_WHILE_SUSPENDING 0
#endif

// The version as Asio's version.hpp has it, for messages: 102201 is 1.22.1.
#define GREENBACK_TEXT_OF(x) #x
#define GREENBACK_EXPANDED_TEXT_OF(x) GREENBACK_TEXT_OF(x)
#define GREENBACK_ASIO_VERSION_TEXT GREENBACK_EXPANDED_TEXT_OF(GREENBACK_ASIO_VERSION)

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// Before Asio 1.24 an operation is initiated inside its coroutine's `await_suspend`, that is, while the fiber is still
/// in; since then after the coroutine's `resume()` has returned, which can be left to the fiber's resumer.
inline constexpr bool initiates_while_suspending = GREENBACK_INITIATES_WHILE_SUSPENDING;

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
