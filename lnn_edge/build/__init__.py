"""From a project to an ELF, and what it takes."""
