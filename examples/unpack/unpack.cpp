// SPDX-License-Identifier: MIT

#include "unpack.hpp"

#include <archive.h>
#include <archive_entry.h>

#include <array>
#include <cerrno>
#include <memory>
#include <stdexcept>
#include <utility>

namespace {

/// What libarchive hands back to the callback.
struct input {
    source& from;
    std::array<char, 4096> buffer;
    std::exception_ptr error; ///< what `from` threw; it must not pass through libarchive's frames
};

// [callback]
/// Called by libarchive. C code stands between here and `unpack`: every exception ends here, also one that is
/// not a std::exception, and goes on there.
la_ssize_t read_some(archive* a, void* data, void const** bytes) noexcept {
    auto& in = *static_cast<input*>(data);
    try {
        *bytes = in.buffer.data();
        return static_cast<la_ssize_t>(in.from.read(in.buffer));
    } catch (...) {
        in.error = std::current_exception();
        archive_set_error(a, ECANCELED, "the source threw an exception");
        return -1;
    }
}
// [/callback]

struct free_archive {
    void operator()(archive* a) const noexcept { archive_read_free(a); }
};

/// After every call of libarchive that may have read.
int checked(archive* a, input& in, int result) {
    // [rethrow]
    if (in.error)
        std::rethrow_exception(std::exchange(in.error, nullptr));
    // [/rethrow]
    if (result < ARCHIVE_WARN) {
        char const* const text = archive_error_string(a);
        throw std::runtime_error(text ? text : "libarchive failed");
    }
    return result;
}

} // namespace

void unpack(source& from, visitor& to) {
    input in{from, {}, nullptr};
    std::unique_ptr<archive, free_archive> const owner(archive_read_new());
    archive* const a = owner.get();
    if (!a)
        throw std::bad_alloc();
    checked(a, in, archive_read_support_filter_gzip(a));
    checked(a, in, archive_read_support_format_tar(a));
    checked(a, in, archive_read_open(a, &in, nullptr, read_some, nullptr));

    archive_entry* entry = nullptr;
    while (checked(a, in, archive_read_next_header(a, &entry)) != ARCHIVE_EOF) {
        if (archive_entry_filetype(entry) != AE_IFREG)
            continue;
        char const* const path = archive_entry_pathname(entry);
        to.begin_file(path ? path : "");
        void const* block = nullptr;
        std::size_t size = 0;
        la_int64_t offset = 0;
        while (checked(a, in, archive_read_data_block(a, &block, &size, &offset)) != ARCHIVE_EOF)
            to.data({static_cast<char const*>(block), size});
    }
}
