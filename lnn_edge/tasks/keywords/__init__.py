"""Which of 35 words a second of sound holds."""
