"""Files and what is in them: read strictly, written whole."""
