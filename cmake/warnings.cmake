# Warnings for greenback's own targets, as errors. They are private to a target: whoever uses greenback never sees them.
function(greenback_developer_warnings target)
    if(NOT GREENBACK_DEVELOPER_WARNINGS)
        return()
    endif()
    target_compile_options(
        ${target}
        PRIVATE
            -Wall
            -Wextra
            -Wpedantic
            -Wshadow
            -Wconversion
            -Wnon-virtual-dtor
            -Woverloaded-virtual
            -Werror
            # g++ 12 sees overlapping copies in std::string where there are none (GCC bug 105651).
            $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>
    )
endfunction()
