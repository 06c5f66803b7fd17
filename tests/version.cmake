# Fails unless every copy of the version is the one that CMakeLists.txt gives to project().
#
# In CHANGELOG.md the first heading that has a version is that of the version being worked on or just released:
# "## [1.2.3] - Unreleased" or "## [1.2.3] - 2030-12-31".

function(expect what actual)
    if(NOT actual STREQUAL VERSION)
        message(SEND_ERROR "${what} says '${actual}', CMakeLists.txt says '${VERSION}'")
    endif()
endfunction()

file(READ "${SOURCE_DIR}/include/greenback/version.hpp" header)
set(numbers "")
foreach(part IN ITEMS MAJOR MINOR PATCH)
    if(NOT header MATCHES "#define GREENBACK_VERSION_${part} ([0-9]+)")
        message(FATAL_ERROR "version.hpp does not define GREENBACK_VERSION_${part}")
    endif()
    list(APPEND numbers "${CMAKE_MATCH_1}")
endforeach()
list(JOIN numbers "." numbers)
expect("version.hpp" "${numbers}")

if(NOT header MATCHES "#define GREENBACK_VERSION_STRING \"([^\"]*)\"")
    message(FATAL_ERROR "version.hpp does not define GREENBACK_VERSION_STRING")
endif()
expect("GREENBACK_VERSION_STRING in version.hpp" "${CMAKE_MATCH_1}")

file(STRINGS "${SOURCE_DIR}/CHANGELOG.md" headings REGEX "^## ")
list(POP_FRONT headings heading)
if(NOT heading MATCHES "^## \\[([0-9.]+)\\] - (Unreleased|[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9])$")
    message(FATAL_ERROR "CHANGELOG.md: the first heading must be '## [x.y.z] - Unreleased' or have a date: '${heading}'")
endif()
expect("CHANGELOG.md" "${CMAKE_MATCH_1}")

# Whatever asks for the version's minor: what the text says in its one group is compared with "0.2".
string(REGEX REPLACE "^([0-9]+\\.[0-9]+)\\..*$" "\\1" minor "${VERSION}")
function(expect_minor file regex)
    file(READ "${SOURCE_DIR}/${file}" text)
    string(REGEX MATCHALL "${regex}" found "${text}")
    if(NOT found)
        message(SEND_ERROR "${file} has nothing like '${regex}'")
    endif()
    foreach(match IN LISTS found)
        string(REGEX REPLACE "${regex}" "\\1" said "${match}")
        if(NOT said STREQUAL minor)
            message(SEND_ERROR "${file}: '${match}', where CMakeLists.txt says ${VERSION}")
        endif()
    endforeach()
endfunction()
expect_minor(README.md "find_package\\(greenback ([0-9.]+)")
expect_minor(docs/packages.md "find_package\\(greenback ([0-9.]+)")
expect_minor(docs/packages.md "libgreenback([0-9][0-9.]*[0-9])")

# The port for vcpkg has a copy.
file(READ "${SOURCE_DIR}/cmake/packages/vcpkg/greenback/vcpkg.json" port)
string(JSON version_of_port GET "${port}" version)
expect("vcpkg.json" "${version_of_port}")

# What is made of CMakeLists.txt: the library's SOVERSION, the files for pkg-config, Conan's recipe.
file(READ "${SOURCE_DIR}/cmake/packages/conan/conanfile.py" recipe)
if(recipe MATCHES "\n    version = " OR NOT recipe MATCHES "VERSION \\(\\[0-9.\\]\\+\\)")
    message(SEND_ERROR "conanfile.py does not read the version out of CMakeLists.txt")
endif()
if(DEFINED SOVERSION AND NOT SOVERSION STREQUAL minor)
    message(SEND_ERROR "SOVERSION is '${SOVERSION}', CMakeLists.txt says ${VERSION}")
endif()
foreach(name IN ITEMS greenback greenback-blocking-calls)
    if(DEFINED BINARY_DIR AND EXISTS "${BINARY_DIR}/${name}.pc")
        file(STRINGS "${BINARY_DIR}/${name}.pc" said REGEX "^Version: ")
        string(REPLACE "Version: " "" said "${said}")
        expect("${name}.pc" "${said}")
    endif()
endforeach()
