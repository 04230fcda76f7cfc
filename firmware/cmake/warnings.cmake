# What all hand-written and generated C must pass.
set(LNN_WARNINGS
    -Wall -Wextra -Werror -pedantic -Wconversion -Wsign-conversion -Wshadow -Wundef -Wdouble-promotion
    -Wcast-align -Wvla -Wswitch-enum -Wmissing-declarations)
