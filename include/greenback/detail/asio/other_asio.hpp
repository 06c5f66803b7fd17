// SPDX-License-Identifier: MIT
// Recognises what comes from the Asio that greenback was not built for, to say so.
#pragma once

#include <greenback/detail/asio/backend.hpp>

#include <string_view>
#include <type_traits>

namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE {

/// False, and only when a template is instantiated.
template <class...> inline constexpr bool never = false;

/// The name of `T` as the compiler writes it, and more after it.
template <class T> constexpr std::string_view name_of() noexcept {
    std::string_view const text = __PRETTY_FUNCTION__; // "… [with T = int; …]" or "… [T = int]"
    return text.substr(text.find("T = ") + 4);
}

/// Does `T` come from the Asio that greenback was not built for? Told by its name, since that Asio need not be there.
template <class T>
inline constexpr bool of_other_asio =
    name_of<std::remove_cvref_t<T>>().starts_with(GREENBACK_BACKEND == 0 ? "boost::asio::" : "asio::");

#if defined(GREENBACK_USE_BOOST_ASIO)
#define GREENBACK_OTHER_ASIO \
    "greenback: this comes from standalone Asio, and greenback is built for Boost.Asio: include <boost/asio.hpp> " \
    "and use boost::asio, or build greenback and the program without GREENBACK_USE_BOOST_ASIO"
#else
#define GREENBACK_OTHER_ASIO \
    "greenback: this comes from Boost.Asio, and greenback is built for standalone Asio: build it with " \
    "-DGREENBACK_USE_BOOST_ASIO=ON (without CMake, define GREENBACK_USE_BOOST_ASIO), or include <asio.hpp> and " \
    "use asio"
#endif

} // namespace greenback::detail::inline GREENBACK_BACKEND_NAMESPACE
