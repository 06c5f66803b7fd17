// SPDX-License-Identifier: MIT

#include "symbol_table.hpp"

#include <algorithm>
#include <cstring>

#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

namespace greenback::detail {

symbol_table::mapping::mapping(char const* path) noexcept {
    int const file = ::open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    struct stat status{};
    if (::fstat(file, &status) == 0 && status.st_size > 0) {
        size = static_cast<std::size_t>(status.st_size);
        void* const mapped = ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, file, 0);
        begin = mapped != MAP_FAILED ? mapped : nullptr;
    }
    ::close(file);
}

symbol_table::mapping::~mapping() {
    if (begin)
        ::munmap(begin, size);
}

symbol_table::symbol_table(char const* path) : file_(path) {
    if (file_.begin)
        read();
}

template <class T> T const* symbol_table::part(std::size_t offset, std::size_t count) const noexcept {
    bool const is_there =
        offset % alignof(T) == 0 && offset <= file_.size && (file_.size - offset) / sizeof(T) >= count;
    return is_there ? reinterpret_cast<T const*>(static_cast<char const*>(file_.begin) + offset) : nullptr;
}

void symbol_table::read() {
    auto const* const header = part<ElfW(Ehdr)>(0);
    if (!header || std::memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 ||
        header->e_ident[EI_CLASS] != (sizeof(void*) == 8 ? ELFCLASS64 : ELFCLASS32) ||
        header->e_shentsize != sizeof(ElfW(Shdr)))
        return;
    auto const* const sections = part<ElfW(Shdr)>(header->e_shoff, header->e_shnum);
    for (std::size_t i = 0; sections && i != header->e_shnum; ++i) {
        ElfW(Shdr) const& table = sections[i];
        if (table.sh_type != SHT_SYMTAB || table.sh_link >= header->e_shnum)
            continue;
        ElfW(Shdr) const& strings = sections[table.sh_link];
        auto const* const text = part<char>(strings.sh_offset, strings.sh_size);
        std::size_t const count = table.sh_size / sizeof(ElfW(Sym));
        auto const* const symbols = part<ElfW(Sym)>(table.sh_offset, count);
        if (!text || !symbols || strings.sh_size == 0 || text[strings.sh_size - 1] != '\0')
            continue;
        for (std::size_t n = 0; n != count; ++n)
            if ((symbols[n].st_info & 0xf) == STT_FUNC && symbols[n].st_shndx != SHN_UNDEF &&
                symbols[n].st_name < strings.sh_size)
                functions_.push_back({symbols[n].st_value, symbols[n].st_size, text + symbols[n].st_name});
    }
    std::sort(functions_.begin(), functions_.end(),
              [](function const& a, function const& b) { return a.begin < b.begin; });
}

char const* symbol_table::function_at(std::uintptr_t address) const noexcept {
    auto const above = std::upper_bound(functions_.begin(), functions_.end(), address,
                                        [](std::uintptr_t a, function const& f) { return a < f.begin; });
    if (above == functions_.begin() || address - above[-1].begin >= above[-1].size)
        return nullptr;
    return above[-1].name;
}

} // namespace greenback::detail
