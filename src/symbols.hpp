// SPDX-License-Identifier: MIT
// Addresses in the program, by the names of functions.
#pragma once

#include "symbol_table.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

namespace greenback::detail {

/// One call, as it is written in the source.
struct named_call {
    std::string function; ///< demangled; where there is no name, "module+0x1234"
    std::string file;     ///< empty: not known
    unsigned line = 0;
    bool is_plumbing = false; ///< of greenback, Asio or the standard library: between the caller's code and the switch
};

/// Looks names up, each address once.
class symbols {
public:
    /// The calls at `address`: several where functions were inlined, innermost first.
    /// @param is_return whether a call returns there
    std::vector<named_call> const& at(void* address, bool is_return);

private:
    named_call by_name(std::uintptr_t in_function);

    std::unordered_map<void*, std::vector<named_call>> known_;
    std::optional<symbol_table> program_; // made when it is needed
};

/// `type_info::name` and linkers' names for people; unchanged if they are none.
std::string demangled(char const* name);

} // namespace greenback::detail
