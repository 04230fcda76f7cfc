# The same protocol and model as a program on this machine, with the sanitizers on.
file(GLOB LNN_HOST_SOURCES CONFIGURE_DEPENDS firmware/port/host/*.c)
target_sources(firmware PRIVATE ${LNN_HOST_SOURCES} firmware/src/frame.c firmware/src/protocol.c)
set(LNN_SANITIZERS -fsanitize=address,undefined -fno-sanitize-recover=all)
target_compile_options(firmware PRIVATE -fno-omit-frame-pointer ${LNN_SANITIZERS})
target_link_options(firmware PRIVATE ${LNN_SANITIZERS})

add_custom_target(size COMMAND size $<TARGET_FILE:firmware> DEPENDS firmware VERBATIM)
