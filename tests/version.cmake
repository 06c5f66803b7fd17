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
