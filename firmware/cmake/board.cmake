# The firmware for the board: no C library, dead code removed, stack use and call graph written beside the objects.
include(board/lnn_board.cmake)

file(GLOB LNN_BOARD_SOURCES CONFIGURE_DEPENDS firmware/src/*.c)
target_sources(firmware PRIVATE ${LNN_BOARD_SOURCES})
target_compile_options(firmware PRIVATE
    ${LNN_CPU_FLAGS}
    -ffunction-sections -fdata-sections
    -fno-tree-loop-distribute-patterns # a copying loop stays a loop: memcpy itself is one
    -fno-ipa-icf -fno-ipa-sra -fno-ipa-cp # each operator keeps a function of its own name, to be measured
    -fstack-usage -fcallgraph-info=su)
# What no step of the model runs is built for size; GCC's -Os still doubles jumps, hoists and spreads registers.
set(LNN_SMALL_SOURCES ${LNN_BOARD_SOURCES} firmware/runtime/lnn_state.c)
set_source_files_properties(${LNN_SMALL_SOURCES} PROPERTIES COMPILE_OPTIONS
    "-Os;-fno-thread-jumps;-fno-move-loop-invariants;-fno-schedule-insns2")
target_link_options(firmware PRIVATE
    ${LNN_CPU_FLAGS}
    -nostdlib -Wl,--gc-sections -Wl,--fatal-warnings
    -T ${CMAKE_SOURCE_DIR}/board/linker.ld
    -Wl,-Map=firmware.map) # where the linker runs: -Wl parts its words at commas, and a path may hold one
target_link_libraries(firmware PRIVATE gcc)
set_target_properties(firmware PROPERTIES LINK_DEPENDS ${CMAKE_SOURCE_DIR}/board/linker.ld)

add_custom_command(TARGET firmware POST_BUILD
    COMMAND ${CMAKE_OBJCOPY} -O binary $<TARGET_FILE:firmware> ${CMAKE_BINARY_DIR}/firmware.bin
    BYPRODUCTS ${CMAKE_BINARY_DIR}/firmware.bin VERBATIM)

get_filename_component(LNN_TOOLCHAIN_FOLDER ${CMAKE_C_COMPILER} DIRECTORY)
find_program(LNN_SIZE arm-none-eabi-size HINTS ${LNN_TOOLCHAIN_FOLDER})
add_custom_target(size
    COMMAND ${LNN_SIZE} -A -x $<TARGET_FILE:firmware>
    DEPENDS firmware VERBATIM)

set(LNN_OPENOCD_ARGUMENTS ${LNN_OPENOCD_SCRIPT})
list(TRANSFORM LNN_OPENOCD_ARGUMENTS PREPEND "-f;")
add_custom_target(flash
    COMMAND openocd ${LNN_OPENOCD_ARGUMENTS} -c "program {$<TARGET_FILE:firmware>} verify reset exit"
    DEPENDS firmware USES_TERMINAL VERBATIM COMMAND_EXPAND_LISTS)
