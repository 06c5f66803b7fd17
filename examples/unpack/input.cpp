// SPDX-License-Identifier: MIT

#include "input.hpp"

#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <random>
#include <spawn.h>
#include <stdexcept>
#include <sys/wait.h>
#include <system_error>

extern char** environ;

namespace fs = std::filesystem;

namespace {

void run(std::vector<std::string> command) {
    std::vector<char*> arguments;
    for (std::string& argument : command)
        arguments.push_back(argument.data());
    arguments.push_back(nullptr);
    pid_t pid = -1;
    if (int const error = ::posix_spawnp(&pid, arguments[0], nullptr, nullptr, arguments.data(), environ))
        throw std::system_error(error, std::generic_category(), command[0]);
    int status = 0;
    while (::waitpid(pid, &status, 0) == -1)
        if (errno != EINTR)
            throw std::system_error(errno, std::generic_category(), "waitpid");
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        throw std::runtime_error(command[0] + " failed");
}

std::vector<char> contents(fs::path const& file) {
    std::ifstream in(file, std::ios::binary);
    if (!in)
        throw std::runtime_error("cannot read " + file.string());
    return {std::istreambuf_iterator<char>(in), {}};
}

/// Half of each file does not compress, half does; one is empty.
void write_files(fs::path const& folder) {
    std::mt19937_64 random(20);
    for (int i = 0; i < 24; ++i) {
        fs::path const file = folder / ("part" + std::to_string(i % 4)) / ("file" + std::to_string(i) + ".bin");
        fs::create_directories(file.parent_path());
        std::string text;
        for (std::size_t size = i ? 500 + random() % 27000 : 0; text.size() < size;) {
            text += static_cast<char>(random());
            if (random() % 8 == 0)
                text.append(8, static_cast<char>('a' + i));
        }
        std::ofstream out(file, std::ios::binary);
        if (!out.write(text.data(), static_cast<std::streamsize>(text.size())).flush())
            throw std::runtime_error("cannot write " + file.string());
    }
}

} // namespace

temporary_folder::temporary_folder() {
    std::string name = (fs::temp_directory_path() / "greenback-unpack-XXXXXX").string();
    if (!::mkdtemp(name.data()))
        throw std::system_error(errno, std::generic_category(), "mkdtemp");
    path_ = name;
}

temporary_folder::~temporary_folder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
}

packed make_input() {
    temporary_folder const folder;
    fs::path const original = folder.path() / "original", unpacked = folder.path() / "unpacked";
    fs::path const archive = folder.path() / "files.tar.gz";
    fs::create_directory(original);
    fs::create_directory(unpacked);
    write_files(original);
    run({"tar", "czf", archive.string(), "-C", original.string(), "."});
    run({"tar", "xzf", archive.string(), "-C", unpacked.string()});

    packed result;
    result.archive = contents(archive);
    for (fs::directory_entry const& file : fs::recursive_directory_iterator(unpacked)) {
        if (!file.is_regular_file())
            continue;
        std::vector<char> const bytes = contents(file.path());
        checksum sum;
        sum.add(bytes);
        result.expected["./" + file.path().lexically_relative(unpacked).generic_string()] = sum.value();
        result.size += bytes.size();
    }
    return result;
}
