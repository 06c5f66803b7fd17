// SPDX-License-Identifier: MIT
// 10. Helpers: a function object as a C function pointer with its user pointer. Knows nothing of Asio.
#pragma once

#include <greenback/detail/config.hpp>

#include <greenback/exception_trap.hpp>

#include <array>
#include <cstddef>
#include <exception>
#include <functional>
#include <tuple>
#include <type_traits>
#include <utility>

namespace greenback {

/// A function object that a C library calls back, and the trap that carries its exception past the library.
///
/// Converts to every type of C function pointer that has exactly one `void*` parameter, wherever that stands; calls
/// `f` with the others. The library's user pointer, which it passes on as that parameter, must be the address of the
/// `c_callback`. When the C function has returned, `rethrow()` throws what `f` has thrown. Where there are several
/// `void*`, or the user pointer comes in another way, take `exception_trap`.
///
/// `c_callback(f)` is for pointers to functions that return nothing. Neither copied nor moved: the library has its
/// address, and it must live until the library calls back no more.
///
/// Cancellation: what `f` awaits throws, and is carried past the library; so does `abandoned`.
/// Thread safety: may be used by one thread at a time; a library that calls back on several needs one for each.
/// Cost: that of a call through a pointer and of a `try` block. No allocation.
/// Example: `c_callback cb([&](int row) { return store(row), 0; }, -1);  c_visit(n, cb, &cb);  cb.rethrow();`
template <class F, class R> class c_callback {
    struct nothing {};
    using error_value = std::conditional_t<std::is_void_v<R>, nothing, R>;

public:
    /// The C function pointer returns `on_error` when `f` has thrown: what makes the library stop.
    c_callback(F f, error_value on_error)
        requires(!std::is_void_v<R>)
        : f_(std::move(f)), on_error_(std::move(on_error)) {}

    explicit c_callback(F f)
        requires std::is_void_v<R>
        : f_(std::move(f)) {}

    c_callback(c_callback const&) = delete;
    c_callback& operator=(c_callback const&) = delete;

    template <class Result, class... Args> using pointer = Result (*)(Args...);
    template <class Result, class... Args> using noexcept_pointer = Result (*)(Args...) noexcept;

    /// The function pointer that the context asks for; where it asks for none, as in a call with `...`, write
    /// `static_cast<int (*)(void*)>(cb)`.
    template <class Result, class... Args> operator pointer<Result, Args...>() const noexcept {
        return function<Result, Args...>();
    }
    template <class Result, class... Args> operator noexcept_pointer<Result, Args...>() const noexcept {
        return function<Result, Args...>();
    }

    /// As those of `exception_trap`.
    void rethrow() { trap_.rethrow(); }
    std::exception_ptr release() noexcept { return trap_.release(); }
    explicit operator bool() const noexcept { return static_cast<bool>(trap_); }

private:
    /// Which of `Args` is the user pointer; their number if none is, or several are.
    template <class... Args> static consteval std::size_t user_pointer() {
        std::array<bool, sizeof...(Args)> const is_one{std::is_same_v<Args, void*>...};
        std::size_t found = sizeof...(Args), count = 0;
        for (std::size_t i = 0; i != sizeof...(Args); ++i)
            if (is_one[i])
                found = i, ++count;
        return count == 1 ? found : sizeof...(Args);
    }

    template <class Result, class... Args> static noexcept_pointer<Result, Args...> function() noexcept {
        constexpr std::size_t user = user_pointer<Args...>();
        static_assert(user != sizeof...(Args),
                      "greenback: c_callback is for C function pointers with exactly one void* parameter, by which the "
                      "library passes the user pointer on. For others write the function yourself, with an "
                      "exception_trap in what it finds its state by");
        static_assert(std::is_void_v<Result> || !std::is_void_v<R>,
                      "greenback: this C function pointer returns a value, so say what it is to return when the "
                      "function has thrown: c_callback cb(f, -1)");
        if constexpr (user != sizeof...(Args) && (std::is_void_v<Result> || !std::is_void_v<R>)) {
            using others = std::make_index_sequence<sizeof...(Args) - 1>;
            static_assert(std::is_void_v<Result> || std::is_convertible_v<error_value const&, Result>,
                          "greenback: c_callback's value for errors can't be converted to what the C function pointer "
                          "returns");
            static_assert(fits<user, Result, Args...>(others()),
                          "greenback: c_callback's function can't be called with the C function pointer's parameters "
                          "other than the void*, or its result can't be converted to what the pointer returns");
            if constexpr (fits<user, Result, Args...>(others()))
                return &called<user, Result, Args...>;
        }
        return nullptr;
    }

    static constexpr std::size_t nth_other(std::size_t user, std::size_t n) { return n < user ? n : n + 1; }

    template <std::size_t User, class Result, class... Args, std::size_t... I>
    static consteval bool fits(std::index_sequence<I...>) {
        return std::is_invocable_r_v<Result, F&, std::tuple_element_t<nth_other(User, I), std::tuple<Args...>>...>;
    }

    /// What C calls. Its own type can't be `extern "C"`, being a template; the compilers take it for the same.
    template <std::size_t User, class Result, class... Args> static Result called(Args... args) noexcept {
        auto all = std::forward_as_tuple(std::forward<Args>(args)...);
        auto& self = *static_cast<c_callback*>(std::get<User>(all));
        auto const call = [&]() -> Result {
            return [&]<std::size_t... I>(std::index_sequence<I...>) -> Result {
                return static_cast<Result>(std::invoke(self.f_, std::get<nth_other(User, I)>(std::move(all))...));
            }(std::make_index_sequence<sizeof...(Args) - 1>());
        };
        if constexpr (std::is_void_v<Result>)
            self.trap_.run(call);
        else
            return self.trap_.run(call, static_cast<Result>(self.on_error_));
    }

    F f_;
    [[no_unique_address]] error_value on_error_{};
    exception_trap trap_;
};

template <class F> explicit c_callback(F) -> c_callback<F, void>;
template <class F, class R> c_callback(F, R) -> c_callback<F, R>;

} // namespace greenback
