// SPDX-License-Identifier: MIT
// The two kinds that are no executor's: what they are is told by their addresses.

#include <greenback/detail/fiber/portal_base.hpp>

#include <typeinfo>

namespace greenback::detail {

constinit portal_kind const abandoned_kind = {&typeid(void), -1};
constinit portal_kind const unprepared_kind = {&typeid(void), -2};

} // namespace greenback::detail
