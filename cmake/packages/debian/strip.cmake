# CPack runs this before it makes packages of what is installed: strips it, as Debian's own dh_strip does. (What CPack
# does itself leaves archives as they are.) The library's dynamic symbols stay, which is what gdb's commands read.

file(GLOB_RECURSE archives "${CPACK_TEMPORARY_INSTALL_DIRECTORY}/*.a")
file(GLOB_RECURSE objects "${CPACK_TEMPORARY_INSTALL_DIRECTORY}/*.so.*.*.*")
list(FILTER objects EXCLUDE REGEX "\\.py$")
if(archives)
    execute_process(
        COMMAND strip --strip-debug --enable-deterministic-archives --remove-section=.comment ${archives}
        COMMAND_ERROR_IS_FATAL ANY
    )
endif()
if(objects)
    execute_process(
        COMMAND strip --strip-unneeded --remove-section=.comment --remove-section=.note ${objects}
        COMMAND_ERROR_IS_FATAL ANY
    )
endif()
