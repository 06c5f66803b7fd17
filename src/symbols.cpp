// SPDX-License-Identifier: MIT

#include "symbols.hpp"

#include "program_memory.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <string_view>

#include <cxxabi.h>
#include <dlfcn.h>
#include <link.h>
#include <sys/auxv.h>

#if defined(GREENBACK_LIBBACKTRACE)
#include <backtrace.h>
#endif

namespace greenback::detail {
namespace {

/// The program, or a shared object of it.
struct loaded_file {
    std::string_view name;
    std::uintptr_t begin; ///< what to take from an address to have the one in the file
    bool is_program;      ///< and no shared object
};

loaded_file loaded_file_of(Dl_info const& found) {
    std::string_view name = found.dli_fname ? found.dli_fname : "?";
    name.remove_prefix(name.rfind('/') + 1);
    // A program that is not position-independent is where its file says.
    auto const* const header = static_cast<ElfW(Ehdr) const*>(found.dli_fbase);
    std::uintptr_t const begin = header->e_type == ET_EXEC ? 0 : reinterpret_cast<std::uintptr_t>(header);
    Dl_info program{};
    bool const is_program =
        ::dladdr(reinterpret_cast<void*>(::getauxval(AT_PHDR)), &program) != 0 && program.dli_fbase == found.dli_fbase;
    return {name, begin, is_program};
}

#if defined(GREENBACK_LIBBACKTRACE)
constexpr auto ignore_error = [](void*, char const*, int) {};

/// By the symbol table, which is there unless the program was stripped. Empty: it has no name for this.
std::string by_symbol_table(backtrace_state& state, std::uintptr_t in_function) {
    std::string name;
    ::backtrace_syminfo(
        &state, in_function,
        [](void* to, std::uintptr_t, char const* symbol, std::uintptr_t, std::uintptr_t) {
            if (symbol)
                *static_cast<std::string*>(to) = demangled(symbol);
        },
        ignore_error, &name);
    return name;
}

/// By the debug information, where there is some.
std::vector<named_call> by_debug_information(std::uintptr_t in_function) {
    static backtrace_state* const state = ::backtrace_create_state(nullptr, 1, ignore_error, nullptr);
    std::vector<named_call> result;
    if (!state)
        return result;
    ::backtrace_pcinfo(
        state, in_function,
        [](void* calls, std::uintptr_t, char const* file, int line, char const* function) {
            if (function)
                static_cast<std::vector<named_call>*>(calls)->push_back(
                    {demangled(function), file ? file : "", static_cast<unsigned>(line)});
            return 0;
        },
        ignore_error, &result);
    // Of the function itself, the last one; debug information may have its name without scope and parameters.
    if (std::string name = by_symbol_table(*state, in_function); !name.empty()) {
        if (result.empty())
            result.emplace_back();
        result.back().function = std::move(name);
    }
    return result;
}
#endif

/// The name alone, with its scope, of "type scope::name<arguments>(parameters)".
std::string_view without_type(std::string_view function) noexcept {
    constexpr std::string_view nameless = "(anonymous namespace)", deduced = "decltype(auto) ";
    if (function.starts_with(deduced))
        function.remove_prefix(deduced.size());
    std::size_t begin = 0;
    int depth = 0;
    for (std::size_t i = 0; i != function.size(); ++i) {
        if (function.substr(i).starts_with(nameless)) {
            i += nameless.size() - 1;
            continue;
        }
        char const c = function[i];
        if (c == '<' || c == '[')
            ++depth;
        else if (c == '>' || c == ']')
            --depth;
        else if (depth == 0 && c == ' ') {
            if (function.substr(0, i).ends_with("operator")) // a conversion to the type that follows
                break;
            begin = i + 1;
        } else if (depth == 0 && c == '(') {
            if (!function.substr(0, i).ends_with("decltype ")) // as a type: with its expression
                break;
            for (int open = 1; open != 0 && i + 1 != function.size();)
                open += function[++i] == '(' ? 1 : function[i] == ')' ? -1 : 0;
        }
    }
    return function.substr(begin);
}

/// Of an inlined function, debug information has the name without its scope.
bool is_file_of_plumbing(std::string_view file) noexcept {
    std::size_t const include = file.find("/include/");
    if (include != file.npos && file.find("/c++/", include) != file.npos)
        return true;
    if (!file.ends_with(".hpp") && !file.ends_with(".ipp"))
        return false;
    for (std::string_view const folder : {"/greenback/detail/", "/asio/detail/", "/asio/impl/"})
        if (file.find(folder) != file.npos)
            return true;
    return false;
}

bool is_plumbing(named_call const& call) noexcept {
    if (is_file_of_plumbing(call.file))
        return true;
    std::string_view name = without_type(call.function);
    for (std::string_view const own : {"greenback_fiber_main", "greenback_fiber_entry", "greenback_visit_resumer",
                                       "greenback_visit_entry"}) // C's names are without parameters
        if (name == own)
            return true;
    if (name.starts_with("boost::"))
        name.remove_prefix(7);
    for (std::string_view const scope : {"greenback::", "asio::", "std::__", "std::invoke", "std::apply"})
        if (name.starts_with(scope))
            return true;
    return false;
}

} // namespace

std::string demangled(char const* name) {
    int status = 0;
    std::unique_ptr<char, void (*)(void*)> const text(abi::__cxa_demangle(name, nullptr, nullptr, &status), std::free);
    return status == 0 && text ? text.get() : name;
}

/// By the symbols of the program's file, which is there even if another has taken its name; by those that the loader
/// knows in shared objects, whose files may be others by now.
named_call symbols::by_name(std::uintptr_t in_function) {
    Dl_info found{};
    if (::dladdr(reinterpret_cast<void*>(in_function), &found) == 0)
        return {"?", {}};
    if (found.dli_sname)
        return {demangled(found.dli_sname), {}};
    loaded_file const in = loaded_file_of(found);
    if (in.is_program) {
        if (!program_)
            program_.emplace("/proc/self/exe");
        if (char const* const name = program_->function_at(in_function - in.begin))
            return {demangled(name), {}};
    }
    char offset[24];
    std::snprintf(offset, sizeof offset, "+%#zx", static_cast<std::size_t>(in_function - in.begin));
    return {std::string(in.name) += offset, {}};
}

std::vector<named_call> const& symbols::at(void* address, bool is_return) {
    auto const [place, added] = known_.try_emplace(address);
    std::vector<named_call>& calls = place->second;
    if (!added)
        return calls;
    std::uintptr_t const in_function = reinterpret_cast<std::uintptr_t>(address) - (is_return ? 1 : 0);
    std::scoped_lock const lock(asking_for_objects());
#if defined(GREENBACK_LIBBACKTRACE)
    calls = by_debug_information(in_function);
#endif
    if (calls.empty())
        calls.push_back(by_name(in_function));
    for (named_call& call : calls)
        call.is_plumbing = is_plumbing(call);
    return calls;
}

} // namespace greenback::detail
