# Cross-compilation with GCC for bare-metal Arm. LNN_ARM_GCC in the environment names another arm-none-eabi-gcc.
set(CMAKE_SYSTEM_NAME Generic)
set(CMAKE_SYSTEM_PROCESSOR arm)

if(DEFINED ENV{LNN_ARM_GCC})
    set(CMAKE_C_COMPILER "$ENV{LNN_ARM_GCC}")
else()
    find_program(CMAKE_C_COMPILER arm-none-eabi-gcc REQUIRED)
endif()

set(CMAKE_EXECUTABLE_SUFFIX_C .elf)
set(CMAKE_TRY_COMPILE_TARGET_TYPE STATIC_LIBRARY) # there is no program that could run here

# Headers and libraries of the host are not the board's.
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
