// SPDX-License-Identifier: MIT
//
// The interpreter of call frame information, which dumps use in a signal handler: whatever a function's table and its
// stack say, it must come to an end, and read nothing but the table and the words of the stack.

#include "unwind/call_frame_info.hpp"
#include "unwind/function_table.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>
#include <vector>

#if defined(GREENBACK_CONTEXT_KNOWN)

namespace {

using bytes = std::span<std::uint8_t const>;

bytes take(bytes& from, std::size_t count) {
    bytes const taken = from.first(std::min(count, from.size()));
    from = from.subspan(taken.size());
    return taken;
}
std::uint8_t take_byte(bytes& from) {
    bytes const one = take(from, 1);
    return one.empty() ? 0 : one[0];
}

std::vector<std::uint8_t> copy(bytes from) { return {from.begin(), from.end()}; }

// A few words at an address of no meaning.
class words final : public greenback::detail::readable_stack {
public:
    static constexpr std::uintptr_t begin = 0x7f0000001000;

    explicit words(bytes content) : content_(copy(content)) {}
    bool load(std::uintptr_t at, std::uintptr_t& value) noexcept override {
        if (at < begin || at - begin > content_.size() || content_.size() - (at - begin) < sizeof value)
            return false;
        std::memcpy(&value, content_.data() + (at - begin), sizeof value);
        return true;
    }

private:
    std::vector<std::uint8_t> content_;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const* data, std::size_t size) {
    bytes input(data, size);
    greenback::detail::function_table function;
    function.begin = 0x1000;
    function.code_alignment = take_byte(input) % 8;
    function.data_alignment = static_cast<std::int8_t>(take_byte(input));
    function.return_register = take_byte(input) % 32;
    greenback::detail::frame_registers frame;
    frame.pc = function.begin + take_byte(input);
    frame.is_return_address = frame.pc % 2 != 0;
    std::size_t const common = take_byte(input) % 32, own = take_byte(input), stack = take_byte(input);
    // Each a block of its own, so that AddressSanitizer sees the first byte too many.
    std::vector<std::uint8_t> const common_bytes = copy(take(input, common)), own_bytes = copy(take(input, own));
    function.common = {common_bytes.data(), common_bytes.data() + common_bytes.size()};
    function.own = {own_bytes.data(), own_bytes.data() + own_bytes.size()};
    words content(take(input, stack));
    for (std::size_t i = 0; i != frame.value.size(); ++i)
        frame.value[i] = words::begin + 8 * i;

    for (int calls = 0; calls != 16; ++calls) {
        auto const before = frame;
        if (!greenback::detail::go_to_caller(function, frame, content)) {
            if (frame.value != before.value || frame.pc != before.pc)
                std::abort(); // where no caller is known, the frame stays as it was
            break;
        }
        if (frame.pc == 0)
            std::abort();
    }
    return 0;
}

#else

extern "C" int LLVMFuzzerTestOneInput(std::uint8_t const*, std::size_t) { return 0; }

#endif
